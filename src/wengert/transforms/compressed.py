"""Sparse Jacobians as IR: several tangents at once, one per colour of columns; a loop over the colours of rows; one gather.

The tangents of a chunk of colours are computed side by side, so what they have in common (the primal and its partial derivatives)
is computed once.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Sequence

from wengert.ir.builder import Builder
from wengert.ir.calls import refresh, walk_all
from wengert.ir.core import Function, Instr, Region, Value
from wengert.ir.op import get_op
from wengert.ir.rewrite import copy_value, inline
from wengert.transforms.activity import Callees, active_values, loop_parts, refuse_cuts, tangent_elements, tangent_type
from wengert.transforms.custom import refuse_repeated_effects
from wengert.transforms.jvp import (
    Tangents,
    fresh_copy,
    jvp,
    tangent_entry,
    tangent_name,
    tangent_of_instr,
    tangent_or_zero,
)
from wengert.transforms.vjp import vjp
from wengert.types import F64, I64, I64_SCALAR, StackType, TensorType, dim_of

MAX_SIDE_BY_SIDE = 16
"""Tangents that are computed together at most; more of them take a loop."""


def can_share(fn: Function) -> bool:
    """Whether several tangents of `fn` can be computed side by side: it calls no functions and has no rules of the user's own."""
    return not any(i.op.name in ("call", "custom") for i in walk_all(fn))


