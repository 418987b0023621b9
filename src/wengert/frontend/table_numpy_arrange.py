"""Handlers of NumPy functions that repeat, shift and turn arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, as_array, dtype_of
from wengert.frontend.elementwise import apply, astype, select
from wengert.frontend.emit import builder, difference, ensure, fail, unsupported, value_of
from wengert.frontend.registry import PASS, handle, register
from wengert.frontend.shapes import affine_of, axis_number, python_shape, reshaped, static_int
from wengert.frontend.table_numpy_shape import join
from wengert.frontend.views import Windows, whole
from wengert.types import F64, Affine, dim_add, dim_scale, widened


@register(np.repeat)
def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    """`np.repeat` by one count, or by one count per element."""
    if not any_box(a, repeats):
        return PASS
    x = as_array(a)
    x = x if axis is not None else x.ravel()
    number = axis_number(0 if axis is None else axis, x.ndim)
    if isinstance(repeats, list | tuple | np.ndarray | Array) and np.ndim(repeats) > 0:
        return _repeat_each(x, repeats, number)
    times = static_int(repeats, "the repeats of np.repeat")
    if times < 0:
        empty = builder().eq(value_of(x.dims[number]), builder().const(0))
        ensure(empty, "ValueError", "repeats may not contain negative values.")
        times = 0
    dims = (*x.dims[: number + 1], times, *x.dims[number + 1 :])
    axes = tuple(k if k <= number else k + 1 for k in range(x.ndim))
    spread = Array(builder().broadcast_to(x.value, dims, axes))
    merged = (*x.dims[:number], dim_scale(x.dims[number], times), *x.dims[number + 1 :])
    return Array(reshaped(spread, python_shape(merged)).value)


def _repeat_each(x: Array, repeats: Any, axis: int) -> Any:
    size = x.shape[axis]
    if not any_box(repeats) and isinstance(size, int):
        return x[(*(slice(None),) * axis, np.repeat(np.arange(size), repeats))]
    ends = handle(np.cumsum, as_array(repeats))
    count = affine_of(ends[-1], "the repeats of np.repeat")
    source = builder().searchsorted(ends.value, builder().iota(value_of(count)), side="right")
    return x[(*(slice(None),) * axis, Array(source))]


@register(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """`np.roll` by static or traced shifts along one axis or several."""
    if not any_box(a, shift):
        return PASS
    x = as_array(a)
    if axis is None and x.ndim > 1:
        return roll(x.ravel(), shift, 0).reshape(tuple(x.shape))
    if isinstance(axis, tuple | list) or isinstance(shift, tuple | list):
        axes = list(axis) if isinstance(axis, tuple | list) else [0 if axis is None else axis]
        shifts = list(shift) if isinstance(shift, tuple | list) else [shift]
        count = max(len(axes), len(shifts))
        if len({len(axes), len(shifts), 1}) > 2:
            fail(ValueError, "'shift' and 'axis' should be scalars or 1D sequences")
        for each, by in zip(axes * (count // len(axes)), shifts * (count // len(shifts)), strict=True):
            x = roll(x, by, each)
        return x
    number = axis_number(0 if axis is None else axis, x.ndim)
    size = x.shape[number]
    if isinstance(size, int) and size == 0:
        return x.copy()
    keys: list[Any] = [slice(None)] * x.ndim
    # A cut at position 0 is harmless: an empty part joins the whole.
    divisor = handle(max, size, 1)
    cut = -shift if isinstance(shift, int) and abs(shift) == 1 else (divisor - shift % divisor) % divisor
    keys[number] = slice(cut, None)
    behind = x[tuple(keys)]
    keys[number] = slice(None, cut)
    return Array(join([behind.value, x[tuple(keys)].value], number))


@register(np.rot90)
def rot90(m: Any, k: Any = 1, axes: Any = (0, 1)) -> Any:
    """`np.rot90`: a view."""
    if not any_box(m):
        return PASS
    x = as_array(m)
    first, second = (axis_number(axis, x.ndim) for axis in axes)
    if first == second:
        fail(ValueError, "Axes must be different.")
    turns = static_int(k, "the number of turns of np.rot90") % 4
    if turns == 0:
        return x.view()
    if turns == 2:
        return handle(np.flip, x, (first, second))
    if turns == 1:
        return handle(np.swapaxes, handle(np.flip, x, second), first, second)
    return handle(np.flip, handle(np.swapaxes, x, first, second), second)


@register(*[getattr(np, n) for n in ("trapezoid", "trapz") if hasattr(np, n)])
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    """`np.trapezoid`."""
    if not any_box(y, x, dx):
        return PASS
    values = as_array(y)
    number = axis_number(axis, values.ndim)
    values = as_array(handle(np.moveaxis, values, number, -1))
    width = dx
    if x is not None:
        places = as_array(x)
        width = handle(np.diff, places if places.ndim == 1 else handle(np.moveaxis, places, axis, -1))
    return handle(np.sum, width * (values[..., 1:] + values[..., :-1]) * 0.5, axis=-1)


@register(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """`np.ediff1d`."""
    if not any_box(ary, to_end, to_begin):
        return PASS
    parts = [handle(np.diff, as_array(ary).ravel())]
    parts = parts if to_begin is None else [as_array(to_begin).ravel(), *parts]
    parts = parts if to_end is None else [*parts, as_array(to_end).ravel()]
    return parts[0] if len(parts) == 1 else handle(np.concatenate, parts)


@register(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False) -> Any:
    """`sliding_window_view` along one axis or several, as a view that must not be written to."""
    if not any_box(x, window_shape):
        return PASS
    view = as_array(x)
    widths = list(window_shape) if isinstance(window_shape, tuple | list) else [window_shape]
    axes = list(range(view.ndim)) if axis is None else list(axis) if isinstance(axis, tuple | list) else [axis]
    if len(widths) != len(axes):
        given = f"window_shape of length {len(widths)} and axis of length {len(axes)}"
        fail(ValueError, "sliding_window_view takes one width per axis", found=given)
    for width, place in zip(widths, axes, strict=True):
        view = _windows(view, affine_of(width, "a window of sliding_window_view"), axis_number(place, as_array(x).ndim))
    made = view.through(whole(view.dims)) if view is x else view
    made.frozen = "the result of sliding_window_view"
    return made


def _windows(x: Array, width: Affine, axis: int) -> Array:
    """Windows along one axis of an array."""
    starts = dim_add(difference(x.dims[axis], width), 1)
    too_small = (width, 0, "`window_shape` cannot contain negative values")
    for size, least, message in (too_small, (starts, 1, "window shape cannot be larger than input array shape")):
        if not isinstance(size, int):
            ensure(builder().ge(value_of(size), builder().const(least)), "ValueError", message)
        elif size < least:
            fail(ValueError, message, found=str(width))
    return x.through(Windows((*x.dims[:axis], starts, *x.dims[axis + 1 :], width), axis))


@register(np.modf)
def modf(x: Any, *out: Any, **options: Any) -> Any:
    """`np.modf`: the fraction, whose derivative is 1, and the whole part."""
    if not any_box(x):
        return PASS
    if out or options:
        unsupported("np.modf is supported without 'out' and 'where'", error=StagingError)
    whole = apply(np.trunc, apply(np.multiply, x, 1.0))
    rest = select(apply(np.isinf, x), 0.0, apply(np.subtract, x, whole))
    return apply(np.copysign, rest, x), whole


@register(np.ldexp)
def ldexp(x: Any, i: Any, /) -> Any:
    """`np.ldexp`: `x * 2**i`."""
    if not any_box(x, i):
        return PASS
    kind = widened(dtype_of(as_array(x)), F64)
    return apply(np.multiply, x, astype(apply(np.exp2, apply(np.multiply, i, 1.0)), kind))
