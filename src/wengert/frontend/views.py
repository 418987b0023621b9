"""The steps that views are made of: part of an array, axes permuted, shape changed.

A step reads its result from the value of the array it looks at (`read`) and gives that array with the result written
back into it (`put`). Steps hold sizes and positions as dimensions, so two steps of slicing combine into one by arithmetic.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

from wengert.errors import InternalError
from wengert.frontend.emit import builder, product_of, value_of, values_of
from wengert.ir.core import Value
from wengert.types import Affine, dim_add


@dataclass(slots=True, unsafe_hash=True)
class At:
    """One position of an axis, which is dropped."""

    position: Final[Affine]


@dataclass(slots=True, unsafe_hash=True)
class Part:
    """Elements `start + step * j` for `j < size` of an axis, all in range."""

    start: Final[Affine]
    size: Final[Affine]
    step: Final[int] = 1


@dataclass(slots=True, unsafe_hash=True)
class Whole:
    """A whole axis."""

    size: Final[Affine]


Entry: TypeAlias = At | Part | Whole


class Step(ABC):
    """One way of looking at an array."""

    dims: tuple[Affine, ...]

    @abstractmethod
    def read(self, x: Value) -> Value:
        """What the view shows of `x`."""

    @abstractmethod
    def put(self, x: Value, new: Value) -> Value:
        """`x` with what the view shows replaced by `new`."""

    @property
    def reads_on_put(self) -> bool:
        """Whether `put` looks at the old value of the array."""
        return False


@dataclass(unsafe_hash=True)
class Index(Step):
    """Basic indexing: one entry per axis."""

    entries: Final[tuple[Entry, ...]]

    @cached_property
    def dims(self) -> tuple[Affine, ...]:  # type: ignore[override]
        """The shape of the part."""
        return tuple([e.size for e in self.entries if not isinstance(e, At)])

    @property
    def is_whole(self) -> bool:
        """Whether it shows the array as it is."""
        return all(isinstance(e, Whole) for e in self.entries)

    @property
    def reads_on_put(self) -> bool:
        """Only when something is left out."""
        return not self.is_whole

    @property
    def is_contiguous(self) -> bool:
        """Whether the part of a row-major array is row-major too, whatever the sizes."""
        rest = self.entries[next((k for k, e in enumerate(self.entries) if not isinstance(e, At)), len(self.entries)) :]
        return (not rest or not isinstance(rest[0], Part) or rest[0].step == 1) and all(isinstance(e, Whole) for e in rest[1:])

    def read(self, x: Value) -> Value:
        """`index`, or nothing when the whole array is meant."""
        if self.is_whole:
            return x
        spec, operands = self._operands()
        return builder().index(x, *operands, spec=spec)

    def put(self, x: Value, new: Value) -> Value:
        """`update`."""
        if self.is_whole:
            return new
        spec, operands = self._operands()
        return builder().update(x, new, *operands, spec=spec)

    def _operands(self) -> tuple[tuple[str, ...], list[Value]]:
        spec: list[str] = []
        operands: list[Value] = []
        for entry in self.entries:
            if isinstance(entry, At):
                spec.append("i")
                operands.append(value_of(entry.position))
            elif isinstance(entry, Part):
                spec.append("s")
                operands += (value_of(entry.start), value_of(entry.size), value_of(entry.step))
            else:
                spec.append(":")
        return tuple(spec), operands

    def then(self, inner: Index) -> Index:
        """The part `inner` of this part, in one step."""
        following = iter(inner.entries)
        return Index(tuple(e if isinstance(e, At) else _compose(e, next(following)) for e in self.entries))


def _compose(outer: Part | Whole, inner: Entry) -> Entry:
    if isinstance(outer, Whole):
        return inner
    if isinstance(inner, Whole):
        return outer
    if isinstance(inner, At):
        return At(dim_add(outer.start, inner.position, outer.step))
    return Part(dim_add(outer.start, inner.start, outer.step), inner.size, outer.step * inner.step)


@dataclass(frozen=True)
class Transpose(Step):
    """Axes permuted, as `np.transpose`."""

    perm: tuple[int, ...]
    dims: tuple[Affine, ...]

    def read(self, x: Value) -> Value:
        """`transpose`."""
        return builder().transpose(x, perm=self.perm)

    def put(self, x: Value, new: Value) -> Value:
        """`transpose` back."""
        return builder().transpose(new, perm=invert(self.perm))

    def push_index(self, index: Index) -> tuple[Index, tuple[int, ...]]:
        """`x.T[index]` as a part of `x` and the permutation of what remains."""
        entries = tuple(index.entries[k] for k in invert(self.perm))
        kept = [k for k, e in enumerate(entries) if not isinstance(e, At)]
        order = [self.perm[k] for k, e in enumerate(index.entries) if not isinstance(e, At)]
        return Index(entries), tuple(kept.index(k) for k in order)


@dataclass(frozen=True)
class Reshape(Step):
    """Another shape of the same elements in row-major order."""

    dims: tuple[Affine, ...]
    source: tuple[Affine, ...]

    def read(self, x: Value) -> Value:
        """`reshape`."""
        return builder().reshape(x, *values_of(self.dims))

    def put(self, x: Value, new: Value) -> Value:
        """`reshape` back."""
        return builder().reshape(new, *values_of(self.source))


@dataclass(frozen=True)
class Expand(Reshape):
    """A reshape that only inserts axes of size 1; `axes` says where the array's own axes are."""

    axes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Windows(Step):
    """Runs of neighbours along an axis, on a last axis of their own; only to be read."""

    dims: tuple[Affine, ...]
    axis: int

    def read(self, x: Value) -> Value:
        """`windows`."""
        return builder().windows(x, value_of(self.dims[-1]), axis=self.axis)

    def put(self, x: Value, new: Value) -> Value:
        """Never: windows overlap."""
        raise InternalError("windows are not written to")


