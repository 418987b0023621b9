"""Order and search: the ops behind sorting, masks and tables. All give positions, so only `gather` of them has a derivative.

Sorted values are `gather` of the permutation; elements that tie keep their order, and so does their derivative.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.errors import InternalError
from wengert.ir.op import NON_DIFFERENTIABLE, op
from wengert.ops.infer import NUMBER, Attrs, Operands, Regions, sizes, tensor_of
from wengert.types import BOOL, I64, TensorType, Type

# --- sorting ---------------------------------------------------------------------------------------------------------


def _infer_argsort(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    declared = tensor_of("argsort", operands, NUMBER)
    if not declared.rank:
        raise InternalError("argsort of a scalar")
    return (declared.with_dtype(I64),)


argsort = op(
    "argsort",
    doc="The stable permutation that sorts each row along the last axis, nan last.",
    kind="order",
    infer=_infer_argsort,
    impl=lambda x: np.argsort(x, axis=-1, kind="stable"),
    jvp=NON_DIFFERENTIABLE,
    cost=40,
    smoothness="jump",
    samples=(
        (("f64[5]",), {}),
        (("f64[3,4]",), {}),
        (("f64[2,3,2]",), {}),
        (("i64[9]",), {}),
        (("f64[0]",), {}),
        (("f64[2,0]",), {}),
        (("f64[1]",), {}),
    ),
)

# --- searching -------------------------------------------------------------------------------------------------------


def _infer_searchsorted(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    table = tensor_of("searchsorted", operands, NUMBER)
    wanted = tensor_of("searchsorted", operands[1:], NUMBER)
    if len(operands) != 2 or table.rank != 1 or table.dtype != wanted.dtype or attrs["side"] not in ("left", "right"):
        raise InternalError(f"searchsorted of {wanted} in {table}")
    return (wanted.with_dtype(I64),)


searchsorted = op(
    "searchsorted",
    doc="Where numbers would go into a sorted array: before what equals them, or behind it.",
    kind="order",
    infer=_infer_searchsorted,
    impl=lambda table, wanted, *, side: np.searchsorted(table, wanted, side=side),
    jvp=NON_DIFFERENTIABLE,
    cost=20,
    smoothness="jump",
    samples=(
        (((-2, 0, 0, 1, 3), "i64[6]"), {"side": "left"}),
        (((-2, 0, 0, 1, 3), "i64[2,3]"), {"side": "right"}),
        (((0, 1), "i64[]"), {"side": "right"}),
        (("f64[1]", "f64[4]"), {"side": "left"}),
        (("f64[0]", "f64[4]"), {"side": "left"}),
        (("f64[1]", "f64[0]"), {"side": "right"}),
    ),
)

# --- masks -----------------------------------------------------------------------------------------------------------


def _infer_nonzero(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    mask = tensor_of("nonzero", operands, (BOOL, I64))
    count = sizes("nonzero", operands[1:])
    if mask.rank != 1 or len(count) != 1:
        raise InternalError(f"nonzero of {mask} with {len(count)} counts")
    return (TensorType(I64, count),)


def _nonzero(mask: Any, count: Any) -> Any:
    found = np.flatnonzero(mask)
    if len(found) != count:
        raise InternalError(f"nonzero: {len(found)} elements are not zero, {count} were announced")
    return found.astype(np.int64)


nonzero = op(
    "nonzero",
    doc="The positions of the elements that are not zero, in order; the second operand is how many there are.",
    kind="order",
    infer=_infer_nonzero,
    impl=_nonzero,
    jvp=NON_DIFFERENTIABLE,
    cost=4,
    smoothness="jump",
    samples=((((0, 1, 1, 0, 5), 3), {}), (((0, 0), 0), {}), (((), 0), {}), (((1,), 1), {})),
)
