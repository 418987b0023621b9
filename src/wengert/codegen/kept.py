"""Memory that one call leaves to the next, and the records (address and size in bytes) of the buffers of a call.

Records lie in registers, but where a function has very many buffers or exits, in memory: then they stand side by side, so that a
call takes and leaves them all at once.
"""

from __future__ import annotations

import re

from wengert.codegen.lowering import Lowering
from wengert.codegen.stacks import STACK_SCOPE
from wengert.codegen.storage import Buffer

KEPT_BYTES = 1 << 26
"""Memory of up to this many bytes per buffer is kept for the next call: fresh pages cost more than most computations."""
MOST_MERGED = 2000
"""Above this many pairs of a buffer and an exit, LLVM would spend most of its time on merging the buffers' addresses."""
OWN = ("wg_keep", "llvm.memset.p0.i64", "llvm.memcpy.p0.p0.i64")
"""What `support` defines or declares."""

_RECORD = "{ptr, i64}"

_SUPPORT = """@wg.kept = internal global [{kept} x {{ptr, i64}}] zeroinitializer, align 8
@wg.busy = internal global i8 0
define internal i1 @wg_claim() noinline nounwind {{
  %old = atomicrmw xchg ptr @wg.busy, i8 1 acquire
  %mine = icmp eq i8 %old, 0
  ret i1 %mine
}}
define internal void @wg_leave(i1 %mine) noinline nounwind {{
  br i1 %mine, label %yes, label %no
yes:
  store atomic i8 0, ptr @wg.busy release, align 1
  ret void
no:
  ret void
}}
define internal void @wg_keep(i64 %k, ptr %p, i64 %capacity, i1 %mine) noinline nounwind {{
  br i1 %mine, label %look, label %no
look:
  %at = getelementptr inbounds [{kept} x {{ptr, i64}}], ptr @wg.kept, i64 0, i64 %k
  %held = load ptr, ptr %at
  %free = icmp eq ptr %held, null
  %small = icmp ule i64 %capacity, {limit}
  %keep = and i1 %free, %small
  br i1 %keep, label %yes, label %no
yes:
  store ptr %p, ptr %at
  %size = getelementptr inbounds i8, ptr %at, i64 8
  store i64 %capacity, ptr %size
  ret void
no:
  call void @free(ptr %p)
  ret void
}}
define internal void @wg_keep_records(i64 %first, i64 %count, ptr captures(none) %records, i1 %mine) noinline nounwind {{
entry:
  %kept = getelementptr inbounds [{kept} x {{ptr, i64}}], ptr @wg.kept, i64 0, i64 %first
  br label %head
head:
  %k = phi i64 [ 0, %entry ], [ %next, %done ]
  %more = icmp ult i64 %k, %count
  br i1 %more, label %look, label %end
look:
  %record = getelementptr inbounds {{ptr, i64}}, ptr %records, i64 %k
  %p = load ptr, ptr %record
  %place = getelementptr inbounds i8, ptr %record, i64 8
  %capacity = load i64, ptr %place
  %at = getelementptr inbounds {{ptr, i64}}, ptr %kept, i64 %k
  %held = load ptr, ptr %at
  %free = icmp eq ptr %held, null
  %small = icmp ule i64 %capacity, {limit}
  %fits = and i1 %free, %small
  %keep = and i1 %fits, %mine
  br i1 %keep, label %yes, label %no, !prof !1
yes:
  store ptr %p, ptr %at
  %size = getelementptr inbounds i8, ptr %at, i64 8
  store i64 %capacity, ptr %size
  br label %done
no:
  call void @free(ptr %p)
  br label %done
done:
  %next = add i64 %k, 1
  br label %head
end:
  ret void
}}
define internal ptr @wg_reserve(ptr captures(none) %record, i64 %size) noinline nounwind {{
  %place = getelementptr inbounds i8, ptr %record, i64 8
  %capacity = load i64, ptr %place
  %old = load ptr, ptr %record
  %fits = icmp ule i64 %size, %capacity
  br i1 %fits, label %ready, label %grow, !prof !1
grow:
  call void @wg_free(ptr %old)
  %fresh = call ptr @wg_allocate(i64 %size)
  store ptr %fresh, ptr %record
  %none = icmp eq ptr %fresh, null
  %room = select i1 %none, i64 0, i64 %size
  store i64 %room, ptr %place
  ret ptr %fresh
ready:
  ret ptr %old
}}
define internal void @wg_take_records(i64 %first, i64 %count, ptr captures(none) %records) noinline nounwind {{
  %kept = getelementptr inbounds [{kept} x {{ptr, i64}}], ptr @wg.kept, i64 0, i64 %first
  %size = shl i64 %count, 4
  call void @llvm.memcpy.p0.p0.i64(ptr align 8 %records, ptr align 8 %kept, i64 %size, i1 false)
  call void @llvm.memset.p0.i64(ptr align 8 %kept, i8 0, i64 %size, i1 false)
  ret void
}}
define void @wg_release() {{
entry:
  br label %head
head:
  %k = phi i64 [ 0, %entry ], [ %next, %body ]
  %more = icmp ult i64 %k, {kept}
  br i1 %more, label %body, label %done
body:
  %at = getelementptr inbounds [{kept} x {{ptr, i64}}], ptr @wg.kept, i64 0, i64 %k
  %p = load ptr, ptr %at
  call void @free(ptr %p)
  store ptr null, ptr %at
  %next = add i64 %k, 1
  br label %head
done:
  ret void
}}
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"""


