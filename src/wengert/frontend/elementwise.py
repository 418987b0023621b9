"""NumPy's elementwise functions on boxes: promotion, broadcasting, then one or a few ops.

`ELEMENTWISE` maps each ufunc to the rule that computes it from values of one shape and of the dtype that the ufunc
computes in. Other modules reach a rule through `call_ufunc`, which adds the ufunc's options.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import (
    any_box,
    dtype_of,
    is_operand,
    is_static_int,
    lift,
    lift_as,
    promote,
    result,
    widened,
)
from wengert.frontend.broadcasting import broadcast_into, broadcast_operands
from wengert.frontend.emit import (
    builder,
    dtype_from,
    ensure,
    fail,
    logical_and,
    logical_not,
    logical_or,
    to_dtype,
    unsupported,
)
from wengert.frontend.python_numbers import IPOW_LIMIT, integer_power, root_or_power, traced_integer_power
from wengert.frontend.registry import HANDLERS, PASS, operator_rule, register
from wengert.ir.core import Value
from wengert.types import BOOL, F64, I64, DType
from wengert.types import widened as widened_dtype

Rule = Callable[..., Value]


@dataclass(frozen=True)
class Elementwise:
    """How a ufunc is computed.

    Attributes:
        rule: from values of one shape and dtype to the result.
        least: the least dtype that it computes in (a ufunc that wants floats converts ints to f64; f32 is a float).
        most: the largest dtype that it takes.
    """

    rule: Rule
    least: DType = BOOL
    most: DType = F64


ELEMENTWISE: dict[Any, Elementwise] = {}


def declare(ufunc: Any, rule: Rule, least: DType = BOOL, most: DType = F64) -> None:
    """Register the rule of `ufunc` and make it the handler of its calls."""
    ELEMENTWISE[ufunc] = Elementwise(rule, least, most)

    def handler(*args: Any, **kwargs: Any) -> Any:
        return call_ufunc(ufunc, *args, **kwargs) if any_box(args, *kwargs.values()) else PASS

    HANDLERS[ufunc] = handler


def apply(ufunc: Any, *operands: Any) -> Any:
    """The result of `ufunc` on boxes, numbers, arrays and lists."""
    declared = ELEMENTWISE[ufunc]
    lifted = [widened(x, operands) if is_operand(x) else Array(lift(x)) for x in operands]
    found = promote(*lifted)
    dtype = F64 if ufunc is np.float_power else widened_dtype(found, declared.least)
    if not declared.most.is_float and widened_dtype(dtype, declared.most) != declared.most:
        fail(TypeError, f"ufunc '{ufunc.__name__}' not supported for the input types: {dtype.numpy}")
    if ufunc is np.power and len(lifted) == 2:
        return _power(lifted[0], lifted[1], dtype)
    values = broadcast_operands(lifted, lambda v: to_dtype(v, dtype))
    return result(declared.rule(*values))


def call_ufunc(ufunc: Any, *args: Any, **options: Any) -> Any:
    """A ufunc call with its options: `out`, `where` (with `out`) and `dtype`; others must have their defaults."""
    out, where, dtype = options.pop("out", None), options.pop("where", True), options.pop("dtype", None)
    name = f"{'np' if getattr(np, ufunc.__name__, None) is ufunc else 'scipy.special'}.{ufunc.__name__}"
    casting = options.pop("casting", "same_kind")
    if casting not in ("same_kind", "unsafe"):
        unsupported(f"casting={casting!r} of {name} is not supported", error=StagingError)
    options.pop("order", None), options.pop("subok", None)
    for option in options:
        unsupported(f"the argument {option!r} of {name} is not supported", error=StagingError)
    if len(args) > ufunc.nin:
        out, args = args[ufunc.nin], args[: ufunc.nin]
    computed = apply(ufunc, *args)
    if dtype is not None:
        computed = astype(computed, dtype)
    if isinstance(out, tuple):
        (out,) = out
    if out is None:
        if where is not True:
            unsupported(f"the argument 'where' of {name} without 'out' is not supported", "use np.where", StagingError)
        return computed
    return write_out(out, computed, where, name)


def write_out(out: Any, computed: Any, where: Any, name: str) -> Any:
    """Store `computed` in the array `out`, only where `where` holds, and return `out`."""
    if not isinstance(out, Array):
        unsupported(f"the argument 'out' of {name} must be an array made inside of the function", error=StagingError)
    if where is not True:
        computed = select(where, computed, out)
    return assign(out, computed, name)


@operator_rule("assign")
def assign(target: Array, new: Any, what: str) -> Array:
    """Replace the whole contents of `target` by `new`, which must fit without growing or losing its kind."""
    dtype, given = target.element, dtype_of(new)
    if given != dtype and not np.can_cast(given.numpy, dtype.numpy, "same_kind"):
        fail(TypeError, f"Cannot cast ufunc {what!r} output from {given.numpy} to {dtype.numpy} with casting rule 'same_kind'")
    target.write(broadcast_into(new, target.dims, lambda v: to_dtype(v, dtype)))
    return target


@operator_rule("astype")
def astype(x: Any, dtype: Any) -> Any:
    """`x.astype(dtype)`."""
    return result(to_dtype(lift(x), dtype_from(dtype)))


def select(condition: Any, x: Any, y: Any) -> Any:
    """`np.where(condition, x, y)`."""
    dtype = promote(x, y)
    test, *values = broadcast_operands([condition, x, y])
    return result(builder().select(to_dtype(test, BOOL), to_dtype(values[0], dtype), to_dtype(values[1], dtype)))


# --- rules -----------------------------------------------------------------------------------------------------------


def op(name: str) -> Rule:
    """The rule that is the IR op called `name`."""
    return lambda *values: getattr(builder(), name)(*values)


def by_kind(logical: Rule | None, number: Rule, ufunc: str = "") -> Rule:
    """`logical` for bools, `number` for the rest."""

    def rule(*values: Value) -> Value:
        if values[0].tensor.dtype != BOOL:
            return number(*values)
        if logical is None:
            fail(TypeError, f"numpy boolean {ufunc} is not supported; convert to int or use logical functions")
        return logical(*values)

    return rule


def float_only(rule: Rule) -> Rule:
    """`rule` for floats; ints and bools are whole already."""
    return lambda x: rule(x) if x.is_float else x


def _power(x: Any, y: Any, dtype: DType) -> Any:
    """`np.power`: by the exponent where it is static."""
    if is_static_int(y) or (isinstance(y, float) and y.is_integer() and abs(y) <= IPOW_LIMIT):
        exponent = int(y)
        if exponent < 0 and not dtype.is_float:
            fail(ValueError, "Integers to negative integer powers are not allowed.")
        return result(integer_power(lift_as(x, widened_dtype(dtype, I64)), exponent))
    if not dtype.is_float:
        base, powers = broadcast_operands([x, y], lambda v: to_dtype(v, I64))
        return result(traced_integer_power(base, powers, x, "Integers to negative integer powers are not allowed."))
    base, exponent_value = broadcast_operands([x, y], lambda v: to_dtype(v, dtype))
    return result(root_or_power(base, exponent_value, y))


def _square(x: Value) -> Value:
    return builder().mul(x, x)


def _reciprocal(x: Value) -> Value:
    if not x.is_float:
        unsupported("np.reciprocal of integers is not supported", "write 1 / x", StagingError)
    return builder().div(1.0, x)


def _sign(x: Value) -> Value:
    b = builder()
    if x.is_float:
        return b.sign(x)
    zero = b.full(x.dims, 0)
    return b.sub(b.convert(b.gt(x, zero), dtype=I64), b.convert(b.lt(x, zero), dtype=I64))


def _ignoring_nan(name: str) -> Rule:
    def rule(x: Value, y: Value) -> Value:
        b = builder()
        either: Value = getattr(b, name)(x, y)
        if not x.is_float:
            return either
        return b.select(b.isnan(x), y, b.select(b.isnan(y), x, either))

    return rule


def _logaddexp(x: Value, y: Value, to_base: float = 1.0) -> Value:
    """`m + log(exp(x - m) + exp(y - m))` with m the larger one, held constant: exact derivatives, also at x = y.

    Where the larger one is infinite, the result is that one.
    """
    b = builder()
    x_wins = b.ge(x, y)
    high, low = b.select(x_wins, x, y), b.select(x_wins, y, x)
    finite = b.isfinite(high)
    shift = b.stop_gradient(b.select(finite, high, 0.0))
    if to_base == 1.0:
        rest = b.log1p(b.add(b.expm1(b.sub(high, shift)), b.exp(b.sub(low, shift))))
    else:
        scaled = b.add(b.expm1(b.mul(b.sub(high, shift), to_base)), b.exp(b.mul(b.sub(low, shift), to_base)))
        rest = b.mul(b.log1p(scaled), 1.0 / to_base)
    return b.select(finite, b.add(shift, rest), b.maximum(x, y))


def _copysign(x: Value, y: Value) -> Value:
    b = builder()
    size = b.abs(x)
    return b.select(is_negative(y), b.neg(size), size)


def is_negative(x: Value) -> Value:
    """Whether the sign bit is set, -0.0 included."""
    b = builder()
    return logical_or(b.lt(x, 0.0), logical_and(b.eq(x, 0.0), b.lt(b.div(1.0, x), 0.0)))


def fmod(x: Value, y: Value) -> Value:
    """Remainder with the sign of the dividend, as in C."""
    b = builder()
    rest = b.mod(b.abs(x), b.abs(y))
    return b.select(b.lt(x, 0.0), b.neg(rest), rest)


def _integer_fmod(x: Value, y: Value) -> Value:
    b = builder()
    if x.is_float:
        return fmod(x, y)
    zero = b.full(x.dims, 0)
    rest = b.mod(b.abs(x), b.abs(y))
    return b.select(b.lt(x, zero), b.neg(rest), rest)


def _heaviside(x: Value, at_zero: Value) -> Value:
    b = builder()
    step = b.select(b.lt(x, 0.0), 0.0, b.select(b.gt(x, 0.0), b.full(x.dims, 1.0, x.tensor.dtype), at_zero))
    return b.select(b.isnan(x), x, step)


def _shift(name: str) -> Rule:
    def rule(x: Value, y: Value) -> Value:
        if x.rank == 0:
            ensure(builder().ge(y, builder().const(0)), "ValueError", "negative shift count")
        return getattr(builder(), name)(x, y)

    return rule


def _scaled(factor: float) -> Rule:
    return lambda x: builder().mul(x, factor)


def _declare_arithmetic() -> None:
    declare(np.add, by_kind(op("or"), op("add")))
    declare(np.subtract, by_kind(None, op("sub"), "subtract"))
    declare(np.multiply, by_kind(op("and"), op("mul")))
    declare(np.divide, op("div"), least=F64)
    declare(np.floor_divide, op("floordiv"), least=I64)
    declare(np.remainder, op("mod"), least=I64)
    declare(np.fmod, _integer_fmod, least=I64)
    declare(np.power, op("pow"), least=I64)
    declare(np.float_power, op("pow"), least=F64)
    declare(np.square, by_kind(lambda x: x, _square))
    declare(np.reciprocal, _reciprocal, least=I64)
    declare(np.negative, by_kind(None, op("neg"), "negative"))
    declare(np.positive, by_kind(None, lambda x: x, "positive"))
    declare(np.absolute, by_kind(lambda x: x, op("abs")))
    declare(np.fabs, op("abs"), least=F64)
    declare(np.sign, by_kind(None, _sign, "sign"))
    declare(np.maximum, by_kind(op("or"), op("maximum")))
    declare(np.minimum, by_kind(op("and"), op("minimum")))
    declare(np.fmax, by_kind(op("or"), _ignoring_nan("maximum")))
    declare(np.fmin, by_kind(op("and"), _ignoring_nan("minimum")))
    declare(np.copysign, _copysign, least=F64)
    declare(np.heaviside, _heaviside, least=F64)


_FLOAT_FUNCTIONS = """
    sqrt cbrt exp expm1 exp2 log log1p log2 log10 sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh
    arctanh arctan2 hypot
