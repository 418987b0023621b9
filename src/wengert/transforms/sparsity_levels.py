"""What the pattern of a derivative needs of each value: its number, nothing, or the set of inputs that it depends on.

The levels grow: a value is `KNOWN` if whole numbers and constants alone decide on it, `BLANK` if it has no derivative and other
floats decide on it, and `MASK` if it depends differentiably on the inputs. A fixpoint over loops, and over stacks, whose entries
are read far from where they are written.
"""

from __future__ import annotations

from collections.abc import Sequence

from wengert.ir.core import Function, Instr, Region, Value, walk
from wengert.transforms.activity import differentiable_operands, loop_parts
from wengert.types import StackType

KNOWN, BLANK, MASK = 0, 1, 2


class Stacks:
    """Stack values that flow into one another form a group, with one level per element of its entries."""

    def __init__(self, fn: Function) -> None:
        self._parent: dict[Value, Value] = {}
        self.levels: dict[Value, list[int]] = {}
        for instr in walk(fn.instrs):
            self._link(instr)

    def find(self, value: Value) -> Value:
        """The representative of the group of a stack."""
        self._parent.setdefault(value, value)
        while self._parent[value] is not value:
            self._parent[value] = self._parent[self._parent[value]]
            value = self._parent[value]
        return value

    def elements(self, value: Value) -> list[int]:
        """The levels of the elements of entries of the stack `value`; a list that changes as levels grow."""
        assert isinstance(value.type, StackType)
        return self.levels.setdefault(self.find(value), [KNOWN] * len(value.type.elements))

    def _link(self, instr: Instr) -> None:
        if instr.op.name in ("push", "pop"):
            self._unite(instr.operands[0], instr.results[0])
        elif instr.op.name == "if":
            for region in instr.regions:
                self._unite_all(region.results, instr.results)
        elif instr.op.name in ("for", "while"):
            body, init, carry = loop_parts(instr)
            for values in (init, body.results, instr.results):
                self._unite_all(carry, values)
            if instr.op.name == "while":
                self._unite_all(carry, instr.regions[0].params)

    def _unite_all(self, a: Sequence[Value], b: Sequence[Value]) -> None:
        for x, y in zip(a, b, strict=True):
            self._unite(x, y)

    def _unite(self, a: Value, b: Value) -> None:
        if isinstance(a.type, StackType):
            self._parent[self.find(a)] = self.find(b)


class Levels:
    """The level of each value of a function, given those of its parameters."""

    def __init__(self, fn: Function, params: Sequence[int]) -> None:
        self.stacks = Stacks(fn)
        self.fillers = {i.result for i in walk(fn.instrs) if i.op.name == "undef"}
        self._of: dict[Value, int] = dict.fromkeys(fn.dims, KNOWN)
        self._of.update(zip(fn.params, params, strict=True))
        self._changed = True
        while self._changed:
            self._changed = False
            self._block(fn.instrs)

    def __getitem__(self, value: Value) -> int:
        return self._of.get(value, KNOWN)

    def is_known(self, value: Value) -> bool:
        """Whether the number itself is at hand."""
        return self[value] == KNOWN

    def _raise(self, value: Value, level: int) -> None:
        if isinstance(value.type, StackType):
            return
        level = level if value.is_float else min(level, BLANK)
        if level > self[value]:
            self._of[value] = level
            self._changed = True

    def _raise_all(self, targets: Sequence[Value], sources: Sequence[Value]) -> None:
        for target, source in zip(targets, sources, strict=True):
            self._raise(target, self[source])

    def _block(self, instrs: Sequence[Instr]) -> None:
        for instr in instrs:
            name = instr.op.name
            if name == "if":
                self._branch(instr)
            elif name in ("for", "while"):
                self._loop(instr)
            elif name == "push":
                self._push(instr)
            elif name == "pop":
                for value, level in zip(instr.results[1:], self.stacks.elements(instr.operands[0]), strict=True):
                    self._raise(value, level)
            else:
                self._leaf(instr)

    def _leaf(self, instr: Instr) -> None:
        if instr.op.name not in ("host_call", "custom") and all(self.is_known(o) for o in instr.operands):
            return
        moved = any(self[instr.operands[k]] == MASK for k in _reached(instr))
        for result in instr.results:
            self._raise(result, MASK if moved else BLANK)

    def _push(self, instr: Instr) -> None:
        elements = self.stacks.elements(instr.operands[0])
        for k, value in enumerate(instr.operands[1:]):
            if self[value] > elements[k]:
                elements[k] = self[value]
                self._changed = True

    def _branch(self, instr: Instr) -> None:
        for region in instr.regions:
            self._block(region.instrs)
            self._raise_all(instr.results, region.results)
        if not self.is_known(instr.operands[0]):
            for result, one, other in zip(instr.results, *[r.results for r in instr.regions], strict=True):
                if self.read_in(one, other) is None:
                    self._raise(result, BLANK)

    def read_in(self, one: Value, other: Value) -> Value | None:
        """What is read of the results of two arms whichever is taken: both are one, or one is never read; else None."""
        if one is other or other in self.fillers:
            return one
        return other if one in self.fillers else None

    def _loop(self, instr: Instr) -> None:
        body, init, carry = loop_parts(instr)
        self._raise_all(carry, init)
        before, grown = self._changed, True
        while grown:
            self._changed = False
            self._round(instr, body, carry)
            grown = self._changed
            before |= grown
        self._changed = before
        self._raise_all(instr.results, carry)

    def _round(self, instr: Instr, body: Region, carry: Sequence[Value]) -> None:
        """One look at the body; sets `_changed` if it raises a level."""
        if instr.op.name == "while":
            cond = instr.regions[0]
            self._raise_all(cond.params, carry)
            self._block(cond.instrs)
        if not self.is_known(steering(instr)):
            if instr.op.name == "for":
                self._raise(body.params[0], BLANK)
            for param, result in zip(carry, body.results, strict=True):
                if result is not param:
                    self._raise(param, BLANK)
        self._block(body.instrs)
        self._raise_all(carry, body.results)


def steering(instr: Instr) -> Value:
    """The value that decides on an `if`, or on how often a loop runs."""
    return instr.regions[0].results[0] if instr.op.name == "while" else instr.operands[0]


def _reached(instr: Instr) -> Sequence[int]:
    """Positions of the operands on which results depend differentiably, or may do so."""
    if instr.op.name in ("call", "custom", "with_pullback", "pullback"):
        return [k for k, o in enumerate(instr.operands) if o.is_float]
    return differentiable_operands(instr)
