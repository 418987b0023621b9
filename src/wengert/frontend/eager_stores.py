"""What eager code stores in objects that outlive the trace: when it ends, plain numbers and arrays take the place of boxes."""

from __future__ import annotations

import copy
import types
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.errors import UnsupportedError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import is_box
from wengert.frontend.context import Trace
from wengert.frontend.outside_values import children, opened
from wengert.frontend.scalars import type_of

_CONTAINERS = (list, dict, set, deque)
_PLAIN = (str, bytes, bool, int, float, complex, type(None), np.ndarray, type, types.ModuleType, types.FunctionType)


def note_eager(trace: Trace, obj: Any, place: str, get: Callable[[], Any], put: Callable[[Any], None]) -> None:
    """Called before a store in eager mode: it may reach objects that outlive the trace, which get plain numbers when it ends."""
    if not trace.eager:
        return
    stores = trace.extra.setdefault("eager_stores", {})
    if (id(obj), place) not in stores:
        old = get()
        stores[id(obj), place] = (obj, get, put, lambda: put(old))


def note_contents(trace: Trace, obj: Any) -> None:
    """Called before the contents of a container change in eager mode."""
    if not trace.eager or (id(obj), "") in trace.extra.setdefault("eager_stores", {}):
        return
    old = copy.copy(obj) if type(obj) in (*_CONTAINERS, np.ndarray) else None

    def undo() -> None:
        if isinstance(obj, np.ndarray):
            obj[...] = old
        elif old is not None:
            obj.clear()
            (obj.update if isinstance(obj, dict | set) else obj.extend)(old)

    trace.extra["eager_stores"][id(obj), ""] = (obj, lambda: obj, lambda new: None, undo)


def unbox_stores(trace: Trace, leaves: Sequence[Any]) -> None:
    """Replace boxes that eager code stored outside by the numbers and arrays they stand for, and write captured arrays.

    Where an array must not be written, nothing is: what has been stored is taken back.

    Args:
        trace: the trace.
        leaves: the leaves of the arguments: a written array must not share memory with one.
    """
    outside = trace.captures.outside
    known = {id(array): value for array, _, value, _ in outside.arrays.values()}
    unboxing = _Unboxing(trace, known)
    stores = list(trace.extra.pop("eager_stores", {}).values())
    try:
        _refuse_shared_arrays(trace, leaves)
    except UnsupportedError:
        for *_, undo in reversed(stores):
            undo()
        raise
    for _, get, put, _ in stores:
        value = get()
        new = unboxing.plain(value)
        if new is not value:
            put(new)
    written = [(value, array) for array, _, value, start in outside.arrays.values() if array.value is not start]
    for value, array in written:
        value[...] = trace.known(array.value)


def _refuse_shared_arrays(trace: Trace, others: Sequence[Any]) -> None:
    """Refuse to write a captured array in eager mode that shares memory with an argument or another captured array."""
    captured = list(trace.captures.outside.arrays.values())
    for array, path, value, start in captured:
        if array.value is start:
            continue
        for other in [*others, *(found for _, _, found, _ in captured if found is not value)]:
            if isinstance(other, np.ndarray) and np.may_share_memory(value, other):
                raise UnsupportedError(
                    f"{str(path)!r} is written to and shares memory with another array of the function",
                    trace.span,
                    expected="arrays with memory of their own",
                    fix="pass a copy: x.copy()",
                )


class _Unboxing:
    """Puts plain values in place of boxes, in place where the container allows it; every object is visited once."""

    def __init__(self, trace: Trace, known: dict[int, Any]) -> None:
        self.trace = trace
        self.known = known
        self.done: dict[int, tuple[Any, Any]] = {}

    def plain(self, value: Any) -> Any:
        """`value` without boxes: itself, if it is no box or tuple."""
        if isinstance(value, np.ndarray) and value.dtype == object:
            for place, item in enumerate(value.flat):
                value.flat[place] = self.plain(item)
        if isinstance(value, _PLAIN):
            return value
        found = self.done.get(id(value))
        if found is not None:
            return found[1]
        if is_box(value):
            new = self.known[id(value)] if id(value) in self.known else self._of_box(value)
            self.done[id(value)] = (value, new)
            return new
        self.done[id(value)] = (value, value)
        if isinstance(value, tuple):
            return self._of_tuple(value)
        if isinstance(value, deque):
            for position, item in enumerate(value):
                value[position] = self.plain(item)
            return value
        for (kind, name), child in children(value).items():
            new = self.plain(child)
            if new is not child and kind == "item":
                (list if isinstance(value, list) else dict).__setitem__(value, name, new)
            elif new is not child:
                object.__setattr__(value, name, new)
        if type(value).__module__.partition(".")[0] == "wengert":
            return self._of_leaf(value)
        return value

    def _of_box(self, value: Any) -> Any:
        found = self.trace.known(value.value)
        return np.array(found) if isinstance(value, Array) else type_of(value)(found)

    def _of_tuple(self, value: Any) -> Any:
        parts, structure = opened(value)
        new = [self.plain(part) for part in parts]
        if all(a is b for a, b in zip(parts, new, strict=True)):
            return value
        made = structure.unflatten(new)
        self.done[id(value)] = (value, made)
        return made

    def _of_leaf(self, value: Any) -> Any:
        """A traced complex number: a pair of boxes as a complex number or array."""
        parts, structure = opened(value)
        if structure.kind != "complex":
            return value
        made = structure.unflatten([self.plain(part) for part in parts])
        self.done[id(value)] = (value, made)
        return made
