"""A loop and the loop that runs it backwards become one loop, where what runs backwards only adds up.

Reverse mode leaves two loops of one length: the first pushes what the second, which goes from the last trip to the first, pops.
Where trip k of the second needs nothing of the first but what trip k has pushed, and carries nothing but sums to which it
adds, it may as well run right behind it. The stack then holds what one trip pushes, however many there are: it stays in the
cache, and memory no longer grows with the number of trips. Sums come out in another order, which changes their rounding.

What is pushed and popped in the same block then needs no stack at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from wengert.ir.builder import Builder
from wengert.ir.calls import has_effects
from wengert.ir.core import Function, Instr, Region, Value, free_values, walk
from wengert.ir.rewrite import Env, copy_region, copy_value, emit_copy, lookup
from wengert.ir.rewriter import RewriteBuilder, Rewriter
from wengert.types import F64, StackType

_ADDING = frozenset({"add", "sub", "add_at", "scatter_add"})


def sweeps(fn: Function) -> Function:
    """`fn` with pairs of loops forth and back merged, and without entries that are popped where they were pushed."""
    body = _region(fn.body)
    if body is not fn.body and body.instrs is not fn.instrs:
        fn = replace(fn, instrs=body.instrs, results=body.results)
    return _Cancel().function(fn)


# --- merging -------------------------------------------------------------------------------------------------------


def _region(region: Region) -> Region:
    """`region` with the pairs in it and in its regions merged; itself if there are none."""
    instrs = tuple([_inner(i) for i in region.instrs])
    if all(new is old for new, old in zip(instrs, region.instrs, strict=True)):
        instrs = region.instrs
    while True:
        merged = _merge_one(instrs, region.results)
        if merged is None:
            break
        instrs, results = merged
        region = Region(region.params, instrs, results)
    return region if instrs is region.instrs else Region(region.params, instrs, region.results)


def _inner(instr: Instr) -> Instr:
    regions = tuple([_region(r) for r in instr.regions])
    if all(new is old for new, old in zip(regions, instr.regions, strict=True)):
        return instr
    return replace(instr, regions=regions)


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two loops of one block that can be merged.

    Attributes:
        forth: the loop that pushes.
        back: the loop that pops.
        early: what stands between them and comes before the merged loop.
        late: what stands between them and comes behind it.
        postponed: positions of sums whose initial values come behind it, and are added there.
    """

    forth: Instr
    back: Instr
    early: list[Instr]
    late: list[Instr]
    postponed: list[int]


def _merge_one(instrs: tuple[Instr, ...], results: tuple[Value, ...]) -> tuple[tuple[Instr, ...], tuple[Value, ...]] | None:
    """The block with one pair merged, or None."""
    owner = {r: k for k, i in enumerate(instrs) if i.op.name == "for" for r in i.results if isinstance(r.type, StackType)}
    for last, back in enumerate(instrs):
        if back.op.name != "for":
            continue
        first = next((owner[o] for o in back.operands if o in owner), None)
        if first is None:
            continue
        pair = _pair(instrs, first, last)
        if pair is None:
            continue
        used = {u for i in (*pair.early, *pair.late, *instrs[last + 1 :]) for u in _needs(i)} | set(results)
        if not used.isdisjoint(r for i in (pair.forth, back) for r in i.results if isinstance(r.type, StackType)):
            continue
        env: Env = {}
        b = Builder(back.span)
        _emit(b, pair, env)
        for instr in pair.late:
            b.span = instr.span
            emit_copy(b, instr, env)
        for k in pair.postponed:
            b.span = back.span
            env[back.results[k]] = b.add(lookup(env, back.operands[1 + k]), env[back.results[k]])
        for instr in instrs[last + 1 :]:
            b.span = instr.span
            emit_copy(b, instr, env)
        block = (*instrs[:first], *pair.early, *b.instrs)
        return block, tuple(lookup(env, r) for r in results)
    return None


