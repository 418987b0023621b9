"""The public transformations on ordinary Python functions: values, structures, nesting, modes."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import wengert as wg
from wengert.errors import ArgumentError

MODES = pytest.mark.parametrize("mode", ["compiled", "eager"])


def run_in(mode: str) -> Any:
    return wg.eager() if mode == "eager" else nullcontext()


def logistic(x: float, r: float) -> float:
    for _ in range(20):
        x = r * x * (1.0 - x)
    return x


def piecewise(x: float) -> float:
    if x > 1.0:
        return x * x
    elif x < -1.0:
        return -x
    return math.sin(x)


def newton_root(a: float) -> float:
    x = a
    while abs(x * x - a) > 1e-12:
        x = 0.5 * (x + a / x)
    return x


def smooth(u: np.ndarray, k: float) -> float:
    u = u.copy()
    for _ in range(12):
        u[1:-1] += k * (u[2:] - 2.0 * u[1:-1] + u[:-2])
    return np.sum(u * u)


@MODES
def test_grad_of_scalar_programs(mode: str) -> None:
    with run_in(mode):
        value, (dx, dr) = wg.value_and_grad(logistic, argnums=(0, 1))(0.3, 3.7)
        assert value == pytest.approx(logistic(0.3, 3.7), rel=1e-12)
        h = 1e-7
        assert dx == pytest.approx((logistic(0.3 + h, 3.7) - logistic(0.3 - h, 3.7)) / (2 * h), rel=1e-4)
        assert dr == pytest.approx((logistic(0.3, 3.7 + h) - logistic(0.3, 3.7 - h)) / (2 * h), rel=1e-4)
        assert [wg.grad(piecewise)(x) for x in (2.0, -3.0, 0.5)] == [4.0, -1.0, math.cos(0.5)]
        assert wg.grad(newton_root)(2.0) == pytest.approx(0.5 / math.sqrt(2.0), rel=1e-12)


@MODES
def test_in_place_slices(mode: str) -> None:
    u = np.linspace(0.0, 1.0, 9) ** 2
    before = u.copy()
    with run_in(mode):
        du, dk = wg.grad(smooth, argnums=(0, 1))(u, 0.2)
    np.testing.assert_array_equal(u, before)
    h = 1e-6
    assert dk == pytest.approx((smooth(u, 0.2 + h) - smooth(u, 0.2 - h)) / (2 * h), rel=1e-7)
    direction = np.cos(np.arange(9.0))
    difference = (smooth(u + h * direction, 0.2) - smooth(u - h * direction, 0.2)) / (2 * h)
    assert np.dot(du, direction) == pytest.approx(difference, rel=1e-7)


Pair = namedtuple("Pair", "first second")


@dataclass
class Model:
    rate: float
    weights: np.ndarray
    name: str = "model"


class Plain:
    def __init__(self, gain: float) -> None:
        self.gain = gain


TREES = {
    "dict": ({"a": 2.0, "b": [3.0, 4.0]}, lambda p: p["a"] * p["b"][0] + p["b"][1] ** 2, {"a": 3.0, "b": [2.0, 8.0]}),
    "tuple": ((2.0, 3.0), lambda p: p[0] * p[1], (3.0, 2.0)),
    "named tuple": (Pair(2.0, 3.0), lambda p: p.first * p.second, Pair(3.0, 2.0)),
}


@MODES
@pytest.mark.parametrize("kind", TREES)
def test_gradient_has_the_structure_of_the_parameters(kind: str, mode: str) -> None:
    params, fn, expected = TREES[kind]
    with run_in(mode):
        found = wg.grad(fn)(params)
    assert found == expected
    assert type(found) is type(params)


@MODES
def test_objects_as_parameters(mode: str) -> None:
    with run_in(mode):
        model = wg.grad(lambda m: m.rate * np.sum(m.weights**2))(Model(2.0, np.array([1.0, 3.0])))
        plain = wg.grad(lambda p: p.gain**3)(Plain(2.0))
    assert isinstance(model, Model)
    assert model.rate == pytest.approx(10.0)
    np.testing.assert_allclose(model.weights, [4.0, 12.0])
    assert model.name is None
    assert isinstance(plain, Plain)
    assert plain.gain == pytest.approx(12.0)


@MODES
def test_has_aux(mode: str) -> None:
    def loss(x: float) -> tuple[float, dict[str, Any]]:
        y = x * x
        return y * x, {"square": y, "label": "cube"}

    with run_in(mode):
        gradient, aux = wg.grad(loss, has_aux=True)(2.0)
        (value, again), _ = wg.value_and_grad(loss, has_aux=True)(2.0)
    assert gradient == pytest.approx(12.0)
    assert aux == {"square": 4.0, "label": "cube"}
    assert (value, again) == (8.0, aux)


@MODES
def test_jvp_and_vjp(mode: str) -> None:
    def polar(r: float, a: float) -> dict[str, Any]:
        return {"xy": np.array([r * np.cos(a), r * np.sin(a)]), "n": 3}

    with run_in(mode):
        out, dot = wg.jvp(polar, (2.0, 0.5), (1.0, 0.0))
        np.testing.assert_allclose(out["xy"], [2 * np.cos(0.5), 2 * np.sin(0.5)])
        np.testing.assert_allclose(dot["xy"], [np.cos(0.5), np.sin(0.5)])
        assert out["n"] == 3 and dot["n"] is None
        out, pullback = wg.vjp(polar, 2.0, 0.5)
        np.testing.assert_allclose(out["xy"], [2 * np.cos(0.5), 2 * np.sin(0.5)])
        for seed in ([1.0, 0.0], [0.0, 2.0]):
            dr, da = pullback({"xy": np.array(seed), "n": None})
            assert dr == pytest.approx(seed[0] * np.cos(0.5) + seed[1] * np.sin(0.5))
            assert da == pytest.approx(-2 * seed[0] * np.sin(0.5) + 2 * seed[1] * np.cos(0.5))


@MODES
def test_jacobian_and_hessian(mode: str) -> None:
    def f(x: np.ndarray) -> np.ndarray:
        return np.array([x[0] * x[1], np.sin(x[2]), x[0] ** 2])

    def g(x: np.ndarray) -> float:
        return x[0] ** 2 * x[1] + np.exp(x[1])

    with run_in(mode):
        jac = wg.jacobian(f)(np.array([2.0, 3.0, 0.5]))
        hes = wg.hessian(g)(np.array([2.0, 0.5]))
    np.testing.assert_allclose(jac, [[3, 2, 0], [0, 0, np.cos(0.5)], [4, 0, 0]], atol=1e-15)
    np.testing.assert_allclose(hes, [[1.0, 4.0], [4.0, np.exp(0.5)]], rtol=1e-14)


@MODES
def test_a_gradient_inside_a_loop_inside_a_gradient(mode: str) -> None:
    def energy(x: float, a: float) -> float:
        return (x * x - a) ** 2

    def descended(a: float) -> float:
        x = 1.0
        for _ in range(15):
            x = x - 0.05 * wg.grad(energy)(x, a)
        return x

    h = 1e-6
    with run_in(mode):
        found = wg.grad(descended)(2.0)
        difference = (descended(2.0 + h) - descended(2.0 - h)) / (2 * h)
    assert found == pytest.approx(difference, rel=1e-7)


@MODES
def test_inner_functions_see_outer_traced_values(mode: str) -> None:
    def f(x: float) -> float:
        return wg.grad(lambda y: x * y**3)(2.0) * x

    with run_in(mode):
        assert wg.grad(f)(1.5) == pytest.approx(2 * 1.5 * 12.0)
        assert wg.grad(wg.grad(wg.grad(lambda x: x**4)))(2.0) == pytest.approx(48.0)


@MODES
def test_stop_gradient(mode: str) -> None:
    with run_in(mode):
        assert wg.grad(lambda x: x * wg.stop_gradient(x))(3.0) == 3.0


def test_jit_runs_and_writes_to_its_arguments() -> None:
    def bump(x: np.ndarray, n: int) -> np.ndarray:
        for i in range(n):
            x[i] = x[i] * 2.0 + i
        return x

    x = np.arange(12.0)
    out = wg.jit(bump)(x, 12)
    np.testing.assert_array_equal(x, 3 * np.arange(12.0))
    np.testing.assert_array_equal(out, 3 * np.arange(12.0))


SCALE = 2.0
TABLE = np.array([1.0, 2.0, 3.0])


def captured(x: float) -> float:
    return SCALE * x * np.sum(TABLE)


@MODES
def test_what_is_captured_is_read_at_every_call(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gradient = wg.grad(captured)
    with run_in(mode):
        assert gradient(1.0) == pytest.approx(12.0)
        monkeypatch.setitem(globals(), "SCALE", 3.0)
        assert gradient(1.0) == pytest.approx(18.0)
        TABLE[0] = 5.0
        try:
            assert gradient(1.0) == pytest.approx(30.0)
        finally:
            TABLE[0] = 1.0


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "int argument": (lambda: wg.grad(lambda x: x * x)(3), "write 3.0"),
    "vector output": (lambda: wg.grad(lambda x: x * 2.0)(np.ones(3)), "use jacobian"),
    "argnums": (lambda: wg.grad(lambda x: x, argnums=2)(1.0), "argnums"),
    "nothing to differentiate": (lambda: wg.grad(lambda s: 1.0)("text"), "nothing to differentiate"),
    "not a function": (lambda: wg.grad(3.0), "takes a function"),
    "aux": (lambda: wg.grad(lambda x: x, has_aux=True)(1.0), "(loss, aux)"),
    "tangents": (lambda: wg.jvp(lambda x: x, (1.0,), ([1.0],)), "structure of the primals"),
    "shape of a tangent": (lambda: wg.jvp(lambda x: x, (1.0,), (np.ones(2),)), "does not match"),
}


@MODES
@pytest.mark.parametrize("kind", WRONG)
def test_wrong_arguments(kind: str, mode: str) -> None:
    call, message = WRONG[kind]
    with run_in(mode), pytest.raises(ArgumentError) as caught:
        call()
    assert message in str(caught.value)


@MODES
def test_writing_to_one_of_two_names_of_an_array_is_refused(mode: str) -> None:
    def overwrite(x: np.ndarray, y: np.ndarray) -> float:
        x[0] = 5.0 * x[1]
        return np.sum(x * y)

    gradient = wg.grad(overwrite, argnums=1)
    x = np.array([1.0, 2.0])
    with run_in(mode):
        np.testing.assert_allclose(gradient(x, x.copy()), [10.0, 2.0])
        with pytest.raises(wg.UnsupportedError, match="shares memory"):
            gradient(x, x)
        with pytest.raises(wg.UnsupportedError, match="shares memory"):
            gradient(x, x[::-1])
