"""Random programs with calls: interpreter, passes and native code agree; forward, reverse and second order belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.transforms.random_calls import RandomProgram
from wengert.codegen.compiled import compile
from wengert.ir.core import Function
from wengert.ir.equal import same
from wengert.ir.interpret import run
from wengert.ir.parser import parse
from wengert.ir.printer import print_function
from wengert.ir.verify import verify
from wengert.passes.pipeline import optimize
from wengert.transforms.jvp import jvp
from wengert.transforms.vjp import vjp

SIZE, BUDGET = 3, 2


def close(found: Any, expected: Any) -> None:
    for value, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, want, rtol=1e-9, atol=1e-10)


def agree(fn: Function, args: list[Any]) -> list[Any]:
    """The results of `fn`, the same as interpreted, optimised and native."""
    verify(fn)
    expected = run(fn, args)
    small = optimize(fn)
    verify(small)
    close(run(small, args), expected)
    native = compile(small)
    for _ in range(2):
        close(native(*args), expected)
    return expected


def check(seed: int, second: bool = False) -> None:
    """All that must hold of the program made from `seed`."""
    rng = np.random.default_rng(seed)
    fn = RandomProgram(seed).function
    assert same(parse(print_function(fn)), fn)
    args: list[Any] = [rng.normal(size=SIZE), float(rng.normal()), BUDGET]
    values = agree(fn, args)
    dots: list[Any] = [rng.normal(size=SIZE), float(rng.normal())]
    bars: list[Any] = [rng.normal(size=np.shape(v)) for v in values]
    tangents = agree(jvp(fn, (0, 1)), [*args, *dots])[len(values) :]
    reverse = vjp(fn, (0, 1))
    gradients = agree(reverse, [*args, *bars])[len(values) :]
    along = sum(np.sum(t * c) for t, c in zip(tangents, bars, strict=True))
    assert sum(np.sum(g * d) for g, d in zip(gradients, dots, strict=True)) == pytest.approx(along, rel=1e-9, abs=1e-10)
    if second:
        check_second(reverse, [*args, *bars], dots, len(values))


def check_second(reverse: Function, args: list[Any], dots: list[Any], count: int) -> None:
    """The derivative of the gradient: forward over reverse equals reverse over reverse."""
    forward = agree(jvp(reverse, (0, 1)), [*args, *dots])[-2:]
    zeros = [0 * np.asarray(v)[()] for v in run(reverse, args)[:count]]
    backward = agree(vjp(reverse, (0, 1)), [*args, *zeros, *dots])[-2:]
    close(backward, forward)  # the Hessian is symmetric


@pytest.mark.parametrize("seed", range(10))
def test_random_programs_with_calls(seed: int) -> None:
    check(seed, second=seed < 2)
