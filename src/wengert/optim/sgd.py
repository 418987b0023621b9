"""Plain gradient descent."""

from typing import Any

from wengert.optim.optimizer import Optimizer
from wengert.tree import map_leaves

__all__ = ["sgd"]


def sgd(learning_rate: float = 0.01) -> Optimizer:
    """Gradient descent with a constant step size; it has no state.

    Args:
        learning_rate: Size of a step per unit of gradient.

    Example:
        >>> init, update = sgd(0.1)
        >>> update({"w": 2.0}, init({"w": 1.0}))
        ({'w': -0.2}, ())
    """

    def init(params: Any) -> tuple[()]:
        return ()

    def update(gradient: Any, state: tuple[()]) -> tuple[Any, tuple[()]]:
        return map_leaves(lambda g: -learning_rate * g, gradient), state

    return Optimizer(init, update)
