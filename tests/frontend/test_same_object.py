"""`a is b` of containers, objects and arrays that branches, loops and traced indices have chosen: as CPython says, or eager."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as wg


class Point:
    """An object with one number."""

    def __init__(self, x: Any) -> None:
        self.x = x


def row_at_traced_place(p: Any) -> Any:
    rows = [[p[0], 1.0], [p[1], 2.0], [p[2], 3.0]]
    i = int(np.argmax(p))
    return rows[i][0] * (1.0 if rows[i] is rows[2] else 2.0)


def list_of_a_branch(p: Any) -> Any:
    a, b = [p[0], 1.0], [p[1], 2.0]
    r = a if p[0] > p[1] else b
    return r[0] * (1.0 if r is a else 3.0)


def swapped_in_a_loop(p: Any) -> Any:
    rows = [[p[0], 1.0], [p[1], 2.0]]
    first = rows[0]
    for _ in range(int(p[1])):
        rows[0], rows[1] = rows[1], rows[0]
    return p[0] * (1.0 if rows[0] is first else 3.0)


def stored_in_a_branch(p: Any) -> Any:
    rows = [[p[0], 1.0], [p[1], 2.0]]
    first = rows[0]
    if p[0] > 2.0:
        rows[0] = rows[1]
    return p[0] * (1.0 if rows[0] is rows[1] else 3.0) * (2.0 if rows[0] is first else 5.0)


def dict_of_a_branch(p: Any) -> Any:
    a, b = {"x": p[0]}, {"x": p[1]}
    r = a if p[0] > p[1] else b
    return r["x"] * (1.0 if r is a else 3.0)


def objects_swapped_in_a_loop(p: Any) -> Any:
    points = [Point(p[0]), Point(p[1])]
    first = points[0]
    for _ in range(int(p[1])):
        points[0], points[1] = points[1], points[0]
    return p[0] * (1.0 if points[0] is first else 3.0)


def object_of_a_branch(p: Any) -> Any:
    a, b = Point(p[0]), Point(p[1])
    r = a if p[0] > p[1] else b
    return r.x * (1.0 if r is a else 3.0)


def arrays_swapped_in_a_loop(p: Any) -> Any:
    arrays = [p * 2.0, p * 3.0]
    first = arrays[0]
    for _ in range(int(p[1])):
        arrays[0], arrays[1] = arrays[1], arrays[0]
    return p[0] * (1.0 if arrays[0] is first else 3.0)


def array_of_a_branch(p: Any) -> Any:
    a, b = p * 2.0, p * 3.0
    r = a if p[0] > p[1] else b
    return r[0] * (1.0 if r is a else 3.0)


PROGRAMS = (
    row_at_traced_place,
    list_of_a_branch,
    swapped_in_a_loop,
    stored_in_a_branch,
    dict_of_a_branch,
    objects_swapped_in_a_loop,
    object_of_a_branch,
    arrays_swapped_in_a_loop,
    array_of_a_branch,
)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("at", [(1.25, 2.5, 3.5), (3.5, 2.5, 1.25), (3.5, 1.5, 0.5)], ids=str)
def test_value_and_gradient(program: Callable[[Any], Any], at: tuple[float, ...]) -> None:
    p = np.array(at)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wg.EagerFallbackWarning)
        value, gradient = wg.value_and_grad(program)(p)
    assert value == program(p)
    steps = 1e-6 * np.eye(3)
    np.testing.assert_allclose(gradient, [(program(p + e) - program(p - e)) / 2e-6 for e in steps], rtol=1e-7, atol=1e-7)


def test_arrays_that_no_branch_has_rebuilt_are_told_apart() -> None:
    def f(p: Any) -> Any:
        same, other = np.asarray(p), p * 1.0
        return p[0] * (1.0 if same is p else 2.0) * (3.0 if other is p else 5.0)

    p = np.array([2.0, 3.0])
    assert wg.jit(f)(p) == f(p) == 10.0
