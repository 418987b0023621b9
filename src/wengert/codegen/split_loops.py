"""`for` loops whose iterations do not need each other, in parts: arrays with rows are shared, sums are put together."""

from __future__ import annotations

import math
from collections.abc import Sequence

from wengert.codegen import control, scalars
from wengert.codegen import parts as limits
from wengert.codegen.control import Carry, bind_carry, close_header, open_header, prepare, put_back, settle_outside
from wengert.codegen.independent import Plan, plan
from wengert.codegen.lowering import Handler, Lowering
from wengert.codegen.nests import NotApart, is_all_of, loop, nest
from wengert.codegen.parts import part_of_loop, threads_for
from wengert.codegen.storage import Buffer, Mem
from wengert.codegen.text import MEMORY, REGISTER, float_literal, literal
from wengert.codegen.threads import MOST_THREADS
from wengert.ir.core import Instr, Region, Value
from wengert.types import Affine, TensorType

# What is supposed where nothing is known: sizes, and trips of loops.
SUPPOSED = 16
# Nanoseconds that an element of a sum costs a part: it is set to zero and added at the end.
PER_ELEMENT_OF_SUM = 4.0


def for_loop(low: Lowering, instr: Instr) -> None:
    """A counted loop, in parts if it may be cut and is likely to be long."""
    found = None
    if low.options.threads and low.part is None:
        low.loops_seen += 1
        if low.loops_seen not in low.in_order:
            found = plan(instr)
    if found is None or _is_short(instr):
        control.for_loop(low, instr)
        return
    number = low.loops_seen
    try:
        _in_parts(low, instr, found)
    except NotApart:
        raise NotApart(number) from None


def _is_short(instr: Instr) -> bool:
    trips = instr.operands[0].affine
    return isinstance(trips, int) and trips * _body_cost(None, instr.regions[0], {}) < 2 * limits.GRAIN


def _in_parts(low: Lowering, instr: Instr, found: Plan) -> None:
    w, (body,) = low.w, instr.regions
    params = body.params[1:]
    count = low.scalar(instr.operands[0])
    again = low.uses.free(body)
    low.settle(low)
    settle_outside(low, again)
    carry = prepare(low, instr.operands[1:], again, params, instr.results)
    parts = _threads(low, instr, count, found)
    pointers = {p: low.current(instr.operands[1 + p], home).pointer for p, home in carry.homes.items()}
    partial = {p: _room_for_partial(low, instr.results[p], parts) for p in carry.homes if p in found.sums}
    slots = {p: w.slot(REGISTER[instr.results[p].tensor.dtype.name], count=MOST_THREADS) for p in carry.initial}
    with part_of_loop(low, count, parts) as (first, behind, number):
        own = Carry(places=list(carry.places))
        is_first = low.w.let(f"icmp eq i64 {number}, 0")
        for p, home in carry.homes.items():
            pointer = pointers[p] if p in found.rows else _own_sum(low, instr.results[p], pointers[p], partial[p], number)
            own.homes[p] = Buffer(home.scope, True, local=pointer, result=instr.results[p])
        for p, initial in carry.initial.items():
            dtype = instr.results[p].tensor.dtype
            kind = REGISTER[dtype.name]
            own.initial[p] = low.w.let(f"select i1 {is_first}, {kind} {initial}, {kind} {literal(0, dtype)}")
        finals = _iterations(low, instr, own, again, (first, behind), found)
        for p, final in finals.items():
            kind = REGISTER[instr.results[p].tensor.dtype.name]
            at = low.w.let(f"getelementptr inbounds {kind}, ptr {slots[p]}, i64 {number}")
            low.w.do(f"store {kind} {final}, ptr {at}")
    for p, pointer in partial.items():
        _add_partial(low, instr.results[p], pointers[p], pointer, parts)
    for p, slot in slots.items():
        carry.places[p] = _total(low, instr.results[p], slot, parts)
    bind_carry(low, carry, instr.results)


