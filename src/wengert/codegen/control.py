"""Regions: `if`, `for`, `while`. Scalars travel in phis, arrays stay in one buffer per carry, stacks in place.

A loop carry has a home: the buffer of its initial value where that is dead, a fresh one otherwise. The body's results are
put back into the homes at the end of each iteration, which costs nothing when they were made in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from wengert.codegen.interpreter_lock import poll
from wengert.codegen.lowering import PYTHON_ERROR, Handler, Lowering
from wengert.codegen.nests import assign, save, vacate
from wengert.codegen.stacks import move_stacks, new_stack
from wengert.codegen.storage import Buffer, Lazy, Mem, Place, Stack
from wengert.codegen.text import REGISTER
from wengert.errors import InternalError
from wengert.ir.core import Instr, Region, Value, walk
from wengert.types import StackType

TRIVIAL_COST = 1
# Signals are looked for once in so many trips of a `while`, which may have no end. In a `for` it would cost too much: around
# two other loops, 40 percent, since LLVM moves less across a call.
TRIPS = 4096
_PASSING_ON = frozenset({"update", "add_at", "scatter_add", "scatter", "resize", "assume_shape", "push", "pop"})


@dataclass
class Carry:
    """What a loop carries, by kind.

    Attributes:
        places: where each carry is at the start of an iteration.
        homes: buffers of the array carries, by position.
        holes: lines of the phis of the scalar carries, by position.
        initial: initial values of the scalar carries, by position.
    """

    places: list[Place] = field(default_factory=list)
    homes: dict[int, Buffer] = field(default_factory=dict)
    holes: dict[int, int] = field(default_factory=dict)
    initial: dict[int, str] = field(default_factory=dict)


def for_loop(low: Lowering, instr: Instr) -> None:
    """A counted loop."""
    w, (body,) = low.w, instr.regions
    count = low.scalar(instr.operands[0])
    again = low.uses.free(body)
    low.settle(low)
    settle_outside(low, again)
    carry = prepare(low, instr.operands[1:], again, body.params[1:], instr.results, handed_over(low, instr))
    before, header, inside, after = w.block, w.fresh("for"), w.fresh("body"), w.fresh("after")
    w.jump(header)
    w.label(header)
    counter = "%" + w.fresh("i")
    hole = w.hole()
    params = body.params[1:]
    open_header(low, carry, params)
    w.branch(w.let(f"icmp slt i64 {counter}, {count}"), inside, after)
    w.label(inside)
    low.enter(body, again, loop=True)
    low.bind(body.params[0], counter)
    bind_carry(low, carry, params)
    low.block(body)
    results = put_back(low, carry, body.results, params)
    low.leave()
    following = w.let(f"add nuw nsw i64 {counter}, 1")
    w.fill(hole, f"{counter} = phi i64 [ 0, %{before} ], [ {following}, %{w.block} ]")
    close_header(low, carry, params, results, before)
    w.jump(header)
    w.label(after)
    bind_results(low, carry, instr.results)


def while_loop(low: Lowering, instr: Instr) -> None:
    """A loop that runs while its condition holds."""
    w, (cond, body) = low.w, instr.regions
    again = low.uses.free(cond) | low.uses.free(body)
    low.settle(low)
    settle_outside(low, again)
    carry = prepare(low, instr.operands, again, body.params, instr.results, handed_over(low, instr))
    before, header, inside, after = w.block, w.fresh("while"), w.fresh("body"), w.fresh("after")
    w.jump(header)
    w.label(header)
    open_header(low, carry, body.params)
    low.enter(cond, again, loop=True)
    bind_carry(low, carry, cond.params)
    low.block(cond)
    proceed = low.scalar(cond.results[0])
    low.leave()
    w.branch(proceed, inside, after)
    w.label(inside)
    if low.part is None:
        poll(w, TRIPS, lambda: low.fail(PYTHON_ERROR))
    low.enter(body, again, loop=True)
    bind_carry(low, carry, body.params)
    low.block(body)
    results = put_back(low, carry, body.results, body.params)
    low.leave()
    close_header(low, carry, body.params, results, before)
    w.jump(header)
    w.label(after)
    bind_results(low, carry, instr.results)


def settle_outside(low: Lowering, again: frozenset[Value]) -> None:
    """Compute what a loop reads on every iteration before the loop, and save what it reads of stacks it pushes to."""
    lazy = [v for v in again if isinstance(low.env[v], Lazy)]
    save(low, [v for v in _ordered(lazy) if _is_worth_storing(low.env[v])], "computed before the loop that reads it")
    for value in _ordered(again):
        place = low.env[value]
        if isinstance(place, Stack):
            vacate(low, place.buffer)


def _ordered(values: Sequence[Value] | frozenset[Value]) -> list[Value]:
    return sorted(values, key=lambda v: v.serial)


def _is_worth_storing(place: Place) -> bool:
    return isinstance(place, Lazy) and not place.uniform and (place.cost > TRIVIAL_COST or bool(place.reads))


# --- carries -------------------------------------------------------------------------------------------------------


def handed_over(low: Lowering, instr: Instr) -> frozenset[Value]:
    """The arrays that calls inside of a loop overwrite: they get the record of the memory, so it has to have one."""
    calls = [i for region in instr.regions for i in walk(region.instrs) if i.op.name == "call"]
    return frozenset(i.operands[k] for i in calls for k in low.interfaces[i.attrs["callee"]].owned)


def prepare(
    low: Lowering,
    initial: Sequence[Value],
    again: frozenset[Value],
    params: Sequence[Value],
    results: Sequence[Value],
    handed: frozenset[Value] = frozenset(),
) -> Carry:
    """Homes for the arrays and stacks, with the initial values in them."""
    carry = Carry()
    pairs: list[tuple[int, Value, Buffer]] = []
    taken: set[Buffer] = set()
    for position, (value, param, result) in enumerate(zip(initial, params, results, strict=True)):
        place = low.env[value]
        if isinstance(place, str):
            carry.initial[position] = place
        elif isinstance(place, Stack):
            adopt_stack(low, place, again)
        else:
            home = adopt(low, value, again, taken, [value, param])
            if home is None:
                kept = None if param in handed else low.result_home(result, [value, param])
                home = kept or low.new_home([value, param], "loop carry")
            taken.add(home)
            pairs.append((position, value, home))
    assign(low, [(v, b) for _, v, b in pairs], "initial value of a loop carry")
    carry.homes = {position: home for position, _, home in pairs}
    carry.places = [low.env[v] for v in initial]
    return carry


def adopt(
    low: Lowering, value: Value, again: frozenset[Value], taken: set[Buffer], following: Sequence[Value] = ()
) -> Buffer | None:
    """The buffer of a dead array, to be overwritten by what follows; None if it has to be kept.

    Args:
        low: the state of lowering.
        value: the array.
        again: what the loop about to begin reads in every iteration.
        taken: buffers that have got another use.
        following: what the buffer will hold; without it, anything, by whoever gets its record.
    """
    place = low.array(value)
    if (
        not low.options.inplace
        or not isinstance(place, Mem)
        or not place.whole
        or not place.buffer.writable
        or place.buffer in taken
        or (place.buffer.local and not (following and place.buffer.holds(following)))
        or value in again
        or low.live_after(value)
    ):
        return None
    inside = [v for v in dict.fromkeys(place.buffer.readers) if v in again and _still_reads(low, v, place.buffer)]
    if not vacate(low, place.buffer):
        return None
    save(low, [v for v in inside if _still_reads(low, v, place.buffer)], "read in the loop that overwrites it")
    return place.buffer


def _still_reads(low: Lowering, value: Value, buffer: Buffer) -> bool:
    place = low.env[value]
    return isinstance(place, Mem | Lazy) and buffer in place.reads


def adopt_stack(low: Lowering, stack: Stack, again: frozenset[Value]) -> None:
    """Save what is still read of a stack's memory, in the loop that pushes to it or behind it."""
    inside = [v for v in dict.fromkeys(stack.buffer.readers) if v in again and _still_reads(low, v, stack.buffer)]
    save(low, inside, "read in the loop that pushes to its stack")
    if not vacate(low, stack.buffer):
        raise InternalError("the memory of a stack is read after it is overwritten", low.span)


