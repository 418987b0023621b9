"""Functions with derivative rules of their own, once nothing will be differentiated any more: what they compute, in line."""

from __future__ import annotations

from wengert.ir.core import Function, Instr, walk
from wengert.ir.rewrite import inline
from wengert.ir.rewriter import RewriteBuilder, Rewriter
from wengert.ops.custom import CustomRule


def inline_custom(fn: Function) -> Function:
    """`fn` with the function in place of every `custom`; the last step before a program is compiled."""
    while any(i.op.name == "custom" for i in walk(fn.instrs)):
        fn = _Inliner().function(fn)
    return fn


class _Inliner(Rewriter):
    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        """Put a `custom` in line."""
        if instr.op.name != "custom":
            b.append(self.rebuild(instr))
            return
        rule: CustomRule = instr.attrs["_rule"]
        found = inline(b, rule.primal, [self.env.get(o, o) for o in instr.operands])
        self.replace(instr, *found)
