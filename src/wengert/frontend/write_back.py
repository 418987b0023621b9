"""What a traced function has done to its arguments: arrays written to, lists, dicts and objects changed.

While tracing, the function works on boxes in copies of its containers. `Arguments.changes` compares these with what they were, as
one more result; `apply` carries the difference over to the arguments of a call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert.errors import StagingError, UnsupportedError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import is_box
from wengert.frontend.context import current
from wengert.frontend.growing import is_growing
from wengert.frontend.rows import as_results
from wengert.frontend.staging_forms import mutable_parts
from wengert.tree import TreeDef, flatten, map_leaves, register_leaf


@register_leaf
@dataclass(frozen=True)
class Known:
    """Something that the caller has: an argument leaf (`kind` "leaf") or a container among the arguments ("part"), by number."""

    kind: str
    number: int


@dataclass(frozen=True)
class Updates:
    """What is to be done to the arguments after a call.

    Attributes:
        tree: the structure of `(arrays, parts)`: new values of written arrays by leaf, and new contents of containers by number.
        leaves: what they are made of, as for the results of the function.
        parts: the containers that change.
    """

    tree: TreeDef
    leaves: list[Any]
    numpy: list[bool]
    parts: tuple[int, ...]


class Arguments:
    """The arguments of a trace as they were at its start.

    Attributes:
        parts: the containers among them.
        contents: what these held.
        boxes: the leaves.
    """

    def __init__(self, arguments: Any, leaves: Sequence[Any]) -> None:
        self.parts = mutable_parts(arguments)
        self.contents = [contents_of(part) for part in self.parts]
        self.boxes = list(leaves)

    def changes(self, written: Sequence[int]) -> Any:
        """The new values of the arrays and the new contents of the containers that differ; None if nothing does."""
        parts = {}
        for number, (part, before) in enumerate(zip(self.parts, self.contents, strict=True)):
            after = contents_of(part)
            if not _is_same(before, after):
                parts[number] = after
        if not parts and not written:
            return None
        known = {id(part): Known("part", k) for k, part in enumerate(self.parts)}
        known.update((id(box), Known("leaf", k)) for k, box in enumerate(self.boxes) if is_box(box))
        arrays = {k: Array(self.boxes[k].value) for k in written}

        def replaced(leaf: Any) -> Any:
            if id(leaf) in known:
                return known[id(leaf)]
            if not is_growing(leaf) and isinstance(leaf, Array) and leaf.parent is not None:
                raise StagingError(
                    "a view of an array is stored in an argument, which compiled code cannot do",
                    current().span,
                    fix="store a .copy() of it",
                )
            return leaf

        leaves, tree = flatten(parts, is_leaf=lambda x: id(x) in known or is_growing(x))
        return arrays, as_results(tree.unflatten(list(map(replaced, leaves))))


def contents_of(part: Any) -> Any:
    """What a container holds: a list, or a dict of items or attributes."""
    if isinstance(part, list | deque):
        return list(part)
    if isinstance(part, dict):
        return dict(part)
    found = dict(getattr(part, "__dict__", {}))
    for base in type(part).__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(part, name):
                found[name] = getattr(part, name)
    return found


def _is_same(before: Any, after: Any) -> bool:
    if len(before) != len(after):
        return False
    if isinstance(before, list):
        return all(a is b for a, b in zip(before, after))
    return list(before) == list(after) and all(before[k] is after[k] for k in before)


def apply(updates: Updates, found: Any, arguments: Any, leaves: Sequence[Any]) -> None:
    """Carry out what the function did to its arguments.

    Args:
        updates: the description.
        found: `(arrays, parts)` with values.
        arguments: the arguments of the call.
        leaves: their leaves.

    Raises:
        UnsupportedError: a container that changes is found at two places among the arguments.
    """
    arrays, parts = found
    own = mutable_parts(arguments) if updates.parts else []
    for number in updates.parts:
        if sum(part is own[number] for part in own) > 1:
            raise UnsupportedError(
                f"a {type(own[number]).__name__} that the function changes is passed to it twice",
                None,
                fix="pass a copy, or pass it once",
            )
    for k, value in arrays.items():
        if value is not leaves[k] and not _is_untouched(leaves[k], value):
            leaves[k][...] = value

    def resolved(leaf: Any) -> Any:
        if isinstance(leaf, Known):
            return leaves[leaf.number] if leaf.kind == "leaf" else own[leaf.number]
        return leaf

    new = {number: _shallow_map(resolved, contents) for number, contents in parts.items()}
    for number, contents in new.items():
        _replace(own[number], contents)


def _is_untouched(array: Any, value: Any) -> bool:
    """Whether an array that cannot be written to is as it was: the function may write to it, but did not this time."""
    return not array.flags.writeable and np.array_equal(array, value, equal_nan=array.dtype.kind == "f")


def _shallow_map(rule: Callable[[Any], Any], contents: Any) -> Any:
    return map_leaves(rule, contents)


def _replace(part: Any, contents: Any) -> None:
    if isinstance(part, list):
        part[:] = contents
    elif isinstance(part, deque):
        part.clear()
        part.extend(contents)
    elif isinstance(part, dict):
        part.clear()
        part.update(contents)
    else:
        _set_attributes(part, contents)


def _set_attributes(part: Any, contents: Mapping[str, Any]) -> None:
    for name in [n for n in contents_of(part) if n not in contents]:
        object.__delattr__(part, name)
    for name, value in contents.items():
        object.__setattr__(part, name, value)
