"""Logarithms and inverse hyperbolic functions: x = 2**n m with m in [sqrt(1/2), sqrt(2)), a series in s = f / (2 + f), f = m - 1.

References:
    FDLIBM 5.3, Sun Microsystems, 1995: e_log.c, s_log1p.c (log(1 + f) = f - f**2 / 2 + s (f**2 / 2 + R), and its coefficients).
"""

from __future__ import annotations

from collections.abc import Callable

from wengert.codegen.elementary.coefficients import AREA_SINE, AREA_TANGENT
from wengert.codegen.kernels import Kernel, Pair

# A half of log(2) with 32 bits, so that n times it is exact, and the rest; likewise log10(2).
LOG2_HIGH, LOG2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
LOG10_2_HIGH, LOG10_2_LOW = 0.3010299955494702, 1.1451100898021838e-10
# 1 / log(2) and 1 / log(10): the nearest double, and what is missing.
PER_LOG2 = (1.4426950408889634, 2.0355273740931033e-17)
PER_LOG10 = (0.4342944819032518, 1.098319650216765e-17)
LOG_SERIES = (
    6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
    1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01,
)  # fmt: skip
SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
SMALLEST_BITS, RANGE_BITS = 0x0010000000000000, 0x7FE0000000000000


def split(k: Kernel, bits: str) -> tuple[str, str]:
    """n and m with x = 2**n * m, m in [sqrt(1/2), sqrt(2))."""
    n = k.integer("ashr", k.integer("sub", bits, SQRT_HALF_BITS), 52)
    return n, k.number(k.integer("sub", bits, k.integer("shl", n, 52)))


def out_of_range(k: Kernel, bits: str) -> str:
    """Whether a number is not a positive normal one: by one comparison of its representation."""
    return k.let(f"icmp uge i64 {k.integer('sub', bits, SMALLEST_BITS)}, {RANGE_BITS}")


def correction(k: Kernel, f: str, half: str, s: str) -> str:
    """log(1 + f) - f + half, where half = f**2 / 2 and s = f / (f + 2)."""
    z = k.mul(s, s)
    return k.mul(s, k.add(half, k.mul(z, k.polynomial(z, LOG_SERIES))))


def log_one_plus(k: Kernel, f: str, n: str, rest: Pair | None = None) -> str:
    """log(1 + f) + n log(2) + the small quotient `rest`: one division for both."""
    half = k.mul(k.mul(f, f), 0.5)
    under = k.add(f, 2.0)
    if rest is None:
        s, low = k.div(f, under), k.mul(n, LOG2_LOW)
    else:
        inverse = k.div(1.0, k.mul(under, rest[1]))
        s = k.mul(k.mul(f, rest[1]), inverse)
        low = k.fma(n, LOG2_LOW, k.mul(k.mul(rest[0], under), inverse))
    small = k.add(correction(k, f, half, s), low)
    return k.fma(n, LOG2_HIGH, k.sub(f, k.sub(half, small)))


def log_of_pair(k: Kernel, x: Pair, shift: str | None = None) -> str:
    """log of a positive number in two parts, plus `shift` times log(2)."""
    n, m = split(k, k.bits(x[0]))
    count = k.from_integer(n)
    count = k.add(count, shift) if shift else count
    return log_one_plus(k, k.sub(m, 1.0), count, x[::-1] if x[1] != 0.0 else None)


def log_of_one_plus_pair(k: Kernel, x: Pair) -> str:
    """log(1 + x) for x > -1 in two parts; near 0, where nothing is scaled, of x itself."""
    u = k.add(x[0], 1.0)
    n, m = split(k, k.bits(u))
    lost_small = k.sub(x[0], k.sub(u, 1.0))
    lost_large = k.sub(1.0, k.sub(u, x[0]))
    lost = k.add(k.select("ogt", u, 2.0, lost_large, lost_small), x[1])
    near = k.let(f"icmp eq i64 {n}, 0")
    f = k.choose(near, x[0], k.sub(m, 1.0))
    return log_one_plus(k, f, k.from_integer(n), (k.choose(near, x[1], lost), u))


def _log(k: Kernel) -> str:
    bits = k.bits("%x")
    n, m = split(k, bits)
    return k.mend("log", out_of_range(k, bits), log_one_plus(k, k.sub(m, 1.0), k.from_integer(n)))


