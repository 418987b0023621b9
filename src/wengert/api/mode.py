"""Which of the ways to run is in force: compiled (the default), or eager for a block of code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_eager: ContextVar[bool] = ContextVar("wengert_eager", default=False)

eager_now = _eager.get
"""Whether an `eager()` block is in force, at the least cost."""


class EagerFallbackWarning(UserWarning):
    """A function could not be staged and runs eagerly: the same result, at the speed of Python."""


@contextmanager
def eager() -> Iterator[None]:
    """Run derivatives eagerly inside the block: op by op on real values, so that prints and debuggers work.

    Example:
        >>> import wengert as wg
        >>> with wg.eager():
        ...     wg.grad(lambda x: x * x)(3.0)
        6.0
    """
    token = _eager.set(True)
    try:
        yield
    finally:
        _eager.reset(token)


def is_eager() -> bool:
    """Whether an `eager()` block is in force in this thread."""
    return _eager.get()
