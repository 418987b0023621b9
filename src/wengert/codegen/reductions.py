"""Sums and their kin, running sums, and positions of extrema."""

from __future__ import annotations

from collections.abc import Sequence

from wengert.codegen import scalars
from wengert.codegen.lowering import Handler, Lowering
from wengert.codegen.nests import element, force, nest
from wengert.codegen.storage import Awaited, Index, Lazy, Mem
from wengert.codegen.text import REGISTER, literal
from wengert.ir.core import Instr, Value
from wengert.types import F32, F64, I64, DType

_START = {
    "sum": (0.0, 0),
    "prod": (1.0, 1),
    "max": (float("-inf"), -(2**63)),
    "min": (float("inf"), 2**63 - 1),
}


def combine(low: Lowering, kind: str, dtype: DType, a: str, b: str) -> str:
    """`a` and `b` put together; sums and products of floats may be reassociated, which lets LLVM use vectors."""
    w = low.w
    if kind in ("sum", "prod"):
        name = "add" if kind == "sum" else "mul"
        return w.let(f"f{name} reassoc contract {REGISTER[dtype.name]} {a}, {b}" if dtype.is_float else f"{name} i64 {a}, {b}")
    if dtype.name == "bool":
        return w.let(f"{'or' if kind == 'max' else 'and'} i1 {a}, {b}")
    return scalars.emit(w, "maximum" if kind == "max" else "minimum", dtype, (a, b), {})


def start(kind: str, dtype: DType) -> str:
    """The neutral element."""
    if dtype.name == "bool":
        return "false" if kind == "max" else "true"
    return literal(_START[kind][0 if dtype.is_float else 1], dtype)


def reduce(low: Lowering, instr: Instr) -> None:
    """Reduction over some axes, or all of them into a register."""
    x, result, kind = instr.operands[0], instr.result, instr.op.name
    axes = tuple(instr.attrs["axes"])
    if x.rank == 0 or not axes:
        low.bind(result, low.array(x) if x.rank else low.scalar(x))
        return
    if result.rank == 0:
        awaited = reduce_all(low, x, kind)
        low.bind(result, awaited)
        low.waiting[result] = awaited
        return
    place = low.array(x)
    if isinstance(place, Lazy) and not place.uniform and low.live_after(x):
        force(low, [x])
    low.bind(result, reduce_axes(low, x, result, kind, axes))


def reduce_all(low: Lowering, x: Value, kind: str) -> Awaited:
    """The reduction of a whole array: it waits until the scalar is asked for, to share a nest with what comes until then."""
    running = running_of(low, kind, x.tensor.dtype)
    return Awaited(x, lambda found, index: running.include(found), running.value, running)


class Running:
    """A reduction in a register. Sums and products of f32 are kept as doubles: NumPy's, in pairs, are as accurate."""

    def __init__(self, low: Lowering, kind: str, dtype: DType) -> None:
        self.low, self.kind, self.dtype = low, kind, dtype
        self.kept = F64 if dtype == F32 and kind in ("sum", "prod") else dtype
        self.register = REGISTER[self.kept.name]
        self.total = low.w.slot(self.register)

    def reset(self) -> None:
        """Start with the neutral element."""
        self.low.w.do(f"store {self.register} {start(self.kind, self.kept)}, ptr {self.total}")

    def include(self, found: str) -> None:
        """Take one more element in."""
        w = self.low.w
        found = scalars.emit(w, "convert", self.dtype, (found,), {"dtype": self.kept})
        old = w.let(f"load {self.register}, ptr {self.total}")
        w.do(f"store {self.register} {combine(self.low, self.kind, self.kept, old, found)}, ptr {self.total}")

    def apart(self) -> tuple[str, ...]:
        """Go on in new slots of the function being written, from the neutral element; gives the old ones."""
        old, self.total = self.total, self.low.w.slot(self.register)
        self.reset()
        return (old,)

    def back(self, slots: tuple[str, ...]) -> None:
        """Go on in the slots from before."""
        (self.total,) = slots

    def partial(self) -> str:
        """What is in the slots, as `merge` takes it in."""
        return self.low.w.let(f"load {self.register}, ptr {self.total}")

    def merge(self, other: str) -> None:
        """Take in what was added up elsewhere."""
        w = self.low.w
        old = w.let(f"load {self.register}, ptr {self.total}")
        w.do(f"store {self.register} {combine(self.low, self.kind, self.kept, old, other)}, ptr {self.total}")

    def value(self) -> str:
        """The reduction of the elements so far."""
        return scalars.emit(self.low.w, "convert", self.kept, (self.partial(),), {"dtype": self.dtype})


