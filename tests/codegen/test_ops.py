"""Every op, native against the reference interpreter, on the sample inputs that its declaration gives."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest

import wengert.ops  # noqa: F401 - registers the ops
from wengert.codegen import Options, compile
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Value
from wengert.ir.interpret import run
from wengert.ir.op import REGISTRY, OpDef, get_op
from wengert.testing.samples import structured
from wengert.types import DTYPES, F32, I64_SCALAR, DType, TensorType

SHAPES: tuple[tuple[int, ...], ...] = ((), (5,), (2, 3), (0,), (33,))
ELEMENTWISE = [op for op in REGISTRY.values() if op.kind == "elementwise"]
SAMPLED = [
    (op, case)
    for op in REGISTRY.values()
    if op.samples and op.kind not in ("elementwise", "constant") and isinstance(op.samples[0][0], tuple)
    for case in op.samples
]
PLAIN = Options(fuse=False, inplace=False, vecmath=False)


def agree(function: Function, args: list[Any], tolerance: float = 1e-14) -> None:
    """Native results, with and without optimisations, equal the interpreter's."""
    expected = run(function, args)
    kept = [np.array(a) for a in args]
    for options in (Options(), PLAIN):
        found = compile(function, options)(*args)
        assert len(found) == len(expected)
        for mine, theirs in zip(found, expected, strict=True):
            assert np.shape(mine) == np.shape(theirs)
            assert np.asarray(mine).dtype == np.asarray(theirs).dtype
            np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)
    for before, after in zip(kept, args, strict=True):
        np.testing.assert_array_equal(before, after)


def one_op(op: OpDef, types: list[TensorType], attrs: dict[str, Any]) -> Function:
    params = [Value(t, f"x{k}") for k, t in enumerate(types)]
    b = Builder()
    results = b.emit(op, params, attrs)
    return Function("f", (), tuple(params), tuple(b.instrs), results)


def draw(declared: TensorType, low: float, high: float, rng: np.random.Generator) -> Any:
    shape = declared.dims
    if declared.dtype.name == "bool":
        return rng.integers(0, 2, shape).astype(bool)[()]
    if declared.dtype.name == "i64":
        found = rng.integers(-9, 10, shape)
        return np.asarray(found, dtype=np.int64)[()]
    return np.asarray(rng.uniform(low, high, shape)).astype(declared.dtype.numpy)[()]


def dtypes_of(op: OpDef) -> list[DType]:
    return [DTYPES[str(d)] for d in op.extra.get("dtypes", ("f64",))]


@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
def test_elementwise(op: OpDef) -> None:
    rng = np.random.default_rng(0)
    arity = op.extra.get("arity") or max(1, len(op.jvp) if isinstance(op.jvp, tuple) else 1)
    ranges = op.samples if op.samples and isinstance(op.samples[0], tuple) else (op.samples or (-3.0, 3.0),)
    for dtype, shape, attrs in itertools.product(dtypes_of(op), SHAPES, op.extra.get("attrs", ({},))):
        if op.extra.get("arity") is None and op.name in ("add", "sub", "mul"):
            arity = 2
        declared = op.extra.get("operands", (None,) * arity)
        types = [TensorType(DTYPES[d] if d else dtype, shape) for d in declared]
        spans = [ranges[k % len(ranges)] for k in range(arity)]
        tolerance = 1e-14 if dtype != F32 else 1e-6
        agree(one_op(op, types, attrs), [draw(t, *s, rng) for t, s in zip(types, spans, strict=True)], tolerance)


def _parse(text: str) -> TensorType:
    name, sizes = re.fullmatch(r"(\w+)\[([\d,]*)\]", text).groups()  # type: ignore[union-attr]
    return TensorType(DTYPES[name], tuple(int(s) for s in sizes.split(",") if s))


