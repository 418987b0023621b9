"""Loops that overwrite less of an array than it seems: what the array held before is still seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as wg

X = np.linspace(0.3, 1.4, 5)


def diagonal(x: Any, m: int) -> Any:
    n = x.shape[0]
    a = np.outer(x, x)
    for i in range(n):
        a[i, i] = np.sin(x[i])
    return a.sum()


def diagonal_by_the_inner_index(x: Any, m: int) -> Any:
    n = x.shape[0]
    a = np.outer(x, x)
    for i in range(n):
        for j in range(n):
            a[j, j] = np.sin(x[i])
    return a.sum()


def summed_meanwhile(x: Any, m: int) -> Any:
    a, total = x * 3, 0.0
    for i in range(x.shape[0]):
        a[i] = x[i] ** 2
        total += a.sum()
    return total


def read_ahead(x: Any, m: int) -> Any:
    n = x.shape[0]
    a, total = x * 3, 0.0
    for i in range(n):
        a[i] = x[i] ** 2
        total += a[n - 1 - i]
    return total + a.sum()


def read_in_a_branch(x: Any, m: int) -> Any:
    n = x.shape[0]
    a, total = x * 3, 0.0
    for i in range(n):
        a[i] = x[i] ** 2
        if a[n - 1] > 0.5:
            total += a[n - 1 - i]
    return total + a.sum()


def turned_around(x: Any, m: int) -> Any:
    a = x * 3
    for i in range(x.shape[0]):
        a[i] = x[i] ** 2
        a[:] = a[::-1].copy()
    return (a * x).sum()


def exchanged(x: Any, m: int) -> Any:
    a, c = x * 3, np.sin(x)
    for i in range(x.shape[0]):
        a[i] = x[i] ** 2
        a, c = c, a
    return (a * x).sum() + c[0]


def filled_in_no_trip(x: Any, m: int) -> Any:
    a = x * 3
    for i in range(m):
        for j in range(x.shape[0]):
            a[j] = np.sin(x[j]) * i
    return a.sum()


def filled_by_no_trip_inside(x: Any, m: int) -> Any:
    a = x * 3
    for i in range(x.shape[0]):
        for j in range(m):
            a[i] = np.sin(x[i]) * j
    return a.sum()


def scratch(x: Any, m: int) -> Any:
    n = x.shape[0]
    work, total = x * 3, 0.0
    for _ in range(m):
        for j in range(n):
            work[j] = np.sin(x[j]) + total
        total += work.sum()
    return total


PROGRAMS = [
    diagonal,
    diagonal_by_the_inner_index,
    summed_meanwhile,
    read_ahead,
    read_in_a_branch,
    turned_around,
    exchanged,
    filled_in_no_trip,
    filled_by_no_trip_inside,
    scratch,
]


@pytest.mark.parametrize("trips", [0, 2])
@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_not_overwritten_is_kept(program: Callable[..., Any], trips: int) -> None:
    np.testing.assert_allclose(wg.jit(program)(X, trips), program(X, trips), rtol=1e-13)
    with wg.eager():
        expected = wg.grad(program)(X, trips)
    np.testing.assert_allclose(wg.grad(program)(X, trips), expected, rtol=1e-12)
