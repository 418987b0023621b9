"""Which primal values may be infinite or nan at finite inputs: results of divisions, exponentials, roots, and what they reach.

Only a product of such a value with a cotangent that may be an exact zero has to treat zero as stronger than infinity (the
`masked_transpose` rules); all other products stay plain.
"""

from __future__ import annotations

from collections.abc import Sequence

from wengert.ir.core import Instr, Region, Value
from wengert.transforms.activity import ARMS, loop_parts
from wengert.transforms.linearize import Block, PrimalItem

# Bounded or integer-valued whatever their operands are: they stop the spread.
_BOUNDED = frozenset({"sin", "cos", "tanh", "arctan", "arctan2", "sign", "lt", "le", "gt", "ge", "eq", "ne", "attains"})
# Finite operands give a finite result, short of overflow by multiplication.
_TAME = frozenset(
    {"add", "sub", "mul", "zmul", "neg", "abs", "maximum", "minimum", "select", "floor", "ceil", "trunc", "round", "sin"}
    | {"cos", "tanh", "arctan", "arctan2", "sign", "arcsinh", "convert", "stop_gradient", "floordiv", "mod"}
)


def singular_values(block: Block) -> set[Value]:
    """The values of the linearised `block`, coefficients of its linear part included, that may be singular."""
    found: set[Value] = set()
    _spread(block.primal, found)
    return found


def _spread(items: Sequence[PrimalItem], found: set[Value]) -> None:
    for item in items:
        if isinstance(item, Instr):
            instr = item
            bodies: list[tuple[Sequence[PrimalItem], Region]] = [(r.instrs, r) for r in item.regions]
        else:
            instr = item.instr
            regions = instr.regions if instr.op.name in ARMS else instr.regions[-1:]
            bodies = [(b.primal, r) for b, r in zip(item.blocks, regions, strict=True)]
        if not instr.regions:
            if _is_singular(instr, found):
                found.update(r for r in instr.results if r.is_float)
        elif instr.op.name in ARMS:
            for inner, region in bodies:
                _spread(inner, found)
                _union(found, region.results, instr.results)
        else:
            _spread_loop(instr, bodies[-1], found)


def _spread_loop(instr: Instr, body: tuple[Sequence[PrimalItem], Region], found: set[Value]) -> None:
    items, region = body
    _, init, carry = loop_parts(instr)
    _union(found, init, carry)
    while True:
        _spread(items, found)
        if not _union(found, region.results, carry):
            break
    _union(found, carry, instr.results)


def _union(found: set[Value], sources: Sequence[Value], targets: Sequence[Value]) -> bool:
    new = [t for s, t in zip(sources, targets, strict=True) if s in found and t not in found]
    found.update(new)
    return bool(new)


def _is_singular(instr: Instr, found: set[Value]) -> bool:
    op = instr.op
    if op.name in _BOUNDED or op.kind == "constant":
        return False
    if any(o in found for o in instr.operands):
        return True
    if op.name in ("pop", "call"):
        return True
    return op.kind == "elementwise" and op.name not in _TAME
