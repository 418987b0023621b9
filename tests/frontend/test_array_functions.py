"""Sorting, searching, choosing, counting and running along an axis: as NumPy in every mode, gradients against differences."""

from __future__ import annotations

import math

import numpy as np
import pytest

import wengert as wg
from tests.frontend.array_modes import agree_everywhere

X = np.array([0.31, -0.72, 1.25, -0.94, 0.55, 2.1, -1.4])
P = np.array([0.4, 1.3, 2.2, 0.9])
A = np.sin(np.arange(20.0).reshape(4, 5) * 1.7) + 0.1
T = np.cos(np.arange(24.0).reshape(3, 4, 2) * 0.9)
N = np.array([3, 0, 2, 2, 1, 0, 3])
B = np.array([0.2, 0.5, 0.57, 1.5])


def total(*arrays):
    """A number that depends on all elements and their places."""
    result = 0.0
    for each in arrays:
        y = np.asarray(each, dtype=float).ravel()
        result = result + np.sum(y * y * np.arange(1.0, len(y) + 1.0)) + np.sum(np.sin(y))
    return result


def sort(x):
    y = x.copy()
    y.sort()
    return total(np.sort(x), np.argsort(x), x[np.argsort(-x)], y[::-1], x.argsort())


def sort_axes(a):
    b = np.sort(a, axis=0)
    b.sort(axis=1)
    return total(np.sort(a), np.sort(a, axis=0), np.sort(a, axis=None), np.argsort(a, axis=0), b)


def partition(x):
    return total(np.partition(x, 2)[2], np.sort(np.partition(x, 3)[:3]), x[np.argpartition(x, 1)[0]])


def lexsort(x):
    return total(x[np.lexsort((x, N))])


def searchsorted(x):
    s = np.sort(x)
    return total(s[np.searchsorted(s, 0.3)], np.searchsorted(s, [[0.0, 1.0], [9.0, -9.0]]), np.searchsorted(B, x, "right"))


def unique(x):
    y = np.concatenate([x, x[2:4], x[:1]])
    values, index, inverse, counts = np.unique(y, return_index=True, return_inverse=True, return_counts=True)
    return total(values, index, inverse, counts, values[inverse] - y, np.unique(np.round(x)))


def quantiles(x):
    return total(np.median(x), np.median(x[1:]), np.percentile(x, 30.0), np.quantile(x, [0.1, 0.5, 0.93]), np.quantile(x, x[0]))


def quantiles_of_axes(a):
    first = total(np.median(a, axis=0), np.median(a, axis=1, keepdims=True), np.quantile(a, 0.3, axis=0))
    return first + total(np.percentile(a, [25, 75], axis=1), np.median(a, axis=(0, 1)))


def quantile_methods(x):
    result = 0.0
    for method in ("lower", "higher", "nearest", "midpoint", "hazen", "weibull", "median_unbiased", "normal_unbiased"):
        result = result + total(np.quantile(x, 0.37, method=method))
    return result


def nan_quantiles(a):
    b = np.where(a > 0.9, np.nan, a)
    return total(np.nanmedian(b, axis=0), np.nanpercentile(b, 40), np.nan_to_num(np.median(b, axis=1), nan=2.0))


def positions(a):
    i, j = np.nonzero(a > 0)
    k = np.flatnonzero(a < 0)
    (m,) = np.where(a[0] > 0)
    return total(a[i, j], a.ravel()[k], a[0][m], np.argwhere(a > 0.5), i, j)


def by_masks(x):
    y = np.zeros(7)
    np.place(y, x > 0, x[:2])
    np.putmask(y, x < -0.8, x * 2)
    np.copyto(y, 3.0 * x, where=x > 1)
    return total(np.extract(x > 0, x), np.compress(x > 0, x), y)


def compress_axes(a):
    return total(np.compress([True, False, True], a, axis=1), np.compress(a[:, 0] > 0, a, axis=0))


def select(x):
    first = np.select([x > 1, x > 0], [x**2, -x], default=0.5)
    return total(first, np.select([x > 1, x > 0], [1, 2]), np.choose(N % 3, [x, x * 2, x[0]]))


def take(a):
    first = total(np.take(a, [3, 0, -1]), np.take(a, [[0, 1], [2, 2]], axis=1), np.take(a, 2, axis=0), a.take([5, 6]))
    return first + total(np.take(a, [-7, 30], mode="wrap"), np.take(a, [-7, 30], mode="clip"))


def put(x):
    y = x.copy()
    np.put(y, [0, 2, 4], x[5:])
    y.put(6, x[0] ** 2)
    return total(y)


