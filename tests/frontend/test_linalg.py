"""Linear algebra on boxes against NumPy and SciPy: values staged and eager, derivatives of both orders, sizes, refusals."""

from __future__ import annotations

import numpy
import pytest
import scipy.linalg
from numpy.linalg import LinAlgError

from tests.frontend.boxed import Hooked, check, run_eagerly, stage
from wengert.errors import StagingError
from wengert.frontend.registry import NAMES
from wengert.ir.interpret import run

np, sl = Hooked(numpy), Hooked(scipy.linalg)
RNG = numpy.random.default_rng(0)


def regular(*shape):
    return RNG.normal(size=shape) + 3.0 * numpy.eye(*shape[-2:]) * numpy.arange(1.0, shape[-1] + 1)


def definite(n):
    a = RNG.normal(size=(n, n))
    return a @ a.T + numpy.diag(numpy.arange(1.0, n + 1))


A, S, V = regular(3, 3), definite(3), RNG.normal(size=3)
TALL, WIDE, STACK = regular(4, 2), regular(2, 4), regular(2, 3, 3)
EMPTY, ONE = numpy.zeros((0, 0)), numpy.array([[2.5]])

VALUES = [
    (lambda a, y: np.linalg.solve(a, y), A, V),
    (lambda a, y: np.linalg.solve(a, y), A, regular(3, 2)),
    (lambda a, y: np.linalg.solve(a, y), STACK, regular(2, 3, 2)),
    (lambda a, y: np.linalg.solve(a, y), STACK, regular(3, 2)),
    (lambda a, y: np.linalg.solve(a, y), STACK, V),
    (lambda a, y: np.linalg.solve(a, y), EMPTY, numpy.zeros(0)),
    (lambda a: np.linalg.inv(a), A),
    (lambda a: np.linalg.inv(a), STACK),
    (lambda a: np.linalg.inv(a), ONE),
    (lambda a: np.linalg.det(a), A),
    (lambda a: np.linalg.det(a), STACK),
    (lambda a: np.linalg.det(a), EMPTY),
    (lambda a: tuple(np.linalg.slogdet(a)), -A),
    (lambda a: np.linalg.slogdet(a).logabsdet, STACK),
    (lambda a: np.linalg.cholesky(a), S),
    (lambda a: np.linalg.cholesky(a, upper=True), numpy.triu(S)),
    (lambda a: abs(np.linalg.eigh(a).eigenvectors), S),
    (lambda a: np.linalg.eigh(a, "U")[0], numpy.triu(S)),
    (lambda a: np.linalg.eigvalsh(a), S),
    (lambda a: abs(np.linalg.qr(a)[0]), TALL),
    (lambda a: np.linalg.qr(a)[0] @ np.linalg.qr(a).R, WIDE),
    (lambda a: abs(np.linalg.qr(a, mode="r")), TALL),
    (lambda a: np.linalg.svd(a, compute_uv=False), TALL),
    (lambda a: abs(np.linalg.svd(a, full_matrices=False)[0]), TALL),
    (lambda a: abs(np.linalg.svd(a, full_matrices=False).Vh), WIDE),
    (lambda a: np.linalg.svd(a).S, A),
    (lambda a: np.linalg.pinv(a), TALL),
    (lambda a: np.linalg.pinv(a), WIDE),
    (lambda a: np.linalg.pinv(a), numpy.ones((3, 2))),
    (lambda a, y: np.linalg.lstsq(a, y, rcond=None), TALL, regular(4, 3)),
    (lambda a, y: np.linalg.lstsq(a, y)[0], WIDE, V[:2]),
    (lambda a: np.linalg.matrix_rank(a), numpy.ones((3, 2))),
    (lambda a: np.linalg.matrix_rank(a), A),
    (lambda a: [np.linalg.matrix_power(a, n) for n in (0, 1, 2, 3, 7, -2)], A),
    (lambda a: [np.linalg.cond(a, p) for p in (None, 2, -2, 1, numpy.inf, "fro")], A),
    (lambda a: [np.linalg.norm(a, p) for p in (None, "fro", "nuc", 1, -1, 2, -2, numpy.inf, -numpy.inf)], TALL),
    (lambda a: [np.linalg.norm(a, p, axis=(0, 2)) for p in (None, "nuc", 1, numpy.inf)], STACK),
    (lambda a: np.linalg.norm(a, 2, axis=(1, 2), keepdims=True), STACK),
    (lambda x: [np.linalg.norm(x, p) for p in (None, 0, 1, 2, 3, 2.5, -1, numpy.inf, -numpy.inf)], V),
    (lambda x: np.linalg.norm(x, axis=-1), STACK),
    (lambda a, x: np.linalg.multi_dot([x, a, a.T, x]), A, V),
    (lambda a, b: np.linalg.multi_dot([a, b, a]), TALL, WIDE),
    (lambda a: np.linalg.svdvals(a), TALL),
    (lambda a: np.linalg.matrix_norm(a), STACK),
    (lambda x: np.linalg.vector_norm(x, axis=1), TALL),
]


