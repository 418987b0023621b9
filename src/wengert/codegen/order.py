"""Sorting, searching and positions of masks: loops over rows around small helper functions that are part of the module."""

from __future__ import annotations

from wengert.codegen.lowering import Handler, Lowering
from wengert.codegen.nests import element, force, nest
from wengert.codegen.storage import Index, Lazy, Mem
from wengert.codegen.text import REGISTER
from wengert.ir.core import Instr
from wengert.types import I64, DType

# NaN comes behind every number, as NumPy sorts.
_LESS_FLOAT = """define internal i1 @wg_less_{name}({type} %a, {type} %b) alwaysinline nounwind {{
  %below = fcmp olt {type} %a, %b
  %last = fcmp uno {type} %b, %b
  %number = fcmp ord {type} %a, %a
  %before = and i1 %last, %number
  %r = or i1 %below, %before
  ret i1 %r
}}"""
_LESS = {
    "f64": _LESS_FLOAT.format(name="f64", type="double"),
    "f32": _LESS_FLOAT.format(name="f32", type="float"),
    "i64": """define internal i1 @wg_less_i64(i64 %a, i64 %b) alwaysinline nounwind {
  %r = icmp slt i64 %a, %b
  ret i1 %r
}""",
}

# Merge sort from the bottom up (D. E. Knuth, The Art of Computer Programming 3, section 5.2.4): stable, n log n at worst.
_ARGSORT = """define internal void @wg_argsort_{t}(ptr %keys, i64 %stride, i64 %n, ptr %out, ptr %room) nounwind {{
start:
  br label %fill
fill:
  %f = phi i64 [ 0, %start ], [ %f.next, %put ]
  %f.more = icmp slt i64 %f, %n
  br i1 %f.more, label %put, label %passes
put:
  %f.at = getelementptr inbounds i64, ptr %out, i64 %f
  store i64 %f, ptr %f.at
  %f.next = add nsw i64 %f, 1
  br label %fill
passes:
  %width = phi i64 [ 1, %fill ], [ %twice, %swap ]
  %from = phi ptr [ %out, %fill ], [ %to, %swap ]
  %to = phi ptr [ %room, %fill ], [ %from, %swap ]
  %again = icmp slt i64 %width, %n
  %twice = shl i64 %width, 1
  br i1 %again, label %runs, label %finish
runs:
  %low = phi i64 [ 0, %passes ], [ %low.next, %merged ]
  %low.more = icmp slt i64 %low, %n
  br i1 %low.more, label %split, label %swap
split:
  %middle.far = add i64 %low, %width
  %middle = call i64 @llvm.smin.i64(i64 %middle.far, i64 %n)
  %low.next = add i64 %low, %twice
  %high = call i64 @llvm.smin.i64(i64 %low.next, i64 %n)
  br label %merge
merge:
  %k = phi i64 [ %low, %split ], [ %k.next, %taken ]
  %i = phi i64 [ %low, %split ], [ %i.next, %taken ]
  %j = phi i64 [ %middle, %split ], [ %j.next, %taken ]
  %k.more = icmp slt i64 %k, %high
  br i1 %k.more, label %choose, label %merged
choose:
  %i.left = icmp slt i64 %i, %middle
  %j.left = icmp slt i64 %j, %high
  %both = and i1 %i.left, %j.left
  br i1 %both, label %compare, label %taken.one
compare:
  %i.at = getelementptr inbounds i64, ptr %from, i64 %i
  %i.place = load i64, ptr %i.at
  %j.at = getelementptr inbounds i64, ptr %from, i64 %j
  %j.place = load i64, ptr %j.at
  %i.offset = mul nsw i64 %i.place, %stride
  %j.offset = mul nsw i64 %j.place, %stride
  %i.key.at = getelementptr inbounds {r}, ptr %keys, i64 %i.offset
  %j.key.at = getelementptr inbounds {r}, ptr %keys, i64 %j.offset
  %i.key = load {r}, ptr %i.key.at
  %j.key = load {r}, ptr %j.key.at
  %right = call i1 @wg_less_{t}({r} %j.key, {r} %i.key)
  br label %taken
taken.one:
  %right.only = xor i1 %i.left, true
  br label %taken
taken:
  %takes.right = phi i1 [ %right, %compare ], [ %right.only, %taken.one ]
  %source = select i1 %takes.right, i64 %j, i64 %i
  %source.at = getelementptr inbounds i64, ptr %from, i64 %source
  %place = load i64, ptr %source.at
  %k.at = getelementptr inbounds i64, ptr %to, i64 %k
  store i64 %place, ptr %k.at
  %step = zext i1 %takes.right to i64
  %j.next = add i64 %j, %step
  %other = sub i64 1, %step
  %i.next = add i64 %i, %other
  %k.next = add i64 %k, 1
  br label %merge
merged:
  br label %runs
swap:
  br label %passes
finish:
  %there = icmp eq ptr %from, %out
  br i1 %there, label %done, label %copy
copy:
  %c = phi i64 [ 0, %finish ], [ %c.next, %move ]
  %c.more = icmp slt i64 %c, %n
  br i1 %c.more, label %move, label %done
move:
  %c.from = getelementptr inbounds i64, ptr %from, i64 %c
  %c.value = load i64, ptr %c.from
  %c.to = getelementptr inbounds i64, ptr %out, i64 %c
  store i64 %c.value, ptr %c.to
  %c.next = add i64 %c, 1
  br label %copy
done:
  ret void
}}"""

