"""Loop carries that never change, and results of `if` that do not depend on the path, become what they always are.

A carry is invariant if every trip yields the carry itself or its initial value. The result of an `if` whose arms yield one
and the same outer value is that value; scalars that both arms take from outside become a `select`.
"""

from __future__ import annotations

from collections.abc import Sequence

from wengert.ir.core import Function, Instr, Region, Value
from wengert.ir.rewriter import RewriteBuilder, Rewriter
from wengert.types import StackType


def carries(fn: Function) -> Function:
    """`fn` without carries that keep their initial value and without `if` results that are the same on both paths."""
    return _Carries().function(fn)


class _Carries(Rewriter):
    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        if instr.op.name in ("for", "while"):
            instr = self.drop_invariant(instr)
        elif instr.op.name == "if":
            instr = self.drop_common(b, instr)
            if instr.op.name == "if" and not instr.results and not any(r.instrs for r in instr.regions):
                return
        b.append(self.rebuild(instr))

    # --- loops --------------------------------------------------------------------------------------------------

    def drop_invariant(self, instr: Instr) -> Instr:
        """The loop without the carries that keep their initial value; uses of those go to the initial values."""
        first = 1 if instr.op.name == "for" else 0
        body = instr.regions[-1]
        init = instr.operands[first:]
        constant = [
            body.results[k] is body.params[first + k] or body.results[k] is init[k] for k in range(len(instr.results))
        ]
        constant = self.without_pinned(instr, body, constant, first)
        if not any(constant):
            return instr
        for k, is_constant in enumerate(constant):
            if is_constant:
                value = self.env.get(init[k], init[k])
                self.env[instr.results[k]] = value
                for region in instr.regions:
                    self.env[region.params[first + k]] = value
        keep = [k for k, is_constant in enumerate(constant) if not is_constant]
        regions = [_loop_region(r, keep, first) for r in instr.regions]
        if instr.op.name == "while":
            regions[0] = Region(regions[0].params, regions[0].instrs, instr.regions[0].results)
        operands = (*instr.operands[:first], *(init[k] for k in keep))
        results = tuple(instr.results[k] for k in keep)
        return Instr(instr.op, operands, results, instr.attrs, tuple(regions), instr.span)

    def without_pinned(self, instr: Instr, body: Region, constant: list[bool], first: int) -> list[bool]:
        """Carries stay whose type has a size that is carried and does change: they cannot be constant (checked for safety)."""
        changing = {body.params[first + k] for k, is_constant in enumerate(constant) if not is_constant}
        return [
            is_constant and not any(s in changing for s in body.params[first + k].type.symbols())
            for k, is_constant in enumerate(constant)
        ]

    # --- if -----------------------------------------------------------------------------------------------------

    def drop_common(self, b: RewriteBuilder, instr: Instr) -> Instr:
        """The `if` without results that both arms take from outside."""
        then, otherwise = instr.regions
        inner = {v for region in instr.regions for i in region.instrs for v in i.results}
        keep: list[int] = []
        referred = {s for r in instr.results for s in r.type.symbols()}
        for k, result in enumerate(instr.results):
            first, second = then.results[k], otherwise.results[k]
            outside = first not in inner and second not in inner and result not in referred
            value = self.merge(b, instr.operands[0], first, second) if outside else None
            if value is None or not self.can_replace(result, value):
                keep.append(k)
            else:
                self.env[result] = value
        if len(keep) == len(instr.results):
            return instr
        regions = tuple(Region((), r.instrs, tuple(r.results[k] for k in keep)) for r in instr.regions)
        return Instr(instr.op, instr.operands, tuple(instr.results[k] for k in keep), instr.attrs, regions, instr.span)

    def merge(self, b: RewriteBuilder, predicate: Value, first: Value, second: Value) -> Value | None:
        """One value for a result whose arms give outer values: that value, or a `select` of two scalars."""
        first, second = self.env.get(first, first), self.env.get(second, second)
        if first is second:
            return first
        if isinstance(first.type, StackType) or first.type != second.type or first.rank:
            return None
        return b.select(self.env.get(predicate, predicate), first, second)  # type: ignore[no-any-return]


def _loop_region(region: Region, keep: Sequence[int], first: int) -> Region:
    params = (*region.params[:first], *(region.params[first + k] for k in keep))
    results = region.results if len(region.results) != len(region.params) - first else tuple(region.results[k] for k in keep)
    return Region(params, region.instrs, results)


