"""Writes behind what reads the elements that they overwrite: fewer copies, the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from tests.passes.helpers import body

import wengert as wg
from wengert.codegen import compile as compile_native
from wengert.codegen.late_writes import late_writes
from wengert.ir.core import Function
from wengert.ir.interpret import run

SIGNATURE = "<%n>(%x: f64[%n,%n], %y: f64[%n,%n], %i: i64[]) -> (f64[%n,%n], f64[%n,%n])"
START = """
  %c0: i64[] = const() {dtype=i64, value=0}
  %c1: i64[] = const() {dtype=i64, value=1}
  %nil: f64[] = const() {dtype=f64, value=0.0}
  %row: f64[%n] = index(%x, %c0, %c0, %n, %c1) {spec=('i', 's')}
  %clear: f64[%n] = broadcast(%nil, %n) {axes=()}
"""
CASES = {
    "added elsewhere": """
  %x1: f64[%n,%n] = update(%x, %clear, %c0, %c0, %n, %c1) {spec=('i', 's')}
  %y1: f64[%n,%n] = add_at(%y, %row, %i, %c0, %n, %c1) {spec=('i', 's')}
  return %x1, %y1
""",
    "added to another part of the same": """
  %x1: f64[%n,%n] = update(%x, %clear, %c0, %c0, %n, %c1) {spec=('i', 's')}
  %x2: f64[%n,%n] = add_at(%x1, %row, %c1, %c0, %n, %c1) {spec=('i', 's')}
  return %x2, %y
""",
    "added to a part that may be the same": """
  %x1: f64[%n,%n] = update(%x, %clear, %c0, %c0, %n, %c1) {spec=('i', 's')}
  %x2: f64[%n,%n] = add_at(%x1, %row, %i, %c0, %n, %c1) {spec=('i', 's')}
  return %x2, %y
""",
    "the old other array is read behind": """
  %x1: f64[%n,%n] = update(%x, %clear, %c0, %c0, %n, %c1) {spec=('i', 's')}
  %y1: f64[%n,%n] = add_at(%y, %row, %i, %c0, %n, %c1) {spec=('i', 's')}
  %y2: f64[%n,%n] = add(%y, %y1)
  return %x1, %y2
""",
    "the new array is read by what is added": """
  %x1: f64[%n,%n] = update(%x, %clear, %c0, %c0, %n, %c1) {spec=('i', 's')}
  %r1: f64[%n] = index(%x1, %i, %c0, %n, %c1) {spec=('i', 's')}
  %sum: f64[%n] = add(%row, %r1)
  %y1: f64[%n,%n] = add_at(%y, %sum, %i, %c0, %n, %c1) {spec=('i', 's')}
  return %x1, %y1
""",
    "twice": """
  %x1: f64[%n,%n] = update(%x, %clear, %c0, %c0, %n, %c1) {spec=('i', 's')}
  %r1: f64[%n] = index(%x1, %i, %c0, %n, %c1) {spec=('i', 's')}
  %x2: f64[%n,%n] = update(%x1, %row, %i, %c0, %n, %c1) {spec=('i', 's')}
  %y1: f64[%n,%n] = add_at(%y, %r1, %c1, %c0, %n, %c1) {spec=('i', 's')}
  %y2: f64[%n,%n] = add_at(%y1, %row, %c0, %c0, %n, %c1) {spec=('i', 's')}
  return %x2, %y2
""",
}


def order(fn: Function) -> list[str]:
    return [i.op.name for i in fn.instrs if i.op.name in ("update", "add_at")]


@pytest.mark.parametrize("case", CASES)
def test_values_stay(case):
    fn = body(SIGNATURE, START + CASES[case])
    late = late_writes(fn)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(size=(3, 3)), rng.uniform(size=(3, 3))
    for i in range(3):
        expected = run(fn, [x, y, i])
        for found in (run(late, [x, y, i]), compile_native(fn)(x, y, i), compile_native(late)(x, y, i)):
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_array_equal(a, b)


def test_what_is_added_elsewhere_goes_first():
    fn = body(SIGNATURE, START + CASES["added elsewhere"])
    assert order(fn) == ["update", "add_at"]
    assert order(late_writes(fn)) == ["add_at", "update"]


def test_a_part_that_may_be_the_same_is_not_swapped():
    fn = body(SIGNATURE, START + CASES["added to a part that may be the same"])
    assert order(late_writes(fn)) == ["update", "add_at"]


def driven(e, h, drive):
    """A row set from outside, and two fields that change each other."""
    e, h = e.copy(), h.copy()
    for t in range(len(drive)):
        e[0] = drive[t]
        e[1:] -= 0.5 * (h[1:] - h[:-1])
        h[:-1, :-1] -= 0.7 * (e[:-1, 1:] - e[:-1, :-1] + e[1:, :-1] - e[:-1, :-1])
        if drive[t] > 0.5:
            h[0] = e[1] * h[2]
            e[2] += h[0]
    return np.sum(h * h) + e[1, 1]


def loop_copies(gradient):
    (variant,) = [v for found in gradient.program.variants.values() for v in found]
    return [n.what for n in variant.compiled.report if n.kind == "copy" and n.loops]


def plain(e, h, drive):
    """`driven` without its branch."""
    e, h = e.copy(), h.copy()
    for t in range(len(drive)):
        e[0] = drive[t]
        e[1:] -= 0.5 * (h[1:] - h[:-1])
        h[:-1, :-1] -= 0.7 * (e[:-1, 1:] - e[:-1, :-1] + e[1:, :-1] - e[:-1, :-1])
    return np.sum(h * h) + e[1, 1]


def test_no_copies_in_a_loop_back(monkeypatch):
    rng = np.random.default_rng(1)
    args = rng.uniform(size=(4, 5)), rng.uniform(size=(4, 5)), rng.uniform(size=5)
    gradient = wg.grad(plain, argnums=(0, 1, 2))
    found = gradient(*args)
    assert not loop_copies(gradient)
    monkeypatch.setenv("WENGERT_DISABLE", "latewrites")
    without = wg.grad(lambda e, h, drive: plain(e, h, drive), argnums=(0, 1, 2))
    for a, b in zip(without(*args), found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14)
    assert loop_copies(without)


def test_gradients_against_differences():
    rng = np.random.default_rng(2)
    args = [rng.uniform(size=(4, 5)), rng.uniform(size=(4, 5)), np.array([0.3, 0.7, 0.1, 0.9])]
    found = wg.grad(driven, argnums=(0, 1, 2))(*args)
    for k, arg in enumerate(args):
        way = rng.uniform(-1.0, 1.0, arg.shape)
        moved = [[a + s * 1e-6 * way if j == k else a for j, a in enumerate(args)] for s in (1.0, -1.0)]
        slope = (driven(*moved[0]) - driven(*moved[1])) / 2e-6
        np.testing.assert_allclose(np.sum(found[k] * way), slope, rtol=1e-7, atol=1e-8)
