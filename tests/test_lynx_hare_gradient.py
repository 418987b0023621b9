"""The gradient of the lynx and hare loss: three modes against the complex step, whose error is rounding only."""

import cmath
import types
from dataclasses import astuple, replace

import numpy as np
import pytest

from tests.test_lynx_hare import example  # noqa: F401 - a fixture
from wengert.testing.modes import run_modes

STEP = 1e-30


def complex_step(module, params):
    """d loss / d p = Im loss(p + ih) / h (Squire & Trapp 1998), exact to rounding; `math` is replaced by `cmath`."""
    loss = types.FunctionType(module.loss.__code__, {**vars(module), "math": cmath})
    names = [f for f in params.__dataclass_fields__]
    return np.array([loss(replace(params, **{n: getattr(params, n) + STEP * 1j})).imag / STEP for n in names])


def relative(found, expected):
    return np.max(np.abs(found - expected) / np.abs(expected))


@pytest.mark.parametrize("scale", [1.0, 1.02])
def test_the_gradient_is_right_in_every_mode(example, scale):  # noqa: F811
    start = astuple(example.params)
    params = example.Params(*(scale * p for p in start))
    expected = complex_step(example, params)
    outcomes = run_modes(example.loss, (params,), wrt=0)
    gradients = {m: np.array(astuple(g)) for m, (_, g) in outcomes.items() if m != "python"}
    assert set(gradients) == {"compiled", "eager", "reference"}
    value = example.loss(params)
    for mode, gradient in gradients.items():
        assert outcomes[mode][0] == pytest.approx(value, rel=1e-12)
        assert relative(gradient, expected) <= 1e-9, mode
        assert relative(gradient, gradients["reference"]) <= 1e-12, mode
