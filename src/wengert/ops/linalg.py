"""Products of matrices and vectors, triangular systems, and steps on stacks of matrices that rules share."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.errors import InternalError
from wengert.ir.builder import Builder
from wengert.ir.core import Value
from wengert.ir.op import op
from wengert.ops.infer import DOUBLE, FLOAT, Attrs, Operands, Regions, quiet, tensor_of
from wengert.types import BOOL, F64, Affine, TensorType, Type

# --- steps of rules --------------------------------------------------------------------------------------------------


def matrix_transpose(b: Builder, x: Value) -> Value:
    """The matrices of a stack transposed: the last two axes exchanged."""
    lead = tuple(range(x.rank - 2))
    return b.transpose(x, perm=(*lead, x.rank - 1, x.rank - 2))


def triangle_mask(b: Builder, dims: tuple[Affine, ...], lower: bool, strict: bool = False) -> Value:
    """Ones in a triangle of matrices of shape `dims`, zeros elsewhere; without the diagonal if `strict`."""
    rank = len(dims)
    shape = (dims[-2], dims[-1])
    row = b.broadcast_to(b.iota(b.dim(dims[-2])), shape, (0,))
    column = b.broadcast_to(b.iota(b.dim(dims[-1])), shape, (1,))
    relation = (b.gt if strict else b.ge) if lower else (b.lt if strict else b.le)
    return b.broadcast_to(b.convert(relation(row, column), dtype=F64), dims, (rank - 2, rank - 1))


def triangle(b: Builder, x: Value, lower: bool, strict: bool = False) -> Value:
    """`x` with zeros outside of a triangle."""
    return b.mul(triangle_mask(b, x.dims, lower, strict), x)


def identity(b: Builder, dims: tuple[Affine, ...]) -> Value:
    """Unit matrices of shape `dims`."""
    rank = len(dims)
    row = b.broadcast_to(b.iota(b.dim(dims[-2])), dims, (rank - 2,))
    column = b.broadcast_to(b.iota(b.dim(dims[-1])), dims, (rank - 1,))
    return b.convert(b.eq(row, column), dtype=F64)


def from_lower(b: Builder, x: Value) -> Value:
    """The symmetric matrix with the lower triangle of `x`."""
    return b.add(triangle(b, x, lower=True), matrix_transpose(b, triangle(b, x, lower=True, strict=True)))


def rows(b: Builder, x: Value, start: Affine, count: Affine) -> Value:
    """`count` rows of the matrices in `x`, from `start` on."""
    spec = (*(":" for _ in x.dims[:-2]), "s", ":")
    return b.index(x, b.dim(start), b.dim(count), b.const(1), spec=spec)


def row(b: Builder, x: Value, position: Affine) -> Value:
    """One row of the matrices in `x`."""
    return b.index(x, b.dim(position), spec=(*(":" for _ in x.dims[:-2]), "i", ":"))


def placed_rows(b: Builder, x: Value, start: Affine, part: Value) -> Value:
    """`x` with `part` added to its rows from `start` on (to one row, where `part` has an axis less)."""
    lead = tuple(":" for _ in x.dims[:-2])
    if part.rank < x.rank:
        return b.add_at(x, part, b.dim(start), spec=(*lead, "i", ":"))
    return b.add_at(x, part, b.dim(start), b.dim(part.dims[-2]), b.const(1), spec=(*lead, "s", ":"))


def along_rows(b: Builder, vector: Value, dims: tuple[Affine, ...]) -> Value:
    """Vectors as the rows of matrices of shape `dims`: every row is the same."""
    rank = len(dims)
    return b.broadcast_to(vector, dims, (*range(rank - 2), rank - 1))


def along_columns(b: Builder, vector: Value, dims: tuple[Affine, ...]) -> Value:
    """Vectors as the columns of matrices of shape `dims`."""
    return b.broadcast_to(vector, dims, tuple(range(len(dims) - 1)))


def square(name: str, operands: Operands) -> TensorType:
    """The type of the first operand, square matrices of floats."""
    declared = tensor_of(name, operands, DOUBLE)
    if declared.rank < 2 or declared.dims[-1] != declared.dims[-2]:
        raise InternalError(f"{name} takes square matrices, got {declared}")
    return declared


def tall(name: str, operands: Operands) -> tuple[TensorType, Affine, Affine]:
    """The type of the first operand, matrices of floats, with the numbers of rows and columns."""
    declared = tensor_of(name, operands, DOUBLE)
    if declared.rank < 2:
        raise InternalError(f"{name} takes matrices, got {declared}")
    count, width = declared.dims[-2:]
    if isinstance(count, int) and isinstance(width, int) and count < width:
        raise InternalError(f"{name} takes matrices with at least as many rows as columns, got {declared}")
    return declared, count, width


def truth_of(name: str) -> Any:
    """The type rule of a question about square matrices."""

    def infer(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
        square(name, operands)
        return (TensorType(BOOL),)

    return infer


def side_by_matrix(name: str, operands: Operands) -> TensorType:
    """The type of a right-hand side, checked against the square matrices before it: matrices, or one vector for one matrix."""
    left = square(name, operands)
    right = tensor_of(name, operands[1:], DOUBLE)
    fits = (right.rank == left.rank and right.dims[:-1] == left.dims[:-1]) or (left.rank == 2 and right.dims == left.dims[:1])
    if not fits:
        raise InternalError(f"{name} of {left} and {right}")
    return right


# --- products --------------------------------------------------------------------------------------------------------


def _infer_matmul(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    left = tensor_of("matmul", operands, FLOAT)
    right = tensor_of("matmul", operands[1:], FLOAT)
    inner = right.dims[0] if right.rank == 1 else right.dims[-2] if right.rank else None
    stacked = left.rank == right.rank > 2 and left.dims[:-2] == right.dims[:-2]
    if not (stacked or (left.rank in (1, 2) and right.rank in (1, 2))) or left.dims[-1] != inner or left.dtype != right.dtype:
        raise InternalError(f"matmul of {left} and {right}")
    return (TensorType(left.dtype, (*left.dims[:-1], *right.dims[(right.rank - 1 if stacked else 1) :])),)


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
    return b.matmul(ct, matrix_transpose(b, y))


def _matmul_transpose_right(b: Builder, ct: Value, x: Value, y: Value) -> Value:
    if x.rank == 1 and y.rank == 1:
        return b.mul(b.full(x.dims, ct), x)
    if x.rank == 1:
        return _outer(b, x, ct)
    if y.rank == 1:
        return b.matmul(ct, x)
    return b.matmul(matrix_transpose(b, x), ct)


matmul = op(
    "matmul",
    doc="Product of two vectors, of a matrix and a vector, or of two matrices, also of stacks of matrices of one shape.",
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
        (("f64[2,2,3]", "f64[2,3,4]"), {}),
        (("f64[0]", "f64[0]"), {}),
        (("f64[2,0]", "f64[0,3]"), {}),
        (("f64[0,2]", "f64[2]"), {}),
        (("f64[0,2,3]", "f64[0,3,2]"), {}),
    ),
)

# --- triangular systems ----------------------------------------------------------------------------------------------


def _infer_triangular(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    return (side_by_matrix("triangular_solve", operands),)


def _substitute(a: Any, y: Any, *, lower: bool, trans: bool, unit: bool) -> Any:
    """Rows of the solution one after the other, from the corner of the triangle."""
    if trans:
        a, lower = np.swapaxes(a, -1, -2), not lower
    size = a.shape[-1]
    x = np.array(y if y.ndim == a.ndim else y[:, None], dtype=np.float64)
    for k in range(size) if lower else range(size - 1, -1, -1):
        before = slice(0, k) if lower else slice(k + 1, size)
        x[..., k, :] -= (a[..., k, None, before] @ x[..., before, :])[..., 0, :]
        if not unit:
            x[..., k, :] /= a[..., k, k, None]
    return x if y.ndim == a.ndim else x[:, 0]


def _triangular_jvp(b: Builder, out: Value, a: Value, y: Value, d: Value, *, lower: bool, trans: bool, unit: bool) -> Value:
    """From `op(A) X = Y`: `dX = -op(A)^-1 op(dA) X`."""
    change = triangle(b, d, lower, strict=unit)
    change = matrix_transpose(b, change) if trans else change
    return b.neg(b.triangular_solve(a, b.matmul(change, out), lower=lower, trans=trans, unit=unit))


triangular_solve = op(
    "triangular_solve",
    doc="Solution X of A X = Y for one triangle of A (of A transposed if `trans`), with ones on the diagonal if `unit`.",
    kind="linalg",
    infer=_infer_triangular,
    impl=quiet(_substitute),
    jvp=(
        _triangular_jvp,
        lambda b, out, a, y, d, lower, trans, unit: b.triangular_solve(a, d, lower=lower, trans=trans, unit=unit),
    ),
    transpose=(
        None,
        lambda b, ct, a, y, lower, trans, unit: b.triangular_solve(a, ct, lower=lower, trans=not trans, unit=unit),
    ),
    cost=20,
    samples=(
        (("f64[3,3] regular", "f64[3]"), {"lower": True, "trans": False, "unit": False}),
        (("f64[3,3] regular", "f64[3,2]"), {"lower": False, "trans": False, "unit": False}),
        (("f64[2,2] regular", "f64[2,3]"), {"lower": True, "trans": True, "unit": False}),
        (("f64[2,2] regular", "f64[2]"), {"lower": False, "trans": True, "unit": True}),
        (("f64[2,3,3] regular", "f64[2,3,2]"), {"lower": True, "trans": False, "unit": True}),
        (("f64[6,6] regular", "f64[6,2]"), {"lower": True, "trans": False, "unit": False}),
        (("f64[0,0]", "f64[0,2]"), {"lower": True, "trans": False, "unit": False}),
    ),
)
