"""What would leave the trace: traced values on their way into code that is not converted, and the errors that stop them.

A value that depends on no input of the function has no gradient to lose: eager mode hands it over as a plain number or array.
"""

from __future__ import annotations

import functools
import os
import types
from collections import deque
from typing import Any, NoReturn

import numpy as np
import scipy

from wengert.errors import GradientCutError, Span, StagingError, UnsupportedError
from wengert.frontend.boxes import is_box
from wengert.frontend.context import NeedsPythonValue, Trace
from wengert.frontend.growing import Pattern
from wengert.frontend.scalars import Scalar, type_of
from wengert.frontend.text import TracedText
from wengert.tree import flatten, map_leaves

_ROOTS = tuple(os.path.join(os.path.dirname(str(module.__file__)), "") for module in (np, scipy))
_OWN = frozenset({"numpy", "scipy", "wengert"})
FIX = (
    "write it with functions that wengert knows, give it a derivative with wg.wrap(...), "
    "or wrap its arguments in wg.stop_gradient(...) if they need no gradient"
)


# --- questions -------------------------------------------------------------------------------------------------------


def holds_traced(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a box is among the arguments, or in containers and objects that are."""
    return any(_holds(trace, a) for a in args) or any(_holds(trace, a) for a in kwargs.values())


def _holds(trace: Trace, obj: Any) -> bool:
    if is_box(obj) or isinstance(obj, TracedText):
        return True
    if isinstance(obj, (float, int, str, np.ndarray, type, types.FunctionType, types.ModuleType)) or obj is None:
        return False
    if isinstance(obj, types.MethodType):
        return _holds(trace, obj.__self__)
    if trace.captures is not None and id(obj) in trace.captures.known:
        return False
    return any(is_box(leaf) or isinstance(leaf, Pattern) for leaf in flatten(obj)[0])


def hides_growing(obj: Any) -> bool:
    """Whether an object of the user's holds a list of traced length, which methods that C code calls would not understand."""
    if is_box(obj) or isinstance(obj, (list, tuple, dict, set, deque, str, float, int, type, types.FunctionType)):
        return False
    return any(isinstance(leaf, Pattern) for leaf in flatten(obj)[0])


def holds_callback(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a Python function of the user's is among the arguments."""
    return any(map(_is_callback, args)) or any(map(_is_callback, kwargs.values()))


def _is_callback(obj: Any) -> bool:
    if isinstance(obj, functools.partial):
        return _is_callback(obj.func)
    if not isinstance(obj, (types.FunctionType, types.MethodType)):
        return False
    return (obj.__module__ or "").partition(".")[0] not in _OWN


def closes_over_traced(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a function among the arguments, or one that it refers to, has a traced value in a variable from around it."""
    seen: set[int] = set()
    return any(_closes_over(trace, obj, seen) for obj in (*args, *kwargs.values()))


def _closes_over(trace: Trace, obj: Any, seen: set[int]) -> bool:
    if id(obj) in seen:
        return False
    seen.add(id(obj))
    if isinstance(obj, functools.partial):
        return holds_traced(trace, obj.args, obj.keywords) or _closes_over(trace, obj.func, seen)
    if isinstance(obj, types.MethodType):
        return _holds(trace, obj.__self__) or _closes_over(trace, obj.__func__, seen)
    if not isinstance(obj, types.FunctionType):
        return False
    for cell in obj.__closure__ or ():
        try:
            content = cell.cell_contents
        except ValueError:
            continue
        if type(content).__module__.partition(".")[0] == "wengert" and not is_box(content):
            continue
        if _closes_over(trace, content, seen) or _holds(trace, content):
            return True
    return False


def is_library_span(span: Span | None) -> bool:
    """Whether a place lies in NumPy or SciPy."""
    return span is not None and span.file.startswith(_ROOTS)


# --- plain values ----------------------------------------------------------------------------------------------------


def plain_arguments(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
    """In eager mode the arguments with real values in place of boxes, if none of these depends on an input; else None."""
    if not trace.eager or any(map(_is_object, (*args, *kwargs.values()))):
        return None
    leaves = [leaf for leaf in flatten((args, kwargs))[0] if is_box(leaf)]
    if any(trace.depends_on_input(leaf.value) for leaf in leaves):
        return None
    plain: Any = map_leaves(lambda leaf: plain_value(trace, leaf) if is_box(leaf) else leaf, (args, kwargs))
    return plain[0], plain[1]


def plain_value(trace: Trace, box: Any) -> Any:
    """The number or array that a box stands for in eager mode; the array cannot be written to."""
    known = trace.known(box.value)
    if isinstance(box, Scalar):
        return type_of(box)(known)
    array = np.array(known)
    array.flags.writeable = False
    return array


def _is_object(obj: Any) -> bool:
    """Whether it is a mutable container or object: what is done to a copy of it with plain values would be lost."""
    if is_box(obj) or isinstance(obj, (tuple, str, float, int, type, types.FunctionType, np.ndarray)) or obj is None:
        return False
    return isinstance(obj, (list, dict)) or flatten(obj)[1].kind == "object"


# --- refusals --------------------------------------------------------------------------------------------------------


def ask_for_integers(trace: Trace, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Where all that is traced are whole numbers, ask for their values: integer arguments and sizes may become static."""
    if trace.eager:
        return
    boxes = [leaf for leaf in flatten((args, kwargs))[0] if is_box(leaf)]
    if boxes and all(isinstance(box, Scalar) and not box.value.is_float for box in boxes):
        raise NeedsPythonValue(boxes[0].value, f"{name} takes whole numbers only as they are", trace.span)


def refuse(trace: Trace, name: str, inside: UnsupportedError | GradientCutError | None = None) -> NoReturn:
    """Refuse to pass traced values to the function called `name`.

    Args:
        trace: the trace; its span is the user's line.
        name: of the function.
        inside: for a function of a library that is written in Python: what cannot be done there.
    """
    if trace.eager:
        what = f"{name} is not known to wengert, and a traced value is passed to it"
        raise GradientCutError(what, trace.span, fix=FIX) from inside
    what = f"{name} cannot be staged: wengert does not know it, and a traced value is passed to it"
    raise StagingError(what, trace.span, fix=FIX) from inside


def name_of(fn: Any) -> str:
    """The name of a function for messages, with its module."""
    owner = getattr(fn, "__self__", None)
    name = getattr(fn, "__qualname__", None) or getattr(fn, "__name__", None) or type(fn).__name__
    module = getattr(fn, "__module__", None)
    if owner is not None and not isinstance(owner, types.ModuleType):
        return str(name)
    return f"{_public(module)}.{name}" if module and module != "builtins" else str(name)


def _public(module: str) -> str:
    """The module as users know it: SciPy's functions live in private ones."""
    if not module.startswith("scipy."):
        return module
    parts = module.split(".")
    while len(parts) > 1 and parts[-1].startswith("_"):
        parts.pop()
    return ".".join(parts)

