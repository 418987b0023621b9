"""IR -> IR, meaning changed: forward mode (`jvp`), reverse mode (`vjp`), Jacobians. Pure functions."""
