"""Special functions in all modes: SciPy's values, gradients against mpmath, ends of the domains, Python's errors."""

from __future__ import annotations

import math
import warnings

import mpmath
import numpy as np
import pytest
import scipy.special as sp
from scipy import stats

import wengert as wg
from tests.frontend.array_modes import agree_everywhere

X = np.array([0.3, 0.75, 1.6, 2.2])
P = np.array([0.1, 0.35, 0.6, 0.95])
INF, NAN = math.inf, math.nan

UNARY = {
    "erf": X, "erfc": X, "erfcx": X, "erfinv": P, "erfcinv": P, "ndtr": X, "ndtri": P, "log_ndtr": -X, "gammaln": X,
    "gamma": X, "digamma": X, "psi": X, "expit": X, "log_expit": X, "logit": P, "entr": X, "j0": X, "j1": X, "y0": X,
    "y1": X, "i0": X, "i1": X, "k0": X, "k1": X, "i0e": X, "i1e": X, "k0e": X, "k1e": X,
}  # fmt: skip
BESSEL = "j0 j1 y0 y1 i0 i1 k0 k1 i0e i1e k0e k1e".split()
BINARY = ("beta", "betaln", "binom", "xlogy", "xlog1py", "rel_entr", "kl_div")


@pytest.mark.parametrize("domain", ["x", "p", "bessel"])
def test_functions_of_one_number(domain):
    """A weighted sum of many functions at once: a wrong one moves the value and the gradient."""
    given = P if domain == "p" else X
    names = [n for n in UNARY if (UNARY[n] is P) == (domain == "p") and (n in BESSEL) == (domain == "bessel")]
    functions = [getattr(sp, n) for n in names]
    weights = np.cos(np.arange(1.0, len(names) + 1.0))

    def f(x, a):
        total = 0.0
        for function, weight in zip(functions, weights, strict=True):
            total = total + weight * (np.sum(function(x) * np.array([1.0, -0.5, 0.3, 0.2])) + function(a) ** 2)
        return total

    agree_everywhere(f, given, float(given[1]))


def test_functions_of_two_numbers():
    functions = [getattr(sp, n) for n in BINARY]

    def f(x, y, a):
        total = 0.0
        for k, function in enumerate(functions):
            total = total + np.cos(k) * (np.sum(function(x, a) * y) + np.sum(function(2.5, y)) + function(x, y)[1])
        return total

    agree_everywhere(f, X, P, 0.8)


def test_functions_of_a_static_order():
    def f(x, a):
        whole = sp.jv(2, x) + sp.yv(3, x) + sp.iv(2.0, x) + sp.kv(4, x) + sp.kn(2, x) + sp.yn(1, x) + sp.ive(2, x) + sp.kve(3, x)
        return np.sum(whole) + np.sum(sp.polygamma(0, x) + sp.polygamma(1, x) - 0.1 * sp.polygamma(3, x)) + sp.jv(5, a)

    agree_everywhere(f, X + 0.5, 1.3, tolerance=1e-7)
    with pytest.raises(wg.UnsupportedError, match="order that is a whole number"):
        wg.grad(lambda v: sp.jv(v, 1.0))(0.5)


def test_counting():
    def f(x, a, n):
        fixed = math.comb(n, 2) * math.perm(n, 2) + math.factorial(n) + sp.comb(n, 2, exact=True) + sp.factorial(n, exact=True)
        return np.sum(sp.comb(5.5, x) + sp.factorial(x)) + sp.comb(n, a) * fixed + sp.factorial(-a) + sp.comb(a, 7.0)

    assert wg.jit(f)(X, 1.4, 5) == pytest.approx(f(X, 1.4, 5), rel=1e-13)
    agree_everywhere(lambda x, a: f(x, a, 5), X, 1.4, tolerance=1e-6)


def test_sums_of_exponentials():
    weights = np.array([1.0, 0.0, 2.5, -0.5])
    table = np.outer(X, P) - 1.0

    def f(x, t, a):
        total = sp.logsumexp(x, b=weights) + np.sum(sp.logsumexp(t, axis=1) * x) + np.sum(sp.logsumexp(t, axis=0, keepdims=True))
        size, sign = sp.logsumexp(t - 1.0, axis=1, b=-weights, return_sign=True)
        total += np.sum(sp.softmax(t, axis=1)[:, 1] * x) + sp.softmax(x)[2] - sp.log_softmax(x)[1]
        return total + np.sum(size * sign) + np.sum(sp.log_softmax(t, axis=0)[0]) + sp.logsumexp(np.array([a, 2.0 * a, -INF]))

    agree_everywhere(f, X, table, 0.7)


