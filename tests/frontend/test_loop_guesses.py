"""Guesses at what a loop carries: right ones save runs of the body, wrong ones change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as wg
from tests.frontend.agreement import agree
from wengert.frontend import staging_loops
from wengert.frontend.trace import trace
from wengert.testing.differences import directional


@pytest.fixture
def bodies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one entry for each run of the body of a loop."""
    seen: list[str] = []
    attempted = staging_loops.StagedLoop.attempted

    def counting(self: Any, attempt: Callable[[], Any]) -> Any:
        seen.append(self.what)
        return attempted(self, attempt)

    monkeypatch.setattr(staging_loops.StagedLoop, "attempted", counting)
    return seen


def slope(function: Callable[..., Any], x: float, *rest: Any) -> None:
    """Native values and derivatives agree with Python and with differences."""
    assert wg.jit(function)(x, *rest) == pytest.approx(function(x, *rest), rel=1e-12)
    expected = directional(lambda at: [function(at[0], *rest)], [x], [1.0], step=1e-5)[0]
    assert wg.grad(function)(x, *rest) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def stencil(x: float, n: int) -> float:
    """A nest that writes to arrays at every level."""
    a, rows = np.zeros(n), np.ones((n, n))
    for i in range(n):
        a[i] += x * i
        for j in range(n):
            rows[i][j] = a[i] * x
            for k in range(n):
                a[k] = 0.9 * a[k] + 0.01 * rows[i, j]
    return float(a @ a + rows[1, 2])


def counters(x: float, n: int) -> float:
    """Whole numbers, a flag, a pair, and a way out."""
    count, late, pair, total = 0, False, (x, 1.0), 0.0
    for k in range(n):
        if total > 5.0:
            break
        if not late and total > 1.0:
            late = True
        count += 1
        pair = (pair[1], 0.5 * pair[0] + x)
        total += pair[0] * (2.0 if late else 1.0) + 0.1 * k
    return total + 0.01 * count + pair[1]


class Tank:
    def __init__(self, levels: Any) -> None:
        self.levels = levels
        self.spilled = 0.0

    def fill(self, x: float, n: int) -> float:
        for k in range(n):
            self.levels[k % 3] += x / (k + 1)
            self.spilled += 0.1 * self.levels[0]
        return self.spilled + float(np.sum(self.levels**2))


def tanks(x: float, n: int) -> float:
    return Tank(np.array([0.1, 0.2, 0.3])).fill(x, n)


@pytest.mark.parametrize(("function", "runs"), [(stencil, 3), (counters, 1), (tanks, 2)])
def test_bodies_are_run_once(function: Any, runs: int, bodies: list[str]) -> None:
    trace(function, (0.7, 9), {})
    assert len(bodies) <= runs
    agree(function, 0.7, 9)
    slope(function, 0.7, 9)


def closest(points: Any, x: float) -> float:
    """A consumer of a generator within a staged loop."""
    return sum(min(abs(p - q + 0.1) + x for q in points) for p in points)


def test_consumers_in_a_loop(bodies: list[str]) -> None:
    points = np.array([0.3, 1.7, 0.9, 2.2, -0.4, 1.1, 3.0, 0.0, 2.6, 1.4])
    trace(closest, (points, 0.2), {})
    assert len(bodies) <= 6
    agree(closest, points, 0.2)


def static_part(x: float, n: int) -> float:
    """One item of the list never changes, and is a key afterwards."""
    names = {2.0: 1.0, 3.0: -1.0}
    state = [x, 2.0]
    for _ in range(n):
        state = [0.5 * state[0] + x, 2.0]
    return state[0] * names[state[1]]


def two_names(x: float, n: int) -> float:
    """One array by two names, and a view of it, are written in the loop."""
    a = np.zeros(n)
    b, tail = a, a[2:]
    for k in range(n - 2):
        a[k] += x * k
        b[k + 1] += a[k]
        tail[k] -= 0.5 * b[k]
    return float(a @ b + tail[0])


def made_inside(x: float, n: int) -> float:
    """The array of that name is another one at every iteration."""
    work, total = np.ones(3), 0.0
    for k in range(n):
        work = np.full(3, x) if k % 2 else work
        work = work.copy()
        work[1] += k * x
        total += work[1] * work[0]
    return total + work[1]


def chosen(x: float, n: int) -> float:
    """Which of two arrays is written depends on the data."""
    a, b = np.zeros(n), np.ones(n)
    for k in range(n):
        if x * k > 2.0:
            a[k] = x * b[k]
        else:
            b[k] += x
    return float(a @ b + np.sum(b))


def never_written(x: float, n: int, write: bool) -> float:
    """What the code could write is not written."""
    a, flag, total = np.arange(float(n)), write, 0.0
    for k in range(n):
        if flag:
            a[k] = x
        total += a[k] * x
    return total + float(a[1])


def grows_then_rebinds(x: float, n: int) -> float:
    """A list of numbers that is a longer list later."""
    last = [x]
    for k in range(n):
        last = [*last, x * k]
    return sum(last)


def whole_numbers(x: float, n: int) -> float:
    """A whole number that becomes a float, one that is an index, and one that is set to what it was."""
    level, at, same, a = 1, 0, 3, np.linspace(0.0, 1.0, n)
    total = 0.0
    for k in range(n):
        level = level * 0.5 + x
        total += a[at] * level * same
        at = (at + 3) % n
        same = 3
    return total + level + a[same]


@pytest.mark.parametrize("function", [static_part, two_names, made_inside, chosen, grows_then_rebinds, whole_numbers])
def test_guesses_change_no_result(function: Any) -> None:
    agree(function, 0.7, 11)
    if function is not grows_then_rebinds:
        slope(function, 0.7, 11)


@pytest.mark.parametrize("write", [True, False])
def test_a_store_that_is_never_made(write: bool) -> None:
    agree(never_written, 0.7, 9, write)
    slope(never_written, 0.7, 9, write)


def test_the_arrays_of_the_caller() -> None:
    def smooth(a: Any, x: float) -> float:
        for _ in range(12):
            for k in range(1, len(a)):
                a[k] = 0.5 * (a[k] + a[k - 1]) * x
        return float(a[-1])

    ours, theirs = np.linspace(0.5, 1.5, 9), np.linspace(0.5, 1.5, 9)
    assert wg.jit(smooth)(ours, 0.9) == pytest.approx(smooth(theirs, 0.9), rel=1e-13)
    np.testing.assert_allclose(ours, theirs, rtol=1e-13)
