"""When native code lets other Python threads run: the words before the operand buffer, and what a call may cost.

Giving the interpreter's lock back and taking it again costs about as much as the shortest calls, so they keep it. What may
run longer gives it back for the time of the kernel, and takes it where it makes an array, prints or calls Python code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from wengert.codegen.text import Writer
from wengert.ir.core import Function, Instr, Value, walk
from wengert.types import Affine, Dim, TensorType

# Words in front of the operand buffer of a call, by their distance from it.
STATE, RELEASES, STACK_LIMIT = -1, -2, -4
# The number of the thread that the limit of the stack holds for; later the second in which signals were last looked for.
SECOND = -3
HEAD_WORDS = 4
# From so many elements of its largest array on, a call gives the lock back.
MANY = 4096
# The same for functions with matrix products and factorisations, whose work grows faster than their arrays.
MANY_IN_MATRICES = 1024
# Instructions of loops of known length that take about as long.
LONG = 4096
# To multiply the sizes of more shapes than this costs more than to give the lock back.
MOST_SHAPES = 4

SUPPORT = f"""define internal void @wg_hold(ptr %operands) noinline nounwind {{
  %at = getelementptr inbounds i64, ptr %operands, i64 {STATE}
  %state = load ptr, ptr %at
  %held = icmp eq ptr %state, null
  br i1 %held, label %done, label %take
take:
  store ptr null, ptr %at
  call void @PyEval_RestoreThread(ptr %state)
  br label %done
done:
  ret void
}}
define internal void @wg_release_lock(ptr %operands) noinline nounwind {{
  %flag = getelementptr inbounds i64, ptr %operands, i64 {RELEASES}
  %word = load i64, ptr %flag
  %keeps = icmp eq i64 %word, 0
  br i1 %keeps, label %done, label %give
give:
  %state = call ptr @PyEval_SaveThread()
  %at = getelementptr inbounds i64, ptr %operands, i64 {STATE}
  store ptr %state, ptr %at
  br label %done
done:
  ret void
}}
define internal i32 @wg_poll(ptr %operands) cold noinline nounwind {{
  %at = getelementptr inbounds i64, ptr %operands, i64 {STATE}
  %state = load ptr, ptr %at
  %held = icmp eq ptr %state, null
  br i1 %held, label %quiet, label %clock
clock:
  %now = call i64 @time(ptr null)
  %last.at = getelementptr inbounds i64, ptr %operands, i64 {SECOND}
  %last = load i64, ptr %last.at
  %same = icmp eq i64 %now, %last
  br i1 %same, label %quiet, label %look
look:
  store i64 %now, ptr %last.at
  call void @wg_hold(ptr %operands)
  %found = call i32 @PyErr_CheckSignals()
  %none = icmp eq i32 %found, 0
  br i1 %none, label %on, label %raised
on:
  call void @wg_release_lock(ptr %operands)
  br label %quiet
quiet:
  ret i32 0
raised:
  ret i32 1
}}"""
DECLARATIONS = {
    "PyEval_SaveThread": "declare ptr @PyEval_SaveThread()",
    "PyEval_RestoreThread": "declare void @PyEval_RestoreThread(ptr)",
    "PyErr_CheckSignals": "declare i32 @PyErr_CheckSignals()",
    "time": "declare i64 @time(ptr)",
}


def hold(w: Writer, operands: str = "%operands") -> None:
    """Write the code that takes the interpreter's lock, if this call has given it back."""
    w.do(f"call void @wg_hold(ptr {operands})")


def release(w: Writer, operands: str = "%operands") -> None:
    """Write the code that gives it back, if this call does."""
    w.do(f"call void @wg_release_lock(ptr {operands})")


def poll(w: Writer, trips: int, failed: Callable[[], str]) -> None:
    """Write the code that looks for signals, such as Ctrl-C, once in so many trips of a loop and at most once a second.

    Args:
        w: where to write.
        trips: a power of two.
        failed: gives the block that leaves the function where a handler has raised.
    """
    ticks = w.slot("i64", "0")
    count = w.let(f"add i64 {w.let(f'load i64, ptr {ticks}')}, 1")
    w.do(f"store i64 {count}, ptr {ticks}")
    look, go_on = w.fresh("look"), w.fresh("going")
    w.branch(w.let(f"icmp eq i64 {w.let(f'and i64 {count}, {trips - 1}')}, 0"), look, go_on, ", !prof !2")
    w.label(look)
    found = w.let("call i32 @wg_poll(ptr %operands)")
    w.branch(w.let(f"icmp eq i32 {found}, 0"), go_on, failed(), ", !prof !1")
    w.label(go_on)


@dataclass
class Work:
    """What a call may cost.

    Attributes:
        unknown: nothing can be said beforehand.
        many: elements of one array that are many.
        shapes: of its arrays, where they are not all known.
    """

    unknown: bool = False
    many: int = MANY
    shapes: list[tuple[Affine, ...]] = field(default_factory=list)


def work(function: Function) -> Work:
    """What can be said about the length of a call from the sizes of its arguments."""
    found = Work()
    if function.functions:
        found.unknown = True
        return found
    known = frozenset(function.dims)
    if any(i.op.name == "matmul" or i.op.kind == "linalg" for i in walk(function.instrs)):
        found.many = MANY_IN_MATRICES
    shapes = dict.fromkeys(v.dims for v in function.params if v.rank)
    for instr in walk(function.instrs):
        shapes.update(dict.fromkeys(r.dims for r in instr.results if isinstance(r.type, TensorType) and r.rank))
    for shape in shapes:
        if all(isinstance(d, int) for d in shape):
            found.unknown |= math.prod(d for d in shape if isinstance(d, int)) >= found.many
        elif all(_is_known(d, known) for d in shape):
            found.shapes.append(shape)
        else:
            found.unknown = True
    found.unknown |= _instructions(function.instrs) >= LONG or len(found.shapes) > MOST_SHAPES
    return found


def _is_known(d: Affine, known: frozenset[Value]) -> bool:
    return isinstance(d, int) or (isinstance(d, Dim) and all(s in known for s, _ in d.terms))


def _instructions(instrs: Sequence[Instr]) -> float:
    """How many scalar instructions run, at most."""
    total = 0.0
    for instr in instrs:
        inner = sum(_instructions(r.instrs) for r in instr.regions)
        total += 1 + inner * _trips(instr)
    return total


def _trips(instr: Instr) -> float:
    if instr.op.name == "while":
        return math.inf
    if instr.op.name != "for":
        return 1
    count = instr.operands[0].affine
    return max(0, count) if isinstance(count, int) else math.inf
