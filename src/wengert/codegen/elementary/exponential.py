"""Exponentials and hyperbolic functions: x = n log(2) + r with |r| <= log(2) / 2, a polynomial in r, and powers of two.

References:
    W. J. Cody and W. Waite, Software Manual for the Elementary Functions, Prentice Hall, 1980 (reduction by a split constant).
    P. T. P. Tang, Table-driven implementation of the exponential function in IEEE floating-point arithmetic, ACM TOMS 15(2),
    1989, doi:10.1145/63522.214389 (reconstruction of exp and expm1 from 2**k and the reduced argument).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from wengert.codegen.elementary.coefficients import EXPONENTIAL, HYPERBOLIC_COSINE, HYPERBOLIC_SINE
from wengert.codegen.kernels import DOUBLE, Kernel, Pair

SHIFTER, SHIFTER_BITS = DOUBLE.shifter, DOUBLE.shifter_bits
# log(2): the nearest double, and what is missing.
LOG2_FULL, LOG2_REST = 0.6931471805599453, 2.3190468138462996e-17
# What 2**r - 1 = expm1(r log(2)) is made of: log(2)**k / k! with the missing part of the first one.
LOG2_POWERS = tuple(math.log(2.0) ** k / math.factorial(k) for k in range(2, 14))


def reduced(k: Kernel, x: str | float) -> tuple[str, str, str]:
    """n, as an integer and as a number, and r with x = n * log(2) + r."""
    shifted = k.fma(x, 1.0 / LOG2_FULL, SHIFTER)
    rounded = k.sub(shifted, SHIFTER)
    minus = k.neg(rounded)
    r = k.fma(minus, LOG2_REST, k.fma(minus, LOG2_FULL, x))
    return k.integer("sub", k.bits(shifted), SHIFTER_BITS), rounded, r


def exp_minus_one(k: Kernel, r: str) -> str:
    """e**r - 1 for |r| <= log(2) / 2."""
    return k.fma(k.mul(r, r), k.polynomial(r, EXPONENTIAL), r)


def halves(k: Kernel, n: str) -> tuple[str, str]:
    """2**a and 2**b with a + b = n: two steps, so that overflow and subnormals come out rounded once."""
    half = k.integer("ashr", n, 1)
    return k.power_of_two(half), k.power_of_two(k.integer("sub", n, half))


def clamped(k: Kernel, x: str | float, low: float, high: float) -> str:
    """x between two bounds; nan stays."""
    x = k.select("olt", x, low, low, x)
    return k.select("ogt", x, high, high, x)


def exponential(k: Kernel, x: Pair) -> str:
    """exp of a number in two parts, the first of which is in [-746, 710]."""
    n, _, r = reduced(k, x[0])
    first, second = halves(k, n)
    near = exp_minus_one(k, k.add(r, x[1]))
    return k.mul(k.fma(near, first, first), second)


def _exp(k: Kernel) -> str:
    n, _, r = reduced(k, clamped(k, "%x", -746.0, 710.0))
    first, second = halves(k, n)
    return k.mul(k.fma(exp_minus_one(k, r), first, first), second)


def _exp2(k: Kernel) -> str:
    x = clamped(k, "%x", -1080.0, 1025.0)
    shifted = k.add(x, SHIFTER)
    r = k.sub(x, k.sub(shifted, SHIFTER))
    first, second = halves(k, k.integer("sub", k.bits(shifted), SHIFTER_BITS))
    near = k.fma(k.mul(r, r), k.polynomial(r, LOG2_POWERS), k.fma(r, LOG2_FULL, k.mul(r, LOG2_REST)))
    return k.mul(k.fma(near, first, first), second)


def _expm1(k: Kernel) -> str:
    n, _, r = reduced(k, clamped(k, "%x", -60.0, 710.0))
    first, second = halves(k, n)
    # 2**n (1 + near) - 1 = 2**b (2**a near + (2**a - 2**-b)): both terms are exact or small.
    inverse = k.power_of_two(k.integer("sub", k.integer("ashr", n, 1), n))
    found = k.mul(k.fma(exp_minus_one(k, r), first, k.sub(first, inverse)), second)
    # A tiny argument is its own result, signed zero included.
    return k.select("olt", k.abs("%x"), 1e-20, "%x", found)


# --- hyperbolic functions ------------------------------------------------------------------------------------------------


def _sine_and_cosine(k: Kernel, x: str, scale: int) -> tuple[Pair, Pair]:
    """2**-scale times sinh and cosh of x >= 0, each in two parts.

    With p = 2**(n - 1) and q = 2**(-n - 1), sinh(x) = (p - q) cosh(r) + (p + q) sinh(r); likewise cosh.
    """
    n, rounded, r = reduced(k, x)
    minus_n = k.neg(rounded)
    lost = k.fma(minus_n, LOG2_REST, k.sub(k.fma(minus_n, LOG2_FULL, x), r))
    p = k.power_of_two(k.integer("sub", n, 1 + scale))
    q = k.power_of_two(k.larger(k.integer("sub", -1 - scale, n), -1000))
    plus, minus = k.ordered_sum(p, q), k.ordered_sum(p, k.neg(q))
    z = k.mul(r, r)
    sine = k.fma(k.mul(z, k.horner(z, HYPERBOLIC_SINE)), r, lost)
    cosine = k.mul(z, k.horner(z, HYPERBOLIC_COSINE))
    first = k.fma(r, plus[0], k.fma(cosine, minus[0], k.fma(sine, plus[0], minus[1])))
    second = k.fma(cosine, plus[0], k.fma(r, minus[0], k.fma(sine, minus[0], plus[1])))
    return (minus[0], first), (plus[0], second)


def _sinh(k: Kernel) -> str:
    size = k.abs("%x")
    size = k.select("ogt", size, 711.0, 711.0, size)
    sine, _ = _sine_and_cosine(k, size, 2)
    # A tiny argument is its own result.
    return k.select("olt", k.abs("%x"), 1e-20, "%x", k.sign_of(k.mul(k.add(*sine), 4.0), "%x"))


def _cosh(k: Kernel) -> str:
    size = k.abs("%x")
    size = k.select("ogt", size, 711.0, 711.0, size)
    _, cosine = _sine_and_cosine(k, size, 2)
    return k.mul(k.add(*cosine), 4.0)


def _tanh(k: Kernel) -> str:
    """The quotient of sinh and cosh, both in two parts."""
    size = k.abs("%x")
    size = k.select("ogt", size, 22.0, 22.0, size)
    sine, cosine = _sine_and_cosine(k, size, 0)
    above = k.ordered_sum(*sine)
    found = k.add(*k.quotient(above, k.ordered_sum(*cosine)))
    return k.sign_of(found, "%x")


def _expit(k: Kernel) -> str:
    """1 / (1 + e) for x >= 0 and e / (1 + e) below, with e = exp(-|x|) in two parts."""
    size = k.abs("%x")
    n, _, r = reduced(k, k.neg(k.select("ogt", size, 746.0, 746.0, size)))
    near = k.ordered_sum(1.0, exp_minus_one(k, r))
    # Beside 1, what is smaller than 2**-64 does not count.
    scale = k.power_of_two(k.larger(n, -64))
    below = k.ordered_sum(1.0, k.mul(near[0], scale))
    below = below[0], k.fma(near[1], scale, below[1])
    negative = k.test("olt", "%x", 0.0)
    found = k.add(*k.quotient((k.choose(negative, near[0], 1.0), k.choose(negative, near[1], 0.0)), below))
    first, second = halves(k, n)
    return k.choose(negative, k.mul(k.mul(found, first), second), found)


KERNELS: dict[str, Callable[[Kernel], str]] = {
    "exp": _exp, "exp2": _exp2, "expm1": _expm1, "sinh": _sinh, "cosh": _cosh, "tanh": _tanh, "expit": _expit,
}  # fmt: skip