# The bits of a key as an unsigned word that is ordered as the key is: -0.0 equals 0.0, and nan comes last.
_WORD = {
    "f64": """  %clean = fadd double %raw, 0.0
  %bits = bitcast double %clean to i64
  %sign = ashr i64 %bits, 63
  %flip = or i64 %sign, -9223372036854775808
  %number = xor i64 %bits, %flip
  %nan = fcmp uno double %raw, %raw
  %word = select i1 %nan, i64 -1, i64 %number""",
    "f32": """  %clean = fadd float %raw, 0.0
  %wide = fpext float %clean to double
  %bits = bitcast double %wide to i64
  %sign = ashr i64 %bits, 63
  %flip = or i64 %sign, -9223372036854775808
  %number = xor i64 %bits, %flip
  %nan = fcmp uno float %raw, %raw
  %word = select i1 %nan, i64 -1, i64 %number""",
    "i64": "  %word = xor i64 %raw, -9223372036854775808",
}

# Radix sort from the last digit of 8 bits on (Knuth, section 5.2.5): stable, linear. Digits that are all equal are skipped.
_RADIX = """define internal void @wg_radix_{t}(ptr %keys, i64 %stride, i64 %n, ptr %out, ptr %room) nounwind {{
start:
  %counts = alloca [2048 x i64], align 16
  call void @llvm.memset.p0.i64(ptr %counts, i8 0, i64 16384, i1 false)
  %spare.keys = getelementptr inbounds i64, ptr %room, i64 %n
  %spare = getelementptr inbounds i64, ptr %spare.keys, i64 %n
  br label %read
read:
  %r = phi i64 [ 0, %start ], [ %r.next, %counted ]
  %r.more = icmp slt i64 %r, %n
  br i1 %r.more, label %take, label %digits
take:
  %offset = mul nsw i64 %r, %stride
  %at = getelementptr inbounds {r}, ptr %keys, i64 %offset
  %raw = load {r}, ptr %at
{word}
  %word.at = getelementptr inbounds i64, ptr %room, i64 %r
  store i64 %word, ptr %word.at
  %place.at = getelementptr inbounds i64, ptr %out, i64 %r
  store i64 %r, ptr %place.at
  br label %count
count:
  %d = phi i64 [ 0, %take ], [ %d.next, %count ]
  %d.shift = shl i64 %d, 3
  %d.part = lshr i64 %word, %d.shift
  %d.low = and i64 %d.part, 255
  %d.row = shl i64 %d, 8
  %d.cell = add i64 %d.row, %d.low
  %d.at = getelementptr inbounds i64, ptr %counts, i64 %d.cell
  %d.old = load i64, ptr %d.at
  %d.new = add i64 %d.old, 1
  store i64 %d.new, ptr %d.at
  %d.next = add i64 %d, 1
  %d.more = icmp ult i64 %d.next, 8
  br i1 %d.more, label %count, label %counted
counted:
  %r.next = add nsw i64 %r, 1
  br label %read
digits:
  %q = phi i64 [ 0, %read ], [ %q.next, %following ]
  %from.keys = phi ptr [ %room, %read ], [ %next.from.keys, %following ]
  %to.keys = phi ptr [ %spare.keys, %read ], [ %next.to.keys, %following ]
  %from = phi ptr [ %out, %read ], [ %next.from, %following ]
  %to = phi ptr [ %spare, %read ], [ %next.to, %following ]
  %q.more = icmp ult i64 %q, 8
  br i1 %q.more, label %look, label %finish
look:
  %shift = shl i64 %q, 3
  %row = shl i64 %q, 8
  %cells = getelementptr inbounds i64, ptr %counts, i64 %row
  %some = load i64, ptr %from.keys
  %some.part = lshr i64 %some, %shift
  %some.low = and i64 %some.part, 255
  %some.at = getelementptr inbounds i64, ptr %cells, i64 %some.low
  %some.count = load i64, ptr %some.at
  %trivial = icmp eq i64 %some.count, %n
  br i1 %trivial, label %following, label %sums
sums:
  %c = phi i64 [ 0, %look ], [ %c.next, %sums ]
  %total = phi i64 [ 0, %look ], [ %total.next, %sums ]
  %c.at = getelementptr inbounds i64, ptr %cells, i64 %c
  %c.count = load i64, ptr %c.at
  store i64 %total, ptr %c.at
  %total.next = add i64 %total, %c.count
  %c.next = add i64 %c, 1
  %c.more = icmp ult i64 %c.next, 256
  br i1 %c.more, label %sums, label %move
move:
  %m = phi i64 [ 0, %sums ], [ %m.next, %move ]
  %m.key.at = getelementptr inbounds i64, ptr %from.keys, i64 %m
  %m.key = load i64, ptr %m.key.at
  %m.at = getelementptr inbounds i64, ptr %from, i64 %m
  %m.place = load i64, ptr %m.at
  %m.part = lshr i64 %m.key, %shift
  %m.low = and i64 %m.part, 255
  %m.cell = getelementptr inbounds i64, ptr %cells, i64 %m.low
  %m.to = load i64, ptr %m.cell
  %m.to.next = add i64 %m.to, 1
  store i64 %m.to.next, ptr %m.cell
  %m.key.to = getelementptr inbounds i64, ptr %to.keys, i64 %m.to
  store i64 %m.key, ptr %m.key.to
  %m.place.to = getelementptr inbounds i64, ptr %to, i64 %m.to
  store i64 %m.place, ptr %m.place.to
  %m.next = add nsw i64 %m, 1
  %m.more = icmp slt i64 %m.next, %n
  br i1 %m.more, label %move, label %following
following:
  %next.from.keys = phi ptr [ %from.keys, %look ], [ %to.keys, %move ]
  %next.to.keys = phi ptr [ %to.keys, %look ], [ %from.keys, %move ]
  %next.from = phi ptr [ %from, %look ], [ %to, %move ]
  %next.to = phi ptr [ %to, %look ], [ %from, %move ]
  %q.next = add i64 %q, 1
  br label %digits
finish:
  %there = icmp eq ptr %from, %out
  br i1 %there, label %done, label %copy
copy:
  %bytes = shl i64 %n, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %out, ptr %from, i64 %bytes, i1 false)
  br label %done
done:
  ret void
}}"""