@dataclass(frozen=True)
class Diagonal(Step):
    """The elements `x[..., down + k, right + k]` of the last two axes, on a last axis."""

    dims: tuple[Affine, ...]
    source: tuple[Affine, ...]
    down: int
    right: int

    @property
    def reads_on_put(self) -> bool:
        """The other elements stay."""
        return True

    def read(self, x: Value) -> Value:
        """`gather` from the flat array."""
        return _last_axis_back(builder().gather(self._flat(x), self._places()))

    def put(self, x: Value, new: Value) -> Value:
        """`scatter` into the flat array."""
        rows = _last_axis_first(new)
        found = _last_axis_back(builder().scatter(self._flat(x), self._places(), rows, distinct=True))
        return builder().reshape(found, *values_of(self.source))

    def _flat(self, x: Value) -> Value:
        lead, size = self.source[:-2], product_of(self.source[-2:])
        return _last_axis_first(builder().reshape(x, *values_of((*lead, size))))

    def _places(self) -> Value:
        b, columns = builder(), value_of(self.source[-1])
        start = b.add(b.mul(columns, b.const(self.down)), b.const(self.right))
        size = value_of(self.dims[-1])
        steps = b.mul(b.iota(size), b.full((self.dims[-1],), b.add(columns, b.const(1))))
        return b.add(steps, b.full((self.dims[-1],), start))


def _last_axis_first(x: Value) -> Value:
    return x if x.rank == 1 else builder().transpose(x, perm=(x.rank - 1, *range(x.rank - 1)))


def _last_axis_back(x: Value) -> Value:
    return x if x.rank == 1 else builder().transpose(x, perm=(*range(1, x.rank), 0))


def invert(perm: Sequence[int]) -> tuple[int, ...]:
    """The inverse permutation."""
    return tuple(perm.index(k) for k in range(len(perm)))


def expand_step(dims: Sequence[Affine], positions: Sequence[int]) -> Expand:
    """The step that inserts axes of size 1 so that they stand at `positions` (sorted) of the result."""
    rank = len(dims) + len(positions)
    axes = tuple(k for k in range(rank) if k not in positions)
    shape: list[Affine] = [1] * rank
    for axis, size in zip(axes, dims, strict=True):
        shape[axis] = size
    return Expand(tuple(shape), tuple(dims), axes)


def whole(dims: Sequence[Affine]) -> Index:
    """The step that shows an array as it is."""
    return Index(tuple(Whole(d) for d in dims))


def part_or_whole(part: Part, size: Affine) -> Entry:
    """`part` of an axis of `size`, as `Whole` where it is."""
    return Whole(size) if part.step == 1 and part.start == 0 and part.size == size else part
