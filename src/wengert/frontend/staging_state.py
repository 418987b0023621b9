"""The Python state that staged code may change: variables in cells and locations in the journal.

`State` remembers it, runs a piece of code, reads off what the code changed, and puts everything back.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from wengert.errors import Span
from wengert.frontend.arrays import Array
from wengert.frontend.choices import FACTS, Facts, facts
from wengert.frontend.context import Trace
from wengert.frontend.forms import DEAD, UNSET, Unset
from wengert.frontend.staging_builder import TraceBuilder
from wengert.frontend.staging_forms import mutable_parts
from wengert.ir.core import Value


class ArmEnded(BaseException):
    """The arm being traced raises for sure: what follows in it never runs.

    Attributes:
        failure: what it raises, or None when its instructions raise already.
    """

    def __init__(self, failure: Failure | None) -> None:
        super().__init__()
        self.failure = failure


class NoValueYet(ArmEnded):
    """The arm being traced calls a recursive function whose result is not known yet: for now, what follows never runs."""

    def __init__(self) -> None:
        super().__init__(None)


@dataclass
class Failure:
    """An exception to be raised at run time.

    Attributes:
        name: the class name.
        message: the message, with a `{}` per value.
        values: traced values that it needs.
        factory: makes the exception from their run-time values.
        span: the line that raises it.
        exc: the exception as the program has it while tracing.
    """

    name: str
    message: str
    values: list[Value]
    factory: Callable[..., BaseException]
    span: Span | None = None
    exc: Any = RuntimeError


@dataclass(slots=True)
class Location:
    """A place outside of the variables that was written: an array's contents, an attribute, an item."""

    key: Any
    owner: Any
    get: Callable[[], Any]
    set: Callable[[Any], None]
    old: Any

    @property
    def label(self) -> str:
        """What messages call it."""
        if isinstance(self.owner, Array):
            return "the contents of an array"
        kind = self.key[1] if isinstance(self.key, tuple) and len(self.key) > 1 else ""
        name = type(self.owner).__name__
        if kind == "attribute":
            return f"the attribute {self.key[2]!r} of a {name}"
        if kind == "item":
            return f"the item {self.key[2]!r} of a {name}"
        return f"the variable {self.key[2]!r}" if kind == "cell" else f"the contents of a {name}"


def read_cell(cell: types.CellType) -> Any:
    """The variable's value, or `UNSET`."""
    try:
        return cell.cell_contents
    except ValueError:
        return UNSET


def write_cell(cell: types.CellType, value: Any) -> None:
    """Set or unset a variable."""
    if not isinstance(value, Unset):
        cell.cell_contents = value
        return
    try:
        del cell.cell_contents
    except ValueError:
        return


class Variables:
    """The cells of the variables that an arm or a body may assign."""

    def __init__(self, carrier: Any) -> None:
        self.names: tuple[str, ...] = carrier.__code__.co_freevars if carrier is not None else ()
        self.cells: tuple[types.CellType, ...] = (carrier.__closure__ or ()) if carrier is not None else ()

        self.keys = [("cell", id(cell), name) for name, cell in zip(self.names, self.cells)]

    def read(self) -> list[Any]:
        """All values."""
        found: list[Any] = []
        for cell in self.cells:
            try:
                found.append(cell.cell_contents)
            except ValueError:
                found.append(UNSET)
        return found

    def write(self, values: Sequence[Any]) -> None:
        """Set all values."""
        for cell, value in zip(self.cells, values, strict=True):
            if type(value) is Unset:
                write_cell(cell, value)
            else:
                cell.cell_contents = value

    def cell(self, name: str) -> types.CellType:
        """The cell of one variable."""
        return self.cells[self.names.index(name)]


@dataclass(slots=True)
class Outcome:
    """What a run of staged code did.

    Attributes:
        builder: its instructions.
        result: what it returned.
        variables: the values of the variables afterwards.
        stores: locations outside that it changed, with their new values.
        ended: set when the code raises for sure.
        written: the arrays that were written to, by identity.
        writes_shared: whether one of these was there before, or may be one that has another name.
        conformed: what is carried, in the form in which it is.
        facts: what is known of choices at its end.
    """

    builder: TraceBuilder
    result: Any
    variables: list[Any]
    stores: dict[Any, tuple[Location, Any]]
    ended: ArmEnded | None = None
    written: frozenset[int] = frozenset()
    writes_shared: bool = False
    conformed: dict[int, Any] = field(default_factory=dict)
    facts: Facts = ()


