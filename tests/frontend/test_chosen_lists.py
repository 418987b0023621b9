"""Lists that data chooses and that are written to: staged, with every name of a list seeing every write, as in Python."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import wengert as wg
from tests.frontend.agreement import agree, eager_result
from wengert.errors import StagingError
from wengert.frontend.trace import trace

_RNG = np.random.default_rng(7)
_POINTS = [_RNG.normal(size=9) * 2.0 for _ in range(5)]


def check(f, *extra, points=_POINTS):
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


# --- loops of traced length ---


def swaps_in_a_loop(p, n):
    A = rows_of(p)
    first = A[0]
    for i in range(n):
        k = int(p[i % 9] > 0) + int(p[(i + 1) % 9] > 0)
        A[0], A[k] = A[k], A[0]
        A[0][0] += 1.0 * p[8]
        first[1] -= A[k][0]
    return first[0] + A[0][0] * A[1][1] + A[2][0] * A[1][0] + first[1] * A[2][2]


def a_name_in_a_loop(p, n):
    A = rows_of(p)
    row = A[0]
    for i in range(n):
        row[0] += p[i % 9]
        if row[0] > 1.0:
            row = A[i % 3]
    row[1] = 5.0
    return A[0][0] * A[0][1] + A[1][0] * A[1][1] + A[2][0] * A[2][1] + row[0]


def swaps_at_known_places(p, n):
    A = [[p[0], p[1]], [p[2], p[3]]]
    r = A[0]
    for i in range(n):
        A[0], A[1] = A[1], A[0]
        A[0][0] += p[4]
    k = int(p[5] > 0)
    A[k][1] = 9.0
    r[0] *= 2.0
    return A[0][0] * A[0][1] + 3 * A[1][0] * A[1][1] + r[1]


def rows_in_a_while(p, n):
    A = rows_of(p)
    i = 0
    while i < n and A[i % 3][0] < 4.0:
        A[i % 3][0] += 1.0
        A[(i + 1) % 3][1] += A[i % 3][0]
        i += 1
    return sum(sum(r) for r in A) * A[0][0] + A[1][1]


def items_in_a_loop(p, n):
    A = rows_of(p)
    r = A[int(p[6] > 0)]
    for i in range(n):
        for j in range(i % 3 + 1):
            r[j] += A[i % 3][j] * 0.1
        if i % 4 == 2:
            r = A[(i + 1) % 3]
    return A[0][0] * A[1][1] + A[2][0] * A[0][2]


def rows_and_break(p, n):
    A = rows_of(p)
    for i in range(n):
        r = A[i % 3]
        if r[0] > 3.0:
            break
        r[0] += 1.0
        A[0][1] += r[0]
        if r[0] > 2.5:
            continue
        r[2] = 0.0
    else:
        r[1] = 8.0 * p[0]
    return A[0][0] * A[0][1] + A[1][0] * A[1][1] + A[2][2]


def new_rows_in_a_loop(p, n):
    A = rows_of(p)
    for i in range(n):
        k = i % 3
        A[k] = [A[k][0] + 1.0, A[k][1] * 0.5, p[6]]
        A[int(p[7] > 0)][0] += 1.0
    return A[0][0] * A[1][0] + A[2][0] * A[0][1]


def sorted_rows(p):
    A = rows_of(p)
    A.sort(key=lambda r: r[0])
    A[0][1] = 4.0 * p[6]
    A[2][0] += 1.0
    B = sorted(A, key=lambda r: r[1])
    B[0][2] = 9.0 * p[7]
    return sum((i + 1) * r[0] * r[1] + r[2] for i, r in enumerate(A))


def min_row(p):
    A = rows_of(p)
    r = min(A, key=lambda r: r[1])
    r[0] = 3.0 * p[6]
    return A[0][0] * A[1][0] + A[2][0]


def inserted(p):
    A = rows_of(p)
    r = A[int(p[6] > 0)]
    A.append(r)
    A.insert(0, r)
    r[0] = 2.0 * p[7]
    A[0][1] = p[8]
    return sum((i + 1) * q[0] * q[1] for i, q in enumerate(A))


def unequal(p):
    xs, ys = [p[0]], [p[1], p[2]]
    a = xs if p[3] > 0 else ys
    a[0] = 5.0 * p[4]
    a[-1] += 1.0
    try_ = len(a)
    return xs[0] * ys[0] + ys[1] * try_


def nested3(p):
    T = [[[p[0], 1.0], [p[1], 2.0]], [[p[2], 3.0], [p[3], 4.0]]]
    i, j = int(p[4] > 0), int(p[5] > 0)
    r = T[i][j]
    r[0] = 5.0 * p[6]
    T[i], T[1 - i] = T[1 - i], T[i]
    T[i][j][1] += p[7]
    T[0][1] = T[j][0]
    T[0][1][0] += 1.0
    return sum(x * (k + 1) for k, x in enumerate([v for a in T for b in a for v in b]))


def gen(p):
    A = rows_of(p)

    def rows():
        for i in range(3):
            yield A[int(p[i] > 0)]

    for r in rows():
        r[0] += p[6]
    return A[0][0] * A[1][0] + A[2][0]


def trans(p):
    A = rows_of(p)
    k = int(p[6] > 0)
    A[0], A[k] = A[k], A[0]
    A[k][0] = p[7]
    B = [list(c) for c in zip(*A)]
    return B[0][0] * B[1][1] + B[2][2] * B[0][1]


def by_an_outer_variable(p):
    A = rows_of(p)
    cur = A[0]

    def pick(k):
        nonlocal cur
        cur = A[k]

    pick(int(p[6] > 0))
    cur[0] = p[7]
    for i in range(20):
        if cur[0] > i:
            pick(i % 3)
        cur[1] += 1.0
    return A[0][0] * A[0][1] + A[1][0] * A[1][1] + A[2][1]


# --- what stays eager ---


def armborn(p):
    A = rows_of(p)
    if p[6] > 0:
        row = [p[7], 1.0, 2.0]
        A[0] = row
    else:
        row = [p[8], 3.0, 4.0]
        A[0] = row
    row[0] = 7.0
    k = int(p[1] > 0)
    A[k][1] = 3.0 * p[0]
    return A[0][0] * p[0] + A[0][1] + A[1][1] * 2 + row[1]


def armborn_append(p):
    A = []
    if p[6] > 0:
        row = [p[7], 1.0, 2.0]
        A.append(row)
    else:
        row = [p[8], 3.0, 4.0]
        A.append(row)
    row[0] = 7.0 * p[0]
    B = rows_of(p)
    B[int(p[1] > 0)][0] = 2.0
    return A[0][0] * p[0] + A[0][1] + B[0][0] * B[1][0]


def armborn_twice(p):
    if p[6] > 0:
        A = rows_of(p)
        B = A
    else:
        A = rows_of(p)
        B = [A[1], A[0], A[2]]
    k = int(p[1] > 0)
    B[k][0] = 3.0 * p[7]
    return A[0][0] * A[1][0] + B[0][1] + A[2][0]


def armborn_pair(p):
    if p[6] > 0:
        r = [p[0], 1.0]
        A = [r, r]
    else:
        A = [[p[1], 1.0], [p[2], 2.0]]
    A[0][0] = 5.0 * p[3]
    B = rows_of(p)
    B[int(p[1] > 0)][0] = 2.0
    return A[0][0] * A[1][0] + B[0][0]


def mixed(p):
    A = rows_of(p)
    row = [p[7], 1.0, 2.0] if p[6] > 0 else A[1]
    row[0] += 2.0
    A[int(p[0] > 0)][0] = 3.0
    return A[0][0] + A[1][0] * 2 + row[0]


def deepc(p):
    A = rows_of(p)
    k = int(p[6] > 0)
    A[0], A[k] = A[k], A[0]
    B = copy.deepcopy(A)
    C = [r[:] for r in A]
    D = A[:]
    B[k][0] = 5.0 * p[7]
    C[0][1] = 2.0
    D[k][2] = 8.0 * p[8]
    return sum(x * (i + 1) for i, r in enumerate(A) for x in r) + B[0][0] * B[1][0] + C[0][1] + C[k][0] + D[0][2]


def popped(p):
    A = rows_of(p)
    r = A.pop(int(p[6] > 0))
    r[0] += 4.0
    A[0][1] += 1.0 * p[7]
    A[int(p[7] > 0)][0] = p[8]
    return r[0] * r[1] + A[0][0] * A[1][1] + A[0][1]


def index_error(p):
    A = rows_of(p)
    try:
        A[int(abs(p[6]) * 3)][0] = 1.0
    except IndexError:
        A[0][0] = p[7]
    return A[0][0] * A[1][0] + A[2][0]


def arrays_in_rows(p):
    A = [[p[:2].copy(), p[2:4].copy()], [p[4:6].copy(), p[6:8].copy()]]
    r = A[int(p[8] > 0)]
    r[0] = r[1] * 2.0
    r[1][0] = 7.0
    return (A[0][0] * A[1][0]).sum() + (A[0][1] * A[1][1]).sum()


def recursion(p):
    A = rows_of(p)

    def f(k, row):
        row[0] += 1.0
        return f(k - 1, A[k % 3]) if row[0] < 5.0 and k > 0 else row[0]

    return f(6, A[int(p[0] > 0)]) + A[0][0] * A[1][0]


def nptest(p):
    A = rows_of(p)
    k = int(p[6] > 0)
    A[0], A[k] = A[k], A[0]
    A[k][0] = p[7]
    M = np.array(A)
    return (M @ M).sum()


def eq(p):
    A = rows_of(p)
    k = int(p[6] > 0)
    r = A[k]
    r[0] = 1.0 * p[2]
    return (1.0 if r == A[1] else 2.0) + (1.0 if r is A[0] else 5.0) + A.index(r)


def slices(p):
    A = rows_of(p)
    k = int(p[6] > 0)
    r = A[k]
    r[:2] = [p[7], p[8]]
    r[1:] = r[:2]
    s = r[:]
    s[0] = 4.0
    del r[0]
    return A[0][0] * A[1][0] + A[0][-1] + s[0] + len(A[0])


PROGRAMS = [
    *(solve, solve_by_loop, lu_with_permutation, by_a_name, a_third_name, a_row_twice, by_closures),
    *(a_row_that_leaves, by_branches, by_nested_branches, with_an_early_return, is_the_same, by_methods),
    *(in_a_loop_with_rows, a_list_in_an_attribute, determinant),
    *(sorted_rows, min_row, inserted, unequal, nested3, gen, trans, by_an_outer_variable),
]
LOOPS = [
    swaps_in_a_loop,
    a_name_in_a_loop,
    swaps_at_known_places,
    rows_in_a_while,
    items_in_a_loop,
    rows_and_break,
    new_rows_in_a_loop,
]
EAGER = [
    armborn,
    armborn_append,
    armborn_twice,
    armborn_pair,
    mixed,
    deepc,
    popped,
    index_error,
    arrays_in_rows,
    recursion,
    nptest,
    eq,
    slices,
]


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_as_python(f):
    check(f)


@pytest.mark.parametrize("f", LOOPS, ids=lambda f: f.__name__)
def test_in_loops_of_traced_length(f):
    for n in (5, 12):
        check(f, n)
    agree(f, _POINTS[0], 1)


@pytest.mark.parametrize("f", EAGER, ids=lambda f: f.__name__)
def test_what_stays_eager_is_right(f):
    with pytest.raises(StagingError):
        trace(f, (_POINTS[0],), {})
    for p in _POINTS[:2]:
        np.testing.assert_allclose(eager_result(f, (p,), {}), f(p))


def test_a_list_repeated_in_place_keeps_its_other_name():
    def f(x, n):
        xs = []
        for i in range(n):
            xs.append(x * i)
        ys = xs
        xs *= 2
        ys[0] = 5.0 * x
        return sum(xs) + len(ys)

    agree(f, 2.0, 12, also=[(3.0, 4)])
