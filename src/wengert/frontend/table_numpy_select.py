"""Handlers of NumPy functions that choose elements: by masks, by positions, by a table of choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.advanced import mask_positions, positions, setitem
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, as_array, is_box, is_number, lift, promote, result
from wengert.frontend.broadcasting import INDICES, broadcast_into, broadcast_operands, broadcast_shapes
from wengert.frontend.elementwise import apply, astype, select, write_out
from wengert.frontend.emit import builder, ensure, fail, product_of, to_dtype, unsupported
from wengert.frontend.registry import OPERATORS, PASS, handle, register
from wengert.frontend.shapes import axis_number
from wengert.frontend.table_numpy_order import axis_last, back, gather_last, scatter_last
from wengert.types import BOOL, I64

# --- positions of what is not zero -----------------------------------------------------------------------------------


@register(np.flatnonzero)
def flatnonzero(a: Any) -> Any:
    """`np.flatnonzero`."""
    return Array(mask_positions(to_dtype(as_array(a).value, BOOL))) if any_box(a) else PASS


@register(np.nonzero)
def nonzero(a: Any) -> Any:
    """`np.nonzero`: one array of positions per axis."""
    if not any_box(a):
        return PASS
    x = as_array(a)
    if not x.ndim:
        fail(ValueError, "Calling nonzero on 0d arrays is not allowed. Use np.atleast_1d(scalar).nonzero() instead.")
    return tuple(_unravelled(Array(mask_positions(to_dtype(x.value, BOOL))), x.shape))


def _unravelled(flat: Any, shape: Sequence[Any]) -> list[Any]:
    """The coordinates of row-major positions."""
    found: list[Any] = []
    for size in reversed(shape[1:]):
        found.append(apply(np.remainder, flat, size))
        flat = apply(np.floor_divide, flat, size)
    return [flat, *reversed(found)]


@register(np.argwhere)
def argwhere(a: Any) -> Any:
    """`np.argwhere`."""
    return handle(np.stack, list(nonzero(a)), axis=1) if any_box(a) else PASS


@register(np.unravel_index)
def unravel_index(indices: Any, shape: Any, order: str = "C") -> Any:
    """`np.unravel_index` in row-major order."""
    if not any_box(indices, shape):
        return PASS
    sizes = shape if isinstance(shape, tuple | list) else (shape,)
    if order != "C":
        unsupported("np.unravel_index(order='F') is not supported", error=StagingError)
    x = as_array(indices)
    checked = Array(positions(x.value, product_of([lift(s).affine for s in sizes])))
    parts = _unravelled(checked if x.ndim else result(checked.value), sizes)
    return tuple(parts)


@register(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Any, mode: str = "raise", order: str = "C") -> Any:
    """`np.ravel_multi_index` in row-major order."""
    if not any_box(multi_index, dims):
        return PASS
    if order != "C" or mode != "raise":
        unsupported("np.ravel_multi_index is supported with its default mode and order", error=StagingError)
    total: Any = 0
    for index, size in zip(multi_index, dims, strict=True):
        inside = handle(np.all, apply(np.logical_and, apply(np.greater_equal, index, 0), apply(np.less, index, size)))
        ensure(lift(inside), "ValueError", "invalid entry in coordinates array")
        total = apply(np.add, apply(np.multiply, total, size), index)
    return total


# --- by masks --------------------------------------------------------------------------------------------------------


@register(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    """`np.extract`."""
    if not any_box(condition, arr):
        return PASS
    flat = Array(mask_positions(to_dtype(as_array(condition).ravel().value, BOOL)))
    return as_array(arr).ravel()[flat]


@register(np.compress)
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    """`np.compress`."""
    if not any_box(condition, a):
        return PASS
    x, perm = axis_last(a, axis)
    chosen = Array(mask_positions(to_dtype(as_array(condition).value, BOOL)))
    found = x[(..., chosen)]
    found = found if len(perm) == 1 else back(found.value, perm)
    return found if out is None else write_out(out, found, True, "np.compress")


@register(np.place)
def place(arr: Any, mask: Any, vals: Any) -> Any:
    """`np.place`: values in turn where the mask holds."""
    if not is_box(arr):
        return PASS
    flat = Array(mask_positions(to_dtype(as_array(mask).value, BOOL)))
    source = as_array(vals).ravel()
    turn = handle(np.arange, flat.shape[0])
    OPERATORS["flat"](arr)[flat] = source[apply(np.remainder, turn, source.shape[0])]
    return None


@register(np.putmask)
def putmask(a: Any, mask: Any, values: Any) -> Any:
    """`np.putmask`: where the mask holds, the value at the same place (repeated as needed)."""
    if not is_box(a):
        return PASS
    source = as_array(astype(as_array(values), a.dtype)).ravel()
    turn = apply(np.remainder, handle(np.arange, a.size), source.shape[0])
    new = source[turn].reshape(a.shape)
    setitem(a, Ellipsis, select(as_array(mask).reshape(a.shape), new, a))
    return None


@register(np.select)
def choose_first(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """`np.select`: the choice of the first condition that holds."""
    if not any_box(condlist, choicelist, default):
        return PASS
    if len(condlist) != len(choicelist):
        fail(ValueError, "list of cases must be same length as list of conditions")
    dtype = promote(*choicelist, default)
    found: Any = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        found = select(condition, choice, found)
    return as_array(result(to_dtype(lift(found), dtype)))


@register(np.choose)
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    """`np.choose`: at each place the element of the array with that number."""
    if not any_box(a, choices):
        return PASS
    options = [choices[k] for k in range(len(choices))]
    number = lift(a)
    if mode == "raise":
        number = positions(number, len(options))
        _refuse_negative(a)
    else:
        index = result(number)
        last = len(options) - 1
        index = apply(np.remainder, index, len(options)) if mode == "wrap" else handle(np.clip, index, 0, last)
        number = lift(index)
    found: Any = options[-1]
    for k in reversed(range(len(options) - 1)):
        found = select(apply(np.equal, result(number), k), options[k], found)
    return found if out is None else write_out(out, found, True, "np.choose")


def _refuse_negative(a: Any) -> None:
    ensure(lift(handle(np.all, apply(np.greater_equal, a, 0))), "ValueError", "invalid entry in choice array")


# --- by positions ----------------------------------------------------------------------------------------------------


def _indexed(indices: Any, size: Any, mode: str) -> Array:
    """Positions as an array, out of range ones treated as `mode` says."""
    index = as_array(indices if is_box(indices) else np.asarray(indices).astype(np.int64, copy=False))
    if index.element != I64:
        fail(TypeError, f"Cannot cast array data from {index.dtype} to int64 according to the rule 'safe'")
    if mode == "clip":
        return as_array(handle(np.clip, index, 0, size - 1))
    if mode == "wrap":
        return as_array(apply(np.remainder, index, size))
    return index


@register(np.take)
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    """`np.take` along any axis."""
    if not any_box(a, indices):
        return PASS
    x = as_array(a)
    x = x.ravel() if axis is None else x
    number = axis_number(0 if axis is None else axis, x.ndim)
    index = _indexed(indices, x.shape[number], mode)
    found = x[(*(slice(None),) * number, index if index.ndim else result(index.value))]
    return found if out is None else write_out(out, found, True, "np.take")


@register(np.put)
def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> Any:
    """`np.put`: values in turn at row-major positions."""
    if not is_box(a):
        return PASS
    index = _indexed(ind, a.size, mode).ravel()
    source = as_array(v).ravel()
    turn = apply(np.remainder, handle(np.arange, index.shape[0]), source.shape[0])
    OPERATORS["flat"](a)[index] = source[turn]
    return None


@register(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    """`np.take_along_axis`."""
    if not any_box(arr, indices):
        return PASS
    x, perm = axis_last(arr, axis)
    _check_places(arr, indices, axis)
    index, _ = axis_last(indices, axis)
    values, where = _together(x, index)
    return back(gather_last(values, where), perm)


@register(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> Any:
    """`np.put_along_axis`."""
    if not is_box(arr):
        return PASS
    if axis is None and not arr.is_contiguous:
        fail(ValueError, "assignment destination is read-only")  # NumPy's flat copy of it is
    x, perm = axis_last(arr if axis is not None else OPERATORS["flat"](arr).array, axis)
    _check_places(arr, indices, axis)
    index, _ = axis_last(indices, axis)
    whole, where = _together(x, index)
    spread = Array(broadcast_into(values, as_array(indices).dims, lambda v: to_dtype(v, arr.element)))
    rows = spread.ravel() if axis is None else spread.permuted(perm)
    rows_value = broadcast_into(rows, where.dims, lambda v: v)
    x.write(scatter_last(whole, where, rows_value, distinct=False))
    return None


def _check_places(arr: Any, indices: Any, axis: Any) -> None:
    """Raise what NumPy does where the arrays cannot lie along each other."""
    if as_array(indices).element != I64:
        fail(IndexError, "`indices` must be an integer array")
    rank = as_array(indices).ndim
    if axis is None and rank != 1:
        fail(ValueError, "when axis=None, `indices` must have a single dimension.")
    if axis is not None and rank != as_array(arr).ndim:
        fail(ValueError, "`indices` and `arr` must have the same number of dimensions")


def _together(x: Array, index: Array) -> tuple[Any, Any]:
    """Both with the same leading axes, the positions checked."""
    checked = positions(index.value, x.dims[-1], x.ndim - 1)
    leading = broadcast_shapes([x.dims[:-1], index.dims[:-1]], INDICES, IndexError)
    return (
        broadcast_into(x, (*leading, x.dims[-1]), lambda v: v),
        broadcast_into(Array(checked), (*leading, index.dims[-1]), lambda v: v),
    )


@register(np.ix_)
def ix_(*args: Any) -> Any:
    """`np.ix_`: each array along an axis of its own."""
    if not any_box(args):
        return PASS
    found = []
    for k, each in enumerate(args):
        x = as_array(each)
        if x.ndim != 1:
            fail(ValueError, "Cross index must be 1 dimensional")
        x = flatnonzero(x) if x.element == BOOL else x
        found.append(x.reshape((*(1,) * k, -1, *(1,) * (len(args) - k - 1))))
    return tuple(found)


# --- membership ------------------------------------------------------------------------------------------------------


@register(np.isin)
def isin(element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None) -> Any:
    """`np.isin`: every element against all of the others."""
    if not any_box(element, test_elements):
        return PASS
    x, table = as_array(element), as_array(test_elements).ravel()
    near, row = broadcast_operands([x.reshape((*x.shape, 1)), table])
    b = builder()
    dtype = promote(x, table)
    hits = b.eq(to_dtype(near, dtype), to_dtype(row, dtype))
    found = handle(np.any, Array(hits), axis=-1)
    return apply(np.logical_not, found) if invert else found


# --- diagonals -------------------------------------------------------------------------------------------------------


@register(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> Any:
    """`np.fill_diagonal` of a matrix."""
    if not is_box(a):
        return PASS
    if a.ndim != 2 or wrap:
        unsupported("np.fill_diagonal takes a matrix, without wrap", error=StagingError)
    k = handle(np.arange, apply(np.minimum, *a.shape) if is_box(a.shape[0]) or is_box(a.shape[1]) else min(a.shape))
    a[k, k] = val if is_number(val) else as_array(val).ravel()[: k.shape[0]]
    return None
