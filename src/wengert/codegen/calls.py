"""Calls between native functions, and the frame of a callee.

A callee gets the operand buffer for checks, its sizes, scalars in registers, addresses of arrays, and the records of the
memory (address, capacity) and of the stacks (address, capacity, top, hint) that it may change. It returns a status and its
scalar results. A recursive one first looks whether the thread's stack has room.
"""

from __future__ import annotations

from collections.abc import Sequence

from wengert.codegen.control import adopt, adopt_stack
from wengert.codegen.interfaces import Interface, is_scalar
from wengert.codegen.interpreter_lock import STACK_LIMIT
from wengert.codegen.lowering import COLD, LIKELY, Handler, Lowering, Site
from wengert.codegen.nests import assign, save
from wengert.codegen.stacks import STACK_SCOPE, move_stacks, new_stack
from wengert.codegen.storage import Buffer, Mem, Stack
from wengert.codegen.text import REGISTER
from wengert.ir.calls import bind_symbols
from wengert.ir.core import Instr, Value
from wengert.ir.op import get_op
from wengert.types import StackType

# --- the caller ------------------------------------------------------------------------------------------------------


def call(low: Lowering, instr: Instr) -> None:
    """Pass the arguments, call, leave if the callee failed, and bind the results."""
    w, interface = low.w, low.interfaces[instr.attrs["callee"]]
    low.settle(low)
    homes = _give_homes(low, interface, instr)
    arguments = ["ptr %operands", *_sizes(low, instr), *_arguments(low, interface, instr, homes)]
    targets: dict[int, Buffer | Stack] = {}
    for k, result in enumerate(instr.results):
        if is_scalar(result):
            continue
        target = homes.get(interface.homes[k]) if k in interface.homes else None
        if target is None:
            is_stack = isinstance(result.type, StackType)
            target = new_stack(low) if is_stack else low.new_buffer(f"{result.type}: result of a call")
            if isinstance(target, Stack):
                w.do(f"store i64 0, ptr {target.top}")
            arguments.append(f"ptr {_record(target)}")
        targets[k] = target
    kind = interface.returned()
    returned = w.let(f"call fastcc {kind} {interface.symbol}({', '.join(arguments)})")
    status = w.let(f"extractvalue {kind} {returned}, 0")
    passed = w.fresh("returned")
    w.branch(w.let(f"icmp eq i64 {status}, 0"), passed, low.fail(status), LIKELY)
    w.label(passed)
    scalars = [r for r in instr.results if is_scalar(r)]
    for k, result in enumerate(scalars):
        low.bind(result, w.let(f"extractvalue {kind} {returned}, {k + 1}"))
    for k, target in targets.items():
        result = instr.results[k]
        low.bind(result, target if isinstance(target, Stack) else low.current(result, target))


def _record(place: Buffer | Stack) -> str:
    """The address of the record of some memory or stack: its first field is the address of the memory."""
    return place.buffer.pointer if isinstance(place, Stack) else place.pointer


def _give_homes(low: Lowering, interface: Interface, instr: Instr) -> dict[int, Buffer | Stack]:
    """Make the arrays ready that are only read, and put those that are overwritten into memory of their own."""
    params, owned = interface.function.params, interface.owned
    has_stacks = any(isinstance(p.type, StackType) for p in params)
    arrays = [k for k, p in enumerate(params) if not is_scalar(p) and not isinstance(p.type, StackType)]
    read = [instr.operands[k] for k in arrays if k not in owned]
    save(low, [v for v in read if not _may_be_passed(low, v, has_stacks)], "argument of a call")
    homes: dict[int, Buffer | Stack] = {}
    reading = [b for v in read for b in low.array(v).reads]
    taken: set[Buffer] = set(reading)
    pairs: list[tuple[Value, Buffer]] = []
    for k in sorted(owned):
        value = instr.operands[k]
        home = adopt(low, value, frozenset(), taken) or low.new_buffer(f"{value.type}: argument that is overwritten")
        taken.add(home)
        homes[k] = home
        pairs.append((value, home))
    assign(low, pairs, "argument that is overwritten")
    for k, param in enumerate(params):
        if isinstance(param.type, StackType):
            stack = low.stack(instr.operands[k])
            adopt_stack(low, stack, frozenset())
            homes[k] = stack
    return homes


def _may_be_passed(low: Lowering, value: Value, has_stacks: bool) -> bool:
    """Whether an array lies in one piece, and not in the memory of a stack that the callee might push to."""
    place = low.array(value)
    if not isinstance(place, Mem) or not place.contiguous:
        return False
    return not (has_stacks and place.buffer.scope == STACK_SCOPE)


def _sizes(low: Lowering, instr: Instr) -> list[str]:
    signature = instr.attrs["_signature"]
    env = bind_symbols(signature, instr.operands)
    return [f"i64 {low.dim(env[d])}" for d in signature.dims]


