"""Handlers of NumPy's sorting: permutations are an op, sorted values are gathered by them, and so are medians and quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.advanced import mask_positions
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, as_array, is_python_number, lift, refuse_options, result
from wengert.frontend.broadcasting import assume
from wengert.frontend.elementwise import apply, astype, select
from wengert.frontend.emit import (
    as_float,
    builder,
    fail,
    is_at_least,
    product_of,
    to_dtype,
    unsupported,
    value_of,
    values_of,
)
from wengert.frontend.registry import PASS, handle, register
from wengert.frontend.shapes import axes_from, axis_number, python_shape
from wengert.frontend.views import invert
from wengert.ir.core import Value
from wengert.types import BOOL, F32, F64, I64, Affine, dim_add, promoted, widened

# --- along an axis ---------------------------------------------------------------------------------------------------


def axis_last(a: Any, axis: Any) -> tuple[Array, tuple[int, ...]]:
    """`a` with `axis` moved to the end, and the permutation that brought it there; None flattens."""
    x = as_array(a)
    x = x.ravel() if axis is None or not x.ndim else x
    number = axis_number(-1 if axis is None else axis, x.ndim)
    perm = (*(k for k in range(x.ndim) if k != number), number)
    return x.permuted(perm), perm


def back(value: Value, perm: tuple[int, ...]) -> Array:
    """A new array with the axes that `axis_last` moved where they were."""
    order = invert(perm)
    return Array(value if order == tuple(range(len(perm))) else builder().transpose(value, perm=order))


def gather_last(x: Value, index: Value) -> Value:
    """`x[..., index]` row by row: both have the same leading axes, and the positions are in range."""
    b = builder()
    if x.rank == 1:
        found: Value = b.gather(x, index)
        return found
    places = _flat_places(index, x.dims[-1])
    found = b.gather(b.reshape(x, value_of(product_of(x.dims))), places)
    return b.reshape(found, *values_of(index.dims))


def scatter_last(x: Value, index: Value, rows: Value, distinct: bool) -> Value:
    """`x` with `x[..., index]` replaced row by row."""
    b = builder()
    if x.rank == 1:
        found: Value = b.scatter(x, index, rows, distinct=distinct)
        return found
    places = _flat_places(index, x.dims[-1])
    flat, flat_rows = b.reshape(x, value_of(product_of(x.dims))), b.reshape(rows, value_of(places.dims[0]))
    flat = b.scatter(flat, places, flat_rows, distinct=distinct)
    return b.reshape(flat, *values_of(x.dims))


def _flat_places(index: Value, width: Affine) -> Value:
    b = builder()
    count = product_of(index.dims[:-1])
    starts = b.mul(b.iota(value_of(count)), b.full((count,), value_of(width)))
    spread = b.broadcast_to(b.reshape(starts, *values_of(index.dims[:-1])), index.dims, tuple(range(index.rank - 1)))
    places: Value = b.reshape(b.add(index, spread), value_of(product_of(index.dims)))
    return places


def permutation(x: Value) -> Value:
    """The stable order of the rows along the last axis."""
    found: Value = builder().argsort(to_dtype(x, I64) if x.tensor.dtype == BOOL else x)
    return found


def ordered(x: Value) -> Value:
    """The rows along the last axis, sorted."""
    return gather_last(x, permutation(x))


# --- sorting ---------------------------------------------------------------------------------------------------------


def _sorter(function: Any, name: str, positions: bool, has_kth: bool) -> None:
    def handler(a: Any, *args: Any, **options: Any) -> Any:
        if not any_box(a):
            return PASS
        names = ("kth", "axis", "kind", "order") if has_kth else ("axis", "kind", "order")
        given = dict(zip(names, args, strict=False)) | options
        refuse_options(name, order=(given.get("order"), None))
        x, perm = axis_last(a, given.get("axis", -1))
        return back(permutation(x.value) if positions else ordered(x.value), perm)

    register(function)(handler)


_sorter(np.sort, "np.sort", False, False)
_sorter(np.argsort, "np.argsort", True, False)
_sorter(np.partition, "np.partition", False, True)
_sorter(np.argpartition, "np.argpartition", True, True)


@register(np.lexsort)
def lexsort(keys: Any, axis: Any = -1) -> Any:
    """`np.lexsort`: by the last key, ties by the one before it, and so on."""
    if not any_box(keys):
        return PASS
    rows = [axis_last(keys[k], axis) for k in range(len(keys))]
    order: Value | None = None
    for x, _ in rows:
        order = permutation(x.value) if order is None else gather_last(order, permutation(gather_last(x.value, order)))
    if order is None:
        fail(TypeError, "need sequence of keys with len > 0 in lexsort")
    return back(order, rows[0][1])


@register(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """`np.searchsorted`."""
    if not any_box(a, v, sorter):
        return PASS
    table = as_array(a)
    if table.ndim != 1:
        fail(ValueError, "object too deep for desired array")
    if sorter is not None:
        table = table[sorter]
    wanted = lift(v)
    dtype = widened(promoted(table.element, wanted.tensor.dtype), I64)
    return result(builder().searchsorted(to_dtype(table.value, dtype), to_dtype(wanted, dtype), side=str(side)))


# --- distinct elements -----------------------------------------------------------------------------------------------


@register(np.unique)
def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: Any = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
) -> Any:
    """`np.unique` of the elements, with index, inverse and counts."""
    if not any_box(ar):
        return PASS
    if axis is not None:
        unsupported("np.unique along an axis is not supported yet", "flatten the rows into one key each", StagingError)
    b = builder()
    shape = as_array(ar).shape
    x = as_array(ar).ravel().value
    order = permutation(x)
    values = Array(b.gather(x, order))
    fresh = handle(np.not_equal, values[1:], values[:-1])
    if x.is_float and equal_nan:
        known = apply(np.equal, values, values)
        fresh = apply(np.logical_and, fresh, apply(np.logical_or, known[:-1], known[1:]))
    first = handle(np.concatenate, [handle(np.ones_like, values[:1], dtype=bool), fresh])
    places = Array(mask_positions(first.value))
    found: list[Any] = [values[places]]
    if return_index:
        found.append(Array(order)[places])
    if return_inverse:
        group = handle(np.cumsum, first) - 1
        found.append(Array(b.scatter(b.full(x.dims, 0), order, assume(group.value, x.dims), distinct=True)).reshape(shape))
    if return_counts:
        ends = handle(np.concatenate, [places[1:], handle(np.array, [values.shape[0]])])
        found.append(ends - places[: ends.shape[0]])
    return found[0] if len(found) == 1 else tuple(found)


# --- medians and quantiles -------------------------------------------------------------------------------------------

# Hyndman and Fan, "Sample quantiles in statistical packages", The American Statistician 50 (1996): alpha and beta of the
# position n q + alpha + q (1 - alpha - beta) - 1 between two elements.
_CONTINUOUS = {
    "interpolated_inverted_cdf": (0.0, 1.0),
    "hazen": (0.5, 0.5),
    "weibull": (0.0, 0.0),
    "linear": (1.0, 1.0),
    "median_unbiased": (1.0 / 3.0, 1.0 / 3.0),
    "normal_unbiased": (3.0 / 8.0, 3.0 / 8.0),
}


def _quantile_of(function: Any, scale: float, skips_nan: bool) -> None:
    name = f"np.{function.__name__}"

    def handler(
        a: Any,
        q: Any,
        axis: Any = None,
        out: Any = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: Any = False,
        **options: Any,
    ) -> Any:
        if not any_box(a, q):
            return PASS
        refuse_options(name, out=(out, None), **{k: (v, None) for k, v in options.items()})
        part = apply(np.divide, q, scale) if scale != 1.0 else q
        return _quantiles(as_array(a), part, axis, method, keepdims is True, skips_nan)

    register(function)(handler)


_quantile_of(np.quantile, 1.0, False)
_quantile_of(np.percentile, 100.0, False)
_quantile_of(np.nanquantile, 1.0, True)
_quantile_of(np.nanpercentile, 100.0, True)


def _median_of(function: Any, skips_nan: bool) -> None:
    def handler(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
        if not any_box(a):
            return PASS
        refuse_options(f"np.{function.__name__}", out=(out, None))
        return _quantiles(as_array(a), 0.5, axis, "midpoint", keepdims is True, skips_nan)

    register(function)(handler)


_median_of(np.median, False)
_median_of(np.nanmedian, True)


def _quantiles(x: Array, q: Any, axis: Any, method: str, keepdims: bool, skips_nan: bool) -> Any:
    """Quantiles over `axis` (None, a number or several), the axes of `q` first."""
    axes = axes_from(axis, x.ndim)
    rest = tuple(k for k in range(x.ndim) if k not in axes)
    kept = python_shape([x.dims[k] for k in rest])
    rows = x.permuted((*rest, *axes)).reshape((*kept, -1)) if len(axes) != 1 else x.permuted((*rest, *axes))
    values = as_float(rows.value)
    _ensure_elements(values.dims[-1])
    part = as_array(q)
    shape = (*part.shape, *kept)
    inside = handle(np.all, (part >= 0.0) & (part <= 1.0))
    _ensure_range(inside)
    table = ordered(values)
    found = [_one_quantile(table, each, method, skips_nan) for each in _each(part.ravel())]
    together = handle(np.stack, found) if part.ndim else found[0]
    if values.tensor.dtype == F32 and (is_python_number(q) or part.element == F32):
        together = astype(together, F32)
    if part.ndim > 1:
        together = together.reshape(shape)
    if keepdims:
        together = handle(np.expand_dims, together, tuple(part.ndim + k for k in axes)) if axes else together
    return together


def _each(q: Array) -> list[Any]:
    return [q[k] for k in range(len(q))]


def _ensure_elements(size: Affine) -> None:
    if not is_at_least(size, 1):
        b = builder()
        b.check(b.ge(value_of(size), b.const(1)), exception="ValueError", message="a quantile of no elements is not defined here")


def _ensure_range(inside: Any) -> None:
    if isinstance(inside, bool | np.bool_):
        if not inside:
            fail(ValueError, "Quantiles must be in the range [0, 1]")
        return
    builder().check(lift(inside), exception="ValueError", message="Quantiles must be in the range [0, 1]")


def _one_quantile(table: Value, q: Any, method: str, skips_nan: bool) -> Any:
    """One quantile of the sorted rows of `table`, nan where a row holds one (or is empty but for nan, if these are skipped)."""
    b = builder()
    rest = table.dims[:-1]
    last = b.index(table, *[b.dim(dim_add(table.dims[-1], -1))], spec=(*(":" for _ in rest), "i"))
    if skips_nan:
        numbers = b.sum(b.convert(b.eq(table, table), dtype=I64), axes=(table.rank - 1,))
    else:
        numbers = b.full(rest, value_of(table.dims[-1]))
    low, high, gap = _neighbours(result(to_dtype(numbers, F64)), q, method)
    below, above = (_pick(table, as_array(k)) for k in (low, high))
    found = _between(below, above, gap)
    if skips_nan:
        return found
    whole = result(last)
    return select(apply(np.isnan, whole), whole, found)


def _neighbours(count: Any, q: Any, method: str) -> tuple[Any, Any, Any]:
    """The positions on both sides of a quantile, and how far it is from the first to the second."""
    if method in _CONTINUOUS:
        alpha, beta = _CONTINUOUS[method]
        place = count * q + (q * (1.0 - alpha - beta) + (alpha - 1.0)) if method != "linear" else (count - 1.0) * q
        place = _within(place, count)
        low = apply(np.floor, place)
        return low, _within(low + 1.0, count), place - low
    place = (count - 1.0) * q
    low, high = apply(np.floor, place), apply(np.ceil, place)
    if method == "lower":
        return low, low, 0.0
    if method == "higher":
        return high, high, 0.0
    if method == "midpoint":
        return low, high, 0.5
    if method == "nearest":
        middle = apply(np.rint, place)
        return middle, middle, 0.0
    unsupported(f"the quantile method {method!r} is not supported", "use 'linear'", StagingError)


def _within(place: Any, count: Any) -> Any:
    return apply(np.maximum, apply(np.minimum, place, count - 1.0), 0.0)


def _pick(table: Value, place: Array) -> Any:
    """The elements at the positions `place`, one per row."""
    index = to_dtype(place.value, I64)
    zero = builder().full(index.dims, 0)
    index = builder().maximum(index, zero)
    column = builder().reshape(index, *values_of((*index.dims, 1)))
    found = gather_last(table, column)
    return result(builder().reshape(found, *values_of(index.dims)))


def _between(below: Any, above: Any, gap: Any) -> Any:
    """NumPy's interpolation: from the nearer end."""
    if isinstance(gap, float) and gap == 0.0:
        return below
    if isinstance(gap, float) and gap == 0.5:
        return apply(np.multiply, apply(np.add, below, above), 0.5)
    distance = apply(np.subtract, above, below)
    near = apply(np.subtract, above, distance * apply(np.subtract, 1.0, gap))
    return select(apply(np.greater_equal, gap, 0.5), near, below + distance * gap)
