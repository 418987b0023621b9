"""Handlers of NumPy functions that take arrays apart, read diagonals, or go through all elements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.advanced import setitem
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, as_array, is_static_int, lift, result
from wengert.frontend.context import current
from wengert.frontend.elementwise import apply
from wengert.frontend.emit import builder, fail, is_at_least, unsupported, value_of
from wengert.frontend.memory_order import note
from wengert.frontend.registry import PASS, handle, operator_rule, register
from wengert.frontend.shapes import affine_of, axis_number, python_shape, static_int
from wengert.frontend.views import Diagonal, Reshape
from wengert.ir.core import Value
from wengert.types import Affine, dim_add

# --- pieces ----------------------------------------------------------------------------------------------------------


@register(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> Any:
    """`np.array_split`: views."""
    if not any_box(ary, indices_or_sections):
        return PASS
    x = as_array(ary)
    number = axis_number(axis, x.ndim)
    return _pieces(x, _cuts(x, indices_or_sections, number, False), number)


@register(np.split)
def split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> Any:
    """`np.split`: views, equal ones for a number of sections."""
    if not any_box(ary, indices_or_sections):
        return PASS
    x = as_array(ary)
    number = axis_number(axis, x.ndim)
    return _pieces(x, _cuts(x, indices_or_sections, number, True), number)


def _cuts(x: Array, sections: Any, axis: int, equal: bool) -> list[Any]:
    """Where the pieces begin and end, the start 0 left out."""
    size = x.shape[axis]
    if isinstance(sections, list | tuple | np.ndarray | Array):
        return [*(sections[k] for k in range(len(sections))), None]
    count = static_int(sections, "the number of sections")
    if count <= 0:
        fail(ValueError, "number sections must be larger than 0.")
    if equal:
        if is_static_int(size) and size % count:
            fail(ValueError, "array split does not result in an equal division")
        if not is_static_int(size):
            b = builder()
            whole = b.eq(b.mod(lift(size), b.const(count)), b.const(0))
            b.check(whole, exception="ValueError", message="array split does not result in an equal division")
        return [apply(np.floor_divide, size, count) * k for k in range(1, count)] + [None]
    if not is_static_int(size):
        size = static_int(size, "the size of an axis that is split")
    each, extra = divmod(int(size), count)
    return [each * k + min(k, extra) for k in range(1, count)] + [None]


def _pieces(x: Array, ends: list[Any], axis: int) -> list[Any]:
    before = (slice(None),) * axis
    starts = [0, *ends[:-1]]
    return [x[(*before, slice(start, end))] for start, end in zip(starts, ends, strict=True)]


def _split_along(function: Any, axis: int, least: int) -> None:
    def handler(ary: Any, indices_or_sections: Any) -> Any:
        if not any_box(ary, indices_or_sections):
            return PASS
        x = as_array(ary)
        if x.ndim < least:
            fail(ValueError, f"{function.__name__} only works on arrays of {least} or more dimensions")
        return split(x, indices_or_sections, 0 if function is np.hsplit and x.ndim == 1 else axis)

    register(function)(handler)


_split_along(np.hsplit, 1, 1)
_split_along(np.vsplit, 0, 2)
_split_along(np.dsplit, 2, 3)


# --- diagonals -------------------------------------------------------------------------------------------------------


@register(np.diagonal)
def diagonal(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Any:
    """`np.diagonal`: a view that must not be written to."""
    if not any_box(a, offset):
        return PASS
    x = as_array(a)
    if x.ndim < 2:
        fail(ValueError, "diag requires an array of at least two dimensions")
    first, second = axis_number(axis1, x.ndim), axis_number(axis2, x.ndim)
    if first == second:
        fail(ValueError, "axis1 and axis2 cannot be the same")
    found = diagonal_view(x, static_int(offset, "the offset of a diagonal"), first, second)
    found.frozen = "the result of np.diagonal"
    return found


def diagonal_view(x: Array, shift: int, first: int, second: int, size: Affine | None = None) -> Array:
    """A diagonal of two axes (of `size` elements where that is known) as a view, on a last axis of its own."""
    moved = x.permuted((*(k for k in range(x.ndim) if k not in (first, second)), first, second))
    down, right = max(-shift, 0), max(shift, 0)
    dims = moved.dims
    length = _length(dims[-2], dims[-1], down, right) if size is None else size
    return moved.through(Diagonal((*dims[:-2], length), dims, down, right))


def _length(rows: Affine, columns: Affine, down: int, right: int) -> Affine:
    rows, columns = dim_add(rows, -down), dim_add(columns, -right)
    if rows == columns:
        least = rows
    elif isinstance(rows, int) and isinstance(columns, int):
        least = min(rows, columns)
    elif is_at_least(dim_add(rows, columns, -1), 0):
        least = columns
    elif is_at_least(dim_add(columns, rows, -1), 0):
        least = rows
    else:
        smaller: Value = builder().minimum(value_of(rows), value_of(columns))
        least = smaller.affine
    if isinstance(least, int):
        return max(least, 0)
    if is_at_least(least, 0):
        return least
    positive: Value = builder().maximum(value_of(least), builder().const(0))
    return positive.affine


@register(np.diag)
def diag(v: Any, k: Any = 0) -> Any:
    """`np.diag`: the diagonal of a matrix, or the matrix with this diagonal."""
    if not any_box(v, k):
        return PASS
    x = as_array(v)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        fail(ValueError, "Input must be 1- or 2-d.")
    shift = static_int(k, "the offset of a diagonal")
    size = dim_add(x.dims[0], abs(shift))
    made = Array(builder().full((size, size), 0, x.element))
    place = Array(builder().iota(value_of(x.dims[0])))
    made[place + max(-shift, 0), place + max(shift, 0)] = x
    return made


@register(np.diagflat)
def diagflat(v: Any, k: Any = 0) -> Any:
    """`np.diagflat`."""
    return diag(as_array(v).ravel(), k) if any_box(v, k) else PASS


@register(np.trace)
def trace(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1, dtype: Any = None, out: Any = None) -> Any:
    """`np.trace`."""
    if not any_box(a):
        return PASS
    return handle(np.sum, diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype, out=out)


# --- all elements ----------------------------------------------------------------------------------------------------


class Flat:
    """What `x.flat` is: the elements in row-major order. Parts of it are copies; writing writes to `x`."""

    def __init__(self, x: Array) -> None:
        size = x.size
        self.array = x.through(Reshape((affine_of(size, "a size"),), x.dims)) if x.ndim != 1 else x

    def __getitem__(self, key: Any) -> Any:
        found = self.array[key]
        return Array(found.value) if isinstance(found, Array) else found

    def __setitem__(self, key: Any, new: Any) -> None:
        self.array[key] = new

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.array)

    def copy(self) -> Array:
        """The elements as a new array."""
        return Array(self.array.value)


@operator_rule("flat")
def flat(x: Array) -> Any:
    """`x.flat`."""
    return Flat(x)


@operator_rule("set_flat")
def set_flat(x: Array, new: Any) -> None:
    """`x.flat = new`: in turn, repeated as often as needed."""
    source = as_array(new).ravel()
    setitem(x, Ellipsis, source[apply(np.remainder, handle(np.arange, x.size), source.shape[0])].reshape(x.shape))


def _places(x: Array) -> Any:
    return np.ndindex(*[static_int(s, "a size of the array") for s in x.shape])


@register(np.ndindex)
def ndindex(*shape: Any) -> Any:
    """`np.ndindex`, of a shape that is known."""
    if not any_box(shape):
        return PASS
    sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
    return np.ndindex(*[static_int(s, "a size of np.ndindex") for s in sizes])


@register(np.ndenumerate)
def ndenumerate(arr: Any) -> Any:
    """`np.ndenumerate`, of an array of known shape."""
    if not any_box(arr):
        return PASS
    x = as_array(arr)
    return ((place, x[place] if place else result(x.value)) for place in _places(x))


@register(np.nditer)
def nditer(op: Any, flags: Any = None, op_flags: Any = None, **options: Any) -> Any:
    """`np.nditer` over one array: each element as an array of rank 0, which shares memory with it."""
    if not any_box(op):
        return PASS
    if not isinstance(op, Array) or flags or options or not op.is_contiguous:
        what = "np.nditer is supported for one contiguous array and without flags"
        unsupported(what, "loop over np.ndindex(x.shape)", StagingError)
    if not current().eager:
        note(op.root).always |= op.ndim > 1
    writable = bool(op_flags) and any("write" in str(flag) for flag in op_flags)
    views = (op[(*place, ...)] for place in _places(op))
    return views if writable else (Array(view.value) for view in views)


# --- traced counts ---------------------------------------------------------------------------------------------------


@register(np.fromiter)
def fromiter(iter: Any, dtype: Any, count: Any = -1, **options: Any) -> Any:
    """`np.fromiter` of an iterable that Python can go through."""
    items: list[Any] = []
    for item in iter:
        if len(items) == count:
            break
        items.append(item)
    if not any_box(items):
        return np.fromiter(items, dtype, count, **options)
    if len(items) < count:
        fail(ValueError, f"iterator too short: Expected {count} but iterator had only {len(items)} items.")
    return handle(np.array, items, dtype=dtype)


@register(np.broadcast_shapes)
def broadcast_shapes(*args: Any) -> Any:
    """`np.broadcast_shapes`."""
    if not any_box(args):
        return PASS
    sizes = [tuple(affine_of(s, "a size") for s in (a if isinstance(a, tuple | list) else (a,))) for a in args]
    models = [Array(builder().full(dims, 0.0)) for dims in sizes]
    total: Any = models[0]
    for model in models[1:]:
        total = as_array(apply(np.add, total, model))
    return python_shape(total.dims)
