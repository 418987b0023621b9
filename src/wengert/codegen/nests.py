"""Loop nests: where lazy arrays are computed. Several results over one iteration space share a nest and its registers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from wengert.codegen import parts, scalars
from wengert.codegen.lowering import Lowering
from wengert.codegen.parts import part_of_loop, threads_for
from wengert.codegen.storage import Awaited, Buffer, Index, Lazy, Mem, Path, Total
from wengert.codegen.text import float_literal
from wengert.codegen.threads import MOST_THREADS
from wengert.ir.core import Value
from wengert.types import Affine, dim_add

SHARED_COST = 4
# Arrays of static size with up to this many elements are handled without loops.
UNROLLED = 16


class NotApart(Exception):
    """An array that several parts of a loop write to would be copied as a whole; the loop has to run in order."""


@dataclass(frozen=True, eq=False)
class Task:
    """Something to do with every element of `value`: `finish(element, index)`.

    `target` is the memory it goes to, or `scalar` the waiting scalar that it computes, if that is what it does; `stores` says
    that the memory holds the value afterwards. What it adds up on the way is `running`. With `apart`, elements may be
    finished in any order, and several at once.
    """

    value: Value
    finish: Callable[[str, Index], None]
    target: Mem | None = None
    scalar: Value | None = None
    running: Total | None = None
    apart: bool = False
    stores: bool = False


def loop(low: Lowering, count: str, body: Callable[[str], None]) -> None:
    """A counted loop that carries nothing but its counter."""
    w = low.w
    if count == "1":
        body("0")
        return
    before, header, inside, after = w.block, w.fresh("head"), w.fresh("body"), w.fresh("done")
    w.jump(header)
    w.label(header)
    counter = "%" + w.fresh("i")
    hole = w.hole()
    w.branch(w.let(f"icmp slt i64 {counter}, {count}"), inside, after)
    w.label(inside)
    outer, w.in_loop = w.in_loop, True
    calls = w.kernel_calls
    body(counter)
    w.in_loop = outer
    following = w.let(f"add nuw nsw i64 {counter}, 1")
    w.fill(hole, f"{counter} = phi i64 [ 0, %{before} ], [ {following}, %{w.block} ]")
    w.jump_back(header, w.kernel_calls - calls)
    w.label(after)


def nest(low: Lowering, sizes: Sequence[str], body: Callable[[Index], None], outer: Index = ()) -> None:
    """Nested loops over `sizes`, the last one innermost; `body` gets one counter per size."""
    if not sizes:
        body(outer)
        return
    if not outer and not loop_sizes(sizes):
        for index in itertools.product(*(range(int(s)) for s in sizes)):
            body(tuple(map(str, index)))
        return
    loop(low, sizes[0], lambda i: nest(low, sizes[1:], body, (*outer, i)))


def loop_sizes(sizes: Sequence[str]) -> bool:
    """Whether an iteration space takes loops: it is not small and static."""
    return any(s.startswith("%") for s in sizes) or math.prod(map(int, sizes)) > UNROLLED


def element(low: Lowering, value: Value, index: Index) -> str:
    """The element of an array (or the scalar itself) at an index; computed once per loop body."""
    known = low.memo.get((value, index))
    if known is not None:
        return known
    place = low.env[value]
    if isinstance(place, str):
        return place
    if isinstance(place, Mem):
        flat = len(index) == 1 and len(place.sizes) != 1
        found = low.load(place.dtype, low.address(place, index, flat), place.buffer)
    else:
        assert isinstance(place, Lazy)
        found = place.uniform or place.element(low, index)
    low.memo[value, index] = found
    return found


def element_at(low: Lowering, value: Value, index: Index) -> str:
    """One element of an array, outside of any nest."""
    low.memo = {}
    found = element(low, value, index)
    low.memo = {}
    return found


def run(low: Lowering, tasks: Sequence[Task]) -> None:
    """One nest over the common iteration space of `tasks`: all elements are read, then all are finished."""
    sizes: Index = low.sizes(tasks[0].value)
    if len(sizes) > 1 and all(is_flat(low, t.value) and (t.target is None or t.target.contiguous) for t in tasks):
        sizes = (_volume(low, sizes),)

    def body(index: Index) -> None:
        low.memo = {}
        elements = [element(low, t.value, index) for t in tasks]
        for task, found in zip(tasks, elements, strict=True):
            task.finish(found, index)
        low.memo = {}

    low.w.stores_only = all(t.target is not None for t in tasks)
    if _may_split(low, tasks, sizes):
        _nest_in_parts(low, tasks, sizes, body)
    else:
        nest(low, sizes, body)
    low.w.stores_only = False


def _may_split(low: Lowering, tasks: Sequence[Task], sizes: Index) -> bool:
    """Whether a nest may be run by several threads, and may be long enough."""
    if not low.options.threads or low.part is not None or not all(t.apart or t.running is not None for t in tasks):
        return False
    known = all(not s.startswith("%") for s in sizes)
    return not known or math.prod(map(int, sizes)) * _nanoseconds(low, tasks) >= 2 * parts.GRAIN


def _nanoseconds(low: Lowering, tasks: Sequence[Task]) -> float:
    """What one index takes, roughly: memory is read, or a vectorised formula is computed."""
    places = [low.env[t.value] for t in tasks]
    return sum(0.5 + (p.cost / 10 if isinstance(p, Lazy) else 0.0) for p in places)


def _nest_in_parts(low: Lowering, tasks: Sequence[Task], sizes: Index, body: Callable[[Index], None]) -> None:
    """A nest whose outermost loop is cut into parts; totals of the parts are put together in order."""
    w, totals = low.w, [t.running for t in tasks if t.running is not None]
    work = float_literal(_nanoseconds(low, tasks))
    for size in sizes:
        number = w.let(f"sitofp i64 {size} to double")
        work = w.let(f"fmul double {work}, {number}")
    count = threads_for(low, sizes[0], work)
    found = [w.slot(t.register, count=MOST_THREADS) for t in totals]
    old: list[tuple[str, ...]] = []
    with part_of_loop(low, sizes[0], count) as (first, behind, number):
        inner = low.w
        old = [t.apart() for t in totals]
        own = inner.let(f"sub nsw i64 {behind}, {first}")
        loop(low, own, lambda i: nest(low, sizes[1:], body, (inner.let(f"add nsw i64 {first}, {i}"),)))
        for total, slots in zip(totals, found, strict=True):
            at = inner.let(f"getelementptr inbounds {total.register}, ptr {slots}, i64 {number}")
            inner.do(f"store {total.register} {total.partial()}, ptr {at}")
    for total, before in zip(totals, old, strict=True):
        total.back(before)

    def merge(k: str) -> None:
        for total, slots in zip(totals, found, strict=True):
            at = w.let(f"getelementptr inbounds {total.register}, ptr {slots}, i64 {k}")
            total.merge(w.let(f"load {total.register}, ptr {at}"))

    if totals:
        loop(low, count, merge)


def _volume(low: Lowering, sizes: Index) -> str:
    total = sizes[0]
    for size in sizes[1:]:
        total = low.w.times(total, size)
    return total


def is_flat(low: Lowering, value: Value) -> bool:
    """Whether the elements of an array can be asked for by row-major position."""
    left, seen = [value], {value}  # each part once: a chain that uses each part twice has 2**n ways through it
    while left:
        place = low.array(left.pop())
        if isinstance(place, Mem):
            if not place.contiguous:
                return False
        elif not place.uniform:
            if not place.flat:
                return False
            left += (new := [p for p in place.parts if p not in seen])
            seen.update(new)
    return True


def store_task(low: Lowering, value: Value, target: Mem) -> Task:
    """Write `value` to `target`."""

    def finish(found: str, index: Index) -> None:
        flat = len(index) == 1 and len(target.sizes) != 1
        low.store(target.dtype, found, low.address(target, index, flat), target.buffer)

    return Task(value, finish, target, apart=True, stores=True)


def accumulate_task(low: Lowering, value: Value, target: Mem) -> Task:
    """Add `value` to `target`."""

    def finish(found: str, index: Index) -> None:
        flat = len(index) == 1 and len(target.sizes) != 1
        address = low.address(target, index, flat)
        total = scalars.emit(low.w, "add", target.dtype, (low.load(target.dtype, address, target.buffer), found), {})
        low.store(target.dtype, total, address, target.buffer)

    return Task(value, finish, target, apart=True)


# --- materialising -------------------------------------------------------------------------------------------------


def force(low: Lowering, values: Iterable[Value], why: str = "temporary") -> None:
    """Compute lazy arrays into memory of their own; arrays in memory stay where they are."""
    wanted = [v for v in dict.fromkeys(values) if isinstance(low.env[v], Lazy)]
    save(low, wanted, why)


def save(low: Lowering, values: Iterable[Value], why: str) -> None:
    """Put arrays into fresh memory, wherever they are now; those over one iteration space share a nest."""
    groups: dict[object, list[Value]] = {}
    for value in dict.fromkeys(values):
        groups.setdefault(value.dims, []).append(value)
    for group in groups.values():
        cluster(low, group, [], why)


def cluster(
    low: Lowering, values: Sequence[Value], tasks: Sequence[Task], why: str = "kept for later use", written: Task | None = None
) -> None:
    """Run `tasks` and put `values` into fresh memory, in one nest, with the costly parts that later code needs as well.

    What later code needs of `written`, one of the tasks, it finds where that task stores it.
    """
    tasks = [*tasks, *_waiting_for(low, (values or [tasks[0].value])[0].dims)]
    doing = {*values, *(t.value for t in tasks)}
    needed = [t.value for t in tasks if is_costly(low, t.value) and low.live_beyond(t.value, doing)]
    stays = written is not None and low.options.inplace and written.value in needed and written.value not in values
    needed = [v for v in needed if written is None or not stays or v is not written.value]
    kept = list(dict.fromkeys([*values, *needed, *shared_parts(low, doing)]))
    targets = []
    for value in kept:
        if isinstance(low.env[value], Mem):
            low.note("copy", f"{value.type}: {why}")
        targets.append(low.allocate(value, why))
    run(low, [*(store_task(low, v, t) for v, t in zip(kept, targets, strict=True)), *tasks])
    for value, target in zip(kept, targets, strict=True):
        low.rebind(value, target)
    if written is not None and stays and written.target is not None:
        low.rebind(written.value, written.target)
    for task in tasks:
        if task.scalar is not None:
            awaited = low.env[task.scalar]
            assert isinstance(awaited, Awaited)
            low.env[task.scalar] = awaited.total()


def _waiting_for(low: Lowering, dims: tuple[Affine, ...]) -> list[Task]:
    """The waiting reductions over an iteration space, which wait no longer."""
    found = [(scalar, a) for scalar, a in low.waiting.items() if a.source.dims == dims]
    for scalar, _ in found:
        del low.waiting[scalar]
    return [Task(a.source, a.finish, None, scalar, a.running) for scalar, a in found]


def settle(low: Lowering) -> None:
    """Run the nests of all reductions that wait."""
    while low.waiting:
        scalar, awaited = next(iter(low.waiting.items()))
        del low.waiting[scalar]
        task = Task(awaited.source, awaited.finish, None, scalar, awaited.running)
        cluster(low, [], [task], "kept: it is reduced and used again")


def settle_readers(low: Lowering, buffers: Iterable[Buffer]) -> None:
    """Run the waiting reductions if one of them reads what is about to be overwritten."""
    changed = frozenset(buffers)
    if any(reads(low, a.source) & changed for a in low.waiting.values()):
        settle(low)


def is_costly(low: Lowering, value: Value) -> bool:
    """Whether storing an array is better than computing it again."""
    place = low.env[value]
    return isinstance(place, Lazy) and not place.uniform and place.cost >= SHARED_COST


def shared_parts(low: Lowering, doing: set[Value]) -> list[Value]:
    """Lazy arrays that are computed on the way to `doing`, are not cheap, and will be needed again."""
    found: list[Value] = []
    seen = set(doing)
    pending = list(doing)
    while pending:
        place = low.env[pending.pop()]
        if not isinstance(place, Lazy):
            continue
        for part in place.parts:
            inner = low.env[part]
            if part in seen or not isinstance(inner, Lazy):
                continue
            seen.add(part)
            if is_costly(low, part) and low.live_beyond(part, doing):
                found.append(part)
            pending.append(part)
    return found


def assign(low: Lowering, pairs: Sequence[tuple[Value, Buffer]], why: str) -> list[Mem]:
    """Put arrays into given buffers, all at once: no value sees another's buffer overwritten. Returns where they are now."""
    settle_readers(low, (b for _, b in pairs))
    moves = [(v, b) for v, b in pairs if not is_all_of(low, v, b)]
    targets = {b for _, b in moves}
    if targets & low.shared:
        raise NotApart
    # What reads a target other than element by element is computed before any target is overwritten.
    unsafe = [v for v, _ in moves if any(not reads_in_step(low, v, b, ()) for b in targets)]
    if unsafe:
        save(low, unsafe, f"{why}, computed before its old value is overwritten")
    groups: dict[object, list[tuple[Value, Buffer]]] = {}
    for value, buffer in moves:
        groups.setdefault(value.dims, []).append((value, buffer))
    reading = {v for v, _ in moves if low.array(v).reads & targets}
    if len(groups) > 1 and reading:
        save(low, [v for v, _ in moves if v in reading], f"{why}, computed before its old value is overwritten")
    for group in groups.values():
        tasks = []
        for value, buffer in group:
            if isinstance(low.env[value], Mem):
                low.note("copy", f"{value.type}: {why}")
            pointer = low.reserve(buffer, low.product(low.sizes(value)), value.tensor.dtype)
            tasks.append(store_task(low, value, low.memory(value, buffer, pointer)))
        cluster(low, [], tasks)
    return [low.current(v, b) for v, b in pairs]


