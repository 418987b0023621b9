"""Fitting: minimise a loss over the parameters of a plain Python program."""

from wengert.train.fit import FitResult, fit
from wengert.train.guards import GradientError
from wengert.train.run import Step
from wengert.train.store import load_params, save_params

__all__ = ["FitResult", "GradientError", "Step", "fit", "load_params", "save_params"]
