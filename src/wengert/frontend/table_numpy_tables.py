"""Handlers of NumPy functions that look numbers up or count them: interpolation, bins, histograms."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, as_array, is_box, is_number, lift, result
from wengert.frontend.broadcasting import assume, broadcast_into, unify
from wengert.frontend.elementwise import apply, select
from wengert.frontend.emit import builder, ensure, fail, is_at_least, to_dtype, unsupported, value_of
from wengert.frontend.registry import PASS, handle, register
from wengert.frontend.shapes import affine_of
from wengert.ir.core import Value
from wengert.types import F64, I64, Affine, widened


@register(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """`np.interp`: at a knot the slope is that to its right."""
    if not any_box(x, xp, fp, left, right, period):
        return PASS
    knots, values = floats(xp), floats(fp)
    if knots.ndim != 1 or values.ndim != 1:
        fail(ValueError, "Data points must be 1-D sequences")
    size = unify(knots.dims[0], values.dims[0], "fp and xp are not of the same length:", [knots.dims, values.dims])
    if not is_at_least(size, 1):
        ensure(builder().ge(value_of(size), builder().const(1)), "ValueError", "array of sample points is empty")
    values = Array(assume(values.value, (size,)))
    at = result(floats(x).value)
    if period is not None:
        return _periodic(at, knots, values, period)
    low = values[0] if left is None else left
    high = values[-1] if right is None else right
    if size == 1:
        inside = values[0]
    else:
        found = result(builder().searchsorted(knots.value, lift(at), side="right"))
        k = handle(np.clip, apply(np.subtract, found, 1), 0, apply(np.subtract, values.shape[0], 2))
        rise = apply(np.divide, values[k + 1] - values[k], knots[k + 1] - knots[k])
        inside = apply(np.add, rise * apply(np.subtract, at, knots[k]), values[k])
        at_end = apply(np.add, rise * apply(np.subtract, at, knots[-1]), values[-1])
        inside = select(apply(np.equal, at, knots[-1]), at_end, inside)
    inside = select(apply(np.less, at, knots[0]), low, inside)
    inside = select(apply(np.greater, at, knots[-1]), high, inside)
    return select(apply(np.isnan, at), at, inside)


def floats(x: Any) -> Array:
    """`x` as an array of floats."""
    return Array(to_dtype(lift(x), F64))


def _periodic(at: Any, knots: Array, values: Array, period: Any) -> Any:
    length = apply(np.absolute, period)
    at, places = apply(np.remainder, at, length), apply(np.remainder, knots, length)
    order = handle(np.argsort, places)
    places, values = places[order], values[order]
    places = handle(np.concatenate, [places[-1:] - length, places, places[:1] + length])
    values = handle(np.concatenate, [values[-1:], values, values[:1]])
    return interp(at, places, values)


@register(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """`np.digitize`, with edges that increase or decrease."""
    if not any_box(x, bins):
        return PASS
    edges = floats(bins)
    side = "left" if right else "right"
    if not is_box(bins) and (np.diff(np.asarray(bins)) >= 0).all():
        return handle(np.searchsorted, edges, x, side)
    steps = handle(np.diff, edges)
    rises = handle(np.all, apply(np.greater_equal, steps, 0.0))
    falls = handle(np.all, apply(np.less_equal, steps, 0.0))
    monotonic = lift(apply(np.logical_or, rises, falls))
    ensure(monotonic, "ValueError", "bins must be monotonically increasing or decreasing")
    up = handle(np.searchsorted, edges, x, side)
    down = apply(np.subtract, edges.shape[0], handle(np.searchsorted, edges[::-1], x, side))
    return select(rises, up, down)


# --- counting --------------------------------------------------------------------------------------------------------


@register(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: Any = 0) -> Any:
    """`np.bincount`: the sums of the weights are differentiable."""
    if not any_box(x, weights, minlength):
        return PASS
    number = as_array(x)
    if number.ndim != 1 or number.element != I64:
        fail(TypeError, "np.bincount takes one-dimensional arrays of integers")
    b = builder()
    least = affine_of(minlength, "minlength")
    size = _largest(x, number, least)
    ensure(lift(handle(np.all, number >= 0)), "ValueError", "'list' argument must have no negative elements")
    # One more than the largest integer is none; NumPy 2.4 writes outside of its memory then.
    ensure(lift(handle(np.all, number < 2**63 - 1)), "ValueError", "array is too big: a count for each number up to 2**63 - 1")
    added = b.full(number.dims, 1) if weights is None else broadcast_into(weights, number.dims, lambda v: to_dtype(v, F64))
    start = b.full((size,), 0, added.tensor.dtype)
    return Array(b.scatter_add(start, number.value, added))


def _largest(x: Any, number: Array, least: Affine) -> Affine:
    """How many counts there are."""
    if not is_box(x) and isinstance(least, int):
        known = np.asarray(x)
        return max(int(known.max()) + 1 if known.size else 0, least)
    b = builder()
    value = number.value
    if not is_at_least(value.dims[0], 1):
        value = lift(handle(np.concatenate, [number, np.array([-1])]))
    top = b.add(b.max(value, axes=(0,)), b.const(1))
    count: Value = b.maximum(b.maximum(top, value_of(least)), b.const(0))
    return count.affine


@register(np.histogram)
def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """`np.histogram`: counts, or sums of weights, which are differentiable."""
    if not any_box(a, bins, range, weights):
        return PASS
    x = as_array(a).ravel()
    edges = _edges(x, bins, range)
    index = handle(np.searchsorted, edges, x, "right") - 1
    cells = edges.shape[0] - 1
    index = select(apply(np.equal, x, edges[-1]), cells - 1, index)
    inside = apply(np.logical_and, apply(np.greater_equal, x, edges[0]), apply(np.less_equal, x, edges[-1]))
    amount = 1 if weights is None else as_array(weights).ravel()
    amount = select(inside, amount, 0)
    index = handle(np.clip, index, 0, cells - 1)
    dtype = widened(lift(amount).tensor.dtype, I64)
    start = builder().full((affine_of(cells, "bins"),), 0, dtype)
    rows = broadcast_into(amount, x.dims, lambda v: to_dtype(v, dtype))
    counts: Any = Array(builder().scatter_add(start, as_array(index).value, rows))
    if density:
        counts = apply(np.divide, counts, handle(np.diff, edges))
        counts = apply(np.divide, counts, Array(builder().scatter_add(start, as_array(index).value, rows)).sum())
    return counts, edges


def _edges(x: Array, bins: Any, limits: Any) -> Array:
    if isinstance(bins, str):
        unsupported("np.histogram chooses bins by a rule from the data", "give a number of bins", StagingError)
    if not is_number(bins):
        return floats(bins)
    if limits is not None:
        low, high = limits[0], limits[1]
    elif x.dims[0] == 0:
        low, high = 0.0, 1.0
    else:
        low, high = handle(np.min, x), handle(np.max, x)
    same = apply(np.equal, low, high) if is_box(low) or is_box(high) else low == high
    low = select(same, apply(np.subtract, low, 0.5), low)
    high = select(same, apply(np.add, high, 0.5), high)
    return as_array(handle(np.linspace, low, high, apply(np.add, bins, 1) if is_box(bins) else int(bins) + 1))
