"""Basic keys of `x[key]` in normal form, with wrap-around, clamping and range checks.

Basic keys (ints, slices, None, ...) become one `views.Index` step, followed by the insertion of new axes. Positions that cannot
be decided while tracing are wrapped and checked (`wrap_index`) or clamped (slices) at run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert.frontend.arrays import Array
from wengert.frontend.boxes import dtype_of, is_number, is_static_int, lift, lift_int
from wengert.frontend.context import NeedsPythonValue, current
from wengert.frontend.emit import (
    builder,
    difference,
    fail,
    is_at_least,
    remember,
    value_of,
)
from wengert.frontend.registry import operator_rule
from wengert.frontend.scalars import Scalar
from wengert.frontend.views import At, Entry, Index, Part, expand_step, part_or_whole
from wengert.ir.core import Value
from wengert.types import I64, Affine, dim_add

_KNOWN = (int, type(None))
_PLAIN_KEYS = (int, slice)


def view_of(x: Array, key: Any) -> Array:
    """The view of `x` that the basic key `key` selects (of rank 0 for one element)."""
    keys = _complete(key if isinstance(key, tuple) else (key,), x)
    entries: list[Entry] = []
    new_axes: list[int] = []
    position = 0
    for part in keys:
        if part is None:
            new_axes.append(position)
            position += 1
            continue
        entry = _entry(part, x.dims[len(entries)], len(entries))
        entries.append(entry)
        position += not isinstance(entry, At)
    view = x.through(Index(tuple(entries)))
    return view.through(expand_step(view.dims, new_axes)) if new_axes else view


def _complete(keys: tuple[Any, ...], x: Array) -> Sequence[Any]:
    """One key per axis: the ellipsis (or the missing end) written out as full slices."""
    if len(keys) == x.ndim and all([type(k) in _PLAIN_KEYS for k in keys]):
        return keys
    used = sum(k is not None and k is not Ellipsis for k in keys)
    if sum(k is Ellipsis for k in keys) > 1:
        fail(IndexError, "an index can only have a single ellipsis ('...')")
    missing = x.ndim - used
    if missing < 0:
        fail(IndexError, f"too many indices for array: array is {x.ndim}-dimensional, but {used} were indexed")
    full: list[Any] = [slice(None)] * missing
    at = next((k for k, key in enumerate(keys) if key is Ellipsis), None)
    return [*keys, *full] if at is None else [*keys[:at], *full, *keys[at + 1 :]]


def _entry(key: Any, size: Affine, axis: int) -> Entry:
    if isinstance(key, slice):
        return slice_entry(key, size)
    if type(key) is int and type(size) is int and 0 <= key < size:
        return At(key)
    return At(wrap_position(key, size, axis))


# --- positions -------------------------------------------------------------------------------------------------------


def wrap_position(key: Any, size: Affine, axis: int) -> Affine:
    """The position in [0, size) that an integer key means.

    Raises:
        IndexError: it is surely out of bounds, or the key is not an integer.
    """
    if isinstance(key, np.ndarray) and key.ndim == 0:
        key = key[()]
    if is_static_int(key):
        return _wrap_static(int(key), size, axis)
    if not (is_number(key) and isinstance(key, (Scalar, Array)) and dtype_of(key) == I64):
        fail(
            IndexError,
            "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or boolean arrays are valid "
            "indices",
            found=repr(key),
        )
    value = lift(key)
    if isinstance(value.affine, int):
        return _wrap_static(value.affine, size, axis)
    return _wrap_traced(value, size, axis)


def _wrap_static(index: int, size: Affine, axis: int) -> Affine:
    needed = index + 1 if index >= 0 else -index
    if is_at_least(size, needed):
        return index if index >= 0 else dim_add(size, index)
    if isinstance(size, int) and (current().eager or not current().depth):  # else the code may never run
        fail(IndexError, f"index {index} is out of bounds for axis {axis} with size {size}")
    return _wrap_traced(builder().const(index), size, axis, key=index)


def _wrap_traced(index: Value, size: Affine, axis: int, key: int | None = None) -> Affine:
    affine = index.affine
    if key is None:
        if is_at_least(affine, 0) and is_at_least(difference(size, affine), 1):
            return affine
        from_end = difference(affine, size)
        if isinstance(from_end, int) and from_end < 0 and is_at_least(size, -from_end):
            return affine

    def emit() -> Value:
        return builder().wrap_index(index, value_of(size), what=f"axis {axis}")

    return remember("wrap_index", (affine, size), emit).affine


# --- slices ----------------------------------------------------------------------------------------------------------


def slice_entry(key: slice, size: Affine) -> Entry:
    """The part of an axis that a slice means, clamped as NumPy does."""
    if type(size) is int and key.step is None and type(key.start) in _KNOWN and type(key.stop) in _KNOWN:
        first, end, _ = key.indices(size)
        return part_or_whole(Part(first, max(0, end - first)), size)
    step = _static_step(key.step)
    if step > 0:
        start: Affine = 0 if key.start is None else _bound(key.start, size)
        stop: Affine = size if key.stop is None else _bound(key.stop, size)
        return part_or_whole(Part(start, _count(difference(stop, start), step), step), size)
    last = dim_add(size, -1)
    start = last if key.start is None else _bound_down(key.start, size)
    stop = -1 if key.stop is None else _bound_down(key.stop, size)
    return Part(start, _count(difference(start, stop), -step), step)


def _static_step(step: Any) -> int:
    if step is None:
        return 1
    if isinstance(step, Scalar):
        raise NeedsPythonValue(step.value, "the step of a slice")
    if not is_static_int(step):
        fail(TypeError, "slice indices must be integers or None or have an __index__ method")
    if step == 0:
        fail(ValueError, "slice step cannot be zero")
    return int(step)


def _bound(bound: Any, size: Affine) -> Affine:
    """A bound of a forward slice, clamped to [0, size]."""
    wanted = _bound_affine(bound)
    if isinstance(wanted, int):
        if wanted >= 0:
            return wanted if is_at_least(size, wanted) else _smaller(wanted, size)
        return dim_add(size, wanted) if is_at_least(size, -wanted) else _larger(dim_add(size, wanted), 0)
    below = difference(size, wanted)
    if isinstance(below, int):
        if below <= 0:
            return size
        return wanted if is_at_least(wanted, 0) else _clamp(wanted, 0, size, size)
    if is_at_least(wanted, 0) and is_at_least(below, 0):
        return wanted
    return _clamp(wanted, 0, size, size)


def _bound_down(bound: Any, size: Affine) -> Affine:
    """A bound of a backward slice, clamped to [-1, size - 1]."""
    wanted = _bound_affine(bound)
    last = dim_add(size, -1)
    if isinstance(wanted, int):
        if wanted >= 0:
            return wanted if is_at_least(size, wanted + 1) else _smaller(wanted, last)
        return dim_add(size, wanted) if is_at_least(size, -wanted) else _larger(dim_add(size, wanted), -1)
    if is_at_least(wanted, 0) and is_at_least(difference(last, wanted), 0):
        return wanted
    return _clamp(wanted, -1, last, size)


def _bound_affine(bound: Any) -> Affine:
    if is_static_int(bound):
        return int(bound)
    if isinstance(bound, (bool, float)) or not is_number(bound):
        fail(TypeError, "slice indices must be integers or None or have an __index__ method", found=repr(bound))
    return lift_int(bound, "a slice index").affine


def _count(length: Affine, step: int) -> Affine:
    """`ceil(length / step)`, at least 0: how many elements a slice has."""
    if isinstance(length, int):
        return max(0, -(-length // step))
    if not is_at_least(length, 0):
        length = _larger(length, 0)
    if step == 1:
        return length
    rounded = dim_add(length, step - 1)

    def emit() -> Value:
        return builder().floordiv(value_of(rounded), builder().const(step))

    return remember("count", (rounded, step), emit).affine


def _smaller(a: Affine, b: Affine) -> Affine:
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    return remember("minimum", (a, b), lambda: builder().minimum(value_of(a), value_of(b))).affine


def _larger(a: Affine, b: Affine) -> Affine:
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    return remember("maximum", (a, b), lambda: builder().maximum(value_of(a), value_of(b))).affine


def _clamp(wanted: Affine, low: int, high: Affine, size: Affine) -> Affine:
    """`wanted`, counted from the end if negative, between `low` and `high`; decided at run time."""

    def emit() -> Value:
        b = builder()
        bound = value_of(wanted)
        wrapped = b.select(b.lt(bound, b.const(0)), value_of(dim_add(wanted, size)), bound)
        return b.minimum(b.maximum(wrapped, b.const(low)), value_of(high))

    return remember("clamp", (wanted, low, high), emit).affine


@operator_rule("number item")
def item_of_number(x: Scalar, key: Any) -> Any:
    """`x[key]` of a NumPy scalar: itself, or an array with or without it."""
    array = Array(lift(x))
    if isinstance(key, (bool, np.bool_)):
        return array.reshape(1)[: int(key)].copy()
    return x if isinstance(key, tuple) and not key else array[key]
