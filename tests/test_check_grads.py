"""`check_grads`: accepts right derivatives, on any containers, and says where a wrong one is."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

import wengert as wg
from wengert.testing.check_grads import GradientMismatchError, check_grads


@dataclass
class Spring:
    stiffness: float
    name: str
    rest: np.ndarray
    steps: int = 3


def energy(spring, x):
    stretch = x - spring.rest
    total = 0.0
    for k in range(spring.steps):
        total += 0.5 * spring.stiffness * np.sum(stretch**2) / (k + 1)
    return total


def table(p, x):
    return {"a": np.sin(x) * p["w"], "b": [math.exp(p["rate"]), 3]}


def half_cut(x):
    return x * wg.stop_gradient(x)


def right_at_first_order(x):
    return math.sin(x) + (x - wg.stop_gradient(x)) ** 2


@pytest.mark.parametrize("order", [1, 2])
def test_accepts_right_derivatives(order):
    check_grads(lambda x, y: math.sin(x) * y**2 + x / y, (0.3, 1.7), order=order)
    check_grads(table, ({"w": np.array([1.0, 2.0, 3.0]), "rate": 0.3}, np.array([0.1, 0.2, 0.3])), order=order)


def test_leaves_other_leaves_alone():
    check_grads(energy, (Spring(1.2, "a", np.array([0.5, 0.1])), np.array([1.0, 2.0])))
    check_grads(lambda x, n: x**n, (1.3, 3))


def test_tolerance_is_in_units_of_the_arguments():
    check_grads(lambda x: x**3, (2e-7,))
    check_grads(lambda x: np.sum(x**3), (np.array([2e6, -1e5]),))


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_names_the_path_and_the_parameter(mode):
    with pytest.raises(GradientMismatchError) as caught:
        check_grads(lambda p, q: half_cut(p["a"]) + q * p["b"], ({"a": 1.5, "b": 2.0}, 3.0), modes=(mode,))
    message = str(caught.value)
    assert f"{mode} of f differs" in message
    assert "args[0]['a']: 1.5" in message
    assert "args[0]['b']" not in message


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_second_order_names_both_steps(mode):
    check_grads(right_at_first_order, (0.4,), modes=(mode,))
    with pytest.raises(GradientMismatchError, match=f"{mode} of {mode} of right_at_first_order differs"):
        check_grads(right_at_first_order, (0.4,), modes=(mode,), order=2)


def test_nan_equals_nothing():
    with pytest.raises(GradientMismatchError):
        check_grads(lambda x: x * float("nan"), (1.0,))


def test_refuses_bad_options():
    with pytest.raises(wg.ArgumentError, match="modes"):
        check_grads(math.sin, (1.0,), modes=("backward",))
    with pytest.raises(wg.ArgumentError, match="order"):
        check_grads(math.sin, (1.0,), order=0)
    with pytest.raises(wg.ArgumentError, match="no float"):
        check_grads(lambda n: n, (1,))
