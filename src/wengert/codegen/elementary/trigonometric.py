"""Sine, cosine, tangent and their inverses. Angles above 2**30 are left to the C library, lane by lane.

References:
    W. J. Cody and W. Waite, Software Manual for the Elementary Functions, Prentice Hall, 1980 (reduction by a constant in parts).
    FDLIBM 5.3, Sun Microsystems, 1995: k_sin.c, k_cos.c (coefficients), e_asin.c (the root in two parts).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from wengert.codegen.elementary.coefficients import ARCSINE, ARCTANGENT
from wengert.codegen.kernels import DOUBLE, Kernel, Pair

# Reduction by three parts of pi / 2 is exact enough up to here.
LARGEST_ANGLE = 2.0**30
HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591833e-33)
SINE = (
    -1.66666666666666324348e-01, 8.33333333332248946124e-03, -1.98412698298579493134e-04, 2.75573137070700676789e-06,
    -2.50507602534068634195e-08, 1.58969099521155010221e-10,
)  # fmt: skip
COSINE = (
    4.16666666666666019037e-02, -1.38888888888741095749e-03, 2.48015872894767294178e-05, -2.75573143513906633035e-07,
    2.08757232129817482790e-09, -1.13596475577881948265e-11,
)  # fmt: skip


def _reduced(k: Kernel) -> tuple[str, Pair]:
    """The quadrant, as an integer, and the angle in it, in two parts."""
    shifted = k.fma("%x", 2.0 / math.pi, DOUBLE.shifter)
    minus = k.neg(k.sub(shifted, DOUBLE.shifter))
    first = k.fma(minus, HALF_PI[0], "%x")
    product = k.mul(minus, HALF_PI[1])
    missing = k.fma(minus, HALF_PI[1], k.neg(product))
    # `first` is exact; the sum may cancel.
    r, error = k.exact_sum(first, product)
    return k.bits(shifted), (r, k.add(error, k.fma(minus, HALF_PI[2], missing)))


def _sine_of(k: Kernel, angle: Pair) -> Pair:
    """The sine of an angle of at most pi / 4, as a difference of a large and a small number (of which -0 survives)."""
    r, rest = angle
    z = k.mul(r, r)
    cube = k.mul(z, r)
    tail = k.sub(k.mul(z, k.fma(rest, 0.5, k.neg(k.mul(cube, k.polynomial(z, SINE[1:]))))), rest)
    return r, k.sub(tail, k.mul(cube, SINE[0]))


def _cosine_of(k: Kernel, angle: Pair) -> Pair:
    """The cosine, as a sum."""
    r, rest = angle
    z = k.mul(r, r)
    half = k.mul(z, 0.5)
    main = k.sub(1.0, half)
    lost = k.sub(k.sub(1.0, main), half)
    series = k.mul(k.mul(z, z), k.polynomial(z, COSINE))
    return main, k.add(lost, k.fma(k.neg(r), rest, series))


def _far(k: Kernel) -> str:
    """Whether the angle is too large, infinite, or not a number."""
    return k.test("ugt", k.abs("%x"), LARGEST_ANGLE)


def _sine(turn: int) -> Callable[[Kernel], str]:
    """sin(x + turn * pi / 2): the sine or cosine of the reduced angle, by quadrant, with its sign."""

    def kernel(k: Kernel) -> str:
        quadrant, angle = _reduced(k)
        sine, cosine = k.sub(*_sine_of(k, angle)), k.add(*_cosine_of(k, angle))
        quadrant = k.integer("add", quadrant, turn)
        chosen = k.choose(k.let(f"trunc i64 {quadrant} to i1"), cosine, sine)
        sign = k.integer("shl", k.integer("and", quadrant, 2), 62)
        found = k.number(k.integer("xor", k.bits(chosen), sign))
        return k.mend("cos" if turn else "sin", _far(k), found)

    return kernel


def _tan(k: Kernel) -> str:
    """sine / cosine, or -cosine / sine in every other quadrant."""
    quadrant, angle = _reduced(k)
    r, tail = _sine_of(k, angle)
    sine, cosine = k.ordered_sum(r, k.neg(tail)), k.ordered_sum(*_cosine_of(k, angle))
    odd = k.let(f"trunc i64 {quadrant} to i1")
    above = k.choose(odd, cosine[0], sine[0]), k.choose(odd, cosine[1], sine[1])
    below = k.choose(odd, sine[0], cosine[0]), k.choose(odd, sine[1], cosine[1])
    ratio = k.add(*k.quotient(above, below))
    found = k.number(k.integer("xor", k.bits(ratio), k.integer("shl", quadrant, 63)))
    return k.mend("tan", _far(k), k.select("oeq", "%x", 0.0, "%x", found))


# --- inverse functions -----------------------------------------------------------------------------------------------------


def _arcsine_parts(k: Kernel, size: str) -> tuple[str, Pair, str]:
    """Whether |x| < 1/2; then |x|, else sqrt((1 - |x|) / 2), in two parts; and arcsin of that less the first part."""
    small = k.test("olt", size, 0.5)
    z = k.choose(small, k.mul(size, size), k.fma(size, -0.5, 0.5))
    root = k.sqrt(z)
    s = k.choose(small, size, root)
    rest = k.fma(k.neg(s), s, z)
    rest = k.div(rest, k.add(s, s))
    missing = k.choose(k.either(small, k.test("oeq", z, 0.0)), 0.0, rest)
    return small, (s, missing), k.fma(k.mul(s, z), k.polynomial(z, ARCSINE), missing)


def _arcsin(k: Kernel) -> str:
    """Above 1/2, pi / 2 - 2 arcsin(sqrt((1 - |x|) / 2))."""
    size = k.abs("%x")
    small, (s, _), rest = _arcsine_parts(k, size)
    first, lost = k.ordered_sum(HALF_PI[0], k.mul(s, -2.0))
    large = k.add(first, k.add(k.fma(rest, -2.0, HALF_PI[1]), lost))
    found = k.sign_of(k.choose(small, k.add(s, rest), large), "%x")
    return k.choose(k.test("ogt", size, 1.0), math.nan, found)


def _arccos(k: Kernel) -> str:
    """pi / 2 - arcsin(x) up to 1/2; above, 2 arcsin(sqrt((1 - x) / 2)); below -1/2, pi less that of -x."""
    size = k.abs("%x")
    small, (s, _), rest = _arcsine_parts(k, size)
    signed, signed_rest = k.sign_of(s, "%x"), k.number(k.integer("xor", k.bits(rest), _sign_bit(k)))
    first, lost = k.ordered_sum(HALF_PI[0], k.neg(signed))
    middle = k.add(first, k.add(k.sub(HALF_PI[1], signed_rest), lost))
    above = k.mul(k.add(s, rest), 2.0)
    start, gone = k.ordered_sum(2.0 * HALF_PI[0], k.mul(s, -2.0))
    below = k.add(start, k.add(k.fma(rest, -2.0, 2.0 * HALF_PI[1]), gone))
    found = k.choose(small, middle, k.select("ogt", "%x", 0.0, above, below))
    return k.choose(k.test("ogt", size, 1.0), math.nan, found)


def _sign_bit(k: Kernel) -> str:
    return k.integer("and", k.bits("%x"), -(2**63))


def _angle(k: Kernel, above: str, below: str, swapped: str) -> Pair:
    """arctan(above / below) for 0 <= above <= below, or pi / 2 less that where `swapped`, as a large and a small number."""
    q, missing = k.quotient((above, 0.0), (below, 0.0))
    z = k.mul(q, q)
    rest = k.fma(k.mul(q, z), k.polynomial(z, ARCTANGENT), k.div(missing, k.add(z, 1.0)))
    first, lost = k.ordered_sum(HALF_PI[0], k.neg(q))
    return k.choose(swapped, first, q), k.choose(swapped, k.add(lost, k.sub(HALF_PI[1], rest)), rest)


def _arctan(k: Kernel) -> str:
    size = k.abs("%x")
    large = k.test("ogt", size, 1.0)
    bounded = k.select("ogt", size, 1e100, 1e100, size)
    angle = _angle(k, k.choose(large, 1.0, bounded), k.choose(large, bounded, 1.0), large)
    found = k.sign_of(k.add(*angle), "%x")
    # A tiny argument is its own result: the products around it would lose digits.
    return k.select("olt", size, 1e-20, "%x", found)


def _arctan2(k: Kernel) -> str:
    """The angle of (|y|, |x|), in its quadrant. Where the numbers are far apart, or special, the library is asked."""
    up, side = k.abs("%x"), k.abs("%y")
    steep = k.test("ogt", up, side)
    above, below = k.choose(steep, side, up), k.choose(steep, up, side)
    first, rest = _angle(k, above, below, steep)
    left = k.test("olt", "%y", 0.0)
    turned, lost = k.ordered_sum(2.0 * HALF_PI[0], k.neg(first))
    behind = k.add(turned, k.add(lost, k.sub(2.0 * HALF_PI[1], rest)))
    found = k.sign_of(k.choose(left, behind, k.add(first, rest)), "%x")
    wild = k.either(k.test("ult", k.select("oeq", above, 0.0, below, above), 1e-140), k.test("ugt", below, 1e150))
    return k.mend("atan2", wild, found)


KERNELS: dict[str, Callable[[Kernel], str]] = {
    "sin": _sine(0), "cos": _sine(1), "tan": _tan, "arcsin": _arcsin, "arccos": _arccos, "arctan": _arctan, "arctan2": _arctan2,
}  # fmt: skip
