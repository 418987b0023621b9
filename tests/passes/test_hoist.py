"""`hoist`: what leaves a loop, and what has to stay in it."""

from __future__ import annotations

import numpy as np

import wengert.ops  # noqa: F401 - fills the registry
from tests.passes.helpers import body
from wengert.ir.core import Function
from wengert.ir.interpret import run
from wengert.passes.hoist import hoist

SIGNATURE = "<%n>(%x: f64[%n], %a: f64[], %q: f64[3], %m: i64[], %p: bool[]) -> (f64[])"
LOOP = """
  %s0: f64[] = const() {{dtype=f64, value=0.0}}
  %s: f64[] = for(%m, %s0) {{
    region(%i: i64[], %acc: f64[]) {{
      {lines}
      %r: f64[] = add(%acc, %v)
      yield %r
    }}
  }}
  return %s
"""


def inside(lines: str) -> list[str]:
    """The ops that stay in the loop."""
    fn = body(SIGNATURE, LOOP.format(lines=lines))
    found = hoist(fn)
    assert hoist(found) is found
    loop = next(i for i in found.instrs if i.op.name == "for")
    return [i.op.name for i in loop.regions[0].instrs]


def test_invariant_scalars_leave() -> None:
    assert inside("%u: f64[] = sin(%a)\n%v: f64[] = mul(%u, %u)") == ["add"]


def test_constants_leave() -> None:
    assert inside("%v: f64[] = const() {dtype=f64, value=1.0}") == ["add"]


def test_what_depends_on_the_loop_stays() -> None:
    assert inside("%v: f64[] = sin(%acc)") == ["sin", "add"]


def test_reads_stay_unless_surely_in_range() -> None:
    wrapped = "%c: i64[] = const() {dtype=i64, value=1}\n%v: f64[] = index(%x, %c) {spec=('i',)}"
    assert inside(wrapped) == ["index", "add"]
    assert inside(wrapped.replace("%x", "%q")) == ["add"]


def test_effects_stay() -> None:
    lines = "%w: i64[] = wrap_index(%m, %n) {what='axis 0'}\n%v: f64[] = index(%x, %w) {spec=('i',)}"
    assert inside(lines) == ["wrap_index", "index", "add"]


def test_arrays_leave_with_the_views_they_need() -> None:
    lines = """
      %b: f64[%n] = broadcast(%a, %n) {axes=()}
      %c: f64[%n] = mul(%x, %b)
      %v: f64[] = sum(%c) {axes=(0,)}
    """
    assert inside(lines) == ["add"]


def test_filled_arrays_alone_stay() -> None:
    lines = """
      %b: f64[%n] = broadcast(%acc, %n) {axes=()}
      %z: f64[%n] = broadcast(%a, %n) {axes=()}
      %c: f64[%n] = mul(%z, %b)
      %v: f64[] = sum(%c) {axes=(0,)}
    """
    assert inside(lines) == ["broadcast", "broadcast", "mul", "sum", "add"]


def test_arms_keep_what_they_have() -> None:
    lines = """
      %v: f64[] = if(%p) {
        region() {
          %u: f64[] = sin(%a)
          %w: f64[] = mul(%u, %acc)
          yield %w
        }
        region() {
          yield %acc
        }
      }
    """
    assert inside(lines) == ["if", "add"]


def test_pure_regions_leave_as_a_whole() -> None:
    lines = """
      %v: f64[] = if(%p) {
        region() {
          %u: f64[] = sin(%a)
          yield %u
        }
        region() {
          yield %a
        }
      }
    """
    assert inside(lines) == ["add"]


def nested() -> Function:
    return body(
        SIGNATURE,
        """
        %s0: f64[] = const() {dtype=f64, value=0.0}
        %s: f64[] = for(%m, %s0) {
          region(%i: i64[], %acc: f64[]) {
            %k: f64[] = convert(%i) {dtype=f64}
            %t: f64[] = for(%m, %acc) {
              region(%j: i64[], %b: f64[]) {
                %u: f64[] = sin(%a)
                %w: f64[] = mul(%u, %k)
                %c: f64[] = add(%b, %w)
                yield %c
              }
            }
            yield %t
          }
        }
        return %s
        """,
    )


def test_out_of_two_loops() -> None:
    fn = nested()
    found = hoist(fn)
    assert [i.op.name for i in found.instrs] == ["const", "sin", "for"]
    outer = found.instrs[2].regions[0]
    assert [i.op.name for i in outer.instrs] == ["convert", "mul", "for"]
    args = [np.ones(2), 0.3, np.ones(3), 4, True]
    assert run(found, args) == run(fn, args)


def test_out_of_while() -> None:
    fn = body(
        SIGNATURE,
        """
        %s: f64[] = while(%a) {
          region(%g: f64[]) {
            %l: f64[] = exp(%a)
            %c: bool[] = lt(%g, %l)
            yield %c
          }
          region(%g: f64[]) {
            %u: f64[] = sin(%a)
            %h: f64[] = add(%g, %u)
            yield %h
          }
        }
        return %s
        """,
    )
    found = hoist(fn)
    assert [i.op.name for i in found.instrs] == ["exp", "sin", "while"]
    args = [np.ones(2), 0.3, np.ones(3), 4, True]
    assert run(found, args) == run(fn, args)
