"""Callees without parameters and results that nobody needs; passes on functions with calls."""

from __future__ import annotations

from tests.passes.helpers import becomes, function, ops, stays
from wengert.passes.cse import cse
from wengert.passes.dce import dce
from wengert.passes.interfaces import prune_interfaces

LEAF = """
func @g(%x: f64[], %y: f64[]) -> (f64[], f64[]) {
  %s: f64[] = sin(%x)
  return %s, %x
}
"""


def test_unused_results_and_parameters_go() -> None:
    before = function(
        "func @f(%x: f64[]) -> (f64[]) {\n  %a: f64[], %b: f64[] = call(%x, %x) {callee='g'}\n  return %a\n}\n" + LEAF
    )
    after = function(
        "func @f(%x: f64[]) -> (f64[]) {\n  %a: f64[] = call(%x) {callee='g'}\n  return %a\n}\n"
        "func @g(%x: f64[]) -> (f64[]) {\n  %s: f64[] = sin(%x)\n  return %s\n}\n"
    )
    becomes(prune_interfaces, before, after)


RECURSIVE = """
func @f<%n>(%x: f64[%n], %y: f64[], %k: i64[]) -> (f64[]) {
  %a: f64[] = call(%x, %y, %k) {callee='g'}
  return %a
}
func @g<%n>(%x: f64[%n], %y: f64[], %k: i64[]) -> (f64[]) {
  %one: i64[] = const() {dtype=i64, value=1}
  %stop: bool[] = lt(%k, %one)
  %r: f64[] = if(%stop) {
    region() {
      %m: f64[] = convert(%n) {dtype=f64}
      yield %m
    }
    region() {
      %l: i64[] = sub(%k, %one)
      %b: f64[] = call(%x, %y, %l) {callee='g'}
      yield %b
    }
  }
  return %r
}
"""


def test_a_parameter_that_only_travels_on_goes_and_a_size_keeps_its_array() -> None:
    found = prune_interfaces(function(RECURSIVE))
    assert [p.name for p in found.functions["g"].params] == ["x", "k"]
    stays(prune_interfaces, found)


def test_a_pure_call_is_merged_and_dropped() -> None:
    fn = function(
        "func @f(%x: f64[]) -> (f64[]) {\n  %a: f64[], %b: f64[] = call(%x, %x) {callee='g'}\n"
        "  %c: f64[], %d: f64[] = call(%x, %x) {callee='g'}\n  %s: f64[] = add(%a, %d)\n  return %s\n}\n" + LEAF
    )
    assert ops(cse(fn)) == ["call", "add"]
    text = "func @f(%x: f64[]) -> (f64[]) {\n  %a: f64[], %b: f64[] = call(%x, %x) {callee='g'}\n  return %x\n}\n"
    assert ops(dce(function(text + LEAF))) == []


def test_a_call_with_effects_stays() -> None:
    text = """
    func @f(%x: f64[]) -> (f64[]) {
      %a: f64[] = call(%x) {callee='g'}
      %b: f64[] = call(%x) {callee='g'}
      return %x
    }
    func @g(%x: f64[]) -> (f64[]) {
      host_print(%x) {template='{}'}
      return %x
    }
    """
    stays(dce, function(text))
    stays(cse, function(text))