def is_all_of(low: Lowering, value: Value, buffer: Buffer) -> bool:
    """Whether the array is exactly the contents of `buffer`."""
    place = low.env[value]
    return isinstance(place, Mem) and place.buffer is buffer and place.whole


def reads_in_step(low: Lowering, value: Value, buffer: Buffer, path: Path) -> bool:
    """Whether element j of `value` reads nothing of `buffer` but element j of the part at `path` (or nothing at all)."""
    left, seen = [value], {value}
    while left:
        place = low.env[left.pop()]
        if not isinstance(place, Mem | Lazy) or buffer not in place.reads:
            continue
        if isinstance(place, Mem):
            if place.path is None or not (place.path == path or disjoint(place.path, path)):
                return False
        elif any(buffer in reads(low, o) for o in place.others):
            return False
        else:
            left += (new := [p for p in place.parts if p not in seen])
            seen.update(new)
    return True


def reads(low: Lowering, value: Value) -> frozenset[Buffer]:
    """The buffers that an array is read from."""
    place = low.env[value]
    return place.reads if isinstance(place, Mem | Lazy) else frozenset()


def disjoint(a: Path, b: Path) -> bool:
    """Whether two parts of one buffer have no element in common, as far as constant index differences show."""
    if len(a) != 1 or len(b) != 1 or [e[-1] for e in a[0]] != [e[-1] for e in b[0]]:
        return False
    for mine, theirs in zip(a[0], b[0], strict=True):
        if mine[0] == "i" and theirs[0] == "i":
            difference = dim_add(mine[1], theirs[1], -1)
            if isinstance(difference, int) and difference != 0:
                return True
    return False


