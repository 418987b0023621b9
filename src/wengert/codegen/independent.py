"""Which loops may be cut into parts: those whose carries are sums, or arrays of which each iteration has a part of its own.

What a loop carries must flow through its body in one chain. A *sum* is only added to, so every part may start from zero and
the sums of the parts are added at the end. Of an array with *rows*, every iteration reads and writes nothing but what lies at
the index that belongs to it. All else that an iteration uses is its own or was there before the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wengert.ir.core import Instr, Region, Value, free_values, walk
from wengert.types import Dim, StackType, TensorType

# Their effects have an order, or show arrays of the part in which they happen.
_ORDERED = frozenset({"host_print", "host_call", "call", "checkpoint_begin", "checkpoint_end"})
_ADDS = frozenset({"add", "add_at", "scatter_add", "assume_shape"})

Step = Callable[[Instr, int], bool]
"""Whether an instruction may take a carry as that operand."""


@dataclass(frozen=True)
class Plan:
    """How a loop is cut into parts.

    Attributes:
        rows: positions of the carries of which every iteration has a part.
        sums: positions of those that are added to.
    """

    rows: frozenset[int]
    sums: frozenset[int]


def plan(instr: Instr) -> Plan | None:
    """How the iterations of a `for` may be shared out; None if they need each other, or if that is not seen."""
    (body,) = instr.regions
    if any(_is_ordered(i) for i in walk(body.instrs)):
        return None
    if any(isinstance(v.type, StackType) for v in (*free_values(body), *body.params)):
        return None
    rows, sums = set(), set()
    for position, carry in enumerate(body.params[1:]):
        if carry.rank and _Rows(body.params[0], frozenset(_inside(body))).hold(carry, body, position):
            rows.add(position)
        elif _flow(carry, body, _adds, _nothing) == position:
            sums.add(position)
        else:
            return None
    return Plan(frozenset(rows), frozenset(sums))


def _is_ordered(instr: Instr) -> bool:
    return instr.op.name in _ORDERED or (instr.op.name == "check" and any(v.rank for v in instr.operands))


def _inside(region: Region) -> list[Value]:
    """All values that come to be in a region."""
    found = list(region.params)
    for instr in walk(region.instrs):
        found += instr.results
        for inner in instr.regions:
            found += inner.params
    return found


def _adds(instr: Instr, operand: int) -> bool:
    name = instr.op.name
    if name == "add":
        return instr.operands[0] is not instr.operands[1] and instr.result.tensor.dtype.name != "bool"
    return operand == 0 and (name in _ADDS or name == "sub")


def _nothing(instr: Instr, operand: int) -> bool:
    return False


class _Rows:
    """Whether all accesses to an array are at one index of one axis, which no other iteration has."""

    def __init__(self, counter: Value, inside: frozenset[Value]) -> None:
        self.counter, self.inside = counter, inside
        self.places: set[tuple[int, object]] | None = None

    def hold(self, carry: Value, body: Region, position: int) -> bool:
        """Whether this is so for the carry at a position of a loop."""
        return _flow(carry, body, self.writes, self.reads) == position and bool(self.places)

    def writes(self, instr: Instr, operand: int) -> bool:
        """An update of the iteration's own part."""
        return instr.op.name in ("update", "add_at") and operand == 0 and self._narrow(instr, 2)

    def reads(self, instr: Instr, operand: int) -> bool:
        """A read of it."""
        return instr.op.name == "index" and operand == 0 and self._narrow(instr, 1)

    def _narrow(self, instr: Instr, first: int) -> bool:
        """Keep the places at which all accesses so far have been; whether there is still one."""
        found, at = set(), first
        for axis, entry in enumerate(instr.attrs["spec"]):
            if entry == "i" and (own := self._own(instr.operands[at])) is not None:
                found.add((axis, own))
            at += {"i": 1, "s": 3, ":": 0}[entry]
        self.places = found if self.places is None else self.places & found
        return bool(self.places)

    def _own(self, index: Value) -> object:
        """What tells an index that differs in all iterations; None for others."""
        affine = index.affine
        if not isinstance(affine, Dim):
            return None
        own = [c for s, c in affine.terms if s is self.counter]
        others = [s for s, _ in affine.terms if s is not self.counter]
        return affine if len(own) == 1 and own[0] in (1, -1) and not self.inside.intersection(others) else None


def _flow(value: Value, region: Region, step: Step, read: Step) -> int | None:
    """Where in the results of a region a value comes out that flows through it in one chain of `step`s; None if it does not."""
    while True:
        following: list[tuple[Instr, int]] = []
        for instr in region.instrs:
            direct = [k for k, o in enumerate(instr.operands) if o is value]
            following += [(instr, k) for k in direct if not read(instr, k)]
            if any(value in free_values(r) for r in instr.regions):
                following.append((instr, -1))
        out = [k for k, r in enumerate(region.results) if r is value]
        if len(following) + len(out) != 1:
            return None
        if out:
            return out[0]
        instr, operand = following[0]
        came = _through(instr, operand, value, step, read)
        if came is None:
            return None
        value = instr.results[came]


def _through(instr: Instr, operand: int, value: Value, step: Step, read: Step) -> int | None:
    """The position among the results of an instruction at which the chain goes on."""
    name = instr.op.name
    if name == "if" and operand == -1:
        found = {_flow(value, arm, step, read) for arm in instr.regions}
        return found.pop() if len(found) == 1 else None
    if operand == -1:
        return None
    if name in ("for", "while"):
        position = operand - (name == "for")
        body = instr.regions[-1]
        if position < 0 or (name == "while" and _uses(instr.regions[0], instr.regions[0].params[position])):
            return None
        inner = body.params[position + (name == "for")]
        return position if _flow(inner, body, step, read) == position else None
    return 0 if isinstance(value.type, TensorType) and step(instr, operand) else None


def _uses(region: Region, value: Value) -> bool:
    return value in region.results or any(value in i.operands or any(value in free_values(r) for r in i.regions)
                                          for i in region.instrs)  # fmt: skip
