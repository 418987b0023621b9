"""Linearisation: the forward derivative of a block, split into what depends on primal values only and what is linear in tangents.

The linear part is a tree of `LinearOp`, `LinearIf`, `LinearGroup`, `LinearLoop` and `LinearCall`. It refers to primal values
freely; those that a reversed loop will need again are its residuals, chosen later (`residuals`). Transposing it gives the
pullback (`transpose`).
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from wengert.ir.builder import Builder
from wengert.ir.core import Instr, Region, Value
from wengert.ir.op import get_op
from wengert.transforms.activity import Callees, call_pattern, can_vary, loop_parts, tangent_elements, tangent_type
from wengert.transforms.jvp import tangent_entry, tangent_name, tangent_of_instr, tangent_or_zero
from wengert.types import StackType


@dataclass(eq=False)
class Block:
    """A linearised block.

    Attributes:
        primal: the block's own instructions and the coefficients that the linear part needs; instructions with regions
            that have a linear part appear as `Split`.
        linear: operations on tangents, in program order.
        tangents: the tangent of each active value.
    """

    primal: list[PrimalItem] = field(default_factory=list)
    linear: list[LinearItem] = field(default_factory=list)
    tangents: ChainMap[Value, Value] = field(default_factory=ChainMap)


@dataclass(frozen=True)
class CallKey:
    """A function and the pattern of a derivative: the positions of its active parameters and results."""

    name: str
    moving: tuple[int, ...]
    results: tuple[int, ...]


@dataclass(eq=False)
class Split:
    """A region instruction whose blocks have been linearised; its primal part is emitted when the residuals are known.

    Attributes:
        instr: the instruction; for a call, which has no blocks, `key` says what it leads to.
        blocks: one per region.
        key: None unless `instr` is a call.
    """

    instr: Instr
    blocks: tuple[Block, ...]
    key: CallKey | None = None


@dataclass(eq=False)
class LinearOp:
    """An instruction that is linear in those of its operands that are tangents."""

    instr: Instr


@dataclass(eq=False)
class LinearIf:
    """The linear parts of the arms of an `if`; `yields[arm][k]` is the tangent that becomes `results[k]`, None for zero."""

    split: Split
    yields: tuple[list[Value | None], list[Value | None]]
    results: list[Value]


@dataclass(eq=False)
class LinearGroup:
    """The linear part of a `checkpoint` region; `yields[0][k]` is the tangent that becomes `results[k]`, None for zero."""

    split: Split
    yields: tuple[list[Value | None]]
    results: list[Value]


@dataclass(eq=False)
class LinearLoop:
    """The linear part of a loop body, with the tangents of the carries: initial, parameter, yield (None for zero), result."""

    split: Split
    init: list[Value | None]
    params: list[Value]
    yields: list[Value | None]
    results: list[Value]


@dataclass(eq=False)
class LinearCall:
    """The linear part of a call: tangents of the active operands (None for zero) and of the active results."""

    split: Split
    operands: list[Value | None]
    results: list[Value]


LinearItem: TypeAlias = LinearOp | LinearIf | LinearGroup | LinearLoop | LinearCall
PrimalItem: TypeAlias = Instr | Split


class SplitBuilder(Builder):
    """Sends instructions with a tangent among their operands to the linear part, all others to the primal part."""

    def __init__(self, block: Block, tangent_values: set[Value]) -> None:
        super().__init__()
        self.block = block
        self.tangent_values = tangent_values

    def child(self) -> Builder:
        """Regions inside a rule are built as they are: a rule must not read tangents inside of one."""
        return Builder(self.span)

    def append(self, instr: Instr) -> None:
        """Append to the part that the instruction belongs to."""
        if any(o in self.tangent_values for o in instr.operands):
            self.block.linear.append(LinearOp(instr))
            self.tangent_values.update(instr.results)
        else:
            self.block.primal.append(instr)


class Linearizer:
    """Linearises blocks, given the active values.

    Attributes:
        active: values that get a tangent.
        calls: activity across calls; None in programs without them.
        tangent_values: every tangent made on the way.
        keys: what the active calls lead to.
    """

    def __init__(self, active: set[Value], calls: Callees | None = None, tangent_values: set[Value] | None = None) -> None:
        self.active = active
        self.calls = calls
        self.tangent_values: set[Value] = set() if tangent_values is None else tangent_values
        self.keys: dict[CallKey, None] = {}

    def block(self, instrs: Sequence[Instr], tangents: ChainMap[Value, Value]) -> Block:
        """The linearisation of `instrs`, given the tangents of the values that they see."""
        block = Block(tangents=tangents)
        builder = SplitBuilder(block, self.tangent_values)
        for instr in instrs:
            builder.span = instr.span
            if not any(r in self.active for r in instr.results):
                block.primal.append(instr)
            elif instr.op.name == "call" and self.calls is not None:
                self.call(block, instr, self.calls)
            elif instr.op.name == "if":
                self.branch(block, instr)
            elif instr.op.name == "checkpoint":
                self.group(block, instr)
            elif instr.regions:
                self.loop(block, instr)
            elif instr.op.name == "with_pullback":
                self.pullback(block, instr)
            else:
                block.primal.append(instr)
                self.leaf(builder, block, instr)
        return block

    def leaf(self, builder: SplitBuilder, block: Block, instr: Instr) -> None:
        if instr.op.name == "push":
            stack_dot, entry = tangent_entry(builder, instr.operands[0], instr.operands[1:], block.tangents)
            self._stack_op(block, instr, (stack_dot, *entry), [instr.result])
            return
        if instr.op.name == "pop":
            # The sizes in an entry of tangents are those of the primal entry: the linear pop names them as its results.
            stack = instr.operands[0]
            assert isinstance(stack.type, StackType)
            kept = [instr.results[k + 1] for k in tangent_elements(stack.type)]
            stack_dot = tangent_or_zero(builder, stack, block.tangents)
            self._stack_op(block, instr, (stack_dot,), [instr.results[0], *kept])
            return
        tangent = tangent_of_instr(builder, instr, block.tangents)
        if tangent is not None:
            block.tangents[instr.result] = tangent

    def pullback(self, block: Block, instr: Instr) -> None:
        """The user's pullback stays whole: one linear operation from all tangents to all tangents."""
        outs, moving = instr.attrs["outs"], instr.attrs["moving"]
        saved, inputs = instr.operands[outs : len(instr.operands) - moving], instr.operands[len(instr.operands) - moving :]
        block.primal.append(instr)
        positions = [k for k, value in enumerate(inputs) if value in block.tangents]
        attrs = {"_bwd": instr.attrs["_bwd"], "positions": tuple(positions)}
        operands = (*saved, *(block.tangents[inputs[k]] for k in positions))
        results = self._results(block, instr.results)
        block.linear.append(LinearOp(Instr(get_op("pullback"), operands, tuple(results), attrs, (), instr.span)))

    def _stack_op(self, block: Block, instr: Instr, operands: Sequence[Value], primal: Sequence[Value]) -> None:
        results = [self._tangent(v) if can_vary(v.type) else v for v in primal]
        block.linear.append(LinearOp(Instr(instr.op, tuple(operands), tuple(results), {}, (), instr.span)))
        block.tangents.update((v, t) for v, t in zip(primal, results, strict=True) if v is not t)

    def call(self, block: Block, instr: Instr, calls: Callees) -> None:
        moving, places = call_pattern(instr, self.active, calls)
        key = CallKey(instr.attrs["callee"], moving, places)
        self.keys[key] = None
        split = Split(instr, (), key)
        operands = [block.tangents.get(instr.operands[k]) for k in moving]
        block.primal.append(split)
        block.linear.append(LinearCall(split, operands, self._results(block, [instr.results[k] for k in places])))

    def branch(self, block: Block, instr: Instr) -> None:
        moving = [k for k, r in enumerate(instr.results) if r in self.active]
        arms = tuple(self.block(region.instrs, block.tangents.new_child()) for region in instr.regions)
        yields = [
            [arm.tangents.get(region.results[k]) for k in moving]
            for arm, region in zip(arms, instr.regions, strict=True)
        ]
        split = Split(instr, arms)
        results = self._results(block, [instr.results[k] for k in moving])
        block.primal.append(split)
        block.linear.append(LinearIf(split, (yields[0], yields[1]), results))

    def group(self, block: Block, instr: Instr) -> None:
        """What is run again leaves out checks and prints, which have had their effect."""
        (region,) = instr.regions
        inner = self.block(without_effects(region.instrs), block.tangents.new_child())
        moving = [k for k, r in enumerate(instr.results) if r in self.active]
        yields = [inner.tangents.get(region.results[k]) for k in moving]
        split = Split(instr, (inner,))
        block.primal.append(split)
        block.linear.append(LinearGroup(split, (yields,), self._results(block, [instr.results[k] for k in moving])))

    def loop(self, block: Block, instr: Instr) -> None:
        body, init, carry = loop_parts(instr)
        moving = [k for k, p in enumerate(carry) if p in self.active]
        params = [self._tangent(carry[k]) for k in moving]
        inner_tangents = block.tangents.new_child({carry[k]: p for k, p in zip(moving, params, strict=True)})
        inner = self.block(body.instrs, inner_tangents)
        split = Split(instr, (inner,))
        linear = LinearLoop(
            split,
            init=[block.tangents.get(init[k]) for k in moving],
            params=params,
            yields=[inner.tangents.get(body.results[k]) for k in moving],
            results=self._results(block, [instr.results[k] for k in moving]),
        )
        block.primal.append(split)
        block.linear.append(linear)

    def _tangent(self, value: Value) -> Value:
        tangent = Value(tangent_type(value.type), tangent_name(value))
        self.tangent_values.add(tangent)
        return tangent

    def _results(self, block: Block, values: Sequence[Value]) -> list[Value]:
        results = [self._tangent(v) for v in values]
        block.tangents.update(zip(values, results, strict=True))
        return results


