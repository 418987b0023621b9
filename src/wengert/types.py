"""Types of IR values: dtypes, symbolic dimensions, tensors and stacks.

The one idea: a dimension is an affine expression over integer values of the program (`%n - 2`), kept in a normal form, so
that two shapes are equal exactly when their dimensions compare equal. What is made very often has `Final` fields: it is immutable
to the type checker, at no cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numpy as np


@dataclass(frozen=True, eq=False)
class DType:
    """An element type; `name` is its notation in the IR. There is one object of each."""

    name: str
    numpy: np.dtype
    is_float: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _dtype_called, (self.name,)

    @property
    def itemsize(self) -> int:
        """Size of one element in bytes."""
        return int(self.numpy.itemsize)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name


F64 = DType("f64", np.dtype(np.float64), is_float=True)
F32 = DType("f32", np.dtype(np.float32), is_float=True)
I64 = DType("i64", np.dtype(np.int64))
BOOL = DType("bool", np.dtype(np.bool_))
DTYPES: dict[str, DType] = {d.name: d for d in (F64, F32, I64, BOOL)}


def _dtype_called(name: str) -> DType:
    return DTYPES[name]


NUMPY_DTYPES = frozenset(d.numpy for d in DTYPES.values())


def promoted(*dtypes: DType) -> DType:
    """The dtype that NumPy computes in with arrays of these dtypes: the widest one, and f64 for f32 beside i64.

    Example:
        >>> promoted(F32, BOOL), promoted(F32, I64)
        (f32, f64)
    """
    if F64 in dtypes or (F32 in dtypes and I64 in dtypes):
        return F64
    return F32 if F32 in dtypes else I64 if I64 in dtypes else BOOL


def widened(dtype: DType, least: DType) -> DType:
    """`dtype`, or `least` where that is of a wider kind (bool, integer, float): f32 is a float already.

    Example:
        >>> widened(F32, F64), widened(I64, F64)
        (f32, f64)
    """
    return dtype if dtype.is_float or dtype == least else promoted(dtype, least)


def plain_number(value: float | bool, dtype: DType) -> float | bool:
    """A number as the Python number that a constant of `dtype` holds; f32 is rounded."""
    if dtype == F32:
        with np.errstate(over="ignore"):
            return float(np.float32(value))
    return bool(value) if dtype == BOOL else int(value) if dtype == I64 else float(value)



class Symbol(Protocol):
    """What a dimension may refer to: an integer IR value, or a `Slot`. Ordered by `serial`, compared by identity."""

    @property
    def name(self) -> str: ...

    @property
    def serial(self) -> int: ...


@dataclass(frozen=True)
class Slot:
    """Refers to the `index`-th result of the instruction (or element of the stack entry) that the type belongs to."""

    index: int

    @property
    def name(self) -> str:
        """Notation in printed types."""
        return f"#{self.index}"

    @property
    def serial(self) -> int:
        """Slots sort before values."""
        return self.index - 1_000_000


@dataclass(eq=False, slots=True)
class Dim:
    """`const + sum(coefficient * symbol)`, with at least one term; a dimension without terms is a plain int."""

    const: Final[int]
    terms: Final[tuple[tuple[Symbol, int], ...]]

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is Dim and self.const == other.const and self.terms == other.terms)

    def __hash__(self) -> int:
        return hash((self.const, self.terms))

    def __str__(self) -> str:
        text = ""
        for symbol, coefficient in self.terms:
            name = symbol.name if isinstance(symbol, Slot) else f"%{symbol.name}"
            factor = name if abs(coefficient) == 1 else f"{abs(coefficient)}*{name}"
            sign = "-" if coefficient < 0 else ("+" if text else "")
            text += sign + factor
        return text + (f"{self.const:+d}" if self.const else "")

    def __repr__(self) -> str:
        return f"Dim({self})"


Affine: TypeAlias = int | Dim


def dim_of(symbol: Symbol) -> Dim:
    """The dimension that is just `symbol`."""
    return Dim(0, ((symbol, 1),))


def _parts(d: Affine) -> tuple[int, tuple[tuple[Symbol, int], ...]]:
    return (d, ()) if isinstance(d, int) else (d.const, d.terms)


def dim_add(a: Affine, b: Affine, scale: int = 1) -> Affine:
    """`a + scale * b` in normal form."""
    if isinstance(b, int):
        if isinstance(a, int):
            return a + scale * b
        return Dim(a.const + scale * b, a.terms) if b else a
    const_a, terms_a = _parts(a)
    const_b, terms_b = _parts(b)
    total = dict(terms_a)
    for symbol, coefficient in terms_b:
        total[symbol] = total.get(symbol, 0) + scale * coefficient
    terms = tuple(sorted(((s, c) for s, c in total.items() if c), key=lambda t: t[0].serial))
    const = const_a + scale * const_b
    return Dim(const, terms) if terms else const


def dim_scale(a: Affine, factor: int) -> Affine:
    """`factor * a` in normal form."""
    return dim_add(0, a, factor)


def dim_substitute(d: Affine, mapping: Mapping[Symbol, Affine] | Callable[[Symbol], Affine | None]) -> Affine:
    """`d` with symbols replaced; symbols that are not in `mapping` stay."""
    if isinstance(d, int):
        return d
    lookup = mapping if callable(mapping) else mapping.get
    result: Affine = d.const
    for symbol, coefficient in d.terms:
        new = lookup(symbol)
        result = dim_add(result, dim_of(symbol) if new is None else new, coefficient)
    return result


@dataclass(eq=False, slots=True)
class TensorType:
    """`f64[3,%n]`: dtype and dimensions; rank 0 is a scalar held in a register."""

    dtype: Final[DType]
    dims: Final[tuple[Affine, ...]] = ()

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is TensorType and self.dtype is other.dtype and self.dims == other.dims)

    def __hash__(self) -> int:
        return hash((self.dtype, self.dims))

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.dims)

    @property
    def is_float(self) -> bool:
        """Whether values of this type have tangents."""
        return self.dtype.is_float

    def symbols(self) -> list[Symbol]:
        """The symbols that the dimensions refer to."""
        return [s for d in self.dims if isinstance(d, Dim) for s, _ in d.terms]

    def substitute(self, mapping: Mapping[Symbol, Affine] | Callable[[Symbol], Affine | None]) -> TensorType:
        """The type with the symbols of its dimensions replaced."""
        if not any(isinstance(d, Dim) for d in self.dims):
            return self
        return TensorType(self.dtype, tuple(dim_substitute(d, mapping) for d in self.dims))

    def with_dims(self, dims: tuple[Affine, ...]) -> TensorType:
        """Same dtype, other dimensions."""
        return TensorType(self.dtype, dims) if dims else SCALAR_TYPES[self.dtype]

    def with_dtype(self, dtype: DType) -> TensorType:
        """Same dimensions, other dtype."""
        return TensorType(dtype, self.dims) if self.dims else SCALAR_TYPES[dtype]

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.dims))}]"

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class StackType:
    """`stack(f64[], i64[])`: a growable last-in-first-out store whose entries are tuples of tensors.

    The dimension of an element may refer to an earlier integer element of the same entry by `Slot`.
    """

    elements: tuple[TensorType, ...]

    def symbols(self) -> list[Symbol]:
        """The outer symbols that the elements' dimensions refer to (slots left out)."""
        return [s for e in self.elements for s in e.symbols() if not isinstance(s, Slot)]

    def substitute(self, mapping: Mapping[Symbol, Affine] | Callable[[Symbol], Affine | None]) -> StackType:
        """The type with outer symbols replaced."""
        return StackType(tuple(e.substitute(mapping) for e in self.elements))

    def __str__(self) -> str:
        return f"stack({', '.join(map(str, self.elements))})"

    def __repr__(self) -> str:
        return str(self)


