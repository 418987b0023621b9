"""Handlers of `scipy.linalg`: the checks, triangles and conventions of SciPy around the same ops as `np.linalg`.

They are registered by name, so that SciPy is imported by those only who use it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend import matrices as linear
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, as_array, refuse_options, result
from wengert.frontend.emit import builder, ensure, fail, logical_not, to_dtype, unsupported, value_of
from wengert.frontend.registry import PASS, handle, register_name
from wengert.frontend.table_linalg import norm as numpy_norm
from wengert.frontend.table_linalg import require_square, static_cutoff
from wengert.ir.core import Value
from wengert.ir.op import get_op
from wengert.types import F64, I64, I64_SCALAR, dim_add

_MODULE = "scipy.linalg"
_SINGULAR = "A singular matrix detected"
_NOT_DEFINITE = "the array is not positive definite: a leading minor is not"
_TRANSPOSED = {0: False, "N": False, 1: True, "T": True, 2: True, "C": True}


def _checked(value: Value, check_finite: bool) -> Value:
    """Raise SciPy's ValueError at run time where a number is not finite."""
    if check_finite:
        b = builder()
        broken = b.convert(logical_not(b.isfinite(value)), dtype=F64)
        count = b.sum(broken, axes=tuple(range(value.rank)))
        ensure(b.eq(count, 0.0), "ValueError", "array must not contain infs or NaNs")
    return value


def _square(a: Any, check_finite: bool) -> Value:
    return _checked(linear.square_matrices(a), check_finite)


# --- systems ---------------------------------------------------------------------------------------------------------


@register_name(_MODULE, "solve")
def solve(
    a: Any, b: Any, lower: bool = False, overwrite_a: bool = False, overwrite_b: bool = False,
    check_finite: bool = True, assume_a: Any = None, transposed: bool = False,
) -> Any:  # fmt: skip
    """`scipy.linalg.solve`: `assume_a` says which triangle is read, in value and derivative."""
    if not any_box(a, b):
        return PASS
    matrix, right = _square(a, check_finite), _checked(linear.floats(b), check_finite)
    kind = {None: "general", "gen": "general", "sym": "symmetric", "her": "symmetric", "pos": "definite"}.get(assume_a, assume_a)
    kind = {"positive definite": "definite", "hermitian": "symmetric"}.get(kind, kind)
    if kind not in ("general", "symmetric", "definite"):
        unsupported(f"scipy.linalg.solve with assume_a={assume_a!r} is not supported", "leave it out", StagingError)
    if kind == "general":
        return result(linear.solve(linear.transposed(matrix) if transposed else matrix, right, _SINGULAR))
    if kind == "symmetric":
        return result(linear.solve(linear.symmetric_from(matrix, lower), right, _SINGULAR))
    factor = linear.lower_factor(matrix if lower else linear.transposed(matrix), _NOT_DEFINITE)
    return result(_by_factor(factor, right))


def _by_factor(factor: Value, right: Value) -> Value:
    """The solution by a lower Cholesky factor."""
    factor, right, is_vector = linear.sides(factor, right)
    b = builder()
    half = b.triangular_solve(factor, right, lower=True, trans=False, unit=False)
    found: Value = b.triangular_solve(factor, half, lower=True, trans=True, unit=False)
    return linear.without_last(found) if is_vector else found


@register_name(_MODULE, "solve_triangular")
def solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False,
    overwrite_b: bool = False, check_finite: bool = True,
) -> Any:  # fmt: skip
    """`scipy.linalg.solve_triangular`."""
    if not any_box(a, b):
        return PASS
    if trans not in _TRANSPOSED:
        fail(ValueError, f"trans must be 0, 1, 2, 'N', 'T' or 'C', not {trans!r}")
    matrix, right, is_vector = linear.sides(_square(a, check_finite), _checked(linear.floats(b), check_finite))
    build = builder()
    if not unit_diagonal:
        unit = linear.identity_like(matrix)
        zeros = getattr(build, "and")(build.eq(unit, 1.0), build.eq(matrix, 0.0))
        count = build.sum(build.convert(zeros, dtype=F64), axes=tuple(range(matrix.rank)))
        ensure(build.eq(count, 0.0), "LinAlgError", "singular matrix: a number on the diagonal is 0")
    options = {"lower": bool(lower), "trans": _TRANSPOSED[trans], "unit": bool(unit_diagonal)}
    found = build.triangular_solve(matrix, right, **options)
    return result(linear.without_last(found) if is_vector else found)