def without_effects(instrs: Sequence[Instr]) -> list[Instr]:
    """`instrs` without instructions that have nothing but an effect, those in regions included."""
    kept = []
    for instr in instrs:
        if instr.op.effects and not instr.results and not instr.regions:
            continue
        if instr.regions:
            regions = tuple(Region(r.params, tuple(without_effects(r.instrs)), r.results) for r in instr.regions)
            instr = Instr(instr.op, instr.operands, instr.results, instr.attrs, regions, instr.span)
        kept.append(instr)
    return kept


def linear_blocks(item: LinearItem) -> tuple[Block, ...]:
    """The linearised blocks inside `item`."""
    return () if isinstance(item, LinearOp) else item.split.blocks


def tangent_uses(block: Block, tangent_values: set[Value]) -> Iterator[Value]:
    """Every tangent read by the linear part of `block`, nested blocks included."""
    for item in block.linear:
        if isinstance(item, LinearOp):
            yield from (o for o in item.instr.operands if o in tangent_values)
        elif isinstance(item, LinearIf | LinearGroup):
            for yields in item.yields:
                yield from (y for y in yields if y is not None)
        elif isinstance(item, LinearCall):
            yield from (o for o in item.operands if o is not None)
        else:
            yield from (v for v in (*item.init, *item.yields) if v is not None)
        for inner in linear_blocks(item):
            yield from tangent_uses(inner, tangent_values)


def tangent_definitions(block: Block) -> Iterator[Value]:
    """Every tangent defined by the linear part of `block`, nested blocks included."""
    for item in block.linear:
        if isinstance(item, LinearOp):
            yield from item.instr.results
        else:
            yield from item.results
            if isinstance(item, LinearLoop):
                yield from item.params
        for inner in linear_blocks(item):
            yield from tangent_definitions(inner)
