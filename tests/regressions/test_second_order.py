"""Second derivatives of random programs: forward and reverse of the gradient against differences of it."""

import warnings

import pytest

import wengert as wg
from wengert.testing.programs import generate
from wengert.testing.programs.compare import load, unload


# 117: cotangents whose sizes come from an arm of an `if` go by two names in the second reverse pass.
@pytest.mark.parametrize("seed", [104, 117])
def test_second_order_of_a_random_program(seed):
    module = load(generate(seed))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wg.EagerFallbackWarning)
            wg.check_grads(module.program, module.make_args(), order=2)
    finally:
        unload(module)
