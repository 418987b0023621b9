"""Reading and writing `x[key]` for every key of NumPy: basic ones make views, arrays of integers and masks gather and scatter.

An advanced key becomes one array of row numbers (`Rows`): the axes that are indexed come first and are merged into one, and the
index arrays into positions along it. `gather` reads these rows, `scatter` and `scatter_add` write them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib import NumpyVersion

from wengert.frontend.arrays import Array
from wengert.frontend.boxes import as_array, dtype_of, is_number, lift, result
from wengert.frontend.broadcasting import INDICES, assume, broadcast_into, broadcast_operands
from wengert.frontend.elementwise import select
from wengert.frontend.emit import (
    builder,
    ensure,
    fail,
    is_at_least,
    logical_and,
    logical_or,
    product_of,
    remember,
    to_dtype,
    value_of,
    values_of,
)
from wengert.frontend.indexing import slice_entry, view_of, wrap_position
from wengert.frontend.overlap import store_in_order
from wengert.frontend.registry import operator_rule
from wengert.frontend.scalars import Scalar
from wengert.frontend.views import Entry, Index, Whole, expand_step, invert
from wengert.ir.core import Value
from wengert.types import BOOL, I64, Affine

Dims = tuple[Affine, ...]
_NUMBERS_ONLY = NumpyVersion(np.__version__) >= "2.4.0"
"""Whether an element is given a number and no array of one element, as NumPy before took it with a warning."""


@operator_rule("getitem")
def getitem(x: Array, key: Any) -> Any:
    """`x[key]`: a number, a view, or for arrays in the key a copy."""
    if is_advanced(key):
        return rows_of(x, key).read()
    view = view_of(x, key)
    if view.dims or key is Ellipsis or (isinstance(key, tuple) and any(k is Ellipsis for k in key)):
        return view
    return result(view.value)


@operator_rule("setitem")
def setitem(x: Array, key: Any, new: Any) -> None:
    """`x[key] = new`."""
    dtype = x.element
    if is_advanced(key):
        mask = _only_mask(x, key)
        if mask is not None and is_number(new):
            # Of the dtype before it meets the others: a whole number above 2**53 is not a float.
            chosen = select(mask, result(to_dtype(lift(new), dtype)), x)
            x.write(broadcast_into(chosen, x.dims, lambda v: v))
            return
        rows = rows_of(x, key)
        rows.write(rows.fitted(new), "scatter", distinct=rows.distinct)
        return
    view = view_of(x, key)
    if view.is_same_view(new) or store_in_order(view, new):
        return
    if _NUMBERS_ONLY and not view.dims and not is_number(new) and _names_an_element(key, x) and as_array(new).ndim:
        fail(ValueError, "setting an array element with a sequence.")
    view.write(broadcast_into(new, view.dims, lambda v: to_dtype(v, dtype)))


def _names_an_element(key: Any, x: Array) -> bool:
    """Whether a key is one position per axis, and nothing else."""
    keys = key if isinstance(key, tuple) else (key,)
    return len(keys) == x.ndim and all(k is not None and k is not Ellipsis and not isinstance(k, slice) for k in keys)


# --- keys ------------------------------------------------------------------------------------------------------------


def is_advanced(key: Any) -> bool:
    """Whether a key holds an array of rank 1 or more, a list, or a bool."""
    return any(map(_is_array_key, key)) if isinstance(key, tuple) else _is_array_key(key)


def _is_array_key(key: Any) -> bool:
    if type(key) is int or type(key) is slice:
        return False
    if isinstance(key, Array):
        return bool(key.dims) or key.element == BOOL
    if isinstance(key, np.ndarray):
        return key.ndim > 0 or key.dtype == np.bool_
    return isinstance(key, (list, bool, np.bool_)) or (isinstance(key, Scalar) and dtype_of(key) == BOOL)


def as_arrays(key: Any) -> Any:
    """A basic key of integers (and slices) with the first integer as an array, so that it has rows."""
    keys = list(key) if isinstance(key, tuple) else [key]
    for k, part in enumerate(keys):
        if part is not None and part is not Ellipsis and not isinstance(part, slice):
            keys[k] = as_array(part).reshape((1,))
            return tuple(keys)
    fail(IndexError, "ufunc.at needs an index that names positions")


def _index_array(key: Any) -> Any:
    """An advanced key: an array of plain numbers, or a box; of dtype int64 or bool."""
    if isinstance(key, Scalar):
        return as_array(key)
    if isinstance(key, list):
        found = as_array(key) if not _is_plain(key) else np.asarray(key)
        key = found.astype(np.int64) if isinstance(found, np.ndarray) and found.size == 0 else found
    if isinstance(key, (bool, np.bool_)):
        return np.asarray(key)
    kind = key.dtype.kind
    if kind not in "iub":
        fail(IndexError, "arrays used as indices must be of integer (or boolean) type")
    if isinstance(key, np.ndarray) and kind != "b":
        return key.astype(np.int64, copy=False)
    return key


def _is_plain(items: Sequence[Any]) -> bool:
    return all(_is_plain(i) if isinstance(i, (list, tuple)) else isinstance(i, (int, np.generic, np.ndarray)) for i in items)


def _only_mask(x: Array, key: Any) -> Array | None:
    """The mask of a key that is nothing but a mask of the leading axes, shaped to go with `x`."""
    keys = key if isinstance(key, tuple) else (key,)
    if len(keys) != 1 or not _is_array_key(keys[0]):
        return None
    index = _index_array(keys[0])
    if index.dtype != np.bool_ or index.ndim > x.ndim:
        return None
    mask = as_array(index)
    mask = Array(_fitted(mask.value, x.dims[: mask.ndim], 0))
    return mask.through(expand_step(mask.dims, range(mask.ndim, x.ndim))) if mask.ndim < x.ndim else mask


def _fitted(mask: Value, axes: Dims, first: int) -> Value:
    """A mask with the sizes of the axes that it covers, which it must have; without elements it selects nothing of any size."""
    if mask.rank > len(axes):
        fail(IndexError, f"too many indices for array: the mask has {mask.rank} axes, {len(axes)} are left")
    is_empty = False
    for k, (have, want) in enumerate(zip(mask.dims, axes, strict=False)):
        if have == want:
            continue
        what = "boolean index did not match indexed array along axis {}; size of axis is {} but size of boolean axis is {}"
        if have == 0:
            is_empty = True
        elif isinstance(have, int) and isinstance(want, int):
            fail(IndexError, what.format(first + k, want, have))
        else:
            sizes, b = values_of((want, have)), builder()
            is_same = b.eq(*sizes)
            if not is_at_least(have, 1):
                message = f"axis {first + k} of a mask has size 0: this must be known while tracing"
                ensure(logical_or(is_same, b.ne(sizes[1], b.const(0))), "ValueError", message, sizes=True)
            ensure(is_same, "IndexError", what.format(first + k, "{}", "{}"), *sizes)
    dims = axes[: mask.rank]
    return builder().full(dims, False) if is_empty else assume(mask, dims)


# --- rows ------------------------------------------------------------------------------------------------------------


@dataclass
class Rows:
    """What an advanced key selects.

    Attributes:
        base: the array with the indexed axes first, a view of the user's array.
        merged: how many axes of `base` are indexed together.
        positions: `i64[m]` along the merged axes.
        shape: of the index arrays together; its product is m.
        place: where the axes of `shape` stand in the result.
        distinct: whether no position surely comes twice.
    """

    base: Array
    merged: int
    positions: Value
    shape: Dims
    place: int
    distinct: bool

    @property
    def rest(self) -> Dims:
        """The sizes of the axes that are not indexed."""
        return self.base.dims[self.merged :]

    @property
    def dims(self) -> Dims:
        """The shape of the result."""
        return (*self.rest[: self.place], *self.shape, *self.rest[self.place :])

    def order(self) -> tuple[int, ...]:
        """Which axes of (`shape`, `rest`) the axes of the result are."""
        count = len(self.shape)
        rest = list(range(count, count + len(self.rest)))
        return (*rest[: self.place], *range(count), *rest[self.place :])

    def merged_value(self) -> Value:
        """The contents with the indexed axes merged into the first."""
        value = self.base.value
        dims = (product_of(self.base.dims[: self.merged]), *self.rest)
        return value if self.merged == 1 else builder().reshape(value, *values_of(dims))

    def read(self) -> Any:
        """The selected elements, as a new array (or a number)."""
        found: Value = builder().gather(self.merged_value(), self.positions)
        if len(self.shape) != 1:
            found = builder().reshape(found, *values_of((*self.shape, *self.rest)))
        order = self.order()
        return result(found if order == tuple(range(found.rank)) else builder().transpose(found, perm=order))

    def fitted(self, new: Any) -> Value:
        """`new` as rows: broadcast to the shape of the result, the indexed axes first and merged."""
        dtype = self.base.element
        value = broadcast_into(new, self.dims, lambda v: to_dtype(v, dtype))
        order = self.order()
        if order != tuple(range(len(order))):
            value = builder().transpose(value, perm=invert(order))
        if len(self.shape) != 1:
            value = builder().reshape(value, *values_of((self.positions.dims[0], *self.rest)))
        return assume(value, (self.positions.dims[0], *self.rest))

    def write(self, rows: Value, name: str, **attrs: Any) -> None:
        """Store (or add) rows at the positions."""
        self.put(getattr(builder(), name)(self.merged_value(), self.positions, rows, **attrs))

    def put(self, whole: Value) -> None:
        """Replace the contents, given as `merged_value` gives them."""
        if self.merged != 1:
            whole = builder().reshape(whole, *values_of(self.base.dims))
        self.base.write(whole)


@dataclass(frozen=True)
class _Item:
    """Some axes that are indexed together by one array of positions (of rank 1 or more, or a number)."""

    axes: tuple[int, ...]
    index: Value
    is_mask: bool


def rows_of(x: Array, key: Any) -> Rows:
    """The rows of `x` that an advanced key selects."""
    parts = _complete(key if isinstance(key, tuple) else (key,), x)
    view, items, gap = _split(x, parts)
    axes = [axis for item in items for axis in item.axes]
    rest = [axis for axis in range(view.ndim) if axis not in axes]
    adjacent = not gap and axes == list(range(axes[0], axes[0] + len(axes)))
    base = view.permuted((*axes, *rest))
    indices = broadcast_operands([Array(item.index) for item in items], what=INDICES, error=IndexError)
    positions, size = indices[-1], product_of([view.dims[a] for a in items[-1].axes])
    for item, index in zip(items[-2::-1], indices[-2::-1], strict=True):
        b = builder()
        positions = b.add(positions, b.mul(index, b.full(index.dims, value_of(size))))
        size = product_of([size, *(view.dims[a] for a in item.axes)])
    shape = positions.dims
    if len(shape) != 1:
        positions = builder().reshape(positions, value_of(product_of(shape)))
    place = axes[0] if adjacent else 0
    return Rows(base, len(axes), positions, shape, place, len(items) == 1 and items[0].is_mask)


def _complete(keys: Sequence[Any], x: Array) -> list[Any]:
    """The keys with arrays in normal form; the ellipsis stands for full slices, and one is added at the end if missing."""
    parts = [_index_array(k) if _is_array_key(k) else k for k in keys]
    if sum(k is Ellipsis for k in parts) > 1:
        fail(IndexError, "an index can only have a single ellipsis ('...')")
    used = sum(_axes_of(k) for k in parts)
    if used > x.ndim:
        fail(IndexError, f"too many indices for array: array is {x.ndim}-dimensional, but {used} were indexed")
    full = [slice(None)] * (x.ndim - used)
    at = next((k for k, part in enumerate(parts) if part is Ellipsis), None)
    return [*parts, *full] if at is None else [*parts[:at], Ellipsis, *full, *parts[at + 1 :]]


def _axes_of(key: Any) -> int:
    """How many axes a key uses up."""
    if key is None or key is Ellipsis:
        return 0
    return key.ndim if isinstance(key, (np.ndarray, Array)) and key.dtype == np.bool_ else 1


def _split(x: Array, parts: Sequence[Any]) -> tuple[Array, list[_Item], bool]:
    """The view of the slices, what is indexed by arrays, and whether an ellipsis stands between two of these."""
    entries: list[Entry] = []
    new_axes: list[int] = []
    items: list[_Item] = []
    gap = ellipsis = False
    for part in parts:
        position, axis = len(entries) + len(new_axes), len(entries)
        if part is Ellipsis:
            ellipsis = bool(items)
        elif part is None:
            new_axes.append(position)
        elif isinstance(part, slice):
            entries.append(slice_entry(part, x.dims[axis]))
        else:
            gap = gap or ellipsis
            covered = _axes_of(part)
            entries += [Whole(d) for d in x.dims[axis : axis + covered]]
            if not covered:
                new_axes.append(position)
            items.append(_item(part, x.dims[axis : axis + covered], position, axis))
    view = x.through(Index(tuple(entries)))
    return view.through(expand_step(view.dims, new_axes)) if new_axes else view, items, gap


def _item(part: Any, dims: Dims, position: int, axis: int) -> _Item:
    axes = tuple(range(position, position + max(len(dims), 1)))
    if isinstance(part, (np.ndarray, Array)) and part.dtype == np.bool_:
        mask = as_array(part).value
        mask = _fitted(mask, dims, axis) if dims else builder().full((1,), mask)
        return _Item(axes, mask_positions(mask), True)
    if isinstance(part, np.ndarray) and part.ndim:
        return _Item(axes, _constant_positions(part, dims[0], axis), False)
    if isinstance(part, Array) and part.ndim:
        return _Item(axes, positions(part.value, dims[0], axis), False)
    return _Item(axes, value_of(wrap_position(part, dims[0], axis)), False)


# --- positions -------------------------------------------------------------------------------------------------------


def mask_positions(mask: Value) -> Value:
    """The row-major positions of the true elements of a mask, `i64[k]`; the same value for the same mask."""

    def count() -> Value:
        total: Value = builder().sum(builder().convert(mask, dtype=I64), axes=tuple(range(mask.rank)))
        return total

    def emit() -> Value:
        flat = mask if mask.rank == 1 else builder().reshape(mask, value_of(product_of(mask.dims)))
        found: Value = builder().nonzero(flat, remember("mask count", mask, count))
        return found

    return remember("mask positions", mask, emit)


def positions(index: Value, size: Affine, axis: int = 0) -> Value:
    """Integer positions with negative ones wrapped; any out of [-size, size) raises IndexError at run time."""
    return remember("positions", (index, size, axis), lambda: _checked(index, size, axis))


def _checked(index: Value, size: Affine, axis: int) -> Value:
    b = builder()
    limit, zero = b.full(index.dims, value_of(size)), b.full(index.dims, 0)
    wrapped: Value = b.select(b.lt(index, zero), b.add(index, limit), index)
    inside = b.convert(logical_and(b.ge(wrapped, zero), b.lt(wrapped, limit)), dtype=I64)
    found = b.eq(b.sum(inside, axes=tuple(range(index.rank))), value_of(product_of(index.dims)))
    what = f"an index of the integer array is out of bounds for axis {axis} with size {{}}"
    ensure(found, "IndexError", what, value_of(size))
    return wrapped


def _constant_positions(index: np.ndarray[Any, Any], size: Affine, axis: int) -> Value:
    """Known positions: wrapped and checked now where the size is known."""
    if not index.size:
        return lift(index)
    low, high = int(index.min()), int(index.max())
    if isinstance(size, int):
        if low < -size or high >= size:
            wrong = low if low < -size else high
            fail(IndexError, f"index {wrong} is out of bounds for axis {axis} with size {size}")
        return lift(np.where(index < 0, index + size, index) if low < 0 else index)
    if low >= 0 and is_at_least(size, high + 1):
        return lift(index)
    return positions(lift(index), size, axis)
