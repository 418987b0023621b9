"""Lists that data chooses and that are written to: staged, with every name of a list seeing every write, as in Python."""

from __future__ import annotations

import numpy as np
import pytest

import wengert as wg
from tests.frontend.agreement import agree

_RNG = np.random.default_rng(7)
POINTS = [_RNG.normal(size=9) * 2.0 for _ in range(5)]


def check(f, *extra, points=POINTS):
    """CPython = staged = eager on many points; gradients, compiled, against central differences."""
    agree(f, points[0], *extra, also=[(p, *extra) for p in points[1:]])
    gradient = wg.grad(f)
    for p in points[:3]:
        steps = np.eye(len(p)) * 1e-6
        wanted = np.array([(f(p + e, *extra) - f(p - e, *extra)) / 2e-6 for e in steps])
        np.testing.assert_allclose(gradient(p, *extra), wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max() + 1e-8)


def rows_of(p):
    return [[p[0], p[1], 1.0], [p[2], p[3], 2.0], [p[4], p[5], 3.0]]


# --- elimination -----------------------------------------------------------------------------------------------------


def solve(p):
    n = 3
    A = [[p[i * n + j] + (3.0 if i == j else 0.0) for j in range(n)] for i in range(n)]
    b = [1.0, 2.0, 3.0]
    for k in range(n):
        piv = max(range(k, n), key=lambda r: abs(A[r][k]))
        A[k], A[piv] = A[piv], A[k]
        b[k], b[piv] = b[piv], b[k]
        for i in range(k + 1, n):
            m = A[i][k] / A[k][k]
            for j in range(k, n):
                A[i][j] -= m * A[k][j]
            b[i] -= m * b[k]
    x = [0.0] * n
    for i in reversed(range(n)):
        x[i] = (b[i] - sum(A[i][j] * x[j] for j in range(i + 1, n))) / A[i][i]
    return sum(v * v for v in x)


def solve_by_loop(p):
    n = 3
    A = [[p[i * n + j] for j in range(n)] + [float(i + 1)] for i in range(n)]
    for k in range(n):
        piv = k
        for r in range(k + 1, n):
            if abs(A[r][k]) > abs(A[piv][k]):
                piv = r
        if piv != k:
            A[k], A[piv] = A[piv], A[k]
        for i in range(k + 1, n):
            m = A[i][k] / A[k][k]
            row, top = A[i], A[k]
            for j in range(k, n + 1):
                row[j] -= m * top[j]
    x = [0.0] * n
    for i in range(n - 1, -1, -1):
        s = A[i][n]
        for j in range(i + 1, n):
            s -= A[i][j] * x[j]
        x[i] = s / A[i][i]
    return x[0] + 2.0 * x[1] + 3.0 * x[2]


def lu_with_permutation(p):
    n = 3
    A = [[p[i * n + j] for j in range(n)] for i in range(n)]
    perm = list(range(n))
    for k in range(n):
        piv = max(range(k, n), key=lambda r: abs(A[r][k]))
        A[k], A[piv] = A[piv], A[k]
        perm[k], perm[piv] = perm[piv], perm[k]
        for i in range(k + 1, n):
            A[i][k] = A[i][k] / A[k][k]
            for j in range(k + 1, n):
                A[i][j] = A[i][j] - A[i][k] * A[k][j]
    b = [1.0, 2.0, 3.0]
    y = [0.0] * n
    for i in range(n):
        y[i] = b[perm[i]] - sum(A[i][j] * y[j] for j in range(i))
    for i in reversed(range(n)):
        y[i] = (y[i] - sum(A[i][j] * y[j] for j in range(i + 1, n))) / A[i][i]
    return y[0] * y[1] + y[2]


def determinant(p):
    A = [[p[3 * i + j] for j in range(3)] for i in range(3)]
    sign = 1.0
    for k in range(3):
        piv = max(range(k, 3), key=lambda r: abs(A[r][k]))
        if piv != k:
            A[k], A[piv] = A[piv], A[k]
            sign = -sign
        for i in range(k + 1, 3):
            f = A[i][k] / A[k][k]
            A[i] = [a - f * b for a, b in zip(A[i], A[k])]
    return sign * A[0][0] * A[1][1] * A[2][2]


# --- names of one list -----------------------------------------------------------------------------------------------


def by_a_name(p):
    A = rows_of(p)
    row = A[int(p[6] > 0) + int(p[7] > 0)]
    row[1] = row[0] * 2.0
    row[2] += 5.0
    return A[0][1] * A[1][1] + A[2][1] * A[0][2] + A[1][2] - A[2][2] * p[6]


