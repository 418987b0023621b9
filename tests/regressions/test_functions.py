"""Programs with functions in functions that once were not staged or wrong, as found among random ones and made small."""

import math

import numpy as np
import pytest

from wengert.testing.check_grads import check_grads
from wengert.testing.modes import assert_modes_agree, run_modes

X = np.array([0.7, -0.4, 1.1, 0.2])


def accumulated(s):
    total = math.tanh(s)

    def add(z):
        nonlocal total
        total = 0.78 * total + z * s

    for _ in range(2):
        add(0.7)
    return total


def closure_of_a_call_in_an_arm(x):
    if len(x) > 2:
        x[2] = 0.39 * x[2] + accumulated(x[0])
    return np.sum(x)


def closure_of_a_call_in_a_loop(x):
    for k in range(len(x)):
        if x[k] > 0.5:
            x[k] = accumulated(x[k]) + accumulated(x[0])
    return np.sum(x * x)


def closure_outside_of_the_arm(x):
    total = x[1]

    def add(z):
        nonlocal total
        total = 0.5 * total + z * x[0]

    def twice(z):
        scale = z

        def inner():
            nonlocal scale, total
            scale *= 2.0
            total += scale

        inner()
        add(scale)
        return scale

    if x[0] > 0.5:
        x[3] = twice(x[2])
    else:
        add(0.3)
    return total * np.sum(x)


def closure_made_in_an_arm(x):
    total = x[1]
    if x[0] > 0.5:
        inner = 0.7

        def add(z):
            nonlocal inner
            inner = inner * x[0] + z

        for k in range(10):
            add(x[2])
            total += inner * k
    return total


@pytest.mark.parametrize("x", [X, -X])
@pytest.mark.parametrize(
    "f", [closure_of_a_call_in_an_arm, closure_of_a_call_in_a_loop, closure_outside_of_the_arm, closure_made_in_an_arm]
)
def test_modes_and_differences(f, x):
    assert "compiled" in run_modes(f, (x,))
    assert_modes_agree(f, (x,))
    check_grads(f, (x,))
