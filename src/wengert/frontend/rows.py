"""What can be done with the items of a growing list: every function gives new `Rows`, or an item.

A list that grows by one in every round of a loop costs nothing but the new row: its arrays have room to spare (op `resize`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import box, is_number, lift, lift_as
from wengert.frontend.context import current
from wengert.frontend.emit import builder, common_dtype, difference, ensure, is_at_least, logical_and, to_dtype, value_of
from wengert.frontend.forms import CannotMergeError
from wengert.frontend.growing import ListResult, Rows, is_growing
from wengert.frontend.indexing import slice_entry, wrap_position
from wengert.frontend.staging_forms import (
    form_of,
    join,
    lower_item,
    make_rows,
    mutable_parts,
    pattern_of,
    put_row,
    raise_up,
    reduce_forms,
)
from wengert.frontend.staging_state import bear, freeze
from wengert.frontend.views import At, Part, Whole
from wengert.ir.core import Value
from wengert.tree import flatten
from wengert.types import Affine, dim_add

ITEM = "an item of a list whose length is known only at run time"


def rows_of(items: Any) -> Rows:
    """The rows of a growing list, or of a list of items of one form.

    Raises:
        StagingError: the items have no common form.
    """
    if is_growing(items):
        found: Rows = items[0]
        return found
    try:
        return make_rows(pattern_of(reduce_forms([form_of(item) for item in items])), items)
    except CannotMergeError as error:
        raise StagingError(f"the items of this list have no common form: {error}", current().span) from None


def size_of(rows: Rows) -> Any:
    """`len()`: an int or a traced one."""
    size = rows.size
    return size if isinstance(size, int) else box(value_of(size))


def copy_of(rows: Rows) -> list[Any]:
    """A new list with the same items."""
    made: list[Any] = bear(current(), [rows])
    return made


def is_filled(rows: Rows) -> bool | Value:
    """Whether there are any."""
    size = rows.size
    if isinstance(size, int) or is_at_least(size, 1):
        return size != 0
    found: Value = builder().gt(value_of(size), builder().const(0))
    return found


def can_be_rows(items: Any) -> bool:
    """Whether a list or tuple has items of one form."""
    if not len(items):
        return False
    try:
        pattern_of(reduce_forms([form_of(item) for item in items]))
    except CannotMergeError:
        return False
    return True


# --- reading ---------------------------------------------------------------------------------------------------------


def item_at(rows: Rows, position: Affine) -> Any:
    """The item at a position in [0, length); arrays and containers in it must not be written to."""
    at = value_of(position)
    values = [builder().index(s, at, spec=("i", *(":" * (s.rank - 1)))) for s in rows.stores]
    item = raise_up(rows.pattern.form, iter([(v, k) for k, v in enumerate(values)]), {})
    if isinstance(item, Array):
        item.frozen = ITEM
    elif mutable_parts(item):
        _freeze_item(item)
    return item


def _freeze_item(item: Any) -> None:
    freeze(current(), item, ITEM)
    for part in mutable_parts(item):
        for inner in part if isinstance(part, list) else getattr(part, "__dict__", {}).values():
            if isinstance(inner, Array):
                inner.frozen = ITEM


def read(rows: Rows, index: Any) -> Any:
    """`rows[index]` for an integer or a slice."""
    if isinstance(index, slice):
        entry = _slice(index, rows.size)
        if isinstance(entry, Whole):
            return copy_of(rows)
        b = builder()
        where = [value_of(entry.start), value_of(entry.size), b.const(entry.step)]
        stores = tuple(b.index(s, *where, spec=("s", *(":" * (s.rank - 1)))) for s in rows.stores)
        return copy_of(Rows(rows.pattern, where[1], stores))
    return item_at(rows, wrap_position(index, rows.size, 0))


def _slice(index: slice, size: Affine) -> Whole | Part:
    entry = slice_entry(index, size)
    assert not isinstance(entry, At)
    return entry


def as_array(rows: Rows) -> Array:
    """`np.array(list)`.

    Raises:
        StagingError: the items are neither numbers nor arrays nor lists or tuples of numbers.
    """
    form = rows.pattern.form
    if form.structure.kind == "leaf" and rows.stores:
        return Array(rows.stores[0])
    if form.structure.kind in ("list", "tuple") and all(leaf.kind == "scalar" for leaf in form.leaves):
        b = builder()
        dtypes = [s.tensor.dtype for s in rows.stores]
        dtype = common_dtype(*dtypes)
        whole = b.full((rows.size, len(dtypes)), 0, dtype)
        for k, store in enumerate(rows.stores):
            whole = b.update(whole, to_dtype(store, dtype), b.const(k), spec=(":", "i"))
        return Array(whole)
    raise StagingError("this list is not a list of numbers or arrays", current().span)


def numbers(rows: Rows, what: str) -> tuple[Value, bool]:
    """The numbers of a list of numbers, and whether they are NumPy's."""
    form = rows.pattern.form
    if form.structure.kind != "leaf" or form.leaves[0].kind != "scalar":
        raise StagingError(f"{what} of a list of other things than numbers, and of traced length, is not staged", current().span)
    return rows.stores[0], form.leaves[0].numpy


