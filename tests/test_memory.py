"""`wg.memory`: the bytes that a gradient keeps for its way back, against what a run of it has on its stacks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import wengert as wg
from wengert.diagnose.storage import gradient_or_pullback
from wengert.frontend.trace import trace
from wengert.ir.core import Instr
from wengert.ir.interpret import run
from wengert.passes.pipeline import optimize
from wengert.transforms.checkpoint import remove_marks


def simulate(x: float, n: int) -> float:
    v = 0.5
    for _ in range(n):
        v = v - 0.01 * math.sin(x)
        x = x + 0.01 * v
    return x


def until(x: float, n: int) -> float:
    k = 0
    while k < n or x < 0.1:
        x = x + 0.01 * math.sin(x)
        if x > 1.0:
            x = x * x * 0.7
        for j in range(3):
            x = x + 0.001 * math.exp(-x) * j
        k += 1
    return x


def rows(u: np.ndarray, n: int) -> float:
    u = u.copy()
    for k in range(n):
        u = u + 0.1 * np.sin(u) * u[k % 5]
    return np.sum(u)


def most_on_stacks(f: Any, args: tuple[Any, ...]) -> int:
    """The bytes on all stacks when they are most, in a run of the reference interpreter."""
    traced = trace(f, args, {})
    function = optimize(remove_marks(gradient_or_pullback(traced, [0])))
    held = most = 0

    def watch(instr: Instr, results: Any) -> None:
        nonlocal held, most
        stack = results[0] if results else None
        if instr.op.name == "push":
            held += sum(np.asarray(v).nbytes for v in stack[1])
        if instr.op.name == "pop":
            held -= sum(np.asarray(v).nbytes for v in results[1:])
        most = max(most, held)

    run(function, args, watch)
    return most


KINDS = [lambda f: f, wg.checkpoint, wg.checkpoint(budget="sqrt"), wg.checkpoint(budget="revolve"), wg.checkpoint(budget=500)]


@pytest.mark.parametrize("kind", KINDS, ids=["plain", "whole", "sqrt", "revolve", "bytes"])
@pytest.mark.parametrize("f", [simulate, until, rows])
def test_the_bytes_are_those_of_a_run(f: Any, kind: Any) -> None:
    args = (np.linspace(0.1, 0.5, 7) if f is rows else 0.3, 50)
    found = wg.memory(kind(f), *args)
    assert found.mode == "compiled"
    assert found.stack_bytes == most_on_stacks(kind(f), args)


def test_budgets_hold() -> None:
    n = 10_000
    plain = wg.memory(simulate, 0.3, n).total
    assert plain >= 8 * n
    assert wg.memory(wg.checkpoint(budget="sqrt")(simulate), 0.3, n).total < 60 * math.sqrt(n)
    assert wg.memory(wg.checkpoint(budget="revolve")(simulate), 0.3, n).total < 100 * math.log2(n)
    for budget in (100, 1000, 10_000):
        # The round that is gone back through has its own few numbers beside the states.
        assert wg.memory(wg.checkpoint(budget=budget)(simulate), 0.3, n).stack_bytes <= budget


def test_lines_and_modes() -> None:
    found = wg.memory(rows, np.ones(1000), 20)
    (place, size), *_ = found.lines.items()
    assert place[0] == __file__ and size >= 20 * 8000
    assert "test_memory.py" in str(found) and "on stacks" in str(found)
    assert sum(found.lines.values()) == found.total
    with wg.eager():
        listed = wg.memory(rows, np.ones(1000), 20)
    assert listed.mode == "eager" and listed.total > found.total
    assert wg.memory(lambda x: np.outer(np.sin(x), x), np.ones(4)).stack_bytes == 0
    with pytest.raises(wg.ArgumentError):
        wg.memory(simulate, 3, 4)