@register_name(_MODULE, "inv")
def inv(
    a: Any, overwrite_a: bool = False, check_finite: bool = True, *, assume_a: Any = None, lower: bool = False
) -> Any:
    """`scipy.linalg.inv` of general matrices."""
    if not any_box(a):
        return PASS
    refuse_options("scipy.linalg.inv", assume_a=(assume_a, None))
    return result(linear.inverse(_square(a, check_finite), _SINGULAR))


@register_name(_MODULE, "det")
def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """`scipy.linalg.det`."""
    return result(builder().det(_square(a, check_finite))) if any_box(a) else PASS


@register_name(_MODULE, "pinv")
def pinv(a: Any, *, atol: Any = None, rtol: Any = None, return_rank: bool = False, check_finite: bool = True) -> Any:
    """`scipy.linalg.pinv`."""
    if not any_box(a):
        return PASS
    refuse_options("scipy.linalg.pinv", atol=(atol, None))
    value = _checked(linear.matrices(a), check_finite)
    cutoff = static_cutoff(rtol, "rtol")
    found = result(linear.pseudoinverse(value, cutoff))
    if not return_rank:
        return found
    rank = linear.rank_of(linear.singular_values(value), value.dims[-2], value.dims[-1], cutoff)
    return found, result(rank)


# --- Cholesky --------------------------------------------------------------------------------------------------------


@register_name(_MODULE, "cholesky")
def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """`scipy.linalg.cholesky`: reads the triangle that it gives."""
    return result(_factor(_square(a, check_finite), lower)) if any_box(a) else PASS


def _factor(value: Value, lower: bool) -> Value:
    if lower:
        return linear.lower_factor(value, _NOT_DEFINITE)
    return linear.transposed(linear.lower_factor(linear.transposed(value), _NOT_DEFINITE))


@register_name(_MODULE, "cho_factor")
def cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """`scipy.linalg.cho_factor`: the other triangle holds what it held before."""
    if not any_box(a):
        return PASS
    value = _square(a, check_finite)
    factor = _factor(value, lower)
    other = builder().sub(value, linear.masked(value, lower))
    return result(builder().add(factor, other)), lower


