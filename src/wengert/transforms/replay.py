"""Loops that go back with a fixed number of states at hand: the rounds between are run again from the nearest one.

The states are on a stack, with the numbers of the rounds at whose start they were. To go back through round k, the top state is
taken off. If it belongs to an earlier round, it is put back, and the loop runs on from it up to k, leaving states on its way
where the binomial schedule puts them (Griewank & Walther 2000, ACM TOMS algorithm 799): with c places, rounds that are run
again at most r times each reach C(c + r, c) rounds, which no schedule betters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wengert.ir.builder import Builder
from wengert.ir.core import Instr, Region, Value, free_values
from wengert.ir.op import get_op
from wengert.ir.rewrite import Env, copy_instr, copy_value, lookup
from wengert.transforms.checkpoint_inline import inlined
from wengert.transforms.linearize import without_effects
from wengert.types import F64, I64, I64_SCALAR


@dataclass(frozen=True)
class Replay:
    """As much of a loop as it takes to run it from one state to a later one.

    Attributes:
        positions: which carries are needed.
        params: these at the start of a round.
        index: the number of the round, None if nothing reads it.
        instrs: of a round.
        results: the carries after it.
        reads: values from outside.
    """

    positions: tuple[int, ...]
    params: tuple[Value, ...]
    index: Value | None
    instrs: tuple[Instr, ...]
    results: tuple[Value, ...]
    reads: tuple[Value, ...]

    def initial(self, loop: Instr) -> list[Value]:
        """The carries before the first round."""
        offset = 1 if loop.op.name == "for" else 0
        return [loop.operands[k + offset] for k in self.positions]


def replay_of(loop: Instr, wanted: Sequence[Value]) -> Replay | None:
    """What it takes to know the carries `wanted` at the start of any round; None if they are not carries alone."""
    body = loop.regions[-1]
    instrs = inlined(without_effects(body.instrs))
    offset = 1 if loop.op.name == "for" else 0
    carry = body.params[offset:]
    places = {p: k for k, p in enumerate(carry)}
    if any(v not in places for v in wanted):
        return None
    positions: set[int] = {places[v] for v in wanted}
    while True:
        used = {body.results[k] for k in positions}
        kept: list[Instr] = []
        for instr in reversed(instrs):
            if any(r in used for r in instr.results):
                used.update(free_values(Region((), (instr,), ())))
                kept.append(instr)
        found = positions | {k for p, k in places.items() if p in used}
        if found == positions:
            break
        positions = found
    chosen = tuple(sorted(positions, key=lambda k: (carry[k].rank > 0, k)))
    params, results = tuple(carry[k] for k in chosen), tuple(body.results[k] for k in chosen)
    index = body.params[0] if offset else None
    inside = Region((*params, *(() if index is None else (index,))), tuple(reversed(kept)), results)
    return Replay(chosen, params, index, inside.instrs, results, tuple(free_values(inside)))


class Replayer:
    """Emits the way from state to state; `env` says what the values that the loop reads are called.

    Attributes:
        slots: how many states there is room for, an `i64[]`.
        initial: the state before round 0.
    """

    def __init__(self, replay: Replay, env: Env, slots: Value, initial: Sequence[Value]) -> None:
        self.replay = replay
        self.env = env
        self.slots = slots
        self.initial = initial

    def start(self, b: Builder) -> list[Value]:
        """A stack with the state before round 0, and how many are on it."""
        entry = (I64_SCALAR, *(v.tensor for v in self.initial))
        stack = b.emit(get_op("stack_new"), (self.slots,), {"elements": entry})[0]
        return [b.emit(get_op("push"), (stack, b.const(0), *self.initial), names=["states"])[0], b.const(1)]

    def state(self, b: Builder, stack: Value, held: Value, last: Value) -> tuple[Value, Value, tuple[Value, ...]]:
        """The stack, how many states are on it, and the state before round `last`, which is not on it any more."""
        rest, position, *state = b.emit(get_op("pop"), (stack,), names=["states", "p"])
        init = (rest, b.sub(held, b.const(1)), position, *state)
        cond, body = Builder(b.span), Builder(b.span)
        seen, done = self._params(init), self._params(init)
        test = cond.lt(seen[2], last)
        results = self._advance(body, done[0], done[1], done[2], done[3:], last)
        regions = (Region(seen, tuple(cond.instrs), (test,)), Region(done, tuple(body.instrs), tuple(results)))
        found = b.emit(get_op("while"), init, {}, regions, ["states", "held", "p"])
        return found[0], found[1], found[3:]

    def _params(self, values: Sequence[Value]) -> tuple[Value, ...]:
        return tuple([Value(v.type, v.name) for v in values])

    def _advance(
        self, b: Builder, stack: Value, held: Value, position: Value, state: Sequence[Value], last: Value
    ) -> list[Value]:
        """Put a state back, and run on from it to the next one."""
        pushed = b.emit(get_op("push"), (stack, position, *state), names=["states"])[0]
        free = b.sub(self.slots, held)
        rounds = split(b, b.sub(last, position), free)
        k = Value(I64_SCALAR, "k")
        inner = Builder(b.span)
        env = dict(self.env)
        if self.replay.index is not None:
            env[self.replay.index] = inner.add(position, k)
        params = [copy_value(env, p) for p in self.replay.params]
        inner.instrs += [copy_instr(i, env) for i in self.replay.instrs]
        body = Region((k, *params), tuple(inner.instrs), tuple(lookup(env, r) for r in self.replay.results))
        moved = b.emit(get_op("for"), (rounds, *state), {}, (body,))
        return [pushed, b.add(held, b.const(1)), b.add(position, rounds), *moved]


def split(b: Builder, ahead: Value, places: Value) -> Value:
    """How many of `ahead` rounds to run before the next state is kept, with `places` places, that of the first state included.

    With reach(c, r) = C(c + r, c) and r the least number of repetitions for which reach(c, r) covers the rounds ahead and one
    more: the part run now is at most reach(c, r - 1), and what is left for c - 1 places at least reach(c - 1, r - 1). With one
    place only, all of them.
    """
    one = b.const(1)
    total = b.add(ahead, one)
    init = (b.const(0), one, one)  # repetitions, reach with them, reach with one less
    seen = [Value(I64_SCALAR, n) for n in ("r", "reach", "before")]
    cond = Builder(b.span)
    test = cond.lt(seen[1], total)
    old = [Value(I64_SCALAR, n) for n in ("r", "reach", "before")]
    body = Builder(b.span)
    more = body.add(old[0], body.const(1))
    longer = body.floordiv(body.mul(old[1], body.add(places, more)), more)
    regions = (Region(tuple(seen), tuple(cond.instrs), (test,)), Region(tuple(old), tuple(body.instrs), (more, longer, old[1])))
    repeats, _, before = b.emit(get_op("while"), init, {}, regions, ["r", "reach", "before"])
    fewer = b.floordiv(b.mul(before, places), b.maximum(b.sub(b.add(places, repeats), one), one))
    chosen = b.maximum(b.minimum(before, b.sub(total, fewer)), one)
    result: Value = b.select(b.gt(places, one), chosen, ahead)
    return result


def slots_for(b: Builder, budget: object, rounds: Value, initial: Sequence[Value]) -> Value:
    """How many states to keep of a loop of so many rounds: those that `budget` bytes hold, or about 2 log2(rounds)."""
    one = b.const(1)
    if isinstance(budget, int):
        size = b.const(8)
        for value in initial:
            part = b.const(8)
            for d in value.dims:
                part = b.mul(part, b.dim(d))
            size = b.add(size, part)
        found = b.floordiv(b.const(budget), size)
    else:
        exact = b.convert(b.maximum(rounds, one), dtype=F64)
        found = b.mul(b.const(2), b.convert(b.ceil(b.log2(exact)), dtype=I64))
    most: Value = b.maximum(b.minimum(found, rounds), one)
    return most
