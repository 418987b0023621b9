"""The intermediate representation: typed SSA with structured regions. See `core` for the data, `builder` to make it."""
