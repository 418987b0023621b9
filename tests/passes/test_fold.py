"""`fold`: constants, identities of arithmetic, views, regions whose path is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

import wengert.ops  # noqa: F401 - fills the registry
from tests.passes.helpers import becomes, body, ops, stays
from wengert.ir.interpret import run
from wengert.passes.dce import dce
from wengert.passes.fold import fold

CONSTANTS = """
  %zero: f64[] = const() {dtype=f64, value=0.0}
  %one: f64[] = const() {dtype=f64, value=1.0}
  %two: f64[] = const() {dtype=f64, value=2.0}
  %half: f64[] = const() {dtype=f64, value=0.5}
  %minus: f64[] = const() {dtype=f64, value=-1.0}
  %t: bool[] = const() {dtype=bool, value=True}
  %f: bool[] = const() {dtype=bool, value=False}
"""


def folded(lines: str, signature: str = "(%x: f64[], %y: f64[], %p: bool[]) -> (f64[])") -> list[str]:
    """The ops that are left of `lines`, constants aside."""
    return [name for name in ops(dce(fold(body(signature, CONSTANTS + lines)))) if name != "const"]


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("add(%x, %zero)", []),
        ("add(%zero, %x)", []),
        ("sub(%x, %zero)", []),
        ("sub(%zero, %x)", ["neg"]),
        ("mul(%x, %one)", []),
        ("mul(%minus, %x)", ["neg"]),
        ("mul(%x, %zero)", ["mul"]),
        ("zmul(%x, %zero)", []),
        ("zmul(%one, %x)", ["mul"]),
        ("zmul(%x, %half)", ["mul"]),
        ("zmul(%x, %y)", ["zmul"]),
        ("div(%x, %one)", []),
        ("div(%x, %two)", ["mul"]),
        ("div(%one, %x)", ["div"]),
        ("pow(%x, %two)", ["ipow"]),
        ("pow(%x, %half)", ["sqrt"]),
        ("pow(%x, %y)", ["pow"]),
        ("ipow(%x) {exponent=0}", []),
        ("ipow(%x) {exponent=1}", []),
        ("ipow(%x) {exponent=2}", ["mul"]),
        ("ipow(%x) {exponent=3}", ["mul", "mul"]),
        ("ipow(%x) {exponent=-1}", ["div"]),
        ("ipow(%x) {exponent=5}", ["ipow"]),
        ("select(%t, %x, %y)", []),
        ("select(%f, %x, %y)", []),
        ("select(%p, %x, %x)", []),
        ("select(%p, %one, %one)", []),
        ("select(%p, %x, %y)", ["select"]),
        ("convert(%x) {dtype=f64}", []),
        ("maximum(%x, %x)", []),
        ("exp(%two)", []),
        ("sum(%x) {axes=()}", []),
    ],
)
def test_one_instruction(line: str, left: list[str]) -> None:
    assert folded(f"%r: f64[] = {line}\nreturn %r") == left


def test_negations() -> None:
    lines = """
      %n: f64[] = neg(%x)
      %m: f64[] = neg(%n)
      %a: f64[] = add(%y, %n)
      %b: f64[] = sub(%a, %n)
      %c: f64[] = mul(%b, %m)
      return %c
    """
    assert folded(lines) == ["sub", "add", "mul"]


def test_infinity_times_zero_stays_nan() -> None:
    fn = body("(%x: f64[]) -> (f64[])", CONSTANTS + "%r: f64[] = mul(%x, %zero)\nreturn %r")
    assert math.isnan(run(fold(fn), [math.inf])[0])


def test_not_of_a_float_comparison_keeps_nan() -> None:
    lines = """
      %c: bool[] = lt(%x, %y)
      %n: bool[] = not(%c)
      return %n
    """
    fn = body("(%x: f64[], %y: f64[]) -> (bool[])", lines)
    assert run(fold(fn), [math.nan, 1.0])[0]


def test_integers_by_their_affine_form() -> None:
    before = body(
        "<%n>(%x: f64[%n]) -> (i64[], i64[], bool[])",
        """
        %one: i64[] = const() {dtype=i64, value=1}
        %a: i64[] = sub(%n, %one)
        %b: i64[] = add(%a, %one)
        %c: i64[] = sub(%b, %a)
        %d: bool[] = lt(%a, %n)
        return %b, %c, %d
        """,
    )
    after = body(
        "<%n>(%x: f64[%n]) -> (i64[], i64[], bool[])",
        """
        %c: i64[] = const() {dtype=i64, value=1}
        %d: bool[] = const() {dtype=bool, value=True}
        return %n, %c, %d
        """,
    )
    becomes(lambda fn: dce(fold(fn)), before, after)


def test_integers_that_overflow_are_not_folded() -> None:
    big = 2**62
    fn = body(
        "() -> (i64[])",
        f"""
        %a: i64[] = const() {{dtype=i64, value={big}}}
        %b: i64[] = mul(%a, %a)
        return %b
        """,
    )
    assert run(fold(fn), []) == run(fn, [])


def test_constant_if_gives_its_arm() -> None:
    before = body(
        "(%x: f64[]) -> (f64[])",
        CONSTANTS
        + """
        %r: f64[] = if(%t) {
          region() {
            %s: f64[] = sin(%x)
            yield %s
          }
          region() {
            yield %x
          }
        }
        return %r
        """,
    )
    after = body("(%x: f64[]) -> (f64[])", "%s: f64[] = sin(%x)\nreturn %s")
    becomes(lambda fn: dce(fold(fn)), before, after)


def test_loops_of_no_and_one_trip() -> None:
    loop = """
        %n: i64[] = const() {{dtype=i64, value={trips}}}
        %r: f64[], %k: i64[] = for(%n, %x, %n) {{
          region(%i: i64[], %a: f64[], %k: i64[]) {{
            %s: f64[] = sin(%a)
            yield %s, %i
          }}
        }}
        return %r, %k
    """
    signature = "(%x: f64[]) -> (f64[], i64[])"
    for trips, left in ((0, []), (-2, []), (1, ["sin"]), (2, ["for", "sin"])):
        fn = body(signature, loop.format(trips=trips))
        found = dce(fold(fn))
        assert [name for name in ops(found) if name != "const"] == left
        assert run(found, [0.3]) == run(fn, [0.3])


def test_views_of_views() -> None:
    lines = """
      %one: i64[] = const() {dtype=i64, value=1}
      %two: i64[] = const() {dtype=i64, value=2}
      %m: i64[] = sub(%n, %two)
      %t: f64[3,%n] = transpose(%x) {perm=(1, 0)}
      %u: f64[%n] = index(%t, %two) {spec=('i', ':')}
      %s: f64[%n-2] = index(%u, %one, %m, %one) {spec=('s',)}
      %e: f64[] = index(%s, %one) {spec=('i',)}
      return %e
    """
    fn = body("<%n>(%x: f64[%n,3]) -> (f64[])", lines)
    found = fold(dce(fold(fold(fn))))
    reads = [name for name in ops(dce(found)) if name in ("index", "transpose")]
    assert reads == ["index"]
    x = np.arange(12.0).reshape(4, 3)
    assert run(found, [x]) == run(fn, [x]) == [x[2, 2]]


def test_reads_are_not_moved_behind_writes() -> None:
    """Reading the old array after it was overwritten would keep both alive."""
    lines = """
      %zero: i64[] = const() {dtype=i64, value=0}
      %row: f64[4] = index(%x, %zero) {spec=('i', ':')}
      %y: f64[3,4] = update(%x, %v, %zero) {spec=('i', ':')}
      %e: f64[] = index(%row, %zero) {spec=('i',)}
      return %e, %y
    """
    stays(fold, body("(%x: f64[3,4], %v: f64[4]) -> (f64[], f64[3,4])", lines))


def test_arithmetic_of_splats_is_scalar() -> None:
    before = body(
        "<%n>(%x: f64[%n], %a: f64[]) -> (f64[%n], f64[])",
        """
        %b: f64[%n] = broadcast(%a, %n) {axes=()}
        %c: f64[%n] = mul(%b, %b)
        %zero: i64[] = const() {dtype=i64, value=0}
        %d: f64[] = index(%c, %zero) {spec=('i',)}
        return %c, %d
        """,
    )
    after = body(
        "<%n>(%x: f64[%n], %a: f64[]) -> (f64[%n], f64[])",
        """
        %s: f64[] = mul(%a, %a)
        %c: f64[%n] = broadcast(%s, %n) {axes=()}
        return %c, %s
        """,
    )
    becomes(lambda fn: dce(fold(fn)), before, after)
