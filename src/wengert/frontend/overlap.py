"""Assigning a part of an array to a part of the same array: `x[::2] = x[:3]`.

NumPy copies the source first where the target has two or more axes, or where the two run in opposite directions. One axis onto
one axis it copies element after element, backwards when the source begins before the target and reaches into it (NumPy's
`array_assign_array.c` and `raw_array_assign_array`). With equal steps that is the same as a copy; with other steps an element may
be read after it was written, and then the result is another one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.errors import StagingError, UnsupportedError
from wengert.frontend.arrays import Array
from wengert.frontend.broadcasting import broadcast_into
from wengert.frontend.context import current
from wengert.frontend.emit import builder, difference, for_loop, product_of, value_of
from wengert.frontend.memory_order import replay
from wengert.frontend.views import At, Index, Part
from wengert.ir.core import Value
from wengert.types import Affine, dim_add, dim_scale

_Line = tuple[Affine, int]  # an axis of the base as the view runs along it: position of the first element, step


def store_in_order(view: Array, new: Any) -> bool:
    """Store `new` in `view` as NumPy does if the order of copying can matter; False where a plain store is right."""
    if not isinstance(new, Array) or len(view.dims) != 1 or len(new.dims) != 1 or new.root is not view.root:
        return False
    if new.dims == (1,) or (view.dims != new.dims and isinstance(view.dims[0], int) and isinstance(new.dims[0], int)):
        return False  # one element for all of them, or an error
    base = _base(view)
    target = source = None
    if base.is_contiguous and base.is_same_view(_base(new)):
        target, source = _lines(view), _lines(new)
    if target is not None and source is not None and _is_harmless(target, source, view.dims[0]):
        return False
    moves = _moves(view, new)
    if moves is not None:
        positions, matters = moves
        if matters:
            root = view.root
            view.write(root.reshape(-1)[positions].value)
        return matters
    if target is None or source is None:
        error = UnsupportedError if current().eager else StagingError
        raise error(
            "a part of an array is assigned to a part of the same array, and NumPy's result depends on the order of copying",
            current().span,
            fix="copy the source first: `target[...] = source.copy()`",
        )
    broadcast_into(new, view.dims, lambda v: v)  # checks the sizes
    _copy_one_by_one(base, target, source, view.dims[0])
    return True


# --- known positions -------------------------------------------------------------------------------------------------


def _moves(view: Array, new: Array) -> tuple[np.ndarray, bool] | None:
    """Which elements of the flat root end up in `view`, and whether that differs from the source; None if sizes are symbolic."""
    dims = view.root.dims
    if not all(isinstance(d, int) for d in dims):
        return None
    places = np.arange(product_of(dims)).reshape(dims)  # type: ignore[arg-type]
    target, source = _replay(view, places), _replay(new, places)
    if target is None or source is None:
        return None
    before = source.copy()
    target[...] = source
    return target.copy(), not np.array_equal(target, before)


def _replay(view: Array, places: np.ndarray) -> np.ndarray | None:
    """The same view of a real array; None if a position is symbolic."""
    if view.parent is None or view.step is None:
        return places
    seen = _replay(view.parent, places)
    return None if seen is None else replay(view.step, seen)


# --- symbolic positions ----------------------------------------------------------------------------------------------


def _base(view: Array) -> Array:
    """The array that a view is a part of."""
    return view.parent if view.parent is not None and isinstance(view.step, Index) else view


def _lines(view: Array) -> list[_Line]:
    """How a view of one axis runs through its base."""
    if not isinstance(view.step, Index):
        return [(0, 1)]
    found: list[_Line] = []
    for entry in view.step.entries:
        if isinstance(entry, At):
            found.append((entry.position, 0))
        else:
            found.append((entry.start, entry.step) if isinstance(entry, Part) else (0, 1))
    return found


def _is_harmless(target: list[_Line], source: list[_Line], size: Affine) -> bool:
    """Whether it is known that no element is read after it was written."""
    if [step for _, step in target] == [step for _, step in source]:
        return True
    if sum(step for _, step in target) * sum(step for _, step in source) < 0:
        return True  # one axis each, in opposite directions: NumPy copies first
    written: set[Affine] = set()  # the number of the one element that both have, in the target
    read: set[Affine] = set()
    for (at, step), (start, stride) in zip(target, source, strict=True):
        gap = difference(start, at)
        if step == 0 and stride == 0 and isinstance(gap, int) and gap != 0:
            return True
        if abs(step) == 1 and stride == 0:
            written.add(dim_scale(gap, step))
        elif step == 0 and abs(stride) == 1:
            read.add(dim_scale(gap, -stride))
        elif step or stride:
            return False
    if any(_is_outside(k, size) for k in (*written, *read)):
        return True
    return len(written) == 1 and written == read


def _is_outside(k: Affine, size: Affine) -> bool:
    over = difference(k, size)
    return (isinstance(k, int) and k < 0) or (isinstance(over, int) and over >= 0)


def _copy_one_by_one(base: Array, target: list[_Line], source: list[_Line], size: Affine) -> None:
    b = builder()
    strides = [product_of(base.dims[axis + 1 :]) for axis in range(len(base.dims))]
    if sum(step for _, step in target) < 0:  # both from the other end, so that the target runs upwards
        target, source = ([_from_the_end(line, size) for line in lines] for lines in (target, source))
    to, start = _offset(target, strides), _offset(source, strides)
    along = b.const(0)
    for (_, step), stride in zip(source, strides, strict=True):
        along = b.add(along, b.mul(value_of(stride), b.const(step)))
    reached = b.add(start, b.mul(along, value_of(size)))
    backwards = getattr(b, "and")(b.lt(start, to), b.gt(reached, to))
    last = value_of(dim_add(size, -1))

    def body(k: Value, x: Value) -> list[Value]:
        inner = builder()
        place = inner.select(backwards, inner.sub(last, k), k)
        spec = ("i",) * len(target)
        element = inner.index(x, *_positions(source, place), spec=spec)
        return [inner.update(x, element, *_positions(target, place), spec=spec)]

    (after,) = for_loop(size, [base.value], body)
    base.write(after)


def _from_the_end(line: _Line, size: Affine) -> _Line:
    start, step = line
    return dim_add(start, dim_scale(dim_add(size, -1), step)), -step


def _offset(lines: list[_Line], strides: list[Affine]) -> Value:
    b = builder()
    total: Value = b.const(0)
    for (start, _), stride in zip(lines, strides, strict=True):
        total = b.add(total, b.mul(value_of(start), value_of(stride)))
    return total


def _positions(lines: list[_Line], k: Value) -> list[Value]:
    b = builder()
    return [b.add(value_of(start), b.mul(k, b.const(step))) if step else value_of(start) for start, step in lines]
