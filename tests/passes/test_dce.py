"""`dce`: what goes and what has to stay."""

from __future__ import annotations

import wengert.ops  # noqa: F401 - fills the registry
from tests.passes.helpers import becomes, body, ops, stays
from wengert.passes.dce import dce

ONE = "(%x: f64[], %n: i64[], %p: bool[]) -> (f64[])"


def test_unused_instructions_go() -> None:
    before = body(ONE, "%a: f64[] = sin(%x)\n%b: f64[] = cos(%a)\n%c: f64[] = exp(%x)\nreturn %c")
    becomes(dce, before, body(ONE, "%c: f64[] = exp(%x)\nreturn %c"))


def test_effects_stay() -> None:
    stays(dce, body(ONE, "check(%p) {exception='ValueError', message='no'}\nreturn %x"))
    stays(dce, body(ONE, "%w: i64[] = wrap_index(%n, %n) {what='axis 0'}\nreturn %x"))


def test_mutually_dead_carries_go() -> None:
    before = body(
        ONE,
        """
        %a: f64[], %b: f64[], %c: f64[] = for(%n, %x, %x, %x) {
          region(%i: i64[], %a: f64[], %b: f64[], %c: f64[]) {
            %a2: f64[] = sin(%b)
            %b2: f64[] = cos(%a)
            %c2: f64[] = exp(%c)
            yield %a2, %b2, %c2
          }
        }
        return %c
        """,
    )
    after = body(
        ONE,
        """
        %c: f64[] = for(%n, %x) {
          region(%i: i64[], %c: f64[]) {
            %c2: f64[] = exp(%c)
            yield %c2
          }
        }
        return %c
        """,
    )
    becomes(dce, before, after)


def test_carry_that_feeds_a_live_one_stays() -> None:
    stays(
        dce,
        body(
            ONE,
            """
            %a: f64[], %c: f64[] = for(%n, %x, %x) {
              region(%i: i64[], %a: f64[], %c: f64[]) {
                %a2: f64[] = sin(%a)
                %c2: f64[] = add(%c, %a)
                yield %a2, %c2
              }
            }
            return %c
            """,
        ),
    )


def test_loop_without_live_results_goes_unless_it_has_effects() -> None:
    loop = """
        %a: f64[] = for(%n, %x) {{
          region(%i: i64[], %a: f64[]) {{
            {line}
            %a2: f64[] = sin(%a)
            yield %a2
          }}
        }}
        return %x
    """
    assert ops(dce(body(ONE, loop.format(line="")))) == []
    kept = dce(body(ONE, loop.format(line="check(%p) {exception='ValueError', message='no'}")))
    assert ops(kept) == ["for", "check"]
    assert kept.instrs[0].results == ()


def test_unused_results_of_if_go() -> None:
    before = body(
        ONE,
        """
        %a: f64[], %b: f64[] = if(%p) {
          region() {
            %c: f64[] = sin(%x)
            yield %x, %c
          }
          region() {
            %d: f64[] = cos(%x)
            %e: f64[] = exp(%x)
            yield %d, %e
          }
        }
        return %b
        """,
    )
    after = body(
        ONE,
        """
        %b: f64[] = if(%p) {
          region() {
            %c: f64[] = sin(%x)
            yield %c
          }
          region() {
            %e: f64[] = exp(%x)
            yield %e
          }
        }
        return %b
        """,
    )
    becomes(dce, before, after)


def test_condition_of_while_is_live() -> None:
    stays(
        dce,
        body(
            ONE,
            """
            %j: i64[], %a: f64[] = while(%n, %x) {
              region(%j: i64[], %a: f64[]) {
                %c: bool[] = lt(%j, %n)
                yield %c
              }
              region(%j: i64[], %a: f64[]) {
                %j2: i64[] = mul(%j, %n)
                %a2: f64[] = sin(%a)
                yield %j2, %a2
              }
            }
            return %a
            """,
        ),
    )


STACKS = """
  %s0: stack(f64[], f64[]) = stack_new(%n) {{elements=(f64[], f64[])}}
  %full: stack(f64[], f64[]), %last: f64[] = for(%n, %s0, %x) {{
    region(%i: i64[], %s: stack(f64[], f64[]), %y: f64[]) {{
      %c: f64[] = cos(%y)
      %s2: stack(f64[], f64[]) = push(%s, %y, %c)
      %y2: f64[] = sin(%y)
      yield %s2, %y2
    }}
  }}
  %rest: stack(f64[], f64[]), %out: f64[] = for(%n, %full, %x) {{
    region(%i: i64[], %s: stack(f64[], f64[]), %z: f64[]) {{
      %r: stack(f64[], f64[]), %a: f64[], %b: f64[] = pop(%s)
      {line}
      yield %r, %z2
    }}
  }}
  return %out
"""


def test_stack_with_a_live_pop_stays_balanced() -> None:
    found = ops(dce(body(ONE, STACKS.format(line="%z2: f64[] = mul(%z, %a)"))))
    assert found.count("push") == found.count("pop") == 1


def test_stack_that_nobody_reads_goes() -> None:
    found = ops(dce(body(ONE, STACKS.format(line="%z2: f64[] = mul(%z, %x)"))))
    assert found == ["for", "mul"]


def test_sizes_in_live_types_are_live() -> None:
    stays(
        dce,
        body(
            "(%x: f64[], %n: i64[]) -> (f64[])",
            """
            %m: i64[] = floordiv(%n, %n)
            %b: f64[%m] = broadcast(%x, %m) {axes=()}
            %e: f64[%m] = sin(%b)
            %s: f64[] = sum(%e) {axes=(0,)}
            return %s
            """,
        ),
    )
