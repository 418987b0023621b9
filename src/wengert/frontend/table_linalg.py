"""Handlers of `np.linalg`: systems, factorisations, norms, powers."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend import matrices as linear
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, as_array, is_static_int, lift, refuse_options, result
from wengert.frontend.elementwise import apply, select
from wengert.frontend.emit import builder, difference, fail, is_at_least, to_dtype, unsupported
from wengert.frontend.registry import PASS, handle, register
from wengert.frontend.shapes import axis_number, static_int
from wengert.frontend.table_numpy_linalg import product
from wengert.frontend.table_numpy_reduce import safe_root
from wengert.frontend.views import expand_step
from wengert.ir.core import Value
from wengert.types import I64

_UNIT = np.eye(1)
EigenResult = type(np.linalg.eigh(_UNIT))
SignedResult = type(np.linalg.slogdet(_UNIT))
SingularResult = type(np.linalg.svd(_UNIT))
TriangularResult = type(np.linalg.qr(_UNIT))


# --- systems ---------------------------------------------------------------------------------------------------------


@register(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """`np.linalg.solve`."""
    return result(linear.solve(linear.square_matrices(a), linear.floats(b))) if any_box(a, b) else PASS


@register(np.linalg.inv)
def inv(a: Any) -> Any:
    """`np.linalg.inv`."""
    return result(linear.inverse(linear.square_matrices(a))) if any_box(a) else PASS


@register(np.linalg.det)
def det(a: Any) -> Any:
    """`np.linalg.det`; its derivative exists at singular matrices too."""
    return result(builder().det(linear.square_matrices(a))) if any_box(a) else PASS


@register(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    """`np.linalg.slogdet`; the sign has derivative 0."""
    if not any_box(a):
        return PASS
    value = linear.square_matrices(a)
    return SignedResult(result(builder().detsign(value)), result(builder().logabsdet(value)))


@register(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """`np.linalg.lstsq` by the pseudoinverse; the derivative holds where the rank does not change.

    The residuals are nan, and not an empty array, where the rank is less than the number of columns.
    """
    if not any_box(a, b):
        return PASS
    matrix, right = linear.matrices(a), linear.floats(b)
    if matrix.rank != 2 or right.rank not in (1, 2):
        fail(np.linalg.LinAlgError, f"{matrix.rank}-dimensional array given. Array must be two-dimensional")
    right = linear.same_size(right, 0, matrix.dims[0], "Incompatible dimensions")
    cutoff = static_cutoff(rcond, "rcond")
    values = linear.singular_values(matrix)
    rank = linear.rank_of(values, matrix.dims[0], matrix.dims[1], cutoff)
    found = linear.product(linear.pseudoinverse(matrix, cutoff), right)
    return result(found), _residuals(matrix, right, found, rank), result(rank), result(values)


def _residuals(matrix: Value, right: Value, found: Value, rank: Value) -> Any:
    b = builder()
    rows, columns = matrix.dims
    if not linear.is_tall(matrix, "least squares") or is_at_least(difference(columns, rows), 0):
        return Array(b.full((0,), 0.0))
    rest = b.sub(right, b.matmul(matrix, found))
    squares = b.sum(b.mul(rest, rest), axes=(0,))
    sums = b.reshape(squares, b.const(1)) if not squares.rank else squares
    full = b.eq(rank, b.dim(columns))
    return Array(b.select(b.full(sums.dims, full), sums, b.full(sums.dims, float("nan"))))


def static_cutoff(rcond: Any, what: str) -> float:
    """A cutoff for singular values that is known while tracing; 0 stands for the default."""
    if rcond is None:
        return 0.0
    if any_box(rcond) or not isinstance(rcond, float | int | np.floating):
        unsupported(f"{what} must be a number that is known while tracing", error=StagingError)
    return float(rcond) if rcond >= 0 else float(np.finfo(float).eps)


@register(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """`np.linalg.pinv`; the derivative holds where the rank does not change."""
    if not any_box(a):
        return PASS
    refuse_options("np.linalg.pinv", hermitian=(hermitian, False))
    cutoff = 1e-15 if rcond is None and rtol is None else static_cutoff(rtol if rcond is None else rcond, "rcond")
    value = linear.matrices(a)
    linear.singular_values(value)
    return result(linear.pseudoinverse(value, cutoff))


# --- factorisations --------------------------------------------------------------------------------------------------


@register(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """`np.linalg.cholesky`: value and derivative know one triangle of `a` only."""
    if not any_box(a):
        return PASS
    value = linear.square_matrices(a)
    if upper:
        return result(linear.transposed(linear.lower_factor(linear.transposed(value))))
    return result(linear.lower_factor(value))


def _one_triangle(a: Any, UPLO: Any) -> Value:
    letter = str(UPLO).upper()
    if letter not in ("L", "U"):
        fail(ValueError, "UPLO argument must be 'L' or 'U'")
    value = linear.square_matrices(a)
    return value if letter == "L" else linear.transposed(value)


@register(np.linalg.eigh)
def eigh(a: Any, UPLO: Any = "L") -> Any:
    """`np.linalg.eigh`; eigenvectors of equal eigenvalues have no derivative (it is nan)."""
    if not any_box(a):
        return PASS
    values, vectors = linear.eigensystem(_one_triangle(a, UPLO))
    return EigenResult(result(values), result(vectors))


@register(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: Any = "L") -> Any:
    """`np.linalg.eigvalsh`."""
    return result(linear.eigenvalues(_one_triangle(a, UPLO))) if any_box(a) else PASS


@register(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """`np.linalg.svd`, reduced (or of square matrices)."""
    if not any_box(a):
        return PASS
    refuse_options("np.linalg.svd", hermitian=(hermitian, False))
    value = linear.matrices(a)
    if not compute_uv:
        return result(linear.singular_values(value))
    if full_matrices:
        require_square(value, "np.linalg.svd", "full_matrices=False")
    left, values, right = linear.svd(value)
    return SingularResult(result(left), result(values), result(right))


def require_square(value: Value, what: str, fix: str) -> None:
    """Refuse complete bases of matrices that are not square: their derivative is not determined."""
    gap = difference(value.dims[-2], value.dims[-1])
    if not (is_at_least(gap, 0) and is_at_least(difference(value.dims[-1], value.dims[-2]), 0)):
        unsupported(
            f"{what} of a matrix that is not square gives a complete basis, which has no derivative", f"pass {fix}", StagingError
        )


@register(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    """`np.linalg.svdvals`."""
    return result(linear.singular_values(linear.matrices(x))) if any_box(x) else PASS


@register(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """`np.linalg.qr`, reduced (or of square matrices)."""
    if not any_box(a):
        return PASS
    value = linear.matrices(a)
    if mode not in ("reduced", "r", "complete"):
        unsupported(f"np.linalg.qr with mode={mode!r} is not supported", "use mode='reduced'", StagingError)
    if mode == "complete":
        require_square(value, "np.linalg.qr", "mode='reduced'")
    orthogonal, upper = linear.qr(value)
    return result(upper) if mode == "r" else TriangularResult(result(orthogonal), result(upper))


# --- questions -------------------------------------------------------------------------------------------------------


@register(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """`np.linalg.matrix_rank`: an integer, without derivative."""
    if not any_box(A):
        return PASS
    refuse_options("np.linalg.matrix_rank", hermitian=(hermitian, False))
    if as_array(A).ndim < 2:
        return result(to_dtype(lift(handle(np.any, apply(np.not_equal, A, 0.0))), I64))
    value = linear.matrices(A)
    values = linear.singular_values(value)
    if tol is not None:
        return handle(np.sum, apply(np.greater, Array(values), tol), axis=-1)
    return result(linear.rank_of(values, value.dims[-2], value.dims[-1], static_cutoff(rtol, "rtol")))


@register(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """`np.linalg.cond`."""
    if not any_box(x):
        return PASS
    if p in (None, 2, -2):
        values = Array(linear.singular_values(linear.matrices(x)))
        ratio = apply(np.divide, values[..., 0], values[..., -1])
        return apply(np.divide, 1.0, ratio) if p == -2 else ratio
    axes = (-2, -1)
    return apply(np.multiply, norm(x, p, axis=axes), norm(inv(x), p, axis=axes))


# --- powers and chains -----------------------------------------------------------------------------------------------


@register(np.linalg.matrix_power)
def matrix_power(a: Any, n: Any) -> Any:
    """`np.linalg.matrix_power` by repeated squaring."""
    if not any_box(a, n):
        return PASS
    exponent = static_int(n, "the exponent of a matrix power")
    base = linear.square_matrices(a)
    if exponent == 0:
        return result(linear.identity_like(base))
    if exponent < 0:
        base, exponent = linear.inverse(base), -exponent
    total: Value | None = None
    while exponent:
        if exponent & 1:
            total = base if total is None else linear.product(total, base)
        exponent >>= 1
        if exponent:
            base = linear.product(base, base)
    assert total is not None
    return result(total)


@register(np.linalg.multi_dot)
def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    """`np.linalg.multi_dot`, from the left or, where that ends in a vector, from the right."""
    if not any_box(list(arrays)):
        return PASS
    refuse_options("np.linalg.multi_dot", out=(out, None))
    items = [as_array(x) for x in arrays]
    if len(items) < 2:
        fail(ValueError, "Expecting at least two arrays.")
    what = "the shapes of multi_dot are not aligned:"
    if items[-1].ndim == 1 and items[0].ndim == 2:
        total = items[-1]
        for item in reversed(items[:-1]):
            total = product(item, total, what)
        return total
    total = items[0]
    for item in items[1:]:
        total = product(total, item, what)
    return total


@register(np.linalg.matrix_transpose, np.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    """`np.matrix_transpose`."""
    return handle(np.swapaxes, as_array(x), -1, -2) if any_box(x) else PASS


# --- norms -----------------------------------------------------------------------------------------------------------


@register(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """`np.linalg.norm`: the derivative of norms that are roots is 0 at 0, extrema share it among equals."""
    if not any_box(x):
        return PASS
    a = as_array(x)
    a = a if a.element.is_float else as_array(apply(np.multiply, a, 1.0))
    if ord is not None and axis is None and a.ndim not in (1, 2):
        fail(ValueError, "Improper number of dimensions to norm.")
    given = tuple(range(a.ndim)) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    axes = tuple(axis_number(k, a.ndim) for k in given)
    if ord is None or (ord == "fro" and len(axes) == 2) or (is_static_int(ord) and ord == 2 and len(axes) == 1):
        return safe_root(handle(np.sum, apply(np.multiply, a, a), axis=axes, keepdims=keepdims))
    if len(axes) == 1:
        return _vector_norm(a, ord, axes, keepdims)
    if len(axes) != 2 or axes[0] == axes[1]:
        fail(ValueError, "Improper number of dimensions to norm.")
    return _matrix_norm(a, ord, axes, keepdims)


def _vector_norm(a: Array, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    options = {"axis": axes, "keepdims": keepdims}
    if isinstance(ord, str):
        fail(ValueError, f"Invalid norm order '{ord}' for vectors")
    if not any_box(ord) and ord == 0:
        return apply(np.multiply, handle(np.sum, apply(np.not_equal, a, 0.0), **options), 1.0)
    if not any_box(ord) and ord == 2:
        return safe_root(handle(np.sum, apply(np.multiply, a, a), **options))
    size = apply(np.absolute, a)
    if not any_box(ord) and ord in (np.inf, -np.inf):
        return handle(np.max if ord > 0 else np.min, size, **options)
    if not any_box(ord) and ord == 1:
        return handle(np.sum, size, **options)
    powers = handle(np.sum, apply(np.power, size, ord), **options)
    is_zero = apply(np.equal, powers, 0.0)
    return select(is_zero, 0.0, apply(np.power, select(is_zero, 1.0, powers), apply(np.divide, 1.0, ord)))


def _matrix_norm(a: Array, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    rows, columns = axes
    if ord in (1, -1, np.inf, -np.inf):
        along, across = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = handle(np.sum, apply(np.absolute, a), axis=along)
        found = handle(np.max if ord > 0 else np.min, sums, axis=across - (across > along))
    elif ord in (2, -2, "nuc"):
        rest = tuple(k for k in range(a.ndim) if k not in axes)
        values = Array(linear.singular_values(a.permuted((*rest, rows, columns)).value))
        found = handle(np.sum if ord == "nuc" else np.max if ord > 0 else np.min, values, axis=-1)
    else:
        fail(ValueError, "Invalid norm order for matrices.")
    if not keepdims:
        return found
    return as_array(found).through(expand_step(as_array(found).dims, tuple(sorted(axes))))


@register(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """`np.linalg.matrix_norm`."""
    return norm(x, ord, (-2, -1), keepdims) if any_box(x) else PASS


@register(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """`np.linalg.vector_norm` along one axis, or of a vector."""
    if not any_box(x):
        return PASS
    if axis is None and as_array(x).ndim != 1:
        unsupported("np.linalg.vector_norm is supported along one axis", "pass axis, or ravel first", StagingError)
    return norm(x, ord, -1 if axis is None else axis, keepdims)
