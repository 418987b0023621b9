"""What each op does to sets of input elements: unions where numbers are combined, the same movement where they are moved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from wengert.errors import Span
from wengert.ir.builder import Builder
from wengert.ir.core import Instr, Region, Value
from wengert.ir.op import get_op
from wengert.ir.rewrite import Env
from wengert.transforms.activity import differentiable_operands
from wengert.transforms.sparsity_levels import MASK, Levels
from wengert.types import I64, I64_SCALAR, Affine


class Masks(Protocol):
    """What rules see of the program around them."""

    levels: Levels
    covering: int
    env: Env

    def mask(self, b: Builder, value: Value) -> Value:
        """The mask of a float, empty where it has none."""

    def number(self, value: Value, span: Span | None) -> Value:
        """The number of a known whole number."""

    def dims(self, value: Value, span: Span | None) -> tuple[Affine, ...]:
        """The sizes of `value` in the new program."""


Rule = Callable[[Builder, Masks, Instr], Value]


def apply_rule(b: Builder, masks: Masks, instr: Instr) -> list[Value | None]:
    """The masks of the results of an instruction without regions; None where there is none."""
    if len(instr.results) == 1:
        rule = _RULES.get(instr.op.name)
        if rule is not None:
            return [rule(b, masks, instr)]
        if instr.op.kind == "elementwise":
            return [_elementwise(b, masks, instr)]
        if instr.op.kind == "linalg":
            return [_per_matrix(b, masks, instr)]
    everything = union(b, [union_over(b, m, range(m.rank)) for m in _moving(b, masks, instr, all_floats=True)])
    wanted = [r if masks.levels[r] == MASK else None for r in instr.results]
    return [None if r is None else b.broadcast_to(everything, masks.dims(r, instr.span), ()) for r in wanted]


# --- unions ----------------------------------------------------------------------------------------------------------


def union(b: Builder, masks: Sequence[Value]) -> Value:
    """The union of masks of one shape."""
    total = masks[0]
    for mask in masks[1:]:
        total = b.bitor(total, mask)
    return total


def union_over(b: Builder, mask: Value, axes: Sequence[int]) -> Value:
    """The union along axes, which are dropped."""
    for axis in sorted(axes, reverse=True):
        mask = _union_along(b, mask, axis)
    return mask


def any_differs(b: Builder, old: Sequence[Value], new: Sequence[Value]) -> Value:
    """Whether any element of the masks differs."""
    found = b.const(False)
    for a, c in zip(old, new, strict=True):
        differs = b.ne(a, c)
        if differs.rank:
            differs = b.gt(b.sum(b.convert(differs, dtype=I64), axes=tuple(range(differs.rank))), b.const(0))
        found = _or(b, found, differs)
    return found


def _union_along(b: Builder, mask: Value, axis: int) -> Value:
    spec = (":",) * axis + ("i",) + (":",) * (mask.rank - axis - 1)
    rest = (*mask.dims[:axis], *mask.dims[axis + 1 :])

    def step(inner: Builder, index: Value, total: Value) -> Value:
        return union(inner, [total, inner.index(mask, index, spec=spec)])

    return _repeat(b, b.dim(mask.dims[axis]), b.full(rest, 0, I64), step)


def _repeat(b: Builder, count: Value, start: Value, step: Callable[[Builder, Value, Value], Value]) -> Value:
    """`start` after `count` steps."""
    index, carried = Value(I64_SCALAR, "k"), Value(start.type, start.name)
    inner = b.child()
    found = step(inner, index, carried)
    region = Region((index, carried), tuple(inner.instrs), (found,))
    return b.emit(get_op("for"), (count, start), {}, (region,))[0]


def _moving(b: Builder, masks: Masks, instr: Instr, all_floats: bool = False) -> list[Value]:
    """The masks of the operands on which the result depends."""
    positions = range(len(instr.operands)) if all_floats else differentiable_operands(instr)
    return [masks.mask(b, instr.operands[k]) for k in positions if masks.levels[instr.operands[k]] == MASK]


# --- ops that combine ------------------------------------------------------------------------------------------------


def _elementwise(b: Builder, masks: Masks, instr: Instr) -> Value:
    return union(b, _moving(b, masks, instr))


def _select(b: Builder, masks: Masks, instr: Instr) -> Value:
    chosen = instr.operands[0]
    if not masks.levels.is_known(chosen):
        return _elementwise(b, masks, instr)
    arms = [masks.mask(b, o) for o in instr.operands[1:]]
    found: Value = b.select(masks.number(chosen, instr.span), *arms)
    return found


def _reduced(b: Builder, masks: Masks, instr: Instr) -> Value:
    return union_over(b, masks.mask(b, instr.operands[0]), instr.attrs["axes"])


def _running(b: Builder, masks: Masks, instr: Instr) -> Value:
    """Running unions along an axis, from either end."""
    axis, mask = instr.attrs["axis"], masks.mask(b, instr.operands[0])
    spec = (":",) * axis + ("i",) + (":",) * (mask.rank - axis - 1)
    size = b.dim(mask.dims[axis])

    def step(inner: Builder, index: Value, total: Value) -> Value:
        here, before = inner.add(index, inner.const(1)), index
        if instr.attrs["reverse"]:
            last = inner.sub(size, inner.const(1))
            here, before = inner.sub(last, here), inner.sub(last, before)
        parts = [inner.index(total, place, spec=spec) for place in (before, here)]
        found: Value = inner.update(total, union(inner, parts), here, spec=spec)
        return found

    return _repeat(b, b.sub(size, b.const(1)), mask, step)


def _matmul(b: Builder, masks: Masks, instr: Instr) -> Value:
    """Rows of the one, columns of the other factor: the numbers in them are taken to be nonzero."""
    left, right = instr.operands
    dims = masks.dims(instr.result, instr.span)
    stacked = max(left.rank - 2, 0)
    parts = []
    if masks.levels[left] == MASK:
        rows = union_over(b, masks.mask(b, left), [left.rank - 1])
        parts.append(b.broadcast_to(rows, dims, tuple(range(rows.rank))))
    if masks.levels[right] == MASK:
        columns = union_over(b, masks.mask(b, right), [max(right.rank - 2, 0)])
        last = (len(dims) - 1,) if right.rank > 1 else ()
        parts.append(b.broadcast_to(columns, dims, (*range(stacked), *last)))
    return union(b, parts)


def _per_matrix(b: Builder, masks: Masks, instr: Instr) -> Value:
    """All elements of a matrix depend on all elements of those that it is computed from."""
    stacked = instr.operands[0].rank - 2
    dims = masks.dims(instr.result, instr.span)
    parts = [union_over(b, m, range(stacked, m.rank)) for m in _moving(b, masks, instr)]
    return b.broadcast_to(union(b, parts), dims, tuple(range(stacked)))


# --- ops that move ---------------------------------------------------------------------------------------------------


def _moved(b: Builder, masks: Masks, instr: Instr) -> Value:
    """The same op on masks; sizes and indices stay."""
    operands = [masks.mask(b, o) if o.is_float else masks.number(o, instr.span) for o in instr.operands]
    return b.emit(instr.op, operands, instr.attrs, names=[instr.result.name])[0]


def _passed(b: Builder, masks: Masks, instr: Instr) -> Value:
    return masks.mask(b, instr.operands[-1])


def _indexed(b: Builder, masks: Masks, instr: Instr) -> Value:
    """A read; along an axis whose index floats decide on, a union of all that could be read."""
    if all(map(masks.levels.is_known, instr.operands[1:])):
        return _moved(b, masks, instr)
    mask = masks.mask(b, instr.operands[0])
    settled, places = _settled(masks, instr, 1)
    unsure = [k for k, entry in enumerate(settled) if entry == "?"]
    sure = tuple(entry for entry in settled if entry != "?")
    part = b.index(union_over(b, mask, unsure), *places, spec=sure)
    return b.broadcast_to(part, masks.dims(instr.result, instr.span), _axes_of_part(instr, settled))


def _written(b: Builder, masks: Masks, instr: Instr) -> Value:
    """A write; along an axis whose index floats decide on, anything may have been written, or not."""
    whole, part = (masks.mask(b, o) for o in instr.operands[:2])
    spec: tuple[str, ...] = instr.attrs["spec"]
    settled, places = _settled(masks, instr, 2)
    if "?" in settled:
        kept = _axes_of_part(instr, settled)
        part = union_over(b, part, [k for k in range(part.rank) if k not in kept])
        spec = tuple(":" if entry == "?" else entry for entry in settled)
        old = b.index(whole, *places, spec=spec)
        inside = [entry for entry in settled if entry != "i"]
        axes = tuple(k for k, entry in enumerate(inside) if entry != "?")
        part = union(b, [old, b.broadcast_to(part, old.dims, axes)])
    elif instr.op.name == "add_at" or masks.covering:
        part = union(b, [part, b.index(whole, *places, spec=spec)])
    found: Value = b.update(whole, part, *places, spec=spec)
    return found


def _settled(masks: Masks, instr: Instr, first: int) -> tuple[list[str], list[Value]]:
    """The spec with '?' at axes on whose index floats decide, and the index operands of the others."""
    settled, known, position = [], [], first
    for entry in instr.attrs["spec"]:
        places = instr.operands[position : position + {"i": 1, "s": 3, ":": 0}[entry]]
        position += len(places)
        if all(map(masks.levels.is_known, places)):
            settled.append(entry)
            known += [masks.number(p, instr.span) for p in places]
        else:
            settled.append("?")
    return settled, known


def _axes_of_part(instr: Instr, settled: Sequence[str]) -> tuple[int, ...]:
    """Which axes of the part that a spec selects are not those with '?'."""
    there = [s for entry, s in zip(instr.attrs["spec"], settled, strict=True) if entry != "i"]
    return tuple(k for k, s in enumerate(there) if s != "?")


# --- arrays of indices -----------------------------------------------------------------------------------------------


def _gathered(b: Builder, masks: Masks, instr: Instr) -> Value:
    if masks.levels.is_known(instr.operands[1]):
        return _moved(b, masks, instr)
    mask = masks.mask(b, instr.operands[0])
    dims = masks.dims(instr.result, instr.span)
    return b.broadcast_to(_union_along(b, mask, 0), dims, tuple(range(1, len(dims))))


def _scattered(b: Builder, masks: Masks, instr: Instr) -> Value:
    whole, indices, part = instr.operands
    mask = masks.mask(b, whole)
    if not masks.levels.is_known(indices):
        rows = _union_along(b, masks.mask(b, part), 0)
        return union(b, [mask, b.broadcast_to(rows, mask.dims, tuple(range(1, mask.rank)))])
    if instr.op.name == "scatter" and not masks.covering:
        return _moved(b, masks, instr)
    places, parts = masks.number(indices, instr.span), masks.mask(b, part)
    spec = ("i",) + (":",) * (mask.rank - 1)

    def step(inner: Builder, index: Value, total: Value) -> Value:
        place = inner.index(places, index, spec=("i",))
        both = [inner.index(total, place, spec=spec), inner.index(parts, index, spec=spec)]
        found: Value = inner.update(total, union(inner, both), place, spec=spec)
        return found

    return _repeat(b, b.dim(parts.dims[0]), mask, step)


def _windows_added(b: Builder, masks: Masks, instr: Instr) -> Value:
    """The union of a mask and of the windows that lie on it."""
    whole, part = (masks.mask(b, o) for o in instr.operands)
    axis = instr.attrs["axis"]
    starts, one = b.dim(part.dims[axis]), b.const(1)
    there = tuple("s" if k == axis else ":" for k in range(whole.rank))
    last = (":",) * (part.rank - 1) + ("i",)

    def step(inner: Builder, index: Value, total: Value) -> Value:
        both = [inner.index(total, index, starts, one, spec=there), inner.index(part, index, spec=last)]
        found: Value = inner.update(total, union(inner, both), index, starts, one, spec=there)
        return found

    return _repeat(b, b.dim(part.dims[-1]), whole, step)


_RULES: dict[str, Rule] = {
    "select": _select,
    **dict.fromkeys(("sum", "max", "min", "prod"), _reduced),
    "cumsum": _running,
    "matmul": _matmul,
    **dict.fromkeys(("broadcast", "transpose", "reshape", "assume_shape", "make_array", "resize", "windows"), _moved),
    **dict.fromkeys(("shadow", "attach", "recall"), _passed),
    "index": _indexed,
    **dict.fromkeys(("update", "add_at"), _written),
    "gather": _gathered,
    **dict.fromkeys(("scatter", "scatter_add"), _scattered),
    "add_windows": _windows_added,
}


# --- where code may not be reached -----------------------------------------------------------------------------------


def in_range(b: Builder, masks: Masks, instr: Instr) -> Value | None:
    """Whether the indices of a read or write are in range; None if it has none that are known."""
    name = instr.op.name
    if name in ("gather", "scatter", "scatter_add") and masks.levels.is_known(instr.operands[1]):
        indices, size = masks.env[instr.operands[1]], _sizes(b, masks, instr)[0]
        outside = _or(b, b.lt(indices, 0), b.ge(indices, b.broadcast_to(size, indices.dims, ())))
        found: Value = b.eq(b.sum(b.convert(outside, dtype=I64), axes=(0,)), 0)
        return found
    if name not in ("index", "update", "add_at"):
        return None
    position, sizes, tests = 1 if name == "index" else 2, _sizes(b, masks, instr), []
    for entry, size in zip(instr.attrs["spec"], sizes, strict=True):
        places = instr.operands[position : position + {"i": 1, "s": 3, ":": 0}[entry]]
        position += len(places)
        if places and all(map(masks.levels.is_known, places)):
            tests.append(_inside(b, [masks.env[p] for p in places], size))
    if not tests:
        return None
    for test in tests[1:]:
        tests[0] = _and(b, tests[0], test)
    return tests[0]


def _sizes(b: Builder, masks: Masks, instr: Instr) -> list[Value]:
    return [b.dim(d) for d in masks.dims(instr.operands[0], instr.span)]


def _inside(b: Builder, places: Sequence[Value], size: Value) -> Value:
    """Whether an index, or a start, a size and a step, stay inside an axis."""
    if len(places) == 1:
        return _and(b, b.ge(places[0], 0), b.lt(places[0], size))
    start, count, step = places
    last = b.add(start, b.mul(b.sub(count, b.const(1)), step))
    both = _and(b, _inside(b, [start], size), _inside(b, [last], size))
    return _or(b, b.eq(count, 0), _and(b, b.gt(count, 0), both))


def _and(b: Builder, x: Value, y: Value) -> Value:
    found: Value = getattr(b, "and")(x, y)
    return found


def _or(b: Builder, x: Value, y: Value) -> Value:
    found: Value = getattr(b, "or")(x, y)
    return found
