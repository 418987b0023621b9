"""What looks at the representation of a float: its neighbours, its unit in the last place, mantissa and exponent.

Everything is arithmetic, exact for all floats. Neighbours and products with powers of two have the derivatives of the identity
and of the factor; the unit in the last place and the exponent have none.

References:
    S. M. Rump, P. Zimmermann, S. Boldo, G. Melquiond, Computing predecessor and successor in rounding to nearest,
    BIT Numerical Mathematics 49 (2009), algorithm 1: the neighbours of x are x -+ u (1 + 2 u) |x|, rounded.
"""

from __future__ import annotations

import numpy as np

from wengert.frontend.elementwise import Rule, declare, fmod
from wengert.frontend.emit import builder, logical_and, logical_or, to_dtype, unsupported
from wengert.ir.core import Value
from wengert.types import F64, I64

_STEP = 2.0**-53 * (1.0 + 2.0**-52)
_TINY = 5e-324
_NORMAL = 2.0**-1022
_SMALL = 2.0**-900
_LARGEST = 1.7976931348623157e308


def next_after(x: Value, y: Value) -> Value:
    """The next float after `x` on the way to `y`, where a zero has the sign +; its derivative by `x` is 1."""
    b = builder()
    still = b.stop_gradient(x)
    up = b.gt(y, still)
    away = b.select(up, b.gt(still, 0.0), b.lt(still, 0.0))
    size = b.abs(still)
    moved = b.select(away, _larger(size), _smaller(size))
    signed = b.select(b.lt(still, 0.0), b.neg(moved), moved)
    from_zero = b.select(up, b.full(x.dims, _TINY), b.full(x.dims, -_TINY))
    moved = b.select(b.eq(still, 0.0), from_zero, signed)
    unknown = logical_or(b.isnan(still), b.isnan(y))
    moved = b.select(unknown, b.add(still, b.stop_gradient(y)), b.select(b.eq(still, y), b.stop_gradient(y), moved))
    # x + (moved - x) is exact, and moves with x; for infinite numbers there is no difference.
    near = logical_and(b.isfinite(moved), b.isfinite(still))
    return b.select(near, b.add(x, b.sub(moved, still)), moved)


def _larger(size: Value) -> Value:
    """The next float above `size` > 0."""
    b = builder()
    small = b.lt(size, _SMALL)
    scaled = b.select(small, b.mul(size, 2.0**100), size)
    found = b.add(scaled, b.mul(scaled, _STEP))
    found = b.select(small, b.mul(found, 2.0**-100), found)
    return b.select(b.lt(size, _NORMAL), b.add(size, _TINY), found)


def _smaller(size: Value) -> Value:
    """The next float below `size` > 0."""
    b = builder()
    small = b.lt(size, _SMALL)
    scaled = b.select(small, b.mul(size, 2.0**100), size)
    found = b.sub(scaled, b.mul(scaled, _STEP))
    found = b.select(small, b.mul(found, 2.0**-100), found)
    found = b.select(b.le(size, _NORMAL), b.sub(size, _TINY), found)
    return b.select(b.isinf(size), b.full(size.dims, _LARGEST), found)


def unit_in_last_place(x: Value) -> Value:
    """The distance from `|x|` to the next larger float (for the largest float: to the next smaller one)."""
    b = builder()
    size = b.abs(b.stop_gradient(x))
    above = b.select(b.eq(size, 0.0), b.full(x.dims, _TINY), b.sub(_larger(size), size))
    above = b.select(b.eq(size, _LARGEST), b.full(x.dims, 2.0**971), above)
    return b.select(b.isfinite(size), above, size)


def split(x: Value) -> tuple[Value, Value]:
    """Mantissa in [0.5, 1) and exponent (i64), as `math.frexp` gives them."""
    b = builder()
    size = b.abs(b.stop_gradient(x))
    ordinary = logical_and(b.isfinite(size), b.gt(size, 0.0))
    size = b.select(ordinary, size, b.full(x.dims, 0.5))
    tiny = b.lt(size, _SMALL)
    scaled = b.select(tiny, b.mul(size, 2.0**200), size)
    exponent = b.add(b.floor(b.log2(scaled)), 1.0)
    # log2 may be rounded across a whole number.
    mantissa = _times_power(scaled, b.neg(exponent))
    exponent = b.select(b.ge(mantissa, 1.0), b.add(exponent, 1.0), b.select(b.lt(mantissa, 0.5), b.sub(exponent, 1.0), exponent))
    exponent = b.select(tiny, b.sub(exponent, 200.0), exponent)
    exponent = b.select(ordinary, exponent, b.full(x.dims, 0.0))
    return b.select(ordinary, _times_power(x, b.neg(exponent)), x), to_dtype(exponent, I64)


def _times_power(x: Value, exponent: Value) -> Value:
    """`x * 2**exponent` in three exact steps, for exponents (f64) whose power alone would overflow."""
    b = builder()
    third = b.trunc(b.div(exponent, 3.0))
    rest = b.sub(exponent, b.add(third, third))
    return b.mul(b.mul(b.mul(x, b.exp2(third)), b.exp2(third)), b.exp2(rest))


def scale_by_power(x: Value, exponent: Value) -> Value:
    """`x * 2**exponent` for an i64 exponent; rounded once, where the result is subnormal."""
    b = builder()
    mantissa, own = split(x)
    wanted = b.maximum(b.minimum(to_dtype(b.add(own, exponent), F64), b.full(x.dims, 1100.0)), b.full(x.dims, -1150.0))
    first = b.maximum(b.minimum(wanted, b.full(x.dims, 1000.0)), b.full(x.dims, -1000.0))
    return b.mul(b.mul(mantissa, b.exp2(first)), b.exp2(b.sub(wanted, first)))


def ieee_remainder(x: Value, y: Value) -> Value:
    """`x - n y` with n the whole number nearest to `x / y`, the even one of two."""
    b = builder()
    size, step = b.abs(x), b.abs(y)
    low = fmod(size, step)
    high = b.sub(step, low)
    middle = b.sub(low, b.mul(2.0, fmod(b.mul(0.5, b.sub(size, low)), step)))
    found = b.select(b.lt(low, high), low, b.select(b.gt(low, high), b.neg(high), middle))
    found = b.select(b.lt(x, 0.0), b.neg(found), found)
    return b.select(logical_and(b.isinf(step), b.isfinite(size)), x, found)


def _of_doubles(rule: Rule, name: str) -> Rule:
    """`rule` for f64; its constants are those of 64 bits."""

    def checked(*values: Value) -> Value:
        if values[0].tensor.dtype != F64:
            unsupported(f"np.{name} of float32 numbers is not supported", "use float64 here")
        return rule(*values)

    return checked


declare(np.nextafter, _of_doubles(next_after, "nextafter"), least=F64)
declare(np.spacing, _of_doubles(lambda x: builder().mul(unit_in_last_place(x), _sign(x)), "spacing"), least=F64)


def _sign(x: Value) -> Value:
    b = builder()
    return b.select(b.lt(x, 0.0), b.full(x.dims, -1.0), b.full(x.dims, 1.0))
