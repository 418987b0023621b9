"""A second door: the C function around a kernel, for callers that know nothing of Python.

Its arguments are numbers, or the address of numbers; what else the kernel takes was fixed when it was made. An error cannot be
raised through C: the function gives nan, or 0 for "failed", and Python learns of the error as its callers expect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wengert.codegen.engine import vector_width
from wengert.codegen.entry import readings
from wengert.codegen.interpreter_lock import HEAD_WORDS, RELEASES, STATE
from wengert.codegen.lowering import Site
from wengert.codegen.table import address_of
from wengert.codegen.text import REGISTER, Writer, float_literal
from wengert.ir.calls import walk_all
from wengert.ir.core import Function, Instr
from wengert.ir.op import get_op
from wengert.types import Dim

SYMBOL, HELD = "wg_c", "wg_held"
NAN = float_literal(float("nan"))


@dataclass(frozen=True)
class Door:
    """What a C function looks like, and what its kernel is given.

    Attributes:
        returned: "double", or "i32" for a status with the result written to the address `%result`.
        parameters: in LLVM notation.
        count: name of the parameter that says how many numbers there are, with its type; "" if none does.
        size: how many there have to be.
        given: per parameter of the kernel a value in LLVM notation, or the position of an array that is held.
        shapes: per parameter of the kernel its sizes.
    """

    returned: str
    parameters: tuple[str, ...]
    count: str
    size: int
    given: tuple[str | int, ...]
    shapes: tuple[tuple[int, ...], ...]


def calls_python(function: Function) -> bool:
    """Whether the kernel needs Python while it runs: it prints or calls, or a message shows an array."""
    for instr in walk_all(function):
        name = instr.op.name
        if name in ("host_print", "host_call") or (name == "check" and any(v.rank for v in instr.operands)):
            return True
    return False


def door_text(function: Function, door: Door, words: int, sites: list[Site]) -> tuple[str, Mapping[str, str]]:
    """The C function, and the declarations that it needs."""
    w = Writer()
    locked = calls_python(function)
    lock = w.call("i32", "PyGILState_Ensure", []) if locked else ""
    before = w.slot("i64", count=HEAD_WORDS + words)
    operands = w.let(f"getelementptr inbounds i64, ptr {before}, i64 {HEAD_WORDS}")
    for distance in (STATE, RELEASES):
        w.do(f"store i64 0, ptr {w.let(f'getelementptr inbounds i64, ptr {operands}, i64 {distance}')}")
    w.do(f"store i64 0, ptr {operands}")
    if door.count:
        message = f"{function.name} was made for {door.size} numbers, and got {{}}"
        attrs = {"exception": "ValueError", "message": message}
        sites.append(Site(Instr(get_op("check"), (), (), attrs, (), function.span), ("i64",)))
        kind = door.count.split()[0]
        found = w.let(f"sext {door.count} to i64") if kind == "i32" else door.count.split()[1]
        w.do(f"store i64 {found}, ptr {operands}")
        fits, differs = w.fresh("fits"), w.fresh("differs")
        w.branch(w.let(f"icmp eq i64 {found}, {door.size}"), fits, differs, ", !prof !1")
        w.label(differs)
        w.do(f"store i64 {len(sites)}, ptr %status")
        w.jump("failed")
        w.label(fits)
    result = w.slot("double")
    status = w.let(f"call i64 @wg.kernel({', '.join([f'ptr {operands}', *_arguments(w, function, door), f'ptr {result}'])})")
    w.do(f"store i64 {status}, ptr %status")
    w.branch(w.let(f"icmp eq i64 {status}, 0"), "fine", "failed", ", !prof !1")
    w.label("fine")
    value = w.let(f"load double, ptr {result}")
    if locked:
        w.call("void", "PyGILState_Release", [("i32", lock)])
    if door.returned == "double":
        w.do(f"ret double {value}")
    else:
        w.do(f"store double {value}, ptr %result, align 8")
        w.do("ret i32 1")
    _failed(w, door, operands, lock)
    body = "\n".join(["  %status = alloca i64, align 8", *w.entry, *w.lines])
    head = f"define {door.returned} @{SYMBOL}({', '.join(door.parameters)}) nounwind {vector_width()}"
    held = f"@{HELD} = global [{max(1, len(door.given))} x ptr] zeroinitializer, align 8"
    return f"{held}\n{head} {{\nstart:\n{body}\n}}", w.declarations


def _arguments(w: Writer, function: Function, door: Door) -> list[str]:
    sizes = {}
    for param, axis, symbol in readings(function):
        declared = param.dims[axis]
        assert isinstance(declared, Dim)
        sizes[symbol] = door.shapes[function.params.index(param)][axis] - declared.const
    found = [f"i64 {sizes[d]}" for d in function.dims]
    for param, given in zip(function.params, door.given, strict=True):
        if isinstance(given, int):
            given = w.let(f"load ptr, ptr getelementptr inbounds (ptr, ptr @{HELD}, i64 {given})")
        found.append(f"{'ptr' if param.rank else REGISTER[param.tensor.dtype.name]} {given}")
    return found


def _failed(w: Writer, door: Door, operands: str, lock: str) -> None:
    """Make the exception. A caller that takes a status looks for it; others cannot, so it is reported."""
    w.label("failed")
    code = w.let("load i64, ptr %status")
    if not lock:
        lock = w.call("i32", "PyGILState_Ensure", [])
    raised, known = w.fresh("raise"), w.fresh("known")
    there = w.call("ptr", "PyErr_Occurred", [])  # made by the kernel, or by an earlier call whose caller goes on
    w.branch(w.let(f"icmp eq ptr {there}, null"), raised, known)
    w.label(raised)
    called = [("ptr", address_of(w, "fail")), ("i64", code), ("ptr", operands)]
    w.call("void", "Py_DecRef", [("ptr", w.call("ptr", "wg_call", called))])
    w.jump(known)
    w.label(known)
    if door.returned == "double":
        w.call("void", "PyErr_WriteUnraisable", [("ptr", "null")])
    w.call("void", "PyGILState_Release", [("i32", lock)])
    w.do(f"ret double {NAN}" if door.returned == "double" else "ret i32 0")


def shapes_fit(function: Function, shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether the sizes of arrays are those that the parameters declare."""
    known: dict[object, int] = {}
    pairs = [(d, n) for p, s in zip(function.params, shapes, strict=True) for d, n in zip(p.dims, s, strict=True)]
    for d, n in pairs:
        if isinstance(d, Dim) and len(d.terms) == 1 and d.terms[0][1] == 1:
            known.setdefault(d.terms[0][0], n - d.const)
    return all(n == (d if isinstance(d, int) else d.const + sum(c * known[s] for s, c in d.terms)) for d, n in pairs)
