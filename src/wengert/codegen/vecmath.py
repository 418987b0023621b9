"""Elementary functions as straight-line LLVM, so that the loops around them vectorise. At most 2.2 ulp from the true value
(1 for exp, log, log1p, sin and cos).

Each kernel is written once through `Kernel`, whose methods emit an instruction and return its result. Range reduction needs
fused multiply-add; without it in hardware the C library is called instead.

References:
    W. J. Cody and W. Waite, Software Manual for the Elementary Functions, Prentice Hall, 1980 (reduction by a split constant).
    P. T. P. Tang, Table-driven implementation of the exponential function in IEEE floating-point arithmetic, ACM TOMS 15(2),
    1989, doi:10.1145/63522.214389 (reconstruction of exp and expm1 from 2**k and the reduced argument).
    FDLIBM 5.3, Sun Microsystems, 1995: e_log.c, s_log1p.c (coefficients of log(1 + f) in s = f / (2 + f)), k_sin.c, k_cos.c.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache

from wengert.codegen import scalars, special, vecmath_single
from wengert.codegen.kernels import DOUBLE, Kernel

SHIFTER, SHIFTER_BITS = DOUBLE.shifter, DOUBLE.shifter_bits
# Halves of log(2): FULL is the nearest double, REST what is missing; HIGH has 32 bits, so that k * HIGH is exact.
LOG2_FULL, LOG2_REST = 0.6931471805599453, 2.3190468138462996e-17
LOG2_HIGH, LOG2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
LOG_SERIES = (
    6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
    1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01,
)  # fmt: skip
SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
ONE_BITS = 0x3FF0000000000000


# --- exponentials --------------------------------------------------------------------------------------------------


def _reduced(k: Kernel, x: str) -> tuple[str, str]:
    """n and r with x = n * log(2) + r, |r| <= log(2) / 2."""
    shifted = k.fma(x, 1.0 / LOG2_FULL, SHIFTER)
    rounded = k.sub(shifted, SHIFTER)
    minus = k.neg(rounded)
    r = k.fma(minus, LOG2_REST, k.fma(minus, LOG2_FULL, x))
    return k.integer("sub", k.bits(shifted), SHIFTER_BITS), r


def _exp_minus_one(k: Kernel, r: str) -> str:
    """e**r - 1 by its Taylor series to r**13, whose remainder is below 1e-17 for |r| <= log(2) / 2."""
    series = k.polynomial(r, [1.0 / math.factorial(n) for n in range(2, 14)])
    return k.fma(k.mul(r, r), series, r)


def _halves(k: Kernel, n: str) -> tuple[str, str, str]:
    """2**a, 2**b and 2**-b with a + b = n: two steps, so that overflow and subnormals come out rounded once."""
    half = k.integer("ashr", n, 1)
    rest = k.integer("sub", n, half)
    negated = k.integer("sub", "0", rest)
    return k.power_of_two(half), k.power_of_two(rest), k.power_of_two(negated)


def _exp(k: Kernel) -> str:
    low = k.select("olt", "%x", -746.0, -746.0, "%x")
    x = k.select("ogt", low, 710.0, 710.0, low)
    n, r = _reduced(k, x)
    first, second, _ = _halves(k, n)
    near = _exp_minus_one(k, r)
    return k.mul(k.fma(near, first, first), second)


def _expm1_of(k: Kernel, argument: str) -> str:
    low = k.select("olt", argument, -60.0, -60.0, argument)
    x = k.select("ogt", low, 710.0, 710.0, low)
    n, r = _reduced(k, x)
    first, second, inverse = _halves(k, n)
    near = _exp_minus_one(k, r)
    return k.mul(k.fma(near, first, k.sub(first, inverse)), second)


def _expm1(k: Kernel) -> str:
    # A tiny argument is its own result, signed zero included.
    return k.select("olt", k.abs("%x"), 1e-20, "%x", _expm1_of(k, "%x"))


def _tanh(k: Kernel) -> str:
    """t / (t + 2) with t = expm1(2|x|)."""
    size = k.abs("%x")
    size = k.select("ogt", size, 22.0, 22.0, size)
    t = _expm1_of(k, k.add(size, size))
    return k.sign_of(k.div(t, k.add(t, 2.0)), "%x")


# --- logarithms ----------------------------------------------------------------------------------------------------


def _split(k: Kernel, bits: str) -> tuple[str, str]:
    """n and m with x = 2**n * m, m in [sqrt(1/2), sqrt(2))."""
    n = k.integer("ashr", k.integer("sub", bits, SQRT_HALF_BITS), 52)
    return n, k.number(k.integer("sub", bits, k.integer("shl", n, 52)))


def _log_one_plus(k: Kernel, f: str, n: str, correction: str | float) -> str:
    """log(1 + f) + n log(2) + correction."""
    s = k.div(f, k.add(f, 2.0))
    z = k.mul(s, s)
    series = k.mul(z, k.polynomial(z, LOG_SERIES))
    half = k.mul(k.mul(f, f), 0.5)
    small = k.fma(s, k.add(half, series), k.fma(n, LOG2_LOW, correction))
    return k.fma(n, LOG2_HIGH, k.sub(f, k.sub(half, small)))


def _log(k: Kernel) -> str:
    tiny = k.let(f"fcmp olt double %x, {k.of(2.0**-1022)}")
    scaled = k.mul("%x", 2.0**54)
    x = k.let(f"select i1 {tiny}, double {scaled}, double %x")
    n, m = _split(k, k.bits(x))
    n = k.integer("sub", n, k.let(f"select i1 {tiny}, i64 54, i64 0"))
    found = _log_one_plus(k, k.sub(m, 1.0), k.from_integer(n), 0.0)
    return _log_edges(k, found, "%x", "%x")


def _log_edges(k: Kernel, found: str, x: str, argument: str) -> str:
    """infinity, 0, negative numbers and NaN, by the logarithm's argument `x`."""
    found = k.select("oeq", x, math.inf, math.inf, found)
    found = k.select("oeq", x, 0.0, -math.inf, found)
    found = k.select("olt", x, 0.0, math.nan, found)
    return k.select("uno", argument, argument, argument, found)


