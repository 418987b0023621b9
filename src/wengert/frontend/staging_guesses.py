"""Guesses at what a staged loop carries, from what its body looks like and from earlier traces of the same loop.

A right guess saves a run of the body, and in a nest of loops one at every level; a wrong one costs a run and is taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from wengert.frontend.arrays import Array
from wengert.frontend.context import Trace
from wengert.frontend.forms import UNSET, CannotMergeError, Form, traced_form
from wengert.frontend.references import are_on
from wengert.frontend.scalars import Scalar
from wengert.frontend.staging_builder import TraceBuilder
from wengert.frontend.staging_forms import form_of, join, take_apart
from wengert.frontend.staging_state import Location, Outcome, is_poisoned, read_cell
from wengert.frontend.stores import contents_of

if TYPE_CHECKING:
    from wengert.frontend.staging_carry import Carried, Carry

_NUMBERS = (Scalar, float, int, bool, np.float64)


def recall(carry: Carry) -> None:
    """Start from what an earlier trace of the same loop carried, if there was one."""
    hints: dict[str, Form] = carry.trace.extra.setdefault("carries", {}).get(carry.info, {})
    if are_on(carry.trace):  # what was carried may refer to lists of that trace
        return
    for position, name in enumerate(carry.variables.names):
        hint, entry = hints.get(name), carry.before[position]
        if hint is None or (entry is UNSET and name not in carry.info.made_up):
            continue
        try:
            form = join(form_of(entry), hint)
        except CannotMergeError:
            continue
        if not form.is_static:
            carry.items[position] = carry.variable(position, entry, form)


def remember(carry: Carry) -> None:
    """Keep what is carried for the next trace of this loop."""
    names = carry.variables.names
    hints = {names[i.place]: i.form for i in carry.items.values() if isinstance(i.place, int) and not _has_arrays(i.form)}
    carry.trace.extra["carries"][carry.info] = hints
    places = [item.place for key, item in carry.items.items() if isinstance(item.place, Location) and key not in carry.seen]
    carry.trace.extra.setdefault("carried_places", {})[carry.info] = places
    carry.trace.extra.setdefault("carried_lists", {})[carry.info] = dict(_lists_carried(carry))


def guess(carry: Carry, body: Any) -> set[Any]:
    """Carry what most probably changes, and give the keys of it.

    That is: numbers read before the body assigns them, arrays that it writes to, and what it changed when it was traced before.
    """
    guessed: set[Any] = set()
    for position, name in enumerate(carry.variables.names):
        entry, key = carry.before[position], carry.variables.keys[position]
        wanted = name in carry.info.head or name in carry.info.stop
        if wanted and position not in carry.items and key not in carry.items and _is_numeric(entry):
            carry.items[position] = carry.variable(position, entry, traced_form(form_of(entry)))
            guessed.add(position)
    written = list(_written(carry, body))
    carry.seen.update(location.key for location in written)
    for location in (*written, *_changed_before(carry)):
        if location.key not in carry.items and location.key not in carry.variables.keys:
            carry.carry_location(location, traced_form(form_of(location.old)))
            guessed.add(location.key)
    return guessed | _guess_lists(carry)


def _guess_lists(carry: Carry) -> set[Any]:
    """Carry the lists that grew when the loop was traced before, and give the keys of them."""
    guessed: set[Any] = set()
    known = _growing_before(carry)
    for position, name in enumerate(carry.variables.names):
        free = position not in carry.items and carry.variables.keys[position] not in carry.items
        form = _grown(carry, carry.before[position], known.get(f"={name}")) if free else None
        if form is not None:
            carry.items[position] = carry.variable(position, carry.before[position], form)
            guessed.add(position)
    for name, cell in _cells(carry.body).items():
        form = _grown(carry, read_cell(cell), known.get(name))
        place = contents_of(read_cell(cell)) if form is not None else None
        if form is not None and place is not None and place.key not in carry.items:
            carry.carry_location(place, form)
            guessed.add(place.key)
    return guessed


def stays(carry: Carry, item: Carried, outcome: Outcome) -> bool:
    """Whether something guessed is at the end of the body what it was at the start, or a part of it need not be traced."""
    if isinstance(item.place, Location):
        found = outcome.stores.get(item.place.key)
        return found is None or found[1] is item.param
    if carry.variables.keys[item.place] in outcome.stores:
        return False
    new = outcome.variables[item.place]
    if new is item.param or new is item.entry:
        return True
    if _is_growing(item.form):
        return False
    if not isinstance(item.entry, list | tuple):
        return not isinstance(new, Scalar) and form_of(new) == form_of(item.entry)
    before, after, params = form_of(item.entry), form_of(new), take_apart(item.param)[0]
    if before.structure != after.structure:
        return False
    leaves = zip(before.leaves, after.leaves, take_apart(new)[0], params, strict=True)
    return any(a.kind == "static" and (a == b or x is param) for a, b, x, param in leaves)


def was_wrong(carry: Carry, keys: Iterable[Any]) -> None:
    """Learn from wrong guesses: a loop that changes other places whenever it is traced is not guessed from memory again."""
    known = {place.key for place in carry.trace.extra.get("carried_places", {}).get(carry.info, ())}
    lists = {f"={carry.variables.names[key]}" if isinstance(key, int) else key for key in keys}
    grown = any(isinstance(key, tuple) and "contents" in key for key in keys) or not lists.isdisjoint(_growing_before(carry))
    if grown or not known.isdisjoint(keys):
        carry.trace.extra["forgetful"].add(carry.info)


def _lists_carried(carry: Carry) -> Iterator[tuple[str, Form]]:
    """The lists of numbers that the loop lets grow, by the names that its body has for them; `=name` if it makes new ones."""
    for item in carry.items.values():
        if isinstance(item.place, int) and _is_growing(item.form):
            yield f"={carry.variables.names[item.place]}", item.form
    places = [i for i in carry.items.values() if isinstance(i.place, Location) and type(i.place.owner) is list]
    owners = {id(i.place.owner): i.form for i in places if isinstance(i.place, Location) and _is_growing(i.form)}
    for name, cell in _cells(carry.body).items():
        form = owners.get(id(read_cell(cell)))
        if form is not None:
            yield name, form


def _is_growing(form: Form) -> bool:
    """Whether it is the form of a list of traced length whose items are numbers, or tuples of numbers."""
    if form.structure.cls is not list or len(form.leaves) < 2:
        return False
    first, second = form.leaves[:2]
    return second.kind == "length" and all(leaf.kind == "scalar" for leaf in first.obj.obj.form.leaves)


def _growing_before(carry: Carry) -> dict[str, Form]:
    """What the same loop let grow when it was traced before, by name."""
    if carry.info in carry.trace.extra.setdefault("forgetful", set()):
        return {}
    found: dict[str, Form] = carry.trace.extra.get("carried_lists", {}).get(carry.info, {})
    return found


def _grown(carry: Carry, found: Any, form: Form | None) -> Form | None:
    """The form of a list that may grow as another one did, or None if it may not."""
    if form is None or type(found) is not list or id(found) in carry.trace.frozen or not _in_scope(carry.trace, found):
        return None
    try:
        return join(form_of(found), form)
    except CannotMergeError:
        return None


def _cells(body: Any) -> dict[str, Any]:
    """The variables that a body has from around it."""
    names = getattr(getattr(body, "__code__", None), "co_freevars", ())
    return dict(zip(names, getattr(body, "__closure__", None) or ()))


def _is_numeric(entry: Any) -> bool:
    """Whether a value is a number, or a list or tuple of floats."""
    if type(entry) in _NUMBERS:
        return True
    floats = (Scalar, float, np.float64)
    return type(entry) in (list, tuple) and 0 < len(entry) <= 32 and all(type(x) in floats for x in entry)


def _written(carry: Carry, body: Any) -> Iterator[Location]:
    """The arrays that the code of the body writes to, by the names that it has for them."""
    cells = _cells(body)
    for path in sorted(carry.info.written):
        name, *attributes = path.split(".")
        found = read_cell(cells[name]) if name in cells else None
        for attribute in attributes:
            found = getattr(found, "__dict__", {}).get(attribute)
        if isinstance(found, Array) and not found.root.frozen:
            root = found.root
            location = Location((id(root), "value"), root, root._base_value, root._set_value, root._base_value())
            if not is_poisoned(carry.trace, location.old):
                yield location


def _changed_before(carry: Carry) -> Iterator[Location]:
    """The places that the same loop changed when it was traced before, if they are still there."""
    trace = carry.trace
    if carry.info in trace.extra.setdefault("forgetful", set()):
        return
    for seen in trace.extra.get("carried_places", {}).get(carry.info, ()):
        if not _in_scope(trace, seen.owner):
            continue
        current = seen.get()
        if isinstance(seen.owner, Array):
            usable = not is_poisoned(trace, current)
        else:
            usable = type(current) in _NUMBERS
        if usable:
            yield Location(seen.key, seen.owner, seen.get, seen.set, current)


def _in_scope(trace: Trace, owner: Any) -> bool:
    """Whether an array or object was made in one of the regions that are being traced, or outside of all."""
    home: Any = owner.home if isinstance(owner, Array) else trace.born.get(id(owner), (None, None))[1]
    while isinstance(home, TraceBuilder) and home.home is not None:
        home = home.home
    at: Any = trace.builder
    while isinstance(at, TraceBuilder) and at is not home:
        at = at.parent
    return at is home


def _has_arrays(form: Form) -> bool:
    return any(leaf.kind in ("array", "value", "length") for leaf in form.leaves)


