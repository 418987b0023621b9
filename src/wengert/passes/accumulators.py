"""Sums at one place of an array in a loop are taken in a register and added to the array once.

`for j in range(n): bar[i] += ...`, which reverse mode makes of every read of `x[i]` in a loop over j, becomes a sum of numbers
and one addition behind the loop, if the loop runs at all. The sum is an `add_at` to a number: unlike sums that the user wrote,
it may be taken in any order, which lets the loop be vectorised.
"""

from __future__ import annotations

from dataclasses import dataclass

from wengert.ir.builder import Builder
from wengert.ir.core import Function, Instr, Region, Value, free_values, walk
from wengert.ir.op import get_op
from wengert.ir.rewriter import RewriteBuilder, Rewriter
from wengert.types import F64, F64_SCALAR, TensorType


def accumulators(fn: Function) -> Function:
    """`fn` with sums in registers where loops add to one place."""
    if not any(i.op.name == "add_at" for i in walk(fn.instrs)):
        return fn
    return _Accumulators().function(fn)


@dataclass(frozen=True)
class _Sum:
    """Carry `position` of a loop to which only `write` adds, at a place that is the same in all trips."""

    position: int
    write: Instr


class _Accumulators(Rewriter):
    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        found = _sums(instr) if instr.op.name == "for" else []
        if not found:
            b.append(self.rebuild(instr))
            return
        arrays = {s.position: self.env.get(instr.operands[1 + s.position], instr.operands[1 + s.position]) for s in found}
        loop = _in_registers(instr, found, b.const(0.0))
        b.append(self.rebuild(loop))
        runs = b.gt(self.env.get(instr.operands[0], instr.operands[0]), b.const(0))
        for entry in found:
            total = self.env.get(loop.results[entry.position], loop.results[entry.position])
            places = [self.env.get(o, o) for o in entry.write.operands[2:]]
            then = Builder(instr.span)
            array = arrays[entry.position]
            added = then.emit(entry.write.op, [array, total, *places], dict(entry.write.attrs))
            arms = [Region((), tuple(then.instrs), added), Region((), (), (array,))]
            name = instr.results[entry.position].name
            (self.env[instr.results[entry.position]],) = b.emit(get_op("if"), [runs], {}, arms, [name])


def _sums(loop: Instr) -> list[_Sum]:
    """The carries of a loop that can be numbers."""
    (body,) = loop.regions
    found: list[_Sum] = []
    inside: set[Value] | None = None
    for k, (param, result) in enumerate(zip(body.params[1:], body.results, strict=True)):
        if not isinstance(param.type, TensorType) or not param.rank or param.tensor.dtype is not F64:
            continue
        write = next((i for i in body.instrs if i.results and i.results[0] is result), None)
        if write is None or write.op.name != "add_at" or write.operands[0] is not param or write.operands[1].rank:
            continue
        inside = inside or {*body.params, *(r for i in body.instrs for r in i.results)}
        if not inside.isdisjoint(write.operands[2:]):
            continue
        if _uses(param, body) == 1 and _uses(result, body) == 1:
            found.append(_Sum(k, write))
    return found


def _uses(value: Value, body: Region) -> int:
    """How often a loop body uses a value."""
    count = body.results.count(value)
    for instr in body.instrs:
        count += instr.operands.count(value) + sum(value in free_values(r) for r in instr.regions)
    return count


def _in_registers(loop: Instr, sums: list[_Sum], zero: Value) -> Instr:
    """The loop with numbers for the arrays that it adds to."""
    (body,) = loop.regions
    params, results = list(body.params), list(loop.results)
    operands, instrs, yields = list(loop.operands), list(body.instrs), list(body.results)
    for entry in sums:
        k, write = entry.position, entry.write
        name = loop.results[k].name
        operands[1 + k] = zero
        params[1 + k] = Value(F64_SCALAR, name)
        results[k] = Value(F64_SCALAR, name)
        yields[k] = Value(F64_SCALAR, write.result.name)
        added = Instr(write.op, (params[1 + k], write.operands[1]), (yields[k],), {"spec": ()}, (), write.span)
        instrs[instrs.index(write)] = added
    region = Region(tuple(params), tuple(instrs), tuple(yields))
    return Instr(loop.op, tuple(operands), tuple(results), loop.attrs, (region,), loop.span)
