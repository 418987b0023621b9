"""The corpus: small programs in the style of real code, run in every way that there is."""
