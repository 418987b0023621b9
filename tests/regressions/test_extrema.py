"""The gradient of an extremum finds the element that it is, also where that element is computed in two loops."""

import math

import numpy as np
import pytest

from wengert.testing.check_grads import check_grads
from wengert.testing.modes import assert_modes_agree

ARGUMENTS = (
    1.423677,
    0.603193,
    np.array([1.104578, -0.644, 0.936073, 1.023347, -0.940105, 1.793875, -1.541561]),
    np.array([-0.643654, 1.143665, 0.94835]),
    7,
)


def smallest_of_a_sum(a, b, x, y, n):
    y += 0.14 * np.tanh(y)
    y[:] += 0.14 * np.sin(y + y)
    k1 = 0
    a /= 1.0 + math.tanh(np.min(y) - math.expm1(0.5 * math.sin(b))) ** 2
    rest = 0.67 * np.mean(y) + 0.44 * b + 0.29 * a + 0.24 * np.mean(x) + 0.01 * n
    return rest + -float(np.where(y[k1 % 3] > 1.46, y[k1 % 3], a))


TABLE = np.array([-0.853573, 0.173031, -1.742421, -0.926451, 1.437997])


def smallest_of_a_sum_with_the_reverse(a, x):
    s = np.sin(TABLE[2] * a)
    x += 0.29 * np.sin(x[::-1] ** 2)
    a = math.cos(np.min(x))
    x[-1:] -= 0.12 * np.tanh(np.maximum(np.ones(1), s))
    s = 0.44 * s + np.sin(min(0.2 * x[0], 0.043295))
    return 0.71 * s + 0.26 * a + 1.16 * np.sum(x**2) - np.tanh(x[::-1] @ np.ones_like(x))


def largest_in_a_loop(x, y):
    total = 0.0
    for _ in range(20):
        y = y + 0.14 * np.sin(y * x[0])
        total += np.max(y) * np.min(0.3 * y + x[1])
    return total


@pytest.mark.parametrize(
    ("f", "args"),
    [
        (smallest_of_a_sum, ARGUMENTS),
        (smallest_of_a_sum_with_the_reverse, (-0.995053, np.array([-0.860095, 1.107782]))),
        (largest_in_a_loop, ARGUMENTS[2:4]),
    ],
)
@pytest.mark.parametrize("without", ["", "llvm"])
def test_modes_and_differences(f, args, without, monkeypatch):
    monkeypatch.setenv("WENGERT_DISABLE", without)
    assert_modes_agree(f, args)
    check_grads(f, args)
