"""`jacfwd`, `jacrev` and `hvp`: shapes and trees, agreement with each other and with what they are made of."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import wengert as wg
from wengert.errors import ArgumentError

MODES = pytest.mark.parametrize("mode", ["compiled", "eager"])
X = np.array([0.3, -1.2, 2.0])
V = np.array([1.0, 0.5, -2.0])


def run_in(mode: str) -> Any:
    return wg.eager() if mode == "eager" else nullcontext()


def field(x, k):
    y = np.zeros(4)
    for i in range(3):
        y[i + 1] = y[i] * x[i] + k * np.sin(x[i])
    return {"y": y, "energy": np.sum(x * x) * k, "steps": 3}


@MODES
@pytest.mark.parametrize("transform", [wg.jacfwd, wg.jacrev, wg.jacobian], ids=lambda t: t.__name__)
def test_shapes_and_trees(transform: Any, mode: str) -> None:
    with run_in(mode):
        single = transform(field)(X, 0.7)
        both = transform(field, argnums=(0, 1))(X, 0.7)
        nested = transform(lambda p: p["w"] @ p["x"] * p["s"])({"w": np.outer(V, X)[:2], "x": X, "s": 2.0})
    assert single["y"].shape == (4, 3) and single["energy"].shape == (3,) and single["steps"] is None
    np.testing.assert_allclose(single["energy"], 1.4 * X)
    np.testing.assert_allclose(single["y"][1], [0.7 * np.cos(0.3), 0.0, 0.0])
    np.testing.assert_allclose(both["energy"][1], np.sum(X * X))
    assert both["y"][1].shape == (4,)
    np.testing.assert_allclose(both["y"][0], single["y"])
    assert nested["w"].shape == (2, 2, 3)
    np.testing.assert_allclose(nested["w"][0], [2.0 * X, np.zeros(3)])
    np.testing.assert_allclose(nested["x"], 2.0 * np.outer(V, X)[:2])
    np.testing.assert_allclose(nested["s"], np.outer(V, X)[:2] @ X)


@MODES
def test_forward_and_reverse_mode_are_used(mode: str) -> None:
    """What is defined in one mode only tells which one runs."""
    forward = wg.custom_jvp(lambda x: x * x)
    forward.defjvp(lambda primals, tangents: (primals[0] * primals[0], 10.0 * tangents[0]))
    with run_in(mode):
        np.testing.assert_allclose(wg.jacfwd(forward)(X), 10.0 * np.eye(3))
        clipped = wg.jacrev(lambda x: wg.clip_gradient(x, value=1.0) * 5.0)
        np.testing.assert_allclose(clipped(X), np.eye(3))
        with pytest.raises(wg.WengertError):
            wg.jacfwd(lambda x: wg.clip_gradient(x, value=1.0) * 5.0)(X)
        inner = wg.jacfwd(lambda x: np.sum(wg.jacfwd(forward)(x)))(X)
        np.testing.assert_allclose(inner, np.zeros(3))


def rosenbrock(x, scale=1.0):
    total = 0.0
    for i in range(len(x) - 1):
        total += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total * scale


@MODES
def test_hvp_is_hessian_times_vector(mode: str) -> None:
    with run_in(mode):
        hessian = wg.hessian(rosenbrock)(X)
        np.testing.assert_allclose(wg.hvp(rosenbrock)(X, V), hessian @ V, rtol=1e-12)
        np.testing.assert_allclose(wg.hvp(rosenbrock)(X, V, scale=3.0), 3.0 * hessian @ V, rtol=1e-12)
        np.testing.assert_allclose(wg.vmap(wg.hvp(rosenbrock), in_axes=(None, 0))(X, np.eye(3)), hessian, rtol=1e-12)
        third = wg.jacobian(lambda x: wg.hvp(rosenbrock)(x, V))(X)
        np.testing.assert_allclose(third, wg.jacobian(wg.hessian(rosenbrock))(X) @ V, rtol=1e-12)


@MODES
def test_hvp_of_trees_and_several_arguments(mode: str) -> None:
    def loss(p, t, name):
        assert name == "a"
        return np.sum(p["w"] ** 3) * t + p["b"] ** 2 * t * t

    p, v = {"w": X, "b": 0.5}, {"w": V, "b": -1.0}
    with run_in(mode):
        one = wg.hvp(loss)(p, 2.0, "a", v)
        two = wg.hvp(loss, argnums=(0, 1))(p, 2.0, "a", (v, 0.25))
    np.testing.assert_allclose(one["w"], 12.0 * X * V)
    assert one["b"] == pytest.approx(-8.0)
    np.testing.assert_allclose(two[0]["w"], 12.0 * X * V + 0.25 * 3.0 * X**2)
    assert two[0]["b"] == pytest.approx(-8.0 + 0.25 * 4.0 * 0.5 * 2.0)
    assert two[1] == pytest.approx(np.sum(3.0 * X**2 * V) - 4.0 + 2.0 * 0.25 * 0.25)


@MODES
def test_hvp_errors(mode: str) -> None:
    with run_in(mode):
        with pytest.raises(ArgumentError, match="behind them, a vector"):
            wg.hvp(rosenbrock)(X)
        with pytest.raises(ArgumentError, match="must name positional arguments"):
            wg.hvp(rosenbrock, argnums=1)(X, V)
        with pytest.raises(ArgumentError, match="a tuple with one vector"):
            wg.hvp(rosenbrock, argnums=(0,))(X, V)
        with pytest.raises(ArgumentError, match="needs a scalar"):
            wg.hvp(lambda x: x * x)(X, V)
        with pytest.raises(ArgumentError, match="does not match"):
            wg.hvp(rosenbrock)(X, V[:2])