"""


@register(np.divmod)
def _divmod(x: Any, y: Any, *out: Any, **options: Any) -> Any:
    if not any_box(x, y, *out, *options.values()):
        return PASS
    if out or options:
        unsupported("np.divmod is supported without 'out' and 'where'", "assign the results to x[...]", StagingError)
    return apply(np.floor_divide, x, y), apply(np.remainder, x, y)


def _declare_functions() -> None:
    ufunc: Any
    for name in _FLOAT_FUNCTIONS.split():
        declare(getattr(np, name), op(name), least=F64)
    declare(np.logaddexp, _logaddexp, least=F64)
    declare(np.logaddexp2, lambda x, y: _logaddexp(x, y, math.log(2.0)), least=F64)
    for ufunc in (np.deg2rad, np.radians):
        declare(ufunc, _scaled(math.pi / 180.0), least=F64)
    for ufunc in (np.rad2deg, np.degrees):
        declare(ufunc, _scaled(180.0 / math.pi), least=F64)
    for name, rule in (("floor", "floor"), ("ceil", "ceil"), ("trunc", "trunc")):
        keeps_ints = getattr(np, name)(np.int64(1)).dtype == np.int64
        declare(getattr(np, name), float_only(op(rule)), least=BOOL if keeps_ints else F64)
    declare(np.rint, op("round"), least=F64)


def _declare_logic() -> None:
    compares = {"less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge", "equal": "eq", "not_equal": "ne"}
    for name, rule in compares.items():
        declare(getattr(np, name), op(rule))
    for name in ("and", "or", "xor"):
        declare(getattr(np, f"logical_{name}"), _on_truth(op(name)))
        declare(getattr(np, f"bitwise_{name}"), by_kind(op(name), op(f"bit{name}")), most=I64)
    declare(np.logical_not, _on_truth(logical_not))
    declare(np.invert, by_kind(logical_not, op("invert")), most=I64)
    declare(np.left_shift, _shift("shl"), least=I64, most=I64)
    declare(np.right_shift, _shift("shr"), least=I64, most=I64)
    for name in ("isnan", "isinf", "isfinite"):
        declare(getattr(np, name), op(name), least=F64)
    declare(np.signbit, is_negative, least=F64)


def _on_truth(rule: Rule) -> Rule:
    return lambda *values: rule(*[to_dtype(v, BOOL) for v in values])


_declare_arithmetic()
_declare_functions()
_declare_logic()
