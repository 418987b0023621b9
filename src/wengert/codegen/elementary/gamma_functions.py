"""The gamma function, its logarithm and the derivative of that.

Far out, from 5/2 or 3 on, by Stirling's series, whose sum is a polynomial in 1 / x**2. Smaller arguments are moved there, or have
polynomials of their own around the zeros of the function, where moving them would cancel. What is added and subtracted has two
parts, so that the result is rounded about once.

References:
    M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 1964: 6.1.15 and 6.3.5 (steps), 6.1.17 (reflection),
    6.1.40 and 6.3.18 (Stirling's series).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from wengert.codegen.elementary import coefficients, exponential, powers
from wengert.codegen.kernels import Kernel, Pair

# Nearest doubles, and what is missing: pi, log(2 pi) / 2, and where digamma is 0.
PI = (3.141592653589793, 1.2246467991473532e-16)
HALF_LOG_TWO_PI = (0.9189385332046728, -3.8782941580672414e-17)
DIGAMMA_ZERO = (1.4616321449683622, 9.549995429965697e-17)
# sin(pi s) / s by powers of s**2: pi, the next one in two parts, and the rest.
SINE_SECOND = (-5.16771278004997, 2.2665622825789447e-16)
SINE_OF_PI = tuple((-1) ** j * math.pi ** (2 * j + 1) / math.factorial(2 * j + 1) for j in range(2, 12))
FROM_STIRLING = 2.5
NEAR_CENTRE, ZERO_CENTRE = 1.375, 1.4142135623730951


def _product(k: Kernel, a: Pair, b: Pair) -> Pair:
    """The product of two numbers in two parts."""
    main, rest = k.exact_product(a[0], b[0])
    return main, k.fma(a[0], b[1], k.fma(a[1], b[0], rest))


def _choose(k: Kernel, test: str, yes: Pair, no: Pair) -> Pair:
    return k.choose(test, yes[0], no[0]), k.choose(test, yes[1], no[1])


def _minus(k: Kernel, a: Pair) -> Pair:
    return k.neg(a[0]), k.neg(a[1])


def _total(k: Kernel, a: Pair, b: Pair) -> Pair:
    """The sum of two numbers in two parts."""
    main, rest = k.exact_sum(a[0], b[0])
    return k.ordered_sum(main, k.add(rest, k.add(a[1], b[1])))


def _mobius(k: Kernel, x: str | float, centre: float) -> str:
    """(x - centre) / (x + centre)."""
    return k.div(k.sub(x, centre), k.add(x, centre))


def _stirling(k: Kernel, x: str | float, log: Pair) -> Pair:
    """The logarithm of the gamma function of x >= 5/2, in two parts, from that of x."""
    inverse = k.div(1.0, x)
    series = k.polynomial(k.mul(inverse, inverse), coefficients.STIRLING)
    main = _product(k, (k.sub(x, 0.5), 0.0), log)
    main = _total(k, main, (k.neg(x), 0.0))
    return _total(k, main, (HALF_LOG_TWO_PI[0], k.fma(inverse, series, HALF_LOG_TWO_PI[1])))


# --- the logarithm of the gamma function ---------------------------------------------------------------------------------


def _gammaln(k: Kernel) -> str:
    """(x - 1) (x - 2) P(x) between 3/4 and 5/2, that of x + 1 less log(x) below."""
    small = k.test("olt", "%x", 0.75)
    log = powers.logarithm_of(k, "%x")
    x = k.choose(small, k.add("%x", 1.0), "%x")
    q = _mobius(k, x, NEAR_CENTRE)
    rest = k.horner(q, list(coefficients.LOG_GAMMA[1:]))
    series = k.ordered_sum(coefficients.LOG_GAMMA[0], k.mul(q, rest))
    less, twice = k.exact_sum("%x", -1.0), k.exact_sum("%x", -2.0)
    near = _product(k, _product(k, _choose(k, small, ("%x", 0.0), less), _choose(k, small, less, twice)), series)
    near = _total(k, _choose(k, small, _minus(k, log), (0.0, 0.0)), near)
    far = _stirling(k, "%x", log)
    found = k.add(*_choose(k, k.test("olt", "%x", FROM_STIRLING), near, far))
    wild = k.either(k.test("ult", "%x", 1e-300), k.test("ugt", "%x", 1e305))
    # Of -infinity it is that, as in SciPy.
    return k.select("oeq", "%x", -math.inf, "%x", k.mend("gammaln_of_negative", wild, found))


# --- the gamma function --------------------------------------------------------------------------------------------------


def _off_whole(k: Kernel, x: str | float) -> tuple[str, str]:
    """x less the nearest whole number, and a number whose last bit is that one's; 0 <= x < 2**51."""
    shifted = k.add(x, exponential.SHIFTER)
    return k.sub(x, k.sub(shifted, exponential.SHIFTER)), shifted


