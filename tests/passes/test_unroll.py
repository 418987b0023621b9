"""`unroll`, and what `hoist` moves out of loops that surely run."""

from __future__ import annotations

import numpy as np
import pytest

import wengert as wg
import wengert.ops
from tests.passes.helpers import body, ops, stays
from wengert.ir.core import Function
from wengert.ir.interpret import run
from wengert.ir.verify import verify
from wengert.passes.hoist import hoist
from wengert.passes.unroll import unroll

assert wengert.ops  # fills the registry

LOOP = """
  %trips: i64[] = const() {{dtype=i64, value={trips}}}
  %one: i64[] = const() {{dtype=i64, value=1}}
  %r: f64[%n], %s: f64[] = for(%trips, %x, %a) {{
    region(%i: i64[], %y: f64[%n], %t: f64[]) {{
      {lines}
      %e: f64[] = index(%x, %m) {{spec=('i',)}}
      %u: f64[] = mul(%t, %e)
      %z: f64[%n] = update(%y, %u, %i) {{spec=('i',)}}
      yield %z, %u
    }}
  }}
  return %r, %s
"""


def loop(trips: int, lines: str = "") -> Function:
    text = LOOP.format(trips=trips, lines=lines)
    return body("<%n>(%x: f64[%n], %a: f64[], %m: i64[]) -> (f64[%n], f64[])", text)


@pytest.mark.parametrize("trips", [1, 2, 4])
def test_a_few_trips_are_written_out(trips: int) -> None:
    fn = loop(trips)
    found = unroll(fn)
    verify(found)
    assert "for" not in ops(found) and ops(found).count("update") == trips and unroll(found) is found
    args = [np.arange(5) + 1.0, 0.5, 2]
    for a, b in zip(run(found, args), run(fn, args), strict=True):
        np.testing.assert_array_equal(a, b)


def test_many_trips_none_and_an_unknown_number_stay() -> None:
    stays(unroll, loop(5))
    stays(unroll, loop(0))
    text = LOOP.format(trips=2, lines="").replace("for(%trips", "for(%m")
    stays(unroll, body("<%n>(%x: f64[%n], %a: f64[], %m: i64[]) -> (f64[%n], f64[])", text))


def test_carries_of_growing_size_stay() -> None:
    lines = """
      %two: i64[] = const() {dtype=i64, value=2}
      %k: i64[], %y: f64[%k] = for(%two, %n, %x) {
        region(%i: i64[], %k: i64[], %v: f64[%k]) {
          %more: i64[] = add(%k, %two)
          %w: f64[%k+2] = resize(%v, %more)
          yield %more, %w
        }
      }
      return %k, %y
    """
    stays(unroll, body("<%n>(%x: f64[%n]) -> (i64[], f64[%k])", lines))


def test_reads_leave_a_loop_that_surely_runs() -> None:
    found = hoist(loop(9))
    verify(found)
    assert ops(found).index("index") < ops(found).index("for")
    stays(hoist, loop(0))


def test_reads_behind_an_effect_stay() -> None:
    guard = "%p: bool[] = gt(%t, %a)\ncheck(%p) {exception='ValueError', message='no'}"
    stays(hoist, loop(9, guard))


def test_jacobians_of_small_results() -> None:
    def polar(p):
        r, angle = p[0], p[1]
        if r != 0.0:
            angle = angle * np.sqrt(r)
        return np.array([r * np.cos(angle), r * np.sin(angle)])

    p = np.array([2.0, 0.3])
    s = np.sqrt(2.0)
    c, d = np.cos(0.3 * s), np.sin(0.3 * s)
    slope = 0.3 / (2.0 * s)
    wanted = [[c - 2.0 * d * slope, -2.0 * s * d], [d + 2.0 * c * slope, 2.0 * s * c]]
    for transform in (wg.jacobian, wg.jacfwd, wg.jacrev):
        np.testing.assert_allclose(transform(polar)(p), wanted, rtol=1e-13)