def _pair(instrs: tuple[Instr, ...], first: int, last: int) -> _Pair | None:
    """The loops at two positions as a pair, or None where they cannot be merged."""
    forth, back = instrs[first], instrs[last]
    made = set(forth.results)
    stacks = [o for o in back.operands[1:] if isinstance(o.type, StackType)]
    same_trips = forth.operands[0] is back.operands[0] or forth.operands[0].affine == back.operands[0].affine
    if not same_trips or any(s not in made for s in stacks) or has_effects(back) or _inner_effects(back):
        return None
    if not _mirrors(forth, back, stacks):
        return None
    body = back.regions[0]
    for param, result in zip(body.params[1:], body.results, strict=True):
        if not isinstance(param.type, StackType) and not _only_added_to(param, result, body):
            return None
    early: list[Instr] = []
    late: list[Instr] = []
    behind = set(made)
    for instr in instrs[first + 1 : last]:
        if behind & set(_needs(instr)) or has_effects(instr) or _inner_effects(instr):
            late.append(instr)
            behind.update(instr.results)
        else:
            early.append(instr)
    postponed = [k for k, o in enumerate(back.operands[1:]) if o in behind and o not in stacks]
    needed = [*free_values(body), *(s for r in back.results for s in r.type.symbols())]
    if not behind.isdisjoint(needed) or any(not back.results[k].is_float for k in postponed):
        return None
    return _Pair(forth, back, early, late, postponed)


def _inner_effects(instr: Instr) -> bool:
    return any(has_effects(i) for r in instr.regions for i in walk(r.instrs))


def _needs(instr: Instr) -> list[Value]:
    """Values that must exist before `instr`."""
    needed = list(instr.operands)
    for result in instr.results:
        needed += [s for s in result.type.symbols() if isinstance(s, Value) and s not in instr.results]
    for declared in (instr.attrs.get("type"), *instr.attrs.get("elements", ())):
        if declared is not None and not isinstance(declared, str):
            needed += [s for s in declared.symbols() if isinstance(s, Value)]
    for region in instr.regions:
        needed += free_values(region)
    return needed


# --- whether it is a pair --------------------------------------------------------------------------------------------


def _mirrors(forth: Instr, back: Instr, stacks: list[Value]) -> bool:
    """Whether each trip back pops what a trip forth pushes, as far as the form of the two bodies shows."""
    for stack in stacks:
        pushed = forth.regions[0].params[1 + forth.results.index(stack)]
        popped = back.regions[0].params[back.operands.index(stack)]
        there, again = _events(pushed, forth.regions[0]), _events(popped, back.regions[0])
        if there is None or again is None or there != _reversed(again):
            return False
    return True


def _events(stack: Value, region: Region) -> tuple[object, ...] | None:
    """What happens to a stack in a region, in order: "push", "pop", or what happens in loops and arms."""
    events: list[object] = []
    inner: tuple[object, ...] | None = None
    for instr in region.instrs:
        name = instr.op.name
        if name == "if":
            arms = [_events(stack, r) for r in instr.regions]
            taken = [k for k, r in enumerate(instr.results) if isinstance(r.type, StackType) and stack in _roots(instr, k)]
            if not taken:
                continue
            if len(taken) > 1 or None in arms:
                return None
            if any(arms):
                events.append(("if", *arms))
            stack = instr.results[taken[0]]
        elif stack in instr.operands:
            if name in ("push", "pop"):
                events.append(name)
                stack = instr.results[0]
            elif name == "for":
                position = instr.operands.index(stack) - 1
                stack, inner = instr.results[position], _events(instr.regions[0].params[1 + position], instr.regions[0])
            elif name == "while":
                position = instr.operands.index(stack)
                stack, inner = instr.results[position], _events(instr.regions[1].params[position], instr.regions[1])
            else:
                return None
            if name in ("for", "while") and inner is None:
                return None
            if name in ("for", "while") and inner:
                events.append(("for", inner))
    return tuple(events) if stack in region.results else None


def _roots(instr: Instr, position: int) -> set[Value]:
    """The stacks outside of an `if` that its result may be, with pushes and pops."""
    found = set()
    for region in instr.regions:
        value = region.results[position]
        makers = {r: (i, k) for i in region.instrs for k, r in enumerate(i.results)}
        while value in makers:
            made, k = makers[value]
            offset = 1 if made.op.name == "for" else 0
            if made.op.name == "if":
                inner = _roots(made, k)
                value = next(iter(inner)) if len(inner) == 1 else value
                if len(inner) != 1:
                    break
            else:
                value = made.operands[k + offset] if made.regions else made.operands[0]
        found.add(value)
    return found


def _reversed(events: tuple[object, ...]) -> tuple[object, ...]:
    opposite = {"push": "pop", "pop": "push"}
    return tuple(
        (e[0], *(_reversed(part) for part in e[1:])) if isinstance(e, tuple) else opposite[str(e)] for e in reversed(events)
    )