@pytest.mark.parametrize("case", VALUES)
def test_values(case):
    check(case[0], *case[1:], tolerance=1e-11)


T3, T4 = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(4, 3, 2, 2))
PRODUCTS = [
    (lambda x, y: x @ y, STACK, STACK),
    (lambda x, y: x @ y, STACK, A),
    (lambda x, y: x @ y, A, STACK),
    (lambda x, y: x @ y, STACK, V),
    (lambda x, y: x @ y, V, STACK),
    (lambda x, y: x[:, None] @ y, STACK, regular(5, 3, 3)),
    (lambda x, y: np.matmul(x, y), numpy.arange(12).reshape(2, 2, 3), numpy.arange(6).reshape(3, 2)),
    (lambda x, y: np.dot(x, y), STACK, STACK),
    (lambda x, y: np.dot(x, y), STACK, V),
    (lambda x, y: np.inner(x, y), STACK, V),
    (lambda x, y: np.inner(x, y), STACK, A),
    (lambda x, y: np.vdot(x, y), STACK, STACK),
    (lambda x, y: np.outer(x, y), A, V),
    (lambda x, y: np.tensordot(x, y, 1), T3, T4),
    (lambda x, y: np.tensordot(x, y, axes=([0, 2], [2, 0])), T3, T4),
    (lambda x, y: np.tensordot(x, y, axes=(1, 0)), T3, V),
    (lambda x, y: np.tensordot(x, y, axes=0), V, A),
    (lambda x, y: np.kron(x, y), A, TALL),
    (lambda x, y: np.kron(x, y), V, A),
    (lambda x: np.einsum("ii", x), A),
    (lambda x: np.einsum("ii->i", x), A),
    (lambda x: np.einsum("ij->ji", x), TALL),
    (lambda x: np.einsum("ba", x), TALL),
    (lambda x: np.einsum("ij->", x), TALL),
    (lambda x: np.einsum("...ij->...ji", x), STACK),
    (lambda x, y: np.einsum("ij,jk", x, y), TALL, WIDE),
    (lambda x, y: np.einsum("ij,jk->ki", x, y), TALL, WIDE),
    (lambda x, y: np.einsum("ij,ij->i", x, y), TALL, TALL),
    (lambda x, y: np.einsum("i,j->ij", x, y), V, V),
    (lambda x, y: np.einsum("bij,bjk->bik", x, y), STACK, STACK),
    (lambda x, y: np.einsum("bij,bkj->ikb", x, y), STACK, STACK),
    (lambda x, y: np.einsum("...ij,...j->...i", x, y), STACK, regular(2, 3)),
    (lambda x, y: np.einsum("...ij,jk", x, y), STACK, A),
    (lambda x, y: np.einsum("ij,kl,jk->il", x, y, x, optimize=True), A, A),
    (lambda x, y: np.einsum("ijk,lkmm->jlm", x, y), T3, regular(4, 4, 2, 2)),
    (lambda x, y: np.einsum(x, [0, 1], y, [1, 2], [0, 2]), TALL, WIDE),
    (lambda x, y: np.einsum("ij,j->i", x, y), numpy.arange(6).reshape(2, 3), numpy.arange(3)),
    (lambda x, y, z: np.einsum("i,ij,j", x, y, z), V, A, V),
]


@pytest.mark.parametrize("case", PRODUCTS)
def test_products(case):
    check(case[0], *case[1:], tolerance=1e-12)


