"""Writes after the last use of what they overwrite, so that no part of an array has to be saved before.

The reverse of `x[p] = f(y[q])` takes the part `x[p]`, clears it, and adds to `y[q]` and elsewhere. As arrays are computed where
they are used, the part would be read after it is cleared. So what adds it to other arrays, or sums it, goes ahead of the write.
Where it is also added to another part of `x` itself, that comes before the clearing: the two parts have no element in common.
"""

from __future__ import annotations

from dataclasses import replace

from wengert.ir.calls import has_effects
from wengert.ir.core import Function, Instr, Region, Value, walk
from wengert.types import Affine, dim_add

MOST_AHEAD = 200
"""Instructions that are looked at behind a write: long bodies are not searched again and again."""

_PARTS = frozenset({"update", "add_at"})
_IN_PLACE = frozenset({"index", "elementwise", "shape"})
"""Kinds of ops that codegen computes where their results are used."""


def late_writes(function: Function) -> Function:
    """The same function with writes behind what needs the elements that they overwrite, in all regions."""
    return replace(function, instrs=_region_instrs(function.instrs, function.results))


def _region(region: Region) -> Region:
    return Region(region.params, _region_instrs(region.instrs, region.results), region.results)


def _region_instrs(instrs: tuple[Instr, ...], results: tuple[Value, ...]) -> tuple[Instr, ...]:
    inner = [replace(i, regions=tuple(_region(r) for r in i.regions)) if i.regions else i for i in instrs]
    if not any(_is_read_in_part(i) for i in inner) or not any(_is_write(i) for i in inner):
        return tuple(inner)
    return tuple(_consumed_first(_cleared_last(inner, results), results))


def _is_read_in_part(instr: Instr) -> bool:
    return instr.op.name == "index" and instr.result.rank > 0


def _is_write(instr: Instr) -> bool:
    return instr.op.name in _PARTS and instr.operands[0].rank > 0


# --- a part is cleared after another is written ---------------------------------------------------------------------


def _cleared_last(instrs: list[Instr], results: tuple[Value, ...]) -> list[Instr]:
    """`add_at(update(x, c, p), v, q)` as `update(add_at(x, v, q), c, p)` where `x[p]` is read and is no part of `x[q]`."""
    users: dict[Value, int] = {}
    for value in (*results, *(o for i in walk(instrs) for o in i.operands), *_yielded(instrs)):
        users[value] = users.get(value, 0) + 1
    parts = {(i.operands[0], _part(i)) for i in instrs if _is_read_in_part(i)}
    clears: dict[Value, tuple[Instr, Value]] = {}  # the result of a clearing write, and the array whose part is read
    ordered: list[Instr] = []
    for instr in instrs:
        cleared = clears.get(instr.operands[0]) if _is_write(instr) else None
        if cleared is not None and users[instr.operands[0]] == 1 and _are_disjoint(_part(cleared[0]), _part(instr)):
            clear, read = cleared
            ordered.remove(clear)
            between = Value(instr.result.type, instr.result.name)
            ordered.append(replace(instr, operands=(clear.operands[0], *instr.operands[1:]), results=(between,)))
            instr = replace(clear, operands=(between, *clear.operands[1:]), results=instr.results)
            clears[instr.result] = (instr, read)
        elif instr.op.name == "update" and (instr.operands[0], _part(instr)) in parts:
            clears[instr.result] = (instr, instr.operands[0])
        ordered.append(instr)
    return ordered


def _yielded(instrs: list[Instr]) -> list[Value]:
    """What regions inside give."""
    inner = [i for i in walk(instrs) if i.regions]
    return [v for i in inner for r in i.regions for v in r.results]


Part = tuple[tuple[str, tuple[Affine, ...]], ...]


def _part(instr: Instr) -> Part:
    """What an `index`, `update` or `add_at` reads or writes: per axis, how it is taken and by which numbers."""
    given = iter(instr.operands[1 if instr.op.name == "index" else 2 :])
    counts = {"i": 1, "s": 3}
    return tuple((kind, tuple(next(given).affine for _ in range(counts.get(kind, 0)))) for kind in instr.attrs["spec"])


def _are_disjoint(a: Part, b: Part) -> bool:
    """Whether no element is in both parts: along one axis, they lie at two indices known to be different."""
    for (mine, at), (theirs, other) in zip(a, b, strict=True):
        if mine == theirs == "i":
            difference = dim_add(at[0], other[0], -1)
            if isinstance(difference, int) and difference != 0:
                return True
    return False


# --- what needs a part goes before the write ------------------------------------------------------------------------


def _consumed_first(instrs: list[Instr], results: tuple[Value, ...]) -> list[Instr]:
    """What consumes a part of an array goes before what writes to the array, where data and effects allow."""
    roots = _roots(instrs)
    order = list(instrs)
    place = 0
    while place < len(order):
        write = order[place]
        if _is_write(write):
            moved = _consumers(order, place, write.operands[0], roots, results)
            if moved:
                ahead = [i for i in order[place + 1 :] if id(i) in moved]
                order[place:] = [*ahead, *(i for i in order[place:] if id(i) not in moved)]
                place += len(ahead)
        place += 1
    return order


def _roots(instrs: list[Instr]) -> dict[Value, frozenset[Value]]:
    """The arrays of which a value, computed where it is used, would read parts then."""
    roots: dict[Value, frozenset[Value]] = {}
    for instr in instrs:
        if instr.op.kind not in _IN_PLACE or instr.op.name in _PARTS or len(instr.results) != 1 or not _is_array(instr.result):
            continue
        if instr.op.name == "index":
            found = roots.get(instr.operands[0], frozenset({instr.operands[0]}))
        else:
            found = frozenset().union(*(roots.get(o, frozenset()) for o in instr.operands))
        if found:
            roots[instr.result] = found
    return roots


def _is_array(value: Value) -> bool:
    return hasattr(value.type, "dims") and value.rank > 0


def _consumers(
    order: list[Instr], place: int, array: Value, roots: dict[Value, frozenset[Value]], results: tuple[Value, ...]
) -> set[int]:
    """Which instructions behind a write (by id) consume parts of `array` and can go before it, with what they need."""
    moved: set[int] = set()
    if not any(array in roots.get(r, ()) for i in order[:place] for r in i.results):
        return moved
    stuck = set(order[place].results)
    makers: dict[Value, set[int]] = {}
    behind = order[place + 1 : place + 1 + MOST_AHEAD]
    for instr in behind:
        if instr.regions or has_effects(instr):
            break
        if instr.op.kind not in (*_IN_PLACE, "reduce") or any(o in stuck for o in instr.operands):
            stuck.update(instr.results)
            continue
        needed = {id(instr)}.union(*(makers[o] for o in instr.operands if o in makers))
        makers.update(dict.fromkeys(instr.results, needed))
        if _is_write(instr):
            if instr.operands[0] is array or _is_read_elsewhere(order[place:], instr, needed | moved, results):
                stuck.update(instr.results)
                continue
        elif instr.op.kind != "reduce" or _is_array(instr.result):
            continue
        if any(array in roots.get(o, ()) for o in instr.operands[:2]):
            moved |= needed
    return moved


def _is_read_elsewhere(rest: list[Instr], write: Instr, moved: set[int], results: tuple[Value, ...]) -> bool:
    """Whether anything that stays behind reads the array that `write` overwrites."""
    array = write.operands[0]
    if array in results:
        return True
    left = [i for i in rest if id(i) not in moved]
    inner = [i for i in walk(left)]
    return any(array in i.operands for i in inner) or array in _yielded(left)
