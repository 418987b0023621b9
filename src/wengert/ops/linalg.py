"""Products of matrices and vectors."""

from __future__ import annotations

import numpy as np

from wengert.errors import InternalError
from wengert.ir.builder import Builder
from wengert.ir.core import Value
from wengert.ir.op import op
from wengert.ops.infer import FLOAT, Attrs, Operands, Regions, quiet, tensor_of
from wengert.types import Affine, TensorType, Type


def _infer_matmul(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    left = tensor_of("matmul", operands, FLOAT)
    right = tensor_of("matmul", operands[1:], FLOAT)
    if left.rank not in (1, 2) or right.rank not in (1, 2) or left.dims[-1] != right.dims[0]:
        raise InternalError(f"matmul of {left} and {right}")
    return (TensorType(left.dtype, (*left.dims[:-1], *right.dims[1:])),)


def _outer(b: Builder, column: Value, row: Value) -> Value:
    """The matrix of products of the elements of two vectors."""
    dims: tuple[Affine, ...] = (column.dims[0], row.dims[0])
    return b.mul(b.broadcast_to(column, dims, (0,)), b.broadcast_to(row, dims, (1,)))


def _matmul_transpose_left(b: Builder, ct: Value, x: Value, y: Value) -> Value:
    if x.rank == 1 and y.rank == 1:
        return b.mul(b.full(y.dims, ct), y)
    if x.rank == 2 and y.rank == 1:
        return _outer(b, ct, y)
    if x.rank == 1:
        return b.matmul(y, ct)
    return b.matmul(ct, b.transpose(y, perm=(1, 0)))


def _matmul_transpose_right(b: Builder, ct: Value, x: Value, y: Value) -> Value:
    if x.rank == 1 and y.rank == 1:
        return b.mul(b.full(x.dims, ct), x)
    if x.rank == 1:
        return _outer(b, x, ct)
    if y.rank == 1:
        return b.matmul(ct, x)
    return b.matmul(b.transpose(x, perm=(1, 0)), ct)


matmul = op(
    "matmul",
    doc="Product of two vectors, of a matrix and a vector, or of two matrices.",
    kind="linalg",
    infer=_infer_matmul,
    impl=quiet(np.matmul),
    jvp=(lambda b, out, x, y, d: b.matmul(d, y), lambda b, out, x, y, d: b.matmul(x, d)),
    transpose=(_matmul_transpose_left, _matmul_transpose_right),
    cost=20,
    samples=(
        (("f64[3]", "f64[3]"), {}),
        (("f64[2,3]", "f64[3]"), {}),
        (("f64[2]", "f64[2,3]"), {}),
        (("f64[2,3]", "f64[3,4]"), {}),
        (("f64[0]", "f64[0]"), {}),
        (("f64[2,0]", "f64[0,3]"), {}),
        (("f64[0,2]", "f64[2]"), {}),
    ),
)
