"""Windows that slide along an axis, and the sum of windows that overlap: each is the transpose of the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.errors import InternalError
from wengert.ir.core import Value
from wengert.ir.op import LINEAR, op
from wengert.ops.infer import NUMBER, Attrs, Operands, Regions, sizes, tensor_of
from wengert.types import TensorType, Type, dim_add


def _windows_type(name: str, whole: TensorType, width: Value, attrs: Attrs) -> TensorType:
    """`whole` with `size - width + 1` starts along the axis, and an axis of `width` behind all others."""
    axis = attrs["axis"]
    if not 0 <= axis < whole.rank:
        raise InternalError(f"{name} of {whole}: bad axis {axis}")
    (count,) = sizes(name, (width,))
    starts = dim_add(dim_add(whole.dims[axis], count, -1), 1)
    if isinstance(starts, int) and starts < 0:
        raise InternalError(f"{name} of {whole}: a window of {count} is too long")
    return whole.with_dims((*whole.dims[:axis], starts, *whole.dims[axis + 1 :], count))


def _infer_windows(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    if len(operands) != 2:
        raise InternalError(f"windows takes an array and a width, got {[o.type for o in operands]}")
    return (_windows_type("windows", tensor_of("windows", operands), operands[1], attrs),)


def _windows(x: Any, width: Any, *, axis: int) -> Any:
    if x.shape[axis] + 1 == width:  # no window fits, which NumPy takes for an error
        return np.empty((*x.shape[:axis], 0, *x.shape[axis + 1 :], int(width)), x.dtype)
    return np.lib.stride_tricks.sliding_window_view(x, int(width), axis=axis)


windows = op(
    "windows",
    doc="All runs of `width` neighbours along an axis: result `[..., i, ..., k]` is operand `[..., i + k, ...]`.",
    kind="shape",
    infer=_infer_windows,
    impl=_windows,
    jvp=LINEAR,
    linear=(0,),
    accumulate=(lambda b, acc, ct, x, width, *, axis: b.add_windows(acc, ct, axis=axis),),
    cost=0,
    samples=(
        (("f64[5]", 3), {"axis": 0}),
        (("f64[3]", 1), {"axis": 0}),
        (("f64[3]", 3), {"axis": 0}),
        (("f64[3,4]", 2), {"axis": 0}),
        (("f64[3,4]", 3), {"axis": 1}),
        (("f64[2,3,2]", 2), {"axis": 1}),
        (("f64[2]", 3), {"axis": 0}),
        (("i64[4]", 2), {"axis": 0}),
        (("bool[4]", 3), {"axis": 0}),
    ),
)


def _infer_add_windows(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    if len(operands) != 2 or not isinstance(operands[1].type, TensorType) or operands[1].rank < 2:
        raise InternalError(f"add_windows takes an array and windows, got {[o.type for o in operands]}")
    whole, part = tensor_of("add_windows", operands, NUMBER), operands[1].tensor
    axis, width = attrs["axis"], part.dims[-1]
    overhang = dim_add(dim_add(dim_add(whole.dims[axis], width, -1), 1), part.dims[axis], -1)
    fits = not isinstance(overhang, int) or overhang == 0
    if not fits or part != whole.with_dims((*whole.dims[:axis], part.dims[axis], *whole.dims[axis + 1 :], width)):
        raise InternalError(f"add_windows along axis {axis} of {whole} cannot take {part}")
    return (whole,)


def _add_windows(x: Any, part: Any, *, axis: int) -> Any:
    new = np.array(x)
    starts = part.shape[axis]
    with np.errstate(all="ignore"):
        for k in range(part.shape[-1]):
            new[(*(slice(None),) * axis, slice(k, k + starts))] += part[..., k]
    return new


add_windows = op(
    "add_windows",
    doc="The array with windows added where they lie: part `[..., i, ..., k]` is added to `[..., i + k, ...]`.",
    kind="index",
    infer=_infer_add_windows,
    impl=_add_windows,
    jvp=LINEAR,
    linear=(0, 1),
    transpose=(
        lambda b, ct, x, part, *, axis: ct,
        lambda b, ct, x, part, *, axis: b.windows(ct, b.dim(part.dims[-1]), axis=axis),
    ),
    cost=1,
    samples=(
        (("f64[5]", "f64[3,3]"), {"axis": 0}),
        (("f64[3]", "f64[3,1]"), {"axis": 0}),
        (("f64[3,4]", "f64[2,4,2]"), {"axis": 0}),
        (("f64[3,4]", "f64[3,2,3]"), {"axis": 1}),
        (("f64[2]", "f64[0,3]"), {"axis": 0}),
        (("i64[4]", "i64[3,2]"), {"axis": 0}),
    ),
)
