"""Stores to Python state: items, attributes, variables of other functions, and methods that change a container.

In staged code they go through the journal, so that arms and bodies can be undone; what was captured must not change.
"""

from __future__ import annotations

import copy
import types
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.errors import StagingError, UnsupportedError
from wengert.frontend.boxes import any_box
from wengert.frontend.capture_paths import Path
from wengert.frontend.choices import Choice
from wengert.frontend.context import Trace
from wengert.frontend.eager_stores import note_contents, note_eager
from wengert.frontend.forms import UNSET
from wengert.frontend.outside import Stored
from wengert.frontend.references import note_wanted
from wengert.frontend.staging_state import Location, read_cell, write_cell

_MUTATING = {
    list: {"append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse", "__setitem__", "__delitem__", "__iadd__"},
    dict: {"update", "pop", "popitem", "setdefault", "clear", "__setitem__", "__delitem__"},
    set: {"add", "remove", "discard", "pop", "clear", "update", "difference_update", "intersection_update"},
    deque: {"append", "appendleft", "extend", "extendleft", "pop", "popleft", "clear", "rotate", "insert", "remove"},
}


def check_writable(trace: Trace, obj: Any, attributes: bool = False) -> None:
    """Refuse to change a container or object (or the `attributes` of one) that staging must not see changed."""
    if trace.eager:
        return
    frozen = trace.frozen.get(id(obj))
    if frozen is not None:
        note_wanted(trace)
        raise StagingError(f"writing to {frozen[1]} is not staged", trace.span, fix="make a copy of it first")
    if id(obj) in trace.captures.known and not attributes:
        path = trace.captures.known[id(obj)][1]
        raise StagingError(
            f"writes to state outside of the function are not staged: {path} is changed",
            trace.span,
            fix="return the new value instead, or run with wg.eager()",
        )


def is_journaled(trace: Trace) -> bool:
    """Whether stores have to be undoable."""
    return not trace.eager and (trace.depth > 0 or trace.trials > 0)


# --- items -----------------------------------------------------------------------------------------------------------


def set_item(trace: Trace, obj: Any, index: Any, value: Any) -> None:
    """`obj[index] = value` for a Python container or a real array."""
    if isinstance(obj, np.ndarray):
        if any_box(value, index):
            if obj.dtype != object:
                refuse_array(trace)
            if not trace.eager:
                raise StagingError("a traced value is stored in an array of Python objects", trace.span, fix="use a list")
            note_contents(trace, obj)
        obj[index] = value
        return
    check_writable(trace, obj)
    if isinstance(obj, list) and is_journaled(trace):
        # All of the list, as other arms or iterations may change its length.
        snapshot(trace, obj)
        obj[index] = value
    elif not is_journaled(trace) or not isinstance(obj, dict):
        note_contents(trace, obj)
        obj[index] = value
    else:
        _journal_item(trace, obj, index, value)


def _journal_item(trace: Trace, obj: dict[Any, Any], place: Any, value: Any) -> None:
    def get() -> Any:
        return obj.get(place, UNSET)

    def put(new: Any) -> None:
        if new is UNSET:
            obj.pop(place, None)
        else:
            obj[place] = new

    trace.journal.write((id(obj), "item", place), obj, get, put, value)


def delete_item(trace: Trace, obj: Any, index: Any) -> None:
    """`del obj[index]`."""
    if type(obj) is Choice or type(index) is Choice:
        raise StagingError("deleting an item of what is chosen at run time is not staged", trace.span)
    check_writable(trace, obj)
    if is_journaled(trace):
        snapshot(trace, obj)
    note_contents(trace, obj)
    del obj[index]


def refuse_array(trace: Trace) -> None:
    """A traced value cannot be stored in a real array."""
    raise UnsupportedError(
        "a traced value is stored in an array from outside of the function",
        trace.span,
        fix="work on a copy: `x = x.copy()` inside of the function",
    )


# --- attributes ------------------------------------------------------------------------------------------------------


