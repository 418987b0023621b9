"""Powers, cube roots and distances.

References:
    T. J. Dekker, A floating-point technique for extending the available precision, Numerische Mathematik 18, 1971,
    doi:10.1007/BF01397083 (arithmetic with numbers in two parts, here with fused multiply-add).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from wengert.codegen.elementary import exponential, logarithm
from wengert.codegen.elementary.coefficients import INVERSE_CUBE_ROOT
from wengert.codegen.kernels import Kernel, Pair

# log(2) in two parts whose first has 32 bits, so that products with whole numbers of 11 bits are exact in two parts.
LOG2_HIGH, LOG2_LOW = 6.93147180369123816490e-01, 1.9082149292705877e-10
THIRD, THIRD_REST = 1.0 / 3.0, 1.850371707708594e-17
# 1 / 5, 1 / 7, ...: the logarithm in s = (m - 1) / (m + 1) is 2 s (1 + z / 3 + z**2 / 5 + ...), z = s**2.
FIFTHS = tuple(1.0 / n for n in range(5, 26, 2))


def _hypot(k: Kernel) -> str:
    """sqrt(x**2 + y**2), the squares in two parts; the library does what over- or underflows."""
    a, b = k.abs("%x"), k.abs("%y")
    large = k.select("ogt", a, b, a, b)
    small = k.select("ogt", a, b, b, a)
    square, missing = k.exact_product(large, large)
    other, lost = k.exact_product(small, small)
    total, error = k.ordered_sum(square, other)
    rest = k.add(error, k.add(missing, lost))
    found = k.sqrt(total)
    left = k.add(k.fma(k.neg(found), found, total), rest)
    found = k.add(found, k.div(left, k.add(found, found)))
    wild = k.either(k.test("ult", large, 1e-130), k.test("ugt", large, 1e150))
    return k.mend("hypot", k.either(wild, k.test("uno", small, 0.0)), found)


def _cbrt(k: Kernel) -> str:
    """The cube root of x = 2**(3 n) a by steps towards a**(-1/3), and one on the root itself."""
    size = k.abs("%x")
    e, m = logarithm.split(k, k.bits(size))
    exponent = k.from_integer(e)
    shifted = k.fma(exponent, 1.0 / 3.0, k.precision.shifter)
    n = k.integer("sub", k.bits(shifted), k.precision.shifter_bits)
    a = k.mul(m, k.power_of_two(k.integer("sub", e, k.integer("mul", n, 3))))
    r = k.polynomial(a, INVERSE_CUBE_ROOT)
    for series in ((THIRD, 2.0 / 9.0, 14.0 / 81.0), (THIRD, 2.0 / 9.0)):
        error = k.fma(k.neg(k.mul(k.mul(r, r), r)), a, 1.0)
        r = k.fma(k.mul(r, error), k.horner(error, list(series)), r)
    found = k.mul(k.mul(r, r), a)
    # What a less the cube of the root is, over three times its square.
    square, lost = k.exact_product(found, found)
    left = k.fma(k.neg(found), lost, k.fma(k.neg(found), square, a))
    found = k.fma(k.mul(left, THIRD), k.mul(r, r), found)
    scaled = k.sign_of(k.mul(found, k.power_of_two(n)), "%x")
    return k.mend("cbrt", logarithm.out_of_range(k, k.bits(size)), scaled)


# --- general powers --------------------------------------------------------------------------------------------------------


def logarithm_of(k: Kernel, x: str | float) -> Pair:
    """log(x) of a positive normal number in two parts: about 66 bits."""
    n, m = logarithm.split(k, k.bits(x))
    count = k.from_integer(n)
    f, below = k.sub(m, 1.0), k.exact_sum(m, 1.0)
    s = k.quotient((f, 0.0), below)
    z, missing = k.exact_product(s[0], s[0])
    missing = k.fma(k.mul(s[0], 2.0), s[1], missing)
    # 1 / 3 + z (1 / 5 + z / 7 + ...), then times z, in two parts.
    rest = k.polynomial(z, FIFTHS)
    part, low = k.exact_product(rest, z)
    inner, gone = k.ordered_sum(THIRD, part)
    inner_rest = k.add(gone, k.add(k.fma(rest, missing, low), THIRD_REST))
    product, error = k.exact_product(inner, z)
    error = k.fma(inner, missing, k.fma(inner_rest, z, error))
    # 2 s + 2 s product
    twice = k.mul(s[0], 2.0)
    cubic, tail = k.exact_product(twice, product)
    tail = k.fma(twice, error, tail)
    first, lost = k.ordered_sum(twice, cubic)
    lost = k.add(lost, k.fma(k.mul(s[1], 2.0), k.add(product, 1.0), tail))
    whole, drop = k.exact_sum(k.mul(count, LOG2_HIGH), first)
    return k.ordered_sum(whole, k.add(drop, k.fma(count, LOG2_LOW, lost)))


def _pow(k: Kernel) -> str:
    """exp(y log(|x|)) with the sign of an odd whole y; the library does zeros, infinities and what is not a number."""
    size = k.abs("%x")
    log, rest = logarithm_of(k, size)
    product, missing = k.exact_product(log, "%y")
    missing = k.select("olt", k.abs(product), 760.0, k.fma(rest, "%y", missing), 0.0)
    found = exponential.exponential(k, (exponential.clamped(k, product, -746.0, 710.0), missing))
    negative = k.test("olt", "%x", 0.0)
    half = k.mul("%y", 0.5)
    is_whole = k.test("oeq", k.floor("%y"), "%y")
    is_even = k.test("oeq", k.floor(half), half)
    signed = k.choose(is_whole, k.choose(is_even, found, k.neg(found)), math.nan)
    wild = k.either(logarithm.out_of_range(k, k.bits(size)), k.test("ugt", k.abs("%y"), 1e15))
    return k.mend("pow", wild, k.choose(negative, signed, found))


KERNELS: dict[str, Callable[[Kernel], str]] = {"hypot": _hypot, "cbrt": _cbrt, "pow": _pow}
