"""The programs and their derivatives by hand in C: built by the system compiler, called through ctypes."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

SOURCES = tuple(str(Path(__file__).with_name(name)) for name in ("field.c", "field_networks.c"))
COMMAND = ("gcc", "-O3", "-march=native", "-shared", "-fPIC", "-Wall")


@cache
def library() -> ctypes.CDLL:
    """Build the C files into a temporary folder and load them."""
    binary = Path(tempfile.mkdtemp(prefix="field-")) / "field.so"
    subprocess.run([*COMMAND, "-o", str(binary), *SOURCES, "-lm"], check=True)
    return ctypes.CDLL(str(binary))


def primal(key: str, args: tuple) -> Callable[[], Any]:
    """A call of the C primal of a program; it gives the value (of `ba`: the residuals)."""
    given = _given(key, args)
    if key == "ba":
        residuals = np.empty(3 * len(args[2]))
        call = _call("ba", [*given, residuals], None)
        return lambda: (call(), residuals)[1]
    return _call(_name(key), given, ctypes.c_double)


def derivative(key: str, args: tuple) -> Callable[[], np.ndarray]:
    """A call of the C derivative of a program; it gives all numbers of the derivative in one row."""
    results = [np.empty(shape) for shape in _shapes(key, args)]
    call = _call(_name(key) + "_d", [*_given(key, args), *results], None)
    return lambda: (call(), np.concatenate([r.ravel() for r in results]) if len(results) > 1 else results[0].ravel())[1]


def _name(key: str) -> str:
    return key.split("_")[0]


def _given(key: str, args: tuple) -> list[Any]:
    """Arguments as the C functions take them: arrays, then sizes."""
    match _name(key):
        case "llsq":
            return [args[0], len(args[0]), args[1]]
        case "lse":
            return [args[0], len(args[0])]
        case "gmm":
            params, x, gamma, m = args
            return [*(params[name] for name in ("alpha", "mu", "q", "l")), x, *x.shape, len(params["alpha"]), gamma, m]
        case "kmeans":
            return [*args, len(args[0]), *args[1].shape]
        case "lstm":
            return [*args, len(args[2]) // 2, *args[3].shape]
    return [*args, len(args[2])]


def _shapes(key: str, args: tuple) -> list[tuple[int, ...]]:
    match _name(key):
        case "gmm":
            return [args[0][name].shape for name in ("alpha", "mu", "q", "l")]
        case "lstm":
            return [args[0].shape, args[1].shape]
        case "ba":
            return [(31 * len(args[2]),)]
    return [args[0].shape]


def _call(name: str, args: list[Any], result: Any) -> Callable[[], Any]:
    function = getattr(library(), name)
    function.restype = result
    arrays = [np.ascontiguousarray(a) if isinstance(a, np.ndarray) else a for a in args]
    converted = [_converted(a) for a in arrays]

    def call() -> Any:
        return function(*converted)

    call.keeps_alive = arrays  # type: ignore[attr-defined]
    return call


def _converted(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.ctypes.data_as(ctypes.c_void_p)
    return ctypes.c_double(value) if isinstance(value, float) else ctypes.c_long(value)
