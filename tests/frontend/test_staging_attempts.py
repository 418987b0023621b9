"""How often the body of a loop is traced: once where one run shows all, and again where another run could differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import wengert as wg
from wengert.frontend import staging_loops
from wengert.frontend.trace import trace


@contextmanager
def counted(runs: list[int]) -> Iterator[None]:
    """Count the runs of bodies."""
    original = staging_loops.StagedLoop.attempted

    def attempted(self: Any, attempt: Any) -> Any:
        runs.append(self.info.span.line)
        return original(self, attempt)

    staging_loops.StagedLoop.attempted = attempted  # type: ignore[method-assign]
    try:
        yield
    finally:
        staging_loops.StagedLoop.attempted = original  # type: ignore[method-assign]


def first_set_in_the_loop(x: Any) -> Any:
    for k in range(20):
        pair = (x * k, [x + 1.0, x * x])
        if pair[0] > 6.8:
            break
    return pair[0] + pair[1][1]


def last_of_all(x: Any) -> Any:
    last = 0.0
    for k in range(20):
        last = np.sin(x * k)
    return last


def arrays_by_other_names(x: Any) -> Any:
    a, b = np.array([x, 1.0, 2.0]), np.array([x, x, 3.0])
    for _ in range(12):
        a, b = b, 0.5 * (a + b)
    return np.sum(a * b)


def arrays_by_other_names_written(x: Any) -> Any:
    a, b = np.array([x, 1.0, 2.0]), np.array([x, x, 3.0])
    for _ in range(12):
        c = np.zeros(3)
        c[1] = x * a[0]
        a, b = b, 0.5 * (a + c)
    return np.sum(a * b)


ONCE = [last_of_all, arrays_by_other_names, arrays_by_other_names_written]


def derivative(f: Callable[..., Any], x: float) -> float:
    return (f(x + 1e-6) - f(x - 1e-6)) / 2e-6


@pytest.mark.parametrize("f", [first_set_in_the_loop, *ONCE], ids=lambda f: f.__name__)
@pytest.mark.parametrize("x", [0.3, 0.7])
def test_values(f: Callable[..., Any], x: float) -> None:
    assert wg.jit(f)(x) == pytest.approx(f(x), rel=1e-13)
    assert wg.grad(f)(x) == pytest.approx(derivative(f, x), rel=1e-6)
    with wg.eager():
        assert wg.grad(f)(x) == pytest.approx(derivative(f, x), rel=1e-6)


def test_what_no_iteration_reads_needs_no_further_run() -> None:
    runs: list[int] = []
    with counted(runs):
        trace(last_of_all, (0.3,), {})
        assert len(runs) == 1
        trace(first_set_in_the_loop, (0.3,), {})
        assert len(runs) == 2


def kept_unless(x: Any) -> Any:
    last = x
    for k in range(20):
        if np.sin(x * k) > 0.5:
            last = x * k
    return last


def kept_as_list(x: Any) -> Any:
    best, seen = [x, 0.0], 0.0
    for k in range(20):
        value = np.cos(x * k) * k
        if value > seen:
            best = [value, x * x]
            seen = value
    return best[0] * best[1]


def writes_what_changes_names(x: Any) -> Any:
    a, b = np.array([x, 1.0, 2.0]), np.array([x, x, 3.0])
    for k in range(12):
        a[1] = x * k
        a, b = b, 0.5 * (a + b)
    return np.sum(a * b)


@pytest.mark.parametrize("f", [kept_unless, kept_as_list, writes_what_changes_names], ids=lambda f: f.__name__)
def test_what_may_stay_is_carried(f: Callable[..., Any]) -> None:
    x = 0.7
    assert wg.jit(f)(x) == pytest.approx(f(x), rel=1e-13)
    assert wg.grad(f)(x) == pytest.approx(derivative(f, x), rel=1e-6)


def several_lists(x: Any) -> Any:
    total = 0.0
    for strike in [1.0, 1.1, 1.2]:
        values = [x, strike]
        for k in range(12):
            following = []
            for j in range(12 - k):
                following.append(values[0] * 0.9 + np.sin(x * strike) * 0.1 + j * 0.01)
            values = [v * 1.01 for v in following]
        total = total + values[0] * strike
    return total


def kept_short(x: Any, often: bool = True) -> Any:
    total = 0.0
    for turn in (True, False, True):
        seen = [x]
        for k in range(20):
            if turn:
                seen.append(x * k)
            total = total + seen[-1]
        seen[0] = 2.0 * x
        total = total + seen[0] + len(seen)
    return total


def test_lists_that_grew_before_are_carried_at_once() -> None:
    runs: list[int] = []
    with counted(runs):
        trace(several_lists, (0.7,), {})
    assert len(runs) <= 25  # without what the first of the three has shown, 30


@pytest.mark.parametrize("f", [several_lists, kept_short], ids=lambda f: f.__name__)
def test_lists_that_grow_or_not(f: Callable[..., Any]) -> None:
    x = 0.7
    assert wg.jit(f)(x) == pytest.approx(f(x), rel=1e-13)
    assert wg.grad(f)(x) == pytest.approx(derivative(f, x), rel=1e-6)
