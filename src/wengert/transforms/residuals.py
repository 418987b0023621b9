"""What the reverse pass must remember: a minimum cut between what cannot be recomputed and what the linear part reads.

A *frame* is the function itself or the body of a loop. Every value that the linear part of a loop body reads must be there
again when the loop runs backwards: it is either stored on the loop's stack, or recomputed from stored values and from what
is alive anyway (values of outer frames, the loop index). The arms of an `if` belong to the frame around them.
Storing costs the bytes of the value; recomputing cheap instructions costs nothing. The cheapest set of stored values is a
minimum vertex cut (Ford & Fulkerson 1956); expensive instructions (transcendentals, reductions) are never recomputed.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from wengert.ir.core import Instr, Value
from wengert.switches import disabled
from wengert.transforms.callee import ReverseCallees
from wengert.transforms.checkpoint_loops import REPLAY
from wengert.transforms.linearize import Block, LinearCall, LinearGroup, LinearIf, LinearItem, LinearLoop, LinearOp, Split
from wengert.transforms.replay import Replay, replay_of
from wengert.transforms.restore import Chain, Restored, chains_of, insert_reads, restored_of
from wengert.types import I64_SCALAR, StackType

RECOMPUTE_COST = 4
"""Instructions up to this declared cost (a division) are recomputed rather than stored; see `OpDef.cost`."""

SCALAR_BYTES = 8
AXIS_FACTOR = 4096
"""How much dearer each array axis of unknown length makes a value to store."""

SAVING = 64
"""How many times less has to be stored for arrays to be put back: about an axis."""


@dataclass(eq=False)
class Arm:
    """One arm of an `if` inside a frame."""

    split: Split
    index: int
    parent: Arm | None


@dataclass(eq=False)
class Frame:
    """The function (`split` is None), a loop body, or a `checkpoint` region, which the reversed frame computes again.

    Attributes:
        index: the loop index, for a `for`.
        count: the number of iterations the loop has made: an operand of `for`, an added result of `while`.
        stored: values that the primal pass puts on the loop's stack in each iteration, sizes (also those that belong to loops
            and branches around) before what they size.
        exports: per `if` inside the frame, values of its arms that it must return because they are stored or read later.
        alive: of a callee, its sizes and parameters: the reversed caller passes those of them that are in `used`.
        used: those that the reversed callee reads.
        replay: of a loop that goes back from few states, what runs it on from one of these; then `stored` are carries that
            come from there, and nothing is put on a stack.
        rerun: of a `checkpoint` region, what computes it again; None of anything else.
    """

    block: Block
    split: Split | None = None
    parent: Frame | None = None
    arm: Arm | None = None
    index: Value | None = None
    count: Value | None = None
    stored: list[Value] = field(default_factory=list)
    exports: dict[Split, list[Value]] = field(default_factory=lambda: defaultdict(list))
    alive: frozenset[Value] = frozenset()
    used: dict[Value, None] = field(default_factory=dict)
    rerun: Rerun | None = None
    replay: Replay | None = None

    @property
    def pushed(self) -> list[Value]:
        """What the primal pass puts on the loop's stack."""
        return [] if self.replay is not None else self.stored

    @property
    def is_whole(self) -> bool:
        """Whether everything outside of arms and loops is at hand in the reversed frame."""
        return self.split is None or self.split.instr.op.name == "checkpoint"


@dataclass(eq=False)
class Rerun:
    """The instructions that compute a `checkpoint` region again.

    Attributes:
        instrs: as the primal pass of the region, loops filling their stacks.
        reads: values from outside.
        stacks: the filled stack of every loop.
        exported: what values of arms are called.
        loops_inside: as in `Primal`.
    """

    instrs: tuple[Instr, ...]
    reads: list[Value]
    stacks: dict[Split, Value]
    exported: dict[Value, Value]
    loops_inside: dict[Split, list[Split]]


MakeRerun: TypeAlias = Callable[["Residuals", Frame, Sequence[Value]], Rerun]


@dataclass(eq=False)
class Definition:
    """Where a primal value comes from; `instr` is None for parameters and for results of region instructions."""

    frame: Frame
    arm: Arm | None
    instr: Instr | None


