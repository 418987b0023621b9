"""The lynx and hare example reaches the optimum that SciPy finds with finite differences."""

import importlib.util
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize

from wengert.train import fit

EXAMPLE = Path(__file__).parents[1] / "examples" / "lynx_hare.py"
BEST_LOSS = -42.739937122959


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("lynx_hare", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def differences(f, x):
    """Gradient by central differences, extrapolated once after Richardson."""
    gradient = np.empty_like(x)
    for i in range(x.size):
        estimates = []
        for h in (2e-4 * abs(x[i]), 1e-4 * abs(x[i])):
            step = np.where(np.arange(x.size) == i, h, 0.0)
            estimates.append((f(x + step) - f(x - step)) / (2 * h))
        gradient[i] = (4 * estimates[1] - estimates[0]) / 3
    return gradient


def minimize_with_differences(example, start):
    """Minimise in `y = x / start`; where the loss is not defined the search sees a plateau and turns back."""

    def scaled(y):
        return example.loss(example.Params(*(float(v) for v in y * start)))

    def loss_and_gradient(y):
        try:
            return scaled(y), differences(scaled, y)
        except (ValueError, OverflowError):
            return 1e3, np.zeros_like(y)

    options = {"gtol": 1e-8, "ftol": 1e-16, "maxiter": 500}
    return optimize.minimize(loss_and_gradient, np.ones_like(start), jac=True, method="L-BFGS-B", options=options)


def test_the_example_knows_nothing_of_wengert():
    source = EXAMPLE.read_text()
    assert "import wengert" not in source
    assert "from wengert" not in source


def test_the_documented_optimum(example):
    assert f"{BEST_LOSS}" in example.__doc__


def test_fit_agrees_with_scipy_on_finite_differences(example):
    start = np.array(astuple(example.params))
    reference = minimize_with_differences(example, start)
    result = fit(example.loss, example.params, progress=False)
    assert result.converged
    assert abs(result.loss - reference.fun) <= 1e-8
    assert abs(result.loss - BEST_LOSS) <= 1e-8
    assert example.loss(result.params) == pytest.approx(result.loss, abs=1e-9)
    np.testing.assert_allclose(astuple(result.params), reference.x * start, rtol=1e-5)


def test_adam_goes_the_same_way(example):
    result = fit(example.loss, example.params, method="adam", steps=100, progress=False)
    assert result.loss < -42.0