@dataclass(slots=True)
class Frame:
    """A region being run: its variables, and the journal and their values at its start."""

    variables: Variables
    mark: int
    entry: list[Any]

    def old(self, key: Any, noted: Any) -> Any:
        """What a location held at the start: a variable may have been assigned directly before the journal first saw it."""
        keys = self.variables.keys
        return self.entry[keys.index(key)] if key in keys else noted


class Applied:
    """A context in which locations are as a region left them: its variables may refer to arrays and containers that it wrote."""

    __slots__ = ("before", "outcome")

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.before: list[tuple[Location, Any]] = []

    def __enter__(self) -> None:
        stores = self.outcome.stores
        if stores:
            self.before = [(location, location.get()) for location, _ in stores.values()]
            for location, new in stores.values():
                location.set(new)

    def __exit__(self, *_: object) -> None:
        for location, old in reversed(self.before):
            location.set(old)


def run_region(
    trace: Trace,
    builder: TraceBuilder,
    variables: Variables,
    body: Callable[[], Any],
    what: str,
    entry: Callable[[], None] | None = None,
) -> Outcome:
    """Run `body` on a child builder, read off what it changed, and put the Python state back.

    Args:
        trace: the trace.
        builder: receives the instructions.
        variables: what the body may assign.
        body: the code.
        what: what messages call the region.
        entry: sets the state at entry; its writes are undone too, and count as changes only if written again.
    """
    before = variables.read()
    start = trace.journal.mark()
    trace.depth += 1  # what follows may or may not run
    try:
        with trace.building(builder):
            if entry is not None:
                entry()
            mark = trace.journal.mark()
            outcome = _run(trace, builder, Frame(variables, mark, before if entry is None else variables.read()), body)
        inner = _inner(trace, mark, builder)
    finally:
        trace.depth -= 1
        trace.journal.rollback(start)
        variables.write(before)
    # What was made inside keeps its last state: it may outlive the region under another name.
    for set_, value in inner:
        set_(value)
    builder.close(what)
    return outcome


def _run(trace: Trace, builder: TraceBuilder, frame: Frame, body: Callable[[], Any]) -> Outcome:
    """Run the body of a region and read off its outcome."""
    ended: ArmEnded | None = None
    result: Any = None
    values: list[Any] | None = None
    trace.frames.append(frame)
    try:
        result = body()
    except ArmEnded as end:
        if trace.failures is not None and trace.failures.absorb(end):
            result, values = DEAD, trace.failures.pruned(frame.variables)
        else:
            ended = end
    except Exception as error:
        if trace.failures is None or not trace.failures.take(error):
            raise
        result, values = DEAD, trace.failures.pruned(frame.variables)
    finally:
        trace.frames.pop()
    if ended is not None and builder.forks:
        trace.failures.end_here(ended)
        ended, values = None, [DEAD] * len(frame.variables.names)
    final = frame.variables.read() if values is None else values
    outcome = Outcome(builder, result, final, {}, ended)
    outcome.facts = facts(trace)
    if trace.journal.mark() > frame.mark:
        arrays = [e[1] for e in trace.journal.entries[frame.mark :] if isinstance(e[1], Array)]
        links = trace.journal.links
        outcome.stores = changes(trace, frame, builder)
        outcome.written = frozenset(map(id, arrays))
        outcome.writes_shared = any((id(array), "value") in links or not made_in(trace, array, builder) for array in arrays)
    return trace.failures.fold(frame, frame.entry, outcome) if builder.forks else outcome


def trace_write(trace: Trace, location: Location, new: Any) -> None:
    """Write to a location through the journal."""
    trace.journal.write(location.key, location.owner, location.get, location.set, new)


def may_start_unset(trace: Trace, location: Location) -> bool:
    """Whether a location that has no value on some paths is read only on those where it has one."""
    if getattr(type(location.owner), "starts_unset", False):
        return True
    return id(location.owner) in trace.extra.get("optional_cells", ())


def all_changes(trace: Trace, frame: Frame) -> dict[Any, tuple[Location, Any]]:
    """Locations written since the start of a region, with their values now."""
    found: dict[Any, tuple[Location, Any]] = {}
    for position, (key, owner, get, set_, _) in enumerate(trace.journal.entries[frame.mark :]):
        if key not in found and key is not FACTS:
            found[key] = (Location(key, owner, get, set_, _at_start(trace, frame, position)), get())
    return found


def changes(trace: Trace, frame: Frame, builder: TraceBuilder) -> dict[Any, tuple[Location, Any]]:
    """Locations written in a region that existed before it, with their values now."""
    found: dict[Any, tuple[Location, Any]] = {}
    for position, (key, owner, get, set_, _) in enumerate(trace.journal.entries[frame.mark :]):
        if key not in found and key is not FACTS and not made_in(trace, owner, builder):
            found[key] = (Location(key, owner, get, set_, _at_start(trace, frame, position)), None)
    return {key: (location, location.get()) for key, (location, _) in found.items()}


