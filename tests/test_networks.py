"""The networks of `benchmarks/network_programs.py` at small sizes: in all modes, against differences and PyTorch's definition."""

import sys
from pathlib import Path

import numpy as np

import wengert as wg
from tests.frontend.array_modes import agree_everywhere

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import network_programs as programs

RNG = np.random.default_rng(3)
LABELS = np.array([2, 0])


def test_convolution_is_the_sum_over_its_window():
    x, kernel, bias = RNG.normal(size=(2, 5, 6, 3)), RNG.normal(size=(3, 2, 2, 4)), RNG.normal(size=4)
    found = wg.jit(programs.convolved)(x, kernel, bias)
    assert found.shape == (2, 4, 5, 4)
    expected = bias + sum(
        np.einsum("brci,io->brco", x[:, i : i + 4, j : j + 5], kernel[:, i, j]) for i in range(2) for j in range(2)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


def test_the_gradient_of_a_convolutional_network_in_all_modes():
    def loss(kernel, bias, w, x):
        return programs.convolutional([(kernel, bias), (w, np.zeros(3))], x, LABELS)

    kernel, x = RNG.normal(size=(2, 2, 2, 2)), RNG.normal(size=(2, 5, 5, 2))
    agree_everywhere(loss, kernel, RNG.normal(size=2), RNG.normal(size=(8, 3)), x)


def test_the_gradient_of_a_perceptron_in_all_modes():
    def loss(v, b, w, x):
        return programs.perceptron([(v, b), (w, np.zeros(3))], x, LABELS)

    agree_everywhere(loss, RNG.normal(size=(4, 5)), RNG.normal(size=5), RNG.normal(size=(5, 3)), RNG.normal(size=(2, 4)))


def test_single_precision_stays():
    weights, x, labels = programs.convolutional_problem()
    value, bars = wg.value_and_grad(programs.convolutional)(weights, x[:3], labels[:3])
    assert value.dtype == np.float32
    assert all(bar.dtype == np.float32 for layer in bars for bar in layer)
