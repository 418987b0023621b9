"""Sparse Jacobians as IR: several tangents at once, one per colour of columns; a loop over the colours of rows; one gather.

The tangents of a chunk of colours are computed side by side, so what they have in common (the primal and its partial derivatives)
is computed once.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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

MAX_SIDE_BY_SIDE = 8
"""Tangents that are computed together at most; more of them take a loop."""


def can_share(fn: Function) -> bool:
    """Whether several tangents of `fn` can be computed side by side: it calls no functions and has no rules of the user's own."""
    return not any(i.op.name in ("call", "custom") for i in walk_all(fn))


@dataclass(frozen=True)
class Group:
    """Colours of columns that are done alike.

    Attributes:
        directions: per tangent that is computed side by side, the entries of `wrt` that have columns of its colour.
        looped: whether this is done more than once.
    """

    directions: tuple[tuple[int, ...], ...]
    looped: bool


def compressed(fn: Function, wrt: Sequence[int], groups: Sequence[Group], has_rows: bool) -> Function:
    """The entries of the Jacobian of the float results of `fn` with respect to the parameters `wrt`.

    Args:
        fn: the function.
        wrt: positions of float parameters.
        groups: how the colours of columns are done.
        has_rows: whether there are colours of rows.

    Returns:
        A function of the parameters; per entry of `wrt` the colours of its elements, in its shape; per float result the colours
        of its elements, flat; per group its first colour and how often it is done; the numbers of colours of columns and of rows;
        and where each entry is taken from. It returns the entries. They are taken from a table with a row of all result elements
        per colour of columns, then one of all elements of `wrt` per colour of rows.
    """
    refuse_repeated_effects(fn, "a Jacobian")
    fn = fresh_copy(fn)
    b = Builder(fn.span)
    outputs = [r for r in fn.results if r.is_float]
    column_colours = [Value(TensorType(I64, fn.params[k].dims), "column_colours") for k in wrt]
    heights = [Value(I64_SCALAR, "height") for _ in outputs]
    row_colours = [Value(TensorType(I64, (dim_of(h),)), "row_colours") for h in heights]
    starts = [Value(I64_SCALAR, name) for _ in groups for name in ("first", "times")]
    column_count, row_count, entries = (Value(I64_SCALAR, name) for name in ("column_count", "row_count", "entries"))
    places = Value(TensorType(I64, (dim_of(entries),)), "places")
    table = _Table(b, heights, [_size(b, fn.params[k]) for k in wrt], column_count, row_count)
    found = table.start
    for k, group in enumerate(groups):
        found = _columns(b, fn, wrt, group, column_colours, starts[2 * k], starts[2 * k + 1], table, found)
    if has_rows:
        found = _rows(b, fn, wrt, row_colours, row_count, table, found)
    data = b.gather(found, places)
    params = (*fn.params, *column_colours, *row_colours, *starts, column_count, row_count, places)
    name, instrs = f"{fn.name}_entries", tuple(b.instrs)
    return refresh(Function(name, (*fn.dims, *heights, entries), params, instrs, (data,), fn.span, b.functions))


