"""Programs whose native speed is measured, in plain Python and NumPy: nothing in them knows of any compiler."""