# Up to this many elements, merging is faster.
_SMALL = 256
_ORDER = """define internal void @wg_order_{t}(ptr %keys, i64 %stride, i64 %n, ptr %out, ptr %room) nounwind {{
  %small = icmp sle i64 %n, {small}
  br i1 %small, label %merge, label %radix
merge:
  call void @wg_argsort_{t}(ptr %keys, i64 %stride, i64 %n, ptr %out, ptr %room)
  ret void
radix:
  call void @wg_radix_{t}(ptr %keys, i64 %stride, i64 %n, ptr %out, ptr %room)
  ret void
}}"""

_SEARCH = """define internal i64 @wg_search_{t}(ptr %keys, i64 %stride, i64 %n, {r} %wanted, i1 %right) nounwind readonly {{
start:
  br label %head
head:
  %low = phi i64 [ 0, %start ], [ %low.next, %body ]
  %high = phi i64 [ %n, %start ], [ %high.next, %body ]
  %more = icmp slt i64 %low, %high
  br i1 %more, label %body, label %done
body:
  %gap = sub i64 %high, %low
  %half = lshr i64 %gap, 1
  %middle = add i64 %low, %half
  %offset = mul nsw i64 %middle, %stride
  %at = getelementptr inbounds {r}, ptr %keys, i64 %offset
  %key = load {r}, ptr %at
  %below = call i1 @wg_less_{t}({r} %key, {r} %wanted)
  %above = call i1 @wg_less_{t}({r} %wanted, {r} %key)
  %not.above = xor i1 %above, true
  %behind = select i1 %right, i1 %not.above, i1 %below
  %next = add i64 %middle, 1
  %low.next = select i1 %behind, i64 %next, i64 %low
  %high.next = select i1 %behind, i64 %high, i64 %middle
  br label %head
done:
  ret i64 %low
}}"""