@register_name(_MODULE, "cho_solve")
def cho_solve(c_and_lower: Any, b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """`scipy.linalg.cho_solve`."""
    if not any_box(c_and_lower, b):
        return PASS
    factor, lower = c_and_lower
    value, right = _square(factor, check_finite), _checked(linear.floats(b), check_finite)
    return result(_by_factor(value if lower else linear.transposed(value), right))


# --- factorisations --------------------------------------------------------------------------------------------------


@register_name(_MODULE, "qr")
def qr(
    a: Any, overwrite_a: bool = False, lwork: Any = None, mode: str = "full", pivoting: bool = False, check_finite: bool = True
) -> Any:
    """`scipy.linalg.qr`, economic (or of square matrices)."""
    if not any_box(a):
        return PASS
    refuse_options("scipy.linalg.qr", pivoting=(pivoting, False))
    if mode not in ("full", "economic"):
        unsupported(f"scipy.linalg.qr with mode={mode!r} is not supported", "use mode='economic'", StagingError)
    value = _checked(linear.matrices(a), check_finite)
    if mode == "full":
        require_square(value, "scipy.linalg.qr", "mode='economic'")
    orthogonal, upper = linear.qr(value)
    return result(orthogonal), result(upper)


@register_name(_MODULE, "eigh")
def eigh(
    a: Any, b: Any = None, *, lower: bool = True, eigvals_only: bool = False, overwrite_a: bool = False,
    overwrite_b: bool = False, type: int = 1, check_finite: bool = True, subset_by_index: Any = None,
    subset_by_value: Any = None, driver: Any = None,
) -> Any:  # fmt: skip
    """`scipy.linalg.eigh`: of one matrix, or of a pair, by the Cholesky factor of the second."""
    if not any_box(a, b):
        return PASS
    name = "scipy.linalg.eigh"
    refuse_options(name, type=(type, 1), subset_by_index=(subset_by_index, None), subset_by_value=(subset_by_value, None))
    value = _square(a, check_finite)
    value = value if lower else linear.transposed(value)
    if b is None:
        if eigvals_only:
            return result(linear.eigenvalues(value))
        values, vectors = linear.eigensystem(value)
        return result(values), result(vectors)
    build = builder()
    right = linear.same_size(linear.matrices(b), -2, value.dims[-1], "wrong b dims")
    right = _checked(linear.same_size(right, -1, value.dims[-1], "wrong b dims"), check_finite)
    factor = linear.lower_factor(right if lower else linear.transposed(right), _NOT_DEFINITE)
    options = {"lower": True, "unit": False}
    half = build.triangular_solve(factor, linear.symmetric_from(value, True), trans=False, **options)
    reduced = build.triangular_solve(factor, linear.transposed(half), trans=False, **options)
    if eigvals_only:
        return result(linear.eigenvalues(reduced))
    values, vectors = linear.eigensystem(reduced)
    return result(values), result(build.triangular_solve(factor, vectors, trans=True, **options))


@register_name(_MODULE, "eigvalsh")
def eigvalsh(a: Any, b: Any = None, **options: Any) -> Any:
    """`scipy.linalg.eigvalsh`."""
    return eigh(a, b, eigvals_only=True, **options)


@register_name(_MODULE, "svd")
def svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, overwrite_a: bool = False,
    check_finite: bool = True, lapack_driver: str = "gesdd",
) -> Any:  # fmt: skip
    """`scipy.linalg.svd`, reduced (or of square matrices)."""
    if not any_box(a):
        return PASS
    value = _checked(linear.matrices(a), check_finite)
    if not compute_uv:
        return result(linear.singular_values(value))
    if full_matrices:
        require_square(value, "scipy.linalg.svd", "full_matrices=False")
    left, values, right = linear.svd(value)
    return result(left), result(values), result(right)


@register_name(_MODULE, "svdvals")
def svdvals(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """`scipy.linalg.svdvals`."""
    return result(linear.singular_values(_checked(linear.matrices(a), check_finite))) if any_box(a) else PASS


@register_name(_MODULE, "norm")
def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False, check_finite: bool = True) -> Any:
    """`scipy.linalg.norm`."""
    if not any_box(a):
        return PASS
    _checked(linear.floats(a), check_finite)
    return numpy_norm(a, ord, axis, keepdims)


# --- special matrices ------------------------------------------------------------------------------------------------


@register_name(_MODULE, "block_diag")
def block_diag(*arrs: Any) -> Any:
    """`scipy.linalg.block_diag`."""
    if not any_box(*arrs):
        return PASS
    blocks = [as_array(a) for a in arrs]
    if any(x.ndim > 2 for x in blocks):
        unsupported("scipy.linalg.block_diag takes matrices here", error=StagingError)
    blocks = [x if x.ndim == 2 else x.reshape((1, -1)) for x in blocks]
    values = [to_dtype(x.value, F64) for x in blocks]
    b = builder()
    rows: Any = 0
    columns: Any = 0
    for value in values:
        rows, columns = dim_add(rows, value.dims[0]), dim_add(columns, value.dims[1])
    whole = b.full((rows, columns), 0.0)
    at: tuple[Any, Any] = (0, 0)
    for value in values:
        place = [v for start, size in zip(at, value.dims, strict=True) for v in (value_of(start), value_of(size), b.const(1))]
        whole = b.update(whole, value, *place, spec=("s", "s"))
        at = dim_add(at[0], value.dims[0]), dim_add(at[1], value.dims[1])
    return result(whole)


@register_name(_MODULE, "toeplitz")
def toeplitz(c: Any, r: Any = None) -> Any:
    """`scipy.linalg.toeplitz` of vectors."""
    if not any_box(c, r):
        return PASS
    column = as_array(c)
    row = column if r is None else as_array(r)
    return _by_sums(as_array(handle(np.concatenate, [column[::-1], row[1:]])), column, row, -1)


