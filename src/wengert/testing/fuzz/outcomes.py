"""What came of one call, and whether two ways to run it agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert.errors import InternalError, WengertError
from wengert.tree import flatten

ORDINARY = (
    ArithmeticError, AssertionError, AttributeError, BufferError, LookupError, MemoryError, NameError, NotImplementedError,
    OSError, RuntimeError, SyntaxError, TypeError, ValueError,
)  # fmt: skip
SINGLE = 2e-4
"""The least `rtol` where single precision is among the arguments."""


@dataclass(frozen=True)
class Outcome:
    """A result, or what was raised."""

    value: Any = None
    error: BaseException | None = None

    @property
    def refused(self) -> bool:
        """Whether wengert says that it does not do this."""
        return isinstance(self.error, WengertError) and not isinstance(self.error, InternalError)

    def __str__(self) -> str:
        if self.error is None:
            return _shown(self.value)
        return f"{type(self.error).__name__}: {' / '.join(str(self.error).splitlines()[:2])}"


def outcome_of(f: Callable[..., Any], *args: Any) -> Outcome:
    """What calling `f` gives."""
    try:
        return Outcome(f(*args))
    except ORDINARY as error:
        return Outcome(error=error)


def disagreement(
    python: Outcome, compiled: Outcome, values: bool, rtol: float = 0.0, strict: bool = True
) -> str | None:
    """How what native code did differs from what Python did; None if it does not.

    Args:
        python: of the plain function.
        compiled: of the compiled one.
        values: whether numbers have to be equal; else dtypes and shapes only.
        rtol: largest difference, relative to the largest number of an array or 1.
        strict: whether exceptions have to be of the same class.
    """
    if isinstance(compiled.error, InternalError):
        return f"an internal error: {compiled.error}"
    if compiled.refused:
        return None
    if python.error is not None or compiled.error is not None:
        both = python.error is not None and compiled.error is not None
        same = isinstance(compiled.error, type(python.error)) or isinstance(python.error, type(compiled.error))
        same = same or (both and not strict) or (not values and isinstance(python.error, np.linalg.LinAlgError))
        return None if same else f"Python gives {python}, native code {compiled}"
    return difference(python.value, compiled.value, values, rtol)


def difference(left: Any, right: Any, values: bool, rtol: float) -> str | None:
    """How two results differ; None if they do not."""
    if isinstance(left, float) and isinstance(right, float) and left == right:
        return None
    left_leaves, left_tree = flatten(left)
    right_leaves, right_tree = flatten(right)
    if left_tree != right_tree:
        return f"results of other structure: {left!r} and {right!r}"
    for a, b in zip(left_leaves, right_leaves, strict=True):
        found = _difference(np.asarray(a), np.asarray(b), values, rtol)
        if found:
            return f"{found}: {_shown(a)} and {_shown(b)}"
    return None


def _shown(x: Any) -> str:
    with np.printoptions(threshold=20, edgeitems=2):
        return " ".join(repr(x).split())


def _difference(a: np.ndarray, b: np.ndarray, values: bool, rtol: float) -> str | None:
    if a.shape != b.shape:
        return f"shapes {a.shape} and {b.shape}"
    alike = a.dtype.kind == b.dtype.kind if a.shape else "c" not in (a.dtype.kind + b.dtype.kind) or a.dtype == b.dtype
    if not alike or (a.shape and a.dtype.kind == "f" and a.dtype.itemsize != b.dtype.itemsize):
        return f"dtypes {a.dtype} and {b.dtype}"
    if not values or a.tobytes() == b.tobytes():
        return None
    if a.dtype.kind + b.dtype.kind not in ("ff", "cc"):
        return None if np.array_equal(a, b) else "other values"
    with np.errstate(all="ignore"):
        finite = a[np.isfinite(a)]
        scale = max(1.0, float(np.max(np.abs(finite), initial=0.0)))
        close = (a == b) | (np.abs(a - b) <= rtol * scale) | ((a != a) & (b != b))
    return None if bool(np.all(close)) else "other values"
