"""Native linear algebra over sizes and layouts: against NumPy, and what singular, empty and nan matrices do."""

from __future__ import annotations

import numpy as np
import pytest

import wengert as wg
from wengert.codegen.linalg import LARGE

SIZES = [0, 1, 2, 5, LARGE - 1, LARGE, 70]
RNG = np.random.default_rng(3)


def regular(n, m=None):
    return RNG.normal(size=(n, m or n)) + 3.0 * np.eye(n, m or n)


def definite(n):
    a = RNG.normal(size=(n, n))
    return a @ a.T + np.diag(np.arange(1.0, n + 1))


def near(found, expected, tolerance=1e-9):
    size = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * size)


def systems(a, y, m):
    sign, logdet = np.linalg.slogdet(a)
    return np.linalg.solve(a, y), np.linalg.solve(a, m), np.linalg.inv(a), np.linalg.det(a * 0.1), sign, logdet


def symmetric(a, lower):
    return np.linalg.cholesky(a), np.linalg.cholesky(lower), np.linalg.eigvalsh(a), abs(np.linalg.eigh(a)[1])


def rectangular(a):
    left, values, right = np.linalg.svd(a, full_matrices=False)
    q, r = np.linalg.qr(a)
    return left * values @ right, values, q @ r, abs(r), np.linalg.pinv(a), np.linalg.svd(a, compute_uv=False)


native_systems, native_symmetric, native_rectangular = wg.jit(systems), wg.jit(symmetric), wg.jit(rectangular)


@pytest.mark.parametrize("n", SIZES)
def test_sizes(n):
    a, s = regular(n), definite(n)
    y, m = RNG.normal(size=n), RNG.normal(size=(n, 3))
    for found, expected in zip(native_systems(a, y, m), systems(a, y, m), strict=True):
        near(found, expected)
    for found, expected in zip(native_symmetric(s, np.tril(s)), symmetric(s, np.tril(s)), strict=True):
        near(found, expected, 1e-8)


@pytest.mark.parametrize("shape", [(1, 1), (5, 2), (2, 5), (40, 33), (33, 40), (4, 0)])
def test_rectangles(shape):
    a = RNG.normal(size=shape)
    for found, expected in zip(native_rectangular(a), rectangular(a), strict=True):
        near(found, expected)


def test_layouts():
    def layouts(a, y):
        return np.linalg.solve(a.T, y.T), np.linalg.solve(a[::2, ::2], y[0, ::2]), np.linalg.inv(a[::-1]), np.linalg.det(a.T)

    for n in (6, 40):
        a, y = regular(n), RNG.normal(size=(3, n))
        for found, expected in zip(wg.jit(layouts)(a, y), layouts(a, y), strict=True):
            near(found, expected)


def test_results_may_be_overwritten():
    """What is shared between ops does not change when a result is written to."""

    def overwrites(a, y):
        factor = np.linalg.cholesky(a)
        first = np.sum(factor)
        factor[0, 0] = 100.0
        inverse = np.linalg.inv(a)
        inverse[0] = 0.0
        again = np.linalg.inv(a)
        return first, factor, inverse, again, np.linalg.cholesky(a), np.linalg.solve(a, y), np.linalg.det(a)

    for n in (3, 40):
        a, y = definite(n), RNG.normal(size=n)
        for found, expected in zip(wg.jit(overwrites)(a, y), overwrites(a, y), strict=True):
            near(found, expected)


def test_matrices_that_change_in_a_loop():
    """Factors are those of the matrix of this iteration."""

    def filtered(p, h):
        total = 0.0
        for k in range(20):
            s = h @ p @ h.T + np.eye(2)
            gain = np.linalg.solve(s, h @ p).T
            p = p - gain @ h @ p + 0.1 * np.eye(3)
            if k % 3 == 0:
                total += np.linalg.slogdet(s)[1]
            else:
                total += np.linalg.det(s) * 1e-3
        return total + np.trace(p)

    p, h = definite(3), RNG.normal(size=(2, 3))
    near(wg.jit(filtered)(p, h), filtered(p, h))
    near(wg.grad(filtered)(p, h), differences(lambda p: filtered(p, h), p), 1e-6)


@pytest.mark.parametrize("n", [2, 40])
def test_refused_at_run_time(n):
    for function, matrix, message in (
        (lambda a: np.linalg.solve(a, np.ones(len(a))), np.zeros((n, n)), "Singular matrix"),
        (lambda a: np.linalg.inv(a), np.ones((n, n)), "Singular matrix"),
        (lambda a: np.linalg.cholesky(a), -np.eye(n), "Matrix is not positive definite"),
        (lambda a: np.linalg.svd(a)[1], np.full((n, n), np.nan), "SVD did not converge"),
    ):
        for run in (wg.jit(function), wg.jit(wg.grad(lambda a, f=function: np.sum(f(a))))):
            with pytest.raises(np.linalg.LinAlgError, match=message) as caught:
                run(matrix)
            assert "test_lapack.py" in str(caught.value)


