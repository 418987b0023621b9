"""Rules for the `fold` pass about shapes and indices: chains of views become one, reads go through to what they read.

Only reads of parts are rewritten, never whole computations, so no work is done twice.
"""

from __future__ import annotations

from wengert.ir.core import Instr, Value
from wengert.ir.rewriter import RewriteBuilder
from wengert.ops.index import Entry, entries
from wengert.passes.known import Known, Rule


def read(b: RewriteBuilder, x: Value, parts: list[Entry]) -> Value:
    """`index` of `x` by entries; `x` itself if they select all of it."""
    if all(kind == ":" for kind, _ in parts):
        return x
    operands = [v for _, values in parts for v in values]
    return b.index(x, *operands, spec=tuple(kind for kind, _ in parts))


# --- shapes ----------------------------------------------------------------------------------------------------------


def broadcast(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """To the same shape; of a broadcast."""
    x, *shape = instr.operands
    axes = instr.attrs["axes"]
    if axes == tuple(range(instr.result.rank)) and x.type == instr.result.type:
        return x
    inner = known.behind(x, "broadcast")
    if inner is None:
        return None
    composed = tuple(axes[a] for a in inner.attrs["axes"])
    return b.broadcast(inner.operands[0], *shape, axes=composed)


def transpose(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """That leaves the axes in place; of a transpose; of a splat."""
    (x,) = instr.operands
    perm = instr.attrs["perm"]
    if perm == tuple(range(len(perm))):
        return x
    inner = known.behind(x, "transpose")
    if inner is not None:
        before = inner.attrs["perm"]
        return b.transpose(inner.operands[0], perm=tuple(before[p] for p in perm))
    splat = known.splat(x)
    if splat is not None:
        sizes = splat.operands[1:]
        return b.broadcast(splat.operands[0], *[sizes[p] for p in perm], axes=())
    return None


def reshape(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """To the same shape; of a reshape; of a splat."""
    x, *shape = instr.operands
    if x.type == instr.result.type:
        return x
    inner = known.behind(x, "reshape")
    if inner is not None:
        return b.reshape(inner.operands[0], *shape)
    splat = known.splat(x)
    if splat is not None:
        return b.broadcast(splat.operands[0], *shape, axes=())
    return None


def assume_shape(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """That assumes nothing new; of a splat."""
    x, *shape = instr.operands
    if x.type == instr.result.type:
        return x
    splat = known.splat(x)
    if splat is not None:
        return b.broadcast(splat.operands[0], *shape, axes=())
    return None


# --- indices ---------------------------------------------------------------------------------------------------------


def index(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """The whole; a part of a part, of a broadcast, of a transposed array; an entry of `iota` or `make_array`."""
    x = instr.operands[0]
    parts = entries(instr)
    if all(kind == ":" for kind, _ in parts):
        return x
    inner = known.defs.get(x)
    if inner is None or (inner.operands and inner.operands[0] in known.overwritten):
        return None
    rule = _READS.get(inner.op.name)
    return None if rule is None else rule(known, b, instr, inner, parts)


def _read_part(known: Known, b: RewriteBuilder, instr: Instr, inner: Instr, parts: list[Entry]) -> Value | None:
    """x[a:b][i] is x[a + i]."""
    outer = iter(parts)
    composed: list[Entry] = []
    for kind, values in entries(inner):
        composed.append((kind, values) if kind == "i" else _compose(b, (kind, values), next(outer)))
    return read(b, inner.operands[0], composed)


def _compose(b: RewriteBuilder, first: Entry, second: Entry) -> Entry:
    """One entry for reading `second` out of what `first` selects."""
    kind, values = second
    if first[0] == ":" or kind == ":":
        return second if first[0] == ":" else first
    start, _, step = first[1]
    position = b.add(start, b.mul(values[0], step))
    if kind == "i":
        return ("i", (position,))
    return ("s", (position, values[1], b.mul(values[2], step)))


def _read_broadcast(known: Known, b: RewriteBuilder, instr: Instr, inner: Instr, parts: list[Entry]) -> Value | None:
    """A part of a broadcast is a broadcast of a part."""
    x, *shape = inner.operands
    axes = inner.attrs["axes"]
    part = read(b, x, [parts[a] for a in axes])
    kept = [a for a, (kind, _) in enumerate(parts) if kind != "i"]
    if not kept:
        return part
    sizes = [parts[a][1][1] if parts[a][0] == "s" else shape[a] for a in kept]
    new_axes = tuple(kept.index(a) for a in axes if a in kept)
    return b.broadcast(part, *sizes, axes=new_axes)


def _read_transposed(known: Known, b: RewriteBuilder, instr: Instr, inner: Instr, parts: list[Entry]) -> Value | None:
    """x.T[i, j] is x[j, i]; slices keep their transpose."""
    perm = inner.attrs["perm"]
    arranged: list[Entry] = [(":", ())] * len(perm)
    for axis, entry in zip(perm, parts, strict=True):
        arranged[axis] = entry
    kept = [axis for axis, (kind, _) in zip(perm, parts, strict=True) if kind != "i"]
    part = read(b, inner.operands[0], arranged)
    if kept == sorted(kept):
        return part
    positions = sorted(kept)
    return b.transpose(part, perm=tuple(positions.index(axis) for axis in kept))


def _read_iota(known: Known, b: RewriteBuilder, instr: Instr, inner: Instr, parts: list[Entry]) -> Value | None:
    kind, values = parts[0]
    return values[0] if kind == "i" else None


def _read_made(known: Known, b: RewriteBuilder, instr: Instr, inner: Instr, parts: list[Entry]) -> Value | None:
    """An entry of an array made from scalars, at a constant place."""
    position = 0
    for (kind, values), size in zip(parts, inner.attrs["shape"], strict=True):
        place = values[0].affine if kind == "i" else None
        if not isinstance(place, int) or not 0 <= place < size:
            return None
        position = position * size + place
    return inner.operands[position]


_READS = {
    "index": _read_part,
    "broadcast": _read_broadcast,
    "transpose": _read_transposed,
    "iota": _read_iota,
    "make_array": _read_made,
}


def update(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """Of the whole array."""
    x, part = instr.operands[:2]
    return part if set(instr.attrs["spec"]) <= {":"} and part.type == x.type else None


def add_at(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """To the whole array; of zeros."""
    x, part = instr.operands[:2]
    if known.constant(part) == 0:
        return x
    # To a number it stays as it is: the order of such sums is free.
    if x.rank and set(instr.attrs["spec"]) <= {":"} and part.type == x.type:
        return b.add(x, part)
    return None


def reduce_nothing(known: Known, b: RewriteBuilder, instr: Instr) -> Value | None:
    """A reduction over no axes."""
    return instr.operands[0] if not instr.attrs["axes"] else None


RULES: dict[str, Rule] = {
    "broadcast": broadcast,
    "transpose": transpose,
    "reshape": reshape,
    "assume_shape": assume_shape,
    "index": index,
    "update": update,
    "add_at": add_at,
    **dict.fromkeys(("sum", "prod", "max", "min"), reduce_nothing),
}