KNOWN_LENGTH = 1000


def as_results(out: Any) -> Any:
    """`out` with its growing lists as they can be handed out: lists of known length as they are, others as `ListResult`."""
    leaves, structure = flatten(out, is_leaf=is_growing)
    if not any(map(is_growing, leaves)):
        return out
    return structure.unflatten([_as_result(leaf) if is_growing(leaf) else leaf for leaf in leaves])


def _as_result(items: Any) -> Any:
    rows: Rows = items[0]
    if isinstance(rows.size, int) and rows.size <= KNOWN_LENGTH:
        return type(items)(item_at(rows, k) for k in range(rows.size))
    return ListResult(rows.pattern, type(items), size_of(rows), tuple(map(Array, rows.stores)))


def list_of(found: ListResult) -> Any:
    """The list that a result stands for, once its arrays are known."""
    form = found.pattern.form
    columns = [list(store) if np.ndim(store) > 1 else store.tolist() for store in found.stores]
    traced = [leaf for leaf in form.leaves if leaf.kind not in ("static", "unset")]
    for k, leaf in enumerate(traced):
        if leaf.numpy:
            columns[k] = list(found.stores[k])
        elif leaf.kind == "array":
            columns[k] = [row.copy() for row in columns[k]]
    items = []
    for position in range(int(found.length)):
        supply = iter(columns)
        values = [leaf.obj.obj if leaf.kind == "static" else next(supply)[position] for leaf in form.leaves]
        items.append(values[0] if form.structure.kind == "leaf" else form.structure.unflatten(values))
    return found.kind(items)


# --- changing --------------------------------------------------------------------------------------------------------


def fit_item(rows: Rows, item: Any) -> tuple[Rows, list[Value]]:
    """The rows, in a form that `item` has as well, and the values of `item`."""
    form = rows.pattern.form
    try:
        wide = reduce_forms([join(form, reduce_forms([form_of(item)]))])
    except CannotMergeError as error:
        raise StagingError(f"an item of another form is put into a list of traced length: {error}", current().span) from None
    if wide != form:
        rows = make_rows(pattern_of(wide), [rows])
    return rows, lower_item(rows.pattern, item)


def _resized(rows: Rows, size: Affine) -> Rows:
    b, length = builder(), value_of(size)
    return Rows(rows.pattern, length, tuple(b.resize(s, length) for s in rows.stores))


def append(rows: Rows, item: Any) -> Rows:
    """The rows and one more."""
    rows, values = fit_item(rows, item)
    position = value_of(rows.size)
    grown = _resized(rows, dim_add(rows.size, 1))
    return Rows(rows.pattern, grown.length, tuple(put_row(s, v, position) for s, v in zip(grown.stores, values, strict=True)))


def replace(rows: Rows, index: Any, item: Any) -> Rows:
    """The rows with one replaced."""
    rows, values = fit_item(rows, item)
    position = value_of(wrap_position(index, rows.size, 0))
    return Rows(rows.pattern, rows.length, tuple(put_row(s, v, position) for s, v in zip(rows.stores, values, strict=True)))


def part(rows: Rows, start: Affine, size: Affine) -> Rows:
    """`size` rows from `start` on; they exist."""
    b = builder()
    where = [value_of(start), value_of(size), b.const(1)]
    return Rows(rows.pattern, where[1], tuple(b.index(s, *where, spec=("s", *(":" * (s.rank - 1)))) for s in rows.stores))


def concatenate(first: Rows, second: Rows) -> Rows:
    """The rows of both."""
    form = join(first.pattern.form, second.pattern.form)
    first, second = (r if r.pattern.form == form else make_rows(pattern_of(form), [r]) for r in (first, second))
    b, start, count = builder(), value_of(first.size), value_of(second.size)
    grown = _resized(first, dim_add(first.size, second.size))
    stores = [
        b.update(s, t, start, count, b.const(1), spec=("s", *(":" * (s.rank - 1))))
        for s, t in zip(grown.stores, second.stores, strict=True)
    ]
    return Rows(grown.pattern, grown.length, tuple(stores))


