"""`hits`: rows that attain an extremum are added, the others left alone."""

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
from wengert.passes.hits import hits

assert wengert.ops  # fills the registry

PROGRAM = """
  %zero: f64[] = const() {{dtype=f64, value=0.0}}
  %lengths: f64[%n] = sum(%x) {{axes=(1,)}}
  %best: f64[] = {extremum}(%lengths) {{axes=(0,)}}
  %spread: f64[%n] = broadcast({level}, %n) {{axes=()}}
  %hit: bool[%n] = {mask}(%lengths, %spread)
  %share: f64[%n] = broadcast(%a, %n) {{axes=()}}
  %none: f64[%n] = broadcast(%zero, %n) {{axes=()}}
  %chosen: f64[%n] = select(%hit, %share, {otherwise})
  %wide: f64[%n,%d] = broadcast(%chosen, %n, %d) {{axes=(0,)}}
  %row: f64[%d] = index(%x, %m) {{spec=('i', ':')}}
  %rows: f64[%n,%d] = broadcast(%row, %n, %d) {{axes=(1,)}}
  %apart: f64[%n,%d] = sub(%x, %rows)
  %term: f64[%n,%d] = mul(%wide, %apart)
  %once: f64[%n,%d] = add(%bar, %term)
  %twice: f64[%n,%d] = add(%once, %wide)
  {more}
  return %twice
"""


def program(extremum="min", level="%best", otherwise="%none", more="", mask="attains") -> Function:
    text = PROGRAM.format(extremum=extremum, level=level, otherwise=otherwise, more=more, mask=mask)
    return body("<%n, %d>(%x: f64[%n,%d], %bar: f64[%n,%d], %a: f64[], %m: i64[]) -> (f64[%n,%d])", text)


@pytest.mark.parametrize("extremum", ["min", "max"])
def test_only_chosen_rows_are_added(extremum: str) -> None:
    fn = program(extremum)
    found = dce(hits(fn))
    verify(found)
    assert ops(found).count("for") == 1 and "mul" in ops(found) and hits(found) is found
    x = np.array([[1.0, 2.0], [4.0, -1.0], [0.0, 5.0], [5.0, 0.0]])
    args = [x, np.full((4, 2), 0.5), 3.0, 1]
    np.testing.assert_array_equal(run(found, args)[0], run(fn, args)[0])
    rows = (run(found, args)[0] != 0.5).any(axis=1)
    assert list(rows) == ([True, True, False, False] if extremum == "min" else [False, False, True, True])


def test_other_masks_and_other_values_stay() -> None:
    stays(hits, program(level="%a"))
    stays(hits, program(otherwise="%share"))
    stays(hits, program(mask="eq"))  # of the program itself: there zero times infinity is nan


def test_masks_of_the_program_keep_nan() -> None:
    def lowest(a, b, x):
        return a + np.where(x == x.min(), x, 0.0)[:, None] * b

    b = np.ones((4, 3))
    b[2, 1] = np.inf
    args = np.arange(12.0).reshape(4, 3), b, np.array([1.0, 0.5, 2.0, 3.0])
    with np.errstate(invalid="ignore"):
        expected = lowest(*args)
    assert np.isnan(expected[2, 1])
    np.testing.assert_array_equal(wg.jit(lowest)(*args), expected)
    mapped = wg.vmap(lambda a: lowest(a, *args[1:]))(np.stack([args[0], args[0]]))
    np.testing.assert_array_equal(mapped, np.stack([expected, expected]))
    np.testing.assert_array_equal(wg.grad(lambda a: np.sum(lowest(a, *args[1:])))(args[0]), np.ones((4, 3)))


def test_a_sum_that_is_used_in_between_stays() -> None:
    fn = program(more="%other: f64[%n,%d] = add(%once, %term)\n%twice2: f64[%n,%d] = add(%other, %twice)")
    stays(hits, body_returning(fn))


def body_returning(fn: Function) -> Function:
    from dataclasses import replace

    return replace(fn, results=(fn.instrs[-1].result,))


def clusters(centres, points):
    total = 0.0
    for p in points:
        distances = np.sum((centres - p) ** 2, axis=1)
        total += np.min(distances) * 0.5 + np.max(distances)
    return total


@pytest.mark.parametrize("off", ["", "hits", "hits,sweeps"])
def test_gradients_with_ties(off: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WENGERT_DISABLE", off)
    points = np.array([[0.5, 1.0], [2.0, 3.0], [1.0, 0.0]])
    wg.check_grads(clusters, (np.array([[1.0, 0.5], [2.5, 2.0], [0.3, 0.9]]), points))
    with_ties = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
    found = wg.grad(lambda c: clusters(c, points))(with_ties)
    with wg.eager():
        np.testing.assert_allclose(found, wg.grad(lambda c: clusters(c, points))(with_ties), rtol=1e-14)
