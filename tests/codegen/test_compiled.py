"""The call wrapper: conversions, errors with the user's line, prints, memory, and what the report says."""

from __future__ import annotations

import ctypes
import gc
import threading
import time
import weakref
from typing import Any

import numpy as np
import pytest

import wengert as wg
import wengert.ops
from wengert.codegen import Compiled, Options, compile, compiled, options_from_environment
from wengert.errors import ArgumentError
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Value
from wengert.ir.op import get_op
from wengert.ir.parser import parse
from wengert.types import BOOL_SCALAR, F64, F64_SCALAR, I64_SCALAR, TensorType, dim_of

METHOD_DEFINITION = object.__basicsize__
"""Where a builtin has the address of its definition: its first field."""

DOT = """
func @dot<%n>(%x: f64[%n], %y: f64[%n]) -> (f64[]) {
  %s: f64[] = matmul(%x, %y)
  return %s
}
"""


def function(types: list[Any], body: Any) -> Function:
    params = [Value(t, f"x{k}") for k, t in enumerate(types)]
    b = Builder()
    results = body(b, *params)
    return Function("f", (), tuple(params), tuple(b.instrs), tuple(results))


@pytest.fixture(scope="module")
def dot() -> Compiled:
    return compile(parse(DOT))


@pytest.fixture(scope="module")
def echo() -> Compiled:
    return compile(function([F64_SCALAR, I64_SCALAR, BOOL_SCALAR], lambda b, *x: x))


@pytest.mark.parametrize("x", [1.5, np.float64(1.5), np.array(1.5), np.float32(1.5)])
def test_floats(echo: Compiled, x: Any) -> None:
    assert echo(x, 2, True) == (1.5, 2, True)


def test_scalars_come_back_as_python_numbers(echo: Compiled) -> None:
    found = echo(3, np.int64(-4), np.bool_(False))
    assert found == (3.0, -4, False)
    assert [type(v) for v in found] == [float, int, bool]


@pytest.mark.parametrize("args", [(1j, 1, True), ("a", 1, True), (1.0, 2.5, True), (1.0, 1, 2), (None, 1, True)])
def test_wrong_types(echo: Compiled, args: tuple[Any, ...]) -> None:
    with pytest.raises(ArgumentError):
        echo(*args)


def test_wrong_count(echo: Compiled) -> None:
    with pytest.raises(ArgumentError, match="takes 3 arguments"):
        echo(1.0)


def test_large_integers(echo: Compiled) -> None:
    assert echo(0.0, 2**63 - 1, True)[1] == 2**63 - 1
    assert echo(0.0, -1, True)[1] == -1
    with pytest.raises(OverflowError):
        echo(0.0, 2**63, True)


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x,
        lambda x: np.repeat(x, 2)[::2],
        lambda x: x[::-1][::-1],
        lambda x: x.astype(np.float32),
        lambda x: x.astype(np.int64),
        lambda x: x.astype(">f8"),
        list,
    ],
)
def test_arrays_are_converted(dot: Compiled, convert: Any) -> None:
    x = np.arange(7.0)
    assert dot(convert(x), x) == (float(x @ x),)


def test_sizes_must_agree(dot: Compiled) -> None:
    with pytest.raises(ValueError, match="wrong shape"):
        dot(np.ones(3), np.ones(4))
    with pytest.raises(ArgumentError, match="wrong type"):
        dot(np.ones((3, 1)), np.ones(3))
    assert dot(np.ones(0), np.ones(0)) == (0.0,)


def test_unaligned_arrays(dot: Compiled) -> None:
    raw = np.zeros(8 * 5 + 1, dtype=np.uint8)
    x = raw[1:].view(np.float64)
    x[:] = 2.0
    assert dot(x, np.ones(5)) == (10.0,)


