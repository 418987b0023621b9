"""Roots, exponentials, logarithms, trigonometric and hyperbolic functions, elementwise on f64.

At the ends of a domain the partials are the IEEE limits: sqrt and cbrt have an infinite derivative at 0, log too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.ir.builder import Builder
from wengert.ir.core import Value
from wengert.ir.op import OpDef, op
from wengert.ops.infer import FLOAT, elementwise, quiet

LN2 = math.log(2.0)
LN10 = math.log(10.0)


def unary(
    name: str,
    impl: Callable[..., Any],
    partial: Callable[[Builder, Value, Value], Value],
    samples: tuple[float, float],
    doc: str,
    cost: int = 20,
) -> OpDef:
    """Declare a smooth function of one number, by its derivative `partial(b, out, x)`."""
    return op(
        name,
        doc=doc,
        kind="elementwise",
        infer=elementwise(name, 1, FLOAT),
        impl=quiet(impl),
        jvp=(lambda b, out, x, d: b.mul(d, partial(b, out, x)),),
        cost=cost,
        samples=samples,
        extra={"dtypes": FLOAT},
    )


# --- roots -----------------------------------------------------------------------------------------------------------

sqrt = unary("sqrt", np.sqrt, lambda b, out, x: b.div(0.5, out), (0.2, 4.0), "Square root; infinite slope at 0.", 4)
cbrt = unary(
    "cbrt",
    np.cbrt,
    lambda b, out, x: b.div(1.0, b.mul(3.0, b.mul(out, out))),
    (0.2, 4.0),
    "Cube root, also of negative numbers; infinite slope at 0.",
)

# --- exponentials and logarithms -------------------------------------------------------------------------------------

exp = unary("exp", np.exp, lambda b, out, x: out, (-3.0, 3.0), "e**x.")
exp2 = unary("exp2", np.exp2, lambda b, out, x: b.mul(LN2, out), (-3.0, 3.0), "2**x.")
# exp(x), not out + 1: the sum would lose all digits of a small slope.
expm1 = unary("expm1", np.expm1, lambda b, out, x: b.exp(x), (-3.0, 3.0), "e**x - 1, accurate near 0.")
log = unary("log", np.log, lambda b, out, x: b.div(1.0, x), (0.2, 4.0), "Natural logarithm.")
log2 = unary("log2", np.log2, lambda b, out, x: b.div(1.0 / LN2, x), (0.2, 4.0), "Logarithm to base 2.")
log10 = unary("log10", np.log10, lambda b, out, x: b.div(1.0 / LN10, x), (0.2, 4.0), "Logarithm to base 10.")
log1p = unary(
    "log1p", np.log1p, lambda b, out, x: b.div(1.0, b.add(1.0, x)), (-0.7, 4.0), "log(1 + x), accurate near 0."
)

# --- trigonometric functions -----------------------------------------------------------------------------------------

sin = unary("sin", np.sin, lambda b, out, x: b.cos(x), (-6.0, 6.0), "Sine of an angle in radians.")
cos = unary("cos", np.cos, lambda b, out, x: b.neg(b.sin(x)), (-6.0, 6.0), "Cosine of an angle in radians.")
tan = unary(
    "tan", np.tan, lambda b, out, x: b.add(1.0, b.mul(out, out)), (-1.2, 1.2), "Tangent of an angle in radians."
)


def _one_minus_square(b: Builder, x: Value) -> Value:
    """`1 - x*x` without cancellation near 1."""
    return b.mul(b.sub(1.0, x), b.add(1.0, x))


arcsin = unary(
    "arcsin",
    np.arcsin,
    lambda b, out, x: b.div(1.0, b.sqrt(_one_minus_square(b, x))),
    (-0.8, 0.8),
    "Inverse sine, in radians.",
)
arccos = unary(
    "arccos",
    np.arccos,
    lambda b, out, x: b.div(-1.0, b.sqrt(_one_minus_square(b, x))),
    (-0.8, 0.8),
    "Inverse cosine, in radians.",
)
arctan = unary(
    "arctan",
    np.arctan,
    lambda b, out, x: b.div(1.0, b.add(1.0, b.mul(x, x))),
    (-3.0, 3.0),
    "Inverse tangent, in radians.",
)

# --- hyperbolic functions --------------------------------------------------------------------------------------------

sinh = unary("sinh", np.sinh, lambda b, out, x: b.cosh(x), (-3.0, 3.0), "Hyperbolic sine.")
cosh = unary("cosh", np.cosh, lambda b, out, x: b.sinh(x), (-3.0, 3.0), "Hyperbolic cosine.")
tanh = unary("tanh", np.tanh, lambda b, out, x: b.sub(1.0, b.mul(out, out)), (-3.0, 3.0), "Hyperbolic tangent.")
arcsinh = unary(
    "arcsinh",
    np.arcsinh,
    lambda b, out, x: b.div(1.0, b.hypot(x, 1.0)),
    (-3.0, 3.0),
    "Inverse hyperbolic sine.",
)
arccosh = unary(
    "arccosh",
    np.arccosh,
    lambda b, out, x: b.div(1.0, b.sqrt(b.mul(b.sub(x, 1.0), b.add(x, 1.0)))),
    (1.3, 4.0),
    "Inverse hyperbolic cosine.",
)
arctanh = unary(
    "arctanh",
    np.arctanh,
    lambda b, out, x: b.div(1.0, _one_minus_square(b, x)),
    (-0.8, 0.8),
    "Inverse hyperbolic tangent.",
)

# --- two operands ----------------------------------------------------------------------------------------------------


def _over_square(b: Builder, numerator: Value, x: Value, y: Value) -> Value:
    """`numerator / (x*x + y*y)` without overflow; 0 infinitely far out."""
    radius = b.hypot(x, y)
    return b.select(b.isinf(radius), 0.0, b.div(b.div(numerator, radius), radius))


arctan2 = op(
    "arctan2",
    doc="Angle of the point (second, first) operand, in radians; no derivative (nan) at the origin.",
    kind="elementwise",
    infer=elementwise("arctan2", 2, FLOAT),
    impl=quiet(np.arctan2),
    jvp=(
        lambda b, out, y, x, d: b.mul(d, _over_square(b, x, x, y)),
        lambda b, out, y, x, d: b.mul(d, _over_square(b, b.neg(y), x, y)),
    ),
    cost=20,
    samples=((0.3, 3.0), (-3.0, 3.0)),
    extra={"dtypes": FLOAT},
)


def _hypot_partial(b: Builder, out: Value, x: Value) -> Value:
    """`x / out`; 0 at the origin, and infinitely far out the sign of an infinite `x` and 0 of a finite one."""
    origin = b.eq(out, 0.0)
    ratio = b.div(x, b.select(origin, 1.0, out))
    far = b.select(b.isinf(x), b.sign(x), 0.0)
    return b.select(origin, 0.0, b.select(b.isinf(out), far, ratio))


hypot = op(
    "hypot",
    doc="Distance from the origin; the derivative at the origin is 0.",
    kind="elementwise",
    infer=elementwise("hypot", 2, FLOAT),
    impl=quiet(np.hypot),
    jvp=(
        lambda b, out, x, y, d: b.mul(d, _hypot_partial(b, out, x)),
        lambda b, out, x, y, d: b.mul(d, _hypot_partial(b, out, y)),
    ),
    cost=8,
    smoothness="kink",
    samples=((0.3, 3.0), (-3.0, 3.0)),
    extra={"dtypes": FLOAT},
)
