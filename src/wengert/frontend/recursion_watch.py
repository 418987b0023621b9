"""When a recursion is followed while tracing, and when its calls become instructions.

A recursion that something static drives, an integer or a nest of containers, ends while tracing and is followed, if it is not
deep. One that a traced condition ends is not: the trace starts again and calls the function.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any

from wengert.errors import ArgumentError
from wengert.frontend.arrays import Array
from wengert.frontend.context import Trace
from wengert.frontend.forms import UNSET, is_number, is_same
from wengert.frontend.scalars import Scalar
from wengert.tree import flatten

DEPTH_LIMIT = 50
BRANCHED_LIMIT = 6


class RecursionFound(BaseException):
    """A function calls itself in a way that cannot be followed: the trace starts again, with calls of it staged."""

    def __init__(self, code: types.CodeType) -> None:
        super().__init__()
        self.code = code


def watch(trace: Trace, fn: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether this call of a function must be staged.

    A function that is running already is followed as long as something static drives the recursion and it is not deep.

    Raises:
        RecursionFound: it must, and so must the calls around it.
    """
    code = fn.__code__
    if code in trace.recursive and any(_holds_box(trace, obj) for obj in (*args, *kwargs.values())):
        return True
    running = [entry for entry in trace.active if entry[0] is code and is_same_function(entry[2], fn)]
    if not running:
        return False
    _, depth, _, before = running[-1]
    if trace.depth > depth:
        driven = _driver(before, (*args, *kwargs.values()))
        levels = len({entry[1] for entry in running} | {trace.depth})
        found = driven == 0 or levels > driven
    else:
        found = len(running) > DEPTH_LIMIT
    if found and code not in trace.recursive:
        raise RecursionFound(code)
    return found


def _holds_box(trace: Trace, obj: Any) -> bool:
    if isinstance(obj, Scalar | Array):
        return True
    if isinstance(obj, str | int | float | types.FunctionType) or obj is None:
        return False
    try:
        return any(isinstance(x, Scalar | Array) for x in flatten(obj)[0])
    except ArgumentError:
        return True


def is_same_function(a: Any, b: Any) -> bool:
    """Whether two functions of one code object do the same: their variables from outside are the same objects."""
    if a is b:
        return True
    ours, theirs = (tuple(map(_contents, f.__closure__ or ())) for f in (a, b))
    return len(ours) == len(theirs) and all(x is y for x, y in zip(ours, theirs))


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return UNSET


def _driver(before: Sequence[Any], now: Sequence[Any]) -> int:
    """To how many levels the static parts of arguments that have changed are followed; 0 if none has."""
    if len(before) != len(now):
        return DEPTH_LIMIT
    limit = 0
    for a, b in zip(before, now):
        if a is b:
            continue
        try:
            (xs, x_structure), (ys, y_structure) = flatten(a), flatten(b)
        except ArgumentError:
            return DEPTH_LIMIT
        if x_structure != y_structure:
            return DEPTH_LIMIT
        for x, y in zip(xs, ys, strict=True):
            if isinstance(x, Scalar | Array) or isinstance(y, Scalar | Array) or is_same(x, y):
                continue
            if not (is_number(x) and is_number(y)):
                return DEPTH_LIMIT
            limit = BRANCHED_LIMIT
    return limit
