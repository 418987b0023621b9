"""Arrays of Python objects that hold traced numbers, and captured masked arrays: eager mode runs them, no gradient is lost."""

import math
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import wengert as wg

OBJECTS = np.array([1.0, "a", 2.0], dtype=object)
MASKED = np.ma.array([1.0, 2.0, 3.0, 4.0], mask=[0, 1, 0, 0])


def stored(x):
    a = np.empty(3, dtype=object)
    for k in range(3):
        a[k] = x[k] * 2
    return a[0] * a[1] + a[2]


def elementwise(x):
    a = np.array([x[0], x[1]], dtype=object)
    return (a * a).sum() + np.dot(a, a)


def lists_in_an_array(x):
    a = np.empty(2, dtype=object)
    a[0] = [x[0], 2 * x[1]]
    a[1] = [3 * x[2]]
    return sum(a[0]) * a[1][0]


def to_floats(x):
    a = np.zeros((2, 2), dtype=object)
    a[0, 1] = x[0]
    a[1, 0] = math.sqrt(x[1])
    return np.sum(a.astype(float) ** 2) * a[0, 1]


def captured(x):
    return x[0] * OBJECTS[0] + OBJECTS[2]


def masked_read(x):
    total = x[1] * MASKED.mean() + np.sum(MASKED.filled(0.0) * x)
    for k in range(4):
        if MASKED[k] is not np.ma.masked:
            total += MASKED[k] * x[k]
    return total


X = np.array([3.0, 1.5, 2.0, 4.0])


@pytest.mark.parametrize("program", [stored, elementwise, lists_in_an_array, to_floats, captured, masked_read])
def test_runs_eagerly(program):
    with pytest.raises(wg.StagingError):
        wg.jit(program)(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wg.EagerFallbackWarning)
        value, gradient = wg.value_and_grad(program)(X)
    assert value == pytest.approx(program(X))
    for k, step in enumerate(1e-6 * np.eye(4)):
        assert gradient[k] == pytest.approx((program(X + step) - program(X - step)) / 2e-6, rel=1e-6, abs=1e-6)


def test_what_is_left_in_an_array_outside_is_a_number():
    owner = SimpleNamespace(a=np.empty(2, dtype=object))

    def store(x):
        owner.a[0] = x * x
        return owner.a[0] * 2

    with wg.eager():
        assert wg.grad(store)(0.5) == 2.0
    assert type(owner.a[0]) is float and owner.a.tolist() == [0.25, None]


def test_masked_arithmetic_is_refused():
    with wg.eager(), pytest.raises(wg.GradientCutError, match="MaskedArray"):
        wg.grad(lambda x: (MASKED * x).sum())(X)
