"""Functions with callees: text form, verification, meaning, signatures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import wengert.ops  # noqa: F401
from tests.transforms.call_programs import PROGRAMS, program
from wengert.errors import ArgumentError, InternalError
from wengert.ir.builder import Builder
from wengert.ir.calls import effectful, emit_call, linked, reachable, refresh, signature_of
from wengert.ir.core import Function, walk
from wengert.ir.equal import same
from wengert.ir.interpret import run
from wengert.ir.parser import parse
from wengert.ir.printer import print_function
from wengert.ir.rewrite import inline
from wengert.ir.verify import verify


@pytest.mark.parametrize("name", PROGRAMS)
def test_text_form_round_trips(name: str) -> None:
    fn = program(name)
    again = parse(print_function(fn))
    verify(again)
    assert same(fn, again)
    assert list(again.functions) == list(fn.functions)


@pytest.mark.parametrize("name", PROGRAMS)
def test_interpreter_gives_the_value(name: str) -> None:
    case = PROGRAMS[name]
    found = run(program(name), case.args)
    expected = case.value(*case.args)
    assert len(found) == len(expected)
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-13)


def test_effects_are_those_of_the_callees() -> None:
    checked, mutual = program("checked"), program("mutual")
    assert effectful(checked.functions) == {"root"}
    assert effectful(mutual.functions) == set()
    assert all(not i.attrs["_signature"].effects for i in walk(mutual.instrs) if i.op.name == "call")
    assert refresh(mutual) is mutual


def test_a_call_that_does_not_fit_is_refused() -> None:
    text = "func @f(%x: f64[]) -> (f64[]) {\n  %y: f64[] = call(%x) {callee='g'}\n  return %y\n}\n"
    with pytest.raises(ArgumentError, match="no function @g"):
        parse(text)
    with pytest.raises(ArgumentError, match="does not fit"):
        parse(text + "func @g(%x: i64[]) -> (f64[]) {\n  %y: f64[] = convert(%x) {dtype=f64}\n  return %y\n}\n")
    with pytest.raises(ArgumentError, match="has 1 arguments"):
        parse(text + "func @g(%x: f64[], %y: f64[]) -> (f64[]) {\n  return %y\n}\n")


def test_the_verifier_looks_at_signatures() -> None:
    fn = program("product")
    (name,) = fn.functions
    callee = fn.functions[name]
    changed = replace(callee, results=(*callee.results, callee.params[0]))
    with pytest.raises(InternalError, match="another signature"):
        verify(replace(fn, functions={name: changed}))
    with pytest.raises(InternalError, match="no function"):
        verify(replace(fn, functions={}))


def test_a_size_made_inside_must_be_a_result() -> None:
    with pytest.raises(InternalError, match="not an earlier result"):
        b = Builder()
        x = b.const(1.0)
        n = b.convert(x, dtype=program("product").functions["fact"].params[0].tensor.dtype)
        signature_of(Function("g", (), (), tuple(b.instrs), (b.iota(n),)))


def test_inlining_brings_the_callees() -> None:
    fn = program("product")
    b = Builder()
    x, n = (type(p)(p.type, p.name) for p in fn.params)
    first = inline(b, fn, (x, n))
    again = inline(b, fn, (x, n))
    both = Function("both", (), (x, n), tuple(b.instrs), (*first, *again), functions=b.functions)
    verify(both)
    assert list(both.functions) == ["fact"]
    assert run(both, [2.0, 3])[0] == run(fn, [2.0, 3])[0]


def test_linking_renames_what_has_a_name_that_is_taken() -> None:
    fn, other = program("product"), program("product")
    functions = dict(fn.functions)
    moved = linked(other, functions)
    assert list(functions) == ["fact", "fact.1"]
    verify(moved)
    assert run(moved, [2.0, 3]) == run(fn, [2.0, 3])
    assert list(reachable(replace(moved, functions=functions)).functions) == ["fact.1"]


def test_emitting_a_call_infers_its_types() -> None:
    fn = program("grown")
    callee = fn.functions["evens"]
    b = Builder()
    count, values = emit_call(b, "evens", signature_of(callee), [b.const(7)], ["k", "v"])
    assert values.dims == (count.affine,)
