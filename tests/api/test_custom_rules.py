"""Functions with derivative rules of the user's own: every transformation, order, mode and place, and wrong rules."""

from __future__ import annotations

import functools
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import wengert as wg
from wengert.testing.check_grads import GradientMismatchError

MODES = pytest.mark.parametrize("mode", ["compiled", "eager"])
X = np.array([0.3, -0.7, 1.2])


def run_in(mode: str) -> Any:
    return wg.eager() if mode == "eager" else nullcontext()


@wg.custom_jvp
def soft(x):
    return np.log(1.0 + np.exp(x))


@soft.defjvp
def _(primals, tangents):
    (x,), (x_dot,) = primals, tangents
    return soft(x), x_dot / (1.0 + np.exp(-x))


@wg.custom_vjp
def product(x, y):
    return np.sin(x) * y


def product_fwd(x, y):
    return product(x, y), (np.cos(x), np.sin(x), y)


def product_bwd(residuals, g):
    c, s, y = residuals
    return c * g * y, s * g


product.defvjp(product_fwd, product_bwd)


def same(f, g, *args):
    """All derivatives of `f`, whose rules are exact, against those of `g`, which has none."""
    np.testing.assert_allclose(wg.grad(f)(*args), wg.grad(g)(*args), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(wg.hessian(f)(*args), wg.hessian(g)(*args), rtol=1e-11, atol=1e-13)
    direction = tuple(np.cos(np.arange(np.size(a))).reshape(np.shape(a)) for a in args)
    found, expected = wg.jvp(f, args, direction), wg.jvp(g, args, direction)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    hvp = wg.grad(lambda *a: wg.jvp(f, a, direction)[1])(*args)
    np.testing.assert_allclose(hvp, wg.grad(lambda *a: wg.jvp(g, a, direction)[1])(*args), rtol=1e-11, atol=1e-13)
    over = wg.grad(lambda *a: np.sum(wg.grad(f)(*a) * direction[0]))(*args)
    np.testing.assert_allclose(over, hvp, rtol=1e-10, atol=1e-13)


def with_soft(x):
    return np.sum(soft(x * x) * x)


def without_soft(x):
    return np.sum(np.log(1.0 + np.exp(x * x)) * x)


def loop_of_products(x):
    total = 0.5
    for k in range(4):
        total = total * np.sum(product(x, x * k)) + k
    return total


def loop_of_sines(x):
    total = 0.5
    for k in range(4):
        total = total * np.sum(np.sin(x) * (x * k)) + k
    return total


@MODES
@pytest.mark.parametrize(("f", "g"), [(with_soft, without_soft), (loop_of_products, loop_of_sines)])
def test_every_transformation_and_order(mode, f, g):
    with run_in(mode):
        same(f, g, X)


@MODES
def test_third_order(mode):
    s = 1.0 / (1.0 + np.exp(-0.3))
    with run_in(mode):
        third = wg.grad(wg.grad(wg.grad(soft)))(0.3)
        both = wg.grad(wg.grad(wg.grad(lambda x: product(x, x))))(0.3)
    np.testing.assert_allclose(third, s * (1 - s) * (1 - 2 * s), rtol=1e-12)
    np.testing.assert_allclose(both, -3.0 * np.sin(0.3) - 0.3 * np.cos(0.3), rtol=1e-12)


@MODES
def test_the_rule_is_used_where_plain_differentiation_overflows(mode):
    with run_in(mode):
        assert wg.grad(soft)(800.0) == 1.0
    assert np.isnan(wg.grad(lambda x: np.log(1.0 + np.exp(x)))(800.0))


@MODES
def test_staged_loops_and_branches_with_data_dependent_stops(mode):
    def f(x, n):
        total = 1.0
        for k in range(n):
            if total > 1.5:
                total = product(total, x) + soft(x)
            else:
                total = total + soft(total * x)
        while total > 0.5:
            total = product(0.5 * total, 0.9 * x)
        return total * x

    def g(x, n):
        total = 1.0
        for k in range(n):
            if total > 1.5:
                total = np.sin(total) * x + np.log(1.0 + np.exp(x))
            else:
                total = total + np.log(1.0 + np.exp(total * x))
        while total > 0.5:
            total = np.sin(0.5 * total) * (0.9 * x)
        return total * x

    with run_in(mode):
        for n in (0, 1, 60):
            np.testing.assert_allclose(wg.grad(f)(0.7, n), wg.grad(g)(0.7, n), rtol=1e-11)
            np.testing.assert_allclose(wg.grad(wg.grad(f))(0.7, n), wg.grad(wg.grad(g))(0.7, n), rtol=1e-10)


def test_plain_calls_and_jit_compute_the_function_itself():
    calls = []

    @wg.custom_vjp
    def f(x):
        return x * 2.0

    f.defvjp(lambda x: (calls.append(1), (x * 2.0, None))[1], lambda _, g: (2.0 * g,))
    assert f(3.0) == 6.0 and wg.jit(lambda x: f(x) + 1.0)(3.0) == 7.0
    assert f.__name__ == "f"


@MODES
def test_trees_in_and_out(mode):
    @wg.custom_vjp
    def f(params, scale):
        return {"out": params["w"] * scale, "sum": (np.sum(params["w"]) + params["b"], 7)}

    def fwd(params, scale):
        return f(params, scale), (params, scale)

    def bwd(residuals, ct):
        params, scale = residuals
        by_sum = ct["sum"][0]
        return {"w": ct["out"] * scale + by_sum, "b": by_sum}, np.sum(ct["out"] * params["w"])

    f.defvjp(fwd, bwd)

    def loss(params, scale):
        found = f(params, scale)
        return np.sum(found["out"] ** 2) + found["sum"][0] * found["sum"][1]

    params = {"w": np.array([1.0, 2.0]), "b": 3.0}
    with run_in(mode):
        by_params, by_scale = wg.grad(loss, (0, 1))(params, 0.5)
    np.testing.assert_allclose(by_params["w"], 2 * params["w"] * 0.25 + 7.0)
    assert by_params["b"] == 7.0
    np.testing.assert_allclose(by_scale, np.sum(2 * 0.5 * params["w"] ** 2))


@MODES
def test_arguments_that_are_not_differentiated(mode):
    @functools.partial(wg.custom_jvp, nondiff_argnums=(0,))
    def apply(fn, x, power=2):
        return fn(x) ** power

    @apply.defjvp
    def _(fn, primals, tangents):
        x, power = primals
        return apply(fn, x, power), power * fn(x) ** (power - 1) * np.cos(x) * tangents[0]

    @functools.partial(wg.custom_vjp, nondiff_argnames="fn")
    def pull(x, fn):
        return fn(x)

    pull.defvjp(lambda x, fn: (fn(x), x), lambda fn, x, g: (g * (fn(x + 1e-6) - fn(x - 1e-6)) / 2e-6,))
    with run_in(mode):
        np.testing.assert_allclose(wg.grad(lambda x: apply(np.sin, x, 3))(0.4), 3 * np.sin(0.4) ** 2 * np.cos(0.4))
        np.testing.assert_allclose(wg.grad(lambda x: apply(np.sin, x))(0.4), 2 * np.sin(0.4) * np.cos(0.4))
        np.testing.assert_allclose(wg.grad(lambda x: pull(x, np.exp))(0.4), np.exp(0.4), rtol=1e-8)


@MODES
def test_methods(mode):
    class Layer:
        def __init__(self, weight):
            self.weight = weight

        @functools.partial(wg.custom_vjp, nondiff_argnums=(0,))
        def apply(self, x):
            return self.weight * x

        def forward(self, x):
            return self.apply(x), None

        def backward(self, _, g):
            return (10.0 * self.weight * g,)

        apply.defvjp(forward, backward)

    layer = Layer(3.0)
    with run_in(mode):
        assert wg.grad(lambda x: layer.apply(x) * 2.0)(1.0) == 60.0
        with pytest.raises(wg.GradientCutError, match="not differentiable"):
            wg.grad(lambda w: Layer(w).apply(1.0))(3.0)


@MODES
def test_rules_read_globals_and_closures_at_every_call(mode):
    scale = np.array([1.0, 2.0, 3.0])
    factor = 2.0

    @wg.custom_jvp
    def f(x):
        return np.sum(x * scale)

    @f.defjvp
    def _(primals, tangents):
        return f(*primals), factor * np.sum(tangents[0] * scale)

    gradient = wg.grad(lambda x: f(x) ** 2)
    with run_in(mode):
        np.testing.assert_allclose(gradient(X), 4.0 * np.sum(X * scale) * scale)
        factor = 5.0
        np.testing.assert_allclose(gradient(X), 10.0 * np.sum(X * scale) * scale)


@MODES
def test_values_from_around_have_no_derivative_by_the_rule(mode):
    def loss(x, y):
        @wg.custom_jvp
        def f(z):
            return z * x

        @f.defjvp
        def _(primals, tangents):
            return f(*primals), tangents[0] * x

        return f(y)

    with run_in(mode):
        assert wg.grad(loss, 1)(2.0, 3.0) == 2.0
        with pytest.raises(wg.GradientCutError, match="from outside"):
            wg.grad(loss, 0)(2.0, 3.0)


@MODES
def test_defjvps_and_static_arguments(mode):
    @wg.custom_jvp
    def f(x, y, n):
        return x**n * y

    f.defjvps(lambda t, out, x, y, n: n * x ** (n - 1) * y * t, lambda t, out, x, y, n: x**n * t, None)
    with run_in(mode):
        np.testing.assert_allclose(wg.grad(f, (0, 1))(1.5, 2.0, 3), (3 * 1.5**2 * 2.0, 1.5**3))


@MODES
def test_a_pullback_that_is_not_linear_serves_reverse_mode_only(mode):
    @wg.custom_vjp
    def clipped(x):
        return x

    clipped.defvjp(lambda x: (x, None), lambda _, g: (np.clip(g, -1.0, 1.0),))
    with run_in(mode):
        np.testing.assert_allclose(wg.grad(lambda x: np.sum(clipped(x) ** 2))(X), np.clip(2 * X, -1.0, 1.0))
        with pytest.raises(wg.UnsupportedError, match="not linear"):
            wg.jvp(clipped, (1.0,), (1.0,))


@MODES
def test_forward_mode_through_a_pullback_with_a_loop(mode):
    @wg.custom_vjp
    def cumulative(x):
        return np.cumsum(x)

    def bwd(x, g):
        total, out = 0.0, np.zeros(len(x))
        for k in range(len(x)):
            total = total + g[len(x) - 1 - k]
            out[len(x) - 1 - k] = total
        return (out,)

    cumulative.defvjp(lambda x: (np.cumsum(x), x), bwd)
    x = np.arange(1.0, 21.0)
    with run_in(mode):
        np.testing.assert_allclose(wg.jvp(lambda x: cumulative(x) ** 2, (x,), (x,))[1], 2 * np.cumsum(x) ** 2)
        np.testing.assert_allclose(wg.jacobian(cumulative)(x), np.tril(np.ones((20, 20))))
        np.testing.assert_allclose(wg.jacobian(wg.grad(lambda x: np.sum(cumulative(x) ** 2)))(x)[0, 0], 40.0)


@MODES
def test_wrong_rules_are_found(mode):
    @wg.custom_vjp
    def f(x):
        return np.sin(x)

    f.defvjp(lambda x: (np.sin(x), x), lambda x, g: (np.sin(x) * g,))

    @wg.custom_jvp
    def h(x):
        return np.sin(x)

    h.defjvp(lambda primals, tangents: (np.sin(primals[0]), 0.5 * tangents[0]))
    with run_in(mode):
        for wrong in (f, h):
            with pytest.raises(GradientMismatchError):
                wg.check_grads(lambda x, wrong=wrong: wrong(x) * 2.0, (0.3,))


BAD = {
    "tuple": (lambda x: (x * 2.0, None), lambda _, g: 2.0 * g, "a tuple with one cotangent per argument"),
    "length": (lambda x: (x * 2.0, None), lambda _, g: (g, g), "one cotangent per argument"),
    "shape": (lambda x: (x * 2.0, None), lambda _, g: (np.sum(g),), "wrong shape"),
    "structure": (lambda x: (x * 2.0, None), lambda _, g: ({"x": g},), "wrong structure"),
    "pair": (lambda x: x * 2.0, lambda _, g: (g,), "must return"),
}


@MODES
@pytest.mark.parametrize("case", BAD)
def test_rules_of_a_wrong_form(mode, case):
    @wg.custom_vjp
    def f(x):
        return x * 2.0

    fwd, bwd, message = BAD[case]
    f.defvjp(fwd, bwd)
    with run_in(mode), pytest.raises(wg.ArgumentError, match=message):
        wg.grad(lambda x: np.sum(f(x)))(X)


@MODES
def test_a_jvp_rule_of_a_wrong_form(mode):
    @wg.custom_jvp
    def f(x):
        return x * 2.0

    with run_in(mode), pytest.raises(wg.ArgumentError, match="no derivative rule yet"):
        wg.grad(lambda x: f(x))(1.0)
    f.defjvp(lambda primals, tangents: (f(*primals), (tangents[0], tangents[0])))
    with run_in(mode), pytest.raises(wg.ArgumentError, match="wrong structure"):
        wg.grad(lambda x: f(x))(1.0)


def test_writing_to_an_argument_is_refused():
    @wg.custom_jvp
    def f(x):
        x[0] = 0.0
        return x

    f.defjvp(lambda primals, tangents: (primals[0], tangents[0]))
    with pytest.raises(wg.StagingError, match="writes to its argument"):
        wg.jit(lambda x: f(x * 1.0))(X)


def test_one_compilation_serves_other_sizes():
    gradient = wg.grad(lambda x: np.sum(product(x, 2.0 * x[::-1])))
    for n in (2, 3, 7):
        x = np.linspace(0.1, 1.0, n)
        np.testing.assert_allclose(gradient(x), 2 * (np.cos(x) * x[::-1] + np.sin(x)[::-1]))


@MODES
def test_a_jacobian_inside_of_a_gradient(mode):
    def f(x):
        return np.sum(wg.jacobian(lambda y: product(y, y) * y[0])(x) ** 2) + np.sum(wg.jacobian(with_soft)(x))

    def g(x):
        return np.sum(wg.jacobian(lambda y: np.sin(y) * y * y[0])(x) ** 2) + np.sum(wg.jacobian(without_soft)(x))

    with run_in(mode):
        np.testing.assert_allclose(wg.grad(f)(X), wg.grad(g)(X), rtol=1e-11)
