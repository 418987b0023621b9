"""Removes index checks, comparisons and checks that always pass.

Walks the program with the facts that hold at each place: sizes of arguments are not negative, a loop index lies in [0, trips),
the arm of an `if` knows its predicate, code behind a check knows that it passed, a counter that a loop only increases is not
less than where it began.
"""

from __future__ import annotations

from collections.abc import Callable

from wengert.ir.core import Function, Instr, Region, Value, walk
from wengert.ir.rewriter import RewriteBuilder, Rewriter
from wengert.passes.ranges import Facts
from wengert.types import I64_SCALAR, Affine, Dim, TensorType, dim_add, dim_of, dim_scale, dim_substitute

_COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})


def bounds(fn: Function) -> Function:
    """`fn` without run-time checks that provably pass, and with comparisons decided where they can be."""
    return BoundsRewriter().function(fn)


class BoundsRewriter(Rewriter):
    """A walk that knows at each place what holds of integers there."""

    def __init__(self) -> None:
        super().__init__()
        self.facts = Facts(self.defs)
        self.entering: Callable[[tuple[Value, ...]], None] | None = None

    def function(self, fn: Function) -> Function:
        for value in fn.body.params:
            self.facts.define(value)
        for dim in fn.dims:
            self.facts.add(dim_of(dim))
        for param in fn.params:
            if isinstance(param.type, TensorType):
                for size in param.dims:
                    self.facts.add(size)
        return super().function(fn)

    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        handler = _HANDLERS.get(instr.op.name)
        if handler is not None:
            handler(self, b, instr)
        elif instr.op.name in _COMPARISONS and instr.operands[0].type == I64_SCALAR:
            self.comparison(b, instr)
        else:
            self.emit(b, instr)

    def emit(self, b: RewriteBuilder, instr: Instr) -> Instr:
        """Append `instr` on the new operands and learn what follows from it."""
        new = self.rebuild(instr)
        b.append(new)
        for result in new.results:
            self.facts.define(result)
        rule = _LEARN.get(new.op.name)
        if rule is not None and len(new.results) == 1 and new.result.type == I64_SCALAR:
            rule(self.facts, new)
        return new

    # --- decisions ----------------------------------------------------------------------------------------------

    def comparison(self, b: RewriteBuilder, instr: Instr) -> None:
        x, y = (self.env.get(o, o).affine for o in instr.operands)
        decided = self.facts.holds(instr.op.name, x, y)
        if decided is None:
            self.emit(b, instr)
        else:
            self.replace(instr, b.const(decided))

    def extremum(self, b: RewriteBuilder, instr: Instr) -> None:
        """The larger or smaller of two integers whose order is known."""
        x, y = (self.env.get(o, o) for o in instr.operands)
        if instr.result.type == I64_SCALAR:
            large, small = (x, y) if instr.op.name == "maximum" else (y, x)
            for wins, loses, value in ((large, small, x), (small, large, y)):
                if self.facts.proves(dim_add(wins.affine, loses.affine, -1)) and self.can_replace(instr.result, value):
                    self.replace(instr, value)
                    return
        self.emit(b, instr)

    def wrap_index(self, b: RewriteBuilder, instr: Instr) -> None:
        """In range for sure: the index itself. Checked before: that result. Else the check stays, and its outcome is known."""
        position, size = (self.env.get(o, o) for o in instr.operands)
        facts = self.facts
        i, n = position.affine, size.affine
        is_positive = facts.proves(i)
        if is_positive and facts.less(i, n) and self.can_replace(instr.result, position):
            self.replace(instr, position)
            return
        earlier = facts.checked.get((i, n))
        if earlier is not None and self.can_replace(instr.result, earlier):
            self.replace(instr, earlier)
            return
        from_end = dim_add(i, n)
        if facts.less(i, 0) and facts.proves(from_end):
            value = b.add(position, size)
            if self.can_replace(instr.result, value):
                self.replace(instr, value)
                return
        new = self.emit(b, instr)
        result = new.result
        for form in (result.affine, dim_add(dim_add(n, result.affine, -1), -1)):
            facts.add(form)
        for form in (dim_add(n, -1), from_end, dim_add(dim_add(n, i, -1), -1)):
            facts.add(form)
        if is_positive:
            facts.equal(result.affine, i)
            if self.can_replace(instr.result, position):
                self.replace(instr, position)
                result = position
        facts.note_checked((i, n), result)

    def check(self, b: RewriteBuilder, instr: Instr) -> None:
        predicate = self.env.get(instr.operands[0], instr.operands[0])
        definition = self.defs.get(predicate)
        constant = definition is not None and definition.op.name == "const" and definition.attrs["value"]
        if constant or self.facts.truth.get(predicate):
            return
        self.emit(b, instr)
        self.facts.assume(predicate, True)

    # --- regions ------------------------------------------------------------------------------------------------

    def conditional(self, b: RewriteBuilder, instr: Instr) -> None:
        predicate = self.env.get(instr.operands[0], instr.operands[0])
        known = self.facts.truth.get(predicate)
        if known is not None:
            predicate = b.const(known)
        arms: list[Region] = []
        positive: list[list[bool]] = []
        for region, truth in zip(instr.regions, (True, False), strict=True):
            mark = self.facts.mark()
            if known is None:
                self.facts.assume(predicate, truth)
            new = self.region(region)
            arms.append(new)
            positive.append([r.type == I64_SCALAR and self.facts.proves(r.affine) for r in new.results])
            self.facts.forget(mark)
        new_instr = self.finish(b, instr, (predicate,), tuple(arms))
        for k, result in enumerate(new_instr.results):
            if result.type == I64_SCALAR:
                _between(self.facts, result.affine, *(a.results[k].affine for a in arms))
                if positive[0][k] and positive[1][k]:
                    self.facts.add(result.affine)

    def finish(self, b: RewriteBuilder, instr: Instr, operands: tuple[Value, ...], regions: tuple[Region, ...]) -> Instr:
        """Append the region instruction on new parts."""
        same = operands == instr.operands and regions == instr.regions
        new = instr if same and not self.sizes_changed(instr) else self.remake(instr, operands, instr.attrs, regions)
        b.append(new)
        for result in new.results:
            self.facts.define(result)
        return new

    def counted(self, b: RewriteBuilder, instr: Instr) -> None:
        operands = tuple([self.env.get(o, o) for o in instr.operands])
        count, init = operands[0].affine, operands[1:]
        facts, body = self.facts, instr.regions[0]
        mark = facts.mark()
        facts.add(dim_add(count, -1))
        steps = _steps(body.params[1:], body.results)
        growths = _growths(body, steps)

        def enter(params: tuple[Value, ...]) -> None:
            index = params[0].affine
            facts.add(index)
            facts.add(dim_add(dim_add(count, index, -1), -1))
            for param, first, step in zip(params[1:], init, steps, strict=True):
                if step is not None:
                    facts.equal(param.affine, dim_add(first.affine, index, step))
            for param, first, growth in zip(params[1:], init, growths, strict=True):
                if growth is not None and facts.proves(dim_substitute(growth, self.affine_of)):
                    facts.add(dim_add(param.affine, first.affine, -1))

        region = self.entered(body, enter)
        facts.forget(mark)
        new = self.finish(b, instr, operands, (region,))
        not_negative = facts.proves(count)
        for result, first, step in zip(new.results, init, steps, strict=True):
            if step is not None and not_negative:
                facts.equal(result.affine, dim_add(first.affine, count, step))
            elif step is not None:
                facts.add(dim_scale(dim_add(result.affine, first.affine, -1), 1 if step >= 0 else -1))

    def loop(self, b: RewriteBuilder, instr: Instr) -> None:
        """`while`: counters that only grow or only shrink, and the condition inside and behind the loop."""
        operands = tuple([self.env.get(o, o) for o in instr.operands])
        facts = self.facts
        cond, body = instr.regions
        steps = _steps(body.params, body.results)

        def monotone(params: tuple[Value, ...]) -> None:
            for param, first, step in zip(params, operands, steps, strict=True):
                if step is not None:
                    facts.add(dim_scale(dim_add(param.affine, first.affine, -1), 1 if step >= 0 else -1))

        mark = facts.mark()
        new_cond = self.entered(cond, monotone)
        facts.forget(mark)

        def enter(params: tuple[Value, ...]) -> None:
            monotone(params)
            facts.assume(new_cond.results[0], True, _renaming(new_cond.params, params))

        new_body = self.entered(body, enter)
        facts.forget(mark)
        new = self.finish(b, instr, operands, (new_cond, new_body))
        monotone(new.results)
        facts.assume(new_cond.results[0], False, _renaming(new_cond.params, new.results))

    def entered(self, region: Region, enter: Callable[[tuple[Value, ...]], None]) -> Region:
        """`region` rewritten with the facts that `enter` learns about its parameters."""
        self.entering = enter
        return self.region(region)

    def enter(self, b: RewriteBuilder, params: tuple[Value, ...], region: Region) -> None:
        """Called by the walk at the beginning of each region."""
        enter, self.entering = self.entering, None
        for param in params:
            self.facts.define(param)
        if enter is not None:
            enter(params)