def open_header(low: Lowering, carry: Carry, params: Sequence[Value]) -> None:
    """Leave room for the phis of the scalars."""
    for position in carry.initial:
        name = "%" + low.w.fresh("c")
        carry.places[position] = name
        carry.holes[position] = low.w.hole()


def bind_carry(low: Lowering, carry: Carry, params: Sequence[Value]) -> None:
    """Bind the parameters of a region to the carry; scalars first, since sizes may refer to them."""
    for position, param in enumerate(params):
        if position not in carry.homes:
            low.bind(param, carry.places[position])
    for position, home in carry.homes.items():
        low.bind(params[position], low.current(params[position], home))


def put_back(low: Lowering, carry: Carry, results: Sequence[Value], params: Sequence[Value]) -> dict[int, str]:
    """Put the yielded arrays into the homes and the yielded stacks in place; returns the yielded scalars."""
    pairs = [(results[position], home) for position, home in carry.homes.items()]
    assign(low, pairs, "result of an iteration")
    stacks = [(low.stack(results[p]), s) for p, s in enumerate(carry.places) if isinstance(s, Stack)]
    move_stacks(low, stacks)
    return {position: low.scalar(results[position]) for position in carry.initial}


def close_header(low: Lowering, carry: Carry, params: Sequence[Value], results: dict[int, str], before: str) -> None:
    """Fill in the phis."""
    for position, hole in carry.holes.items():
        register = REGISTER[params[position].tensor.dtype.name]
        first, following = carry.initial[position], results[position]
        low.w.fill(
            hole,
            f"{carry.places[position]} = phi {register} [ {first}, %{before} ], [ {following}, %{low.w.block} ]",
        )