@register_name(_MODULE, "hankel")
def hankel(c: Any, r: Any = None) -> Any:
    """`scipy.linalg.hankel` of vectors."""
    if not any_box(c, r):
        return PASS
    column = as_array(c)
    row = column * 0.0 if r is None else as_array(r)
    return _by_sums(as_array(handle(np.concatenate, [column, row[1:]])), column, row, 1)


def _by_sums(values: Array, column: Array, row: Array, step: int) -> Any:
    """The matrix whose elements are those of `values` at i + j (or, from the end of the column, at j - i)."""
    if column.ndim != 1 or row.ndim != 1:
        unsupported("toeplitz and hankel take vectors here", error=StagingError)
    b = builder()
    dims = (column.dims[0], row.dims[0])
    down = b.iota(value_of(dims[0]))
    if step < 0:
        down = b.sub(b.full(dims[:1], value_of(dim_add(dims[0], -1))), down)
    positions = b.add(b.broadcast_to(down, dims, (0,)), b.broadcast_to(b.iota(value_of(dims[1])), dims, (1,)))
    flat = Array(positions).ravel()
    found = Array(b.gather(values.value, flat.value))
    return result(found.reshape((dims[0], dims[1])).value)


# --- exponential -----------------------------------------------------------------------------------------------------

# Higham 2005, table 2.3: the largest 1-norm for which the approximant of degree 13 is accurate; its coefficients, eq. 2.2.
_LARGEST_NORM = 5.371920351148152
_PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0, 10559470521600.0,
    670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip


@register_name(_MODULE, "expm")
def expm(A: Any) -> Any:
    """`scipy.linalg.expm` by scaling and squaring of the Pade approximant of degree 13 (Higham 2005, doi:10.1137/04061101X)."""
    if not any_box(A):
        return PASS
    value = linear.square_matrices(A)
    b = builder()
    count = _squarings(value)
    factor = b.exp2(b.neg(b.convert(count, dtype=F64)))
    approximant = _pade(b.mul(value, b.full(value.dims, factor)))
    region = b.region([I64_SCALAR, approximant.type], lambda inner, k, x: [inner.matmul(x, x)])
    (found,) = b.emit(get_op("for"), (count, approximant), {}, (region,))
    return result(found)


def _squarings(value: Value) -> Value:
    """How often the largest of the matrices has to be halved."""
    b = builder()
    sums = b.sum(b.abs(value), axes=(value.rank - 2,))
    flat = linear.joined([Array(sums).ravel().value, b.full((1,), 0.0)])
    size = b.max(b.stop_gradient(flat), axes=(0,))
    halvings = b.ceil(b.log2(b.maximum(b.div(size, _LARGEST_NORM), b.const(1.0))))
    found: Value = b.convert(b.minimum(b.select(b.isfinite(halvings), halvings, b.const(0.0)), b.const(2000.0)), dtype=I64)
    return found


def _pade(x: Value) -> Value:
    b = builder()

    def times(coefficient: float, y: Value) -> Value:
        found: Value = b.mul(y, coefficient)
        return found

    unit = linear.identity_like(x)
    x2 = linear.product(x, x)
    x4 = linear.product(x2, x2)
    x6 = linear.product(x4, x2)
    c = _PADE
    high = b.add(b.add(times(c[13], x6), times(c[11], x4)), times(c[9], x2))
    low = b.add(b.add(times(c[7], x6), times(c[5], x4)), b.add(times(c[3], x2), times(c[1], unit)))
    odd = linear.product(x, b.add(linear.product(x6, high), low))
    high = b.add(b.add(times(c[12], x6), times(c[10], x4)), times(c[8], x2))
    low = b.add(b.add(times(c[6], x6), times(c[4], x4)), b.add(times(c[2], x2), times(c[0], unit)))
    even = b.add(linear.product(x6, high), low)
    found: Value = b.solve(b.sub(even, odd), b.add(even, odd), trans=False)
    return found