def take_dicts_whole(first: Outcome, second: Outcome) -> None:
    """Where an arm changed a dict as a whole, what the arms did to its items is part of that."""
    for key, (location, _) in {**first.stores, **second.stores}.items():
        if key[1] != "contents" or not isinstance(location.owner, dict):
            continue
        for arm in (first, second):
            items = [(k[2], arm.stores.pop(k)[1]) for k in list(arm.stores) if k[0] == key[0] and k[1] == "item"]
            if key not in arm.stores and items:
                whole = location.get()
                for place, value in items:
                    if isinstance(value, Unset):
                        whole.pop(place, None)
                    else:
                        whole[place] = value
                arm.stores[key] = (location, whole)


def _at_start(trace: Trace, frame: Frame, position: int) -> Any:
    """What the location of a journal entry held at the start of a region.

    A dict that is remembered whole may have had items written before, which are remembered one by one.
    """
    entries = trace.journal.entries
    key, owner, _, _, old = entries[frame.mark + position]
    if position and isinstance(owner, dict) and key[1] == "contents":
        old = copy.copy(old)
        for before, written, _, _, item in reversed(entries[frame.mark : frame.mark + position]):
            if written is not owner or before[1] != "item":
                continue
            if isinstance(item, Unset):
                old.pop(before[2], None)
            else:
                old[before[2]] = item
    return frame.old(key, old)


def _inner(trace: Trace, mark: int, builder: TraceBuilder) -> list[tuple[Callable[[Any], None], Any]]:
    """The last state of locations that were made in the region of `builder`."""
    found = {}
    for key, owner, get, set_, _ in trace.journal.entries[mark:]:
        if key not in found and made_in(trace, owner, builder):
            found[key] = (set_, get())
    return list(found.values())


def made_in(trace: Trace, owner: Any, builder: TraceBuilder) -> bool:
    """Whether an array, container or object was made in the region of `builder`."""
    if isinstance(owner, Array):
        return builder.holds(owner.home)
    known = trace.born.get(id(owner))
    return known is not None and builder.holds(known[1])


def wholly_made_in(trace: Trace, obj: Any, builder: TraceBuilder, parts: Sequence[Any] | None = None) -> bool:
    """Whether a value was made in the region of `builder`, with all lists, dicts and objects in it (`parts`, where known)."""
    if not made_in(trace, obj, builder):
        return False
    return all(made_in(trace, part, builder) for part in (mutable_parts(obj) if parts is None else parts))


def freeze(trace: Trace, obj: Any, reason: str) -> None:
    """Refuse writes to the mutable containers in `obj` from here on."""
    freeze_parts(trace, mutable_parts(obj), reason)


def freeze_parts(trace: Trace, parts: Iterable[Any], reason: str) -> None:
    """Refuse writes to these containers from here on."""
    for part in parts:
        trace.frozen.setdefault(id(part), (part, reason))


def bear(trace: Trace, obj: Any) -> Any:
    """Note that a container or object was made here, and return it."""
    if not trace.eager:
        trace.born.setdefault(id(obj), (obj, trace.builder))
    return obj


def poison(trace: Trace, array: Array, reason: str) -> None:
    """Make the contents of `array` unusable: staging does not know them any more."""
    builder = trace.builder
    assert isinstance(builder, TraceBuilder)
    lost = builder.child()
    value = lost.param(array.value.type, "lost", ())
    lost.close(reason)
    builder.history.poisoned.add(value)
    trace.journal.entries.append(((id(array), "value"), array, array._base_value, array._set_value, array._base_value()))
    array._set_value(value)


def link(trace: Trace, new: Array, old: Array) -> None:
    """Note that `new` may be `old`, and all that `old` may be: a write to one makes the contents of the others unknown."""
    if new is old:
        return
    links = trace.journal.links
    for each in [old, *links.get((id(old), "value"), ())]:
        known = links.setdefault((id(new), "value"), [])
        if each is not new and not any(each is other for other in known):
            known.append(each)
            links.setdefault((id(each), "value"), []).append(new)
    new.frozen = old.frozen = new.frozen or old.frozen


def spoil(trace: Trace, array: Array) -> None:
    """The contents of `array` are unknown since another array, which may be the same, was written to."""
    if not is_poisoned(trace, array._value):
        poison(trace, array, "the write to an array that may be the same one, under another name")


def is_poisoned(trace: Trace, value: Any) -> bool:
    """Whether `value` stands for lost contents."""
    return isinstance(trace.builder, TraceBuilder) and isinstance(value, Value) and value in trace.builder.history.poisoned
