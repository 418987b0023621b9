"""Pieces to test ops and programs with: sample calls, numerical derivatives."""