def _renaming(old: tuple[Value, ...], new: tuple[Value, ...]) -> Callable[[object], Affine | None]:
    mapping: dict[object, Affine] = {a: b.affine for a, b in zip(old, new, strict=True) if a.type == I64_SCALAR}
    return mapping.get


def _steps(params: tuple[Value, ...], yields: tuple[Value, ...]) -> list[int | None]:
    """By how much each integer carry grows in a trip, if that is a constant."""
    steps: list[int | None] = []
    for param, result in zip(params, yields, strict=True):
        step = dim_add(result.affine, param.affine, -1) if param.type == I64_SCALAR else None
        steps.append(step if isinstance(step, int) else None)
    return steps


def _growths(body: Region, steps: list[int | None]) -> list[Affine | None]:
    """By how much each integer carry of a `for` grows in a trip, where that depends on the trip but on no other carry."""
    growths: list[Affine | None] = []
    made = {r for i in walk(body.instrs) for r in i.results} | set(body.params[1:]) if None in steps else set()
    for param, result, step in zip(body.params[1:], body.results, steps, strict=True):
        growth = dim_add(result.affine, param.affine, -1) if param.type == I64_SCALAR and step is None else None
        is_known = isinstance(growth, Dim) and not any(s in made for s, _ in growth.terms)
        growths.append(growth if is_known else None)
    return growths


