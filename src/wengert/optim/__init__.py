"""Optimisers as two pure functions, `init` and `update`, on trees or flat vectors."""

from wengert.optim.adam import AdamState, adam
from wengert.optim.optimizer import Optimizer
from wengert.optim.sgd import sgd

__all__ = ["AdamState", "Optimizer", "adam", "sgd"]
