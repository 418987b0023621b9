"""The augmented primal pass: the original program, which also puts its residuals on stacks and returns them from arms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from wengert.ir.builder import Builder, to_slots
from wengert.ir.core import Instr, Region, Value, free_values
from wengert.ir.op import get_op
from wengert.ir.rewrite import Env, copy_value, substitute_type
from wengert.transforms.callee import ReverseCallee, ReverseCallees
from wengert.transforms.linearize import Block, CallKey, Split
from wengert.transforms.residuals import Frame, Rerun, Residuals
from wengert.types import I64_SCALAR, StackType, TensorType

Stacks = dict[Split, Value]
"""The current stack of each loop that stores something."""


@dataclass
class Primal:
    """What the transposed pass needs of the primal pass.

    Attributes:
        stacks: the filled stack of every loop, as seen at the end of the function.
        exported: values of arms, as seen at the level of their frame (of the function: only the top frame's).
        loops_inside: for every region instruction that was split, the loops with a stack inside of it (itself included).
    """

    stacks: Stacks = field(default_factory=dict)
    exported: Env = field(default_factory=dict)
    loops_inside: dict[Split, list[Split]] = field(default_factory=dict)


def emit_primal(
    builder: Builder,
    plan: Residuals,
    callees: ReverseCallees | None = None,
    stack_types: Mapping[Split, StackType] | None = None,
) -> Primal:
    """Emit the primal pass of the whole function; the stacks that its calls thread have `stack_types`."""
    primal = Primal()
    emitter = _PrimalEmitter(plan, primal, callees or {})
    for split in emitter.find_loops(plan.top.block):
        if stack_types is not None and split in stack_types and split not in primal.stacks:
            elements = stack_types[split].elements
            primal.stacks[split] = builder.emit(get_op("stack_new"), (builder.const(0),), {"elements": elements})[0]
    for split in primal.loops_inside:
        frame = plan.frames.get(split)
        if frame is not None and frame.pushed and (frame.parent is not plan.top or frame.arm is not None):
            primal.stacks[split] = new_stack(builder, frame, builder.const(0))
    primal.exported.update(emitter.block(builder, plan.top, plan.top.block, primal.stacks))
    return primal


def make_rerun(plan: Residuals, frame: Frame, needed: Sequence[Value]) -> Rerun:
    """What computes the `checkpoint` region of `frame` again, as far as it takes for `needed` and for its loops to go back."""
    primal = Primal()
    emitter = _PrimalEmitter(plan, primal, {})
    builder = Builder(frame.block.primal[0].span if frame.block.primal and isinstance(frame.block.primal[0], Instr) else None)
    for split in emitter.find_loops(frame.block):
        inner = plan.frames[split]
        if inner.parent is not frame or inner.arm is not None:
            primal.stacks[split] = new_stack(builder, inner, builder.const(0))
    exported = emitter.block(builder, frame, frame.block, primal.stacks)
    wanted = {v for n in needed for v in (n, exported.get(n, n))}
    wanted.update(primal.stacks.values())
    kept: list[Instr] = []
    for instr in reversed(builder.instrs):
        if any(r in wanted for r in instr.results):
            wanted.update(free_values(Region((), (instr,), ())))
            kept.append(instr)
    instrs = tuple(reversed(kept))
    return Rerun(instrs, free_values(Region((), instrs, ())), primal.stacks, exported, primal.loops_inside)


def emit_callee(builder: Builder, plan: Residuals, callees: ReverseCallees, stacks: Mapping[Split, Value]) -> Primal:
    """Emit the primal pass of a callee, which pushes to `stacks`; its own entry comes last, behind those of its calls."""
    primal = Primal(dict(stacks))
    emitter = _PrimalEmitter(plan, primal, callees)
    emitter.find_loops(plan.top.block)
    exported = emitter.block(builder, plan.top, plan.top.block, primal.stacks)
    if plan.top.stored:
        assert plan.top.split is not None
        entry = [exported.get(v, v) for v in plan.top.stored]
        pushed = builder.emit(get_op("push"), (primal.stacks[plan.top.split], *entry), names=["residuals"])
        primal.stacks[plan.top.split] = pushed[0]
    return primal


def find_calls(block: Block) -> Iterator[CallKey]:
    """What the active calls in `block` lead to."""
    for item in block.primal:
        if isinstance(item, Split):
            if item.key is not None:
                yield item.key
            for inner in item.blocks:
                yield from find_calls(inner)


def stack_type(frame: Frame) -> StackType:
    """The type of the stack on which a loop stores its residuals."""
    elements = to_slots([v.type for v in frame.stored], frame.stored)
    return StackType(tuple(e for e in elements if isinstance(e, TensorType)))


def new_stack(builder: Builder, frame: Frame, capacity: Value) -> Value:
    """An empty stack for `frame`, with room for `capacity` iterations."""
    return builder.emit(get_op("stack_new"), (capacity,), {"elements": stack_type(frame).elements})[0]


@dataclass
class Push:
    """The push of a loop's residuals, put as early as they are all there: before an array among them is overwritten.

    Attributes:
        builder: of the loop body.
        split: the loop.
        frame: its frame.
        stacks: the stacks as known in the body; the loop's own is replaced by the push.
        missing: residuals that have not been computed yet.
        late: whether to push at the end of the iteration: calls in it push to the same stack, and their entries go below.
    """

    builder: Builder
    split: Split
    frame: Frame
    stacks: Stacks
    missing: set[Value]
    late: bool = False
    done: bool = False

    def when_ready(self, made: Sequence[Value], names: Env) -> None:
        """Emit the push once nothing is missing; `names` is what values of arms are called in the body."""
        self.missing.difference_update(made)
        if self.missing or self.done or self.late:
            return
        self.done = True
        entry = [names.get(v, v) for v in self.frame.stored]
        pushed = self.builder.emit(get_op("push"), (self.stacks[self.split], *entry), names=["residuals"])
        self.stacks[self.split] = pushed[0]


class _PrimalEmitter:
    def __init__(self, plan: Residuals, primal: Primal, callees: ReverseCallees) -> None:
        self.callees = callees
        self.plan = plan
        self.primal = primal

    def find_loops(self, block: Block) -> list[Split]:
        """Fill `loops_inside` for everything in `block`; returns the loops with a stack in it."""
        found: dict[Split, None] = {}
        for item in block.primal:
            if isinstance(item, Split) and item.key is not None:
                inside = list(self.callees[item.key].stacks)
                self.primal.loops_inside[item] = inside
                found.update(dict.fromkeys(inside))
            elif isinstance(item, Split) and item.instr.op.name == "checkpoint":
                self.primal.loops_inside[item] = []  # what it stores belongs to the way back
            elif isinstance(item, Split):
                inside = [loop for inner in item.blocks for loop in self.find_loops(inner)]
                frame = self.plan.frames.get(item)
                if frame is not None and frame.pushed:
                    inside.append(item)
                self.primal.loops_inside[item] = inside = list(dict.fromkeys(inside))
                found.update(dict.fromkeys(inside))
        return list(found)

    def block(self, b: Builder, frame: Frame, block: Block, stacks: Stacks, push: Push | None = None) -> Env:
        """Emit a block; returns what the exports of arms inside of it are called here."""
        exported: Env = {}
        if push is not None:
            push.when_ready((), exported)
        for item in block.primal:
            if isinstance(item, Instr):
                b.append(item)
                made: Sequence[Value] = item.results
            else:
                b.span = item.instr.span
                if item.key is not None:
                    self.call(b, item, self.callees[item.key], stacks)
                    made = item.instr.results
                elif item.instr.op.name == "checkpoint":
                    b.append(item.instr)  # put in line when all is done
                    made = item.instr.results
                elif item.instr.op.name == "if":
                    self.branch(b, frame, item, stacks, exported)
                    made = (*item.instr.results, *exported)
                else:
                    self.loop(b, item, stacks)
                    count = self.plan.frames[item].count
                    made = (*item.instr.results, *(() if count is None else (count,)))
            if push is not None:
                push.when_ready(made, exported)
        return exported

    def call(self, b: Builder, split: Split, callee: ReverseCallee, stacks: Stacks) -> None:
        instr = split.instr
        operands = (*instr.operands, *(stacks[k] for k in callee.stacks))
        results = list(instr.results)
        for key in callee.stacks:
            stacks[key] = Value(stacks[key].type, "residuals")
            results.append(stacks[key])
        assert callee.signatures is not None
        attrs = {"callee": callee.names[0], "_signature": callee.signatures[0]}
        b.append(Instr(instr.op, operands, tuple(results), attrs, (), instr.span))

    def branch(self, b: Builder, frame: Frame, split: Split, stacks: Stacks, exported: Env) -> None:
        exports = frame.exports.get(split, [])
        loops = self.primal.loops_inside[split]
        arms = []
        for index, inner_block in enumerate(split.blocks):
            inner = b.child()
            local_stacks = dict(stacks)
            names = self.block(inner, frame, inner_block, local_stacks)
            here = [self.export(inner, frame, split, index, v, names) for v in exports]
            results = (*split.instr.regions[index].results, *here, *(local_stacks[k] for k in loops))
            arms.append((inner, results))
        regions = [Region((), tuple(inner.instrs), results) for inner, results in arms]
        outer: list[Value] = list(split.instr.results)
        env: Env = {}
        for value in exports:
            outer.append(copy_value(env, value))
        exported.update(env)
        for loop in loops:
            stacks[loop] = Value(stacks[loop].type, "residuals")
            outer.append(stacks[loop])
        instr = split.instr
        b.append(Instr(instr.op, instr.operands, tuple(outer), instr.attrs, tuple(regions), instr.span))

    def export(self, b: Builder, frame: Frame, split: Split, index: int, value: Value, names: Env) -> Value:
        """`value` as a result of arm `index`: itself, its name after inner arms, or a filler in the arm without it."""
        arm = self.plan.definitions[value].arm
        while arm is not None and arm.split is not split:
            arm = arm.parent
        if arm is not None and arm.index == index:
            return names.get(value, value)
        filler = b.emit(get_op("undef"), (), {"type": substitute_type(names, value.type)})[0]
        names[value] = filler
        return filler

    def loop(self, b: Builder, split: Split, stacks: Stacks) -> None:
        frame = self.plan.frames[split]
        if frame.pushed and split not in stacks:
            capacity = split.instr.operands[0] if split.instr.op.name == "for" else b.const(0)
            stacks[split] = new_stack(b, frame, capacity)
        loops = self.primal.loops_inside[split]
        is_while = split.instr.op.name == "while"
        params = {k: Value(stacks[k].type, "residuals") for k in loops}
        trips = Value(I64_SCALAR, "trips")
        inner = b.child()
        local = {**stacks, **params}
        body = split.instr.regions[-1]
        definitions = self.plan.definitions
        missing = {v for v in frame.pushed if definitions[v].frame is frame and v not in body.params}
        late = any(split in self.callees[key].stacks for key in find_calls(split.blocks[0]))
        push = Push(inner, split, frame, local, missing, late) if frame.pushed else None
        exported = self.block(inner, frame, split.blocks[0], local, push)
        if push is not None and late:
            push.late = False
            push.when_ready((), exported)
        yields = [*body.results]
        if is_while:
            yields.append(inner.add(trips, 1))
        yields += [local[k] for k in loops]
        extra = ([trips] if is_while else []) + [params[k] for k in loops]
        new_body = Region((*body.params, *extra), tuple(inner.instrs), tuple(yields))
        self.append_loop(b, split, frame, new_body, extra, stacks, loops)

    def append_loop(
        self,
        b: Builder,
        split: Split,
        frame: Frame,
        body: Region,
        extra: Sequence[Value],
        stacks: Stacks,
        loops: Sequence[Split],
    ) -> None:
        instr = split.instr
        operands, results = [*instr.operands], [*instr.results]
        regions: tuple[Region, ...] = (body,)
        if instr.op.name == "while":
            assert frame.count is not None
            operands.append(b.const(0))
            results.append(frame.count)
            cond = instr.regions[0]
            cond_extra = [Value(e.type, e.name) for e in extra]
            regions = (Region((*cond.params, *cond_extra), cond.instrs, cond.results), body)
        operands += [stacks[k] for k in loops]
        for loop in loops:
            stacks[loop] = Value(stacks[loop].type, "residuals")
            results.append(stacks[loop])
        b.append(Instr(instr.op, tuple(operands), tuple(results), instr.attrs, regions, instr.span))


