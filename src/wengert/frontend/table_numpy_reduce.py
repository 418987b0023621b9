"""Handlers of NumPy's reductions: sums, extrema, means, truth of all or any, positions of extrema, running sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, as_array, dtype_of, lift, lift_as, refuse_options, result
from wengert.frontend.broadcasting import broadcast_into
from wengert.frontend.elementwise import apply, select, write_out
from wengert.frontend.emit import (
    as_float,
    builder,
    dtype_from,
    ensure,
    fail,
    is_at_least,
    logical_not,
    product_of,
    to_dtype,
    unsupported,
    value_of,
)
from wengert.frontend.registry import PASS, handle, register
from wengert.frontend.shapes import axes_from, axis_number
from wengert.frontend.views import expand_step
from wengert.ir.core import Value
from wengert.types import BOOL, F64, I64, Affine, widened

Reducer = Callable[[Value, tuple[int, ...]], Value]


def reduction(function: Any, reducer: Reducer, empty: str = "", neutral: float | None = None, join: Any = None) -> None:
    """Make `reducer` the handler of `function(a, axis, dtype, out, keepdims, where)`.

    Args:
        function: the NumPy function.
        reducer: from a value and sorted axes to the reduced value.
        empty: the ValueError of a reduction over no elements, if it has no identity.
        neutral: what elements that `where` leaves out count as; None where `initial` must say it.
        join: the ufunc that puts `initial` and the result together.
    """
    name = f"np.{function.__name__}"

    def handler(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
        if not any_box(a, out, options.get("where")):
            return PASS
        if function is np.mean and options.get("where", True) is not True:
            return _mean_where(a, axis, dtype, out, keepdims, options["where"])
        initial, where = options.pop("initial", np._NoValue), options.pop("where", True)
        refuse_options(name, **{k: (v, None) for k, v in options.items()})
        if join is None and not empty:
            refuse_options(name, initial=(initial, np._NoValue))
        value = lift(a) if dtype is None else to_dtype(lift(a), dtype_from(dtype))
        axes = axes_from(axis, value.rank)
        if where is not True and where is not np._NoValue:
            value = _only_where(value, where, neutral if initial is np._NoValue else initial, name)
        if empty and initial is np._NoValue:
            _ensure_some(value, axes, empty)
        elif empty:
            value, axes = _with_start(value, axes, initial, name)
        found = reducer(value, axes)
        if not empty and initial is not np._NoValue:
            found = lift(apply(join, result(found), initial))
        return _finish(found, value, axes, keepdims, out, name)

    register(function)(handler)


def _only_where(value: Value, where: Any, neutral: Any, name: str) -> Value:
    """`value` with `neutral` in place of what `where` leaves out."""
    if neutral is None:
        fail(ValueError, f"{name} with 'where' needs 'initial': it has no identity")
    chosen = select(where, result(value), neutral)
    return broadcast_into(chosen, value.dims, lambda v: to_dtype(v, value.tensor.dtype))


def _with_start(value: Value, axes: tuple[int, ...], initial: Any, name: str) -> tuple[Value, tuple[int, ...]]:
    """`value` with `initial` as one more element to choose from."""
    if axes == tuple(range(value.rank)):
        flat = handle(np.concatenate, [as_array(result(value)).ravel(), as_array(initial).reshape((1,))])
        return as_array(flat).value, (0,)
    if len(axes) != 1:
        unsupported(f"the argument 'initial' of {name} is supported over one axis or all", error=StagingError)
    shape = tuple(1 if k in axes else d for k, d in enumerate(as_array(result(value)).shape))
    whole = handle(np.concatenate, [result(value), handle(np.full, shape, initial)], axis=axes[0])
    return as_array(whole).value, axes


def _finish(reduced: Value, source: Value, axes: tuple[int, ...], keepdims: Any, out: Any, name: str) -> Any:
    found = result(reduced)
    if keepdims is True and axes:
        found = as_array(found).through(expand_step(reduced.dims, axes))
    return found if out is None else write_out(out, found, True, name)


def _ensure_some(value: Value, axes: tuple[int, ...], message: str) -> None:
    for axis in axes:
        size = value.dims[axis]
        if is_at_least(size, 1):
            continue
        if isinstance(size, int):
            fail(ValueError, message)
        ensure(builder().ge(value_of(size), builder().const(1)), "ValueError", message)


def count_of(value: Value, axes: tuple[int, ...]) -> Affine:
    """How many elements go into each result."""
    return product_of([value.dims[k] for k in axes])


def count_as_float(value: Value, axes: tuple[int, ...]) -> Value:
    """The number of reduced elements, in the dtype of a float value."""
    count, dtype = count_of(value, axes), value.tensor.dtype
    return builder().const(float(count), dtype) if isinstance(count, int) else to_dtype(value_of(count), dtype)


def reduce(name: str, value: Value, axes: tuple[int, ...]) -> Value:
    """The IR reduction, or the value itself over no axes."""
    return getattr(builder(), name)(value, axes=axes) if axes else value


# --- sums and products -----------------------------------------------------------------------------------------------


def total(value: Value, axes: tuple[int, ...]) -> Value:
    """Sum; bools are counted."""
    return reduce("sum", to_dtype(value, widened(value.tensor.dtype, I64)), axes)


def average(value: Value, axes: tuple[int, ...]) -> Value:
    """Arithmetic mean."""
    floats = as_float(value)
    total_of = reduce("sum", floats, axes)
    return builder().div(total_of, builder().full(total_of.dims, count_as_float(floats, axes)))


def _product(value: Value, axes: tuple[int, ...]) -> Value:
    return reduce("prod", to_dtype(value, widened(value.tensor.dtype, I64)), axes)


def _extremum(name: str) -> Reducer:
    def reducer(value: Value, axes: tuple[int, ...]) -> Value:
        if value.tensor.dtype == BOOL:
            return to_dtype(reduce(name, to_dtype(value, I64), axes), BOOL)
        return reduce(name, value, axes)

    return reducer


def any_of(value: Value, axes: tuple[int, ...]) -> Value:
    """Whether some element is true."""
    counted = reduce("sum", to_dtype(to_dtype(value, BOOL), I64), axes)
    return builder().ne(counted, builder().full(counted.dims, 0))


def all_of(value: Value, axes: tuple[int, ...]) -> Value:
    """Whether every element is true."""
    return logical_not(any_of(logical_not(to_dtype(value, BOOL)), axes))


def _mean_where(a: Any, axis: Any, dtype: Any, out: Any, keepdims: Any, where: Any) -> Any:
    """The mean of the elements that `where` picks."""
    kind = widened(dtype_of(a), F64) if dtype is None else dtype_from(dtype)
    total_of = handle(np.sum, a, axis=axis, dtype=kind, keepdims=keepdims, where=where)
    ones = handle(np.ones_like, a, dtype=kind)
    found = apply(np.divide, total_of, handle(np.sum, ones, axis=axis, keepdims=keepdims, where=where))
    return found if out is None else write_out(out, found, True, "np.mean")


_EMPTY = "zero-size array to reduction operation {} which has no identity"

reduction(np.sum, total, neutral=0, join=np.add)
reduction(np.prod, _product, neutral=1, join=np.multiply)
for _name, _functions in (("max", {np.max, np.amax}), ("min", {np.min, np.amin})):
    for _function in _functions:
        reduction(_function, _extremum(_name), _EMPTY.format(f"{_name}imum"))
reduction(np.any, any_of, neutral=False)
reduction(np.all, all_of, neutral=True)
reduction(np.mean, average)


@register(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """`np.count_nonzero`."""
    if not any_box(a):
        return PASS
    value = to_dtype(lift(a), BOOL)
    axes = axes_from(axis, value.rank)
    return _finish(total(value, axes), value, axes, keepdims, None, "np.count_nonzero")


# --- spread ----------------------------------------------------------------------------------------------------------


@register(np.var)
def var(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: bool = False, **options: Any
) -> Any:
    """`np.var`: the mean squared distance from the mean."""
    if not any_box(a):
        return PASS
    refuse_options("np.var", dtype=(dtype, None), **{k: (v, None) for k, v in options.items()})
    b = builder()
    value = as_float(lift(a))
    axes = axes_from(axis, value.rank)
    kept = tuple(k for k in range(value.rank) if k not in axes)
    centred = b.sub(value, b.broadcast_to(average(value, axes), value.dims, kept))
    squares = reduce("sum", b.mul(centred, centred), axes)
    freedom = b.sub(count_as_float(value, axes), lift_as(ddof, value.tensor.dtype))
    spread = b.div(squares, b.full(squares.dims, b.maximum(freedom, 0.0)))
    return _finish(spread, value, axes, keepdims, out, "np.var")


@register(np.std)
def std(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: bool = False, **options: Any
) -> Any:
    """`np.std`: the root of the variance, with derivative 0 where the variance is 0."""
    found = var(a, axis, dtype, None, ddof, keepdims, **options)
    if found is PASS:
        return PASS
    return safe_root(found) if out is None else write_out(out, safe_root(found), True, "np.std")


def safe_root(x: Any) -> Any:
    """`sqrt(x)` with derivative 0 at 0: for norms, whose slope there is not infinite."""
    is_zero = apply(np.equal, x, 0.0)
    return select(is_zero, 0.0, apply(np.sqrt, select(is_zero, 1.0, x)))


# --- positions and running sums --------------------------------------------------------------------------------------


def _position(function: Any, name: str) -> None:
    def handler(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        if not any_box(a):
            return PASS
        refuse_options(f"np.{name}", out=(out, None))
        x = as_array(a)
        x = x if axis is not None else x.ravel()
        number = axis_number(0 if axis is None else axis, x.ndim)
        value = to_dtype(x.value, I64) if x.element == BOOL else x.value
        _ensure_some(value, (number,), f"attempt to get {name} of an empty sequence")
        found: Value = getattr(builder(), name)(value, axis=number)
        return _finish(found, value, (number,), keepdims is True and axis is not None, None, name)

    register(function)(handler)


_position(np.argmax, "argmax")
_position(np.argmin, "argmin")


@register(np.cumsum)
def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """`np.cumsum`."""
    if not any_box(a, out):
        return PASS
    x = as_array(a)
    x = x if axis is not None and x.ndim else x.ravel()
    number = axis_number(0 if axis is None else axis, x.ndim)
    value = to_dtype(x.value, widened(x.element, I64) if dtype is None else dtype_from(dtype))
    found = Array(builder().cumsum(value, axis=number, reverse=False))
    return found if out is None else write_out(out, found, True, "np.cumsum")


@register(np.average)
def weighted_average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, **options: Any) -> Any:
    """`np.average`, with weights of the shape of `a` or along `axis`."""
    if not any_box(a, weights):
        return PASS
    keepdims = options.pop("keepdims", np._NoValue) is True
    refuse_options("np.average", **{k: (v, False) for k, v in options.items()})
    x = as_array(a)
    if weights is None:
        count = product_of([x.dims[k] for k in axes_from(axis, x.ndim)])
        found = x.mean(axis, keepdims=keepdims)
        size = float(count) if isinstance(count, int) else result(to_dtype(value_of(count), F64))
        return (found, handle(np.full_like, found, size) if as_array(found).ndim else size) if returned else found
    w = as_array(weights)
    if w.ndim == 1 and x.ndim > 1 and axis is not None:
        number = axis_number(axis, x.ndim)
        w = w.reshape((-1, *(1,) * (x.ndim - 1 - number)))
    scale = Array(broadcast_into(w, x.dims, lambda v: v)).sum(axis, keepdims=keepdims)
    found = apply(np.divide, (x * w).sum(axis, keepdims=keepdims), scale)
    return (found, apply(np.multiply, scale, 1.0)) if returned else found
