"""Forward and reverse mode and their compositions on IR programs, against central differences and each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import wengert.ops  # noqa: F401 - fills the registry
from tests.transforms.ir_programs import PROGRAMS
from wengert.ir.core import Function, walk
from wengert.ir.interpret import run
from wengert.ir.parser import parse
from wengert.ir.verify import verify
from wengert.passes.pipeline import optimize
from wengert.transforms.jacobian import jacobian
from wengert.transforms.jvp import jvp
from wengert.transforms.vjp import value_and_grad, vjp

STEP = 1e-5
CASES = pytest.mark.parametrize("name", PROGRAMS)


def case(name: str) -> tuple[Function, tuple[Any, ...], list[Any]]:
    """A program, its arguments and one random direction for each of them."""
    text, args = PROGRAMS[name]
    rng = np.random.default_rng(7)
    fn = parse(text)
    verify(fn)
    return fn, args, [rng.normal(size=np.shape(a))[()] for a in args]


def checked(fn: Function) -> Function:
    verify(fn)
    return fn


def inner(xs: Sequence[Any], ys: Sequence[Any]) -> float:
    return float(sum(np.sum(np.asarray(x) * np.asarray(y)) for x, y in zip(xs, ys, strict=True)))


def along(fn: Function, args: Sequence[Any], directions: Sequence[Any], h: float) -> list[Any]:
    return run(fn, [a + h * d for a, d in zip(args, directions, strict=True)])


def difference(fn: Function, args: Sequence[Any], directions: Sequence[Any]) -> list[Any]:
    """Central differences of all results, with one Richardson step."""
    sides = [along(fn, args, directions, h) for h in (STEP, -STEP, 2 * STEP, -2 * STEP)]
    return [(8 * (a - b) - (c - d)) / (12 * STEP) for a, b, c, d in zip(*sides, strict=True)]


def assert_close(found: Sequence[Any], expected: Sequence[Any], rtol: float, atol: float = 1e-12) -> None:
    for f, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(f, e, rtol=rtol, atol=atol)


@CASES
def test_forward_mode_matches_differences(name: str) -> None:
    fn, args, directions = case(name)
    out = run(checked(jvp(fn, [0, 1])), [*args, *directions])
    assert_close(out[1:], difference(fn, args, directions), rtol=1e-8, atol=1e-9)


@CASES
def test_reverse_mode_matches_forward_mode(name: str) -> None:
    fn, args, directions = case(name)
    forward = run(jvp(fn, [0, 1]), [*args, *directions])[1]
    gradient = run(checked(value_and_grad(fn, [0, 1])), args)
    np.testing.assert_allclose(gradient[0], run(fn, args)[0], rtol=1e-15)
    assert inner(gradient[1:], directions) == pytest.approx(forward, rel=1e-12, abs=1e-14)


@CASES
def test_second_order_agrees_in_all_compositions(name: str) -> None:
    fn, args, directions = case(name)
    gradient = value_and_grad(fn, [0, 1])
    count = len(gradient.results)
    forward_reverse = run(checked(jvp(gradient, [0, 1])), [*args, *directions])[count + 1 :]
    assert_close(forward_reverse, difference(gradient, args, directions)[1:], rtol=1e-6, atol=1e-7)
    reverse_reverse = run(checked(vjp(gradient, [0, 1])), [*args, 0.0, *directions])[count:]
    assert_close(reverse_reverse, forward_reverse, rtol=1e-11)
    reverse_forward = run(checked(vjp(jvp(fn, [0, 1]), [0, 1])), [*args, *directions, 0.0, 1.0])[2:]
    assert_close(reverse_forward, forward_reverse, rtol=1e-11)


@CASES
def test_third_order(name: str) -> None:
    fn, args, directions = case(name)
    second = jvp(value_and_grad(fn, [0, 1]), [0, 1])
    inputs = [*args, *directions]
    third = run(checked(jvp(second, [0, 1])), [*inputs, *directions])[-2:]
    moved = [
        along(second, inputs, [*directions, *(0.0 * np.asarray(d) for d in directions)], s * STEP) for s in (1, -1)
    ]
    expected = [(a - b) / (2 * STEP) for a, b in zip(*moved, strict=True)][-2:]
    assert_close(third, expected, rtol=1e-5, atol=1e-5)


@CASES
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_jacobian_rows_are_pullbacks(name: str, mode: str) -> None:
    fn, args, _ = case(name)
    gradient = value_and_grad(fn, [0, 1])
    first = run(jacobian(fn, [0, 1], mode), args)[1:]
    assert_close(first, run(gradient, args)[1:], rtol=1e-12)
    hessian = run(checked(jacobian(gradient, [0], mode)), args)[len(gradient.results) + 1]
    np.testing.assert_allclose(hessian, np.transpose(hessian), rtol=1e-11, atol=1e-13)


@CASES
def test_optimised_gradient_is_the_same(name: str) -> None:
    fn, args, _ = case(name)
    plain = run(value_and_grad(fn, [0, 1]), args)
    optimised = checked(optimize(value_and_grad(optimize(fn), [0, 1])))
    assert_close(run(optimised, args), plain, rtol=1e-13)


@CASES
def test_no_span_is_lost(name: str) -> None:
    from dataclasses import replace

    from wengert.errors import Span

    fn, _, _ = case(name)
    place = Span("model.py", 3)

    def mark(instrs: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(
            replace(i, span=place, regions=tuple(replace(r, instrs=mark(r.instrs)) for r in i.regions)) for i in instrs
        )

    marked = replace(fn, instrs=mark(fn.instrs), span=place)
    assert all(i.span == place for i in walk(value_and_grad(marked, [0, 1]).instrs))


def test_what_is_cheap_is_not_stored() -> None:
    """The stencil stores one array per step: everything else is recomputed from it."""
    fn, _, _ = case("stencil")
    pushes = [i for i in walk(value_and_grad(fn, [0, 1]).instrs) if i.op.name == "push"]
    assert [len(p.operands) - 1 for p in pushes] == [1]


def test_zero_cotangent_is_stronger_than_an_infinite_slope() -> None:
    fn = parse("""
    func @f<%n>(%x: f64[%n]) -> (f64[]) {
      %z: f64[] = const() {dtype=f64, value=0.0}
      %zz: f64[%n] = broadcast(%z, %n) {axes=()}
      %c: bool[%n] = gt(%x, %zz)
      %l: f64[%n] = log(%x)
      %q: f64[%n] = sqrt(%x)
      %lq: f64[%n] = mul(%l, %q)
      %w: f64[%n] = select(%c, %lq, %zz)
      %s: f64[] = sum(%w) {axes=(0,)}
      return %s
    }
    """)
    _, gradient = run(value_and_grad(fn, [0]), [np.array([0.0, 1.0])])
    np.testing.assert_allclose(gradient, [0.0, 1.0])
