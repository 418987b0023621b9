"""A part written into an array that is the same number everywhere: only what the part leaves is filled."""

from __future__ import annotations

from collections.abc import Sequence

from wengert.codegen.loops import minus, plus
from wengert.codegen.lowering import Lowering
from wengert.codegen.nests import nest
from wengert.codegen.storage import Index, Lazy, Mem
from wengert.ir.core import Instr
from wengert.ops.index import entries
from wengert.types import dim_add


def is_frame(instr: Instr) -> bool:
    """Whether a write covers all of an array but a frame of known width."""
    x, part, *_ = instr.operands
    steps = [values[2].affine for kind, values in entries(instr, first=2) if kind == "s"]
    starts = [values[0].affine for kind, values in entries(instr, first=2) if kind == "s"]
    if part.rank != x.rank or any(step != 1 for step in steps) or not all(isinstance(s, int) for s in starts):
        return False
    return all(isinstance(dim_add(d, inner, -1), int) for d, inner in zip(x.dims, part.dims, strict=True))


def fill_frame(low: Lowering, instr: Instr, whole: Mem) -> None:
    """Fill what a write leaves of an array of one number, axis by axis: in front of the part and behind it."""
    x, part = instr.operands[:2]
    place = low.array(x)
    assert isinstance(place, Lazy)
    first, sizes = ["0"] * x.rank, list(whole.sizes)
    for axis, (kind, values) in enumerate(entries(instr, first=2)):
        if kind == ":":
            continue
        size, start, inner = whole.sizes[axis], low.scalar(values[0]), low.sizes(part)[axis]
        behind = _limit(low, "smax", plus(low, start, inner), "0")
        for begin, count in (("0", _limit(low, "smin", start, size)), (behind, minus(low, size, behind))):
            if count != "0":
                corner, extent = list(first), list(sizes)
                corner[axis], extent[axis] = begin, count
                _fill(low, whole, place.uniform, corner, extent)
        first[axis], sizes[axis] = start, inner


def _limit(low: Lowering, which: str, a: str, b: str) -> str:
    """The smaller or the larger of two i64."""
    if not a.startswith("%") and not b.startswith("%"):
        return str(min(int(a), int(b)) if which == "smin" else max(int(a), int(b)))
    low.w.declarations.setdefault(f"llvm.{which}.i64", f"declare i64 @llvm.{which}.i64(i64, i64)")
    return low.w.let(f"call i64 @llvm.{which}.i64(i64 {a}, i64 {b})")


def _fill(low: Lowering, whole: Mem, number: str, first: Sequence[str], sizes: Sequence[str]) -> None:
    """The same number in a box of an array."""

    def body(index: Index) -> None:
        moved = [i if f == "0" else low.w.let(f"add nsw i64 {f}, {i}") for f, i in zip(first, index, strict=True)]
        low.store(whole.dtype, number, low.address(whole, tuple(moved)), whole.buffer)

    nest(low, sizes, body)
