"""The short ways of tracing through arrays of floats and plain numbers give what the general ones give, and what NumPy gives."""

from __future__ import annotations

import copy
import operator
import pickle
from typing import Any

import numpy as np
import pytest

import wengert as wg
from wengert.frontend.trace import trace
from wengert.ir.core import walk
from wengert.ir.verify import verify
from wengert.types import BOOL, DTYPES, F32, F64, I64, Dim, Slot, TensorType

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv]
VECTOR = np.array([0.5, -1.25, 3.0])
OTHERS = {
    "vector": np.array([2.0, 0.25, -1.0]),
    "row of one": np.array([4.0]),
    "matrix": np.arange(1.0, 7.0).reshape(2, 3),
    "rank 0": np.array(2.5),
    "float": 0.75,
    "int": 3,
    "bool": True,
    "large int": 2**60 + 1,
    "numpy float": np.float64(1.5),
    "float32": np.array([1.5, 2.5, 0.1], np.float32),
    "ints": np.array([1, 2, 3]),
    "bools": np.array([True, False, True]),
    "list": [1.0, 2.0, 4.0],
}


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_operators_on_arrays(other: Any) -> None:
    def f(x: Any) -> Any:
        return [op(x, other) for op in OPERATORS] + [op(other, x) for op in OPERATORS]

    for found, wanted in zip(wg.jit(f)(VECTOR), f(VECTOR), strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


def test_gradient_of_broadcast_operands() -> None:
    def f(x: Any, a: Any) -> Any:
        y = x * a + a * x[:, None] - x / a
        y[1:] -= 0.5 * a
        return np.sum(y * y)

    def derivative(k: int) -> Any:
        def shifted(h: complex) -> Any:
            x = VECTOR.astype(complex)
            x[k] += h
            return f(x, 1.5).imag / 1e-30

        return shifted(1e-30j)

    np.testing.assert_allclose(wg.grad(f)(VECTOR, 1.5), [derivative(k) for k in range(3)], rtol=1e-13)
    assert wg.grad(f, argnums=1)(VECTOR, 1.5) == pytest.approx(f(VECTOR, 1.5 + 1e-30j).imag / 1e-30, rel=1e-13)


BOUNDS = [None, 0, 3, 7, -1, -9]


def test_parts_of_arrays_of_known_size() -> None:
    def f(a: Any) -> Any:
        x = np.zeros(4) + a * np.arange(4.0)
        return [x[i:j] for i in BOUNDS for j in BOUNDS], [x[i] for i in (0, 3, -1, -4)], x.reshape(2, 2)[1, -2:]

    parts, items, row = wg.jit(f)(1.5)
    for found, wanted in zip((*parts, *items, row), (*f(1.5)[0], *f(1.5)[1], f(1.5)[2]), strict=True):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(IndexError):
        wg.jit(lambda a: (np.zeros(4) + a)[4])(1.0)


def numbers_of_arms(x: Any, n: Any) -> Any:
    a, b, c, d = 1.0, 2, True, np.float64(0.5)
    if x > n:
        a, b, c = x, n, n > 2
    else:
        a, d = 3, x * d
    return a, b, c, d


@pytest.mark.parametrize("x", [0.5, 5.5])
def test_numbers_that_meet_after_a_branch(x: float) -> None:
    found, wanted = wg.jit(numbers_of_arms)(x, 3), numbers_of_arms(x, 3)
    assert found == wanted
    assert type(found[3]) is type(wanted[3]) is np.float64 and type(found[1]) is int


def test_dtypes_stay_the_same_objects() -> None:
    for dtype in DTYPES.values():
        assert pickle.loads(pickle.dumps(dtype)) is dtype and copy.deepcopy(dtype) is dtype
    assert len({F64, F32, I64, BOOL}) == 4
    declared = TensorType(F64, (3, Dim(1, ((Slot(2), 1),))))
    assert copy.deepcopy(declared) == declared and hash(copy.deepcopy(declared)) == hash(declared)
    assert declared != TensorType(F32, declared.dims) and declared != TensorType(F64, (3, Dim(2, ((Slot(2), 1),))))


def product_of_sizes(x: Any, y: Any) -> Any:
    flat = np.outer(x, y).reshape(-1)
    for _ in range(20):
        flat = 0.5 * flat + np.ones(6)
    return flat @ flat + x @ np.array([1.0, 2.0]) + y @ np.array([1.0, 2.0, 3.0])


def test_a_product_of_sizes_that_turn_out_to_be_known() -> None:
    x, y = np.array([0.5, 2.0]), np.array([1.0, -1.0, 0.25])
    function = trace(product_of_sizes, (x, y), {}).function
    verify(function)
    assert all(not r.type.symbols() for instr in walk(function.instrs) for r in instr.results)
    assert wg.jit(product_of_sizes)(x, y) == pytest.approx(product_of_sizes(x, y), rel=1e-14)


def sizes_known_on_the_way(x: Any, y: Any) -> Any:
    a = x * y
    b = a + np.array([1.0, 2.0, 3.0])
    for k in range(20):
        x = x * a - 0.1 * y
        if x[0] * 4.0 > k:
            x = y / 2.0
    x = x + a * 0.5
    return np.sum(x * b) + np.sum(a)


def test_sizes_that_are_known_from_some_operation_on() -> None:
    compiled, gradient = wg.jit(sizes_known_on_the_way), wg.grad(sizes_known_on_the_way, argnums=1)
    x, y, h = np.array([0.3, -0.2, 0.5]), np.array([0.5, 0.2, 0.9]), 1e-6
    assert compiled(x.copy(), y) == pytest.approx(sizes_known_on_the_way(x.copy(), y), rel=1e-13)
    steps = [h * row for row in np.eye(3)]
    wanted = [(sizes_known_on_the_way(x.copy(), y + d) - sizes_known_on_the_way(x.copy(), y - d)) / (2 * h) for d in steps]
    np.testing.assert_allclose(gradient(x.copy(), y), wanted, rtol=1e-7, atol=1e-8)
    assert compiled.stats.traces == gradient.stats.traces == 1
    verify(trace(sizes_known_on_the_way, (x, y), {}).function)
    with pytest.raises(ValueError):
        compiled(np.ones(4), np.ones(4))


def test_instructions_come_before_those_of_their_regions() -> None:
    def f(x: Any) -> Any:
        total = 0.0
        for k in range(30):
            total += x if x > k else np.sin(x) * k
        return total + np.cos(x)

    names = [instr.op.name for instr in walk(trace(f, (1.0,), {}).function.instrs)]
    assert names.index("for") < names.index("if") < names.index("sin") < names.index("cos")
    assert names.count("sin") == names.count("cos") == 1