def test_sums_of_exponentials_do_not_overflow():
    x = np.array([1000.0, 1000.0, -INF])
    np.testing.assert_allclose(wg.grad(lambda v: sp.logsumexp(v))(x), [0.5, 0.5, 0.0], rtol=1e-15)
    np.testing.assert_allclose(wg.grad(lambda v: sp.log_softmax(v)[0])(x[:2]), [0.5, -0.5], rtol=1e-15)
    assert wg.jit(lambda v: sp.logsumexp(v))(np.array([-INF, -INF])) == -INF


# --- against mpmath --------------------------------------------------------------------------------------------------

REFERENCES = {
    "erf": (mpmath.erf, 0.7), "erfc": (mpmath.erfc, 3.3), "erfinv": (mpmath.erfinv, 0.9), "ndtr": (mpmath.ncdf, -3.0),
    "gammaln": (mpmath.loggamma, 0.2), "gamma": (mpmath.gamma, -2.6), "digamma": (mpmath.digamma, -3.7),
    "expit": (lambda x: 1 / (1 + mpmath.exp(-x)), -8.0),
    "i0": (lambda x: mpmath.besseli(0, x), 0.0), "i1": (lambda x: mpmath.besseli(1, x), 0.0),
    "j1": (lambda x: mpmath.besselj(1, x), 0.0),
    "log_ndtr": (lambda x: mpmath.log(mpmath.ncdf(x)), -30.0), "erfcx": (lambda x: mpmath.exp(x * x) * mpmath.erfc(x), 40.0),
}  # fmt: skip


@pytest.mark.parametrize("name", REFERENCES)
def test_three_derivatives(name):
    """Also at 0 and far out, where formulas that divide by x or subtract near numbers lose all digits."""
    exact, point = REFERENCES[name]
    function = getattr(sp, name)
    g = lambda x: function(x)  # noqa: E731
    with mpmath.workdps(40):
        expected = [float(mpmath.diff(exact, mpmath.mpf(point), n)) for n in range(1, 4)]
    for order in range(3):
        g = wg.grad(g)
        tolerance = 1e-11 if name not in ("log_ndtr", "erfcx") else (1e-11, 1e-9, 1e-6)[order]
        assert g(point) == pytest.approx(expected[order], rel=tolerance, abs=1e-14), order


def test_polygamma():
    x = np.array([1e-3, 0.5, 1.0, 7.3, 40.0, 1e6, -0.3, -1.7, -2.25, -20.75, -1000.25])
    orders = range(1, 7)

    def f(v):
        return [sp.polygamma(order, v) for order in orders]

    with wg.eager():
        eager = wg.jvp(f, (x,), (x,))[0]
    compiled, ends = wg.jit(f)(x), wg.jit(f)(np.array([0.0, -3.0, INF, NAN]))
    for order, one, other, end in zip(orders, eager, compiled, ends, strict=True):
        with mpmath.workdps(30):
            expected = [float(mpmath.re(mpmath.psi(order, mpmath.mpf(float(v))))) for v in x]
        np.testing.assert_allclose(one, expected, rtol=1e-12)
        np.testing.assert_allclose(other, expected, rtol=1e-12)
        assert np.isinf(end[0]) and np.isinf(end[1]) and end[2] == 0.0 and np.isnan(end[3])


def test_hessians_of_two_operands():
    for name in ("beta", "betaln", "binom", "rel_entr", "kl_div", "xlogy"):
        function = getattr(sp, name)
        f = lambda v: function(v[0], v[1])  # noqa: E731
        point, step = np.array([2.6, 1.3]), 1e-5
        found = wg.hessian(f)(point)
        gradient = wg.grad(f)
        expected = [(gradient(point + step * e) - gradient(point - step * e)) / (2 * step) for e in np.eye(2)]
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(found, np.transpose(found), rtol=1e-12, atol=1e-14, err_msg=name)


# --- ends of the domains ---------------------------------------------------------------------------------------------

ENDS = np.array([0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 171.0, 172.0, -171.5, 1e10, -1e10, 800.0, -800.0, INF, -INF, NAN])


def test_special_values():
    functions = [getattr(sp, n) for n in UNARY]

    def f(x):
        return [function(x) for function in functions]

    with np.errstate(all="ignore"):
        expected = f(ENDS)
    for name, want, found in zip(UNARY, expected, wg.jit(f)(ENDS), strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-13, atol=1e-300, err_msg=name)


