"""Store-to-load forwarding: a read of what was just written is the written value; a write that is overwritten unread goes.
Adding to what was just set to zero (as the adjoint of an update does) sets it.

Places are compared by their indices: the same values, or integers with equal affine forms, are the same place; integers that
differ by a nonzero constant are different places. A read is never moved to an older version of an array: that version would then
have to be kept beside the newer one, and an update in place would become a copy.
"""

from __future__ import annotations

from collections import Counter

from wengert.ir.core import Function, Instr, Value, walk
from wengert.ir.rewriter import RewriteBuilder, Rewriter
from wengert.ops.index import Entry, entries
from wengert.passes.known import Known
from wengert.types import I64_SCALAR, dim_add

_LOOK_BACK = 8


def forward(fn: Function) -> Function:
    """`fn` with reads of written parts replaced by what was written."""
    return _Forward(_count_uses(fn)).function(fn)


def _count_uses(fn: Function) -> Counter[Value]:
    """How often each value is an operand or a yield."""
    uses = Counter(fn.results)
    for instr in walk(fn.instrs):
        uses.update(instr.operands)
        for region in instr.regions:
            uses.update(region.results)
    return uses


class _Forward(Rewriter):
    def __init__(self, uses: Counter[Value]) -> None:
        super().__init__()
        self.uses = uses
        self.known = Known(self.defs)
        self.block_of: dict[Value, RewriteBuilder] = {}

    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        new = self.rebuild(instr)
        value: Value | None = None
        if new.op.name == "index":
            value = self.read_through(new)
        elif new.op.name == "update":
            value = self.overwrite(b, new)
        elif new.op.name == "add_at":
            value = self.fill_blank(b, new)
        if value is not None and self.can_replace(instr.result, value):
            self.replace(instr, value)
            return
        b.append(new)
        if new.op.name in ("update", "add_at"):
            self.block_of[new.result] = b

    def read_through(self, instr: Instr) -> Value | None:
        """The value read, if it was written by one of the last writes to the array."""
        parts = entries(instr)
        source = instr.operands[0]
        for _ in range(_LOOK_BACK):
            write = self.defs.get(source)
            if write is None or write.op.name not in ("update", "add_at"):
                return None
            written = entries(write, first=2)
            if write.op.name == "update" and _same_place(parts, written):
                return write.operands[1]
            if not _apart(parts, written):
                return None
            source = write.operands[0]
        return None

    def overwrite(self, b: RewriteBuilder, instr: Instr) -> Value | None:
        """`update` of an `update` at the same place; `update` by what is there already."""
        source, part = instr.operands[:2]
        parts = entries(instr, first=2)
        before = self.defs.get(part)
        was_read = before is not None and before.op.name == "index" and before.operands[0] is source
        if was_read and before is not None and _same_place(parts, entries(before)):
            return source
        write = self.defs.get(source)
        if write is None or self.uses[source] != 1 or write.op.name not in ("update", "add_at"):
            return None
        if not _same_place(parts, entries(write, first=2)):
            return None
        return b.update(write.operands[0], *instr.operands[1:], spec=instr.attrs["spec"])

    def fill_blank(self, b: RewriteBuilder, instr: Instr) -> Value | None:
        """Adding to a part that was set to zero sets it; additions to other parts in between come afterwards then."""
        parts = entries(instr, first=2)
        between: list[Instr] = []
        source = instr.operands[0]
        for _ in range(_LOOK_BACK):
            write = self.defs.get(source)
            if write is None or self.uses[source] != 1 or self.block_of.get(source) is not b:
                return None
            if write.op.name == "update":
                if not _same_place(parts, entries(write, first=2)) or self.known.constant(write.operands[1]) != 0:
                    return None
                value = b.update(write.operands[0], *instr.operands[1:], spec=instr.attrs["spec"])
                for addition in reversed(between):
                    value = b.add_at(value, *addition.operands[1:], spec=addition.attrs["spec"])
                return value
            between.append(write)
            source = write.operands[0]
        return None


def _same_place(a: list[Entry], b: list[Entry]) -> bool:
    return len(a) == len(b) and all(
        kind == other and all(_difference(v, w) == 0 for v, w in zip(values, others, strict=True))
        for (kind, values), (other, others) in zip(a, b)
    )


def _apart(a: list[Entry], b: list[Entry]) -> bool:
    """Whether two parts share no element for sure: along some axis their indices differ."""
    for (kind, values), (other, others) in zip(a, b):
        if kind == other == "i" and _difference(values[0], others[0]) not in (0, None):
            return True
    return False


def _difference(a: Value, b: Value) -> int | None:
    """`a - b` if it is known."""
    if a is b:
        return 0
    if a.type != I64_SCALAR or b.type != I64_SCALAR:
        return None
    difference = dim_add(a.affine, b.affine, -1)
    return difference if isinstance(difference, int) else None