@dataclass(frozen=True)
class Stored:
    """What a loop stores: bytes by the estimate of `AXIS_FACTOR`, and whether arrays are among it."""

    cost: int
    is_array: bool


class _TooEarlyError(Exception):
    """An array is needed as it was before a loop that is not yet taken back."""


@dataclass(eq=False)
class Residuals:
    """The plan of what is stored in which frame, and which arrays are put back instead."""

    top: Frame
    frames: dict[Split, Frame]
    definitions: dict[Value, Definition]
    restored: Restored = field(default_factory=Restored)


def can_recompute(instr: Instr) -> bool:
    """Whether the reverse pass may run this instruction again instead of storing its result."""
    op = instr.op
    if op.effects or instr.regions or op.cost > RECOMPUTE_COST:
        return False
    return op.kind in ("elementwise", "shape", "constant") or op.name == "index"


def plan_residuals(
    block: Block,
    tangent_values: set[Value],
    callees: ReverseCallees | None = None,
    own: Split | None = None,
    alive: frozenset[Value] = frozenset(),
    make_rerun: MakeRerun | None = None,
) -> Residuals:
    """Decide for every loop in `block` (the linearised function body) what it stores.

    Args:
        block: the block.
        tangent_values: all tangents.
        callees: what calls lead to.
        own: for the block of a callee, which stores like the body of a loop, the key of its stack.
        alive: of a callee, its sizes and parameters.
        make_rerun: writes down what computes a `checkpoint` region again, given the values of it that are read.
    """
    top = Frame(block, own, alive=alive)
    plan = Residuals(top, {}, {})
    plan.definitions.update((p, Definition(top, None, None)) for p in alive)
    _collect(plan, block, top, None)
    planner = _Planner(plan, tangent_values, callees or {}, make_rerun)
    if own is None and "restore" not in disabled():
        chosen = planner.arrays_to_put_back(top)
        plan.restored = restored_of(chosen)
        try:
            planner.plan(top)
        except _TooEarlyError:
            planner.forget([top, *plan.frames.values()])
        else:
            insert_reads(chosen)
            return plan
    planner.plan(top)
    return plan


def _collect(plan: Residuals, block: Block, frame: Frame, arm: Arm | None) -> None:
    """Fill in the definitions and frames below `block`."""
    for item in block.primal:
        if isinstance(item, Instr):
            instr = None if item.regions else item
            plan.definitions.update((r, Definition(frame, arm, instr)) for r in item.results)
            continue
        plan.definitions.update((r, Definition(frame, arm, None)) for r in item.instr.results)
        if item.key is not None:
            continue
        if item.instr.op.name == "if":
            for index, inner in enumerate(item.blocks):
                _collect(plan, inner, frame, Arm(item, index, arm))
            continue
        if item.instr.op.name == "checkpoint":
            plan.frames[item] = Frame(item.blocks[0], item, frame, arm)
            _collect(plan, item.blocks[0], plan.frames[item], None)
            continue
        is_for = item.instr.op.name == "for"
        body = item.instr.regions[-1]
        inner_frame = Frame(item.blocks[0], item, frame, arm)
        if is_for:
            inner_frame.index, inner_frame.count = body.params[0], item.instr.operands[0]
        else:
            inner_frame.count = Value(I64_SCALAR, "trips")
            plan.definitions[inner_frame.count] = Definition(frame, arm, None)
        plan.frames[item] = inner_frame
        plan.definitions.update((p, Definition(inner_frame, None, None)) for p in body.params)
        _collect(plan, item.blocks[0], inner_frame, None)


