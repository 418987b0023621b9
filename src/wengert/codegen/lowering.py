"""The state of lowering one function to LLVM text: where values are, which frames are open, what memory exists.

The one idea: an array is overwritten in place when its old value is dead, and whatever still reads the old contents is saved
first (`vacate`). So nobody has to prove beforehand that no hazard exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wengert.codegen.interfaces import Interface
from wengert.codegen.liveness import Frame, Uses
from wengert.codegen.parts import Part
from wengert.codegen.storage import Awaited, Buffer, Index, Lazy, Mem, Place, Stack, static_bytes
from wengert.codegen.text import MEMORY, REGISTER, Writer
from wengert.errors import InternalError, Span
from wengert.ir.core import Function, Instr, Region, Value, walk
from wengert.types import Affine, DType

MISSING = object()
COLD = ", !prof !2"
LIKELY = ", !prof !1"
# Arrays of known sizes up to this many bytes lie in the frame of the native function, where LLVM can keep them in registers...
LOCAL_BYTES = 512
# ... until the frame has this many bytes of them.
FRAME_BYTES = 1 << 15
LOCAL_SCOPE = -1
# Every scope lists all others, so their number is bounded: LLVM takes long over long lists.
OWN_SCOPES, MOST_SCOPES = 2, 96
LONG = 500
OUT_OF_MEMORY = -1
PYTHON_ERROR = -2


@dataclass(frozen=True)
class Note:
    """Something that costs memory or time and that `explain` shows.

    Attributes:
        kind: "allocation", "copy" or "stack".
        what: type and reason.
        span: the user's line.
        loops: number of loops around it.
    """

    kind: str
    what: str
    span: Span | None
    loops: int


@dataclass(frozen=True)
class Site:
    """A place in the code that calls back into Python: a check, an index check or a print.

    Attributes:
        instr: the instruction.
        kinds: how its operands lie in the operand buffer: "f64", "f32", "i64", "bool", or (dtype name, rank) of an array, which
            takes an address and its sizes.
    """

    instr: Instr
    kinds: tuple[Any, ...]


@dataclass
class Options:
    """What the code generator may do.

    Attributes:
        fuse: compute elementwise results where they are used.
        inplace: overwrite dead arrays.
        latewrites: overwrite parts of arrays after what reads them, where that can be chosen.
        vecmath: inline polynomial kernels instead of calls of the C library.
        pieces: make several native functions of a long one.
        llvm: let LLVM optimise, which takes most of the time of compiling.
        threads: cut loops into parts that may run in threads of their own.
    """

    fuse: bool = True
    inplace: bool = True
    latewrites: bool = True
    vecmath: bool = True
    pieces: bool = True
    llvm: bool = True
    threads: bool = False


Handler = Callable[["Lowering", Instr], None]


@dataclass
class Lowering:
    """Everything known while one function is being written; handlers of the ops live in the sibling modules."""

    function: Function
    options: Options
    handlers: dict[str, Handler]
    w: Writer = field(default_factory=Writer)
    env: dict[Value, Place] = field(default_factory=dict)
    depth: dict[Value, int] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    scopes: int = 2
    scoped: int = 0
    users: dict[Value, list[Value]] = field(default_factory=dict)
    dims: dict[Affine, str] = field(default_factory=dict)
    memo: dict[tuple[Value, Index], str] = field(default_factory=dict)
    waiting: dict[Value, Awaited] = field(default_factory=dict)
    copies: dict[Value, Mem] = field(default_factory=dict)
    factors: dict[Any, Any] = field(default_factory=dict)
    routines: dict[str, str] = field(default_factory=dict)
    settle: Callable[[Lowering], None] = lambda low: None
    output: Callable[[Lowering, Value, int], Buffer | None] = lambda low, value, position: None
    destined: dict[Value, int] = field(default_factory=dict)
    overwritten: dict[Value, int] = field(default_factory=dict)
    placed: dict[int, tuple[Buffer, str]] = field(default_factory=dict)
    sites: list[Site] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    cold: list[str] = field(default_factory=list)
    exits: list[tuple[int | str, str]] = field(default_factory=list)
    span: Span | None = None
    operand_words: int = 1
    interfaces: dict[str, Interface] = field(default_factory=dict)
    first_scope: int = 0
    first_kept: int = 0
    frame_bytes: int = 0
    part: Any = None
    parts: list[Part] = field(default_factory=list)
    shared: set[Buffer] = field(default_factory=set)
    in_order: frozenset[int] = frozenset()
    loops_seen: int = 0

    def __post_init__(self) -> None:
        self.body = self.function.body
        # Compiling a long function takes longer than what is gained where its pieces stand in place.
        self.is_long = sum(1 for _ in walk(self.function.instrs)) > LONG
        self.uses = Uses(self.body)

    # --- values -------------------------------------------------------------------------------------------------

    def bind(self, value: Value, place: Place) -> None:
        """Say where a value defined in the current frame is."""
        self.depth[value] = len(self.frames) - 1
        self.env[value] = place
        self._watch(value, place)

    def rebind(self, value: Value, place: Place) -> None:
        """Say that a value is somewhere else from here to the end of the current frame."""
        if self.depth[value] < len(self.frames) - 1:
            self.frames[-1].log.append((self.env, value, self.env[value]))
        self.env[value] = place
        self._watch(value, place)
        if isinstance(place, Mem):
            self._spread(value, place.reads)

    def _spread(self, value: Value, buffers: frozenset[Buffer]) -> None:
        """Note that what is still to be computed from `value` reads `buffers` now."""
        for user in self.users.get(value, ()):
            place = self.env.get(user)
            if isinstance(place, Lazy) and not buffers <= place.reads:
                self.env[user] = replace(place, reads=place.reads | buffers)
                for buffer in buffers:
                    buffer.readers.append(user)
                self._spread(user, buffers)

    def _watch(self, value: Value, place: Place) -> None:
        if isinstance(place, Mem | Lazy):
            for buffer in place.reads:
                buffer.readers.append(value)
        if isinstance(place, Lazy):
            for source in (*place.parts, *place.others):
                self.users.setdefault(source, []).append(value)

    def scalar(self, value: Value) -> str:
        """The SSA value of a scalar; runs the nests that it waits for."""
        if isinstance(self.env[value], Awaited):
            self.settle(self)
        place = self.env[value]
        if not isinstance(place, str):
            raise InternalError(f"{value} is not a scalar in a register")
        return place

    def array(self, value: Value) -> Mem | Lazy:
        """The place of an array."""
        place = self.env[value]
        if not isinstance(place, Mem | Lazy):
            raise InternalError(f"{value} is not an array")
        return place

    def stack(self, value: Value) -> Stack:
        """The place of a stack."""
        place = self.env[value]
        if not isinstance(place, Stack):
            raise InternalError(f"{value} is not a stack")
        return place

    def dim(self, d: Affine) -> str:
        """A dimension as an SSA value."""
        if isinstance(d, int):
            return str(d)
        known = self.dims.get(d)
        if known is not None:
            return known
        total = str(d.const) if d.const else ""
        for symbol, coefficient in d.terms:
            assert isinstance(symbol, Value), d
            term = self.scalar(symbol)
            term = self.w.times(term, coefficient)
            total = self.w.plus(term, total) if total else term
        self.dims[d] = total
        self.frames[-1].log.append((self.dims, d, MISSING))
        return total

    def sizes(self, value: Value) -> Index:
        """The dimensions of an array as SSA values."""
        return tuple(self.dim(d) for d in value.dims)

    def remember(self, table: dict[Any, Any], key: Any, found: Any) -> None:
        """Note something that is known from here to the end of the current frame."""
        self.frames[-1].log.append((table, key, table.get(key, MISSING)))
        table[key] = found

    # --- frames and instructions --------------------------------------------------------------------------------

    def enter(self, region: Region, again: Iterable[Value] = (), loop: bool = False) -> None:
        """Open the frame of a region."""
        self.settle(self)
        loops = (self.frames[-1].loops if self.frames else 0) + loop
        self.frames.append(Frame(region, self.uses.last(region), len(self.frames), loops, frozenset(again)))

    def leave(self) -> None:
        """Close the current frame: what was saved elsewhere inside it is where it was before."""
        self.waiting.clear()
        for table, key, old in reversed(self.frames.pop().log):
            if old is MISSING:
                table.pop(key, None)
            else:
                table[key] = old

    def block(self, region: Region) -> None:
        """Lower the instructions of a region whose frame is open; afterwards the frame stands at the yield."""
        frame = self.frames[-1]
        for position, instr in enumerate(region.instrs):
            frame.position = position
            self.span = instr.span or self.span
            handler = self.handlers.get(instr.op.name) or self.handlers.get(instr.op.kind)
            if handler is None:
                raise InternalError(f"no native code for the op {instr.op.name!r}", instr.span)
            handler(self, instr)
        frame.position = len(region.instrs)

    # --- liveness -----------------------------------------------------------------------------------------------

    def live_after(self, value: Value) -> bool:
        """Whether anything after the current instruction uses `value` itself (not what was computed from it)."""
        return any(w.source is value for w in self.waiting.values()) or self.used_after(value)

    def used_after(self, value: Value) -> bool:
        """Like `live_after`, but not counting reductions that wait to be computed."""
        return self._live(value, self.depth[value])

    def live_outside(self, value: Value) -> bool:
        """Whether anything after the current frame, or in its next iteration, uses `value`."""
        frame = self.frames[-1]
        defined = self.depth[value]
        return defined < frame.depth and (value in frame.again or self._live(value, defined, frame.depth - 1))

    def _live(self, value: Value, lowest: int, highest: int | None = None) -> bool:
        frames = self.frames if highest is None else self.frames[: highest + 1]
        for frame in reversed(frames):
            if frame.depth < lowest:
                return False
            if frame.last.get(value, -1) > frame.position or (frame.depth > lowest and value in frame.again):
                return True
        return False

    def live_beyond(self, value: Value, doing: set[Value]) -> bool:
        """Whether `value` will be read later, by itself or through results not yet computed, other than those in `doing`."""
        pending, seen = [value], {value}
        while pending:
            found = pending.pop()
            if self.live_after(found):
                return True
            for user in self.users.get(found, ()):
                if user not in seen and user not in doing and isinstance(self.env.get(user), Lazy):
                    seen.add(user)
                    pending.append(user)
        return False

    # --- memory -------------------------------------------------------------------------------------------------

    def new_buffer(self, what: str = "", writable: bool = True) -> Buffer:
        """A growable allocation that is freed when the function ends; `what` is for the report."""
        record = self.w.record([("ptr", "null"), ("i64", "0")])
        buffer = Buffer(self.new_scope(), writable, record, self.w.field(record, 1))
        self.buffers.append(buffer)
        if what:
            self.note("allocation", what)
        return buffer

    def result_home(self, result: Value, values: Sequence[Value]) -> Buffer | None:
        """The NumPy array that will be returned, where a loop of the outermost frame makes it from arrays like `values`."""
        return self._home(self.destined.get(result), result, values)

    def _home(self, position: int | None, result: Value, values: Sequence[Value]) -> Buffer | None:
        if position is None or position in self.placed or len(self.frames) > 1 or not self.options.inplace:
            return None
        if any(v.type != result.type for v in values) or 0 < static_bytes(result) <= LOCAL_BYTES:
            return None
        return self.output(self, result, position)

    def new_home(self, values: Sequence[Value], what: str) -> Buffer:
        """Memory for arrays like `values`, one at a time: in the function's frame if they are small, else like `new_buffer`."""
        sizes = [static_bytes(v) for v in values]
        return self.new_place(max(sizes) if min(sizes) else 0, f"{values[0].type}: {what}")

    def new_place(self, room: int, what: str) -> Buffer:
        """Memory of a known number of bytes, in the function's frame if that is small; 0 says that it is not known."""
        if not self.options.inplace or room == 0 or room > LOCAL_BYTES or self.frame_bytes + room > FRAME_BYTES:
            return self.new_buffer(what)
        self.frame_bytes += room
        local = "%" + self.w.fresh("s")
        self.w.entry.append(f"  {local} = alloca [{room} x i8], align {64 if room > 32 else 32}")
        return Buffer(LOCAL_SCOPE, True, local=local, room=room)

    def new_scope(self) -> int:
        """The number of an alias scope; 0 is for the arguments, 1 for stacks. Of many buffers, some share one: less is known."""
        number = OWN_SCOPES + self.scoped % MOST_SCOPES
        self.scoped += 1
        self.scopes = max(self.scopes, number + 1)
        return number

    def note(self, kind: str, what: str) -> None:
        """Add to the report."""
        self.notes.append(Note(kind, what, self.span, self.frames[-1].loops if self.frames else 0))

    def product(self, sizes: Sequence[str]) -> str:
        """The number of elements, negative sizes read as 0 and overflow as a number too large to allocate."""
        if all(not s.startswith("%") for s in sizes):
            count = 1
            for s in sizes:
                count *= max(0, int(s))
            return str(min(count, 2**60))
        total = ""
        for size in sizes:
            size = self.w.let(f"call i64 @llvm.smax.i64(i64 {size}, i64 0)") if size.startswith("%") else size
            if not total:
                total = size
                continue
            pair = self.w.let(f"call {{i64, i1}} @llvm.umul.with.overflow.i64(i64 {total}, i64 {size})")
            value, overflow = (
                self.w.let(f"extractvalue {{i64, i1}} {pair}, 0"),
                self.w.let(f"extractvalue {{i64, i1}} {pair}, 1"),
            )
            total = self.w.let(f"select i1 {overflow}, i64 {2**60}, i64 {value}")
        return total

    def reserve(self, buffer: Buffer, count: str, dtype: DType) -> str:
        """Make room for `count` elements, dropping the old contents, and return the address."""
        w = self.w
        if buffer.local:
            if buffer.result is None and (count.startswith("%") or int(count) * dtype.itemsize > buffer.room):
                raise InternalError(f"an array of {count} elements does not fit into {buffer.room} bytes", self.span)
            return buffer.local
        bounded = w.let(f"call i64 @llvm.umin.i64(i64 {count}, i64 {2**56})")
        shift = dtype.itemsize.bit_length() - 1
        size = w.let(f"shl nuw i64 {bounded}, {shift}") if shift else bounded
        size = w.let(f"add nuw i64 {size}, 64")
        size = w.let(f"and i64 {size}, -64")
        if self.is_long:
            found, ready = w.let(f"call ptr @wg_reserve(ptr {buffer.pointer}, i64 {size})"), w.fresh("ready")
            w.branch(w.let(f"icmp eq ptr {found}, null"), self.fail(OUT_OF_MEMORY), ready, COLD)
            w.label(ready)
            return found
        fits = w.let(f"icmp ule i64 {size}, {w.let(f'load i64, ptr {buffer.capacity}')}")
        grow, stored, ready = w.fresh("grow"), w.fresh("stored"), w.fresh("ready")
        w.branch(fits, ready, grow, LIKELY)
        w.label(grow)
        old = w.let(f"load ptr, ptr {buffer.pointer}")
        w.call("void", "wg_free", [("ptr", old)], " nounwind")
        fresh = w.call("ptr", "wg_allocate", [("i64", size)], " nounwind")
        w.do(f"store ptr {fresh}, ptr {buffer.pointer}")
        w.do(f"store i64 0, ptr {buffer.capacity}")
        failed = w.let(f"icmp eq ptr {fresh}, null")
        w.branch(failed, self.fail(OUT_OF_MEMORY), stored, COLD)
        w.label(stored)
        w.do(f"store i64 {size}, ptr {buffer.capacity}")
        w.jump(ready)
        w.label(ready)
        return w.let(f"load ptr, ptr {buffer.pointer}")

    def enlarge(self, buffer: Buffer, used: str, count: str, dtype: DType) -> str:
        """Make room for `count` elements, keeping the `used` ones that are there, and return the address.

        What is allocated is twice what is needed, so that an array which grows one by one is copied seldom.
        """
        w = self.w
        if buffer.local:
            raise InternalError("an array in the frame of its function cannot grow", self.span)
        bounded = w.let(f"call i64 @llvm.umin.i64(i64 {count}, i64 {2**56})")
        shift = dtype.itemsize.bit_length() - 1
        size = w.let(f"shl nuw i64 {bounded}, {shift}") if shift else bounded
        fits = w.let(f"icmp ule i64 {size}, {w.let(f'load i64, ptr {buffer.capacity}')}")
        grow, stored, ready = w.fresh("grow"), w.fresh("stored"), w.fresh("ready")
        w.branch(fits, ready, grow, LIKELY)
        w.label(grow)
        old = w.let(f"load ptr, ptr {buffer.pointer}")
        room = w.let(f"add nuw i64 {w.let(f'shl nuw i64 {size}, 1')}, 64")
        room = w.let(f"and i64 {room}, -64")
        kept = w.let(f"shl nuw i64 {used}, {shift}") if shift else used
        fresh = w.call("ptr", "wg_grow", [("ptr", old), ("i64", kept), ("i64", room)], " nounwind")
        w.branch(w.let(f"icmp eq ptr {fresh}, null"), self.fail(OUT_OF_MEMORY), stored, COLD)
        w.label(stored)
        w.do(f"store ptr {fresh}, ptr {buffer.pointer}")
        w.do(f"store i64 {room}, ptr {buffer.capacity}")
        w.jump(ready)
        w.label(ready)
        return w.let(f"load ptr, ptr {buffer.pointer}")

    def fail(self, status: int | str, stores: Sequence[str] = ()) -> str:
        """A new cold block that leaves the function with `status`, after `stores`."""
        block = self.w.fresh("fail")
        self.cold += [f"{block}:", *(f"  {s}" for s in stores), "  br label %leave"]
        self.exits.append((status, block))
        return block

    def allocate(self, value: Value, what: str, grows: bool = False) -> Mem:
        """Fresh memory for an array like `value`, which may have to grow."""
        if grows:
            buffer = self.new_buffer(f"{value.type}: {what}")
        else:
            buffer = self._home(self.overwritten.get(value), value, [value]) or self.new_home([value], what)
        return self.memory(value, buffer, self.reserve(buffer, self.product(self.sizes(value)), value.tensor.dtype))

    def memory(self, value: Value, buffer: Buffer, pointer: str) -> Mem:
        """An array like `value` that is all of `buffer`."""
        sizes = self.sizes(value)
        return Mem(value.tensor.dtype, buffer, pointer, sizes, self.row_major(sizes), (), True)

    def current(self, value: Value, buffer: Buffer) -> Mem:
        """An array like `value` that is all of `buffer`, wherever the buffer is now."""
        return self.memory(value, buffer, buffer.local or self.w.let(f"load ptr, ptr {buffer.pointer}"))

    def row_major(self, sizes: Index) -> Index:
        """Strides of a contiguous array."""
        strides = ["1"]
        for size in reversed(sizes[1:]):
            strides.append(self.w.times(strides[-1], size))
        return tuple(reversed(strides[: len(sizes)]))

    def address(self, mem: Mem, index: Index, flat: bool = False) -> str:
        """The address of an element; with `flat`, of the element at a row-major position."""
        offset = ""
        for position, stride in [(index[0], "1")] if flat else zip(index, mem.strides, strict=True):
            if stride != "0" and position != "0":
                offset = self.w.plus(offset or "0", self.w.times(position, stride))
        if offset in ("", "0"):
            return mem.pointer
        return self.w.let(f"getelementptr inbounds {MEMORY[mem.dtype.name]}, ptr {mem.pointer}, i64 {offset}")

    def load(self, dtype: DType, address: str, buffer: Buffer) -> str:
        """Read an element."""
        align = dtype.itemsize
        found = self.w.let(f"load {MEMORY[dtype.name]}, ptr {address}, align {align}{self.alias(buffer)}")
        return self.w.let(f"icmp ne i8 {found}, 0") if dtype.name == "bool" else found

    def store(self, dtype: DType, element: str, address: str, buffer: Buffer) -> None:
        """Write an element."""
        if dtype.name == "bool":
            element = self.w.let(f"zext {REGISTER['bool']} {element} to i8")
        self.w.do(f"store {MEMORY[dtype.name]} {element}, ptr {address}, align {dtype.itemsize}{self.alias(buffer)}")

    def alias(self, buffer: Buffer) -> str:
        """Alias metadata of an access to `buffer`: distinct buffers never overlap."""
        if buffer.scope == LOCAL_SCOPE:
            return ""  # LLVM sees that slots of the frame are apart from each other and from everything else.
        scope = self.first_scope + buffer.scope
        return f", !alias.scope !{scope_list(scope)}, !noalias !{others_list(scope)}"


def scope_list(scope: int) -> int:
    """Number of the metadata node that lists the scope alone."""
    return 11 + 3 * scope


def others_list(scope: int) -> int:
    """Number of the metadata node that lists all other scopes."""
    return 12 + 3 * scope