def along_axis(a):
    order = np.argsort(a, axis=1)
    b = a.copy()
    np.put_along_axis(b, order[:, :2], a[:, :1] * 2, axis=1)
    np.put_along_axis(b, np.argmax(a, axis=0)[None, :], 7.0, axis=0)
    return total(np.take_along_axis(a, order, axis=1), np.take_along_axis(a, np.array([[0, 1, 2, 3, 0]]), axis=0), b)


def interp(x):
    xp = np.array([-1.0, 0.0, 0.5, 2.0])
    return total(np.interp(x, xp, P), np.interp(x[0], xp, P, left=1.0), np.interp(x, xp, P, -5.0, x[1]))


def interp_of_table(p):
    return total(np.interp(0.7, np.cumsum(p), p), np.interp(np.array([0.1, 2.5, 9.0]), np.cumsum(p), p**2))


def interp_periodic(x):
    return total(np.interp(x, P, P[::-1] * 2, period=2.5))


def counts(x):
    grouped = np.bincount(N, weights=x)
    bins, edges = np.histogram(x, bins=4)
    heavy = np.histogram(x, bins=[-2.0, 0.0, 0.4, 3.0], weights=x**2)[0]
    dense = np.histogram(P, bins=3, range=(0.0, x[5]), density=True)[0]
    return total(grouped, bins, edges, heavy, dense, np.bincount(N, minlength=6), np.digitize(x, B), np.digitize(x, B[::-1]))


def running(x):
    return total(np.cumprod(x), np.maximum.accumulate(x), np.minimum.accumulate(x), np.multiply.accumulate(x[::-1]))


def running_axes(a):
    first = total(np.cumprod(a, axis=0), np.maximum.accumulate(a, axis=1), np.add.accumulate(a, axis=0), a.cumprod())
    return first + total(np.subtract.reduce(a), np.hypot.reduce(a, axis=1), np.logical_or.accumulate(a > 0, axis=0))


def reduceat(x):
    return total(np.add.reduceat(x, [0, 2, 5]), np.maximum.reduceat(x, [0, 4, 2]))


def at(x):
    y = np.ones(4)
    np.multiply.at(y, [0, 1, 1, 3], x[:4])
    np.maximum.at(y, [2, 2], x[4:6])
    np.negative.at(y, [0])
    return total(y)


def convolve(x):
    first = total(np.convolve(x, P), np.convolve(P, x, "same"), np.convolve(x, P, "valid"), np.convolve(x, x[:3]))
    return first + total(np.correlate(x, P), np.correlate(x, P, "full"), np.correlate(P, x, "same"))


def differences(x):
    first = total(np.diff(x), np.diff(x, 2), np.diff(x, prepend=x[0]), np.diff(x, append=[1.0, x[1]]), np.ptp(x))
    return first + total(np.diff(A * x[0], axis=0, prepend=0.0), np.ptp(A * x[1], axis=1))


def membership(x):
    return total(np.isin(N, [0, 3]) * x, x[np.isin(N, N[:2], invert=True)])


def coordinates(x):
    i, j = np.unravel_index(np.argmax(A * x[0]), A.shape)
    m = np.zeros((7, 7))
    np.fill_diagonal(m, x)
    return total(A[i, j] * x[1], m @ x, np.ravel_multi_index((i, j), A.shape))


VECTORS = [sort, partition, lexsort, searchsorted, unique, quantiles, quantile_methods, by_masks, select, put]
VECTORS += [interp, interp_periodic, counts, running, reduceat, at, convolve, differences, membership, coordinates]


@pytest.mark.parametrize("f", VECTORS, ids=lambda f: f.__name__)
def test_vectors(f):
    agree_everywhere(f, X)


MATRICES = [sort_axes, quantiles_of_axes, nan_quantiles, positions, compress_axes, take, along_axis, running_axes]


@pytest.mark.parametrize("f", MATRICES, ids=lambda f: f.__name__)
def test_matrices(f):
    agree_everywhere(f, A)


def test_tables():
    agree_everywhere(interp_of_table, P)


def test_interpolation_at_its_knots():
    xp, fp = np.array([0.0, 1.0, 3.0]), np.array([1.0, 4.0, 2.0])
    for x in (-1.0, 0.0, 1.0, 2.0, 3.0, 4.0, np.nan):
        np.testing.assert_array_equal(wg.jit(lambda x: np.interp(x, xp, fp))(x), np.interp(x, xp, fp))
    assert wg.grad(lambda x: np.interp(x, xp, fp))(1.0) == -1.0
    assert wg.grad(lambda x: np.interp(x, xp, fp))(3.0) == -1.0
    assert wg.grad(lambda x: np.interp(x, xp, fp))(5.0) == 0.0


