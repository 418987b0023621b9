"""Lists that data chooses and that are written to: in loops of traced length, by builtins, and what stays eager."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from tests.frontend.agreement import agree, eager_result
from tests.frontend.test_chosen_lists import POINTS, check, rows_of
from wengert.errors import StagingError
from wengert.frontend.trace import trace

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


ONCE = [sorted_rows, min_row, inserted, unequal, nested3, gen, trans, by_an_outer_variable]
LOOPS = [
    swaps_in_a_loop,
    a_name_in_a_loop,
    swaps_at_known_places,
    rows_in_a_while,
    new_rows_in_a_loop,
    items_in_a_loop,
    rows_and_break,
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


@pytest.mark.parametrize("f", ONCE, ids=lambda f: f.__name__)
def test_by_builtins(f):
    check(f)


@pytest.mark.parametrize("f", LOOPS, ids=lambda f: f.__name__)
def test_in_loops_of_traced_length(f):
    for n in (5, 12):
        check(f, n)
    agree(f, POINTS[0], 1)


@pytest.mark.parametrize("f", EAGER, ids=lambda f: f.__name__)
def test_what_stays_eager_is_right(f):
    with pytest.raises(StagingError):
        trace(f, (POINTS[0],), {})
    for p in POINTS[:2]:
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
