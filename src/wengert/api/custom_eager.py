"""Calls of functions with rules of their own in eager mode: the rule runs on real values, and the list remembers how.

The forward part of a rule runs at the call and is recorded like everything else; the results of the call are values of their
own, which only the rule connects to the arguments. Walking the list backwards then asks the rule; what the rule computed, and
computes, is on the list, so derivatives of higher order need nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wengert.api.custom_staged import Arguments, Static, arguments_of, fitted, flatten_traced, gradient_leaves, matched
from wengert.api.results import conjugated
from wengert.errors import ArgumentError, GradientCutError, UnsupportedError
from wengert.frontend import calls
from wengert.frontend.boxes import box, is_box, lift
from wengert.frontend.context import Trace, activate, current, is_tracing
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Instr, Value
from wengert.ir.op import get_op
from wengert.tape.backward import pull_back, push_forward
from wengert.tape.evaluate import EvalBuilder
from wengert.transforms.linear import is_linear
from wengert.tree import TreeDef

if TYPE_CHECKING:
    from wengert.api.custom import CustomFunction


@dataclass(eq=False)
class EagerRule:
    """What a recorded call needs for its derivative.

    Attributes:
        custom: the function.
        trace: in which the rules run.
        arguments: of the call; its operands come first among those of the instruction.
        pull: from cotangents of the results (None for zero) to a cotangent per differentiable operand.
        push: from tangents of the differentiable operands (None for zero) to those of the results.
        outs: the float results as the rule itself has computed them; the last operands of the instruction.
        levels: the derivatives that have gone through the rule, by what they were taken with respect to.
        in_place: what `is_in_place` said last.
    """

    custom: CustomFunction
    trace: Trace
    arguments: Arguments
    pull: Callable[[Builder, Sequence[Value | None]], list[Value]]
    push: Callable[[Builder, Sequence[Value | None]], list[Value]]
    outs: list[Value] = field(default_factory=list)
    levels: set[tuple[Value, ...]] = field(default_factory=set)
    in_place: bool = False

    def is_in_place(self, wrt: Sequence[Value]) -> bool:
        """Whether an inner derivative has put the rule in place of the call, as it does in a staged program.

        The results then are what the rule has computed, with the derivatives of that.
        """
        level = tuple(wrt)
        self.in_place = bool(self.outs) and bool(self.levels - {level})
        return self.in_place

    def reached(self, instr: Instr) -> range:
        """Positions of the operands that the results depend on, in the derivative that is being taken."""
        count, outs = len(instr.operands), len(self.outs)
        return range(count - outs, count) if self.in_place else range(count - outs)

    def refuse_hidden(self, instr: Instr, active: set[Value]) -> None:
        """Raise if a derivative is asked for that the rule does not give."""
        for k, operand in enumerate(instr.operands[: len(instr.operands) - len(self.outs)]):
            if operand in active and operand.is_float and k not in self.arguments.differentiable:
                why = self.arguments.hidden.get(k, f"{self.custom.name} reads it from outside, not as an argument")
                raise GradientCutError(
                    f"the derivative of {self.custom.name} is asked for with respect to a value that its rule does not cover: "
                    + why,
                    instr.span,
                    fix="pass it as an argument that the rule covers, or wrap it in wg.stop_gradient(...)",
                )


@contextmanager
def running(trace: Trace, builder: Builder) -> Iterator[None]:
    """Run code of the eager `trace`, which may have ended, on `builder`."""
    if is_tracing() and current() is trace:
        with trace.building(builder):
            yield
        return
    with activate(trace), trace.building(builder):
        yield


def call_eager(custom: CustomFunction, args: tuple[Any, ...]) -> Any:
    """The call of a function with rules in eager mode."""
    arguments = arguments_of(custom, args)
    if not any(v.is_float for v in arguments.operands):
        return calls.call(custom.fn, args, {})
    trace = current()
    call = _Call(custom, arguments, trace)
    active = trace.extra.setdefault("running rules", set())
    start = len(trace.builder.instrs)
    if custom in active:
        # A rule calls its own function: the inner rule runs when it is asked for, or this would not end.
        tree, leaves, results = call.opened(calls.call(custom.fn, args, {}))
        rule = call.later(args)
    else:
        tree, leaves, results, rule = call.prepared(args)
    return call.closed(tree, leaves, call.record(results, call.outside(start), rule))


@dataclass(eq=False)
class _Call:
    custom: CustomFunction
    arguments: Arguments
    trace: Trace

    def outside(self, start: int) -> list[Value]:
        """Floats that the instructions since `start` read, and that are neither arguments nor their own results."""
        instrs = self.trace.builder.instrs[start:]
        inside = {r for i in instrs for r in i.results} | set(self.arguments.operands)
        found = {o: None for i in instrs for o in i.operands if o.is_float and o not in inside}
        for cell in getattr(self.custom.fn, "__closure__", None) or ():
            with suppress(ValueError):  # a variable that is not set yet
                found.update({lift(leaf): None for leaf in _boxes_in(cell.cell_contents) if lift(leaf).is_float})
        return [v for v in found if v not in self.arguments.operands]

    def record(self, results: Sequence[Value], outside: Sequence[Value], rule: EagerRule) -> list[Value]:
        """The instruction of the call; returns its results, new values."""
        builder = self.trace.builder
        assert isinstance(builder, EvalBuilder)
        new = [builder.lift_known(builder.known(r)) if r.is_float else r for r in results]
        made = tuple([n for n in new if n.is_float])
        operands = (*self.arguments.operands, *outside, *rule.outs)
        builder.append(Instr(get_op("custom"), operands, made, {"name": self.custom.name, "_rule": rule}, (), builder.span))
        return new

    def opened(self, out: Any) -> tuple[TreeDef, list[Any], list[Value]]:
        """A result taken apart: structure, leaves (boxes or static), values of the boxes."""
        leaves, tree = flatten_traced(out)
        kept = [leaf if is_box(leaf) else Static(leaf) for leaf in leaves]
        return tree, kept, [lift(leaf) for leaf in kept if not isinstance(leaf, Static)]

    def closed(self, tree: TreeDef, leaves: Sequence[Any], values: Sequence[Value]) -> Any:
        """A result put together again, on other values."""
        remaining = iter(values)
        found = []
        for leaf in leaves:
            if isinstance(leaf, Static):
                found.append(leaf.value)
            else:
                value = next(remaining)
                found.append(box(value, numpy=value.rank > 0 or getattr(leaf, "numpy", False)))
        return tree.unflatten(found)

    def prepared(self, args: tuple[Any, ...]) -> tuple[TreeDef, list[Any], list[Value], EagerRule]:
        """Run the forward part of the rule: the result taken apart, and the rule from there on."""
        active = self.trace.extra["running rules"]
        outer = self.trace.builder
        assert isinstance(outer, EvalBuilder)
        inner = EvalBuilder(self.trace.span, parent=outer)
        with self.trace.building(inner):
            active.add(self.custom)
            try:
                found = self.by_vjp(args) if self.custom.fwd is not None else self.by_jvp(args)
            finally:
                active.discard(self.custom)
        if outer.record:
            for instr in inner.instrs:
                outer.append(instr)
        return found

    def later(self, args: tuple[Any, ...]) -> EagerRule:
        """The rule, none of which has run yet."""
        known: list[EagerRule] = []

        def rule(builder: Builder) -> EagerRule:
            if not known:
                with running(self.trace, builder):
                    known.append(self.prepared(args)[3])
            return known[0]

        def pull(builder: Builder, cotangents: Sequence[Value | None]) -> list[Value]:
            return rule(builder).pull(builder, cotangents)

        def push(builder: Builder, tangents: Sequence[Value | None]) -> list[Value]:
            return rule(builder).push(builder, tangents)

        return EagerRule(self.custom, self.trace, self.arguments, pull, push)

    # --- a rule for reverse mode ----------------------------------------------------------------------------------

    def by_vjp(self, args: tuple[Any, ...]) -> tuple[TreeDef, list[Any], list[Value], EagerRule]:
        """The fwd rule runs; the bwd rule will."""
        custom, trace = self.custom, self.trace
        pair = calls.call(custom.fwd, args, {})
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            what = f"the fwd rule of {custom.name} must return (result, residuals)"
            raise ArgumentError(what, trace.span, found=type(pair).__name__)
        tree, leaves, results = self.opened(pair[0])
        saved = pair[1]
        given, _ = custom.split(args)
        floats = [r for r in results if r.is_float]

        def pull(builder: Builder, cotangents: Sequence[Value | None]) -> list[Value]:
            seeds = iter([builder.zeros_like(r) if ct is None else ct for r, ct in zip(floats, cotangents, strict=True)])
            with running(trace, builder):
                boxes = [_cotangent(leaf, seeds) for leaf in leaves]
                found = calls.call(custom.bwd, (*given, saved, tree.unflatten(conjugated(tree, boxes))), {})
                terms = gradient_leaves(custom, self.arguments, found)
                what = f"the cotangent that the bwd rule of {custom.name} gives"
                return [fitted(terms[k], self.arguments.operands[k], what) for k in self.arguments.differentiable]

        def push(builder: Builder, tangents: Sequence[Value | None]) -> list[Value]:
            if custom.jvp_rule is not None:
                return self.push_by_rule(builder, args, tree, leaves, results, tangents)
            assert isinstance(builder, EvalBuilder)
            inner = EvalBuilder(trace.span, parent=builder)
            seeds: list[Value] = [inner.lift_known(inner.known(inner.zeros_like(r))) for r in floats]
            for seed in seeds:
                inner.note_input(0, seed)
            terms = pull(inner, seeds)
            body = Function(custom.name, (), tuple(seeds), tuple(inner.instrs), tuple(terms))
            if not is_linear(body, seeds):
                raise UnsupportedError(
                    f"forward mode through {custom.name} is not available: its bwd rule is not linear in the cotangent, "
                    "as far as can be seen",
                    fix="give it a jvp rule as well, or use reverse mode (grad, vjp)",
                )
            moving = [k for k, t in enumerate(tangents) if t is not None]
            given_tangents = [t for t in tangents if t is not None]
            return pull_back(builder, inner.instrs, [terms[k] for k in moving], given_tangents, seeds)

        return tree, leaves, results, EagerRule(custom, trace, self.arguments, pull, push, floats)

    # --- a rule for forward mode ----------------------------------------------------------------------------------

    def tangents_of(self, tangents: dict[int, Value]) -> tuple[Any, ...]:
        """The tangents of the call's covered arguments, as the rule takes them."""
        places = {}
        for k, value in tangents.items():
            leaf = self.arguments.leaves[self.arguments.places[k]]
            places[k] = box(value, numpy=value.rank > 0 or getattr(leaf, "numpy", False))
        return self.custom.split(self.arguments.tangent_leaves(places))[1]

    def run_rule(self, args: tuple[Any, ...], tangents: dict[int, Value]) -> tuple[Any, Any]:
        given, rest = self.custom.split(args)
        pair = calls.call(self.custom.jvp_rule, (*given, rest, self.tangents_of(tangents)), {})
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            what = f"the jvp rule of {self.custom.name} must return (result, tangent)"
            raise ArgumentError(what, self.trace.span, found=type(pair).__name__)
        return pair[0], pair[1]

    def dots_of(self, dot: Any, tree: TreeDef, leaves: Sequence[Any], results: Sequence[Value]) -> list[Value]:
        """A tangent taken apart: one value per float result."""
        what = f"the tangent that the jvp rule of {self.custom.name} gives"
        found = matched(dot, tree, len(leaves), what)
        computed = [f for f, leaf in zip(found, leaves, strict=True) if not isinstance(leaf, Static)]
        return [fitted(f, r, what) for f, r in zip(computed, results, strict=True) if r.is_float]

    def by_jvp(self, args: tuple[Any, ...]) -> tuple[TreeDef, list[Any], list[Value], EagerRule]:
        """The rule runs once, on zero tangents; since it is linear in them, its list gives every derivative."""
        builder, operands = self.trace.builder, self.arguments.operands
        assert isinstance(builder, EvalBuilder)
        zeros = {k: builder.lift_known(builder.known(builder.zeros_like(operands[k]))) for k in self.arguments.differentiable}
        for zero in zeros.values():
            builder.note_input(0, zero)
        out, dot = self.run_rule(args, dict(zeros))
        tree, leaves, results = self.opened(out)
        dots = self.dots_of(dot, tree, leaves, results)
        instrs = tuple(builder.instrs)
        wrt = list(zeros.values())

        def pull(runner: Builder, cotangents: Sequence[Value | None]) -> list[Value]:
            pairs = [(d, ct) for d, ct in zip(dots, cotangents, strict=True) if ct is not None]
            return pull_back(runner, instrs, [d for d, _ in pairs], [ct for _, ct in pairs], wrt)

        def push(runner: Builder, tangents: Sequence[Value | None]) -> list[Value]:
            pairs = [(z, t) for z, t in zip(wrt, tangents, strict=True) if t is not None]
            return push_forward(runner, instrs, dots, [z for z, _ in pairs], [t for _, t in pairs])

        outs = [r for r in results if r.is_float]
        return tree, leaves, results, EagerRule(self.custom, self.trace, self.arguments, pull, push, outs)

    def push_by_rule(
        self,
        builder: Builder,
        args: tuple[Any, ...],
        tree: TreeDef,
        leaves: Sequence[Any],
        results: Sequence[Value],
        tangents: Sequence[Value | None],
    ) -> list[Value]:
        """The jvp rule of a function that has both rules, on tangents as they are."""
        numbers = self.arguments.differentiable
        given = {k: t for k, t in zip(numbers, tangents, strict=True) if t is not None}
        with running(self.trace, builder):
            for k in numbers:
                if k not in given:
                    given[k] = builder.zeros_like(self.arguments.operands[k])
            _, dot = self.run_rule(args, given)
            return self.dots_of(dot, tree, leaves, results)


def _cotangent(leaf: Any, seeds: Iterator[Value]) -> Any:
    """A leaf of the cotangent that a bwd rule takes."""
    if isinstance(leaf, Static) or not lift(leaf).is_float:
        return 0.0
    seed = next(seeds)
    return box(seed, numpy=seed.rank > 0 or getattr(leaf, "numpy", False))


def _boxes_in(obj: Any) -> Iterator[Any]:
    """The traced values in an object that a function has closed over: by itself or in a list, tuple or dict."""
    if is_box(obj):
        yield obj
    elif isinstance(obj, list | tuple | dict):
        for item in obj.values() if isinstance(obj, dict) else obj:
            yield from _boxes_in(item)
