"""What tests need: derivative checks, all modes side by side, sample calls of ops, random programs."""

from wengert.testing.check_grads import GradientMismatchError, check_grads
from wengert.testing.modes import ModeMismatchError, assert_modes_agree, run_modes

__all__ = ["GradientMismatchError", "ModeMismatchError", "assert_modes_agree", "check_grads", "run_modes"]