def _iterations(
    low: Lowering, instr: Instr, carry: Carry, again: frozenset[Value], borders: tuple[str, str], found: Plan
) -> dict[int, str]:
    """The loop from one border to the other; returns the scalars that it ends with."""
    w, (body,) = low.w, instr.regions
    params = body.params[1:]
    shared = {carry.homes[p] for p in found.rows}
    low.shared |= shared
    before, header, inside, after = w.block, w.fresh("for"), w.fresh("body"), w.fresh("after")
    w.jump(header)
    w.label(header)
    counter = "%" + w.fresh("i")
    hole = w.hole()
    open_header(low, carry, params)
    w.branch(w.let(f"icmp slt i64 {counter}, {borders[1]}"), inside, after)
    w.label(inside)
    low.enter(body, again, loop=True)
    low.bind(body.params[0], counter)
    bind_carry(low, carry, params)
    low.block(body)
    if not all(is_all_of(low, body.results[p], carry.homes[p]) for p in found.rows):
        raise NotApart
    results = put_back(low, carry, body.results, params)
    low.leave()
    following = w.let(f"add nsw i64 {counter}, 1")
    w.fill(hole, f"{counter} = phi i64 [ {borders[0]}, %{before} ], [ {following}, %{w.block} ]")
    close_header(low, carry, params, results, before)
    w.jump(header)
    w.label(after)
    low.shared -= shared
    return {p: carry.places[p] for p in carry.initial if isinstance(carry.places[p], str)}  # type: ignore[misc]


# --- sums ------------------------------------------------------------------------------------------------------------


def _room_for_partial(low: Lowering, result: Value, parts: str) -> str:
    """Memory for the sums of all parts but the first, which adds to what is there."""
    w, dtype = low.w, result.tensor.dtype
    buffer = low.new_buffer(f"{result.type}: sums of parts of a loop")
    others = w.let(f"sub nsw i64 {parts}, 1")
    return low.reserve(buffer, w.let(f"mul i64 {others}, {low.product(low.sizes(result))}"), dtype)


def _partial(low: Lowering, result: Value, pointer: str, number: str) -> Mem:
    """The sum of the part `number`, from 1 on."""
    w, dtype = low.w, result.tensor.dtype
    before = w.let(f"mul i64 {w.let(f'sub nsw i64 {number}, 1')}, {low.product(low.sizes(result))}")
    at = w.let(f"getelementptr inbounds {MEMORY[dtype.name]}, ptr {pointer}, i64 {before}")
    return low.memory(result, Buffer(0, False), at)