def _sine_of_pi(k: Kernel, x: str | float) -> Pair:
    """sin(pi x) in two parts, for 0 <= x < 2**51."""
    s, shifted = _off_whole(k, x)
    s = k.number(k.integer("xor", k.bits(s), k.integer("shl", k.bits(shifted), 63)))
    square = k.exact_product(s, s)
    inner, lost = k.ordered_sum(SINE_SECOND[0], k.mul(square[0], k.polynomial(square[0], SINE_OF_PI)))
    less = _product(k, square, (inner, k.add(lost, SINE_SECOND[1])))
    main, rest = k.ordered_sum(PI[0], less[0])
    return _product(k, (s, 0.0), (main, k.add(rest, k.add(less[1], PI[1]))))


def _in_parts(k: Kernel) -> tuple[Pair, Pair]:
    """f and p, of two parts each, with gamma(x) = f exp(p) where |x| < 2**51 is no pole.

    p is the logarithm at x, or at x + 3, and f what the steps between them make, x (x + 1) (x + 2); of negative numbers, gamma(x)
    is pi / (-x sin(pi x) gamma(-x)).
    """
    size = k.abs("%x")
    negative, near = k.test("olt", "%x", 0.0), k.test("olt", size, FROM_STIRLING)
    x, lost = k.exact_sum(size, k.choose(near, 3.0, 0.0))
    log = powers.logarithm_of(k, x)
    main, rest = _stirling(k, x, log)
    rest = k.fma(lost, k.sub(log[0], k.div(0.5, x)), rest)
    steps = _product(k, k.exact_sum(size, 1.0), k.exact_sum(size, 2.0))
    one: Pair = (1.0, 0.0)
    both = k.let(f"and i1 {negative}, {near}")
    above = _product(k, _choose(k, both, steps, one), _choose(k, negative, (-PI[0], -PI[1]), one))
    below = _choose(k, negative, _sine_of_pi(k, size), _choose(k, near, steps, one))
    by_size = k.let(f"xor i1 {negative}, {near}")
    factor = k.quotient(above, _product(k, below, (k.choose(by_size, size, 1.0), 0.0)))
    return factor, _choose(k, negative, _minus(k, (main, rest)), (main, rest))


def _pole(k: Kernel) -> str:
    """Whether x is a negative whole number or minus infinity."""
    return k.let(f"and i1 {k.test('olt', '%x', 0.0)}, {k.test('oeq', k.floor('%x'), '%x')}")


def _gamma(k: Kernel) -> str:
    """exp of its logarithm, in one piece with the factor."""
    factor, (main, rest) = _in_parts(k)
    main = exponential.clamped(k, main, -1200.0, 1200.0)
    n, count, near = exponential.reduced(k, main)
    less = k.neg(count)
    lost = k.fma(less, exponential.LOG2_REST, k.sub(k.fma(less, exponential.LOG2_FULL, main), near))
    r = k.ordered_sum(near, k.add(rest, lost))
    # exp(r) - 1
    power = k.ordered_sum(r[0], k.mul(k.mul(r[0], r[0]), k.polynomial(r[0], coefficients.EXPONENTIAL)))
    power = power[0], k.fma(r[1], k.add(power[0], 1.0), power[1])
    total = k.add(*_total(k, factor, _product(k, factor, power)))
    first, second = exponential.halves(k, n)
    found = k.mul(k.mul(total, first), second)
    size = k.abs("%x")
    wild = k.either(k.test("ult", size, 1e-290), k.test("ugt", size, 184.0))
    return k.mend("wg_special_gamma", k.either(wild, _pole(k)), found)