class Extremum(Running):
    """The largest or smallest float: NaN, which wins, is kept apart, so that a step takes one instruction."""

    def __init__(self, low: Lowering, kind: str, dtype: DType) -> None:
        super().__init__(low, kind, dtype)
        self.spoilt = low.w.slot("i1")

    def reset(self) -> None:
        """Start with the neutral element, and no NaN."""
        super().reset()
        self.low.w.do(f"store i1 false, ptr {self.spoilt}")

    def include(self, found: str) -> None:
        """Take one more element in."""
        w, kind = self.low.w, self.register
        is_nan = w.let(f"fcmp uno {kind} {found}, 0.0")
        spoilt = w.let(f"load i1, ptr {self.spoilt}")
        w.do(f"store i1 {w.let(f'or i1 {spoilt}, {is_nan}')}, ptr {self.spoilt}")
        old = w.let(f"load {kind}, ptr {self.total}")
        name = f"llvm.{self.kind}num.{self.kept.name}"
        # Of a NaN, the flag makes what LLVM calls poison; `partial` does not look at it then.
        best = scalars.intrinsic(w, name, kind, (old, found), "nnan nsz ")
        w.do(f"store {kind} {best}, ptr {self.total}")

    def apart(self) -> tuple[str, ...]:
        """Go on in new slots of the function being written, from the neutral element; gives the old ones."""
        old, self.spoilt = self.spoilt, self.low.w.slot("i1")
        return (*super().apart(), old)

    def back(self, slots: tuple[str, ...]) -> None:
        """Go on in the slots from before."""
        self.total, self.spoilt = slots

    def partial(self) -> str:
        """What is in the slots, as `merge` takes it in."""
        w, kind = self.low.w, self.register
        best, spoilt = w.let(f"load {kind}, ptr {self.total}"), w.let(f"load i1, ptr {self.spoilt}")
        return w.let(f"select i1 {spoilt}, {kind} {literal(float('nan'), self.kept)}, {kind} {best}")

    def merge(self, other: str) -> None:
        """Take in what was found elsewhere."""
        self.include(other)


def running_of(low: Lowering, kind: str, dtype: DType) -> Running:
    """A reduction of some kind that has seen nothing yet."""
    running = Extremum(low, kind, dtype) if kind in ("min", "max") and dtype.is_float else Running(low, kind, dtype)
    running.reset()
    return running


def reduce_axes(low: Lowering, x: Value, result: Value, kind: str, axes: Sequence[int]) -> Mem:
    """Reduction over some axes: in a register where the last axis goes, else by accumulating rows in memory."""
    dtype = x.tensor.dtype
    target = low.allocate(result, kind)
    sizes = low.sizes(x)
    kept = [a for a in range(len(sizes)) if a not in axes]
    neutral = start(kind, dtype)
    if len(sizes) - 1 in axes:

        def outer(index: Index) -> None:
            running = running_of(low, kind, dtype)

            def inner(rest: Index) -> None:
                low.memo = {}
                whole = [""] * len(sizes)
                for axis, i in [*zip(kept, index, strict=True), *zip(axes, rest, strict=True)]:
                    whole[axis] = i
                running.include(element(low, x, tuple(whole)))
                low.memo = {}

            nest(low, [sizes[a] for a in axes], inner)
            low.store(dtype, running.value(), low.address(target, index), target.buffer)

        nest(low, [sizes[a] for a in kept], outer)
        return target

    nest(low, low.sizes(result), lambda i: low.store(dtype, neutral, low.address(target, i), target.buffer))

    def body(index: Index) -> None:
        low.memo = {}
        address = low.address(target, tuple(index[a] for a in kept))
        found = element(low, x, index)
        low.store(dtype, combine(low, kind, dtype, low.load(dtype, address, target.buffer), found), address, target.buffer)
        low.memo = {}

    nest(low, sizes, body)
    return target


