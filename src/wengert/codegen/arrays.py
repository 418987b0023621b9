"""Elementwise ops, shapes, and reading and writing parts: most of them only say where an array's elements come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wengert.codegen import scalars
from wengert.codegen.frames import fill_frame, is_frame
from wengert.codegen.lowering import Handler, Lowering
from wengert.codegen.nests import (
    Task,
    accumulate_task,
    cluster,
    element,
    element_at,
    force,
    is_costly,
    nest,
    reads_in_step,
    run,
    save,
    store_task,
    vacate,
    write_in_step,
)
from wengert.codegen.reductions import combine
from wengert.codegen.storage import Index, Lazy, Mem, Path
from wengert.codegen.text import literal
from wengert.ir.core import Instr, Value
from wengert.types import I64


def const(low: Lowering, instr: Instr) -> None:
    """A literal."""
    low.bind(instr.result, literal(instr.attrs["value"], instr.attrs["dtype"]))


def elementwise(low: Lowering, instr: Instr) -> None:
    """A scalar in a register, or an array that is computed where it is used."""
    name, attrs, operands, result = instr.op.name, instr.attrs, instr.operands, instr.result
    dtype = operands[1 if name == "select" else 0].tensor.dtype
    if result.rank == 0:
        low.bind(result, scalars.emit(low.w, name, dtype, [low.scalar(o) for o in operands], attrs))
        return

    def compute(low: Lowering, index: Index) -> str:
        return scalars.emit(low.w, name, dtype, [element(low, o, index) for o in operands], attrs)

    places = [low.array(o) for o in operands]
    uniform = ""
    if all(isinstance(p, Lazy) and p.uniform for p in places):
        uniform = compute(low, ())
    cost = instr.op.cost + sum(p.cost for p in places if isinstance(p, Lazy))
    reads = frozenset().union(*(p.reads for p in places))
    lazy = Lazy(result.tensor.dtype, low.sizes(result), compute, reads, cost, operands, (), uniform, True)
    low.bind(result, lazy)
    if not low.options.fuse and not uniform:
        force(low, [result])


# --- shapes --------------------------------------------------------------------------------------------------------


def broadcast(low: Lowering, instr: Instr) -> None:
    """The operand with stride 0 along the new axes."""
    x, result, axes = instr.operands[0], instr.result, instr.attrs["axes"]
    if result.rank == 0:
        low.bind(result, low.scalar(x))
        return
    place, sizes = low.array(x) if x.rank else low.scalar(x), low.sizes(result)
    if isinstance(place, str) or (isinstance(place, Lazy) and place.uniform):
        uniform = place if isinstance(place, str) else place.uniform
        low.bind(result, Lazy(result.tensor.dtype, sizes, lambda low, index: uniform, uniform=uniform, flat=True))
        return
    place = settled(low, x)
    if isinstance(place, Mem):
        strides = ["0"] * len(sizes)
        for axis, stride in zip(axes, place.strides, strict=True):
            strides[axis] = stride
        low.bind(result, Mem(place.dtype, place.buffer, place.pointer, sizes, tuple(strides)))
        return
    low.bind(result, remapped(place, result, x, sizes, lambda low, index: tuple(index[a] for a in axes)))


def remapped(place: Lazy, result: Value, x: Value, sizes: Index, to_source: Callable[[Lowering, Index], Index]) -> Lazy:
    """A view of a lazy array: its elements at other indices."""

    def compute(low: Lowering, index: Index) -> str:
        return element(low, x, to_source(low, index))

    return Lazy(place.dtype, sizes, compute, place.reads, place.cost + 1, (), (x,))


def settled(low: Lowering, x: Value) -> Mem | Lazy:
    """The place of an array that is about to be viewed: a costly one that is needed elsewhere too is computed first."""
    if is_costly(low, x):
        force(low, [x])
    return low.array(x)


def transpose(low: Lowering, instr: Instr) -> None:
    """The operand with its strides permuted."""
    x, result, perm = instr.operands[0], instr.result, instr.attrs["perm"]
    if result.rank == 0:
        low.bind(result, low.scalar(x))
        return
    place, sizes = settled(low, x), low.sizes(result)
    if isinstance(place, Mem):
        strides = tuple(place.strides[p] for p in perm)
        same = tuple(perm) == tuple(range(len(perm)))
        path = place.path if same else None
        low.bind(result, Mem(place.dtype, place.buffer, place.pointer, sizes, strides, path, same and place.contiguous))
        return
    if place.uniform:
        low.bind(result, Lazy(place.dtype, sizes, place.element, uniform=place.uniform, flat=True))
        return
    inverse = [tuple(perm).index(axis) for axis in range(len(perm))]
    low.bind(result, remapped(place, result, x, sizes, lambda low, index: tuple(index[i] for i in inverse)))


def reshape(low: Lowering, instr: Instr) -> None:
    """The same memory with other sizes; an array that is not contiguous is copied."""
    x, result = instr.operands[0], instr.result
    if x.rank == 0 or result.rank == 0:
        _reshape_scalar(low, x, result)
        return
    place, sizes = low.array(x), low.sizes(result)
    if isinstance(place, Lazy) and place.uniform:
        low.bind(result, Lazy(place.dtype, sizes, place.element, uniform=place.uniform, flat=True))
        return
    if isinstance(place, Lazy) or not place.contiguous:
        save(low, [x], "reshape of an array that is not contiguous")
        place = low.array(x)
    assert isinstance(place, Mem)
    path: Path | None = place.path if place.path == () else None
    low.bind(result, Mem(place.dtype, place.buffer, place.pointer, sizes, low.row_major(sizes), path, True))


def _reshape_scalar(low: Lowering, x: Value, result: Value) -> None:
    if x.rank:
        low.bind(result, element_at(low, x, ("0",) * x.rank))
        return
    uniform = low.scalar(x)
    if result.rank == 0:
        low.bind(result, uniform)
        return
    low.bind(result, Lazy(result.tensor.dtype, low.sizes(result), lambda low, index: uniform, uniform=uniform, flat=True))


def assume_shape(low: Lowering, instr: Instr) -> None:
    """The operand as it is."""
    x, result = instr.operands[0], instr.result
    if x.rank == 0:
        low.bind(result, low.scalar(x))
        return
    place = low.array(x)
    if isinstance(place, Lazy) and not place.uniform:
        sizes = low.sizes(result)
        same = Lazy(place.dtype, sizes, lambda low, i: element(low, x, i), place.reads, place.cost, (x,), flat=True)
        low.bind(result, same)
        return
    low.bind(result, place)


def iota(low: Lowering, instr: Instr) -> None:
    """The index itself."""
    low.bind(instr.result, Lazy(I64, low.sizes(instr.result), lambda low, index: index[0]))


def make_array(low: Lowering, instr: Instr) -> None:
    """Scalars stored one by one."""
    result = instr.result
    if result.rank == 0:
        low.bind(result, low.scalar(instr.operands[0]))
        return
    target = low.allocate(result, "make_array")
    for position, operand in enumerate(instr.operands):
        low.store(target.dtype, low.scalar(operand), low.address(target, (str(position),), flat=True), target.buffer)
    low.bind(result, target)


def undef(low: Lowering, instr: Instr) -> None:
    """Zeros: nobody reads them, and they cost nothing."""
    declared = instr.attrs["type"]
    if not hasattr(declared, "dtype"):
        low.handlers["stack_new"](low, instr)
        return
    zero = literal(0, declared.dtype)
    if declared.rank == 0:
        low.bind(instr.result, zero)
        return
    low.bind(instr.result, Lazy(declared.dtype, low.sizes(instr.result), lambda low, i: zero, uniform=zero, flat=True))


# --- parts ---------------------------------------------------------------------------------------------------------


def index(low: Lowering, instr: Instr) -> None:
    """An element, or a view."""
    x, result = instr.operands[0], instr.result
    if x.rank == 0:
        low.bind(result, low.scalar(x))
        return
    spec, indices = instr.attrs["spec"], instr.operands[1:]
    if result.rank == 0:
        low.bind(result, element_at(low, x, tuple(low.scalar(i) for i in indices)))
        return
    place = settled(low, x)
    if isinstance(place, Mem):
        low.bind(result, part_of(low, low.copies.get(x, place), x, spec, indices, result))
        return
    if place.uniform:
        uniform = place.uniform
        low.bind(result, Lazy(place.dtype, low.sizes(result), place.element, uniform=uniform, flat=True))
        return
    operands = [low.scalar(i) for i in indices]
    low.bind(result, remapped(place, result, x, low.sizes(result), lambda low, i: source_index(low, spec, operands, i)))


def source_index(low: Lowering, spec: Sequence[str], operands: Sequence[str], index: Index) -> Index:
    """Where element `index` of a part is in the whole."""
    inner, given = iter(index), iter(operands)
    result = []
    for entry in spec:
        if entry == "i":
            result.append(next(given))
        elif entry == ":":
            result.append(next(inner))
        else:
            start, _, step = next(given), next(given), next(given)
            moved = next(inner)
            result.append(low.w.plus(start, low.w.times(moved, step)))
    return tuple(result)


def part_of(low: Lowering, place: Mem, x: Value, spec: Sequence[str], indices: Sequence[Value], part: Value) -> Mem:
    """The memory of a part of `x`, which is at `place`."""
    given = iter(indices)
    offset: list[str] = []
    strides: list[str] = []
    key: list[tuple[object, ...]] = []
    packed = place.contiguous and _is_packed(spec)
    for entry, stride, dim in zip(spec, place.strides, x.dims, strict=True):
        if entry == ":":
            offset.append("0")
            strides.append(stride)
            key.append((":", dim))
        elif entry == "i":
            position = next(given)
            offset.append(low.scalar(position))
            key.append(("i", position.affine, dim))
        else:
            start, count, step = next(given), next(given), next(given)
            offset.append(low.scalar(start))
            by = low.scalar(step)
            packed = packed and by == "1"
            strides.append(low.w.times(stride, by))
            key.append(("s", start.affine, count.affine, step.affine, dim))
    pointer = low.address(place, tuple(offset))
    whole = all(entry == ":" for entry in spec)
    path = place.path if whole or place.path is None else (*place.path, tuple(key))
    sizes = low.sizes(part)
    return Mem(place.dtype, place.buffer, pointer, sizes, tuple(strides), path, packed)


def _is_packed(spec: Sequence[str]) -> bool:
    """Whether a part (all steps 1) of a contiguous array is contiguous: leading indices, one slice, then whole axes."""
    rest = "".join(spec).lstrip("i")
    return rest[rest.startswith("s") :].strip(":") == ""


def is_owned(low: Lowering, x: Value) -> bool:
    """Whether the memory of `x` may be overwritten, once what reads it has been saved."""
    place = low.array(x)
    writable = isinstance(place, Mem) and low.options.inplace and place.whole and place.buffer.writable
    return writable and not low.live_after(x)


def owned(low: Lowering, x: Value, grows: bool = False) -> Mem:
    """Memory with the contents of `x` that may be overwritten: its own where it is dead (and may grow if asked), else a copy."""
    place = low.array(x)
    fits = isinstance(place, Mem) and not (grows and place.buffer.local)
    if isinstance(place, Mem) and fits and is_owned(low, x) and vacate(low, place.buffer):
        return place
    if isinstance(place, Mem):
        why = "its old value is still needed" if place.buffer.writable else "an argument is not overwritten"
        low.note("copy", f"{x.type}: {why}")
    target = low.allocate(x, "array that is written to", grows)
    run(low, [store_task(low, x, target)])
    return target


def write_part(task: Callable[[Lowering, Value, Mem], Task]) -> Handler:
    """`update` and `add_at`: write in place where the old array is dead."""

    def handler(low: Lowering, instr: Instr) -> None:
        x, part, *indices = instr.operands
        result = instr.result
        if x.rank == 0:
            old, new = low.scalar(x), low.scalar(part)
            if task is accumulate_task:  # only reverse mode adds like this: the order of the terms is free
                new = combine(low, "sum", x.tensor.dtype, old, new)
            low.bind(result, new)
            return
        place = low.array(x)
        if part.rank and isinstance(place, Mem) and is_owned(low, x):
            target = part_of(low, place, x, instr.attrs["spec"], indices, part)
            if write_in_step(low, place.buffer, task(low, part, target)):
                low.bind(result, low.memory(result, place.buffer, place.pointer))
                return
        framed = task is store_task and isinstance(place, Lazy) and place.uniform and is_frame(instr)
        whole = low.allocate(x, "array that is written to") if framed else owned(low, x)
        target = part_of(low, whole, x, instr.attrs["spec"], indices, part)
        if framed:
            fill_frame(low, instr, whole)
        if part.rank == 0:
            task(low, part, target).finish(low.scalar(part), ())
        else:
            if not reads_in_step(low, part, whole.buffer, target.path or ()):
                save(low, [part], "computed before the array it reads is overwritten")
            doing = task(low, part, target)
            cluster(low, [], [doing], written=doing if doing.stores else None)
        low.bind(result, low.memory(result, whole.buffer, whole.pointer))

    return handler


def resize(low: Lowering, instr: Instr) -> None:
    """Room for more rows behind those that are there, in place where the old array is dead; the new ones are zero."""
    x, result = instr.operands[0], instr.result
    whole = owned(low, x, grows=True)
    old, new = low.product(whole.sizes), low.product(low.sizes(result))
    pointer = low.enlarge(whole.buffer, old, new, whole.dtype)
    added = low.w.let(f"call i64 @llvm.smax.i64(i64 {low.w.let(f'sub i64 {new}, {old}')}, i64 0)")
    target = low.memory(result, whole.buffer, pointer)
    zero = literal(0, whole.dtype)

    def clear(index: Index) -> None:
        position = low.w.plus(old, index[0])
        low.store(whole.dtype, zero, low.address(target, (position,), flat=True), whole.buffer)

    nest(low, (added,), clear)
    low.bind(result, target)


def gather(low: Lowering, instr: Instr) -> None:
    """Rows at computed positions, read where they are used."""
    x, where = instr.operands
    result = instr.result
    force(low, [x])
    reads = low.array(x).reads | low.array(where).reads

    def compute(low: Lowering, index: Index) -> str:
        return element(low, x, (element(low, where, index[:1]), *index[1:]))

    low.bind(result, Lazy(result.tensor.dtype, low.sizes(result), compute, reads, 2, (), (x, where)))


def write_rows(adds: bool) -> Handler:
    """`scatter_add` and `scatter`: rows added or stored in order, so that repeated positions add up, or the last wins."""

    def handler(low: Lowering, instr: Instr) -> None:
        x, where, rows = instr.operands
        whole = owned(low, x)
        save(low, [v for v in (where, rows) if whole.buffer in low.array(v).reads], "read while its array is written")

        def body(index: Index) -> None:
            low.memo = {}
            address = low.address(whole, (element(low, where, index[:1]), *index[1:]))
            new = element(low, rows, index)
            if adds:
                old = low.load(whole.dtype, address, whole.buffer)
                new = scalars.emit(low.w, "add", whole.dtype, (old, new), {})
            low.store(whole.dtype, new, address, whole.buffer)
            low.memo = {}

        nest(low, low.sizes(rows), body)
        low.bind(instr.result, low.current(instr.result, whole.buffer))

    return handler


def add_windows(low: Lowering, instr: Instr) -> None:
    """Windows added element by element, in the order of the windows."""
    x, part = instr.operands
    axis = instr.attrs["axis"]
    whole = owned(low, x)
    if whole.buffer in low.array(part).reads:
        save(low, [part], "read while its array is written")

    def body(index: Index) -> None:
        low.memo = {}
        address = low.address(whole, under_windows(low, axis, index))
        new = element(low, part, index)
        new = combine(low, "sum", whole.dtype, low.load(whole.dtype, address, whole.buffer), new)
        low.store(whole.dtype, new, address, whole.buffer)
        low.memo = {}

    nest(low, low.sizes(part), body)
    low.bind(instr.result, low.memory(instr.result, whole.buffer, whole.pointer))


def windows(low: Lowering, instr: Instr) -> None:
    """The operand seen with the stride of an axis twice."""
    x, axis, result = instr.operands[0], instr.attrs["axis"], instr.result
    place, sizes = settled(low, x), low.sizes(result)
    if isinstance(place, Mem):
        strides = (*place.strides, place.strides[axis])
        low.bind(result, Mem(place.dtype, place.buffer, place.pointer, sizes, strides))
        return
    if place.uniform:
        low.bind(result, Lazy(place.dtype, sizes, place.element, uniform=place.uniform, flat=True))
        return
    low.bind(result, remapped(place, result, x, sizes, lambda low, index: under_windows(low, axis, index)))


def under_windows(low: Lowering, axis: int, index: Index) -> Index:
    """Where element `index` of windows is in the array that they slide over."""
    place = low.w.plus(index[axis], index[-1])
    return (*index[:axis], place, *index[axis + 1 : -1])


HANDLERS: dict[str, Handler] = {
    "const": const, "elementwise": elementwise, "broadcast": broadcast, "transpose": transpose, "reshape": reshape,
    "assume_shape": assume_shape, "recall": assume_shape, "iota": iota, "make_array": make_array, "undef": undef, "index": index,
    "update": write_part(store_task), "add_at": write_part(accumulate_task), "gather": gather,
    "scatter_add": write_rows(True), "scatter": write_rows(False), "resize": resize,
    "windows": windows, "add_windows": add_windows,
}  # fmt: skip
