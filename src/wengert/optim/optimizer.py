"""What an optimiser is: a pair of pure functions, and no object that changes."""

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Optimizer"]


class Optimizer(NamedTuple):
    """An optimiser.

    Attributes:
        init: `params -> state`, the state before the first step.
        update: `(gradient, state) -> (step, state)`; the new parameters are `params + step`, leaf by leaf.
    """

    init: Callable[[Any], Any]
    update: Callable[[Any, Any], tuple[Any, Any]]
