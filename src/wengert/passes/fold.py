"""Constant folding and algebraic simplification: an instruction whose value is known, or is that of a simpler one, is replaced.

The rules stand in `algebra` and `reshuffle`; here is the walk, the evaluation of constant operands, integers known by their
affine form, and regions whose path is known (an `if` on a constant, a `for` of no or one trip).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert.ir.core import Function, Instr, Region, Value
from wengert.ir.rewriter import RewriteBuilder, Rewriter
from wengert.passes import algebra, reshuffle
from wengert.passes.known import Known, fill, spread
from wengert.types import I64_SCALAR, Dim, TensorType

_I64_RANGE = range(-(2**63), 2**63)
_RULES = {**algebra.RULES, **reshuffle.RULES}
_WRITES = frozenset({"update", "add_at", "scatter_add", "scatter"})
_NOT_EVALUATED = frozenset({"stop_gradient", "select"})


def fold(fn: Function) -> Function:
    """`fn` with constants evaluated and simple identities applied."""
    return _Fold().function(fn)


class _Fold(Rewriter):
    def __init__(self) -> None:
        super().__init__()
        self.known = Known(self.defs)

    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        if instr.regions and self.known_path(b, instr):
            return
        if instr.regions:
            self.known.overwritten.update(self.env.get(o, o) for o in instr.operands)
        new = self.rebuild(instr)
        if new.op.name in _WRITES:
            self.known.overwritten.add(new.operands[0])
        if len(new.results) == 1 and not new.op.effects and not new.regions:
            before = len(b.instrs)
            value = self.simpler(b, new)
            if value is not None and self.can_replace(instr.result, value):
                self.replace(instr, value)
                return
            del b.instrs[before:]
        b.append(new)

    # --- regions ------------------------------------------------------------------------------------------------

    def known_path(self, b: RewriteBuilder, instr: Instr) -> bool:
        """Put the taken arm, or the only trip, in place of a region instruction."""
        operands = [self.env.get(o, o) for o in instr.operands]
        if instr.op.name == "if":
            decided = self.known.constant(operands[0])
            if decided is None:
                return False
            self.splice(b, instr, instr.regions[0 if decided else 1], ())
            return True
        if instr.op.name == "for" and isinstance(operands[0].affine, int) and operands[0].affine <= 1:
            if operands[0].affine <= 0:
                self.env.update(zip(instr.results, operands[1:], strict=True))
            else:
                self.splice(b, instr, instr.regions[0], (b.const(0), *operands[1:]))
            return True
        return False

    def splice(self, b: RewriteBuilder, instr: Instr, region: Region, arguments: Sequence[Value]) -> None:
        self.env.update(zip(region.params, arguments, strict=True))
        self.block(b, region.instrs)
        self.env.update({r: self.env.get(v, v) for r, v in zip(instr.results, region.results, strict=True)})

    # --- values -------------------------------------------------------------------------------------------------

    def simpler(self, b: RewriteBuilder, instr: Instr) -> Value | None:
        """A value equal to the result of `instr` that is cheaper to have, or None."""
        if instr.op.name == "const":
            return None
        if instr.result.type == I64_SCALAR and (found := self.by_affine(b, instr.result)) is not None:
            return found
        if instr.op.kind == "elementwise" and (found := self.evaluate(b, instr)) is not None:
            return found
        rule = _RULES.get(instr.op.name)
        return None if rule is None else rule(self.known, b, instr)

    def by_affine(self, b: RewriteBuilder, value: Value) -> Value | None:
        """An integer whose affine form is a number or another value."""
        form = value.affine
        if isinstance(form, int):
            return b.const(form) if form in _I64_RANGE else None
        assert isinstance(form, Dim)
        (symbol, coefficient), *rest = form.terms
        if rest or coefficient != 1 or form.const or symbol is value:
            return None
        return symbol if isinstance(symbol, Value) else None

    def evaluate(self, b: RewriteBuilder, instr: Instr) -> Value | None:
        """The result where all operands are constants, or are scalars repeated (then the scalars are computed with)."""
        if instr.op.impl is None or instr.op.name in _NOT_EVALUATED:
            return None
        constants = [self.known.constant(o) for o in instr.operands]
        declared = instr.result.type
        assert isinstance(declared, TensorType)
        if all(c is not None for c in constants):
            numbers = [o.tensor.dtype.numpy.type(c) for o, c in zip(instr.operands, constants, strict=True)]
            found: Any = instr.op.impl(*numbers, **instr.attrs)
            return fill(self.known, b, instr, np.asarray(found).item(), declared.dtype)
        splats = [self.known.splat(o) for o in instr.operands]
        first = splats[0]
        if declared.rank and first is not None and all(s is not None for s in splats):
            scalars = [s.operands[0] for s in splats if s is not None]
            return spread(b, b.emit(instr.op, scalars, instr.attrs)[0], first)
        return None
