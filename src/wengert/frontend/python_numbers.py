"""Arithmetic of Python numbers on traced scalars: what `+ - * / // % **`, comparisons and `abs` of floats, ints and bools do.

Python raises where IEEE arithmetic gives inf or nan; those cases become run-time checks with the messages of the Python
that runs this.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from wengert.frontend.boxes import box, dtype_of, is_static_int, lift, lift_as, promote, type_name
from wengert.frontend.emit import builder, common_dtype, difference, ensure, fail, logical_and, logical_not, logical_or, to_dtype
from wengert.frontend.scalars import Scalar
from wengert.ir.core import Value
from wengert.types import BOOL, F64, I64, DType

IPOW_LIMIT = 16
EXACT = 2.0**50  # up to here a float power that is off in its last bits still rounds to the right integer


def message_of(call: Callable[[], Any]) -> str:
    """What this Python says when `call` fails."""
    try:
        call()
    except (ArithmeticError, ValueError) as error:
        return str(error).replace("{", "{{").replace("}", "}}")
    return ""


_DIVIDE: dict[tuple[str, bool], str] = {
    ("truediv", True): message_of(lambda: 1.0 / 0.0),
    ("truediv", False): message_of(lambda: 1 / 0),
    ("floordiv", True): message_of(lambda: 1.0 // 0.0),
    ("floordiv", False): message_of(lambda: 1 // 0),
    ("mod", True): message_of(lambda: 1.0 % 0.0),
    ("mod", False): message_of(lambda: 1 % 0),
}
_ZERO_TO_NEGATIVE = message_of(lambda: 0.0**-1.0)
_OVERFLOW_TO_INT = message_of(lambda: int(math.inf))
_NAN_TO_INT = message_of(lambda: int(math.nan))


def wrap(value: Value) -> Any:
    """A value as a Python number."""
    return box(value, numpy=False)


def number_dtype(*operands: Any) -> DType:
    """The dtype that Python arithmetic runs in: bools count as ints."""
    return common_dtype(I64, promote(*operands))


# --- + - * and unary -------------------------------------------------------------------------------------------------


def ring(name: str) -> Callable[[Any, Any], Any]:
    """The rule of `add`, `sub` or `mul`."""

    def apply(x: Any, y: Any) -> Any:
        dtype = number_dtype(x, y)
        return wrap(getattr(builder(), name)(lift_as(x, dtype), lift_as(y, dtype)))

    return apply


def negative(x: Any) -> Any:
    """`-x`."""
    return wrap(builder().neg(lift_as(x, number_dtype(x))))


def positive(x: Any) -> Any:
    """`+x`."""
    return wrap(lift_as(x, number_dtype(x)))


def absolute(x: Any) -> Any:
    """`abs(x)`."""
    return wrap(builder().abs(lift_as(x, number_dtype(x))))


def invert(x: Any) -> Any:
    """`~x`."""
    if dtype_of(x) == F64:
        fail(TypeError, f"bad operand type for unary ~: '{type_name(x)}'")
    return wrap(builder().invert(lift_as(x, I64)))


# --- division --------------------------------------------------------------------------------------------------------


def divide(name: str) -> Callable[[Any, Any], Any]:
    """The rule of `truediv`, `floordiv` or `mod`: ZeroDivisionError at run time."""

    def apply(x: Any, y: Any) -> Any:
        kind = number_dtype(x, y)
        ensure_nonzero(y, _DIVIDE[name, kind == F64])
        dtype = F64 if name == "truediv" else kind
        op = "div" if name == "truediv" else name
        return wrap(getattr(builder(), op)(lift_as(x, dtype), lift_as(y, dtype)))

    return apply


def ensure_nonzero(divisor: Any, message: str) -> None:
    """Emit the check that `divisor` is not 0, unless that is known."""
    if not isinstance(divisor, Scalar):
        ensure(bool(divisor != 0), "ZeroDivisionError", message)
        return
    value = to_dtype(divisor.value, number_dtype(divisor))
    ensure(builder().ne(value, lift_as(0, value.tensor.dtype)), "ZeroDivisionError", message)


def divide_both(x: Any, y: Any) -> Any:
    """`divmod(x, y)`."""
    return divide("floordiv")(x, y), divide("mod")(x, y)


# --- powers ----------------------------------------------------------------------------------------------------------


def power(x: Any, y: Any) -> Any:
    """`x ** y`: static exponents take the short forms; complex results and division by zero raise at run time."""
    if is_static_int(y) or isinstance(y, bool):
        return _static_int_power(x, int(y))
    if isinstance(y, float) and dtype_of(x) != F64:
        x = wrap(lift_as(x, F64))
    if isinstance(y, float) and y.is_integer() and abs(y) <= IPOW_LIMIT:
        return _static_int_power(x, int(y))
    if dtype_of(y) == I64 and dtype_of(x) != F64:
        message = "an integer to a negative power is a float in Python; write the base as a float"
        return wrap(traced_integer_power(lift_as(x, I64), lift_as(y, I64), x, message))
    return wrap(_float_power(x, y))


def _static_int_power(x: Any, exponent: int) -> Any:
    if exponent >= 0 and dtype_of(x) != F64:
        return wrap(integer_power(lift_as(x, I64), exponent))
    if exponent < 0:
        ensure_nonzero(x, _ZERO_TO_NEGATIVE)
    base = lift_as(x, F64)
    return wrap(integer_power(base, exponent))


def integer_power(base: Value, exponent: int) -> Value:
    """`base` to a static power; far exponents of floats go through `pow`, which is more accurate there."""
    b = builder()
    if exponent == 1:
        return base
    if exponent == 2:
        return b.mul(base, base)
    if base.is_float and abs(exponent) > IPOW_LIMIT:
        return b.pow(base, b.full(base.dims, float(exponent)))
    return b.ipow(base, exponent=exponent)


def traced_integer_power(base: Value, exponent: Value, static: Any, negative: str) -> Value:
    """An integer to an integer power that is not known; exact, or an error at run time.

    Args:
        base: i64.
        exponent: i64 of the same shape.
        static: the base where it is known: powers of -1 and 2 have short forms.
        negative: the ValueError of a negative exponent.
    """
    b = builder()

    def filled(number: int) -> Value:
        return b.full(exponent.dims, number)

    ensure(holds_everywhere(b.ge(exponent, filled(0))), "ValueError", negative)
    if is_static_int(static) and static == -1:
        return b.sub(filled(1), b.mul(filled(2), b.bitand(exponent, filled(1))))
    too_large = "an integer power is too large for exact integer arithmetic here; write the base as a float"
    if is_static_int(static) and static == 2:
        ensure(holds_everywhere(b.le(exponent, filled(62))), "OverflowError", too_large)
        return b.shl(filled(1), exponent)
    power_of_floats = b.round(b.pow(to_dtype(base, F64), to_dtype(exponent, F64)))
    ensure(holds_everywhere(b.le(b.abs(power_of_floats), EXACT)), "OverflowError", too_large)
    return to_dtype(power_of_floats, I64)


def holds_everywhere(condition: Value) -> Value:
    """Whether all elements are true, as a scalar."""
    if condition.rank == 0:
        return condition
    b = builder()
    failed = b.sum(to_dtype(logical_not(condition), I64), axes=tuple(range(condition.rank)))
    return b.eq(failed, b.const(0))


def _float_power(x: Any, y: Any) -> Value:
    b = builder()
    base, exponent = lift_as(x, F64), lift_as(y, F64)
    if not (isinstance(y, (float, int)) and y > 0):
        zero = logical_and(b.eq(base, 0.0), b.lt(exponent, 0.0))
        ensure(logical_not(zero), "ZeroDivisionError", _ZERO_TO_NEGATIVE)
    if not (isinstance(x, (float, int)) and x >= 0) and dtype_of(y) == F64:
        whole = b.eq(b.floor(exponent), exponent)
        real = logical_or(b.ge(base, 0.0), whole) if not isinstance(y, float) else b.ge(base, 0.0)
        real = logical_or(real, b.isnan(base))
        message = "a negative number to a fractional power is complex in Python; complex numbers are not supported"
        ensure(real, "ValueError", f"{message} (base {{}}, exponent {{}})", base, exponent)
    return root_or_power(base, exponent, y)


def root_or_power(base: Value, exponent: Value, static: Any) -> Value:
    """`base ** exponent`; exponents known to be 0.5 are square roots."""
    if isinstance(static, float) and static == 0.5:
        return builder().sqrt(base)
    return builder().pow(base, exponent)


# --- comparisons and bits --------------------------------------------------------------------------------------------

_STATIC: dict[str, Callable[[int], bool]] = {
    "lt": lambda d: d < 0,
    "le": lambda d: d <= 0,
    "gt": lambda d: d > 0,
    "ge": lambda d: d >= 0,
    "eq": lambda d: d == 0,
    "ne": lambda d: d != 0,
}


def compare(name: str) -> Callable[[Any, Any], Any]:
    """The rule of a comparison; decided at once where both sides differ by a known integer."""

    def apply(x: Any, y: Any) -> Any:
        if dtype_of(x) == I64 and dtype_of(y) == I64:
            gap = difference(_affine(x), _affine(y))
            if isinstance(gap, int):
                return _STATIC[name](gap)
        dtype = promote(x, y)
        return wrap(getattr(builder(), name)(lift_as(x, dtype), lift_as(y, dtype)))

    return apply


def _affine(x: Any) -> Any:
    return x.value.affine if isinstance(x, Scalar) else int(x)


def bits(name: str) -> Callable[[Any, Any], Any]:
    """The rule of `and`, `or` or `xor`: bools stay bools, ints are bit patterns."""

    def apply(x: Any, y: Any) -> Any:
        dtype = promote(x, y)
        if dtype == F64:
            _refuse_operands({"and": "&", "or": "|", "xor": "^"}[name], x, y)
        op = name if dtype == BOOL else f"bit{name}"
        return wrap(getattr(builder(), op)(lift_as(x, dtype), lift_as(y, dtype)))

    return apply


def shift(name: str, symbol: str) -> Callable[[Any, Any], Any]:
    """The rule of `<<` or `>>`."""

    def apply(x: Any, y: Any) -> Any:
        if promote(x, y) == F64:
            _refuse_operands(symbol, x, y)
        count = lift_as(y, I64)
        ensure(builder().ge(count, builder().const(0)), "ValueError", "negative shift count")
        return wrap(getattr(builder(), name)(lift_as(x, I64), count))

    return apply


def _refuse_operands(symbol: str, x: Any, y: Any) -> None:
    fail(TypeError, f"unsupported operand type(s) for {symbol}: '{type_name(x)}' and '{type_name(y)}'")


# --- conversions -----------------------------------------------------------------------------------------------------


def to_int(value: Value) -> Value:
    """`int(x)`: truncation; inf and nan raise as in Python."""
    if not value.is_float:
        return to_dtype(value, I64)
    b = builder()
    ensure(logical_not(b.isnan(value)), "ValueError", _NAN_TO_INT)
    ensure(logical_not(b.isinf(value)), "OverflowError", _OVERFLOW_TO_INT)
    return to_dtype(value, I64)


def truth(x: Any) -> Value:
    """`bool(x)` as a value."""
    value = lift(x)
    return to_dtype(value, BOOL)
