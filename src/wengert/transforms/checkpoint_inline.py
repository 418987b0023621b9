"""`checkpoint` regions in line again: what is run once, under names that leave those of the way back alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wengert.ir.core import Function, Instr, Region, walk
from wengert.ir.rewrite import Env, copy_instr


def inline_regions(fn: Function) -> Function:
    """`fn` with the instructions of `checkpoint` regions in line."""
    if not any(i.op.name == "checkpoint" for i in walk(fn.instrs)):
        return fn
    return replace(fn, instrs=inlined(fn.instrs))


def inlined(instrs: Sequence[Instr]) -> tuple[Instr, ...]:
    """`instrs` with those of `checkpoint` regions in line."""
    found: list[Instr] = []
    for instr in instrs:
        if instr.op.name == "checkpoint":
            found += _emitted_once(instr)
            continue
        if instr.regions:
            regions = tuple(Region(r.params, inlined(r.instrs), r.results) for r in instr.regions)
            instr = Instr(instr.op, instr.operands, instr.results, instr.attrs, regions, instr.span)
        found.append(instr)
    return tuple(found)


def _emitted_once(group: Instr) -> list[Instr]:
    """The instructions of a `checkpoint` region under new names, its own being those of the way back; results keep theirs."""
    (region,) = group.regions
    escaping = dict(zip(region.results, group.results, strict=True))
    env: Env = {}
    made: list[Instr] = []
    for instr in inlined(region.instrs):
        copied = copy_instr(instr, env)
        kept = [escaping.get(r) for r in instr.results]
        if any(v is not None for v in kept):
            results = tuple([new if old is None else old for old, new in zip(kept, copied.results, strict=True)])
            env.update(zip(instr.results, results, strict=True))
            copied = Instr(copied.op, copied.operands, results, copied.attrs, copied.regions, copied.span)
        made.append(copied)
    return made
