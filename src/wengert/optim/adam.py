"""Adam: steps scaled by running moments of the gradient."""

from typing import Any, NamedTuple

import numpy as np

from wengert.optim.optimizer import Optimizer
from wengert.tree import map_leaves

__all__ = ["AdamState", "adam"]


class AdamState(NamedTuple):
    """State of Adam: number of steps taken, running mean and running mean square of the gradient."""

    steps: int
    mean: Any
    square: Any


def adam(learning_rate: float = 0.01, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """Adam with a constant step size.

    Args:
        learning_rate: About the size of a step, whatever the scale of the gradient.
        beta1: Decay per step of the running mean.
        beta2: Decay per step of the running mean square.
        eps: Added to the root of the mean square, against division by zero.

    Example:
        >>> init, update = adam(0.1)
        >>> step, state = update((4.0, -8.0), init((1.0, 1.0)))
        >>> [round(float(s), 6) for s in step]
        [-0.1, 0.1]

    References:
        D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1, arXiv:1412.6980.
    """

    def init(params: Any) -> AdamState:
        zeros = map_leaves(lambda x: x * 0.0, params)
        return AdamState(0, zeros, zeros)

    def update(gradient: Any, state: AdamState) -> tuple[Any, AdamState]:
        steps = state.steps + 1
        mean = map_leaves(lambda m, g: beta1 * m + (1 - beta1) * g, state.mean, gradient)
        square = map_leaves(lambda v, g: beta2 * v + (1 - beta2) * g * g, state.square, gradient)
        rate = learning_rate * (1 - beta2**steps) ** 0.5 / (1 - beta1**steps)
        # `eps` is added to the corrected root, as in the paper's algorithm and not its rewritten form
        floor = eps * (1 - beta2**steps) ** 0.5
        step = map_leaves(lambda m, v: -rate * m / (np.sqrt(v) + floor), mean, square)
        return step, AdamState(steps, mean, square)

    return Optimizer(init, update)
