"""Loops that remember little: a loop of n rounds as a loop over segments, each of which the way back runs again.

With segments of about sqrt(n) rounds, the carry is kept once per segment, and what a round needs is on a stack for one segment
at a time: O(sqrt(n)) memory for one more run of the loop (two levels of Griewank & Walther 2000). A `while`, whose number of
rounds is not known, makes segments of 1, 2, 3, ... rounds: about sqrt(2 n) of them, none longer than that. The adjoint of each
round is what it was, and rounds go back in the order in which they did, so gradients are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence

from wengert.ir.builder import Builder
from wengert.ir.core import Instr, Region, Value
from wengert.ir.op import get_op
from wengert.ir.rewrite import Env, copy_instr, copy_value, lookup
from wengert.types import F64, I64, I64_SCALAR

REPLAY = "_replay"
"""The attribute of a loop that goes back from few states; it holds the budget."""


def segmented(loop: Instr) -> tuple[Instr, ...]:
    """`loop` as a nest of two loops, the inner one in a `checkpoint` region, and what it takes to compute the segments."""
    builder = Builder(loop.span)
    if loop.op.name == "for":
        _segmented_for(builder, loop)
    else:
        _segmented_while(builder, loop)
    return tuple(builder.instrs)


def changes_sizes(loop: Instr) -> bool:
    """Whether the size of an array that `loop` carries may differ from round to round."""
    carry = set(loop.regions[-1].params)
    return any(s in carry for p in loop.regions[-1].params for s in p.type.symbols())


def replayed(loop: Instr, budget: object) -> Instr:
    """`loop` with each round in a `checkpoint` region, marked as one that goes back by `replay` from few states."""
    body = loop.regions[-1]
    group = _group(body.instrs, body.results, loop)
    regions = (*loop.regions[:-1], Region(body.params, (group,), group.results))
    return Instr(loop.op, loop.operands, loop.results, {**loop.attrs, REPLAY: budget}, regions, loop.span)


def _segmented_for(b: Builder, loop: Instr) -> None:
    rounds = b.maximum(loop.operands[0], b.const(0))
    root = b.convert(b.ceil(b.sqrt(b.convert(rounds, dtype=F64))), dtype=I64)
    length = b.maximum(root, b.const(1))
    count = b.floordiv(b.add(rounds, b.sub(length, b.const(1))), length)
    (body,) = loop.regions

    segment = Value(I64_SCALAR, "segment")
    carry = _copies(body.params[1:])
    outer = Builder(loop.span)
    start = outer.mul(segment, length)
    here = outer.minimum(length, outer.sub(rounds, start))

    index = Value(I64_SCALAR, "k")
    inner = Builder(loop.span)
    position = inner.add(start, index)
    env: Env = {body.params[0]: position}
    params = tuple(copy_value(env, p) for p in body.params[1:])
    inner.instrs += [copy_instr(i, env) for i in body.instrs]
    region = Region((index, *params), tuple(inner.instrs), tuple(lookup(env, r) for r in body.results))
    finals = _copies(loop.results)
    segment_loop = Instr(loop.op, (here, *carry), tuple(finals), loop.attrs, (region,), loop.span)
    group = _group((segment_loop,), finals, loop)
    outer.append(group)
    whole = Region((segment, *carry), tuple(outer.instrs), group.results)
    b.append(Instr(loop.op, (count, *loop.operands[1:]), loop.results, loop.attrs, (whole,), loop.span))


def _segmented_while(b: Builder, loop: Instr) -> None:
    cond, body = loop.regions
    carry, length = _copies(body.params), Value(I64_SCALAR, "length")
    done = Value(I64_SCALAR, "k")
    inner = Builder(loop.span)
    env: Env = {}
    params = tuple(copy_value(env, p) for p in body.params)
    inner.instrs += [copy_instr(i, env) for i in body.instrs]
    results = (*(lookup(env, r) for r in body.results), inner.add(done, inner.const(1)))
    inner_body = Region((*params, done), tuple(inner.instrs), results)

    tests = Builder(loop.span)
    env = {}
    tested, made = [copy_value(env, p) for p in cond.params], Value(I64_SCALAR, "k")
    tests.instrs += [copy_instr(i, env) for i in cond.instrs]
    go_on = tests.emit(get_op("and"), (lookup(env, cond.results[0]), tests.lt(made, length)))[0]
    inner_cond = Region((*tested, made), tuple(tests.instrs), (go_on,))

    outer = Builder(loop.span)
    start = outer.const(0)
    finals = _copies(loop.results)
    regions, counted = (inner_cond, inner_body), Value(I64_SCALAR, "k")
    segment_loop = Instr(loop.op, (*carry, start), (*finals, counted), loop.attrs, regions, loop.span)
    group = _group((segment_loop,), finals, loop)
    outer.append(group)
    longer = outer.add(length, outer.const(1))
    whole = Region((*carry, length), tuple(outer.instrs), (*group.results, longer))
    env = {}
    params = tuple(copy_value(env, p) for p in cond.params)
    instrs = tuple(copy_instr(i, env) for i in cond.instrs)
    outer_cond = Region((*params, Value(I64_SCALAR, "length")), instrs, (lookup(env, cond.results[0]),))
    results = (*loop.results, Value(I64_SCALAR, "length"))
    b.append(Instr(loop.op, (*loop.operands, b.const(1)), results, loop.attrs, (outer_cond, whole), loop.span))


def _copies(values: Sequence[Value]) -> list[Value]:
    """New values of the same types, among which types refer to one another as before."""
    env: Env = {}
    return [copy_value(env, v) for v in values]


def _group(instrs: tuple[Instr, ...], results: Sequence[Value], loop: Instr) -> Instr:
    """A `checkpoint` region around `instrs`."""
    return Instr(get_op("checkpoint"), (), tuple(_copies(results)), {}, (Region((), instrs, tuple(results)),), loop.span)
