"""Lists that a loop puts under another name, attribute, item or key: every other name of them sees what is written to them."""

from __future__ import annotations

import numpy as np
import pytest

import wengert as wg
from tests.frontend.agreement import agree

POINTS = [np.random.default_rng(seed).normal(size=5) for seed in range(4)]


class Holder:
    """An object with one list."""

    def __init__(self, row):
        self.row = row


def place(p):
    return int(p[2] > 0)


def attribute_of_traced_row(p, n):
    A, b = [[p[0], p[1]], [p[2], p[3]]], [p[4], 0.5]
    o, i = Holder(b), 0
    while i < n:
        i += 1
        o.row[0] = 0.5 * b[0] + 1.0
        o.row = A[place(p)]
    return A[0][0] + 3.0 * A[1][0] + 7.0 * b[0]


def attribute_of_older_row(p, n):
    A, b = [[p[0], p[1]], [p[2], p[3]]], [p[4], 0.5]
    o, i = Holder(b), 0
    while i < n:
        i += 1
        o.row[0] = 0.5 * b[0] + 1.0
        o.row = A[1]
    return A[0][0] + 3.0 * A[1][0] + 7.0 * b[0]


def attribute_that_surely_changes(p, n):
    A, b = [[p[0], p[1]], [p[2], p[3]]], [p[4], 0.5]
    o = Holder(b)
    for _ in range(20):
        o.row = A[1]
    o.row[0] = 4.0 * p[0] + n
    return A[0][0] + 3.0 * A[1][0] + 7.0 * b[0]


def item_replaced_by_row(p, n):
    A, b = [[p[0], p[1]], [p[2], p[3]]], [p[4], 0.5]
    B, i = [b], 0
    while i < n:
        i += 1
        B[0][0] = 0.5 * b[0] + 1.0
        B[0] = A[1]
    return A[0][0] + 3.0 * A[1][0] + 7.0 * b[0]


def rows_swapped(p, n):
    A = [[p[0], p[1]], [p[2], p[3]]]
    r = A[0]
    for _ in range(n):
        A[0], A[1] = A[1], A[0]
        A[0][0] += 1.5
    A[0][0] += 2.5
    return A[0][0] + 3.0 * A[1][0] + 7.0 * r[0]


def dict_items_swapped(p, n):
    D = {"a": [p[0], p[1]], "b": [p[2], p[3]]}
    r = D["a"]
    for _ in range(n):
        D["a"], D["b"] = D["b"], D["a"]
        D["a"][0] += 1.5
    return D["a"][0] + 3.0 * D["b"][0] + 7.0 * r[0]


def attributes_swapped(p, n):
    a, b = Holder([p[0]]), Holder([p[1]])
    k = a.row
    for _ in range(n):
        a.row, b.row = b.row, a.row
        a.row[0] += 1.5
    a.row[0] += 2.5
    return a.row[0] + 3.0 * b.row[0] + 7.0 * k[0]


def row_replaced(p, n):
    A = [[p[0], p[1]], [p[2], p[3]]]
    r = A[0]
    for _ in range(n):
        A[0][0] += 1.5
        A[0] = [p[4], 2.0]
    return A[0][0] + 3.0 * A[1][0] + 7.0 * r[0]


def row_replaced_in_a_long_loop(p, n):
    A = [[p[0], p[1]], [p[2], p[3]]]
    r = A[0]
    for _ in range(20):
        A[0][0] += 1.5
        A[0] = [p[4], 2.0]
        A[0][1] += n
    A[0][0] += 1.5
    return A[0][0] + 3.0 * A[1][0] + 7.0 * r[0] + A[0][1]


def state_rebuilt_then_written(p, n):
    o = Holder([p[0], p[1]])
    for _ in range(n):
        o.row = [o.row[0] + o.row[1], o.row[1] * 0.9]
        o.row[0] += 0.1
    o.row[1] -= p[2]
    return o.row[0] + o.row[1]


def old_name_written(p, n):
    b = [p[4], 0.5]
    A = [[p[0], p[1]], b, [p[2], p[3]]]
    for _ in range(10):
        A[0], A[2] = A[2], A[0]
        b[0] += p[1] * n
    return A[0][0] + 3.0 * A[1][0] + 7.0 * b[0]


def old_attribute_written(p, n):
    A, b = [[p[0], p[1]], [p[2], p[3]]], [p[4], 0.5]
    o = Holder(b)
    for _ in range(n):
        o.row[0] *= A[0][0]
        if A[0][0] > 1.0:
            b = A[1]
    return A[0][0] + 3.0 * A[1][0] + 7.0 * b[0] + 11.0 * o.row[0]


def row_in_a_new_list(p, n):
    A = [[p[0], p[1]], [p[2], p[3]]]
    r = [A[0], 1.0] if p[4] > 0 else [A[1], 2.0]
    r[0][0] += 1.5 * n
    return A[0][0] + 3.0 * A[1][0] + 7.0 * r[0][0]


def row_in_a_new_list_of_a_loop(p, n):
    A = [[p[0], p[1]], [p[2], p[3]]]
    for _ in range(20):
        s = [A[1], 2.0]
    s[0][0] += 1.5 * n
    return A[0][0] + 3.0 * A[1][0] + 7.0 * s[0][0]


PROGRAMS = [
    old_name_written,
    old_attribute_written,
    row_in_a_new_list,
    row_in_a_new_list_of_a_loop,
    attribute_of_traced_row,
    attribute_of_older_row,
    attribute_that_surely_changes,
    item_replaced_by_row,
    rows_swapped,
    dict_items_swapped,
    attributes_swapped,
    row_replaced,
    row_replaced_in_a_long_loop,
    state_rebuilt_then_written,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_value_and_gradient(program):
    for n in (3, 1, 0):
        for p in POINTS:
            agree(program, p, n)
    value, gradient = wg.value_and_grad(program)(POINTS[0], 3)
    np.testing.assert_allclose(value, program(POINTS[0], 3), rtol=1e-12)
    steps = 1e-6 * np.eye(5)
    differences = [(program(POINTS[0] + e, 3) - program(POINTS[0] - e, 3)) / 2e-6 for e in steps]
    np.testing.assert_allclose(gradient, differences, rtol=1e-7, atol=1e-7)