def _declare(low: Lowering, name: str, text: str, dtype: DType) -> str:
    """Put a helper for numbers of `dtype` into the module and return its name."""
    kind, register = dtype.name, REGISTER[dtype.name]
    full = f"{name}_{kind}"
    if full not in low.w.declarations:
        low.w.declarations[f"wg_less_{kind}"] = _LESS[kind]
        low.w.declarations[full] = text.format(t=kind, r=register, word=_WORD[kind], small=_SMALL)
    return full


def argsort(low: Lowering, instr: Instr) -> None:
    """One merge sort per row, of positions."""
    x, result = instr.operands[0], instr.result
    force(low, [x])
    place = low.array(x)
    assert isinstance(place, Mem)
    low.w.declarations.setdefault("llvm.smin.i64", "declare i64 @llvm.smin.i64(i64, i64)")
    for outside in ("void @llvm.memset.p0.i64(ptr, i8, i64, i1)", "void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"):
        low.w.declarations.setdefault(outside[6 : outside.index("(")], f"declare {outside}")
    dtype = x.tensor.dtype
    _declare(low, "wg_argsort", _ARGSORT, dtype)
    _declare(low, "wg_radix", _RADIX, dtype)
    name = _declare(low, "wg_order", _ORDER, dtype)
    target = low.allocate(result, "argsort")
    # For the words of the keys, twice, and a second set of positions.
    room = low.reserve(low.new_buffer("argsort: room to sort"), low.product(["3", *target.sizes[-1:]]), I64)

    def row(index: Index) -> None:
        arguments = [
            ("ptr", low.address(place, (*index, "0"))), ("i64", place.strides[-1]), ("i64", target.sizes[-1]),
            ("ptr", low.address(target, (*index, "0"))), ("ptr", room),
        ]  # fmt: skip
        low.w.call("void", name, arguments)

    nest(low, target.sizes[:-1], row)
    low.bind(result, target)


def searchsorted(low: Lowering, instr: Instr) -> None:
    """Binary search, where the position is used."""
    table, wanted = instr.operands
    result, dtype = instr.result, table.tensor.dtype
    force(low, [table])
    name = _declare(low, "wg_search", _SEARCH, dtype)
    right = "true" if instr.attrs["side"] == "right" else "false"

    def find(low: Lowering, index: Index) -> str:
        place = low.array(table)
        assert isinstance(place, Mem)
        number = element(low, wanted, index) if wanted.rank else low.scalar(wanted)
        arguments = [
            ("ptr", place.pointer), ("i64", place.strides[0]), ("i64", place.sizes[0]),
            (REGISTER[dtype.name], number), ("i1", right),
        ]  # fmt: skip
        return low.w.call("i64", name, arguments)

    if not result.rank:
        low.bind(result, find(low, ()))
        return
    force(low, [wanted])
    reads = low.array(table).reads | low.array(wanted).reads
    low.bind(result, Lazy(I64, low.sizes(result), find, reads, instr.op.cost, (), (table, wanted)))
    force(low, [result])


def nonzero(low: Lowering, instr: Instr) -> None:
    """One pass over the mask; the number of positions is known beforehand."""
    mask, result, w = instr.operands[0], instr.result, low.w
    target = low.allocate(result, "nonzero")
    filled = w.slot("i64")
    w.do(f"store i64 0, ptr {filled}")
    size = low.sizes(mask)
    integer = mask.tensor.dtype == I64

    def step(index: Index) -> None:
        low.memo = {}
        found = element(low, mask, index)
        found = w.let(f"icmp ne i64 {found}, 0") if integer else found
        at = w.let(f"load i64, ptr {filled}")
        hit = w.let(f"and i1 {found}, {w.let(f'icmp slt i64 {at}, {target.sizes[0]}')}")
        kept, after = w.fresh("kept"), w.fresh("after")
        w.branch(hit, kept, after)
        w.label(kept)
        low.store(I64, index[0], low.address(target, (at,)), target.buffer)
        w.do(f"store i64 {w.let(f'add nsw i64 {at}, 1')}, ptr {filled}")
        w.jump(after)
        w.label(after)
        low.memo = {}

    nest(low, size, step)
    low.bind(result, target)


HANDLERS: dict[str, Handler] = {"argsort": argsort, "searchsorted": searchsorted, "nonzero": nonzero}
