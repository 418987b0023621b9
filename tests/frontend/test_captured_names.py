"""Names that a branch or loop sets: what nested functions see where they are set again, and texts that are only chosen."""

from __future__ import annotations

import numpy as np
import pytest

import wengert as wg
from tests.frontend.agreement import agree

POINTS = [np.random.default_rng(seed).normal(size=4) for seed in range(4)]


def set_in_a_loop(p, n):
    a, t = p[0], 0.0

    def f(v):
        return a * v

    for _ in range(n):
        t += f(p[1])
        a = p[2]
    a = 3.0
    return t + a


def set_in_a_long_loop(p, n):
    a, t = p[0], n * 0.0
    f = lambda v: a * v  # noqa: E731 - a function of this kind is what is tested
    for _ in range(20):
        t += f(p[1])
        a = p[2]
    a = 3.0
    return t + f(a)


def set_in_a_branch(p, n):
    a = p[0]

    def f(v):
        return a * v

    if p[0] > 0:
        a = p[1] * n
    t = f(p[2])
    a = 3.0
    return t + a


def set_in_a_while(p, n):
    a, t, i = p[0], 0.0, 0

    def f(v):
        return a * v

    while i < n:
        i += 1
        t += f(p[1])
        a = a + p[2]
    a = 3.0
    return t + a


def set_by_the_target(p, n):
    a, t = p[0], n * 0.0

    def f(v):
        return a * v

    for a in p:
        t += f(2.0)
    a = 3.0
    return t + a


def list_in_a_loop(p, n):
    a, c = [p[0], 1.0], [p[3], 2.0]

    def f(v):
        a[0] += v

    for _ in range(n):
        f(p[1])
        a = c
    a = 3.0
    return c[0] + a


@pytest.mark.parametrize(
    "program",
    [set_in_a_loop, set_in_a_long_loop, set_in_a_branch, set_in_a_while, set_by_the_target, list_in_a_loop],
    ids=lambda f: f.__name__,
)
def test_value_and_gradient(program):
    for n in (3, 1, 0):
        for p in POINTS:
            agree(program, p, n)
    value, gradient = wg.value_and_grad(program)(POINTS[0], 3)
    np.testing.assert_allclose(value, program(POINTS[0], 3), rtol=1e-12)
    steps = 1e-6 * np.eye(4)
    differences = [(program(POINTS[0] + e, 3) - program(POINTS[0] - e, 3)) / 2e-6 for e in steps]
    np.testing.assert_allclose(gradient, differences, rtol=1e-7, atol=1e-7)


def test_text_that_a_loop_chooses_and_does_not_read():
    def f(x, n):
        mode, t = "none", 0.0
        for _ in range(n):
            t += x
            mode = "large" if t > 2.0 else "small"
        return t * (1.0 if mode == "none" else 2.0 if mode == "large" else 3.0)

    for n in (0, 1, 2, 5):
        agree(f, 1.0, n)
