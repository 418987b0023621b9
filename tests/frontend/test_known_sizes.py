"""Sizes that turn out to be needed while tracing: found in one trace, right for other sizes in a further one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as wg
from wengert.frontend.trace import trace
from wengert.ir.core import walk
from wengert.ir.verify import verify

PAIRS = [(0, 1), (1, 2), (2, 0)]
TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.1, 1.0]])


def zipped_with_a_list(x: Any) -> Any:
    total = np.sum(x * x)
    return total + sum(a * (i + 2 * j) for a, (i, j) in zip(x, PAIRS))


def carried_in_another_size(x: Any) -> Any:
    for _ in range(30):
        x = 0.9 * (TURN @ x) + 0.01
    return x @ x


def one_or_the_other(x: Any) -> Any:
    y = x * 2.0
    z = y if x[0] > 0.5 else np.ones(3)
    return z @ x


def unpacked_late(x: Any) -> Any:
    y = np.sin(x)
    a, b, c = y
    return a * b + c * np.sum(x)


def returned_as_it_is(x: Any) -> Any:
    return x, carried_in_another_size(x)


def two_sizes(x: Any, y: Any) -> Any:
    z = x
    for k in range(20):
        z = z + y * 0.1 * k
    return np.sum(z * z)


X = np.array([0.3, 0.7, -0.2])
FUNCTIONS = [zipped_with_a_list, carried_in_another_size, one_or_the_other, unpacked_late]


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_found_in_one_trace(f: Callable[..., Any]) -> None:
    compiled = wg.jit(f)
    assert compiled(X) == pytest.approx(f(X), rel=1e-14)
    assert compiled.stats.traces == 1
    direction = np.array([0.3, 0.1, 0.5])
    wanted = np.sum(direction) if f is one_or_the_other else f(X + 1e-30j * direction).imag / 1e-30
    assert wg.grad(f)(X) @ direction == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_the_function_is_as_if_the_size_had_been_known(f: Callable[..., Any]) -> None:
    found = trace(f, (X,), {}).function
    verify(found)
    if f is zipped_with_a_list:  # which holds for all longer arrays, too
        return
    assert all(not r.type.symbols() for instr in walk(found.instrs) for r in instr.results)


def test_other_sizes_are_another_compilation() -> None:
    compiled = wg.jit(zipped_with_a_list)
    longer, shorter = np.linspace(0.1, 1.0, 6), np.array([0.4, 0.5])
    for x in (X, longer, shorter, X, longer, shorter):
        assert compiled(x) == pytest.approx(zipped_with_a_list(x), rel=1e-14)
    assert compiled.stats.compilations == 2
    with pytest.raises(ValueError):
        wg.jit(carried_in_another_size)(np.ones(4))


def elimination(matrix: Any, rhs: Any) -> Any:
    n = len(rhs)
    rows = [[*matrix[i], rhs[i]] for i in range(n)]
    for k in range(n):
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            for j in range(k, n + 1):
                rows[i][j] -= factor * rows[k][j]
    return rows[-1][-1] / rows[-1][-2]


def test_what_a_late_size_does_not_help_is_traced_with_the_size_from_the_start() -> None:
    matrix = np.array([[2.0, 1.0, 1.0], [1.0, 3.0, 2.0], [1.0, 0.0, 4.0]])
    compiled = wg.jit(elimination)
    assert compiled(matrix, X) == pytest.approx(elimination(matrix, X), rel=1e-14)
    assert compiled.stats.traces > 1


def test_a_result_that_is_an_argument_is_a_copy() -> None:
    given = X.copy()
    same, value = wg.jit(returned_as_it_is)(given)
    assert value == pytest.approx(carried_in_another_size(X), rel=1e-14)
    assert same is given or not np.shares_memory(same, given)
    np.testing.assert_array_equal(same, X)


def test_sizes_that_agree_stay_open() -> None:
    compiled = wg.jit(two_sizes)
    for n in (3, 5, 8):
        x, y = np.linspace(0.1, 1.0, n), np.linspace(-1.0, 0.3, n)
        assert compiled(x, y) == pytest.approx(two_sizes(x, y), rel=1e-14)
    assert compiled.stats.traces == 1
    assert compiled(np.array([2.0]), np.array([1.0, 2.0])) == pytest.approx(two_sizes(np.array([2.0]), np.array([1.0, 2.0])))
