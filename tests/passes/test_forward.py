"""`forward`: reads of what was just written."""

from __future__ import annotations

import numpy as np

import wengert.ops  # noqa: F401 - fills the registry
from tests.passes.helpers import body, ops, stays
from wengert.ir.interpret import run
from wengert.passes.dce import dce
from wengert.passes.forward import forward

SIGNATURE = "(%x: f64[5], %v: f64[], %w: f64[], %i: i64[], %j: i64[]) -> (f64[], f64[5])"


def test_read_of_a_write_is_the_written_value() -> None:
    fn = body(
        SIGNATURE,
        """
        %one: i64[] = const() {dtype=i64, value=1}
        %k: i64[] = add(%i, %one)
        %y: f64[5] = update(%x, %v, %i) {spec=('i',)}
        %z: f64[5] = update(%y, %w, %k) {spec=('i',)}
        %e: f64[] = index(%z, %i) {spec=('i',)}
        return %e, %z
        """,
    )
    found = forward(fn)
    assert found.results[0] is found.params[1]


def test_place_that_may_be_the_same_is_read() -> None:
    stays(
        forward,
        body(
            SIGNATURE,
            """
            %y: f64[5] = update(%x, %v, %i) {spec=('i',)}
            %z: f64[5] = update(%y, %w, %j) {spec=('i',)}
            %e: f64[] = index(%z, %i) {spec=('i',)}
            return %e, %z
            """,
        ),
    )


def test_read_is_not_moved_to_an_older_array() -> None:
    stays(
        forward,
        body(
            SIGNATURE,
            """
            %one: i64[] = const() {dtype=i64, value=1}
            %k: i64[] = add(%i, %one)
            %y: f64[5] = update(%x, %v, %i) {spec=('i',)}
            %e: f64[] = index(%y, %k) {spec=('i',)}
            return %e, %y
            """,
        ),
    )


def test_overwritten_write_goes() -> None:
    lines = """
      %y: f64[5] = update(%x, %v, %i) {{spec=('i',)}}
      %z: f64[5] = update(%y, %w, %i) {{spec=('i',)}}
      {read}
      return %e, %z
    """
    unread = body(SIGNATURE, lines.format(read="%e: f64[] = add(%v, %w)"))
    assert ops(dce(forward(unread))) == ["update", "add"]
    is_read = body(SIGNATURE, lines.format(read="%e: f64[] = index(%y, %j) {spec=('i',)}"))
    assert ops(dce(forward(is_read))).count("update") == 2


def test_writing_back_what_was_read_is_nothing() -> None:
    fn = body(
        SIGNATURE,
        """
        %e: f64[] = index(%x, %i) {spec=('i',)}
        %y: f64[5] = update(%x, %e, %i) {spec=('i',)}
        return %e, %y
        """,
    )
    assert ops(dce(forward(fn))) == ["index"]


def test_adding_to_a_blank_sets_it() -> None:
    fn = body(
        "(%x: f64[5], %v: f64[3], %w: f64[3]) -> (f64[5])",
        """
        %zero: i64[] = const() {dtype=i64, value=0}
        %one: i64[] = const() {dtype=i64, value=1}
        %two: i64[] = const() {dtype=i64, value=2}
        %three: i64[] = const() {dtype=i64, value=3}
        %z: f64[] = const() {dtype=f64, value=0.0}
        %b: f64[3] = broadcast(%z, %three) {axes=()}
        %r: f64[5] = update(%x, %b, %one, %three, %one) {spec=('s',)}
        %s: f64[5] = add_at(%r, %v, %two, %three, %one) {spec=('s',)}
        %t: f64[5] = add_at(%s, %w, %one, %three, %one) {spec=('s',)}
        %u: f64[5] = add_at(%t, %v, %zero, %three, %one) {spec=('s',)}
        return %u
        """,
    )
    found = dce(forward(fn))
    assert [name for name in ops(found) if name != "const"] == ["update", "add_at", "add_at"]
    args = [np.arange(5.0), np.array([0.5, 0.25, 2.0]), np.array([3.0, -1.0, 0.125])]
    np.testing.assert_array_equal(run(found, args), run(fn, args))
    assert forward(found) is found