def bind_results(low: Lowering, carry: Carry, results: Sequence[Value]) -> None:
    """Bind the results of a loop."""
    bind_carry(low, carry, results)


# --- if ------------------------------------------------------------------------------------------------------------


def if_else(low: Lowering, instr: Instr) -> None:
    """One of two arms; array results are put into a common buffer by both."""
    w = low.w
    low.settle(low)
    condition = low.scalar(instr.operands[0])
    for value in _ordered(low.uses.nested(instr)):
        if isinstance(place := low.env[value], Stack):
            vacate(low, place.buffer)
    targets = [_target(low, instr, position) for position in range(len(instr.results))]
    names = (w.fresh("then"), w.fresh("else"))
    joined = w.fresh("joined")
    w.branch(condition, *names)
    scalars: list[list[str]] = []
    ends: list[str] = []
    for name, region in zip(names, instr.regions, strict=True):
        w.label(name)
        scalars.append(_arm(low, region, targets))
        ends.append(w.block)
        w.jump(joined)
    w.label(joined)
    columns = iter(zip(*scalars, strict=True))
    arrays: list[tuple[Value, Buffer]] = []
    for result, target in zip(instr.results, targets, strict=True):
        if isinstance(target, Stack):
            low.bind(result, target)
        elif target is not None:
            arrays.append((result, target))
        else:
            register = REGISTER[result.tensor.dtype.name]
            incoming = ", ".join(f"[ {v}, %{b} ]" for v, b in zip(next(columns), ends, strict=True))
            low.bind(result, w.let(f"phi {register} {incoming}"))
    for result, buffer in arrays:
        low.bind(result, low.current(result, buffer))


def _arm(low: Lowering, region: Region, targets: Sequence[Buffer | Stack | None]) -> list[str]:
    """Lower an arm and put its arrays and stacks where they belong; returns its scalars."""
    low.enter(region)
    low.block(region)
    pairs = list(zip(region.results, targets, strict=True))
    assign(low, [(v, t) for v, t in pairs if isinstance(t, Buffer)], "result of an arm")
    move_stacks(low, [(low.stack(v), t) for v, t in pairs if isinstance(t, Stack)])
    scalars = [low.scalar(v) for v, t in pairs if t is None]
    low.leave()
    return scalars


def _target(low: Lowering, instr: Instr, position: int) -> Buffer | Stack | None:
    """Where both arms put a result: the buffer that an arm updates in place, if its old contents may go, else a new one."""
    result = instr.results[position]
    roots = [_root(low, region, region.results[position]) for region in instr.regions]
    if isinstance(result.type, StackType):
        earlier = [low.env[r] for p in range(position) for r in _roots(low, instr, p)]
        found = [p for r in roots if r is not None and (p := low.env[r]) not in earlier]
        return found[0] if found and isinstance(found[0], Stack) else new_stack(low)
    if result.rank == 0:
        return None
    taken: set[Buffer] = set()
    for other in range(position):
        taken.update(_candidates(low, instr, other))
    for root in roots:
        if root is not None and isinstance(low.env[root], Mem) and low.array(root).dtype == result.tensor.dtype:
            home = adopt(low, root, frozenset(), taken, [result])
            if home is not None:
                return home
    return low.new_home([result], "result of if")


def _candidates(low: Lowering, instr: Instr, position: int) -> list[Buffer]:
    return [place.buffer for r in _roots(low, instr, position) if isinstance(place := low.env[r], Mem)]


def _roots(low: Lowering, instr: Instr, position: int) -> list[Value]:
    found = [_root(low, region, region.results[position]) for region in instr.regions]
    return [r for r in found if r is not None]


def _root(low: Lowering, region: Region, value: Value) -> Value | None:
    """The outside value that `value` is made from by updates, or None."""
    makers = {r: (i, k) for i in region.instrs for k, r in enumerate(i.results)}
    while value in makers:
        instr, position = makers[value]
        if position == 0 and instr.op.name in _PASSING_ON:
            value = instr.operands[0]
        elif instr.op.name == "for":
            value = instr.operands[1 + position]
        elif instr.op.name == "while":
            value = instr.operands[position]
        elif instr.op.name == "if":
            inner = [_root(low, r, r.results[position]) for r in instr.regions]
            value = next((r for r in inner if r is not None), value)
            if value in makers and makers[value][0] is instr:
                return None
        else:
            return None
    return value if value in low.env else None


HANDLERS: dict[str, Handler] = {"if": if_else, "for": for_loop, "while": while_loop}
