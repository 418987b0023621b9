"""LLVM for this machine: optimises the text of a module and makes it callable. The only module that imports llvmlite."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm

from wengert.errors import InternalError

_lock = threading.RLock()


@dataclass(frozen=True)
class Host:
    """The processor that code is made for."""

    triple: str
    cpu: str
    features: str
    layout: str


@cache
def host() -> Host:
    """This machine, with LLVM set up for it."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.get_process_triple()
    cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=features, opt=2, jit=True)
    return Host(triple, cpu, features, str(machine.target_data))


def has_fma() -> bool:
    """Whether the processor multiplies and adds with one rounding."""
    features = host().features.split(",")
    return "+fma" in features or host().triple.startswith(("aarch64", "arm64"))


def vector_width() -> str:
    """A function attribute: whole 512-bit registers where the processor has them (LLVM is shy of them by default)."""
    return '"prefer-vector-width"="512"' if "+avx512f" in host().features.split(",") else ""


@dataclass(eq=False)
class Machine:
    """Native code in memory; it is gone when this object is."""

    engine: Any
    module: Any
    target: Any

    def address(self, name: str) -> int:
        """Where a function or global of the module is."""
        with _lock:
            return int(self.engine.get_function_address(name))

    def text(self) -> str:
        """The optimised LLVM."""
        with _lock:
            return str(self.module)

    def assembly(self) -> str:
        """The machine code as assembler text."""
        with _lock:
            return str(self.target.emit_assembly(llvm.parse_assembly(str(self.module))))


def build(text: str, symbols: Mapping[str, int], level: int = 2, fast: bool = False) -> Machine:
    """Native code for a module.

    Args:
        text: LLVM assembly.
        symbols: addresses of outside functions and data.
        level: how hard LLVM works, 0 to 3.
        fast: choose machine instructions and registers quickly: most of the time for long modules goes there.
    """
    with _lock:
        here = host()
        for name, address in symbols.items():
            _define(name, address)
        try:
            module = llvm.parse_assembly(text)
            module.verify()
        except RuntimeError as error:
            raise InternalError(f"the code generator wrote LLVM that is not valid: {error}") from error
        target = llvm.Target.from_triple(here.triple).create_target_machine(
            cpu=here.cpu, features=here.features, opt=0 if fast else min(level, 3), jit=True
        )
        options = llvm.create_pipeline_tuning_options(speed_level=level)
        options.loop_vectorization = level > 1
        # Straight-line scalar code (a Runge-Kutta step) runs up to 1.4 times as long with it: lanes are shuffled to and fro.
        options.slp_vectorization = False
        # Small static arrays are unrolled by the code generator; remainders of vector loops are not worth the code.
        options.loop_unrolling = False
        builder = llvm.create_pass_builder(target, options)
        builder.getModulePassManager().run(module, builder)
        engine = llvm.create_mcjit_compiler(module, target)
        engine.finalize_object()
    return Machine(engine, module, target)


_defined: dict[str, int] = {}


def _define(name: str, address: int) -> None:
    if _defined.get(name) != address:
        llvm.add_symbol(name, address)
        _defined[name] = address


@cache
def python_symbols() -> dict[str, int]:
    """Addresses of the functions and types of the Python C API that compiled code uses."""
    functions = (
        "PyFloat_FromDouble", "PyLong_FromLongLong", "PyLong_AsLongLong", "PyErr_Occurred", "PyTuple_New",
        "PyTuple_SetItem", "PyObject_Vectorcall", "Py_DecRef", "Py_IncRef", "PyThread_get_thread_native_id",
    )  # fmt: skip
    found = {}
    for name in functions:
        found[name] = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
    return found
