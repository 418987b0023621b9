"""Boolean masks and arrays of indices: reading, writing, adding; values, gradients and errors as NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

import wengert as wg
from tests.frontend.array_modes import agree_everywhere

X = np.array([0.31, -0.72, 1.25, -0.94, 0.55, 2.1, -1.4])
A = np.sin(np.arange(20.0).reshape(4, 5) * 1.7) + 0.1
T = np.cos(np.arange(24.0).reshape(3, 4, 2) * 0.9)
C = np.sin(np.arange(200.0))
I = np.array([2, 0, -1])  # noqa: E741 - an index
J = np.array([1, 1, 0])
SMALL = np.array([2, 0, 1], dtype=np.int32)


def total(y):
    """A number that depends on all elements and their places."""
    flat = y.ravel()
    return np.sum(flat * flat * np.arange(1.0, len(flat) + 1.0)) + np.sum(np.sin(flat))


def load(x):
    mask = x > 0
    return total(x[mask]) + np.sum(x[mask] * x[mask] ** 2) + total(x[x < 0][::-1])


def store_array(x):
    y = x.copy()
    mask = x > 0
    y[mask] = x[mask] ** 2
    y[x < -0.8] = 0.25
    return total(y * x)


def add(x):
    y = x * 1.0
    y[x < 0] += 3.0
    y[x > 0] *= x[x > 0]
    return total(y * x)


def one_axis(a):
    rows = a[:, 0] > 0
    b = a.copy()
    b[rows] = a[rows] * 2 + 1
    b[:, a[0] > 0] = 0.5 * a[1, 1]
    b[rows, 1] = 7.0 * a[rows, 2]
    return total(b[rows]) + total(b) + total(a[rows, 1:3]) + total(a[1:, a[0] > 0])


def matrix(a):
    return total(a[a > 0]) + total(a[np.abs(a) < 0.5]) + total(a[(a > 0.2) & (a < 0.9)])


def nothing_found(a):
    return total(a[a > 100]) + total(a)


def scalar_masks(x):
    y = x[None, :][np.array([True])]
    z = x.copy()
    z[x[0] > 0] = 2.0 * x
    z[x[0] > 10] = 0.0
    return total(y) + total(z)


def store_rows(x):
    y = np.zeros(7)
    y[I] = x[:3]
    y[[1, 1]] = x[3:5]
    y[SMALL] *= x[0]
    return total(y)


def duplicates(x):
    y = x * 2
    y[np.array([0, 1, 0])] = x[3:6] ** 2
    y[J] += x[:3]
    return total(y)


def several(a):
    return total(a[I, J]) + total(a[I[:, None], J]) + total(a[:, J]) + total(a[I]) + total(a[1, J]) + total(a[1:, J])


def mixed(t):
    first = total(t[[0, 1], :, [1, 0]]) + total(t[:, [0, 1], [1, 0]]) + total(t[[0, 1], None, [1, 0]])
    second = total(t[..., [1, 0]]) + total(t[[0, 1], ..., [1, 0]]) + total(t[:, I[:, None], [[0, 1]]])
    return first + second + total(t[0, :, [1, 0]])


def mixed_store(t):
    u = t.copy()
    u[[0, 1], :, [1, 0]] = t[0, :, 0]
    u[:, [0, 1], [1, 0]] *= 2
    u[np.ix_([0, 2], [1, 3])] += 1.5 * t[:2, :2]
    u[1, [0, 2]] -= t[0, 0]
    return total(u * t)


def through_views(a):
    b = a.copy()
    b.T[[0, 2]] = 2.0 * a[:, 1]
    half = b[::2]
    half[:, [1, 3]] += a[0, 0]
    b.reshape(-1)[[0, 7]] = a[1, 1]
    return total(b)


def add_at(a):
    y = np.zeros((4, 5))
    np.add.at(y, (I, J), a[0, :3])
    np.add.at(y, (slice(None), [0, 0]), a[:, :2])
    np.subtract.at(y, [0, 0], a[1])
    np.add.at(y, 2, a[0])
    return total(y)


def large(c):
    y = np.zeros(200)
    y[c > 0] = c[c > 0]
    return total(y) + total(c[::-1][c > 0])


def traced_positions(x):
    order = (np.arange(7) * 3 + (x > 0).sum()) % 7
    y = np.zeros(7)
    y[order] = x
    return total(y) + total(x[order[:3]])


def in_a_loop(x):
    s = 0.0
    for k in range(3):
        part = x[x > 0.1 * k]
        s = s + total(part)
    return s


def branches(x):
    y = x.copy()
    for k in range(7):
        if x[k] > 0:
            y[np.array([k, (k + 1) % 7])] += x[k]
    return total(y)


ONE = [load, store_array, add, scalar_masks, store_rows, duplicates, traced_positions, in_a_loop, branches]


@pytest.mark.parametrize("f", ONE, ids=lambda f: f.__name__)
def test_vectors(f):
    agree_everywhere(f, X)


@pytest.mark.parametrize("f", [one_axis, matrix, nothing_found, several, through_views, add_at], ids=lambda f: f.__name__)
def test_matrices(f):
    agree_everywhere(f, A)


@pytest.mark.parametrize("f", [mixed, mixed_store], ids=lambda f: f.__name__)
def test_three_axes(f):
    agree_everywhere(f, T)


def test_large_masks():
    agree_everywhere(large, C, gradient=False)


def test_masked_out_infinities_have_no_gradient():
    x = np.array([0.0, -1.0, 2.0])
    with np.errstate(all="ignore"):
        gradient = wg.grad(lambda x: np.sum(np.log(x)[x > 0]))(x)
    np.testing.assert_allclose(gradient, [0.0, 0.0, 0.5])


def test_one_compilation_serves_all_masks():
    f = wg.jit(load)
    for x in (X, -X, np.abs(X), -np.abs(X), X[:3], np.zeros(0)):
        np.testing.assert_allclose(f(x), load(x), rtol=1e-13)


@pytest.mark.parametrize(
    ("access", "message"),
    [
        (lambda x, n: x[np.array([0, 9])], "out of bounds for axis 0"),
        (lambda x, n: x[np.array([0, 1]) + n], "out of bounds for axis 0"),
        (lambda x, n: x[np.array([-8])], "out of bounds for axis 0"),
        (lambda x, n: x[np.array([0.5])], "must be of integer"),
        (lambda x, n: x[[0], [1]], "too many indices"),
        (lambda x, n: x[np.array([True, False])], "boolean index did not match"),
    ],
)
def test_bad_indices(access, message):
    for run in (wg.jit(access), access):
        with pytest.raises(IndexError):
            run(X, 8)
    with pytest.raises(IndexError, match=message):
        wg.jit(access)(X, 8)
    with wg.eager(), pytest.raises(IndexError, match=message):
        wg.jit(access)(X, 8)


def test_lengths_that_do_not_fit():
    def f(x):
        y = np.zeros(7)
        y[x > 0] = x[:2]
        return y

    with pytest.raises(ValueError, match="cannot assign 2 input values"):
        wg.jit(f)(X)


def test_second_order_through_masks():
    def f(x):
        y = x.copy()
        y[x > 0] = x[x > 0] ** 3
        return np.sum(y[[0, 2]] * y[[2, 4]])

    hessian = wg.hessian(f)(X)
    gradient = wg.grad(f)
    for k in range(7):
        step = np.eye(7)[k] * 1e-6
        np.testing.assert_allclose(hessian[k], (gradient(X + step) - gradient(X - step)) / 2e-6, atol=1e-7)


def written_and_read(x, b):
    found = x[b]
    x[b] = 2.0
    return found, x


@pytest.mark.parametrize(
    ("axes", "mask"), [((3,), (0,)), ((2, 3), (0,)), ((2, 3), (0, 3)), ((2, 3), (2, 0)), ((3,), (2,)), ((2, 3), (0, 5))]
)
def test_masks_of_other_sizes(axes, mask):
    """One whose axis has size 0 selects nothing, as in NumPy; any other does not go together with the array."""
    b = np.zeros(mask, bool)

    def outcome(f):
        x = np.ones(axes)
        try:
            found = f(x, b)
        except IndexError:
            return "IndexError"
        return found[0].shape, found[0].tolist(), x.tolist()

    assert outcome(wg.jit(written_and_read)) == outcome(written_and_read)


def test_a_right_hand_side_without_axes():
    def solved(a, y):
        return np.linalg.solve(a, y)

    for f in (solved, wg.jit(solved)):
        with pytest.raises(ValueError, match="solve"):
            f(np.eye(3), np.array(2.0))