def test_results_are_fresh_arrays() -> None:
    vector = TensorType(F64, (3,))
    native = compile(function([vector], lambda b, x: [x, x]))
    x = np.arange(3.0)
    first, second = native(x)
    first[0] = 9.0
    assert x[0] == second[0] == 0.0


def checked(b: Builder, x: Value) -> list[Value]:
    b.emit(get_op("check"), [b.gt(x, 0.0), x], {"exception": "ValueError", "message": "x is {}, not positive"})
    return [b.sqrt(x)]


def test_check_raises() -> None:
    native = compile(function([F64_SCALAR], checked))
    assert native(4.0) == (2.0,)
    with pytest.raises(ValueError, match=r"x is -1\.0, not positive"):
        native(-1.0)


def test_check_shows_arrays() -> None:
    vector = TensorType(F64, (2,))

    def body(b: Builder, x: Value) -> list[Value]:
        total = b.sum(x, axes=(0,))
        b.emit(get_op("check"), [b.gt(total, 0.0), b.mul(x, 2.0)], {"exception": "ValueError", "message": "got {}"})
        return [total]

    with pytest.raises(ValueError, match=r"got \[-2\. -4\.\]"):
        compile(function([vector], body))(np.array([-1.0, -2.0]))


def test_index_error() -> None:
    vector = TensorType(F64, (3,))

    def body(b: Builder, x: Value, i: Value) -> list[Value]:
        return [b.index(x, b.wrap_index(i, b.const(3), what="axis 0"), spec=("i",))]

    native = compile(function([vector, I64_SCALAR], body))
    assert [native(np.arange(3.0), i)[0] for i in (0, 2, -1, -3)] == [0.0, 2.0, 2.0, 0.0]
    for bad in (3, -4, 2**62, -(2**63)):
        with pytest.raises(IndexError, match=f"index {bad} is out of bounds for axis 0 with size 3"):
            native(np.arange(3.0), bad)


def test_print(capsys: pytest.CaptureFixture[str]) -> None:
    def body(b: Builder, x: Value, n: Value) -> list[Value]:
        def step(inner: Builder, i: Value, acc: Value) -> list[Value]:
            new = inner.add(acc, 0.5)
            inner.emit(get_op("host_print"), [i, new], {"template": "step {}: {}"})
            return [new]

        return list(b.emit(get_op("for"), [n, x], {}, [b.region([I64_SCALAR, F64_SCALAR], step)]))

    assert compile(function([F64_SCALAR, I64_SCALAR], body))(1.0, 2) == (2.0,)
    assert capsys.readouterr().out == "step 0: 1.5\nstep 1: 2.0\n"


def test_a_failing_print_raises() -> None:
    def body(b: Builder, x: Value) -> list[Value]:
        b.emit(get_op("host_print"), [x], {"template": "{:no such format}"})
        return [x]

    with pytest.raises(ValueError, match="format"):
        compile(function([F64_SCALAR], body))(1.0)


def huge(b: Builder, n: Value) -> list[Value]:
    square = b.full((dim_of(n), dim_of(n)), 1.0)
    written = b.update(square, b.const(2.0), b.const(0), b.const(0), spec=("i", "i"))
    return [b.index(written, b.const(0), b.const(0), spec=("i", "i"))]


@pytest.mark.parametrize("size", [2**28, 2**33, 2**40])
def test_memory_error(size: int) -> None:
    native = compile(function([I64_SCALAR], huge))
    assert native(3) == (2.0,)
    with pytest.raises(MemoryError):
        native(size)
    assert native(4) == (2.0,)


