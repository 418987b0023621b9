"""The table of library functions that calls on boxes go through.

Importing this module fills the table and the operators of boxes. `find(function)` gives the handler of a function: it takes the
function's arguments and returns its result, or `PASS` when the real function is to be called.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType
from typing import Any

import numpy as np

from wengert.frontend import advanced as _advanced  # noqa: F401 - gives boxes their indexing
from wengert.frontend import (
    arithmetic,
    table_builtins,
    table_contractions,
    table_linalg,
    table_math,
    table_numpy,
    table_numpy_arrange,
    table_numpy_create,
    table_numpy_dtypes,
    table_numpy_linalg,
    table_numpy_nan,
    table_numpy_order,
    table_numpy_pad,
    table_numpy_reduce,
    table_numpy_running,
    table_numpy_select,
    table_numpy_shape,
    table_numpy_split,
    table_numpy_tables,
    table_numpy_ufunc,
    table_scipy_linalg,
    table_scipy_special,
)
from wengert.frontend import table_single as _single  # noqa: F401 - changes what the tables before it do
from wengert.frontend.boxes import any_box, as_array
from wengert.frontend.registry import HANDLERS, NAMES, PASS

__all__ = ["PASS", "SOURCES", "find"]

SOURCES = (
    arithmetic,
    table_builtins,
    table_contractions,
    table_linalg,
    table_math,
    table_numpy,
    table_numpy_arrange,
    table_numpy_create,
    table_numpy_dtypes,
    table_numpy_linalg,
    table_numpy_nan,
    table_numpy_order,
    table_numpy_pad,
    table_numpy_reduce,
    table_numpy_running,
    table_numpy_select,
    table_numpy_shape,
    table_numpy_split,
    table_numpy_tables,
    table_numpy_ufunc,
    table_scipy_linalg,
    table_scipy_special,
)

_PURE_METHODS = frozenset({"dot", "clip"})

# Only callables of these kinds have handlers: others may have a hash that looks at traced fields.
_KINDS = frozenset({BuiltinFunctionType, FunctionType, MethodDescriptorType, np.ufunc, type(np.dot), type(np.array), type})


def find(function: Any) -> Callable[..., Any] | None:
    """The handler of `function`, or None."""
    if type(function) not in _KINDS:
        return None
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ndarray):
        return _array_method(owner, function.__name__)
    return HANDLERS.get(function) or _by_name(function)


def _by_name(function: Any) -> Callable[..., Any] | None:
    """The handler registered for the public name of `function`, if that is what the name stands for."""
    for module, handler in NAMES.get(getattr(function, "__name__", ""), {}).items():
        if getattr(sys.modules.get(module), function.__name__, None) is function:
            HANDLERS[function] = handler
            return handler
    return None


def _array_method(owner: np.ndarray[Any, Any], name: str) -> Callable[..., Any] | None:
    """The method of a plain array as it works on boxes; only methods that leave the array alone."""
    if name not in _PURE_METHODS:
        return None
    return lambda *args, **options: getattr(as_array(owner), name)(*args, **options) if any_box(args) else PASS
