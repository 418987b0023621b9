"""The data of the IR: values, instructions, regions, functions. Immutable (see `types`); a change makes a new object.

Regions see the values of the regions around them (no explicit capture); what a loop changes is its carry.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from wengert.errors import Span
from wengert.types import Affine, TensorType, Type, dim_of

if TYPE_CHECKING:
    from wengert.ir.op import OpDef

_serials = itertools.count(1)


class Value:
    """A result of an instruction or a parameter of a region or function. Compared by identity.

    Attributes:
        type: its type.
        name: a hint for printing; the printer makes names unique.
        serial: creation order, for canonical ordering of dimension terms only.
        affine: for `i64[]` values, the value as an affine expression over other values (often just itself).
    """

    __slots__ = ("_affine", "name", "serial", "type")

    def __init__(self, type: Type, name: str = "", affine: Affine | None = None) -> None:
        self.type = type
        self.name = name
        self.serial = next(_serials)
        self._affine = affine

    @property
    def affine(self) -> Affine:
        """The value as a dimension."""
        return dim_of(self) if self._affine is None else self._affine

    def set_affine(self, affine: Affine) -> None:
        """Say what is known of the value as a dimension; only before anybody relies on it."""
        self._affine = affine

    @property
    def tensor(self) -> TensorType:
        """The type, known to be a tensor type."""
        assert isinstance(self.type, TensorType), self
        return self.type

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.type.dims)  # type: ignore[union-attr]

    @property
    def dims(self) -> tuple[Affine, ...]:
        """The dimensions of the type."""
        return self.type.dims  # type: ignore[union-attr]

    @property
    def is_float(self) -> bool:
        """Whether the value can carry a tangent."""
        return isinstance(self.type, TensorType) and self.type.is_float

    def __repr__(self) -> str:
        return f"%{self.name or self.serial}: {self.type}"


@dataclass(eq=False, slots=True)
class Region:
    """A block with parameters: the arm of an `if`, the body of a loop."""

    params: Final[tuple[Value, ...]]
    instrs: Final[tuple[Instr, ...]]
    results: Final[tuple[Value, ...]]


@dataclass(eq=False, slots=True)
class Instr:
    """One operation. Attribute names that begin with `_` hold Python objects that are not printed."""

    op: Final[OpDef]
    operands: Final[tuple[Value, ...]]
    results: Final[tuple[Value, ...]]
    attrs: Final[dict[str, Any]] = field(default_factory=dict)
    regions: Final[tuple[Region, ...]] = ()
    span: Final[Span | None] = None

    @property
    def result(self) -> Value:
        """The only result."""
        (result,) = self.results
        return result

    def __repr__(self) -> str:
        results = ", ".join(map(repr, self.results))
        operands = ", ".join(f"%{o.name or o.serial}" for o in self.operands)
        return f"{results} = {self.op.name}({operands})"


@dataclass(frozen=True, eq=False)
class Function:
    """A named function.

    `dims` are integer values that callers do not pass: each is the size of some axis of an array parameter, and is
    read from the arguments (`func @f<%n>(%x: f64[%n])`).

    Attributes:
        functions: of the outermost function, all functions that it reaches through calls, by name; empty in those.
    """

    name: str
    dims: tuple[Value, ...]
    params: tuple[Value, ...]
    instrs: tuple[Instr, ...]
    results: tuple[Value, ...]
    span: Span | None = None
    functions: dict[str, Function] = field(default_factory=dict)

    @property
    def body(self) -> Region:
        """The function's block as a region whose parameters are `dims` then `params`."""
        return Region((*self.dims, *self.params), self.instrs, self.results)


def walk(instrs: tuple[Instr, ...] | list[Instr]) -> Iterator[Instr]:
    """All instructions, regions included, in program order (an instruction before its regions)."""
    open_blocks = [iter(instrs)]
    while open_blocks:
        for instr in open_blocks[-1]:
            yield instr
            if instr.regions:
                open_blocks += [iter(region.instrs) for region in reversed(instr.regions)]
                break
        else:
            open_blocks.pop()


def free_values(region: Region) -> list[Value]:
    """Values that `region` uses (operands, results, dimensions of types) and does not define, in order of first use."""
    defined: set[Value] = set()
    free: dict[Value, None] = {}

    def use(value: Value) -> None:
        if value not in defined:
            free.setdefault(value)

    def use_type(value: Value) -> None:
        for symbol in value.type.symbols():
            if isinstance(symbol, Value):
                use(symbol)

    def visit(block: Region) -> None:
        defined.update(block.params)
        for param in block.params:
            use_type(param)
        for instr in block.instrs:
            for operand in instr.operands:
                use(operand)
            for inner in instr.regions:
                visit(inner)
            defined.update(instr.results)
            for result in instr.results:
                use_type(result)
        for result in block.results:
            use(result)

    visit(region)
    return [v for v in free if v not in defined]
