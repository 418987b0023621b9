"""The verifier accepts what the builder makes and says what is wrong with the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest

import wengert.ops  # noqa: F401 - fills the registry
from tests.random_ir import Generator
from wengert.errors import InternalError
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Instr, Value
from wengert.ir.op import get_op
from wengert.ir.parser import parse
from wengert.ir.verify import verify
from wengert.types import F64, F64_SCALAR, I64_SCALAR, TensorType, dim_of

STACKS = """
func @f(%n: i64[], %p: bool[], %x: f64[]) -> (f64[]) {{
  %s: stack(f64[]) = stack_new(%n) {{elements=(f64[],)}}
  %t: stack(f64[]) = push(%s, %x)
  {lines}
  return %x
}}
"""


def rejected(fn: Function, message: str) -> None:
    with pytest.raises(InternalError, match=message):
        verify(fn)


def test_random_programs_are_well_formed() -> None:
    for seed in range(20):
        verify(Generator(seed).function())


def simple() -> Function:
    x = Value(F64_SCALAR, "x")
    b = Builder()
    y = b.sin(x)
    z = b.cos(y)
    return Function("f", (), (x,), tuple(b.instrs), (z,))


def test_use_before_definition() -> None:
    fn = simple()
    rejected(replace(fn, instrs=fn.instrs[::-1]), "used where it is not defined")


def test_double_definition() -> None:
    fn = simple()
    rejected(replace(fn, instrs=(fn.instrs[0], *fn.instrs)), "defined twice")


def test_wrong_type() -> None:
    fn = simple()
    first = fn.instrs[0]
    wrong = Instr(first.op, first.operands, (Value(I64_SCALAR, "y"),))
    rejected(replace(fn, instrs=(wrong,), results=()), "should have type f64")


def test_wrong_affine_form() -> None:
    n = Value(I64_SCALAR, "n")
    x = Value(TensorType(F64, (dim_of(n),)), "x")
    b = Builder()
    instr = b.make(get_op("add"), [n, n], {})
    wrong = Instr(instr.op, instr.operands, (Value(I64_SCALAR, "m", dim_of(n)),))
    rejected(Function("f", (n,), (x,), (wrong,), ()), "is not")


def test_value_of_another_region() -> None:
    fn = parse(
        """
        func @f(%x: f64[], %p: bool[]) -> (f64[]) {
          %r: f64[] = if(%p) {
            region() {
              %s: f64[] = sin(%x)
              yield %s
            }
            region() {
              yield %x
            }
          }
          return %r
        }
        """
    )
    inner = fn.instrs[0].regions[0].results[0]
    rejected(replace(fn, results=(inner,)), "used where it is not defined")


def test_size_out_of_scope() -> None:
    n, m = Value(I64_SCALAR, "n"), Value(I64_SCALAR, "m")
    x = Value(TensorType(F64, (dim_of(m),)), "x")
    rejected(Function("f", (n,), (x,), (), ()), "not in scope")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("%u: stack(f64[]) = push(%s, %x)", "used twice"),
        (
            """%y: f64[] = for(%n, %x) {
              region(%i: i64[], %a: f64[]) {
                %r: stack(f64[]), %b: f64[] = pop(%t)
                yield %b
              }
            }""",
            "inside a loop that does not carry it",
        ),
        (
            """%u: stack(f64[]) = while(%t) {
              region(%c: stack(f64[])) {
                %r: stack(f64[]), %b: f64[] = pop(%c)
                yield %p
              }
              region(%d: stack(f64[])) {
                yield %d
              }
            }""",
            "used in the condition",
        ),
        (
            """%y: f64[] = if(%p) {
              region() {
                %r: stack(f64[]), %b: f64[] = pop(%t)
                yield %b
              }
              region() {
                yield %x
              }
            }
            %v: stack(f64[]), %w: f64[] = pop(%t)""",
            "used twice",
        ),
    ],
)
def test_stacks_are_linear(lines: str, message: str) -> None:
    rejected(parse(STACKS.format(lines=lines)), message)


def test_both_arms_may_use_a_stack() -> None:
    lines = """%y: f64[] = if(%p) {
      region() {
        %r: stack(f64[]), %b: f64[] = pop(%t)
        yield %b
      }
      region() {
        %q: stack(f64[]), %c: f64[] = pop(%t)
        yield %c
      }
    }"""
    verify(parse(STACKS.format(lines=lines)))


def test_message_has_the_function_and_the_instruction() -> None:
    fn = simple()
    with pytest.raises(InternalError) as caught:
        verify(replace(fn, instrs=fn.instrs[1:]))
    assert "in: " in str(caught.value)
    assert "func @f(%x: f64[])" in str(caught.value)


def test_sizes_may_differ_where_a_check_before_them_fails():
    b = Builder()
    assumed = b.assume_shape(Value(TensorType(F64, (0,))), b.const(2))
    assert assumed.dims == (2,)
