"""`bounds`: which index checks can be proved, and which must stay."""

from __future__ import annotations

import numpy as np
import pytest

import wengert.ops  # noqa: F401 - fills the registry
from tests.passes.helpers import body, ops
from wengert.ir.core import Function
from wengert.ir.interpret import run
from wengert.passes.bounds import bounds
from wengert.passes.carries import carries

LOOP = """
  %zero: i64[] = const() {{dtype=i64, value=0}}
  %one: i64[] = const() {{dtype=i64, value=1}}
  %two: i64[] = const() {{dtype=i64, value=2}}
  %s0: f64[] = const() {{dtype=f64, value=0.0}}
  {count}
  %s: f64[] = for(%m, %s0) {{
    region(%i: i64[], %acc: f64[]) {{
      {index}
      %w: i64[] = wrap_index(%t, %n) {{what='axis 0'}}
      %e: f64[] = index(%x, %w) {{spec=('i',)}}
      %a: f64[] = add(%acc, %e)
      yield %a
    }}
  }}
  return %s
"""
SIGNATURE = "<%n>(%x: f64[%n]) -> (f64[])"
SAME = "%t: i64[] = add(%i, %zero)"
NEXT = "%t: i64[] = add(%i, %one)"


def loop(count: str, index: str) -> Function:
    return body(SIGNATURE, LOOP.format(count=count, index=index))


def checks(fn: Function) -> int:
    return ops(bounds(fn)).count("wrap_index")


@pytest.mark.parametrize(
    ("count", "index"),
    [
        ("%m: i64[] = add(%n, %zero)", SAME),
        ("%m: i64[] = sub(%n, %one)", NEXT),
        ("%m: i64[] = sub(%n, %one)", SAME),
        ("%m: i64[] = sub(%n, %two)", NEXT),
        ("%m: i64[] = add(%n, %zero)", "%b: i64[] = sub(%n, %one)\n%t: i64[] = sub(%b, %i)"),
        ("%m: i64[] = floordiv(%n, %two)", "%t: i64[] = mul(%i, %two)"),
        ("%m: i64[] = floordiv(%n, %two)", "%b: i64[] = mul(%i, %two)\n%t: i64[] = add(%b, %one)"),
        ("%p: i64[] = add(%n, %one)\n%m: i64[] = floordiv(%p, %two)", "%t: i64[] = mul(%i, %two)"),
        ("%m: i64[] = maximum(%n, %zero)", SAME),
        ("%m: i64[] = minimum(%n, %two)", SAME),
        ("%m: i64[] = const() {dtype=i64, value=5}", "%t: i64[] = mod(%i, %n)"),
    ],
)
def test_proved(count: str, index: str) -> None:
    fn = loop(count, index)
    # `mod` by a size that may be 0 is the exception: it cannot be proved.
    assert checks(fn) == (1 if "mod" in index else 0)
    for n in (0, 1, 2, 5):
        x = np.arange(float(n)) + 1
        if n or "mod" not in index:
            assert run(bounds(fn), [x]) == run(fn, [x])


@pytest.mark.parametrize(
    ("count", "index"),
    [
        ("%m: i64[] = add(%n, %zero)", NEXT),
        ("%m: i64[] = add(%n, %one)", SAME),
        ("%m: i64[] = add(%n, %zero)", "%t: i64[] = sub(%i, %one)"),
        ("%m: i64[] = add(%n, %zero)", "%t: i64[] = mul(%i, %two)"),
        ("%p: i64[] = add(%n, %two)\n%m: i64[] = floordiv(%p, %two)", "%t: i64[] = mul(%i, %two)"),
        ("%m: i64[] = maximum(%n, %two)", SAME),
    ],
)
def test_not_proved(count: str, index: str) -> None:
    assert checks(loop(count, index)) == 1


def test_second_check_of_one_index_goes() -> None:
    fn = body(
        "<%n>(%x: f64[%n], %k: i64[]) -> (f64[])",
        """
        %w: i64[] = wrap_index(%k, %n) {what='axis 0'}
        %v: i64[] = wrap_index(%k, %n) {what='axis 0'}
        %u: i64[] = wrap_index(%w, %n) {what='axis 0'}
        %a: f64[] = index(%x, %v) {spec=('i',)}
        %b: f64[] = index(%x, %u) {spec=('i',)}
        %c: f64[] = add(%a, %b)
        return %c
        """,
    )
    assert checks(fn) == 1
    assert run(bounds(fn), [np.arange(3.0), -1]) == [4.0]


