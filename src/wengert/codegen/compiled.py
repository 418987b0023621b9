"""A compiled function: how Python calls native code, converts what it does not take at once, and learns of errors."""

from __future__ import annotations

import ctypes
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from wengert.codegen import blas, effects, special, table
from wengert.codegen.c_entry import HELD, SYMBOL, Door
from wengert.codegen.engine import Effort, Machine, build, python_symbols
from wengert.codegen.entry import numpy_symbols
from wengert.codegen.lowering import Note, Options, Site
from wengert.codegen.module import lower
from wengert.codegen.thread_stack import stack_limit
from wengert.codegen.threads import mode
from wengert.errors import ArgumentError, InternalError, describe
from wengert.ir.core import Function, Value
from wengert.switches import PLANS, disabled
from wengert.types import Dim, TensorType

METH_FASTCALL = 0x0080

LARGE = 600_000
"""Length of LLVM text (some ten thousand lines) above which optimising it fully would take tens of seconds."""
HUGE = 2_000_000
"""Length of one function from which machine code is made in a hurry, too: half the time, for code that is not in a tight loop."""
LOOPED = 1_500_000
"""The same as `LARGE` for the product of lines and loops: to vectorise a loop, LLVM looks at the whole function around it."""


class _MethodDef(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class Compiled:
    """Native code for an IR function; call it with one number or array per parameter.

    Attributes:
        function: what was compiled.
        entry: the same callable as a builtin, without a Python frame around it.
        llvm_ir: LLVM text before optimisation.
        donated: parameters whose arrays are written to where they are, each with the result that it may become.
        report: allocations, copies and stacks, with the user's lines.
        compile_seconds: what compiling took.
    """

    def __init__(
        self,
        function: Function,
        options: Options | None = None,
        door: Door | None = None,
        donated: Mapping[int, int] | None = None,
    ) -> None:
        started = time.perf_counter()
        self.function = function
        self._runtime = _Runtime(function)
        options = options or options_from_environment()
        module = lower(function, options, door, donated)
        self.donated = module.donated
        self.llvm_ir = module.text
        self.report: tuple[Note, ...] = tuple(module.lowering.notes)
        outside = {**blas.outside_symbols(module.text), **special.outside_symbols(module.text)}
        symbols = {**python_symbols(), **numpy_symbols(), **outside}
        machine = build(module.text, symbols, effort_for(module.text, options))
        self.entry: Callable[..., tuple[Any, ...]] = self._runtime.attach(machine, module.lowering.sites)
        self.compile_seconds = time.perf_counter() - started

    def __call__(self, *args: Any) -> tuple[Any, ...]:
        """The results: Python numbers for scalars, new arrays for arrays.

        Raises:
            ArgumentError: wrong number, dtype or rank of arguments.
            ValueError: sizes that do not fit together.
            Exception: what a check of the program raises.
        """
        return self.entry(*args)

    def c_address(self) -> int:
        """Where the C function is, if one was asked for."""
        return self._runtime.machine().address(SYMBOL)

    def hold(self, addresses: Sequence[int]) -> None:
        """Tell the C function where the arrays are that it does not get from its caller."""
        words = (ctypes.c_void_p * len(addresses)).from_address(self._runtime.machine().address(HELD))
        for k, address in enumerate(addresses):
            words[k] = address

    def optimized(self) -> str:
        """LLVM text after optimisation."""
        return self._runtime.machine().optimized()

    def asm(self) -> str:
        """The machine code as assembler text."""
        return self._runtime.machine().assembly()

    def __repr__(self) -> str:
        return f"<compiled {self.function.name}>"


def compile(function: Function, options: Options | None = None, donated: Mapping[int, int] | None = None) -> Compiled:
    """Native code for `function`.

    Args:
        function: what to compile.
        options: how; by default as WENGERT_DISABLE says.
        donated: array parameters whose memory the code may overwrite, each with the result that is best left there: then that
            result is the argument itself. They have the type of the result, and share no memory with other arguments. Code that
            may raise once it has written to one leaves all of them alone.
    """
    return Compiled(function, options, donated=donated)


def effort_for(text: str, options: Options) -> Effort:
    """How hard LLVM works on a module: less on long ones."""
    if not options.llvm:
        return Effort(0)
    is_long = len(text) > LARGE or text.count("\n") * text.count(" = phi i64 [ 0, ") > LOOPED
    return Effort(1 if is_long else 2, fast=max(map(len, text.split("\ndefine "))) > HUGE)


def options_from_environment() -> Options:
    """All optimisations, less those named in WENGERT_DISABLE (`PLANS`); threads if several."""
    return Options(**{"threads": mode.splits, **{name: False for name in disabled() if name in PLANS}})


class _Runtime:
    """What native code needs to stay alive, and what it calls back; `self` of the builtin."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self._machine: Machine | None = None
        self._entry: Callable[..., tuple[Any, ...]] | None = None
        self._sites: Sequence[Site] = ()
        self._held = threading.local()
        # Compiled code holds their addresses, so these very objects are kept.
        self._fail, self._convert, self._show, self._measure = self.fail, self.convert, self.show, self.measure

    def attach(self, machine: Machine, sites: Sequence[Site]) -> Callable[..., tuple[Any, ...]]:
        """Take the native code and wrap its entry into a builtin function."""
        self._machine, self._sites = machine, sites
        callbacks = {"fail": self._fail, "convert": self._convert, "show": self._show, "measure": self._measure}
        table.fill(machine.address(table.SYMBOL), {name: id(method) for name, method in callbacks.items()})
        weakref.finalize(self, _release, machine).atexit = False
        name = self.function.name.encode()
        definition = _MethodDef(name, machine.address("wg_entry"), METH_FASTCALL, b"Compiled by wengert.")
        # CPython reads the definition of a builtin when it frees the builtin, which may be after all that it belongs to, the
        # globals of this module included when Python ends: it is never given back.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(definition))
        new = ctypes.pythonapi.PyCFunction_NewEx
        new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
        self._entry = new(ctypes.addressof(definition), self, None)
        return self._entry

    def machine(self) -> Machine:
        """The native code."""
        assert self._machine is not None
        return self._machine

    def fail(self, status: int, operands: int) -> None:
        """Raise the error that `status` stands for."""
        effects.raise_status(self._sites, operands, status)

    def show(self, status: int, operands: int) -> None:
        """Run what a `host_print` or a `host_call` asks for."""
        self._held.arrays = effects.run_site(self._sites, operands, status)

    def measure(self, number: int, address: int) -> None:
        """Write the lowest address that frames of this thread may reach, and the thread's number, to `address`."""
        words = (ctypes.c_uint64 * 2).from_address(address)
        words[0], words[1] = stack_limit(), threading.get_native_id()

    def convert(self, *args: Any) -> tuple[Any, ...]:
        """Call again with arguments converted to what native code takes."""
        assert self._entry is not None
        parameters = self.function.params
        if len(args) != len(parameters):
            raise ArgumentError(f"{self.function.name} takes {len(parameters)} arguments. Got {len(args)} instead.")
        converted = [_converted(p, a, self.function) for p, a in zip(parameters, args, strict=True)]
        _check_sizes(self.function, converted)
        if all(a is b for a, b in zip(args, converted, strict=True)):
            raise InternalError(f"native code of {self.function.name} refuses its arguments")
        return self._entry(*converted)


def _release(machine: Machine) -> None:
    """Free the memory that the code kept for its next call."""
    ctypes.CFUNCTYPE(None)(machine.address("wg_release"))()


def _converted(param: Value, argument: Any, function: Function) -> Any:
    declared = param.tensor
    array = np.asarray(argument)
    if array.ndim != declared.rank or not np.can_cast(array.dtype, declared.dtype.numpy, casting="safe"):
        raise ArgumentError(
            f"argument {param.name!r} of {function.name} has a wrong type",
            function.span,
            found=f"{array.dtype} of shape {array.shape}",
            expected=str(declared),
        )
    if declared.rank == 0:
        return {"f64": float, "f32": np.float32, "i64": int, "bool": bool}[declared.dtype.name](array)
    plain = np.require(array.view(np.ndarray), declared.dtype.numpy, ("C", "A"))
    # Native code knows an array's dtype by the identity of its descriptor.
    return plain if plain.dtype is declared.dtype.numpy else plain.view(declared.dtype.numpy)


def _check_sizes(function: Function, arguments: Sequence[Any]) -> None:
    """Raise ValueError where an axis does not have the size that the types ask for."""
    known: dict[Any, int] = {}
    pairs = [
        (param, axis, declared, size)
        for param, argument in zip(function.params, arguments, strict=True)
        if isinstance(param.type, TensorType) and param.rank
        for axis, (declared, size) in enumerate(zip(param.dims, argument.shape, strict=True))
    ]
    for _, _, declared, size in pairs:
        if isinstance(declared, Dim) and len(declared.terms) == 1 and declared.terms[0][1] == 1:
            known.setdefault(declared.terms[0][0], size - declared.const)
    for param, axis, declared, size in pairs:
        expected = declared
        if isinstance(declared, Dim):
            expected = declared.const + sum(c * known[s] for s, c in declared.terms)
        if expected != size:
            raise ValueError(
                describe(
                    f"argument {param.name!r} of {function.name} has a wrong shape",
                    function.span,
                    found=f"size {size} of axis {axis}",
                    expected=f"{declared}" + (f" = {expected}" if isinstance(declared, Dim) else ""),
                )
            )