@pytest.mark.parametrize(("op", "case"), SAMPLED, ids=lambda c: c.name if isinstance(c, OpDef) else "")
def test_sampled(op: OpDef, case: tuple[Any, dict[str, Any]]) -> None:
    """Ops whose samples are operand lists: types to draw, and integers that are constants (indices and sizes)."""
    rng = np.random.default_rng(1)
    operands, attrs = case
    b = Builder()
    values: list[Value] = []
    params: list[Value] = []
    args: list[Any] = []
    for operand in operands:
        if isinstance(operand, str):
            text, _, structure = operand.partition(" ")
            param = Value(_parse(text), f"x{len(params)}")
            params.append(param)
            values.append(param)
            args.append(structured(draw(param.tensor, 0.5, 2.0, rng), structure))
        elif isinstance(operand, int):
            values.append(b.const(operand))
        else:
            array = np.asarray(operand, dtype=None if len(operand) else np.int64)
            param = Value(TensorType(DTYPES["i64" if array.dtype.kind == "i" else "f64"], array.shape), f"x{len(params)}")
            params.append(param)
            values.append(param)
            args.append(array)
    results = b.emit(op, values, attrs)
    agree(Function("f", (), tuple(params), tuple(b.instrs), results), args, 1e-12 if op.kind == "linalg" else 1e-14)


SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 2.5, 1e-320, -1e-320, 1e300, -1e300, 710.0, -746.0, 1e17, -1e17]
SPECIAL += [float("inf"), float("-inf"), float("nan")]
SINGLE = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 2.5, 1e-40, -1e-40, 1e30, -1e30, 88.0, -104.0, 1e10, -1e10, *SPECIAL[-3:]]


FROM_DOUBLES = {"polygamma"}
"""Functions whose numbers in single precision are compared with those in double: SciPy's lose digits near roots."""


@pytest.mark.parametrize("dtype", ["f64", "f32"])
@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
def test_special_floats(op: OpDef, dtype: str) -> None:
    if DTYPES["f64"] not in dtypes_of(op) or "operands" in op.extra:
        pytest.skip("takes no floats")
    two = op.name in ("add", "sub", "mul") or (isinstance(op.jvp, tuple) and len(op.jvp) == 2) or op.extra.get("arity") == 2
    numbers = SPECIAL if dtype == "f64" else SINGLE
    pairs = np.array(list(itertools.product(numbers, numbers)), DTYPES[dtype].numpy)
    args = [pairs[:, 0].copy(), pairs[:, 1].copy()][: 2 if two else 1]
    for attrs in op.extra.get("attrs", ({},)):
        function = one_op(op, [TensorType(DTYPES[dtype], a.shape) for a in args], attrs)
        (expected,) = run(function, args)
        if dtype == "f32" and op.name in FROM_DOUBLES:
            widened = [a.astype(np.float64) for a in args]
            double = one_op(op, [TensorType(DTYPES["f64"], a.shape) for a in args], attrs)
            with np.errstate(over="ignore"):
                expected = run(double, widened)[0].astype(np.float32)
        (found,) = compile(function)(*args)
        if op.name == "gammaln" and dtype == "f64":  # SciPy takes subnormal numbers for zeros
            tiny = (np.abs(args[0]) < 2.0**-1022) & (args[0] != 0)
            np.testing.assert_allclose(found[tiny], -np.log(np.abs(args[0][tiny])), rtol=1e-15)
            found, expected = found[~tiny], expected[~tiny]
        finite = np.isfinite(expected.astype(float))
        rtol, atol = (1e-14, 1e-300) if dtype == "f64" else (2e-6, 1e-40)
        np.testing.assert_allclose(found[finite], expected[finite], rtol=rtol, atol=atol)
        np.testing.assert_array_equal(found[~finite], expected[~finite])


@pytest.mark.parametrize("name", ["floordiv", "mod"])
def test_integer_division_never_traps(name: str) -> None:
    values = [0, 1, -1, 7, -7, 2**63 - 1, -(2**63)]
    pairs = np.array(list(itertools.product(values, values)), dtype=np.int64)
    function = one_op(get_op(name), [TensorType(DTYPES["i64"], (len(pairs),))] * 2, {})
    args = [pairs[:, 0].copy(), pairs[:, 1].copy()]
    np.testing.assert_array_equal(compile(function)(*args)[0], run(function, args)[0])
    scalar = one_op(get_op(name), [I64_SCALAR, I64_SCALAR], {})
    assert compile(scalar)(-7, 2) == (int(run(scalar, [-7, 2])[0]),)
