"""Loops over matrices as factorisations need them: triangular ranges, accumulated dot products, copies, private memory."""

from __future__ import annotations

import math
from collections.abc import Callable

from wengert.codegen.lowering import Lowering
from wengert.codegen.nests import loop, nest
from wengert.codegen.storage import Index, Mem
from wengert.codegen.text import is_known
from wengert.types import F64

# Ranges of known length are written out up to this length.
WRITTEN_OUT = 8


def plus(low: Lowering, a: str, b: str | int) -> str:
    """The sum of two i64."""
    return low.w.plus(a, b)


def minus(low: Lowering, a: str, b: str | int) -> str:
    """The difference of two i64."""
    return low.w.minus(a, b)


def times(low: Lowering, a: str, b: str | int) -> str:
    """The product of two i64."""
    return low.w.times(a, b)


def larger(low: Lowering, a: str, b: str | int) -> str:
    """The larger of two i64."""
    if is_known(a) and is_known(str(b)):
        return str(max(int(a), int(b)))
    return low.w.let(f"call i64 @llvm.smax.i64(i64 {a}, i64 {b})")


def between(low: Lowering, start: str, stop: str, body: Callable[[str], None]) -> None:
    """`body(i)` for start <= i < stop; written out where that is short and known."""
    if is_known(start) and is_known(stop) and int(stop) - int(start) <= WRITTEN_OUT:
        for i in range(int(start), int(stop)):
            body(str(i))
        return
    loop(low, minus(low, stop, start), lambda t: body(plus(low, start, t)))


def downwards(low: Lowering, count: str, body: Callable[[str], None]) -> None:
    """`body(i)` for i from count - 1 to 0."""
    last = minus(low, count, 1)
    between(low, "0", count, lambda t: body(minus(low, last, t)))


def get(low: Lowering, mem: Mem, *index: str) -> str:
    """An element."""
    return low.load(F64, low.address(mem, index), mem.buffer)


def put(low: Lowering, mem: Mem, value: str, *index: str) -> None:
    """Set an element."""
    low.store(F64, value, low.address(mem, index), mem.buffer)


def dot_between(low: Lowering, start: str, stop: str, x: Callable[[str], str], y: Callable[[str], str]) -> str:
    """The sum of x(k) y(k) for start <= k < stop."""
    w = low.w
    total = w.slot("double")
    w.do(f"store double 0.0, ptr {total}")

    def body(k: str) -> None:
        product = w.let(f"fmul reassoc contract double {x(k)}, {y(k)}")
        old = w.let(f"load double, ptr {total}")
        w.do(f"store double {w.let(f'fadd reassoc contract double {old}, {product}')}, ptr {total}")

    between(low, start, stop, body)
    return w.let(f"load double, ptr {total}")


def subtract_product(low: Lowering, old: str, a: str, b: str) -> str:
    """`old - a b`."""
    return low.w.let(f"fsub contract double {old}, {low.w.let(f'fmul contract double {a}, {b}')}")


def when(low: Lowering, condition: str, body: Callable[[], None], otherwise: Callable[[], None] | None = None) -> None:
    """`body` where an i1 is true at run time, else `otherwise`."""
    w = low.w
    if condition in ("true", "false"):
        chosen = body if condition == "true" else otherwise
        if chosen is not None:
            chosen()
        return
    yes, no, after = w.fresh("yes"), w.fresh("no"), w.fresh("after")
    w.branch(condition, yes, no if otherwise is not None else after)
    w.label(yes)
    body()
    w.jump(after)
    if otherwise is not None:
        w.label(no)
        otherwise()
        w.jump(after)
    w.label(after)


def is_less(low: Lowering, a: str, b: int) -> str:
    """Whether an i64 is less than a known one, as an i1."""
    if is_known(a):
        return "true" if int(a) < b else "false"
    return low.w.let(f"icmp slt i64 {a}, {b}")


def copy(low: Lowering, source: Mem, target: Mem) -> None:
    """Copy a matrix (or vector) element by element."""
    nest(low, source.sizes, lambda i: put(low, target, get(low, source, *i), *i))


def fill(low: Lowering, target: Mem, value: str) -> None:
    """The same number everywhere."""
    nest(low, target.sizes, lambda i: put(low, target, value, *i))


def private(low: Lowering, sizes: Index, what: str) -> Mem:
    """Memory for a row-major array of f64 that no other value lies in."""
    known = all(map(is_known, sizes))
    buffer = low.new_place(max(1, math.prod(map(int, sizes))) * F64.itemsize if known else 0, f"{what}: work space")
    pointer = low.reserve(buffer, low.product(list(sizes)), F64)
    return Mem(F64, buffer, pointer, sizes, low.row_major(sizes), None, True)


def by_columns(low: Lowering, source: Mem, what: str) -> Mem:
    """A copy of a matrix as LAPACK wants it, column after column; its strides say so."""
    rows, columns = source.sizes
    across = private(low, (columns, rows), what)
    target = Mem(F64, across.buffer, across.pointer, source.sizes, across.strides[::-1])
    copy(low, source, target)
    return target


def part(low: Lowering, mem: Mem, start: str, count: str) -> Mem:
    """Some rows of a matrix."""
    pointer = low.address(mem, (start, "0"))
    return Mem(mem.dtype, mem.buffer, pointer, (count, mem.sizes[1]), mem.strides, None, mem.contiguous)
