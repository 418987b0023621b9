"""Heaps, sorted lists and comparisons of tuples that data decides: staged as the standard library writes them in Python."""

import bisect
import heapq
import math

import numpy as np
import pytest

import wengert as wg
from wengert.testing.check_grads import check_grads
from wengert.testing.modes import assert_modes_agree

X = np.array([0.3, -1.2, 0.9, 0.4, -0.1])


def fast_marching(x):
    speed, n = 1.0 + np.outer(x[:3], x[1:4]) ** 2, 3
    times, done = np.full((n, n), np.inf), np.zeros((n, n))
    times[0, 0] = 0.0
    queue = [(0.0, 0, 0)]
    while queue:
        t, i, j = heapq.heappop(queue)
        if done[i, j] > 0:
            continue
        done[i, j] = 1.0
        for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            a, b = i + di, j + dj
            if 0 <= a < n and 0 <= b < n and done[a, b] == 0:
                new = t + 0.5 * (speed[i, j] + speed[a, b])
                if new < times[a, b]:
                    times[a, b] = new
                    heapq.heappush(queue, (new, a, b))
    return times[2, 2] + times[1, 2]


def largest_three(x):
    heap = []
    for v in x:
        if len(heap) < 3:
            heapq.heappush(heap, v * v)
        else:
            heapq.heappushpop(heap, v * v)
    return heap[0] * sum(heap)


def heapify_and_replace(x):
    heap = [v * v for v in x]
    heapq.heapify(heap)
    least = heapq.heapreplace(heap, 0.05)
    return least * 10.0 + heap[0] + 3.0 * heapq.heappop(heap) + heap[-1]


def smallest_and_largest(x):
    values = list(x)
    return sum(k * v for k, v in enumerate(heapq.nsmallest(3, values))) + heapq.nlargest(1, values)[0]


def table_by_bisection(x):
    knots, values = [-2.0, 0.0, 0.35, 2.0], [x[0], x[1], x[0] * x[1], x[2]]
    total = 0.0
    for at in x:
        k = bisect.bisect_right(knots, at) - 1
        t = (at - knots[k]) / (knots[k + 1] - knots[k])
        total += values[k] * (1.0 - t) + values[k + 1] * t
    return total


def sorted_by_insertion(x):
    items = []
    for v in x:
        bisect.insort(items, math.sin(v))
    return sum(k * v for k, v in enumerate(items))


def bisection_with_a_key(x):
    points = [(x[4], x[0]), (x[0], x[1]), (x[2], x[3])]
    k = bisect.bisect_left(points, x[3], key=lambda p: p[0])
    return points[min(k, 2)][1] * x[0]


def least_pair(x):
    best = (x[0], 0)
    for k in range(1, len(x)):
        if (x[k], k) < best:
            best = (x[k], k)
    return best[0] * (best[1] + 1)


def ties_go_to_later_items(x):
    a, b = (abs(x[0]) - abs(x[0]), x[1], 2), (0.0, x[1], 1)
    low, high = (a, b) if a <= b else (b, a)
    return low[2] * x[2] + 10.0 * high[2] * x[3]


def equal_pairs(x):
    same = (x[0], (1, x[1])) == (x[0] * 1.0, (1, x[1] + 0.0))
    other = [x[0], x[1]] != [x[0], x[2]]
    return x[3] if same and other and (x[0],) < (x[0], x[1]) else x[4]


PROGRAMS = [
    fast_marching, largest_three, heapify_and_replace, smallest_and_largest, table_by_bisection, sorted_by_insertion,
    bisection_with_a_key, least_pair, ties_go_to_later_items, equal_pairs,
]  # fmt: skip


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_compiles_and_agrees(f):
    assert wg.jit(f)(X) == pytest.approx(f(X.copy()), rel=1e-14)
    assert wg.jit(f)(-X) == pytest.approx(f(-X), rel=1e-14)
    assert_modes_agree(f, (X,))
    check_grads(f, (X,))


def test_nan_goes_where_python_puts_it():
    def f(x, v):
        return bisect.bisect_right([0.0, 1.0, x], v) + 10 * bisect.bisect_left([0.0, 1.0, x], v)

    assert wg.jit(f)(2.0, math.nan) == f(2.0, math.nan) == 3


def test_items_without_an_order_raise_only_where_python_compares_them():
    def f(x):
        return x if (x, None) < (2.0 * x, 2.0) else 0.0

    with pytest.warns(wg.EagerFallbackWarning, match="no order"):
        assert wg.grad(f)(1.0) == 1.0
    with pytest.raises(TypeError):
        wg.grad(f)(0.0)
