"""Reductions over static axes, and running sums. Elements that tie for a maximum share the derivative equally."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.errors import InternalError
from wengert.ir.builder import Builder
from wengert.ir.core import Value
from wengert.ir.op import LINEAR, NON_DIFFERENTIABLE, Infer, get_op, op
from wengert.ops.infer import ANY, NUMBER, Attrs, Operands, Regions, quiet, tensor_of
from wengert.types import I64, Affine, Type

Axes = tuple[int, ...]


def _kept(rank: int, axes: Axes) -> Axes:
    return tuple(a for a in range(rank) if a not in axes)


def _reduction(name: str) -> Infer:
    def infer(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
        declared = tensor_of(name, operands, NUMBER)
        axes = attrs["axes"]
        if list(axes) != sorted(set(axes)) or any(not 0 <= a < declared.rank for a in axes):
            raise InternalError(f"{name} of {declared}: bad axes {axes}")
        return (declared.with_dims(tuple(declared.dims[a] for a in _kept(declared.rank, axes))),)

    return infer


def _spread(b: Builder, reduced: Value, x: Value, axes: Axes) -> Value:
    """`reduced` repeated over `axes` to the shape of `x`."""
    return b.broadcast_to(reduced, x.dims, _kept(x.rank, axes))


_CASES: tuple[Any, ...] = (
    (("f64[4]",), {"axes": (0,)}),
    (("f64[2,3]",), {"axes": (0, 1)}),
    (("f64[2,3]",), {"axes": (0,)}),
    (("f64[2,3]",), {"axes": (1,)}),
    (("f64[2,3,2]",), {"axes": (0, 2)}),
    (("f64[2,3]",), {"axes": ()}),
    (("f64[1]",), {"axes": (0,)}),
    (("f64[0,3]",), {"axes": (1,)}),
    (("i64[5]",), {"axes": (0,)}),
)
_EMPTY: tuple[Any, ...] = ((("f64[0]",), {"axes": (0,)}), (("f64[0,3]",), {"axes": (0,)}))

# --- sum -------------------------------------------------------------------------------------------------------------

sum_op = op(
    "sum",
    doc="Sum over axes.",
    kind="reduce",
    infer=_reduction("sum"),
    impl=quiet(lambda x, *, axes: np.sum(x, axis=axes)),
    jvp=LINEAR,
    linear=(0,),
    transpose=(lambda b, ct, x, *, axes: _spread(b, ct, x, axes),),
    cost=1,
    samples=_CASES + _EMPTY,
)

# --- extremes --------------------------------------------------------------------------------------------------------


def _extreme_jvp(b: Builder, out: Value, x: Value, d: Value, *, axes: Axes) -> Value:
    """The mean of the tangents of the elements that equal the result."""
    hit = b.attains(x, _spread(b, out, x, axes))
    count = b.sum(b.convert(hit, dtype=x.tensor.dtype), axes=axes)
    share = b.div(1.0, count)
    return b.mul(b.sum(b.select(hit, d, 0.0), axes=axes), share)


max_op = op(
    "max",
    doc="The largest element over axes, nan if there is one; ties share the derivative.",
    kind="reduce",
    infer=_reduction("max"),
    impl=quiet(lambda x, *, axes: np.max(x, axis=axes)),
    jvp=(_extreme_jvp,),
    cost=1,
    smoothness="kink",
    samples=_CASES,
)

min_op = op(
    "min",
    doc="The smallest element over axes, nan if there is one; ties share the derivative.",
    kind="reduce",
    infer=_reduction("min"),
    impl=quiet(lambda x, *, axes: np.min(x, axis=axes)),
    jvp=(_extreme_jvp,),
    cost=1,
    smoothness="kink",
    samples=_CASES,
)

# --- product ---------------------------------------------------------------------------------------------------------


def _prod_jvp(b: Builder, out: Value, x: Value, d: Value, *, axes: Axes) -> Value:
    """Each tangent times the product of all other elements, without dividing: right for zeros, at all orders."""
    kept = _kept(x.rank, axes)
    count: Value = b.const(1)
    for axis in axes:
        count = b.mul(count, b.dim(x.dims[axis]))
    rest = [x.dims[a] for a in kept]

    def rows(value: Value) -> Value:
        return b.reshape(b.transpose(value, perm=(*axes, *kept)), count, *[b.dim(r) for r in rest])

    elements = rows(x)
    others = b.mul(_products_before(b, elements, False), _products_before(b, elements, True))
    return b.sum(b.mul(rows(d), others), axes=(0,))


def _products_before(b: Builder, x: Value, reverse: bool) -> Value:
    """For each row of `x` the product of the rows before it (or behind it, in `reverse`)."""
    count: Affine = x.dims[0]
    spec = ("i", *[":"] * (x.rank - 1))
    last = b.sub(b.dim(count), b.const(1))
    running = b.full(x.dims[1:], 1.0, x.tensor.dtype)
    table = b.full(x.dims, 0.0, x.tensor.dtype)

    def body(inner: Builder, i: Value, product: Value, filled: Value) -> list[Value]:
        row = inner.sub(last, i) if reverse else i
        filled = inner.update(filled, product, row, spec=spec)
        return [inner.mul(product, inner.index(x, row, spec=spec)), filled]

    region = b.region([last.type, running.type, table.type], body)
    return b.emit(get_op("for"), (b.dim(count), running, table), {}, (region,))[1]


prod = op(
    "prod",
    doc="Product over axes.",
    kind="reduce",
    infer=_reduction("prod"),
    impl=quiet(lambda x, *, axes: np.prod(x, axis=axes)),
    jvp=(_prod_jvp,),
    cost=1,
    samples=_CASES + _EMPTY,
)

# --- positions -------------------------------------------------------------------------------------------------------


def _axis_of(name: str, attrs: Attrs, rank: int) -> int:
    axis = attrs["axis"]
    if not isinstance(axis, int) or not 0 <= axis < rank:
        raise InternalError(f"{name}: axis {axis} of {rank} axes")
    return axis


def _position(name: str, impl: Callable[..., Any], doc: str) -> None:
    def infer(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
        declared = tensor_of(name, operands, ANY)
        axis = _axis_of(name, attrs, declared.rank)
        return (declared.with_dims(declared.dims[:axis] + declared.dims[axis + 1 :]).with_dtype(I64),)

    op(
        name,
        doc=doc,
        kind="reduce",
        infer=infer,
        impl=lambda x, *, axis: impl(x, axis=axis),
        jvp=NON_DIFFERENTIABLE,
        cost=1,
        smoothness="jump",
        samples=((("f64[4]",), {"axis": 0}), (("f64[2,3]",), {"axis": 0}), (("i64[2,3]",), {"axis": 1})),
    )


_position("argmax", np.argmax, "Position of the first largest element along an axis.")
_position("argmin", np.argmin, "Position of the first smallest element along an axis.")

# --- running sums ----------------------------------------------------------------------------------------------------


def _infer_cumsum(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    declared = tensor_of("cumsum", operands, NUMBER)
    _axis_of("cumsum", attrs, declared.rank)
    return (declared,)


def _cumsum(x: Any, *, axis: int, reverse: bool) -> Any:
    return np.flip(np.cumsum(np.flip(x, axis), axis=axis), axis) if reverse else np.cumsum(x, axis=axis)


cumsum = op(
    "cumsum",
    doc="Running sums along an axis, from its end if `reverse`.",
    kind="reduce",
    infer=_infer_cumsum,
    impl=quiet(_cumsum),
    jvp=LINEAR,
    linear=(0,),
    transpose=(lambda b, ct, x, *, axis, reverse: b.cumsum(ct, axis=axis, reverse=not reverse),),
    cost=1,
    samples=(
        (("f64[4]",), {"axis": 0, "reverse": False}),
        (("f64[4]",), {"axis": 0, "reverse": True}),
        (("f64[2,3]",), {"axis": 1, "reverse": False}),
        (("f64[2,3]",), {"axis": 0, "reverse": True}),
        (("f64[0]",), {"axis": 0, "reverse": False}),
        (("i64[3]",), {"axis": 0, "reverse": False}),
    ),
)
