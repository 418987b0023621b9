"""`try` and `with`: what the statements do in a trace.

Eagerly they are Python's own. Staged, exceptions that are certain run their handler at once, and those that depend on traced
values become a number that says which handler is to run (`staging_failures`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from wengert.errors import StagingError
from wengert.frontend.boxes import is_box
from wengert.frontend.context import Trace, current
from wengert.frontend.convert_info import BranchInfo
from wengert.frontend.staging import stage_branch
from wengert.frontend.staging_builder import TraceBuilder
from wengert.frontend.staging_failures import Failures, Guard, is_ours
from wengert.frontend.staging_state import ArmEnded, Outcome, Variables, run_region, trace_write
from wengert.frontend.text import failure_of
from wengert.ir.core import Value


@dataclass(frozen=True)
class Handler:
    """One `except` clause.

    Attributes:
        kinds: the exception classes that it takes.
        run: its body, called with the exception.
        looks: whether it looks at the exception, or raises it again.
    """

    kinds: tuple[type[BaseException], ...]
    run: Callable[[BaseException], Any]
    looks: bool = True


def kinds_of(found: Any) -> tuple[type[BaseException], ...]:
    """The classes that stand behind `except`."""
    kinds = found if isinstance(found, tuple) else (found,)
    flat = tuple(k for kind in kinds for k in (kinds_of(kind) if isinstance(kind, tuple) else (kind,)))
    if not all(isinstance(k, type) and issubclass(k, BaseException) for k in flat):
        raise TypeError("catching classes that do not inherit from BaseException is not allowed")
    return flat


def attempt(
    info: BranchInfo,
    body: Callable[[], Any],
    handlers: Sequence[Handler],
    orelse: Callable[[], Any] | None,
    final: Callable[[], Any] | None,
    carrier: Any,
) -> None:
    """`try: body() except ...: handlers else: orelse() finally: final()`."""
    trace = current()
    if trace.eager:
        _run_eagerly(body, handlers, orelse, final)
    elif final is None:
        _Attempt(trace, info, Variables(carrier)).run(body, handlers, orelse)
    else:
        _Attempt(trace, info, Variables(carrier)).run_finally(body, handlers, orelse, final)


def _run_eagerly(
    body: Callable[[], Any], handlers: Sequence[Handler], orelse: Callable[[], Any] | None, final: Callable[[], Any] | None
) -> None:
    handling = current().extra.setdefault("handling", [])
    try:
        try:
            body()
        except BaseException as error:
            handler = next((h for h in handlers if isinstance(error, h.kinds)), None)
            if handler is None or is_ours(error):
                raise
            handling.append(error)
            try:
                handler.run(as_raised(error))
            finally:
                handling.pop()
        else:
            if orelse is not None:
                orelse()
    finally:
        if final is not None:
            final()


def as_raised(error: BaseException) -> BaseException:
    """An exception of a failed check as Python would have raised it: without our line in its message."""
    message = getattr(error, "wengert_message", None)
    if message is not None:
        error.args = (message,)
    return error


def raise_again() -> NoReturn:
    """A bare `raise`."""
    trace = current()
    handling = trace.extra.get("handling", ()) if trace.eager else trace.failures.handling
    if not handling:
        raise RuntimeError("No active exception to reraise")
    if trace.eager:
        raise handling[-1]
    raise ArmEnded(failure_of(handling[-1]))


class _Attempt:
    """One `try` being staged."""

    def __init__(self, trace: Trace, info: BranchInfo, variables: Variables) -> None:
        self.trace = trace
        self.info = info
        self.variables = variables
        self.failures: Failures = trace.failures

    # --- except -------------------------------------------------------------------------------------------------

    def run(self, body: Callable[[], Any], handlers: Sequence[Handler], orelse: Callable[[], Any] | None) -> None:
        """The whole statement but for `finally`."""
        guard = Guard([h.kinds for h in handlers], self.cells(self.info.head))
        outcome = self.protected(guard, body)
        self.keep(outcome)
        if outcome.ended is not None:
            end_with(self.trace, outcome.ended)
        code = self.failures.code
        if not is_box(code):
            self.certain(code, guard, handlers, orelse)
            return
        groups = self.groups(guard, handlers)
        self.choose(box_test(self.trace, code.value, [0]), orelse, lambda: self.dispatch(code.value, groups, handlers))

    def certain(self, code: int, guard: Guard, handlers: Sequence[Handler], orelse: Callable[[], Any] | None) -> None:
        """It is known whether there was an exception, and which."""
        if code == 0:
            if orelse is not None:
                orelse()
        elif code in guard.raised:
            self.handle(code, handlers[guard.raised[code]], is_certain=True)
        else:
            raise ArmEnded(None)

    def dispatch(self, code: Value, groups: Sequence[tuple[list[int], Handler]], handlers: Sequence[Handler]) -> None:
        """Run the handler of the failure at hand; others stay on their way."""
        if not groups:
            return
        numbers, handler = groups[0]

        def handle() -> None:
            self.handle(numbers[0], handler)

        if not groups[1:] and not self.failures.is_open:
            handle()  # it can be no other
            return
        self.choose(box_test(self.trace, code, numbers), handle, lambda: self.dispatch(code, groups[1:], handlers))

    def groups(self, guard: Guard, handlers: Sequence[Handler]) -> list[tuple[list[int], Handler]]:
        """The failures that a guard takes, by what has to run: apart where the handler looks at the exception."""
        groups: dict[Any, tuple[list[int], Handler]] = {}
        for number, position in sorted(guard.raised.items()):
            handler = handlers[position]
            if self.failures.may_come(number):
                key = (position, number if handler.looks else 0)
                groups.setdefault(key, ([], handler))[0].append(number)
        return list(groups.values())

    def handle(self, number: int, handler: Handler, is_certain: bool = False) -> None:
        """Run one handler."""
        error = self.failures.exception_of(number)
        self.failures.set_code(0)
        self.failures.handling.append(error)
        try:
            handler.run(error)
        except Exception as other:
            if is_certain or is_ours(other) or isinstance(other, NameError):
                raise
            raise ArmEnded(failure_of(other)) from other  # at run time, if this handler is taken
        finally:
            self.failures.handling.pop()

    def choose(self, test: Value, then: Callable[[], Any] | None, otherwise: Callable[[], Any]) -> None:
        """A staged branch over the variables of the statement; what `finally` needs lives on after it."""
        stage_branch(replace(self.info, live=self.info.final), test, self.variables, then or _nothing, otherwise)

    # --- finally ------------------------------------------------------------------------------------------------

    def run_finally(
        self,
        body: Callable[[], Any],
        handlers: Sequence[Handler],
        orelse: Callable[[], Any] | None,
        final: Callable[[], Any],
    ) -> None:
        """The whole statement: `finally` runs on every path, and then the failure goes on its way."""

        def inner() -> None:
            if handlers:
                self.run(body, handlers, orelse)
                return
            body()
            if orelse is not None:
                orelse()

        outcome = self.protected(Guard([], self.cells(self.info.final)), inner)
        self.keep(outcome)
        code = self.failures.code
        if outcome.ended is None and not is_box(code) and not code:
            final()
            return
        if self.info.jumps:
            raise StagingError(
                "`return`, `break` or `continue` in `finally` is not staged where an exception is on its way", self.info.span
            )
        self.failures.set_code(0)
        final()
        self.failures.set_code(code)
        if outcome.ended is not None:
            end_with(self.trace, outcome.ended)
        self.failures.settle()

    # --- parts --------------------------------------------------------------------------------------------------

    def protected(self, guard: Guard, body: Callable[[], Any]) -> Outcome:
        """Run the body with its handlers known."""
        builder = self.trace.builder.child()
        assert isinstance(builder, TraceBuilder)
        self.failures.guards.append(guard)
        try:
            return run_region(self.trace, builder, self.variables, body, f"the `try` at {self.info.span}")
        finally:
            self.failures.guards.pop()

    def keep(self, outcome: Outcome) -> None:
        """Go on from the state that the body left."""
        keep_outcome(self.trace, self.variables, outcome)

    def cells(self, names: frozenset[str]) -> frozenset[int]:
        """The ids of the cells of variables."""
        pairs = zip(self.variables.names, self.variables.cells, strict=True)
        return frozenset(id(cell) for name, cell in pairs if name in names)


def keep_outcome(trace: Trace, variables: Variables, outcome: Outcome) -> None:
    """Go on from the state that a region left, as if it had been straight code."""
    builder = trace.builder
    assert isinstance(builder, TraceBuilder)
    builder.splice(outcome.builder)
    for location, new in outcome.stores.values():  # first: a variable may be among them, and must be seen to change
        trace_write(trace, location, new)
    variables.write(outcome.variables)


def end_with(trace: Trace, end: ArmEnded) -> NoReturn:
    """An exception that no handler takes goes on."""
    if trace.depth == 0 and end.failure is not None and not end.failure.values:
        raise end.failure.factory()
    raise end


def box_test(trace: Trace, code: Value, numbers: Sequence[int]) -> Value:
    """Whether the number of a failure is one of `numbers`."""
    builder = trace.builder
    test = builder.eq(code, numbers[0])
    for number in numbers[1:]:
        test = getattr(builder, "or")(test, builder.eq(code, number))
    assert isinstance(test, Value)
    return test


def _nothing() -> None:
    return None

