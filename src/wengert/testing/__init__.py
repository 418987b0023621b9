"""Pieces to test ops and programs with: sample calls, numerical derivatives."""

from wengert.testing.check_grads import GradientMismatchError, check_grads

__all__ = ["GradientMismatchError", "check_grads"]