def write_in_step(low: Lowering, buffer: Buffer, task: Task) -> bool:
    """Write a part of `buffer` in one nest with all that still has to read the buffer, if that reads no other element.

    Each element is read for all purposes before it is overwritten. Returns False, having done nothing, where something
    reads the buffer in another order or over another space.
    """
    assert task.target is not None
    needed = [v for v in dict.fromkeys(buffer.readers) if buffer in reads(low, v) and low.used_after(v)]
    waiting = [a.source for a in low.waiting.values() if buffer in reads(low, a.source)]
    together = [*needed, *waiting]
    if not together or not low.options.fuse or any(low.live_outside(v) for v in needed):
        return False
    path = task.target.path or ()
    dims = task.value.dims
    if any(v.dims != dims or not reads_in_step(low, v, buffer, path) for v in (*together, task.value)):
        return False
    buffer.readers = list(dict.fromkeys(buffer.readers))
    cluster(low, needed, [task], "saved before it is overwritten", task if task.stores else None)
    return True


def vacate(low: Lowering, buffer: Buffer) -> bool:
    """Save what later code reads of `buffer` elsewhere, so that it may be overwritten now.

    Returns False, having done nothing, where code outside of the current frame still needs it.
    """
    settle_readers(low, (buffer,))
    needed = []
    for value in dict.fromkeys(buffer.readers):
        if buffer in reads(low, value) and low.live_after(value):
            if low.live_outside(value):
                return False
            needed.append(value)
    buffer.readers = list(dict.fromkeys(buffer.readers))
    save(low, needed, "saved before it is overwritten")
    return True
