"""The reference interpreter: arguments, regions, stacks, effects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wengert.ops  # noqa: F401 - fills the registry
from wengert.errors import ArgumentError
from wengert.ir.core import Instr
from wengert.ir.effects import check_error, exception_class
from wengert.ir.interpret import run
from wengert.ir.parser import parse

POLYNOMIAL = """
func @f<%n>(%x: f64[%n], %k: f64[]) -> (f64[], f64[%n]) {
  %s0: f64[] = const() {dtype=f64, value=0.0}
  %s: f64[] = for(%n, %s0) {
    region(%i: i64[], %acc: f64[]) {
      %e: f64[] = index(%x, %i) {spec=('i',)}
      %m: f64[] = mul(%acc, %k)
      %t: f64[] = add(%m, %e)
      yield %t
    }
  }
  return %s, %x
}
"""


def test_loop_over_an_array() -> None:
    x = np.array([1.0, 2.0, 3.0])
    value, same = run(parse(POLYNOMIAL), [x, 2.0])
    assert value == 11.0
    same[0] = 7.0
    assert x[0] == 1.0


def test_empty_arrays() -> None:
    assert run(parse(POLYNOMIAL), [np.zeros(0), 2.0])[0] == 0.0


@pytest.mark.parametrize("args", [[np.zeros(3)], [np.zeros((3, 1)), 1.0], [np.zeros(3), 1j], [2.0, 1.0]])
def test_bad_arguments(args: list[Any]) -> None:
    with pytest.raises(ArgumentError):
        run(parse(POLYNOMIAL), args)


def test_sizes_must_agree() -> None:
    fn = parse("func @f<%n>(%x: f64[%n], %y: f64[%n-1], %z: f64[2,%n]) -> () {\n return\n}")
    run(fn, [np.zeros(3), np.zeros(2), np.zeros((2, 3))])
    with pytest.raises(ArgumentError, match="wrong shape"):
        run(fn, [np.zeros(3), np.zeros(3), np.zeros((2, 3))])
    with pytest.raises(ArgumentError, match="wrong shape"):
        run(fn, [np.zeros(3), np.zeros(2), np.zeros((1, 3))])


def test_arguments_are_not_mutated() -> None:
    fn = parse(
        """
        func @f(%x: f64[3], %v: f64[], %i: i64[]) -> (f64[3]) {
          %y: f64[3] = update(%x, %v, %i) {spec=('i',)}
          %z: f64[3] = add_at(%y, %v, %i) {spec=('i',)}
          return %z
        }
        """
    )
    x = np.zeros(3)
    assert run(fn, [x, 2.0, 1])[0].tolist() == [0.0, 4.0, 0.0]
    assert x.tolist() == [0.0, 0.0, 0.0]


def test_while_and_stack() -> None:
    fn = parse(
        """
        func @f(%x: f64[], %n: i64[]) -> (f64[], i64[]) {
          %one: f64[] = const() {dtype=f64, value=1.0}
          %j0: i64[] = const() {dtype=i64, value=0}
          %j1: i64[] = const() {dtype=i64, value=1}
          %s0: stack(f64[]) = stack_new(%n) {elements=(f64[],)}
          %y: f64[], %trips: i64[], %s: stack(f64[]) = while(%x, %j0, %s0) {
            region(%g: f64[], %k: i64[], %t: stack(f64[])) {
              %c: bool[] = gt(%g, %one)
              yield %c
            }
            region(%h: f64[], %l: i64[], %u: stack(f64[])) {
              %pushed: stack(f64[]) = push(%u, %h)
              %half: f64[] = sqrt(%h)
              %less: f64[] = sub(%half, %one)
              %m: i64[] = add(%l, %j1)
              yield %less, %m, %pushed
            }
          }
          %total: f64[], %empty: stack(f64[]) = for(%trips, %y, %s) {
            region(%i: i64[], %a: f64[], %v: stack(f64[])) {
              %w: stack(f64[]), %b: f64[] = pop(%v)
              %d: f64[] = mul(%a, %b)
              yield %d, %w
            }
          }
          return %total, %trips
        }
        """
    )
    total, trips = run(fn, [100.0, 3])
    assert trips == 3
    np.testing.assert_allclose(total, (np.sqrt(2.0) - 1.0) * 2.0 * 9.0 * 100.0)


def test_growing_sizes() -> None:
    fn = parse(
        """
        func @f(%x: f64[], %n: i64[]) -> (f64[]) {
          %one: i64[] = const() {dtype=i64, value=1}
          %b0: f64[1] = broadcast(%x, %one) {axes=()}
          %k: i64[], %b: f64[%k] = for(%n, %one, %b0) {
            region(%i: i64[], %l: i64[], %c: f64[%l]) {
              %m: i64[] = add(%l, %one)
              %s: f64[] = sum(%c) {axes=(0,)}
              %d: f64[%l+1] = broadcast(%s, %m) {axes=()}
              yield %m, %d
            }
          }
          %r: f64[] = sum(%b) {axes=(0,)}
          return %r
        }
        """
    )
    assert run(fn, [1.0, 3]) == [24.0]


CHECK = """
func @f(%p: bool[], %x: f64[]) -> () {{
  check(%p, %x) {{exception={name!r}, message='x is {{0:.1f}}'}}  # model.py:3
  return
}}
"""


@pytest.mark.parametrize(
    ("name", "raised"),
    [
        ("ValueError", ValueError),
        ("ZeroDivisionError", ZeroDivisionError),
        ("AssertionError", AssertionError),
        ("LinAlgError", np.linalg.LinAlgError),
        ("KeyboardInterrupt", RuntimeError),
        ("TheirOwnError", RuntimeError),
    ],
)
def test_checks_raise(name: str, raised: type[Exception]) -> None:
    fn = parse(CHECK.format(name=name))
    run(fn, [True, 1.0])
    with pytest.raises(raised, match=r"(?s)x is 2\.5.*model\.py:3") as caught:
        run(fn, [False, 2.5])
    assert caught.type is raised is exception_class(name)


def test_factory_makes_the_users_own_exception() -> None:
    class TheirOwnError(Exception):
        pass

    fn = parse(CHECK.format(name="TheirOwnError"))
    error = check_error({**fn.instrs[0].attrs, "_factory": lambda x: TheirOwnError(x)}, fn.instrs[0].span, [np.float64(2.5)])
    assert isinstance(error, TheirOwnError)
    assert error.args == (2.5,)
    assert "model.py:3" in error.__notes__[0]


def test_wrap_index() -> None:
    fn = parse(
        """
        func @f<%n>(%x: f64[%n], %k: i64[]) -> (f64[]) {
          %i: i64[] = wrap_index(%k, %n) {what='axis 0'}
          %e: f64[] = index(%x, %i) {spec=('i',)}
          return %e
        }
        """
    )
    x = np.arange(3.0)
    assert [run(fn, [x, k])[0] for k in (0, 2, -1, -3)] == [0.0, 2.0, 2.0, 0.0]
    for k in (3, -4):
        with pytest.raises(IndexError, match=f"index {k} is out of bounds for axis 0 with size 3"):
            run(fn, [x, k])


def test_print(capsys: pytest.CaptureFixture[str]) -> None:
    run(parse("func @f(%x: f64[], %n: i64[]) -> () {\n host_print(%x, %n) {template='{} {:03d}'}\n return\n}"), [0.5, 7])
    assert capsys.readouterr().out == "0.5 007\n"


def test_hook_sees_every_instruction() -> None:
    seen: list[str] = []

    def hook(instr: Instr, results: tuple[Any, ...]) -> None:
        seen.append(instr.op.name)

    run(parse(POLYNOMIAL), [np.ones(2), 1.0], hook)
    assert seen == ["const", *["index", "mul", "add"] * 2, "for"]


def test_floating_point_warnings_are_quiet() -> None:
    fn = parse("func @f(%x: f64[], %y: f64[]) -> (f64[]) {\n %z: f64[] = div(%x, %y)\n return %z\n}")
    assert run(fn, [1.0, 0.0]) == [np.inf]
