"""Reverse mode across calls, recursive ones included: each function that is differentiated becomes a way there and a way back.

The one idea: stacks. What a call must remember goes to stacks that are made once, outside of all calls, and threaded through
them. The way back makes its calls in exactly the opposite order, so it finds on top what it needs. Functions that call each
other thread all of each other's stacks. A function whose block stores something pushes it last, and its way back pops first.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping
from typing import Any

from wengert.ir.builder import Builder
from wengert.ir.calls import Signature, signature_of, unused_name
from wengert.ir.core import Function, Instr, Value
from wengert.ir.op import get_op
from wengert.ir.rewrite import substitute_type
from wengert.transforms.activity import Callees, active_values, tangent_type
from wengert.transforms.callee import ReverseCallee
from wengert.transforms.jvp import fresh_copy, tangent_name
from wengert.transforms.linearize import CallKey, Linearizer, Split
from wengert.transforms.primal import Primal, emit_callee, find_calls, stack_type
from wengert.transforms.residuals import Residuals, plan_residuals
from wengert.transforms.stack_flow import has_select
from wengert.transforms.transpose import Cotangents, Transposer
from wengert.transforms.transpose_call import fit
from wengert.types import I64_SCALAR, Slot, StackType, Type


class ReverseProgram:
    """The callees of one program in reverse mode.

    Attributes:
        calls: activity across calls.
        callees: by name and pattern.
        plans: what each callee stores.
        stack_types: of each stack that calls thread.
        tangent_values: every tangent, those of the outermost function included.
        masks: whether cotangents that enter or leave a call may hold exact zeros that win against infinity.
        made_zero: whether a way back has been called with such zeros.
    """

    def __init__(self, functions: Mapping[str, Function], tangent_values: set[Value], masks: bool) -> None:
        self.masks = masks
        self.made_zero = False
        self.calls = Callees(functions)
        self.callees: dict[CallKey, ReverseCallee] = {}
        self.plans: dict[CallKey, Residuals] = {}
        self.stack_types: dict[Split, StackType] = {}
        self.tangent_values = tangent_values

    def prepare(self, keys: Iterable[CallKey], functions: dict[str, Function]) -> None:
        """Linearise and plan everything that calls with the patterns `keys` lead to; names are taken in `functions`."""
        pending = list(keys)
        while pending:
            key = pending.pop()
            if key not in self.callees:
                self.callees[key], called = self._linearized(key)
                pending += called
        for callee in self.callees.values():
            for suffix in ("fwd", "bwd"):
                name = unused_name(f"{callee.key.name}_{suffix}", functions)
                functions[name] = callee.fn
                callee.names = (*callee.names[1:], name)
        self.masks = self.masks or any(has_select(callee.block) for callee in self.callees.values())
        self._plan()
        self._thread_stacks()
        for callee in self.callees.values():
            self._declare(callee)

    def _linearized(self, key: CallKey) -> tuple[ReverseCallee, list[CallKey]]:
        fn = fresh_copy(self.calls.functions[key.name])
        wanted = [fn.params[k] for k in key.moving]
        outputs = [fn.results[k] for k in key.results]
        linearizer = Linearizer(active_values(fn.instrs, wanted, outputs, self.calls), self.calls, self.tangent_values)
        tangents = [Value(tangent_type(p.type), tangent_name(p)) for p in wanted]
        self.tangent_values.update(tangents)
        block = linearizer.block(fn.instrs, ChainMap(dict(zip(wanted, tangents, strict=True))))
        own = Split(Instr(get_op("call"), (), (), {}, (), fn.span), (block,))
        return ReverseCallee(key, fn, own, block, tangents), list(linearizer.keys)

    # --- plans ------------------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        """Plan all callees until none of them reads more of its parameters than its callers know of."""
        for callee in self.callees.values():
            self._require(callee, [])
        while True:
            before = [list(callee.inputs) for callee in self.callees.values()]
            for key, callee in self.callees.items():
                fn = callee.fn
                plan = plan_residuals(
                    callee.block, self.tangent_values, self.callees, callee.own, frozenset((*fn.dims, *fn.params))
                )
                self.plans[key] = plan
                self._require(callee, list(plan.top.used))
            if before == [callee.inputs for callee in self.callees.values()]:
                return

    def _require(self, callee: ReverseCallee, used: Iterable[Value]) -> None:
        """Add `used`, and the sizes that types of the way back refer to, to what it reads."""
        fn = callee.fn
        inputs: dict[Value, None] = dict.fromkeys([*callee.inputs, *used])
        plain = signature_of(fn).results
        for k in callee.key.results:
            declared = plain[k]
            for symbol in declared.symbols():
                if isinstance(symbol, Slot) and not isinstance(declared, StackType):
                    callee.sizes.setdefault(symbol.index, Value(I64_SCALAR, fn.results[symbol.index].name))
        types: list[Type] = [v.type for v in inputs]
        types += [fn.params[k].type for k in callee.key.moving] + [plain[k] for k in callee.key.results]
        pending = [s for t in types for s in t.symbols() if isinstance(s, Value)]
        inputs.update(dict.fromkeys(pending))
        order = {v: k for k, v in enumerate((*fn.dims, *fn.params))}
        callee.inputs = sorted(inputs, key=lambda v: (isinstance(v.type, StackType) or v.rank > 0, order[v]))

    def _thread_stacks(self) -> None:
        """Find the stacks of each callee: its own, and those of all that it calls."""
        for key, callee in self.callees.items():
            frames = {callee.own: self.plans[key].top, **self.plans[key].frames}
            for split, frame in frames.items():
                if frame.stored:
                    callee.stacks.append(split)
                    self.stack_types[split] = stack_type(frame)
        while True:
            changed = False
            for callee in self.callees.values():
                found = dict.fromkeys(callee.stacks)
                for key in find_calls(callee.block):
                    found.update(dict.fromkeys(self.callees[key].stacks))
                changed = changed or len(found) > len(callee.stacks)
                callee.stacks = list(found)
            if not changed:
                return

    # --- the two halves -----------------------------------------------------------------------------------------------

    def _declare(self, callee: ReverseCallee) -> None:
        """Make the parameters and signatures of both halves."""
        fn, stacks = callee.fn, [self.stack_types[k] for k in callee.stacks]
        plain = signature_of(fn).results
        there = Signature(fn.dims, (*fn.params, *(Value(t, "residuals") for t in stacks)), (*plain, *stacks))
        env = {fn.results[k]: size for k, size in callee.sizes.items()}
        for k in callee.key.results:
            result = fn.results[k]
            callee.bars.append(Value(substitute_type(env, tangent_type(result.type)), f"{result.name}_bar"))
        for k in callee.key.moving:
            param = fn.params[k]
            if not isinstance(param.type, StackType) and param.rank:
                callee.gathered[k] = Value(param.type, f"{param.name}_bar")
        params = (*callee.inputs, *callee.sizes.values(), *callee.bars, *callee.gathered.values())
        results = tuple(tangent_type(fn.params[k].type) for k in callee.key.moving)
        back = Signature((), (*params, *(Value(t, "residuals") for t in stacks)), (*results, *stacks))
        callee.signatures = (there, back)

    def emit(self) -> dict[str, Function]:
        """Both halves of all callees."""
        found: dict[str, Function] = {}
        for key, callee in self.callees.items():
            primal, there = self._way_there(callee, self.plans[key])
            for fn in (there, self._way_back(callee, self.plans[key], primal)):
                found[fn.name] = fn
        return found

    def _way_there(self, callee: ReverseCallee, plan: Residuals) -> tuple[Primal, Function]:
        fn, builder = callee.fn, Builder(callee.fn.span)
        params = {k: Value(self.stack_types[k], "residuals") for k in callee.stacks}
        primal = emit_callee(builder, plan, self.callees, params)
        results = (*fn.results, *(primal.stacks[k] for k in callee.stacks))
        instrs = tuple(builder.instrs)
        return primal, Function(callee.names[0], fn.dims, (*fn.params, *params.values()), instrs, results, fn.span)

    def _way_back(self, callee: ReverseCallee, plan: Residuals, primal: Primal) -> Function:
        fn, builder = callee.fn, Builder(callee.fn.span)
        params = {k: Value(self.stack_types[k], "residuals") for k in callee.stacks}
        there = Primal(dict(params), {}, primal.loops_inside)
        transposer = Transposer(plan, self.tangent_values, there, None, self.callees)
        transposer.call_masks = self.masks
        if self.masks:
            transposer.masked.update((*callee.bars, *callee.gathered.values()))
        scope = transposer.top_scope(builder)
        scope.names.update((fn.results[k], size) for k, size in callee.sizes.items())
        if plan.top.stored:
            transposer.pop_entry(plan.top, callee.own, scope)
        cotangents: Cotangents = {}
        for k, tangent in zip(callee.key.moving, callee.tangents, strict=True):
            if k in callee.gathered:
                cotangents[tangent] = callee.gathered[k]
        for k, bar in zip(callee.key.results, callee.bars, strict=True):
            target = callee.block.tangents.get(fn.results[k])
            if target is not None:
                transposer.add(builder, cotangents, target, transposer.fitted(bar, target, scope))
        transposer.block(callee.block, cotangents, scope)
        results: list[Value] = []
        for k, tangent in zip(callee.key.moving, callee.tangents, strict=True):
            found = cotangents.get(tangent)
            declared = tangent_type(fn.params[k].type)
            results.append(builder.zeros_like(declared) if found is None else fit(builder, found, declared))
        self.made_zero = self.made_zero or transposer.made_zero
        given: tuple[Any, ...] = (*callee.inputs, *callee.sizes.values(), *callee.bars, *callee.gathered.values())
        results += [transposer.stacks[k] for k in callee.stacks]
        return Function(callee.names[1], (), (*given, *params.values()), tuple(builder.instrs), tuple(results), fn.span)
