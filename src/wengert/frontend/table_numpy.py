"""Handlers of NumPy functions that choose, clip, round and compare whole arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, as_array, box, dtype_of, lift, result, shape_of
from wengert.frontend.elementwise import apply, float_only, select, write_out
from wengert.frontend.emit import builder, difference, is_at_least, to_dtype
from wengert.frontend.registry import PASS, handle, register
from wengert.frontend.shapes import static_int
from wengert.ir.core import Value
from wengert.types import dim_scale


@register(np.where)
def where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    """`np.where` with three arguments."""
    if not any_box(condition, x, y):
        return PASS
    if x is None and y is None:
        return handle(np.nonzero, condition)
    return select(condition, x, y)


@register(np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, **options: Any) -> Any:
    """`np.clip`."""
    low, high = options.pop("min", a_min), options.pop("max", a_max)
    if not any_box(a, low, high, out):
        return PASS
    found = a
    if low is not None:
        found = apply(np.maximum, found, low)
    if high is not None:
        found = apply(np.minimum, found, high)
    found = found if found is not a else result(lift(a))
    return found if out is None else write_out(out, found, True, "np.clip")


@register(np.round, np.around)
def round_to(a: Any, decimals: Any = 0, out: Any = None) -> Any:
    """`np.round`."""
    if not any_box(a):
        return PASS
    digits = static_int(decimals, "the number of decimals")
    found = result(float_only(lambda v: rounded(v, digits))(to_dtype(lift(a), dtype_of(a))))
    return found if out is None else write_out(out, found, True, "np.round")


def rounded(value: Value, digits: int) -> Value:
    """A float rounded to decimals, half to even, by NumPy's recipe."""
    b = builder()
    if digits == 0:
        return b.round(value)
    scale = 10.0 ** abs(digits)
    if digits > 0:
        return b.div(b.round(b.mul(value, scale)), scale)
    return b.mul(b.round(b.div(value, scale)), scale)


@register(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """`np.nan_to_num`; without `copy` of an array, the array itself is written to."""
    if not any_box(x):
        return PASS
    largest = float(np.finfo(np.float64).max)
    high = select(apply(np.equal, x, np.inf), largest if posinf is None else posinf, x)
    low = select(apply(np.equal, x, -np.inf), -largest if neginf is None else neginf, high)
    found = select(apply(np.isnan, x), nan, low)
    return write_out(x, found, True, "np.nan_to_num") if isinstance(x, Array) and not copy else found


@register(np.sinc)
def sinc(x: Any) -> Any:
    """`np.sinc`: with derivative 0 at 0."""
    if not any_box(x):
        return PASS
    is_zero = apply(np.equal, x, 0.0)
    angle = apply(np.multiply, select(is_zero, 1.0, x), np.pi)
    return select(is_zero, 1.0, apply(np.divide, apply(np.sin, angle), angle))


# --- whole arrays ----------------------------------------------------------------------------------------------------


@register(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """`np.array_equal`, also of arrays whose sizes are known only at run time."""
    if not any_box(a1, a2):
        return PASS
    first, second = shape_of(a1), shape_of(a2)
    gaps = [difference(x, y) for x, y in zip(first, second, strict=False)]
    if len(first) != len(second) or any(isinstance(d, int) and d for d in gaps):
        return False
    same_size: Any = True
    x, y = as_array(a1), as_array(a2)
    for axis, gap in enumerate(gaps):
        if gap != 0 and not (is_at_least(gap, 0) and is_at_least(dim_scale(gap, -1), 0)):
            sizes = x.shape[axis], y.shape[axis]
            same_size = apply(np.logical_and, same_size, apply(np.equal, *sizes))
            part = (*(slice(None),) * axis, slice(None, apply(np.minimum, *sizes)))
            x, y = x[part], y[part]
    equal = apply(np.equal, x, y)
    if equal_nan:
        equal = apply(np.logical_or, equal, apply(np.logical_and, apply(np.isnan, x), apply(np.isnan, y)))
    return _python_bool(apply(np.logical_and, handle(np.all, equal), same_size))


def _python_bool(x: Any) -> Any:
    """`x` as Python's bool, not NumPy's."""
    return box(lift(x))


@register(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """`np.isclose`."""
    if not any_box(a, b):
        return PASS
    tolerance = apply(np.add, apply(np.multiply, apply(np.absolute, b), rtol), atol)
    near = apply(np.less_equal, apply(np.absolute, apply(np.subtract, a, b)), tolerance)
    near = apply(np.logical_or, apply(np.logical_and, near, apply(np.isfinite, b)), apply(np.equal, a, b))
    if equal_nan:
        near = apply(np.logical_or, near, apply(np.logical_and, apply(np.isnan, a), apply(np.isnan, b)))
    return near


@register(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """`np.allclose`."""
    return _python_bool(handle(np.all, isclose(a, b, rtol, atol, equal_nan))) if any_box(a, b) else PASS


@register(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """`np.polyval` by Horner's rule, for a static number of coefficients."""
    if not any_box(p, x):
        return PASS
    total = apply(np.multiply, x, 0)
    for coefficient in [p[k] for k in range(len(p))]:
        total = total * x + (np.asarray(coefficient)[()] if not any_box(coefficient) else coefficient)
    return total
