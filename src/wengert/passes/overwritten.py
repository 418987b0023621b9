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
            part = self.written(instr, k)
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

    def written(self, loop: Instr, k: int) -> Part | None:
        """The part of carry `k` that a loop overwrites if it runs all its trips, reading none of it before; None if unknown."""
        body = loop.regions[0]
        param = body.params[1 + k]
        part = self.step(param, body)
        if part is None or self.ends.get(param):
            return None
        index, count = body.params[0], loop.operands[0].affine
        found: list[Affine | None] = []
        for entry, size in zip(part, param.dims, strict=True):
            if entry is not _FULL and entry == index.affine:
                if size != count:
                    return None
                entry = _FULL
            elif entry is not _FULL and not isinstance(entry, int) and any(s in self.inside(body) for s, _ in entry.terms):
                return None
            found.append(entry)
        return tuple(found)

    def step(self, param: Value, body: Region) -> Part | None:
        """The part of `param` that one trip overwrites before anything reads `param`."""
        users = self.users.get(param, [])
        if len(users) != 1 or users[0] not in body.instrs or users[0].operands.count(param) != 1:
            return None
        (user,) = users
        if user.op.name == "for" and user.operands[0] is not param:
            return self.written(user, user.operands.index(param) - 1)
        if user.op.name != "update" or user.operands[0] is not param:
            return None
        given = iter(user.operands[2:])
        part: list[Affine | None] = []
        for kind in user.attrs["spec"]:
            if kind == "s":
                return None
            part.append(next(given).affine if kind == "i" else _FULL)
        return tuple(part)

    def inside(self, body: Region) -> set[object]:
        """Values that are made in a loop body."""
        return {*body.params, *(r for i in walk(body.instrs) for r in i.results)}
