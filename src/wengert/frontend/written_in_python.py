"""Functions of `heapq` and `bisect` that CPython replaces by C, as the standard library writes them in Python.

They compare items and move them around, which the C ones do without asking us: converted, the comparisons of traced items can
be branches of the program, and the lists may have traced lengths.
"""

from __future__ import annotations

import ast
import bisect
import functools
import heapq
import inspect
import types
from typing import Any

_BUILTIN = types.BuiltinFunctionType

COMPARING: frozenset[Any] = frozenset(
    getattr(module, name) for module in (heapq, bisect) for name in dir(module) if isinstance(getattr(module, name), _BUILTIN)
)
"""Functions in C that compare items of their first argument and move them around."""


def in_python(function: Any) -> types.FunctionType | None:
    """The function of the standard library that `function`, which is in C, stands for; None if there is no source of it."""
    found = _functions(heapq if function.__module__ == "_heapq" else bisect).get(function.__name__)
    return found if isinstance(found, types.FunctionType) else None


@functools.cache
def _functions(module: types.ModuleType) -> dict[str, Any]:
    """What the functions in the source of `module` are before it imports those in C."""
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):  # an installation without sources
        return {}
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    made = types.ModuleType(module.__name__)
    made.__file__ = module.__file__
    exec(compile(tree, str(module.__file__), "exec"), vars(made))
    return vars(made)
