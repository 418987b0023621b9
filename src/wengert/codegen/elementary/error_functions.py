"""The error function, its complement and its inverse.

References:
    M. M. Shepherd and J. G. Laframboise, Chebyshev approximation of (1 + 2x) exp(x**2) erfc(x) in 0 <= x < inf, Mathematics of
    Computation 36, 1981, doi:10.1090/S0025-5718-1981-0595058-X (the function that is approximated, over another variable).
    M. B. Giles, Approximating the erfinv function, GPU Computing Gems 2, 2011 (polynomials in -log(1 - x**2) and its root).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import zip_longest

from wengert.codegen.elementary import coefficients, exponential, logarithm
from wengert.codegen.kernels import Kernel, Pair


def _near(k: Kernel, z: str) -> str:
    """erf(x) / x - 1 for z = x**2 <= 1."""
    return k.polynomial(z, coefficients.ERROR)


def _erf(k: Kernel) -> str:
    """A polynomial up to 1; above, 1 - exp(-p(x)), which is 1 from 5.93 on."""
    size = k.abs("%x")
    bounded = k.select("ogt", size, 5.93, 5.93, size)
    inner = k.select("ogt", size, 1.0, 1.0, size)
    small = k.fma(_near(k, k.mul(inner, inner)), inner, inner)
    n, _, r = exponential.reduced(k, k.neg(k.horner(bounded, list(coefficients.ERROR_TAIL))))
    scale = k.power_of_two(n)
    power = k.fma(exponential.exp_minus_one(k, r), scale, scale)
    found = k.select("olt", size, 1.0, small, k.sub(1.0, power))
    return k.sign_of(k.select("uno", size, size, size, found), "%x")


def _scaled_complement(k: Kernel, x: str) -> Pair:
    """exp(x**2) erfc(x) for x >= 1/2, in two parts."""
    q, missing = k.quotient((k.sub(x, 4.0), 0.0), k.exact_sum(x, 4.0))
    series = k.horner(k.add(q, missing), list(coefficients.SCALED_COMPLEMENT[1:]))
    main = k.ordered_sum(coefficients.SCALED_COMPLEMENT[0], k.mul(series, q))
    twice = k.add(x, x)
    return k.quotient(main, k.exact_sum(twice, 1.0))


def _erfc(k: Kernel) -> str:
    """1 - erf(x) up to 1/2; above, exp(-x**2) times a scaled complement; 2 less that for negative numbers."""
    size = k.abs("%x")
    near = k.test("olt", size, 0.5)
    small = k.sub(1.0, k.fma(_near(k, k.mul("%x", "%x")), "%x", "%x"))
    x = k.select("olt", size, 0.5, 0.5, size)
    x = k.select("ogt", x, 27.3, 27.3, x)
    square, lost = k.exact_product(x, x)
    n, _, r = exponential.reduced(k, k.neg(square))
    power = exponential.exp_minus_one(k, k.sub(r, lost))
    main, rest = _scaled_complement(k, x)
    first, second = exponential.halves(k, n)
    product = k.mul(k.mul(k.add(main, k.fma(main, power, rest)), first), second)
    large = k.select("olt", "%x", 0.0, k.sub(2.0, product), product)
    return k.select("uno", size, size, size, k.choose(near, small, large))


def _erfinv(k: Kernel) -> str:
    """x p(t), where p and t follow from v = -log((1 - x) (1 + x))."""
    size = k.abs("%x")
    product = k.mul(k.sub(1.0, size), k.add(size, 1.0))
    inside = k.select("olt", size, 1.0, product, 0.5)
    v = k.neg(logarithm.log_of_pair(k, (inside, 0.0)))
    square = k.select("ogt", v, 1.0, v, 1.0)
    root = k.sqrt(square)
    # What rounding took from the root, as the square lacks it, over twice the root; a line is near enough to that from 2.5 to 6.
    rest = k.mul(k.fma(k.neg(root), root, square), k.fma(root, -0.0247, 0.225))
    middle, far = k.test("olt", v, 6.25), k.test("olt", v, 16.0)
    beyond = k.add(k.choose(far, k.sub(root, 3.25), k.sub(root, 5.083984375)), rest)
    t = k.choose(middle, k.sub(v, 3.125), beyond)
    tables = (coefficients.INVERSE_ERROR, coefficients.INVERSE_ERROR_FAR, coefficients.INVERSE_ERROR_TAIL)
    terms = [k.choose(middle, a, k.choose(far, b, c)) for a, b, c in zip_longest(*tables, fillvalue=0.0)]
    # Of -0 it is 0, as in SciPy.
    found = k.add(k.mul(k.horner(t, terms), "%x"), 0.0)
    found = k.select("oeq", size, 1.0, k.sign_of(k.of(math.inf), "%x"), found)
    return k.select("ule", size, 1.0, found, math.nan)


KERNELS: dict[str, Callable[[Kernel], str]] = {"erf": _erf, "erfc": _erfc, "erfinv": _erfinv}
