"""What a staged loop carries: found by running the body, settled by running it again until nothing new changes.

A variable that the body rebinds to an array gets a new array per iteration. Where that loses sight of which names share an array,
writing to the arrays is refused; where the array that a name had before the loop was written in the body, that array's
contents are unknown afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wengert.errors import StagingError
from wengert.frontend import staging_guesses
from wengert.frontend.arrays import Array
from wengert.frontend.context import Trace
from wengert.frontend.convert_info import BranchInfo
from wengert.frontend.forms import IN_LIST, UNSET, CannotMergeError, Form, Unset, of_kinds
from wengert.frontend.scalars import Scalar
from wengert.frontend.staging_builder import TraceBuilder
from wengert.frontend.staging_forms import conform, form_of, join, lower, raise_up, take_apart, typed
from wengert.frontend.staging_state import (
    Applied,
    Location,
    Outcome,
    Variables,
    bear,
    freeze,
    is_poisoned,
    link,
    made_in,
    may_start_unset,
    poison,
    write_cell,
)
from wengert.ir.core import Value, walk

MAX_ATTEMPTS = 12


@dataclass
class Carried:
    """One variable or location that changes from iteration to iteration.

    Attributes:
        label: what messages call it.
        entry: its value before the loop.
        form: what it looks like at every iteration.
        write: sets it.
        place: the position of a variable, or the location.
        param: its value at the start of the body, in the latest run.
    """

    label: str
    entry: Any
    form: Form
    write: Callable[[Any], None]
    place: int | Location
    param: Any = None

    @property
    def count(self) -> int:
        """How many values it is made of."""
        return sum(leaf.kind not in ("static", "unset") for leaf in self.form.leaves)


class Carry:
    """The carry of one loop while it is being found.

    Attributes:
        trace: the trace.
        info: what is known of the loop.
        body: the code of the loop, for guesses.
        variables: what the body may assign.
        items: what is carried so far, by position of the variable or key of the location.
        frozen: arrays (by position among the carried values) that share in ways that are not the same at every iteration.
        dropped: variables that are not needed after an iteration.
        lost: arrays whose contents are unknown after an iteration.
        seen: the places that the code of the body shows to be written.
        guessed: those of `items` that no run of the body has shown to change yet.
        late: parameters of variables that the latest run has shown to change, and whose value at the start of the body
            nobody reads: they need no further run.
    """

    def __init__(self, trace: Trace, info: BranchInfo, variables: Variables, body: Any = None) -> None:
        self.trace = trace
        self.info = info
        self.body = body
        self.variables = variables
        self.before = variables.read()
        self.items: dict[Any, Carried] = {}
        self.frozen: set[int] = set()
        self.dropped: set[int] = set()
        self.lost: dict[int, Array] = {}
        self.reason = f"an array or container that changes its name in the loop at {info.span}"
        self.guessed: set[Any] = set()
        self.seen: set[Any] = set()
        self.late: list[Value] = []
        staging_guesses.recall(self)

    def guess(self) -> bool:
        """Carry what most probably changes, so that one run of the body is enough; whether there is something."""
        self.guessed = staging_guesses.guess(self, self.body)
        return bool(self.guessed)

    def forget_guesses(self) -> None:
        """Carry only what has been seen to change."""
        staging_guesses.was_wrong(self, self.guessed)
        for key in self.guessed:
            self.items.pop(key, None)
        self.guessed.clear()

    def drop_wrong_guesses(self, outcome: Outcome) -> bool:
        """Stop carrying what was guessed and does not change; whether there was something."""
        left = [key for key in self.guessed if key in self.items]
        wrong = [key for key in left if staging_guesses.stays(self, self.items[key], outcome)]
        for key in wrong:
            del self.items[key]
        self.guessed.clear()
        if wrong:
            staging_guesses.was_wrong(self, wrong)
            self.frozen.clear()
        return bool(wrong)

    # --- the state at the start of the body ---------------------------------------------------------------------

    def params(self, builder: TraceBuilder, sources: Sequence[Value]) -> list[Value]:
        """New region parameters for everything carried."""
        self.conform_entries()
        self.late = []
        return [param for item in self.items.values() for param in self.params_of(item, builder, sources)]

    def params_of(self, item: Carried, builder: TraceBuilder, sources: Sequence[Value]) -> list[Value]:
        """New region parameters for one thing that is carried."""
        known: dict[int, Value] = {}
        entries = [UNSET] * len(item.form.leaves) if item.entry is UNSET else take_apart(item.entry)[0]
        for position, leaf in enumerate(item.form.leaves):
            if leaf.kind == "length":
                own = entries[position]
                known[position] = builder.param(leaf.type, "n", [own] if isinstance(own, Value) else sources)
            elif leaf.kind not in ("static", "unset"):
                name = item.label.strip("'") if item.label[0] == "'" else ""
                known[position] = builder.param(typed(leaf, known), name, sources)
        return list(known.values())

    def conform_entries(self) -> None:
        """Put what is carried into the forms found: lists that change their length become growing ones before the loop."""
        for item in self.items.values():
            for leaf in item.form.leaves:
                for symbol in leaf.type.symbols() if leaf.type is not None else ():
                    if isinstance(symbol, Value):
                        self.trace.builder.check_scope(symbol)
            item.entry = conform(item.form, item.entry)

    def enter(self, params: Sequence[Value]) -> None:
        """Set variables and locations to the parameters; what an earlier run lost is unknown."""
        for array in self.lost.values():
            if not is_poisoned(self.trace, array._value):
                poison(self.trace, array, f"writes in the loop at {self.info.span} to an array that may be the same one")
        arrays: dict[Any, Any] = {}
        supply = enumerate(params)
        for item in self.items.values():
            keys = iter(_entry_keys(item))
            item.param = raise_up(item.form, _paired(supply, keys, item.count), arrays)
            if not isinstance(item.param, Value):
                bear(self.trace, item.param)
                if not isinstance(item.place, Location) and item.entry is not UNSET:
                    freeze(self.trace, item.param, self.reason)
            item.write(item.param)
        for item in self.items.values():
            self.link_start(item)
        for position, array in self.arrays():
            if position in self.frozen:
                array.frozen = self.reason

    def link_start(self, item: Carried) -> None:
        """In the first iteration a carried array is the one from before the loop: written, the other is lost."""
        if item.entry is UNSET or isinstance(item.param, Value):
            return
        for param, entry in zip(take_apart(item.param)[0], take_apart(item.entry)[0]):
            if isinstance(param, Array) and isinstance(entry, Array):
                link(self.trace, param, entry.root)

    def arrays(self) -> Iterator[tuple[int, Array]]:
        """The arrays among the parameters, with their position among the carried values."""
        position = 0
        for item in self.items.values():
            leaves = take_apart(item.param)[0]
            for leaf, obj in zip(item.form.leaves, leaves, strict=True):
                if leaf.kind in ("static", "unset"):
                    continue
                if isinstance(obj, Array):
                    yield position, obj
                position += 1

    # --- after a run --------------------------------------------------------------------------------------------

    def absorb(self, outcome: Outcome) -> bool:
        """Take in what a run of the body changed; False when it must be run again.

        Raises:
            CannotMergeError: something changes in a way that cannot be carried.
        """
        with Applied(outcome):
            return self.compare(outcome) and self.watch_aliases(outcome) and self.lose_passed_on(outcome)

    def compare(self, outcome: Outcome) -> bool:
        """Whether what the body left has the forms that are carried; widens them where not."""
        settled, unknown = True, set()
        for position, name in enumerate(self.variables.names):
            new = outcome.variables[position]
            if self.variables.keys[position] in outcome.stores:
                if position in self.items:
                    unknown.add(self.variables.keys[position])
                    self.forget(position)
                continue  # a variable of another function is carried as a place outside
            if position in self.items:
                settled &= self.grow(self.items[position], new)
            elif new is not self.before[position]:
                settled &= self.change(position, name, new, outcome)
        for key, (location, new) in outcome.stores.items():
            self.refuse_item(location.owner)
            if key in unknown:
                settled = False  # the next run shows what it is carried as
            elif is_poisoned(self.trace, new):
                settled &= self.items.pop(key, None) is None
                if id(location.owner) not in self.lost:
                    self.lost[id(location.owner)] = location.owner
                    settled &= not _may_read(outcome, location.old)  # the next iteration would read what it does not know
            elif key in self.items:
                settled &= self.grow(self.items[key], new)
            elif new is not location.old:
                settled &= self.change_location(location, new)
        return settled

    def forget(self, position: int) -> None:
        """Do not carry a variable as one of this function: closures or bodies that were handed over write it too."""
        del self.items[position]
        self.guessed.discard(position)
        self.frozen.clear()

    def refuse_item(self, owner: Any) -> None:
        """Refuse a write to what the body puts into a growing list: the list has a copy, which would not change."""
        reason = owner.root.frozen if isinstance(owner, Array) else self.trace.frozen.get(id(owner), (None, ""))[1]
        if reason == IN_LIST:
            raise StagingError(
                f"{'an array' if isinstance(owner, Array) else f'a {type(owner).__name__}'} that the loop changes is also put "
                "into a list of traced length",
                self.info.span,
                fix="put a copy of it into the list",
            )

    def grow(self, item: Carried, new: Any) -> bool:
        """Widen the form of a carried item; False if it was not wide enough."""
        form = self.join(item.label, item.form, form_of(new))
        settled, item.form = form == item.form, form
        return settled

    def change(self, position: int, name: str, new: Any, outcome: Outcome) -> bool:
        """A variable that is not carried has changed."""
        info, before = self.info, self.before[position]
        if name not in info.live and name not in info.head and name not in info.stop:
            self.dropped.add(position)
            return True
        if new is UNSET:
            raise CannotMergeError(f"{name!r} may be deleted in the loop")
        if before is UNSET and name in info.shared and name not in info.made_up:
            self.trace.extra.setdefault("maybe_unset", set()).add(name)
            self.dropped.add(position)
            return True
        if before is UNSET and name not in info.live | info.made_up and name not in info.stop:
            raise CannotMergeError(f"{name!r} may be used before it is set")
        form = self.join(f"{name!r}", form_of(before), form_of(new))
        if form.is_static and before is not UNSET:
            return True
        self.items[position] = item = self.variable(position, before, form)
        return self.is_late(name, item, outcome)

    def is_late(self, name: str, item: Carried, outcome: Outcome) -> bool:
        """Whether a variable that is carried from now on needs no further run: no iteration reads what another one set."""
        if name in self.info.head or name in self.info.stop or name in self.info.shared:
            return False
        if any(leaf.kind in ("value", "length") for leaf in item.form.leaves):
            return False
        with self.trace.building(outcome.builder):
            params = self.params_of(item, outcome.builder, ())
            item.param = raise_up(item.form, iter([(param, k) for k, param in enumerate(params)]), {})
        self.late += params
        return True

    def change_location(self, location: Location, new: Any) -> bool:
        """A location that is not carried has changed."""
        form = self.join(location.label, form_of(location.old), form_of(new))
        if location.old is UNSET and not may_start_unset(self.trace, location):
            raise CannotMergeError(f"{location.label} is made in the loop")
        if form.is_static:
            return True
        self.carry_location(location, form)
        return False

    def carry_location(self, location: Location, form: Form) -> None:
        """Carry what is at a location."""

        def write(value: Any) -> None:
            self.trace.journal.write(location.key, location.owner, location.get, location.set, value)

        self.items[location.key] = Carried(location.label, location.old, form, write, location)

    def variable(self, position: int, entry: Any, form: Form) -> Carried:
        """A carried variable."""
        cell = self.variables.cells[position]
        label = f"{self.variables.names[position]!r}"
        return Carried(label, entry, form, lambda value: write_cell(cell, value), position)

    def join(self, label: str, a: Form, b: Form) -> Form:
        """The common form of two states of one item."""
        try:
            return join(a, b)
        except CannotMergeError as error:
            raise CannotMergeError(f"{label} is {error} in different iterations", error.size) from None

    def exit_value(self, item: Carried, outcome: Outcome) -> Any:
        """The value of a carried item at the end of the body, in the form that the body gave it."""
        if isinstance(item.place, int):
            return outcome.variables[item.place]
        written = outcome.stores.get(item.place.key)
        return item.param if written is None else written[1]

    def exit_of(self, item: Carried, outcome: Outcome) -> Any:
        """The value of a carried item at the end of the body."""
        known = outcome.conformed.get(id(item))
        if known is not None and known[0] == item.form:
            return known[1]
        found = self.exit_value(item, outcome)
        with self.trace.building(outcome.builder):
            found = conform(item.form, found)
        outcome.conformed[id(item)] = (item.form, found)
        return found

    def watch_aliases(self, outcome: Outcome) -> bool:
        """Freeze arrays whose sharing is not the same at every iteration; False when that is news."""
        entries: list[Any] = []
        exits: list[Any] = []
        for item in self.items.values():
            final = self.exit_of(item, outcome)
            if final is UNSET:
                raise CannotMergeError(f"{item.label} may be deleted in the loop")
            entries += _entry_keys(item)
            exits += _traced_leaves(item.form, final)
        params = {id(array) for _, array in self.arrays()}
        news: set[int] = set()
        classes_in, classes_out = _classes(entries), _classes([id(e) for e in exits])
        for position, final in enumerate(exits):
            if not isinstance(final, Array):
                continue
            outside = final.parent is not None or not (id(final) in params or made_in(self.trace, final, outcome.builder))
            foreign, shared = self.other_names(final, position, exits, outcome)
            news |= shared
            if outside or foreign or final.root.frozen or classes_in[position] != classes_out[position]:
                news.add(position)
                for array in [final.root] * outside + foreign:
                    array.frozen = array.frozen or self.reason
        news -= self.frozen
        self.frozen |= news
        return not news or not outcome.writes_shared  # where none of them is written, it does not matter which must not be

    def other_names(self, final: Array, place: int, exits: list[Any], outcome: Outcome) -> tuple[list[Array], set[int]]:
        """What an array at the end of the body may be, too, by a branch in the body.

        Returns:
            Arrays from before the loop, and places of the carry that may share (that of the array itself among them).
        """
        params = {id(array): k for k, array in self.arrays()}
        ends = {id(e): k for k, e in enumerate(exits) if isinstance(e, Array)}
        foreign: list[Array] = []
        shared: set[int] = set()
        if id(final) in params:
            return foreign, shared
        for other in self.trace.journal.links.get((id(final.root), "value"), ()):
            if id(other) in params or id(other) in ends:
                found = {k for k in (params.get(id(other)), ends.get(id(other))) if k is not None and k != place}
                shared |= found and {place, *found}
            elif not made_in(self.trace, other, outcome.builder):
                foreign.append(other)
        return foreign, shared

    def lose_passed_on(self, outcome: Outcome) -> bool:
        """Where a name takes arrays over from others (`u, v = v, u`) and is written, what the others had before is unknown.

        Returns:
            Whether the run has not read what turns out to be unknown.
        """
        known = True
        params = dict(self.arrays())
        for place, roots in self.taken_over(outcome).items():
            for root in roots if id(params[place]) in outcome.written else []:
                if id(root) not in self.lost:
                    self.lost[id(root)] = root
                    known &= self.items.pop((id(root), "value"), None) is None and not _may_read(outcome, root.value)
        return known

    def taken_over(self, outcome: Outcome) -> dict[int, list[Array]]:
        """Per place of the carry that takes over the array of another one: the arrays from before the loop that it may have."""
        places = {id(array): k for k, array in self.arrays()}
        entries = [e for item in self.items.values() for e in _entry_leaves(item)]
        exits = [e for item in self.items.values() for e in _traced_leaves(item.form, self.exit_of(item, outcome))]
        sources = {k: places[id(e.root)] for k, e in enumerate(exits) if isinstance(e, Array) and id(e.root) in places}
        taken: dict[int, list[Array]] = {}
        for place in sources.keys() & set(places.values()):
            reached = [place]
            while sources.get(reached[-1], place) not in reached:
                reached.append(sources[reached[-1]])
            if len(reached) > 1:
                taken[place] = [e.root for k in reached if isinstance(e := entries[k], Array)]
        return taken

    # --- values -------------------------------------------------------------------------------------------------

    def entry_values(self) -> list[Value]:
        """The traced values that the carry starts from."""
        self.conform_entries()
        entries = [x for item in self.items.values() for x in _traced_leaves(item.form, item.entry)]
        return [x if isinstance(x, Value) else x.value for x in entries if isinstance(x, (Value, Scalar, Array))]

    def initial(self) -> list[Value]:
        """The carried values before the loop."""
        return [v for item in self.items.values() for v in lower(item.form, item.entry)]

    def final(self, outcome: Outcome) -> list[Value]:
        """The carried values at the end of the body."""
        with self.trace.building(outcome.builder), Applied(outcome):
            return [v for item in self.items.values() for v in lower(item.form, self.exit_of(item, outcome), filler=True)]

    def names(self) -> list[str]:
        """A name for every carried value."""
        return [i.label.strip("'") if i.label[0] == "'" else "" for i in self.items.values() for _ in range(i.count)]

    def leave(self, results: Sequence[Value], outcome: Outcome, surely_ran: bool = False) -> None:
        """Set variables and locations to what the loop gives.

        Args:
            results: the values of the instruction.
            outcome: the last run of the body.
            surely_ran: whether the body runs at least once.
        """
        lost = self.lost_arrays(outcome)
        with Applied(outcome):
            keys = [iter([id(e) for e in _traced_leaves(i.form, self.exit_of(i, outcome))]) for i in self.items.values()]
            taken = self.taken_over(outcome)
        made: dict[Any, Any] = {}
        supply = enumerate(results)
        for item, item_keys in zip(self.items.values(), keys, strict=True):
            form = of_kinds(item.form, form_of(self.exit_value(item, outcome))) if surely_ran else item.form
            new = raise_up(form, _paired(supply, item_keys, item.count), made)
            if not isinstance(new, Value):
                bear(self.trace, new)
                if isinstance(item.place, int) and not made_in(self.trace, outcome.variables[item.place], outcome.builder):
                    freeze(self.trace, new, self.reason)
                    freeze(self.trace, outcome.variables[item.place], self.reason)
                elif not surely_ran and item.entry is not UNSET:  # it may still be the one from before the loop
                    freeze(self.trace, new, self.reason)
                    freeze(self.trace, item.entry, self.reason)
            item.param = new
            item.write(new)
            self.link_entry(item, new, outcome, surely_ran)
        for position, array in self.arrays():
            for root in taken.get(position, ()):
                link(self.trace, array, root)
            if position in self.frozen:
                array.frozen = self.reason
        for position in self.dropped:
            if position not in self.items:
                write_cell(self.variables.cells[position], UNSET)
        for array in {**self.lost, **lost}.values():
            poison(self.trace, array, f"the loop at {self.info.span}")
        staging_guesses.remember(self)

    def link_entry(self, item: Carried, new: Any, outcome: Outcome, surely_ran: bool) -> None:
        """An array may still be the one from before the loop, if the body need not run or need not replace it."""
        if isinstance(new, Value) or item.entry is UNSET:
            return
        leaves = (take_apart(new)[0], take_apart(item.entry)[0], take_apart(self.exit_of(item, outcome))[0])
        for result, entry, final in zip(*leaves):
            if isinstance(result, Array) and isinstance(entry, Array):
                replaced = isinstance(final, Array) and (id(final), "value") not in self.trace.journal.links
                if not (surely_ran and replaced):
                    link(self.trace, result, entry.root)

    def lost_arrays(self, outcome: Outcome) -> dict[int, Array]:
        """Arrays from before the loop that the body wrote through a variable that it also rebinds."""
        lost = {}
        for item in self.items.values():
            if isinstance(item.place, Location) or item.entry is UNSET:
                continue
            for param, entry in zip(take_apart(item.param)[0], take_apart(item.entry)[0]):
                if isinstance(param, Array) and isinstance(entry, Array) and id(param) in outcome.written:
                    if entry.parent is not None:
                        raise CannotMergeError(f"{item.label} starts as a view of another array and is written to")
                    lost[id(entry)] = entry
        return lost


def _may_read(outcome: Outcome, value: Value) -> bool:
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


def _traced_leaves(form: Form, obj: Any) -> list[Any]:
    leaves = [UNSET] * len(form.leaves) if obj is UNSET else take_apart(obj)[0]
    return [x for leaf, x in zip(form.leaves, leaves, strict=True) if leaf.kind not in ("static", "unset")]


def _entry_leaves(item: Carried) -> list[Any]:
    """What an item is made of before the loop, per carried value."""
    return _traced_leaves(item.form, item.entry)


def _entry_keys(item: Carried) -> list[Any]:
    """Per carried value a key that is shared by values which are one array before the loop."""
    return [id(x) if isinstance(x, Array) else (id(item), k) for k, x in enumerate(_entry_leaves(item))]


def _paired(supply: Iterator[tuple[int, Value]], keys: Iterator[Any], count: int) -> Iterator[tuple[Value, Any]]:
    return iter([(next(supply)[1], next(keys)) for _ in range(count)])


def _classes(keys: Sequence[Any]) -> list[tuple[int, ...]]:
    """Per position: the positions that have the same key."""
    return [tuple(k for k, other in enumerate(keys) if other == key) for key in keys]
