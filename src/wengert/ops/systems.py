"""Systems of linear equations, inverses, determinants, Cholesky factors.

What NumPy refuses (a singular matrix, one that is not positive definite) has no solution: the result is all nan, and the ops
`is_singular` and `is_indefinite` tell. The code generator factors a matrix once for all of these ops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.ir.builder import Builder
from wengert.ir.core import Region, Value
from wengert.ir.op import NON_DIFFERENTIABLE, get_op, op
from wengert.ops.infer import Attrs, Operands, Regions, quiet
from wengert.ops.linalg import (
    along_rows,
    from_lower,
    identity,
    matrix_transpose,
    row,
    rows,
    side_by_matrix,
    square,
    triangle_mask,
    truth_of,
)
from wengert.types import F64, TensorType, Type, dim_add


def _same_square(name: str) -> Any:
    def infer(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
        return (square(name, operands),)

    return infer


def _number_each(name: str) -> Any:
    def infer(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
        declared = square(name, operands)
        return (TensorType(F64, declared.dims[:-2]),)

    return infer


def _nan_where_refused(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function(a, ...)` matrix by matrix, with nan where NumPy raises LinAlgError."""

    def call(a: Any, *rest: Any) -> Any:
        try:
            return function(a, *rest)
        except np.linalg.LinAlgError:
            if a.ndim > 2:
                return np.array([call(x, *(r[k] for r in rest)) for k, x in enumerate(a)])
            return np.full_like(rest[0] if rest else a, np.nan)

    return quiet(call)


def _refuses(function: Callable[..., Any]) -> Callable[..., Any]:
    """Whether `function(a)` raises LinAlgError."""

    def call(a: Any) -> Any:
        try:
            function(a)
        except np.linalg.LinAlgError:
            return np.True_
        return np.False_

    return quiet(call)


# --- systems ---------------------------------------------------------------------------------------------------------


def _solve(a: Any, y: Any, *, trans: bool) -> Any:
    a = np.swapaxes(a, -1, -2) if trans else a
    return _nan_where_refused(np.linalg.solve)(a, y)


def _solve_jvp(b: Builder, out: Value, a: Value, y: Value, d: Value, *, trans: bool) -> Value:
    """From `A X = Y`: `dX = -A^-1 dA X`."""
    change = matrix_transpose(b, d) if trans else d
    return b.neg(b.solve(a, b.matmul(change, out), trans=trans))


solve = op(
    "solve",
    doc="Solution X of A X = Y (of the system with A transposed if `trans`); all nan if A is singular.",
    kind="linalg",
    infer=lambda operands, attrs, regions: (side_by_matrix("solve", operands),),
    impl=_solve,
    jvp=(_solve_jvp, lambda b, out, a, y, d, trans: b.solve(a, d, trans=trans)),
    transpose=(None, lambda b, ct, a, y, trans: b.solve(a, ct, trans=not trans)),
    cost=20,
    samples=(
        (("f64[3,3] regular", "f64[3]"), {"trans": False}),
        (("f64[3,3] regular", "f64[3,2]"), {"trans": True}),
        (("f64[2,2] regular", "f64[2,2]"), {"trans": False}),
        (("f64[2,3,3] regular", "f64[2,3,2]"), {"trans": False}),
        (("f64[6,6] regular", "f64[6]"), {"trans": False}),
        (("f64[6,6] regular", "f64[6,2]"), {"trans": True}),
        (("f64[1,1] regular", "f64[1]"), {"trans": False}),
        (("f64[0,0]", "f64[0]"), {"trans": False}),
    ),
)

is_singular = op(
    "is_singular",
    doc="Whether elimination meets an exact zero pivot in any of the matrices.",
    kind="linalg",
    infer=truth_of("is_singular"),
    impl=_refuses(np.linalg.inv),
    jvp=NON_DIFFERENTIABLE,
    cost=20,
    smoothness="integer",
    samples=((("f64[3,3] regular",), {}), (("f64[3,3] singular",), {}), (("f64[0,0]",), {})),
)

inv = op(
    "inv",
    doc="Inverse matrix; all nan if it does not exist.",
    kind="linalg",
    infer=_same_square("inv"),
    impl=_nan_where_refused(np.linalg.inv),
    jvp=(lambda b, out, a, d: b.neg(b.matmul(out, b.matmul(d, out))),),
    cost=20,
    samples=(
        (("f64[1,1] regular",), {}),
        (("f64[3,3] regular",), {}),
        (("f64[2,2,2] regular",), {}),
        (("f64[5,5] regular",), {}),
        (("f64[0,0]",), {}),
    ),
)

# --- determinants ----------------------------------------------------------------------------------------------------


def _cofactors(b: Builder, a: Value, det: Value) -> Value:
    """The matrix of cofactors, which is the gradient of the determinant: also of a singular matrix.

    Products of elements up to 3 x 3; else det(A) A^-T, and from the singular values where A is singular.
    """
    if a.dims[-1] in (0, 1, 2, 3):
        return _small_cofactors(b, a)
    regular, other = b.child(), b.child()
    scale = regular.broadcast_to(det, a.dims, tuple(range(det.rank)))
    found = regular.mul(scale, matrix_transpose(regular, regular.inv(a)))
    limit = _cofactors_by_svd(other, a)
    regions = (Region((), tuple(other.instrs), (limit,)), Region((), tuple(regular.instrs), (found,)))
    return b.emit(get_op("if"), (b.is_singular(a),), {}, regions)[0]


