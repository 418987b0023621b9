"""`carries`: invariant carries, counters, results that do not depend on the path."""

from __future__ import annotations

import wengert.ops  # noqa: F401 - fills the registry
from tests.passes.helpers import becomes, body
from wengert.ir.interpret import run
from wengert.passes.carries import carries
from wengert.passes.dce import dce
from wengert.passes.fold import fold

ONE = "(%x: f64[], %n: i64[], %p: bool[]) -> (f64[])"


def test_invariant_carries_become_their_initial_values() -> None:
    before = body(
        ONE,
        """
        %y: f64[] = sin(%x)
        %a: f64[], %b: f64[], %c: f64[] = for(%n, %y, %y, %x) {
          region(%i: i64[], %a: f64[], %b: f64[], %c: f64[]) {
            %t: f64[] = mul(%a, %b)
            %d: f64[] = add(%c, %t)
            yield %a, %y, %d
          }
        }
        %e: f64[] = add(%a, %c)
        %f: f64[] = add(%b, %e)
        return %f
        """,
    )
    after = body(
        ONE,
        """
        %y: f64[] = sin(%x)
        %c: f64[] = for(%n, %x) {
          region(%i: i64[], %c: f64[]) {
            %t: f64[] = mul(%y, %y)
            %d: f64[] = add(%c, %t)
            yield %d
          }
        }
        %e: f64[] = add(%y, %c)
        %f: f64[] = add(%y, %e)
        return %f
        """,
    )
    becomes(carries, before, after)


def test_invariant_carry_of_while() -> None:
    before = body(
        ONE,
        """
        %j: i64[], %l: i64[] = while(%n, %n) {
          region(%j: i64[], %l: i64[]) {
            %c: bool[] = lt(%j, %l)
            yield %c
          }
          region(%j: i64[], %l: i64[]) {
            %k: i64[] = mul(%j, %l)
            yield %k, %l
          }
        }
        %f: f64[] = convert(%j) {dtype=f64}
        return %f
        """,
    )
    found = carries(before)
    assert len(found.instrs[0].results) == 1
    assert len(found.instrs[0].regions[0].params) == 1


def test_counters_become_functions_of_the_index() -> None:
    fn = body(
        "(%x: f64[], %n: i64[]) -> (f64[], i64[])",
        """
        %three: i64[] = const() {dtype=i64, value=3}
        %y: f64[], %k: i64[] = for(%n, %x, %three) {
          region(%i: i64[], %a: f64[], %k: i64[]) {
            %f: f64[] = convert(%k) {dtype=f64}
            %b: f64[] = add(%a, %f)
            %k2: i64[] = sub(%k, %three)
            yield %b, %k2
          }
        }
        return %y, %k
        """,
    )
    found = carries(fn)
    loop = next(i for i in found.instrs if i.op.name == "for")
    assert len(loop.results) == 1
    for n in (-1, 0, 1, 4):
        assert run(found, [0.5, n]) == run(fn, [0.5, n])


def test_common_results_of_if_come_from_outside() -> None:
    before = body(
        ONE,
        """
        %y: f64[] = sin(%x)
        %a: f64[], %b: f64[], %c: f64[] = if(%p) {
          region() {
            %z: f64[] = exp(%x)
            yield %y, %x, %z
          }
          region() {
            %z: f64[] = cos(%x)
            yield %y, %y, %z
          }
        }
        %d: f64[] = add(%a, %b)
        %e: f64[] = add(%d, %c)
        return %e
        """,
    )
    after = body(
        ONE,
        """
        %y: f64[] = sin(%x)
        %b: f64[] = select(%p, %x, %y)
        %c: f64[] = if(%p) {
          region() {
            %z: f64[] = exp(%x)
            yield %z
          }
          region() {
            %z: f64[] = cos(%x)
            yield %z
          }
        }
        %d: f64[] = add(%y, %b)
        %e: f64[] = add(%d, %c)
        return %e
        """,
    )
    becomes(carries, before, after)


def test_empty_if_goes() -> None:
    before = body(
        ONE,
        """
        %a: f64[] = if(%p) {
          region() {
            yield %x
          }
          region() {
            yield %x
          }
        }
        return %a
        """,
    )
    becomes(carries, before, body(ONE, "return %x"))


def test_sizes_that_change_stay_carried() -> None:
    fn = body(
        "(%x: f64[], %n: i64[]) -> (f64[])",
        """
        %one: i64[] = const() {dtype=i64, value=1}
        %two: i64[] = const() {dtype=i64, value=2}
        %b0: f64[1] = broadcast(%x, %one) {axes=()}
        %k: i64[], %b: f64[%k] = for(%n, %one, %b0) {
          region(%i: i64[], %k: i64[], %b: f64[%k]) {
            %m: i64[] = mul(%k, %two)
            %s: f64[] = sum(%b) {axes=(0,)}
            %c: f64[2*%k] = broadcast(%s, %m) {axes=()}
            yield %m, %c
          }
        }
        %r: f64[] = sum(%b) {axes=(0,)}
        return %r
        """,
    )
    for apply in (carries, fold, dce):
        assert run(apply(fn), [1.5, 3]) == run(fn, [1.5, 3])
