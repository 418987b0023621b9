"""What staged loops run over: ranges, arrays, and `enumerate`, `zip` and `reversed` of them, with lengths that may be traced."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import ItemsView, Iterator, KeysView, Sequence, ValuesView
from typing import Any

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import box, lift, lift_int
from wengert.frontend.context import NeedsPythonValue, current
from wengert.frontend.emit import difference, ensure, value_of
from wengert.frontend.growing import Rows, is_growing
from wengert.frontend.registry import OPERATORS
from wengert.frontend.rows import read, size_of
from wengert.frontend.scalars import Scalar

PYTHON_LIMIT = 10_000


class StagedSequence(ABC):
    """A sequence of known or traced length whose items are computed from their position."""

    __slots__ = ()

    @property
    @abstractmethod
    def length(self) -> Any:
        """An int, or a traced one; not negative unless traced."""

    @abstractmethod
    def item(self, position: Any) -> Any:
        """The item at a position in [0, length)."""

    def __iter__(self) -> Iterator[Any]:
        length = self.length
        if not isinstance(length, int):
            length = python_int(length, "the number of iterations of a loop that cannot be staged")
        if length > PYTHON_LIMIT and not current().eager:
            raise StagingError(
                f"Python would iterate {length} times here while tracing",
                current().span,
                fix="write a for statement over a range or an array, which is staged as a loop",
            )
        return (self.item(k) for k in range(length))

    def __len__(self) -> int:
        length = self.length
        return length if isinstance(length, int) else python_int(length, "the length of a sequence")

    def __getitem__(self, position: Any) -> Any:
        return self.item(position)


def python_int(length: Any, reason: str) -> int:
    """The value of a traced int; in staged code a request for it."""
    trace = current()
    if trace.eager:
        return int(trace.known(lift(length)))
    settled = trace.settle(lift(length).affine)
    if settled is not None:
        return settled
    raise NeedsPythonValue(lift(length), reason, trace.span)


class StagedRange(StagedSequence):
    """`range` with traced bounds, or a long one."""

    __slots__ = ("_length", "start", "step", "stop")

    def __init__(self, start: Any, stop: Any, step: Any) -> None:
        self.start, self.stop, self.step = start, stop, step
        self._length: Any = None

    @property
    def length(self) -> Any:
        """How many numbers there are; a traced one may be negative when there are none."""
        if self._length is None:
            self._length = self._count()
        return self._length

    def _count(self) -> Any:
        if all(isinstance(x, int) for x in (self.start, self.stop, self.step)):
            return len(range(self.start, self.stop, self.step))
        if isinstance(self.step, int):
            if self.step == 1:
                return self.stop - self.start
            if self.step == -1:
                return self.start - self.stop
        else:
            ensure(lift(self.step != 0), "ValueError", "range() arg 3 must not be zero")
        return -((self.start - self.stop) // self.step)

    def item(self, position: Any) -> Any:
        """`start + step * position`."""
        scaled = position if isinstance(self.step, int) and self.step == 1 else self.step * position
        return scaled if isinstance(self.start, int) and self.start == 0 else self.start + scaled


class StagedArray(StagedSequence):
    """The items of an array along its first axis."""

    __slots__ = ("array",)

    def __init__(self, array: Array) -> None:
        self.array = array

    @property
    def length(self) -> Any:
        """The size of the first axis."""
        length = self.array.length
        return length if isinstance(length, int) else box(value_of(length))

    def item(self, position: Any) -> Any:
        """One element or row."""
        return self.array[position]


class StagedRows(StagedSequence):
    """The items of a list of traced length."""

    __slots__ = ("items", "rows")

    def __init__(self, items: Any) -> None:
        self.items = items
        self.rows: Rows = items[0]

    @property
    def length(self) -> Any:
        """That of the list."""
        return size_of(self.rows)

    def item(self, position: Any) -> Any:
        """One item."""
        if not is_growing(self.items) or self.items[0] is not self.rows:
            raise StagingError(
                "a list of traced length changes while a loop runs over it",
                current().span,
                fix="run over a copy: `for x in list(items)`",
            )
        return read(self.rows, position)


class StagedEnumerate(StagedSequence):
    """`enumerate`."""

    __slots__ = ("inner", "start")

    def __init__(self, inner: StagedSequence, start: Any) -> None:
        self.inner, self.start = inner, start

    @property
    def length(self) -> Any:
        """That of the sequence."""
        return self.inner.length

    def item(self, position: Any) -> Any:
        """Number and item."""
        number = position if isinstance(self.start, int) and self.start == 0 else position + self.start
        return number, self.inner.item(position)


class StagedReversed(StagedSequence):
    """`reversed`."""

    __slots__ = ("inner",)

    def __init__(self, inner: StagedSequence) -> None:
        self.inner = inner

    @property
    def length(self) -> Any:
        """That of the sequence."""
        return self.inner.length

    def item(self, position: Any) -> Any:
        """The item from the end."""
        return self.inner.item(self.inner.length - 1 - position)


class StagedRest(StagedSequence):
    """A sequence without its first item."""

    __slots__ = ("inner",)

    def __init__(self, inner: StagedSequence) -> None:
        self.inner = inner

    @property
    def length(self) -> Any:
        """One less."""
        return self.inner.length - 1

    def item(self, position: Any) -> Any:
        """The item one further on."""
        return self.inner.item(position + 1)


class StagedZip(StagedSequence):
    """`zip` of staged sequences and Python ones."""

    __slots__ = ("inner", "strict")

    def __init__(self, inner: Sequence[Any], strict: bool) -> None:
        self.inner, self.strict = tuple(inner), strict

    @property
    def length(self) -> Any:
        """The smallest length."""
        lengths = [s.length if isinstance(s, StagedSequence) else len(s) for s in self.inner]
        values = {lift(n).affine if isinstance(n, Scalar) else n: n for n in lengths}
        if self.strict and len(values) > 1:
            self._require_equal(lengths)
        known = [n for n in values.values() if isinstance(n, int)]
        traced = [n for n in values.values() if not isinstance(n, int)]
        if not traced:
            return min(known)
        if known and len(traced) == 1 and current().assume_at_least(difference(lift(traced[0]).affine, min(known)), 0):
            return min(known)
        shortest = lift_int(traced[0], "a length")
        for other in [*traced[1:], *([min(known)] if known else [])]:
            shortest = current().builder.minimum(shortest, lift_int(other, "a length"))
        return box(shortest)

    def _require_equal(self, lengths: Sequence[Any]) -> None:
        for other in lengths[1:]:
            same = lengths[0] == other
            if same is False:
                raise ValueError("zip() arguments have different lengths")
            ensure(lift(same), "ValueError", "zip() arguments have different lengths")

    def item(self, position: Any) -> Any:
        """One item of each."""
        load = OPERATORS["list item"]
        return tuple(s.item(position) if isinstance(s, StagedSequence) else load(s, position) for s in self.inner)


def staged_range(*args: Any) -> Any:
    """`range(*args)`; a real one when all bounds are known ints."""
    if len(args) == 1:
        start, stop, step = 0, args[0], 1
    else:
        start, stop, step = (*args, 1) if len(args) == 2 else args
    if not any(isinstance(x, (Scalar, Array)) for x in (start, stop, step)):
        return range(start, stop, step)
    bounds = [box(lift_int(x, "an argument of range()")) for x in (start, stop, step)]
    if current().eager:
        return range(*[python_int(x, "") if isinstance(x, Scalar) else int(x) for x in bounds])
    return StagedRange(*bounds)


def staged(iterable: Any) -> StagedSequence | None:
    """`iterable` as a staged sequence, or None when Python itself iterates over it."""
    if isinstance(iterable, StagedSequence):
        return iterable
    if isinstance(iterable, Array):
        if not iterable.dims:
            raise TypeError("iteration over a 0-d array")
        return StagedArray(iterable)
    if is_growing(iterable):
        return StagedRows(iterable)
    if isinstance(iterable, range):
        return StagedRange(iterable.start, iterable.stop, iterable.step)
    return None


def live(iterable: Any) -> Any:
    """`iterable`; a Python list as an iterator that reads it anew for each item, as a list's own does.

    A list that is written to at a traced index holds its items in another way from then on, which Python's iterator would take
    for a list of one item.
    """
    if current().eager:
        return iterable
    return _live_items(iterable) if type(iterable) is list else _live_deque(iterable) if type(iterable) is deque else iterable


def _live_items(items: list[Any]) -> Iterator[Any]:
    position = 0
    while position < _known_length(items):
        yield read(items[0], position) if is_growing(items) else items[position]
        position += 1


def _known_length(items: list[Any]) -> int:
    length = size_of(items[0]) if is_growing(items) else len(items)
    if not isinstance(length, int):
        raise _held_otherwise(items)
    return length


def _held_otherwise(items: Any) -> StagingError:
    return StagingError(
        f"a {type(items).__name__} gets another form, for what data decides on, while Python runs over it",
        current().span,
        fix="run over a copy: `for x in list(items)`",
    )


def _live_deque(items: deque[Any]) -> Iterator[Any]:
    iterator = iter(items)
    while True:
        try:
            item = next(iterator)
        except StopIteration:
            return
        except RuntimeError:  # Python's, of a deque that has changed, which this one may not have
            if is_growing(items):
                raise _held_otherwise(items) from None
            raise
        yield item


def _live_backwards(items: list[Any]) -> Iterator[Any]:
    for position in range(len(items) - 1, -1, -1):
        if position < _known_length(items):
            yield read(items[0], position) if is_growing(items) else items[position]


def staged_enumerate(iterable: Any, start: Any = 0) -> Any:
    """`enumerate(iterable, start)`."""
    inner = staged(iterable)
    return enumerate(live(iterable), start) if inner is None else StagedEnumerate(inner, start)


def staged_reversed(sequence: Any) -> Any:
    """`reversed(sequence)`."""
    inner = staged(sequence)
    if inner is not None:
        return StagedReversed(inner)
    return _live_backwards(sequence) if type(sequence) is list and not current().eager else reversed(sequence)


_LISTED = (str, bytes, dict, KeysView, ValuesView, ItemsView)
"""Collections whose items are known, and always come in the same order."""


def staged_zip(*iterables: Any, strict: bool = False) -> Any:
    """`zip(*iterables)`; staged when one of them is and the others are lists or tuples."""
    inner = [i if found is None else found for i, found in ((i, staged(i)) for i in iterables)]
    if not any(isinstance(i, StagedSequence) for i in inner):
        return zip(*map(live, iterables), strict=strict)
    inner = [list(i) if isinstance(i, _LISTED) else i for i in inner]
    if not all(isinstance(i, (StagedSequence, list, tuple)) for i in inner):
        if any(isinstance(i, StagedSequence) and not isinstance(i.length, int) for i in inner):
            raise StagingError(
                "zip() of an array or range of unknown length with a generator cannot be staged",
                current().span,
                fix="make a list of the generator first",
            )
        return zip(*map(live, inner), strict=strict)
    return StagedZip(inner, strict)
