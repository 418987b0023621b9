"""Loops that overwrite every element of an array: what the array held before does not matter.

`for j in range(n): work[j] = ...` over all n elements, in one loop or in nested ones, depends on nothing that `work` held. Its
initial value becomes a filler. So an array that is made once and filled anew in each trip of an outer loop is no longer carried
from trip to trip: trips become independent of each other, and reverse mode has nothing to carry back.
"""

from __future__ import annotations

from wengert.ir.core import Function, Instr, Region, Value, walk
from wengert.ir.op import get_op
from wengert.ir.rewriter import RewriteBuilder, Rewriter
from wengert.types import Affine, TensorType

_FULL = None
Part = tuple[Affine | None, ...]
"""What is overwritten: for each axis the one index, or None for the whole axis."""


def overwritten(fn: Function) -> Function:
    """`fn` with fillers as initial values of arrays that loops overwrite entirely."""
    if not any(i.op.name == "for" for i in walk(fn.instrs)):
        return fn
    return _Overwritten(fn).function(fn)


class _Overwritten(Rewriter):
    def __init__(self, fn: Function) -> None:
        super().__init__()
        self.users: dict[Value, list[Instr]] = {}
        self.ends: dict[Value, int] = dict.fromkeys(fn.results, 1)
        for instr in walk(fn.instrs):
            for operand in instr.operands:
                self.users.setdefault(operand, []).append(instr)
            for region in instr.regions:
                for result in region.results:
                    self.ends[result] = self.ends.get(result, 0) + 1
        self.makers: dict[Value, Instr] = {r: i for i in walk(fn.instrs) for r in i.results}

    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        if instr.op.name != "for":
            b.append(self.rebuild(instr))
            return
        operands = list(instr.operands)
        for k, result in enumerate(instr.results):
            init = operands[1 + k]
            if not isinstance(init.type, TensorType) or not init.rank or self.is_filler(init):
                continue
            part = self.written(instr, k, may_run_none=self.is_dead(result))
            if part is not None and all(index is _FULL for index in part):
                declared = self.env.get(init, init).type
                (operands[1 + k],) = b.emit(get_op("undef"), [], {"type": declared}, names=[result.name])
        if operands == list(instr.operands):
            b.append(self.rebuild(instr))
            return
        changed = Instr(instr.op, tuple(operands), instr.results, instr.attrs, instr.regions, instr.span)
        b.append(self.rebuild(changed))

    def is_filler(self, value: Value) -> bool:
        """Whether an initial value is nothing but a constant anyway."""
        maker = self.makers.get(value)
        return maker is not None and maker.op.name in ("undef", "broadcast")

    def written(self, loop: Instr, k: int, may_run_none: bool = False) -> Part | None:
        """The part of carry `k` that a loop overwrites, reading none of it before; None if unknown.

        A loop that runs no trip overwrites nothing, which is known not to happen, or to leave nothing out: where the trips
        go along an axis, that has no elements then; with `may_run_none`, nobody reads what is left.
        """
        body = loop.regions[0]
        param = body.params[1 + k]
        found = self.step(param, body)
        if found is None or self.ends.get(param):
            return None
        part, end = found
        if any(entry is not _FULL for entry in part) and (body.results[k] is not end or self.is_read(end)):
            return None
        index, count = body.params[0], loop.operands[0].affine
        axis = next((n for n, entry in enumerate(part) if entry is not _FULL and entry == index.affine), None)
        if axis is not None:
            if param.dims[axis] != count:
                return None
            part = (*part[:axis], _FULL, *part[axis + 1 :])
        elif not may_run_none and not (isinstance(count, int) and count > 0):
            return None
        inside = self.inside(body)
        if any(not isinstance(entry, int) and any(s in inside for s, _ in entry.terms) for entry in part if entry is not _FULL):
            return None
        return part

    def step(self, param: Value, body: Region) -> tuple[Part, Value] | None:
        """The part of `param` that one trip overwrites before anything reads `param`, and the array with that part."""
        users = self.users.get(param, [])
        if len(users) != 1 or users[0] not in body.instrs or users[0].operands.count(param) != 1:
            return None
        (user,) = users
        if user.op.name == "for" and user.operands[0] is not param:
            position = user.operands.index(param) - 1
            part = self.written(user, position)
            return None if part is None else (part, user.results[position])
        if user.op.name != "update" or user.operands[0] is not param:
            return None
        given = iter(user.operands[2:])
        entries: list[Affine | None] = []
        for kind in user.attrs["spec"]:
            if kind == "s":
                return None
            entries.append(next(given).affine if kind == "i" else _FULL)
        return tuple(entries), user.result

    def is_read(self, end: Value) -> bool:
        """Whether anything but the next trip sees an array of which a part is written."""
        return end in self.users or self.ends.get(end) != 1

    def is_dead(self, result: Value) -> bool:
        """Whether nothing reads the result of a loop."""
        return result not in self.users and not self.ends.get(result)

    def inside(self, body: Region) -> set[object]:
        """Values that are made in a loop body."""
        return {*body.params, *(r for i in walk(body.instrs) for r in i.results)}
