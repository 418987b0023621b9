"""`stacks`: elements that need not be stored."""

from __future__ import annotations

import wengert.ops  # noqa: F401 - fills the registry
from tests.passes.helpers import becomes, body, ops, stays
from wengert.ir.core import Function, walk
from wengert.ir.interpret import run
from wengert.passes.pipeline import optimize
from wengert.passes.stacks import stacks

SIGNATURE = "(%x: f64[], %n: i64[]) -> (f64[])"
PROGRAM = """
  %k: f64[] = exp(%x)
  %s0: stack(f64[], f64[], f64[], f64[]) = stack_new(%n) {{elements=(f64[], f64[], f64[], f64[])}}
  %full: stack(f64[], f64[], f64[], f64[]), %last: f64[] = for(%n, %s0, %x) {{
    region(%i: i64[], %s: stack(f64[], f64[], f64[], f64[]), %y: f64[]) {{
      %c: f64[] = cos(%y)
      %d: f64[] = sin(%y)
      %s2: stack(f64[], f64[], f64[], f64[]) = push(%s, {pushed})
      yield %s2, %d
    }}
  }}
  %rest: stack(f64[], f64[], f64[], f64[]), %out: f64[] = for(%n, %full, %last) {{
    region(%j: i64[], %t: stack(f64[], f64[], f64[], f64[]), %z: f64[]) {{
      %r: stack(f64[], f64[], f64[], f64[]), %a0: f64[], %a1: f64[], %a2: f64[], %a3: f64[] = pop(%t)
      %m: f64[] = mul(%z, {first})
      %z2: f64[] = add(%m, {second})
      yield %r, %z2
    }}
  }}
  return %out
"""


def program(pushed: str, first: str, second: str) -> Function:
    return body(SIGNATURE, PROGRAM.format(pushed=pushed, first=first, second=second))


def entry(fn: Function) -> int:
    """How many elements an entry has."""
    return len(next(i for i in walk(fn.instrs) if i.op.name == "push").operands) - 1


def check(fn: Function, size: int) -> None:
    found = stacks(fn)
    assert (entry(found) if "push" in ops(found) else 0) == size
    assert stacks(found) is found
    for n in (0, 1, 4):
        assert run(found, [0.7, n]) == run(fn, [0.7, n]) == run(optimize(fn), [0.7, n])


def test_all_used_and_different() -> None:
    stays(stacks, _needed())


def _needed() -> Function:
    return body(
        SIGNATURE,
        """
        %s0: stack(f64[]) = stack_new(%n) {elements=(f64[],)}
        %s1: stack(f64[]) = push(%s0, %x)
        %y: f64[] = sin(%x)
        %s2: stack(f64[]) = push(%s1, %y)
        %s3: stack(f64[]), %a: f64[] = pop(%s2)
        %s4: stack(f64[]), %b: f64[] = pop(%s3)
        %c: f64[] = sub(%a, %b)
        return %c
        """,
    )


def test_unused_elements_go() -> None:
    check(program("%y, %c, %d, %y", "%a1", "%a2"), 2)
    check(program("%y, %c, %d, %y", "%a3", "%a3"), 1)


def test_equal_elements_are_stored_once() -> None:
    check(program("%y, %c, %c, %y", "%a1", "%a2"), 1)


def test_outer_values_are_not_stored() -> None:
    check(program("%y, %k, %x, %c", "%a1", "%a3"), 1)
    check(program("%y, %k, %x, %c", "%a1", "%a2"), 0)


def test_nothing_to_store() -> None:
    check(program("%y, %k, %x, %c", "%z", "%z"), 0)
    assert "stack_new" not in ops(optimize(program("%y, %k, %x, %c", "%a1", "%z")))


def test_value_that_changes_while_the_stack_lives_is_stored() -> None:
    """The stack outlives a trip of the loop, in each of which `%v` is another value."""
    fn = body(
        SIGNATURE,
        """
        %s0: stack(f64[]) = stack_new(%n) {elements=(f64[],)}
        %p: stack(f64[]) = push(%s0, %x)
        %s: stack(f64[]), %y: f64[] = for(%n, %p, %x) {
          region(%i: i64[], %t: stack(f64[]), %a: f64[]) {
            %v: f64[] = sin(%a)
            %u: stack(f64[]), %b: f64[] = pop(%t)
            %w: stack(f64[]) = push(%u, %v)
            %c: f64[] = add(%a, %b)
            yield %w, %c
          }
        }
        return %y
        """,
    )
    stays(stacks, fn)


def test_sizes_of_stored_arrays_stay() -> None:
    fn = body(
        SIGNATURE,
        """
        %s0: stack(f64[], i64[], f64[#1]) = stack_new(%n) {elements=(f64[], i64[], f64[#1])}
        %m: i64[] = mul(%n, %n)
        %b: f64[%m] = broadcast(%x, %m) {axes=()}
        %p: stack(f64[], i64[], f64[#1]) = push(%s0, %x, %m, %b)
        %q: stack(f64[], i64[], f64[#1]), %y: f64[], %l: i64[], %c: f64[%l] = pop(%p)
        %r: f64[] = sum(%c) {axes=(0,)}
        return %r
        """,
    )
    found = stacks(fn)
    assert entry(found) == 2
    assert run(found, [0.5, 3]) == [4.5]


def test_shrinking_keeps_the_rest() -> None:
    text = """
        %s0: stack({types}) = stack_new(%n) {{elements=({types},)}}
        %p: stack({types}) = push(%s0, {values})
        %y: f64[] = sin(%x)
        %p2: stack({types}) = push(%p, {more})
        %q: stack({types}), {results} = pop(%p2)
        %r: f64[] = add(%x, %a)
        return %r
    """
    before = text.format(types="f64[], f64[]", values="%x, %x", more="%x, %y", results="%d: f64[], %a: f64[]")
    after = text.format(types="f64[]", values="%x", more="%y", results="%a: f64[]")
    becomes(stacks, body(SIGNATURE, before), body(SIGNATURE, after))
