"""Staged `for` loops over ranges and arrays, and what they share with `while` loops.

A loop whose trip count is traced, or that is long, becomes one region; others run as Python runs them. So does a short loop whose
body turns out to be long: its first iteration runs as Python, the others become a region. A staged loop that turns out to need a
Python value is run as Python after all, if its length is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from wengert.errors import StagingError, WengertError
from wengert.frontend.boxes import box, lift
from wengert.frontend.context import NeedsPythonValue, Trace, current
from wengert.frontend.convert_info import BranchInfo
from wengert.frontend.forms import UNSET, CannotMergeError
from wengert.frontend.iterators import note_spent
from wengert.frontend.staging import conjunction, decide, stage_branch
from wengert.frontend.staging_builder import TraceBuilder
from wengert.frontend.staging_carry import MAX_ATTEMPTS, Carry
from wengert.frontend.staging_iter import PYTHON_LIMIT, StagedRest, StagedSequence, live, staged
from wengert.frontend.staging_state import NoValueYet, Outcome, Variables, read_cell, run_region
from wengert.ir.core import Region, Value
from wengert.ir.op import get_op
from wengert.types import I64_SCALAR

UNROLL_LIMIT = 8
UNROLL_TOTAL = 512
"""How often a body may be repeated by short loops around it that are unrolled."""
UNROLL_BODY = 200
"""How many instructions make the body of a short loop a long one."""
UNROLL_SIZE = 800
"""How many instructions a short loop with a long body may become."""
RETRY_LIMIT = 200
_MAY_BE_GUESSED_WRONG = (
    *(NeedsPythonValue, CannotMergeError, WengertError),
    *(ArithmeticError, AttributeError, LookupError, NameError, TypeError, ValueError),
)


def loop(info: BranchInfo, iterable: Any, body: Callable[[Any], None], carrier: Any) -> None:
    """`for item in iterable: body(item)`."""
    trace, variables = current(), Variables(carrier)
    sequence = staged(iterable)
    if sequence is None or trace.eager:
        _run_python(info, iterable, body, variables)
        return
    length = sequence.length
    if isinstance(length, int) and info in trace.unroll:
        _run_python(info, sequence, body, variables)
        return
    if isinstance(length, int) and length <= UNROLL_LIMIT and trace.copies * max(length, 1) <= UNROLL_TOTAL:
        _run_short(trace, info, sequence, length, body, variables)
        return
    _stage_for(trace, info, sequence, length, body, variables)


def _run_short(
    trace: Trace, info: BranchInfo, sequence: StagedSequence, length: int, body: Callable[[Any], None], variables: Variables
) -> None:
    """Run a short loop as Python; where its first iteration is long, the others become a region."""
    large = trace.extra.setdefault("large_loops", set())
    if info in large and not trace.failures.is_open:
        _stage_for(trace, info, sequence, length, body, variables)
        return
    trace.copies *= max(length, 1)
    first = _emitted(trace)
    try:
        stopped: bool | Value = False
        for position in range(length):
            if position == 1 and stopped is False and not trace.failures.is_open:
                size = _emitted(trace) - first
                if size > UNROLL_BODY and size * (length - 1) > UNROLL_SIZE:
                    large.add(info)
                    break
            stopped = _run_one(stopped, info, sequence.item(position), body, variables)
            if stopped is True:
                return
        else:
            return
    finally:
        trace.copies //= max(length, 1)
    _stage_for(trace, info, StagedRest(sequence), length - 1, body, variables)


def _emitted(trace: Trace) -> int:
    """How many values instructions have made so far."""
    builder = trace.builder
    assert isinstance(builder, TraceBuilder)
    return len(builder.history.sources)


def _run_python(info: BranchInfo, iterable: Any, body: Callable[[Any], None], variables: Variables) -> None:
    """The loop as Python runs it, until a flag stops it."""
    stopped: bool | Value = False
    for item in live(iterable):
        stopped = _run_one(stopped, info, item, body, variables)
        if stopped is True:
            return
    if isinstance(stopped, Value) and hasattr(type(iterable), "__next__"):
        note_spent(current(), iterable)


def _run_one(
    stopped: bool | Value, info: BranchInfo, item: Any, body: Callable[[Any], None], variables: Variables
) -> bool | Value:
    """Run the body on one item unless the loop has `stopped`; whether it has then."""
    if isinstance(stopped, Value):
        _run_unless(stopped, info, item, body, variables)
    else:
        body(item)
    return has_stopped(info, variables)


def has_stopped(info: BranchInfo, variables: Variables) -> bool | Value:
    """Whether one of the flags that end the loop is set."""
    result: Any = False
    for name in info.stop:
        flag = read_cell(variables.cell(name))
        if decide(flag) is True:
            return True
        result = flag if result is False else result | flag
    return decide(result)


def _run_unless(stopped: Value, info: BranchInfo, item: Any, body: Callable[[Any], None], variables: Variables) -> None:
    """One iteration of an unrolled loop that may have ended at run time."""
    needed = info.live | info.head | frozenset(info.stop)
    inner = BranchInfo(info.span, needed, made_up=info.made_up)
    stage_branch(inner, stopped, variables, lambda: None, lambda: body(item))


@contextmanager
def skipped_without_value(trace: Trace, variables: Variables) -> Iterator[None]:
    """A staged loop that calls a recursive function whose result is not known yet: for now it runs no round."""
    before, mark = variables.read(), trace.journal.mark()
    try:
        yield
    except NoValueYet:
        trace.journal.rollback(mark)
        variables.write(before)
        trace.extra["skipped_loop"] = True


# --- for -------------------------------------------------------------------------------------------------------------


def _stage_for(
    trace: Trace, info: BranchInfo, sequence: StagedSequence, length: Any, body: Callable[[Any], None], variables: Variables
) -> None:
    """Stage the loop, or run it as Python when that fails and its length is known."""
    before, mark, frozen = variables.read(), trace.journal.mark(), dict(trace.frozen)
    span = trace.span
    try:
        with skipped_without_value(trace, variables):
            _ForLoop(trace, info, variables, sequence, length, body).run()
        return
    except NeedsPythonValue as need:
        reason: Exception = need
        limit = PYTHON_LIMIT if trace.extra.pop("loop_dependent", None) is need else -1
    except CannotMergeError as error:
        if error.size is not None:
            raise NeedsPythonValue(error.size, str(error), info.span) from None
        reason = StagingError(
            "this loop cannot be staged",
            info.span,
            found=str(error),
            expected="numbers and arrays of one type at every iteration",
        )
        limit = PYTHON_LIMIT
    except (NameError, IndexError, KeyError, StagingError) as error:
        reason, limit = error, RETRY_LIMIT
    trace.journal.rollback(mark)
    variables.write(before)
    trace.frozen, trace.span = frozen, span
    if limit < 0:
        raise reason
    if not isinstance(length, int):
        if limit == RETRY_LIMIT:
            raise reason
        raise NeedsPythonValue(lift(length), str(reason), info.span) from reason
    if length > limit:
        raise reason if isinstance(reason, StagingError) else _too_long(info, length, reason) from reason
    trace.unroll.add(info)
    _run_python(info, sequence, body, variables)


def _too_long(info: BranchInfo, length: int, reason: Exception) -> StagingError:
    return StagingError(
        f"this loop of {length} iterations needs a Python value at each of them: {reason}",
        info.span,
        fix=f"loops of up to {PYTHON_LIMIT} iterations are unrolled; use arrays instead of Python containers in longer ones",
    )


class StagedLoop:
    """A loop being staged.

    Attributes:
        carry: what it carries.
        what: what messages call its region.
    """

    def __init__(self, trace: Trace, info: BranchInfo, variables: Variables, body: Any = None) -> None:
        self.trace = trace
        self.info = info
        self.variables = variables
        self.carry = Carry(trace, info, variables, body)
        self.what = f"the loop at {info.span}"

    def settle(self, attempt: Callable[[], Outcome]) -> Outcome:
        """Run the body until its carry is known."""
        outcome = self.guessed(attempt)
        for _ in range(MAX_ATTEMPTS):
            if outcome is None:
                outcome = self.attempted(attempt)
            settled = self.carry.absorb(outcome)
            if not self.carry.drop_wrong_guesses(outcome) and settled:
                return outcome
            outcome = None
        raise CannotMergeError("the types of its variables do not settle")

    def guessed(self, attempt: Callable[[], Outcome]) -> Outcome | None:
        """A first run of the body with a guess at what it changes; None if there is nothing to guess, or it does not work."""
        if not self.carry.guess():
            return None
        trace = self.trace
        mark, unroll, frozen, span = trace.journal.mark(), set(trace.unroll), dict(trace.frozen), trace.span
        try:
            return self.attempted(attempt)
        except _MAY_BE_GUESSED_WRONG:
            trace.journal.rollback(mark)
            self.variables.write(self.carry.before)
            trace.unroll, trace.frozen, trace.span = unroll, frozen, span
            trace.extra.pop("loop_dependent", None)
            self.carry.forget_guesses()
            return None

    def attempted(self, attempt: Callable[[], Outcome]) -> Outcome:
        """One run of the body.

        Raises:
            NoValueYet: its end has no value yet.
            StagingError: it always raises.
        """
        try:
            outcome = attempt()
        except NeedsPythonValue as need:
            self.note_dependence(need)
            raise
        if isinstance(outcome.ended, NoValueYet):
            raise outcome.ended
        if outcome.ended is not None:
            raise StagingError("the body of this loop always raises", self.info.span)
        return outcome

    def note_dependence(self, need: NeedsPythonValue) -> None:
        """Remember whether the value asked for changes with the iterations of this very loop."""
        builder = self.trace.builder
        assert isinstance(builder, TraceBuilder)
        if builder.history.depends_on(need.value, self.inputs):
            self.trace.extra["loop_dependent"] = need

    inputs: tuple[Value, ...] = ()

    def child(self) -> TraceBuilder:
        """A builder for a region of the loop."""
        builder = self.trace.builder.child()
        assert isinstance(builder, TraceBuilder)
        builder.kind = "loop"
        return builder

    def region(self, builder: TraceBuilder, params: list[Value], body: Callable[[], Any], indices: int = 0) -> Outcome:
        """Run `body` with what is carried set to the parameters (after the first `indices`)."""
        self.trace.span = self.info.span
        carried = params[indices:]
        return run_region(self.trace, builder, self.variables, body, self.what, lambda: self.carry.enter(carried))

    def stop_flags(self, outcome: Outcome) -> bool:
        """Whether the body may end the loop."""
        for name in self.info.stop:
            flag = outcome.variables[self.variables.names.index(name)]
            if flag is not False:
                return True
        return self.trace.failures is not None and bool(self.trace.failures.is_pending_in(outcome))

    def notstopped(self) -> Any:
        """Whether no flag is set, as a number for a test."""
        result: Any = True
        for name in self.info.stop:
            flag = read_cell(self.variables.cell(name))
            clear = not_value(flag)
            result = clear if result is True else result & clear
        clear = self.trace.failures.is_clear() if self.trace.failures is not None else True
        return result if clear is True else clear if result is True else result & clear

    def while_(self, test: Callable[[], Any], body: Callable[[], None]) -> tuple[Outcome, tuple[Value, ...]]:
        """Stage as a `while`."""
        params: list[Value] = []

        def attempt() -> Outcome:
            builder = self.child()
            params[:] = self.carry.params(builder, self.sources())
            self.inputs = tuple(params)
            return self.region(builder, params, body)

        outcome = self.settle(attempt)
        params += self.carry.late
        return outcome, self.close_while(outcome, params, lambda _: test(), False)

    def close_while(
        self, outcome: Outcome, params: list[Value], test: Callable[[Any], Any], counted: bool
    ) -> tuple[Value, ...]:
        """Emit a `while` around a body that is settled; with `counted`, its first parameter is an index, given to `test`."""
        condition = self.condition(test, counted)
        with self.trace.building(outcome.builder):
            following = [self.trace.builder.add(params[0], 1)] if counted else []
        builder = self.trace.builder
        self.trace.span = self.info.span
        init = [*([builder.const(0)] if counted else []), *self.carry.initial()]
        yields = [*following, *self.carry.final(outcome)]
        region = Region(tuple(params), tuple(outcome.builder.instrs), tuple(yields))
        names = [*(["k"] if counted else []), *self.carry.names()]
        results = builder.emit(get_op("while"), init, {}, [condition, region], names)
        return results[1:] if counted else results

    def sources(self) -> list[Value]:
        """What the carry depends on from before the loop."""
        return self.carry.entry_values()

    def condition(self, test: Callable[[Any], Any], counted: bool) -> Region:
        """The region of the condition, on parameters of its own."""
        saved = [item.param for item in self.carry.items.values()]
        builder = self.child()
        index = [builder.param(I64_SCALAR, "k", ())] if counted else []
        params = [*index, *self.carry.params(builder, ())]

        def evaluate() -> Any:
            tested = box(index[0]) if counted else None
            going = self.notstopped()
            with held(self.trace):
                found = decide(conjunction(going, [lambda: test(tested)]))
            return found if isinstance(found, Value) else self.trace.builder.const(found)

        outcome = self.region(builder, params, evaluate, counted)
        if isinstance(outcome.ended, NoValueYet):
            raise outcome.ended
        if outcome.ended is not None:
            raise StagingError("the condition of this loop always raises", self.info.span)
        changed = [n for n, a, b in zip(self.variables.names, outcome.variables, self.entered(params, counted)) if a is not b]
        if changed or outcome.stores:
            raise StagingError("the condition of this loop changes variables", self.info.span, found=", ".join(changed))
        for item, param in zip(self.carry.items.values(), saved, strict=True):
            item.param = param
        return Region(tuple(params), tuple(builder.instrs), (outcome.result,))

    def entered(self, params: list[Value], counted: bool) -> list[Any]:
        """The variables as they were set for the condition."""
        found = list(self.carry.before)
        for item in self.carry.items.values():
            if isinstance(item.place, int):
                found[item.place] = item.param
            elif item.place.key in self.variables.keys:
                found[self.variables.keys.index(item.place.key)] = item.param
        return found

    def require_run(self, ran: Callable[[], Value]) -> None:
        """Variables first set in the body are there afterwards only if it ran."""
        for item in self.carry.items.values():
            name = item.label.strip("'")
            if item.entry is UNSET and isinstance(item.place, int) and name not in self.info.made_up:
                message = f"cannot access local variable '{name}' where it is not associated with a value"
                self.trace.builder.check(ran(), exception="UnboundLocalError", message=message)


@contextmanager
def held(trace: Trace) -> Iterator[None]:
    """Run the condition of a loop as it runs when no exception is on its way."""
    failures = trace.failures
    code, failures.code = failures.code, 0
    try:
        yield
    finally:
        failures.code = code


def settle(trace: Trace) -> None:
    """What follows a loop runs only if no exception is on its way to a handler."""
    if trace.failures is not None:
        trace.failures.settle()


def not_value(flag: Any) -> Any:
    """`not flag` for a bool or a traced bool."""
    return (not flag) if isinstance(flag, bool) else flag ^ True


class _ForLoop(StagedLoop):
    """A counted loop; one that may be left early becomes a `while` with an index."""

    def __init__(
        self,
        trace: Trace,
        info: BranchInfo,
        variables: Variables,
        sequence: StagedSequence,
        length: Any,
        body: Callable[[Any], None],
    ) -> None:
        super().__init__(trace, info, variables, body)
        self.sequence = sequence
        self.length = length
        self.body = body
        self.count = lift(length)

    def sources(self) -> list[Value]:
        """The trip count, and what is carried."""
        return [self.count, *self.carry.entry_values()]

    def step(self, index: Any) -> None:
        """One iteration."""
        self.body(self.sequence.item(index))

    def run(self) -> None:
        """Stage the loop."""
        params: list[Value] = []

        def attempt() -> Outcome:
            builder = self.child()
            index = builder.param(I64_SCALAR, "k" if self.info.stop else "i", [self.count])
            params[:] = [index, *self.carry.params(builder, self.sources())]
            self.inputs = tuple(params)
            return self.region(builder, params, lambda: self.step(box(index)), 1)

        outcome = self.settle(attempt)
        params += self.carry.late
        if self.stop_flags(outcome):  # the body may end the loop
            self.finish(self.close_while(outcome, params, lambda index: index < self.length, True), outcome)
            return
        builder = self.trace.builder
        self.trace.span = self.info.span
        init = [self.count, *self.carry.initial()]
        yields = self.carry.final(outcome)
        region = Region(tuple(params), tuple(outcome.builder.instrs), tuple(yields))
        results = builder.emit(get_op("for"), init, {}, [region], self.carry.names())
        self.finish(results, outcome)

    def finish(self, results: tuple[Value, ...], outcome: Outcome) -> None:
        """Set the state after the loop."""
        builder = self.trace.builder
        assert isinstance(builder, TraceBuilder)
        if isinstance(self.length, int):
            builder.history.loops.update(dict.fromkeys(results, self.info))
        else:
            self.require_run(lambda: builder.gt(self.count, builder.const(0)))
        self.carry.leave(results, outcome, surely_ran=isinstance(self.length, int))
        settle(self.trace)