def set_attribute(trace: Trace, obj: Any, name: str, value: Any, store: Callable[[Any, str, Any], None] = setattr) -> None:
    """`obj.name = value` for an ordinary object; `store` is what does it."""
    captures = trace.captures
    outside = not trace.eager and captures.is_outside(obj)
    if isinstance(obj, (type, types.ModuleType, types.FunctionType)) and not (trace.eager or outside or id(obj) in trace.born):
        raise StagingError(
            f"writes to state outside of the function are not staged: {getattr(obj, '__name__', obj)}.{name} is changed",
            trace.span,
            fix="return the new value instead, or run with wg.eager()",
        )
    check_writable(trace, obj, attributes=True)

    def get() -> Any:
        is_slot = isinstance(getattr(type(obj), name, None), types.MemberDescriptorType)
        return obj.__dict__.get(name, UNSET) if hasattr(obj, "__dict__") and not is_slot else getattr(obj, name, UNSET)

    def put(new: Any) -> None:
        if new is UNSET:
            delattr(obj, name)
        else:
            store(obj, name, new)

    if outside:
        path = captures.path_of(obj)
        captures.outside.note(Stored(obj, "attribute", name, path, get, put, get()), captures.load)
    if not is_journaled(trace):
        note_eager(trace, obj, name, get, put)
        store(obj, name, value)
        return
    trace.journal.write((id(obj), "attribute", name), obj, get, put, value)


def set_attribute_plainly(trace: Trace, obj: Any, name: str, value: Any) -> None:
    """`object.__setattr__(obj, name, value)`."""
    set_attribute(trace, obj, name, value, object.__setattr__)


def delete_attribute(trace: Trace, obj: Any, name: str) -> None:
    """`del obj.name`."""
    check_writable(trace, obj)
    if is_journaled(trace):
        raise StagingError("deleting an attribute in a staged branch or loop is not supported", trace.span)
    delattr(obj, name)


# --- variables and containers ----------------------------------------------------------------------------------------


def touch_cell(trace: Trace, name: str, cell: types.CellType) -> None:
    """Remember a variable of an enclosing function that is about to be assigned."""
    if not is_journaled(trace):
        return
    now = read_cell(cell)
    trace.journal.write(("cell", id(cell), name), cell, lambda: read_cell(cell), lambda v: write_cell(cell, v), now)


def touch_outside(trace: Trace, name: str, cell: types.CellType | None, space: dict[str, Any]) -> None:
    """Remember a variable of the module, or (with its cell) of a function that ran before, that is about to be assigned."""

    def get() -> Any:
        return space.get(name, UNSET) if cell is None else read_cell(cell)

    def put(new: Any) -> None:
        if cell is not None:
            write_cell(cell, new)
        elif new is UNSET:
            space.pop(name, None)
        else:
            space[name] = new

    owner: Any = space if cell is None else cell
    note_eager(trace, owner, name, get, put)
    if trace.eager:
        return
    kind = "global" if cell is None else "cell"
    trace.captures.outside.note(Stored(owner, kind, name, Path(kind, owner, name), get, put, get()), trace.captures.load)
    if is_journaled(trace):
        key = (id(owner), "item", name) if cell is None else ("cell", id(cell), name)
        trace.journal.write(key, owner, get, put, get())


def before_change(trace: Trace, obj: Any) -> None:
    """Called before a built-in container changes."""
    check_writable(trace, obj)
    if is_journaled(trace):
        snapshot(trace, obj)
    note_contents(trace, obj)


def snapshot(trace: Trace, obj: Any) -> None:
    """Remember the contents of a container that is about to change."""
    place = contents_of(obj)
    trace.journal.entries.append((place.key, obj, place.get, place.set, place.old))


def contents_of(obj: Any) -> Location:
    """The contents of a container as a place that can be written."""

    def put(contents: Any) -> None:
        obj.clear()
        if isinstance(obj, (dict, set)):
            obj.update(contents)
        else:
            obj.extend(contents)

    return Location((id(obj), "contents", ""), obj, lambda: copy.copy(obj), put, copy.copy(obj))


def set_contents(trace: Trace, obj: Any, contents: list[Any]) -> None:
    """Give a list or deque other contents."""
    check_writable(trace, obj)
    if is_journaled(trace):
        snapshot(trace, obj)
    obj.clear()
    obj.extend(contents)


def before_method(trace: Trace, owner: Any, name: str) -> None:
    """Called before a method of a built-in container runs."""
    for kind, names in _MUTATING.items():
        if isinstance(owner, kind) and name in names:
            before_change(trace, owner)


