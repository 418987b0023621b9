"""Index checks that leave a loop: where the index is the same in all trips, or goes up by one, one check in front is enough.

The loop must hold no other effect than these, and checks of what is the same in all trips, which go along; and nothing may use
what the checks give (which is so for an index that is known not to be negative). Nothing else that the program does can then
come between the place of the check and the trip that would raise. Of several indices that are out of range in one loop, another
one may be named.
"""

from __future__ import annotations

from wengert.ir.calls import has_effects
from wengert.ir.core import Function, Instr, Region, Value, walk
from wengert.ir.op import get_op
from wengert.ir.rewriter import RewriteBuilder, Rewriter
from wengert.types import Dim


def checks(fn: Function) -> Function:
    """`fn` with index checks in front of the loops whose trips they need not see."""
    if not any(i.op.name == "wrap_index" for i in walk(fn.instrs)):
        return fn
    return _Checks(fn).function(fn)


class _Checks(Rewriter):
    def __init__(self, fn: Function) -> None:
        super().__init__()
        self.used: set[object] = set(fn.results)
        for instr in walk(fn.instrs):
            self.used.update(instr.operands)
            for region in instr.regions:
                self.used.update(region.results)
                self.used.update(s for p in region.params for s in p.type.symbols())
            self.used.update(s for r in instr.results for s in r.type.symbols())

    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        if instr.op.name == "for":
            instr = self.relieved(b, instr)
        b.append(self.rebuild(instr))

    def relieved(self, b: RewriteBuilder, loop: Instr) -> Instr:
        """The loop without its index checks, which are emitted in front of it; the loop itself if one has to stay."""
        body = loop.regions[0]
        found = [i for i in body.instrs if has_effects(i)]
        inner = any(has_effects(i) for outer in body.instrs for r in outer.regions for i in walk(r.instrs))
        if not found or inner:
            return loop
        inside = {*body.params, *(r for i in body.instrs for r in i.results)}
        steps = [self.step(check, body, inside) for check in found]
        if None in steps:
            return loop
        # What the first trip would raise comes before what later ones would.
        mixed = any(i.op.name == "check" for i in found)
        if mixed:
            for check in found:
                self.in_front(b, loop, check, moves=False)
        for check, step in zip(found, steps, strict=True):
            if step or not mixed:
                self.in_front(b, loop, check, moves=bool(step))
        kept = tuple(i for i in body.instrs if i not in found)
        return Instr(loop.op, loop.operands, loop.results, loop.attrs, (Region(body.params, kept, body.results),), loop.span)

    def step(self, check: Instr, body: Region, inside: set[Value]) -> int | None:
        """By how much the index of a check grows in a trip, 0 or 1 (0: it is the same in all trips); None for any other check."""
        if check.op.name == "check":
            return 0 if inside.isdisjoint(check.operands) and not any(o.rank for o in check.operands) else None
        if check.op.name != "wrap_index" or check.result in self.used:
            return None
        position, size = check.operands
        if size in inside:
            return None
        if position not in inside:
            return 0
        form, index = position.affine, body.params[0]
        if not isinstance(form, Dim):
            return None
        slopes = dict(form.terms)
        if slopes.pop(index, None) != 1 or any(s in inside for s in slopes) or not all(isinstance(s, Value) for s in slopes):
            return None
        return 1

    def in_front(self, b: RewriteBuilder, loop: Instr, check: Instr, moves: bool) -> None:
        """The check of all trips, of the first index that is out of range; or, unless it `moves`, that of the first trip."""
        count, *operands = (self.env.get(o, o) for o in (loop.operands[0], *check.operands))
        b.span = check.span
        zero, one = b.const(0), b.const(1)
        runs = b.gt(count, zero)
        if check.op.name == "check":
            passes = getattr(b, "or")(operands[0], b.le(count, zero))
            b.emit(check.op, [passes, *operands[1:]], dict(check.attrs))
            b.span = loop.span
            return
        (position, size), wrong = operands, runs
        form, index = check.operands[0].affine, loop.regions[0].params[0]
        if isinstance(form, Dim) and any(s is index for s, _ in form.terms):
            position = self.start(b, form, index)
        if moves:
            too_low = b.lt(position, b.neg(size))
            too_high = b.ge(b.add(position, b.sub(count, one)), size)
            wrong = getattr(b, "and")(runs, getattr(b, "or")(too_low, too_high))
            position = b.select(too_low, position, b.maximum(position, size))
        b.emit(get_op("wrap_index"), [b.select(wrong, position, zero), b.select(wrong, size, one)], dict(check.attrs))
        b.span = loop.span

    def start(self, b: RewriteBuilder, form: Dim, index: Value) -> Value:
        """The index of the first trip."""
        total: Value = b.const(form.const)
        for symbol, slope in form.terms:
            if symbol is not index:
                assert isinstance(symbol, Value)
                total = b.add(total, b.mul(self.env.get(symbol, symbol), b.const(slope)))
        return total
