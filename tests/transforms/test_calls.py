"""Derivatives of programs with calls: against differences, complex step and each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.transforms.call_programs import PROGRAMS, program
from wengert.ir.interpret import run
from wengert.ir.verify import verify
from wengert.passes.pipeline import optimize
from wengert.transforms.jvp import jvp

Arrays = list[Any]


def directions(name: str, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    case = PROGRAMS[name]
    return [rng.normal(size=np.shape(case.args[k]))[()] for k in case.wrt]


def complex_step(name: str, dots: Arrays) -> Arrays:
    """The derivative of the results in NumPy along `dots`."""
    case, step = PROGRAMS[name], 1e-30
    args: Arrays = list(case.args)
    for k, dot in zip(case.wrt, dots, strict=True):
        args[k] = np.asarray(args[k] + 1j * step * dot)[()]
    return [np.imag(r) / step for r in case.value(*args)]


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("optimized", [False, True])
def test_jvp_is_the_derivative(name: str, optimized: bool) -> None:
    fn = jvp(program(name), PROGRAMS[name].wrt)
    fn = optimize(fn) if optimized else fn
    verify(fn)
    dots = directions(name)
    found = run(fn, [*PROGRAMS[name].args, *dots])
    count = len(found) // 2
    for value, expected in zip(found[:count], PROGRAMS[name].value(*PROGRAMS[name].args), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-13)
    for dot, expected in zip(found[count:], complex_step(name, dots), strict=True):
        np.testing.assert_allclose(dot, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", PROGRAMS)
def test_passes_keep_the_meaning(name: str) -> None:
    fn = optimize(program(name))
    verify(fn)
    found = run(fn, PROGRAMS[name].args)
    for value, expected in zip(found, PROGRAMS[name].value(*PROGRAMS[name].args), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-13)
    assert optimize(fn) is fn
