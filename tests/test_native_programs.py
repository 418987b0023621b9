"""The programs of `benchmarks/native_programs` at small sizes: values and gradients in all modes, and no copy in a loop."""

import sys
from pathlib import Path

import numpy as np
import pytest

import wengert as wg
from wengert.api.program import Program

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from native_polybench import PROGRAMS, loss_of, outputs, weights_of

programs = pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)


def close(found, expected, tolerance=1e-12):
    for a, b in zip(outputs(found), outputs(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@programs
def test_values_and_gradients_agree_and_no_loop_copies(program):
    args = program.inputs(*program.small)
    expected = program.plain(*args)
    variant, _ = Program(program.plain, lambda traced, positions: traced.function, strict=True).variant(args, {}, ())
    close(tuple(variant.compiled(*variant.inputs(list(args)))), expected)
    assert not [note for note in variant.compiled.report if note.kind == "copy" and note.loops]
    weights = weights_of(program, args)
    if program.loops is not None:
        close(program.loops(*args), expected)
    grad = wg.grad(loss_of(program.plain, weights), argnums=program.active)
    gradient = grad(*args)
    for variants in grad.program.variants.values():
        assert not [note for v in variants for note in v.compiled.report if note.kind == "copy" and note.loops]
    with wg.eager():
        close(program.plain(*args), expected)
        close(gradient, wg.grad(loss_of(program.plain, weights), argnums=program.active)(*args), 1e-9)
    moved = [np.asarray(a) * 1.0 for a in args]
    rng = np.random.default_rng(4)
    total = 0.0
    ways = {k: rng.uniform(-1.0, 1.0, moved[k].shape) for k in program.active}
    for sign in (1.0, -1.0):
        at = [a + sign * 1e-6 * ways[k] if k in ways else args[k] for k, a in enumerate(moved)]
        total += sign * loss_of(program.plain, weights)(*at) / 2e-6
    slope = sum(np.sum(g * ways[k]) for g, k in zip(gradient, program.active, strict=True))
    np.testing.assert_allclose(slope, total, rtol=1e-6, atol=1e-8)