def _columns(
    b: Builder,
    fn: Function,
    wrt: Sequence[int],
    group: Group,
    colours: Sequence[Value],
    first: Value,
    times: Value,
    table: _Table,
    start: Value,
) -> Value:
    """The table with the rows of a group of colours of columns."""
    count, height = len(group.directions), len(table.heights)
    tangents = side_by_side_jvp(fn, wrt, group.directions) if can_share(fn) else jvp(fn, [wrt[k] for k in group.directions[0]])

    def chunk(inner: Builder, index: Value, carried: Value) -> Value:
        begin = inner.add(first, inner.mul(index, inner.const(count)))
        mine = [inner.add(begin, inner.const(k)) for k in range(count)]
        seeds = [
            _indicator(inner, colours[k], colour, fn.params[wrt[k]])
            for colour, leaves in zip(mine, group.directions, strict=True)
            for k in leaves
        ]
        dots = inline(inner, tangents, [*fn.params, *seeds])[len(fn.results) :]
        for n, dot in enumerate(dots):
            carried = table.put_row(inner, carried, mine[n // height], n % height, dot)
        return carried

    return _repeat(b, times, start, chunk) if group.looped else chunk(b, b.const(0), start)


def _rows(
    b: Builder,
    fn: Function,
    wrt: Sequence[int],
    colours: Sequence[Value],
    count: Value,
    table: _Table,
    start: Value,
) -> Value:
    """The table with the rows of all colours of rows."""
    reverse = vjp(fn, wrt)
    results = [r for r in inline(b, fn, fn.params) if r.is_float]
    shaped = [b.reshape(c, *[b.dim(d) for d in r.dims]) for c, r in zip(colours, results, strict=True)]

    def row(inner: Builder, index: Value, carried: Value) -> Value:
        seeds = [_indicator(inner, c, index, r) for c, r in zip(shaped, results, strict=True)]
        bars = inline(inner, reverse, [*fn.params, *seeds])[len(fn.results) :]
        for which, bar in enumerate(bars):
            carried = table.put_column(inner, carried, index, which, bar)
        return carried

    return _repeat(b, count, start, row)


class _Table:
    """The flat table of compressed derivatives.

    Attributes:
        start: the table, empty.
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
        if part.tensor.dtype is not F64:
            part = b.convert(part, dtype=F64)
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


def side_by_side_jvp(fn: Function, wrt: Sequence[int], directions: Sequence[tuple[int, ...]]) -> Function:
    """Like `jvp` along several directions at once.

    Args:
        fn: the function.
        wrt: positions of float parameters.
        directions: per direction, the entries of `wrt` that have a tangent.

    Returns:
        A function of the parameters, then the tangents of the first direction, of the second, ...; it returns the results of
        `fn`,
        then a tangent per float result along the first direction, along the second, ...
    """
    fn = fresh_copy(fn)
    b = Builder(fn.span)
    tangents: list[Tangents] = []
    dots = []
    for leaves in directions:
        params = [fn.params[wrt[k]] for k in leaves]
        tangents.append({p: Value(p.type, tangent_name(p)) for p in params})
        dots += [tangents[-1][p] for p in params]
    callees = Callees(fn.functions)
    refuse_cuts(fn.instrs, [fn.params[k] for k in wrt], callees)
    active = {d: active_values(fn.instrs, [fn.params[wrt[k]] for k in d], fn.results, callees) for d in set(directions)}
    _SideBySide([active[d] for d in directions]).block(b, fn.instrs, tangents)
    floats = [r for r in fn.results if r.is_float]
    found = [tangent_or_zero(b, r, direction) for direction in tangents for r in floats]
    name, instrs = f"{fn.name}_jvps", tuple(b.instrs)
    return refresh(Function(name, fn.dims, (*fn.params, *dots), instrs, (*fn.results, *found), fn.span))


class _SideBySide:
    """The forward transform of blocks along several directions, given the active values of each."""

    def __init__(self, active: Sequence[set[Value]]) -> None:
        self.active = active
        self.anywhere = set().union(*active)

    def block(self, b: Builder, instrs: Sequence[Instr], tangents: Sequence[Tangents]) -> None:
        """Emit `instrs` and their tangents into `b`."""
        for instr in instrs:
            b.span = instr.span
            if not any(r in self.anywhere for r in instr.results):
                b.append(instr)
            elif instr.op.name == "if":
                self.branch(b, instr, tangents)
            elif instr.regions:
                self.loop(b, instr, tangents)
            else:
                b.append(instr)
                for active, direction in zip(self.active, tangents, strict=True):
                    if any(r in active for r in instr.results):
                        _leaf(b, instr, direction)

    def moving(self, values: Sequence[Value], tangents: Sequence[Tangents]) -> list[tuple[int, Tangents, int]]:
        """What moves: the direction, its tangents, the position among `values`."""
        each = enumerate(zip(self.active, tangents, strict=True))
        return [(n, t, k) for n, (active, t) in each for k, v in enumerate(values) if v in active]

    def branch(self, b: Builder, instr: Instr, tangents: Sequence[Tangents]) -> None:
        regions = []
        for region in instr.regions:
            inner = b.child()
            local: list[Tangents] = [ChainMap({}, t) for t in tangents]
            self.block(inner, region.instrs, local)
            dots = [tangent_or_zero(inner, region.results[k], t) for _, t, k in self.moving(instr.results, local)]
            regions.append(Region((), tuple(inner.instrs), (*region.results, *dots)))
        self._finish(b, instr, instr.operands, regions, self.moving(instr.results, tangents))

    def loop(self, b: Builder, instr: Instr, tangents: Sequence[Tangents]) -> None:
        body, init, carry = loop_parts(instr)
        moving = self.moving(carry, tangents)
        start = [tangent_or_zero(b, init[k], t) for _, t, k in moving]
        params = [Value(tangent_type(carry[k].type), tangent_name(carry[k])) for _, _, k in moving]
        local: list[Tangents] = [ChainMap({}, t) for t in tangents]
        for (n, _, k), param in zip(moving, params, strict=True):
            local[n][carry[k]] = param
        inner = b.child()
        self.block(inner, body.instrs, local)
        yields = [tangent_or_zero(inner, body.results[k], local[n]) for n, _, k in moving]
        regions = [Region((*body.params, *params), tuple(inner.instrs), (*body.results, *yields))]
        if instr.op.name == "while":
            cond = instr.regions[0]
            same = dict(zip(carry, cond.params, strict=True))
            extra = [copy_value(dict(same), p) for p in params]
            regions.insert(0, Region((*cond.params, *extra), cond.instrs, cond.results))
        self._finish(b, instr, (*instr.operands, *start), regions, moving)

    def _finish(
        self,
        b: Builder,
        instr: Instr,
        operands: Sequence[Value],
        regions: Sequence[Region],
        moving: Sequence[tuple[int, Tangents, int]],
    ) -> None:
        """Append `instr` with all tangents behind its results."""
        dots = []
        for _, direction, k in moving:
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
