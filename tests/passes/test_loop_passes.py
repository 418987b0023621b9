"""`overwritten`, `checks`, `accumulators`, and what `bounds` knows of counters that grow unevenly."""

from __future__ import annotations

import numpy as np
import pytest

import wengert as wg
import wengert.ops
from tests.passes.helpers import body, ops, stays
from wengert.ir.core import Function, walk
from wengert.ir.interpret import run
from wengert.ir.verify import verify
from wengert.passes.accumulators import accumulators
from wengert.passes.bounds import bounds
from wengert.passes.checks import checks
from wengert.passes.overwritten import overwritten

# --- overwritten -----------------------------------------------------------------------------------------------------

FILL = """
  %c: f64[%n] = for({trips}, %x) {{
    region(%i: i64[], %w: f64[%n]) {{
      %v: f64[] = convert(%i) {{dtype=f64}}
      {lines}
      yield %w1
    }}
  }}
  return %c
"""
PLAIN = "%w1: f64[%n] = update(%w, %v, %i) {spec=('i',)}"


def fill(lines: str = PLAIN, trips: str = "%n") -> Function:
    return body("<%n>(%x: f64[%n], %m: i64[]) -> (f64[%n])", FILL.format(lines=lines, trips=trips))


def test_an_array_that_is_overwritten_entirely_needs_no_contents() -> None:
    fn = fill()
    found = overwritten(fn)
    verify(found)
    assert ops(found)[0] == "undef" and overwritten(found) is found
    for n in (0, 3):
        np.testing.assert_array_equal(run(found, [np.ones(n), n])[0], np.arange(n))


def test_nested_loops_overwrite_a_matrix() -> None:
    lines = """
      %r: f64[%n,%k] = for(%n, %x) {
        region(%i: i64[], %a: f64[%n,%k]) {
          %t: f64[%n,%k] = for(%k, %a) {
            region(%j: i64[], %b: f64[%n,%k]) {
              %v: f64[] = convert(%j) {dtype=f64}
              %b1: f64[%n,%k] = update(%b, %v, %i, %j) {spec=('i', 'i')}
              yield %b1
            }
          }
          yield %t
        }
      }
      return %r
    """
    fn = body("<%n, %k>(%x: f64[%n,%k]) -> (f64[%n,%k])", lines)
    found = overwritten(fn)
    assert ops(found)[0] == "undef"
    np.testing.assert_array_equal(run(found, [np.ones((2, 3))])[0], [[0, 1, 2], [0, 1, 2]])


def test_an_array_of_which_something_stays_keeps_its_contents() -> None:
    stays(overwritten, fill(trips="%m"))
    stays(overwritten, fill("%o: i64[] = const() {dtype=i64, value=0}\n%w1: f64[%n] = update(%w, %v, %o) {spec=('i',)}"))
    reads = "%u: f64[] = index(%w, %i) {spec=('i',)}\n%z: f64[] = add(%u, %v)\n%w1: f64[%n] = update(%w, %z, %i) {spec=('i',)}"
    stays(overwritten, fill(reads))
    stays(overwritten, fill("%w1: f64[%n] = add_at(%w, %v, %i) {spec=('i',)}"))


# --- checks ----------------------------------------------------------------------------------------------------------

SUMS = """
  %zero: f64[] = const() {{dtype=f64, value=0.0}}
  %s: f64[] = for(%m, %zero) {{
    region(%i: i64[], %t: f64[]) {{
      {lines}
      %v: f64[] = index(%x, {place}) {{spec=('i',)}}
      %t1: f64[] = add(%t, %v)
      yield %t1
    }}
  }}
  return %s
"""


def sums(lines: str, place: str) -> Function:
    return body("<%n>(%x: f64[%n], %m: i64[], %a: i64[]) -> (f64[])", SUMS.format(lines=lines, place=place))


def outcome(fn: Function, args: list) -> object:
    try:
        return run(fn, args)[0]
    except IndexError as error:
        return str(error).splitlines()[0]


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ("%w: i64[] = wrap_index(%i, %n) {what='axis 0'}", "%i"),
        ("%p: i64[] = add(%i, %a)\n%w: i64[] = wrap_index(%p, %n) {what='axis 0'}", "%p"),
        ("%w: i64[] = wrap_index(%a, %n) {what='axis 0'}", "%a"),
    ],
)
def test_one_check_for_all_trips(lines: str, place: str) -> None:
    fn = sums(lines, place)
    found = checks(fn)
    verify(found)
    loop = next(i for i in found.instrs if i.op.name == "for")
    assert "wrap_index" not in [i.op.name for i in walk(loop.regions[0].instrs)]
    assert checks(found) is found
    for n in (0, 1, 4):
        for m in (-1, 0, 1, 4, 5, 9):
            for a in (0, 1, 3, 4, 7):
                args = [np.arange(n) + 1.0, m, a]
                assert outcome(found, args) == outcome(fn, args), args[1:]


