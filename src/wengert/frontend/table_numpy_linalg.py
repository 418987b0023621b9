"""Handlers of products: `dot`, `matmul`, `inner`, `outer`, `cross`, and of `trace`."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, as_array, promote, result
from wengert.frontend.broadcasting import assume, broadcast_shapes, spread, unify
from wengert.frontend.context import current
from wengert.frontend.elementwise import apply, write_out
from wengert.frontend.emit import builder, ensure, fail, product_of, to_dtype, value_of
from wengert.frontend.registry import PASS, handle, register


def product(x: Array, y: Array, what: str) -> Any:
    """The matrix product of vectors, matrices and stacks of matrices, by the rules of `np.matmul`.

    Args:
        x: rank 1 or more.
        y: rank 1 or more.
        what: begins the ValueError when the shapes do not go together.
    """
    if x.ndim > 2 or y.ndim > 2:
        return _stacked_product(x, y, what)
    dtype = promote(x, y)
    if not dtype.is_float:
        return _integer_product(x, y)
    length = unify(x.dims[-1], y.dims[0], what, [x.dims, y.dims])
    left = assume(to_dtype(x.value, dtype), (*x.dims[:-1], length))
    right = assume(to_dtype(y.value, dtype), (length, *y.dims[1:]))
    return result(builder().matmul(left, right))


def _stacked_product(x: Array, y: Array, what: str) -> Any:
    if x.ndim == 1:
        return product(x[None, :], y, what)[..., 0, :]
    if y.ndim == 1:
        return product(x, y[:, None], what)[..., 0]
    dtype = promote(x, y)
    if not dtype.is_float:
        terms = apply(np.multiply, x[..., :, :, None], y[..., None, :, :])
        return handle(np.any if terms.element.name == "bool" else np.sum, terms, axis=-2)
    length = unify(x.dims[-1], y.dims[-2], what, [x.dims, y.dims])
    if y.ndim == 2:
        rows = x.reshape((product_of(x.dims[:-1]), x.dims[-1]))
        return as_array(product(rows, y, what)).reshape((*x.dims[:-1], y.dims[-1]))
    lead = broadcast_shapes([x.dims[:-2], y.dims[:-2]])
    left = spread((to_dtype(x.value, dtype), x.dims, tuple(range(x.ndim))), (*lead, x.dims[-2], length))
    right = spread((to_dtype(y.value, dtype), y.dims, tuple(range(y.ndim))), (*lead, length, y.dims[-1]))
    return result(builder().matmul(left, right))


def _integer_product(x: Array, y: Array) -> Any:
    """Sums of products, exact for integers; of bools, whether any product is true."""
    if x.ndim == 2 and y.ndim == 2:
        terms = apply(np.multiply, x[:, :, None], y[None, :, :])
        return handle(np.any if terms.element.name == "bool" else np.sum, terms, axis=1)
    terms = apply(np.multiply, x, y if y.ndim == 1 else y.T)
    return handle(np.any if terms.element.name == "bool" else np.sum, terms, axis=-1)


@register(np.matmul)
def matmul(x1: Any, x2: Any, out: Any = None, **options: Any) -> Any:
    """`np.matmul`."""
    if not any_box(x1, x2):
        return PASS
    x, y = as_array(x1), as_array(x2)
    if not x.ndim or not y.ndim:
        fail(ValueError, "matmul: Input operand does not have enough dimensions (has 0, a core dimension needs at least 1)")
    found = product(x, y, "matmul: Input operand 1 has a mismatch in its core dimension 0 with the shapes")
    return found if out is None else write_out(out[0] if isinstance(out, tuple) else out, found, True, "np.matmul")


@register(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    """`np.dot`."""
    if not any_box(a, b, out):
        return PASS
    x, y = as_array(a), as_array(b)
    found = _dot(x, y, a, b)
    return found if out is None else write_out(out, found, True, "np.dot")


def _dot(x: Array, y: Array, a: Any, b: Any) -> Any:
    if not x.ndim or not y.ndim:
        return apply(np.multiply, a, b)
    if y.ndim > 2 or (x.ndim > 2 and y.ndim > 1):
        return handle(np.tensordot, x, y, (-1, max(-2, -y.ndim)))
    return product(x, y, "the shapes of dot are not aligned:")


@register(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    """`np.inner`."""
    if not any_box(a, b):
        return PASS
    x, y = as_array(a), as_array(b)
    if x.ndim and y.ndim and max(x.ndim, y.ndim) > 2:
        return handle(np.tensordot, x, y, (-1, -1))
    return apply(np.multiply, a, b) if not x.ndim or not y.ndim else product(x, y.T, "the shapes of inner are not aligned:")


@register(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    """`np.vdot`."""
    return dot(as_array(a).ravel(), as_array(b).ravel()) if any_box(a, b) else PASS


@register(np.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    """`np.outer`."""
    if not any_box(a, b):
        return PASS
    found = apply(np.multiply, as_array(a).ravel()[:, None], as_array(b).ravel()[None, :])
    return found if out is None else write_out(out, found, True, "np.outer")


@register(np.cross)
def cross(a: Any, b: Any, axisa: Any = -1, axisb: Any = -1, axisc: Any = -1, axis: Any = None) -> Any:
    """`np.cross` of vectors along an axis of two arrays, of length 3, or 2 (a third component of 0)."""
    if not any_box(a, b):
        return PASS
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    x, y = (handle(np.moveaxis, as_array(v), place, -1) for v, place in ((a, axisa), (b, axisb)))
    lengths = [_vector_length(v) for v in (x, y)]
    first, second = (
        [v[..., k] if k < length else handle(np.zeros_like, v[..., 0]) for k in range(3)]
        for v, length in zip((x, y), lengths, strict=True)
    )
    pairs = ((0, 1),) if lengths == [2, 2] else ((1, 2), (2, 0), (0, 1))
    products = [(apply(np.multiply, first[i], second[j]), apply(np.multiply, first[j], second[i])) for i, j in pairs]
    parts = [apply(np.subtract, *both) for both in products]
    if len(parts) == 1:
        return parts[0]
    spread = handle(np.stack, parts, axis=-1) if as_array(parts[0]).ndim else handle(np.array, parts)
    return handle(np.moveaxis, spread, -1, axisc)


def _vector_length(x: Array) -> int:
    """2 or 3, the size of the last axis; what is not known must be 3, which is checked when the program runs."""
    size, what = x.dims[-1], "incompatible dimensions for cross product\n(dimension must be 2 or 3)"
    if isinstance(size, int) and size not in (2, 3):
        fail(ValueError, what)
    settled = current().settle(size) if current().size_at_hand(size) in (2, 3) else None
    if settled is None:
        ensure(builder().eq(value_of(size), builder().const(3)), "ValueError", what)
    return 3 if settled is None else settled


