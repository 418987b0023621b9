"""The state of one trace: where instructions go, what was mutated, and whether values are known (eager) or not (staged).

One `Trace` is current at a time per thread, held in a ContextVar; boxes and hooks reach it through `current()`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from wengert.errors import InternalError, Span
from wengert.ir.builder import Builder
from wengert.ir.core import Value
from wengert.types import Affine, dim_add


class NeedsPythonValue(Exception):
    """Python needs the value of a traced scalar (a dict key, a tuple index, `int(x)` for C code).

    Staged loops and the trace entry catch it: they retrace with the loop unrolled, or with the integer argument static,
    when `value` depends on nothing else; otherwise staging is refused.
    """

    def __init__(self, value: Value, reason: str, span: Span | None = None) -> None:
        super().__init__(reason)
        self.value = value
        self.reason = reason
        self.span = span


@dataclass
class Journal:
    """An undo log of mutations of Python state made while tracing.

    Every store that tracing makes visible to other code (a box's value, an attribute, a list item) goes through `write`.
    `if` arms and loop bodies take a `mark`, run, read off what changed, and `rollback`.

    Attributes:
        entries: `(key, owner, get, set, old value)` per write.
        links: for locations of arrays that may be one array under two names: the other arrays.
        spoil: called with each of these when the location is written, as their contents are unknown from then on.
    """

    entries: list[tuple[Any, Any, Callable[[], Any], Callable[[Any], None], Any]] = field(default_factory=list)
    links: dict[Any, list[Any]] = field(default_factory=dict)
    spoil: Callable[[Any], None] | None = None

    def write(self, key: Any, owner: Any, get: Callable[[], Any], set_: Callable[[Any], None], new: Any) -> None:
        """Set a location to `new`, remembering its old value.

        Args:
            key: identifies the location (hashable), e.g. `(id(box), "value")`.
            owner: object kept alive as long as the entry.
            get: reads the location (a function may return a private sentinel for "absent").
            set_: writes the location.
            new: the new value.
        """
        self.entries.append((key, owner, get, set_, get()))
        set_(new)
        if self.spoil is not None:
            for other in self.links.get(key, ()):
                self.spoil(other)

    def mark(self) -> int:
        """A position to roll back to."""
        return len(self.entries)

    def rollback(self, mark: int) -> None:
        """Undo every write since `mark`."""
        while len(self.entries) > mark:
            _, _, _, set_, old = self.entries.pop()
            set_(old)


@dataclass
class Trace:
    """One run of converted code on boxes.

    Attributes:
        builder: receives the instructions; replaced while a region is traced.
        eager: every value is known (`known`); control flow is plain Python.
        journal: mutations made so far.
        extra: notes of other parts of the frontend.
        captures: what the function has read from outside (`capture.Captures`).
        enter: gives the converted form of a Python function.
        depth: how many regions that may or may not run are open.
        copies: how often the code being traced is repeated by short loops that are unrolled.
        trials: how many runs of code are open that may be undone and done in another way.
        unroll: loops (by their `LoopInfo`) that must not be staged.
        tests: predicates of the arms being traced, outermost first.
        active: the user's functions that are running: code, depth at entry, function, arguments.
        recursive: code of functions that call themselves under a traced condition.
        stack: recursive functions that are being traced, outermost first.
        born: Python containers and objects made while tracing, by id, with the builder of the region they were made in.
        frozen: Python containers that must not be changed any more, by id, with the reason.
        assumptions: `(size, minimum)` pairs that hold for the arguments at hand and that the trace relies on.
        equal_sizes: pairs of sizes that the assumptions make equal.
        numbers: sizes that the assumptions make a number.
        frames: the regions being run (`staging_state.Frame`), outermost first.
        failures: the exceptions that `try` statements take (`staging_failures.Failures`).
        span: the user's line being run; also given to the builder.
    """

    builder: Builder
    eager: bool = False
    journal: Journal = field(default_factory=Journal)
    extra: dict[str, Any] = field(default_factory=dict)
    captures: Any = None
    enter: Callable[..., Any] | None = None
    depth: int = 0
    trials: int = 0
    copies: int = 1
    unroll: set[Any] = field(default_factory=set)
    tests: list[Value] = field(default_factory=list)
    active: list[Any] = field(default_factory=list)
    recursive: set[Any] = field(default_factory=set)
    stack: list[Any] = field(default_factory=list)
    born: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    frozen: dict[int, tuple[Any, str]] = field(default_factory=dict)
    assumptions: dict[tuple[Affine, int], None] = field(default_factory=dict)
    equal_sizes: set[tuple[Affine, Affine]] = field(default_factory=set)
    numbers: dict[Affine, int] = field(default_factory=dict)
    frames: list[Any] = field(default_factory=list)
    failures: Any = None

    @property
    def span(self) -> Span | None:
        """The user's line that is being traced."""
        return self.builder.span

    @span.setter
    def span(self, span: Span | None) -> None:
        self.builder.span = span

    def known(self, value: Value) -> Any:
        """The run-time value of `value`, in eager mode only (the tape's builder has it)."""
        if not self.eager:
            raise InternalError("a staged value has no run-time value while tracing")
        return self.builder.known(value)

    def depends_on_input(self, value: Value) -> bool:
        """Whether `value` has a derivative to lose: it was computed from an input; in eager mode only."""
        return not self.eager or bool(self.builder.depends_on_input(value))

    def assume_at_least(self, size: Affine, minimum: int) -> bool:
        """Rely on `size >= minimum`, if `size` is made of argument sizes only and it holds for the arguments at hand.

        The caller of the compiled function checks it again at every call.
        """
        if isinstance(size, int):
            return size >= minimum
        if (size, minimum) in self.assumptions:
            return True
        total = self.size_at_hand(size)
        if total is None or total < minimum:
            return False
        self.assumptions[size, minimum] = None
        return True

    def assume_equal(self, a: Affine, b: Affine) -> bool:
        """Rely on `a == b`, if both are made of argument sizes only and it holds for the arguments at hand."""
        if (a, b) in self.equal_sizes:
            return True
        gap, back = dim_add(a, b, -1), dim_add(b, a, -1)
        if self.size_at_hand(gap) != 0 or not self.assume_at_least(gap, 0) or not self.assume_at_least(back, 0):
            return False
        self.equal_sizes.add((a, b))
        size, number = (b, a) if isinstance(a, int) else (a, b)
        if isinstance(number, int):
            self.numbers[size] = number
        return True

    def settle(self, size: Affine) -> int | None:
        """The value of a size that Python needs, if the trace may rely on what it is for the arguments at hand."""
        value = self.size_at_hand(size)
        return value if value is not None and self.assume_equal(size, value) else None

    def size_at_hand(self, size: Affine) -> int | None:
        """The value of a size that is made of argument sizes, for the arguments that the trace was started with."""
        if isinstance(size, int):
            return size
        known = self.extra.get("known_sizes", {})
        if any(symbol not in known for symbol, _ in size.terms):
            return None
        return size.const + sum(coefficient * int(known[symbol]) for symbol, coefficient in size.terms)

    def capture_constant(self, array: Any) -> Any:
        """A box (or value) of an array that was computed while tracing and does not change: an input of the trace."""
        return self.captures.constant(array)

    @contextmanager
    def inner_function(self, builder: Builder) -> Iterator[Builder]:
        """While a function is traced on values of its own: `builder` receives instructions, exceptions it catches stay inside."""
        with self.building(builder), self.failures.apart() if self.failures is not None else nullcontext():
            yield builder

    def building(self, builder: Builder) -> Building:
        """Send instructions to `builder` for a while (it inherits the span, and hands it back)."""
        return Building(self, builder)


class Building:
    """A context in which instructions go to a builder."""

    __slots__ = ("builder", "outer", "trace")

    def __init__(self, trace: Trace, builder: Builder) -> None:
        self.trace = trace
        self.builder = builder
        self.outer = builder

    def __enter__(self) -> Builder:
        self.outer = self.trace.builder
        self.builder.span = self.outer.span
        self.trace.builder = self.builder
        return self.builder

    def __exit__(self, *_: object) -> None:
        self.outer.span = self.builder.span
        self.trace.builder = self.outer


_current: ContextVar[Trace | None] = ContextVar("wengert_trace", default=None)
trace_now = _current.get
"""The trace that is running in this thread or None, at the least cost."""


def current() -> Trace:
    """The trace that is running.

    Raises:
        InternalError: a box was used after its trace ended.
        GeneratorExit: Python closes a generator that has outlived its trace, whose `except` and `finally` look for it.
    """
    trace = _current.get()
    if trace is None:
        if isinstance(sys.exception(), GeneratorExit):
            raise GeneratorExit
        raise InternalError("a traced value is used outside of the trace that made it")
    return trace


def is_tracing() -> bool:
    """Whether a trace is running in this thread."""
    return _current.get() is not None


@contextmanager
def activate(trace: Trace) -> Iterator[Trace]:
    """Make `trace` current; restores the previous one also after errors."""
    token = _current.set(trace)
    try:
        yield trace
    finally:
        _current.reset(token)
