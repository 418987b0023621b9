"""Lists by identity: which of several lists a name or an item of a list stands for may be chosen at run time.

Usually branches and loops carry a list by what is in it, and a list that data chose must not be written to. A trace that comes to
such a write starts again with lists made in it as references: a list is one leaf that is known, two of them where arms meet are a
`Choice`, and what is in each is carried as a place of its own. So every name of a list sees every write, as in Python.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, Final

from wengert.frontend.arrays import Array
from wengert.frontend.choices import Choice, narrowed, possible
from wengert.frontend.context import Trace, current, trace_now
from wengert.frontend.growing import any_growing
from wengert.frontend.scalars import Scalar
from wengert.ir.core import Value
from wengert.types import F64

MAX_REFERENCES: Final = 64
_ON: Final = "lists by identity"
_WANTED: Final = "wants lists by identity"
_REBUILT: Final = "arrays rebuilt from what is in them"


def turn_on(trace: Trace) -> None:
    """Have this trace follow lists by identity."""
    trace.extra[_ON] = {}


def are_on(trace: Trace) -> bool:
    """Whether the trace follows lists by identity."""
    return _ON in trace.extra


def carry_by_content(trace: Trace, obj: Any) -> None:
    """A list that a loop makes anew in every round is not followed by identity: what is in it is carried."""
    if are_on(trace) and type(obj) is list and not is_reference(obj):
        trace.extra[_ON][id(obj)] = obj


def note_wanted(trace: Trace) -> None:
    """Something was refused that may be staged where lists are followed by identity."""
    trace.extra[_WANTED] = True


def are_wanted(trace: Trace) -> bool:
    """Whether it is worth while to trace again, with lists by identity."""
    return _WANTED in trace.extra and not are_on(trace) and not trace.eager


def note_rebuilt(obj: Any) -> None:
    """`obj` came out of a branch or loop and was built anew there: it may be another name of an older array or container."""
    current().extra.setdefault(_REBUILT, {})[id(obj)] = obj


def may_be_one(a: Any, b: Any) -> bool:
    """Whether two boxes, containers or objects of the trace may stand for one object of the program.

    Branches and loops carry what they change by its contents, so what leaves them is a new one; only lists that are followed by
    identity are told apart for certain.
    """
    trace = current()
    if isinstance(a, (list, dict, set, deque)):
        return not (is_reference(a) and is_reference(b))
    rebuilt = trace.extra.get(_REBUILT, {})
    if id(a) in rebuilt or id(b) in rebuilt:
        return True
    if isinstance(a, Array):
        return bool(a.root.frozen or b.root.frozen)
    return id(a) in trace.frozen or id(b) in trace.frozen


def is_reference(obj: Any) -> bool:
    """Whether `obj` is a list that is followed by identity here: one that was made in a region that has not ended."""
    if type(obj) is not list:
        return False
    trace = trace_now()
    if trace is None or _ON not in trace.extra:
        return False
    known = trace.born.get(id(obj))
    if known is None or known[0] is not obj or id(obj) in trace.extra[_ON]:
        return False
    home = known[1]
    while home.home is not None:
        home = home.home
    return not home.closed


def is_choice_of_references(obj: Any) -> bool:
    """Whether `obj` is one of several lists."""
    return type(obj) is Choice and all(map(is_reference, obj.options))


def is_link(obj: Any) -> bool:
    """Whether `obj` is a list by identity, or one of several."""
    return is_reference(obj) or is_choice_of_references(obj)


def holds_links(obj: Any) -> bool:
    """Whether `obj` is a list or tuple of lists by identity, so that data may choose one of them."""
    return type(obj) in (list, tuple) and len(obj) > 0 and all(map(is_link, obj))


def shared_parts(sides: Iterable[Iterable[Any]]) -> set[int]:
    """Of the containers of several values (those of each are given), the ids of those that are met more than once."""
    counts = Counter(id(part) for side in sides for part in side)
    return {key for key, count in counts.items() if count > 1}


# --- choosing --------------------------------------------------------------------------------------------------------


class _Options:
    """The lists that several links may stand for, each with its number."""

    def __init__(self, links: Iterable[Any]) -> None:
        self.lists: list[Any] = []
        for link in links:
            parts = [link.options[k] for k in possible(link)] if type(link) is Choice else [link]
            for part in parts:
                if not any(part is known for known in self.lists):
                    self.lists.append(part)

    def number(self, obj: Any) -> int:
        """The number of a list."""
        return next(k for k, known in enumerate(self.lists) if known is obj)

    def code(self, link: Any) -> Value:
        """Which one a link stands for."""
        b = current().builder
        if type(link) is not Choice:
            return b.const(self.number(link))
        codes = possible(link)
        made = b.const(self.number(link.options[codes[-1]]))
        for k in codes[-2::-1]:
            made = b.select(b.eq(link.code.value, b.const(k)), b.const(self.number(link.options[k])), made)
        return made

    def link(self, code: Value) -> Any:
        """The link for a code."""
        return self.lists[0] if len(self.lists) == 1 else Choice(Scalar(code), tuple(self.lists))


def _wrapped(position: Value, size: int) -> Value:
    b = current().builder
    return b.select(b.lt(position, b.const(0)), b.add(position, b.const(size)), position)


def chosen(items: Any, position: Value) -> Any:
    """`items[position]` for a list of links; the position is in range."""
    links = [narrowed(item) for item in items]
    options, b = _Options(links), current().builder
    at = _wrapped(position, len(links))
    code = options.code(links[-1])
    for k in range(len(links) - 2, -1, -1):
        code = b.select(b.eq(at, b.const(k)), options.code(links[k]), code)
    return options.link(code)


def replaced(items: Any, position: Value, new: Any) -> list[Any]:
    """What is in a list of links after `items[position] = new`; the position is in range."""
    new, b = narrowed(new), current().builder
    at = _wrapped(position, len(items))
    found = []
    for k, item in enumerate(map(narrowed, items)):
        options = _Options([item, new])
        found.append(options.link(b.select(b.eq(at, b.const(k)), options.code(new), options.code(item))))
    return found


def common_length(choice: Choice) -> int | None:
    """How long all of the lists are that a choice may be, if that is one known number."""
    lists = [choice.options[k] for k in possible(choice)]
    sizes = {len(x) for x in lists}
    return sizes.pop() if len(sizes) == 1 and not any_growing(lists) else None


# --- items that are plain numbers ------------------------------------------------------------------------------------


def columns(choice: Choice, index: Any) -> list[tuple[int, list[Any]]] | None:
    """The lists that a choice may be, by code, if all of them have a float at an index that is known."""
    if type(index) is not int or not is_choice_of_references(choice):
        return None
    found = [(k, choice.options[k]) for k in possible(choice)]
    return found if len(found) > 1 and all(-len(x) <= index < len(x) and is_float(x[index]) for _, x in found) else None


def is_float(obj: Any) -> bool:
    """Whether `obj` is a Python float, traced or not."""
    return type(obj) is float or (type(obj) is Scalar and obj.kinds is None and not obj.numpy and obj.value.tensor.dtype == F64)


def _float(obj: Any) -> Value:
    return obj.value if type(obj) is Scalar else current().builder.const(obj)


def select_item(choice: Choice, found: list[tuple[int, list[Any]]], index: int) -> Scalar:
    """`choice[index]`, given its `columns`."""
    b = current().builder
    made = _float(found[-1][1][index])
    for k, items in found[-2::-1]:
        made = b.select(b.eq(choice.code.value, b.const(k)), _float(items[index]), made)
    return Scalar(made)


def merged_items(choice: Choice, found: list[tuple[int, list[Any]]], index: int, new: Any) -> list[tuple[list[Any], Scalar]]:
    """What each list that a choice may be has at `index` after `choice[index] = new`, given its `columns`."""
    b, value = current().builder, _float(new)
    return [(items, Scalar(b.select(b.eq(choice.code.value, b.const(k)), value, _float(items[index])))) for k, items in found]


# --- leaving the trace -----------------------------------------------------------------------------------------------


def whole(obj: Any, read: Any) -> Any:
    """A result with lists in place of choices among lists; `read(choice, k)` gives an item."""
    if not are_on(current()):
        return obj
    obj = narrowed(obj)
    if is_choice_of_references(obj):
        size = common_length(obj)
        return obj if size is None else [whole(read(obj, k), read) for k in range(size)]
    if type(obj) in (list, tuple):
        return type(obj)([whole(x, read) for x in obj])
    if type(obj) is dict:
        return {k: whole(x, read) for k, x in obj.items()}
    return obj