def _log1p(k: Kernel) -> str:
    """log(u) for u = 1 + x, with what rounding u has lost; near 0, where nothing is scaled, of x itself."""
    u = k.add("%x", 1.0)
    n, m = _split(k, k.bits(u))
    lost_small = k.sub("%x", k.sub(u, 1.0))
    lost_large = k.sub(1.0, k.sub(u, "%x"))
    lost = k.select("ogt", u, 2.0, lost_large, lost_small)
    near = k.let(f"icmp eq i64 {n}, 0")
    f = k.let(f"select i1 {near}, double %x, double {k.sub(m, 1.0)}")
    correction = k.let(f"select i1 {near}, double 0.0, double {k.div(lost, u)}")
    found = _log_one_plus(k, f, k.from_integer(n), correction)
    found = k.select("olt", k.abs("%x"), 1e-20, "%x", found)
    return _log_edges(k, found, u, "%x")


# --- sine and cosine -----------------------------------------------------------------------------------------------

# Reduction by three parts of pi / 2 is exact enough up to here; beyond, the C library is asked.
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


def _sine(k: Kernel, turn: int) -> str:
    """sin(x + turn * pi / 2): the sine or cosine of the reduced angle r + rest, by quadrant, with its sign."""
    shifted = k.fma("%x", 2.0 / math.pi, SHIFTER)
    minus = k.neg(k.sub(shifted, SHIFTER))
    first = k.fma(minus, HALF_PI[0], "%x")
    product = k.mul(minus, HALF_PI[1])
    missing = k.fma(minus, HALF_PI[1], k.neg(product))
    # `first` is exact; the sum with its rounding error (Knuth's two-sum), since it may cancel.
    r = k.add(first, product)
    part = k.sub(r, first)
    error = k.add(k.sub(first, k.sub(r, part)), k.sub(product, part))
    rest = k.add(error, k.fma(minus, HALF_PI[2], missing))
    z = k.mul(r, r)
    cube = k.mul(z, r)
    tail = k.sub(k.mul(z, k.fma(rest, 0.5, k.neg(k.mul(cube, k.polynomial(z, SINE[1:]))))), rest)
    sine = k.sub(r, k.sub(tail, k.mul(cube, SINE[0])))
    half = k.mul(z, 0.5)
    main = k.sub(1.0, half)
    lost = k.sub(k.sub(1.0, main), half)
    series = k.mul(k.mul(z, z), k.polynomial(z, COSINE))
    cosine = k.add(main, k.add(lost, k.fma(k.neg(r), rest, series)))
    quadrant = k.integer("add", k.bits(shifted), turn)
    odd = k.let(f"trunc i64 {quadrant} to i1")
    chosen = k.let(f"select i1 {odd}, double {cosine}, double {sine}")
    sign = k.integer("shl", k.integer("and", quadrant, 2), 62)
    return k.number(k.integer("xor", k.bits(chosen), sign))


KERNELS: dict[str, Callable[[Kernel], str]] = {
    "exp": _exp, "expm1": _expm1, "tanh": _tanh, "log": _log, "log1p": _log1p,
    "sin": lambda k: _sine(k, 0), "cos": lambda k: _sine(k, 1),
}  # fmt: skip


@cache
def kernel(name: str) -> str:
    """The LLVM function `@wg.<name>`."""
    k = Kernel(DOUBLE)
    result = KERNELS[name](k)
    return k.function(f"wg.{name}", result)


def helpers(names: Iterable[str]) -> list[str]:
    """The text of the helper functions called `names`."""
    return [_helper(n) for n in sorted(names)]


def _helper(name: str) -> str:
    short = name.removeprefix("wg.")
    if short.startswith("polygamma"):
        return special.polygamma_helper(int(short.removeprefix("polygamma")))
    if short.endswith(".f32"):
        return vecmath_single.kernel(short.removesuffix(".f32"))
    return kernel(short) if short in KERNELS else scalars.HELPERS[name]
