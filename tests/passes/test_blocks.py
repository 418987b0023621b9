"""Loops forth and back in blocks: the same numbers to the last bit, and where they are cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wengert as wg
from wengert.api.lowering import gradient_of_result, with_tape_laid_out
from wengert.codegen import compile as compile_native
from wengert.frontend.trace import trace
from wengert.ir.core import Function, walk
from wengert.ir.interpret import run
from wengert.ir.verify import verify
from wengert.passes.blocks import blocks
from wengert.passes.pipeline import optimize


def heat(k: Any, u0: Any, steps: int) -> Any:
    u = u0.copy()
    for _ in range(steps):
        u[1:-1] += k * (1.0 + u[1:-1] ** 2) * (u[2:] - 2 * u[1:-1] + u[:-2])
    return np.sum(u**3)


def driven(k: Any, u0: Any, steps: int) -> Any:
    u, v, work = u0.copy(), 0.5 * u0, 0.0
    for step in range(steps):
        v = v - 0.0001 * k * u * u * step
        work += np.sum(v * u)
        u = u + 0.01 * v
    return np.sum(u) + work


def costly(k: Any, u0: Any, steps: int) -> Any:
    u = u0.copy()
    for _ in range(steps):
        u = np.tanh(k * np.sin(u) + np.exp(-u))
    return np.sum(u)


def scalars(k: Any, u0: Any, steps: int) -> Any:
    x = k
    for _ in range(steps):
        x = x - 0.1 * x * x * x
    return x + np.sum(u0)


def gradient(function: Any, args: tuple[Any, ...]) -> Function:
    fn = optimize(trace(function, args, {}).function)
    return optimize(gradient_of_result(fn, 0, [k for k, p in enumerate(fn.params) if p.is_float]))


def arguments(steps: int, points: int = 20) -> tuple[Any, ...]:
    return 0.2, np.sin(np.linspace(0.0, 3.0, points)), steps


@pytest.mark.parametrize("function", [heat, driven], ids=["heat", "driven"])
@pytest.mark.parametrize("cache", [640, 8000])
def test_blocks_leave_the_numbers_as_they_are(function: Any, cache: int) -> None:
    plain = gradient(function, arguments(12))
    cut = blocks(plain, cache)
    assert cut is not plain
    verify(cut)
    settled = optimize(cut)
    verify(settled)
    before, after = compile_native(plain), compile_native(settled)
    for steps in (0, 1, 2, 3, 7, 12, 50, 211):
        args = arguments(steps)
        expected = before(*args)
        for found, value in zip(after(*args), expected, strict=True):
            assert np.all(np.isfinite(value)) and np.array_equal(found, value), (steps, cache)
    args = arguments(7)
    for found, value in zip(run(settled, args), run(plain, args), strict=True):
        assert np.array_equal(found, value)


def test_a_long_tape_is_cut() -> None:
    """With 10 states of 160 bytes in a cache of 640, a block has one round; the states are kept, so carries must be small."""
    args = arguments(50, points=2)
    plain = gradient(heat, args)
    cut = optimize(blocks(plain, 640))
    loops = [i for i in walk(cut.instrs) if i.op.name == "for"]
    assert len(loops) == 6, "two nests, the last block on the way forth, and the rounds that run again"
    writing = [i for i in loops if any(j.op.name == "push" for j in i.regions[0].instrs)]
    assert len(writing) == 3, "the carries of the earlier blocks, the tape of the last one, and that of a block that runs again"
    assert len([i for i in walk(plain.instrs) if i.op.name == "for"]) == 2


@pytest.mark.parametrize("function", [costly, scalars], ids=["costly", "scalars"])
def test_what_is_dear_to_run_again_or_small_is_stored(function: Any) -> None:
    plain = gradient(function, arguments(12))
    assert blocks(plain, 640) is plain


def test_blocks_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = gradient(heat, arguments(12))
    assert with_tape_laid_out(plain) is not plain
    monkeypatch.setenv("WENGERT_DISABLE", "blocks")
    assert with_tape_laid_out(plain) is plain


def test_gradient_of_a_long_simulation() -> None:
    k, u0, steps = arguments(60, points=2000)
    direct = wg.grad(heat, argnums=0)(k, u0, 3 * steps)
    step = 1e-30
    exact = heat(complex(k, step), u0.astype(complex), 3 * steps).imag / step
    assert direct == pytest.approx(exact, rel=1e-11)
    with wg.eager():
        assert wg.grad(heat, argnums=0)(k, u0, steps) == pytest.approx(wg.grad(heat, argnums=0)(k, u0, steps), rel=1e-12)
    state, direction = u0, np.cos(np.arange(u0.size))
    slope = wg.grad(heat, argnums=1)(k, state, 400)
    complexes = heat(k, state + 1e-30j * direction, 400).imag / 1e-30
    assert slope @ direction == pytest.approx(complexes, rel=1e-10)
