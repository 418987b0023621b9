"""Programs that once gave a wrong number or an internal error, as found among random ones and made small."""

import math

import numpy as np
import pytest

import wengert as wg
from wengert.testing.check_grads import check_grads
from wengert.testing.modes import assert_modes_agree

X = np.array([0.907554, 0.512903, -0.966668, 0.3])
Y = np.array([0.5, -0.3, 0.7, 0.9])


def reversed_in_place(x):
    u = np.tanh(np.maximum(x, 0.1))
    u[::-1] += 0.26 * np.sin(u)
    return np.sum(u**2)


def dot_with_own_reverse(y):
    return np.dot(np.tanh(y[::-1]), y)


def rebound_in_one_arm_written_in_the_other(x):
    if x[0] <= 0.5:
        x = np.sin(x)
    else:
        x[1] = 0.7
    return np.sum(x**2)


def sizes_of_a_branch_in_a_loop(x, y):
    if x[0] > 0.1:
        for _ in range(len(x)):
            x[::2] = np.sin(y[::2] + y[1::2])
    return np.sum(x)


def sizes_of_a_loop_in_a_loop(x, y):
    for e in x:
        for _ in range(len(x)):
            x[::2] = np.sin(y[::2] * y[1::2] * e)
    return np.sum(x)


def sizes_of_a_branch_in_a_while(x, y):
    for e in x:
        if e > 0.3:
            k = 0
            while k < 2 and e > -5:
                x[::2] = np.sin(y[::2] * y[1::2])
                k += 1
    return np.sum(x)


def list_that_both_arms_leave_as_it_is(g):
    items = [0.7 * g]
    for i in range(4):
        if g > 0.7:
            continue
        if i % 3 != 1:
            items.append(0.5 * items[-1])
        if len(items) > 2:
            items.pop()
    return sum(v * v for v in items)


def branch_that_leaves_a_loop(x, n):
    total = x
    while total < n:
        filled = np.sin(np.minimum(0.7, np.zeros(4) + 1.86))
        table = np.tanh(0.7 / (np.abs(0.3 * np.arange(4)) + 0.6))
        total += 1.0 + math.sin(np.sum(filled) if np.clip(table[2], -1.47, 1.12) > 1.27 else x)
    return total


def branch_that_never_fits(x, n, p):
    w = np.empty(n)
    w[:] = np.clip(x, -0.64, 1.45)
    if x[0] > 0.2:
        if -0.2 < x[-2] <= 0.7 or n > 3:
            p = np.tanh(x[::-1])
        elif n < 3:
            w[1:-1] -= 0.3 * np.sin(Y[-2:])
            for _ in p:
                p[2] = 0.5
    return np.sum(w**2) - p[::-1].sum()


@pytest.mark.parametrize(
    ("f", "args"),
    [
        (branch_that_never_fits, (X, 4, Y.copy())),
        (branch_that_leaves_a_loop, (0.3, 5.0)),
        (list_that_both_arms_leave_as_it_is, (2.0,)),
        (list_that_both_arms_leave_as_it_is, (0.5,)),
        (reversed_in_place, (X,)),
        (dot_with_own_reverse, (X,)),
        (rebound_in_one_arm_written_in_the_other, (X,)),
        (rebound_in_one_arm_written_in_the_other, (-X,)),
        (sizes_of_a_branch_in_a_loop, (X, Y)),
        (sizes_of_a_loop_in_a_loop, (X, Y)),
        (sizes_of_a_branch_in_a_while, (X, Y)),
    ],
)
def test_modes_and_differences(f, args):
    assert_modes_agree(f, args)
    check_grads(f, args)


def many_elementwise_steps(x):
    for _ in [None] * 25:
        x = 0.5 * x + 0.1 * np.abs(x) * x
    return np.sum(x) + np.sum(x * x)


def test_compile_time_does_not_explode():
    assert_modes_agree(many_elementwise_steps, (X,))


def two_versions_at_once(x):
    y = x.copy()
    y[0:1] = 0.7
    return np.dot(x, y) + np.sum(x * y)


def test_two_versions_of_an_array():
    assert_modes_agree(two_versions_at_once, (X,))
    check_grads(two_versions_at_once, (X,))


def test_long_chains_that_vanish_link_by_link():
    def f(c, x):
        table = {"even": x, "odd": math.tanh(x)}
        for _ in range(40):
            table["even"] = 0.63 * table["even"] + 0.7
            if c < 0.7:
                table.update(odd=0.39 * table["odd"])
        return 1.17 * x + (0.7 + table["odd"]) - table["odd"]

    assert wg.grad(f, argnums=(0, 1))(-1.7, 0.3) == pytest.approx((0.0, 1.17))
