"""All passes together: same results on random programs, linear time, golden prints, switches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wengert.ops  # noqa: F401 - fills the registry
from tests.passes.helpers import body, ops
from tests.random_ir import Generator
from wengert.ir.core import Function
from wengert.ir.interpret import run
from wengert.ir.printer import print_function
from wengert.ir.verify import verify
from wengert.passes.pipeline import optimize

PROGRAMS = {
    "recurrence": (
        "<%n>(%x: f64[%n], %a: f64[]) -> (f64[], f64[%n])",
        """
        %zero: i64[] = const() {dtype=i64, value=0}
        %one: i64[] = const() {dtype=i64, value=1}
        %s0: f64[] = const() {dtype=f64, value=0.0}
        %m: i64[] = sub(%n, %one)
        %s: f64[], %c: i64[], %b: f64[], %y: f64[%n] = for(%m, %s0, %zero, %a, %x) {
          region(%i: i64[], %s: f64[], %c: i64[], %b: f64[], %y: f64[%n]) {
            %t: i64[] = add(%i, %one)
            %p: i64[] = sub(%t, %one)
            %w: i64[] = wrap_index(%p, %n) {what='axis 0'}
            %v: i64[] = wrap_index(%t, %n) {what='axis 0'}
            %e: f64[] = index(%y, %w) {spec=('i',)}
            %f: f64[] = exp(%b)
            %g: f64[] = mul(%e, %f)
            %y2: f64[%n] = update(%y, %g, %v) {spec=('i',)}
            %h: f64[] = index(%y2, %v) {spec=('i',)}
            %s2: f64[] = add(%s, %h)
            %c2: i64[] = add(%c, %one)
            yield %s2, %c2, %b, %y2
          }
        }
        return %s, %y
        """,
    ),
    "stencil": (
        "<%n>(%u: f64[%n], %k: f64[], %steps: i64[]) -> (f64[%n])",
        """
        %zero: i64[] = const() {dtype=i64, value=0}
        %one: i64[] = const() {dtype=i64, value=1}
        %two: i64[] = const() {dtype=i64, value=2}
        %m: i64[] = sub(%n, %two)
        %r: f64[%n] = for(%steps, %u) {
          region(%t: i64[], %v: f64[%n]) {
            %a: f64[%n-2] = index(%v, %two, %m, %one) {spec=('s',)}
            %b: f64[%n-2] = index(%v, %one, %m, %one) {spec=('s',)}
            %c: f64[%n-2] = index(%v, %zero, %m, %one) {spec=('s',)}
            %f: f64[] = const() {dtype=f64, value=2.0}
            %fb: f64[%n-2] = broadcast(%f, %m) {axes=()}
            %d: f64[%n-2] = mul(%fb, %b)
            %e: f64[%n-2] = sub(%a, %d)
            %g: f64[%n-2] = add(%e, %c)
            %kb: f64[%n-2] = broadcast(%k, %m) {axes=()}
            %h: f64[%n-2] = mul(%kb, %g)
            %w: f64[%n] = add_at(%v, %h, %one, %m, %one) {spec=('s',)}
            yield %w
          }
        }
        return %r
        """,
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_golden(name: str, golden: Any) -> None:
    golden(f"optimize_{name}.ir", print_function(optimize(body(*PROGRAMS[name]))))


def test_recurrence_has_no_checks_left() -> None:
    fn = body(*PROGRAMS["recurrence"])
    found = optimize(fn)
    assert "wrap_index" not in ops(found)
    for n in (1, 2, 5):
        args = [np.linspace(0.5, 1.0, n), 0.1]
        for a, b in zip(run(found, args), run(fn, args)):
            np.testing.assert_allclose(a, b, rtol=1e-14)


def outcome(fn: Function, args: list[Any]) -> list[Any] | str:
    try:
        return run(fn, args)
    except IndexError as error:
        return str(error)


@pytest.mark.parametrize("block", range(8))
def test_random_programs_keep_their_meaning(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WENGERT_CHECK", "1")
    for seed in range(10 * block, 10 * block + 10):
        fn = Generator(seed).function()
        verify(fn)
        found = optimize(fn)
        for n in (2, 5):
            args = [np.linspace(-1, 1, n), 0.7, n - 1]
            a, b = outcome(fn, args), outcome(found, args)
            if isinstance(a, str) or isinstance(b, str):
                assert a == b, f"seed {seed}"
                continue
            for x, y in zip(a, b):
                np.testing.assert_allclose(x, y, rtol=1e-7, atol=1e-9, err_msg=f"seed {seed}")


def test_passes_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    fn = body("(%x: f64[]) -> (f64[])", "%a: f64[] = sin(%x)\n%b: f64[] = sin(%x)\n%c: f64[] = add(%a, %b)\nreturn %c")
    assert ops(optimize(fn)) == ["sin", "add"]
    monkeypatch.setenv("WENGERT_DISABLE", "cse,hoist")
    assert ops(optimize(fn)) == ["sin", "sin", "add"]


def test_dump_shows_each_pass(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WENGERT_DUMP", "all")
    optimize(body("(%x: f64[]) -> (f64[])", "%a: f64[] = sin(%x)\nreturn %x"))
    assert "# after dce" in capsys.readouterr().err


def test_optimized_programs_are_left_alone() -> None:
    for seed in range(5):
        once = optimize(Generator(seed).function())
        assert optimize(once) is once
