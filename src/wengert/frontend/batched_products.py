"""Products of one matrix with a vector per example: one product of matrices, in front of the loop over the examples.

A vector of an example is a row of an array that has a row per example: a part of the batch itself, or what elementwise code makes
of such rows and of values that all examples share. In the loop, the product is read as a row of the product of matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wengert.frontend.staging_builder import TraceBuilder
from wengert.ir.core import Instr, Value
from wengert.ir.op import get_op
from wengert.types import Affine

_COSTLY = 10
"""In the loop, elementwise code of this cost (a transcendental function) is read, too, where its rows have been made."""


@dataclass(frozen=True)
class _Outside:
    """A value in front of the loop.

    Attributes:
        value: it.
        has_rows: whether its first axis counts the examples; else all examples share it.
    """

    value: Value
    has_rows: bool


class Products:
    """Finds the products in the body of a loop over examples, and moves them in front of it.

    Args:
        body: the builder that has the body.
        index: the position of the example.
        count: how many there are.
    """

    def __init__(self, body: TraceBuilder, index: Value, count: Affine) -> None:
        assert body.parent is not None
        self.body, self.outer = body, body.parent
        self.index, self.count = index, count
        self.made = {r: (k, instr) for k, instr in enumerate(body.instrs) for r in instr.results}
        checks = [k for k, instr in enumerate(body.instrs) if instr.op.effects or instr.regions]
        # What follows a check may rely on it: sizes are only taken to be equal in front of all checks.
        self.first_check = min(checks, default=len(body.instrs))
        self.found: dict[Value, _Outside | None] = {}

    def move(self) -> None:
        """Rewrite the body."""
        for instr in self.body.instrs:
            if self.is_wanted(instr):
                self.outside(instr.result)
        self.body.instrs[:] = [self.read(instr) for instr in self.body.instrs]

    def is_wanted(self, instr: Instr) -> bool:
        """Whether an instruction multiplies a matrix that all examples share with a vector."""
        if instr.op.name != "matmul" or sorted(o.rank for o in instr.operands) != [1, 2]:
            return False
        matrix = max(instr.operands, key=lambda o: o.rank)
        if any(isinstance(d, int) and d <= 4 for d in matrix.dims):
            return False
        shared = self.outside(matrix)
        return shared is not None and not shared.has_rows

    def read(self, instr: Instr) -> Instr:
        """An instruction of the body, or the read of its result where that is at hand."""
        if len(instr.results) != 1 or not (instr.op.name == "matmul" or instr.op.cost >= _COSTLY):
            return instr
        found = self.found.get(instr.result)
        if found is None or not found.has_rows:
            return instr
        spec = ("i", *(":" * instr.result.rank))
        return Instr(get_op("index"), (found.value, self.index), instr.results, {"spec": spec}, (), instr.span)

    def stacked(self, value: Value, axis: int) -> Value | None:
        """A value of the body for all examples, these along `axis`, if it has been made in front of the loop."""
        found = self.found.get(value)
        if found is None or not found.has_rows:
            return None
        perm = list(range(1, found.value.rank))
        perm.insert(axis, 0)
        whole: Value = found.value if axis == 0 else self.outer.transpose(found.value, perm=tuple(perm))
        return whole

    # --- in front of the loop -----------------------------------------------------------------------------------

    def outside(self, value: Value) -> _Outside | None:
        """`value` for all examples in front of the loop, or None where that is not possible."""
        owner = self.body.history.owner.get(value)
        if owner is None or not self.body.holds(owner):
            return _Outside(value, False)
        if value not in self.found:
            self.found[value] = None  # while it is looked for
            self.found[value] = self.compute(value)
        return self.found[value]

    def compute(self, value: Value) -> _Outside | None:
        position, instr = self.made.get(value, (0, None))
        if instr is None or instr.op.effects or instr.regions or len(instr.results) != 1:
            return None
        if instr.op.name == "index":
            return self.row(instr)
        rule = _RULES.get(instr.op.name) or (_elementwise if instr.op.kind in ("elementwise", "constant") else None)
        if rule is None or (instr.op.name == "assume_shape" and position > self.first_check):
            return None
        operands = [self.outside(o) for o in instr.operands]
        if any(o is None for o in operands):
            return None
        known = [o for o in operands if o is not None]
        self.outer.span = instr.span
        if not any(o.has_rows for o in known):
            new = self.outer.emit(instr.op, [o.value for o in known], instr.attrs)[0]
            return _Outside(new, False) if new.type == value.type else None
        made = rule(self, instr, known)
        return _Outside(made, True) if made is not None and made.dims == (self.count, *value.dims) else None

    def row(self, instr: Instr) -> _Outside | None:
        """A part of the batch."""
        batch, *where = instr.operands
        spec = instr.attrs["spec"]
        found = self.outside(batch)
        if found is None or found.has_rows or list(where) != [self.index] or "s" in spec:
            return None
        axis = spec.index("i")
        if batch.dims[axis] != self.count:
            return None
        rest = [k for k in range(batch.rank) if k != axis]
        return _Outside(found.value if axis == 0 else self.outer.transpose(found.value, perm=(axis, *rest)), True)

    def with_rows(self, given: _Outside) -> Value:
        """A value with one row per example; what they share is repeated."""
        value = given.value
        if given.has_rows:
            return value
        return self.outer.broadcast_to(value, (self.count, *value.dims), range(1, value.rank + 1))


# --- how ops look on rows --------------------------------------------------------------------------------------------

Rule = Callable[[Products, Instr, Sequence[_Outside]], Value | None]


def _elementwise(products: Products, instr: Instr, operands: Sequence[_Outside]) -> Value | None:
    found: Value = products.outer.emit(instr.op, [products.with_rows(o) for o in operands], instr.attrs)[0]
    return found


def _broadcast(products: Products, instr: Instr, operands: Sequence[_Outside]) -> Value | None:
    x, *sizes = operands
    if any(s.has_rows for s in sizes):
        return None
    axes = (0, *(a + 1 for a in instr.attrs["axes"]))
    found: Value = products.outer.broadcast_to(x.value, (products.count, *(s.value.affine for s in sizes)), axes)
    return found


def _assume_shape(products: Products, instr: Instr, operands: Sequence[_Outside]) -> Value | None:
    x, *sizes = operands
    if any(s.has_rows for s in sizes):
        return None
    outer = products.outer
    found: Value = outer.assume_shape(x.value, outer.dim(products.count), *[s.value for s in sizes])
    return found


def _transpose(products: Products, instr: Instr, operands: Sequence[_Outside]) -> Value | None:
    found: Value = products.outer.transpose(operands[0].value, perm=(0, *(p + 1 for p in instr.attrs["perm"])))
    return found


def _sum(products: Products, instr: Instr, operands: Sequence[_Outside]) -> Value | None:
    found: Value = products.outer.sum(operands[0].value, axes=tuple(a + 1 for a in instr.attrs["axes"]))
    return found


def _matmul(products: Products, instr: Instr, operands: Sequence[_Outside]) -> Value | None:
    left, right = operands
    outer = products.outer
    ranks = [o.rank for o in instr.operands]
    found: Value | None = None
    if ranks == [2, 1] and not left.has_rows and right.has_rows:
        found = outer.matmul(right.value, outer.transpose(left.value, perm=(1, 0)))
    elif ranks == [1, 2] and left.has_rows and not right.has_rows:
        found = outer.matmul(left.value, right.value)
    return found


_RULES: dict[str, Rule] = {
    "broadcast": _broadcast,
    "assume_shape": _assume_shape,
    "transpose": _transpose,
    "sum": _sum,
    "matmul": _matmul,
}
