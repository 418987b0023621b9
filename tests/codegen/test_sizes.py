"""Arrays whose size is known at run time only: growing carries, results of `if`, stack entries of varying size."""

from __future__ import annotations

import numpy as np
import pytest

import wengert.ops  # noqa: F401 - registers the ops
from wengert.codegen import Options, compile
from wengert.ir.interpret import run
from wengert.ir.parser import parse

GROW = """
func @grow(%n: i64[], %a: f64[]) -> (f64[], f64[]) {
  %one: i64[] = const() {dtype=i64, value=1}
  %zero: i64[] = const() {dtype=i64, value=0}
  %v0: f64[1] = broadcast(%a, %one) {axes=()}
  %w0: f64[%one] = assume_shape(%v0, %one)
  %k: i64[], %v: f64[%k] = for(%n, %one, %w0) {
    region(%i: i64[], %m: i64[], %x: f64[%m]) {
      %more: i64[] = add(%m, %one)
      %e: f64[] = index(%x, %i) {spec=('i',)}
      %f: f64[] = add(%e, %a)
      %fresh: f64[%m+1] = broadcast(%f, %more) {axes=()}
      %kept: f64[%m+1] = update(%fresh, %x, %zero, %m, %one) {spec=('s',)}
      yield %more, %kept
    }
  }
  %s: f64[] = sum(%v) {axes=(0,)}
  %last: f64[] = max(%v) {axes=(0,)}
  return %s, %last
}
"""

STACKED = """
func @stacked(%n: i64[]) -> (f64[], i64[]) {
  %one: i64[] = const() {dtype=i64, value=1}
  %zero: i64[] = const() {dtype=i64, value=0}
  %z: f64[] = const() {dtype=f64, value=0.0}
  %s0: stack(i64[], f64[#0], f64[]) = stack_new(%zero) {elements=(i64[], f64[#0], f64[])}
  %s1: stack(i64[], f64[#0], f64[]) = for(%n, %s0) {
    region(%i: i64[], %s: stack(i64[], f64[#0], f64[])) {
      %m: i64[] = add(%i, %one)
      %f: f64[] = convert(%i) {dtype=f64}
      %v: f64[%i+1] = broadcast(%f, %m) {axes=()}
      %w: f64[%i+1] = sin(%v)
      %t: stack(i64[], f64[#0], f64[]) = push(%s, %m, %w, %f)
      yield %t
    }
  }
  %total: f64[], %count: i64[], %end: stack(i64[], f64[#0], f64[]) = for(%n, %z, %zero, %s1) {
    region(%i: i64[], %acc: f64[], %c: i64[], %s: stack(i64[], f64[#0], f64[])) {
      %t: stack(i64[], f64[#0], f64[]), %m: i64[], %v: f64[%m], %f: f64[] = pop(%s)
      %q: f64[] = sum(%v) {axes=(0,)}
      %p: f64[] = mul(%q, %f)
      %new: f64[] = add(%acc, %p)
      %d: i64[] = add(%c, %m)
      yield %new, %d, %t
    }
  }
  return %total, %count
}
"""

CHOOSE = """
func @choose<%n>(%x: f64[%n], %long: bool[]) -> (f64[], f64[]) {
  %one: i64[] = const() {dtype=i64, value=1}
  %zero: i64[] = const() {dtype=i64, value=0}
  %k: i64[], %v: f64[%k] = if(%long) {
    region() {
      yield %n, %x
    }
    region() {
      %m: i64[] = sub(%n, %one)
      %part: f64[%n-1] = index(%x, %one, %m, %one) {spec=('s',)}
      yield %m, %part
    }
  }
  %w: f64[%k] = mul(%v, %v)
  %s: f64[] = sum(%w) {axes=(0,)}
  %e: f64[] = index(%v, %zero) {spec=('i',)}
  return %s, %e
}
"""


@pytest.mark.parametrize("options", [Options(), Options(fuse=False, inplace=False)], ids=["optimised", "plain"])
@pytest.mark.parametrize(
    ("text", "cases"),
    [
        (GROW, [(0, 1.5), (1, 1.5), (20, 0.25), (500, 0.1)]),
        (STACKED, [(0,), (1,), (7,), (300,)]),
        (CHOOSE, [(np.arange(1.0, 9.0), True), (np.arange(1.0, 9.0), False)]),
    ],
    ids=["grow", "stacked", "choose"],
)
def test_sizes_known_at_run_time(text: str, cases: list[tuple[object, ...]], options: Options) -> None:
    function = parse(text)
    native = compile(function, options)
    for args in cases:
        np.testing.assert_allclose(native(*args), run(function, list(args)), rtol=1e-12)
