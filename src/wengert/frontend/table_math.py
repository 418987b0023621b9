"""Handlers of the `math` module: Python floats out, Python's ValueError and OverflowError as run-time checks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from wengert.frontend import float_bits
from wengert.frontend.arithmetic import as_number
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, is_box, is_number, lift, lift_as, type_name
from wengert.frontend.elementwise import ELEMENTWISE, fmod
from wengert.frontend.emit import builder, ensure, fail, logical_and, logical_not, logical_or, to_dtype
from wengert.frontend.python_numbers import message_of, power, to_int, wrap
from wengert.frontend.registry import OPERATORS, PASS, register
from wengert.ir.core import Value
from wengert.ops import special as _special  # noqa: F401 - fills the registry
from wengert.ops import transcendental as _ops  # noqa: F401 - fills the registry
from wengert.types import F64, I64

Condition = Callable[[Value], Value]


def number(x: Any, function: str) -> Value:
    """An argument of a math function as an f64."""
    x = as_number(x)
    if not is_number(x):
        fail(TypeError, f"math.{function}: must be real number, not {type_name(x)}")
    return lift_as(x, F64)


def _function(
    name: str, op: str | Callable[[Value], Value], allowed: Condition | None = None, bad: float = -1.0, overflows: bool = False
) -> None:
    """Register `math.<name>` of one argument.

    Args:
        name: in the math module.
        op: the IR op, or what makes the result.
        allowed: the condition that arguments must meet.
        bad: an argument that does not, from which Python's message is taken.
        overflows: whether finite arguments with infinite results raise OverflowError.
    """
    function = getattr(math, name)
    message = message_of(lambda: function(bad)) if allowed is not None else ""
    shows_value = repr(bad) in message
    range_message = message_of(lambda: function(1e308)) if overflows else ""

    def handler(x: Any) -> Any:
        if not is_box(x):
            return PASS
        b = builder()
        value = number(x, name)
        if allowed is not None:
            extras = [value] if shows_value else []
            ensure(allowed(value), "ValueError", message.replace(repr(bad), "{}") if shows_value else message, *extras)
        found: Value = op(value) if callable(op) else getattr(b, op)(value)
        if overflows:
            ensure(logical_or(logical_not(b.isinf(found)), b.isinf(value)), "OverflowError", range_message)
        return wrap(found)

    register(function)(handler)


def _lgamma(x: Value) -> Value:
    """As the op but of -infinity, where Python gives infinity and SciPy -infinity."""
    b = builder()
    return b.gammaln(b.select(b.isinf(x), b.abs(x), x))


def _not(compare: str, bound: float) -> Condition:
    """Not (x <compare> bound): nan passes."""
    return lambda x: logical_not(getattr(builder(), compare)(x, bound))


def _finite(x: Value) -> Value:
    return logical_not(builder().isinf(x))


def _within(compare: str) -> Condition:
    return lambda x: logical_not(getattr(builder(), compare)(builder().abs(x), 1.0))


def _is_pole(x: Value) -> Value:
    """Whether the gamma function has no value: whole numbers up to 0, and minus infinity."""
    b = builder()
    return logical_and(b.le(x, 0.0), b.eq(b.floor(x), x))


def _fill() -> None:
    for name in ("sin", "cos", "tan"):
        _function(name, name, _finite, math.inf)
    for name, op in (
        ("atan", "arctan"),
        ("tanh", "tanh"),
        ("asinh", "arcsinh"),
        ("cbrt", "cbrt"),
        ("fabs", "abs"),
        ("erf", "erf"),
        ("erfc", "erfc"),
    ):
        _function(name, op)
    _function("sqrt", "sqrt", _not("lt", 0.0))
    for name in ("log2", "log10"):
        _function(name, name, _not("le", 0.0), 0.0)
    _function("log1p", "log1p", _not("le", -1.0))
    _function("asin", "arcsin", _within("gt"), 2.0)
    _function("acos", "arccos", _within("gt"), 2.0)
    _function("acosh", "arccosh", _not("lt", 1.0), 0.0)
    _function("atanh", "arctanh", _within("ge"), 1.0)
    _function("gamma", "gamma", lambda x: logical_not(_is_pole(x)), overflows=True)
    _function("lgamma", _lgamma, lambda x: logical_or(logical_not(_is_pole(x)), builder().isinf(x)), overflows=True)
    for name in ("exp", "expm1", "exp2", "sinh", "cosh"):
        _function(name, name, overflows=True)


_fill()
_LOG_OF_ZERO = message_of(lambda: math.log(0.0))
_LOG_SHOWS_VALUE = "0.0" in _LOG_OF_ZERO
_POW_DOMAIN = message_of(lambda: math.pow(-1.0, 0.5))
_POW_RANGE = message_of(lambda: math.pow(10.0, 400.0))


@register(math.log)
def log(x: Any, *base: Any) -> Any:
    """`math.log(x)` or `math.log(x, base)`."""
    if not any_box(x, base):
        return PASS
    found = wrap(_log(number(x, "log")))
    return OPERATORS["truediv"](found, wrap(_log(number(base[0], "log")))) if base else found


def _log(value: Value) -> Value:
    extras = [value] if _LOG_SHOWS_VALUE else []
    message = _LOG_OF_ZERO.replace("0.0", "{}") if _LOG_SHOWS_VALUE else _LOG_OF_ZERO
    ensure(logical_not(builder().le(value, 0.0)), "ValueError", message, *extras)
    return builder().log(value)


@register(math.pow)
def pow_of_floats(x: Any, y: Any) -> Any:
    """`math.pow`: ValueError where the result is complex or a division by zero, OverflowError where it is too large."""
    if not any_box(x, y):
        return PASS
    b = builder()
    base, exponent = number(x, "pow"), number(y, "pow")
    exact = power(wrap(base), float(y)) if _is_short(y) else wrap(b.pow(base, exponent))
    found = lift(exact)
    if not (_is_short(y) and y > 0):
        ends = logical_or(b.isinf(base), b.isinf(exponent))
        undefined = logical_or(logical_and(b.eq(base, 0.0), b.lt(exponent, 0.0)), _is_complex(base, exponent))
        ensure(logical_or(logical_not(undefined), ends), "ValueError", _POW_DOMAIN)
    finite = logical_or(logical_not(b.isinf(found)), logical_or(b.isinf(base), b.isinf(exponent)))
    ensure(finite, "OverflowError", _POW_RANGE)
    return exact


def _is_short(y: Any) -> bool:
    return isinstance(y, float | int) and float(y).is_integer() and 0 < float(y) <= 16


def _is_complex(base: Value, exponent: Value) -> Value:
    b = builder()
    return logical_and(b.lt(base, 0.0), b.ne(b.floor(exponent), exponent))


# --- two arguments and more ------------------------------------------------------------------------------------------


@register(math.atan2)
def atan2(y: Any, x: Any) -> Any:
    """`math.atan2`."""
    return wrap(builder().arctan2(number(y, "atan2"), number(x, "atan2"))) if any_box(y, x) else PASS


@register(math.fmod)
def remainder(x: Any, y: Any) -> Any:
    """`math.fmod`."""
    if not any_box(x, y):
        return PASS
    divisor = number(y, "fmod")
    ensure(builder().ne(divisor, 0.0), "ValueError", message_of(lambda: math.fmod(1.0, 0.0)))
    return wrap(fmod(number(x, "fmod"), divisor))


@register(math.copysign)
def copysign(x: Any, y: Any) -> Any:
    """`math.copysign`."""
    if not any_box(x, y):
        return PASS
    return wrap(ELEMENTWISE[np.copysign].rule(number(x, "copysign"), number(y, "copysign")))


@register(math.hypot)
def hypot(*coordinates: Any) -> Any:
    """`math.hypot` of any number of coordinates."""
    if not any_box(coordinates):
        return PASS
    first, *rest = [number(c, "hypot") for c in coordinates]
    found = builder().abs(first) if not rest else first
    for c in rest:
        found = builder().hypot(found, c)
    return wrap(found)


@register(math.dist)
def dist(p: Any, q: Any) -> Any:
    """`math.dist`."""
    if not any_box(p, q):
        return PASS
    if len(p) != len(q):
        fail(ValueError, "both points must have the same number of dimensions")
    return hypot(*[p[k] - q[k] for k in range(len(p))])


def _scale(function: Any, factor: float) -> None:
    name = function.__name__
    register(function)(lambda x: wrap(builder().mul(number(x, name), factor)) if is_box(x) else PASS)


_scale(math.degrees, 180.0 / math.pi)
_scale(math.radians, math.pi / 180.0)


def _question(name: str) -> None:
    register(getattr(math, name))(lambda x: wrap(getattr(builder(), name)(number(x, name))) if is_box(x) else PASS)


for _name in ("isnan", "isinf", "isfinite"):
    _question(_name)


def _whole(function: Any, op: str) -> None:
    def handler(x: Any) -> Any:
        if not is_box(x):
            return PASS
        value = lift(as_number(x))
        return wrap(to_int(getattr(builder(), op)(value) if value.is_float else to_dtype(value, I64)))

    register(function)(handler)


_whole(math.floor, "floor")
_whole(math.ceil, "ceil")
_whole(math.trunc, "trunc")


@register(math.modf)
def modf(x: Any) -> Any:
    """`math.modf`: fractional and whole part."""
    if not is_box(x):
        return PASS
    value = number(x, "modf")
    whole = builder().trunc(value)
    return wrap(builder().sub(value, whole)), wrap(whole)


@register(math.isclose)
def isclose(a: Any, b: Any, *, rel_tol: Any = 1e-09, abs_tol: Any = 0.0) -> Any:
    """`math.isclose`."""
    if not any_box(a, b, rel_tol, abs_tol):
        return PASS
    make = builder()
    x, y = number(a, "isclose"), number(b, "isclose")
    allowed = make.maximum(make.mul(make.maximum(make.abs(x), make.abs(y)), lift_as(rel_tol, F64)), lift_as(abs_tol, F64))
    near = logical_and(make.le(make.abs(make.sub(x, y)), allowed), logical_and(make.isfinite(x), make.isfinite(y)))
    return wrap(logical_or(near, make.eq(x, y)))


@register(math.fsum)
def fsum(seq: Iterable[Any], /) -> Any:
    """`math.fsum`, without its extra precision."""
    if isinstance(seq, Array):
        return OPERATORS["item"](seq.sum())
    items = list(seq)
    if not any_box(items):
        return math.fsum(items)
    total: Any = wrap(lift_as(0.0, F64))
    for item in items:
        total = total + wrap(number(item, "fsum"))
    return total


@register(math.prod)
def prod(iterable: Iterable[Any], /, *, start: Any = 1) -> Any:
    """`math.prod`."""
    if isinstance(iterable, Array):
        return start * iterable.prod(0)
    items = list(iterable)
    if not any_box(items, start):
        return math.prod(items, start=start)
    total = start
    for item in items:
        total = total * item
    return total


# --- the representation of floats ------------------------------------------------------------------------------------


@register(math.remainder)
def ieee_remainder(x: Any, y: Any, /) -> Any:
    """`math.remainder`."""
    if not any_box(x, y):
        return PASS
    b = builder()
    dividend, divisor = number(x, "remainder"), number(y, "remainder")
    unknown = logical_or(b.isnan(dividend), b.isnan(divisor))
    allowed = logical_and(b.ne(divisor, 0.0), b.isfinite(dividend))
    ensure(logical_or(allowed, unknown), "ValueError", message_of(lambda: math.remainder(1.0, 0.0)))
    return wrap(float_bits.ieee_remainder(dividend, divisor))


@register(math.nextafter)
def next_after(x: Any, y: Any, /) -> Any:
    """`math.nextafter`, one step."""
    return wrap(float_bits.next_after(number(x, "nextafter"), number(y, "nextafter"))) if any_box(x, y) else PASS


@register(math.ulp)
def unit_in_last_place(x: Any, /) -> Any:
    """`math.ulp`."""
    return wrap(float_bits.unit_in_last_place(number(x, "ulp"))) if is_box(x) else PASS


@register(math.frexp)
def split(x: Any, /) -> Any:
    """`math.frexp`."""
    if not is_box(x):
        return PASS
    mantissa, exponent = float_bits.split(number(x, "frexp"))
    return wrap(mantissa), wrap(exponent)


@register(math.ldexp)
def scale_by_power(x: Any, i: Any, /) -> Any:
    """`math.ldexp`."""
    if not any_box(x, i):
        return PASS
    b = builder()
    base, exponent = number(x, "ldexp"), lift(i)
    if exponent.is_float or not is_number(i):
        fail(TypeError, "Expected an int as second argument to ldexp.")
    found = float_bits.scale_by_power(base, to_dtype(exponent, I64))
    ensure(logical_or(b.isfinite(found), logical_not(b.isfinite(base))), "OverflowError", _POW_RANGE)
    return wrap(found)
