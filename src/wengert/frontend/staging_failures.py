"""Exceptions that a `try` takes while staged: a failing check becomes a jump to the handler.

A check in the body of a `try` whose handlers match its class is a *fork*: the instructions that follow go into a region that
runs only if the check holds, and the Python state at the fork is kept. Where the region around ends (an arm, an iteration,
the body of the `try`), forks are folded from the last to the first, each into an `if` that merges the state at the failure
with the state at the end. A number, 0 for none, says which failure is on its way; behind every branch and loop that may have
set it there is a fork again, so that nothing runs on the way to the handler.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wengert.errors import StagingError, WengertError
from wengert.frontend.boxes import box, is_box
from wengert.frontend.context import NeedsPythonValue, Trace
from wengert.frontend.forms import DEAD, UNSET, CannotMergeError
from wengert.frontend.references import are_on
from wengert.frontend.scalars import Scalar
from wengert.frontend.staging import Branch, emit_check
from wengert.frontend.staging_builder import Fork, TraceBuilder
from wengert.frontend.staging_forms import form_of, join
from wengert.frontend.staging_state import (
    ArmEnded,
    Failure,
    Frame,
    Location,
    Outcome,
    Variables,
    all_changes,
    changes,
    trace_write,
)
from wengert.frontend.text import TracedException, TracedText, text_from_template
from wengert.ir.core import Instr, Value, walk
from wengert.ir.effects import exception_class

MAX_FORKS = 60
_HERE = Path(__file__).parent
_MACHINERY = ("staging", "recursion", "convert", "generator", "capture", "tree", "types")
_SPEAKS_FOR_PYTHON = (
    *("staging_iter", "staging_exceptions", "staging_managers", "staging_choices"),
    *("generators_builtins", "generator_objects"),
)
_OURS = (WengertError, NeedsPythonValue, CannotMergeError, RecursionError)


@dataclass(eq=False)
class Guard:
    """One `try` whose body is being staged.

    Attributes:
        kinds: the exception classes of each handler.
        needed: ids of the cells of variables that the handlers, or `finally`, need.
        raised: the failures that may reach it: number to handler.
    """

    kinds: Sequence[tuple[type[BaseException], ...]]
    needed: frozenset[int]
    raised: dict[int, int] = field(default_factory=dict)

    def handler_of(self, cls: type[BaseException]) -> int | None:
        """The position of the first handler that takes exceptions of `cls`."""
        return next((k for k, kinds in enumerate(self.kinds) if issubclass(cls, kinds)), None)


@dataclass(frozen=True)
class Record:
    """One kind of failure: its number, how many traced values it has, and the exception made from them."""

    number: int
    cls: type[BaseException]
    count: int
    rebuild: Callable[[Sequence[Any]], BaseException]


class Failures:
    """The failures of one trace.

    Attributes:
        trace: the trace.
        guards: the `try` statements around, outermost first.
        code: the number of the failure on its way: 0 for none, traced where it depends on values.
        values: traced values of failures, by number.
        records: the kinds of failures seen.
        handling: the exceptions that handlers are working on, for a bare `raise`.
    """

    starts_unset = True

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.guards: list[Guard] = []
        self.code: Any = 0
        self.values: dict[int, tuple[Any, ...]] = {}
        self.records: dict[Hashable, Record] = {}
        self.handling: list[BaseException] = []

    @contextmanager
    def apart(self) -> Iterator[None]:
        """A function traced on values of its own, such as one that is differentiated: what it catches stays inside.

        What it does not catch is a `check` of its program, which the `try` statements around see where that is put in line.
        """
        kept = (self.guards, self.code, self.values, self.records, self.handling)
        mark = self.trace.journal.mark()
        self.guards, self.code, self.values, self.records, self.handling = [], 0, {}, {}, []
        try:
            yield
        finally:
            self.guards, self.code, self.values, self.records, self.handling = kept
            entries = self.trace.journal.entries
            entries[mark:] = [entry for entry in entries[mark:] if entry[1] is not self]

    # --- which failures are taken -------------------------------------------------------------------------------

    def catches(self, cls: type[BaseException]) -> bool:
        """Whether a `try` around takes exceptions of `cls`."""
        return self.target(cls) is not None

    def target(self, cls: type[BaseException]) -> tuple[int, int] | None:
        """The position of the innermost guard that takes `cls`, and of its handler."""
        for position in range(len(self.guards) - 1, -1, -1):
            handler = self.guards[position].handler_of(cls)
            if handler is not None:
                return position, handler
        return None

    @property
    def is_open(self) -> bool:
        """Whether some `try` around takes exceptions."""
        return any(g.kinds for g in self.guards)

    def note(self, error: BaseException) -> tuple[Record, tuple[Any, ...]]:
        """The record of an exception, with its traced values; the guard is told that it may come."""
        found = self.target(type(error))
        assert found is not None
        position, handler = found
        boxes: list[Any] = []
        signature, rebuild = _abstract((error.args, dict(error.__dict__)), boxes)
        key = (type(error), signature, tuple(b.value.type for b in boxes))
        record = self.records.get(key)
        if record is None:
            cls, cause = type(error), error.__cause__

            def remade(values: Sequence[Any]) -> BaseException:
                args, attributes = rebuild(values)
                new = cls.__new__(cls, *args)
                new.args, new.__cause__ = args, cause
                new.__dict__.update(attributes)
                return new

            record = self.records[key] = Record(len(self.records) + 1, cls, len(boxes), remade)
        self.guards[position].raised[record.number] = handler
        return record, tuple(boxes)

    # --- a failure on its way -----------------------------------------------------------------------------------

    def begin(self, error: BaseException) -> None:
        """From here on, an exception is on its way to its handler."""
        record, boxes = self.note(error)
        self.set_code(record.number)
        if boxes:
            location = self.values_location(record.number)
            self.trace.journal.write(location.key, self, location.get, location.set, boxes)

    def set_code(self, code: Any) -> None:
        """Say which failure is on its way."""
        location = self.code_location()
        self.trace.journal.write(location.key, self, location.get, location.set, code)

    def code_location(self) -> Location:
        """The place of `code`."""
        return Location(("failure", "code", ""), self, lambda: self.code, lambda new: setattr(self, "code", new), self.code)

    def values_location(self, number: int) -> Location:
        """The place of the values of a failure."""

        def put(new: Any) -> None:
            if new is UNSET:
                self.values.pop(number, None)
            else:
                self.values[number] = new

        old: Any = self.values.get(number, UNSET)
        return Location(("failure", "values", number), self, lambda: self.values.get(number, UNSET), put, old)

    def may_come(self, number: int) -> bool:
        """Whether a failure can be on its way here: one that was only met in a run of a loop that was given up cannot."""
        record = next(r for r in self.records.values() if r.number == number)
        return not record.count or number in self.values

    def exception_of(self, number: int) -> BaseException:
        """The exception of a failure, with its values at hand."""
        record = next(r for r in self.records.values() if r.number == number)
        return record.rebuild(self.values.get(number, ()))

    # --- forks --------------------------------------------------------------------------------------------------

    def intercept(self, builder: TraceBuilder, instr: Instr) -> bool:
        """Called before an instruction with effects or regions is appended; whether a fork takes its place."""
        if not self.guards or builder is not self.trace.builder:
            return False
        name = instr.op.name
        if name == "check":
            cls = exception_class(str(instr.attrs.get("exception", "RuntimeError")))
            if "_factory" in instr.attrs or "_sizes" in instr.attrs or not self.catches(cls):
                return False
            text = text_from_template(str(instr.attrs.get("message", "")), [box(v) for v in instr.operands[1:]])
            self.fork(builder, instr.operands[0], cls(text))
            return True
        if name == "wrap_index":
            if self.catches(IndexError):
                self.fork_index(builder, instr.operands[0], instr.operands[1], str(instr.attrs.get("what") or "axis"))
            return False
        for inner in walk([i for r in instr.regions for i in r.instrs]):
            if inner.op.name != "check" or "_sizes" in inner.attrs:
                continue
            if self.catches(exception_class(str(inner.attrs.get("exception")))):
                raise StagingError("an exception from inside of this construct cannot be staged in a `try`", self.trace.span)
        return False

    def fork_index(self, builder: TraceBuilder, index: Value, size: Value, what: str) -> None:
        """A fork that an index is in range."""
        inside = getattr(builder, "and")(builder.ge(index, builder.neg(size)), builder.lt(index, size))
        message = f"index {{}} is out of bounds for {what} with size {{}}"
        text: Any = text_from_template(message, [box(index), box(size)])
        self.fork(builder, inside, IndexError(text))

    def fork_failure(self, ok: Value, failure: Failure) -> bool:
        """Fork on a check of the user's own, if it is taken."""
        cls = _class_of(failure)
        if not self.guards or not self.catches(cls):
            return False
        builder = self.trace.builder
        assert isinstance(builder, TraceBuilder)
        self.fork(builder, ok, prototype(failure.exc))
        return True

    def fork(self, builder: TraceBuilder, ok: Value, error: BaseException) -> None:
        """What follows runs only if `ok`; otherwise `error` is on its way."""
        record, boxes = self.note(error)
        failed = self.state(builder)
        location = self.code_location()
        failed.stores[location.key] = (location, record.number)
        if boxes:
            location = self.values_location(record.number)
            failed.stores[location.key] = (location, boxes)
        self.split(builder, ok, failed)

    def split(self, builder: TraceBuilder, ok: Value, failed: Outcome) -> None:
        """What follows runs only if `ok`."""
        if are_on(self.trace):
            raise StagingError("a `try` takes an exception where lists are followed by identity", self.trace.span)
        if len(builder.forks) >= MAX_FORKS:
            raise StagingError(
                f"more than {MAX_FORKS} places in a row may raise what a `try` around takes",
                self.trace.span,
                fix="use arrays and staged loops inside of the `try`, or test before computing",
            )
        builder.forks.append(Fork(ok, failed, builder.instrs, len(self.trace.born)))
        builder.instrs = []

    def state(self, builder: TraceBuilder) -> Outcome:
        """The state of the innermost region as it is now."""
        frame: Frame = self.trace.frames[-1]
        child = builder.child()
        assert isinstance(child, TraceBuilder)
        stores = all_changes(self.trace, frame)
        dropped = self.trace.extra.get("dropped_cells", ())
        for key, (location, _) in stores.items():
            if key[0] == "cell" and id(location.owner) in dropped:
                stores[key] = (location, DEAD)
        return Outcome(child, DEAD, self.pruned(frame.variables), stores)

    def pruned(self, variables: Variables) -> list[Any]:
        """The variables as a handler may see them; those that no handler needs are dead."""
        needed = frozenset[int]().union(*[g.needed for g in self.guards])
        pairs = zip(variables.cells, variables.read(), strict=True)
        return [value if id(cell) in needed else DEAD for cell, value in pairs]

    def settle(self) -> None:
        """Behind a branch or loop: what follows runs only if no failure is on its way."""
        code = self.code
        if not isinstance(code, Scalar):
            if code:
                raise ArmEnded(None)
            return
        if not self.is_open:
            return
        builder = self.trace.builder
        assert isinstance(builder, TraceBuilder)
        self.split(builder, builder.eq(code.value, 0), self.state(builder))
        self.set_code(0)

    def is_pending_in(self, outcome: Outcome) -> bool:
        """Whether a failure may be on its way at the end of a region."""
        found = outcome.stores.get(("failure", "code", ""))
        return found is not None and (is_box(found[1]) or found[1] != 0)

    def is_clear(self) -> Any:
        """Whether no failure is on its way, for the condition of a loop."""
        return self.code == 0

    # --- ends of regions ----------------------------------------------------------------------------------------

    def absorb(self, end: ArmEnded) -> bool:
        """Take the failure that a region ends in, if a `try` around takes it."""
        if end.failure is None:
            return bool(self.guards) and not is_box(self.code) and bool(self.code)
        if not self.guards or not self.catches(_class_of(end.failure)):
            return False
        self.begin(prototype(end.failure.exc))
        return True

    def end_here(self, end: ArmEnded) -> None:
        """The end of a region is reached only through a failure that no `try` takes."""
        if end.failure is not None:
            emit_check(self.trace.builder, self.trace.builder.const(False), end.failure)

    def takes(self, error: BaseException) -> bool:
        """Whether a `try` around takes an exception that Python raises while tracing."""
        if not self.guards or is_ours(error) or not self.catches(type(error)):
            return False
        return not (isinstance(error, NameError) and str(error).startswith("cannot access"))

    def take(self, error: Exception) -> bool:
        """Take an exception that Python raises while tracing, if a `try` around takes it."""
        if not self.takes(error):
            return False
        error.__traceback__ = None
        self.begin(error)
        return True

    def fold(self, frame: Frame, entry: Sequence[Any], last: Outcome) -> Outcome:
        """The outcome of a region without forks: the states at failures merged into that at the end."""
        trace, builder, variables = self.trace, last.builder, frame.variables
        last.stores = all_changes(trace, frame)
        while builder.forks:
            fork = builder.forks.pop()
            child = builder.child()
            assert isinstance(child, TraceBuilder)
            child.instrs, builder.instrs = builder.instrs, fork.before
            _move(trace, builder, child)
            trace.journal.rollback(frame.mark)
            variables.write(entry)
            kept = self.unshared(fork, last, child)
            last.builder = child
            self.reconcile(variables.names, last.variables, fork.failed.variables)
            result = Branch(trace, fork.ok, variables, None).merge(last, fork.failed)
            child.close("the code behind a check that a `try` takes")
            for location, new in kept:
                trace_write(trace, location, new)
            last = Outcome(builder, result, variables.read(), all_changes(trace, frame), None, last.written, last.writes_shared)
        last.stores = changes(trace, frame, builder)
        return last

    def unshared(self, fork: Fork, last: Outcome, child: TraceBuilder) -> list[tuple[Location, Any]]:
        """Take out of `last` the locations of what was made behind the fork: nobody else sees them."""
        later = set(list(self.trace.born)[fork.born :])
        kept = []
        for key, (location, new) in list(last.stores.items()):
            if key in fork.failed.stores:
                before = fork.failed.stores[key][1]
                if key[1] == "contents" and len(before) == len(new) and all(map(operator.is_, _items(before), _items(new))):
                    kept.append(last.stores.pop(key))
                    del fork.failed.stores[key]
                continue
            if location.owner is self:
                continue
            old = location.old
            owner = child.history.owner.get(old) if isinstance(old, Value) else None
            if id(location.owner) in later or owner is child:
                kept.append(last.stores.pop(key))
        return kept

    def reconcile(self, names: Sequence[str], ends: list[Any], failed: list[Any]) -> None:
        """Variables without a common form on both paths cannot be read afterwards."""
        for k, name in enumerate(names):
            if failed[k] is DEAD or failed[k] is ends[k]:
                continue
            try:
                join(form_of(ends[k]), form_of(failed[k]))
            except CannotMergeError:
                self.trace.extra.setdefault("maybe_unset", set()).add(name)
                ends[k] = failed[k] = UNSET


