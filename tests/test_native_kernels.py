"""The functions of `benchmarks/native_programs/kernels.py` at small sizes: values and gradients in all modes."""

import sys
from pathlib import Path

import numpy as np
import pytest

import wengert as wg

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from native_kernels import CASES, total
from native_programs import kernel_loops, kernels

cases = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)


def result(case, run, args):
    """The result of a call, or what it has written."""
    args = [a.copy() for a in args]
    found = run(*args)
    return found if case.out is None else args[case.out]


@cases
def test_values_agree(case):
    source, args = getattr(kernels, case.name), case.inputs(37)
    expected = result(case, source, args)
    np.testing.assert_allclose(result(case, wg.jit(source), args), expected, rtol=1e-12)
    np.testing.assert_allclose(result(case, getattr(kernel_loops, case.name), args), expected, rtol=1e-12)


@pytest.mark.parametrize("case", [c for c in CASES if c.out is None], ids=lambda c: c.name)
def test_gradients_agree(case):
    args = case.inputs(19)
    loss = total(getattr(kernels, case.name), np.sum)
    wrt = tuple(range(case.arrays))
    compiled = wg.grad(loss, argnums=wrt)(*args)
    with wg.eager():
        eager = wg.grad(loss, argnums=wrt)(*args)
    direction = [np.random.default_rng(5).normal(size=19) for _ in args]
    step = 1e-5
    ahead, behind = (loss(*(a + s * d for a, d in zip(args, direction))) for s in (step, -step))
    slope = sum(float(np.sum(g * d)) for g, d in zip(compiled, direction))
    assert slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-5)
    for a, b in zip(compiled, eager):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
