"""The door: the LLVM function that CPython calls (METH_FASTCALL), which reads the arguments and builds the results itself.

What it does not recognise at once (an int for a float, an array of another dtype or layout) goes to a Python function
that converts it and calls again.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache

import numpy as np

from wengert.codegen.engine import vector_width
from wengert.codegen.interpreter_lock import HEAD_WORDS, RELEASES, STACK_LIMIT, STATE, hold, release, work
from wengert.codegen.table import address_of
from wengert.codegen.text import REGISTER, Writer
from wengert.errors import InternalError
from wengert.ir.core import Function, Value
from wengert.types import DTYPES, Affine, Dim

HEADER = object.__basicsize__
# Offsets of the fields of PyArrayObject, which NumPy keeps stable; see numpy/ndarraytypes.h.
DATA, RANK, SHAPE, DESCRIPTOR, FLAGS = (HEADER + offset for offset in (0, 8, 16, 40, 48))
C_CONTIGUOUS_AND_ALIGNED = 0x0101
TYPE_NUMBERS = {d.name: d.numpy.num for d in DTYPES.values()}


@cache
def numpy_symbols() -> dict[str, int]:
    """Addresses of the functions of the NumPy C API that compiled code uses."""
    capsule = np._core._multiarray_umath._ARRAY_API  # type: ignore[attr-defined]
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    table = ctypes.cast(get(capsule, None), ctypes.POINTER(ctypes.c_void_p))
    return {"PyArray_New": table[93] or 0, "PyArray_Scalar": table[60] or 0}


def kernel_parameters(function: Function) -> list[str]:
    """The parameters of the kernel: dims, then scalars and array addresses in order."""
    dims = [f"i64 %d{k}" for k in range(len(function.dims))]
    return dims + [
        f"{REGISTER[p.tensor.dtype.name]} %p{k}" if not p.rank else f"ptr %p{k}" for k, p in enumerate(function.params)
    ]


def entry_text(
    function: Function, words: int, is_recursive: bool, always_release: bool, donated: Mapping[int, int]
) -> tuple[str, Writer]:
    """The entry function, and the writer that knows what it declares.

    Args:
        function: what the kernel computes.
        words: the size of the operand buffer.
        is_recursive: whether calls among the kernel's functions look at the limit of the thread's stack.
        always_release: whether other Python threads run during every call.
        donated: array parameters whose memory may be overwritten, each with the result that it may become.
    """
    w = Writer()
    w.label("start")
    _Entry(w, function, always_release, donated).write(words, is_recursive)
    body = "\n".join([*w.entry, *w.lines[1:]])
    text = f"define ptr @wg_entry(ptr %self, ptr %args, i64 %n) nounwind {vector_width()} {{\nstart:\n{body}\n}}"
    return text, w


class _Entry:
    def __init__(self, w: Writer, function: Function, always_release: bool, donated: Mapping[int, int]) -> None:
        self.w = w
        self.donated = donated
        self.function = function
        self.always_release = always_release

    def write(self, words: int, is_recursive: bool) -> None:
        w, function = self.w, self.function
        self.require(f"icmp eq i64 %n, {len(function.params)}")
        arguments: list[str] = []
        objects: list[str] = []
        shapes: dict[Value, list[str]] = {}
        for k, param in enumerate(function.params):
            at = w.let(f"getelementptr inbounds ptr, ptr %args, i64 {k}")
            argument = w.let(f"load ptr, ptr {at}")
            objects.append(argument)
            if param.rank:
                arguments.append("ptr " + self.array(argument, param, shapes))
            else:
                kind = param.tensor.dtype.name
                found = {"f64": self.float, "f32": self.single, "i64": self.integer, "bool": self.boolean}[kind](argument)
                arguments.append(f"{REGISTER[kind]} {found}")
        dims = self.dims(shapes)
        slots = [w.slot("ptr", "null") if r.rank else w.slot(REGISTER[r.tensor.dtype.name]) for r in function.results]
        for k, position in self.donated.items():
            w.call("void", "Py_IncRef", [("ptr", objects[k])])
            w.do(f"store ptr {objects[k]}, ptr {slots[position]}")
        before = w.slot("i64", count=HEAD_WORDS + words)
        operands = w.let(f"getelementptr inbounds i64, ptr {before}, i64 {HEAD_WORDS}")
        if is_recursive:
            self.measure_stack(operands)
        w.do(f"store ptr null, ptr {self.word(operands, STATE)}")
        w.do(f"store i64 {self.releases(dims)}, ptr {self.word(operands, RELEASES)}")
        release(w, operands)
        passed = [f"ptr {operands}", *(f"i64 {d}" for d in dims), *arguments, *(f"ptr {s}" for s in slots)]
        status = w.let(f"call i64 @wg.kernel({', '.join(passed)})")
        hold(w, operands)
        self.stop_unless(f"icmp eq i64 {status}, 0", "failed")
        self.results(slots)
        self.failures(status, operands)

    def word(self, operands: str, distance: int) -> str:
        """The address of a word before the operand buffer."""
        return self.w.let(f"getelementptr inbounds i64, ptr {operands}, i64 {distance}")

    def releases(self, dims: list[str]) -> str:
        """Whether this call lets other Python threads run, as an i64."""
        w, found = self.w, work(self.function)
        if found.unknown or self.always_release:
            return "1"
        env = dict(zip(self.function.dims, dims, strict=True))
        flag = "false"
        for shape in found.shapes:
            count = ""
            for d in shape:
                size = self.affine(d, env)
                count = w.let(f"mul i64 {count}, {size}") if count else size
            flag = w.let(f"or i1 {flag}, {w.let(f'icmp sge i64 {count}, {found.many}')}")
        return w.let(f"zext i1 {flag} to i64") if found.shapes else "0"

    def measure_stack(self, operands: str) -> None:
        """Find out how far down frames may reach, if this is another thread than last time."""
        w = self.w
        thread = w.call("i64", "PyThread_get_thread_native_id", [])
        last = w.let("load i64, ptr getelementptr inbounds (i64, ptr @wg.stack, i64 1)")
        same, measure, keep, ready = w.fresh("same"), w.fresh("measure"), w.fresh("keep"), w.fresh("ready")
        record = self.word(operands, STACK_LIMIT)
        w.branch(w.let(f"icmp eq i64 {thread}, {last}"), same, measure, ", !prof !1")
        w.label(measure)
        called = [("ptr", address_of(w, "measure")), ("i64", "0"), ("ptr", record)]
        found = w.call("ptr", "wg_call", called)
        w.call("void", "Py_DecRef", [("ptr", found)])
        w.branch(w.let(f"icmp eq ptr {found}, null"), "nothing", keep, ", !prof !2")
        w.label(keep)  # other threads may have run since the question, but not from here on
        w.do(f"call void @llvm.memcpy.p0.p0.i64(ptr @wg.stack, ptr {record}, i64 16, i1 false)")
        w.jump(ready)
        w.label(same)
        w.do(f"store i64 {w.let('load i64, ptr @wg.stack')}, ptr {record}")
        w.jump(ready)
        w.label(ready)

    # --- arguments ----------------------------------------------------------------------------------------------

    def require(self, condition: str) -> None:
        """Go to the converting Python function unless `condition` holds."""
        self.stop_unless(condition, "convert")

    def stop_unless(self, condition: str, block: str) -> None:
        w = self.w
        passed = w.fresh("ok")
        w.branch(w.let(condition), passed, block, ", !prof !1")
        w.label(passed)

    def field(self, object: str, offset: int, type: str) -> str:
        at = self.w.let(f"getelementptr inbounds i8, ptr {object}, i64 {offset}")
        return self.w.let(f"load {type}, ptr {at}")

    def type_is(self, argument: str, *types: type) -> None:
        found = self.field(argument, HEADER - 8, "ptr")
        tests = [self.w.let(f"icmp eq ptr {found}, {address_of(self.w, t.__name__)}") for t in types]
        condition = f"or i1 {tests[0]}, {tests[-1]}"
        self.require(condition)

    def float(self, argument: str) -> str:
        self.type_is(argument, float, np.float64)
        return self.field(argument, HEADER, "double")

    def single(self, argument: str) -> str:
        self.type_is(argument, np.float32)
        return self.field(argument, HEADER, "float")

    def integer(self, argument: str) -> str:
        w = self.w
        self.type_is(argument, int)
        found = w.call("i64", "PyLong_AsLongLong", [("ptr", argument)])
        maybe, fine = w.fresh("maybe"), w.fresh("fine")
        w.branch(w.let(f"icmp eq i64 {found}, -1"), maybe, fine, ", !prof !2")
        w.label(maybe)
        error = w.call("ptr", "PyErr_Occurred", [])
        w.branch(w.let(f"icmp eq ptr {error}, null"), fine, "nothing", ", !prof !1")
        w.label(fine)
        return found

    def boolean(self, argument: str) -> str:
        w = self.w
        true, false = (w.let(f"icmp eq ptr {argument}, {address_of(w, v)}") for v in ("True", "False"))
        self.require(f"or i1 {true}, {false}")
        return true

    def array(self, argument: str, param: Value, shapes: dict[Value, list[str]]) -> str:
        w = self.w
        self.type_is(argument, np.ndarray)
        self.require(f"icmp eq i32 {self.field(argument, RANK, 'i32')}, {param.rank}")
        descriptor = address_of(w, param.tensor.dtype.name)
        self.require(f"icmp eq ptr {self.field(argument, DESCRIPTOR, 'ptr')}, {descriptor}")
        flags = w.let(f"and i32 {self.field(argument, FLAGS, 'i32')}, {C_CONTIGUOUS_AND_ALIGNED}")
        self.require(f"icmp eq i32 {flags}, {C_CONTIGUOUS_AND_ALIGNED}")
        shape = self.field(argument, SHAPE, "ptr")
        shapes[param] = [self.field(shape, 8 * axis, "i64") for axis in range(param.rank)]
        return self.field(argument, DATA, "ptr")

    def dims(self, shapes: dict[Value, list[str]]) -> list[str]:
        """The sizes that the function reads off its arguments; every other size must agree with them."""
        w = self.w
        known: dict[Value, str] = {}
        for param, axis, symbol in readings(self.function):
            size = shapes[param][axis]
            declared = param.dims[axis]
            assert isinstance(declared, Dim)
            known[symbol] = w.let(f"sub i64 {size}, {declared.const}") if declared.const else size
        for param, sizes in shapes.items():
            for declared, size in zip(param.dims, sizes, strict=True):
                expected = self.affine(declared, known)
                if expected != size:
                    self.require(f"icmp eq i64 {size}, {expected}")
        return [known[d] for d in self.function.dims]

    def affine(self, d: Affine, known: dict[Value, str]) -> str:
        if isinstance(d, int):
            return str(d)
        total = str(d.const) if d.const else ""
        for symbol, coefficient in d.terms:
            assert isinstance(symbol, Value)
            if symbol not in known:
                raise InternalError(f"a size of {self.function.name} refers to %{symbol.name}, which is not a size")
            term = known[symbol]
            term = term if coefficient == 1 else self.w.let(f"mul i64 {term}, {coefficient}")
            total = self.w.let(f"add i64 {total}, {term}") if total else term
        return total

    # --- results ------------------------------------------------------------------------------------------------

    def results(self, slots: list[str]) -> None:
        w = self.w
        result = w.call("ptr", "PyTuple_New", [("i64", str(len(slots)))])
        # Without memory for the tuple, arrays already made are lost together with the process's last bytes.
        self.stop_unless(f"icmp ne ptr {result}, null", "nothing")
        for k, (slot, value) in enumerate(zip(slots, self.function.results, strict=True)):
            item = self.boxed(slot, value)
            fine, bad = w.fresh("boxed"), w.fresh("unboxed")
            w.branch(w.let(f"icmp ne ptr {item}, null"), fine, bad, ", !prof !1")
            w.label(bad)
            w.call("void", "Py_DecRef", [("ptr", result)])
            w.jump("nothing")
            w.label(fine)
            w.call("i32", "PyTuple_SetItem", [("ptr", result), ("i64", str(k)), ("ptr", item)])
        w.do(f"ret ptr {result}")

    def boxed(self, slot: str, value: Value) -> str:
        w, kind = self.w, value.tensor.dtype.name
        if value.rank:
            return w.let(f"load ptr, ptr {slot}")
        if kind == "f32":
            made = [("ptr", slot), ("ptr", address_of(w, kind)), ("ptr", "null")]
            return w.call("ptr", "PyArray_Scalar", made)
        found = w.let(f"load {REGISTER[kind]}, ptr {slot}")
        if kind == "f64":
            return w.call("ptr", "PyFloat_FromDouble", [("double", found)])
        if kind == "i64":
            return w.call("ptr", "PyLong_FromLongLong", [("i64", found)])
        item = w.let(f"select i1 {found}, ptr {address_of(w, 'True')}, ptr {address_of(w, 'False')}")
        w.call("void", "Py_IncRef", [("ptr", item)])
        return item

    def failures(self, status: str, operands: str) -> None:
        w = self.w
        w.label("convert")
        arguments = [("ptr", address_of(w, "convert")), ("ptr", "%args"), ("i64", "%n"), ("ptr", "null")]
        w.do(f"ret ptr {w.call('ptr', 'PyObject_Vectorcall', arguments)}")
        w.label("failed")
        w.branch(w.let(f"icmp eq i64 {status}, -2"), "nothing", "raise")
        w.label("raise")
        called = [("ptr", address_of(w, "fail")), ("i64", status), ("ptr", operands)]
        w.do(f"ret ptr {w.call('ptr', 'wg_call', called)}")
        w.label("nothing")
        w.do("ret ptr null")


def readings(function: Function) -> list[tuple[Value, int, Value]]:
    """For each size of the function, the parameter and axis that it is read from."""
    found: dict[Value, tuple[Value, int, Value]] = {}
    for param in function.params:
        for axis, declared in enumerate(param.dims):
            if isinstance(declared, Dim) and len(declared.terms) == 1 and declared.terms[0][1] == 1:
                symbol = declared.terms[0][0]
                if isinstance(symbol, Value) and symbol in function.dims:
                    found.setdefault(symbol, (param, axis, symbol))
    missing = [d.name for d in function.dims if d not in found]
    if missing:
        raise InternalError(f"sizes {missing} of {function.name} cannot be read from its arguments")
    return list(found.values())
