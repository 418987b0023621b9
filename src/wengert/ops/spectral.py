"""Factorisations by orthogonal matrices: eigenvalues of symmetric matrices, singular values, QR, and the pseudoinverse.

A factorisation is one array, so that the rules stay plain: the factors one below the other. Eigenvectors that belong to equal
eigenvalues are not functions of the matrix, nor are singular vectors of equal singular values: their derivative is nan or
infinite. Eigenvalues and singular values alone have the ops `eigvalsh` and `svdvals`, whose derivative exists.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.ir.builder import Builder
from wengert.ir.core import Value
from wengert.ir.op import op
from wengert.ops.infer import Attrs, Operands, Regions, quiet
from wengert.ops.linalg import (
    along_columns,
    along_rows,
    from_lower,
    identity,
    matrix_transpose,
    placed_rows,
    row,
    rows,
    square,
    tall,
    triangle,
)
from wengert.types import Affine, TensorType, Type, dim_add

_LAST_TWO = slice(-2, None)


def _blank(b: Builder, dims: tuple[Affine, ...]) -> Value:
    return b.full(dims, 0.0)


def _off_diagonal_inverse(b: Builder, differences: Value) -> Value:
    """1 / differences, with zeros on the diagonal: F in the rules of eigenvectors."""
    unit = identity(b, differences.dims)
    return b.mul(b.div(b.full(differences.dims, 1.0), b.add(differences, unit)), b.sub(b.full(unit.dims, 1.0), unit))


def _scaled_product_sum(b: Builder, left: Value, d: Value, right: Value) -> Value:
    """The diagonal of `left^T d right`."""
    return b.sum(b.mul(left, b.matmul(d, right)), axes=(left.rank - 2,))


def _quiet_or_nan(function: Any, shape: Any) -> Any:
    """`function(a)`, or nan of `shape(a.shape)` where NumPy says that it did not converge."""

    def call(a: Any) -> Any:
        try:
            return function(a)
        except np.linalg.LinAlgError:
            return np.full(shape(a.shape), np.nan)

    return quiet(call)


# --- symmetric matrices ----------------------------------------------------------------------------------------------


def _infer_eigh(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    declared = square("eigh", operands)
    size = declared.dims[-1]
    return (declared.with_dims((*declared.dims[:-2], dim_add(size, 1), size)),)


def _eigh(a: Any) -> Any:
    values, vectors = np.linalg.eigh(a)
    return np.concatenate([values[..., None, :], vectors], axis=-2)


def _eigh_jvp(b: Builder, out: Value, a: Value, d: Value) -> Value:
    """dw = diag(M), dV = V (F * M), M = V^T dA V, F_ij = 1 / (w_j - w_i) (Giles 2008, section 3.1)."""
    size = a.dims[-1]
    values, vectors = row(b, out, 0), rows(b, out, 1, size)
    moved = b.matmul(from_lower(b, d), vectors)
    middle = b.matmul(matrix_transpose(b, vectors), moved)
    gaps = b.sub(along_rows(b, values, a.dims), along_columns(b, values, a.dims))
    change = b.matmul(vectors, b.mul(_off_diagonal_inverse(b, gaps), middle))
    slopes = b.sum(b.mul(vectors, moved), axes=(a.rank - 2,))
    return placed_rows(b, placed_rows(b, _blank(b, out.dims), 0, slopes), 1, change)


eigh = op(
    "eigh",
    doc="Eigenvalues (ascending, the first row) and below them eigenvectors (as columns) of symmetric matrices.",
    kind="linalg",
    infer=_infer_eigh,
    impl=_quiet_or_nan(_eigh, lambda shape: (*shape[:-2], shape[-1] + 1, shape[-1])),
    jvp=(_eigh_jvp,),
    cost=20,
    samples=(
        (("f64[1,1]",), {}),
        (("f64[3,3] definite",), {}),
        (("f64[2,2,2] definite",), {}),
        (("f64[5,5] definite",), {}),
        (("f64[0,0]",), {}),
    ),
)


def _infer_values(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    declared = square("eigvalsh", operands)
    return (declared.with_dims(declared.dims[:-1]),)


def _eigvalsh_jvp(b: Builder, out: Value, a: Value, d: Value) -> Value:
    vectors = rows(b, b.eigh(a), 1, a.dims[-1])
    return _scaled_product_sum(b, vectors, from_lower(b, d), vectors)


eigvalsh = op(
    "eigvalsh",
    doc="Eigenvalues of symmetric matrices, ascending; of equal ones, the derivative along some choice of eigenvectors.",
    kind="linalg",
    infer=_infer_values,
    impl=_quiet_or_nan(np.linalg.eigvalsh, lambda shape: shape[:-1]),
    jvp=(_eigvalsh_jvp,),
    cost=20,
    smoothness="kink",
    samples=((("f64[3,3] definite",), {}), (("f64[2,2,2] definite",), {}), (("f64[0,0]",), {})),
)

# --- singular values -------------------------------------------------------------------------------------------------


def _infer_svd(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    declared, count, width = tall("svd", operands)
    return (declared.with_dims((*declared.dims[:-2], dim_add(dim_add(count, width), 1), width)),)


def _svd(a: Any) -> Any:
    left, values, right = np.linalg.svd(a, full_matrices=False)
    return np.concatenate([values[..., None, :], right, left], axis=-2)


def _svd_parts(b: Builder, out: Value, a: Value) -> tuple[Value, Value, Value]:
    """Singular values, V^T and U of a packed factorisation."""
    count, width = a.dims[_LAST_TWO]
    return row(b, out, 0), rows(b, out, 1, width), rows(b, out, dim_add(width, 1), count)


def _svd_jvp(b: Builder, out: Value, a: Value, d: Value) -> Value:
    """The rule for matrices of full column rank with distinct singular values (Townsend 2016, eqs. 17 to 20)."""
    values, right, left = _svd_parts(b, out, a)
    count, width = a.dims[_LAST_TWO]
    dims = right.dims
    moved = b.matmul(d, matrix_transpose(b, right))
    middle = b.matmul(matrix_transpose(b, left), moved)
    across, down = along_rows(b, values, dims), along_columns(b, values, dims)
    factor = _off_diagonal_inverse(b, b.mul(b.sub(across, down), b.add(across, down)))
    by_columns, by_rows = b.mul(middle, across), b.mul(down, middle)
    change_left = b.matmul(left, b.mul(factor, b.add(by_columns, matrix_transpose(b, by_columns))))
    turn = b.mul(factor, b.add(by_rows, matrix_transpose(b, by_rows)))
    change_right = b.matmul(matrix_transpose(b, turn), right)
    if count != width:
        outside = b.sub(moved, b.matmul(left, middle))
        change_left = b.add(change_left, b.div(outside, along_rows(b, values, a.dims)))
    slopes = b.sum(b.mul(left, moved), axes=(a.rank - 2,))
    packed = placed_rows(b, placed_rows(b, _blank(b, out.dims), 0, slopes), 1, change_right)
    return placed_rows(b, packed, dim_add(width, 1), change_left)


svd = op(
    "svd",
    doc="Singular values (descending, the first row), below them V^T, below that U, of matrices not wider than high.",
    kind="linalg",
    infer=_infer_svd,
    impl=_quiet_or_nan(_svd, lambda shape: (*shape[:-2], shape[-2] + shape[-1] + 1, shape[-1])),
    jvp=(_svd_jvp,),
    cost=20,
    samples=(
        (("f64[1,1]",), {}),
        (("f64[3,3] regular",), {}),
        (("f64[4,2] regular",), {}),
        (("f64[2,3,2] regular",), {}),
        (("f64[0,0]",), {}),
        (("f64[3,0]",), {}),
    ),
)


def _infer_svdvals(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    declared, _, width = tall("svdvals", operands)
    return (declared.with_dims((*declared.dims[:-2], width)),)


def _svdvals_jvp(b: Builder, out: Value, a: Value, d: Value) -> Value:
    _, right, left = _svd_parts(b, b.svd(a), a)
    return _scaled_product_sum(b, left, d, matrix_transpose(b, right))


svdvals = op(
    "svdvals",
    doc="Singular values, descending; of equal ones or zeros, the derivative along some choice of singular vectors.",
    kind="linalg",
    infer=_infer_svdvals,
    impl=_quiet_or_nan(lambda a: np.linalg.svd(a, compute_uv=False), lambda shape: (*shape[:-2], shape[-1])),
    jvp=(_svdvals_jvp,),
    cost=20,
    smoothness="kink",
    samples=((("f64[3,2] regular",), {}), (("f64[2,2,2] regular",), {}), (("f64[0,0]",), {})),
)

# --- QR --------------------------------------------------------------------------------------------------------------


def _infer_qr(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    declared, count, width = tall("qr", operands)
    return (declared.with_dims((*declared.dims[:-2], dim_add(count, width), width)),)


def _qr(a: Any) -> Any:
    orthogonal, upper = np.linalg.qr(a)
    return np.concatenate([upper, orthogonal], axis=-2)


def _qr_jvp(b: Builder, out: Value, a: Value, d: Value) -> Value:
    """The rule for full column rank (Walter & Lehmann 2010, Algorithmic differentiation of linear algebra functions, 3.2)."""
    count, width = a.dims[_LAST_TWO]
    upper, orthogonal = rows(b, out, 0, width), rows(b, out, width, count)
    moved = b.triangular_solve(upper, matrix_transpose(b, d), lower=False, trans=True, unit=False)
    moved = matrix_transpose(b, moved)
    middle = b.matmul(matrix_transpose(b, orthogonal), moved)
    below = triangle(b, middle, lower=True, strict=True)
    turn = b.sub(below, matrix_transpose(b, below))
    change_q = b.add(b.matmul(orthogonal, b.sub(turn, middle)), moved)
    change_r = b.matmul(b.sub(middle, turn), upper)
    return placed_rows(b, placed_rows(b, _blank(b, out.dims), 0, change_r), width, change_q)


qr = op(
    "qr",
    doc="Upper triangular R and below it Q with orthonormal columns, Q R = A, for matrices not wider than high.",
    kind="linalg",
    infer=_infer_qr,
    impl=quiet(_qr),
    jvp=(_qr_jvp,),
    cost=20,
    samples=(
        (("f64[1,1] regular",), {}),
        (("f64[3,3] regular",), {}),
        (("f64[4,2] regular",), {}),
        (("f64[2,3,2] regular",), {}),
        (("f64[0,0]",), {}),
    ),
)

# --- pseudoinverse ---------------------------------------------------------------------------------------------------


def _infer_pinv(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    declared, count, width = tall("pinv", operands)
    return (TensorType(declared.dtype, (*declared.dims[:-2], width, count)),)


def _pinv(a: Any, *, cutoff: float) -> Any:
    try:
        left, values, right = np.linalg.svd(a, full_matrices=False)
    except np.linalg.LinAlgError:
        return np.full(np.swapaxes(a, -1, -2).shape, np.nan)
    if not values.shape[-1]:
        return np.swapaxes(a, -1, -2).copy()
    limit = (cutoff or np.finfo(float).eps * max(a.shape[-2:])) * values[..., :1]
    inverse = np.where(values > limit, 1.0 / values, np.where(np.isnan(values), np.nan, 0.0))
    return np.swapaxes(right, -1, -2) @ (inverse[..., :, None] * np.swapaxes(left, -1, -2))


def _pinv_jvp(b: Builder, out: Value, a: Value, d: Value, *, cutoff: float) -> Value:
    """The rule where the rank does not change (Golub & Pereyra 1973, eq. 4.12)."""
    moved = b.matmul(d, out)
    first = b.matmul(out, moved)
    inside = b.matmul(out, matrix_transpose(b, moved))
    second = b.sub(inside, b.matmul(b.matmul(inside, a), out))
    outside = b.matmul(matrix_transpose(b, b.matmul(out, d)), out)
    third = b.sub(outside, b.matmul(out, b.matmul(a, outside)))
    return b.sub(b.add(second, third), first)


pinv = op(
    "pinv",
    doc="Pseudoinverse of matrices not wider than high: singular values below `cutoff` times the largest count as 0.",
    kind="linalg",
    infer=_infer_pinv,
    impl=quiet(_pinv),
    jvp=(_pinv_jvp,),
    cost=20,
    samples=(
        (("f64[3,2] regular",), {"cutoff": 1e-15}),
        (("f64[3,3] regular",), {"cutoff": 0.0}),
        (("f64[2,3,2] regular",), {"cutoff": 1e-15}),
        (("f64[0,0]",), {"cutoff": 1e-15}),
    ),
)
