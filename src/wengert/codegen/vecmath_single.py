"""Elementary functions of single precision as straight-line LLVM, so that the loops around them vectorise at full width.

At most 1 ulp from the true value for log and log1p, 1.1 for exp, 2 for expm1 and tanh. The series are Taylor's: for 24 bits a few
more terms cost less than fitted coefficients are worth. As in `vecmath`, fused multiply-add is needed.

References:
    W. J. Cody and W. Waite, Software Manual for the Elementary Functions, Prentice Hall, 1980 (reduction by a split constant).
    P. T. P. Tang, Table-driven implementation of the exponential function in IEEE floating-point arithmetic, ACM TOMS 15(2),
    1989, doi:10.1145/63522.214389 (reconstruction of exp and expm1 from 2**k and the reduced argument).
    FDLIBM 5.3, Sun Microsystems, 1995: e_log.c, s_log1p.c (log(1 + f) in s = f / (2 + f)).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from wengert.codegen.kernels import SINGLE, Kernel

SHIFTER, SHIFTER_BITS = SINGLE.shifter, SINGLE.shifter_bits
# Halves of log(2): the nearest float and what is missing; the first of the second pair has 16 bits, so that k times it is exact.
LOG2_FULL, LOG2_REST = 0.693147182464599609375, -1.904654299957767e-09
LOG2_HIGH, LOG2_LOW = 0.693145751953125, 1.4286067653e-06
SQRT_HALF_BITS = 0x3F3504F3
EXPONENTIAL = [1.0 / math.factorial(n) for n in range(2, 8)]
TANGENT = [-1.0 / 3.0, 2.0 / 15.0, -17.0 / 315.0, 62.0 / 2835.0, -1382.0 / 155925.0, 21844.0 / 6081075.0]
LOGARITHM = [2.0 / n for n in (3, 5, 7, 9, 11)]


# --- exponentials --------------------------------------------------------------------------------------------------


def _clamped(k: Kernel, x: str, low: float, high: float) -> str:
    x = k.select("olt", x, low, low, x)
    return k.select("ogt", x, high, high, x)


def _reduced(k: Kernel, x: str) -> tuple[str, str]:
    """n and e**r - 1, with x = n * log(2) + r, |r| <= log(2) / 2."""
    shifted = k.fma(x, 1.0 / math.log(2.0), SHIFTER)
    minus = k.neg(k.op("fsub", shifted, SHIFTER))
    r = k.fma(minus, LOG2_REST, k.fma(minus, LOG2_FULL, x))
    near = k.fma(k.op("fmul", r, r), k.horner(r, EXPONENTIAL), r)
    return k.integer("sub", k.bits(shifted), SHIFTER_BITS), near


def _halves(k: Kernel, n: str) -> tuple[str, str, str]:
    """2**a, 2**b and 2**-b with a + b = n: two steps, so that overflow and subnormals come out rounded once."""
    half = k.integer("ashr", n, 1)
    rest = k.integer("sub", n, half)
    return k.power_of_two(half), k.power_of_two(rest), k.power_of_two(k.integer("sub", "0", rest))


def _exp(k: Kernel) -> str:
    n, near = _reduced(k, _clamped(k, "%x", -104.0, 89.0))
    first, second, _ = _halves(k, n)
    return k.op("fmul", k.fma(near, first, first), second)


def _expm1_of(k: Kernel, argument: str) -> str:
    n, near = _reduced(k, _clamped(k, argument, -20.0, 89.0))
    first, second, inverse = _halves(k, n)
    return k.op("fmul", k.fma(near, first, k.op("fsub", first, inverse)), second)


def _expm1(k: Kernel) -> str:
    # A tiny argument is its own result, signed zero included.
    return k.select("olt", k.abs("%x"), 1e-10, "%x", _expm1_of(k, "%x"))


def _tanh(k: Kernel) -> str:
    """t / (t + 2) with t = expm1(2|x|), and Taylor's series near 0."""
    size = k.abs("%x")
    size = k.select("ogt", size, 10.0, 10.0, size)
    t = _expm1_of(k, k.op("fadd", size, size))
    found = k.op("fdiv", t, k.op("fadd", t, 2.0))
    z = k.op("fmul", size, size)
    series = k.fma(k.op("fmul", z, k.horner(z, TANGENT)), size, size)
    return k.let(f"call float @llvm.copysign.f32(float {k.select('olt', size, 0.35, series, found)}, float %x)")


