"""Native calls: values, memory of arguments and results, stacks, checks, depth."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from tests.passes.helpers import function
from tests.transforms.call_programs import PROGRAMS, program

from wengert.codegen.compiled import compile
from wengert.codegen.lowering import Options
from wengert.ir.core import Function
from wengert.ir.interpret import run
from wengert.passes.pipeline import optimize
from wengert.transforms.jvp import jvp

OPTIONS = [Options(), Options(inplace=False), Options(fuse=False), Options(llvm=False)]


def agree(fn: Function, args: list[Any], options: Options | None = None) -> tuple[Any, ...]:
    """Native results equal the interpreter's, twice; arguments stay as they are."""
    native = compile(fn, options)
    before = [np.copy(a) for a in args]
    expected = run(fn, args)
    for _ in range(2):
        found = native(*args)
        for value, want in zip(found, expected, strict=True):
            np.testing.assert_allclose(value, want, rtol=1e-12, atol=1e-13)
    for arg, old in zip(args, before, strict=True):
        np.testing.assert_array_equal(arg, old)
    return found


@pytest.mark.parametrize("name", ["mutated", "grown", "loops"])
@pytest.mark.parametrize("options", OPTIONS[1:], ids=["inplace", "fuse", "llvm"])
def test_values(name: str, options: Options) -> None:
    agree(program(name), list(PROGRAMS[name].args), options)


@pytest.mark.parametrize("name", PROGRAMS)
def test_optimized_tangents(name: str) -> None:
    case = PROGRAMS[name]
    agree(optimize(jvp(program(name), case.wrt)), [*case.args, *[case.args[k] for k in case.wrt]])


WRITER = """
func @put<%n>(%x: f64[%n], %y: f64[%n], %k: i64[]) -> (f64[%n], f64[]) {
  %one: i64[] = const() {dtype=i64, value=1}
  %zero: i64[] = const() {dtype=i64, value=0}
  %stop: bool[] = lt(%k, %one)
  %z: f64[%n], %s: f64[] = if(%stop) {
    region() {
      %c: f64[] = const() {dtype=f64, value=0.0}
      yield %x, %c
    }
    region() {
      %l: i64[] = sub(%k, %one)
      %at: i64[] = mod(%l, %n)
      %e: f64[] = index(%y, %at) {spec=('i',)}
      %f: f64[] = add(%e, %e)
      %w: f64[%n] = update(%x, %f, %at) {spec=('i',)}
      %v: f64[%n], %t: f64[] = call(%w, %y, %l) {callee='put'}
      %g: f64[] = index(%y, %zero) {spec=('i',)}
      %u: f64[] = add(%t, %g)
      yield %v, %u
    }
  }
  return %z, %s
}
"""


def writer(signature: str, lines: str) -> Function:
    return function(f"func @main{signature} {{\n{lines}\n}}\n{WRITER}")


@pytest.mark.parametrize("options", OPTIONS, ids=["all", "inplace", "fuse", "llvm"])
def test_one_array_as_two_arguments(options: Options) -> None:
    fn = writer(
        "<%n>(%x: f64[%n], %k: i64[]) -> (f64[%n], f64[], f64[%n])",
        "%p: f64[%n] = mul(%x, %x)\n%a: f64[%n], %s: f64[] = call(%p, %p, %k) {callee='put'}\nreturn %a, %s, %p",
    )
    agree(optimize(fn), [np.array([1.0, 2.0, 3.0]), 5], options)


@pytest.mark.parametrize("options", OPTIONS, ids=["all", "inplace", "fuse", "llvm"])
def test_views_and_lazy_arrays_as_arguments(options: Options) -> None:
    fn = writer(
        "<%n>(%x: f64[%n], %k: i64[]) -> (f64[%n], f64[], f64[])",
        """
        %p: f64[%n] = mul(%x, %x)
        %q: f64[%n] = add(%p, %x)
        %sum: f64[] = sum(%q) {axes=(0,)}
        %m: f64[1,%n] = broadcast(%q, %one, %n) {axes=(1,)}
        %r: f64[%n] = index(%m, %zero) {spec=('i', ':')}
        %a: f64[%n], %s: f64[] = call(%q, %r, %k) {callee='put'}
        %b: f64[%n], %t: f64[] = call(%a, %p, %k) {callee='put'}
        %st: f64[] = add(%s, %t)
        return %b, %st, %sum""".replace(
            "%p: f64[%n] = mul",
            "%one: i64[] = const() {dtype=i64, value=1}\n%zero: i64[] = const() {dtype=i64, value=0}\n%p: f64[%n] = mul",
            1,
        ),
    )
    agree(optimize(fn), [np.array([1.0, 2.0, 3.0]), 4], options)


