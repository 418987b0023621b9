"""Where tangents flow in a linear part: which stacks it pops, and whether a cotangent may become zero on its way back."""

from __future__ import annotations

from wengert.ir.core import Value
from wengert.transforms.callee import ReverseCallees
from wengert.transforms.linearize import Block, CallKey, LinearCall, LinearGroup, LinearIf, LinearOp
from wengert.types import StackType

MASKING = frozenset({"select", "zmul", "update", "scatter", "gather", "resize"})
"""Ops whose transposes put exact zeros into cotangents."""


def is_popped(block: Block, stacks: set[Value], callees: ReverseCallees, inside: frozenset[CallKey] = frozenset()) -> bool:
    """Whether the linear part of `block` pops one of `stacks`; adds to `stacks` what they become.

    Args:
        block: a block.
        stacks: tangents of stacks.
        callees: what calls lead to.
        inside: the calls that have been entered: a recursive one shows nothing new.
    """
    for item in block.linear:
        if isinstance(item, LinearOp):
            if item.instr.operands[0] in stacks:
                if item.instr.op.name == "pop":
                    return True
                stacks.update(r for r in item.instr.results if isinstance(r.type, StackType))
        elif isinstance(item, LinearCall):
            if _call_pops(item, stacks, callees, inside):
                return True
        elif isinstance(item, LinearIf | LinearGroup):
            for arm, yields in zip(item.split.blocks, item.yields, strict=True):
                if is_popped(arm, stacks, callees, inside):
                    return True
                stacks.update(r for r, y in zip(item.results, yields, strict=True) if y in stacks)
        else:
            entering = [k for k, start in enumerate(item.init) if start in stacks]
            if is_popped(item.split.blocks[0], {item.params[k] for k in entering}, callees, inside):
                return True
            stacks.update(item.results[k] for k in entering)
    return False


def _call_pops(item: LinearCall, stacks: set[Value], callees: ReverseCallees, inside: frozenset[CallKey]) -> bool:
    key = item.split.key
    assert key is not None
    callee = callees[key]
    entering = {callee.tangents[j] for j, operand in enumerate(item.operands) if operand in stacks}
    if not entering or key in inside:
        return False
    if is_popped(callee.block, entering, callees, inside | {key}):
        return True
    for k, result in zip(key.results, item.results, strict=True):
        if callee.block.tangents.get(callee.fn.results[k]) in entering:
            stacks.add(result)
    return False


def has_select(block: Block) -> bool:
    """Whether a cotangent that flows through `block`, calls left out, may pass an op that puts zeros into it."""
    for item in block.linear:
        if isinstance(item, LinearOp):
            if item.instr.op.name in MASKING:
                return True
        elif any(has_select(inner) for inner in item.split.blocks):
            return True
    return False
