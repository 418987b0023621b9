"""Copies on the tape: what a loop pushes and then overwrites, it reads from the stack.

A stencil `x[1:-1] += k * (x[2:] - x[:-2])` reads elements of x behind those that it writes, so what it writes is computed
somewhere else first. Where x has just been pushed, its old elements lie on the stack: the formula reads them there, and writes
to x at once.
"""

from __future__ import annotations

from wengert.codegen.lowering import Lowering
from wengert.codegen.storage import Mem
from wengert.ir.core import Instr, Region, Value

_WRITES = frozenset({"update", "add_at"})


def keep(low: Lowering, push: Instr, x: Value, copy: Mem) -> None:
    """Note that `copy`, on the stack that `push` leaves behind, has the elements of `x`, if reading them there saves work."""
    frame, place = low.frames[-1], low.env[x]
    alone = isinstance(place, Mem) and place.whole and place.buffer.writable and not place.buffer.local
    stays = frame.last.get(push.result) == len(frame.region.instrs)  # no other push makes the stack move, nor does a loop
    if low.options.inplace and alone and stays and _is_overwritten(frame.region, x):
        low.remember(low.copies, x, copy)


def _is_overwritten(region: Region, x: Value) -> bool:
    """Whether a part of `x` is read whose elements are written from others, or after others are."""
    writes = [i for i in region.instrs if i.op.name in _WRITES and i.operands[0] is x]
    reads = [i for i in region.instrs if i.op.name == "index" and i.operands[0] is x and i.result.rank]
    if writes:
        return any(r.operands[1:] != w.operands[2:] or r.attrs != w.attrs for r in reads for w in writes)
    return bool(reads) and x in region.params and x not in region.results
