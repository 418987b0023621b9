"""Loop carries that need not be carried, and results of `if` that do not depend on the path, become what they always are.

A carry is invariant if every trip yields the carry itself or its initial value. A counter of a `for` (an integer that grows by
a constant in each trip) is its initial value plus a multiple of the index. The result of an `if` whose arms yield one
and the same outer value is that value; scalars that both arms take from outside become a `select`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wengert.ir.core import Function, Instr, Region, Value
from wengert.ir.rewriter import RewriteBuilder, Rewriter
from wengert.types import I64_SCALAR, StackType, dim_add


def carries(fn: Function) -> Function:
    """`fn` without carries that keep their initial value and without `if` results that are the same on both paths."""
    return _Carries().function(fn)


@dataclass(frozen=True)
class _Counter:
    """Carry `param` of a `for`, which is `init + step * index`."""

    param: Value
    init: Value
    step: int


class _Carries(Rewriter):
    def __init__(self) -> None:
        super().__init__()
        self.counters: dict[Region, list[_Counter]] = {}

    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        if instr.op.name in ("for", "while"):
            instr = self.drop_invariant(instr)
            if instr.op.name == "for":
                instr = self.drop_counters(b, instr)
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
        constant = [body.results[k] is body.params[first + k] or body.results[k] is init[k] for k in range(len(instr.results))]
        if not any(constant):
            return instr
        for k, is_constant in enumerate(constant):
            value = self.env.get(init[k], init[k])
            olds = [instr.results[k], *(r.params[first + k] for r in instr.regions)]
            constant[k] = is_constant and all(self.can_replace(old, value) for old in olds)
            if constant[k]:
                self.env.update(dict.fromkeys(olds, value))
        if not any(constant):
            return instr
        return _with_carries(instr, [k for k, is_constant in enumerate(constant) if not is_constant])

    def drop_counters(self, b: RewriteBuilder, instr: Instr) -> Instr:
        """The `for` without its counters; they are computed from the index."""
        body = instr.regions[0]
        sizes = {s for p in body.params for s in p.type.symbols()}
        counters: dict[int, _Counter] = {}
        for k, result in enumerate(instr.results):
            param, init = body.params[1 + k], instr.operands[1 + k]
            step = dim_add(body.results[k].affine, param.affine, -1) if param.type == I64_SCALAR else None
            # A size that other carries refer to by position stays.
            if isinstance(step, int) and param not in sizes and result not in self.pinned:
                counters[k] = _Counter(param, self.env.get(init, init), step)
        if not counters:
            return instr
        trips = b.maximum(self.env.get(instr.operands[0], instr.operands[0]), b.const(0))
        for k, counter in counters.items():
            self.env[instr.results[k]] = b.add(counter.init, b.mul(trips, b.const(counter.step)))
        trimmed = _with_carries(instr, [k for k in range(len(instr.results)) if k not in counters])
        self.counters[trimmed.regions[0]] = list(counters.values())
        return trimmed

    def enter(self, b: RewriteBuilder, params: tuple[Value, ...], region: Region) -> None:
        """Compute the dropped counters at the beginning of the body."""
        for counter in self.counters.get(region, ()):
            value = b.add(counter.init, b.mul(params[0], b.const(counter.step)))
            value.name = counter.param.name
            self.env[counter.param] = value

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
        return b.select(self.env.get(predicate, predicate), first, second)


def _with_carries(instr: Instr, keep: Sequence[int]) -> Instr:
    """A loop with only the carries at the positions `keep`."""
    first = 1 if instr.op.name == "for" else 0
    regions: list[Region] = []
    for number, region in enumerate(instr.regions):
        params = (*region.params[:first], *(region.params[first + k] for k in keep))
        is_condition = instr.op.name == "while" and number == 0
        results = region.results if is_condition else tuple(region.results[k] for k in keep)
        regions.append(Region(params, region.instrs, results))
    operands = (*instr.operands[:first], *(instr.operands[first + k] for k in keep))
    return Instr(instr.op, operands, tuple(instr.results[k] for k in keep), instr.attrs, tuple(regions), instr.span)
