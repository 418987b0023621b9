"""One function in every mode, and the comparison of what comes out."""

import math

import numpy as np
import pytest

from wengert.api import EagerFallbackWarning
from wengert.testing.modes import assert_modes_agree, float_arguments, largest_difference, run_modes


def recurrence(p, n):
    x = np.zeros(n)
    x[0] = p["x0"]
    for t in range(1, n):
        if x[t - 1] > 0.5:
            x[t] = p["a"] * x[t - 1] - p["b"] * x[t - 1] ** 2
        else:
            x[t] = p["a"] * x[t - 1]
    return np.mean(x**2)


def halve(x, limit):
    count = 0
    while x > limit:
        x = x / 2 + math.sin(x) * 0.1
        count += 1
    return x * count


def test_all_modes_run():
    outcomes = run_modes(recurrence, ({"x0": 0.3, "a": 1.4, "b": 0.7}, 20))
    assert set(outcomes) == {"python", "compiled", "reference", "eager"}
    assert outcomes["python"][1] is None
    assert set(outcomes["eager"][1][0]) == {"x0", "a", "b"}


def test_modes_agree():
    assert_modes_agree(recurrence, ({"x0": 0.3, "a": 1.4, "b": 0.7}, 20))
    assert_modes_agree(halve, (10.0, 0.7))
    assert_modes_agree(halve, (10.0, 0.7), wrt=0)


def structure_by_value(x):
    return {True: x * x, False: x}[bool(x > 1.0)]


def test_a_function_that_cannot_be_staged_has_no_compiled_mode():
    with pytest.warns(EagerFallbackWarning):
        outcomes = run_modes(structure_by_value, (3.0,))
    assert set(outcomes) == {"python", "eager"}
    assert outcomes["eager"][1] == (6.0,)


def test_float_arguments():
    assert float_arguments((1.0, 2, "a", {"w": np.ones(2), "s": "b"}, {"w": 1.0, "n": 3}, True)) == (0, 3)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (1.0, 1.0, 0.0),
        (1000.0, 1001.0, 1 / 1001.0),
        (math.nan, math.nan, 0.0),
        (math.nan, 1.0, math.inf),
        (math.inf, math.inf, 0.0),
        (math.inf, -math.inf, math.inf),
        ({"a": np.ones(2)}, {"a": np.ones(3)}, math.inf),
        ({"a": 1.0}, {"b": 1.0}, math.inf),
        (np.zeros(0), np.zeros(0), 0.0),
        (np.array([1.0, math.nan]), np.array([1.5, math.nan]), 0.5 / 1.5),
    ],
)
def test_largest_difference(left, right, expected):
    assert largest_difference(left, right) == pytest.approx(expected)