def test_checks_that_are_used_or_follow_other_effects_stay() -> None:
    stays(checks, sums("%w: i64[] = wrap_index(%i, %n) {what='axis 0'}", "%w"))
    guard = "%p: bool[] = lt(%i, %a)\ncheck(%p) {exception='ValueError', message='no'}\n"
    stays(checks, sums(guard + "%w: i64[] = wrap_index(%i, %n) {what='axis 0'}", "%i"))
    twice = "%two: i64[] = const() {dtype=i64, value=2}\n%p: i64[] = mul(%i, %two)\n"
    stays(checks, sums(twice + "%w: i64[] = wrap_index(%p, %n) {what='axis 0'}", "%p"))


def test_errors_are_those_of_python() -> None:
    def triangle(x, n):
        total = 0.0
        at = 0
        for i in range(n):
            for j in range(i + 1, n):
                total += x[at] * j
                at += 1
        return total

    x = np.arange(6.0)
    assert wg.jit(triangle)(x, 4) == triangle(x, 4)
    wg.check_grads(triangle, (x, 4))
    for n in (5, 9):
        with pytest.raises(IndexError) as wanted:
            triangle(x, n)
        with pytest.raises(IndexError) as found:
            wg.jit(triangle)(x, n)
        assert str(wanted.value) in str(found.value)


def test_a_counter_that_only_grows_is_not_negative() -> None:
    lines = """
      %zero: i64[] = const() {dtype=i64, value=0}
      %s: f64[] = const() {dtype=f64, value=0.0}
      %r: f64[], %e: i64[] = for(%n, %s, %zero) {
        region(%i: i64[], %t: f64[], %at: i64[]) {
          %w: i64[] = wrap_index(%at, %n) {what='axis 0'}
          %v: f64[] = index(%x, %w) {spec=('i',)}
          %t1: f64[] = add(%t, %v)
          %next: i64[] = STEP(%at, %i)
          yield %t1, %next
        }
      }
      return %r
    """
    for step, known in (("add", True), ("sub", False)):
        found = bounds(body("<%n>(%x: f64[%n]) -> (f64[])", lines.replace("STEP", step)))
        read = next(i for i in walk(found.instrs) if i.op.name == "index")
        assert (read.operands[1].name == "at") is known


# --- accumulators ----------------------------------------------------------------------------------------------------

ADD = """
  %r: f64[%n] = for(%m, %x) {{
    region(%i: i64[], %b: f64[%n]) {{
      %v: f64[] = convert(%i) {{dtype=f64}}
      %b1: f64[%n] = add_at({target}, %v, {place}) {{spec=('i',)}}
      {more}
      yield %b1
    }}
  }}
  return %r
"""


def additions(target: str = "%b", place: str = "%a", more: str = "") -> Function:
    text = ADD.format(target=target, place=place, more=more)
    return body("<%n>(%x: f64[%n], %m: i64[], %a: i64[]) -> (f64[%n])", text)


def test_sums_at_one_place_are_taken_in_a_register() -> None:
    fn = additions()
    found = accumulators(fn)
    verify(found)
    loop = next(i for i in found.instrs if i.op.name == "for")
    assert loop.result.rank == 0 and accumulators(found) is found
    for m in (0, 1, 5):
        np.testing.assert_array_equal(run(found, [np.ones(3), m, 2])[0], run(fn, [np.ones(3), m, 2])[0])
    np.testing.assert_array_equal(run(found, [np.ones(0), 0, 2])[0], [])


def test_sums_at_several_places_or_that_are_read_stay() -> None:
    stays(accumulators, additions(place="%i"))
    stays(accumulators, additions(target="%x"))


def polynomial(x, n):
    total = 0.0
    for i in range(n):
        power = 1.0
        for j in range(n):
            power *= x[i] * 0.5
            total += power * x[j]
    return total


@pytest.mark.parametrize("off", ["overwritten", "checks", "accumulators", "sweeps"])
def test_gradients_are_the_same_without_a_pass(off: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def scratch(x, n):
        work = np.empty(n)
        total = 0.0
        for i in range(len(x)):
            for j in range(n):
                work[j] = x[i] * x[j] + j
            for j in range(1, n):
                work[j] += work[j - 1] * x[i]
            total += work[n - 1] * work[0]
        return total + polynomial(x, n)

    args = (np.linspace(0.1, 0.9, 5), 4)
    found = wg.value_and_grad(scratch)(*args)
    monkeypatch.setenv("WENGERT_DISABLE", off)
    other = wg.value_and_grad(lambda x, n: scratch(x, n))(*args)
    assert found[0] == pytest.approx(other[0], rel=1e-14)
    np.testing.assert_allclose(found[1], other[1], rtol=1e-13)
    wg.check_grads(scratch, args)
