"""Order of instructions: what reads an array comes before what overwrites it, so that fewer old values have to be kept.

Also two rewrites that reverse mode asks for: the cotangent of `x[i:j] += v` clears a part and adds the same part again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from wengert.ir.calls import has_effects
from wengert.ir.core import Function, Instr, Region, Value, walk
from wengert.ir.op import get_op

WRITES = ("update", "add_at", "scatter_add", "scatter", "resize")
LOOPS = ("for", "while")


def schedule(function: Function) -> Function:
    """The same function with readers moved ahead of writers, in all regions."""
    instrs, env = _rewritten(function.instrs, {}, {})
    results = tuple(env.get(r, r) for r in function.results)
    return replace(function, instrs=_ordered(_pruned(instrs, results)), results=results)


def _region(region: Region, env: dict[Value, Value], makers: dict[Value, Instr]) -> Region:
    instrs, env = _rewritten(region.instrs, env, makers)
    results = tuple(env.get(r, r) for r in region.results)
    return Region(region.params, _ordered(_pruned(instrs, results)), results)


# --- rewrites ------------------------------------------------------------------------------------------------------


def _rewritten(
    instrs: Iterable[Instr], env: dict[Value, Value], makers: dict[Value, Instr]
) -> tuple[list[Instr], dict[Value, Value]]:
    """Instructions with writes merged, and what the dropped ones are replaced by; `makers` knows who made a value."""
    kept: list[Instr] = []
    for instr in instrs:
        operands = tuple(env.get(o, o) for o in instr.operands)
        regions = tuple(_region(r, env, makers) for r in instr.regions)
        instr = _merged(replace(instr, operands=operands, regions=regions), makers)
        if instr.op.name == "update" and _is_part_of(instr.operands[1], instr.operands[0], instr, makers):
            env[instr.result] = instr.operands[0]
            continue
        makers.update(dict.fromkeys(instr.results, instr))
        kept.append(instr)
    return kept, env


def _merged(instr: Instr, makers: dict[Value, Instr]) -> Instr:
    """`add_at(update(x, 0, part), v, part)` as `update(x, v, part)`."""
    if instr.op.name != "add_at" or not instr.operands[0].rank:
        return instr
    cleared = makers.get(instr.operands[0])
    if cleared is None or cleared.op.name != "update" or not _same_part(instr, cleared):
        return instr
    if not _is_zero(cleared.operands[1], makers):
        return instr
    operands = (cleared.operands[0], *instr.operands[1:])
    return replace(instr, op=get_op("update"), operands=operands)


def _pruned(instrs: list[Instr], results: tuple[Value, ...]) -> list[Instr]:
    """Without writes whose result nobody uses: what the rewrites leave behind."""
    used = set(results)
    kept = []
    for instr in reversed(instrs):
        if instr.op.name in WRITES and instr.result not in used:
            continue
        used |= _uses(instr)
        kept.append(instr)
    return kept[::-1]


def _same_part(a: Instr, b: Instr) -> bool:
    if a.attrs["spec"] != b.attrs["spec"]:
        return False
    first, second = (i.operands[1 if i.op.name == "index" else 2 :] for i in (a, b))
    return all(x is y or x.affine == y.affine for x, y in zip(first, second, strict=True))


def _is_zero(value: Value, makers: dict[Value, Instr]) -> bool:
    made = makers.get(value)
    while made is not None and made.op.name == "broadcast":
        value = made.operands[0]
        made = makers.get(value)
    return made is not None and made.op.name == "const" and made.attrs["value"] == 0


def _is_part_of(value: Value, whole: Value, write: Instr, makers: dict[Value, Instr]) -> bool:
    read = makers.get(value)
    return read is not None and read.op.name == "index" and read.operands[0] is whole and _same_part(read, write)


# --- order ---------------------------------------------------------------------------------------------------------


def _ordered(instrs: list[Instr]) -> tuple[Instr, ...]:
    """Readers of arrays before their writers, where data and effects allow."""
    uses = [_uses(i) for i in instrs]
    readers: dict[Value, list[int]] = {}
    for position, used in enumerate(uses):
        for value in used:
            readers.setdefault(value, []).append(position)
    order = list(range(len(instrs)))
    place = 0
    done: set[int] = set()
    while place < len(order):
        current = order[place]
        done.add(current)
        wanted = {r for v in _overwrites(instrs[current]) for r in readers[v] if r not in done}
        if wanted:
            moved = _movable(instrs, uses, order[place:], wanted)
            order[place:] = [*moved, *(p for p in order[place:] if p not in moved)]
            place += len(moved)
            done.update(moved)
        place += 1
    return tuple(_scalars_late([instrs[p] for p in order]))


def _scalars_late(instrs: list[Instr]) -> list[Instr]:
    """Scalar arithmetic on reductions as late as possible: a reduction then waits for others that can share its loop."""
    late: list[Instr] = []
    reduced: set[Value] = set()
    ordered: list[Instr] = []
    for instr in instrs:
        used = _uses(instr)
        if used & reduced and instr.op.kind == "elementwise" and not instr.result.rank:
            late.append(instr)
            reduced.update(instr.results)
            continue
        if used & reduced:
            ordered += late
            late, reduced = [], set()
        if instr.op.kind == "reduce" and not instr.result.rank:
            reduced.update(instr.results)
        ordered.append(instr)
    return ordered + late


def _uses(instr: Instr) -> set[Value]:
    """Values that an instruction reads, in its regions too."""
    used = set(instr.operands)
    for inner in (i for r in instr.regions for i in walk(r.instrs)):
        used.update(inner.operands)
        for region in inner.regions:
            used.update(region.results)
    for region in instr.regions:
        used.update(region.results)
    return used


def _overwrites(instr: Instr) -> list[Value]:
    """Arrays that an instruction would like to overwrite."""
    if instr.op.name in WRITES:
        return [instr.operands[0]] if instr.operands[0].rank else []
    if instr.op.name in LOOPS or instr.op.name == "call":
        return [o for o in instr.operands if hasattr(o.type, "dims") and o.rank]
    return []


def _movable(instrs: list[Instr], uses: list[set[Value]], rest: list[int], wanted: set[int]) -> list[int]:
    """The positions in `wanted` that can go before the first of `rest`, with all that they need, in order."""
    needs: dict[Value, int] = {}
    stuck: set[Value] = set(instrs[rest[0]].results)
    closures: dict[int, set[int]] = {}
    moved: set[int] = set()
    for position in rest[1:]:
        instr = instrs[position]
        if uses[position] & stuck or _has_effects(instr):
            stuck.update(instr.results)
            continue
        closure = {position}
        for value in uses[position]:
            if value in needs:
                closure |= closures[needs[value]]
        closures[position] = closure
        needs.update(dict.fromkeys(instr.results, position))
        if position in wanted:
            moved |= closure
    return [p for p in rest if p in moved]


def _has_effects(instr: Instr) -> bool:
    return has_effects(instr) or any(has_effects(i) for r in instr.regions for i in walk(r.instrs))
