"""Checks and prints in compiled code: operands go to a buffer, a status (or a call) tells Python which site it was."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from wengert.codegen.lowering import LIKELY, OUT_OF_MEMORY, PYTHON_ERROR, Handler, Lowering, Site
from wengert.codegen.nests import save
from wengert.codegen.storage import Mem
from wengert.codegen.text import REGISTER
from wengert.errors import InternalError
from wengert.ir.core import Instr, Value
from wengert.ir.effects import host_call as call_host
from wengert.ir.effects import host_print as print_values
from wengert.ir.effects import raise_check, raise_index
from wengert.types import DTYPES, Affine, Dim


def check(low: Lowering, instr: Instr) -> None:
    """Leave the function with the site's status where the condition is false."""
    condition, *values = instr.operands
    _leave_unless(low, low.scalar(condition), instr, values)


def wrap_index(low: Lowering, instr: Instr) -> None:
    """A negative index counts from the end; one out of range leaves the function."""
    w = low.w
    index, size = (low.scalar(o) for o in instr.operands)
    wrapped = w.let(f"add i64 {index}, {size}")
    negative = w.let(f"icmp slt i64 {index}, 0")
    position = w.let(f"select i1 {negative}, i64 {wrapped}, i64 {index}")
    _leave_unless(low, w.let(f"icmp ult i64 {position}, {size}"), instr, instr.operands)
    low.bind(instr.result, position)


def host_print(low: Lowering, instr: Instr) -> None:
    """Call back into Python, which formats and prints."""
    status, stores = _site(low, instr, instr.operands)
    _call_python(low, status, stores)


def host_call(low: Lowering, instr: Instr) -> None:
    """Call back into Python, which leaves the results (of arrays: their addresses) in the operand buffer."""
    w = low.w
    own = set(instr.results)
    sizes = [d for r in instr.results for d in r.dims if not _refers_to(d, own)]
    status, stores = _site(low, instr, instr.operands, [low.dim(d) for d in sizes])
    low.operand_words = max(low.operand_words, len(instr.results))
    _call_python(low, status, stores)
    words = []
    for k, result in enumerate(instr.results):
        at = w.let(f"getelementptr inbounds i64, ptr %operands, i64 {k}")
        words.append(w.let(f"load {'ptr' if result.rank else REGISTER[result.tensor.dtype.name]}, ptr {at}, align 8"))
    for result, word in zip(instr.results, words, strict=True):
        if not result.rank:
            low.bind(result, word)
    for result, word in zip(instr.results, words, strict=True):
        if result.rank:
            mem = low.allocate(result, "the result of Python code")
            low.bind(result, mem)
            count = low.product(mem.sizes)
            size = w.let(f"mul i64 {count}, {result.tensor.dtype.itemsize}")
            w.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {mem.pointer}, ptr {word}, i64 {size}, i1 false)")


def _refers_to(size: Affine, values: set[Value]) -> bool:
    return isinstance(size, Dim) and any(symbol in values for symbol, _ in size.terms)


def _call_python(low: Lowering, status: int, stores: Sequence[str]) -> None:
    w = low.w
    for text in stores:
        w.do(text)
    failed = w.call("i32", "wg_print", [("i64", str(status)), ("ptr", "%operands")], " nounwind")
    done = w.fresh("called")
    w.branch(w.let(f"icmp eq i32 {failed}, 0"), done, low.fail(PYTHON_ERROR), LIKELY)
    w.label(done)


def _leave_unless(low: Lowering, condition: str, instr: Instr, values: Sequence[Value]) -> None:
    status, stores = _site(low, instr, values)
    passed = low.w.fresh("passed")
    if any(v.rank for v in values):  # the message is made here, while the arrays are there
        stores = [*stores, f"%{low.w.fresh('shown')} = call i32 @wg_print(i64 {status}, ptr %operands)"]
    code = PYTHON_ERROR if any(v.rank for v in values) else status
    low.w.branch(condition, passed, low.fail(code, stores), LIKELY)
    low.w.label(passed)


