"""Rules of arithmetic for the `fold` pass: each sees one elementwise instruction and gives the value it amounts to, or None.

Results stay what IEEE arithmetic gives, to rounding, with two conventions: the sign of a zero is not kept (`x + 0.0` is `x`),
and a power by a small constant is a product or a root. `x * 0.0` is left alone, since it is nan for infinite x.
"""

from __future__ import annotations

import math
from typing import Any

from wengert.ir.core import Instr, Value
from wengert.ir.rewriter import RewriteBuilder
from wengert.passes.known import Known, Rule, fill
from wengert.types import BOOL, F32, I64, I64_SCALAR, dim_add

_LARGEST_POWER = 16
_OPPOSITE = {"lt": "ge", "ge": "lt", "gt": "le", "le": "gt", "eq": "ne", "ne": "eq"}


def _is(known: Known, value: Value, number: float) -> bool:
    constant = known.constant(value)
    return constant is not None and not isinstance(constant, bool) and constant == number


# --- ring ------------------------------------------------------------------------------------------------------------


def add(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """x + 0, x + (-y)."""
    x, y = instr.operands
    if _is(known, x, 0):
        return y
    if _is(known, y, 0):
        return x
    if (negated := known.behind(y, "neg")) is not None:
        return b.sub(x, negated.operands[0])
    if (negated := known.behind(x, "neg")) is not None:
        return b.sub(y, negated.operands[0])
    return None


def sub(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """x - 0, 0 - x, x - (-y), and x - x of integers."""
    x, y = instr.operands
    if _is(known, y, 0):
        return x
    if _is(known, x, 0):
        return b.neg(y)
    if (negated := known.behind(y, "neg")) is not None:
        return b.add(x, negated.operands[0])
    if x is y and x.tensor.dtype is I64:
        return fill(known, b, instr, 0, I64)
    return None


def mul(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """x * 1, x * -1, (-x) * (-y), and x * 0 of integers."""
    for x, y in (instr.operands, instr.operands[::-1]):
        if _is(known, y, 1):
            return x
        if _is(known, y, -1):
            return b.neg(x)
        if _is(known, y, 0) and y.tensor.dtype is I64:
            return y
    left, right = (known.behind(o, "neg") for o in instr.operands)
    if left is not None and right is not None:
        return b.mul(left.operands[0], right.operands[0])
    return None


def strong_mul(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """A product in which zeros win: by a zero it is zero, by another finite number it is an ordinary product."""
    for x, y in (instr.operands, instr.operands[::-1]):
        factor = known.constant(y)
        if factor is not None and math.isfinite(factor):
            return y if factor == 0 else b.mul(x, y)
    return None


def neg(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """-(-x)."""
    negated = known.behind(instr.operands[0], "neg")
    return None if negated is None else negated.operands[0]


def div(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """x / 1, x / -1, and a product where the reciprocal is exact (powers of two)."""
    x, y = instr.operands
    divisor = known.constant(y)
    if divisor == 1.0:
        return x
    if divisor == -1.0:
        return b.neg(x)
    largest = 1e30 if y.tensor.dtype is F32 else 1e300
    if divisor is not None and 1.0 / largest < abs(divisor) < largest and abs(math.frexp(divisor)[0]) == 0.5:
        return b.mul(x, fill(known, b, instr, 1.0 / divisor, y.tensor.dtype))
    return None


def floordiv(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """Integers: x // 1."""
    x, y = instr.operands
    return x if x.tensor.dtype is I64 and _is(known, y, 1) else None


def mod(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """Integers: x % 1."""
    x, y = instr.operands
    return fill(known, b, instr, 0, I64) if x.tensor.dtype is I64 and _is(known, y, 1) else None


# --- powers ----------------------------------------------------------------------------------------------------------


def power(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """Constant exponents: small whole numbers, 1/2 and -1/2."""
    x, y = instr.operands
    exponent = known.constant(y)
    if exponent is None:
        return None
    if exponent == 0.5:
        return b.sqrt(x)
    if exponent == -0.5:
        return b.div(1.0, b.sqrt(x))
    if abs(exponent) <= _LARGEST_POWER and exponent == int(exponent):
        return b.ipow(x, exponent=int(exponent))
    return None


def ipow(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """Exponents -2 to 3 as products and quotients."""
    (x,) = instr.operands
    exponent = instr.attrs["exponent"]
    if exponent == 0:
        return fill(known, b, instr, 1, x.tensor.dtype)
    if exponent == 1:
        return x
    if exponent == 2:
        return b.mul(x, x)
    if exponent == 3:
        return b.mul(b.mul(x, x), x)
    if exponent == -1:
        return b.div(1.0, x)
    if exponent == -2:
        return b.div(1.0, b.mul(x, x))
    return None


# --- logic and choice ------------------------------------------------------------------------------------------------


def logical_not(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """not not x; not of a comparison of integers (floats compare false with nan, so those stay)."""
    inner = known.defs.get(instr.operands[0])
    if inner is None:
        return None
    if inner.op.name == "not":
        return inner.operands[0]
    exact = inner.op.name in ("eq", "ne") or (inner.op.name in _OPPOSITE and not inner.operands[0].is_float)
    if exact:
        return getattr(b, _OPPOSITE[inner.op.name])(*inner.operands)
    return None


def logical_and(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """x and True, x and False, x and x."""
    return _connective(known, instr, neutral=True)


def logical_or(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """x or True, x or False, x or x."""
    return _connective(known, instr, neutral=False)


def _connective(known: Known, instr: Instr, neutral: bool) -> Value | None:
    x, y = instr.operands
    if x is y:
        return x
    for one, other in ((x, y), (y, x)):
        constant = known.constant(one)
        if constant is not None:
            return other if constant == neutral else one
    return None


def compare(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """Comparisons of integers that differ by a constant, and x == x of integers."""
    x, y = instr.operands
    if x.tensor.dtype is not I64:
        return None
    difference = dim_add(x.affine, y.affine, -1) if x.type == I64_SCALAR else 0 if x is y else None
    if not isinstance(difference, int):
        return None
    name = instr.op.name
    holds = (difference < 0 and name in ("lt", "le", "ne")) or (difference > 0 and name in ("gt", "ge", "ne"))
    return fill(known, b, instr, holds or (difference == 0 and name in ("le", "ge", "eq")), BOOL)


def choose(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """Select with a constant predicate, with equal arms, of a negated predicate, of True and False."""
    predicate, then, otherwise = instr.operands
    decided = known.constant(predicate)
    if decided is not None:
        return then if decided else otherwise
    first, second = known.constant(then), known.constant(otherwise)
    if then is otherwise or (first is not None and _same_number(first, second)):
        return then
    if first is True and second is False:
        return predicate
    if first is False and second is True:
        return getattr(b, "not")(predicate)
    negated = known.behind(predicate, "not")
    if negated is not None:
        return b.select(negated.operands[0], otherwise, then)
    return None


def _same_number(x: Any, y: Any) -> bool:
    if isinstance(x, float) and isinstance(y, float):
        return x == y and math.copysign(1.0, x) == math.copysign(1.0, y)
    return type(x) is type(y) and bool(x == y)


def extremum(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """max(x, x), and of integers that differ by a constant."""
    x, y = instr.operands
    if x is y:
        return x
    difference = dim_add(x.affine, y.affine, -1) if x.type == I64_SCALAR else None
    if not isinstance(difference, int):
        return None
    return x if (difference >= 0) == (instr.op.name == "maximum") else y


# --- one operand -----------------------------------------------------------------------------------------------------


def absolute(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """abs(-x), abs(abs(x))."""
    inner = known.defs.get(instr.operands[0])
    if inner is None or inner.op.name not in ("neg", "abs"):
        return None
    return inner.result if inner.op.name == "abs" else b.abs(inner.operands[0])


def convert(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """To the dtype it has; a bool through an integer."""
    (x,) = instr.operands
    if x.tensor.dtype is instr.attrs["dtype"]:
        return x
    inner = known.behind(x, "convert")
    if inner is not None and inner.operands[0].tensor.dtype is BOOL:
        return b.convert(inner.operands[0], dtype=instr.attrs["dtype"])
    return None


RULES: dict[str, Rule] = {
    "add": add,
    "sub": sub,
    "mul": mul,
    "zmul": strong_mul,
    "neg": neg,
    "div": div,
    "floordiv": floordiv,
    "mod": mod,
    "pow": power,
    "ipow": ipow,
    "not": logical_not,
    "and": logical_and,
    "or": logical_or,
    "select": choose,
    "maximum": extremum,
    "minimum": extremum,
    "abs": absolute,
    "convert": convert,
    **dict.fromkeys(_OPPOSITE, compare),
}
