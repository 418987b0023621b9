"""The table of library functions that calls on boxes go through.

Importing this module fills the table and the operators of boxes. `find(function)` gives the handler of a function: it takes the
function's arguments and returns its result, or `PASS` when the real function is to be called.
"""

from __future__ import annotations

from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType
from typing import Any

import numpy as np

from wengert.frontend import (
    arithmetic,
    table_builtins,
    table_math,
    table_numpy,
    table_numpy_create,
    table_numpy_linalg,
    table_numpy_reduce,
    table_numpy_shape,
)
from wengert.frontend import indexing as _indexing  # noqa: F401 - gives boxes their indexing
from wengert.frontend.registry import HANDLERS, PASS

__all__ = ["PASS", "SOURCES", "find"]

SOURCES = (
    arithmetic,
    table_builtins,
    table_math,
    table_numpy,
    table_numpy_create,
    table_numpy_linalg,
    table_numpy_reduce,
    table_numpy_shape,
)

# Only callables of these kinds have handlers: others may have a hash that looks at traced fields.
_KINDS = frozenset({BuiltinFunctionType, FunctionType, MethodDescriptorType, np.ufunc, type(np.dot), type(np.array), type})


def find(function: Any) -> Callable[..., Any] | None:
    """The handler of `function`, or None."""
    return HANDLERS.get(function) if type(function) in _KINDS else None