def test_order_is_stable_and_puts_nan_last():
    x = np.array([2.0, np.nan, 1.0, 2.0, -0.0, 0.0, np.inf, 1.0])
    many = np.sin(np.arange(1000.0) ** 2).round(1)
    for y in (x, many, many.reshape(20, 50), np.zeros(0), np.zeros((3, 0)), np.arange(50) % 7):
        np.testing.assert_array_equal(wg.jit(np_sort)(y), np.sort(y))
        np.testing.assert_array_equal(wg.jit(np_argsort)(y), np.argsort(y, kind="stable"))
    np.testing.assert_array_equal(wg.jit(lambda x: np.searchsorted(x, [np.nan, 5.0], side="right"))(np.sort(x)), [8, 6])


@pytest.mark.parametrize("n", [256, 257, 3000])
def test_order_of_many(n):
    rng = np.random.default_rng(n)
    odd = rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 1e-310, -1e-310, 2.0], n)
    for x in (rng.normal(size=n), odd, rng.integers(-3, 3, n), rng.integers(-(10**15), 10**15, n), np.full(n, 7.0)):
        np.testing.assert_array_equal(wg.jit(np_argsort)(x), np.argsort(x, kind="stable"))
        columns = np.stack([x, x[::-1]], axis=1)
        np.testing.assert_array_equal(wg.jit(lambda y: np.sort(y, axis=0))(columns), np.sort(columns, axis=0))


@pytest.mark.parametrize("right", [False, True])
def test_edges_of_bins(right):
    edges = np.array([0.2, 0.5, 0.55, 1.5])
    x = np.array([0.2, 0.5, 0.55, 1.5, 0.0, 2.0])
    for bins in (edges, edges[::-1]):
        np.testing.assert_array_equal(wg.jit(np.digitize)(x, bins, right), np.digitize(x, bins, right))
        np.testing.assert_array_equal(wg.jit(lambda x: np.digitize(x, bins, right))(x), np.digitize(x, bins, right))
    for limits in (None, (0.2, 1.5)):
        for found, expected in zip(wg.jit(lambda x: np.histogram(x, 4, limits))(x), np.histogram(x, 4, limits), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-15)


def np_sort(y):
    return np.sort(y)


def np_argsort(y):
    return np.argsort(y, kind="stable")


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.cumprod(x[:0]).sum() + np.sort(x[:0]).sum() + len(np.unique(x[x > 100.0])),
        lambda x: np.bincount(np.zeros(0, dtype=int), weights=x[x > 100.0], minlength=2).sum() + x[0],
        lambda x: np.maximum.accumulate(x[x > 100.0]).sum() + x[1] + np.flatnonzero(x > 100.0).sum(),
        lambda x: np.convolve(x[:1], x[1:2]).sum(),
    ],
)
def test_empty_and_single(f):
    agree_everywhere(f, X)


def test_errors():
    with pytest.raises(ValueError, match="negative"):
        wg.jit(lambda n: np.bincount(n))(np.array([0, -1]))
    with pytest.raises(ValueError, match=r"range \[0, 1\]"):
        wg.jit(lambda x, q: np.quantile(x, q))(X, 1.5)
    with pytest.raises(IndexError, match="out of bounds"):
        wg.jit(lambda x: np.take(x, [7]))(X)
    with pytest.raises(ValueError, match="monotonically"):
        wg.jit(lambda x, b: np.digitize(x, b))(X, np.array([0.0, 2.0, 1.0]))


def test_a_count_for_every_integer_is_refused():
    """NumPy itself writes outside of its memory here."""
    with pytest.raises(ValueError, match="array is too big"):
        wg.jit(np.bincount)(np.array([1, 2**63 - 1]))


# --- whole numbers that floats are written over ----------------------------------------------------------------------------

BIG = np.array([1, 3, 2**63 - 1, 2**53 + 1])
MIDDLE = np.array([False, True, False, False])


def masked_half(x, b):
    y = x.copy()
    y[b] = 2.5
    return y


def masked_copy(x, b):
    y = x.copy()
    np.copyto(y, 3.5, where=b, casting="unsafe")
    return y


def masked_put(x, b):
    y = x.copy()
    np.putmask(y, b, 2.5)
    return y


@pytest.mark.parametrize("function", [masked_half, masked_copy, masked_put])
def test_whole_numbers_beside_what_is_written_stay(function):
    np.testing.assert_array_equal(wg.jit(function)(BIG, MIDDLE), function(BIG, MIDDLE))


