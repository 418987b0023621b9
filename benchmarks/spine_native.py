"""The C primals of `spine.c`: built by the system compiler, called through ctypes."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from spine_programs import Program, flat, lynx_hare

SOURCE = Path(__file__).with_name("spine.c")
COMMAND = ("gcc", "-O3", "-march=native", "-fopenmp-simd", "-shared", "-fPIC", "-Wall")


@cache
def library() -> ctypes.CDLL:
    """Build `spine.c` into a temporary folder and load it."""
    folder = Path(tempfile.mkdtemp(prefix="spine-"))
    binary = folder / "spine.so"
    subprocess.run([*COMMAND, "-o", str(binary), str(SOURCE), "-lm"], check=True)
    return ctypes.CDLL(str(binary))


def primal(program: Program) -> Callable[[int], float]:
    """The C primal of a program.

    Returns:
        A function of the number of times to repeat the program inside C, giving its loss.
    """
    inputs, data, n, m = C_ARGUMENTS[program.key](program.args)
    lib = library()
    repeated = lib.repeated
    repeated.restype = ctypes.c_double
    pointers = [values.ctypes.data_as(ctypes.c_void_p) for values in (inputs, data)]
    call = ctypes.cast(getattr(lib, C_NAMES[program.key]), ctypes.c_void_p)

    def run(times: int) -> float:
        return repeated(call, *pointers, ctypes.c_long(n), ctypes.c_long(m), ctypes.c_long(times))

    run.keeps_alive = (inputs, data)  # type: ignore[attr-defined]
    return run


def _lynx_hare(args: tuple) -> tuple[np.ndarray, np.ndarray, int, int]:
    data = flat((lynx_hare.HARE, lynx_hare.LYNX))
    return flat(args), data, len(lynx_hare.HARE), lynx_hare.STEPS_PER_YEAR


def _recurrence(args: tuple) -> tuple[np.ndarray, np.ndarray, int, int]:
    a, b, c, data = args
    return flat((a, b, c)), data, len(data), 0


def _heat(args: tuple) -> tuple[np.ndarray, np.ndarray, int, int]:
    k0, k1, u0, target, steps = args
    return flat((k0, k1, u0)), target, len(u0), steps


def _logistic(args: tuple) -> tuple[np.ndarray, np.ndarray, int, int]:
    w, b, x, y = args
    return flat((w, b)), flat((x, y)), *x.shape


C_NAMES = {"a": "lynx_hare", "b": "recurrence", "c": "heat", "d": "logistic"}
C_ARGUMENTS = {"a": _lynx_hare, "b": _recurrence, "c": _heat, "d": _logistic}