class _Planner:
    def __init__(
        self, plan: Residuals, tangent_values: set[Value], callees: ReverseCallees, make_rerun: MakeRerun | None
    ) -> None:
        self.whole, self.make_rerun = plan, make_rerun
        self.callees = callees
        self.definitions = plan.definitions
        self.frames = plan.frames
        self.tangent_values = tangent_values

    def plan(self, frame: Frame, sizes: Iterable[Value] = ()) -> list[Value]:
        """Choose what `frame` and the frames inside of it store; returns the values needed of frames around it.

        Args:
            frame: the function or a loop body.
            sizes: the sizes of the arrays that the loop carries.
        """
        groups = [list(self.item_needs(item)) for item in frame.block.linear]
        groups.append(list(self.whole.restored.needs(frame.block)))
        self.keep(frame, groups)
        needed = dict.fromkeys((*sizes, *(v for group in groups for v in group)))
        chosen = self.choose(frame, needed)
        outer = self.closure(frame, needed, chosen)
        self.record(frame, chosen)
        return outer

    # --- arrays that are put back ---------------------------------------------------------------------------------

    def arrays_to_put_back(self, top: Frame) -> list[Chain]:
        """The arrays that are put back on the way back, of all loops of the function."""
        chosen: list[Chain] = []
        for item in top.block.linear:
            if isinstance(item, LinearLoop):
                chosen += self.chains_that_pay(self.frames[item.split], chosen)
        return chosen

    def chains_that_pay(self, frame: Frame, others: Sequence[Chain]) -> list[Chain]:
        """The arrays of the loop of `frame` that are put back: all that have to be, if that saves an axis of what is stored."""
        without = self.stored_by(frame, others)
        candidates = self.candidates(frame) if without.is_array else []
        cost = self.stored_by(frame, [*others, *candidates]).cost if candidates else without.cost
        if cost * SAVING > without.cost:
            return []
        for chain in list(candidates):
            fewer = [c for c in candidates if c is not chain]
            if (found := self.stored_by(frame, [*others, *fewer]).cost) <= cost:
                candidates, cost = fewer, found
        return candidates

    def candidates(self, frame: Frame) -> list[Chain]:
        """All arrays of the loop of `frame` that can be put back."""
        assert frame.split is not None
        found = chains_of(frame.split)
        for chain in found:
            for write in chain.writes:
                home = Definition(self.inner_frame(frame, write.block), None, write.read)
                self.definitions.setdefault(write.read.result, home)
        return found

    def inner_frame(self, frame: Frame, block: Block) -> Frame:
        """The frame below (or at) `frame` whose block this is."""
        return next(f for f in (frame, *self.frames.values()) if f.block is block)

    def stored_by(self, frame: Frame, chains: Sequence[Chain]) -> Stored:
        """What the loop of `frame` would store if these chains were put back; leaves no trace."""
        plan, inside = self.whole, self.frames_inside(frame)
        plan.restored = restored_of(chains)
        try:
            self.plan(frame)
            stored = [(v, depth) for f, depth in inside for v in f.stored]
        except _TooEarlyError:
            return Stored(1 << 200, True)
        finally:
            self.forget(f for f, _ in inside)
        cost = sum(_store_cost(v) * AXIS_FACTOR**depth for v, depth in stored)
        return Stored(cost, any(v.rank for v, _ in stored))

    def forget(self, frames: Iterable[Frame]) -> None:
        """Take a plan back: nothing is stored in these frames and no array is put back."""
        self.whole.restored = Restored()
        for frame in frames:
            frame.stored, frame.exports, frame.used = [], defaultdict(list), {}
            frame.replay, frame.rerun = None, None

    def frames_inside(self, frame: Frame, depth: int = 1) -> list[tuple[Frame, int]]:
        """`frame` and those inside of it, with the number of loops around what they store."""
        found = [(frame, depth)]
        for inner in self.frames.values():
            if inner.parent is frame:
                found += self.frames_inside(inner, depth + 1)
        return found

    def keep(self, frame: Frame, groups: Sequence[Sequence[Value]]) -> None:
        """Store what is read of an array before a loop that overwrites it, and needed before that loop has been taken back."""
        restored = self.whole.restored
        for position, missing in restored.gone(frame.block):
            pending = [v for group in groups[position:] for v in group]
            seen: set[Value] = set()
            while pending:
                value = pending.pop()
                definition = self.home(value, frame)
                if value in seen or definition is None:
                    continue
                seen.add(value)
                if value in missing:
                    raise _TooEarlyError
                sources = self.sources(value, definition) or ()
                if any(s in missing for s in sources):
                    restored.kept.add(value)
                else:
                    pending.extend(sources)

    def sources(self, value: Value, definition: Definition) -> list[Value] | None:
        """What recomputing the value reads, or None when it must not be recomputed."""
        restored = self.whole.restored
        if value in restored.kept:
            return None
        return restored.sources(value) or _recompute_from(definition)

    def needs(self, block: Block) -> Iterator[Value]:
        """Primal values that the reversed `block` reads."""
        for item in block.linear:
            yield from self.item_needs(item)

    def item_needs(self, item: LinearItem) -> Iterator[Value]:
        if isinstance(item, LinearOp):
            for value in (*item.instr.operands, *item.instr.results):
                if value not in self.tangent_values and not isinstance(value.type, StackType):
                    yield value
                yield from _symbols(value)
            return
        for tangent in item.results:
            yield from _symbols(tangent)
        if isinstance(item, LinearCall):
            assert item.split.key is not None
            yield from self.callees[item.split.key].needs(item.split.instr)
            return
        if isinstance(item, LinearGroup):
            yield from self.group(item)
            return
        if isinstance(item, LinearIf):
            yield item.split.instr.operands[0]
            for arm in item.split.blocks:
                yield from self.needs(arm)
            return
        inner = self.frames[item.split]
        assert inner.count is not None
        yield inner.count
        if item.split in self.whole.restored.roots:
            for value in self.whole.restored.finals(item.split):
                yield value
                yield from _symbols(value)
        yield from self.plan(inner, [s for p in item.params for s in _symbols(p)])
        if REPLAY in item.split.instr.attrs:
            inner.replay = replay_of(item.split.instr, inner.stored)
        if inner.replay is not None:
            yield from inner.replay.reads
            for value in inner.replay.initial(item.split.instr):
                yield value
                yield from _symbols(value)

    def group(self, item: LinearGroup) -> list[Value]:
        """Plan a `checkpoint` region; returns the values that computing it again and going back through it read."""
        frame = self.frames[item.split]
        needed = dict.fromkeys(self.needs(frame.block))
        chosen = self.choose(frame, needed)
        outer = dict.fromkeys(self.closure(frame, needed, chosen))
        self.record(frame, chosen)
        assert self.make_rerun is not None
        frame.rerun = self.make_rerun(self.whole, frame, [*needed, *chosen])
        return [*outer, *(v for v in frame.rerun.reads if v not in outer)]

    def home(self, value: Value, frame: Frame) -> Definition | None:
        """The definition of `value` if it belongs to `frame`, else None."""
        definition = self.definitions.get(value)
        return definition if definition is not None and definition.frame is frame else None

    def is_alive(self, frame: Frame, definition: Definition, value: Value) -> bool:
        """Whether the value is at hand in the reversed frame without being stored."""
        at_hand = value is frame.index or value in frame.alive or value in self.whole.restored.versions
        return at_hand or (frame.is_whole and definition.arm is None)

    def choose(self, frame: Frame, needed: Iterable[Value]) -> set[Value]:
        """The minimum cut: which values of `frame` to store."""
        network = _Network()
        pending, seen = deque(needed), set()
        sinks = {v for v in pending if self.home(v, frame)}
        while pending:
            value = pending.popleft()
            definition = self.home(value, frame)
            if value in seen or definition is None or self.is_alive(frame, definition, value):
                continue
            seen.add(value)
            network.node(value, _store_cost(value))
            if value in sinks:
                network.sink(value)
            sources = self.sources(value, definition)
            if sources is None:
                network.source(value)
                continue
            for operand in sources:
                pending.append(operand)
                home = self.home(operand, frame)
                if home is not None and not self.is_alive(frame, home, operand):
                    network.edge(operand, value)
        return network.cut()

    def closure(self, frame: Frame, needed: Iterable[Value], chosen: set[Value]) -> list[Value]:
        """Values of outer frames that the reversed frame reads; adds to `chosen` the sizes that stored arrays need.

        The stack is made outside of loops and branches, so every size that is not known there goes into the entry.
        """
        for value in list(chosen):
            chosen.update(s for s in _symbols(value) if self.home(s, frame) or self.is_copied(s, frame))
        outer: dict[Value, None] = {}
        pending, seen = deque(needed), set()
        pending.extend(s for v in chosen for s in _symbols(v))
        while pending:
            value = pending.popleft()
            if value in seen:
                continue
            seen.add(value)
            definition = self.home(value, frame)
            if value in frame.alive:
                frame.used[value] = None
            elif definition is None:
                if value in self.definitions:
                    outer[value] = None
            elif value not in chosen and not self.is_alive(frame, definition, value):
                pending.extend(self.sources(value, definition) or ())
        return list(outer)

    def is_copied(self, size: Value, frame: Frame) -> bool:
        """Whether a size from a frame around goes into the entries: where the stack is made, it is not known yet."""
        in_place = frame.parent is not None and frame.parent.is_whole and frame.arm is None
        in_place = in_place or (frame.split is not None and REPLAY in frame.split.instr.attrs)
        return frame.split is not None and not in_place and size in self.definitions

    def record(self, frame: Frame, chosen: set[Value]) -> None:
        ordered = sorted(chosen, key=lambda v: (v.rank > 0, v.serial))
        if frame.split is not None and not frame.is_whole:
            frame.stored = ordered
        for value in ordered:
            definition = self.definitions[value]
            arm = definition.arm if definition.frame is frame else None
            while arm is not None:
                frame.exports[arm.split].append(value)
                arm = arm.parent


