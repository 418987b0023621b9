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
from wengert.errors import InternalError
from wengert.ir.core import Instr, Value
from wengert.ir.effects import host_print as print_values
from wengert.ir.effects import raise_check, raise_index


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
    w = low.w
    status, stores = _site(low, instr, instr.operands)
    for text in stores:
        w.do(text)
    failed = w.call("i32", "wg_print", [("i64", str(status)), ("ptr", "%operands")], " nounwind")
    done = w.fresh("printed")
    w.branch(w.let(f"icmp eq i32 {failed}, 0"), done, low.fail(PYTHON_ERROR), LIKELY)
    w.label(done)


def _leave_unless(low: Lowering, condition: str, instr: Instr, values: Sequence[Value]) -> None:
    status, stores = _site(low, instr, values)
    passed = low.w.fresh("passed")
    low.w.branch(condition, passed, low.fail(status, stores), LIKELY)
    low.w.label(passed)


def _site(low: Lowering, instr: Instr, values: Sequence[Value]) -> tuple[int, list[str]]:
    """A new site: its status, and the stores that put its operands into the operand buffer."""
    words: list[tuple[str, str]] = []
    kinds: list[Any] = []
    save(low, [v for v in values if v.rank and not _is_plain(low, v)], "shown in a message")
    for value in values:
        dtype = value.tensor.dtype
        place = low.array(value) if value.rank else low.scalar(value)
        if isinstance(place, str):
            words.append(({"f64": "double", "i64": "i64", "bool": "i1"}[dtype.name], place))
            kinds.append(dtype.name)
            continue
        assert isinstance(place, Mem)
        words += [("ptr", place.pointer), *(("i64", s) for s in place.sizes)]
        kinds.append((dtype.name, value.rank))
    low.operand_words = max(low.operand_words, len(words))
    low.sites.append(Site(instr, tuple(kinds)))
    stores = []
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
        dtype = np.dtype({"f64": np.float64, "i64": np.int64, "bool": np.bool_}[name])
        data = ctypes.string_at(pointer, int(np.prod(shape)) * dtype.itemsize)
        found.append(np.frombuffer(data, dtype).reshape(shape).copy())
    return found


def _scalar(kind: str, word: bytes) -> Any:
    if kind == "bool":
        return bool(word[0] & 1)
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


def print_site(sites: Sequence[Site], address: int, status: int) -> None:
    """Run a `host_print`."""
    site = sites[status - 1]
    print_values(site.instr.attrs, read_operands(site, address))


HANDLERS: dict[str, Handler] = {"check": check, "wrap_index": wrap_index, "host_print": host_print}