def _items(container: Any) -> Iterable[Any]:
    return (x for pair in container.items() for x in pair) if isinstance(container, dict) else container


def _move(trace: Trace, builder: TraceBuilder, child: TraceBuilder) -> None:
    """The instructions of `child` were emitted by `builder`: make their results values of `child`."""
    owner = builder.history.owner
    for instr in child.instrs:
        for result in instr.results:
            owner[result] = child
    memo = trace.extra.get("emitted", {})
    for key in [k for k, (found, region) in memo.items() if region is builder and owner.get(found) is child]:
        del memo[key]


# --- exceptions as values --------------------------------------------------------------------------------------------


def _class_of(failure: Failure) -> type[BaseException]:
    exc = failure.exc
    if isinstance(exc, TracedException):
        return exc.cls
    return exc if isinstance(exc, type) else type(exc)


def prototype(exc: Any) -> BaseException:
    """The exception as an object whose arguments may be traced."""
    if isinstance(exc, TracedException):
        return exc.instance()
    found = exc() if isinstance(exc, type) else exc
    assert isinstance(found, BaseException)
    return found


def _abstract(obj: Any, boxes: list[Any]) -> tuple[Hashable, Callable[[Sequence[Any]], Any]]:
    """What is static in `obj`, and a function that makes it again from its traced values, which are added to `boxes`."""
    if is_box(obj):
        position = len(boxes)
        boxes.append(obj)
        return ("traced", position), lambda values: values[position]
    if isinstance(obj, TracedText):
        signature, parts = _abstract(list(obj.parts), boxes)
        return ("text", signature), lambda values: TracedText(parts(values))
    if type(obj) in (tuple, list):
        inner = [_abstract(x, boxes) for x in obj]
        kind = type(obj)
        return (kind, *[s for s, _ in inner]), lambda values: kind(make(values) for _, make in inner)
    if type(obj) is dict:
        signature, items = _abstract([list(pair) for pair in obj.items()], boxes)
        return ("dict", signature), lambda values: {k: v for k, v in items(values)}
    plain = isinstance(obj, str | int | float | bool | type(None))
    return (type(obj), obj) if plain else (type(obj), id(obj)), lambda values: obj


def is_ours(error: BaseException) -> bool:
    """Whether `error` says something about tracing, and so is never the user's to handle."""
    return isinstance(error, _OURS) or _comes_from_machinery(error)


def _comes_from_machinery(error: BaseException) -> bool:
    """Whether it was raised by the code that stages, not by the program or by what stands for its operations."""
    at = error.__traceback__
    if at is None:
        return False
    while at.tb_next is not None:
        at = at.tb_next
    place = Path(at.tb_frame.f_code.co_filename)
    return place.parent in (_HERE, _HERE.parent) and place.stem.startswith(_MACHINERY) and place.stem not in _SPEAKS_FOR_PYTHON