def compressed(fn: Function, wrt: Sequence[int], side_by_side: int, looped: bool, has_rows: bool) -> Function:
    """The entries of the Jacobian of the float results of `fn` with respect to the parameters `wrt`.

    Args:
        fn: the function.
        wrt: positions of float parameters.
        side_by_side: how many colours of columns are done together; 0 if there are none.
        looped: whether there may be more chunks of them than one.
        has_rows: whether there are colours of rows.

    Returns:
        A function of the parameters; per entry of `wrt` the colours of its elements, in its shape; per float result the colours
        of its elements, flat; the numbers of chunks and of colours of rows; and where each entry is taken from. It returns the
        entries. They are taken from a table with a row of all result elements per colour of columns, then one of all elements of
        `wrt` per colour of rows.
    """
    refuse_repeated_effects(fn, "a Jacobian")
    fn = fresh_copy(fn)
    b = Builder(fn.span)
    outputs = [r for r in fn.results if r.is_float]
    column_colours = [Value(TensorType(I64, fn.params[k].dims), "column_colours") for k in wrt]
    heights = [Value(I64_SCALAR, "height") for _ in outputs]
    row_colours = [Value(TensorType(I64, (dim_of(h),)), "row_colours") for h in heights]
    chunks, row_count, entries = (Value(I64_SCALAR, name) for name in ("chunks", "row_count", "entries"))
    places = Value(TensorType(I64, (dim_of(entries),)), "places")
    widths = [_size(b, fn.params[k]) for k in wrt]
    table = _Table(b, heights, widths, b.mul(chunks, b.const(side_by_side)), row_count)
    found = table.start
    if side_by_side:
        tangents = side_by_side_jvp(fn, wrt, side_by_side) if can_share(fn) else jvp(fn, wrt)

        def chunk(inner: Builder, index: Value, carried: Value) -> Value:
            first = inner.mul(index, inner.const(side_by_side))
            colours = [inner.add(first, inner.const(k)) for k in range(side_by_side)]
            seeds = [
                _indicator(inner, c, colour, fn.params[k])
                for colour in colours
                for k, c in zip(wrt, column_colours, strict=True)
            ]
            dots = inline(inner, tangents, [*fn.params, *seeds])[len(fn.results) :]
            for n, dot in enumerate(dots):
                colour, which = colours[n // len(outputs)], n % len(outputs)
                carried = table.put_row(inner, carried, colour, which, dot)
            return carried

        found = _repeat(b, chunks, found, chunk) if looped else chunk(b, b.const(0), found)
    if has_rows:
        reverse = vjp(fn, wrt)
        results = [r for r in inline(b, fn, fn.params) if r.is_float]
        shaped = [b.reshape(c, *[b.dim(d) for d in r.dims]) for c, r in zip(row_colours, results, strict=True)]

        def row(inner: Builder, index: Value, carried: Value) -> Value:
            seeds = [_indicator(inner, c, index, r) for c, r in zip(shaped, results, strict=True)]
            bars = inline(inner, reverse, [*fn.params, *seeds])[len(fn.results) :]
            for which, bar in enumerate(bars):
                carried = table.put_column(inner, carried, index, which, bar)
            return carried

        found = _repeat(b, row_count, found, row)
    data = b.gather(found, places)
    params = (*fn.params, *column_colours, *row_colours, chunks, row_count, places)
    name, instrs = f"{fn.name}_entries", tuple(b.instrs)
    return refresh(Function(name, (*fn.dims, *heights, entries), params, instrs, (data,), fn.span, b.functions))


class _Table:
    """The flat table of compressed derivatives.

    Attributes:
        start: the table, all zero.
        tops: where the results begin in a row of the first part, and its length at the end.
        lefts: where the parameters begin in a row of the second part, and its length at the end.
        second: where the second part begins.
    """

    def __init__(self, b: Builder, heights: Sequence[Value], widths: Sequence[Value], first: Value, second: Value) -> None:
        self.heights, self.widths = heights, widths
        self.tops, self.lefts = _running(b, heights), _running(b, widths)
        self.second = b.mul(first, self.tops[-1])
        total = b.add(self.second, b.mul(second, self.lefts[-1]))
        self.start = b.full((total.affine,), 0.0, F64)

    def put_row(self, b: Builder, table: Value, colour: Value, which: int, dot: Value) -> Value:
        """`table` with the tangent of result number `which` for a colour of columns."""
        begin = b.add(b.mul(colour, self.tops[-1]), self.tops[which])
        return self._put(b, table, begin, self.heights[which], dot)

    def put_column(self, b: Builder, table: Value, colour: Value, which: int, bar: Value) -> Value:
        """`table` with the cotangent of parameter number `which` for a colour of rows."""
        begin = b.add(self.second, b.add(b.mul(colour, self.lefts[-1]), self.lefts[which]))
        return self._put(b, table, begin, self.widths[which], bar)

    def _put(self, b: Builder, table: Value, begin: Value, size: Value, part: Value) -> Value:
        found: Value
        if not part.rank:
            found = b.update(table, part, begin, spec=("i",))
        else:
            flat = b.reshape(part, size) if part.rank > 1 else b.assume_shape(part, size)
            found = b.update(table, flat, begin, size, b.const(1), spec=("s",))
        return found


def _running(b: Builder, sizes: Sequence[Value]) -> list[Value]:
    total = b.const(0)
    sums = [total]
    for size in sizes:
        total = b.add(total, size)
        sums.append(total)
    return sums


def _size(b: Builder, value: Value) -> Value:
    total = b.const(1)
    for d in value.dims:
        total = b.mul(total, b.dim(d))
    return total


def _indicator(b: Builder, colours: Value, colour: Value, model: Value) -> Value:
    """One where the colour is the given one, else zero, in the shape of `model`."""
    dtype = model.tensor.dtype
    chosen = b.eq(colours, b.broadcast_to(colour, colours.dims, ()))
    found: Value = b.select(chosen, b.full(model.dims, 1.0, dtype), b.full(model.dims, 0.0, dtype))
    return found


def _repeat(b: Builder, count: Value, start: Value, step: Callable[[Builder, Value, Value], Value]) -> Value:
    """`start` after `count` steps."""
    index, carried = Value(I64_SCALAR, "colour"), Value(start.type, "table")
    inner = b.child()
    found = step(inner, index, carried)
    region = Region((index, carried), tuple(inner.instrs), (found,))
    return b.emit(get_op("for"), (count, start), {}, (region,))[0]


# --- several tangents ------------------------------------------------------------------------------------------------


def side_by_side_jvp(fn: Function, wrt: Sequence[int], count: int) -> Function:
    """Like `jvp`, with `count` tangents of each parameter and result: all of the first direction, then of the second, ..."""
    fn = fresh_copy(fn)
    b = Builder(fn.span)
    tangents: list[Tangents] = []
    dots = []
    for _ in range(count):
        direction = {fn.params[k]: Value(fn.params[k].type, tangent_name(fn.params[k])) for k in wrt}
        tangents.append(dict(direction))
        dots += [direction[fn.params[k]] for k in wrt]
    callees = Callees(fn.functions)
    refuse_cuts(fn.instrs, [fn.params[k] for k in wrt], callees)
    active = active_values(fn.instrs, [fn.params[k] for k in wrt], fn.results, callees)
    _SideBySide(active).block(b, fn.instrs, tangents)
    floats = [r for r in fn.results if r.is_float]
    found = [tangent_or_zero(b, r, direction) for direction in tangents for r in floats]
    name, instrs = f"{fn.name}_jvps", tuple(b.instrs)
    return refresh(Function(name, fn.dims, (*fn.params, *dots), instrs, (*fn.results, *found), fn.span))


class _SideBySide:
    """The forward transform of blocks along several directions."""

    def __init__(self, active: set[Value]) -> None:
        self.active = active

    def block(self, b: Builder, instrs: Sequence[Instr], tangents: Sequence[Tangents]) -> None:
        """Emit `instrs` and their tangents into `b`."""
        for instr in instrs:
            b.span = instr.span
            if not any(r in self.active for r in instr.results):
                b.append(instr)
            elif instr.op.name == "if":
                self.branch(b, instr, tangents)
            elif instr.regions:
                self.loop(b, instr, tangents)
            else:
                b.append(instr)
                for direction in tangents:
                    _leaf(b, instr, direction)

    def branch(self, b: Builder, instr: Instr, tangents: Sequence[Tangents]) -> None:
        moving = [k for k, r in enumerate(instr.results) if r in self.active]
        regions = []
        for region in instr.regions:
            inner = b.child()
            local: list[Tangents] = [ChainMap({}, t) for t in tangents]
            self.block(inner, region.instrs, local)
            dots = [tangent_or_zero(inner, region.results[k], t) for t in local for k in moving]
            regions.append(Region((), tuple(inner.instrs), (*region.results, *dots)))
        self._finish(b, instr, instr.operands, regions, moving, tangents)

    def loop(self, b: Builder, instr: Instr, tangents: Sequence[Tangents]) -> None:
        body, init, carry = loop_parts(instr)
        moving = [k for k, p in enumerate(carry) if p in self.active]
        start = [tangent_or_zero(b, init[k], t) for t in tangents for k in moving]
        made = [{carry[k]: Value(tangent_type(carry[k].type), tangent_name(carry[k])) for k in moving} for _ in tangents]
        params = [m[carry[k]] for m in made for k in moving]
        local: list[Tangents] = [ChainMap(dict(m), t) for m, t in zip(made, tangents, strict=True)]
        inner = b.child()
        self.block(inner, body.instrs, local)
        yields = [tangent_or_zero(inner, body.results[k], t) for t in local for k in moving]
        regions = [Region((*body.params, *params), tuple(inner.instrs), (*body.results, *yields))]
        if instr.op.name == "while":
            cond = instr.regions[0]
            same = dict(zip(carry, cond.params, strict=True))
            extra = [copy_value(dict(same), p) for p in params]
            regions.insert(0, Region((*cond.params, *extra), cond.instrs, cond.results))
        self._finish(b, instr, (*instr.operands, *start), regions, moving, tangents)

    def _finish(
        self,
        b: Builder,
        instr: Instr,
        operands: Sequence[Value],
        regions: Sequence[Region],
        moving: Sequence[int],
        tangents: Sequence[Tangents],
    ) -> None:
        """Append `instr` with all tangents behind its results."""
        dots = []
        for direction in tangents:
            for k in moving:
                old = instr.results[k]
                direction[old] = dot = Value(tangent_type(old.type), tangent_name(old))
                dots.append(dot)
        b.append(Instr(instr.op, tuple(operands), (*instr.results, *dots), instr.attrs, tuple(regions), instr.span))


def _leaf(b: Builder, instr: Instr, tangents: Tangents) -> None:
    """Emit the tangent of an instruction without regions."""
    if instr.op.name not in ("push", "pop"):
        tangent = tangent_of_instr(b, instr, tangents)
        if tangent is not None:
            tangents[instr.result] = tangent
        return
    stack = instr.operands[0]
    assert isinstance(stack.type, StackType)
    if instr.op.name == "push":
        stack_dot, entry = tangent_entry(b, stack, instr.operands[1:], tangents)
        tangents[instr.result] = b.emit(instr.op, (stack_dot, *entry))[0]
        return
    rest, *popped = b.emit(instr.op, (tangent_or_zero(b, stack, tangents),))
    tangents[instr.results[0]] = rest
    for k, dot in zip(tangent_elements(stack.type), popped, strict=True):
        primal = instr.results[k + 1]
        if primal.is_float:
            same = dot.dims == primal.dims
            tangents[primal] = dot if same else b.assume_shape(dot, *[b.dim(d) for d in primal.dims])
