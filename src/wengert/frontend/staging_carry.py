"""What a staged loop carries: found by running the body, settled by running it again until nothing new changes.

What becomes of arrays that may be one array under two names is decided in `staging_aliases`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wengert.errors import StagingError
from wengert.frontend import staging_aliases, staging_guesses
from wengert.frontend.arrays import Array
from wengert.frontend.context import Trace
from wengert.frontend.convert_info import BranchInfo
from wengert.frontend.forms import IN_LIST, UNSET, CannotMergeError, Form, of_kinds
from wengert.frontend.references import are_on, carry_by_content, shared_parts
from wengert.frontend.scalars import Scalar
from wengert.frontend.staging_builder import TraceBuilder
from wengert.frontend.staging_forms import conform, form_of, join, leaves_of, lower, mutable_parts, raise_up, take_apart, typed
from wengert.frontend.staging_state import (
    Applied,
    Location,
    Outcome,
    Variables,
    bear,
    freeze,
    is_poisoned,
    link,
    may_start_unset,
    poison,
    wholly_made_in,
    write_cell,
)
from wengert.ir.core import Value

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

    def traced(self, obj: Any) -> list[Any]:
        """The leaves of `obj`, a value in the form, that are carried."""
        leaves = leaves_of(self.form, obj)
        return [x for leaf, x in zip(self.form.leaves, leaves, strict=True) if leaf.kind not in ("static", "unset")]

    def entries(self) -> list[Any]:
        """What it is made of before the loop, per carried value."""
        return self.traced(self.entry)

    def keys(self) -> list[Any]:
        """Per carried value a key that is shared by values which are one array before the loop."""
        return [id(x) if isinstance(x, Array) else (id(self), k) for k, x in enumerate(self.entries())]


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
            keys = iter(item.keys())
            item.param = raise_up(item.form, _paired(supply, keys, item.count), arrays)
            if not isinstance(item.param, Value):
                carry_by_content(self.trace, item.param)
                bear(self.trace, item.param)
                freeze(self.trace, item.param, self.reason)
                if item.entry is not UNSET:  # another name of it would not be seen by what is carried
                    freeze(self.trace, item.entry, self.reason)
            item.write(item.param)
        for item in self.items.values():
            staging_aliases.link_start(self, item)
        for position, array in self.arrays():
            if position in self.frozen:
                array.frozen = self.reason

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
            if not self.compare(outcome) or not staging_aliases.watch(self, outcome):
                return False
            return staging_aliases.lose_passed_on(self, outcome)

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
                    # The next iteration would read what it does not know.
                    settled &= not staging_aliases.may_read(outcome, location.old)
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
        if item.entry is not UNSET and form_of(item.entry).structure != item.form.structure:
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

    def has_other_names(self, value: Any, outcome: Outcome, shared: set[int]) -> bool:
        """Whether something else may refer to what a carried value consists of: it is older, or among the `shared`."""
        if not wholly_made_in(self.trace, value, outcome.builder):
            return True
        return bool(shared) and any(id(part) in shared for part in mutable_parts(value))

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

    # --- values -------------------------------------------------------------------------------------------------

    def entry_values(self) -> list[Value]:
        """The traced values that the carry starts from."""
        self.conform_entries()
        entries = [x for item in self.items.values() for x in item.entries()]
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
        lost = staging_aliases.lost_arrays(self, outcome)
        with Applied(outcome):
            keys = [iter([id(e) for e in i.traced(self.exit_of(i, outcome))]) for i in self.items.values()]
            taken = staging_aliases.taken_over(self, outcome)
            shared = shared_parts(mutable_parts(self.exit_value(i, outcome)) for i in self.items.values())
        made: dict[Any, Any] = {}
        supply = enumerate(results)
        for item, item_keys in zip(self.items.values(), keys, strict=True):
            form = of_kinds(item.form, form_of(self.exit_value(item, outcome))) if surely_ran else item.form
            new = raise_up(form, _paired(supply, item_keys, item.count), made)
            if not isinstance(new, Value):
                carry_by_content(self.trace, new)
                bear(self.trace, new)
                if are_on(self.trace):  # lists that are not followed by identity may have other names
                    freeze(self.trace, new, self.reason)
                elif self.has_other_names(value := self.exit_value(item, outcome), outcome, shared):
                    freeze(self.trace, new, self.reason)
                    freeze(self.trace, value, self.reason)
                elif not surely_ran and item.entry is not UNSET:  # it may still be the one from before the loop
                    freeze(self.trace, new, self.reason)
                    freeze(self.trace, item.entry, self.reason)
            item.param = new
            item.write(new)
            staging_aliases.link_entry(self, item, new, outcome, surely_ran)
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


def _paired(supply: Iterator[tuple[int, Value]], keys: Iterator[Any], count: int) -> Iterator[tuple[Value, Any]]:
    return iter([(next(supply)[1], next(keys)) for _ in range(count)])
