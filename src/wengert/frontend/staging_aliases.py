"""Which arrays of a staged loop may be one array under two names, and what is unknown after writes to them.

A variable that the body rebinds to an array gets a new array per iteration. Where that loses sight of which names share an array,
writing to the arrays is refused (`frozen`); where the array that a name had before the loop was written in the body, that array's
contents are unknown afterwards (`lost`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wengert.frontend.arrays import Array
from wengert.frontend.forms import UNSET, CannotMergeError, Unset
from wengert.frontend.scalars import Scalar
from wengert.frontend.staging_forms import take_apart
from wengert.frontend.staging_state import Location, Outcome, link, made_in
from wengert.ir.core import Value, walk

if TYPE_CHECKING:
    from wengert.frontend.staging_carry import Carried, Carry


# --- at the start of the body ----------------------------------------------------------------------------------------


def link_start(carry: Carry, item: Carried) -> None:
    """In the first iteration a carried array is the one from before the loop: written, the other is lost."""
    if item.entry is UNSET or isinstance(item.param, Value):
        return
    for param, entry in zip(take_apart(item.param)[0], take_apart(item.entry)[0]):
        if isinstance(param, Array) and isinstance(entry, Array):
            link(carry.trace, param, entry.root)


# --- after a run of the body -----------------------------------------------------------------------------------------


def watch(carry: Carry, outcome: Outcome) -> bool:
    """Freeze arrays whose sharing is not the same at every iteration; False when that is news."""
    entries: list[Any] = []
    exits: list[Any] = []
    for item in carry.items.values():
        final = carry.exit_of(item, outcome)
        if final is UNSET:
            raise CannotMergeError(f"{item.label} may be deleted in the loop")
        entries += item.keys()
        exits += item.traced(final)
    params = {id(array) for _, array in carry.arrays()}
    news: set[int] = set()
    classes_in, classes_out = _classes(entries), _classes([id(e) for e in exits])
    for position, final in enumerate(exits):
        if not isinstance(final, Array):
            continue
        outside = final.parent is not None or not (id(final) in params or made_in(carry.trace, final, outcome.builder))
        foreign, shared = _other_names(carry, final, position, exits, outcome)
        news |= shared
        if outside or foreign or final.root.frozen or classes_in[position] != classes_out[position]:
            news.add(position)
            for array in [final.root] * outside + foreign:
                array.frozen = array.frozen or carry.reason
    news -= carry.frozen
    carry.frozen |= news
    return not news or not outcome.writes_shared  # where none of them is written, it does not matter which must not be


def _other_names(carry: Carry, final: Array, place: int, exits: list[Any], outcome: Outcome) -> tuple[list[Array], set[int]]:
    """What an array at the end of the body may be, too, by a branch in the body.

    Returns:
        Arrays from before the loop, and places of the carry that may share (that of the array itself among them).
    """
    params = {id(array): k for k, array in carry.arrays()}
    ends = {id(e): k for k, e in enumerate(exits) if isinstance(e, Array)}
    foreign: list[Array] = []
    shared: set[int] = set()
    if id(final) in params:
        return foreign, shared
    for other in carry.trace.journal.links.get((id(final.root), "value"), ()):
        if id(other) in params or id(other) in ends:
            found = {k for k in (params.get(id(other)), ends.get(id(other))) if k is not None and k != place}
            shared |= found and {place, *found}
        elif not made_in(carry.trace, other, outcome.builder):
            foreign.append(other)
    return foreign, shared


def lose_passed_on(carry: Carry, outcome: Outcome) -> bool:
    """Where a name takes arrays over from others (`u, v = v, u`) and is written, what the others had before is unknown.

    Returns:
        Whether the run has not read what turns out to be unknown.
    """
    known = True
    params = dict(carry.arrays())
    for place, roots in taken_over(carry, outcome).items():
        for root in roots if id(params[place]) in outcome.written else []:
            if id(root) not in carry.lost:
                carry.lost[id(root)] = root
                known &= carry.items.pop((id(root), "value"), None) is None and not may_read(outcome, root.value)
    return known


def taken_over(carry: Carry, outcome: Outcome) -> dict[int, list[Array]]:
    """Per place of the carry that takes over the array of another one: the arrays from before the loop that it may have."""
    places = {id(array): k for k, array in carry.arrays()}
    entries = [e for item in carry.items.values() for e in item.entries()]
    exits = [e for item in carry.items.values() for e in item.traced(carry.exit_of(item, outcome))]
    sources = {k: places[id(e.root)] for k, e in enumerate(exits) if isinstance(e, Array) and id(e.root) in places}
    taken: dict[int, list[Array]] = {}
    for place in sources.keys() & set(places.values()):
        reached = [place]
        while sources.get(reached[-1], place) not in reached:
            reached.append(sources[reached[-1]])
        if len(reached) > 1:
            taken[place] = [e.root for k in reached if isinstance(e := entries[k], Array)]
    return taken


def may_read(outcome: Outcome, value: Value) -> bool:
    """Whether a run of a body may have read an array whose contents were `value` before the loop."""
    for instr in walk(outcome.builder.instrs):
        if value in instr.operands or any(value in region.results for region in instr.regions):
            return True
    kept = [*outcome.variables, *(new for _, new in outcome.stores.values()), outcome.result]
    return any(_may_be(obj, value) for obj in kept)


def _may_be(obj: Any, value: Value) -> bool:
    if isinstance(obj, Array):
        return obj.root._value is value
    return obj is value if isinstance(obj, Value) else not isinstance(obj, (Scalar, Unset, int, float, str, type(None)))


def _classes(keys: Sequence[Any]) -> list[tuple[int, ...]]:
    """Per position: the positions that have the same key."""
    return [tuple(k for k, other in enumerate(keys) if other == key) for key in keys]


# --- after the loop --------------------------------------------------------------------------------------------------


def link_entry(carry: Carry, item: Carried, new: Any, outcome: Outcome, surely_ran: bool) -> None:
    """An array may still be the one from before the loop, if the body need not run or need not replace it."""
    if isinstance(new, Value) or item.entry is UNSET:
        return
    leaves = (take_apart(new)[0], take_apart(item.entry)[0], take_apart(carry.exit_of(item, outcome))[0])
    for result, entry, final in zip(*leaves):
        if isinstance(result, Array) and isinstance(entry, Array):
            replaced = isinstance(final, Array) and (id(final), "value") not in carry.trace.journal.links
            if not (surely_ran and replaced):
                link(carry.trace, result, entry.root)


def lost_arrays(carry: Carry, outcome: Outcome) -> dict[int, Array]:
    """Arrays from before the loop that the body wrote through a variable that it also rebinds."""
    lost = {}
    for item in carry.items.values():
        if isinstance(item.place, Location) or item.entry is UNSET:
            continue
        for param, entry in zip(take_apart(item.param)[0], take_apart(item.entry)[0]):
            if isinstance(param, Array) and isinstance(entry, Array) and id(param) in outcome.written:
                if entry.parent is not None:
                    raise CannotMergeError(f"{item.label} starts as a view of another array and is written to")
                lost[id(entry)] = entry
    return lost
