"""Sample calls of every op, drawn from its declaration: what the tests of the registry run on.

Elementwise ops are drawn from the ranges in `samples`, in every dtype and several shapes. The samples of other ops are
cases `(operands, attributes)`, an operand being a type to draw (`"f64[2,3]"`), an int, or a tuple of ints. A word behind a type
asks for matrices that a factorisation takes: `"f64[3,3] definite"`, see `structured`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert.errors import ArgumentError
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Value
from wengert.ir.op import OpDef
from wengert.types import DTYPES, F32, F64, I64, DType, TensorType

SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (3,), (2, 3), (0,), (2, 0))


@dataclass(frozen=True)
class Sample:
    """One call of an op.

    Attributes:
        op: the op.
        operands: NumPy scalars and arrays.
        attrs: its attributes.
        fixed: positions of operands that are constants of the program: sizes and indices.
    """

    op: OpDef
    operands: tuple[Any, ...]
    attrs: dict[str, Any]
    fixed: frozenset[int] = frozenset()

    @property
    def free(self) -> tuple[int, ...]:
        """Positions of operands that are arguments of `function`."""
        return tuple(k for k in range(len(self.operands)) if k not in self.fixed)

    @property
    def arguments(self) -> list[Any]:
        """The operands at `free`."""
        return [self.operands[k] for k in self.free]

    @property
    def floats(self) -> list[int]:
        """Positions among `arguments` of those that have tangents."""
        return [k for k, a in enumerate(self.arguments) if a.dtype == F64.numpy]

    def function(self, symbolic: bool = False) -> Function:
        """The call as a function of `arguments`, whose sizes are named (`%n`) instead of known if `symbolic`."""
        names: dict[int, Value] = {}
        params = [Value(_type_of(a, names if symbolic else None), f"x{k}") for k, a in zip(self.free, self.arguments)]
        builder = Builder()
        given = dict(zip(self.free, params, strict=True))
        operands = [given[k] if k in given else builder.const(int(o)) for k, o in enumerate(self.operands)]
        results = builder.emit(self.op, operands, self.attrs)
        return Function(f"call_{self.op.name}", tuple(names.values()), tuple(params), tuple(builder.instrs), results)

    def call(self, arguments: Sequence[Any]) -> Any:
        """The value of the NumPy implementation with other arguments."""
        assert self.op.impl is not None
        operands = list(self.operands)
        for k, argument in zip(self.free, arguments, strict=True):
            operands[k] = argument
        return self.op.impl(*operands, **self.attrs)

    def __str__(self) -> str:
        types = ", ".join(str(o) if k in self.fixed else str(_type_of(o, None)) for k, o in enumerate(self.operands))
        attrs = ", ".join(f"{k}={v}" for k, v in self.attrs.items())
        return f"{self.op.name}({types})" + (f" {{{attrs}}}" if attrs else "")


def _type_of(array: Any, names: dict[int, Value] | None) -> TensorType:
    dtype = next(d for d in DTYPES.values() if d.numpy == array.dtype)
    if names is None:
        return TensorType(dtype, np.shape(array))
    for size in np.shape(array):
        names.setdefault(size, Value(TensorType(I64), f"n{size}"))
    return TensorType(dtype, tuple(names[size].affine for size in np.shape(array)))


def samples_of(op: OpDef, rng: np.random.Generator) -> list[Sample]:
    """Sample calls of `op`.

    Raises:
        ArgumentError: it declares none.
    """
    if not op.samples:
        raise ArgumentError(f"op {op.name!r} declares no samples")
    if op.kind == "elementwise":
        return list(_elementwise(op, rng))
    return [_draw_case(op, operands, attrs, rng) for operands, attrs in op.samples]


def _elementwise(op: OpDef, rng: np.random.Generator) -> Iterator[Sample]:
    arity = len(op.jvp) if isinstance(op.jvp, tuple) else op.extra["arity"]
    ranges = op.samples if isinstance(op.samples[0], tuple) else (op.samples,) * arity
    fixed_dtypes = op.extra.get("operands", (None,) * arity)
    for dtype in (d for d in op.extra["dtypes"] if d != F32):
        for attrs in op.extra.get("attrs", ({},)):
            for shape in SHAPES:
                dtypes = [dtype if name is None else DTYPES[name] for name in fixed_dtypes]
                operands = [draw(d, shape, r, rng) for d, r in zip(dtypes, ranges, strict=True)]
                yield Sample(op, tuple(operands), dict(attrs))


def _draw_case(op: OpDef, operands: Sequence[Any], attrs: dict[str, Any], rng: np.random.Generator) -> Sample:
    drawn: list[Any] = []
    fixed: set[int] = set()
    for k, operand in enumerate(operands):
        if isinstance(operand, str):
            text, _, structure = operand.partition(" ")
            declared = parse_type(text)
            numbers = draw(declared.dtype, declared.dims, (-3.0, 3.0), rng)  # type: ignore[arg-type]
            drawn.append(structured(numbers, structure))
        else:
            drawn.append(np.asarray(operand, dtype=np.int64)[()])
            if isinstance(operand, int):
                fixed.add(k)
    return Sample(op, tuple(drawn), attrs, frozenset(fixed))


def parse_type(text: str) -> TensorType:
    """The type with known sizes that `text` stands for.

    Example:
        >>> parse_type("f64[2,3]")
        f64[2,3]
    """
    found = re.fullmatch(r"(\w+)\[([\d,]*)\]", text)
    if found is None or found[1] not in DTYPES:
        raise ArgumentError(f"{text!r} is not a type with known sizes, such as 'f64[2,3]'")
    return TensorType(DTYPES[found[1]], tuple(int(n) for n in found[2].split(",") if n))


def structured(numbers: Any, structure: str) -> Any:
    """Random matrices turned into such that suit an op.

    Args:
        numbers: matrices of numbers between -3 and 3.
        structure: "regular" (full rank, well conditioned, singular values apart), "definite" (lower triangles of positive
            definite matrices with eigenvalues apart; the upper ones hold something else), "singular", or "" for no change.

    Raises:
        ArgumentError: another word.
    """
    if not structure:
        return numbers
    rows, columns = numbers.shape[-2:]
    steps = np.zeros((rows, columns))
    np.fill_diagonal(steps, 5.0 + 2.0 * np.arange(min(rows, columns)))
    if structure == "regular":
        return 0.3 * numbers + steps
    if structure == "definite":
        return 0.3 * np.tril(numbers) + steps + np.triu(numbers, 1)
    if structure == "singular":
        return np.full_like(numbers, 0.5)
    raise ArgumentError(f"{structure!r} is no structure of matrices", expected="regular, definite or singular")


def draw(dtype: DType, shape: tuple[int, ...], limits: tuple[float, float], rng: np.random.Generator) -> Any:
    """Random numbers between `limits`: a NumPy scalar for rank 0."""
    numbers = rng.uniform(*limits, size=shape)
    if dtype.is_float:
        return np.asarray(numbers).astype(dtype.numpy)[()]
    if dtype == I64:
        return np.asarray(np.round(numbers).astype(np.int64))[()]
    return np.asarray(rng.random(size=shape) < 0.5)[()]
