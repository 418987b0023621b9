"""Handlers of products and norms: `dot`, `matmul`, `inner`, `outer`, `trace`, `linalg.norm`, ..."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, as_array, promote, result
from wengert.frontend.broadcasting import assume, unify
from wengert.frontend.elementwise import apply, write_out
from wengert.frontend.emit import builder, fail, to_dtype, unsupported
from wengert.frontend.registry import PASS, handle, register
from wengert.frontend.shapes import axes_from
from wengert.frontend.table_numpy_reduce import safe_root
from wengert.types import F64


def product(x: Array, y: Array, what: str) -> Any:
    """The matrix product of vectors and matrices.

    Args:
        x: rank 1 or 2.
        y: rank 1 or 2.
        what: begins the ValueError when the shapes do not go together.
    """
    if x.ndim > 2 or y.ndim > 2:
        unsupported("products of stacks of matrices are not supported yet", "loop over the leading axis", StagingError)
    dtype = promote(x, y)
    if dtype != F64:
        return _integer_product(x, y)
    length = unify(x.dims[-1], y.dims[0], what, [x.dims, y.dims])
    left = assume(to_dtype(x.value, F64), (*x.dims[:-1], length))
    right = assume(to_dtype(y.value, F64), (length, *y.dims[1:]))
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
    found = apply(np.multiply, a, b) if not x.ndim or not y.ndim else product(x, y, "the shapes of dot are not aligned:")
    return found if out is None else write_out(out, found, True, "np.dot")


@register(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    """`np.inner`."""
    if not any_box(a, b):
        return PASS
    x, y = as_array(a), as_array(b)
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


@register(np.trace)
def trace(a: Any, offset: Any = 0, **options: Any) -> Any:
    """`np.trace` of a matrix."""
    if not any_box(a):
        return PASS
    if as_array(a).ndim != 2:
        unsupported("np.trace takes a matrix here", error=StagingError)
    return handle(np.sum, handle(np.diagonal, a, offset, **options))


@register(np.cross)
def cross(a: Any, b: Any, **options: Any) -> Any:
    """`np.cross` of two vectors of length 3."""
    if not any_box(a, b):
        return PASS
    x, y = as_array(a), as_array(b)
    if options or x.dims != (3,) or y.dims != (3,):
        unsupported("np.cross is supported for two vectors of length 3", "write out the components", StagingError)
    parts = [x[i] * y[j] - x[j] * y[i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return handle(np.array, parts)


@register(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """`np.linalg.norm` of vectors and the Frobenius norm; the derivative of the 2-norm at 0 is 0."""
    if not any_box(x):
        return PASS
    a = as_array(x)
    axes = axes_from(axis, a.ndim)
    if ord is None or (ord == "fro" and len(axes) == 2) or (ord == 2 and len(axes) == 1):
        return safe_root(handle(np.sum, apply(np.multiply, a, a), axis=axes, keepdims=keepdims))
    if len(axes) != 1:
        unsupported(f"matrix norms of order {ord!r} are not supported yet", "use the Frobenius norm", StagingError)
    size = apply(np.absolute, a)
    if ord in (np.inf, -np.inf):
        return handle(np.max if ord > 0 else np.min, size, axis=axes, keepdims=keepdims)
    if ord == 1:
        return handle(np.sum, size, axis=axes, keepdims=keepdims)
    if not isinstance(ord, int | float) or ord == 0:
        unsupported(f"vector norms of order {ord!r} are not supported yet", "write the sum out", StagingError)
    powers = handle(np.sum, apply(np.power, size, ord), axis=axes, keepdims=keepdims)
    return apply(np.power, powers, 1.0 / ord)
