"""Passes: IR to IR with the meaning kept. `pipeline.optimize` runs them in order."""