def without(rows: Rows, start: Affine, size: Affine) -> Rows:
    """The rows without `size` of them, from `start` on."""
    end = dim_add(start, size)
    left = difference(rows.size, size)
    if end == rows.size:
        return _resized(rows, left)
    return concatenate(_resized(rows, start), part(rows, end, difference(rows.size, end)))


def take(rows: Rows, index: Any) -> tuple[Any, Rows]:
    """`pop(index)`: the item, and the rows without it."""
    if not is_at_least(rows.size, 1):
        if rows.size == 0:
            raise IndexError("pop from empty list")
        ensure(builder().gt(value_of(rows.size), builder().const(0)), "IndexError", "pop from empty list")
    if isinstance(index, int) and index == -1:
        position: Affine = dim_add(rows.size, -1)
    else:
        position = wrap_position(index, rows.size, 0)
    return item_at(rows, position), without(rows, position, 1)


def insert(rows: Rows, index: Any, item: Any) -> Rows:
    """The rows with another one before `index`."""
    rows, _ = fit_item(rows, item)
    entry = _slice(slice(index, None), rows.size)
    if isinstance(entry, Whole):
        return concatenate(rows_like(rows, [item]), rows)
    start: Affine = entry.start
    return concatenate(append(part(rows, 0, start), item), part(rows, start, difference(rows.size, start)))


def rows_like(rows: Rows, items: Sequence[Any]) -> Rows:
    """Items as rows of the pattern of others."""
    return make_rows(rows.pattern, list(items))


def splice(rows: Rows, index: slice, new: Rows | None) -> Rows:
    """The rows with a slice replaced by other rows, or left out."""
    entry = _slice(index, rows.size)
    start, size = (0, entry.size) if isinstance(entry, Whole) else (entry.start, entry.size)
    if not isinstance(entry, Whole) and entry.step != 1:
        raise StagingError("a slice with a step of a list of traced length cannot be replaced", current().span)
    if new is None:
        return without(rows, start, size)
    end = dim_add(start, size)
    return concatenate(concatenate(part(rows, 0, start), new), part(rows, end, difference(rows.size, end)))


# --- comparing -------------------------------------------------------------------------------------------------------


def contains(rows: Rows, item: Any) -> Any:
    """`item in list` for numbers."""
    if not is_number(item):
        return False
    store, _ = numbers(rows, "a search")
    b = builder()
    wanted = lift(item)
    dtype = common_dtype(wanted.tensor.dtype, store.tensor.dtype)
    same = b.eq(to_dtype(store, dtype), b.full(store.dims, to_dtype(wanted, dtype)))
    return box(b.gt(b.sum(_counted(same), axes=(0,)), b.const(0)))


def count(rows: Rows, item: Any) -> Any:
    """`list.count(item)` for numbers."""
    store, _ = numbers(rows, "a search")
    b = builder()
    same = b.eq(store, b.full(store.dims, lift_as(item, store.tensor.dtype)))
    return box(b.sum(_counted(same), axes=(0,)))


def _counted(mask: Value) -> Value:
    found: Value = builder().convert(mask, dtype=builder().const(0).tensor.dtype)
    return found


def equal(first: Rows, second: Rows) -> Any:
    """`a == b` for lists of numbers or arrays."""
    b = builder()
    form = join(first.pattern.form, second.pattern.form)
    first, second = (r if r.pattern.form == form else make_rows(pattern_of(form), [r]) for r in (first, second))
    found = b.eq(value_of(first.size), value_of(second.size))
    for x, y in zip(first.stores, _resized(second, first.size).stores, strict=True):
        differs = b.convert(b.ne(x, y), dtype=b.const(0).tensor.dtype)
        found = logical_and(found, b.eq(b.sum(differs, axes=tuple(range(x.rank))), b.const(0)))
    return box(found)


def fold(rows: Rows, op: str, what: str) -> Any:
    """`sum`, `min` or `max` of numbers."""
    store, numpy = numbers(rows, what)
    if op != "sum" and not is_at_least(rows.size, 1):
        found = builder().gt(value_of(rows.size), builder().const(0))
        ensure(found, "ValueError", f"{what} iterable argument is empty")
    return box(getattr(builder(), op)(store, axes=(0,)), numpy)


def known_items(rows: Rows) -> Iterator[Any] | None:
    """The items one by one, if their number is known."""
    size = rows.size
    return (item_at(rows, k) for k in range(size)) if isinstance(size, int) else None
