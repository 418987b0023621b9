"""The text form: round trips, names, and errors with their line."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wengert.ops  # noqa: F401 - fills the registry
from tests.random_ir import Generator
from wengert.errors import ArgumentError, Span
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Value
from wengert.ir.equal import same
from wengert.ir.parser import parse
from wengert.ir.printer import print_function
from wengert.types import F64, F64_SCALAR, I64_SCALAR, TensorType, dim_of

EXAMPLE = """\
func @f<%n>(%x: f64[%n], %k: f64[]) -> (f64[]) {
  %c: i64[] = const() {dtype=i64, value=0}
  %s0: f64[] = const() {dtype=f64, value=0.0}
  %s: f64[] = for(%n, %s0) {
    region(%i: i64[], %acc: f64[]) {
      %e: f64[] = index(%x, %i) {spec=('i',)}
      %m: f64[] = mul(%e, %k)
      %t: f64[] = add(%acc, %m)
      yield %t
    }
  }
  return %s
}
"""


def test_the_example_of_the_documentation() -> None:
    assert print_function(parse(EXAMPLE)) == EXAMPLE


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_round_trip(seed: int) -> None:
    fn = Generator(seed).function(size=8)
    text = print_function(fn)
    again = parse(text)
    assert same(fn, again)
    assert print_function(again) == text


def test_names_are_unique_and_deterministic() -> None:
    x = Value(F64_SCALAR, "x")
    b = Builder()
    values = [b.sin(x) for _ in range(3)]
    for value, name in zip(values, ("x", "a b", "")):
        value.name = name
    text = print_function(Function("f", (), (x,), tuple(b.instrs), tuple(values)))
    assert "%x.1: f64[] = sin(%x)" in text
    assert "%a_b: f64[] = sin(%x)" in text
    assert "%0: f64[] = sin(%x)" in text
    assert print_function(parse(text)) == text


@pytest.mark.parametrize("value", [0.1, -0.0, 1e300, 5e-324, math.inf, -math.inf, math.nan, -3, 2**62, True])
def test_constants(value: float) -> None:
    b = Builder()
    result = b.const(value)
    fn = Function("f", (), (), tuple(b.instrs), (result,))
    assert same(parse(print_function(fn)), fn)


@pytest.mark.parametrize("text", ["it's", 'say "hi"', "a\nb\tc", "back\\slash", "", "{} # no comment", "λ ≤ 1"])
def test_strings(text: str) -> None:
    b = Builder()
    b.check(b.const(True), exception="ValueError", message=text)
    fn = Function("f", (), (), tuple(b.instrs), ())
    assert parse(print_function(fn)).instrs[1].attrs["message"] == text


def test_sizes_and_slots() -> None:
    text = """\
func @f<%n, %m>(%x: f64[2*%n-%m+1,%m], %k: i64[]) -> (stack(i64[], f64[#0,%m]), f64[%k]) {
  %s: stack(i64[], f64[#0,%m]) = stack_new(%k) {elements=(i64[], f64[#0,%m])}
  %u: f64[%k] = undef() {type=f64[%k]}
  return %s, %u
}
"""
    assert print_function(parse(text)) == text


def test_spans() -> None:
    span = Span("model.py", 12)
    b = Builder(span)
    x = Value(TensorType(F64, (dim_of(n := Value(I64_SCALAR, "n")),)), "x")
    y = b.sin(x)
    fn = Function("f", (n,), (x,), tuple(b.instrs), (y,), span)
    text = print_function(fn, spans=True)
    assert "%0: f64[%n] = sin(%x)  # model.py:12" in text
    again = parse(text)
    assert again.instrs[0].span == span
    assert again.span == span
    assert "#" not in print_function(fn)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mul(%e, %k)", "mul(%e, %q)", r"line 7 .*%q is not defined"),
        ("mul(%e, %k)", "mull(%e, %k)", r"line 7 .*did you mean 'mul'"),
        ("mul(%e, %k)", "mul(%e, %i)", r"line 7 .*mul takes"),
        ("%m: f64[] =", "%m: i64[] =", r"line 7 .*not the inferred one"),
        ("%m: f64[] =", "%m: f16[] =", r"line 7 .*unknown type 'f16'"),
        ("%m: f64[] =", "%e: f64[] =", r"line 7 .*%e is defined twice"),
        ("-> (f64[])", "-> (f64[%n])", r"line 1 .*type of results"),
        ("yield %t", "yield %c", r"line 4 .*carry has types"),
        ("return %s", "return %t", r"line 12 .*%t is not defined"),
        ("return %s\n}", "return %s\n} }", r"line 13 .*after the end"),
        ("{spec=('i',)}", "{spec=('i',}", r"line 6 .*syntax error"),
        ("value=0.0", "value=$", r"line 3 .*unexpected character"),
    ],
)
def test_errors_have_a_line(old: str, new: str, message: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(ArgumentError, match=f"(?s){message}"):
        parse(EXAMPLE.replace(old, new, 1))


def test_same_sees_differences() -> None:
    fn = parse(EXAMPLE)
    assert same(fn, parse(EXAMPLE.replace("%acc", "%other")))
    for old, new in (
        ("add(%acc, %m)", "add(%m, %acc)"),
        ("value=0.0", "value=-0.0"),
        ("mul(%e, %k)", "add(%e, %k)"),
        ("return %s", "return %s0"),
    ):
        assert not same(fn, parse(EXAMPLE.replace(old, new)))
