"""Loops that walk down columns: their trips are taken abreast, as operations on arrays that walk along rows.

`for j in range(n): a[i, j] -= a[i, :i] @ a[:i, j]` reads one column a trip, of which every element lies in another line of the
cache. Where no trip needs what another one writes, the loop becomes `a[i, :n] -= a[i, :i] @ a[:i, :n]`, whose innermost loop goes
along rows, forwards and in the derivative. What a trip computes gets one more axis, the last one, for the trips.

Trips are independent where all that is written lies at an index of its own, which goes up or down by one, and all that is read of
the same array lies at that index, too, or apart from everything that is written. A number to which each trip adds is added up
behind, in a loop of its own and in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from wengert.ir.builder import Builder
from wengert.ir.core import Function, Instr, Region, Value, walk
from wengert.ir.rewriter import RewriteBuilder
from wengert.ops.index import Entry, entries
from wengert.passes.bounds import BoundsRewriter
from wengert.passes.ranges import Facts
from wengert.types import I64_SCALAR, Affine, Dim, TensorType, dim_add

_WRITES = frozenset({"update", "add_at"})


def abreast(fn: Function) -> Function:
    """`fn` with loops over columns as operations on whole rows."""
    if not any(i.op.name == "for" and _walks_columns(i) for i in walk(fn.instrs)):
        return fn
    return _Abreast().function(fn)


def _walks_columns(loop: Instr) -> bool:
    """Whether a loop over simple instructions reads columns of a matrix, one a trip."""
    (body,) = loop.regions
    if any(i.regions for i in body.instrs):
        return False
    counter = body.params[0]
    return any(i.op.name == "index" and i.result.rank and _goes_with(i.operands[-1], counter) for i in body.instrs
               if i.op.name == "index" and i.attrs["spec"][-1] == "i")  # fmt: skip


def _goes_with(place: Value, counter: Value) -> bool:
    form = place.affine
    return isinstance(form, Dim) and any(symbol is counter for symbol, _ in form.terms)


class _Abreast(BoundsRewriter):
    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        super().visit(b, instr)
        if instr.op.name != "for" or not b.instrs or b.instrs[-1].op.name != "for":
            return
        loop = b.instrs[-1]
        if not _walks_columns(loop) or not self.pinned.isdisjoint((*instr.results, *loop.results)):
            return
        trips = _Trips(loop, self.facts)
        if not trips.are_independent():
            return
        b.instrs.pop()
        for old, new, value in zip(instr.results, loop.results, _emitted(b, trips, self.facts), strict=True):
            self.env[old] = self.env[new] = value


# --- analysis --------------------------------------------------------------------------------------------------------


@dataclass
class _Trips:
    """What the trips of a loop have to do with one another.

    Attributes:
        loop: the loop.
        facts: what is known of integers in front of it.
        places: integers that go up or down by one from trip to trip, and by how much.
        wide: what else differs from trip to trip.
        read_sizes: the sizes of columns that are read, a different one in each trip.
        arrays: the carried arrays, in all their versions, and the position of each among the carries.
        sums: the carried numbers that trips only add to, in all their versions, and the position of each.
        terms: what is added to each, in order: the instruction and the term.
        latest: the latest version of each carry.
        written: what is written of each carry.
        read: what is read of each.
        guarded: whether something is done that goes wrong where there is no trip.
    """

    loop: Instr
    facts: Facts
    places: dict[Value, int] = field(default_factory=dict)
    wide: set[Value] = field(default_factory=set)
    read_sizes: set[tuple[Affine, ...]] = field(default_factory=set)
    arrays: dict[Value, int] = field(default_factory=dict)
    sums: dict[Value, int] = field(default_factory=dict)
    terms: dict[int, list[tuple[Instr, Value]]] = field(default_factory=dict)
    latest: dict[int, Value] = field(default_factory=dict)
    written: dict[int, list[list[Entry]]] = field(default_factory=dict)
    read: dict[int, list[list[Entry]]] = field(default_factory=dict)
    guarded: bool = False

    @property
    def body(self) -> Region:
        """What a trip does."""
        return self.loop.regions[0]

    @property
    def counter(self) -> Value:
        """The number of the trip."""
        return self.body.params[0]

    def are_independent(self) -> bool:
        """Whether the trips may be taken abreast; afterwards the attributes say what is what."""
        self.places[self.counter] = 1
        inside = {*self.body.params, *(r for i in self.body.instrs for r in i.results)}
        for position, carry in enumerate(self.body.params[1:]):
            if not isinstance(carry.type, TensorType) or not inside.isdisjoint(carry.type.symbols()):
                return False
            (self.arrays if carry.rank else self.sums)[carry] = position
            self.latest[position] = carry
        if not all(self.is_simple(i) for i in self.body.instrs):
            return False
        if any(self.latest[k] is not r for k, r in enumerate(self.body.results)):
            return False
        # What is computed for all trips at once takes no more memory than what is read.
        if any(v.rank and v.dims not in self.read_sizes for v in self.wide):
            return False
        return all(self.is_apart(k, part) for k in self.written for part in (*self.read.get(k, ()), *self.written[k]))

    def is_simple(self, instr: Instr) -> bool:
        """Whether an instruction can be done for all trips at once; notes which of its results differ from trip to trip."""
        name, kind = instr.op.name, instr.op.kind
        if instr.regions or instr.op.effects or len(instr.results) != 1:
            return False
        if any(s in self.places or s in self.wide for s in instr.result.type.symbols()):
            return False
        if name == "index":
            return self.reads(instr)
        if name in _WRITES:
            return self.writes(instr)
        if any(o in self.sums for o in instr.operands):
            return self.adds(instr)
        if any(o in self.arrays for o in instr.operands):
            return False
        if any(o in self.places for o in instr.operands):
            return kind == "elementwise" and self.is_place(instr.result)
        if not any(o in self.wide for o in instr.operands):
            self.guarded = self.guarded or name == "assume_shape"
            return kind in ("constant", "elementwise") or name in ("broadcast", "assume_shape", "matmul", "sum")
        self.wide.add(instr.result)
        if name == "assume_shape" and instr.operands[0].dims in self.read_sizes:
            self.read_sizes.add(instr.result.dims)
        if name in ("broadcast", "assume_shape"):
            return self.wide.isdisjoint(instr.operands[1:])
        return kind == "elementwise" or name == "sum" or (name == "matmul" and all(o.rank == 1 for o in instr.operands))

    def is_place(self, value: Value) -> bool:
        """Whether an integer goes up or down by one from trip to trip; notes it."""
        form = value.affine
        if value.type != I64_SCALAR or not isinstance(form, Dim):
            return False
        slopes = dict(form.terms)
        slope = slopes.pop(self.counter, 0)
        if slope not in (1, -1) or any(s in self.places or s in self.wide for s in slopes):
            return False
        self.places[value] = slope
        return True

    def reads(self, instr: Instr) -> bool:
        """`index`: the same part in all trips, or a part for each trip."""
        source, places = instr.operands[0], instr.operands[1:]
        if any(p in self.wide or p in self.sums for p in places):
            return False
        own = any(p in self.places for p in places)
        if own and (source in self.wide or not self.at_own_place(entries(instr))):
            return False
        if own or source in self.wide:
            self.wide.add(instr.result)
            self.read_sizes.add(instr.result.dims)
        self.guarded = self.guarded or not self.is_in_range(instr, 1)
        if source in self.arrays:
            self.read.setdefault(self.arrays[source], []).append(entries(instr))
        return True

    def writes(self, instr: Instr) -> bool:
        """`update` and `add_at` of a part for each trip."""
        source, part, *places = instr.operands
        carry = self.arrays.get(source)
        if carry is None or self.latest[carry] is not source or any(part in t for t in (self.arrays, self.places, self.sums)):
            return False
        written = entries(instr, first=2)
        if any(p in self.wide for p in places) or not self.at_own_place(written):
            return False
        self.guarded = self.guarded or not self.is_in_range(instr, 2)
        self.arrays[instr.result] = carry
        self.latest[carry] = instr.result
        self.written.setdefault(carry, []).append(written)
        return True

    def adds(self, instr: Instr) -> bool:
        """`add` of a term to a number that is carried."""
        if instr.op.name != "add" or not instr.result.is_float or instr.operands[0] is instr.operands[1]:
            return False
        before, term = instr.operands if instr.operands[0] in self.sums else instr.operands[::-1]
        position = self.sums[before]
        if self.latest[position] is not before or term in self.sums or term in self.arrays:
            return False
        self.sums[instr.result] = position
        self.latest[position] = instr.result
        self.terms.setdefault(position, []).append((instr, term))
        return True

    def is_in_range(self, instr: Instr, first: int) -> bool:
        """Whether a part lies in its array for sure, even where there is no trip."""
        for (kind, values), size in zip(entries(instr, first=first), instr.operands[0].dims):
            if kind == "i" and values[0] not in self.places:
                if not self.facts.proves(values[0].affine) or not self.facts.less(values[0].affine, size):
                    return False
            elif kind == "s":
                start, count, step = (v.affine for v in values)
                left = dim_add(dim_add(size, start, -1), count, -1)
                if step != 1 or not self.facts.proves(start) or not self.facts.proves(left):
                    return False
        return True

    def at_own_place(self, part: Sequence[Entry]) -> bool:
        """Whether a part is chosen by one index that goes with the trips, behind all axes that stay."""
        own = [k for k, (_, values) in enumerate(part) if any(v in self.places for v in values)]
        return len(own) == 1 and part[own[0]][0] == "i" and all(kind == "i" for kind, _ in part[own[0] :])

    def is_apart(self, carry: int, part: Sequence[Entry]) -> bool:
        """Whether what one trip reads or writes there is never written by another one."""
        return all(_meets_itself(part, other, self.places) or self.apart(part, other) for other in self.written[carry])

    def apart(self, part: Sequence[Entry], written: Sequence[Entry]) -> bool:
        """Whether two parts have no element in common, whatever the trips."""
        for one, other in zip(part, written, strict=True):
            mine, theirs = self.span(one), self.span(other)
            if mine is None or theirs is None:
                continue
            if self.facts.less(mine[1], theirs[0]) or self.facts.less(theirs[1], mine[0]):
                return True
        return False

    def span(self, entry: Entry) -> tuple[Affine, Affine] | None:
        """The first and the last index along an axis, over all trips."""
        kind, values = entry
        if kind == ":" or any(v in self.wide for v in values):
            return None
        first = values[0].affine
        if kind == "s":
            return (first, dim_add(dim_add(first, values[1].affine), -1)) if values[2].affine == 1 else None
        slope = self.places.get(values[0])
        if slope is None:
            return first, first
        beginning = dim_add(first, self.counter.affine, -slope)
        end = dim_add(dim_add(beginning, self.loop.operands[0].affine, slope), -slope)
        return (beginning, end) if slope > 0 else (end, beginning)


def _meets_itself(part: Sequence[Entry], written: Sequence[Entry], places: dict[Value, int]) -> bool:
    """Whether both lie at the same index of their trip, so that no two trips meet."""
    return any(
        kind == other == "i" and mine[0] in places and theirs[0] in places and mine[0].affine == theirs[0].affine
        for (kind, mine), (other, theirs) in zip(part, written, strict=True)
    )


# --- the same on arrays ----------------------------------------------------------------------------------------------


def _emitted(b: RewriteBuilder, trips: _Trips, facts: Facts) -> tuple[Value, ...]:
    """The carries after all trips."""
    count, init = trips.loop.operands[0], trips.loop.operands[1:]
    b.span = trips.loop.span
    if not trips.guarded:
        number = count if facts.proves(count.affine) else b.maximum(count, b.const(0))
        return _Rows(b, trips, number, init).carries()
    if facts.less(0, count.affine):
        return _Rows(b, trips, count, init).carries()
    # A loop of one trip or none, since reverse mode puts back what loops overwrite, but not what arms of an `if` do.
    params = tuple(Value(v.type, r.name) for v, r in zip(init, trips.loop.results, strict=True))
    inner = b.child()
    found = _Rows(inner, trips, count, params).carries()
    region = Region((Value(I64_SCALAR, "once"), *params), tuple(inner.instrs), found)
    once = b.select(b.gt(count, b.const(0)), b.const(1), b.const(0))
    return b.emit(trips.loop.op, [once, *init], dict(trips.loop.attrs), [region], [r.name for r in trips.loop.results])


class _Rows:
    """Does what all trips of a loop do; what differs from trip to trip has them as its last axis."""

    def __init__(self, b: Builder, trips: _Trips, count: Value, before: Sequence[Value]) -> None:
        self.b, self.trips, self.count = b, trips, count
        self.env: dict[Value, Value] = {trips.counter: b.const(0)}
        self.env.update(zip(trips.body.params[1:], before, strict=True))

    def carries(self) -> tuple[Value, ...]:
        """Emit it; gives the carries behind the last trip."""
        for instr in self.trips.body.instrs:
            if instr.result not in self.trips.sums:
                self.b.span = instr.span or self.trips.loop.span
                self.env[instr.result] = self.one(instr)
        self.b.span = self.trips.loop.span
        self.add_up()
        return tuple(self.env.get(r, r) for r in self.trips.body.results)

    def add_up(self) -> None:
        """The sums, in the order in which the trips would add."""
        trips = self.trips
        positions = list(trips.terms)
        if not positions:
            return
        starts = [self.env[trips.body.params[1 + k]] for k in positions]
        params = [Value(v.type, v.name) for v in starts]
        trip = Value(I64_SCALAR, "trip")
        inner, totals = self.b.child(), list(params)
        for k, position in enumerate(positions):
            for instr, term in trips.terms[position]:
                inner.span = instr.span
                found = self.env.get(term, term)
                found = inner.index(found, trip, spec=("i",)) if term in trips.wide else found
                totals[k] = inner.add(totals[k], found)
        region = Region((trip, *params), tuple(inner.instrs), tuple(totals))
        names = [trips.latest[k].name for k in positions]
        results = self.b.emit(trips.loop.op, [self.count, *starts], dict(trips.loop.attrs), [region], names)
        self.env.update((trips.latest[k], value) for k, value in zip(positions, results, strict=True))

    def one(self, instr: Instr) -> Value:
        """What becomes of an instruction."""
        name, operands = instr.op.name, tuple(self.env.get(o, o) for o in instr.operands)
        if name == "index":
            return self.part(instr, operands[:1], 1)
        if name in _WRITES:
            return self.part(instr, (operands[0], self.widened(instr.operands[1])), 2)
        if instr.result not in self.trips.wide:
            return self.emit(instr, operands)
        if name == "broadcast":
            axes = (*instr.attrs["axes"], instr.result.rank)
            return self.emit(instr, (*operands, self.count), {"axes": axes})
        if name == "assume_shape":
            return self.emit(instr, (*operands, self.count))
        if name == "matmul":
            return self.product(*instr.operands)
        return self.emit(instr, operands if name == "sum" else [self.widened(o) for o in instr.operands])

    def emit(self, instr: Instr, operands: Iterable[Value], attrs: dict[str, object] | None = None) -> Value:
        """The op of an instruction on other operands."""
        names = [r.name for r in instr.results]
        return self.b.emit(instr.op, list(operands), instr.attrs if attrs is None else attrs, names=names)[0]

    def part(self, instr: Instr, operands: Sequence[Value], first: int) -> Value:
        """A read or a write of the parts of all trips."""
        spec, chosen = [], list(operands)
        for kind, values in entries(instr, first=first):
            slope = self.trips.places.get(values[0]) if kind == "i" else None
            chosen += [self.env.get(v, v) for v in values]
            spec.append(kind if slope is None else "s")
            if slope is not None:
                chosen += [self.count, self.b.const(slope)]
        if instr.operands[0] in self.trips.wide:
            spec.append(":")
        return self.emit(instr, chosen, {**instr.attrs, "spec": tuple(spec)})

    def widened(self, value: Value) -> Value:
        """A value with an axis for the trips."""
        found = self.env.get(value, value)
        if value in self.trips.wide:
            return found
        return self.b.broadcast_to(found, (*found.dims, self.count.affine), range(found.rank))

    def product(self, x: Value, y: Value) -> Value:
        """Dot products, one for each trip."""
        left, right = (self.env.get(v, v) for v in (x, y))
        if x in self.trips.wide and y in self.trips.wide:
            return self.b.sum(self.b.mul(left, right), axes=(0,))
        return self.b.matmul(right, left) if x in self.trips.wide else self.b.matmul(left, right)