def _symbols(value: Value) -> Iterator[Value]:
    """The values that the dimensions of `value` refer to."""
    for symbol in value.type.symbols():
        if isinstance(symbol, Value):
            yield symbol


def _recompute_from(definition: Definition) -> list[Value] | None:
    """What recomputing the value reads, or None when it must not be recomputed."""
    instr = definition.instr
    if instr is None or not can_recompute(instr):
        return None
    return [*instr.operands, *(s for r in instr.results for s in _symbols(r))]


def _store_cost(value: Value) -> int:
    cost = value.tensor.dtype.itemsize if value.rank else SCALAR_BYTES
    for d in value.dims:
        cost *= max(1, d) if isinstance(d, int) else AXIS_FACTOR
    return cost


class _Network:
    """A flow network whose vertices have capacities; `cut` finds a minimum vertex cut between sources and sinks.

    Augmenting paths by breadth-first search (Edmonds & Karp 1972). Vertex v is split into (v, 0) -> (v, 1).
    """

    def __init__(self) -> None:
        self.capacity: dict[object, dict[object, float]] = defaultdict(dict)

    def link(self, a: object, b: object, capacity: float) -> None:
        self.capacity[a][b] = capacity
        self.capacity[b].setdefault(a, 0)

    def node(self, value: Value, cost: int) -> None:
        self.link((value, 0), (value, 1), cost)

    def edge(self, a: Value, b: Value) -> None:
        self.link((a, 1), (b, 0), float("inf"))

    def source(self, value: Value) -> None:
        self.link("source", (value, 0), float("inf"))

    def sink(self, value: Value) -> None:
        self.link((value, 1), "sink", float("inf"))

    def cut(self) -> set[Value]:
        """The vertices of a minimum cut, the one nearest to the sink side being irrelevant."""
        while True:
            reached = self._search()
            if "sink" not in reached:
                break
            path: list[tuple[object, object]] = []
            node: object = "sink"
            while node != "source":
                path.append((reached[node], node))
                node = reached[node]
            flow = min(self.capacity[a][b] for a, b in path)
            for a, b in path:
                self.capacity[a][b] -= flow
                self.capacity[b][a] += flow
        vertices = [v for v in self.capacity if isinstance(v, tuple) and v[1] == 0]
        return {v[0] for v in vertices if v in reached and (v[0], 1) not in reached}

    def _search(self) -> dict[object, object]:
        """Predecessors of everything reachable from the source; stops early at the sink."""
        reached: dict[object, object] = {"source": None}
        queue: deque[object] = deque(["source"])
        while queue:
            node = queue.popleft()
            for nxt, capacity in self.capacity.get(node, {}).items():
                if capacity > 0 and nxt not in reached:
                    reached[nxt] = node
                    if nxt == "sink":
                        return reached
                    queue.append(nxt)
        return reached
