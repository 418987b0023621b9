"""The handler of `np.pad`: constants are filled in, all other modes read the array at positions beyond its ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, as_array
from wengert.frontend.elementwise import apply, select
from wengert.frontend.emit import fail, unsupported
from wengert.frontend.registry import PASS, handle, register
from wengert.frontend.shapes import static_int

Widths = list[tuple[int, int]]


@register(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **options: Any) -> Any:
    """`np.pad` in the modes constant, edge, wrap, reflect and symmetric."""
    if not any_box(array, options):
        return PASS
    x = as_array(array)
    widths = _widths(pad_width, x.ndim)
    if mode == "constant":
        return _with_constants(x, widths, options.get("constant_values", 0))
    if mode not in _POSITIONS or options.get("reflect_type", "even") != "even":
        unsupported(f"np.pad with mode={mode!r} is not supported", f"use one of {', '.join(_POSITIONS)}", StagingError)
    for axis, (before, after) in enumerate(widths):
        if before or after:
            size = x.shape[axis]
            places = _POSITIONS[mode](handle(np.arange, -before, apply(np.add, size, after)), size)
            x = x[(*(slice(None),) * axis, as_array(places))]
    return x.copy()


def _widths(pad_width: Any, rank: int) -> Widths:
    """How many elements go before and behind each axis."""
    if isinstance(pad_width, dict):
        given = [pad_width.get(k, pad_width.get(k - rank, 0)) for k in range(rank)]
        return [w for each in given for w in _widths(each, 1)]
    items = pad_width if isinstance(pad_width, list | tuple | np.ndarray) else (pad_width,)
    pairs = [item if isinstance(item, list | tuple | np.ndarray) else (item,) for item in items]
    if all(len(p) == 1 for p in pairs) and len(pairs) == 2:
        pairs = [(pairs[0][0], pairs[1][0])]
    pairs = pairs * rank if len(pairs) == 1 else pairs
    if len(pairs) != rank:
        fail(ValueError, f"operands could not be broadcast together with remapped shapes: {len(pairs)} widths for {rank} axes")
    found = [(static_int(p[0], "a width of np.pad"), static_int(p[-1], "a width of np.pad")) for p in pairs]
    if any(w < 0 for pair in found for w in pair):
        fail(ValueError, "index can't contain negative values")
    return found


def _with_constants(x: Array, widths: Widths, values: Any) -> Any:
    numbers = as_array(values)
    pairs = as_array(handle(np.broadcast_to, numbers, (x.ndim, 2)))
    for axis, (before, after) in enumerate(widths):
        shape, inner = list(x.shape), [slice(None)] * x.ndim
        shape[axis] = apply(np.add, shape[axis], before + after)
        made = handle(np.zeros, tuple(shape), dtype=x.dtype)
        inner[axis] = slice(before, apply(np.add, x.shape[axis], before))
        made[tuple(inner)] = x
        for width, part, k in ((before, slice(0, before), 0), (after, slice(apply(np.add, x.shape[axis], before), None), 1)):
            if width:
                edge = list(inner)
                edge[axis] = part
                made[tuple(edge)] = pairs[axis, k]
        x = made
    return x


def _edge(places: Any, size: Any) -> Any:
    return handle(np.clip, places, 0, apply(np.subtract, size, 1))


def _wrap(places: Any, size: Any) -> Any:
    return apply(np.remainder, places, size)


def _reflect(places: Any, size: Any) -> Any:
    period = apply(np.maximum, apply(np.multiply, apply(np.subtract, size, 1), 2), 1)
    turned = apply(np.remainder, places, period)
    return select(apply(np.greater_equal, turned, size), apply(np.subtract, period, turned), turned)


def _symmetric(places: Any, size: Any) -> Any:
    period = apply(np.multiply, size, 2)
    turned = apply(np.remainder, places, period)
    return select(apply(np.greater_equal, turned, size), apply(np.subtract, apply(np.subtract, period, 1), turned), turned)


_POSITIONS = {"edge": _edge, "wrap": _wrap, "reflect": _reflect, "symmetric": _symmetric}
