"""Calls of the BLAS and LAPACK that SciPy brings; their addresses come from `scipy.linalg.cython_blas` and `cython_lapack`."""

from __future__ import annotations

import ctypes
import importlib
import math
from collections.abc import Callable, Sequence
from functools import cache

from wengert.codegen.lowering import Lowering
from wengert.codegen.storage import Mem
from wengert.codegen.text import REGISTER
from wengert.types import F64, DType

GEMM = {"f64": "wg_dgemm", "f32": "wg_sgemm"}
# Below this many multiplications the call costs more than it saves.
SMALLEST = 20_000

_ROUTINES = {
    "cython_blas": ("dgemm", "sgemm", "dsyrk", "dtrsm"),
    "cython_lapack": ("dgetrf", "dpotrf", "dsyevd", "dgesdd", "dgeqrf", "dorgqr"),
}


def outside_symbols(text: str) -> dict[str, int]:
    """Addresses of the routines that LLVM text calls; SciPy is imported only where there are any."""
    return {
        f"wg_{name}": _address(module, name)
        for module, names in _ROUTINES.items()
        for name in names
        if f"@wg_{name}(" in text
    }


@cache
def _address(module: str, name: str) -> int:
    capsule = importlib.import_module(f"scipy.linalg.{module}").__pyx_capi__[name]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, (ctypes.py_object,)
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
    return api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule)) or 0


def call_routine(low: Lowering, name: str, arguments: Sequence[str | tuple[str, str]]) -> None:
    """Call a routine of BLAS or LAPACK, all of whose arguments are addresses.

    Args:
        low: where to write.
        name: `dgetrf`.
        arguments: an address as it is, or `(kind, value)`: a "letter", an "int" (`i64` that fits in 32 bits) or a "number".
    """
    kinds = {"letter": _byte, "int": _integer, "number": _number}
    addresses = [a if isinstance(a, str) else kinds[a[0]](low, a[1]) for a in arguments]
    low.w.call("void", f"wg_{name}", [("ptr", a) for a in addresses])


def product(low: Lowering, x: Mem, y: Mem, target: Mem, simple: Callable[[], None]) -> None:
    """`target = x @ y`: `dgemm` or `sgemm` where the matrices are large and their rows or columns contiguous, else `simple`."""
    left, right = layout(x), layout(y)
    sizes = (x.sizes[0], x.sizes[1], y.sizes[1])
    is_small = all(not s.startswith("%") for s in sizes) and math.prod(map(int, sizes)) < SMALLEST
    if left is None or right is None or is_small:
        simple()
        return
    w = low.w
    rows, inner, columns = x.sizes[0], x.sizes[1], y.sizes[1]
    work = low.product([rows, inner, columns])
    tests = [f"icmp sge i64 {work}, {SMALLEST}"]
    # Row-major matrices are the transposes of what Fortran sees, and the product of the transposes is in reverse order.
    for (transposed, leading), mem in ((left, x), (right, y)):
        least = mem.sizes[0] if transposed else mem.sizes[1]
        tests += [f"icmp sge i64 {leading}, {least}", f"icmp slt i64 {leading}, {2**31}"]
    tests += [f"icmp slt i64 {size}, {2**31}" for size in (rows, inner, columns)]
    condition = w.let(tests[0])
    for test in tests[1:]:
        condition = w.let(f"and i1 {condition}, {w.let(test)}")
    large, small, done = w.fresh("dgemm"), w.fresh("simple"), w.fresh("multiplied")
    w.branch(condition, large, small)
    w.label(large)
    arguments = [
        _byte(low, "T" if right[0] else "N"), _byte(low, "T" if left[0] else "N"),
        *(_integer(low, v) for v in (columns, rows, inner)), _number(low, "1.0", x.dtype),
        y.pointer, _integer(low, right[1]), x.pointer, _integer(low, left[1]), _number(low, "0.0", x.dtype),
        target.pointer, _integer(low, columns),
    ]  # fmt: skip
    w.call("void", GEMM[x.dtype.name], [("ptr", a) for a in arguments])
    w.jump(done)
    w.label(small)
    simple()
    w.jump(done)
    w.label(done)


def layout(mem: Mem) -> tuple[bool, str] | None:
    """Whether the columns (not the rows) are contiguous, and the distance between them; None for neither."""
    if mem.strides[1] == "1" and mem.strides[0] != "0":
        return False, mem.strides[0]
    if mem.strides[0] == "1" and mem.strides[1] != "0":
        return True, mem.strides[1]
    return None


def _byte(low: Lowering, letter: str) -> str:
    slot = low.w.slot("i8")
    low.w.do(f"store i8 {ord(letter)}, ptr {slot}")
    return slot


def _integer(low: Lowering, value: str) -> str:
    slot = low.w.slot("i32")
    low.w.do(f"store i32 {low.w.let(f'trunc i64 {value} to i32')}, ptr {slot}")
    return slot


def _number(low: Lowering, value: str, dtype: DType = F64) -> str:
    kind = REGISTER[dtype.name]
    slot = low.w.slot(kind)
    low.w.do(f"store {kind} {value}, ptr {slot}")
    return slot
