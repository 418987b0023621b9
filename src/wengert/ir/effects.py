"""What the effects of the IR do at run time: failed checks, bad indices, prints. Shared by every way of running a program.

The interpreter, the eager tape and compiled code all raise through `raise_check` and `raise_index`, so a program fails with the
same exception and the same message in every mode.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from wengert.errors import Span, describe


def raise_check(attrs: dict[str, Any], span: Span | None = None, extras: Sequence[Any] = ()) -> NoReturn:
    """Raise what a failed `check` instruction with `attrs` stands for.

    Args:
        attrs: `exception` (class name) and `message` of the instruction, and optionally `_factory`.
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
    return exception_class(str(attrs.get("exception", "RuntimeError")))(describe(message, span))


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
    raise IndexError(describe(f"index {int(index)} is out of bounds for {what} with size {int(size)}", span))


def host_print(attrs: dict[str, Any], values: Sequence[Any]) -> None:
    """Print `template.format(*values)`; the template holds its own line end, or `end` in `attrs` does."""
    print(str(attrs.get("template", "")).format(*[plain(v) for v in values]), end=attrs.get("end", "\n"))


def plain(value: Any) -> Any:
    """A NumPy scalar or 0-d array as the Python number it holds; other values as they are."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    return value
