"""NumPy functions on boxes against NumPy: values, dtypes and shapes, staged and eager."""

from __future__ import annotations

import numpy
import pytest

from tests.frontend.boxed import Hooked, check, run_eagerly, stage
from wengert.errors import StagingError
from wengert.frontend.elementwise import ELEMENTWISE
from wengert.ir.interpret import run

np = Hooked(numpy)
X = numpy.array([0.3, -0.7, 0.25, 0.9, -0.2])
Y = numpy.array([1.5, 0.7, 2.25, -0.5, 0.9])
N = numpy.array([3, -2, 5, 0, 7])
B = numpy.array([True, False, True, True, False])
A = numpy.arange(12.0).reshape(3, 4) ** 1.3 - 5.0


def sorted_ufuncs(nin):
    return sorted((u for u in ELEMENTWISE if u.nin == nin), key=lambda u: u.__name__)


@pytest.mark.parametrize("ufunc", sorted_ufuncs(1))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_unary_ufuncs(ufunc):
    for x in (X, Y, N, B, A, 0.6, 2, numpy.float64(-0.4), numpy.zeros(0)):
        try:
            with numpy.errstate(all="ignore"):
                expected = ufunc(x)
        except TypeError:
            with pytest.raises(TypeError):
                stage(ufunc, x)
            continue
        if numpy.asarray(expected).dtype.kind == "f" and numpy.asarray(expected).dtype != numpy.float64:
            continue
        if ufunc is numpy.reciprocal and numpy.asarray(x).dtype.kind != "f":
            continue
        if numpy.asarray(x).dtype == bool and numpy.asarray(expected).dtype == numpy.int8:
            continue
        check(ufunc, x)


@pytest.mark.parametrize("ufunc", sorted_ufuncs(2))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_binary_ufuncs(ufunc):
    for x, y in ((X, Y), (N, abs(N) + 1), (X, N), (B, ~B), (A, A[0]), (2.5, Y), (N, 3), (A[:, :1], X), (B, 1.5)):
        try:
            with numpy.errstate(all="ignore"):
                expected = ufunc(x, y)
        except TypeError:
            with pytest.raises(TypeError):
                stage(ufunc, x, y)
            continue
        if numpy.asarray(expected).dtype not in (numpy.float64, numpy.int64, numpy.bool_):
            continue
        check(ufunc, x, y, tolerance=1e-13)


