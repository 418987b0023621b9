"""LLVM for this machine: optimises the text of a module and makes it callable. The only module that imports llvmlite."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np
from llvmlite.binding.object_file import ObjectFileRef

from wengert.codegen import rare
from wengert.codegen.store import digest, store
from wengert.errors import InternalError

_lock = threading.RLock()

# Loops come out of it as they are written: in a module so long, vectorising them takes LLVM quadratic time.
SHORT = ("sroa", "simplify_cfg", "instruction_combine", "loop_rotate", "instruction_combine", "simplify_cfg")

COMMON_CACHE = 1 << 20

TUNING = {
    # Straight-line scalar code (a Runge-Kutta step) runs up to 1.4 times as long with it: lanes are shuffled to and fro.
    "slp_vectorization": False,
    # Small static arrays are unrolled by the code generator; remainders of vector loops are not worth the code.
    "loop_unrolling": False,
}


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


@cache
def cache_size() -> int:
    """Bytes of the second-level cache of a core; a common size where the system does not say."""
    try:
        text = Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text().strip()
        return int(text.removesuffix("K")) << 10 if text.endswith("K") else int(text.removesuffix("M")) << 20
    except (OSError, ValueError):
        return COMMON_CACHE


def vector_width() -> str:
    """A function attribute: whole 512-bit registers where the processor has them (LLVM is shy of them by default)."""
    return '"prefer-vector-width"="512"' if "+avx512f" in host().features.split(",") else ""


@dataclass(frozen=True)
class Effort:
    """How hard LLVM works.

    Attributes:
        level: of its passes, 0 to 3; 1 is a few passes that take time in proportion to the length of a module.
        fast: choose machine instructions and registers quickly: most of the time for long modules goes there.
    """

    level: int = 2
    fast: bool = False


@dataclass(eq=False)
class Machine:
    """Native code in memory; it is gone when this object is."""

    engine: Any
    text: str
    effort: Effort

    def address(self, name: str) -> int:
        """Where a function or global of the module is."""
        with _lock:
            return int(self.engine.get_function_address(name) or self.engine.get_global_value_address(name))

    def optimized(self) -> str:
        """The optimised LLVM, made anew."""
        with _lock:
            return str(_optimized(self.text, self.effort)[0])

    def assembly(self) -> str:
        """The machine code as assembler text, made anew."""
        with _lock:
            module, target = _optimized(self.text, self.effort)
            return str(target.emit_assembly(module))


def build(text: str, symbols: Mapping[str, int], effort: Effort) -> Machine:
    """Native code for a module: from the store on disk if it is there.

    Args:
        text: LLVM assembly; it names everything outside by a symbol, so that its code may be loaded by another process.
        symbols: addresses of outside functions and data.
        effort: how hard LLVM works.
    """
    with _lock:
        for name, address in symbols.items():
            _define(name, address)
        kept, name = store(), key(text, effort)
        code = kept.load(name) if kept is not None else None
        if code is None:
            module, target = _optimized(text, effort)
            code = bytes(target.emit_object(module))
            if kept is not None:
                kept.save(name, code)
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target(effort))
        engine.add_object_file(ObjectFileRef.from_data(code))
        engine.finalize_object()
    return Machine(engine, text, effort)


def key(text: str, effort: Effort) -> str:
    """The name of the code of a module: it follows from the text, from what LLVM is asked to do, and from who does it."""
    here = host()
    versions = f"{llvmlite.__version__} {llvm.llvm_version_info} {sys.implementation.cache_tag} {np.__version__}"
    return digest([text, repr(effort), repr((TUNING, SHORT)), here.triple, here.cpu, here.features, versions])


def _target(effort: Effort) -> Any:
    here = host()
    opt = 0 if effort.fast else min(effort.level, 3)
    return llvm.Target.from_triple(here.triple).create_target_machine(cpu=here.cpu, features=here.features, opt=opt, jit=True)


def _optimized(text: str, effort: Effort) -> tuple[Any, Any]:
    """The module after LLVM's passes, and the machine that it is for."""
    host()
    try:
        module = llvm.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        raise InternalError(f"the code generator wrote LLVM that is not valid: {error}") from error
    target = _target(effort)
    options = llvm.create_pipeline_tuning_options(speed_level=effort.level)
    options.loop_vectorization = effort.level > 1
    for name, value in TUNING.items():
        setattr(options, name, value)
    builder = llvm.create_pass_builder(target, options)
    passes = builder.getModulePassManager() if effort.level != 1 else _short_passes()
    passes.run(module, builder)
    if rare.PREFIX in text:
        _inline_variants(module, builder)
    return module, target


def _inline_variants(module: Any, builder: Any) -> None:
    """Put the variants of calls for vectors in place of the calls, and drop those that no loop has asked for."""
    for function in module.functions:
        if function.name.startswith(rare.PREFIX) and not function.is_declaration:
            function.linkage = "internal"
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, builder)


def _short_passes() -> Any:
    """Memory to registers, simpler instructions and blocks: all that grows no faster than the module."""
    passes = llvm.create_new_module_pass_manager()
    for name in SHORT:
        getattr(passes, f"add_{name}_pass")()
    return passes


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
        "PyEval_SaveThread", "PyEval_RestoreThread", "PyErr_CheckSignals",
        "PyGILState_Ensure", "PyGILState_Release", "PyErr_WriteUnraisable",
    )  # fmt: skip
    found = {}
    for name in functions:
        found[name] = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
    for name in ("pthread_create", "pthread_join"):
        found[name] = ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value or 0
    return found
