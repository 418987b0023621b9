"""Eager mode: ops run at once and are written down in a row (`evaluate`); derivatives walk the list (`backward`)."""