CALLS = [
    lambda x: np.where(x > 0, x, 0.0),
    lambda x: np.where(x > 0, np.sqrt(abs(x)), -x),
    lambda x: np.clip(x, -0.1, 0.5),
    lambda x: np.clip(x, None, 0.5),
    lambda x: x.clip(min=0.0),
    lambda x: np.round(x, 1),
    lambda x: np.round(x * 100, -1),
    lambda x: np.heaviside(x, 0.5),
    lambda x: np.nan_to_num(x / x.sum() / 0.0),
    lambda x: np.sinc(x),
    lambda x: np.power(x, 2),
    lambda x: np.power(x, 3) + x**2,
    lambda x: np.add(x, 1.0, out=np.zeros(5)),
    lambda x: np.multiply(x, 2.0, out=np.ones(5), where=x > 0),
    lambda x: np.sum(x),
    lambda x: x.sum() / x.size,
    lambda x: np.mean(x),
    lambda x: np.prod(x),
    lambda x: (np.max(x), np.min(x), x.max(), np.amin(x)),
    lambda x: np.sum(x > 0),
    lambda x: np.mean(x > 0),
    lambda x: (np.any(x > 0), np.all(x > 0), (x > 5).any(), np.count_nonzero(x)),
    lambda x: (np.argmax(x), x.argmin()),
    lambda x: np.cumsum(x),
    lambda x: (np.var(x), np.std(x), x.std(ddof=1)),
    lambda x: np.diff(x),
    lambda x: np.diff(x, n=2),
    lambda x: np.dot(x, x),
    lambda x: x @ x,
    lambda x: np.outer(x, x),
    lambda x: np.inner(x, 2.0),
    lambda x: np.vdot(x, x),
    lambda x: np.linalg.norm(x),
    lambda x: np.linalg.norm(x, 1) + np.linalg.norm(x, np.inf) + np.linalg.norm(x, 3),
    lambda x: np.concatenate([x, x[1:3], [1.0, 2.0]]),
    lambda x: np.stack([x, x + 1]),
    lambda x: np.stack([x, x + 1], axis=1),
    lambda x: np.vstack([x, x]),
    lambda x: np.hstack((x, 3.0)),
    lambda x: np.column_stack([x, x]),
    lambda x: np.append(x, 1.0),
    lambda x: np.tile(x, 2),
    lambda x: np.tile(x, (2, 3)),
    lambda x: np.repeat(x, 3),
    lambda x: np.roll(x, 1),
    lambda x: np.roll(x, -2),
    lambda x: np.roll(x, 12),
    lambda x: np.flip(x),
    lambda x: np.broadcast_to(x, (3, 5)),
    lambda x: np.meshgrid(x, x[:2]),
    lambda x: np.diag(x),
    lambda x: np.diag(np.outer(x, x)),
    lambda x: np.trace(np.outer(x, x)),
    lambda x: np.tril(np.outer(x, x)),
    lambda x: np.triu(np.outer(x, x), 1),
    lambda x: np.array([x[0], x[1] * 2, 3]),
    lambda x: np.array([[x[0], 1], [x[1], 2.0]]),
    lambda x: np.array([x, x * 2]),
    lambda x: np.array(x, dtype=int),
    lambda x: np.asarray([1, 2, 3]) + x[:3],
    lambda x: np.zeros_like(x) + np.ones_like(x, dtype=int) + np.full_like(x, 2.5),
    lambda x: np.full((2, 3), x[0]),
    lambda x: np.full(5, 7) + x,
    lambda x: np.zeros(len(x.shape)) + 1,
    lambda x: np.arange(x[0], 4.0, 0.5 + x[0]),
    lambda x: np.arange(5) * x,
    lambda x: np.arange(1, 10, 2) * x,
    lambda x: np.linspace(x[0], x[1], 7),
    lambda x: np.linspace(0, 1, 5, endpoint=False) * x,
    lambda x: np.linspace(0, 1, 1),
    lambda x: np.eye(3) * x[0],
    lambda x: np.eye(3, 4, k=1) * x[0],
    lambda x: np.identity(5) @ x,
    lambda x: np.allclose(x, x + 1e-12),
    lambda x: np.isclose(x, x + 1e-3),
    lambda x: np.array_equal(x, x),
    lambda x: np.polyval([1.0, 2.0, x[0]], x),
    lambda x: np.trapezoid(x, dx=0.1),
    lambda x: np.trapezoid(x, x * 2 + 1),
    lambda x: np.take(x, [0, 2]),
    lambda x: np.average(x, weights=x**2),
    lambda x: np.cross(x[:3], x[2:5]),
    lambda x: numpy.add.reduce(x) + numpy.multiply.reduce(x) + numpy.maximum.reduce(x),
    lambda x: numpy.add.outer(x, x),
    lambda x: np.logical_and(x > 0, x < 0.5),
    lambda x: (np.shape(x), np.ndim(x), np.size(x)),
    lambda x: np.float64(x[0]) + np.ravel(x)[1],
    lambda x: np.squeeze(x[None, :, None]),
    lambda x: np.atleast_2d(x) + np.atleast_1d(x[0]),
    lambda x: x.repeat(2) + x.dot(np.ones(5)),
    lambda x: (np.floor(x * 3), np.ceil(x * 3), np.rint(x * 3), np.trunc(x * 3), np.sign(x)),
    lambda x: x.tolist()[:2] if isinstance(x, numpy.ndarray) else [x[0].item(), x[1].item()],
]


@pytest.mark.parametrize("function", CALLS)
def test_vector_functions(function):
    check(function, X)


