"""A dict whose items are written one by one and which is then changed as a whole, in branches and loops."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

import wengert as wg
from wengert.testing import check_grads


def updated_in_a_loop(y):
    table = {"odd": 1.15}
    for _ in range(10):
        table["odd"] = 0.62 * table["odd"] + 1.54
        if y > -5.0:
            table.update(odd=0.41 * table["odd"] * y)
    return table["odd"]


def updated_in_one_arm(y):
    table = {"a": 1.0, "b": 2.0 * y}
    if y > 1.0:
        table["a"] = 5.0 * y
        table.update(b=3.0 * y)
    return table["a"] + 10.0 * table["b"]


def items_in_one_arm(y):
    table = {"a": 1.0, "b": 2.0 * y}
    if y > 1.0:
        table["a"] = 5.0 * y
        table["b"] += 0.5
    else:
        table["b"] *= 0.25
        table.update(a=3.0 * y)
    return table["a"] + 10.0 * table["b"]


def popped_in_one_arm(y):
    table = {"a": 1.0 * y, "b": 2.0 * y}
    if y > 1.0:
        table["a"] = 5.0 * y
        table["b"] = table["b"] + table.pop("a")
        table["a"] = 0.5
    return table["a"] * table["b"]


def cleared_and_filled(y):
    table = {"a": y, "b": 2.0}
    for k in range(12):
        table["a"] = table["a"] * 0.9 + 0.1 * k
        if table["a"] > 1.0:
            kept = table["a"] * 0.5
            table.clear()
            table["a"] = kept
            table["b"] = 2.0 * y
    return table["a"] + 3.0 * table["b"]


def counted(y):
    table = Counter({"low": 0.5})
    for k in range(11):
        table["low"] += 0.1 * y
        table["high"] += y if k % 2 else 0.2
        if y * k > 3.0:
            table.update({"low": y, "high": -0.3})
    return table["low"] + 2.0 * table["high"]


def with_defaults(y):
    table = defaultdict(float)
    while len(table) < 3 and table["steps"] < 9.0:
        table["steps"] += 1.0
        table["sum"] = table["sum"] + y
        if table["sum"] > 3.0:
            table.setdefault("over", table["sum"] - 3.0)
            table.pop("steps")
            table["steps"] = 20.0
    return table["sum"] + 2.0 * table.get("over", 0.1) + table["steps"]


def deleted_items(y):
    table = {"a": y, "b": 1.0}
    for k in range(10):
        table["b"] = table["b"] * 0.5 + y
        if k % 3 == 1:
            table["a"] = table["b"] * 0.25
            del table["a"]
            table["a"] = table["b"]
    return table["a"] - table["b"] * y


def nested_branches(y):
    table = {"a": y, "b": 1.0}
    for k in range(10):
        table["a"] = 0.5 * table["a"] + 0.1
        if y > 0.3:
            table["b"] = table["b"] + table["a"]
            if table["b"] > 2.0:
                table.update(b=0.25 * table["b"], a=table["a"] + y)
            else:
                table["a"] = table["a"] * 1.5
        elif k > 5:
            table.update({"a": 0.3 * y})
    return table["a"] + 10.0 * table["b"]


STAGED = [updated_in_a_loop, updated_in_one_arm, items_in_one_arm, cleared_and_filled, counted, deleted_items, nested_branches]
EAGER = [popped_in_one_arm, with_defaults]  # other items, or another order of them, in one arm


@pytest.mark.parametrize("function", STAGED)
@pytest.mark.parametrize("y", [0.2, 0.7, 1.3])
def test_values_and_gradients(function, y):
    np.testing.assert_allclose(wg.jit(function)(y), function(y), rtol=1e-14)
    check_grads(function, (y,))


@pytest.mark.parametrize("function", EAGER)
@pytest.mark.parametrize("y", [0.2, 0.7, 1.3])
def test_what_is_not_staged(function, y):
    with wg.eager():
        np.testing.assert_allclose(wg.jit(function)(y), function(y), rtol=1e-14)
        check_grads(function, (y,))
