"""Coefficients of the polynomials in `wengert.codegen.elementary`: prints the table that stands in `coefficients.py`.

Minimax polynomials by the exchange algorithm of Remez (1934) in extended precision, on a fixed grid; then each coefficient is
rounded to a double. Behind each polynomial stands its largest weighted error before the rounding.

    python scripts/fit_kernels.py > src/wengert/codegen/elementary/coefficients.py
    python scripts/fit_kernels.py ERF ATAN          # some of them, to look at
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mpmath import mp, mpf

mp.dps = 50
Real = Callable[[Any], Any]


@dataclass(frozen=True)
class Fit:
    """A polynomial to be found.

    Attributes:
        of: what is approximated.
        low, high: the interval.
        degree: of the polynomial.
        weight: of the error, at a point.
        what: one line for the table.
    """

    of: Real
    low: Any
    high: Any
    degree: int
    weight: Real
    what: str


def remez(fit: Fit, points: int = 1200) -> tuple[list[Any], Any]:
    """Coefficients of x**0, x**1, ..., and the largest weighted error on the grid."""
    low, high = mpf(fit.low), mpf(fit.high)
    grid = [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * k / points) for k in range(points + 1)]
    grid = [x for x in grid if abs(x) > mpf("1e-9")]
    values = [(fit.of(x), fit.weight(x)) for x in grid]
    count = fit.degree + 2
    chosen = [round(k * (len(grid) - 1) / (count - 1)) for k in range(count)]
    for _ in range(30):
        rows = mp.matrix(count, count)
        right = mp.matrix(count, 1)
        for r, at in enumerate(chosen):
            for power in range(fit.degree + 1):
                rows[r, power] = grid[at] ** power
            rows[r, count - 1] = (-1) ** r / values[at][1]
            right[r] = values[at][0]
        solution = mp.lu_solve(rows, right)
        coefficients = [solution[p] for p in range(fit.degree + 1)]
        errors = [(mp.polyval(coefficients[::-1], x) - f) * w for x, (f, w) in zip(grid, values, strict=True)]
        level, worst = abs(solution[count - 1]), max(map(abs, errors))
        if worst <= level * mpf("1.01"):
            break
        chosen = exchanged(errors, count)
    return coefficients, worst


def exchanged(errors: list[Any], count: int) -> list[int]:
    """`count` points of alternating sign among the largest errors: one for each run of one sign, less small ones at the ends."""
    runs: list[int] = []
    for at, error in enumerate(errors):
        if runs and (errors[runs[-1]] > 0) == (error > 0):
            runs[-1] = at if abs(error) > abs(errors[runs[-1]]) else runs[-1]
        else:
            runs.append(at)
    while len(runs) > count:
        runs.pop(0 if abs(errors[runs[0]]) < abs(errors[runs[-1]]) else -1)
    if len(runs) < count:
        raise SystemExit(f"{len(runs)} extrema instead of {count}: the degree is too high for the precision")
    return runs


def odd(function: Real, high: Any, degree: int, what: str) -> Fit:
    """P with function(x) = x + x z P(z), z = x**2, up to x = `high`; the error is weighted as that of the function."""

    def rest(z: Any) -> Any:
        x = mp.sqrt(z)
        return (function(x) / x - 1) / z

    return Fit(rest, 0, mpf(high) ** 2, degree, lambda z: z * mp.sqrt(z) / function(mp.sqrt(z)), what)


def relative(function: Real, low: Any, high: Any, degree: int, what: str) -> Fit:
    """A polynomial with small relative error."""
    return Fit(function, low, high, degree, lambda x: 1 / abs(function(x)), what)


HALF_LOG2 = mp.log(2) / 2


def _erfcx(x: Any) -> Any:
    return mp.exp(x * x) * mp.erfc(x)


def _far(q: Any) -> Any:
    """4 (1 + q) / (1 - q): the inverse of (x - 4) / (x + 4)."""
    return 4 * (1 + q) / (1 - q)


def _quantile(v: Any) -> Any:
    """erfinv(x) / x for x = sqrt(1 - exp(-v))."""
    if v < mpf(10) ** -20:
        return mp.sqrt(mp.pi) / 2
    x = mp.sqrt(-mp.expm1(-v))
    above = mp.exp(-v) / (1 + x)
    y = mp.erfinv(x) if v < 2 else mp.sqrt(v)
    for _ in range(80):
        value = mp.erfc(y)
        step = mp.log(value / above) * value / (2 / mp.sqrt(mp.pi) * mp.exp(-y * y))
        y += step
        if abs(step) < mpf(10) ** -40:
            break
    return y / x


def _stirling(t: Any) -> Any:
    """x times what the logarithm of the gamma function of x = 1 / sqrt(t) is above its leading terms."""
    if t < mpf(10) ** -12:
        return mpf(1) / 12 - t / 360
    x = 1 / mp.sqrt(t)
    with mp.extradps(30):
        return (mp.loggamma(x) - (x - mpf(1) / 2) * mp.log(x) + x - mp.log(2 * mp.pi) / 2) * x


def _digamma_tail(t: Any) -> Any:
    """(log(x) - 1 / (2 x) - digamma(x)) x**2 for x = 1 / sqrt(t)."""
    if t < mpf(10) ** -12:
        return mpf(1) / 12 - t / 120
    x = 1 / mp.sqrt(t)
    with mp.extradps(30):
        return (mp.log(x) - 1 / (2 * x) - mp.digamma(x)) / t


def _log_gamma(x: Any) -> Any:
    """log(gamma(x)) over (x - 1) (x - 2)."""
    with mp.extradps(50):
        if min(abs(x - 1), abs(x - 2)) < mpf(10) ** -25:
            return mp.euler if x < mpf(3) / 2 else 1 - mp.euler
        return mp.loggamma(x) / ((x - 1) * (x - 2))


DIGAMMA_ZERO = mp.findroot(mp.digamma, mpf("1.4616321449683623"))


def _digamma(x: Any) -> Any:
    """digamma(x) over (x - zero)."""
    with mp.extradps(50):
        near = abs(x - DIGAMMA_ZERO) < mpf(10) ** -20
        return mp.psi(1, DIGAMMA_ZERO) if near else mp.digamma(x) / (x - DIGAMMA_ZERO)


def around(centre: float, function: Real) -> Real:
    """The function of q = (x - centre) / (x + centre) that is `function` of x."""
    return lambda q: function(mpf(centre) * (1 + q) / (1 - q))


FITS: dict[str, Fit] = {
    "EXPONENTIAL": Fit(
        lambda r: (mp.expm1(r) - r) / r**2, -HALF_LOG2 - mpf("1e-6"), HALF_LOG2 + mpf("1e-6"), 9, lambda r: r * r,
        "(exp(r) - 1 - r) / r**2",
    ),
    "HYPERBOLIC_SINE": odd(mp.sinh, HALF_LOG2 + mpf("1e-6"), 4, "(sinh(r) / r - 1) / z"),
    "HYPERBOLIC_COSINE": Fit(
        lambda z: (mp.cosh(mp.sqrt(z)) - 1) / z, 0, (HALF_LOG2 + mpf("1e-6")) ** 2, 4, lambda z: z, "(cosh(r) - 1) / z"
    ),
    "ARCSINE": odd(mp.asin, "0.5", 12, "(arcsin(x) / x - 1) / z"),
    "ARCTANGENT": odd(mp.atan, 1, 19, "(arctan(x) / x - 1) / z"),
    "AREA_SINE": odd(mp.asinh, "0.5", 11, "(arcsinh(x) / x - 1) / z"),
    "AREA_TANGENT": odd(mp.atanh, "0.5", 13, "(arctanh(x) / x - 1) / z"),
    "LOGARITHM": odd(mp.atanh, "0.17158", 6, "(log((1 + s) / (1 - s)) / 2s - 1) / z"),
    "INVERSE_CUBE_ROOT": relative(lambda x: x ** (-mpf(1) / 3), "0.353", "2.83", 5, "x**(-1/3)"),
    "ERROR": Fit(
        lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1, 0, 1, 12, lambda z: mp.sqrt(z) / mp.erf(mp.sqrt(z)), "erf(x) / x - 1"
    ),
    "ERROR_TAIL": Fit(lambda x: -mp.log(mp.erfc(x)), 1, "5.93", 17, lambda x: mp.erfc(x), "-log(erfc(x))"),
    "SCALED_COMPLEMENT": relative(
        lambda q: (1 + 2 * _far(q)) * _erfcx(_far(q)), "-0.78", "0.75", 21, "(1 + 2 x) exp(x**2) erfc(x), q = (x - 4) / (x + 4)"
    ),
    "INVERSE_ERROR": relative(
        lambda t: _quantile(t + 3.125), "-3.125", "3.125", 25, "erfinv(x) / x, t = v - 3.125, v = -log(1 - x**2)"
    ),
    "INVERSE_ERROR_FAR": relative(lambda t: _quantile((t + 3.25) ** 2), "-0.7501", "0.7501", 20, "the same, t = sqrt(v) - 3.25"),
    # Around a place where the value is nearly a number of 53 bits, as the rounding of the first coefficient counts twice below 4.
    "INVERSE_ERROR_TAIL": relative(
        lambda t: _quantile((t + mpf("5.083984375")) ** 2), "-1.0841", "1.0161", 20, "the same, t = sqrt(v) - 5.083984375"
    ),
    "STIRLING": Fit(_stirling, 0, "0.1601", 12, lambda t: 12, "x (log(gamma(x)) - (x - 1/2) log(x) + x - log(2 pi) / 2), x**-2"),
    "LOG_GAMMA": relative(
        around(1.375, _log_gamma), "-0.2942", "0.2904", 19, "log(gamma(x)) / (x - 1) / (x - 2), q = (x - 1.375) / (x + 1.375)"
    ),
    "DIGAMMA": relative(
        around(1.4142135623730951, _digamma), "-0.1716", "0.1716", 15, "digamma(x) / (x - zero), q = (x - c) / (x + c), c**2 = 2"
    ),
    "DIGAMMA_TAIL": Fit(_digamma_tail, 0, "0.1112", 10, lambda t: 12 * t, "x**2 (log(x) - 1 / (2 x) - digamma(x)), of x**-2"),
}  # fmt: skip


def main() -> None:
    """Print the table."""
    names = sys.argv[1:] or list(FITS)
    print('"""Polynomials, fitted by `scripts/fit_kernels.py`; z is the square of the argument. Not to be edited by hand."""')
    for name in names:
        fit = FITS[name]
        coefficients, worst = remez(fit)
        print(f"\n# {fit.what}; error {mp.nstr(worst, 2)}")
        print(f"{name} = (")
        for c in coefficients:
            print(f"    {float(c)!r},")
        print(")")


if __name__ == "__main__":
    main()