def test_check_inside_an_arm_proves_nothing_behind_it() -> None:
    fn = body(
        "<%n>(%x: f64[%n], %k: i64[], %p: bool[]) -> (f64[])",
        """
        %z: f64[] = const() {dtype=f64, value=0.0}
        %r: f64[] = if(%p) {
          region() {
            %w: i64[] = wrap_index(%k, %n) {what='axis 0'}
            %a: f64[] = index(%x, %w) {spec=('i',)}
            yield %a
          }
          region() {
            yield %z
          }
        }
        %v: i64[] = wrap_index(%k, %n) {what='axis 0'}
        %b: f64[] = index(%x, %v) {spec=('i',)}
        %c: f64[] = add(%r, %b)
        return %c
        """,
    )
    assert checks(fn) == 2


def test_arm_of_an_if_knows_its_predicate() -> None:
    fn = body(
        "<%n>(%x: f64[%n], %k: i64[]) -> (f64[])",
        """
        %z: f64[] = const() {dtype=f64, value=0.0}
        %zero: i64[] = const() {dtype=i64, value=0}
        %c: bool[] = lt(%k, %n)
        %d: bool[] = ge(%k, %zero)
        %e: bool[] = and(%c, %d)
        %r: f64[] = if(%e) {
          region() {
            %w: i64[] = wrap_index(%k, %n) {what='axis 0'}
            %a: f64[] = index(%x, %w) {spec=('i',)}
            yield %a
          }
          region() {
            yield %z
          }
        }
        return %r
        """,
    )
    assert checks(fn) == 0
    assert run(bounds(fn), [np.arange(3.0), 5]) == [0.0]


WHILE = """
  %z: f64[] = const() {{dtype=f64, value=0.0}}
  %one: i64[] = const() {{dtype=i64, value=1}}
  %j0: i64[] = const() {{dtype=i64, value={start}}}
  %s: f64[], %j: i64[] = while(%z, %j0) {{
    region(%g: f64[], %j: i64[]) {{
      %c: bool[] = {condition}
      yield %c
    }}
    region(%g: f64[], %j: i64[]) {{
      %w: i64[] = wrap_index(%j, %n) {{what='axis 0'}}
      %e: f64[] = index(%x, %w) {{spec=('i',)}}
      %h: f64[] = add(%g, %e)
      %j2: i64[] = {step}
      yield %h, %j2
    }}
  }}
  return %s
"""


@pytest.mark.parametrize(
    ("start", "condition", "step", "left"),
    [
        (0, "lt(%j, %n)", "add(%j, %one)", 0),
        (2, "lt(%j, %n)", "add(%j, %one)", 0),
        (-2, "lt(%j, %n)", "add(%j, %one)", 1),
        (0, "le(%j, %n)", "add(%j, %one)", 1),
        (0, "lt(%j, %n)", "sub(%j, %one)", 1),
    ],
)
def test_counters_of_while(start: int, condition: str, step: str, left: int) -> None:
    fn = body(SIGNATURE, WHILE.format(start=start, condition=condition, step=step))
    assert checks(fn) == left


def test_checks_that_hold_go() -> None:
    fn = body(
        "<%n>(%x: f64[%n], %p: bool[]) -> ()",
        """
        %zero: i64[] = const() {dtype=i64, value=0}
        %c: bool[] = ge(%n, %zero)
        check(%c) {exception='ValueError', message='negative'}
        check(%p) {exception='ValueError', message='once'}
        check(%p) {exception='ValueError', message='twice'}
        return
        """,
    )
    assert ops(bounds(bounds(fn))).count("check") == 1


def test_counter_of_a_for() -> None:
    fn = body(
        SIGNATURE,
        """
        %one: i64[] = const() {dtype=i64, value=1}
        %z: f64[] = const() {dtype=f64, value=0.0}
        %m: i64[] = sub(%n, %one)
        %s: f64[], %k: i64[] = for(%m, %z, %one) {
          region(%i: i64[], %acc: f64[], %k: i64[]) {
            %w: i64[] = wrap_index(%k, %n) {what='axis 0'}
            %e: f64[] = index(%x, %w) {spec=('i',)}
            %a: f64[] = add(%acc, %e)
            %k2: i64[] = add(%k, %one)
            yield %a, %k2
          }
        }
        return %s
        """,
    )
    assert checks(fn) == 0
    assert checks(carries(fn)) == 0
