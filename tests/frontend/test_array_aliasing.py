"""Arrays that share memory: views of views, writes through any of them, `out=`, helpers that write, loops over rows."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import wengert as wg
from tests.frontend.array_modes import agree_everywhere

X = np.array([0.31, -0.72, 1.25, -0.94, 0.55, 2.1, -1.4])
A = np.sin(np.arange(20.0).reshape(4, 5) * 1.7) + 1.5
Q = np.cos(np.arange(16.0).reshape(4, 4) * 0.7)
BUFFER = np.zeros(7)


def total(*arrays):
    """A number that depends on all elements and their places."""
    result = 0.0
    for each in arrays:
        y = np.asarray(each, dtype=float).ravel()
        result = result + np.sum(y * y * np.arange(1.0, len(y) + 1.0)) + np.sum(np.sin(y))
    return result


def views_of_views(x):
    y = x.copy()
    inner = y[1:][::2][1:]
    inner *= 2.0
    again = y[::-1][:2]
    again += inner
    again[0] = x[0] * inner[1]
    return total(y, inner, again)


def add_to_argument(x):
    x += x[::-1]
    x[1:] *= 2
    return total(x)


def overlaps(x):
    y = x.copy()
    y[1:] = y[:-1]
    y[:-2] += y[2:]
    y[::-1] = y * x
    y[::2] = y[::-2]
    return total(y)


def overlaps_of_matrices(a):
    b = a.copy()
    b[1:, :-1] = b[:-1, 1:]
    b[::-1] += b[:, ::-1]
    b[:] = b[::-1, ::-1]
    c = a[:, :4].copy()
    c[:] = c.T
    c += c.T
    return total(b, c)


def out_arguments(x):
    y, z = np.empty(7), np.zeros(7)
    np.multiply(x, 2.0, out=y)
    np.exp(y, out=y)
    np.sqrt(y, out=z, where=x > 0)
    np.add(y[1:], x[:-1], out=z[:-1])
    np.sum(np.outer(x, x), axis=0, out=y)
    np.cumsum(y, out=z)
    np.clip(z, -1.0, 3.0, out=z)
    w = np.add(x, 1, out=(y,))
    return total(w, y, z)


def where_of_reductions(x):
    mask = x > 0
    first = np.sum(x, where=mask) + np.mean(x, where=mask) + np.max(x, where=~mask, initial=-9.0) + np.prod(x, where=mask)
    return first + np.sum(x, initial=3.0) * np.any(x > 2, where=mask) + np.add.reduce(x, where=mask) + np.min(x, initial=0.1)


def whole(x):
    y = np.zeros(7)
    z = y
    y[:] = x
    z[...] += 1.0
    y.fill(x[0])
    y[2:5] = x[3]
    return total(y, z)


def scale(v, factor):
    v *= factor
    v[0] = v[-1]


def helper(x):
    y = x.copy()
    scale(y[2:5], x[0])
    scale(y[::-2], 3.0)
    return total(y)


class Holder:
    """Two names for one array."""

    def __init__(self, array):
        self.array = array
        self.parts = [array[:3], array[3:]]


def objects_and_lists(x):
    holder = Holder(x.copy())
    holder.parts[0][:] = x[4:]
    holder.array[5] *= x[1]
    rows = [holder.array, holder.parts[1]]
    rows[1] += 1.0
    return total(holder.array, rows[0][4:], holder.parts[0])


def shapes(a):
    b = a.copy()
    b.T[0] += 1.0
    b.reshape(2, 10)[1, ::3] *= 2.0
    b.ravel()[3] = a[0, 0]
    np.swapaxes(b, 0, 1)[2, 1:3] = 0.5
    np.squeeze(b[None])[0] -= a[1]
    np.expand_dims(b, 1)[2, 0, :2] = a[3, :2]
    np.diagonal(b)
    b.reshape(-1)[-2:] *= 3
    return total(b)


def splits(x):
    y = x.copy()
    first, second = np.split(y, [3])
    first += 1
    second *= first[0]
    parts = np.array_split(y, 3)
    parts[2][0] = x[0]
    left, right = np.hsplit(y[:6], 2)
    left[:] = right
    b = np.outer(y, y)
    top, bottom = np.vsplit(b[:6], 2)
    top += bottom
    return total(y, b)


def rows(a):
    b = a.copy()
    for row in b:
        row /= row.sum()
    for k, row in enumerate(b[::2]):
        row[k] = a[k, 0]
    for row, other in zip(b, a, strict=True):
        row[1:] -= other[:-1]
    return total(b)


def swaps(x):
    a, b = x.copy(), x * 2
    a, b = b, a
    a[0] = b[1]
    b[:2], a[:2] = a[:2].copy(), b[:2].copy()
    y = x.copy()
    y[0], y[1] = y[1], y[0]
    y[[0, 2]] = y[[2, 0]]
    return total(a, b, y)


def ping_pong(x):
    old, new = x.copy(), np.zeros(7)
    for k in range(5):
        new[1:-1] = 0.5 * (old[2:] + old[:-2])
        new[0], new[-1] = old[0], x[k]
        old, new = new, old
    return total(old, new)


def flat(a):
    b = a.copy()
    b.flat[3] = 7.0 * a[0, 0]
    b.flat[[0, 5]] += a[1, 1]
    b.T.flat[2:4] = a[0, :2]
    result = b.flat[6]
    for value in a.flat:
        result = result * 0.5 + value
    for k, value in enumerate(b.flat):
        result += k * value
    b.flat = a[0]
    return total(b, result, len(b.flat))


def iterators(a):
    result = 0.0
    b = np.zeros_like(a)
    for (i, j), value in np.ndenumerate(a):
        b[j % 4, i] += value * value
    for place in np.ndindex(a.shape):
        result = result + b[place] * place[0]
    for value in np.nditer(a):
        result = result + value**2
    return total(b, result)


def copies(x):
    y = np.array(x)
    z = np.asarray(y)
    w = np.array(z, copy=False) if False else np.asarray(z, dtype=float)
    z[0] = 5.0 * x[1]
    w[1] = x[0]
    np.copyto(y[2:4], x[:2])
    v = y.astype(float)
    v[:] = 0.0
    u = y.view()
    u[6] *= 2.0
    return total(y, z, w, v)


def corner(a):
    b = a[:4, :4].copy()
    d = np.diagonal(b).copy()
    d[0] = a[0, 1]
    np.fill_diagonal(b, d)
    b[np.diag_indices(4)] += d
    i, j = np.triu_indices(4, 1)
    b[i, j] *= 2.0
    b[np.tril_indices(4, -1)] = a[0, 0]
    return total(b, d)


def in_branches(x):
    y = x.copy()
    v = y[1:4]
    if x[0] > 0:
        v += x[0]
    else:
        v *= 2.0
    for k in range(3):
        if v[k] > 0.5:
            y[k] = v[k] * x[k]
    return total(y, v)


VECTORS = [views_of_views, add_to_argument, overlaps, out_arguments, where_of_reductions, whole, helper, objects_and_lists]
VECTORS += [splits, swaps, ping_pong, copies, in_branches]


@pytest.mark.parametrize("f", VECTORS, ids=lambda f: f.__name__)
def test_vectors(f):
    agree_everywhere(f, X)


@pytest.mark.parametrize("f", [overlaps_of_matrices, shapes, rows, flat, iterators, corner], ids=lambda f: f.__name__)
def test_matrices(f):
    agree_everywhere(f, A)


def scratch(x):
    y = np.zeros(3)
    for k in range(3):
        y[k] = x[k] ** 2
    buffer = BUFFER.copy()
    buffer[1:4] = y
    buffer[0] = x[6]
    other = np.array([[1.0, 2.0], [3.0, 4.0]])
    other[0] = x[:2]
    table = np.arange(6.0).reshape(2, 3)
    table[1] *= x[:3]
    mixed = np.concatenate([np.ones(2), np.zeros(2)])
    mixed[1] = x[0]
    twice = 2.0 * np.ones(3) + BUFFER[:3]
    twice[2] = x[5]
    return total(buffer, other, table, mixed, twice)


def test_buffers_made_of_plain_numbers():
    agree_everywhere(scratch, X)
    assert not BUFFER.any()


def test_arguments_of_derivatives_are_not_changed():
    x = X.copy()
    wg.grad(add_to_argument)(x)
    np.testing.assert_array_equal(x, X)


def test_an_array_under_two_names_when_a_loop_starts():
    """In the first iteration a write to one is seen through the other, later it is not: such loops are not staged."""

    def held(m, n):
        box = {"z": m}
        for _ in range(n):
            m -= 0.1
            box["z"] = np.abs(box["z"])
        return np.sum(box["z"] ** 2) + np.sum(m)

    def rebound(m, n):
        m = m.copy()
        z, total = m, 0.0
        for i in range(n):
            z[0] = 5.0 + i
            total += m[0]
            z = z + 1.0
        return total + np.sum(z)

    x = np.array([1.0, -2.0, 3.0, 4.0])
    for f in (held, rebound):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wg.EagerFallbackWarning)
            assert wg.value_and_grad(f)(x, 13)[0] == pytest.approx(f(x.copy(), 13))
        with pytest.raises(wg.StagingError, match="may be the same one"):
            wg.jit(f)(x, 13)
