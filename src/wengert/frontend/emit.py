"""Small steps that boxes and tables share: sizes as values, dtype changes, checks, errors with the user's line.

Everything here works on IR values; Python numbers in place of dimensions are static sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

from wengert.errors import StagingError, UnsupportedError, describe
from wengert.frontend.context import current, trace_now
from wengert.ir.builder import Builder
from wengert.ir.core import Value
from wengert.ir.op import get_op
from wengert.types import BOOL, DTYPES, F32, F64, I64_SCALAR, Affine, Dim, DType, dim_add, promoted, widened

E = TypeVar("E", bound=BaseException)


def builder() -> Builder:
    """The builder that receives instructions now."""
    trace = trace_now()
    return current().builder if trace is None else trace.builder


def fail(exception: type[E], message: str, **parts: str | None) -> NoReturn:
    """Raise `exception` with the user's line in the message."""
    raise exception(describe(message, current().span, **parts))


def unsupported(message: str, fix: str | None = None, error: type[UnsupportedError] = UnsupportedError) -> NoReturn:
    """Raise an UnsupportedError (or the subclass `error`) at the user's line."""
    raise error(message, current().span, fix=fix)


# --- dtypes ----------------------------------------------------------------------------------------------------------


def common_dtype(*dtypes: DType) -> DType:
    """NumPy's promotion: bool < i64 < f64, bool < f32 < f64, and f64 for i64 beside f32."""
    return dtypes[0] if len(dtypes) == 1 else promoted(*dtypes)


def joined_dtype(*numbers: tuple[DType, bool]) -> DType:
    """The dtype of what is one number or another, each with whether it is NumPy's: Python's numbers beside f32 are f32."""
    dtypes = [d for d, _ in numbers]
    if F32 in dtypes:
        dtypes = [d for d, is_numpy in numbers if is_numpy or d in (F32, BOOL)]
    return common_dtype(*dtypes)


def to_dtype(value: Value, dtype: DType) -> Value:
    """`value` converted to `dtype`, or as it is."""
    if value.tensor.dtype == dtype:
        return value
    return builder().convert(value, dtype=dtype)


def as_float(value: Value) -> Value:
    """`value` if it holds floats, else converted to f64."""
    return to_dtype(value, widened(value.tensor.dtype, F64))


def dtype_from(spec: Any) -> DType:
    """The IR dtype that a NumPy dtype argument names.

    Raises:
        UnsupportedError: any dtype but float64, float32, int64 and bool.
    """
    if isinstance(spec, DType):
        return spec
    found = np.dtype(spec)
    for dtype in DTYPES.values():
        if found == dtype.numpy:
            return dtype
    unsupported(
        f"arrays and numbers of dtype {found} are not supported",
        fix="use float64, float32, int64 or bool (for example `x.astype(float)` before the call)",
        error=StagingError if found.kind == "O" and not current().eager else UnsupportedError,
    )


# --- sizes -----------------------------------------------------------------------------------------------------------


def is_at_least(d: Affine, minimum: int) -> bool:
    """Whether `d >= minimum` is known, if need be by specialising the trace to argument sizes for which it holds."""
    if isinstance(d, int):
        return d >= minimum
    return bool(current().assume_at_least(d, minimum))


def difference(a: Affine, b: Affine) -> Affine:
    """`a - b`."""
    return dim_add(a, b, -1)


def value_of(d: Affine) -> Value:
    """A dimension as an `i64[]` value."""
    if isinstance(d, Dim) and d.const == 0 and len(d.terms) == 1 and d.terms[0][1] == 1:
        symbol = d.terms[0][0]
        if isinstance(symbol, Value):
            return symbol
    return builder().dim(d)


def values_of(dims: Sequence[Affine]) -> list[Value]:
    """Dimensions as `i64[]` values."""
    return [value_of(d) for d in dims]


def product_of(dims: Sequence[Affine]) -> Affine:
    """The number of elements of an array of shape `dims`; opaque when two sizes are symbolic."""
    total: Affine = 1
    for d in dims:
        if isinstance(total, int):
            total = dim_add(0, d, total)
        elif isinstance(d, int):
            total = dim_add(0, total, d)
        else:
            total = _product(total, d)
    return total


def _product(a: Affine, b: Affine) -> Affine:
    return remember("product", (a, b), lambda: builder().mul(value_of(a), value_of(b))).affine


def remember(what: str, key: Any, make: Callable[[], Value]) -> Value:
    """The value that `make()` emits, or the one it emitted earlier for the same `key` in the same region.

    Equal clamps and products thereby are one symbol, so that `x[:i] + y[:i]` has provably equal shapes.
    """
    trace = current()
    if trace.eager:
        return make()
    memo = trace.extra.setdefault("emitted", {})
    region = trace.builder
    found = memo.get((what, id(region), key))
    if found is None:
        # The region is kept alive with the entry, so that its id is not used again.
        found = memo[what, id(region), key] = (make(), region)
    kept: Value = found[0]
    return kept


# --- loops -----------------------------------------------------------------------------------------------------------


def for_loop(count: Affine, carry: Sequence[Value], body: Callable[..., Sequence[Value]]) -> tuple[Value, ...]:
    """The final carry of a staged loop; `body(i, *carry)` gives the next one, and what it emits goes into the loop."""
    b = builder()

    def inside(inner: Builder, *params: Value) -> Sequence[Value]:
        with current().building(inner):
            return body(*params)

    region = b.region([I64_SCALAR, *(v.type for v in carry)], inside)
    return b.emit(get_op("for"), (value_of(count), *carry), {}, (region,))


# --- checks ----------------------------------------------------------------------------------------------------------


def ensure(condition: Value | bool, exception: str, message: str, *extras: Value, sizes: bool = False) -> None:
    """Raise `exception` at run time unless `condition` holds; `message` is formatted with the values of `extras`.

    `sizes` says that another trace, in which sizes are known, might go another way: an axis of size 1 repeats.
    """
    if condition is True:
        return
    b = builder()
    if not isinstance(condition, Value):
        condition = b.const(False)
    more = {"_sizes": True} if sizes else {}
    b.check(condition, *extras, exception=exception, message=message, **more)


def logical_and(x: Value, y: Value) -> Value:
    """The op `and`, whose name Python does not let us write after a dot."""
    return getattr(builder(), "and")(x, y)


def logical_or(x: Value, y: Value) -> Value:
    """The op `or`."""
    return getattr(builder(), "or")(x, y)


def logical_not(x: Value) -> Value:
    """The op `not`."""
    return getattr(builder(), "not")(x)
