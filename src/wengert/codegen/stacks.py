"""Growable stacks: bytes in one allocation each. Their three words (address, capacity, bytes in use) live in registers.

An entry is its arrays, one after the other, then its scalars, every one of which takes eight bytes. So `pop` finds the
scalars first, and from them the sizes of arrays whose size is only known there.
"""

from __future__ import annotations

from collections.abc import Sequence

from wengert.codegen.lowering import COLD, LIKELY, OUT_OF_MEMORY, Handler, Lowering
from wengert.codegen.nests import Task, cluster, force, store_task, vacate
from wengert.codegen.storage import Buffer, Mem, Stack
from wengert.codegen.tape_copies import keep
from wengert.ir.core import Instr, Value
from wengert.types import Slot

WORD = 8
FIRST_CAPACITY = 4096
MOST_RESERVED = 1 << 28
# Stacks may trade their memory (`move_stacks`), so for aliasing they are one.
STACK_SCOPE = 1


def new_stack(low: Lowering) -> Stack:
    """An empty stack without memory."""
    w = low.w
    record = w.record([("ptr", "null"), ("i64", "0"), ("i64", "0"), ("i64", str(FIRST_CAPACITY))])
    buffer = Buffer(STACK_SCOPE, False, record, w.field(record, 1))
    low.buffers.append(buffer)
    return Stack(buffer, w.field(record, 2), w.field(record, 3))


def stack_new(low: Lowering, instr: Instr) -> None:
    """An empty stack; the memory of an earlier one made here is used again. Room is made at the first push."""
    low.note("stack", f"{instr.result.type}")
    stack = new_stack(low)
    low.w.do(f"store i64 0, ptr {stack.top}")
    _set_hint(low, stack, instr)
    low.bind(instr.result, stack)


def _set_hint(low: Lowering, stack: Stack, instr: Instr) -> None:
    """The first allocation has room for the expected number of entries, where their size is known."""
    elements = instr.attrs.get("elements", ())
    if not instr.operands or any(isinstance(s, Slot) for e in elements for s in e.symbols()):
        return
    w = low.w
    entry = str(WORD)
    for declared in elements:
        count = low.product([low.dim(d) for d in declared.dims]) if declared.dims else "1"
        entry = w.let(f"add i64 {entry}, {w.let(f'mul i64 {count}, {WORD}')}")
    count = w.let(f"call i64 @llvm.smax.i64(i64 {low.scalar(instr.operands[0])}, i64 1)")
    pair = w.let(f"call {{i64, i1}} @llvm.umul.with.overflow.i64(i64 {count}, i64 {entry})")
    size, overflow = w.let(f"extractvalue {{i64, i1}} {pair}, 0"), w.let(f"extractvalue {{i64, i1}} {pair}, 1")
    size = w.let(f"select i1 {overflow}, i64 0, i64 {size}")
    size = w.let(f"call i64 @llvm.umin.i64(i64 {size}, i64 {MOST_RESERVED})")
    w.do(f"store i64 {size}, ptr {stack.hint}")


def move_stacks(low: Lowering, moves: Sequence[tuple[Stack, Stack]]) -> None:
    """Make each target the stack that its source was; the source gets the target's memory and is empty."""
    w = low.w
    loaded = []
    for source, target in moves:
        if source is target:
            continue
        slots = ((source.buffer.pointer, "ptr"), (source.buffer.capacity, "i64"), (source.top, "i64"))
        loaded.append((target, source, [w.let(f"load {t}, ptr {s}") for s, t in slots]))
    if not loaded:
        return
    sources, targets = [s for _, s, _ in loaded], [t for t, _, _ in loaded]
    # Memory of targets that are nobody's source goes to the sources that are nobody's target: nothing leaks.
    spare = [[w.let(f"load {t}, ptr {s}") for s, t in ((x.buffer.pointer, "ptr"), (x.buffer.capacity, "i64"))]
             for x in targets if x not in sources]  # fmt: skip
    empty = [s for s in sources if s not in targets]
    for target, _, (pointer, capacity, top) in loaded:
        w.do(f"store ptr {pointer}, ptr {target.buffer.pointer}")
        w.do(f"store i64 {capacity}, ptr {target.buffer.capacity}")
        w.do(f"store i64 {top}, ptr {target.top}")
    for source, (pointer, capacity) in zip(empty, spare, strict=True):
        w.do(f"store ptr {pointer}, ptr {source.buffer.pointer}")
        w.do(f"store i64 {capacity}, ptr {source.buffer.capacity}")
        w.do(f"store i64 0, ptr {source.top}")


def push(low: Lowering, instr: Instr) -> None:
    """Write an entry on top, growing the memory where it is full."""
    w, values = low.w, instr.operands[1:]
    stack = low.stack(instr.operands[0])
    vacate(low, stack.buffer)
    arrays = [v for v in values if v.rank]
    scalars = [v for v in values if not v.rank]
    sizes = [array_bytes(low, v) for v in arrays]
    total = str(WORD * len(scalars))
    for size in sizes:
        total = w.let(f"add i64 {total}, {size}")
    top = w.let(f"load i64, ptr {stack.top}")
    after = w.let(f"add i64 {top}, {total}")
    pointer = make_room(low, stack, top, after)
    offset = top
    tasks = []
    for value, size in zip(arrays, sizes, strict=True):
        at = w.let(f"getelementptr inbounds i8, ptr {pointer}, i64 {offset}")
        shape = low.sizes(value)
        target = Mem(value.tensor.dtype, stack.buffer, at, shape, low.row_major(shape), None, True)
        tasks.append(store_task(low, value, target))
        offset = w.let(f"add i64 {offset}, {size}")
    groups: dict[object, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.value.dims, []).append(task)
    for group in groups.values():
        cluster(low, [], group)
    base = w.let(f"getelementptr inbounds i8, ptr {pointer}, i64 {offset}")
    for task in tasks:
        if task.target is not None:
            keep(low, instr, task.value, task.target)
    for position, value in enumerate(scalars):
        low.store(value.tensor.dtype, low.scalar(value), _word(low, base, position), stack.buffer)
    w.do(f"store i64 {after}, ptr {stack.top}")
    low.bind(instr.result, stack)