@pytest.mark.parametrize("n", [2, 40])
def test_nan_passes(n):
    bad = np.full((n, n), np.nan)
    assert np.isnan(wg.jit(lambda a: np.linalg.inv(a))(bad)).all()
    assert np.isnan(wg.jit(lambda a: np.linalg.cholesky(a))(bad)[0, 0])
    assert np.isnan(wg.jit(lambda a: np.linalg.det(a))(bad))
    assert np.isnan(wg.jit(lambda a: np.linalg.eigvalsh(a))(bad)).all()


GRADIENTS = [
    lambda a: np.sum(np.linalg.solve(a, np.sin(a[0]))),
    lambda a: np.sum(np.linalg.inv(a) ** 2),
    lambda a: np.linalg.slogdet(a)[1],
    lambda a: np.linalg.det(a * 0.3) ** 2,
    lambda a: np.sum(np.linalg.cholesky(a @ a.T + 3.0 * np.eye(len(a))) ** 3),
    lambda a: np.sum(np.linalg.eigvalsh(a + a.T) ** 3),
    lambda a: np.linalg.eigh(a + a.T)[1][0, 0] ** 2,
    lambda a: np.sum(np.linalg.svd(a[:, :-1], full_matrices=False)[0][0] ** 4),
    lambda a: np.sum(np.linalg.qr(a[:, :-1])[0][0] ** 3) + np.linalg.qr(a[:-1])[1][0, 0] ** 2,
    lambda a: np.sum(np.linalg.pinv(a[:-1]) ** 2),
    lambda a: np.linalg.norm(a, "nuc") + np.linalg.norm(a, 2) ** 2 + np.linalg.norm(a, 1) + np.linalg.norm(a[0], 3),
    lambda a: np.sum(np.linalg.lstsq(a[:, :-1], a[:, -1], rcond=None)[0] ** 2),
    lambda a: np.linalg.cond(a) + np.sum(np.linalg.matrix_power(a * 0.2, 3)),
]


@pytest.mark.parametrize("function", GRADIENTS)
def test_gradients(function):
    """Native and eager, against differences; the second order is tested op by op."""
    a = regular(4)
    native = wg.jit(wg.grad(function))(a)
    near(native, differences(function, a), 1e-6)
    with wg.eager():
        near(wg.grad(function)(a), native)


def differences(function, a, step=1e-5):
    """Central differences of a function of a matrix."""
    found = np.zeros_like(a)
    for place in np.ndindex(*a.shape):
        change = np.zeros_like(a)
        change[place] = step
        found[place] = (function(a + change) - function(a - change)) / (2 * step)
    return found


@pytest.mark.parametrize("function", [GRADIENTS[0], GRADIENTS[4], GRADIENTS[9]])
def test_hessians(function):
    a, direction = regular(4), RNG.normal(size=(4, 4))
    native = wg.jit(wg.hessian(function))(a).reshape(16, 16)
    near(native, native.T, 1e-7)
    slope = wg.jit(wg.grad(function))
    difference = (slope(a + 1e-5 * direction) - slope(a - 1e-5 * direction)) / 2e-5
    near(native @ direction.ravel(), difference.ravel(), 1e-5)


def test_gradients_of_large_matrices():
    a, y = regular(40), RNG.normal(size=40)

    def loss(a, y):
        factor = np.linalg.cholesky(a @ a.T + np.eye(40))
        return np.sum(np.linalg.solve(a, y) ** 2) + np.sum(np.log(np.diag(factor))) + np.linalg.slogdet(a)[1]

    direction = RNG.normal(size=a.shape)
    gradient = wg.grad(loss)(a, y)
    difference = (loss(a + 1e-6 * direction, y) - loss(a - 1e-6 * direction, y)) / 2e-6
    near(np.sum(gradient * direction), difference, 1e-6)


det_gradient = wg.grad(lambda a: np.linalg.det(a))


@pytest.mark.parametrize(("n", "rank"), [(2, 0), (2, 1), (3, 2), (3, 1), (4, 3), (4, 2)])
def test_gradient_of_the_determinant_of_singular_matrices(n, rank):
    """The cofactors, by minors."""
    a = RNG.integers(-3, 4, (n, rank)).astype(float) @ RNG.integers(-3, 4, (rank, n)).astype(float)
    minors = [[np.delete(np.delete(a, i, 0), j, 1) for j in range(n)] for i in range(n)]
    cofactors = np.array([[(-1) ** (i + j) * np.linalg.det(minors[i][j]) for j in range(n)] for i in range(n)])
    size = max(1.0, np.max(np.abs(cofactors)))
    np.testing.assert_allclose(det_gradient(a), cofactors, atol=1e-12 * size)
    with wg.eager():
        np.testing.assert_allclose(wg.grad(lambda a: np.linalg.det(a))(a), cofactors, atol=1e-12 * size)


def test_equal_eigenvalues():
    """Values have derivatives, vectors do not."""
    unit = np.eye(3)
    np.testing.assert_allclose(wg.grad(lambda a: np.sum(np.linalg.eigvalsh(a) ** 2))(unit), 2.0 * unit)
    np.testing.assert_allclose(wg.grad(lambda a: np.sum(np.linalg.eigh(a)[0]))(unit), unit)
    assert np.isnan(wg.grad(lambda a: np.linalg.eigh(a)[1][0, 0])(unit)).any()
