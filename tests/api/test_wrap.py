"""Foreign functions with a derivative: every method and rule, shapes, calls counted, wrong use."""

from __future__ import annotations

import math
import struct
import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import wengert as wg

MODES = pytest.mark.parametrize("mode", ["compiled", "eager"])
X = np.array([0.3, -0.7, 1.2])


def run_in(mode: str) -> Any:
    return wg.eager() if mode == "eager" else nullcontext()


class Foreign:
    """Counts its calls; traced values must never reach it."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x, y):
        self.calls += 1
        assert isinstance(x, np.ndarray | float | complex), type(x)
        return np.sin(x) * y


def plain(x, y):
    return np.sin(x) * y


def through(f, x):
    total = 0.0
    for k in range(3):
        total = total + np.sum(f(x * k, 2.0 + k) * x)
    return total


def foreign_cos(x):
    """Goes through bytes, which cannot be traced."""
    return np.array([struct.unpack("d", struct.pack("d", math.cos(e)))[0] for e in x])


RULES = {
    "vjp": dict(vjp=lambda args, out, ct: (ct * np.cos(args[0]) * args[1], np.sum(ct * np.sin(args[0])))),
    "jvp": dict(jvp=lambda args, dots: np.cos(args[0]) * args[1] * dots[0] + np.sin(args[0]) * dots[1]),
    "complex": dict(method="complex"),
    "central": dict(method="central"),
    "fourth": dict(method="central", order=4),
    "foreign vjp": dict(vjp=lambda args, out, ct: (ct * foreign_cos(args[0]) * args[1], None)),
    "foreign jvp": dict(jvp=lambda args, dots: foreign_cos(args[0]) * args[1] * dots[0] + np.sin(args[0]) * dots[1]),
}
TOLERANCE = {"complex": 1e-13, "central": 1e-8, "fourth": 1e-10}


@MODES
@pytest.mark.parametrize("rule", RULES)
def test_values_and_derivatives(mode, rule):
    foreign = Foreign()
    f = wg.wrap(foreign, like=lambda x, y: x, **RULES[rule])
    rtol = TOLERANCE.get(rule, 1e-13)
    with run_in(mode), warnings.catch_warnings():
        warnings.simplefilter("error")
        value, slope = wg.value_and_grad(lambda x: through(f, x))(X)
        np.testing.assert_allclose(value, through(plain, X), rtol=1e-13)
        np.testing.assert_allclose(slope, wg.grad(lambda x: through(plain, x))(X), rtol=rtol)
        found = wg.jvp(lambda x: through(f, x), (X,), (X[::-1].copy(),))
        expected = wg.jvp(lambda x: through(plain, x), (X,), (X[::-1].copy(),))
        np.testing.assert_allclose(found, expected, rtol=rtol)
        np.testing.assert_allclose(wg.jacobian(lambda x: f(x, 3.0))(X), np.diag(3.0 * np.cos(X)), rtol=rtol, atol=1e-15)
    assert f(X, 2.0) is not None and foreign.calls > 0


@MODES
def test_the_primal_is_called_once(mode):
    foreign = Foreign()
    f = wg.wrap(foreign, vjp=RULES["vjp"]["vjp"], like=lambda x, y: x)
    with run_in(mode):
        gradient = wg.grad(lambda x: np.sum(f(x, 2.0)))
        gradient(X)
        foreign.calls = 0
        gradient(X)
    assert foreign.calls == 1


@MODES
@pytest.mark.parametrize("rule", ["vjp", "jvp"])
def test_rules_that_can_be_staged_have_second_derivatives(mode, rule):
    f = wg.wrap(Foreign(), like=lambda x, y: x, **RULES[rule])
    with run_in(mode):
        found = wg.hessian(lambda x: np.sum(f(x, 2.0) ** 2))(X)
    np.testing.assert_allclose(found, np.diag(8.0 * np.cos(2.0 * X)), rtol=1e-12, atol=1e-14)


@MODES
@pytest.mark.parametrize("rule", ["central", "foreign vjp", "foreign jvp"])
def test_others_refuse_second_derivatives(mode, rule):
    f = wg.wrap(Foreign(), like=lambda x, y: x, **RULES[rule])
    with run_in(mode), pytest.raises(wg.GradientCutError, match="derivative"):
        wg.grad(lambda x: np.sum(wg.grad(lambda y: np.sum(f(y, 2.0)))(x) ** 2))(X)


def test_the_first_call_shows_what_comes_out():
    foreign = Foreign()
    f = wg.wrap(foreign, method="complex")
    gradient = wg.grad(lambda x: np.sum(f(x, 2.0)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in (3, 3, 2, 2, 1):
            np.testing.assert_allclose(gradient(X[:n]), 2.0 * np.cos(X[:n]), rtol=1e-13)
        fresh = wg.wrap(foreign, method="complex")
        compiled = wg.jit(lambda x: fresh(x, 2.0) * 2.0)
        for _ in range(3):
            np.testing.assert_allclose(compiled(X), 4.0 * np.sin(X), rtol=1e-13)


@MODES
def test_shapes_that_are_declared(mode):
    outer = wg.wrap(lambda a, b: np.multiply.outer(a, b), method="central", shape=lambda a, b: (len(a), len(b)))
    pair = wg.wrap(lambda x: {"y": math.sin(x), "n": 3}, method="central", like={"y": 0.0, "n": 0})
    with run_in(mode):
        np.testing.assert_allclose(wg.grad(lambda a: np.sum(outer(a, a[:2])))(X), [X.sum() + X[:2].sum()] * 2 + [X[:2].sum()])
        np.testing.assert_allclose(wg.grad(lambda x: pair(x)["y"] * pair(x)["n"])(0.4), 3.0 * math.cos(0.4), rtol=1e-9)
        wrong = wg.wrap(lambda x: x[:2], method="central", like=lambda x: x)
        if mode == "compiled":
            with pytest.raises(ValueError, match="another shape"):
                wg.grad(lambda x: np.sum(wrong(x)))(X)


@MODES
def test_random_directions(mode):
    f = wg.wrap(lambda x: float(np.sum(x * x)), method="spsa", smooth=False, samples=4000, seed=1, shape=())
    with run_in(mode):
        np.testing.assert_allclose(wg.grad(f)(X), 2.0 * X, atol=0.15)


@MODES
def test_errors_of_the_function_go_through(mode):
    def failing(x):
        if x > 1.0:
            raise KeyError("too large")
        return x

    f = wg.wrap(failing, method="central", shape=())
    with run_in(mode):
        assert round(wg.grad(f)(0.5), 6) == 1.0
        with pytest.raises(KeyError, match="too large"):
            wg.grad(f)(2.0)


@MODES
def test_an_error_estimate_refuses_kinks(mode):
    f = wg.wrap(lambda x: abs(x - 1.0) * x, method="central", tolerance=1e-6, shape=())
    with run_in(mode):
        np.testing.assert_allclose(wg.grad(f)(3.0), 5.0, rtol=1e-9)
        with pytest.raises(ArithmeticError, match="estimated error"):
            wg.grad(f)(1.0 + 1e-6)


@MODES
def test_complex_steps_are_exact_and_need_complex_code(mode):
    f = wg.wrap(lambda z: np.exp(z) / np.sqrt(z), method="complex", shape=())
    g = wg.wrap(lambda x: float(np.real(x)), method="complex", shape=())
    with run_in(mode):
        np.testing.assert_allclose(wg.grad(f)(2.0), math.exp(2.0) * (2.0**-0.5 - 0.5 * 2.0**-1.5), rtol=1e-15)
        with pytest.raises(wg.ArgumentError, match="returned none"):
            wg.grad(g)(2.0)


def test_wrong_use():
    for options, message in [
        ({}, "either a rule"),
        ({"method": "central", "vjp": abs}, "either a rule"),
        ({"method": "magic"}, "must be one of"),
        ({"method": "central", "smooth": False}, "smooth"),
        ({"method": "central", "order": 3}, "2 or 4"),
    ]:
        with pytest.raises(wg.ArgumentError, match=message):
            wg.wrap(math.sin, **options)


@MODES
def test_check_grads_finds_a_wrong_rule(mode):
    f = wg.wrap(math.gamma, vjp=lambda args, out, ct: ct * out, shape=())
    with run_in(mode), pytest.raises(AssertionError, match="differs from"):
        wg.check_grads(f, (2.5,))


def test_unknown_code_is_refused_with_the_way_out():
    with pytest.raises(wg.StagingError, match=r"give it a derivative with wg\.wrap"):
        wg.jit(lambda x: np.linalg.eigvals(np.outer(x, x))[0])(2.0)
    with wg.eager(), pytest.raises(wg.GradientCutError, match=r"give it a derivative with wg\.wrap"):
        wg.grad(lambda x: np.linalg.eigvals(np.outer(x, x))[0])(2.0)