def _cofactors_by_svd(b: Builder, a: Value) -> Value:
    """det(U) det(V) U diag(prod of the other singular values) V^T (Giles 2008, section 2.2.4, by the singular values)."""
    size = a.dims[-1]
    packed = b.svd(a)
    values, right, left = row(b, packed, 0), rows(b, packed, 1, size), rows(b, packed, dim_add(size, 1), size)
    spread = along_rows(b, values, a.dims)
    # Row i holds all singular values but the i-th, in whose place stands 1.
    unit = identity(b, a.dims)
    others = b.prod(b.add(b.mul(spread, b.sub(b.full(a.dims, 1.0), unit)), unit), axes=(a.rank - 1,))
    sign = b.mul(b.sign(b.det(left)), b.sign(b.det(right)))
    signed = b.mul(others, b.broadcast_to(sign, others.dims, tuple(range(a.rank - 2))))
    return b.matmul(b.mul(left, along_rows(b, signed, a.dims)), right)


def _small_cofactors(b: Builder, a: Value) -> Value:
    size = a.dims[-1]
    lead = tuple(":" for _ in a.dims[:-2])
    assert isinstance(size, int)
    if size == 0:
        return a
    if size == 1:
        return b.full(a.dims, 1.0)

    def at(i: int, j: int) -> Value:
        found: Value = b.index(a, b.const(i), b.const(j), spec=(*lead, "i", "i"))
        return found

    def cofactor(i: int, j: int) -> Value:
        if size == 2:
            other = at(1 - i, 1 - j)
            return b.neg(other) if i != j else other
        p, q, r, s = (i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3
        return b.sub(b.mul(at(p, r), at(q, s)), b.mul(at(p, s), at(q, r)))

    whole = b.zeros_like(a)
    for i in range(size):
        for j in range(size):
            whole = b.add_at(whole, cofactor(i, j), b.const(i), b.const(j), spec=(*lead, "i", "i"))
    return whole


def _contract(b: Builder, coefficients: Value, d: Value) -> Value:
    return b.sum(b.mul(coefficients, d), axes=(d.rank - 2, d.rank - 1))


det = op(
    "det",
    doc="Determinant.",
    kind="linalg",
    infer=_number_each("det"),
    impl=quiet(np.linalg.det),
    jvp=(lambda b, out, a, d: _contract(b, _cofactors(b, a, out), d),),
    cost=20,
    samples=(
        (("f64[1,1]",), {}),
        (("f64[2,2] singular",), {}),
        (("f64[2,2]",), {}),
        (("f64[3,3]",), {}),
        (("f64[4,4] regular",), {}),
        (("f64[2,3,3] regular",), {}),
        (("f64[5,5] regular",), {}),
        (("f64[0,0]",), {}),
    ),
)

logabsdet = op(
    "logabsdet",
    doc="Logarithm of the absolute value of the determinant; -inf for a singular matrix.",
    kind="linalg",
    infer=_number_each("logabsdet"),
    impl=quiet(lambda a: np.linalg.slogdet(a)[1]),
    jvp=(lambda b, out, a, d: _contract(b, matrix_transpose(b, b.inv(a)), d),),
    cost=20,
    samples=((("f64[2,2] regular",), {}), (("f64[2,5,5] regular",), {}), (("f64[0,0]",), {})),
)

detsign = op(
    "detsign",
    doc="Sign of the determinant: 1, -1, or 0 for a singular matrix.",
    kind="linalg",
    infer=_number_each("detsign"),
    impl=quiet(lambda a: np.linalg.slogdet(a)[0]),
    jvp=NON_DIFFERENTIABLE,
    cost=20,
    smoothness="jump",
    samples=((("f64[3,3]",), {}), (("f64[2,2] singular",), {}), (("f64[2,5,5]",), {})),
)

# --- Cholesky factors ------------------------------------------------------------------------------------------------


def _cholesky_jvp(b: Builder, out: Value, a: Value, d: Value) -> Value:
    """dL = L P(L^-1 dA L^-T), where P takes the lower triangle and half of the diagonal (Murray 2016, arXiv:1602.07527, eq. 8).

    As the value, the derivative knows the lower triangle of A only.
    """
    half = _forward(b, out, from_lower(b, d))
    middle = _forward(b, out, matrix_transpose(b, half))
    keep = b.mul(b.add(triangle_mask(b, a.dims, True), triangle_mask(b, a.dims, True, strict=True)), 0.5)
    return b.matmul(out, b.mul(keep, middle))


def _forward(b: Builder, lower: Value, y: Value) -> Value:
    return b.triangular_solve(lower, y, lower=True, trans=False, unit=False)


cholesky = op(
    "cholesky",
    doc="Lower triangular L with L L^T = A, from the lower triangle of A; all nan if A is not positive definite.",
    kind="linalg",
    infer=_same_square("cholesky"),
    impl=_nan_where_refused(np.linalg.cholesky),
    jvp=(_cholesky_jvp,),
    cost=20,
    samples=(
        (("f64[1,1] definite",), {}),
        (("f64[2,2] definite",), {}),
        (("f64[3,3] definite",), {}),
        (("f64[2,3,3] definite",), {}),
        (("f64[6,6] definite",), {}),
        (("f64[0,0]",), {}),
    ),
)

is_indefinite = op(
    "is_indefinite",
    doc="Whether the Cholesky factor of any of the matrices does not exist.",
    kind="linalg",
    infer=truth_of("is_indefinite"),
    impl=_refuses(np.linalg.cholesky),
    jvp=NON_DIFFERENTIABLE,
    cost=20,
    smoothness="integer",
    samples=((("f64[3,3] definite",), {}), (("f64[2,2] singular",), {}), (("f64[0,0]",), {})),
)
