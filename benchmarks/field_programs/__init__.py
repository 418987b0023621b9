"""Six programs on which AD tools are commonly compared, in plain Python and NumPy, with their inputs."""