def test_stack_grows() -> None:
    def body(b: Builder, n: Value) -> list[Value]:
        stack = b.stack_new(b.const(0), elements=(I64_SCALAR, BOOL_SCALAR))

        def forward(inner: Builder, i: Value, s: Value) -> list[Value]:
            return [inner.push(s, i, inner.eq(inner.mod(i, inner.const(3)), inner.const(0)))]

        (full,) = b.emit(get_op("for"), [n, stack], {}, [b.region([I64_SCALAR, stack.type], forward)])

        def backward(inner: Builder, i: Value, total: Value, s: Value) -> list[Value]:
            rest, k, third = inner.pop(s)
            return [inner.add(total, inner.select(third, k, inner.const(0))), rest]

        region = b.region([I64_SCALAR, I64_SCALAR, stack.type], backward)
        return [b.emit(get_op("for"), [n, b.const(0), full], {}, [region])[0]]

    native = compile(function([I64_SCALAR], body))
    for n in (0, 1, 10, 100_000, 5):
        assert native(n) == (sum(range(0, n, 3)),)


def test_threads_share_a_function(dot: Compiled) -> None:
    x = np.arange(1000.0)
    found: list[float] = []
    threads = [threading.Thread(target=lambda: found.extend(dot(x, x)[0] for _ in range(200))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {float(dot(x, x)[0])}
    assert len(found) == 800


def test_code_is_freed() -> None:
    for _ in range(3):
        native = compile(parse(DOT))
        entry = native.entry
        del native
        gc.collect()
        assert entry(np.ones(2), np.ones(2)) == (2.0,)
        del entry
        gc.collect()


def test_call_overhead() -> None:
    native = compile(function([F64_SCALAR] * 3, lambda b, x, y, z: [b.add(b.mul(x, y), z)])).entry
    best = float("inf")
    for _ in range(20):
        started = time.perf_counter()
        for _ in range(1000):
            native(1.0, 2.0, 3.0)
        best = min(best, time.perf_counter() - started)
    assert best / 1000 < 1e-6


def test_report_and_listings() -> None:
    vector = TensorType(F64, (400,))
    native = compile(function([vector], lambda b, x: [b.update(x, b.const(1.0), b.const(0), spec=("i",))]))
    assert [n.kind for n in native.report] == ["copy"]  # into the array that is returned
    assert "define" in native.llvm_ir
    assert "define" in native.optimized()
    assert "wg_entry" in native.asm()
    assert native.compile_seconds > 0


def test_disabled_optimisations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WENGERT_DISABLE", "fuse, vecmath")
    options = options_from_environment()
    assert (options.fuse, options.inplace, options.vecmath) == (False, True, False)
    monkeypatch.setenv("WENGERT_DISABLE", "cse,hoist")
    assert options_from_environment() == Options()
    monkeypatch.setenv("WENGERT_DISABLE", "everything")
    with pytest.raises(ArgumentError, match="do not exist"):
        options_from_environment()


def test_huge_modules_are_compiled_in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    def f(x: Any, n: int) -> Any:
        total = 0.0
        for k in range(n):
            total = total + np.sum(np.sin(x) * k)
        return total

    x = np.linspace(0.0, 1.0, 7)
    usual = wg.value_and_grad(f)(x, 4)
    monkeypatch.setattr(compiled, "LARGE", 0)
    monkeypatch.setattr(compiled, "HUGE", 0)
    hurried = wg.value_and_grad(f)(x, 4)
    np.testing.assert_allclose(hurried[0], usual[0], rtol=1e-13)
    np.testing.assert_allclose(hurried[1], usual[1], rtol=1e-13)


def test_definition_of_the_builtin_outlives_all_that_python_can_reach(echo: Compiled) -> None:
    """Python empties objects of a cycle, and modules at its end, in any order, and what frees a builtin reads its definition."""
    code = compile(echo.function)
    definition = ctypes.c_void_p.from_address(id(code.entry) + METHOD_DEFINITION).value
    (owner,) = (o for o in gc.get_objects() if isinstance(o, compiled._MethodDef) and ctypes.addressof(o) == definition)
    alive = weakref.ref(owner)
    del owner
    vars(code._runtime).clear()
    gc.collect()
    found = alive()
    assert found is not None
    assert found.flags == compiled.METH_FASTCALL
    assert not [o for o in gc.get_referrers(found) if isinstance(o, list | dict)]
