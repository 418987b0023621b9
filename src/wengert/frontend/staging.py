"""Staged branches: `if`, ternaries, `and`, `or`.

Both arms run, each into a region of its own and from the same state; what they leave behind is merged, place by place.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from types import FunctionType
from typing import Any

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import box
from wengert.frontend.choices import Choice, assume, implied, narrowed, note_test
from wengert.frontend.context import NeedsPythonValue, Trace, current
from wengert.frontend.convert_info import BranchInfo
from wengert.frontend.forms import DEAD, UNSET, CannotMergeError, Form, Unset
from wengert.frontend.growing import is_growing
from wengert.frontend.python_numbers import truth
from wengert.frontend.references import shared_parts
from wengert.frontend.registry import OPERATORS
from wengert.frontend.rows import is_filled
from wengert.frontend.scalars import Scalar
from wengert.frontend.staging_builder import TraceBuilder
from wengert.frontend.staging_forms import (
    conform,
    form_of,
    join,
    leaves_of,
    lower_leaves,
    mutable_parts,
    raise_up,
    take_apart,
)
from wengert.frontend.staging_numbers import merge_numbers
from wengert.frontend.staging_state import (
    Applied,
    ArmEnded,
    Failure,
    Location,
    NoValueYet,
    Outcome,
    Variables,
    bear,
    freeze_parts,
    is_poisoned,
    link,
    made_in,
    may_start_unset,
    poison,
    read_cell,
    run_region,
    take_dicts_whole,
    trace_write,
    wholly_made_in,
)
from wengert.ir.core import Instr, Region, Value, walk
from wengert.ir.op import get_op

_NOTHING = Variables(None)


def decide(test: Any) -> bool | Value:
    """The truth of `test`: a Python bool where it is known, else a traced one."""
    if isinstance(test, Array):
        test = OPERATORS["item"](test) if all(d == 1 for d in test.dims) else bool(test)
    if type(test) is Choice:
        found: bool | Value = OPERATORS["truth of a choice"](test)
        return found
    if not isinstance(test, Scalar):
        method = getattr(type(test), "__bool__", None) or getattr(type(test), "__len__", None)
        if isinstance(method, FunctionType) and not type(test).__module__.startswith("wengert."):
            return _own_truth(test, method)
        return is_filled(test[0]) if is_growing(test) else bool(test)
    trace = current()
    return bool(trace.known(test.value)) if trace.eager else truth(test)


def _own_truth(test: Any, method: FunctionType) -> bool | Value:
    """The truth of an object whose class says what it is."""
    enter = current().enter
    assert enter is not None
    found = enter(method)(test)
    if method.__name__ == "__len__":
        return decide(found != 0)
    if not isinstance(found, (bool, Scalar)):
        raise TypeError(f"__bool__ should return bool, returned {type(found).__name__}")
    return decide(found)


def branch(info: BranchInfo, test: Any, then: Callable[[], Any], otherwise: Callable[[], Any] | None, carrier: Any) -> None:
    """`if test: then() else: otherwise()`."""
    known = decide(test)
    if isinstance(known, bool):
        if known:
            then()
        elif otherwise is not None:
            otherwise()
        return
    Branch(current(), known, Variables(carrier), info).run(then, otherwise or _nothing)


def stage_branch(
    info: BranchInfo, test: Value, variables: Variables, then: Callable[[], Any], otherwise: Callable[[], Any]
) -> None:
    """`if test: then() else: otherwise()` for a traced test."""
    Branch(current(), test, variables, info).run(then, otherwise)


def choose(test: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """`then() if test else otherwise()`."""
    known = decide(test)
    if isinstance(known, bool):
        return then() if known else otherwise()
    return Branch(current(), known, _NOTHING, None).run(then, otherwise)


def conjunction(first: Any, rest: Sequence[Callable[[], Any]]) -> Any:
    """`first and rest[0]() and ...`."""
    for position, following in enumerate(rest):
        known = decide(first)
        if isinstance(known, Value):
            remaining, value = rest[position + 1 :], box(known) if is_growing(first) else first
            seen: list[Any] = []
            found = choose(first, partial(_go_on, conjunction, following, remaining, seen), partial(_as_is, value))
            _note_both(found, known, seen, True)
            return found
        if not known:
            return first
        first = following()
    return first


def disjunction(first: Any, rest: Sequence[Callable[[], Any]]) -> Any:
    """`first or rest[0]() or ...`."""
    for position, following in enumerate(rest):
        known = decide(first)
        if isinstance(known, Value):
            remaining, value = rest[position + 1 :], first
            seen: list[Any] = []
            found = choose(first, partial(_as_is, value), partial(_go_on, disjunction, following, remaining, seen))
            _note_both(found, known, seen, False)
            return found
        if known:
            return first
        first = following()
    return first


def _go_on(
    rule: Callable[..., Any], following: Callable[[], Any], remaining: Sequence[Callable[[], Any]], seen: list[Any]
) -> Any:
    found = rule(following(), remaining)
    seen.append(found)
    return found


def _note_both(found: Any, first: Value, seen: Sequence[Any], outcome: bool) -> None:
    """Where `a and b` is true, both are; where `a or b` is false, neither is: what that tells about choices."""
    if not isinstance(found, Scalar):
        return
    trace, side = current(), 0 if outcome else 1
    known = implied(trace, first)[side]
    if seen and isinstance(seen[-1], Scalar):
        known = (*known, *implied(trace, seen[-1].value)[side])
    note_test(trace, found.value, *((known, ()) if outcome else ((), known)))


def _as_is(value: Any) -> Any:
    return value


def _nothing() -> None:
    return None


class Branch:
    """One staged branch.

    Attributes:
        trace: the trace.
        test: the predicate.
        variables: what the arms assign.
        info: for an `if` statement, what is needed afterwards; None for an expression.
        merged_from: arrays merged so far, by identity of the arrays of the arms.
        lost: arrays whose contents are unknown afterwards.
        same: locations to which both arms wrote the same.
        shared: lists and objects, by identity, that more than one of the values merged holds.
    """

    def __init__(self, trace: Trace, test: Value, variables: Variables, info: BranchInfo | None) -> None:
        self.trace = trace
        self.test = test
        self.variables = variables
        self.info = info
        self.span = trace.span
        self.merged_from: dict[int, list[Array]] = {}
        self.lost: list[Array] = []
        self.same: list[tuple[Location, Any]] = []
        self.shared: set[int] = set()

    @cached_property
    def what(self) -> str:
        """What messages call it."""
        return f"the branch at {self.span}"

    def run(self, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        """Trace both arms and merge; the merged result of the two functions is returned."""
        trace = self.trace
        if trace.depth > 60:
            raise StagingError("branches are nested too deeply to be staged", self.span)
        trace.tests.append(self.test)
        try:
            first = self.arm(then, True)
            trace.span = self.span
            second = self.arm(otherwise, False)
        finally:
            trace.tests.pop()
        trace.span = self.span
        ends = first.ended is not None or second.ended is not None
        merged = self.one_ends(first, second) if ends else self.merge(first, second)
        if trace.failures is not None:
            trace.failures.settle()
        return merged

    def arm(self, body: Callable[[], Any], outcome: bool) -> Outcome:
        """Run one arm, in which the test is known."""
        builder = self.trace.builder.child()
        assert isinstance(builder, TraceBuilder)
        builder.kind = "arm"

        def run() -> Any:
            assume(self.trace, self.test, outcome)
            return body()

        return run_region(self.trace, builder, self.variables, run, self.what)

    # --- arms that raise ----------------------------------------------------------------------------------------

    def one_ends(self, first: Outcome, second: Outcome) -> Any:
        """An arm raises: a check takes its place, and the other arm goes on as straight code."""
        builder = self.trace.builder
        assert isinstance(builder, TraceBuilder)
        if first.ended is not None and second.ended is not None:
            for arm in (first, second):
                self.fail_inside(arm)
            self.emit_if(first, [], second, [])
            waits = isinstance(first.ended, NoValueYet) or isinstance(second.ended, NoValueYet)
            raise NoValueYet if waits else ArmEnded(None)
        dead, alive = (first, second) if first.ended is not None else (second, first)
        assert dead.ended is not None
        failure = dead.ended.failure
        if failure is not None and not _has_effects(dead.builder.instrs):
            builder.splice(dead.builder)
            condition = getattr(builder, "not")(self.test) if dead is first else self.test
            emit_check(builder, condition, failure)
        else:
            self.fail_inside(dead)
            empty = Outcome(dead.builder.child(), None, [], {})
            arms = (dead, empty) if dead is first else (empty, dead)
            self.emit_if(arms[0], [], arms[1], [])
        builder.splice(alive.builder)
        # The journal first: it must see the old values of variables of other functions.
        for location, new in alive.stores.values():
            trace_write(self.trace, location, new)
        self.variables.write(alive.variables)
        if not isinstance(dead.ended, NoValueYet):
            assume(self.trace, self.test, alive is first)
        return alive.result

    def fail_inside(self, arm: Outcome) -> None:
        """Put the check that always fails into the arm."""
        assert arm.ended is not None
        if arm.ended.failure is not None:
            arm.builder.span = self.span
            emit_check(arm.builder, arm.builder.const(False), arm.ended.failure)

    # --- merging ------------------------------------------------------------------------------------------------

    def merge(self, first: Outcome, second: Outcome) -> Any:
        """One state out of the two that the arms left."""
        plans: list[tuple[str, Any, Any, Callable[[Any], None]]] = []
        final = list(first.variables)
        take_dicts_whole(first, second)
        stored, unset = {**first.stores, **second.stores}, set()
        for k, name in enumerate(self.variables.names):
            a, b = first.variables[k], second.variables[k]
            if a is b or self.variables.keys[k] in stored:
                if self.is_lent(name, a, b) and not self.check_set(name, a, b):
                    final[k] = UNSET
                    unset.add(self.variables.keys[k])
                continue  # variables of other functions are merged as places outside
            if self.info is not None and name not in self.info.live:
                final[k] = UNSET
                continue
            if not self.check_set(name, a, b):
                final[k] = UNSET
                continue
            plans.append((f"{name!r}", a, b, lambda new, k=k: final.__setitem__(k, new)))  # type: ignore[misc]
        for location, _ in stored.values():
            if location.key not in unset:
                self.plan_store(location, first, second, plans)
        outcome: list[Any] = [first.result]
        if first.result is not second.result:
            plans.append(("the value of the expression", first.result, second.result, lambda new: outcome.__setitem__(0, new)))
        self.carry_out(plans, first, second)
        for written, new in self.same:
            trace_write(self.trace, written, new)
        for array in self.lost:
            poison(self.trace, array, self.what)
        for k, key in enumerate(self.variables.keys):
            if key in stored and key not in unset:
                final[k] = read_cell(self.variables.cells[k])
        self.variables.write(final)
        return outcome[0]

    def is_lent(self, name: str, a: Any, b: Any) -> bool:
        """Whether one arm only made a variable that functions inside of this one write."""
        if self.info is None or name not in self.info.shared or a is DEAD or b is DEAD:
            return False
        return (a is UNSET) != (b is UNSET)

    def check_set(self, name: str, a: Any, b: Any) -> bool:
        """Whether a variable has a value afterwards: one that only one arm sets must be guarded, or be read by a closure only."""
        info = self.info
        if info is None or (a is not UNSET and b is not UNSET) or name in info.made_up:
            return True
        if name in info.shared:
            self.trace.extra.setdefault("maybe_unset", set()).add(name)
            return False
        raise StagingError(
            f"{name!r} may be undefined after this branch",
            info.span,
            found=f"{name!r} is set in one arm only, and read later",
            fix=f"give {name!r} a value before the branch or in both arms",
        )

    def plan_store(self, location: Location, first: Outcome, second: Outcome, plans: list[Any]) -> None:
        """Plan the merge of a location that an arm wrote."""
        trace = self.trace
        a, b = self.contents(location, first), self.contents(location, second)
        if a is b:
            if a is not location.get():
                self.same.append((location, a))
            return
        if is_poisoned(trace, a) or is_poisoned(trace, b):
            self.lost.append(location.owner)
            return
        if (a is UNSET or b is UNSET) and a is not DEAD and b is not DEAD and not may_start_unset(trace, location):
            raise StagingError(
                f"{location.label} may be missing after this branch",
                self.span,
                found="it is made in one arm only",
                fix="give it a value before the branch or in both arms",
            )

        def write(new: Any) -> None:
            trace.journal.write(location.key, location.owner, location.get, location.set, new)

        plans.append((location.label, a, b, write))

    def contents(self, location: Location, arm: Outcome) -> Any:
        """What is in a location after an arm; a variable of this function may have been assigned directly there."""
        if location.key in arm.stores:
            return arm.stores[location.key][1]
        keys = self.variables.keys
        return arm.variables[keys.index(location.key)] if location.key in keys else location.get()

    def carry_out(self, plans: Sequence[tuple[str, Any, Any, Callable[[Any], None]]], first: Outcome, second: Outcome) -> None:
        """Emit the `if` and hand its results to the plans."""
        trace = self.trace
        plans = [(label, narrowed(a, first.facts), narrowed(b, second.facts), write) for label, a, b, write in plans]
        if merge_numbers(self, plans, first, second):
            return
        with Applied(first):
            lefts = [form_of(a) for _, a, _, _ in plans]
        with Applied(second):
            rights = [form_of(b) for _, _, b, _ in plans]
        forms = [self.join(plan[0], a, b) for plan, a, b in zip(plans, lefts, rights)]
        values, sides, ids = [], [], []
        for arm, side, own in ((first, 1, lefts), (second, 2, rights)):
            with trace.building(arm.builder), Applied(arm):
                sides.append([conform(form, plan[side], known) for form, plan, known in zip(forms, plans, own)])
                leaves = [leaves_of(form, x) for form, x in zip(forms, sides[-1])]
                ids.append([list(map(id, each)) for each in leaves])
                values.append([v for form, each in zip(forms, leaves) for v in lower_leaves(form, each, filler=True)])
        differing = [k for k, (x, y) in enumerate(zip(*values, strict=True)) if x is not y]
        results = list(values[0])
        names = [label.strip("'") for form, (label, *_) in zip(forms, plans) for _ in range(_count(form))]
        emitted = self.emit_if(
            first, [values[0][k] for k in differing], second, [values[1][k] for k in differing], [names[k] for k in differing]
        )
        for k, value in zip(differing, emitted, strict=True):
            results[k] = value
        made: dict[Any, Any] = {}
        supply = iter(results)
        merged = []
        for form, plan, a, b, *keys in zip(forms, plans, *sides, *ids):
            new = raise_up(form, iter([(next(supply), key) for key in _array_keys(form, *keys)]), made)
            merged.append((new, a, b, plan))
            plan[3](new)
        held = [[mutable_parts(plan[side]) for side in (1, 2)] for plan in plans]
        self.shared = shared_parts(itertools.chain(*held))
        # Only now: these writes are no news to arrays that may be the same.
        for (new, a, b, plan), parts in zip(merged, held):
            self.note_aliases(new, a, b, first, second, (plan[1], plan[2]), parts)

    def join(self, label: str, a: Form, b: Form) -> Form:
        """The form of both values."""
        try:
            return join(a, b)
        except CannotMergeError as error:
            if error.size is not None:
                raise NeedsPythonValue(error.size, f"{label} is {error}", self.span) from None
            raise StagingError(
                f"{label} differs between the arms of a branch in a way that cannot be staged",
                self.span,
                found=str(error),
                expected="numbers, or arrays of one shape, or containers of one structure",
            ) from None

    def emit_if(
        self, first: Outcome, a: Sequence[Value], second: Outcome, b: Sequence[Value], names: Sequence[str] = ()
    ) -> tuple[Value, ...]:
        """Emit the instruction, unless it would do nothing."""
        if not a and not first.builder.instrs and not second.builder.instrs:
            return ()
        regions = [Region((), tuple(first.builder.instrs), tuple(a)), Region((), tuple(second.builder.instrs), tuple(b))]
        self.trace.span = self.span
        return self.trace.builder.emit(get_op("if"), [self.test], {}, regions, names)

    def shares(self, parts: Sequence[Sequence[Any]]) -> bool:
        """Whether one of these lists and objects is in another value, too, or twice in this one."""
        return bool(self.shared) and any(id(part) in self.shared for each in parts for part in each)

    def note_aliases(
        self, new: Any, a: Any, b: Any, first: Outcome, second: Outcome, given: tuple[Any, Any], parts: Sequence[Sequence[Any]]
    ) -> None:
        """A merged array may be another name of an older one: written, the other is lost. Such containers must not be written.

        Args:
            new: the merged value.
            a: what it was made of, from the first arm.
            b: from the second arm.
            first: the first arm.
            second: the second arm.
            given: what the arms have left.
            parts: the lists, dicts and objects in these.
        """
        trace = self.trace
        if isinstance(new, (Value, Unset, Scalar)):
            return
        for merged, *sides in zip(*(take_apart(x)[0] for x in (new, a, b) if not isinstance(x, Unset))):
            if not isinstance(merged, Array):
                continue
            for side, arm in zip(sides, (first, second)):
                if not isinstance(side, Array):
                    continue
                merged.frozen = merged.frozen or side.root.frozen
                if side.parent is not None or not made_in(trace, side, arm.builder):
                    link(trace, merged, side.root)
                for other in self.merged_from.setdefault(id(side.root), []):
                    link(trace, merged, other)
                self.merged_from[id(side.root)].append(merged)
        arms = (first.builder, second.builder)
        if all(map(partial(wholly_made_in, trace), given, arms, parts)) and not self.shares(parts):
            bear(trace, new)
        else:
            found = [*mutable_parts(new), *itertools.chain(*parts)]
            if found:
                freeze_parts(trace, found, f"one of two arrays or containers, chosen by {self.what}")


def _count(form: Form) -> int:
    return sum(leaf.kind not in ("static", "unset") for leaf in form.leaves)


def _array_keys(form: Form, a: Sequence[int], b: Sequence[int]) -> list[Any]:
    """Per traced leaf: a key that is shared by leaves which are the same pair of arrays."""
    count = len(form.leaves)
    sides = zip(form.leaves, a or [0] * count, b or [0] * count, strict=True)
    return [(x, y) for leaf, x, y in sides if leaf.kind not in ("static", "unset")]


def _has_effects(instrs: Sequence[Instr]) -> bool:
    return any(i.op.effects for i in walk(list(instrs)))


def emit_check(builder: Any, condition: Value, failure: Failure) -> None:
    """A check that raises `failure` unless `condition` holds."""
    failures = current().failures
    if failures is not None and builder is current().builder and failures.fork_failure(condition, failure):
        return
    attrs = {"exception": failure.name, "message": failure.message, "_factory": failure.factory}
    span = builder.span
    builder.span = failure.span or span
    builder.emit(get_op("check"), [condition, *failure.values], attrs)
    builder.span = span