# --- logarithms ----------------------------------------------------------------------------------------------------


def _split(k: Kernel, x: str) -> tuple[str, str]:
    """n and m with x = 2**n * m, m in [sqrt(1/2), sqrt(2))."""
    bits = k.bits(x)
    n = k.integer("ashr", k.integer("sub", bits, SQRT_HALF_BITS), 23)
    return n, k.number(k.integer("sub", bits, k.integer("shl", n, 23)))


def _log_one_plus(k: Kernel, f: str, n: str, correction: str | float) -> str:
    """log(1 + f) + n log(2) + correction."""
    count = k.let(f"sitofp i32 {n} to float")
    s = k.op("fdiv", f, k.op("fadd", f, 2.0))
    z = k.op("fmul", s, s)
    series = k.op("fmul", z, k.horner(z, LOGARITHM))
    half = k.op("fmul", k.op("fmul", f, f), 0.5)
    small = k.fma(s, k.op("fadd", half, series), k.fma(count, LOG2_LOW, correction))
    return k.fma(count, LOG2_HIGH, k.op("fsub", f, k.op("fsub", half, small)))


def _edges(k: Kernel, found: str, x: str, argument: str) -> str:
    """infinity, 0, negative numbers and NaN, by the logarithm's argument `x`."""
    found = k.select("oeq", x, math.inf, math.inf, found)
    found = k.select("oeq", x, 0.0, -math.inf, found)
    found = k.select("olt", x, 0.0, math.nan, found)
    return k.select("uno", argument, argument, argument, found)


def _log(k: Kernel) -> str:
    tiny = k.let(f"fcmp olt float %x, {k.of(2.0**-126)}")
    scaled = k.op("fmul", "%x", 2.0**25)
    n, m = _split(k, k.let(f"select i1 {tiny}, float {scaled}, float %x"))
    n = k.integer("sub", n, k.let(f"select i1 {tiny}, i32 25, i32 0"))
    return _edges(k, _log_one_plus(k, k.op("fsub", m, 1.0), n, 0.0), "%x", "%x")


def _log1p(k: Kernel) -> str:
    """log(u) for u = 1 + x, with what rounding u has lost; near 0, where nothing is scaled, of x itself."""
    u = k.op("fadd", "%x", 1.0)
    n, m = _split(k, u)
    lost_small = k.op("fsub", "%x", k.op("fsub", u, 1.0))
    lost_large = k.op("fsub", 1.0, k.op("fsub", u, "%x"))
    lost = k.select("ogt", u, 2.0, lost_large, lost_small)
    near = k.let(f"icmp eq i32 {n}, 0")
    f = k.let(f"select i1 {near}, float %x, float {k.op('fsub', m, 1.0)}")
    correction = k.let(f"select i1 {near}, float 0.0, float {k.op('fdiv', lost, u)}")
    found = _log_one_plus(k, f, n, correction)
    found = k.select("olt", k.abs("%x"), 1e-10, "%x", found)
    return _edges(k, found, u, "%x")


KERNELS: dict[str, Callable[[Kernel], str]] = {
    "exp": _exp, "expm1": _expm1, "tanh": _tanh, "log": _log, "log1p": _log1p,
}  # fmt: skip


@cache
def kernel(name: str) -> str:
    """The LLVM function `@wg.<name>.f32`."""
    k = Kernel(SINGLE)
    result = KERNELS[name](k)
    return k.function(f"wg.{name}.f32", result)
