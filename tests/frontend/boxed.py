"""Runs plain functions on boxes, in three ways, and compares them with CPython and NumPy."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np

from wengert.errors import Span
from wengert.frontend import table
from wengert.frontend.boxes import box, is_box, lift
from wengert.frontend.context import Trace, activate, is_tracing
from wengert.frontend.registry import PASS
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Value
from wengert.ir.interpret import run
from wengert.ir.verify import verify
from wengert.tape.evaluate import EvalBuilder
from wengert.types import BOOL, F64, I64, TensorType, dim_of

SPAN = Span("user.py", 7, function="f")


class Captures:
    """Stands in for the captures of a real trace: constants become extra parameters (or known values)."""

    def __init__(self, make: Callable[[Any], Value]) -> None:
        self.make = make
        self.arrays: list[tuple[Value, Any]] = []

    def constant(self, array: Any) -> Value:
        value = self.make(array)
        self.arrays.append((value, array))
        return value


def _dtype(x: Any) -> Any:
    kind = np.asarray(x).dtype.kind
    return {"f": F64, "i": I64, "b": BOOL}[kind]


def call(function: Any, *args: Any, **kwargs: Any) -> Any:
    """What the call hook of converted code does: the handler if there is one, else the real function."""
    handler = table.find(function)
    if handler is not None:
        found = handler(*args, **kwargs)
        if found is not PASS:
            return found
    return function(*args, **kwargs)


class Hooked:
    """A module whose functions are called as converted code calls them while a trace runs."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.module, name)
        if isinstance(found, type(np)):
            return Hooked(found)
        if not callable(found):
            return found
        return lambda *args, **kwargs: call(found, *args, **kwargs) if is_tracing() else found(*args, **kwargs)


def stage(function: Callable[..., Any], *args: Any, symbolic: bool = True) -> tuple[Function, list[Any], Any]:
    """The IR function of `function` on boxes for `args`, its arguments, and what `function` returned."""
    trace = Trace(Builder(SPAN))
    dims: list[Value] = []
    params: list[Value] = []
    known: dict[Any, int] = {}

    def parameter(x: Any, name: str, fixed: bool) -> Value:
        shape: list[Any] = []
        for size in np.shape(x):
            if fixed or size == 1:
                shape.append(size)
                continue
            dims.append(Value(TensorType(I64), f"n{len(dims)}"))
            known[dims[-1]] = size
            shape.append(dim_of(dims[-1]))
        params.append(Value(TensorType(_dtype(x), tuple(shape)), name))
        return params[-1]

    trace.extra["known_sizes"] = known
    captures = trace.captures = Captures(lambda array: parameter(array, "captured", True))
    with activate(trace):
        boxes = [
            box(parameter(a, f"x{k}", not symbolic), numpy=isinstance(a, np.generic)) if _traceable(a) else a
            for k, a in enumerate(args)
        ]
        returned = function(*boxes)
        results = [lift(r) for r in leaves(returned)]
    staged = Function("f", tuple(dims), tuple(params), tuple(trace.builder.instrs), tuple(results))
    verify(staged)
    return staged, [a for a in args if _traceable(a)] + [array for _, array in captures.arrays], returned


def _traceable(a: Any) -> bool:
    return isinstance(a, float | np.ndarray | np.generic) or type(a) is int


def leaves(x: Any) -> list[Any]:
    """The numbers and arrays in nested tuples and lists."""
    if isinstance(x, tuple | list):
        return [leaf for item in x for leaf in leaves(item)]
    return [] if x is None else [x]


@contextmanager
def eager() -> Any:
    """A trace whose values are known."""
    builder = EvalBuilder(SPAN)
    trace = Trace(builder, eager=True, captures=Captures(builder.lift_known))
    with activate(trace):
        yield builder


def run_eagerly(function: Callable[..., Any], *args: Any) -> list[Any]:
    """The results of `function` on eager boxes."""
    with eager() as builder:
        boxes = [box(builder.lift_known(np.asarray(a)[()]), isinstance(a, np.generic)) if _traceable(a) else a for a in args]
        boxes = [b if is_box(b) else a for a, b in zip(args, boxes, strict=True)]
        return [builder.known(lift(r)) if is_box(r) else r for r in leaves(function(*boxes))]


def check(function: Callable[..., Any], *args: Any, tolerance: float = 1e-14, modes: str = "sde") -> None:
    """Assert that `function` on boxes gives what it gives on `args`: staged with symbolic and static shapes, and eagerly."""
    with np.errstate(all="ignore"):
        expected = leaves(function(*[np.array(a) if isinstance(a, np.ndarray) else a for a in args]))
    for mode in modes:
        if mode == "e":
            found = run_eagerly(function, *args)
        else:
            staged, inputs, _ = stage(function, *args, symbolic=mode == "s")
            found = run(staged, inputs)
        assert len(found) == len(expected), mode
        for want, have in zip(expected, found, strict=True):
            assert np.shape(want) == np.shape(have), (mode, want, have)
            assert _dtype(want) == _dtype(have), (mode, want, have)
            np.testing.assert_allclose(have, want, rtol=tolerance, atol=tolerance, err_msg=mode)
