"""Loops of a few trips, known in number, are written out: their indices are constants then, and equal work is merged."""

from __future__ import annotations

from wengert.ir.builder import Builder
from wengert.ir.core import Function, Instr, Region, Value, walk
from wengert.ir.rewrite import Env, emit_copy, lookup
from wengert.ir.rewriter import RewriteBuilder, Rewriter

MOST_TRIPS = 4
# Instructions that a loop may become: what is written out has to be compiled as well.
MOST_INSTRS = 400


def unroll(fn: Function) -> Function:
    """`fn` with loops of up to four known trips written out, innermost first."""
    if not any(_may_unroll(i) for i in walk(fn.instrs)):
        return fn
    return _Unroll().function(fn)


def _may_unroll(loop: Instr) -> bool:
    if loop.op.name != "for":
        return False
    count, (body,) = loop.operands[0].affine, loop.regions
    if not isinstance(count, int) or not 1 <= count <= MOST_TRIPS:
        return False
    if count * sum(1 for _ in walk(body.instrs)) > MOST_INSTRS:
        return False
    # A carry whose size is another carry would have another type in each trip.
    own = set(body.params)
    return not any(s in own for p in body.params for s in p.type.symbols())


class _Unroll(Rewriter):
    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        rebuilt = self.rebuild(instr)
        if not _may_unroll(rebuilt) or not self.replaceable(instr, rebuilt):
            b.append(rebuilt)
            return
        values = _written_out(b, rebuilt)
        for old, value in zip(instr.results, values, strict=True):
            self.env[old] = value

    def replaceable(self, old: Instr, new: Instr) -> bool:
        """Whether what uses the results may use the carries of the last trip: no type refers to them."""
        return self.pinned.isdisjoint(old.results) and self.pinned.isdisjoint(new.results)


def _written_out(b: RewriteBuilder, loop: Instr) -> tuple[Value, ...]:
    """The carries after all trips, one emitted after the other."""
    (body,) = loop.regions
    count = loop.operands[0].affine
    assert isinstance(count, int)
    carries = loop.operands[1:]
    for trip in range(count):
        b.span = loop.span
        env: Env = dict(zip(body.params, (b.const(trip), *carries), strict=True))
        copy = Builder(loop.span)
        copy.functions = b.functions
        _copied(copy, body, env)
        for instr in copy.instrs:
            b.append(instr)
        carries = tuple(lookup(env, r) for r in body.results)
    return carries


def _copied(b: Builder, body: Region, env: Env) -> None:
    for instr in body.instrs:
        b.span = instr.span or b.span
        emit_copy(b, instr, env)
