"""The text of a whole LLVM module: kernel, entry, helpers, metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wengert.codegen import (
    arrays,
    calls,
    control,
    effects,
    interpreter_lock,
    kept,
    linalg,
    matmul,
    order,
    parts,
    reductions,
    spectral,
    split_loops,
    stacks,
    vecmath,
)
from wengert.codegen.c_entry import Door, door_text
from wengert.codegen.calls import close_callee, open_callee, write_return
from wengert.codegen.donated import in_arguments, raises_in_time
from wengert.codegen.engine import has_fma, host, vector_width
from wengert.codegen.entry import TYPE_NUMBERS, entry_text, kernel_parameters
from wengert.codegen.interfaces import Interface, interfaces, is_scalar
from wengert.codegen.late_writes import late_writes
from wengert.codegen.lowering import LIKELY, PYTHON_ERROR, Lowering, Options, others_list, scope_list
from wengert.codegen.nests import NotApart, Task, reads, reads_in_step, run, settle, store_task
from wengert.codegen.parts import finish
from wengert.codegen.pieces import in_pieces
from wengert.codegen.schedule import schedule
from wengert.codegen.storage import Buffer, Lazy, Mem
from wengert.codegen.table import address_of, declaration, place
from wengert.codegen.text import DEEP_LOOPS, REGISTER, SIMPLE_LOOPS, Writer
from wengert.codegen.threads import MOST_THREADS
from wengert.ir.core import Function, Value
from wengert.types import TensorType

HANDLERS: dict[str, Any] = {
    **arrays.HANDLERS, **calls.HANDLERS,
    **control.HANDLERS, **split_loops.HANDLERS, **effects.HANDLERS, **reductions.HANDLERS, **stacks.HANDLERS,
    **matmul.HANDLERS, **linalg.HANDLERS, **spectral.HANDLERS, **order.HANDLERS,
}  # fmt: skip

SUPPORT = """@wg.stack = internal global [2 x i64] zeroinitializer, align 8
declare ptr @aligned_alloc(i64, i64)
declare ptr @realloc(ptr, i64)
declare void @free(ptr)
define internal ptr @wg_allocate(i64 %size) cold noinline nounwind {{
  %p = call ptr @aligned_alloc(i64 64, i64 %size)
  ret ptr %p
}}
define internal ptr @wg_grow(ptr %old, i64 %used, i64 %size) cold noinline nounwind {{
  %p = call ptr @realloc(ptr %old, i64 %size)
  ret ptr %p
}}
define internal void @wg_free(ptr %p) nounwind {{
  call void @free(ptr %p)
  ret void
}}
define internal ptr @wg_call(ptr %callable, i64 %site, ptr %operands) cold noinline nounwind {{
  %args = alloca [2 x ptr], align 8
  %second = getelementptr inbounds ptr, ptr %args, i64 1
  %number = call ptr @PyLong_FromLongLong(i64 %site)
  store ptr %number, ptr %args
  %word = ptrtoint ptr %operands to i64
  %address = call ptr @PyLong_FromLongLong(i64 %word)
  store ptr %address, ptr %second
  %one = icmp ne ptr %number, null
  %two = icmp ne ptr %address, null
  %both = and i1 %one, %two
  br i1 %both, label %go, label %done
go:
  %found = call ptr @PyObject_Vectorcall(ptr %callable, ptr %args, i64 2, ptr null)
  br label %done
done:
  %result = phi ptr [ null, %0 ], [ %found, %go ]
  call void @Py_DecRef(ptr %number)
  call void @Py_DecRef(ptr %address)
  ret ptr %result
}}
define internal i32 @wg_print(i64 %site, ptr %operands) cold noinline nounwind {{
  call void @wg_hold(ptr %operands)
  %show = load ptr, ptr {show}
  %r = call ptr @wg_call(ptr %show, i64 %site, ptr %operands)
  call void @Py_DecRef(ptr %r)
  call void @wg_release_lock(ptr %operands)
  %raised = icmp eq ptr %r, null
  %status = zext i1 %raised to i32
  ret i32 %status
}}"""
# Defined in SUPPORT, so not to be declared again.
# Number of the metadata node that is the alias domain of the first function.
DOMAINS = 2_000_000
_OWN = (*kept.OWN, "wg_allocate", "wg_grow", "wg_free", "wg_print", "aligned_alloc", "realloc", "free", "wg_call")
_SUPPORT_DECLARATIONS = {
    "PyLong_FromLongLong": "declare ptr @PyLong_FromLongLong(i64)",
    "PyObject_Vectorcall": "declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)",
    "Py_DecRef": "declare void @Py_DecRef(ptr)",
    **interpreter_lock.DECLARATIONS,
}


@dataclass(frozen=True)
class Module:
    """LLVM text with what Python needs to know about it."""

    text: str
    lowering: Lowering
    donated: Mapping[int, int]


def lower(
    function: Function, options: Options, door: Door | None = None, donated: Mapping[int, int] | None = None
) -> Module:
    """The LLVM module of a function.

    Args:
        function: what to compile.
        options: how.
        door: what a C function around it looks like, if one is wanted.
        donated: array parameters whose memory the function may overwrite, each with the result that is best left there. They
            are left alone if the function may raise after it has written to one: then its arguments stay as they were.
    """
    if donated and options.inplace and not function.functions:
        made = _scheduled(in_arguments(function, donated), options)
        if not (options.pieces and in_pieces(made).functions):
            module = _apart(made, options, door, False, donated)
            if raises_in_time(made, donated, [site.instr for site in module.lowering.sites]):
                return module
    made = _scheduled(function, options)
    if options.pieces:
        made = in_pieces(made)
    return _apart(made, options, door, made.functions.keys() != function.functions.keys(), {})


def _apart(function: Function, options: Options, door: Door | None, is_long: bool, donated: Mapping[int, int]) -> Module:
    """The module, with those loops in order that turn out not to be several loops."""
    in_order: frozenset[int] = frozenset()
    while True:
        try:
            return _lower(function, options, in_order, door, is_long, donated)
        except NotApart as error:
            in_order |= {error.args[0]}


def _lower(
    function: Function, options: Options, in_order: frozenset[int], door: Door | None, is_long: bool, donated: Mapping[int, int]
) -> Module:
    found = interfaces(function)
    low = Lowering(function, options, HANDLERS, settle=settle, interfaces=found, in_order=in_order)
    low.is_long |= is_long
    low.output = _output
    low.destined, low.overwritten = _destined(low.function)
    low.w.kernels = frozenset(vecmath.KERNELS) if options.vecmath and has_fma() else frozenset()
    kernels, lowered = [_kernel(low, donated)], [low]
    for interface in found.values():
        lowered.append(_following(lowered[-1], interface))
        lowered[-1].is_long |= is_long
        kernels.append(_callee(lowered[-1], interface))
    words = max(each.operand_words for each in lowered)
    has_parts = any(name.startswith("@wg.part") for name in low.routines)
    recursive = any(i.is_recursive for i in found.values())
    entry, entry_writer = entry_text(function, words, recursive, has_parts, donated)
    declarations = {**_SUPPORT_DECLARATIONS, **entry_writer.declarations}
    doors = []
    if door is not None:
        text, needed = door_text(low.function, door, words, low.sites)
        doors.append(text)
        declarations.update(needed)
    for each in lowered:
        declarations.update(each.w.declarations)
    helpers = vecmath.helpers(set().union(*(each.w.helpers for each in lowered)))
    here = host()
    pieces = [
        f'target datalayout = "{here.layout}"',
        f'target triple = "{here.triple}"',
        declaration(),
        SUPPORT.format(show=place("show")),
        kept.support(_first_kept(lowered[-1])),
        interpreter_lock.SUPPORT,
        *([parts.SUPPORT] if has_parts else []),
        *(text for name, text in declarations.items() if name not in _OWN),
        *helpers,
        *low.routines.values(),
        *kernels,
        entry,
        *doors,
        *_metadata(lowered),
    ]
    text = "\n".join(pieces) + "\n"
    stride = interpreter_lock.HEAD_WORDS + words
    if has_parts:
        text = text.replace(parts.STRIDE, str(stride)).replace(parts.AREA, str(stride * MOST_THREADS))
    return Module(text, low, donated)


def _scheduled(function: Function, options: Options) -> Function:
    """The function in the order in which it is lowered."""
    made = schedule(function)
    return late_writes(made) if options.latewrites else made


def _following(low: Lowering, interface: Interface) -> Lowering:
    """The lowering of a callee, after that of another function in the same module."""
    new = Lowering(
        _scheduled(interface.function, low.options), low.options, low.handlers, settle=settle, interfaces=low.interfaces,
        sites=low.sites, notes=low.notes, first_scope=low.first_scope + low.scopes, first_kept=_first_kept(low),
        routines=low.routines, in_order=low.in_order, loops_seen=low.loops_seen,
    )  # fmt: skip
    new.w.kernels, new.w.simple_loops = low.w.kernels, low.w.simple_loops
    return new


def _first_kept(low: Lowering) -> int:
    """The number of the first buffer of the function behind `low`."""
    return low.first_kept + len(low.buffers)


def _callee(low: Lowering, interface: Interface) -> str:
    w, interface = low.w, replace(interface, function=low.function)
    low.enter(low.body)
    parameters, targets = open_callee(low, interface)
    low.block(low.body)
    scalars = close_callee(low, interface, targets)
    end = w.block if w.block != "start" else "begin"
    w.jump("leave")
    w.label("leave")
    status = w.let("phi i64 " + ", ".join([f"[ 0, %{end} ]", *(f"[ {s}, %{b} ]" for s, b in low.exits)]))
    undefined = [f"[ poison, %{b} ]" for _, b in low.exits]
    registers = [REGISTER[r.tensor.dtype.name] for r in low.function.results if is_scalar(r)]
    returned = [
        w.let(f"phi {register} " + ", ".join([f"[ {scalar}, %{end} ]", *undefined]))
        for register, scalar in zip(registers, scalars, strict=True)
    ]
    kept.keep(low)
    write_return(low, interface, returned, status)
    finish(low, parameters)
    lines = [*kept.entry(low), *kept.take(low), "  br label %begin", "begin:", *w.lines, *low.cold]
    head = f"define internal fastcc {interface.returned()} {interface.symbol}({', '.join(parameters)})"
    return f"{head} nounwind {vector_width()} {{\nstart:\n" + "\n".join(lines) + "\n}"


def _kernel(low: Lowering, donated: Mapping[int, int]) -> str:
    function, w = low.function, low.w
    body = low.body
    low.enter(body)
    arguments = Buffer(0, False)
    for k, dim in enumerate(function.dims):
        low.bind(dim, f"%d{k}")
    for k, param in enumerate(function.params):
        if not param.rank:
            low.bind(param, f"%p{k}")
    for k, param in enumerate(function.params):
        if param.rank:
            home = _donation(low, k, donated[k]) if k in donated else arguments
            low.bind(param, low.memory(param, home, f"%p{k}"))
    low.block(body)
    _return(low)
    finish(low, [*kernel_parameters(function), "ptr %operands", *(f"ptr %r{k}" for k in range(len(function.results)))])
    lines = [*kept.entry(low), *kept.take(low), "  br label %begin", "begin:", *w.lines, *low.cold]
    parameters = [
        "ptr noalias %operands",
        *kernel_parameters(function),
        *(f"ptr noalias %r{k}" for k in range(len(function.results))),
    ]
    head = f"define internal i64 @wg.kernel({', '.join(parameters)}) nounwind {vector_width()} {{\nstart:\n"
    return head + "\n".join(lines) + "\n}"


def _return(low: Lowering) -> None:
    """Compute the results into new NumPy arrays and registers, free everything, and return the status."""
    w, results = low.w, low.function.results
    made: list[str] = []
    if any(r.rank for r in results):
        interpreter_lock.hold(w)
    tasks: list[Task] = []
    for k, value in enumerate(results):
        if value.rank == 0:
            w.do(f"store {REGISTER[value.tensor.dtype.name]} {low.scalar(value)}, ptr %r{k}")
            continue
        made.append(f"%r{k}")
        if _is_placed(low, value, k):
            slot = low.placed[k][1]
            w.do(f"store ptr {w.let(f'load ptr, ptr {slot}')}, ptr %r{k}")
            w.do(f"store ptr null, ptr {slot}")
            continue
        tasks.append(store_task(low, value, _overwritten(low, value, k) or _new_array(low, value, f"%r{k}")))
    if tasks:
        interpreter_lock.release(w)
    groups: dict[object, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.value.dims, []).append(task)
    for group in groups.values():
        run(low, group)
    end = w.block
    w.jump("leave")
    w.label("leave")
    incoming = ", ".join([f"[ 0, %{end if end != 'start' else 'begin'} ]", *(f"[ {s}, %{b} ]" for s, b in low.exits)])
    status = w.let(f"phi i64 {incoming}")
    kept.keep(low)
    if low.placed or made:
        interpreter_lock.hold(w)
    for _, slot in low.placed.values():  # arrays that were not returned after all
        _drop(w, slot)
    if made:
        w.branch(w.let(f"icmp eq i64 {status}, 0"), "success", "failure", LIKELY)
        w.label("failure")
        for slot in made:
            _drop(w, slot)
        w.jump("success")
        w.label("success")
    w.do(f"ret i64 {status}")


def _drop(w: Writer, slot: str) -> None:
    found = w.let(f"load ptr, ptr {slot}")
    w.call("void", "Py_DecRef", [("ptr", found)])  # does nothing to a null pointer


def _destined(function: Function) -> tuple[dict[Value, int], dict[Value, int]]:
    """Arrays whose memory will be that of a result, with the result's position.

    The first are passed on to it, from loop to loop perhaps; the others as well, or it is computed from them element by element.
    """
    passed_on: dict[Value, int] = {}
    for k, result in enumerate(function.results):
        if isinstance(result.type, TensorType) and result.rank:
            passed_on.setdefault(result, k)
    overwritten = dict(passed_on)
    for instr in reversed(function.instrs):
        first = {"for": 1, "while": 0, "update": 0, "add_at": 0}.get(instr.op.name)
        if first is not None:
            for position, result in enumerate(instr.results):
                _hand_down(passed_on, result, instr.operands[first + position])
                _hand_down(overwritten, result, instr.operands[first + position])
        elif instr.op.kind == "elementwise":
            for operand in instr.operands:
                _hand_down(overwritten, instr.result, operand)
    return passed_on, overwritten


def _hand_down(found: dict[Value, int], result: Value, source: Value) -> None:
    if result in found and source.type == result.type:
        found.setdefault(source, found[result])


def _output(low: Lowering, result: Value, position: int) -> Buffer:
    """A new NumPy array for a result that is still to be computed; a slot of its own keeps it until then."""
    slot = low.w.slot("ptr", "null")
    interpreter_lock.hold(low.w)
    array = _new_array(low, result, slot)
    interpreter_lock.release(low.w)
    buffer = Buffer(array.buffer.scope, True, local=array.pointer, result=result)
    low.placed[position] = buffer, slot
    return buffer


def _donation(low: Lowering, k: int, position: int) -> Buffer:
    """Memory of an argument that may be overwritten; its array, which the entry has left for the result, is kept in a slot."""
    slot = low.w.slot("ptr", "null")
    low.w.do(f"store ptr {low.w.let(f'load ptr, ptr %r{position}')}, ptr {slot}")
    low.w.do(f"store ptr null, ptr %r{position}")
    buffer = Buffer(low.new_scope(), True, local=f"%p{k}", result=low.function.results[position])
    low.placed[position] = buffer, slot
    return buffer


def _is_placed(low: Lowering, value: Value, position: int) -> bool:
    """Whether a result already lies in the array that was made for it."""
    place = low.env[value]
    held = low.placed.get(position)
    return held is not None and isinstance(place, Mem) and place.whole and place.buffer is held[0]


def _overwritten(low: Lowering, value: Value, position: int) -> Mem | None:
    """The array that was made for a result and holds what the result is computed from, if nothing else reads it any more."""
    if position not in low.placed or not isinstance(low.env[value], Lazy):
        return None
    buffer, slot = low.placed[position]
    others = [v for k, v in enumerate(low.function.results) if v.rank and k != position]
    if buffer.result is None or buffer.result.type != value.type or not reads_in_step(low, value, buffer, ()):
        return None
    if any(buffer in reads(low, v) for v in others):
        return None
    low.w.do(f"store ptr {low.w.let(f'load ptr, ptr {slot}')}, ptr %r{position}")
    low.w.do(f"store ptr null, ptr {slot}")
    return low.memory(value, buffer, buffer.local)


def _new_array(low: Lowering, value: Value, slot: str) -> Mem:
    """A new NumPy array for a result; its address goes to `slot`."""
    w, sizes = low.w, low.sizes(value)
    shape = w.slot("i64", count=value.rank)
    for axis, size in enumerate(sizes):
        at = w.let(f"getelementptr inbounds i64, ptr {shape}, i64 {axis}")
        w.do(f"store i64 {size}, ptr {at}")

    object_address = w.call(
        "ptr",
        "PyArray_New",
        [("ptr", address_of(w, "ndarray")), ("i32", str(value.rank)), ("ptr", shape),
         ("i32", str(TYPE_NUMBERS[value.tensor.dtype.name])), ("ptr", "null"), ("ptr", "null"), ("i32", "0"),
         ("i32", "0"), ("ptr", "null")],
    )  # fmt: skip
    fine = w.fresh("made")
    w.branch(w.let(f"icmp ne ptr {object_address}, null"), fine, low.fail(PYTHON_ERROR), LIKELY)
    w.label(fine)
    w.do(f"store ptr {object_address}, ptr {slot}")
    at = w.let(f"getelementptr inbounds i8, ptr {object_address}, i64 {object.__basicsize__}")
    buffer = Buffer(low.new_scope(), False)
    return low.memory(value, buffer, w.let(f"load ptr, ptr {at}"))


def _metadata(lowered: Sequence[Lowering]) -> list[str]:
    """Branch weights and alias scopes: every buffer is a scope of its own, every function a domain of them."""
    lines = [
        '!1 = !{!"branch_weights", i32 2000, i32 1}',
        '!2 = !{!"branch_weights", i32 1, i32 2000}',
    ]
    # Interleaving pays for reductions; loops that only store would just become longer.
    lines.append('!4 = !{!"llvm.loop.interleave.count", i32 1}')
    lines.append('!5 = !{!"llvm.loop.interleave.count", i32 2}')
    for first, count in ((SIMPLE_LOOPS, 4), (DEEP_LOOPS, 5)):
        lines += [f"!{n} = distinct !{{!{n}, !{count}}}" for n in range(first, first + lowered[-1].w.simple_loops)]
    for number, low in enumerate(lowered):
        lines += _scopes(low, DOMAINS + number)
    return lines


def _scopes(low: Lowering, domain: int) -> list[str]:
    """The alias scopes of one function."""
    lines = [f"!{domain} = distinct !{{!{domain}}}"]
    numbers = range(low.first_scope, low.first_scope + low.scopes)
    nodes = [scope_list(k) - 1 for k in numbers]
    for k, node in zip(numbers, nodes, strict=True):
        others = ", ".join(f"!{n}" for n in nodes if n != node)
        lines += [
            f"!{node} = distinct !{{!{node}, !{domain}}}",
            f"!{scope_list(k)} = !{{!{node}}}",
            f"!{others_list(k)} = !{{{others}}}",
        ]
    return lines
