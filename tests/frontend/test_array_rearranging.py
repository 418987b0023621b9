"""Padding, shifting, splitting, diagonals, reductions that skip nan, and NumPy's smaller functions, in every mode."""

from __future__ import annotations

import numpy as np
import pytest

import wengert as wg
from tests.frontend.array_modes import agree_everywhere

X = np.array([0.31, -0.72, 1.25, -0.94, 0.55, 2.1, -1.4])
A = np.sin(np.arange(20.0).reshape(4, 5) * 1.7) + 0.1
NARROW = np.array([2, 0, 1], dtype=np.int32)


def total(*arrays):
    """A number that depends on all elements and their places."""
    result = 0.0
    for each in arrays:
        y = np.asarray(each, dtype=float).ravel()
        result = result + np.sum(y * y * np.arange(1.0, len(y) + 1.0)) + np.sum(np.sin(y))
    return result


def pad(x):
    first = total(np.pad(x, 2), np.pad(x, (1, 3), mode="edge"), np.pad(x, 2, mode="wrap"), np.pad(x, (9, 8), mode="reflect"))
    return first + total(np.pad(x, 3, mode="symmetric"), np.pad(x, (1, 2), constant_values=(x[0], 4.0)))


def pad_axes(a):
    first = total(np.pad(a, 1, mode="reflect"), np.pad(a, ((1, 0), (0, 2)), constant_values=3.0))
    return first + total(np.pad(a, ((2, 1), (0, 0)), mode="edge"))


def turn(a):
    first = total(np.rot90(a), np.rot90(a, 2), np.rot90(a, 3), np.roll(a, (1, 2), axis=(0, 1)), np.roll(a, 3), np.flip(a))
    return first + total(a.reshape(5, 4, order="F"), a.ravel("F"), a.flatten("F"), np.rollaxis(a[None], 2))


def diagonals(a):
    first = total(np.diag(a), np.diag(a, 1), np.diag(a[0], -1), np.trace(a, 2), np.diagonal(a[None], 0, 1, 2))
    return first + total(np.diagflat(a[:2, :2]), a.diagonal(-1), a.trace())


def without_nan(a):
    b = np.where(a > 0.9, np.nan, a)
    first = total(np.nansum(b, axis=0), np.nanmean(b, axis=1), np.nanmax(b), np.nanmin(b, axis=0), np.nanprod(b, axis=1))
    return first + total(np.nanstd(b), np.nanvar(b, axis=0, ddof=1), np.nancumsum(b, axis=1), np.nancumprod(b[0]))


def calculus(x):
    first = total(np.gradient(x), np.gradient(x, 0.5, edge_order=2), np.trapezoid(x), np.trapezoid(x, dx=0.2), np.ediff1d(x))
    return first + total(np.gradient(A * x[0])[1], np.trapezoid(A * x[1], axis=0), np.unwrap(x * 3.0))


def polynomials(x):
    return total(np.polyval(x, 0.3), np.polyder(x), np.polyint(x), np.polyadd(x, x[:3]), np.vander(x[:3]))


def ranges(x):
    first = total(np.linspace(x[:2], x[2:4], 5), np.logspace(x[0], x[1], 4), np.geomspace(x[0], x[2], 4))
    return first + total(np.meshgrid(x, x[:3], sparse=True)[1], np.tri(4) * x[0], np.r_[x, 1.0, x[:2]], np.c_[x, x])


def statistics(a):
    means, weights = np.average(a, axis=0, weights=np.arange(1.0, 5.0), returned=True)
    return total(np.cov(a[:3, :4]), np.average(a, axis=1, keepdims=True), means, weights)


def edits(a):
    first = total(np.insert(a[0], 2, a[1, 1]), np.delete(a, 1, axis=0), np.resize(a, (3, 4)), np.append(a, 1.0))
    return first + total(np.repeat(a, [1, 0, 2, 1], axis=0), np.block([[a, a], [a, a]]), np.dstack([a, a]), np.tile(a, (2, 1)))


