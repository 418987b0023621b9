"""`cse`: equal instructions, scopes, and what must not be merged."""

from __future__ import annotations

import wengert.ops  # noqa: F401 - fills the registry
from tests.passes.helpers import becomes, body, ops, stays
from wengert.passes.cse import cse

ONE = "(%x: f64[], %y: f64[], %p: bool[]) -> (f64[])"


def test_equal_instructions_are_one() -> None:
    before = body(
        ONE,
        """
        %a: f64[] = mul(%x, %y)
        %b: f64[] = mul(%y, %x)
        %c: f64[] = sin(%a)
        %d: f64[] = sin(%b)
        %e: f64[] = sub(%c, %d)
        return %e
        """,
    )
    after = body(ONE, "%a: f64[] = mul(%x, %y)\n%c: f64[] = sin(%a)\n%e: f64[] = sub(%c, %c)\nreturn %e")
    becomes(cse, before, after)


def test_order_of_operands_matters_where_it_should() -> None:
    stays(cse, body(ONE, "%a: f64[] = sub(%x, %y)\n%b: f64[] = sub(%y, %x)\n%c: f64[] = mul(%a, %b)\nreturn %c"))


def test_signed_zeros_and_dtypes_are_different_constants() -> None:
    stays(
        cse,
        body(
            "() -> (f64[], f64[], i64[], bool[])",
            """
            %a: f64[] = const() {dtype=f64, value=0.0}
            %b: f64[] = const() {dtype=f64, value=-0.0}
            %c: i64[] = const() {dtype=i64, value=0}
            %d: bool[] = const() {dtype=bool, value=False}
            return %a, %b, %c, %d
            """,
        ),
    )


def test_regions_see_out_but_not_into_each_other() -> None:
    fn = body(
        ONE,
        """
        %a: f64[] = sin(%x)
        %r: f64[] = if(%p) {
          region() {
            %b: f64[] = sin(%x)
            %c: f64[] = cos(%x)
            %d: f64[] = mul(%b, %c)
            yield %d
          }
          region() {
            %e: f64[] = cos(%x)
            yield %e
          }
        }
        %f: f64[] = cos(%x)
        %g: f64[] = mul(%f, %a)
        %h: f64[] = add(%g, %r)
        return %h
        """,
    )
    found = ops(cse(fn))
    assert found.count("sin") == 1
    assert found.count("cos") == 3


def test_integers_of_one_affine_form_are_one() -> None:
    fn = body(
        "<%n>(%x: f64[%n]) -> (i64[], i64[])",
        """
        %one: i64[] = const() {dtype=i64, value=1}
        %two: i64[] = const() {dtype=i64, value=2}
        %a: i64[] = sub(%n, %one)
        %b: i64[] = sub(%n, %two)
        %c: i64[] = add(%b, %one)
        return %a, %c
        """,
    )
    found = cse(fn)
    assert found.results[0] is found.results[1]


def test_effects_stacks_and_undef_are_not_merged() -> None:
    stays(
        cse,
        body(
            "(%n: i64[]) -> (f64[2], f64[2])",
            """
            %w: i64[] = wrap_index(%n, %n) {what='axis 0'}
            %v: i64[] = wrap_index(%n, %n) {what='axis 0'}
            %s: stack(f64[]) = stack_new(%n) {elements=(f64[],)}
            %t: stack(f64[]) = stack_new(%n) {elements=(f64[],)}
            %a: f64[2] = undef() {type=f64[2]}
            %b: f64[2] = undef() {type=f64[2]}
            return %a, %b
            """,
        ),
    )
