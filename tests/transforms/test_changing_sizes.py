"""Loops that carry an array whose size differs from iteration to iteration: it grows by `resize` and may shrink again."""

import numpy as np
import pytest

import wengert.ops  # noqa: F401 - fills the registry
from wengert.codegen.compiled import compile
from wengert.ir.interpret import run
from wengert.ir.parser import parse
from wengert.ir.verify import verify
from wengert.passes.pipeline import optimize
from wengert.transforms.jvp import jvp
from wengert.transforms.vjp import vjp

GROWING = """
func @f(%x: f64[], %m: i64[]) -> (f64[]) {
  %c1: i64[] = const() {dtype=i64, value=1}
  %l0: f64[1] = make_array(%x) {shape=(1,)}
  %n: i64[], %l: f64[%n] = for(%m, %c1, %l0) {
    region(%i: i64[], %k: i64[], %a: f64[%k]) {
      %j: i64[] = sub(%k, %c1)
      %last: f64[] = index(%a, %j) {spec=('i',)}
      %s: f64[] = sin(%last)
      %v: f64[] = mul(%s, %x)
      %k1: i64[] = add(%k, %c1)
      %b: f64[%k+1] = resize(%a, %k1)
      %d: f64[%k+1] = update(%b, %v, %k) {spec=('i',)}
      yield %k1, %d
    }
  }
  %t: f64[] = sum(%l) {axes=(0,)}
  return %t
}
"""

SHRINKING = """
func @f(%x: f64[], %m: i64[]) -> (f64[]) {
  %c0: i64[] = const() {dtype=i64, value=0}
  %c1: i64[] = const() {dtype=i64, value=1}
  %z: f64[] = const() {dtype=f64, value=0.0}
  %l0: f64[%m] = broadcast(%x, %m) {axes=()}
  %n: i64[], %l: f64[%n], %s: f64[] = while(%m, %l0, %z) {
    region(%k: i64[], %a: f64[%k], %t: f64[]) {
      %go: bool[] = gt(%k, %c1)
      yield %go
    }
    region(%k: i64[], %a: f64[%k], %t: f64[]) {
      %k1: i64[] = sub(%k, %c1)
      %top: f64[] = index(%a, %k1) {spec=('i',)}
      %b: f64[%k-1] = resize(%a, %k1)
      %k2: i64[] = sub(%k1, %c1)
      %low: f64[] = index(%b, %k2) {spec=('i',)}
      %p: f64[] = mul(%top, %low)
      %d: f64[%k-1] = update(%b, %p, %k2) {spec=('i',)}
      %u: f64[] = add(%t, %p)
      yield %k1, %d, %u
    }
  }
  %first: f64[] = index(%l, %c0) {spec=('i',)}
  %r: f64[] = add(%first, %s)
  return %r
}
"""


def grown(x, m):
    values = [x]
    for _ in range(m):
        values.append(np.sin(values[-1]) * x)
    return sum(values)


def shrunk(x, m):
    values, total = [x] * m, 0.0
    while len(values) > 1:
        top = values.pop()
        values[-1] *= top
        total += values[-1]
    return values[0] + total


@pytest.mark.parametrize(("text", "model"), [(GROWING, grown), (SHRINKING, shrunk)], ids=["grows", "shrinks"])
@pytest.mark.parametrize("m", [1, 2, 7])
def test_value_and_derivatives_in_every_mode(text, model, m):
    function = parse(text)
    verify(function)
    slope = np.imag(model(1.1 + 1e-30j, m)) / 1e-30
    backward, forward = vjp(function, (0,)), jvp(function, (0,))
    verify(backward)
    verify(forward)
    second = jvp(backward, (0,))
    curvature = (np.imag(model(1.1 + 1e-5 + 1e-30j, m)) - np.imag(model(1.1 - 1e-5 + 1e-30j, m))) / 1e-30 / 2e-5
    for execute in (lambda f, *a: run(f, list(a)), lambda f, *a: compile(f)(*a), lambda f, *a: compile(optimize(f))(*a)):
        np.testing.assert_allclose(execute(function, 1.1, m), [model(1.1, m)], rtol=1e-13)
        np.testing.assert_allclose(execute(backward, 1.1, m, 1.0), [model(1.1, m), slope], rtol=1e-12)
        np.testing.assert_allclose(execute(forward, 1.1, m, 1.0), [model(1.1, m), slope], rtol=1e-12)
        np.testing.assert_allclose(execute(second, 1.1, m, 1.0, 1.0)[-1], curvature, rtol=1e-7)


def test_growing_by_one_costs_no_copies():
    compiled = compile(optimize(vjp(parse(GROWING), (0,))))
    assert not [n for n in compiled.report if n.kind == "copy" and n.loops]
