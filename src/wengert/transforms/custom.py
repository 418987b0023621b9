"""Puts derivative rules of the user's own in place of the functions that they belong to, for one derivative.

`expand` runs before reverse mode and `remove_markers` after it (forward mode runs the rule on tangents as they are). Between
them the rule is an ordinary stretch of the program: `y = f(x)` with a rule `(y, y_dot) = r(x, x_dot)` becomes
`y, y_dot = r(detach(x), shadow(x)); attach(y, y_dot)`, whose tangent is what the rule says, since the rule is linear in `x_dot`.
What the transform leaves behind is differentiated again like anything else, so higher orders are exact.
"""

from __future__ import annotations

from collections.abc import Sequence

from wengert.errors import GradientCutError, StagingError, UnsupportedError
from wengert.ir.core import Function, Instr, Value, walk
from wengert.ir.op import get_op
from wengert.ir.rewrite import inline
from wengert.ir.rewriter import RewriteBuilder, Rewriter
from wengert.ops.custom import CustomRule, Pullback
from wengert.transforms.activity import Callees, active_values, refuse_cuts

MOST_ROUNDS = 50
_MARKERS = frozenset({"detach", "shadow", "attach", "with_pullback"})


def expand(fn: Function, wrt: Sequence[int], outputs: Sequence[int]) -> Function:
    """`fn` with the rules of all `custom` instructions through which results `outputs` depend on parameters `wrt`.

    Raises:
        GradientCutError: a derivative is asked for that a rule does not give.
        UnsupportedError: the rule cannot serve this mode.
    """
    refuse_customs_in_callees(fn)
    refuse_cuts(fn.instrs, [fn.params[k] for k in wrt], Callees(fn.functions))
    for _ in range(MOST_ROUNDS):
        if not any(i.op.name == "custom" for i in walk(fn.instrs)):
            return fn
        calls = Callees(fn.functions)
        active = active_values(fn.instrs, [fn.params[k] for k in wrt], [fn.results[k] for k in outputs], calls)
        if not any(i.op.name == "custom" and any(r in active for r in i.results) for i in walk(fn.instrs)):
            return fn
        fn = _Expander(active).function(fn)
    raise UnsupportedError("a custom derivative rule applies its function to its own tangents without end", fn.span)


def refuse_customs_in_callees(fn: Function) -> None:
    """Raise StagingError if a function that is called from `fn` uses a rule of the user's own."""
    for callee in fn.functions.values():
        refuse_calls(callee.instrs, "custom", callee.name)


def refuse_calls(instrs: Sequence[Instr], op: str, name: str) -> None:
    """Raise StagingError if recursion and rules of the user's own meet: eager mode has both."""
    for instr in walk(tuple(instrs)):
        if instr.op.name == op:
            raise StagingError(f"{name} mixes recursion with a function that has a derivative rule of its own", instr.span)


class _Expander(Rewriter):
    def __init__(self, active: set[Value]) -> None:
        super().__init__()
        self.active = active

    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        """Put the rule of an active `custom` in place."""
        if instr.op.name != "custom" or not any(r in self.active for r in instr.results):
            b.append(self.rebuild(instr))
            return
        rule: CustomRule = instr.attrs["_rule"]
        refuse_hidden(rule, instr, self.active)
        operands = [self.env.get(o, o) for o in instr.operands]
        pullback = rule.pullback()
        if pullback is None:
            self.replace(instr, *_forward(b, rule, operands))
        else:
            self.replace(instr, *_reverse(b, rule, pullback, operands))


def refuse_hidden(rule: CustomRule, instr: Instr, active: set[Value]) -> None:
    """Raise if a derivative is asked for with respect to an operand that the rule has none for."""
    for k, operand in enumerate(instr.operands):
        if operand in active and operand.is_float and k not in rule.differentiable:
            why = rule.hidden.get(k, "the rule gives no derivative for it")
            raise GradientCutError(
                f"the derivative of {rule.name} is asked for with respect to a value that its rule does not cover: {why}",
                instr.span,
                fix="pass it as an argument that the rule covers, or wrap it in wg.stop_gradient(...)",
            )


def _forward(b: RewriteBuilder, rule: CustomRule, operands: Sequence[Value]) -> list[Value]:
    hidden = [b.detach(o) if o.is_float else o for o in operands]
    shadows = [b.shadow(operands[k]) for k in rule.differentiable]
    found = inline(b, rule.forward(), [*hidden, *shadows])
    count = len(rule.primal.results)
    dots = iter(found[count:])
    return [b.attach(out, next(dots)) if out.is_float else out for out in found[:count]]


def _reverse(b: RewriteBuilder, rule: CustomRule, pullback: Pullback, operands: Sequence[Value]) -> list[Value]:
    hidden = [b.detach(o) if o.is_float else o for o in operands]
    found = inline(b, pullback.fwd, hidden)
    count = len(rule.primal.results)
    outs, saved = found[:count], [*hidden, *found[count:]]
    places = [k for k, out in enumerate(outs) if out.is_float]
    moving = [operands[k] for k in rule.differentiable]
    made = b.emit(
        get_op("with_pullback"),
        [*(outs[k] for k in places), *(saved[k] for k in pullback.kept), *moving],
        {"outs": len(places), "moving": len(moving), "_bwd": pullback.bwd},
        names=[outs[k].name for k in places],
    )
    for k, value in zip(places, made, strict=True):
        outs = (*outs[:k], value, *outs[k + 1 :])
    return list(outs)


def remove_markers(fn: Function) -> Function:
    """`fn` without the markers that `expand` put there."""
    if not any(i.op.name in _MARKERS for i in walk(fn.instrs)):
        return fn
    return _Remover().function(fn)


class _Remover(Rewriter):
    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        """A marker gives way to its value."""
        name = instr.op.name
        if name not in _MARKERS:
            b.append(self.rebuild(instr))
            return
        operands = [self.env.get(o, o) for o in instr.operands]
        if name == "shadow":
            self.replace(instr, b.zeros_like(operands[0]))
        else:
            self.replace(instr, *operands[: len(instr.results)])


def refuse_repeated_effects(fn: Function, what: str) -> None:
    """Raise StagingError if `fn`, which `what` would run several times, prints, draws random numbers or calls Python.

    Eager mode runs the function once and goes through its list several times.
    """
    for instr in (i for f in (fn, *fn.functions.values()) for i in walk(f.instrs)):
        if instr.op.name == "custom":
            refuse_repeated_effects(instr.attrs["_rule"].primal, what)
        if instr.op.name in ("host_call", "host_print") and not instr.attrs.get("pure"):
            name = "print" if instr.op.name == "host_print" else str(instr.attrs.get("name"))
            error = StagingError(f"{what} would run {name} more than once", instr.span)
            error.quiet = True
            raise error
