"""Derivatives of a recorded list of instructions, computed at once on the rules in `ops`.

The list has no regions, so nothing needs to be stored: every primal value is still there. Each instruction is linearised
and transposed by the same code that serves the compiled mode, on a builder that runs what it is given.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence

from wengert.ir.builder import Builder
from wengert.ir.core import Instr, Value
from wengert.transforms.activity import active_values
from wengert.transforms.jvp import tangent_of_instr
from wengert.transforms.linearize import Block, LinearOp, SplitBuilder
from wengert.transforms.primal import Primal
from wengert.transforms.residuals import Frame, Residuals
from wengert.transforms.transpose import Transposer


class _RunningSplitBuilder(SplitBuilder):
    """Runs the primal part of a rule on `runner` and keeps the linear part."""

    def __init__(self, block: Block, tangent_values: set[Value], runner: Builder) -> None:
        super().__init__(block, tangent_values)
        self.runner = runner

    def emit(self, op, operands, attrs=None, regions=(), names=()):  # type: ignore[no-untyped-def]
        """Emit into the part that the instruction belongs to."""
        if any(o in self.tangent_values for o in operands):
            return super().emit(op, operands, attrs, regions, names)
        self.runner.span = self.span
        return self.runner.emit(op, operands, attrs, regions, names)


def pull_back(
    builder: Builder, instrs: Sequence[Instr], results: Sequence[Value], seeds: Sequence[Value], wrt: Sequence[Value]
) -> list[Value]:
    """Cotangents of `wrt`, given those of `results`; everything is run by `builder`.

    Args:
        builder: runs (and may record) the instructions of the reverse pass.
        instrs: the recorded list, free of regions.
        results: float values made by it (or among `wrt`).
        seeds: their cotangents.
        wrt: float values that the list started from.
    """
    active = active_values(instrs, wrt, results)
    tangent_values: set[Value] = set()
    transposer = Transposer(Residuals(Frame(Block()), {}, {}), tangent_values, Primal())
    scope = transposer.top_scope(builder)
    # One tangent name per active value; it stands for the value's cotangent and has no data.
    tangents = {v: Value(v.type, v.name) for v in active}
    cotangents: dict[Value, Value] = {}
    tangent_values.update(tangents.values())
    for result, seed in zip(results, seeds, strict=True):
        if result in tangents:
            transposer.add(builder, cotangents, tangents[result], seed)
    for instr in reversed(instrs):
        if len(instr.results) != 1 or instr.result not in active:
            continue
        known = cotangents.pop(tangents[instr.result], None)
        if known is None:
            continue
        builder.span = instr.span
        block = Block(tangents=ChainMap({o: tangents[o] for o in instr.operands if o in active}))
        split = _RunningSplitBuilder(block, tangent_values, builder)
        split.span = instr.span
        tangent = tangent_of_instr(split, instr, block.tangents)
        if tangent is None:
            continue
        transposer.add(builder, cotangents, tangent, known)
        for item in reversed(block.linear):
            assert isinstance(item, LinearOp)
            transposer.leaf(item.instr, cotangents, scope)
            tangent_values.difference_update(item.instr.results)
    found = [cotangents.get(tangents[v]) if v in tangents else None for v in wrt]
    return [builder.zeros_like(v) if ct is None else ct for v, ct in zip(wrt, found, strict=True)]


def push_forward(
    builder: Builder, instrs: Sequence[Instr], results: Sequence[Value], wrt: Sequence[Value], seeds: Sequence[Value]
) -> list[Value]:
    """Tangents of the float `results`, given the tangents `seeds` of `wrt`; everything is run by `builder`."""
    active = active_values(instrs, wrt, results)
    tangents = dict(zip(wrt, seeds, strict=True))
    for instr in instrs:
        if len(instr.results) == 1 and instr.result in active:
            builder.span = instr.span
            tangent = tangent_of_instr(builder, instr, tangents)
            if tangent is not None:
                tangents[instr.result] = tangent
    return [tangents[r] if r in tangents else builder.zeros_like(r) for r in results]