def _only_added_to(value: Value, end: Value, region: Region) -> bool:
    """Whether `end` is `value` plus terms that do not depend on it, and nothing else in `region` sees what is in between."""
    while value is not end:
        users = [i for i in region.instrs if value in _needs(i)]
        if len(users) != 1 or value in region.results:
            return False
        (user,) = users
        following = _sum_of(user, value)
        if following is None:
            return False
        value = following
    return not any(value in _needs(i) for i in region.instrs) and region.results.count(end) == 1


def _sum_of(user: Instr, value: Value) -> Value | None:
    """The result of `user` if that is `value` plus something, else None."""
    name = user.op.name
    if name in _ADDING:
        places = [k for k, o in enumerate(user.operands) if o is value]
        return user.result if len(places) == 1 and (places[0] == 0 or name == "add") else None
    if name == "for" and user.operands.count(value) == 1 and user.operands[0] is not value:
        (body,) = user.regions
        position = user.operands.index(value) - 1
        if value in free_values(body) or not _only_added_to(body.params[1 + position], body.results[position], body):
            return None
        return user.results[position]
    if name == "if" and value not in user.operands:
        for position, result in enumerate(user.results):
            if all(_only_added_to(value, r.results[position], r) for r in user.regions):
                return result
    return None


# --- the merged loop -------------------------------------------------------------------------------------------------


def _emit(b: Builder, pair: _Pair, env: Env) -> None:
    """Write the merged loop; `env` learns what the results of the two are now."""
    forth, back = pair.forth, pair.back
    sums = [k for k, r in enumerate(back.results) if not isinstance(r.type, StackType)]
    copied = copy_region(forth.regions[0], {})
    inner: Env = {}
    there, again = forth.regions[0], back.regions[0]
    popped = {o: k for k, o in enumerate(back.operands) if isinstance(o.type, StackType)}
    for k in sums:
        copy_value(inner, again.params[1 + k])
    body = Builder(back.span)
    for instr in copied.instrs:
        body.append(instr)
    index = copied.params[0]
    inner[again.params[0]] = body.sub(body.sub(forth.operands[0], body.const(1)), index)
    for k, result in enumerate(forth.results):
        if result in popped:
            inner[again.params[popped[result]]] = copied.results[k]
    for instr in again.instrs:
        body.span = instr.span
        emit_copy(body, instr, inner)
    yields = list(copied.results)
    for k, result in enumerate(forth.results):
        if result in popped:
            yields[k] = lookup(inner, again.results[popped[result] - 1])
    yields += [lookup(inner, again.results[k]) for k in sums]
    params = (*copied.params, *(inner[again.params[1 + k]] for k in sums))
    assert len(there.params) == len(copied.params)
    operands = [*forth.operands, *(_zero(b, back.results[k]) if k in pair.postponed else back.operands[1 + k] for k in sums)]
    names = [r.name for r in (*forth.results, *(back.results[k] for k in sums))]
    region = Region(params, tuple(body.instrs), tuple(yields))
    results = b.emit(forth.op, operands, forth.attrs, [region], names)
    env.update(zip(forth.results, results, strict=False))
    env.update(zip([back.results[k] for k in sums], results[len(forth.results) :], strict=True))


def _zero(b: Builder, like: Value) -> Value:
    """Zeros of the type of a value."""
    zero: Value = b.convert(b.const(0.0), dtype=like.tensor.dtype) if like.tensor.dtype is not F64 else b.const(0.0)
    return b.broadcast_to(zero, like.dims, ()) if like.rank else zero


# --- entries that are popped where they were pushed ------------------------------------------------------------------


class _Cancel(Rewriter):
    """Drops a `push` whose stack goes to a `pop` in the same block, and that `pop`."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped: dict[Instr, Instr] = {}

    def block(self, b: RewriteBuilder, instrs: tuple[Instr, ...]) -> None:  # type: ignore[override]
        pushes = {i.result: i for i in instrs if i.op.name == "push"}
        for instr in instrs:
            if instr.op.name == "pop" and instr.operands[0] in pushes:
                push = pushes[instr.operands[0]]
                if not self.pinned.intersection(instr.results):
                    self.dropped[instr] = self.dropped[push] = push
        super().block(b, instrs)

    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        push = self.dropped.get(instr)
        if push is None:
            b.append(self.rebuild(instr))
        elif push is instr:
            self.env[instr.result] = self.env.get(instr.operands[0], instr.operands[0])
        else:
            values = tuple([self.env.get(o, o) for o in (push.result, *push.operands[1:])])
            for old, new in zip(instr.results, values, strict=True):
                self.env[old] = new
                if not new.name:
                    new.name = old.name