MATRIX_CALLS = [
    lambda a: a.sum(0),
    lambda a: a.sum(axis=1),
    lambda a: a.sum(axis=(0, 1)),
    lambda a: a.sum(axis=-1, keepdims=True),
    lambda a: a - a.mean(axis=0, keepdims=True),
    lambda a: np.mean(a, 1),
    lambda a: np.max(a, axis=0),
    lambda a: np.min(a),
    lambda a: np.prod(a, axis=1),
    lambda a: np.var(a, axis=0),
    lambda a: np.std(a, axis=1, keepdims=True),
    lambda a: np.argmax(a, axis=1),
    lambda a: np.argmin(a),
    lambda a: np.cumsum(a, axis=1),
    lambda a: np.cumsum(a),
    lambda a: np.any(a > 0, axis=0),
    lambda a: np.all(a > -100, axis=1),
    lambda a: a @ a.T,
    lambda a: a.T @ np.ones(3),
    lambda a: np.ones(3) @ a,
    lambda a: np.dot(a, a[0]),
    lambda a: np.matmul(a.T, a),
    lambda a: np.dot(a, 2.0),
    lambda a: a * a[:, :1] + a[0],
    lambda a: np.diff(a, axis=0),
    lambda a: np.concatenate([a, a[:1]], axis=0),
    lambda a: np.concatenate([a, a], axis=1),
    lambda a: np.concatenate([a, a], axis=None),
    lambda a: np.stack([a, a], axis=-1),
    lambda a: np.linalg.norm(a),
    lambda a: np.linalg.norm(a, axis=1),
    lambda a: np.roll(a, 1, axis=0),
    lambda a: np.roll(a, 2),
    lambda a: np.repeat(a, 2, axis=0),
    lambda a: np.zeros(a.shape) + 1,
    lambda a: np.zeros((a.shape[0], a.shape[1] - 1)) + a[:, 1:],
    lambda a: np.average(a, axis=0, weights=np.array([1.0, 2.0, 3.0])),
]


@pytest.mark.parametrize("function", MATRIX_CALLS)
def test_matrix_functions(function):
    check(function, A, tolerance=1e-13)


def test_traced_sizes():
    check(lambda n, x: np.zeros(n) + x, 4, 2.5)
    check(lambda n, x: np.arange(n) * x, 4, 2.5)
    check(lambda n, x: np.arange(1, n + 2, 2) * x, 4, 2.5)
    check(lambda n, x: np.linspace(0.0, x, n), 5, 2.5)
    check(lambda n, x: np.linspace(0.0, x, n), 1, 2.5)
    check(lambda n, x: np.full((n, n + 1), x).sum(), 3, 2.5)
    check(lambda n: np.eye(n), 3)
    staged, inputs, _ = stage(lambda n: np.zeros(n), -1)
    with pytest.raises(ValueError, match="negative dimensions"):
        run(staged, inputs)


def test_integer_arrays():
    check(lambda n: (n + 1, n * 2, n // 2, n % 3, n / 2, -n, abs(n), n**2, n.sum(), n.mean(), n.max()), N)
    check(lambda n: (n @ n, n + 0.5, n > 2, n & 3, ~n, n << 1, np.sign(n), np.cumsum(n), n.prod()), N)
    check(lambda b: (b + b, b * b, b & b, b | b, ~b, b.sum(), b + 1, b * 0.5, b.any(), b.max(), b == b), B)


def test_large_constants_are_captured():
    big = numpy.linspace(0.0, 1.0, 200)
    _, inputs, _ = stage(lambda x: x + big, numpy.ones(200))
    assert len(inputs) == 2
    check(lambda x: x + big, numpy.ones(200))


def test_empty_reductions():
    check(lambda x: (x.sum(), x.prod(), np.all(x), np.any(x)), numpy.zeros(0))
    with pytest.raises(ValueError, match="zero-size array"):
        run_eagerly(lambda x: x.max(), numpy.zeros(0))
    staged, _, _ = stage(lambda x, n: np.zeros(n).max() + x, 1.0, 3)
    with pytest.raises(ValueError, match="zero-size array"):
        run(staged, [1.0, 0])


def test_bad_products():
    with pytest.raises(ValueError, match="mismatch in its core dimension"):
        run_eagerly(lambda a: a @ np.ones(3), A)
    with pytest.raises(ValueError, match="not aligned"):
        run_eagerly(lambda a: np.dot(a, a), A)


def test_scatter():
    def f(x):
        y = np.zeros(4)
        numpy.add.at(y, [0, 0, -1, 2, 2], x)
        return y

    check(f, X)


def test_refusals_name_the_function():
    with pytest.raises(Exception, match=r"numpy.*fft"):
        stage(lambda x: numpy.fft.fft(x), X)
    with pytest.raises(StagingError, match=r"'dtype' of np\.var"):
        stage(lambda x: np.var(x, dtype=int), X)
    with pytest.raises(StagingError, match="without 'out'"):
        stage(lambda x: np.log(x, where=x > 0), X)


def test_logaddexp_is_stable():
    for x, y in ((0.0, -40.0), (800.0, 801.0), (-800.0, -800.0), (numpy.inf, 0.0), (-numpy.inf, -numpy.inf)):
        check(lambda a, b: np.logaddexp(a, b), x, y)
