"""Special functions, elementwise on f64: error functions, gamma functions, logistic functions, entropies.

Values are SciPy's, in native code too. At the ends of a domain the partials are the limits: `erfinv` has an infinite slope at
-1 and 1, `gammaln` one of minus infinity at 0. At the poles of the gamma function there is no derivative (nan). Where a product
with a logarithm counts as 0 because its factor is 0, the partial for the factor is the logarithm, and 0 for its argument.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from wengert.errors import InternalError
from wengert.ir.builder import Builder
from wengert.ir.core import Value
from wengert.ir.op import OpDef, Rule, op
from wengert.ops.infer import FLOAT, Attrs, Operands, Regions, elementwise, quiet
from wengert.types import Type

COST = 40
ROOT_PI = math.sqrt(math.pi)


@cache
def _scipy() -> Any:
    """`scipy.special`, imported when a special function is first computed."""
    return importlib.import_module("scipy.special")


def scipy_function(name: str) -> Callable[..., Any]:
    """The function of `scipy.special` called `name`, quiet about infinities."""
    return quiet(lambda *x: getattr(_scipy(), name)(*x))


def smooth(
    name: str, partials: tuple[Rule, ...], samples: tuple[Any, ...], doc: str, impl: Callable[..., Any] | None = None
) -> OpDef:
    """Declare a smooth function by one partial derivative `partial(b, out, *operands)` for each operand."""

    def rule(partial: Rule) -> Rule:
        return lambda b, out, *operands: b.mul(operands[-1], partial(b, out, *operands[:-1]))

    return op(
        name,
        doc=doc,
        kind="elementwise",
        infer=elementwise(name, len(partials), FLOAT),
        impl=quiet(impl) if impl else scipy_function(name),
        jvp=tuple(rule(p) for p in partials),
        cost=COST,
        samples=samples,
        extra={"dtypes": FLOAT},
    )


def with_order(name: str, impl: Callable[..., Any], partial: Rule, least: int, samples: tuple[float, float], doc: str) -> OpDef:
    """Declare a family of functions of one number by `partial(b, out, x, order)`; the order is an attribute."""

    def infer(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
        if not isinstance(attrs.get("order"), int) or attrs["order"] < least:
            raise InternalError(f"{name} takes an order of at least {least}, got {attrs.get('order')!r}")
        return elementwise(name, 1, FLOAT)(operands, attrs, regions)

    return op(
        name,
        doc=doc,
        kind="elementwise",
        infer=infer,
        impl=quiet(impl),
        jvp=(lambda b, out, x, d, *, order: b.mul(d, partial(b, out, x, order)),),
        cost=COST,
        samples=samples,
        extra={"dtypes": FLOAT, "attrs": tuple({"order": n} for n in range(least, least + 4))},
    )


# --- error functions and the normal distribution ----------------------------------------------------------------------


def _gaussian(factor: float, scale: float, sign: float = -1.0) -> Rule:
    """`factor * exp(sign * scale * x**2)` of the operand."""
    return lambda b, out, x: b.mul(factor, b.exp(b.mul(sign * scale, b.mul(x, x))))


def _of_result(factor: float, scale: float) -> Rule:
    """`factor * exp(scale * out**2)`: the slope of an inverse function."""
    return lambda b, out, x: b.mul(factor, b.exp(b.mul(scale, b.mul(out, out))))


# Beyond this the difference of two nearly equal numbers is replaced by their asymptotic series.
_FAR = 12.0


def _erfcx_partial(b: Builder, out: Value, x: Value) -> Value:
    """`2 x out - 2 / sqrt(pi)`; far out `-1 / (sqrt(pi) x**2)` times the sum of `(2k+1)!! (-2 x**2)**-k`."""
    is_far = b.gt(x, _FAR)
    large = b.select(is_far, x, _FAR)
    step = b.div(-0.5, b.mul(large, large))
    series: Any = 1.0
    for k in range(10, 0, -1):
        series = b.add(1.0, b.mul(b.mul(step, 2.0 * k + 1.0), series))
    far = b.mul(b.mul(step, 2.0 / ROOT_PI), series)
    near = b.sub(b.mul(b.mul(2.0, b.select(is_far, 0.0, x)), out), 2.0 / ROOT_PI)
    return b.select(is_far, far, near)


def _log_ndtr_partial(b: Builder, out: Value, x: Value) -> Value:
    """The density over the distribution function, without dividing 0 by 0 far to the left."""
    return b.div(math.sqrt(2.0 / math.pi), b.erfcx(b.mul(x, -math.sqrt(0.5))))


erf = smooth("erf", (_gaussian(2.0 / ROOT_PI, 1.0),), (-3.0, 3.0), "Error function.")
erfc = smooth("erfc", (_gaussian(-2.0 / ROOT_PI, 1.0),), (-3.0, 3.0), "Complement of the error function, 1 - erf(x).")
erfcx = smooth("erfcx", (_erfcx_partial,), (-1.5, 20.0), "Scaled complementary error function, exp(x*x) * erfc(x).")
erfinv = smooth("erfinv", (_of_result(ROOT_PI / 2.0, 1.0),), (-0.8, 0.8), "Inverse of the error function.")
erfcinv = smooth("erfcinv", (_of_result(-ROOT_PI / 2.0, 1.0),), (0.3, 1.7), "Inverse of erfc.")
ndtr = smooth("ndtr", (_gaussian(math.sqrt(0.5 / math.pi), 0.5),), (-3.0, 3.0), "Distribution function of the standard normal.")
ndtri = smooth("ndtri", (_of_result(math.sqrt(2.0 * math.pi), 0.5),), (0.1, 0.9), "Quantile of the standard normal.")
log_ndtr = smooth("log_ndtr", (_log_ndtr_partial,), (-9.0, 3.0), "Logarithm of the distribution function of the standard normal.")

# --- gamma functions --------------------------------------------------------------------------------------------------

# B_2j / (2j)!, the coefficients of the Euler-Maclaurin formula.
_BERNOULLI = tuple(
    n / d / math.factorial(2 * j)
    for j, (n, d) in enumerate(((1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510)), 1)
)


def zeta_terms(s: int) -> int:
    """How many terms of the Hurwitz zeta function are summed one by one."""
    return 14 + s


def zeta_tail(s: int) -> list[float]:
    """Coefficients c_j of `sum_j c_j X**-(s + 2j - 1)`, the correction of the rest of the sum behind X."""
    return [c * math.prod(range(s, s + 2 * j - 1)) for j, c in enumerate(_BERNOULLI, 1)]


def _zeta(s: int, q: Any) -> Any:
    """The Hurwitz zeta function of q >= 0 and an integer s > 1, by the Euler-Maclaurin formula (Abramowitz and Stegun 23.2)."""
    w = 1.0 / (q + zeta_terms(s))
    series: Any = 0.0
    for c in reversed(zeta_tail(s)):
        series = series * (w * w) + c
    total = w ** (s - 1) / (s - 1) + w**s * (0.5 + w * series)
    for k in range(zeta_terms(s) - 1, -1, -1):
        total = total + 1.0 / (q + k) ** s
    return total


def _polygamma(x: Any, *, order: int) -> Any:
    """Negative arguments: the terms on both sides of 0 are summed outwards."""
    s, scale = order + 1, (-1.0) ** (order + 1) * math.factorial(order)
    minus = np.where(x < 0.0, -x, 0.0)
    fraction = minus - np.floor(minus)
    across = _zeta(s, 1.0 - fraction) + (-1.0) ** s * (_zeta(s, fraction) - _zeta(s, 1.0 + minus))
    beyond = np.where(fraction == 0.0, np.inf, across)
    return scale * np.where(x < 0.0, beyond, _zeta(s, np.where(x < 0.0, 1.0, x)))


polygamma = with_order(
    "polygamma",
    _polygamma,
    lambda b, out, x, order: b.polygamma(x, order=order + 1),
    1,
    (0.4, 6.0),
    "The derivative of digamma of the given order, from 1.",
)
digamma = smooth(
    "digamma",
    (lambda b, out, x: b.polygamma(x, order=1),),
    (0.4, 6.0),
    "Slope of gammaln; nan at its poles.",
    scipy_function("psi"),
)
gammaln = smooth("gammaln", (lambda b, out, x: b.digamma(x),), (0.4, 6.0), "Logarithm of the absolute gamma function.")
gamma = smooth("gamma", (lambda b, out, x: b.mul(out, b.digamma(x)),), (0.4, 4.0), "Gamma function.")


def _digamma_difference(b: Builder, x: Value, y: Value) -> Value:
    return b.sub(b.digamma(x), b.digamma(b.add(x, y)))


betaln = smooth(
    "betaln",
    (lambda b, out, x, y: _digamma_difference(b, x, y), lambda b, out, x, y: _digamma_difference(b, y, x)),
    (0.4, 4.0),
    "Logarithm of the absolute beta function.",
)
beta = smooth(
    "beta",
    (
        lambda b, out, x, y: b.mul(out, _digamma_difference(b, x, y)),
        lambda b, out, x, y: b.mul(out, _digamma_difference(b, y, x)),
    ),
    (0.4, 4.0),
    "Beta function, gamma(x) * gamma(y) / gamma(x + y).",
)


def _binom_partials() -> tuple[Rule, Rule]:
    def rest(b: Builder, n: Value, k: Value) -> Value:
        return b.digamma(b.add(b.sub(n, k), 1.0))

    return (
        lambda b, out, n, k: b.mul(out, b.sub(b.digamma(b.add(n, 1.0)), rest(b, n, k))),
        lambda b, out, n, k: b.mul(out, b.sub(rest(b, n, k), b.digamma(b.add(k, 1.0)))),
    )


binom = smooth("binom", _binom_partials(), ((4.2, 6.0), (0.4, 3.0)), "Binomial coefficient of real numbers.")

# --- logistic functions -----------------------------------------------------------------------------------------------


def _log_expit(x: Any) -> Any:
    return np.minimum(x, 0.0) - np.log1p(np.exp(-np.abs(x)))


expit = smooth(
    "expit", (lambda b, out, x: b.mul(out, b.expit(b.neg(x))),), (-4.0, 4.0), "Logistic function, 1 / (1 + exp(-x)).",
    lambda x: 1.0 / (1.0 + np.exp(-x)),
)  # fmt: skip
log_expit = smooth(
    "log_expit", (lambda b, out, x: b.expit(b.neg(x)),), (-4.0, 4.0), "Logarithm of the logistic function.", _log_expit
)
logit = smooth("logit", (lambda b, out, x: b.div(b.div(1.0, x), b.sub(1.0, x)),), (0.1, 0.9), "Inverse of the logistic function.")

# --- entropies --------------------------------------------------------------------------------------------------------


def _unless_zero(b: Builder, x: Value, ratio: Callable[[Value], Value]) -> Value:
    """`ratio(x)`, and 0 where x is 0."""
    zero = b.eq(x, 0.0)
    return b.select(zero, 0.0, ratio(b.select(zero, 1.0, x)))


xlogy = smooth(
    "xlogy",
    (lambda b, out, x, y: b.log(y), lambda b, out, x, y: _unless_zero(b, x, lambda v: b.div(v, y))),
    ((-3.0, 3.0), (0.2, 4.0)),
    "x * log(y), and 0 where x is 0.",
)
xlog1py = smooth(
    "xlog1py",
    (lambda b, out, x, y: b.log1p(y), lambda b, out, x, y: _unless_zero(b, x, lambda v: b.div(v, b.add(1.0, y)))),
    ((-3.0, 3.0), (-0.7, 4.0)),
    "x * log(1 + y), and 0 where x is 0.",
)


def _log_ratio(b: Builder, x: Value, y: Value) -> Value:
    """`log(x / y)`, with all digits near x = y."""
    ratio = b.div(x, y)
    near = getattr(b, "and")(b.gt(ratio, 0.5), b.lt(ratio, 2.0))
    difference = b.div(b.sub(x, y), b.select(near, y, 1.0))
    return b.select(near, b.log1p(b.select(near, difference, 0.0)), b.log(b.select(near, 1.0, ratio)))


rel_entr = smooth(
    "rel_entr",
    (
        lambda b, out, x, y: b.add(1.0, _log_ratio(b, x, y)),
        lambda b, out, x, y: _unless_zero(b, x, lambda v: b.neg(b.div(v, y))),
    ),
    (0.2, 4.0),
    "x * log(x / y), and 0 where x is 0.",
)
kl_div = smooth(
    "kl_div",
    (
        lambda b, out, x, y: _log_ratio(b, x, y),
        lambda b, out, x, y: _unless_zero(b, b.sub(y, x), lambda v: b.div(v, y)),
    ),
    (0.2, 4.0),
    "x * log(x / y) - x + y.",
)
