"""An extremum is equal to the element that it is, also where that element is computed in two loops."""

import math

import numpy as np
import pytest

import wengert as wg
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


def distance_from_the_largest(a, b, c):
    p = a * b
    y = p + c
    return np.sum(np.sqrt(np.max(y) - y) * p)


def where_it_is_the_largest(a, b, c):
    p = a * b
    y = p + c
    q = np.maximum(np.max(y), 0.0)
    s = y - np.max(y)
    found = np.sum(np.where(y >= q, p * p, 0.0)) + np.sum(np.where(s == 0, p, 0.0))
    return found + np.sum(np.where(y >= y[np.argmax(y)], p, 0.0))


def best_of_a_loop(a, b, c):
    best = -np.inf
    for i in range(len(a)):
        best = max(best, a[i] * b[i] + c[i])
    total = 0.0
    for i in range(len(a)):
        p = a[i] * b[i]
        if p + c[i] == best:
            total += p
    return total


@pytest.mark.parametrize("f", [distance_from_the_largest, where_it_is_the_largest, best_of_a_loop])
def test_numbers_computed_twice_are_equal(f):
    compiled = wg.jit(f)
    rng = np.random.default_rng(5)
    for _ in range(60):
        args = rng.normal(size=(3, 37))
        assert compiled(*args) == pytest.approx(f(*args), rel=1e-12)


@pytest.mark.parametrize("n", [65, 100_000])
def test_a_message_shows_an_array_that_would_be_returned(n):
    def f(x, n):
        y = np.zeros(n)
        for i in range(n):
            y[i] = x * i
        if y[n - 1] > 5.0:
            raise ValueError(f"{y}")
        return y

    with pytest.raises(ValueError) as expected:
        f(1.0, n)
    with pytest.raises(ValueError) as found:
        wg.jit(f)(1.0, n)
    assert str(found.value) == str(expected.value)
