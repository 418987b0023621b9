"""Linear algebra on IR values, with NumPy's checks: what the tables of `np.linalg` and `scipy.linalg` have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import as_array
from wengert.frontend.broadcasting import Shape, assume, broadcast_shapes, spread
from wengert.frontend.emit import (
    builder,
    difference,
    ensure,
    fail,
    is_at_least,
    logical_and,
    logical_not,
    to_dtype,
    unsupported,
    value_of,
    values_of,
)
from wengert.ir.core import Value
from wengert.types import F64, I64, Affine, dim_add

SINGULAR = "Singular matrix"
NOT_DEFINITE = "Matrix is not positive definite"


def floats(x: Any) -> Value:
    """`x` as an array of floats."""
    return to_dtype(as_array(x).value, F64)


def matrices(x: Any) -> Value:
    """`x` as a matrix or a stack of matrices of floats.

    Raises:
        LinAlgError: it has less than two axes.
    """
    value = floats(x)
    if value.rank < 2:
        fail(np.linalg.LinAlgError, f"{value.rank}-dimensional array given. Array must be at least two-dimensional")
    return value


def square_matrices(x: Any) -> Value:
    """`x` as square matrices of floats.

    Raises:
        LinAlgError: they are not square (at run time, if need be).
    """
    value = matrices(x)
    rows, columns = value.dims[-2:]
    if rows == columns:
        return value
    message = "Last 2 dimensions of the array must be square"
    gap = difference(rows, columns)
    if isinstance(gap, int):
        fail(np.linalg.LinAlgError, message)
    if not (is_at_least(gap, 0) and is_at_least(difference(columns, rows), 0)):
        ensure(builder().eq(*values_of([rows, columns])), "LinAlgError", message)
    size = columns if isinstance(columns, int) else rows
    return assume(value, (*value.dims[:-2], size, size))


def transposed(value: Value) -> Value:
    """The matrices with rows and columns exchanged."""
    lead = tuple(range(value.rank - 2))
    found: Value = builder().transpose(value, perm=(*lead, value.rank - 1, value.rank - 2))
    return found


def product(x: Value, y: Value) -> Value:
    """The matrix product."""
    found: Value = builder().matmul(x, y)
    return found


def part(value: Value, start: Affine, count: Affine) -> Value:
    """Some rows of matrices."""
    b = builder()
    spec = (*(":" for _ in value.dims[:-2]), "s", ":")
    found: Value = b.index(value, value_of(start), value_of(count), b.const(1), spec=spec)
    return found


def first_row(value: Value) -> Value:
    """The first rows of matrices."""
    b = builder()
    found: Value = b.index(value, b.const(0), spec=(*(":" for _ in value.dims[:-2]), "i", ":"))
    return found


def identity_like(value: Value) -> Value:
    """Unit matrices of the shape of `value`."""
    b = builder()
    rank = value.rank
    rows = b.broadcast_to(b.iota(value_of(value.dims[-2])), value.dims, (rank - 2,))
    columns = b.broadcast_to(b.iota(value_of(value.dims[-1])), value.dims, (rank - 1,))
    return to_dtype(b.eq(rows, columns), F64)


def masked(value: Value, lower: bool) -> Value:
    """A triangle of matrices, zeros elsewhere."""
    b = builder()
    rank = value.rank
    rows = b.broadcast_to(b.iota(value_of(value.dims[-2])), value.dims, (rank - 2,))
    columns = b.broadcast_to(b.iota(value_of(value.dims[-1])), value.dims, (rank - 1,))
    kept = b.ge(rows, columns) if lower else b.le(rows, columns)
    found: Value = b.select(kept, value, b.zeros_like(value))
    return found


def symmetric_from(value: Value, lower: bool) -> Value:
    """Symmetric matrices by one triangle of `value`."""
    b = builder()
    unit = identity_like(value)
    half = masked(value, lower)
    diagonal = b.select(b.eq(unit, 1.0), half, b.zeros_like(half))
    found: Value = b.sub(b.add(half, transposed(half)), diagonal)
    return found


# --- systems ---------------------------------------------------------------------------------------------------------


def require_regular(a: Value, message: str = SINGULAR) -> None:
    """Raise LinAlgError at run time if a matrix is singular."""
    ensure(logical_not(builder().is_singular(a)), "LinAlgError", message)


def solve(a: Value, y: Value, message: str = SINGULAR) -> Value:
    """The solution of systems with the matrices `a`; a vector `y`, or matrices."""
    left, right, is_vector = sides(a, y)
    require_regular(left, message)
    found: Value = builder().solve(left, right, trans=False)
    return found if not is_vector else without_last(found)


def sides(a: Value, y: Value) -> tuple[Value, Value, bool]:
    """Matrices and right-hand sides with leading axes that agree, and whether columns were made of vectors."""
    message = "solve: the sizes of the matrix and of the right-hand side differ"
    if not y.rank:
        fail(ValueError, "solve: the right-hand side has no axis: a vector or matrices are needed")
    if y.rank == 1 and a.rank == 2:
        return a, same_size(y, 0, a.dims[-1], message), False
    is_vector = y.rank == 1
    if is_vector:
        y = as_array(Array(y)[:, None]).value
    y = same_size(y, y.rank - 2, a.dims[-1], message)
    if a.dims[:-2] == y.dims[:-2]:
        return a, y, is_vector
    lead = broadcast_shapes([a.dims[:-2], y.dims[:-2]])
    return stacked(a, lead), stacked(y, lead), is_vector


def same_size(value: Value, axis: int, size: Affine, message: str) -> Value:
    """`value` with an axis of the given size.

    Raises:
        ValueError: it has another one (at run time, if need be).
    """
    axis %= value.rank
    found = value.dims[axis]
    if found == size:
        return value
    gap = difference(found, size)
    if isinstance(gap, int):
        fail(ValueError, message, found=str(found), expected=str(size))
    if not (is_at_least(gap, 0) and is_at_least(difference(size, found), 0)):
        ensure(builder().eq(*values_of([found, size])), "ValueError", message + ": {} and {}", *values_of([found, size]))
    return assume(value, (*value.dims[:axis], size, *value.dims[axis + 1 :]))


def stacked(value: Value, lead: Shape) -> Value:
    """Matrices repeated along leading axes."""
    return spread((value, value.dims, tuple(range(value.rank))), (*lead, *value.dims[-2:]))


def without_last(value: Value) -> Value:
    """The only element along the last axis."""
    b = builder()
    found: Value = b.index(value, b.const(0), spec=(*(":" for _ in value.dims[:-1]), "i"))
    return found


def inverse(a: Value, message: str = SINGULAR) -> Value:
    """The inverse matrices."""
    require_regular(a, message)
    found: Value = builder().inv(a)
    return found


def lower_factor(a: Value, message: str = NOT_DEFINITE) -> Value:
    """The lower Cholesky factors, by the lower triangles."""
    found: Value = builder().cholesky(a)
    ensure(logical_not(builder().is_indefinite(a)), "LinAlgError", message)
    return found


# --- factorisations --------------------------------------------------------------------------------------------------


def is_tall(value: Value, what: str) -> bool:
    """Whether matrices have at least as many rows as columns; the trace may rely on it."""
    gap = difference(value.dims[-2], value.dims[-1])
    if is_at_least(gap, 0):
        return True
    if is_at_least(difference(value.dims[-1], value.dims[-2]), 0):
        return False
    unsupported(
        f"{what} of a matrix whose shape is known at run time only",
        "give it a shape that follows from the shapes of the arguments",
        StagingError,
    )


def eigenvalues(a: Value) -> Value:
    """Eigenvalues of symmetric matrices."""
    found: Value = builder().eigvalsh(a)
    return found


def eigensystem(a: Value) -> tuple[Value, Value]:
    """Eigenvalues and eigenvectors; the derivative of the values does not need that of the vectors."""
    packed = builder().eigh(a)
    return eigenvalues(a), part(packed, 1, a.dims[-1])


def singular_values(a: Value) -> Value:
    """Singular values, which there have to be (nan stops the search)."""
    values = builder().svdvals(a if is_tall(a, "the singular values") else transposed(a))
    _require_convergence(a, values)
    return values


def svd(a: Value) -> tuple[Value, Value, Value]:
    """U, singular values and V^T, reduced."""
    if not is_tall(a, "the singular value decomposition"):
        left, values, right = svd(transposed(a))
        return transposed(right), values, transposed(left)
    b = builder()
    rows, columns = a.dims[-2:]
    packed = b.svd(a)
    values = b.svdvals(a)
    _require_convergence(a, values)
    return part(packed, dim_add(columns, 1), rows), values, part(packed, 1, columns)


def _require_convergence(a: Value, values: Value) -> None:
    """LAPACK refuses nan in a matrix; with infinities it goes on, and the singular values are nan, as in NumPy."""
    b = builder()

    def count(which: Value, axes: int) -> Value:
        return b.sum(b.convert(which, dtype=F64), axes=tuple(range(which.rank - axes, which.rank)))

    broken = b.gt(count(b.isnan(values), 1), 0.0)
    is_infinite = logical_and(b.eq(count(b.isnan(a), 2), 0.0), b.gt(count(b.isinf(a), 2), 0.0))
    failed = logical_and(broken, logical_not(is_infinite))
    ensure(b.eq(count(failed, failed.rank), 0.0), "LinAlgError", "SVD did not converge")


def qr(a: Value) -> tuple[Value, Value]:
    """Q and R, reduced; of a wide matrix, R has further columns."""
    rows, columns = a.dims[-2:]
    if is_tall(a, "the QR decomposition"):
        packed = builder().qr(a)
        return part(packed, columns, rows), part(packed, 0, columns)
    whole = transposed(a)
    square, rest = part(whole, 0, rows), part(whole, rows, difference(columns, rows))
    q, upper = qr(assume(transposed(square), (*a.dims[:-2], rows, rows)))
    beside = product(transposed(q), transposed(rest))
    return q, joined([upper, beside])


def joined(values: Sequence[Value]) -> Value:
    """Matrices side by side."""
    b = builder()
    total: Affine = 0
    for value in values:
        total = dim_add(total, value.dims[-1])
    lead = tuple(":" for _ in values[0].dims[:-1])
    whole = b.full((*values[0].dims[:-1], total), 0.0)
    at: Affine = 0
    for value in values:
        size = value.dims[-1]
        whole = b.update(whole, value, value_of(at), value_of(size), b.const(1), spec=(*lead, "s"))
        at = dim_add(at, size)
    return whole


def pseudoinverse(a: Value, cutoff: float) -> Value:
    """The pseudoinverse; a cutoff of 0 stands for the rounding error of the larger size."""
    if not is_tall(a, "the pseudoinverse"):
        return transposed(pseudoinverse(transposed(a), cutoff))
    found: Value = builder().pinv(a, cutoff=cutoff)
    return found


def rank_of(values: Value, rows: Affine, columns: Affine, cutoff: Value | float) -> Value:
    """The number of singular values above `cutoff` times the largest one (0: the rounding error of the larger size)."""
    b = builder()
    if isinstance(cutoff, float):
        larger = to_dtype(b.maximum(value_of(rows), value_of(columns)), F64)
        cutoff = b.const(cutoff) if cutoff else b.mul(larger, b.const(float(np.finfo(float).eps)))
    last = values.rank - 1
    largest = b.max(values, axes=(last,))
    limit = b.mul(largest, b.full(largest.dims, cutoff))
    above = b.gt(values, b.broadcast_to(limit, values.dims, tuple(range(last))))
    found: Value = b.sum(b.convert(above, dtype=I64), axes=(last,))
    return found
