"""Short loops: unrolled where their bodies are short, staged from the second iteration on where they are long."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import wengert as wg
from tests.frontend.agreement import agree
from wengert.frontend.trace import trace
from wengert.ir.core import walk


def size(function: Any, *args: Any) -> int:
    """How many instructions a function becomes."""
    return sum(1 for _ in walk(list(trace(function, args, {}).function.instrs)))


def long_body(x: float, y: float, k: int) -> tuple[float, float]:
    """Some hundred operations."""
    for m in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20):
        x = x + 0.01 * math.sin(m * y) * math.cos(x) - 0.002 * k
        y = y - 0.01 * math.exp(-m * x * x) + 0.001 * math.sqrt(1.0 + y * y)
    return x, y


def steps(x: float, y: float) -> float:
    seen = []
    for k in range(6):
        x, y = long_body(x, y, k)
        seen.append(x)
    return y + sum(seen)


def test_a_long_body_is_not_repeated() -> None:
    assert size(steps, 0.3, 0.4) < 3 * size(long_body, 0.3, 0.4, 1)
    agree(steps, 0.3, 0.4)


def first_differs(x: float, y: float) -> float:
    last = None
    total = 0.0
    for k in range(6):
        x, y = long_body(x, y, k)
        total += 0.0 if last is None else abs(x - last)
        last = x
    return total


def stops(x: float, y: float) -> float:
    for k in range(7):
        x, y = long_body(x, y, k)
        if x > 0.45:
            break
    else:
        x += 10.0
    return x + k


@pytest.mark.parametrize("function", [first_differs, stops])
def test_the_first_iteration_is_run_apart(function: Any) -> None:
    agree(function, 0.3, 0.4)
    agree(function, 0.1, 0.9)


def picks_a_method(x: float, y: float) -> float:
    """The position is a key, and the loop must be unrolled."""
    table = {0: math.sin, 1: math.cos, 2: math.exp, 3: math.tanh, 4: math.atan}
    total = 0.0
    for k in range(5):
        x, y = long_body(x, y, k)
        total += table[k](x)
    return total


def writes_what_it_chose(x: float, y: float) -> float:
    """What is written after the loop is one of two arrays by name, which is known when the loop is unrolled."""
    first, second = np.zeros(2), np.ones(2)
    for k in range(4):
        x, y = long_body(x, y, k)
        first, second = second, first
        first[0] += x
    second[1] = y
    return float(first @ second + first[0])


@pytest.mark.parametrize("function", [picks_a_method, writes_what_it_chose])
def test_unrolled_where_it_must_be(function: Any) -> None:
    agree(function, 0.3, 0.4)


def lists_side_by_side(gains: Any, data: Any) -> float:
    """A list of numbers runs along an array."""
    weights = [0.1 * k - 0.4 for k in range(12)]
    total = 0.0
    for g, w, d in zip(gains, weights, data):
        total += g * w * d * d
    return total


def a_list_that_grew(x: float, data: Any) -> float:
    """A list whose length depends on the data is zipped with an array."""
    kept = []
    for d in data:
        if d > x:
            kept.append(d * x)
    total = 0.0
    for k, d in zip(kept, data):
        total += k * d
    return total


def test_zip_of_lists_and_arrays() -> None:
    data = np.linspace(0.2, 1.7, 12)
    agree(lists_side_by_side, np.cos(data), data)
    agree(a_list_that_grew, 0.63, data)
    assert size(lists_side_by_side, np.cos(data), data) < 80


def scratch(x: float, n: int) -> float:
    """Lists that operators and slices make anew at every iteration, and that are written to."""
    total = x
    for k in range(n):
        zeros = [0.0] * 3
        both = zeros + [total] * 2
        part = both[1:4]
        for j in range(3):
            zeros[j] += total * (j + k)
            part[j] = part[j] + zeros[j]
        both[0] = part[2]
        total = 0.1 * sum(zeros) + both[0] - 0.05 * part[1]
    return total


def test_lists_made_by_operators_in_a_loop() -> None:
    agree(scratch, 0.7, 9)
    assert wg.grad(scratch)(0.7, 9) == pytest.approx(scratch(1.0, 9))