def _site(low: Lowering, instr: Instr, values: Sequence[Value], sizes: Sequence[str] = ()) -> tuple[int, list[str]]:
    """A new site: its status, and the stores that put its operands, and `sizes`, into the operand buffer."""
    words: list[tuple[str, str]] = []
    kinds: list[Any] = []
    save(low, [v for v in values if v.rank and not _is_plain(low, v)], "shown in a message")
    for value in values:
        dtype = value.tensor.dtype
        place = low.array(value) if value.rank else low.scalar(value)
        if isinstance(place, str):
            words.append((REGISTER[dtype.name], place))
            kinds.append(dtype.name)
            continue
        assert isinstance(place, Mem)
        words += [("ptr", place.pointer), *(("i64", s) for s in place.sizes)]
        kinds.append((dtype.name, value.rank))
    words += [("i64", size) for size in sizes]
    kinds += ["i64"] * len(sizes)
    low.sites.append(Site(instr, tuple(kinds)))
    stores = []
    low.operand_words = max(low.operand_words, len(words))
    for k, (type, word) in enumerate(words):
        at = "%" + low.w.fresh("word")
        stores.append(f"{at} = getelementptr inbounds i64, ptr %operands, i64 {k}")
        stores.append(f"store {type} {word}, ptr {at}, align 8")
    return len(low.sites), stores


def _is_plain(low: Lowering, value: Value) -> bool:
    place = low.env[value]
    return isinstance(place, Mem) and place.contiguous


# --- the Python side -----------------------------------------------------------------------------------------------


def read_operands(site: Site, address: int) -> list[Any]:
    """The operands of a site from the operand buffer."""
    position = 0
    found: list[Any] = []

    def word() -> bytes:
        nonlocal position
        position += 8
        return ctypes.string_at(address + position - 8, 8)

    for kind in site.kinds:
        if isinstance(kind, str):
            found.append(_scalar(kind, word()))
            continue
        name, rank = kind
        pointer, shape = _scalar("i64", word()), [max(0, _scalar("i64", word())) for _ in range(rank)]
        dtype = DTYPES[name].numpy
        data = ctypes.string_at(pointer, int(np.prod(shape)) * dtype.itemsize)
        found.append(np.frombuffer(data, dtype).reshape(shape).copy())
    return found


def _scalar(kind: str, word: bytes) -> Any:
    if kind == "bool":
        return bool(word[0] & 1)
    if kind == "f32":
        return np.frombuffer(word, np.float32)[0]
    return struct.unpack("=d" if kind == "f64" else "=q", word)[0]


def raise_status(sites: Sequence[Site], address: int, status: int) -> NoReturn:
    """Raise the error of a failed run.

    Args:
        sites: of the compiled function.
        address: of the operand buffer of the call.
        status: 1 + the number of the site that failed, or `OUT_OF_MEMORY`.
    """
    if status == OUT_OF_MEMORY:
        raise MemoryError("compiled code could not allocate an array or a stack")
    if not 0 < status <= len(sites):
        raise InternalError(f"compiled code stopped with the unknown status {status}")
    site = sites[status - 1]
    values = read_operands(site, address)
    attrs, span = site.instr.attrs, site.instr.span
    if site.instr.op.name == "wrap_index":
        raise_index(values[0], values[1], attrs, span)
    raise_check(attrs, span, values)


def run_site(sites: Sequence[Site], address: int, status: int) -> list[Any]:
    """Run a `host_print` or a `host_call`, or raise the error of a check whose message shows arrays.

    Returns:
        What must stay alive until native code has copied it: arrays whose addresses are in the operand buffer now.
    """
    site = sites[status - 1]
    instr, values = site.instr, read_operands(site, address)
    if instr.op.name == "host_print":
        print_values(instr.attrs, values)
        return []
    if instr.op.name == "check":
        raise_check(instr.attrs, instr.span, values)
    sizes = iter(values[len(instr.operands) :])
    found = call_host(instr.attrs, instr.results, values[: len(instr.operands)], lambda _: next(sizes), instr.span)
    for k, value in enumerate(found):
        if isinstance(value, np.ndarray):
            word = struct.pack("=Q", value.ctypes.data)
        elif isinstance(value, bool):
            word = struct.pack("=Q", value)
        elif isinstance(value, np.float32):
            word = struct.pack("=f4x", value)
        else:
            word = struct.pack("=d" if isinstance(value, float) else "=q", value)
        ctypes.memmove(address + 8 * k, word, 8)
    return found


def nothing(low: Lowering, instr: Instr) -> None:
    """Marks for transforms have no code."""


HANDLERS: dict[str, Handler] = {
    "check": check, "wrap_index": wrap_index, "host_print": host_print, "host_call": host_call,
    "checkpoint_begin": nothing, "checkpoint_end": nothing,
}  # fmt: skip