def _gammaln_of_negative(k: Kernel) -> str:
    """log |gamma(x)| of x < 0; the library does tiny and huge numbers, and what is close to a zero."""
    (factor, lost), power = _in_parts(k)
    log = powers.logarithm_of(k, k.abs(factor))
    found = k.add(*_total(k, (log[0], k.add(log[1], k.div(lost, factor))), power))
    size = k.abs("%x")
    wild = k.either(k.test("ult", size, 1e-290), k.test("ugt", size, 1e15))
    wild = k.either(wild, k.either(_pole(k), k.test("ult", k.abs(found), 0.0625)))
    return k.mend("lgamma", wild, found)


# --- the digamma function ------------------------------------------------------------------------------------------------


def _digamma_of(k: Kernel, size: str) -> Pair:
    """Digamma of a positive number, in two parts."""
    low, middle = k.test("olt", size, 1.0), k.test("ole", size, 2.0)
    stepped = k.either(low, k.let(f"and i1 {k.test('ogt', size, 2.0)}, {k.test('olt', size, 3.0)}"))
    x, lost = k.exact_sum(size, k.choose(stepped, 1.0, 0.0))
    # Around the zero.
    q = _mobius(k, x, ZERO_CENTRE)
    rest = k.horner(q, list(coefficients.DIGAMMA[1:]))
    series = k.ordered_sum(coefficients.DIGAMMA[0], k.mul(q, rest))
    away = k.ordered_sum(k.sub(x, DIGAMMA_ZERO[0]), k.sub(lost, DIGAMMA_ZERO[1]))
    near = _product(k, away, series)
    # Far from it: log(x) - 1 / (2 x) - (1 / 12 - ...) / x**2.
    inverse, missing = k.quotient((1.0, 0.0), (x, lost))
    square = k.mul(inverse, inverse)
    tail = k.neg(k.mul(square, k.polynomial(square, coefficients.DIGAMMA_TAIL)))
    log, little = powers.logarithm_of(k, x)
    far = _total(k, (log, k.fma(inverse, lost, little)), k.ordered_sum(k.mul(inverse, -0.5), k.fma(missing, -0.5, tail)))
    step = _choose(k, stepped, k.quotient((-1.0, 0.0), (size, 0.0)), (0.0, 0.0))
    return _total(k, _choose(k, k.either(low, middle), near, far), step)


def _digamma(k: Kernel) -> str:
    """(x - zero) P(x) from 1 to 2; Stirling's series from 3 on; that of x + 1 less 1 / x below each."""
    wild = k.either(k.test("ult", "%x", 1e-300), k.test("ugt", "%x", 1e300))
    return k.mend("digamma_of_negative", wild, k.add(*_digamma_of(k, "%x")))


def _digamma_of_negative(k: Kernel) -> str:
    """digamma(-x) - 1 / x - pi cot(pi x) of x < 0; SciPy does tiny and huge numbers."""
    size = k.abs("%x")
    inverse = k.quotient((1.0, 0.0), (size, 0.0))
    s, _ = _off_whole(k, size)
    beside, lost = k.ordered_sum(0.5, k.neg(k.abs(s)))
    cosine = _sine_of_pi(k, beside)
    cosine = k.ordered_sum(cosine[0], k.fma(lost, PI[0], cosine[1]))
    sine = _sine_of_pi(k, k.abs(s))
    cotangent = k.quotient(_product(k, cosine, PI), sine)
    cotangent = _choose(k, k.test("olt", s, 0.0), _minus(k, cotangent), cotangent)
    found = k.add(*_total(k, _total(k, _digamma_of(k, size), inverse), cotangent))
    wild = k.either(k.test("ult", size, 1e-290), k.test("ugt", size, 1e15))
    wild = k.either(wild, k.either(_pole(k), k.test("oge", "%x", 0.0)))
    return k.mend("wg_special_psi", wild, found)


KERNELS: dict[str, Callable[[Kernel], str]] = {"gammaln": _gammaln, "gamma": _gamma, "digamma": _digamma}
# What the lanes go to that a kernel leaves; not inlined.
RARE: dict[str, Callable[[Kernel], str]] = {
    "gammaln_of_negative": _gammaln_of_negative, "digamma_of_negative": _digamma_of_negative,
}  # fmt: skip
