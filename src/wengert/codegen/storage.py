"""Where an array lives while code is written: in memory (`Mem`), nowhere yet (`Lazy`), and the stacks.

The one idea: an array value is something that can be asked for its element at an index. A view is an index map on its
source's memory, an elementwise result is a formula on its operands' elements; only what must be is stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from wengert.types import DType

if TYPE_CHECKING:
    from wengert.codegen.lowering import Lowering
    from wengert.ir.core import Value

Index: TypeAlias = tuple[str, ...]
Path: TypeAlias = tuple[Any, ...]


@dataclass(eq=False)
class Buffer:
    """One allocation (or the group of input arrays): the unit of aliasing and of in-place writing.

    Attributes:
        scope: number of its alias scope in the LLVM metadata.
        writable: whether its contents may be replaced once nobody needs them.
        pointer: stack slot that holds its address ("" when it is never reallocated).
        capacity: stack slot that holds its size in bytes.
        readers: values that read it: what has to be saved before it is overwritten.
        local: address of its memory if that is part of the native function's frame, and so never grows; else "".
        room: the bytes of such memory.
        result: the result of the function whose NumPy array it is; it holds arrays of that type only, at `local`.
    """

    scope: int
    writable: bool
    pointer: str = ""
    capacity: str = ""
    readers: list[Value] = field(default_factory=list)
    local: str = ""
    room: int = 0
    result: Value | None = None

    def holds(self, values: Iterable[Value]) -> bool:
        """Whether arrays of these types find room in it, one at a time: always, unless it cannot grow."""
        if self.result is not None:
            return all(v.type == self.result.type for v in values)
        return not self.local or all(0 < static_bytes(v) <= self.room for v in values)


def static_bytes(value: Value) -> int:
    """The bytes of an array whose sizes are all known, at least one; 0 if some are not."""
    if not all(isinstance(d, int) for d in value.dims):
        return 0
    count = math.prod(max(0, d) for d in value.dims if isinstance(d, int))
    return max(1, count) * value.tensor.dtype.itemsize


@dataclass(frozen=True, eq=False)
class Mem:
    """An array in memory.

    Attributes:
        buffer: the allocation that it is part of.
        pointer: address of element (0, ..., 0).
        sizes: per axis.
        strides: per axis, in elements.
        path: how the part was chosen from the whole buffer: () is all of it in row-major order; equal paths are equal
            parts. None: not known.
    """

    dtype: DType
    buffer: Buffer
    pointer: str
    sizes: Index
    strides: Index
    path: Path | None = None
    contiguous: bool = False

    @property
    def reads(self) -> frozenset[Buffer]:
        """The buffers that an element is read from."""
        return frozenset((self.buffer,))

    @property
    def whole(self) -> bool:
        """Whether the array is its entire buffer."""
        return self.path == ()


Element = Callable[["Lowering", Index], str]


@dataclass(frozen=True, eq=False)
class Lazy:
    """An array that is computed where it is used.

    Attributes:
        element: writes the code of one element.
        reads: the buffers that an element is read from.
        cost: rough cost of computing an element again.
        parts: arrays whose element at the same index is used (the edges that loop fusion follows).
        others: arrays that are read at other indices.
        uniform: every element is this scalar.
        flat: whether `element` understands a single row-major index, given that its parts do.
    """

    dtype: DType
    sizes: Index
    element: Element
    reads: frozenset[Buffer] = frozenset()
    cost: int = 0
    parts: tuple[Value, ...] = ()
    others: tuple[Value, ...] = ()
    uniform: str = ""
    flat: bool = False


@dataclass(eq=False)
class Stack:
    """A growable byte stack: three stack slots that LLVM keeps in registers.

    Attributes:
        buffer: for aliasing; its `pointer` and `capacity` slots hold the memory.
        top: slot of the number of bytes in use.
        hint: slot of the number of bytes to allocate at first.
    """

    buffer: Buffer
    top: str
    hint: str


class Total(Protocol):
    """What a loop over elements adds up, or the largest of them: it lies in stack slots; a number is a `register` of LLVM."""

    register: str

    def reset(self) -> None:
        """Start with the neutral element."""

    def apart(self) -> tuple[str, ...]:
        """Go on in new slots of the function being written, from the neutral element; gives the old ones."""

    def back(self, slots: tuple[str, ...]) -> None:
        """Go on in the slots from before."""

    def partial(self) -> str:
        """What is in the slots, as `merge` takes it in."""

    def merge(self, other: str) -> None:
        """Take in what was added up elsewhere."""


@dataclass(frozen=True, eq=False)
class Awaited:
    """A scalar that a nest will compute: a reduction that waits for others over the same iteration space.

    Attributes:
        source: the array that is reduced.
        finish: adds an element to the total.
        total: writes the code of the reduction of all elements.
        running: what `finish` adds to.
    """

    source: Value
    finish: Callable[[str, Index], None]
    total: Callable[[], str]
    running: Total


Place: TypeAlias = str | Mem | Lazy | Stack | Awaited
