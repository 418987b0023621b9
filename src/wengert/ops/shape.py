"""Ops that move numbers without computing: all linear. `samples` are cases `(operands, attributes)`, see `testing`."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.errors import InternalError
from wengert.ir.builder import Builder
from wengert.ir.core import Value
from wengert.ir.op import LINEAR, NON_DIFFERENTIABLE, op
from wengert.ops.infer import Attrs, Operands, Regions, sizes, tensor_of
from wengert.types import I64, Affine, StackType, TensorType, Type


def static_size(dims: tuple[Affine, ...]) -> int | None:
    """Number of elements, if all dimensions are known."""
    total = 1
    for d in dims:
        if not isinstance(d, int):
            return None
        total *= d
    return total


# --- broadcast -------------------------------------------------------------------------------------------------------


def _infer_broadcast(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    declared = tensor_of("broadcast", operands)
    dims = sizes("broadcast", operands[1:])
    axes = attrs["axes"]
    if not axes and not declared.dims:
        return (TensorType(declared.dtype, dims),)
    if list(axes) != sorted(set(axes)) or len(axes) != declared.rank or any(not 0 <= a < len(dims) for a in axes):
        raise InternalError(f"broadcast of {declared} to {len(dims)} axes: bad axes {axes}")
    if any(dims[axis] != d for axis, d in zip(axes, declared.dims, strict=True)):
        raise InternalError(f"broadcast of {declared} on axes {axes} of {TensorType(declared.dtype, dims)}")
    return (TensorType(declared.dtype, dims),)


def _broadcast(x: Any, *shape: Any, axes: tuple[int, ...]) -> Any:
    target = tuple(int(n) for n in shape)
    x = np.asarray(x)
    kept = [1] * len(target)
    for axis, size in zip(axes, x.shape, strict=True):
        kept[axis] = size
    return np.broadcast_to(x.reshape(kept), target)[()]


def _broadcast_transpose(b: Builder, ct: Value, x: Value, *shape: Value, axes: tuple[int, ...]) -> Value:
    repeated = tuple(a for a in range(len(shape)) if a not in axes)
    return b.sum(ct, axes=repeated) if repeated else ct


broadcast = op(
    "broadcast",
    doc="The operand's axes placed on `axes` of a larger array, repeated along the others.",
    kind="shape",
    infer=_infer_broadcast,
    impl=_broadcast,
    jvp=LINEAR,
    linear=(0,),
    transpose=(_broadcast_transpose,),
    cost=0,
    samples=(
        (("f64[]", 3), {"axes": ()}),
        (("f64[3]", 2, 3), {"axes": (1,)}),
        (("f64[3]", 3, 2), {"axes": (0,)}),
        (("f64[2,3]", 2, 3), {"axes": (0, 1)}),
        (("f64[3]", 0, 3), {"axes": (1,)}),
        (("f64[]",), {"axes": ()}),
        (("i64[2]", 2, 4), {"axes": (0,)}),
        (("bool[]", 2), {"axes": ()}),
    ),
)

# --- permuting and reshaping -----------------------------------------------------------------------------------------


def _infer_transpose(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    declared = tensor_of("transpose", operands)
    perm = attrs["perm"]
    if sorted(perm) != list(range(declared.rank)):
        raise InternalError(f"transpose of {declared}: bad permutation {perm}")
    return (declared.with_dims(tuple(declared.dims[p] for p in perm)),)


def inverse(perm: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that undoes `perm`."""
    return tuple(sorted(range(len(perm)), key=perm.__getitem__))


transpose = op(
    "transpose",
    doc="The array with its axes permuted: result axis k is operand axis perm[k].",
    kind="shape",
    infer=_infer_transpose,
    impl=lambda x, *, perm: np.transpose(x, perm)[()],
    jvp=LINEAR,
    linear=(0,),
    transpose=(lambda b, ct, x, *, perm: b.transpose(ct, perm=inverse(perm)),),
    cost=0,
    samples=(
        (("f64[2,3]",), {"perm": (1, 0)}),
        (("f64[2,3,4]",), {"perm": (1, 2, 0)}),
        (("f64[4]",), {"perm": (0,)}),
        (("f64[]",), {"perm": ()}),
        (("f64[0,3]",), {"perm": (1, 0)}),
    ),
)


