"""Comparisons of tuples and lists that hold traced numbers: item by item, as Python compares them."""

from __future__ import annotations

from typing import Any

from wengert.errors import StagingError
from wengert.frontend import loads
from wengert.frontend.boxes import is_box
from wengert.frontend.context import current
from wengert.frontend.growing import is_growing
from wengert.frontend.registry import PASS
from wengert.frontend.staging import choose

_ORDERS = frozenset({"lt", "le", "gt", "ge"})


def compare_items(name: str, a: Any, b: Any) -> Any:
    """`a < b` and the like of two tuples or two lists with traced numbers; PASS where Python itself can compare them."""
    kind = type(a)
    if kind is not type(b) or kind not in (tuple, list) or current().eager or is_growing(a) or is_growing(b):
        return PASS
    if not (_holds_box(a) or _holds_box(b)):
        return PASS
    if name in _ORDERS:
        return _ordered(name, a, b, 0)
    same = _all_equal(a, b)
    return same if name == "eq" else choose(same, lambda: False, lambda: True)


def _holds_box(items: Any) -> bool:
    return any(_holds_box(i) if type(i) in (tuple, list) else is_box(i) for i in items)


def _all_equal(a: Any, b: Any) -> Any:
    """Whether all items are the same, or equal."""
    if len(a) != len(b):
        return False
    found: Any = True
    for x, y in zip(a, b, strict=True):
        same = _equal(x, y)
        if same is False:
            return False
        if same is not True:
            found = same if found is True else found & same
    return found


def _equal(x: Any, y: Any) -> Any:
    """Whether two items are one, or equal, as far as they are numbers, texts or sequences of such."""
    if x is y:
        return True
    nested = compare_items("eq", x, y)
    if nested is not PASS:
        return nested
    same = loads.apply("eq", x, y)
    if (not is_box(same) and not isinstance(same, bool)) or (is_box(same) and same.value.rank):
        raise StagingError("a comparison of sequences that hold arrays or other objects is not staged", current().span)
    return same


def _ordered(name: str, a: Any, b: Any, place: int) -> Any:
    """`a[place:] < b[place:]`: the first items that differ decide, then the lengths."""
    if place == min(len(a), len(b)):
        return bool(loads.apply(name, len(a), len(b)))
    x, y = a[place], b[place]
    same = _equal(x, y)
    if same is True:
        return _ordered(name, a, b, place + 1)
    nested = compare_items(name, x, y)
    if same is False:
        return loads.apply(name, x, y) if nested is PASS else nested
    return choose(same, lambda: _rest(name, a, b, place + 1), lambda: loads.apply(name, x, y) if nested is PASS else nested)


def _rest(name: str, a: Any, b: Any, place: int) -> Any:
    """What items after traced ones say, which Python looks at only if those are equal."""
    try:
        return _ordered(name, a, b, place)
    except TypeError as error:
        raise StagingError(f"whether items of sequences are compared that have no order ({error})", current().span) from error
