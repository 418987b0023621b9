"""What the effects of the IR do at run time: failed checks, bad indices, prints. Shared by every way of running a program.

The interpreter, the eager tape and compiled code all raise through `raise_check` and `raise_index`, so a program fails with the
same exception and the same message in every mode.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from wengert.errors import InternalError, Span, describe
from wengert.ir.core import Value
from wengert.types import Affine, Dim


def raise_check(attrs: dict[str, Any], span: Span | None = None, extras: Sequence[Any] = ()) -> NoReturn:
    """Raise what a failed `check` instruction with `attrs` stands for.

    Args:
        attrs: `exception` (class name) and `message` of the instruction, and optionally `_factory` and `_sizes`: whether it
            compares sizes, one of which might be 1 and repeat.
        span: the user's line.
        extras: run-time values of the operands behind the condition, formatted into the message.
    """
    raise check_error(attrs, span, extras)


def check_error(attrs: dict[str, Any], span: Span | None = None, extras: Sequence[Any] = ()) -> BaseException:
    """The exception of a failed `check`.

    `_factory(*extras)` makes the user's own exception; its message is left alone and the user's line is added as a note.
    Without a factory the message is `message.format(*extras)`, followed by the user's line.
    """
    values = [plain(v) for v in extras]
    factory = attrs.get("_factory")
    if factory is not None:
        error: BaseException = factory(*values)
        if span is not None:
            error.add_note(describe("raised at", span))
        return error
    message = str(attrs.get("message", "check failed"))
    if values:
        message = message.format(*values)
    found = exception_class(str(attrs.get("exception", "RuntimeError")))(describe(message, span))
    found.wengert_message = message  # type: ignore[attr-defined]
    found.wengert_sizes = bool(attrs.get("_sizes"))  # type: ignore[attr-defined]
    return found


def exception_class(name: str) -> type[Exception]:
    """The exception class called `name`: Python's own by name, NumPy's `LinAlgError`, else RuntimeError."""
    if name == "LinAlgError":
        return np.linalg.LinAlgError
    found = getattr(builtins, name, None)
    usable = isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, UnicodeError)
    return found if usable else RuntimeError  # type: ignore[return-value]


def wrap_index(index: int, size: int, attrs: dict[str, Any], span: Span | None = None) -> int:
    """`index` as NumPy reads it, in [0, size).

    Raises:
        IndexError: it is outside of [-size, size).
    """
    wrapped = index + size if index < 0 else index
    if not 0 <= wrapped < size:
        raise_index(index, size, attrs, span)
    return wrapped


def raise_index(index: int, size: int, attrs: dict[str, Any], span: Span | None = None) -> NoReturn:
    """Raise NumPy's IndexError for `index` into an axis of `size`; `what` in `attrs` names the axis."""
    what = attrs.get("what") or "axis"
    message = f"index {int(index)} is out of bounds for {what} with size {int(size)}"
    error = IndexError(describe(message, span))
    error.wengert_message = message  # type: ignore[attr-defined]
    raise error


def host_print(attrs: dict[str, Any], values: Sequence[Any]) -> None:
    """Print `template.format(*values)`; the template holds its own line end, or `end` in `attrs` does."""
    print(str(attrs.get("template", "")).format(*[plain(v) for v in values]), end=attrs.get("end", "\n"))


def plain(value: Any) -> Any:
    """A NumPy scalar or 0-d array as the Python number it holds; other values, and float32 numbers, as they are."""
    if isinstance(value, np.float32) or getattr(value, "dtype", None) == np.float32:
        return value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    return value


def host_call(
    attrs: dict[str, Any], results: Sequence[Value], values: Sequence[Any], size_of: Callable[[Affine], int], span: Span | None
) -> list[Any]:
    """Run a `host_call`: what `_function(*values)` returns, checked against the types of `results`.

    Args:
        attrs: of the instruction. `_function` takes Python numbers and arrays of its own, and returns one object per result.
        results: what the instruction defines.
        values: of the operands.
        size_of: gives the size that a dimension stands for, where it does not refer to one of `results`.
        span: the user's line.

    Returns:
        Python numbers and C-contiguous arrays.
    """
    function = attrs.get("_function")
    name = str(attrs.get("name", "a host call"))
    if function is None:
        raise InternalError(f"{name} has no function: the program was read from text", span)
    found = function(*[np.array(v) if isinstance(v, np.ndarray) and v.ndim else plain(v) for v in values])
    if not results:
        return []
    if not isinstance(found, tuple | list) or len(found) != len(results):
        raise TypeError(describe(f"{name} did not give {len(results)} values", span, found=repr(type(found))))
    known: dict[Any, int] = {}
    checked = []
    for result, value in zip(results, found, strict=True):
        checked.append(_conforming(result, value, known, size_of, name, span))
        if not result.rank:
            known[result] = checked[-1]
    return checked


def _conforming(
    result: Value, value: Any, known: dict[Any, int], size_of: Callable[[Affine], int], name: str, span: Span | None
) -> Any:
    """`value` as `result` is declared; other dtypes are only taken where nothing is lost."""
    dtype = result.tensor.dtype.numpy
    array = np.asarray(value)
    if not np.can_cast(array.dtype, dtype, casting="same_kind") or array.ndim != result.rank:
        raise TypeError(
            describe(
                f"{name} gave a result of another type than before",
                span,
                found=f"{array.dtype} of shape {array.shape}",
                expected=str(result.type),
            )
        )
    for axis, (declared, size) in enumerate(zip(result.dims, array.shape, strict=True)):
        expected = _size(declared, known, size_of)
        if expected != size:
            raise ValueError(
                describe(
                    f"{name} gave an array of another shape than before",
                    span,
                    found=f"size {size} of axis {axis}",
                    expected=str(expected),
                )
            )
    if result.rank:
        return np.require(array, dtype, "C")
    return plain(array.astype(dtype)[()])


def _size(declared: Affine, known: dict[Any, int], size_of: Callable[[Affine], int]) -> int:
    if isinstance(declared, Dim) and any(symbol in known for symbol, _ in declared.terms):
        return declared.const + sum(c * (known[s] if s in known else size_of(Dim(0, ((s, 1),)))) for s, c in declared.terms)
    return size_of(declared)