# --- what follows from an instruction ------------------------------------------------------------------------------


def _between(facts: Facts, result: Affine, a: Affine, b: Affine) -> None:
    """`result` is one of `a` and `b`, which differ by a constant."""
    difference = dim_add(a, b, -1)
    if isinstance(difference, int):
        low, high = (b, a) if difference >= 0 else (a, b)
        facts.add(dim_add(result, low, -1))
        facts.add(dim_add(high, result, -1))


def _learn_floordiv(facts: Facts, instr: Instr) -> None:
    x, divisor, r = (v.affine for v in (*instr.operands, instr.result))
    if isinstance(divisor, int) and divisor > 0:
        remainder = dim_add(x, r, -divisor)
        facts.add(remainder)
        facts.add(dim_add(divisor - 1, remainder, -1))
        if facts.proves(x):
            facts.add(r)


def _learn_mod(facts: Facts, instr: Instr) -> None:
    x, divisor, r = (v.affine for v in (*instr.operands, instr.result))
    if facts.proves(dim_add(divisor, -1)):
        facts.add(r)
        facts.add(dim_add(dim_add(divisor, -1), r, -1))
        if facts.proves(x):
            facts.add(dim_add(x, r, -1))


def _learn_extremum(facts: Facts, instr: Instr) -> None:
    sign = 1 if instr.op.name == "maximum" else -1
    forms = [o.affine for o in instr.operands]
    r = instr.result.affine
    for form in forms:
        facts.add(dim_scale(dim_add(r, form, -1), sign))
    if sign < 0 and all(facts.proves(f) for f in forms):
        facts.add(r)


def _learn_select(facts: Facts, instr: Instr) -> None:
    predicate, then, otherwise = instr.operands
    r = instr.result.affine
    _between(facts, r, then.affine, otherwise.affine)
    positive = []
    for value, truth in ((then, True), (otherwise, False)):
        mark = facts.mark()
        facts.assume(predicate, truth)
        positive.append(facts.proves(value.affine))
        facts.forget(mark)
    if all(positive):
        facts.add(r)


def _learn_convert(facts: Facts, instr: Instr) -> None:
    if instr.operands[0].tensor.dtype.name == "bool":
        facts.add(instr.result.affine)
        facts.add(dim_add(1, instr.result.affine, -1))


def _learn_abs(facts: Facts, instr: Instr) -> None:
    facts.add(instr.result.affine)
    facts.add(dim_add(instr.result.affine, instr.operands[0].affine, -1))


def _learn_position(facts: Facts, instr: Instr) -> None:
    size = instr.operands[0].dims[instr.attrs["axis"]]
    facts.add(instr.result.affine)
    facts.add(dim_add(dim_add(size, -1), instr.result.affine, -1))


_LEARN: dict[str, Callable[[Facts, Instr], None]] = {
    "floordiv": _learn_floordiv,
    "mod": _learn_mod,
    "maximum": _learn_extremum,
    "minimum": _learn_extremum,
    "select": _learn_select,
    "convert": _learn_convert,
    "abs": _learn_abs,
    "argmax": _learn_position,
    "argmin": _learn_position,
}

_HANDLERS: dict[str, Callable[[BoundsRewriter, RewriteBuilder, Instr], None]] = {
    "if": BoundsRewriter.conditional,
    "for": BoundsRewriter.counted,
    "while": BoundsRewriter.loop,
    "wrap_index": BoundsRewriter.wrap_index,
    "check": BoundsRewriter.check,
    "maximum": BoundsRewriter.extremum,
    "minimum": BoundsRewriter.extremum,
}
