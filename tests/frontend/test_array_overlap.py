"""A part of an array assigned to an overlapping part of the same array: the result is NumPy's, which may copy one by one."""

from __future__ import annotations

import numpy as np
import pytest

import wengert as wg
from tests.frontend.array_modes import agree_everywhere

V = np.array([0.31, -0.72, 1.25, -0.94, 0.55, 2.1, -1.4])
M = np.sin(np.arange(25.0).reshape(5, 5) * 1.7) + 1.5


def weighed(y):
    return np.sum(y.ravel() * y.ravel() * np.arange(1.0, y.size + 1.0))


def other_steps(x):
    y = x.copy()
    y[::2] = y[:4]
    y[1:4] = y[::2][:3]
    return weighed(y)


def backwards(x):
    y = x.copy()
    y[1::2] = y[:3]
    y[2:6] = y[::-1][:4]
    return weighed(y)


def column_from_row(x):
    y = np.outer(x, x) + np.arange(49.0).reshape(7, 7)
    y[:, -1] = y[1]
    y[:, 2][:] = y[4]
    y[5, ::-1] = y[:, 3]
    y.T[1] = y[:, 6]
    y.ravel()[:7] = y[:, 1]
    return weighed(y)


def flat_parts(a):
    b = a.copy()
    flat = b.ravel()
    flat[:7][:] = flat[:7]
    flat[::2] = flat[:13]
    return weighed(b)


def symmetric(a):
    b = a.copy()
    for i in range(len(b)):
        b[i, :] = b[:, i]
        b[i, i + 1 :] = b[i + 1 :, i]
    return weighed(b)


def by_copyto(x):
    y = x.copy()
    np.copyto(y[::2], y[:4])
    return weighed(y)


@pytest.mark.parametrize("function", [other_steps, backwards, column_from_row, by_copyto])
def test_numbers_are_copied_in_numpys_order(function):
    agree_everywhere(function, V)


def test_a_matrix_is_made_symmetric():
    agree_everywhere(symmetric, M)


def test_parts_of_the_flat_array():
    agree_everywhere(flat_parts, M)


def moved(x, i, j, n, m):
    y = x.copy()
    y[i : i + 2 * n : 2] = y[j : j + n]
    z = np.outer(y, y)
    z[:, i] = z[j]
    z[m, :] = z[:, j]
    return weighed(y) + weighed(z)


def downwards(x):
    y = x * 1.5
    y[3:1:-1] = y[5:1:-2]
    y[5::-2] = y[::-1][2:5]
    return weighed(y)


def test_a_target_that_runs_downwards():
    agree_everywhere(downwards, np.arange(9.0))


def test_positions_that_are_known_only_at_run_time():
    compiled = wg.jit(moved)
    gradient = wg.grad(moved)
    rng = np.random.default_rng(3)
    for i, j, n, m in [(0, 0, 3, 1), (0, 2, 3, 5), (1, 0, 3, 0), (2, 1, 4, 2), (4, 3, 2, 3), (0, 5, 4, 7)]:
        x = rng.normal(size=9)
        assert compiled(x, i, j, n, m) == pytest.approx(moved(x, i, j, n, m), rel=1e-12)
        along = rng.normal(size=9)
        step = 1e-6
        slope = (moved(x + step * along, i, j, n, m) - moved(x - step * along, i, j, n, m)) / (2 * step)
        assert gradient(x, i, j, n, m) @ along == pytest.approx(slope, rel=1e-6)
    assert compiled.stats.traces <= 2
