"""A tape that is larger than the cache is made again, block by block, where that is cheaper than to fetch it from memory.

Reverse mode leaves a loop that pushes in each round what a later loop, which goes from the last round to the first, pops. Where
the tape in between outgrows the second-level cache, writing it and reading it back takes longer than a few additions and
products per stored number do. So both loops become loops over blocks of rounds: the first keeps the carry at the start of each
block, and the tape of the last block, which alone it writes; the second runs each earlier block again from its carry, which makes
its tape, in memory that is still in the cache. How many rounds make a block is found at run time; where the whole tape fits,
there is one block, and nothing runs twice. Numbers are computed as before and in the same order, so results stay the same to the
last bit.

This is for the function that becomes native code, behind all derivatives and the other passes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wengert.ir.builder import Builder
from wengert.ir.calls import has_effects
from wengert.ir.core import Function, Instr, Region, Value, free_values
from wengert.ir.op import get_op
from wengert.ir.rewrite import Env, copy_instr, copy_value, lookup
from wengert.types import I64_SCALAR, Slot, StackType, TensorType

WORD = 8
MOST_WORK = 24
"""What a round may cost per array that it stores (see `OpDef.cost`) to be run again: about what fetching a number costs."""
DEAREST = 8
"""What an op in such a round may cost: no transcendentals, no products of matrices."""


def blocks(fn: Function, cache: int) -> Function:
    """`fn` with loops forth and back in blocks whose tape fits into `cache` bytes; `fn` itself if there are none."""
    instrs = fn.instrs
    for pair in _pairs(instrs, fn.results):
        instrs = _cut(instrs, pair, cache)
    return fn if instrs is fn.instrs else replace(fn, instrs=instrs)


@dataclass(frozen=True, eq=False)
class _Pair:
    """A loop that pushes once a round, and the loop that pops once a round.

    Attributes:
        forth: the first loop.
        back: the second loop.
        pushed: the position of the stack among the carries of the first.
        popped: the position of the stack among the carries of the second.
    """

    forth: Instr
    back: Instr
    pushed: int
    popped: int

    @property
    def stack(self) -> StackType:
        """The type of the stack."""
        found = self.forth.results[self.pushed].type
        assert isinstance(found, StackType)
        return found

    @property
    def carried(self) -> list[int]:
        """The positions of what the first loop carries besides."""
        return [k for k in range(len(self.forth.results)) if k != self.pushed]


# --- which loops -----------------------------------------------------------------------------------------------------


def _pairs(instrs: Sequence[Instr], results: Sequence[Value]) -> list[_Pair]:
    uses = Counter(u for i in instrs for u in (*i.operands, *(f for r in i.regions for f in free_values(r))))
    uses.update(results)
    makers = {r: i for i in instrs for r in i.results}
    found = []
    for back in instrs:
        if back.op.name != "for":
            continue
        stacks = [k for k, r in enumerate(back.results) if isinstance(r.type, StackType)]
        forth = makers.get(back.operands[1 + stacks[0]]) if len(stacks) == 1 else None
        if forth is None or forth.op.name != "for":
            continue
        pair = _Pair(forth, back, forth.results.index(back.operands[1 + stacks[0]]), stacks[0])
        once = uses[forth.results[pair.pushed]] == 1 and not uses[back.results[pair.popped]]
        if once and _starts_empty(pair, makers, uses) and _fits(pair) and _is_cheap(pair):
            found.append(pair)
    return found


def _starts_empty(pair: _Pair, makers: dict[Value, Instr], uses: Counter[Value]) -> bool:
    """Whether the first loop begins with an empty stack of its own."""
    start = pair.forth.operands[1 + pair.pushed]
    return start in makers and makers[start].op.name == "stack_new" and uses[start] == 1


def _fits(pair: _Pair) -> bool:
    """Whether the loops have as many rounds, each of which pushes or pops once, and there are no effects in them."""
    forth, back = pair.forth, pair.back
    if forth.operands[0] is not back.operands[0] and forth.operands[0].affine != back.operands[0].affine:
        return False
    if sum(isinstance(r.type, StackType) for r in forth.results) != 1:
        return False
    for loop, name, place in ((forth, "push", pair.pushed), (back, "pop", pair.popped)):
        (body,) = loop.regions
        if any(has_effects(i) or i.regions or i.op.name in ("call", "host_call") for i in body.instrs):
            return False
        users = [i for i in body.instrs if any(isinstance(v.type, StackType) for v in (*i.operands, *i.results))]
        if [i.op.name for i in users] != [name] or users[0].operands[0] is not body.params[1 + place]:
            return False
        if body.results[place] is not users[0].results[0]:
            return False
        carry = set(body.params)
        if any(s in carry for p in body.params for s in p.type.symbols()):
            return False
    return not any(isinstance(s, Slot) for e in pair.stack.elements for s in e.symbols())


def _is_cheap(pair: _Pair) -> bool:
    """Whether a round stores arrays, and running it again takes no longer than to fetch what it stores."""
    arrays = sum(isinstance(e, TensorType) and e.rank > 0 for e in pair.stack.elements)
    costs = [i.op.cost for i in pair.forth.regions[0].instrs if i.op.name != "push" and any(v.rank for v in i.operands)]
    return 0 < sum(costs) <= MOST_WORK * arrays and max(costs) <= DEAREST


# --- what becomes of them --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Plan:
    """Values in front of the first loop: how many rounds there are, in a block, and how many blocks."""

    rounds: Value
    length: Value
    count: Value

    def begin(self, b: Builder, number: Value) -> tuple[Value, Value]:
        """The first round of a block and how many it has."""
        start = b.mul(number, self.length)
        return start, b.minimum(self.length, b.sub(self.rounds, start))


def _cut(instrs: tuple[Instr, ...], pair: _Pair, cache: int) -> tuple[Instr, ...]:
    """The block with the two loops replaced."""
    made: list[Instr] = []
    plan: _Plan | None = None
    states: Value | None = None
    for instr in instrs:
        b = Builder(instr.span)
        if instr is pair.forth:
            plan = _plan(b, pair, cache)
            states = _forth(b, pair, plan)
        elif instr is pair.back:
            assert plan is not None and states is not None
            _back(b, pair, plan, states)
        else:
            b.append(instr)
        made += b.instrs
    return tuple(made)


def _plan(b: Builder, pair: _Pair, cache: int) -> _Plan:
    """One block if the tape takes no more than thrice the cache; else blocks of 1/4: there are two tapes on the way forth.

    Between one and three times the cache, part of the tape is still there on the way back, and running again costs more.

    A carry of more than 1/16 of the cache is too much to keep per block.
    """
    one = b.const(1)
    rounds = b.maximum(pair.forth.operands[0], b.const(0))
    entry = b.maximum(_bytes(b, [e for e in pair.stack.elements if isinstance(e, TensorType)]), one)
    state = _bytes(b, [pair.forth.results[k].tensor for k in pair.carried])
    fits = b.le(rounds, b.floordiv(b.const(3 * cache), entry))
    whole = b.emit(get_op("or"), (fits, b.gt(state, b.const(cache // 16))))[0]
    length = b.maximum(b.select(whole, rounds, b.minimum(rounds, b.floordiv(b.const(cache // 4), entry))), one)
    count = b.floordiv(b.add(rounds, b.sub(length, one)), length)
    return _Plan(rounds, length, count)


def _bytes(b: Builder, types: Sequence[TensorType]) -> Value:
    """How many bytes values of these types take together, each number taken for eight."""
    total = b.const(0)
    for declared in types:
        part = b.const(WORD)
        for d in declared.dims:
            part = b.mul(part, b.dim(d))
        total = b.add(total, part)
    return total


def _run(b: Builder, pair: _Pair, plan: _Plan, number: Value, carry: Sequence[Value], stack: Value) -> tuple[Value, ...]:
    """Emit the rounds of block `number` from `carry`, pushing to the empty `stack`; returns all the carries at its end."""
    start, here = plan.begin(b, number)
    operands = list(carry)
    operands.insert(pair.pushed, stack)
    return _part(b, pair.forth, start, here, operands, "k")


def _untaped(pair: _Pair) -> Instr:
    """The first loop without its stack."""
    forth, carried = pair.forth, pair.carried
    (body,) = forth.regions
    params = (body.params[0], *(body.params[1 + k] for k in carried))
    instrs = tuple([i for i in body.instrs if i.op.name != "push"])
    region = Region(params, instrs, tuple([body.results[k] for k in carried]))
    operands = (forth.operands[0], *(forth.operands[1 + k] for k in carried))
    return replace(forth, operands=operands, results=tuple([forth.results[k] for k in carried]), regions=(region,))


def _part(b: Builder, loop: Instr, first: Value, count: Value, carry: Sequence[Value], name: str) -> tuple[Value, ...]:
    """Emit `count` rounds of a loop from round `first` on, which begin with `carry`; returns the carries at their end."""
    (body,) = loop.regions
    k = Value(I64_SCALAR, name)
    inner = b.child()
    env: Env = {body.params[0]: inner.add(first, k)}
    params = tuple([copy_value(env, p) for p in body.params[1:]])
    inner.instrs += [copy_instr(i, env) for i in body.instrs]
    region = Region((k, *params), tuple(inner.instrs), tuple([lookup(env, r) for r in body.results]))
    return b.emit(loop.op, (count, *carry), {}, (region,), [r.name for r in loop.results])


def _forth(b: Builder, pair: _Pair, plan: _Plan) -> Value:
    """Emit the first loop, whose results keep their names; returns the stack of the carries at the starts of the blocks."""
    forth = pair.forth
    untaped = _untaped(pair)
    states = b.emit(get_op("stack_new"), (plan.count,), {"elements": tuple(r.tensor for r in untaped.results)})[0]
    number = Value(I64_SCALAR, "block")
    params = [Value(r.type, r.name) for r in untaped.results]
    before = Value(states.type, "states")
    inner = b.child()
    after = inner.emit(get_op("push"), (before, *params), names=["states"])[0]
    start, here = plan.begin(inner, number)
    finals = _part(inner, untaped, start, here, params, "k")
    region = Region((number, *params, before), tuple(inner.instrs), (*finals, after))
    names = [*(r.name for r in untaped.results), "states"]
    last = b.maximum(b.sub(plan.count, b.const(1)), b.const(0))
    *carry, states = b.emit(forth.op, (last, *untaped.operands[1:], states), {}, (region,), names)
    states = b.emit(get_op("push"), (states, *carry), names=["states"])[0]
    tape = b.emit(get_op("stack_new"), (plan.length,), {"elements": pair.stack.elements})[0]
    _run(b, pair, plan, last, carry, tape)
    b.instrs[-1] = replace(b.instrs[-1], results=forth.results)
    return states


def _back(b: Builder, pair: _Pair, plan: _Plan, states: Value) -> None:
    """Emit the second loop, whose results keep their names."""
    back = pair.back
    turn = Value(I64_SCALAR, "turn")
    params = [Value(r.type, r.name) for r in back.results]
    before = Value(states.type, "states")
    inner = b.child()
    number = inner.sub(inner.sub(plan.count, inner.const(1)), turn)
    after, *carry = inner.emit(get_op("pop"), (before,), names=["states"])
    again, kept = inner.child(), inner.child()
    tape = params[pair.popped]
    made = _run(again, pair, plan, number, carry, tape)[pair.pushed]
    arms = (Region((), tuple(again.instrs), (made,)), Region((), tuple(kept.instrs), (tape,)))
    filled = inner.emit(get_op("if"), (inner.gt(turn, inner.const(0)),), {}, arms, ["residuals"])[0]

    start, here = plan.begin(inner, number)
    offset = inner.sub(inner.sub(plan.rounds, start), here)  # rounds gone back through
    operands = list(params)
    operands[pair.popped] = filled
    finals = _part(inner, back, offset, here, operands, "j")
    whole = Region((turn, *params, before), tuple(inner.instrs), (*finals, after))
    rest = Value(states.type, "states")
    b.append(Instr(back.op, (plan.count, *back.operands[1:], states), (*back.results, rest), {}, (whole,), back.span))
