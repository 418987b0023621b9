"""Functions that change or watch what flows back: values, gradients, loops, trees, second order, both modes."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import wengert as wg

MODES = pytest.mark.parametrize("mode", ["compiled", "eager"])
X = np.array([0.3, -0.7, 1.2])


def run_in(mode: str) -> Any:
    return wg.eager() if mode == "eager" else nullcontext()


@pytest.fixture(autouse=True)
def no_probes():
    wg.probe_report(reset=True)
    yield
    wg.probe_report(reset=True)


def test_outside_of_derivatives_nothing_happens():
    assert wg.scale_gradient(X, 2.0) is X and wg.clip_gradient(X, norm=1.0) is X and wg.gradient_probe(X, "x") is X
    assert wg.straight_through(round)(1.7) == 2.0 and isinstance(wg.straight_through(round)(1.7), float)
    assert wg.jit(lambda x: wg.scale_gradient(x, 3.0) + wg.clip_gradient(x, value=1.0))(2.0) == 4.0


@MODES
def test_scaled_and_reversed(mode):
    with run_in(mode):
        np.testing.assert_allclose(wg.grad(lambda x: np.sum(wg.scale_gradient(x, 0.25) ** 2))(X), 0.5 * X)
        np.testing.assert_allclose(wg.grad(lambda x: np.sum(wg.reverse_gradient(x, 2.0) ** 2 + x))(X), -4.0 * X + 1.0)
        found = wg.grad(lambda p: wg.scale_gradient(p, 3.0)["a"] ** 2 + p["b"])({"a": 2.0, "b": 1.0, "n": "text"})
        assert found == {"a": 12.0, "b": 1.0, "n": None}
        assert wg.jvp(lambda x: wg.scale_gradient(x, 0.5) ** 2, (3.0,), (1.0,)) == (9.0, 3.0)
        assert wg.grad(lambda x, s: wg.scale_gradient(x, s) * s, (0, 1))(3.0, 2.0) == (4.0, 3.0)
        assert wg.grad(wg.grad(lambda x: wg.scale_gradient(x, 0.5) ** 3))(2.0) == 0.5 * 12.0


@MODES
def test_scaled_in_a_staged_loop(mode):
    def f(x, n):
        for _ in range(n):
            x = wg.scale_gradient(np.sin(x) + x, 0.5)
        return x

    def slope(x, n):
        total = 1.0
        for _ in range(n):
            total *= 0.5 * (np.cos(x) + 1.0)
            x = np.sin(x) + x
        return total

    with run_in(mode):
        np.testing.assert_allclose(wg.grad(f)(0.4, 7), slope(0.4, 7))


@MODES
def test_straight_through(mode):
    with run_in(mode):
        rounded = wg.grad(lambda x: np.sum(wg.straight_through(np.round)(3.0 * x) * x))
        np.testing.assert_allclose(rounded(X), np.round(3 * X) + 3 * X)
        hard = wg.grad(lambda x: np.sum(wg.straight_through(x > 0.5, 1.0 / (1.0 + np.exp(-x))) * X))
        s = 1.0 / (1.0 + np.exp(-X))
        np.testing.assert_allclose(hard(X), s * (1 - s) * X)
        value, _ = wg.value_and_grad(lambda x: np.sum(wg.straight_through(x > 0.5, x)))(X)
        assert value == 1.0
        second = wg.hessian(lambda x: wg.straight_through(np.sign(x), np.tanh(x)))(0.3)
        np.testing.assert_allclose(second, -2 * np.tanh(0.3) * (1 - np.tanh(0.3) ** 2))


@MODES
def test_clipped(mode):
    with run_in(mode):
        np.testing.assert_allclose(wg.grad(lambda x: np.sum(wg.clip_gradient(x, value=1.0) ** 2))(X), np.clip(2 * X, -1, 1))
        norm = np.linalg.norm(2 * X)
        for bound in (0.5, 10.0):
            expected = 2 * X * min(1.0, bound / norm)
            np.testing.assert_allclose(wg.grad(lambda x, b: np.sum(wg.clip_gradient(x, norm=b) ** 2))(X, bound), expected)
        tree = wg.grad(lambda p: np.sum(wg.clip_gradient(p, norm=1.0)["a"] * 3.0) + 4.0 * wg.clip_gradient(p, norm=9.0)["b"])
        found = tree({"a": np.zeros(2), "b": 1.0})
        np.testing.assert_allclose(found["a"], np.full(2, 3.0 / np.sqrt(18.0)))
        assert found["b"] == 4.0
        assert wg.grad(lambda x: wg.clip_gradient(x, norm=1.0) * 0.0)(2.0) == 0.0
        with pytest.raises(wg.UnsupportedError, match="not linear"):
            wg.jvp(lambda x: wg.clip_gradient(x, value=1.0), (1.0,), (1.0,))


def test_clip_takes_one_bound():
    with pytest.raises(wg.ArgumentError, match="one of 'value' and 'norm'"):
        wg.clip_gradient(X)


@MODES
def test_probes_in_a_loop(mode):
    def f(x, n):
        total = 0.0
        for k in range(n):
            total = total + k * np.sum(wg.gradient_probe(x * 1.0, "x") ** 2)
        return total

    with run_in(mode):
        np.testing.assert_allclose(wg.grad(f)(X, 3), 6.0 * X)
    probe = wg.probe_report()["x"]
    seen = np.concatenate([2.0 * k * X for k in range(3)])
    assert (probe.calls, probe.count, probe.nans, probe.infs) == (3, 9, 0, 0)
    np.testing.assert_allclose([probe.mean, probe.std, probe.min, probe.max], [seen.mean(), seen.std(), seen.min(), seen.max()])
    np.testing.assert_allclose(sorted(probe.norms), [np.linalg.norm(2 * k * X) for k in range(3)])
    with run_in(mode):
        assert wg.jvp(lambda x: wg.gradient_probe(x, "x") ** 2, (3.0,), (1.0,)) == (9.0, 6.0)
    assert wg.probe_report(reset=True)["x"].calls == 3
    assert wg.probe_report() == {}


@MODES
def test_probes_count_what_is_not_finite(mode):
    with run_in(mode):
        wg.grad(lambda x: np.sum(np.sqrt(wg.gradient_probe(x, "p"))))(np.array([0.0, -1.0, 4.0]))
    probe = wg.probe_report()["p"]
    assert (probe.infs, probe.nans, probe.mean) == (1, 1, 0.25)
