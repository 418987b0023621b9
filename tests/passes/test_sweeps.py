"""`sweeps`: a loop and the loop back through it become one."""

from __future__ import annotations

import numpy as np
import pytest

import wengert as wg
import wengert.ops
from tests.passes.helpers import body, ops, stays
from wengert.ir.core import Function
from wengert.ir.interpret import run
from wengert.ir.verify import verify
from wengert.passes.dce import dce
from wengert.passes.sweeps import sweeps

SIGNATURE = "<%n>(%x: f64[%n], %a: f64[]) -> (f64[], f64[%n])"
PROGRAM = """
  %zero: f64[] = const() {{dtype=f64, value=0.0}}
  %one: i64[] = const() {{dtype=i64, value=1}}
  %none: f64[%n] = broadcast(%zero, %n) {{axes=()}}
  %s0: stack(f64[]) = stack_new(%n) {{elements=(f64[],)}}
  %total: f64[], %full: stack(f64[]) = for(%n, %zero, %s0) {{
    region(%i: i64[], %t: f64[], %s: stack(f64[])) {{
      %v: f64[] = index(%x, %i) {{spec=('i',)}}
      %w: f64[] = mul(%v, %v)
      %s1: stack(f64[]) = push(%s, %v)
      %t1: f64[] = add(%t, %w)
      yield %t1, %s1
    }}
  }}
  {between}
  %last: i64[] = sub(%n, %one)
  %bar: f64[%n], %rest: stack(f64[]) = for(%n, %none, %full) {{
    region(%k: i64[], %b: f64[%n], %r: stack(f64[])) {{
      %j: i64[] = sub(%last, %k)
      %r1: stack(f64[]), %u: f64[] = pop(%r)
      {step}
      yield %b1, %r1
    }}
  }}
  return %total, %bar
"""
ADDS = "%m: f64[] = mul(%u, %c)\n%b1: f64[%n] = add_at(%b, %m, %j) {spec=('i',)}"
KNOWN = "%c: f64[] = mul(%a, %a)"


def program(between: str = KNOWN, step: str = ADDS) -> Function:
    return body(SIGNATURE, PROGRAM.format(between=between, step=step))


def loops(fn: Function) -> int:
    return ops(fn).count("for")


def test_loops_forth_and_back_become_one_without_stack() -> None:
    fn = program()
    found = dce(sweeps(fn))
    verify(found)
    assert loops(found) == 1 and not {"push", "pop"} & set(ops(found))
    for n in (0, 1, 4):
        args = [np.arange(n) + 0.5, 3.0]
        for a, b in zip(run(found, args), run(fn, args), strict=True):
            np.testing.assert_array_equal(a, b)
    assert sweeps(found) is found


def test_what_the_first_loop_gives_may_not_be_needed_by_the_second() -> None:
    stays(sweeps, program("%c: f64[] = mul(%a, %total)"))


def test_what_the_sums_begin_with_may_come_late() -> None:
    start = "%c: f64[] = mul(%a, %a)\n%late: f64[%n] = broadcast(%total, %n) {axes=()}"
    fn = body(SIGNATURE, PROGRAM.format(between=start, step=ADDS).replace("for(%n, %none, %full)", "for(%n, %late, %full)"))
    found = dce(sweeps(fn))
    verify(found)
    assert loops(found) == 1 and "push" not in ops(found)
    args = [np.arange(4) + 0.5, 3.0]
    np.testing.assert_allclose(run(found, args)[1], run(fn, args)[1], rtol=1e-15)


def test_what_is_carried_back_has_to_be_a_sum() -> None:
    stays(sweeps, program(KNOWN, "%m: f64[] = mul(%u, %c)\n%b1: f64[%n] = update(%b, %m, %j) {spec=('i',)}"))
    reads = """
      %old: f64[] = index(%b, %j) {spec=('i',)}
      %m: f64[] = mul(%u, %old)
      %b1: f64[%n] = add_at(%b, %m, %j) {spec=('i',)}
    """
    stays(sweeps, program(KNOWN, reads))


def test_effects_keep_their_order() -> None:
    check = """
      %p: bool[] = gt(%a, %zero)
      %c: f64[] = mul(%a, %a)
      check(%p) {exception='ValueError', message='negative'}
    """
    found = sweeps(program(check))
    verify(found)
    assert [o for o in ops(found) if o in ("for", "check")] == ["for", "check"]


def test_an_index_that_is_checked_in_between_stays_there() -> None:
    index = "%c0: i64[] = wrap_index(%one, %n) {what='axis 0'}\n%c: f64[] = index(%x, %c0) {spec=('i',)}"
    stays(sweeps, program(index))


def rounds(x, weights):
    total = 0.0
    for i in range(len(x)):
        term = 1.0
        for j in range(len(weights)):
            if x[i] > weights[j]:
                term *= np.sin(weights[j] * x[i] + term)
            else:
                term -= weights[j]
        while abs(term) > 0.1:
            term *= 0.5 * np.cos(x[i])
        total += term * term
    return total


def recurrence(x, weights):
    state = 1.0
    total = 0.0
    for i in range(len(x)):
        state = np.sin(state * weights[0] + x[i])
        total += state * state
    return total * state


@pytest.mark.parametrize("f", [rounds, recurrence])
def test_gradients_are_the_same_without_it(f, monkeypatch: pytest.MonkeyPatch) -> None:
    args = (np.linspace(-1.0, 2.0, 7), np.array([0.3, -0.2, 0.9]))
    found = wg.grad(f, argnums=(0, 1))(*args)
    wg.check_grads(f, args, order=1)
    monkeypatch.setenv("WENGERT_DISABLE", "sweeps")
    for a, b in zip(found, wg.grad(lambda *given: f(*given), argnums=(0, 1))(*args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14)


def test_a_pullback_is_not_merged_with_the_primal() -> None:
    args = (np.linspace(-1.0, 2.0, 7), np.array([0.3, -0.2, 0.9]))
    value, pullback = wg.vjp(rounds, *args)
    assert value == pytest.approx(rounds(*args), rel=1e-14)
    for a, b in zip(pullback(2.0), wg.grad(rounds, argnums=(0, 1))(*args), strict=True):
        np.testing.assert_allclose(a, 2.0 * b, rtol=1e-13)


def test_second_derivatives() -> None:
    args = (np.linspace(-1.0, 2.0, 4), np.array([0.3, -0.2]))
    wg.check_grads(rounds, args, order=2)
