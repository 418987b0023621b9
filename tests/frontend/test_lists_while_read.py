"""Lists that are written to at traced places, or grow and shrink, while something runs over them: as in Python, or eager."""

from __future__ import annotations

import functools
import itertools
import warnings
from collections import deque

import numpy as np
import pytest

import wengert as wg
from tests.frontend.agreement import agree
from wengert.errors import StagingError
from wengert.frontend.trace import trace

POINTS = [np.random.default_rng(seed).normal(size=5) for seed in range(8)]


def place(p):
    return int(p[2] > 0) + int(p[0] > 0.3)


def total(items):
    return sum((k + 1.0) * v for k, v in enumerate(items))


def storing(items, k, result):
    def put(*given):
        items[k] = 2.0 * given[-1]
        return result(*given)

    return put


def plain(p):
    A, k, t = [p[0], p[2], p[4]], place(p), 0.0
    for q in A:
        A[k] = 2.0 * q
        t += q
    return t + total(A)


def rows(p):
    A, k = [[p[0], p[1]], [p[2], p[3]], [p[4], 1.0]], place(p)
    for i, _ in enumerate(A):
        A[k] = A[(i + 2) % 3]
    return A[0][0] + 10.0 * A[1][0] + 100.0 * A[2][0]


def zipped(p):
    A, k, t = [p[0], p[2], p[4]], place(p), 0.0
    for q, w in zip(A, itertools.cycle([1.0, 2.0])):
        A[k] = 2.0 * q
        t += q * w
    return t + total(A)


def backwards(p):
    A, k, t = [p[0], p[2], p[4]], place(p), 0.0
    for q in reversed(A):
        A[k] = 2.0 * q
        t += q
    return t + total(A)


def comprehension(p):
    A = [p[0], p[2], p[4]]
    put = storing(A, place(p), lambda q: A[0] + q)
    return sum([put(q) for q in A]) + total(A)


def inner_comprehension(p):
    A = [p[0], p[2], p[4]]
    put = storing(A, place(p), lambda q: A[0] + q)
    return sum([w * put(q) for w in (1.0, 2.0) for q in A]) + total(A)


def summed(p):
    A = [p[0], p[2], p[4]]
    put = storing(A, place(p), lambda q: A[0] + q)
    return sum(put(q) for q in A) + total(A)


def expression(p):
    A, k, t = [p[0], p[2], p[4]], place(p), 0.0
    for v in (2.0 * q for q in A):
        A[k] = v
        t += v
    return t + total(A)


def generator(p):
    A, k, t = [p[0], p[2], p[4]], place(p), 0.0

    def doubled():
        for q in A:
            yield 2.0 * q

    for v in doubled():
        A[k] = v
        t += v
    return t + total(A)


def mapped(p):
    A = [p[0], p[2], p[4]]
    return sum(map(storing(A, place(p), lambda q: A[0] + q), A)) + total(A)


def filtered(p):
    A, k, t = [p[0], p[2], p[4]], place(p), 0.0
    for q in filter(lambda x: x > -0.5, A):
        A[k] = 2.0 * q
        t += q
    return t + total(A)


def reduced(p):
    A = [p[0], p[2], p[4]]
    return functools.reduce(storing(A, place(p), lambda x, y: A[0] + x * y), A) + total(A)


def accumulated(p):
    A = [p[0], p[2], p[4]]
    return sum(itertools.accumulate(A, storing(A, place(p), lambda x, y: A[0] + x * y))) + total(A)


def chained(p):
    A, k, t = [p[0], p[2], p[4]], place(p), 0.0
    for q in itertools.chain(A, [1.0]):
        A[k] = 2.0 * q
        t += q
    return t + total(A)


def chained_inner(p):
    A, k, t = [p[0], p[2], p[4]], place(p), 0.0
    for q in itertools.chain.from_iterable([A, [1.0]]):
        A[k] = 2.0 * q
        t += q
    return t + total(A)


def starred(p):
    A, k, t = [(p[0], 1.0), (p[2], 2.0), (p[4], 3.0)], place(p), 0.0
    for q in itertools.starmap(lambda x, y: x * y, A):
        A[k] = (2.0 * q, 1.5)
        t += q
    return t + total([a + b for a, b in A])


def largest(p):
    A = [p[0], p[2], p[4]]
    return max(A, key=storing(A, place(p), lambda q: A[1] * q)) + total(A)


def repeated(p):
    A, k, t = [p[0], p[2]], int(p[2] > 0), 0.0
    for same in itertools.repeat(A, 3):
        A[k] = 2.0 * same[0] + 1.0
        t += same[1]
    return t + total(A)


def of_a_deque(p):
    A, k, t = deque([p[0], p[2], p[4]]), place(p), 0.0
    for q in A:
        A[k] = 2.0 * q
        t += q
    return t + total(A)


def grows(p):
    A, t = [p[0], p[2], p[4]], 0.0
    for q in A:
        t += q
        if q > 0 and len(A) < 6:
            A.append(0.5 * q)
    return t


def shrinks(p):
    A, t = [p[0], p[2], p[4]], 0.0
    for q in A:
        t += q
        if q > 0:
            A.pop()
    return t


def grows_for_an_enumeration(p):
    A, t = [p[0], p[2], p[4]], 0.0
    for k, q in enumerate(A):
        t += (k + 1.0) * q
        if q > 0 and len(A) < 6:
            A.append(0.5 * q)
    return t


STAGED = [
    plain,
    rows,
    zipped,
    backwards,
    comprehension,
    summed,
    expression,
    generator,
    mapped,
    filtered,
    reduced,
    accumulated,
    chained,
    chained_inner,
    starred,
    largest,
    repeated,
]
EAGER = [inner_comprehension, of_a_deque, grows, shrinks, grows_for_an_enumeration]


def check_gradient(program, p):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wg.EagerFallbackWarning)
        value, gradient = wg.value_and_grad(program)(p)
    np.testing.assert_allclose(value, program(p), rtol=1e-12)
    steps = 1e-6 * np.eye(len(p))
    differences = [(program(p + e) - program(p - e)) / 2e-6 for e in steps]
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("program", STAGED, ids=lambda f: f.__name__)
def test_staged(program):
    agree(program, POINTS[0], also=[(p,) for p in POINTS[1:]])
    check_gradient(program, POINTS[0])


@pytest.mark.parametrize("program", EAGER, ids=lambda f: f.__name__)
def test_eager(program):
    with pytest.raises(StagingError, match="runs over it"):
        trace(program, (POINTS[0],), {})
    for p in POINTS[:3]:
        check_gradient(program, p)


def test_a_deque_that_changes_in_python_raises_as_there():
    def f(x):
        items = deque([x, 2.0 * x])
        for q in items:
            items.append(q)
        return x

    with pytest.raises(RuntimeError, match="mutated during iteration"):
        wg.jit(f)(1.0)