def a_third_name(p):
    A = rows_of(p)
    first = A[0]
    k = int(p[6] > 0) + int(p[7] > 0)
    A[0], A[k] = A[k], A[0]
    A[0][0] = 10.0 * p[8]
    A[k][1] = -p[8]
    first[2] = first[0] + 7.0
    return first[0] + 2.0 * first[1] + A[0][0] * A[1][0] + A[2][0] * A[0][2] + A[1][2] * A[k][2]


def a_row_twice(p):
    row, other = [p[0], p[1]], [p[2], p[3]]
    A = [row, row, other]
    k = int(p[4] > 0) + int(p[5] > 0)
    A[k][0] = p[6] * 3.0
    A[1][1] += A[k][0]
    return A[0][0] * A[1][0] + A[2][0] * A[0][1] + row[1] * other[1]


def a_row_that_leaves(p):
    A = rows_of(p)
    k = int(p[6] > 0) + int(p[7] > 0)
    gone = A[k]
    A[k] = [p[8], 1.0, 2.0]
    gone[0] += 100.0
    A[k][1] += 3.0
    return gone[0] * p[0] + A[0][0] * A[1][1] + A[2][0] + A[k][1]


def by_closures(p):
    A = rows_of(p)
    second = A[1]

    def put(row, value):
        row[0] = value
        second[1] += row[0]

    k = int(p[6] > 0) + int(p[7] > 0)
    put(A[k], p[8])
    put(second, A[k][2])
    return A[0][0] * p[1] + A[1][0] * A[1][1] + A[2][0]


def by_branches(p):
    xs, ys = [p[0], p[1]], [p[2], p[3]]
    a = xs if p[4] > 0 else ys
    a[0] = 1.0 + p[5]
    b = ys if p[4] > 0 else xs
    b[1] += a[0]
    xs[0] *= 2.0
    return xs[0] * xs[1] + 3.0 * ys[0] * ys[1] + a[0]


def by_nested_branches(p):
    xs, ys, zs = [p[0], 1.0], [p[1], 2.0], [p[2], 3.0]
    if p[3] > 0:
        if p[4] > 0:
            a, b = xs, ys
        else:
            a, b = zs, xs
        a[0] += p[5]
    else:
        a, b = ys, ys
    b[0] *= 2.0
    a[1] = b[0] - p[6]
    if a is b:
        b[1] += 1.0
    return xs[0] * ys[1] + ys[0] * zs[1] + zs[0] * xs[1] + a[0] * b[1]


def with_an_early_return(p):
    A = rows_of(p)
    row = A[int(p[6] > 0)]
    row[0] = p[7]
    if row[1] > 0.5:
        return A[0][0] * A[1][1]
    row[1] = row[0] * 2.0
    A[0][2] += row[1]
    return A[0][0] * A[1][1] + A[0][2] * A[0][1]


def is_the_same(p):
    A = rows_of(p)
    best = A[0]
    for row in A:
        if row[1] < best[1]:
            best = row
    for row in A:
        if row is not best:
            row[0] -= best[0]
    best[2] = p[8]
    return A[0][0] * A[1][0] * A[2][0] + A[0][2] + 2.0 * A[1][2] + 3.0 * A[2][2]


def by_methods(p):
    xs, ys = [p[0], p[1]], [p[2], p[3]]
    a = xs if p[4] > 0 else ys
    a.append(p[5] * 2.0)
    total = sum(xs) + 2.0 * sum(ys) + len(a)
    a[-1] += 1.0
    return total * a[-1]


def in_a_loop_with_rows(p):
    A = rows_of(p)
    k = int(p[6] > 0) + int(p[7] > 0)
    for j, v in enumerate(A[k]):
        A[2][j] = v * 2.0 + A[0][j]
    s = 0.0
    for v in A[k]:
        s = s * 0.5 + v
    a, b, c = A[2 - k]
    return s + a * b * c + A[2][0] * A[2][1]


def a_list_in_an_attribute(p):
    class Box:
        def __init__(self, items):
            self.items = items

    x, y = [p[0], p[1]], [p[2], p[3]]
    box = Box(x)
    if p[4] > 0:
        box.items = y
    box.items[0] += p[5]
    table = {"x": x, "now": box.items}
    table["now"][1] = 7.0 * p[6]
    return x[0] * x[1] + 2.0 * y[0] * y[1] + table["x"][1]


PROGRAMS = [
    *(solve, solve_by_loop, lu_with_permutation, determinant, by_a_name, a_third_name, a_row_twice, by_closures),
    *(a_row_that_leaves, by_branches, by_nested_branches, with_an_early_return, is_the_same, by_methods),
    *(in_a_loop_with_rows, a_list_in_an_attribute),
]


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_as_python(f):
    check(f)