def cumsum(low: Lowering, instr: Instr) -> None:
    """Running sums along an axis, from either end."""
    x, result, axis = instr.operands[0], instr.result, instr.attrs["axis"]
    force(low, [x])
    target = low.allocate(result, "cumsum")
    sizes, dtype = low.sizes(x), x.tensor.dtype
    out, register = result.tensor.dtype, REGISTER[result.tensor.dtype.name]
    last = low.w.let(f"sub i64 {sizes[axis]}, 1")
    w = low.w

    def line(index: Index) -> None:
        total = w.slot(register)
        w.do(f"store {register} {literal(0, out)}, ptr {total}")

        def step(position: Index) -> None:
            low.memo = {}
            at = w.let(f"sub i64 {last}, {position[0]}") if instr.attrs.get("reverse") else position[0]
            whole = (*index[:axis], at, *index[axis:])
            found = scalars.emit(w, "convert", dtype, (element(low, x, whole),), {"dtype": out})
            new = scalars.emit(w, "add", out, (w.let(f"load {register}, ptr {total}"), found), {})
            w.do(f"store {register} {new}, ptr {total}")
            low.store(out, new, low.address(target, whole), target.buffer)
            low.memo = {}

        nest(low, [sizes[axis]], step)

    nest(low, [s for a, s in enumerate(sizes) if a != axis], line)
    low.bind(result, target)


def arg_extremum(low: Lowering, instr: Instr) -> None:
    """The first position of the largest (smallest) element; NaN counts as the extremum, as in NumPy."""
    x, result, axis = instr.operands[0], instr.result, instr.attrs["axis"]
    w, sizes, dtype = low.w, low.sizes(x), x.tensor.dtype
    register = REGISTER[dtype.name]
    kept = [a for a in range(len(sizes)) if a != axis]
    target = low.allocate(result, instr.op.name) if result.rank else None
    best, where = w.slot(register), w.slot("i64")

    def line(index: Index) -> None:
        w.do(f"store i64 0, ptr {where}")

        def step(position: Index) -> None:
            low.memo = {}
            found = element(low, x, (*index[:axis], position[0], *index[axis:]))
            old = w.let(f"load {register}, ptr {best}")
            better = _beats(low, instr.op.name, dtype, found, old)
            first = w.let(f"icmp eq i64 {position[0]}, 0")
            better = w.let(f"select i1 {first}, i1 true, i1 {better}")
            w.do(f"store {register} {w.let(f'select i1 {better}, {register} {found}, {register} {old}')}, ptr {best}")
            at = w.let(f"load i64, ptr {where}")
            w.do(f"store i64 {w.let(f'select i1 {better}, i64 {position[0]}, i64 {at}')}, ptr {where}")
            low.memo = {}

        nest(low, [sizes[axis]], step)
        if target is not None:
            low.store(I64, w.let(f"load i64, ptr {where}"), low.address(target, index), target.buffer)

    w.do(f"store {register} {literal(0, dtype)}, ptr {best}")
    nest(low, [sizes[a] for a in kept], line)
    low.bind(result, w.let(f"load i64, ptr {where}") if target is None else target)


def _beats(low: Lowering, name: str, dtype: DType, new: str, old: str) -> str:
    w, relation = low.w, "gt" if name == "argmax" else "lt"
    if not dtype.is_float:
        return scalars.emit(w, relation, dtype, (new, old), {})
    kind = REGISTER[dtype.name]
    ordered = w.let(f"fcmp u{relation} {kind} {new}, {old}")
    settled = w.let(f"fcmp ord {kind} {old}, {old}")
    return w.let(f"and i1 {ordered}, {settled}")


HANDLERS: dict[str, Handler] = {
    "sum": reduce, "prod": reduce, "max": reduce, "min": reduce, "cumsum": cumsum, "argmax": arg_extremum,
    "argmin": arg_extremum,
}  # fmt: skip
