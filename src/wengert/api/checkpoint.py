"""`checkpoint`: less memory for a gradient, at the price of computing parts of the function again."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any, overload

from wengert.api.pickling import name_in_module
from wengert.errors import ArgumentError
from wengert.frontend import calls
from wengert.frontend.context import current, is_tracing
from wengert.ir.op import get_op

BUDGETS = ("sqrt", "revolve")


class Checkpointed:
    """A function of which the way back of a gradient remembers little; made by `checkpoint`.

    Attributes:
        fn: the function.
        budget: None where its inside is computed again as a whole, or what its loops may keep.
    """

    def __init__(self, fn: Callable[..., Any], budget: str | int | None) -> None:
        self.fn = fn
        self.budget = budget
        functools.update_wrapper(self, fn, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's value."""
        return self.__wengert_call__(*args, **kwargs) if is_tracing() else self.fn(*args, **kwargs)

    def __wengert_call__(self, *args: Any, **kwargs: Any) -> Any:
        """The call inside of a trace: the function in place, between marks. The list of eager mode keeps what it keeps."""
        trace = current()
        path = trace.captures.path_of(self)
        if path is not None:
            trace.captures.guard(path, "is", self)
        if trace.eager:
            return calls.call(self.fn, args, kwargs)
        trace.builder.emit(get_op("checkpoint_begin"), (), {"budget": self.budget})
        try:
            return calls.call(self.fn, args, kwargs)
        finally:
            current().builder.emit(get_op("checkpoint_end"), ())

    def __reduce__(self) -> str | tuple[Any, ...]:
        """By name where the function was decorated in its module, else by what it was made of."""
        return name_in_module(self) or (type(self), (self.fn, self.budget))

    def __get__(self, owner: Any, cls: type | None = None) -> Any:
        """The method, where the function is an attribute of a class."""
        return self if owner is None else types.MethodType(self, owner)

    def __repr__(self) -> str:
        return f"<checkpoint {getattr(self.fn, '__name__', self.fn)!s}>"


@overload
def checkpoint(fn: Callable[..., Any]) -> Checkpointed: ...
@overload
def checkpoint(*, budget: str | int) -> Callable[[Callable[..., Any]], Checkpointed]: ...
def checkpoint(fn: Callable[..., Any] | None = None, *, budget: str | int | None = None) -> Any:
    """`fn`, of which a gradient remembers less: what it needs on its way back it computes again. Also a decorator.

    Values and gradients (of first order) are the same to the last bit. Without a budget, only what `fn` is given and what it
    returns is kept, and its inside is computed once more. With a budget, the loops of `fn` (those that stand in no other loop)
    keep only some of their rounds, and the rounds between are run again.

    Args:
        fn: a function; called like any other, it may read and write what is around it.
        budget: "sqrt": of n rounds, about sqrt(n) are kept, and each is run once more. "revolve": about 2 log2(n) are kept, where
            the binomial schedule has them, and each is run a few times more. A number: as "revolve", with as many as this number
            of bytes holds, at least one.

    Returns:
        A callable with the signature of `fn`; without `fn`, a decorator.

    Example:
        >>> import math, wengert as wg
        >>> @wg.checkpoint(budget="sqrt")
        ... def simulate(x, steps):
        ...     for _ in range(steps):
        ...         x = x + 0.01 * math.sin(x)
        ...     return x
        >>> round(wg.grad(simulate)(1.0, 1000), 9)
        0.000190689
    """
    is_size = type(budget) is int and budget > 0
    if budget is not None and budget not in BUDGETS and not is_size:
        named = ", ".join(repr(b) for b in BUDGETS)
        what = f"The 'budget' argument of checkpoint must be {named} or a positive number of bytes."
        raise ArgumentError(f"{what} Got {budget!r} instead.")
    if fn is None:
        return lambda given: checkpoint(given) if budget is None else Checkpointed(_callable(given), budget)
    return Checkpointed(_callable(fn), budget)


def _callable(fn: Any) -> Callable[..., Any]:
    if not callable(fn):
        raise ArgumentError(f"checkpoint takes a function. Got {fn!r} instead.")
    found: Callable[..., Any] = fn
    return found
