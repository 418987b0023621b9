"""One array added to several shifted parts of another is added in one pass.

The derivative of a stencil is `x[1:-1] += v; x[:-2] += v; x[2:] += v`: as many passes over memory as the stencil has points. With
`p`, which is `v` with a frame of zeros around it, it is `x += p[1:-1] + p[2:] + p[:-2]`: a stencil again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from wengert.ir.core import Function, Instr, Value, walk
from wengert.ir.rewriter import RewriteBuilder, Rewriter
from wengert.ops.index import Entry, entries
from wengert.types import I64, Affine, dim_add

# Up to this many additions, the passes that are saved are not worth the array with a frame.
FEW = 2
# Arrays of known sizes up to this many elements lie in registers.
SMALL = 64


def shifts(fn: Function) -> Function:
    """`fn` with several additions of one array to shifted parts of another as one."""
    added = Counter(i.operands[1] for i in walk(fn.instrs) if i.op.name == "add_at" and i.operands[1].rank)
    if max(added.values(), default=0) <= FEW:
        return fn
    return _Shifts(fn).function(fn)


class _Shifts(Rewriter):
    def __init__(self, fn: Function) -> None:
        super().__init__()
        self.uses = Counter(fn.results)
        self.writers: dict[Value, Instr] = {}
        for instr in walk(fn.instrs):
            self.uses.update(instr.operands)
            self.writers.update(dict.fromkeys(instr.operands[:1], instr) if instr.op.name == "add_at" else {})
            for region in instr.regions:
                self.uses.update(region.results)
        self.inside: set[Instr] = set()

    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        if instr in self.inside:
            return
        chain = self.chain(instr) if instr.op.name == "add_at" else []
        if len(chain) <= FEW or _box(chain) is None:
            b.append(self.rebuild(instr))
            return
        self.inside.update(chain[1:])
        first = self.rebuild(instr)
        self.env[chain[-1].result] = _added(b, first, [entries(i, first=2) for i in chain])

    def chain(self, instr: Instr) -> list[Instr]:
        """The additions of the same array that come one after the other from here on."""
        found = [instr]
        if not instr.operands[1].rank or instr.operands[1] is instr.operands[0]:
            return found
        while self.uses[found[-1].result] == 1:
            following = self.writers.get(found[-1].result)
            if following is None or following.operands[1] is not instr.operands[1]:
                break
            found.append(following)
        return found


def _starts(part: Sequence[Entry]) -> list[int] | None:
    """Where a part begins along the axes that it keeps, if that is known and it takes all elements from there on."""
    found: list[int] = []
    for kind, values in part:
        if kind == ":":
            found.append(0)
        elif kind == "s":
            start, _, step = (v.affine for v in values)
            if not isinstance(start, int) or start < 0 or step != 1:
                return None
            found.append(start)
    return found


def _box(chain: Sequence[Instr]) -> tuple[list[int], list[int]] | None:
    """The least and the greatest beginning along each axis that is kept; None if the additions are not shifts of one another."""
    whole, added = chain[0].operands[:2]
    if all(isinstance(d, int) for d in added.dims) and math.prod(d for d in added.dims if isinstance(d, int)) <= SMALL:
        return None
    parts = [entries(i, first=2) for i in chain]
    starts = [_starts(part) for part in parts]
    if any(s is None for s in starts):
        return None
    kinds = [["i" if kind == "i" else "s" for kind, _ in part] for part in parts]
    fixed = [[values[0].affine for kind, values in part if kind == "i"] for part in parts]
    if any(k != kinds[0] for k in kinds) or any(f != fixed[0] for f in fixed):
        return None
    known = [s for s in starts if s is not None]
    low, high = [min(c) for c in zip(*known, strict=True)], [max(c) for c in zip(*known, strict=True)]
    kept = [size for kind, size in zip(kinds[0], whole.dims, strict=True) if kind == "s"]
    for size, last, count in zip(kept, high, added.dims, strict=True):
        left = dim_add(dim_add(size, count, -1), last, -1)
        if not isinstance(left, int) or left < 0:
            return None
    return (low, high) if low != high else None


def _added(b: RewriteBuilder, first: Instr, parts: Sequence[Sequence[Entry]]) -> Value:
    """The array of the first addition with all of them."""
    whole, added = first.operands[:2]
    starts = [s for s in (_starts(part) for part in parts) if s is not None]
    low, high = [min(c) for c in zip(*starts, strict=True)], [max(c) for c in zip(*starts, strict=True)]
    room = [h - m for m, h in zip(low, high, strict=True)]
    frame = b.full([dim_add(d, 2 * r) for d, r in zip(added.dims, room, strict=True)], 0, added.tensor.dtype)
    framed = _part(b, "update", (frame, added), room, added.dims)
    sizes = [dim_add(d, r) for d, r in zip(added.dims, room, strict=True)]
    total: Value | None = None
    for start in starts:
        shifted = _part(b, "index", (framed,), [h - s for h, s in zip(high, start, strict=True)], sizes)
        total = shifted if total is None else b.add(total, shifted)
    assert total is not None
    fixed = [values[0] if kind == "i" else None for kind, values in entries(first, first=2)]
    return _part(b, "add_at", (whole, total), low, sizes, fixed)


def _part(
    b: RewriteBuilder, op: str, operands: Sequence[Value], starts: Sequence[int], sizes: Sequence[Affine],
    fixed: Sequence[Value | None] | None = None,
) -> Value:  # fmt: skip
    """A read or a write of the part that begins at `starts`; along axes at which `fixed` has an index, that one."""
    chosen: list[Value] = []
    spec: list[str] = []
    kept = iter(zip(starts, sizes, strict=True))
    for index in fixed if fixed is not None else [None] * len(sizes):
        if index is not None:
            chosen.append(index)
            spec.append("i")
            continue
        start, size = next(kept)
        chosen += [b.const(start, I64), b.dim(size), b.const(1, I64)]
        spec.append("s")
    found: Value = getattr(b, op)(*operands, *chosen, spec=tuple(spec))
    return found
