"""Random numbers in staged code: those of plain Python with the same seed, as inputs that are not differentiated."""

from __future__ import annotations

import random
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


def seed():
    np.random.seed(3)
    random.seed(4)


def of_modules(x):
    a = np.random.normal(size=3) + np.random.rand(3) * np.random.randint(1, 5)
    b = random.random() + random.gauss(0.0, 1.0) + random.randint(1, 6) + random.choice([1.0, 2.0])
    c = np.random.uniform(-1.0, 1.0) + np.random.randn()
    return np.sum(a * x) * b + c


def of_methods(x):
    generator = np.random.default_rng(5)
    legacy = np.random.RandomState(6)
    total = 0.0
    for _ in range(3):
        y = generator.permutation(x)
        generator.shuffle(y)
        total = total + np.sum(y * generator.choice(x, size=3)) * generator.choice(x) + legacy.choice(4)
    total = total + generator.poisson(3.0) * legacy.exponential() + generator.integers(10) * generator.standard_normal()
    cov = np.array([[1.0, 0.2], [0.2, 2.0]])
    return total + np.sum(generator.multivariate_normal(np.zeros(2), cov) * x[:2]) + np.sum(generator.permutation(3) * x)


def in_branches(x):
    generator = np.random.default_rng(5)
    total = 0.0
    for k in range(len(x)):
        if x[k] > 0.0:
            total = total + generator.normal() * x[k]
        else:
            total = total - generator.uniform(size=2)[1] * x[k]
    while total < 2.0:
        total = total + generator.random() * x[0]
    return total


def in_parameters(x):
    generator = np.random.default_rng(5)
    mean, scale = x[0], np.exp(x[1])
    total = 0.0
    for name in ("normal", "laplace", "gumbel", "logistic", "uniform", "lognormal"):
        total = total + np.sum(getattr(generator, name)(mean, mean + scale, size=2) ** 2)
    total = total + generator.exponential(scale) + np.sum(generator.normal(x, 2.0) * generator.normal(0.0, x * x, size=(2, 3)))
    return total + random.gauss(mean, scale) * random.uniform(mean, scale) * random.expovariate(scale)


@MODES
@pytest.mark.parametrize("f", [of_modules, of_methods, in_branches, in_parameters])
def test_numbers_and_gradients_are_those_of_python(mode, f):
    seed()
    expected = f(X)
    gradient = wg.value_and_grad(f)
    with run_in(mode), warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            seed()
            value, slope = gradient(X)
            np.testing.assert_allclose(value, expected, rtol=1e-13)
    for k in range(3):
        sides = []
        for h in (1e-6, -1e-6):
            seed()
            sides.append(f(X + h * np.eye(3)[k]))
        np.testing.assert_allclose(slope[k], (sides[0] - sides[1]) / 2e-6, rtol=1e-6, atol=1e-8)


@MODES
def test_the_stream_goes_on_from_call_to_call(mode):
    generator = np.random.default_rng(9)
    gradient = wg.grad(lambda x: x * generator.normal())
    with run_in(mode):
        found = [gradient(1.0) for _ in range(4)]
    np.testing.assert_array_equal(found, np.random.default_rng(9).normal(size=4))
    generator = np.random.default_rng(10)
    with run_in(mode):
        assert gradient(1.0) == np.random.default_rng(10).normal()


@MODES
def test_draws_without_a_formula_have_no_derivative(mode):
    def f(x):
        return x * np.random.default_rng(1).gamma(x)

    with run_in(mode):
        with pytest.raises(wg.GradientCutError, match="gamma has no derivative"):
            wg.grad(f)(2.0)
        expected = np.random.default_rng(1).gamma(2.0)
        assert wg.grad(lambda x: x * np.random.default_rng(1).gamma(wg.stop_gradient(x)))(2.0) == expected


@MODES
def test_sizes_follow_the_arguments(mode):
    gradient = wg.grad(lambda x: np.sum(x * np.random.default_rng(2).normal(size=len(x))))
    with run_in(mode):
        for n in (2, 5):
            np.testing.assert_array_equal(gradient(np.ones(n)), np.random.default_rng(2).normal(size=n))


@MODES
def test_seeds_may_be_computed(mode):
    def f(x, n):
        total = 0.0
        for k in range(n):
            np.random.seed(k + 1)
            total = total + x * np.random.rand() * np.random.default_rng(k).random()
        return total

    with run_in(mode):
        np.testing.assert_allclose(wg.grad(f)(1.0, 40), f(1.0, 40), rtol=1e-13)


def test_what_is_not_staged_runs_eagerly():
    def f(x):
        items = [1, 2, 3]
        random.shuffle(items)
        return x * items[0]

    random.seed(0)
    with pytest.warns(wg.EagerFallbackWarning, match="not staged"):
        found = wg.grad(f)(1.0)
    random.seed(0)
    assert found == f(1.0)


@MODES
def test_whole_numbers_that_depend_on_a_parameter_are_refused(mode):
    def f(x):
        return np.sum(x * np.random.default_rng(1).poisson(x))

    with run_in(mode):
        with pytest.raises(wg.GradientCutError, match="poisson has no derivative"):
            wg.grad(f)(np.array([3.0, 4.0]))
        with pytest.raises(wg.GradientCutError, match="poisson has no derivative"):
            wg.jvp(f, (np.array([3.0, 4.0]),), (np.ones(2),))
        assert wg.grad(lambda x, rate: x * np.random.default_rng(1).poisson(rate))(2.0, 3.0) > 0.0
