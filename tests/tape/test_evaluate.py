"""The builder that runs what it is given: agrees with the interpreter, and stores into arrays without copying them."""

import numpy as np
import pytest

import wengert.ops  # noqa: F401 - fills the registry
from wengert.errors import InternalError, Span
from wengert.ir.builder import Builder
from wengert.ir.interpret import run
from wengert.ir.op import get_op
from wengert.ir.parser import parse
from wengert.ir.rewrite import inline
from wengert.tape.evaluate import EvalBuilder
from wengert.tape.versions import Version
from wengert.types import I64

PROGRAMS = {
    "for": (
        """func @f<%n>(%x: f64[%n], %k: f64[]) -> (f64[]) {
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
}""",
        [np.array([1.0, 2.0, 4.0]), 3.0],
    ),
    "while": (
        """func @f(%x: f64[]) -> (f64[]) {
  %limit: f64[] = const() {dtype=f64, value=100.0}
  %y: f64[] = while(%x) {
    region(%a: f64[]) {
      %c: bool[] = lt(%a, %limit)
      yield %c
    }
    region(%b: f64[]) {
      %d: f64[] = mul(%b, %b)
      yield %d
    }
  }
  return %y
}""",
        [1.5],
    ),
    "stack": (
        """func @f<%n>(%x: f64[%n]) -> (f64[]) {
  %e: stack(f64[]) = stack_new(%n) {elements=(f64[],)}
  %s: stack(f64[]) = for(%n, %e) {
    region(%i: i64[], %a: stack(f64[])) {
      %v: f64[] = index(%x, %i) {spec=('i',)}
      %b: stack(f64[]) = push(%a, %v)
      yield %b
    }
  }
  %r: stack(f64[]), %last: f64[] = pop(%s)
  return %last
}""",
        [np.array([1.0, 2.0, 4.0])],
    ),
    "if": (
        """func @f(%x: f64[], %p: bool[]) -> (f64[]) {
  %y: f64[] = if(%p) {
    region() {
      %a: f64[] = sin(%x)
      yield %a
    }
    region() {
      yield %x
    }
  }
  return %y
}""",
        [0.5, True],
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_control_flow_agrees_with_the_interpreter(name):
    text, arguments = PROGRAMS[name]
    function = parse(text)
    builder = EvalBuilder()
    results = inline(builder, function, [builder.lift_known(a) for a in arguments])
    np.testing.assert_array_equal([builder.known(r) for r in results], run(function, arguments))
    assert not any(i.regions for i in builder.instrs)


def test_scalars_are_python_numbers():
    b = EvalBuilder()
    x = b.lift_known(np.float64(2.0))
    for value, expected in ((b.mul(x, 3.0), 6.0), (b.lt(x, 1.0), False), (b.convert(x, dtype=I64), 2)):
        assert type(b.known(value)) is type(expected)
        assert b.known(value) == expected


def test_python_arithmetic_gives_way_to_ieee_where_it_raises():
    b = EvalBuilder()
    assert b.known(b.div(b.lift_known(1.0), 0.0)) == np.inf
    assert b.known(b.exp(b.lift_known(1e4))) == np.inf
    assert b.known(b.log(b.lift_known(0.0))) == -np.inf
    assert np.isnan(b.known(b.sqrt(b.lift_known(-1.0))))
    assert np.isnan(b.known(b.sin(b.lift_known(np.inf))))


def test_all_versions_of_an_array_stay_readable():
    b = EvalBuilder()
    start = np.zeros(4)
    versions = [b.lift_known(start)]
    expected = [start.copy()]
    rng = np.random.default_rng(0)
    for step in range(30):
        base = int(rng.integers(len(versions)))
        place = int(rng.integers(4))
        kind = "add_at" if step % 3 else "update"
        versions.append(getattr(b, kind)(versions[base], float(step), b.const(place), spec=("i",)))
        changed = expected[base].copy()
        changed[place] = step if kind == "update" else changed[place] + step
        expected.append(changed)
    for k in rng.permutation(len(versions)):
        np.testing.assert_array_equal(b.known(versions[k]), expected[k])
    np.testing.assert_array_equal(start, np.zeros(4))


def test_a_loop_of_stores_shares_one_buffer():
    b = EvalBuilder(record=False)
    x = b.lift_known(np.zeros(1000))
    buffers = set()
    for k in range(50):
        x = b.update(x, 1.0, b.const(k), spec=("i",))
        assert isinstance(x.data, Version)
        buffers.add(id(x.data.array))
    assert len(buffers) == 1
    assert not b.instrs


def test_views_do_not_change_with_later_versions():
    b = EvalBuilder()
    x = b.update(b.lift_known(np.zeros(3)), 1.0, b.const(0), spec=("i",))
    part = b.index(x, b.const(0), b.const(2), b.const(1), spec=("s",))
    turned = b.reshape(x, b.const(3), b.const(1))
    b.update(x, 9.0, b.const(0), spec=("i",))
    np.testing.assert_array_equal(b.known(part), [1.0, 0.0])
    np.testing.assert_array_equal(b.known(turned), [[1.0], [0.0], [0.0]])


def test_an_array_written_into_itself():
    b = EvalBuilder()
    x = b.add_at(b.lift_known(np.arange(3.0)), 0.0, b.const(0), spec=("i",))
    np.testing.assert_array_equal(b.known(b.add_at(x, x, spec=(":",))), [0.0, 2.0, 4.0])


def test_checks_raise_at_once():
    b = EvalBuilder(Span("model.py", 12))
    with pytest.raises(IndexError, match=r"index 5 is out of bounds for axis 0 with size 3\n  model.py:12"):
        b.wrap_index(b.const(5), b.const(3), what="axis 0")
    assert b.known(b.wrap_index(b.const(-1), b.const(3), what="axis 0")) == 2
    with pytest.raises(ZeroDivisionError, match=r"division by zero\n  model.py:12"):
        b.emit(get_op("check"), (b.const(False),), {"exception": "ZeroDivisionError", "message": "division by zero"})


def test_shape_errors_are_found():
    b = EvalBuilder()
    with pytest.raises(InternalError, match=r"operands of one type, got f64\[2\] and f64\[3\]"):
        b.add(b.lift_known(np.zeros(2)), b.lift_known(np.zeros(3)))


def test_values_of_other_builders_are_refused():
    with pytest.raises(InternalError, match="no run-time value"):
        EvalBuilder().neg(Builder().const(1.0))
