"""The builder of a staged trace: it knows where each value comes from and refuses values that are out of scope.

A value made inside of an arm or a loop body may only be used there; one that reaches code outside through Python state
that nobody tracked is refused here, before it can give a wrong result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wengert.errors import Span, StagingError
from wengert.ir.builder import Builder
from wengert.ir.core import Instr, Value
from wengert.types import I64_SCALAR, Dim, DType


@dataclass
class TraceLog:
    """What is known of the values of one trace.

    Attributes:
        owner: the builder whose region a value belongs to.
        sources: for every value that is not an input: the values it was computed from.
        loops: for results of staged loops with a static trip count: the loop.
        poisoned: contents of arrays that staging has lost sight of.
        intercept: called with instructions that have effects or regions; whether it has put something in their place.
    """

    owner: dict[Value, TraceBuilder] = field(default_factory=dict)
    sources: dict[Value, Sequence[Value]] = field(default_factory=dict)
    loops: dict[Value, Any] = field(default_factory=dict)

    poisoned: set[Value] = field(default_factory=set)
    intercept: Callable[[TraceBuilder, Instr], bool] | None = None

    def roots(self, value: Value) -> tuple[set[Value], set[Any]]:
        """The inputs that `value` depends on, and the loops of static length on the way to them."""
        roots: set[Value] = set()
        loops: set[Any] = set()
        seen: set[Value] = set()
        pending = [value]
        while pending:
            at = pending.pop()
            if at in seen:
                continue
            seen.add(at)
            if at in self.loops:
                loops.add(self.loops[at])
            if isinstance(at.affine, Dim) and at not in self.sources:
                symbols = [s for s, _ in at.affine.terms if isinstance(s, Value) and s is not at]
                pending += symbols
                if symbols:
                    continue
            found = self.sources.get(at)
            if found is None:
                roots.add(at)
            else:
                pending += found
        return roots, loops

    def depends_on(self, value: Value, params: Iterable[Value]) -> bool:
        """Whether `value` was computed from one of `params`."""
        wanted = set(params)
        seen: set[Value] = set()
        pending = [value]
        while pending:
            at = pending.pop()
            if at in wanted:
                return True
            if at not in seen:
                seen.add(at)
                pending += self.sources.get(at, ())
        return False


@dataclass
class Fork:
    """A place behind which instructions run only if a check holds.

    Attributes:
        ok: the check.
        failed: the state if it does not hold (`staging_state.Outcome`).
        before: the instructions up to here.
        born: how many containers and objects had been made.
    """

    ok: Value
    failed: Any
    before: list[Instr]
    born: int


class TraceBuilder(Builder):
    """Appends instructions and keeps `history` up to date.

    Attributes:
        history: shared by all builders of the trace.
        parent: the builder of the region around.
        home: the builder that this one's instructions were moved to, if they were.
        closed: why values made here cannot be used any more, or "".
        given_up: whether the region is traced again, and what was made in it counts for nothing.
        forks: the checks that `instrs` depend on, each with what was emitted before it.
        kind: how often the region runs: "once", "arm" (or not at all), "loop", or "trial" (once, unless it is undone).
    """

    def __init__(self, span: Span | None = None, parent: TraceBuilder | None = None) -> None:
        super().__init__(span)
        self.history: TraceLog = TraceLog() if parent is None else parent.history
        self.parent = parent
        self.home: TraceBuilder | None = None
        self.closed = ""
        self.given_up = False
        self.forks: list[Fork] = []
        self.kind = "once"
        self._constants: dict[Any, Value] = {}
        self._integers: dict[int, Value] = {}
        self._constants_of: list[Instr] = self.instrs

    def const(self, value: float | bool, dtype: DType | None = None) -> Value:
        """A scalar constant; the one that this region has, if it has one."""
        if self._constants_of is not self.instrs:  # a fork: what follows may not run
            self._constants, self._integers, self._constants_of = {}, {}, self.instrs
        if type(value) is int and dtype is None:
            number = self._integers.get(value)
            if number is None:
                number = self._integers[value] = super().const(value)
            return number
        # 0.0 and -0.0 are equal keys, and so are 0, 0.0 and False; dtypes tell the others apart.
        key = (value, dtype or type(value)) if value else (str(value), dtype or type(value))
        known = self._constants.get(key)
        if known is None:
            known = self._constants[key] = super().const(value, dtype)
        return known

    def child(self) -> TraceBuilder:
        """A builder for a region nested here."""
        inner = TraceBuilder(self.span, self)
        inner.functions = self.functions
        return inner

    def append(self, instr: Instr) -> None:
        """Append a finished instruction; its operands must be in scope."""
        history = self.history
        owners = history.owner
        for operand in instr.operands:
            owner = owners.get(operand)
            if owner is not None and (owner.closed or owner.home is not None):
                self.check_scope(operand)
        if (instr.op.effects or instr.regions) and history.intercept is not None and history.intercept(self, instr):
            return
        sources: Sequence[Value] = instr.operands
        if instr.regions:
            sources = [*sources, *(r for region in instr.regions for r in region.results)]
        for result in instr.results:
            owners[result] = self
            history.sources[result] = sources
        if instr.op.name == "for":
            self._note_lengths(instr)
        self.instrs.append(instr)

    def _note_lengths(self, loop: Instr) -> None:
        """How long a list is does not depend on what else a loop computes."""
        body = loop.regions[0]
        for position, result in enumerate(loop.results):
            if result.type == I64_SCALAR:
                self.history.sources[result] = (loop.operands[0], loop.operands[1 + position], body.results[position])

    def check_scope(self, value: Value) -> None:
        """Raise StagingError if `value` belongs to a region that has ended."""
        owner = self.history.owner.get(value)
        while owner is not None and owner.home is not None:
            owner = owner.home
        if owner is not None and value in self.history.poisoned:
            raise StagingError(
                f"the contents of an array are not known here, after {owner.closed}",
                self.span,
                found="an array that may be known under two names, one of which was written to",
                fix="take a .copy() where the second name is given",
            )
        if owner is not None and owner.closed and owner is not self:
            raise StagingError(
                f"a value computed inside of {owner.closed} is used after it",
                self.span,
                found="a traced value that was handed out through state that staging does not follow",
                fix="assign it to a variable, an attribute, or an item of a list, dict or array instead",
            )

    def holds(self, inner: Any) -> bool:
        """Whether `inner` is this builder, or one of a region inside."""
        at = inner
        while isinstance(at, TraceBuilder):
            if at is self:
                return True
            at = at.home or at.parent
        return False

    def param(self, type_: Any, name: str, sources: Sequence[Value]) -> Value:
        """A parameter of the region that this builder fills, computed from `sources`."""
        value = Value(type_, name)
        self.history.owner[value] = self
        self.history.sources[value] = sources
        return value

    def close(self, reason: str) -> None:
        """Declare the region finished: its values cannot be used any more."""
        self.closed = reason

    def splice(self, inner: TraceBuilder) -> None:
        """Move the instructions of `inner` here, as if they had been emitted here."""
        inner.home = self
        inner.closed = ""
        for fork in inner.forks:
            self.instrs.extend(fork.before)
            self.forks.append(replace(fork, before=self.instrs))
            self.instrs = []
        self.instrs.extend(inner.instrs)
