"""`apart`: arrays that are overwritten before their entry is pushed get a stack of their own."""

from __future__ import annotations

import numpy as np
import pytest

import wengert as wg
from tests.passes.helpers import body, ops, stays
from wengert.ir.core import Function, walk
from wengert.ir.interpret import run
from wengert.ir.verify import verify
from wengert.passes.apart import apart
from wengert.passes.pipeline import optimize

SIGNATURE = "<%n>(%x: f64[%n], %m: i64[]) -> (f64[%n])"
PROGRAM = """
  %zero: i64[] = const() {{dtype=i64, value=0}}
  %two: f64[] = const() {{dtype=f64, value=2.0}}
  %s0: stack(f64[%n], f64[%n]) = stack_new(%m) {{elements=(f64[%n], f64[%n])}}
  %full: stack(f64[%n], f64[%n]), %last: f64[%n] = for(%m, %s0, %x) {{
    region(%i: i64[], %s: stack(f64[%n], f64[%n]), %y: f64[%n]) {{
      %a: f64[%n] = sin(%y)
      {between}
      %s2: stack(f64[%n], f64[%n]) = push(%s, %a, %b)
      yield %s2, %b
    }}
  }}
  %rest: stack(f64[%n], f64[%n]), %out: f64[%n] = for(%m, %full, %last) {{
    region(%j: i64[], %t: stack(f64[%n], f64[%n]), %z: f64[%n]) {{
      %r: stack(f64[%n], f64[%n]), %p: f64[%n], %q: f64[%n] = pop(%t)
      %k: f64[%n] = mul(%z, %q)
      %z2: f64[%n] = {use}
      yield %r, %z2
    }}
  }}
  return %out
"""
WRITTEN = "%b: f64[%n] = update(%a, %two, %zero) {{spec=('i',)}}"
CARRIED = """%b: f64[%n] = for(%m, %a) {{
        region(%u: i64[], %v: f64[%n]) {{
          %w: f64[%n] = update(%v, %two, %zero) {{spec=('i',)}}
          yield %w
        }}
      }}"""


def program(between: str, use: str = "add(%k, %p)") -> Function:
    return body(SIGNATURE, PROGRAM.format(between=between.replace("{{", "{").replace("}}", "}"), use=use))


@pytest.mark.parametrize("between", [WRITTEN, CARRIED], ids=["written", "carried by a loop"])
def test_what_is_overwritten_is_pushed_first(between):
    fn = program(between)
    found = apart(fn)
    verify(found)
    assert ops(found).count("stack_new") == 2
    loop = next(i for i in found.instrs if i.op.name == "for")
    order = [i.op.name for i in loop.regions[0].instrs]
    assert order[:2] == ["sin", "push"], "the old value is saved before it is overwritten"
    settled = optimize(found)
    verify(settled)
    assert {len(i.operands) for i in walk(settled.instrs) if i.op.name == "push"} == {2}, "each array is on one stack"
    assert apart(settled) is settled
    x = np.linspace(0.2, 1.3, 4)
    for trips in (0, 1, 3):
        expected = run(fn, [x, trips])[0]
        np.testing.assert_array_equal(run(found, [x, trips])[0], expected)
        np.testing.assert_array_equal(run(settled, [x, trips])[0], expected)


def test_what_is_not_overwritten_stays_together():
    stays(apart, program("%b: f64[%n] = cos(%a)"))


def test_what_nobody_pops_stays():
    stays(apart, program(WRITTEN, use="sin(%k)"))


def two_phases(u, steps):
    """Two inner loops that write to one array, each of whose results the outer loop needs on the way back."""
    p, v = np.zeros_like(u), u.copy()
    for _ in range(steps):
        for j in range(1, len(u)):
            p[j] = np.sin(p[j - 1] + v[j])
        for j in range(len(u) - 1):
            v[j] = p[j] * v[j + 1] + p[j] * p[j]
        for j in range(1, len(u)):
            p[j] = np.cos(p[j - 1] * v[j])
        v[:-1] += p[:-1] * p[1:]
        if v[0] > 0.4:
            for j in range(1, len(u)):
                p[j] *= p[j - 1]
            v *= p
    return np.sum(v * v) + np.sum(p)


def test_gradients_with_and_without(monkeypatch):
    u = np.linspace(0.1, 0.9, 6)
    steps = [np.eye(6)[k] * 1e-6 for k in range(6)]
    expected = [(two_phases(u + h, 3) - two_phases(u - h, 3)) / 2e-6 for h in steps]
    found = wg.grad(two_phases)(u, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-8)
    monkeypatch.setenv("WENGERT_DISABLE", "apart")
    np.testing.assert_allclose(wg.grad(lambda u: two_phases(u, 3))(u), found, rtol=1e-14, atol=1e-15)