def _arguments(low: Lowering, interface: Interface, instr: Instr, homes: dict[int, Buffer | Stack]) -> list[str]:
    found = []
    for k, value in enumerate(instr.operands):
        if k in homes:
            found.append(f"ptr {_record(homes[k])}")
        elif is_scalar(value):
            found.append(f"{REGISTER[value.tensor.dtype.name]} {low.scalar(value)}")
        else:
            place = low.array(value)
            assert isinstance(place, Mem)
            found.append(f"ptr {place.pointer}")
    return found


# --- the callee ------------------------------------------------------------------------------------------------------


def open_callee(low: Lowering, interface: Interface) -> tuple[list[str], dict[int, Buffer | Stack]]:
    """Bind the parameters; returns the LLVM parameters and where array and stack results go."""
    function, places = interface.function, dict[int, Buffer | Stack]()
    declared = ["ptr %operands"]
    for k, dim in enumerate(function.dims):
        declared.append(f"i64 %d{k}")
        low.bind(dim, f"%d{k}")
    for k, param in enumerate(function.params):
        if is_scalar(param):
            low.bind(param, f"%p{k}")
    readable = Buffer(0, False)
    for k, param in enumerate(function.params):
        declared.append(f"{REGISTER[param.tensor.dtype.name]} %p{k}" if is_scalar(param) else f"ptr %p{k}")
        if isinstance(param.type, StackType):
            places[k] = stack = _stack_at(low, f"%p{k}")
            low.bind(param, stack)
        elif k in interface.owned:
            places[k] = buffer = _buffer_at(low, f"%p{k}")
            low.bind(param, low.current(param, buffer))
        elif param.rank:
            low.bind(param, low.memory(param, readable, f"%p{k}"))
    targets: dict[int, Buffer | Stack] = {}
    for k, result in enumerate(function.results):
        if is_scalar(result):
            continue
        if k in interface.homes:
            targets[k] = places[interface.homes[k]]
            continue
        declared.append(f"ptr %r{k}")
        is_stack = isinstance(result.type, StackType)
        targets[k] = _stack_at(low, f"%r{k}") if is_stack else _buffer_at(low, f"%r{k}")
    if interface.is_recursive:
        _require_room(low, interface)
    return declared, targets


def _buffer_at(low: Lowering, record: str) -> Buffer:
    return Buffer(low.new_scope(), True, record, low.w.field(record, 1))


def _stack_at(low: Lowering, record: str) -> Stack:
    buffer = Buffer(STACK_SCOPE, False, record, low.w.field(record, 1))
    return Stack(buffer, low.w.field(record, 2), low.w.field(record, 3))


def _require_room(low: Lowering, interface: Interface) -> None:
    """Leave with a RecursionError where the thread's stack is nearly full."""
    w, function = low.w, interface.function
    message = f"`{function.name}` calls itself too deeply: the stack of this thread is full"
    attrs = {"exception": "RecursionError", "message": message}
    low.sites.append(Site(Instr(get_op("check"), (), (), attrs, (), function.span), ()))
    here = w.let(f"ptrtoint ptr {w.slot('i8')} to i64")
    limit = w.let(f"load i64, ptr {w.let(f'getelementptr inbounds i64, ptr %operands, i64 {STACK_LIMIT}')}")
    deeper = w.fresh("deeper")
    w.branch(w.let(f"icmp ult i64 {here}, {limit}"), low.fail(len(low.sites)), deeper, COLD)
    w.label(deeper)


def close_callee(low: Lowering, interface: Interface, targets: dict[int, Buffer | Stack]) -> list[str]:
    """Put the results where they belong; returns the scalars."""
    results = interface.function.results
    pairs = [(results[k], t) for k, t in targets.items() if isinstance(t, Buffer)]
    assign(low, pairs, "result of a call")
    scalars = [low.scalar(r) for r in results if is_scalar(r)]
    low.settle(low)
    move_stacks(low, [(low.stack(results[k]), t) for k, t in targets.items() if isinstance(t, Stack)])
    return scalars


def write_return(low: Lowering, interface: Interface, scalars: Sequence[str], status: str) -> None:
    """Return the status and the scalars; those are undefined where the call has failed."""
    w, kind = low.w, interface.returned()
    value = w.let(f"insertvalue {kind} poison, i64 {status}, 0")
    registers = [REGISTER[r.tensor.dtype.name] for r in interface.function.results if is_scalar(r)]
    for k, (register, scalar) in enumerate(zip(registers, scalars, strict=True)):
        value = w.let(f"insertvalue {kind} {value}, {register} {scalar}, {k + 1}")
    w.do(f"ret {kind} {value}")


HANDLERS: dict[str, Handler] = {"call": call}
