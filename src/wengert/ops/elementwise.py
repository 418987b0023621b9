"""Arithmetic, elementwise: all operands have one shape. Conventions at kinks stand with each op.

Rules write every term as `mul(d, partial)`. Where a cotangent has passed a `select`, and so may be an exact 0 that must
stay 0 against an infinite partial, the transpose takes `masked_transpose` from `extra` instead of `transpose`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.errors import InternalError
from wengert.ir.builder import Builder
from wengert.ir.core import Value
from wengert.ir.op import LINEAR, NON_DIFFERENTIABLE, op
from wengert.ops.infer import ANY, FLOAT, NUMBER, Attrs, Operands, Regions, elementwise, quiet
from wengert.types import BOOL, BOOL_SCALAR, F64, I64, Affine, DType, TensorType, Type, dim_add, dim_scale


def _affine_mul(x: Affine, y: Affine) -> Affine | None:
    if isinstance(x, int):
        return dim_scale(y, x)
    return dim_scale(x, y) if isinstance(y, int) else None


# --- ring ------------------------------------------------------------------------------------------------------------

add = op(
    "add",
    doc="Sum of two numbers.",
    kind="elementwise",
    infer=elementwise("add", 2, NUMBER),
    impl=quiet(np.add),
    jvp=(lambda b, out, x, y, d: d, lambda b, out, x, y, d: d),
    linear=(0, 1),
    transpose=(lambda b, ct, x, y: ct, lambda b, ct, x, y: ct),
    affine=dim_add,
    cost=1,
    samples=(-3.0, 3.0),
    extra={"dtypes": NUMBER},
)

sub = op(
    "sub",
    doc="Difference of two numbers.",
    kind="elementwise",
    infer=elementwise("sub", 2, NUMBER),
    impl=quiet(np.subtract),
    jvp=(lambda b, out, x, y, d: d, lambda b, out, x, y, d: b.neg(d)),
    linear=(0, 1),
    transpose=(lambda b, ct, x, y: ct, lambda b, ct, x, y: b.neg(ct)),
    affine=lambda x, y: dim_add(x, y, -1),
    cost=1,
    samples=(-3.0, 3.0),
    extra={"dtypes": NUMBER},
)

mul = op(
    "mul",
    doc="Product of two numbers.",
    kind="elementwise",
    infer=elementwise("mul", 2, NUMBER),
    impl=quiet(np.multiply),
    jvp=(lambda b, out, x, y, d: b.mul(d, y), lambda b, out, x, y, d: b.mul(d, x)),
    transpose=(lambda b, ct, x, y: b.mul(ct, y), lambda b, ct, x, y: b.mul(ct, x)),
    affine=_affine_mul,
    cost=1,
    samples=(-3.0, 3.0),
    extra={
        "dtypes": NUMBER,
        "masked_transpose": (lambda b, ct, x, y: b.zmul(ct, y), lambda b, ct, x, y: b.zmul(ct, x)),
    },
)


def _zmul(x: Any, y: Any) -> Any:
    return _where(np.equal(x, 0) | np.equal(y, 0), 0.0, np.multiply(x, y))


# Along a path of partial derivatives an exact 0 ends all influence, whatever the other factors: where(x > 0, log(x), 0)
# does not depend on x at 0, though log has an infinite slope there. The product commutes and is associative, so forward
# and reverse mode agree. As an op it has the right derivative at 0, which a `select` around a `mul` has not.
zmul = op(
    "zmul",
    doc="Product in which zero wins: 0 if either factor is 0, even if the other is infinite or nan.",
    kind="elementwise",
    infer=elementwise("zmul", 2, FLOAT),
    impl=quiet(_zmul),
    jvp=(lambda b, out, x, y, d: b.zmul(d, y), lambda b, out, x, y, d: b.zmul(d, x)),
    transpose=(lambda b, ct, x, y: b.zmul(ct, y), lambda b, ct, x, y: b.zmul(ct, x)),
    cost=1,
    samples=(-3.0, 3.0),
    extra={"dtypes": FLOAT},
)

neg = op(
    "neg",
    doc="The number with its sign changed.",
    kind="elementwise",
    infer=elementwise("neg", 1, NUMBER),
    impl=quiet(np.negative),
    jvp=LINEAR,
    linear=(0,),
    transpose=(lambda b, ct, x: b.neg(ct),),
    affine=lambda x: dim_scale(x, -1),
    cost=1,
    samples=(-3.0, 3.0),
    extra={"dtypes": NUMBER, "arity": 1},
)

# --- division --------------------------------------------------------------------------------------------------------

div = op(
    "div",
    doc="IEEE quotient: x/0 is infinite or nan.",
    kind="elementwise",
    infer=elementwise("div", 2, FLOAT),
    impl=quiet(np.divide),
    jvp=(
        lambda b, out, x, y, d: b.div(d, y),
        # The reciprocal is the one that the other operand needs too; zmul keeps 0 / y flat where 1 / y overflows.
        lambda b, out, x, y, d: b.mul(d, b.neg(b.zmul(out, b.div(1.0, y)))),
    ),
    transpose=(lambda b, ct, x, y: b.div(ct, y), None),
    cost=4,
    samples=((-3.0, 3.0), (0.4, 3.0)),
    extra={"dtypes": FLOAT, "masked_transpose": (lambda b, ct, x, y: b.zmul(ct, b.div(1.0, y)), None)},
)

floordiv = op(
    "floordiv",
    doc="Quotient rounded down, as `//` in Python; i64 by zero gives 0. Derivative zero (steps).",
    kind="elementwise",
    infer=elementwise("floordiv", 2, NUMBER),
    impl=quiet(np.floor_divide),
    jvp=(None, None),
    cost=4,
    smoothness="jump",
    samples=((-9.0, 9.0), (1.1, 4.0)),
    extra={"dtypes": NUMBER},
)

mod = op(
    "mod",
    doc="Remainder with the sign of the divisor, as `%` in Python; i64 by zero gives 0. Derivatives 1 and -floor(x/y).",
    kind="elementwise",
    infer=elementwise("mod", 2, NUMBER),
    impl=quiet(np.mod),
    jvp=(lambda b, out, x, y, d: d, lambda b, out, x, y, d: b.mul(d, b.neg(b.floordiv(x, y)))),
    cost=4,
    smoothness="jump",
    samples=((-9.0, 9.0), (1.1, 4.0)),
    extra={"dtypes": NUMBER},
)

# --- powers ----------------------------------------------------------------------------------------------------------


def _pow_jvp_base(b: Builder, out: Value, x: Value, y: Value, d: Value) -> Value:
    """`y * x**(y-1)`, and 0 where y is 0, also at x = 0."""
    partial = b.mul(y, b.pow(x, b.sub(y, 1.0)))
    return b.mul(d, b.select(b.eq(y, 0.0), 0.0, partial))


def _pow_jvp_exponent(b: Builder, out: Value, x: Value, y: Value, d: Value) -> Value:
    """`log(x) * out`, and 0 where x is 0 and y is not negative (the limit from y > 0)."""
    flat = getattr(b, "and")(b.eq(x, 0.0), b.ge(y, 0.0))
    partial = b.mul(b.log(b.select(flat, 1.0, x)), out)
    return b.mul(d, b.select(flat, 0.0, partial))


pow_op = op(
    "pow",
    doc="Power; d/dx is 0 where y = 0, d/dy is 0 where x = 0 and y >= 0, and nan for negative x.",
    kind="elementwise",
    infer=elementwise("pow", 2, FLOAT),
    impl=quiet(np.power),
    jvp=(_pow_jvp_base, _pow_jvp_exponent),
    cost=40,
    samples=((0.3, 3.0), (-2.0, 3.0)),
    extra={"dtypes": FLOAT},
)


def _ipow(x: Any, *, exponent: int) -> Any:
    if np.asarray(x).dtype.kind == "f":
        return np.power(x, float(exponent))
    return np.power(x, exponent)


def _infer_ipow(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    (declared,) = elementwise("ipow", 1, NUMBER)(operands, attrs, regions)
    assert isinstance(declared, TensorType)
    if not isinstance(attrs.get("exponent"), int) or (attrs["exponent"] < 0 and not declared.is_float):
        raise InternalError(f"ipow of {declared} takes an int exponent, got {attrs.get('exponent')!r}")
    return (declared,)


def _ipow_jvp(b: Builder, out: Value, x: Value, d: Value, *, exponent: int) -> Value | None:
    """`n * x**(n-1)`; nothing for n = 0, also at x = 0."""
    if exponent == 0:
        return None
    if exponent == 1:
        return d
    power = x if exponent == 2 else b.ipow(x, exponent=exponent - 1)
    return b.mul(d, b.mul(float(exponent), power))


ipow = op(
    "ipow",
    doc="Power with a static int exponent.",
    kind="elementwise",
    infer=_infer_ipow,
    impl=quiet(_ipow),
    jvp=(_ipow_jvp,),
    cost=4,
    samples=(0.4, 2.0),
    extra={"dtypes": NUMBER, "attrs": tuple({"exponent": n} for n in (0, 1, 2, 3, 5))},
)

# --- kinks and steps -------------------------------------------------------------------------------------------------

abs_op = op(
    "abs",
    doc="Absolute value; the derivative at 0 is 0.",
    kind="elementwise",
    infer=elementwise("abs", 1, NUMBER),
    impl=quiet(np.abs),
    jvp=(lambda b, out, x, d: b.mul(d, b.sign(x)),),
    cost=1,
    smoothness="kink",
    samples=(-3.0, 3.0),
    extra={"dtypes": NUMBER},
)


def _choose(b: Builder, wins: Value, loses: Value, d: Value) -> Value:
    """`d` where its operand wins, 0 where it loses, half of it at a tie."""
    return b.select(wins, d, b.select(loses, 0.0, b.mul(d, 0.5)))


maximum = op(
    "maximum",
    doc="The larger of two numbers, nan if either is; at a tie each gets half of the derivative.",
    kind="elementwise",
    infer=elementwise("maximum", 2, NUMBER),
    impl=quiet(np.maximum),
    jvp=(
        lambda b, out, x, y, d: _choose(b, b.gt(x, y), b.lt(x, y), d),
        lambda b, out, x, y, d: _choose(b, b.lt(x, y), b.gt(x, y), d),
    ),
    cost=1,
    smoothness="kink",
    samples=(-3.0, 3.0),
    extra={"dtypes": NUMBER},
)

minimum = op(
    "minimum",
    doc="The smaller of two numbers, nan if either is; at a tie each gets half of the derivative.",
    kind="elementwise",
    infer=elementwise("minimum", 2, NUMBER),
    impl=quiet(np.minimum),
    jvp=(
        lambda b, out, x, y, d: _choose(b, b.lt(x, y), b.gt(x, y), d),
        lambda b, out, x, y, d: _choose(b, b.gt(x, y), b.lt(x, y), d),
    ),
    cost=1,
    smoothness="kink",
    samples=(-3.0, 3.0),
    extra={"dtypes": NUMBER},
)


def _step(name: str, doc: str, impl: Any) -> None:
    """Declare a function that is constant between jumps: its derivative is zero, at the jumps too."""
    op(
        name,
        doc=f"{doc} Derivative zero.",
        kind="elementwise",
        infer=elementwise(name, 1, FLOAT),
        impl=quiet(impl),
        jvp=(None,),
        cost=1,
        smoothness="jump",
        samples=(-4.0, 4.0),
        extra={"dtypes": FLOAT},
    )


_step("floor", "The largest whole number that is not larger.", np.floor)
_step("ceil", "The smallest whole number that is not smaller.", np.ceil)
_step("trunc", "The whole number next to it towards zero.", np.trunc)
_step("round", "The nearest whole number, halves to even.", np.rint)
_step("sign", "-1, 0 or 1; nan for nan.", np.sign)

# --- choice and conversion -------------------------------------------------------------------------------------------


def _where(predicate: Any, then: Any, otherwise: Any) -> Any:
    return np.asarray(np.where(predicate, then, otherwise))[()]


def _infer_select(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    predicate, then, otherwise = (o.type for o in operands)
    if not isinstance(then, TensorType) or then != otherwise or predicate != BOOL_SCALAR.with_dims(then.dims):
        raise InternalError(f"select takes a bool and two values of one shape, got {predicate}, {then} and {otherwise}")
    return (then,)


select = op(
    "select",
    doc="The second operand where the first is true, else the third.",
    kind="elementwise",
    infer=_infer_select,
    impl=_where,
    jvp=LINEAR,
    linear=(1, 2),
    transpose=(
        None,
        lambda b, ct, c, x, y: b.select(c, ct, 0.0),
        lambda b, ct, c, x, y: b.select(c, 0.0, ct),
    ),
    cost=1,
    samples=(-3.0, 3.0),
    extra={"dtypes": ANY, "arity": 3, "operands": ("bool", None, None)},
)


def _infer_convert(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    (declared,) = elementwise("convert", 1, ANY)(operands, attrs, regions)
    assert isinstance(declared, TensorType)
    return (declared.with_dtype(attrs["dtype"]),)


def _convert_jvp(b: Builder, out: Value, x: Value, d: Value, *, dtype: DType) -> Value | None:
    if not (dtype.is_float and x.is_float):
        return None
    return d if d.tensor.dtype == dtype else b.convert(d, dtype=dtype)


convert = op(
    "convert",
    doc="The number in another dtype: to i64 truncates, to bool is `!= 0`. Derivative 1 between floats, else none.",
    kind="elementwise",
    infer=_infer_convert,
    impl=quiet(lambda x, *, dtype: np.asarray(x).astype(dtype.numpy)[()]),
    jvp=(_convert_jvp,),
    transpose=(lambda b, ct, x, *, dtype: b.convert(ct, dtype=x.tensor.dtype),),
    cost=1,
    smoothness="jump",
    samples=(-3.0, 3.0),
    extra={"dtypes": ANY, "attrs": tuple({"dtype": d} for d in (F64, I64, BOOL))},
)

stop_gradient = op(
    "stop_gradient",
    doc="The same value, with derivative zero.",
    kind="elementwise",
    infer=elementwise("stop_gradient", 1, ANY),
    impl=lambda x: x,
    jvp=NON_DIFFERENTIABLE,
    affine=lambda x: x,
    cost=0,
    samples=(-3.0, 3.0),
    extra={"dtypes": ANY, "arity": 1},
)