def test_a_carried_array_is_updated_in_place_through_calls() -> None:
    fn = optimize(
        writer(
            "<%n>(%x: f64[%n], %k: i64[]) -> (f64[%n], f64[])",
            """
            %y: f64[%n] = sin(%x)
            %zero: f64[] = const() {dtype=f64, value=0.0}
            %a: f64[%n], %s: f64[] = for(%k, %y, %zero) {
              region(%i: i64[], %c: f64[%n], %t: f64[]) {
                %d: f64[%n], %u: f64[] = call(%c, %x, %i) {callee='put'}
                %v: f64[] = add(%t, %u)
                yield %d, %v
              }
            }
            return %a, %s""",
        )
    )
    agree(fn, [np.array([1.0, 2.0, 3.0]), 6])
    notes = compile(fn).report
    assert not [n for n in notes if n.kind == "copy" and n.loops], notes


STACKS = """
func @main(%x: f64[], %k: i64[]) -> (f64[]) {
  %room: i64[] = const() {dtype=i64, value=0}
  %s: stack(f64[]) = stack_new(%room) {elements=(f64[],)}
  %other: stack(f64[]) = stack_new(%room) {elements=(f64[],)}
  %s1: stack(f64[]) = push(%s, %x)
  %y: f64[] = sin(%x)
  %s2: stack(f64[]) = push(%s1, %y)
  %o1: stack(f64[]) = push(%other, %x)
  %o2: stack(f64[]) = push(%o1, %y)
  %r: stack(f64[]), %q: stack(f64[]) = call(%s2, %o2, %x, %k) {callee='fill'}
  %a: stack(f64[]), %u: f64[] = pop(%r)
  %b: stack(f64[]), %v: f64[] = pop(%a)
  %c: stack(f64[]), %w: f64[] = pop(%q)
  %uv: f64[] = sub(%u, %v)
  %uvw: f64[] = mul(%uv, %w)
  return %uvw
}
func @fill(%s: stack(f64[]), %t: stack(f64[]), %x: f64[], %k: i64[]) -> (stack(f64[]), stack(f64[])) {
  %one: i64[] = const() {dtype=i64, value=1}
  %stop: bool[] = lt(%k, %one)
  %u: stack(f64[]), %v: stack(f64[]) = if(%stop) {
    region() {
      %p: stack(f64[]) = push(%t, %x)
      yield %s, %p
    }
    region() {
      %l: i64[] = sub(%k, %one)
      %y: f64[] = add(%x, %x)
      %w: stack(f64[]) = push(%s, %y)
      %m: stack(f64[]), %n: stack(f64[]) = call(%t, %w, %y, %l) {callee='fill'}
      yield %n, %m
    }
  }
  return %u, %v
}
"""


def test_stacks_that_trade_places() -> None:
    fn = function(STACKS)
    plain, optimized = compile(fn), compile(optimize(fn))
    for depth in (0, 1, 2, 3, 6, 7):
        expected = run(fn, [1.5, depth])
        assert plain(1.5, depth) == optimized(1.5, depth) == tuple(expected)


def test_checks_in_callees_show_the_users_line() -> None:
    native = compile(optimize(program("checked")))
    with pytest.raises(ValueError, match=r"root of -0.1\d*\n  user.py:7"):
        native(0.01, 5)
    assert native(2.5, 3) == pytest.approx(PROGRAMS["checked"].value(2.5, 3))


def test_deep_recursion_runs_and_too_deep_recursion_raises() -> None:
    native = compile(optimize(program("product")))
    assert np.isfinite(native(0.5, 10_000)[0])
    for _ in range(2):
        with pytest.raises(RecursionError, match="`fact` calls itself too deeply"):
            native(0.5, 10_000_000)
    assert native(0.7, 5) == pytest.approx(PROGRAMS["product"].value(0.7, 5))


def test_each_thread_has_its_own_limit() -> None:
    native = compile(optimize(program("product")))
    found: list[Any] = []

    def work() -> None:
        found.append(native(0.7, 1000))
        try:
            native(0.5, 10_000_000)
        except RecursionError as error:
            found.append(error)

    size = threading.stack_size(512 * 1024)
    try:
        for _ in range(2):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            assert native(0.7, 1000) == found[0]
    finally:
        threading.stack_size(size)
    assert [type(f) for f in found] == [tuple, RecursionError] * 2