def _log1p(k: Kernel) -> str:
    found = log_of_one_plus_pair(k, ("%x", 0.0))
    found = k.select("olt", k.abs("%x"), 1e-20, "%x", found)
    return k.mend("log1p", k.either(k.test("ule", "%x", -1.0), k.test("ogt", "%x", 1e300)), found)


def _log_to_base(name: str, unit: tuple[float, float], per: tuple[float, float]) -> Callable[[Kernel], str]:
    """A logarithm to another base: n * unit + (f - rest) * per, where only the last sum rounds what counts.

    Args:
        name: of the function in the C library.
        unit: the logarithm of 2, in two parts, the first one short.
        per: that of e.
    """

    def kernel(k: Kernel) -> str:
        bits = k.bits("%x")
        n, m = split(k, bits)
        count, f = k.from_integer(n), k.sub(m, 1.0)
        half = k.mul(k.mul(f, f), 0.5)
        rest = k.sub(correction(k, f, half, k.div(f, k.add(f, 2.0))), half)
        main, low = k.exact_product(f, per[0])
        small = k.fma(rest, per[0], k.fma(f, per[1], low))
        whole = k.mul(count, unit[0])
        total, lost = k.exact_sum(whole, main)
        return k.mend(name, out_of_range(k, bits), k.add(total, k.add(lost, k.fma(count, unit[1], small))))

    return kernel


# --- inverse hyperbolic functions ----------------------------------------------------------------------------------------


def _arcsinh(k: Kernel) -> str:
    """A polynomial up to 1/2, log(|x| + sqrt(x**2 + 1)) above, log(2 |x|) far out."""
    size = k.abs("%x")
    z = k.mul("%x", "%x")
    near = k.fma(k.mul(z, k.polynomial(z, AREA_SINE)), size, size)
    far = k.test("ogt", size, 1e100)
    a = k.choose(far, 1.0, size)
    square, missing = k.exact_product(a, a)
    under, lost = k.exact_sum(square, 1.0)
    root, rest = k.root((under, k.add(lost, missing)))
    total, error = k.exact_sum(root, a)
    large = log_of_pair(k, (k.choose(far, size, total), k.choose(far, 0.0, k.add(error, rest))), k.choose(far, 1.0, 0.0))
    found = k.sign_of(k.select("olt", size, 0.5, near, large), "%x")
    return k.mend("asinh", k.test("ugt", size, 1e300), found)


def _arccosh(k: Kernel) -> str:
    """log(1 + w) with w = t + sqrt(t (2 + t)), t = x - 1; log(2 x) far out."""
    far = k.test("ogt", "%x", 1e100)
    t = k.sub(k.choose(far, 2.0, "%x"), 1.0)
    two, lost = k.exact_sum(t, 2.0)
    under, missing = k.exact_product(t, two)
    root, rest = k.root((k.choose(k.test("oeq", t, 0.0), 1.0, under), k.fma(t, lost, missing)))
    root = k.select("oeq", t, 0.0, 0.0, root)
    total, error = k.exact_sum(root, t)
    w = k.choose(far, "%x", total)
    near = log_of_one_plus_pair(k, (w, k.choose(far, 0.0, k.add(error, rest))))
    found = k.add(near, k.choose(far, LOG2_HIGH + LOG2_LOW, 0.0))
    wild = k.either(k.test("ult", "%x", 1.0), k.test("ogt", "%x", 1e300))
    return k.mend("acosh", wild, found)


def _arctanh(k: Kernel) -> str:
    """A polynomial up to 1/2, log((1 + |x|) / (1 - |x|)) / 2 above."""
    size = k.abs("%x")
    z = k.mul("%x", "%x")
    near = k.fma(k.mul(z, k.polynomial(z, AREA_TANGENT)), size, size)
    large = log_of_pair(k, k.quotient(k.ordered_sum(1.0, size), (k.sub(1.0, size), 0.0)))
    found = k.sign_of(k.select("olt", size, 0.5, near, k.mul(large, 0.5)), "%x")
    return k.mend("atanh", k.test("uge", size, 1.0), found)


KERNELS: dict[str, Callable[[Kernel], str]] = {
    "log": _log, "log1p": _log1p, "log2": _log_to_base("log2", (1.0, 0.0), PER_LOG2),
    "log10": _log_to_base("log10", (LOG10_2_HIGH, LOG10_2_LOW), PER_LOG10),
    "arcsinh": _arcsinh, "arccosh": _arccosh, "arctanh": _arctanh,
}  # fmt: skip
