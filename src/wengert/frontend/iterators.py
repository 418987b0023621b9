"""Iterators in staged code: how far one has come is state, which Python hides.

`iter(items)` of a sequence keeps its place where branches and loops can undo and merge it. From other iterators items are taken
only where that surely happens, and once; elsewhere it is refused.
"""

from __future__ import annotations

import types
from typing import Any

from wengert.errors import StagingError
from wengert.frontend.boxes import box, lift
from wengert.frontend.choices import FACTS
from wengert.frontend.context import NeedsPythonValue, Trace, current
from wengert.frontend.emit import builder, ensure
from wengert.frontend.generator_objects import StagedGenerator
from wengert.frontend.registry import OPERATORS
from wengert.frontend.scalars import Scalar
from wengert.frontend.staging import choose
from wengert.frontend.staging_builder import TraceBuilder
from wengert.frontend.staging_iter import StagedSequence, python_int
from wengert.frontend.staging_state import bear
from wengert.tree import register_leaf


@register_leaf
class SequenceIterator:
    """`iter(items)`.

    Attributes:
        items: a list, a tuple or a staged sequence.
        position: how many items have been taken.
    """

    __slots__ = ("__weakref__", "items", "position")

    def __init__(self, items: Any) -> None:
        self.items = items
        self.position: Any = 0
        bear(current(), self)

    @property
    def length(self) -> Any:
        """How many items there are, taken ones included."""
        return self.items.length if isinstance(self.items, StagedSequence) else len(self.items)

    def at(self, position: Any) -> Any:
        """The item at a position that exists."""
        items = self.items
        return items.item(position) if isinstance(items, StagedSequence) else OPERATORS["list item"](items, position)

    def put(self, position: Any) -> None:
        """Note how many items have been taken."""
        key = (id(self), "position", "")
        current().journal.write(key, self, lambda: self.position, lambda new: setattr(self, "position", new), position)

    def take(self) -> Any:
        """The next item, which exists."""
        position = self.position
        found = self.at(position)
        self.put(position + 1)
        return found

    def __iter__(self) -> SequenceIterator:
        return self

    def __next__(self) -> Any:
        position, length = self.position, self.length
        if isinstance(position, Scalar):
            raise NeedsPythonValue(position.value, "how far an iterator has come", current().span)
        if position >= (length if isinstance(length, int) else python_int(length, "the length of a sequence")):
            raise StopIteration
        return self.take()


def advance(iterator: SequenceIterator, *default: Any) -> Any:
    """`next(iterator, default)`."""
    position, length = iterator.position, iterator.length
    if isinstance(position, int) and isinstance(length, int):
        return next(iterator, *default)
    inside = builder().lt(lift(position), lift(length))
    if default:
        return choose(box(inside), iterator.take, lambda: default[0])
    ensure(inside, "StopIteration", "")
    return iterator.take()


def before_taking(trace: Trace, iterator: Any) -> None:
    """Called before items are taken from an iterator: refused where a run that is undone, or another one, would miss them.

    Raises:
        StagingError: it was made outside of the function, or of the branch or loop that takes from it.
    """
    method = getattr(type(iterator), "__next__", None)
    if trace.eager or method is None or type(iterator) is SequenceIterator:
        return
    if isinstance(method, types.FunctionType) and not isinstance(iterator, StagedGenerator):
        return  # an object of the user's, whose attributes are followed
    if trace.captures.is_outside(iterator):
        raise StagingError(
            "items are taken from an iterator that was there before the call",
            trace.span,
            found=f"a {type(iterator).__name__}, which gives other items at the next call",
            fix="pass a list, or what next(...) gives",
        )
    spent = trace.extra.setdefault("spent_iterators", {})
    kinds = _between(trace, iterator)
    fresh = isinstance(iterator, StagedGenerator) and iterator.running is None
    if id(iterator) in spent or "loop" in kinds or ("arm" in kinds and not fresh):
        raise StagingError(
            "items are taken from an iterator in a branch or loop that it was not made in",
            trace.span,
            found=f"a {type(iterator).__name__}, of which staging does not know how far it has come",
            fix="make a list of it first, and take items by position or with iter(...) of the list",
        )
    if "arm" in kinds:
        spent[id(iterator)] = iterator
        started = iterator.running
        trace.journal.write(FACTS, iterator, lambda: iterator.running, lambda old: setattr(iterator, "running", old), started)
    elif "trial" in kinds:
        trace.extra.setdefault("tried_iterators", []).append(iterator)


def _between(trace: Trace, iterator: Any) -> set[str]:
    """The kinds of the regions that are open here and were not when the iterator was made."""
    known = trace.born.get(id(iterator))
    home = known[1] if known is not None else None
    while isinstance(home, TraceBuilder) and home.home is not None:
        home = home.home
    kinds: set[str] = set()
    at: Any = trace.builder
    while isinstance(at, TraceBuilder) and at is not home:
        kinds.add("arm" if at.forks else at.kind)
        at = at.parent
    return kinds


def note_spent(trace: Trace, iterator: Any) -> None:
    """From here on, it is not known how far an iterator has come: what takes from it again is refused."""
    trace.extra.setdefault("spent_iterators", {})[id(iterator)] = iterator


def was_tried(trace: Trace, count: int, fresh: tuple[Any, ...] = ()) -> None:
    """A run of code is undone: refuse if it has taken from iterators.

    Args:
        trace: the trace.
        count: how many had been noted before it.
        fresh: generators that begin anew.
    """
    noted = trace.extra.get("tried_iterators", [])
    noted[count:] = [i for i in noted[count:] if not any(i is f for f in fresh)]
    if len(noted) > count:
        raise StagingError(
            "items are taken from an iterator in a loop that it was not made in",
            trace.span,
            fix="make a list of it first, and take items by position or with iter(...) of the list",
        )


def tried(trace: Trace) -> int:
    """How many iterators have been taken from in runs of code that may be undone."""
    return len(trace.extra.get("tried_iterators", ()))
