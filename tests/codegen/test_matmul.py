"""Matrix products of all sizes and layouts, with and without BLAS."""

from __future__ import annotations

import numpy as np
import pytest

import wengert.ops  # noqa: F401 - registers the ops
from wengert.codegen import Compiled, compile
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Value
from wengert.types import F64, I64_SCALAR, TensorType, dim_of


@pytest.fixture(scope="module", params=[(a, b) for a in "nts" for b in "nts"], ids=lambda p: "".join(p))
def layouts(request: pytest.FixtureRequest) -> tuple[tuple[str, str], Compiled]:
    """A product whose operands are plain (n), transposed (t), or every second row in reverse (s)."""
    sizes = [Value(I64_SCALAR, s) for s in "mkn"]
    b = Builder()

    def operand(rows: Value, columns: Value, layout: str, name: str) -> tuple[Value, Value]:
        r, c = dim_of(rows), dim_of(columns)
        if layout == "t":
            param = Value(TensorType(F64, (c, r)), name)
            return param, b.transpose(param, perm=(1, 0))
        param = Value(TensorType(F64, (r, c)), name)
        if layout == "n":
            return param, param
        last = b.sub(rows, 1)
        return param, b.index(param, last, rows, b.const(-1), spec=("s", ":"))

    x, left = operand(sizes[0], sizes[1], request.param[0], "x")
    y, right = operand(sizes[1], sizes[2], request.param[1], "y")
    result = b.matmul(left, right)
    return request.param, compile(Function("f", tuple(sizes), (x, y), tuple(b.instrs), (result,)))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 4, 5), (40, 30, 50), (33, 64, 17), (0, 3, 2), (2, 0, 3), (1, 200, 300)])
def test_matrices(layouts: tuple[tuple[str, str], Compiled], shape: tuple[int, int, int]) -> None:
    (left, right), native = layouts
    rng = np.random.default_rng(0)
    m, k, n = shape
    a, b = rng.normal(size=(m, k)), rng.normal(size=(k, n))
    arrange = {"n": lambda z: z, "t": lambda z: z.T.copy(), "s": lambda z: z[::-1].copy()}
    (found,) = native(arrange[left](a), arrange[right](b))
    np.testing.assert_allclose(found, a @ b, rtol=1e-12, atol=1e-12)