SCIPY = [
    (lambda a, y: sl.solve(a, y), A, V),
    (lambda a, y: sl.solve(a, y, transposed=True), A, V),
    (lambda a, y: sl.solve(a, y, assume_a="pos"), numpy.triu(S), regular(3, 2)),
    (lambda a, y: sl.solve(a, y, assume_a="sym", lower=True), numpy.tril(S), V),
    (lambda a, y: sl.solve_triangular(a, y), A, V),
    (lambda a, y: sl.solve_triangular(a, y, lower=True, trans="T"), A, regular(3, 2)),
    (lambda a, y: sl.solve_triangular(a, y, unit_diagonal=True), A, V),
    (lambda a: sl.inv(a), A),
    (lambda a: sl.det(a), A),
    (lambda a: sl.pinv(a), TALL),
    (lambda a: sl.pinv(a, return_rank=True)[1], WIDE),
    (lambda a: sl.cholesky(a), S),
    (lambda a: sl.cholesky(a, lower=True), S),
    (lambda a: sl.cho_factor(a)[0], S),
    (lambda a, y: sl.cho_solve(sl.cho_factor(a), y), S, V),
    (lambda a, y: sl.cho_solve(sl.cho_factor(a, lower=True), y), S, regular(3, 2)),
    (lambda a, y: sl.cho_solve((a, True), y), A, V),
    (lambda a: abs(sl.qr(a, mode="economic")[0]), TALL),
    (lambda a: abs(sl.qr(a)[1]), A),
    (lambda a: sl.eigh(a, eigvals_only=True), S),
    (lambda a: sl.eigh(a, lower=False)[0], S),
    (lambda a, m: sl.eigh(a, m)[0], S, definite(3)),
    (lambda a, m: abs(sl.eigh(a, m)[1]), S, S @ S + numpy.eye(3)),
    (lambda a: sl.eigvalsh(a), S),
    (lambda a: sl.svd(a, compute_uv=False), TALL),
    (lambda a: abs(sl.svd(a, full_matrices=False)[2]), TALL),
    (lambda a: sl.svdvals(a), WIDE),
    (lambda a: sl.norm(a, "nuc"), TALL),
    (lambda a, y: sl.block_diag(a, y, 3.0), A, V),
    (lambda x: sl.toeplitz(x), V),
    (lambda x, y: sl.toeplitz(x, y), V, numpy.arange(4.0)),
    (lambda x: sl.hankel(x), V),
    (lambda x, y: sl.hankel(x, y), V, numpy.arange(4.0)),
    (lambda a: sl.expm(a), A),
    (lambda a: sl.expm(a * 0.01), A),
    (lambda a: sl.expm(a * 10.0) * 1e-20, -S),
]


@pytest.mark.parametrize("case", SCIPY)
def test_scipy(case):
    check(case[0], *case[1:], tolerance=1e-9)


def test_what_is_registered_by_name_exists():
    import importlib

    for name, handlers in NAMES.items():
        for module in handlers:
            assert callable(getattr(importlib.import_module(module), name)), (module, name)


REFUSED = [
    (lambda a: np.linalg.solve(a * 0.0, a), A, LinAlgError, "Singular matrix"),
    (lambda a: np.linalg.inv(a * 0.0), A, LinAlgError, "Singular matrix"),
    (lambda a: np.linalg.cholesky(-a), S, LinAlgError, "Matrix is not positive definite"),
    (lambda a: np.linalg.svd(a * numpy.nan), A, LinAlgError, "SVD did not converge"),
    (lambda a: np.linalg.det(a), TALL, LinAlgError, "must be square"),
    (lambda a: np.linalg.inv(a[0]), A, LinAlgError, "at least two-dimensional"),
    (lambda a: np.linalg.svd(a), TALL, StagingError, "complete basis"),
    (lambda a: np.linalg.solve(a, np.ones(4)), A, ValueError, "sizes"),
    (lambda a: np.einsum("ij,jk", a, np.ones((4, 4))), A, ValueError, "einsum"),
    (lambda a: np.einsum("ijk", a), A, ValueError, "does not fit"),
    (lambda a: sl.solve(a * 0.0, a), A, LinAlgError, "singular matrix"),
    (lambda a: sl.solve_triangular(a * 0.0, a), A, LinAlgError, "singular matrix"),
    (lambda a: sl.inv(a / 0.0), A, ValueError, "infs or NaNs"),
    (lambda a: sl.cholesky(-a), S, LinAlgError, "leading minor"),
]


@pytest.mark.parametrize(("function", "matrix", "error", "message"), REFUSED)
def test_refusals(function, matrix, error, message):
    with pytest.raises(error, match=message):
        run_eagerly(function, matrix)
    with pytest.raises(error, match=message):
        run(*stage(function, matrix)[:2])
