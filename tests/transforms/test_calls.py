"""Derivatives of programs with calls: against differences, complex step and each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.transforms.call_programs import PROGRAMS, program
from wengert.codegen.compiled import compile
from wengert.ir.builder import Builder
from wengert.ir.calls import refresh
from wengert.ir.core import Function, Value
from wengert.ir.interpret import run
from wengert.ir.parser import parse
from wengert.ir.rewrite import inline
from wengert.ir.verify import verify
from wengert.passes.pipeline import optimize
from wengert.transforms.jacobian import jacobian
from wengert.transforms.jvp import jvp
from wengert.transforms.vjp import value_and_grad, vjp

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


def pairing(a: Arrays, b: Arrays) -> float:
    return float(sum(np.sum(x * y) for x, y in zip(a, b, strict=True)))


def cotangents_of(name: str, seed: int = 1) -> Arrays:
    rng = np.random.default_rng(seed)
    found = run(program(name), PROGRAMS[name].args)
    return [rng.normal(size=np.shape(r))[()] for r, declared in zip(found, program(name).results) if declared.is_float]


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("mode", ["plain", "native"])
def test_vjp_is_the_transpose(name: str, mode: str) -> None:
    case, fn = PROGRAMS[name], vjp(program(name), PROGRAMS[name].wrt)
    verify(fn)
    if mode == "native":
        fn = optimize(fn)
        verify(fn)
    bars, dots = cotangents_of(name), directions(name)
    args = [*case.args, *bars]
    found = list(compile(fn)(*args)) if mode == "native" else run(fn, args)
    expected = case.value(*case.args)
    for value, want in zip(found, expected, strict=False):
        np.testing.assert_allclose(value, want, rtol=1e-12, atol=1e-13)
    gradient = found[len(expected) :]
    assert pairing(gradient, dots) == pytest.approx(pairing(complex_step(name, dots), bars), rel=1e-10, abs=1e-11)


SECOND = {"fr": (vjp, jvp), "rf": (jvp, vjp), "rr": (vjp, vjp), "ff": (jvp, jvp)}


def loss(name: str) -> Function:
    """The program with its last result only, a scalar."""
    fn = program(name)
    return refresh(replace(fn, results=fn.results[-1:]))


def hessian_vector(name: str, order: str, native: bool) -> Arrays:
    """The Hessian of `loss` times a direction, by two transforms in the given order (for `ff`, its product with another)."""
    case, (inner, outer) = PROGRAMS[name], SECOND[order]
    once = inner(loss(name), case.wrt)
    v, w = directions(name, 3), directions(name, 4)
    args = [*case.args, *((1.0,) if inner is vjp else v)]
    count = len(once.results) - 1
    twice = optimize(outer(once, case.wrt))
    verify(twice)
    if outer is jvp:
        more: Arrays = w
    else:
        more = [0.0, *v] if inner is vjp else [0.0, 1.0]
    args += more
    found = list(compile(twice)(*args)) if native else run(twice, args)
    tail = found[count + 1 :]
    return tail[1:] if outer is jvp else tail


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("order", SECOND)
def test_second_order(name: str, order: str) -> None:
    v, w = directions(name, 3), directions(name, 4)
    case, step = PROGRAMS[name], 1e-5
    ends = []
    for sign in (1, -1):
        args: Arrays = list(case.args)
        for k, dot in zip(case.wrt, w, strict=True):
            args[k] = args[k] + sign * step * dot
        ends.append(run(vjp(loss(name), case.wrt), [*args, 1.0])[1:])
    difference = [(a - b) / (2 * step) for a, b in zip(*ends, strict=True)]
    along = pairing(difference, v)
    found = hessian_vector(name, order, native=False)
    exact = {"fr": lambda: pairing(found, v), "rf": lambda: pairing(found, w), "rr": lambda: pairing(found, w)}
    value = float(found[0]) if order == "ff" else exact[order]()
    scale = max(1.0, abs(along))
    assert value == pytest.approx(along, abs=2e-6 * scale)
    if name in ("tree", "mutated"):
        for got, want in zip(hessian_vector(name, order, native=True), found, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11)


def along(fn: Function, name: str, reverse: bool) -> Function:
    """The derivative of the only result of `fn` along the direction `directions(name)`, by one transform."""
    case, b = PROGRAMS[name], Builder()
    once = (vjp if reverse else jvp)(fn, case.wrt)
    params = [Value(p.type, p.name) for p in fn.params]
    env = dict(zip(fn.params, params, strict=True))
    dots = []
    for k, dot in zip(case.wrt, directions(name), strict=True):
        flat = [b.const(float(d)) for d in np.ravel(dot)]
        dots.append(b.make_array(*flat, shape=np.shape(dot)) if np.ndim(dot) else flat[0])
    dots = [b.assume_shape(d, *map(b.dim, env[fn.params[k]].dims)) if d.rank else d for k, d in zip(case.wrt, dots, strict=True)]
    more = [b.const(1.0)] if reverse else dots
    found = inline(b, once, [*params, *more])[1:]
    if not reverse:
        return refresh(Function("along", fn.dims, tuple(params), tuple(b.instrs), found, functions=b.functions))
    total = b.const(0.0)
    for bar, dot in zip(found, dots, strict=True):
        product = b.mul(bar, dot)
        total = b.add(total, b.sum(product, axes=(0,)) if product.rank else product)
    return refresh(Function("along", fn.dims, tuple(params), tuple(b.instrs), (total,), functions=b.functions))


@pytest.mark.parametrize("name", ["product", "mutated"])
def test_third_order(name: str) -> None:
    """Third derivatives along one direction agree whichever transforms are nested, and with differences of the second."""
    found = {}
    for order in ("fff", "rff", "frr", "rrr"):
        fn = loss(name)
        for mode in order:
            fn = optimize(along(fn, name, mode == "r"))
        verify(fn)
        found[order] = run(fn, PROGRAMS[name].args)[0]
    np.testing.assert_allclose(list(found.values()), found["fff"], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", ["tree", "simpson", "mutated"])
def test_jacobians(name: str) -> None:
    case = PROGRAMS[name]
    dots = directions(name, 6)
    for mode in ("forward", "reverse"):
        fn = optimize(jacobian(program(name), case.wrt, mode))
        verify(fn)
        found = compile(fn)(*case.args)
        count = len(fn.results) - len(case.wrt) * len(cotangents_of(name))
        blocks = iter(found[count:])
        for expected in complex_step(name, dots):
            along = sum(np.tensordot(next(blocks), d, np.ndim(d)) for d in dots)
            np.testing.assert_allclose(along, expected, rtol=1e-10, atol=1e-12)


GUARDED = """
func @main(%x: f64[], %n: i64[]) -> (f64[]) {
  %zero: f64[] = const() {dtype=f64, value=0.0}
  %y: f64[] = call(%x, %n) {callee='fraction'}
  %positive: bool[] = gt(%x, %zero)
  %z: f64[] = select(%positive, %y, %zero)
  return %z
}
func @fraction(%x: f64[], %n: i64[]) -> (f64[]) {
  %one: i64[] = const() {dtype=i64, value=1}
  %stop: bool[] = lt(%n, %one)
  %r: f64[] = if(%stop) {
    region() {
      %log: f64[] = log(%x)
      yield %log
    }
    region() {
      %m: i64[] = sub(%n, %one)
      %rest: f64[] = call(%x, %m) {callee='fraction'}
      %q: f64[] = div(%rest, %x)
      %s: f64[] = sqrt(%x)
      %t: f64[] = mul(%q, %s)
      yield %t
    }
  }
  return %r
}
"""


@pytest.mark.parametrize("native", [False, True])
def test_zeros_stay_zero_across_calls(native: bool) -> None:
    fn = optimize(vjp(parse(GUARDED), [0]))
    gradient = compile(fn) if native else lambda *args: run(fn, args)
    assert gradient(0.0, 3, 1.0)[1] == 0.0
    assert gradient(2.0, 1, 1.0)[1] == pytest.approx((1 - np.log(2) / 2) / 2**1.5)


def test_arrays_gather_in_place_across_calls() -> None:
    fn = optimize(value_and_grad(program("tree"), [0]))
    notes = compile(fn).report
    assert not [n for n in notes if n.kind == "copy"], notes
    assert [n.what for n in notes if n.kind == "allocation"] == ["f64[%n]: argument that is overwritten"]


def test_deep_gradients() -> None:
    fn = compile(optimize(value_and_grad(program("product"), [0])))
    assert np.isfinite(fn(0.5, 10_000)[0])
    with pytest.raises(RecursionError, match="calls itself too deeply"):
        fn(0.5, 10_000_000)
    assert fn(0.7, 5)[0] == pytest.approx(PROGRAMS["product"].value(0.7, 5)[0])


def test_checks_raise_before_the_way_back() -> None:
    fn = optimize(vjp(program("checked"), [0]))
    for call in (compile(fn), lambda *args: run(fn, args)):
        with pytest.raises(ValueError, match=r"root of -0.1\d*\n  user.py:7"):
            call(0.01, 5, 1.0)
