"""What staging costs: how often the bodies of loops are traced, and that a wrong guess at what they change costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as wg
from tests.frontend.agreement import agree
from wengert.frontend import staging_loops
from wengert.frontend.trace import trace


@pytest.fixture
def regions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one entry for each region of a loop that is traced."""
    seen: list[str] = []
    run_region = staging_loops.run_region

    def counting(trace_: Any, builder: Any, variables: Any, body: Callable[[], Any], what: str, *rest: Any) -> Any:
        seen.append(what)
        return run_region(trace_, builder, variables, body, what, *rest)

    monkeypatch.setattr(staging_loops, "run_region", counting)
    return seen


def nest(x: float, n: int) -> Any:
    total, weight = 0.0, x
    for i in range(n):
        for j in range(n):
            for k in range(n):
                for _ in range(n):
                    total = total + weight * (i + j * k)
                    weight = 0.75 * weight
    return total + weight


def test_bodies_of_a_nest_are_traced_once(regions: list[str]) -> None:
    trace(nest, (1.5, 3), {})
    assert len(regions) == 4
    agree(nest, 1.5, 3)
    assert wg.grad(nest)(1.5, 3) == pytest.approx(nest(1.0, 3))


def unchanged(x: float, n: int) -> Any:
    """`rate` is assigned but stays what it is; `kind` is needed while tracing."""
    rate, kind, total = 0.5, 2.0, x
    for _ in range(n):
        total = total * rate + x
        rate = 0.5
        if kind == 2.0:
            kind = 2.0
            total += 1.0
        else:
            total = np.zeros(3)  # an array or a number, by the data, is not staged
    return total + rate


def needs_a_number(x: float, n: int) -> Any:
    """`scale` is read as a Python value."""
    table = {1.0: "one", 2.0: "two"}
    scale, total = 1.0, x
    for _ in range(n):
        total = total * (0.5 if table[scale] == "one" else 0.1) + x
        scale = 1.0
    return total


def widens(x: float, n: int) -> Any:
    """`level` starts as an int, `total` as a Python float that becomes a NumPy one."""
    level, total = 1, 0.0
    for k in range(n):
        total = total + x * level
        level = level + 0.5 if k > 1 else level + 1
    return total + level


def swaps(x: float, n: int) -> Any:
    a, b, c = x, 2.0, 0.0
    for _ in range(n):
        a, b = b, a
        for _ in range(n):
            c, a = a * 0.5 + c, b if c > 3.0 else a
    return a + 2.0 * b + c


def rebinds(x: float, n: int) -> Any:
    y = x
    for _ in range(n):
        y = x
        x = x * 0.5
    return x + y


@pytest.mark.parametrize("f", [unchanged, needs_a_number, widens, swaps, rebinds, nest])
def test_guesses_change_nothing(f: Callable[[float, int], Any]) -> None:
    for n in (0, 1, 2, 5):
        agree(f, 1.25, n)
        step = 1e-6
        slope = (f(1.25 + step, n) - f(1.25 - step, n)) / (2.0 * step)
        assert wg.grad(f)(1.25, n) == pytest.approx(slope, rel=1e-6)


def test_constants_stay_constants() -> None:
    """What was guessed to change and does not is no carry."""
    traced = trace(unchanged, (1.5, 12), {})
    (loop,) = [i for i in traced.function.instrs if i.op.name == "for"]
    assert len(loop.results) == 1