def _own_sum(low: Lowering, result: Value, home: str, partial: str, number: str) -> str:
    """Where a part adds up an array: the first one in its home, the others in memory that is set to zero here."""
    w, dtype = low.w, result.tensor.dtype
    zero, ready, before = w.fresh("zero"), w.fresh("ready"), w.block
    w.branch(w.let(f"icmp eq i64 {number}, 0"), ready, zero)
    w.label(zero)
    mem = _partial(low, result, partial, number)
    size = w.let(f"mul i64 {low.product(mem.sizes)}, {dtype.itemsize}")
    w.declarations.setdefault("llvm.memset.p0.i64", "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
    w.do(f"call void @llvm.memset.p0.i64(ptr {mem.pointer}, i8 0, i64 {size}, i1 false)")
    end = w.block
    w.jump(ready)
    w.label(ready)
    return w.let(f"phi ptr [ {home}, %{before} ], [ {mem.pointer}, %{end} ]")


def _add_partial(low: Lowering, result: Value, home: str, partial: str, parts: str) -> None:
    """Add the sums of the parts to that of the first one, in order."""
    dtype = result.tensor.dtype
    whole = low.memory(result, Buffer(0, False), home)

    def one(k: str) -> None:
        mem = _partial(low, result, partial, low.w.let(f"add nsw i64 {k}, 1"))

        def add(index: tuple[str, ...]) -> None:
            place = low.address(whole, index)
            old, new = (low.w.let(f"load {MEMORY[dtype.name]}, ptr {a}") for a in (place, low.address(mem, index)))
            low.w.do(f"store {MEMORY[dtype.name]} {scalars.emit(low.w, 'add', dtype, (old, new), {})}, ptr {place}")

        nest(low, whole.sizes, add)

    loop(low, low.w.let(f"sub nsw i64 {parts}, 1"), one)


def _total(low: Lowering, result: Value, slot: str, parts: str) -> str:
    """The sum of a scalar over all parts, in order."""
    w, dtype = low.w, result.tensor.dtype
    kind = REGISTER[dtype.name]
    total = w.slot(kind)
    w.do(f"store {kind} {w.let(f'load {kind}, ptr {slot}')}, ptr {total}")

    def one(k: str) -> None:
        at = w.let(f"getelementptr inbounds {kind}, ptr {slot}, i64 {w.let(f'add nsw i64 {k}, 1')}")
        old, new = w.let(f"load {kind}, ptr {total}"), w.let(f"load {kind}, ptr {at}")
        w.do(f"store {kind} {scalars.emit(w, 'add', dtype, (old, new), {})}, ptr {total}")

    loop(low, w.let(f"sub nsw i64 {parts}, 1"), one)
    return w.let(f"load {kind}, ptr {total}")


# --- what it takes ---------------------------------------------------------------------------------------------------


def _threads(low: Lowering, instr: Instr, count: str, found: Plan) -> str:
    w = low.w
    terms: dict[tuple[str, ...], float] = {}
    _body_cost(low, instr.regions[0], terms)
    grain = float_literal(limits.GRAIN)
    for p in found.sums:
        if instr.results[p].rank:
            elements = w.let(f"sitofp i64 {low.product(low.sizes(instr.results[p]))} to double")
            extra = w.let(f"fmul double {elements}, {float_literal(PER_ELEMENT_OF_SUM)}")
            grain = w.let(f"fadd double {grain}, {extra}")
    total = float_literal(0.0)
    for factors, each in terms.items():
        product = float_literal(each)
        for factor in factors:
            positive = w.let(f"call i64 @llvm.smax.i64(i64 {factor}, i64 0)")
            product = w.let(f"fmul double {product}, {w.let(f'sitofp i64 {positive} to double')}")
        total = w.let(f"fadd double {total}, {product}")
    trips = w.let(f"sitofp i64 {count} to double")
    return threads_for(low, count, w.let(f"fmul double {total}, {trips}"), grain)


def _body_cost(
    low: Lowering | None, region: Region, terms: dict[tuple[str, ...], float], outer: tuple[str, ...] = (), scale: float = 1.0
) -> float:
    """Nanoseconds of a run of the region, by rough estimate.

    Args:
        low: what is known around the loop; with it, sizes that are known there become factors.
        region: what runs.
        terms: gets the products of sizes, with what each stands for.
        outer: sizes that all of it is multiplied by.
        scale: a number that it is multiplied by.
    """
    total = 0.0
    for instr in region.instrs:
        if instr.regions:
            trips, supposed = _trips(low, instr)
            total += sum(_body_cost(low, r, terms, (*outer, *trips), scale * supposed) for r in instr.regions)
            continue
        factors, number = _elements(low, instr)
        each = scale * number * (0.3 + 0.5 * instr.op.cost)
        key = tuple(sorted((*outer, *factors)))
        terms[key] = terms.get(key, 0.0) + each
        total += each
    return total


def _trips(low: Lowering | None, instr: Instr) -> tuple[tuple[str, ...], float]:
    """How often the regions of an instruction run: a factor, or a number."""
    if instr.op.name == "for":
        return _size(low, instr.operands[0].affine)
    return (), float(SUPPOSED) if instr.op.name == "while" else 1.0


def _elements(low: Lowering | None, instr: Instr) -> tuple[tuple[str, ...], float]:
    """The number of elements that an instruction computes or reads: factors, and a number."""
    shapes = [v.dims for v in (*instr.operands, *instr.results) if isinstance(v.type, TensorType) and v.rank]
    is_free = instr.op.name in ("index", "update", "add_at", "broadcast", "reshape", "transpose", "assume_shape")
    if is_free:
        shapes = [v.dims for v in instr.results if v.rank] if instr.op.name == "index" else []
        if instr.op.name in ("update", "add_at"):
            shapes = [instr.operands[1].dims]
    factors: list[str] = []
    number = 1.0
    for d in max(shapes, key=len, default=()):
        more, known = _size(low, d)
        factors += more
        number *= known
    if instr.op.name == "matmul" or instr.op.kind == "linalg":
        more, known = _size(low, instr.operands[0].dims[-1])
        factors, number = [*factors, *more], number * known
    return tuple(factors), number


def _size(low: Lowering | None, d: Affine | None) -> tuple[tuple[str, ...], float]:
    """A size as a factor that is known around the loop, or as a number."""
    if isinstance(d, int):
        return (), float(max(0, d))
    if low is None:
        return (), math.inf
    if d is None or not all(isinstance(low.env.get(s), str) for s in _symbols(d)):
        return (), float(SUPPOSED)
    return (low.dim(d),), 1.0


def _symbols(d: Affine) -> Sequence[Value]:
    return [] if isinstance(d, int) else [s for s, _ in d.terms if isinstance(s, Value)]


HANDLERS: dict[str, Handler] = {"for": for_loop}
