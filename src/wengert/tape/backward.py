"""Derivatives of a recorded list of instructions, computed at once on the rules in `ops`.

The list has no regions, so nothing needs to be stored: every primal value is still there. Each kind of instruction is
linearised and transposed once, by the same code that serves the compiled mode; the steps are then run on the values.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any

from wengert.ir.builder import Builder
from wengert.ir.core import Instr, Value
from wengert.ir.op import get_op
from wengert.ir.rewrite import copy_region
from wengert.transforms.activity import active_values, differentiable_operands, refuse_cuts, refuse_missing_rule
from wengert.transforms.jvp import tangent_of_instr
from wengert.transforms.linearize import Block, LinearOp, SplitBuilder
from wengert.transforms.primal import Primal
from wengert.transforms.residuals import Frame, Residuals
from wengert.transforms.transpose import Transposer
from wengert.types import I64_SCALAR, Affine


class Step:
    """The reverse of one instruction, as a list of ops to run: made once per op, types and pattern of active operands.

    Its values are numbered: the operands, the result, the cotangent of the result, the accumulators of operands that are
    read in place, then what the code computes.

    Attributes:
        code: the instructions, with the numbers of their operands.
        outputs: operand position, number of its cotangent, and whether that is masked (see `Transposer.masked`).
        numbers: of the values in `code`.
    """

    def __init__(self, instr: Instr, moving: Sequence[int], masked: bool, accumulates: Sequence[int]) -> None:
        sizes = dict(size_operands(instr))
        operands = [Value(o.type, affine=sizes.get(k)) for k, o in enumerate(instr.operands)]
        formal = Instr(instr.op, tuple(operands), (Value(instr.result.type),), instr.attrs, (), instr.span)
        dots = {k: Value(operands[k].type) for k in moving}
        tangent_values = set(dots.values())
        block = Block()
        tangent = tangent_of_instr(SplitBuilder(block, tangent_values), formal, {operands[k]: d for k, d in dots.items()})
        builder = Builder()
        builder.instrs += [item for item in block.primal if isinstance(item, Instr)]
        transposer = Transposer(Residuals(Frame(Block()), {}, {}), tangent_values, Primal())
        seed = Value(instr.result.type)
        gathered = {k: Value(operands[k].type) for k in accumulates}
        if masked:
            transposer.masked.add(seed)
        cotangents = {dots[k]: acc for k, acc in gathered.items()}
        if tangent is not None:
            transposer.add(builder, cotangents, tangent, seed)
        scope = transposer.top_scope(builder)
        for item in reversed(block.linear):
            assert isinstance(item, LinearOp)
            transposer.leaf(item.instr, cotangents, scope)
        numbers = {v: n for n, v in enumerate((*operands, formal.result, seed, *gathered.values()))}
        self.code: list[tuple[Instr, list[int]]] = []
        for made in builder.instrs:
            self.code.append((made, [numbers[o] for o in made.operands]))
            for result in made.results:
                numbers[result] = len(numbers)
        found = [(k, cotangents[d]) for k, d in dots.items() if d in cotangents]
        self.outputs = [(k, numbers[ct], ct in transposer.masked) for k, ct in found]
        self.numbers = numbers

    def run(self, builder: Builder, values: list[Value]) -> None:
        """Run the code; `values` holds the values numbered so far and gains the others."""
        for instr, places in self.code:
            regions = instr.regions
            if regions:
                known = {v: values[n] for v, n in self.numbers.items() if n < len(values)}
                regions = tuple(copy_region(r, dict(known)) for r in regions)
            values += builder.emit(instr.op, [values[n] for n in places], instr.attrs, regions)


def size_operands(instr: Instr) -> tuple[tuple[int, Affine], ...]:
    """Operands that are sizes of the result or of a part, with their values: types depend on them."""
    operands = instr.operands
    if instr.op.kind == "shape":
        return tuple([(k, o.affine) for k, o in enumerate(operands) if o.type == I64_SCALAR])
    spec = instr.attrs.get("spec")
    if spec is None or "s" not in spec:
        return ()
    found = []
    place = len(operands) - sum([_OPERANDS_OF[entry] for entry in spec])
    for entry in spec:
        if entry == "s":
            found.append((place + 1, operands[place + 1].affine))
        place += _OPERANDS_OF[entry]
    return tuple(found)


_OPERANDS_OF = {"i": 1, "s": 3, ":": 0}


class _Steps:
    """A cache of steps; what cannot be a key (attributes that hold objects) is made anew."""

    def __init__(self, limit: int = 4096) -> None:
        self.limit = limit
        self.known: dict[Any, Step] = {}

    def find(self, instr: Instr, moving: Sequence[int], masked: bool, accumulates: Sequence[int]) -> Step:
        types = tuple([o.type for o in instr.operands])
        try:
            kind = (instr.op, tuple(instr.attrs.items()), types, size_operands(instr))
            key = (kind, tuple(moving), masked, tuple(accumulates))
            step = self.known.get(key)
        except TypeError:
            return Step(instr, moving, masked, accumulates)
        if step is None:
            if len(self.known) >= self.limit:
                self.known.clear()
            self.known[key] = step = Step(instr, moving, masked, accumulates)
        return step


_steps = _Steps()


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
    _place_rules(instrs, wrt)
    refuse_cuts(instrs, wrt)
    active = active_values(instrs, wrt, results)
    cotangents: dict[Value, Value] = {}
    masked: set[Value] = set()
    add = get_op("add")

    def gather(value: Value, term: Value, is_masked: bool) -> None:
        known = cotangents.get(value)
        total = term if known is None else builder.emit(add, (known, term))[0]
        cotangents[value] = total
        if is_masked or known in masked:
            masked.add(total)

    for result, start in zip(results, seeds, strict=True):
        if result in active:
            gather(result, start, False)
    for instr in reversed(instrs):
        if instr.op.name == "custom":
            _pull_custom(builder, instr, active, cotangents, gather, wrt)
            continue
        if len(instr.results) != 1 or instr.op.name == "host_call":
            _refuse_cut(instr, cotangents)
            continue
        seed = cotangents.pop(instr.results[0], None)
        if seed is None:
            continue
        builder.span = instr.span
        operands = instr.operands
        moving = [k for k in differentiable_operands(instr) if operands[k] in active]
        rules = instr.op.accumulate
        inward = [k for k in moving if k < len(rules) and rules[k] is not None and operands[k] in cotangents]
        step = _steps.find(instr, moving, seed in masked, inward)
        values = [*operands, instr.results[0], seed, *(cotangents[operands[k]] for k in inward)]
        step.run(builder, values)
        for k, number, is_masked in step.outputs:
            if k in inward:
                if is_masked or cotangents[operands[k]] in masked:
                    masked.add(values[number])
                cotangents[operands[k]] = values[number]
            else:
                gather(operands[k], values[number], is_masked)
    return [cotangents[v] if v in cotangents else builder.zeros_like(v) for v in wrt]


def push_forward(
    builder: Builder, instrs: Sequence[Instr], results: Sequence[Value], wrt: Sequence[Value], seeds: Sequence[Value]
) -> list[Value]:
    """Tangents of the float `results`, given the tangents `seeds` of `wrt`; everything is run by `builder`."""
    _place_rules(instrs, wrt)
    refuse_cuts(instrs, wrt)
    active = active_values(instrs, wrt, results)
    tangents = dict(zip(wrt, seeds, strict=True))
    for instr in instrs:
        if instr.op.name == "host_call":
            _refuse_cut(instr, active)
        elif instr.op.name == "custom":
            _push_custom(builder, instr, active, tangents, wrt)
        elif len(instr.results) == 1 and instr.result in active:
            builder.span = instr.span
            tangent = tangent_of_instr(builder, instr, tangents)
            if tangent is not None:
                tangents[instr.result] = tangent
    return [tangents[r] if r in tangents else builder.zeros_like(r) for r in results]


def _refuse_cut(instr: Instr, moving: Container[Value]) -> None:
    """Raise if a derivative would have to pass through code without one."""
    if instr.op.name == "host_call" and any(r in moving for r in instr.results):
        refuse_missing_rule(instr)


def _pull_custom(
    builder: Builder,
    instr: Instr,
    active: set[Value],
    cotangents: dict[Value, Value],
    gather: Callable[[Value, Value, bool], None],
    wrt: Sequence[Value],
) -> None:
    """The reverse of a call of a function with a rule of its own."""
    found = [cotangents.pop(r, None) for r in instr.results]
    if all(ct is None for ct in found):
        return
    rule = instr.attrs["_rule"]
    builder.span = instr.span
    if rule.in_place:
        for out, ct in zip(rule.outs, found, strict=True):
            if ct is not None:
                gather(out, ct, False)
        return
    rule.refuse_hidden(instr, active)
    rule.levels.add(tuple(wrt))
    for k, term in zip(rule.arguments.differentiable, rule.pull(builder, found), strict=True):
        if instr.operands[k] in active:
            gather(instr.operands[k], term, False)


def _push_custom(
    builder: Builder, instr: Instr, active: set[Value], tangents: dict[Value, Value], wrt: Sequence[Value]
) -> None:
    """The tangents of a call of a function with a rule of its own."""
    moving = [k for k in instr.attrs["_rule"].arguments.differentiable if instr.operands[k] in tangents]
    if not any(r in active for r in instr.results):
        return
    rule = instr.attrs["_rule"]
    builder.span = instr.span
    if rule.in_place:
        tangents.update((r, tangents[out]) for r, out in zip(instr.results, rule.outs, strict=True) if out in tangents)
        return
    rule.refuse_hidden(instr, active)
    rule.levels.add(tuple(wrt))
    if moving:
        given = [tangents.get(instr.operands[k]) for k in rule.arguments.differentiable]
        tangents.update(zip(instr.results, rule.push(builder, given), strict=True))


def _place_rules(instrs: Sequence[Instr], wrt: Sequence[Value]) -> None:
    """Tell every call of a function with a rule of its own which derivative is being taken."""
    for instr in instrs:
        if instr.op.name == "custom":
            instr.attrs["_rule"].is_in_place(wrt)
