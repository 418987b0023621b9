"""Handlers of NumPy's reductions that skip nan."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.frontend.boxes import any_box, as_array, dtype_of, refuse_options
from wengert.frontend.elementwise import apply, astype, select, write_out
from wengert.frontend.emit import dtype_from
from wengert.frontend.registry import PASS, handle, register
from wengert.frontend.table_numpy_reduce import safe_root
from wengert.types import F64, widened


def _filled(a: Any, number: Any) -> Any:
    """`a` with `number` in place of nan."""
    return select(apply(np.isnan, a), number, a) if dtype_of(as_array(a)).is_float else a


def _count(a: Any, axis: Any, keepdims: Any) -> Any:
    """How many numbers there are."""
    return handle(np.sum, apply(np.logical_not, apply(np.isnan, as_array(a))), axis=axis, dtype=float, keepdims=keepdims)


def _sums(function: Any, plain: Any, number: float) -> None:
    def handler(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
        if not any_box(a, out):
            return PASS
        return handle(plain, _filled(a, number), axis=axis, dtype=dtype, out=out, keepdims=keepdims is True, **options)

    register(function)(handler)


_sums(np.nansum, np.sum, 0.0)
_sums(np.nanprod, np.prod, 1.0)


def _running(function: Any, plain: Any, number: float) -> None:
    def handler(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        return handle(plain, _filled(a, number), axis=axis, dtype=dtype, out=out) if any_box(a, out) else PASS

    register(function)(handler)


_running(np.nancumsum, np.cumsum, 0.0)
_running(np.nancumprod, np.cumprod, 1.0)


def _extremes(function: Any, plain: Any, number: float) -> None:
    def handler(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
        if not any_box(a, out):
            return PASS
        keeps = keepdims is True
        refuse_options(f"np.{function.__name__}", **{k: (v, np._NoValue) for k, v in options.items()})
        if not dtype_of(as_array(a)).is_float:
            return handle(plain, a, axis=axis, keepdims=keeps)
        found = handle(plain, _filled(a, number), axis=axis, keepdims=keeps)
        found = select(apply(np.equal, _count(a, axis, keeps), 0.0), np.nan, found)
        return found if out is None else write_out(out, found, True, f"np.{function.__name__}")

    register(function)(handler)


_extremes(np.nanmax, np.max, -np.inf)
_extremes(np.nanmin, np.min, np.inf)


@register(np.nanmean)
def nanmean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    """`np.nanmean`."""
    if not any_box(a, out):
        return PASS
    kind = widened(dtype_of(as_array(a)), F64) if dtype is None else dtype_from(dtype)
    total = handle(np.sum, _filled(a, 0.0), axis=axis, dtype=kind, keepdims=keepdims is True)
    found = apply(np.divide, total, astype(_count(a, axis, keepdims is True), kind))
    return found if out is None else write_out(out, found, True, "np.nanmean")


@register(np.nanvar)
def nanvar(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, **options: Any
) -> Any:
    """`np.nanvar`: nan where no more than `ddof` numbers are left."""
    if not any_box(a):
        return PASS
    refuse_options("np.nanvar", out=(out, None), dtype=(dtype, None), **{k: (v, np._NoValue) for k, v in options.items()})
    centred = apply(np.subtract, a, nanmean(a, axis, keepdims=True))
    squares = handle(np.sum, _filled(apply(np.multiply, centred, centred), 0.0), axis=axis, keepdims=keepdims is True)
    freedom = astype(apply(np.subtract, _count(a, axis, keepdims is True), ddof), dtype_of(squares))
    enough = apply(np.greater, freedom, 0.0)
    return select(enough, apply(np.divide, squares, select(enough, freedom, 1.0)), np.nan)


@register(np.nanstd)
def nanstd(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, **options: Any
) -> Any:
    """`np.nanstd`, with derivative 0 where it is 0."""
    found = nanvar(a, axis, dtype, out, ddof, keepdims, **options)
    return PASS if found is PASS else safe_root(found)
