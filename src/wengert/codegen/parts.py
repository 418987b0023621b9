"""Loops cut into parts that run in threads of their own: the code of the loop becomes a function of a part's number.

The one idea: the text of the loop is written as it always is, but into another function. What it uses of the function around it
is found by name in the text, stored into a record before the loop and loaded from it at the start of each part. The borders of
the parts follow from their number alone, and what parts have added up is put together in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wengert.codegen.engine import vector_width
from wengert.codegen.interpreter_lock import HEAD_WORDS, RELEASES, STATE
from wengert.codegen.table import address_of
from wengert.codegen.text import Writer, float_literal
from wengert.codegen.threads import MOST_THREADS
from wengert.errors import InternalError

if TYPE_CHECKING:
    from wengert.codegen.lowering import Lowering

# Nanoseconds, by rough estimate, that a part takes at least: several times what it costs to start and end a thread.
GRAIN = 60_000.0
# Stand for numbers that are known when the whole module is written: words of an operand buffer, and of those of all parts.
STRIDE, AREA = "@STRIDE@", "@AREA@"

SUPPORT = f"""declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
define internal ptr @wg_part_thread(ptr %task) nounwind {{
  %body = load ptr, ptr %task
  %at1 = getelementptr inbounds i64, ptr %task, i64 1
  %context = load ptr, ptr %at1
  %at2 = getelementptr inbounds i64, ptr %task, i64 2
  %part = load i64, ptr %at2
  %at3 = getelementptr inbounds i64, ptr %task, i64 3
  %parts = load i64, ptr %at3
  call void %body(ptr %context, i64 %part, i64 %parts)
  ret ptr null
}}
define internal void @wg_run_parts(ptr %body, ptr %context, i64 %parts) noinline nounwind {{
start:
  %tasks = alloca [{MOST_THREADS} x [4 x i64]], align 8
  %threads = alloca [{MOST_THREADS} x i64], align 8
  %failed = alloca [{MOST_THREADS} x i32], align 8
  br label %head
head:
  %k = phi i64 [ 1, %start ], [ %next, %more ]
  %goes = icmp slt i64 %k, %parts
  br i1 %goes, label %more, label %own
more:
  %task = getelementptr inbounds [4 x i64], ptr %tasks, i64 %k
  store ptr %body, ptr %task
  %at1 = getelementptr inbounds i64, ptr %task, i64 1
  store ptr %context, ptr %at1
  %at2 = getelementptr inbounds i64, ptr %task, i64 2
  store i64 %k, ptr %at2
  %at3 = getelementptr inbounds i64, ptr %task, i64 3
  store i64 %parts, ptr %at3
  %thread = getelementptr inbounds i64, ptr %threads, i64 %k
  %found = call i32 @pthread_create(ptr %thread, ptr null, ptr @wg_part_thread, ptr %task)
  %flag = getelementptr inbounds i32, ptr %failed, i64 %k
  store i32 %found, ptr %flag
  %next = add i64 %k, 1
  br label %head
own:
  call void %body(ptr %context, i64 0, i64 %parts)
  br label %ends
ends:
  %j = phi i64 [ 1, %own ], [ %after, %ended ]
  %waits = icmp slt i64 %j, %parts
  br i1 %waits, label %look, label %done
look:
  %flag.j = getelementptr inbounds i32, ptr %failed, i64 %j
  %code = load i32, ptr %flag.j
  %started = icmp eq i32 %code, 0
  br i1 %started, label %join, label %here
join:
  %at.j = getelementptr inbounds i64, ptr %threads, i64 %j
  %id = load i64, ptr %at.j
  %joined = call i32 @pthread_join(i64 %id, ptr null)
  br label %ended
here:
  call void %body(ptr %context, i64 %j, i64 %parts)
  br label %ended
ended:
  %after = add i64 %j, 1
  br label %ends
done:
  ret void
}}
define internal i64 @wg_first_failure(ptr %statuses, ptr %area, i64 %parts, ptr %operands) noinline nounwind {{
start:
  br label %head
head:
  %k = phi i64 [ 0, %start ], [ %next, %look ]
  %goes = icmp slt i64 %k, %parts
  br i1 %goes, label %look, label %fine
look:
  %at = getelementptr inbounds i64, ptr %statuses, i64 %k
  %status = load i64, ptr %at
  %next = add i64 %k, 1
  %passed = icmp eq i64 %status, 0
  br i1 %passed, label %head, label %failed
failed:
  %before = mul i64 %k, {STRIDE}
  %first = add i64 %before, {HEAD_WORDS}
  %source = getelementptr inbounds i64, ptr %area, i64 %first
  %words = sub i64 {STRIDE}, {HEAD_WORDS}
  %size = shl i64 %words, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %operands, ptr %source, i64 %size, i1 false)
  ret i64 %status
fine:
  ret i64 0
}}"""

_NAME = re.compile(r"%[A-Za-z_][\w.]*")
_DEFINED = re.compile(r"\s*(%[\w.]+) = (.*)")
_BLOCK = re.compile(r"label (%[\w.]+)")
_INCOMING = re.compile(r"\[ ([^,\]]+), %[\w.]+ \]")
_FLAGS = r"(?:(?:nsw|nuw|exact|disjoint|nneg|fast|reassoc|contract|nnan|ninf|nsz|arcp|afn|fastcc|samesign) )*"
_CALL = re.compile(rf"call {_FLAGS}(.+?) @")
_PLAIN = re.compile(rf"\w+ {_FLAGS}(\{{[^}}]*\}}|[^\s,]+)")
_CASTS = frozenset(
    ("zext", "sext", "trunc", "fpext", "fptrunc", "fptosi", "fptoui", "sitofp", "uitofp", "bitcast", "ptrtoint", "inttoptr")
)


@dataclass
class Part:
    """The function that one loop has become, while it is written and until its text is complete.

    Attributes:
        symbol: its name.
        context: the record of what it uses, in the function around it.
        outer: what is written around it.
        inner: its own text.
        hole: the line of `outer` where the record is filled.
        cold: its blocks that are seldom reached.
    """

    symbol: str
    context: str
    outer: Writer
    inner: Writer
    hole: int = 0
    cold: list[str] = field(default_factory=list)


def threads_for(low: Lowering, count: str, nanoseconds: str, grain: str | None = None) -> str:
    """The number of parts that a loop of `count` iterations is cut into: 1 where it is too short for more.

    Args:
        low: where to write.
        count: iterations, an i64.
        nanoseconds: what all of them take by rough estimate, a double.
        grain: what a part takes at least, a double.
    """
    w = low.w
    threads = w.let(f"load i64, ptr {address_of(w, 'threads')}")
    whole = w.let(f"fdiv double {nanoseconds}, {grain or float_literal(GRAIN)}")
    bounded = w.let(f"call double @llvm.minnum.f64(double {whole}, double {MOST_THREADS}.0)")
    worth = w.let(f"fptosi double {bounded} to i64")
    for other in (count, worth):
        threads = w.let(f"call i64 @llvm.smin.i64(i64 {threads}, i64 {other})")
    return w.let(f"call i64 @llvm.smax.i64(i64 {threads}, i64 1)")


@contextmanager
def part_of_loop(low: Lowering, count: str, parts: str) -> Iterator[tuple[str, str, str]]:
    """Code written inside becomes that of a part; after it stands the code that runs all parts.

    Gives the first iteration of the part, the one behind its last, and its number.
    """
    outer = low.w
    inner = Writer()
    inner.continue_from(outer)
    part = Part(f"@wg.part{len(low.routines)}", "%" + outer.fresh("context"), outer, inner)
    low.routines[part.symbol] = ""
    saved: tuple[Any, ...] = (low.cold, low.exits, low.buffers, low.frame_bytes, dict(low.dims), dict(low.factors))
    low.w, low.cold, low.exits, low.buffers, low.frame_bytes, low.part = inner, part.cold, [], [], 0, part
    prologue = inner.hole()
    borders = []
    for number in ("%part.k", inner.let("add i64 %part.k, 1")):
        borders.append(inner.let(f"sdiv i64 {inner.let(f'mul i64 {count}, {number}')}, %part.n"))
    yield borders[0], borders[1], "%part.k"
    statuses, area = outer.slot("i64", count=MOST_THREADS), "%" + outer.fresh("area")
    can_fail = bool(low.exits)
    _close(low, inner, prologue, statuses if can_fail else "", area)
    outer.take_from(inner)
    low.w, low.part = outer, None
    low.cold, low.exits, low.buffers, low.frame_bytes = saved[:4]
    for table, old in ((low.dims, saved[4]), (low.factors, saved[5])):
        table.clear()
        table.update(old)
    part.hole = outer.hole()
    _run(low, part, parts)
    if can_fail:
        outer.entry.append(f"  {area} = alloca i64, i64 {AREA}, align 8")
        status = outer.let(f"call i64 @wg_first_failure(ptr {statuses}, ptr {area}, i64 {parts}, ptr %operands)")
        passed = outer.fresh("passed")
        outer.branch(outer.let(f"icmp eq i64 {status}, 0"), passed, low.fail(status), ", !prof !1")
        outer.label(passed)
    low.parts.append(part)


def _close(low: Lowering, w: Writer, prologue: int, statuses: str, area: str) -> None:
    """The end of a part: free its memory and say how it went."""
    end = w.block
    w.jump("leave")
    w.label("leave")
    if statuses:
        status = w.let("phi i64 " + ", ".join([f"[ 0, %{end} ]", *(f"[ {s}, %{b} ]" for s, b in low.exits)]))
        at = w.let(f"getelementptr inbounds i64, ptr {statuses}, i64 %part.k")
        w.do(f"store i64 {status}, ptr {at}")
        own = [f"%part.before = mul i64 %part.k, {STRIDE}", f"%part.first = add i64 %part.before, {HEAD_WORDS}"]
        own.append(f"%operands = getelementptr inbounds i64, ptr {area}, i64 %part.first")
        for name, distance, zero in (("state", STATE, "ptr null"), ("gives", RELEASES, "i64 0")):
            own.append(f"%part.{name} = getelementptr inbounds i64, ptr %operands, i64 {distance}")
            own.append(f"store {zero}, ptr %part.{name}")
        w.fill(prologue, "\n  ".join(own))
    for buffer in low.buffers:
        w.do(f"call void @wg_free(ptr {w.let(f'load ptr, ptr {buffer.pointer}')})")
    w.do("ret void")


def _run(low: Lowering, part: Part, parts: str) -> None:
    w = low.w
    alone, many, joined = w.fresh("alone"), w.fresh("many"), w.fresh("joined")
    w.branch(w.let(f"icmp eq i64 {parts}, 1"), alone, many)
    w.label(alone)
    w.do(f"call void {part.symbol}(ptr {part.context}, i64 0, i64 1)")
    w.jump(joined)
    w.label(many)
    w.do(f"call void @wg_run_parts(ptr {part.symbol}, ptr {part.context}, i64 {parts})")
    w.jump(joined)
    w.label(joined)


def finish(low: Lowering, parameters: Iterable[str]) -> None:
    """Complete the functions of all parts, when the text around them is complete."""
    if not low.parts:
        return
    types = {name: type for type, name in (p.replace(" noalias", "").rsplit(" ", 1) for p in parameters)}
    for line in (*low.w.entry, *(one for text in low.w.lines for one in text.split("\n")), *low.cold):
        if (found := _DEFINED.match(line)) is not None:
            types[found[1]] = found[2]
    for part in low.parts:
        low.routines[part.symbol] = _function(part, types)
    low.parts.clear()


def _function(part: Part, definitions: dict[str, str]) -> str:
    outer, inner = part.outer, part.inner
    lines = [one for text in (*inner.entry, *inner.lines, *part.cold) for one in text.split("\n")]
    names = _used(lines)
    types = [_type(definitions, name) for name in names]
    loads, stores = [], []
    for k, (name, type) in enumerate(zip(names, types, strict=True)):
        at = "%" + outer.fresh("at")
        stores += [f"{at} = getelementptr inbounds [2 x i64], ptr {part.context}, i64 {k}", f"store {type} {name}, ptr {at}"]
        loads += [
            f"  %part.at{k} = getelementptr inbounds [2 x i64], ptr %part.context, i64 {k}",
            f"  {name} = load {type}, ptr %part.at{k}",
        ]
    outer.entry.append(f"  {part.context} = alloca [2 x i64], i64 {max(1, len(names))}, align 16")
    outer.fill(part.hole, "\n  ".join(stores))
    text = "\n".join([*loads, *inner.entry, "  br label %begin", "begin:", *inner.lines, *part.cold])
    head = f"define internal void {part.symbol}(ptr noalias %part.context, i64 %part.k, i64 %part.n) noinline nounwind"
    return f"{head} {vector_width()} {{\nstart:\n{text}\n}}"


def _used(lines: Sequence[str]) -> list[str]:
    """Names of values that the text uses and does not define."""
    defined, used = {"%part.k", "%part.n"}, dict[str, None]()
    for line in lines:
        found = _DEFINED.match(line)
        text = line
        if found is not None:
            defined.add(found[1])
            text = found[2]
        if text.startswith("phi "):
            text = _INCOMING.sub(r"\1", text)
        used.update(dict.fromkeys(_NAME.findall(_BLOCK.sub("", text))))
    return [name for name in used if name not in defined]


def _type(definitions: dict[str, str], name: str) -> str:
    """The LLVM type of a value, from the text that defines it (or its own type, for parameters)."""
    text = definitions.get(name)
    if text is None:
        raise InternalError(f"the text of a loop uses {name}, which is not defined around it")
    if " " not in text:
        return text
    opcode = text.split(" ", 1)[0]
    if opcode in ("icmp", "fcmp"):
        return "i1"
    if opcode in ("alloca", "getelementptr"):
        return "ptr"
    if opcode in _CASTS:
        return text.split(" to ", 1)[1].split(",")[0]
    if opcode == "call" and (called := _CALL.match(text)) is not None:
        return called[1]
    if opcode == "select":
        return text.split(", ", 1)[1].split(" ", 1)[0]
    found = _PLAIN.match(text)
    if found is None:
        raise InternalError(f"the type of {name} = {text} is not known")
    if opcode == "extractvalue":
        return found[1].strip("{} ").split(",")[int(text.rsplit(",", 1)[1])].strip()
    return found[1]