def pop(low: Lowering, instr: Instr) -> None:
    """Read the entry on top; its arrays are views of the stack's memory until the next push."""
    w = low.w
    stack, entry = low.stack(instr.operands[0]), instr.results[1:]
    low.bind(instr.results[0], stack)
    scalars = [v for v in entry if not v.rank]
    arrays = [v for v in entry if v.rank]
    pointer = w.let(f"load ptr, ptr {stack.buffer.pointer}")
    top = w.let(f"sub i64 {w.let(f'load i64, ptr {stack.top}')}, {WORD * len(scalars)}")
    base = w.let(f"getelementptr inbounds i8, ptr {pointer}, i64 {top}")
    for position, value in enumerate(scalars):
        low.bind(value, low.load(value.tensor.dtype, _word(low, base, position), stack.buffer))
    for value in reversed(arrays):
        top = w.let(f"sub i64 {top}, {array_bytes(low, value)}")
        at = w.let(f"getelementptr inbounds i8, ptr {pointer}, i64 {top}")
        sizes = low.sizes(value)
        low.bind(value, Mem(value.tensor.dtype, stack.buffer, at, sizes, low.row_major(sizes), None, True))
    w.do(f"store i64 {top}, ptr {stack.top}")


def _word(low: Lowering, base: str, position: int) -> str:
    return base if not position else low.w.let(f"getelementptr inbounds i8, ptr {base}, i64 {WORD * position}")


def array_bytes(low: Lowering, value: Value) -> str:
    """The bytes that an array takes in an entry: a multiple of eight."""
    count, size = low.product(low.sizes(value)), value.tensor.dtype.itemsize
    if size == WORD:
        return low.w.let(f"shl i64 {count}, 3")
    total = low.w.let(f"mul i64 {count}, {size}")
    return low.w.let(f"and i64 {low.w.let(f'add i64 {total}, 7')}, -8")


def make_room(low: Lowering, stack: Stack, used: str, needed: str) -> str:
    """Grow to at least `needed` bytes, doubling, and return the address."""
    w, buffer = low.w, stack.buffer
    capacity = w.let(f"load i64, ptr {buffer.capacity}")
    old = w.let(f"load ptr, ptr {buffer.pointer}")
    before = w.block
    grow, grown, ready = w.fresh("grow"), w.fresh("grown"), w.fresh("ready")
    w.branch(w.let(f"icmp ule i64 {needed}, {capacity}"), ready, grow, LIKELY)
    w.label(grow)
    twice = w.let(f"shl i64 {needed}, 1")
    size = w.let(f"call i64 @llvm.umax.i64(i64 {twice}, i64 {w.let(f'load i64, ptr {stack.hint}')})")
    fresh = w.call("ptr", "wg_grow", [("ptr", old), ("i64", used), ("i64", size)], " nounwind")
    w.branch(w.let(f"icmp eq ptr {fresh}, null"), low.fail(OUT_OF_MEMORY), grown, COLD)
    w.label(grown)
    w.do(f"store ptr {fresh}, ptr {buffer.pointer}")
    w.do(f"store i64 {size}, ptr {buffer.capacity}")
    w.jump(ready)
    w.label(ready)
    return w.let(f"phi ptr [ {old}, %{before} ], [ {fresh}, %{grown} ]")


def save(low: Lowering, instr: Instr) -> None:
    """Copy the bytes in use to an array of words."""
    w = low.w
    stack = low.stack(instr.operands[0])
    count, words = instr.results
    top = w.let(f"load i64, ptr {stack.top}")
    low.bind(count, w.let(f"lshr i64 {top}, 3"))
    target = low.allocate(words, "stack_save")
    _copy(low, target.pointer, w.let(f"load ptr, ptr {stack.buffer.pointer}"), top)
    low.bind(words, target)


def load(low: Lowering, instr: Instr) -> None:
    """A stack of its own with the bytes of an array of words."""
    w, words = low.w, instr.operands[0]
    force(low, [words])
    place = low.array(words)
    assert isinstance(place, Mem) and place.contiguous
    low.note("stack", f"{instr.result.type}")
    stack = new_stack(low)
    size = w.let(f"shl i64 {place.sizes[0]}, 3")
    _copy(low, make_room(low, stack, "0", size), place.pointer, size)
    w.do(f"store i64 {size}, ptr {stack.top}")
    low.bind(instr.result, stack)


def _copy(low: Lowering, target: str, source: str, size: str) -> None:
    name = "llvm.memcpy.p0.p0.i64"
    low.w.declarations.setdefault(name, f"declare void @{name}(ptr, ptr, i64, i1)")
    low.w.do(f"call void @{name}(ptr {target}, ptr {source}, i64 {size}, i1 false)")


HANDLERS: dict[str, Handler] = {"stack_new": stack_new, "push": push, "pop": pop, "stack_save": save, "stack_load": load}