def _infer_reshape(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    declared = tensor_of("reshape", operands)
    result = declared.with_dims(sizes("reshape", operands[1:]))
    before, after = static_size(declared.dims), static_size(result.dims)
    if before is not None and after is not None and before != after:
        raise InternalError(f"reshape of {declared} to {result} changes the number of elements")
    return (result,)


reshape = op(
    "reshape",
    doc="The same elements in row-major order with another shape.",
    kind="shape",
    infer=_infer_reshape,
    impl=lambda x, *shape: np.reshape(x, tuple(int(n) for n in shape))[()],
    jvp=LINEAR,
    linear=(0,),
    transpose=(lambda b, ct, x, *shape: b.reshape(ct, *[b.dim(d) for d in x.dims]),),
    cost=0,
    samples=(
        (("f64[2,3]", 6), {}),
        (("f64[6]", 3, 2), {}),
        (("f64[1]",), {}),
        (("f64[]", 1, 1), {}),
        (("f64[0,3]", 0), {}),
        (("i64[4]", 2, 2), {}),
    ),
)


def _infer_assume_shape(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    declared = tensor_of("assume_shape", operands)
    dims = sizes("assume_shape", operands[1:])
    if len(dims) != declared.rank:
        raise InternalError(f"assume_shape of {declared} takes {declared.rank} sizes, got {len(dims)}")
    # Sizes may turn out to differ behind a check that always fails, which is never passed.
    return (declared.with_dims(dims),)


assume_shape = op(
    "assume_shape",
    doc="The same array, its dimensions replaced in the type by others that have been checked to be equal.",
    kind="shape",
    infer=_infer_assume_shape,
    impl=lambda x, *shape: x,
    jvp=LINEAR,
    linear=(0,),
    transpose=(lambda b, ct, x, *shape: b.assume_shape(ct, *[b.dim(d) for d in x.dims]),),
    cost=0,
    samples=((("f64[3]", 3), {}), (("f64[2,0]", 2, 0), {}), (("i64[2,2]", 2, 2), {})),
)

# --- making arrays ---------------------------------------------------------------------------------------------------


def _infer_iota(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    dims = sizes("iota", operands)
    if len(dims) != 1:
        raise InternalError(f"iota takes one size, got {len(dims)}")
    return (TensorType(I64, dims),)


iota = op(
    "iota",
    doc="The whole numbers from 0 up to, not including, n.",
    kind="shape",
    infer=_infer_iota,
    impl=lambda n: np.arange(int(n), dtype=np.int64),
    jvp=NON_DIFFERENTIABLE,
    cost=0,
    smoothness="integer",
    samples=(((4,), {}), ((0,), {})),
)


def _infer_make_array(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    declared = tensor_of("make_array", operands)
    shape = tuple(attrs["shape"])
    if declared.rank or any(o.type != declared for o in operands):
        raise InternalError(f"make_array takes scalars of one dtype, got {[o.type for o in operands]}")
    if static_size(shape) != len(operands):
        raise InternalError(f"make_array of shape {shape} from {len(operands)} scalars")
    return (declared.with_dims(shape),)


def _make_array(*scalars: Any, shape: tuple[int, ...]) -> Any:
    return np.array(scalars).reshape(shape)


def _make_array_transpose(b: Builder, ct: Value, position: int, *operands: Value, shape: tuple[int, ...]) -> Value:
    place = [int(i) for i in np.unravel_index(position, shape)] if shape else []
    return b.index(ct, *[b.const(i) for i in place], spec=("i",) * len(place))


make_array = op(
    "make_array",
    doc="An array of static shape from scalars in row-major order.",
    kind="shape",
    infer=_infer_make_array,
    impl=_make_array,
    jvp=LINEAR,
    transpose=(_make_array_transpose,),
    cost=1,
    samples=(
        (("f64[]", "f64[]", "f64[]"), {"shape": (3,)}),
        (("f64[]",) * 6, {"shape": (2, 3)}),
        (("f64[]",), {"shape": (1,)}),
        (("i64[]", "i64[]"), {"shape": (2, 1)}),
    ),
    extra={"variadic": True},
)


def _undef(*, type: Type) -> Any:
    """Zeros: nobody reads them. Dimensions must have been made known by then."""
    if isinstance(type, StackType) or static_size(type.dims) is None:
        raise InternalError(f"undef of {type} has no value by itself")
    shape = tuple(d for d in type.dims if isinstance(d, int))
    return np.zeros(shape, type.dtype.numpy)[()]


undef = op(
    "undef",
    doc="A value that is never read: the filler for the arm of an `if` that is not taken.",
    kind="shape",
    infer=lambda operands, attrs, regions: (attrs["type"],),
    impl=_undef,
    jvp=NON_DIFFERENTIABLE,
    cost=0,
)
