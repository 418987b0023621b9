"""An array that is saved together with others, and overwritten before those are there, gets a stack of its own.

Reverse mode pushes an entry once all that a round stores is known. An array in it that the round writes to before that would be
copied to keep what is pushed later; on its own stack it is pushed as soon as it is made. The old entry still has it, but nobody
uses what is popped there, so that `stacks` takes it out.

This is for the function that becomes native code, behind all derivatives and `blocks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from wengert.ir.core import Function, Instr, Region, Value
from wengert.passes.stacks import Group, entry_of, groups_of, used_values
from wengert.types import Slot, StackType

_WRITES = frozenset({"update", "add_at", "scatter", "scatter_add"})


def apart(fn: Function) -> Function:
    """`fn` with a stack for each array that is overwritten between its making and its push; `fn` itself if there is none."""
    groups = groups_of(fn)
    early = {(push, k) for region in _regions(fn.body) for push, k in _overwritten_before(region)}
    if not early:
        return fn
    used = used_values(fn)
    chosen: dict[Value, tuple[int, ...]] = {}
    places: dict[int, tuple[int, ...]] = {}
    for value, group in groups.items():
        if id(group) not in places:
            places[id(group)] = tuple(k for k in _free_places(group) if any((p, k) in early for p in group.pushes))
            places[id(group)] = tuple(k for k in places[id(group)] if any(p.results[1 + k] in used for p in group.pops))
        if places[id(group)]:
            chosen[value] = places[id(group)]
    if not chosen:
        return fn
    return replace(fn, instrs=_Apart(chosen).block(fn.instrs))


def _regions(region: Region) -> Iterator[Region]:
    """The region and all inside of it."""
    yield region
    for instr in region.instrs:
        for inner in instr.regions:
            yield from _regions(inner)


def _overwritten_before(region: Region) -> Iterator[tuple[Instr, int]]:
    """Pushes in a region and the places of arrays in them that the region overwrites before."""
    overwritten: set[Value] = set()
    for instr in region.instrs:
        if instr.op.name == "push":
            yield from ((instr, k) for k, value in enumerate(instr.operands[1:]) if value in overwritten)
        elif instr.op.name in _WRITES:
            overwritten.add(instr.operands[0])
        elif instr.op.name in ("for", "while"):
            overwritten.update(o for o in instr.operands if not isinstance(o.type, StackType) and o.rank)


def _free_places(group: Group) -> Iterator[int]:
    """The elements that can be on another stack: of the function's own stacks, with sizes known outside of the entry."""
    if group.returned or not group.pushes or not group.pops:
        return
    elements = entry_of(group)
    for k, element in enumerate(elements):
        if element.rank and len(elements) > 1 and not any(isinstance(s, Slot) for s in element.symbols()):
            yield k


class _Apart:
    """Adds the stacks.

    Attributes:
        chosen: of a stack, the places of its entry that get an own one.
        own: for each stack and place, the stack that has that element alone.
    """

    def __init__(self, chosen: dict[Value, tuple[int, ...]]) -> None:
        self.chosen = chosen
        self.own: dict[tuple[Value, int], Value] = {}

    def block(self, instrs: Sequence[Instr]) -> tuple[Instr, ...]:
        """The instructions of a region with what concerns the new stacks among them."""
        made: list[Instr] = []
        for instr in instrs:
            if instr.regions:
                made.append(self.region_instr(instr))
                continue
            stack = next((v for v in (*instr.operands[:1], *instr.results[:1]) if v in self.chosen), None)
            made.append(instr if stack is None or instr.op.name != "pop" else self.without(instr))
            for k in self.chosen[stack] if stack is not None else ():
                self.add(made, instr, k)
        return tuple(made)

    def region_instr(self, instr: Instr) -> Instr:
        """A loop or branch that hands on the new stacks behind all else that it carries."""
        is_loop, first = instr.op.name != "if", 1 if instr.op.name == "for" else 0
        wide = [(place, k) for place, result in enumerate(instr.results) for k in self.chosen.get(result, ())]
        operands = instr.operands
        if is_loop:
            operands = (*operands, *(self.own[operands[first + place], k] for place, k in wide))
        regions: list[Region] = []
        for region in instr.regions:
            params, results = region.params, region.results
            if is_loop:
                params = (*params, *(self.stack(params[first + place], k) for place, k in wide))
            instrs = self.block(region.instrs)
            if instr.op.name != "while" or region is not instr.regions[0]:
                results = (*results, *(self.own[results[place], k] for place, k in wide))
            regions.append(Region(params, instrs, results))
        made = (*instr.results, *(self.stack(instr.results[place], k) for place, k in wide))
        return Instr(instr.op, operands, made, instr.attrs, tuple(regions), instr.span)

    def without(self, pop: Instr) -> Instr:
        """`pop` whose elements that have an own stack are new values, which nobody uses."""
        places = self.chosen[pop.operands[0]]
        results = [Value(r.type) if k - 1 in places else r for k, r in enumerate(pop.results)]
        return Instr(pop.op, pop.operands, tuple(results), pop.attrs, (), pop.span)

    def stack(self, old: Value, k: int) -> Value:
        """A new stack beside `old` for its element `k`."""
        assert isinstance(old.type, StackType)
        self.own[old, k] = new = Value(StackType((old.type.elements[k],)), old.name)
        return new

    def add(self, made: list[Instr], instr: Instr, k: int) -> None:
        """What `instr` does to the stack of element `k`, behind it, but a push where the element is first known."""
        new = self.stack(instr.results[0], k)
        if instr.op.name == "push":
            own, element = self.own[instr.operands[0], k], instr.operands[1 + k]
            place = next((j + 1 for j in range(len(made) - 1, -1, -1) if {own, element}.intersection(made[j].results)), 0)
            made.insert(place, Instr(instr.op, (own, element), (new,), instr.attrs, (), instr.span))
        elif instr.op.name == "pop":
            own = self.own[instr.operands[0], k]
            made.append(Instr(instr.op, (own,), (new, instr.results[1 + k]), instr.attrs, (), instr.span))
        elif instr.op.name == "stack_new":
            attrs = {**instr.attrs, "elements": (instr.attrs["elements"][k],)}
            made.append(Instr(instr.op, instr.operands, (new,), attrs, (), instr.span))
        else:
            made.append(Instr(instr.op, (), (new,), {**instr.attrs, "type": new.type}, (), instr.span))
