"""Staged `while` loops: run as Python as long as their test is known, staged as one region where it is traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wengert.errors import StagingError
from wengert.frontend.context import NeedsPythonValue, Trace, current
from wengert.frontend.convert_info import BranchInfo
from wengert.frontend.forms import UNSET, CannotMergeError
from wengert.frontend.iterators import tried, was_tried
from wengert.frontend.staging import decide
from wengert.frontend.staging_builder import TraceBuilder
from wengert.frontend.staging_iter import PYTHON_LIMIT
from wengert.frontend.staging_loops import StagedLoop, has_stopped, settle, skipped_without_value
from wengert.frontend.staging_state import ArmEnded, Variables
from wengert.ir.core import Value

PEEL_LIMIT = 32


def repeat(info: BranchInfo, test: Callable[[], Any], body: Callable[[], None], carrier: Any) -> None:
    """`while test(): body()`."""
    trace, variables = current(), Variables(carrier)
    if trace.eager:
        while decide(test()) and not has_stopped(info, variables):
            body()
        return
    _WhileRunner(trace, info, test, body, variables).run()


class _WhileRunner:
    """Runs a `while` as Python as long as its test is known; stages it from the start when the test turns out to be traced."""

    def __init__(
        self, trace: Trace, info: BranchInfo, test: Callable[[], Any], body: Callable[[], None], variables: Variables
    ) -> None:
        self.trace = trace
        self.info = info
        self.test = test
        self.body = body
        self.variables = variables

    def run(self) -> None:
        """The whole loop."""
        limit = PEEL_LIMIT if self.info not in self.trace.unroll else None
        before, mark, taken = self.variables.read(), self.trace.journal.mark(), tried(self.trace)
        self.trace.trials += 1
        try:
            builder, done, count = self.peel(limit)
        finally:
            self.trace.trials -= 1
        if done:
            self.keep(builder)
            return
        builder.close(f"a first run of the loop at {self.info.span}")
        was_tried(self.trace, taken)
        span = self.trace.span
        self.trace.journal.rollback(mark)
        self.variables.write(before)
        if count == 0:
            self.stage_or_refuse()
            return
        try:
            self.stage(static=count >= PEEL_LIMIT)
            return
        except (StagingError, CannotMergeError, NameError, NeedsPythonValue) as error:
            reason = error
        self.trace.journal.rollback(mark)
        self.variables.write(before)
        self.trace.span = span
        self.unrolled(reason)

    def peel(self, limit: int | None) -> tuple[TraceBuilder, bool, int]:
        """Run iterations while the test is known, at most `limit`: instructions, whether the loop has ended, how many ran."""
        builder = self.trace.builder.child()
        assert isinstance(builder, TraceBuilder)
        builder.kind = "trial"
        try:
            with self.trace.building(builder):
                done, count = self.iterations(limit)
        except BaseException as error:
            if isinstance(error, ArmEnded) or self.trace.failures.takes(error):
                self.keep(builder)  # what ran before the exception has run
            raise
        return builder, done, count

    def iterations(self, limit: int | None) -> tuple[bool, int]:
        """Run iterations while the test is known: whether the loop has ended, how many ran."""
        count = 0
        while True:
            known = decide(self.test())
            if not isinstance(known, bool) or (limit is not None and count >= limit):
                return False, count
            if not known:
                return True, count
            self.body()
            count += 1
            stopped = has_stopped(self.info, self.variables)
            if stopped is True:
                return True, count
            if isinstance(stopped, Value):
                return False, max(count, 1)
            if count > PYTHON_LIMIT:
                raise StagingError(
                    f"this loop ran {PYTHON_LIMIT} times while tracing",
                    self.info.span,
                    fix="use arrays instead of Python containers",
                )

    def keep(self, builder: TraceBuilder) -> None:
        """Use the instructions of a peeled run."""
        outer = self.trace.builder
        assert isinstance(outer, TraceBuilder)
        outer.splice(builder)

    def stage(self, static: bool = False) -> None:
        """Stage the loop from the state at hand."""
        with skipped_without_value(self.trace, self.variables):
            self.stage_at_once(static)

    def stage_at_once(self, static: bool) -> None:
        """Stage the loop, whose body has a value."""
        loop_ = StagedLoop(self.trace, self.info, self.variables, self.body)
        outcome, results = loop_.while_(self.test, self.body)
        first_set = [i for i in loop_.carry.items.values() if i.entry is UNSET and isinstance(i.place, int)]
        names = [i.label for i in first_set if i.label.strip("'") not in self.info.made_up]
        if names:
            raise StagingError(f"{names[0]} may be undefined after this loop", self.info.span, fix="set it before the loop")
        if static:
            builder = self.trace.builder
            assert isinstance(builder, TraceBuilder)
            builder.history.loops.update(dict.fromkeys(results, self.info))
        loop_.carry.leave(results, outcome)
        settle(self.trace)

    def unrolled(self, reason: Exception) -> None:
        """Run the loop as Python; from where its test becomes traced, stage the rest."""
        self.trace.unroll.add(self.info)
        builder, done, _ = self.peel(None)
        self.keep(builder)
        if not done:
            self.stage_or_refuse(reason)

    def stage_or_refuse(self, reason: Exception | None = None) -> None:
        """Stage the loop from the state at hand; there is no other way."""
        try:
            self.stage()
        except CannotMergeError as error:
            if error.size is not None:
                raise NeedsPythonValue(error.size, str(error), self.info.span) from None
            raise StagingError("this loop cannot be staged", self.info.span, found=str(error)) from reason
        except NameError as error:
            raise StagingError("this loop cannot be staged", self.info.span, found=str(error)) from error