def copied(x, new, casting):
    y = x.copy()
    np.copyto(y, new, casting=casting)
    return y


@pytest.mark.parametrize("casting", ["no", "equiv", "safe", "same_kind", "unsafe"])
@pytest.mark.parametrize("x", [np.arange(3), np.arange(3.0), np.arange(3) > 1, np.arange(3, dtype=np.float32)])
@pytest.mark.parametrize("new", [np.ones(3, np.int64), np.ones(3), np.ones(3, bool), np.ones(3, np.float32), [1.0, 2.0, 3.0]])
def test_copyto_casts_as_numpy(x, new, casting):
    try:
        expected = copied(x, new, casting)
    except TypeError:
        with pytest.raises(TypeError, match="according to the rule"):
            wg.jit(copied)(x, new, casting)
    else:
        found = wg.jit(copied)(x, new, casting)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("casting", ["safe", "same_kind", "unsafe"])
@pytest.mark.parametrize("x", [np.arange(3), np.arange(3.0), np.arange(3) > 1, np.arange(3, dtype=np.float32)])
@pytest.mark.parametrize("new", [1, 2.5, True])
def test_copyto_casts_numbers_as_numpy(x, new, casting):
    def copied(x):
        y = x.copy()
        np.copyto(y, new, casting=casting)
        return y

    try:
        expected = copied(x)
    except TypeError:
        with pytest.raises(TypeError, match="according to the rule"):
            wg.jit(copied)(x)
    else:
        np.testing.assert_array_equal(wg.jit(copied)(x), expected)


def added(x, k, v):
    y = x.copy()
    np.add.at(y, k, v)
    return y


def subtracted(x, k, v):
    y = x.copy()
    np.subtract.at(y, k, v)
    return y


def test_floats_added_at_places_of_integers():
    """NumPy cuts off each sum; a sum of floats that is cut off once is another number."""
    x, k, v = np.array([-4]), np.array([0, 0, 0]), np.array([1.6, 0.7, 0.7])
    for function in (added, subtracted):
        with pytest.raises(wg.StagingError, match="cuts off each result"):
            wg.jit(function)(x, k, v)
    np.testing.assert_array_equal(wg.jit(added)(x, k, v.astype(int)), added(x, k, v.astype(int)))
    with wg.eager():
        np.testing.assert_array_equal(wg.jit(added)(x, k, v), added(x, k, v))


def values_and_norms(a):
    return np.linalg.svd(a, compute_uv=False), np.linalg.norm(a, 2), np.linalg.norm(a, "nuc")


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (1, 5), (5, 1), (3, 3)])
def test_singular_values_of_infinities_are_nan(shape):
    a = np.arange(float(shape[0] * shape[1])).reshape(shape)
    a.flat[2] = -np.inf
    for found, expected in zip(wg.jit(values_and_norms)(a), values_and_norms(a)):
        np.testing.assert_array_equal(found, expected)
    both = np.stack([np.ones(shape), a])
    second = wg.jit(lambda x: np.linalg.svd(x, compute_uv=False)[1])(both)
    np.testing.assert_array_equal(second, np.linalg.svd(a, compute_uv=False))
    a.flat[0] = np.nan
    with pytest.raises(np.linalg.LinAlgError, match="SVD did not converge"):
        wg.jit(values_and_norms)(a)


def test_singular_vectors_of_infinities_are_nan():
    """LAPACK may not come back from such a matrix, nor does NumPy."""
    a = np.sin(np.arange(48.0).reshape(16, 3))
    a[5, 1], a[10, 0], a[10, 1], a[12, 2] = 1e16, -1.7e308, -np.inf, np.inf
    assert all(np.isnan(part).all() for part in wg.jit(lambda a: tuple(np.linalg.svd(a, full_matrices=False)))(a))
    assert np.isnan(wg.grad(lambda a: np.sum(np.linalg.svd(a, compute_uv=False)))(a)).all()
    assert np.isnan(wg.grad(lambda a: np.linalg.norm(a, "nuc"))(a.T)).all()


def log_gamma(x):
    return math.lgamma(x) + 1.0


@pytest.mark.parametrize("x", [-math.inf, math.inf, -1.5, 2.5])
def test_log_gamma_of_infinities_is_that_of_python(x):
    assert wg.jit(log_gamma)(x) == pytest.approx(log_gamma(x), rel=1e-14)
    with wg.eager():
        assert wg.jit(log_gamma)(x) == pytest.approx(log_gamma(x), rel=1e-14)