def windows(x):
    return total(np.lib.stride_tricks.sliding_window_view(x, 3).sum(axis=1), np.modf(x)[0], np.ldexp(x, 2), np.fix(x) * x)


def windows_of_images(x):
    image = np.reshape(x[:5], (5, 1)) * x[None, :5]
    both = np.lib.stride_tricks.sliding_window_view(image, (2, 3), axis=(0, 1))
    rows = np.lib.stride_tricks.sliding_window_view(image[:, 1:], 4, axis=0)
    every = np.lib.stride_tricks.sliding_window_view(image.T, (5, 5))
    return total((both * both[0, 0]).max(axis=(2, 3)), rows[1:, ::2, ::-1] ** 2, every, both.reshape(-1, 6) @ x[:6])


def windows_see_what_is_written_later(x):
    signal = np.zeros(len(x)) + x
    seen = np.lib.stride_tricks.sliding_window_view(signal, 2)
    before = seen.sum()
    for i in range(1, len(x)):
        signal[i] += seen[i - 1, 0] * seen[i - 1, 1]
    return before + total(seen, signal)


def narrow_numbers(x):
    counts = np.zeros(3, dtype=np.int32)
    counts[1] = 2
    factors = np.array([1.5, 2.5, 0.5], dtype=np.float32)
    return total(x[NARROW], x[:3] * counts, x[:3] * factors, x * np.float32(2.0) + np.int16(3), x[counts])


def from_iterables(x):
    first = np.fromiter((v * 2 for v in x), dtype=float, count=3)
    return total(first, np.stack([x * k for k in range(3)]), np.array(x, ndmin=2), np.array([[x[0], 1], [2, x[1]]], dtype=float))


VECTORS = [pad, calculus, polynomials, windows, windows_of_images, windows_see_what_is_written_later, narrow_numbers]


@pytest.mark.parametrize("f", VECTORS, ids=lambda f: f.__name__)
def test_vectors(f):
    agree_everywhere(f, X)


def test_ranges():
    agree_everywhere(ranges, np.abs(X))


@pytest.mark.filterwarnings("ignore:.*runs eagerly")
def test_iterables():
    agree_everywhere(from_iterables, X)


@pytest.mark.parametrize("f", [pad_axes, turn, diagonals, without_nan, statistics, edits], ids=lambda f: f.__name__)
def test_matrices(f):
    agree_everywhere(f, A)


def test_comparison_of_whole_arrays():
    def f(x, n):
        return np.array_equal(x[:n], x[1:]), np.array_equal(x, x), np.allclose(x, x + 1e-12), (x == None).any()  # noqa: E711

    for n in (6, 3):
        found = wg.jit(f)(X, n)
        assert found == f(X, n)
        assert all(type(v) is bool for v in found[:3])


class Tagged(np.ndarray):
    """A subclass that only carries a tag."""

    def __array_finalize__(self, obj):
        self.tag = getattr(obj, "tag", None)


def test_subclasses_of_arrays():
    tagged = X.view(Tagged)
    np.testing.assert_array_equal(wg.grad(lambda x: np.sum(x * x))(tagged), 2 * X)
    masked = np.ma.masked_array(X, mask=X > 0)
    with pytest.raises(wg.GradientCutError, match="MaskedArray"):
        wg.grad(lambda x: np.sum(x * masked))(X)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_matrices_multiply_in_their_own_way():
    with pytest.raises(wg.UnsupportedError, match="matrix"):
        wg.jit(lambda x: x * 2)(np.matrix(A))


def test_integers_wrap_and_divide_as_in_numpy():
    def f(n):
        return [n // 2, n % 3, n >> 1, n << 2, n & 3, n | 4, n ^ 1, ~n, -n, abs(n), n * n * n, n**2]

    n = np.array([7, -8, 3, 2**40])
    with np.errstate(all="ignore"):
        for found, expected in zip(wg.jit(f)(n), f(n), strict=True):
            np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(wg.jit(lambda n: n // (n - n))(n), n // (n - n))
        np.testing.assert_array_equal(wg.jit(lambda n: n / 0)(n), n / 0)