SLOPES = [
    ("erf", INF, 0.0), ("erfc", -INF, -0.0), ("erfinv", 1.0, INF), ("erfinv", -1.0, INF), ("ndtri", 0.0, INF),
    ("ndtr", -INF, 0.0), ("log_ndtr", INF, 0.0), ("gammaln", 0.0, -INF), ("gammaln", INF, INF), ("gammaln", -1.0, NAN),
    ("gamma", -1.0, NAN), ("gamma", 180.0, INF), ("expit", 800.0, 0.0), ("expit", -800.0, 0.0), ("log_expit", -800.0, 1.0),
    ("log_expit", 800.0, 0.0), ("logit", 0.0, INF), ("logit", 1.0, INF), ("entr", 0.0, INF), ("i0e", 0.0, 0.0), ("k0", 0.0, -INF),
]  # fmt: skip


def test_slopes_at_the_ends():
    functions = [getattr(sp, n) for n, _, _ in SLOPES]

    def f(x):
        return [function(v) for function, v in zip(functions, x, strict=True)]

    points = [p for _, p, _ in SLOPES]
    ones = [1.0] * len(points)
    found = wg.jvp(f, (points,), (ones,))[1]
    back = wg.vjp(f, points)[1](ones)
    with wg.eager():
        eager = wg.jvp(f, (points,), (ones,))[1]
    for (name, point, slope), *each in zip(SLOPES, found, np.ravel(back), eager, strict=True):
        np.testing.assert_equal(each, [slope] * 3, err_msg=f"{name} {point}")


def test_zero_factors():
    """The slope for the factor is the logarithm; for its argument it is 0."""
    assert wg.grad(lambda x, y: sp.xlogy(x, y), argnums=(0, 1))(0.0, 2.0) == (math.log(2.0), 0.0)
    assert wg.grad(lambda x, y: sp.xlogy(x, y), argnums=(0, 1))(0.0, 0.0) == (-INF, 0.0)
    assert wg.grad(lambda x, y: sp.xlog1py(x, y), argnums=(0, 1))(0.0, -1.0) == (-INF, 0.0)
    assert wg.grad(lambda x, y: sp.rel_entr(x, y), argnums=(0, 1))(0.0, 2.0) == (-INF, 0.0)
    assert wg.grad(lambda x, y: sp.kl_div(x, y), argnums=(0, 1))(2.0, 2.0) == (0.0, 0.0)


# --- math ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["compiled", "eager"])
@pytest.mark.parametrize(
    ("name", "x"),
    [("gamma", 0.0), ("gamma", -2.0), ("gamma", -INF), ("gamma", 172.0), ("lgamma", 0.0), ("lgamma", -3.0), ("lgamma", 1e308)],
)
def test_errors_of_math(name, x, mode):
    function = getattr(math, name)
    with pytest.raises((ValueError, OverflowError)) as expected:
        function(x)
    f = lambda v: function(v)  # noqa: E731
    with pytest.raises(expected.type) as found:
        if mode == "compiled":
            wg.jit(f)(x)
        else:
            with wg.eager():
                wg.grad(f)(x)
    assert str(found.value).splitlines()[0] == str(expected.value)


@pytest.mark.parametrize("name", ["gamma", "lgamma", "erf", "erfc"])
def test_values_of_math(name):
    function = getattr(math, name)
    for x in (0.5, -0.5, 1.0, 3.7, -2.4, 30.0, 1e-300, INF, NAN):
        assert wg.jit(lambda v: function(v))(x) == pytest.approx(function(x), rel=4e-15, nan_ok=True)
    assert math.isinf(wg.jit(lambda v: math.lgamma(v))(-INF))


def test_options_of_ufuncs():
    def f(x):
        y = np.zeros(4)
        sp.erf(x, out=y)
        sp.gammaln(x, out=y, where=x > 1.0)
        return np.sum(y)

    agree_everywhere(f, X)
    assert wg.jit(lambda n: sp.erf(n))(1) == sp.erf(1)


# --- SciPy's distributions -------------------------------------------------------------------------------------------


def test_distributions_of_scipy():
    """Their Python layers are converted, functions that SciPy makes by `exec` included."""

    def f(x, a):
        return stats.norm.logpdf(x, a, 1.5) + stats.norm.ppf(0.2 * x) + stats.beta.logpdf(0.3, a, x)

    agree_everywhere(f, 0.8, 1.3)


def test_distributions_of_scipy_on_arrays():
    def f(x, scale):
        return np.sum(stats.norm.pdf(x, 0.1, scale) * stats.norm.sf(x, scale=scale))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wg.EagerFallbackWarning)
        agree_everywhere(f, X, 1.3, staged=False)