def support(count: int) -> str:
    """LLVM functions and data for `count` buffers of a module."""
    return _SUPPORT.format(kept=count, limit=KEPT_BYTES)


def _in_memory(low: Lowering) -> list[Buffer]:
    """The buffers whose address and size lie in memory: in registers, each would be a phi of all exits where the function ends.

    Those of stacks never do: they change in the loops that push and pop.
    """
    if not low.is_long and len(low.buffers) * len(low.exits) <= MOST_MERGED:
        return []
    return [b for b in low.buffers if b.scope != STACK_SCOPE]


def _in_registers(low: Lowering) -> list[tuple[int, Buffer]]:
    """The other buffers, with their numbers in the module: they come behind those in memory."""
    in_memory = set(_in_memory(low))
    return list(enumerate((b for b in low.buffers if b not in in_memory), low.first_kept + len(in_memory)))


def entry(low: Lowering) -> list[str]:
    """What the function begins with: its slots, of which the records in memory are one."""
    places = {b.pointer: k for k, b in enumerate(_in_memory(low))}
    if not places:
        return low.w.entry
    block = f"[{len(places)} x {_RECORD}]"
    lines = [
        f"  %records = alloca {block}, align 16",
        f"  call void @llvm.memset.p0.i64(ptr align 16 %records, i8 0, i64 {16 * len(places)}, i1 false)",
    ]
    words = set(places)  # the addresses of their words
    for line in low.w.entry:
        if made := re.match(r"  (%\S+) = alloca ", line):
            if made[1] in places:
                line = f"  {made[1]} = getelementptr inbounds {block}, ptr %records, i64 0, i64 {places[made[1]]}"
        elif (field := re.match(r"  (%\S+) = getelementptr inbounds i64, ptr (%\S+), ", line)) and field[2] in places:
            words.add(field[1])
        elif (cleared := re.match(r"  store .*, ptr (%[^ ,]+)", line)) and cleared[1] in words:
            continue
        lines.append(line)
    return lines


def keep(low: Lowering) -> None:
    """Keep the memory of this call for the next one."""
    w = low.w
    if not low.buffers:
        return
    mine = w.let("call i1 @wg_claim()")
    count = len(_in_memory(low))
    if count:
        w.do(f"call void @wg_keep_records(i64 {low.first_kept}, i64 {count}, ptr %records, i1 {mine})")
    for k, buffer in _in_registers(low):
        held, size = w.let(f"load ptr, ptr {buffer.pointer}"), w.let(f"load i64, ptr {buffer.capacity}")
        w.call("void", "wg_keep", [("i64", str(k)), ("ptr", held), ("i64", size), ("i1", mine)])
    w.do(f"call void @wg_leave(i1 {mine})")


def take(low: Lowering) -> list[str]:
    """Take the memory that the last call left behind; a call inside of this one finds none and gets its own.

    So does one of another thread that looks while this one takes.
    """
    if not low.buffers:
        return []
    lines = ["  %mine = call i1 @wg_claim()", "  br i1 %mine, label %taking, label %begin", "taking:"]
    count = len(_in_memory(low))
    if count:
        lines.append(f"  call void @wg_take_records(i64 {low.first_kept}, i64 {count}, ptr %records)")
    for k, buffer in _in_registers(low):
        at = f"getelementptr inbounds ({_RECORD}, ptr @wg.kept, i64 {k}"
        lines += [
            f"  %kept{k} = load ptr, ptr {at}, i32 0)",
            f"  %size{k} = load i64, ptr {at}, i32 1)",
            f"  store ptr null, ptr {at}, i32 0)",
            f"  store i64 0, ptr {at}, i32 1)",
            f"  store ptr %kept{k}, ptr {buffer.pointer}",
            f"  store i64 %size{k}, ptr {buffer.capacity}",
        ]
    return [*lines, "  call void @wg_leave(i1 true)"]