Type: TypeAlias = TensorType | StackType


def describe_type(type: Type) -> str:
    """The type as users see it: sizes that are known only at run time are the letters n, m, k, ... of this one text.

    Example:
        >>> describe_type(TensorType(F64, (3,)))
        'f64[3]'
    """
    return describe_types(type)[0]


def describe_types(*types: Type) -> tuple[str, ...]:
    """Several types in one text: one letter is one size."""
    letters: dict[Symbol, str] = {}
    return tuple(f"{t.dtype}[{describe_sizes(t.dims, letters)}]" if isinstance(t, TensorType) else str(t) for t in types)


def describe_sizes(sizes: Iterable[Affine], letters: dict[Symbol, str]) -> str:
    """Sizes with commas between them; `letters` holds the letters in use."""
    return ",".join(_describe_size(size, letters) for size in sizes)


def _describe_size(size: Affine, letters: dict[Symbol, str]) -> str:
    if isinstance(size, int):
        return str(size)
    text = ""
    for symbol, coefficient in size.terms:
        name = letters.setdefault(symbol, "nmkpqrst"[len(letters) % 8])
        sign = "-" if coefficient < 0 else ("+" if text else "")
        text += sign + (name if abs(coefficient) == 1 else f"{abs(coefficient)}*{name}")
    return text + (f"{size.const:+d}" if size.const else "")

F64_SCALAR = TensorType(F64)
F32_SCALAR = TensorType(F32)
I64_SCALAR = TensorType(I64)
BOOL_SCALAR = TensorType(BOOL)
SCALAR_TYPES = {t.dtype: t for t in (F64_SCALAR, F32_SCALAR, I64_SCALAR, BOOL_SCALAR)}
"""The types of scalars by dtype: what is made of them most often is one object, which compares at once."""
