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
def test_values_and_gradients_agree(program):
    args = program.inputs(*program.small)
    expected = program.plain(*args)
    close(wg.jit(program.plain)(*args), expected)
    weights = weights_of(program, args)
    sources = [program.plain, *([program.loops] if program.loops is not None else [])]
    gradients = []
    for source in sources:
        close(source(*args), expected)
        gradients.append(wg.grad(loss_of(source, weights), argnums=program.active)(*args))
    with wg.eager():
        close(program.plain(*args), expected)
        gradients.append(wg.grad(loss_of(program.plain, weights), argnums=program.active)(*args))
    for other in gradients[1:]:
        close(gradients[0], other, 1e-9)
    moved = [np.asarray(a) * 1.0 for a in args]
    rng = np.random.default_rng(4)
    total = 0.0
    ways = {k: rng.uniform(-1.0, 1.0, moved[k].shape) for k in program.active}
    for sign in (1.0, -1.0):
        at = [a + sign * 1e-6 * ways[k] if k in ways else args[k] for k, a in enumerate(moved)]
        total += sign * loss_of(program.plain, weights)(*at) / 2e-6
    slope = sum(np.sum(g * ways[k]) for g, k in zip(gradients[0], program.active, strict=True))
    np.testing.assert_allclose(slope, total, rtol=1e-6, atol=1e-8)


@programs
def test_no_copy_is_made_in_a_loop(program):
    args = program.inputs(*program.small)
    variant, _ = Program(program.plain, lambda traced, positions: traced.function, strict=True).variant(args, {}, ())
    copies = [note for note in variant.compiled.report if note.kind == "copy" and note.loops]
    assert not copies
