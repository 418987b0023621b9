"""Loops that push an array and overwrite it: the old elements are read from the stack, and no array is made for the new ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from wengert.api.lowering import gradient_of_result
from wengert.codegen import Options
from wengert.codegen import compile as compile_native
from wengert.frontend.trace import trace
from wengert.ir.core import Function
from wengert.ir.interpret import run
from wengert.passes.pipeline import optimize

BEFORE = "computed before the array it reads is overwritten"


def stencil(k: Any, u0: Any, steps: int) -> Any:
    u = u0.copy()
    for _ in range(steps):
        u[1:-1] += k * (1.0 + u[1:-1] ** 2) * (u[2:] - 2 * u[1:-1] + u[:-2])
    return np.sum(u**3)


def all_anew(k: Any, u0: Any, steps: int) -> Any:
    u = u0.copy()
    for _ in range(steps):
        u = np.concatenate((u[-1:], u[:-1])) * (1.0 - k * u) + 0.1 * k * u[::-1] ** 2
    return np.sum(u**3)


def red_and_black(k: Any, u0: Any, steps: int) -> Any:
    u = u0.copy()
    for _ in range(steps):
        u[1:-1:2] = k * u[1:-1:2] ** 2 + 0.5 * (u[:-2:2] * u[2::2])
        u[2:-1:2] = k * u[2:-1:2] ** 2 + 0.5 * (u[1:-2:2] * u[3::2])
    return np.sum(u**2)


def two_that_feed_each_other(k: Any, u0: Any, steps: int) -> Any:
    u, v = u0.copy(), 0.5 * u0
    for step in range(steps):
        flow = k * u[1:] * v[:-1]
        u[:-1] += flow * (1.0 + 0.01 * step)
        v[1:] -= flow * u[:-1]
        if step % 3 == 1:
            v[1:-1] = 0.5 * (v[2:] ** 2 + v[:-2])
    return np.sum(u * v)


def loop_in_a_loop(k: Any, u0: Any, steps: int) -> Any:
    u, total = u0.copy(), 0.0
    for step in range(steps):
        before = u[2:] * u[:-2]
        for _ in range(step % 3):
            u[1:-1] = u[1:-1] + k * (u[2:] - u[1:-1]) * u[:-2]
        total += np.sum(before * u[1:-1])
    return total


PROGRAMS: list[Callable[..., Any]] = [stencil, all_anew, red_and_black, two_that_feed_each_other, loop_in_a_loop]


def gradient(function: Callable[..., Any], args: tuple[Any, ...]) -> Function:
    fn = optimize(trace(function, args, {}).function)
    return optimize(gradient_of_result(fn, 0, [k for k, p in enumerate(fn.params) if p.is_float]))


def arguments(points: int, steps: int) -> tuple[Any, ...]:
    return 0.2, np.sin(np.linspace(0.3, 3.0, points)), steps


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_gradients_are_what_they_are_with_an_array_for_everything(program: Callable[..., Any]) -> None:
    made = gradient(program, arguments(20, 9))
    compiled, plain = compile_native(made), compile_native(made, Options(inplace=False))
    for points, steps in ((20, 9), (131, 7), (20, 1), (20, 0)):
        args = arguments(points, steps)
        value, slope, slopes = compiled(*args)
        assert value == pytest.approx(float(program(*args)), rel=1e-13)
        for found, expected in zip((value, slope, slopes), plain(*args), strict=True):
            assert np.all(np.isfinite(expected)) and np.allclose(found, expected, rtol=1e-13, atol=1e-15)
        exact = program(0.2 + 1e-30j, args[1].astype(complex), steps).imag / 1e-30
        assert slope == pytest.approx(float(exact), rel=1e-11, abs=1e-15)
        direction = np.cos(np.arange(points))
        exact = program(0.2, args[1] + 1e-30j * direction, steps).imag / 1e-30
        assert slopes @ direction == pytest.approx(float(exact), rel=1e-11)
    args = arguments(20, 5)
    for found, expected in zip(compiled(*args), run(made, args), strict=True):
        assert np.allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_a_stencil_that_is_pushed_needs_no_array_for_what_it_writes() -> None:
    made = gradient(stencil, arguments(20, 9))
    assert not [n for n in compile_native(made).report if BEFORE in n.what]
    primal = optimize(trace(stencil, arguments(20, 9), {}).function)
    assert [n for n in compile_native(primal).report if BEFORE in n.what]
