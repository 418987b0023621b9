"""The one way all calls of converted code take: a table entry, a converted Python function, or the real function.

A real function is called only when nothing traced would reach it; otherwise the call is refused, with its name and line.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.errors import GradientCutError, SourceUnavailableError, StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import is_box
from wengert.frontend.capture import is_trusted_module
from wengert.frontend.capture_paths import Path
from wengert.frontend.context import Trace, current
from wengert.frontend.convert import is_converted
from wengert.frontend.recursion import staged_call
from wengert.frontend.recursion_watch import watch
from wengert.frontend.registry import PASS
from wengert.frontend.staging_state import bear
from wengert.frontend.stores import before_method
from wengert.frontend.table import find
from wengert.frontend.text import TracedException, TracedText
from wengert.tree import flatten

_CONTAINERS = (list, dict, set, tuple, frozenset)
_IMPURE = ("random", "numpy.random", "secrets", "uuid", "time")
_CLOCKS = frozenset({"time", "perf_counter", "monotonic", "process_time", "time_ns", "perf_counter_ns"})
_NATIVE_MODULES = frozenset({"dataclasses", "copy", "functools", "abc", "typing", "enum", "warnings", "logging", "contextlib"})

SPECIAL: dict[Any, Callable[..., Any]] = {}


def call(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`fn(*args, **kwargs)` in a trace."""
    if type(fn) is types.FunctionType:
        if is_converted(fn):
            return _entered(current(), fn, fn, args, kwargs)
        staged = getattr(fn, "__wengert_call__", None)
        if staged is not None:
            return staged(*args, **kwargs)
    handler = find(fn)
    special = SPECIAL.get(fn) if type(fn) in (type, types.BuiltinFunctionType, types.FunctionType) else None
    if special is not None:
        found = special(*args, **kwargs)
        if found is not PASS:
            return found
    if handler is not None:
        found = handler(*args, **kwargs)
        if found is not PASS:
            return found
        return _real(current(), fn, args, kwargs, is_safe=True)
    rule = _KINDS.get(type(fn))
    if rule is not None:
        return rule(fn, args, kwargs)
    return _call_class(fn, args, kwargs) if isinstance(fn, type) else _call_object(fn, args, kwargs)


# --- kinds of callables ----------------------------------------------------------------------------------------------


def _call_function(fn: types.FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    trace = current()
    module = fn.__module__ or ""
    root = module.partition(".")[0]
    if root == "wengert":
        return fn(*args, **kwargs)
    native = root in ("numpy", "scipy") or root in _NATIVE_MODULES
    if is_trusted_module(module) and (native or not holds_traced(trace, args, kwargs)):
        return _real(trace, fn, args, kwargs, is_safe=root in _NATIVE_MODULES)
    assert trace.enter is not None
    try:
        converted = trace.enter(fn)
    except SourceUnavailableError:
        if holds_traced(trace, args, kwargs):
            raise
        return _real(trace, fn, args, kwargs)
    return _entered(trace, converted, fn, args, kwargs)


def _entered(trace: Trace, converted: Any, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a converted function; a call that tracing cannot follow becomes an instruction."""
    if not trace.eager and (trace.active or trace.recursive) and watch(trace, fn, args, kwargs):
        return staged_call(trace, converted, fn, args, kwargs)
    trace.active.append((fn.__code__, trace.depth, fn, (*args, *kwargs.values())))
    try:
        return converted(*args, **kwargs)
    except RecursionError as error:
        if trace.eager:
            raise
        raise StagingError(f"{fn.__qualname__} recurses too deeply to be traced", trace.span) from error
    finally:
        trace.active.pop()


def _call_method(fn: types.MethodType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    owner, function = fn.__self__, fn.__func__
    if is_box(owner) or type(owner).__module__.partition(".")[0] == "wengert":
        return fn(*args, **kwargs)
    return call(function, (owner, *args), kwargs)


def _call_builtin(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    owner = getattr(fn, "__self__", None)
    if owner is not None and not isinstance(owner, types.ModuleType | type):
        return _call_bound(fn, owner, args, kwargs)
    return _real(current(), fn, args, kwargs)


def _call_bound(fn: Any, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A method of an object made in C."""
    trace, name = current(), fn.__name__
    if isinstance(owner, list | dict | set):
        if isinstance(owner, list) and name in ("index", "count", "remove") and holds_traced(trace, args, {}):
            _refuse(trace, f"list.{name}")
        before_method(trace, owner, name)
        if name == "sort" and kwargs.get("key") is not None:
            key = kwargs["key"]
            kwargs = {**kwargs, "key": lambda item: call(key, (item,), {})}
        found = fn(*args, **kwargs)
        return bear(trace, found) if name == "copy" else found
    if isinstance(owner, str) and name in ("format", "join") and holds_traced(trace, args, kwargs):
        return _traced_string(trace, owner, name, args, kwargs)
    before_method(trace, owner, name)
    if isinstance(owner, np.ndarray):
        method = getattr(Array, name, None)
        if method is not None:
            return call(getattr(Array(_constant(trace, owner)), name), args, kwargs)
    return _real(trace, fn, args, kwargs, is_safe=isinstance(owner, tuple) and name == "__new__")


def _constant(trace: Trace, array: np.ndarray[Any, Any]) -> Any:
    captured = trace.capture_constant(array)
    return captured.value if is_box(captured) else captured


def _traced_string(trace: Trace, text: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if name == "join":
        pieces: list[Any] = []
        for position, item in enumerate(args[0]):
            pieces += [text] * (position > 0) + (item.parts if isinstance(item, TracedText) else [item])
        return TracedText(pieces)
    raise StagingError("str.format with traced values is not staged", trace.span, fix="use an f-string")


def _call_partial(fn: functools.partial[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    captures = current().captures
    path = captures.path_of(fn)
    given, named = fn.args, fn.keywords
    if path is not None:
        given = captures.load(Path("attribute", path, "args"), given)
        named = captures.load(Path("attribute", path, "keywords"), named)
    return call(fn.func, (*given, *args), {**named, **kwargs})


def _call_wrapped(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A `functools.lru_cache`: without the cache, whose keys traced values cannot be."""
    return call(fn.__wrapped__, args, kwargs)


def _call_object(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    staged = getattr(fn, "__wengert_call__", None)
    if staged is not None:
        return staged(*args, **kwargs)
    if type(fn).__module__.partition(".")[0] == "wengert":
        return fn(*args, **kwargs)
    method = inspect.getattr_static(type(fn), "__call__", None)
    if isinstance(method, types.FunctionType):
        return call(method, (fn, *args), kwargs)
    return _real(current(), fn, args, kwargs)


_KINDS: dict[type, Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]] = {
    types.FunctionType: _call_function,
    types.MethodType: _call_method,
    types.BuiltinFunctionType: _call_builtin,
    functools.partial: _call_partial,
    type(functools.lru_cache(lambda: None)): _call_wrapped,
}


# --- classes ---------------------------------------------------------------------------------------------------------


def _call_class(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    trace = current()
    if issubclass(cls, BaseException) and holds_traced(trace, args, kwargs) and not trace.eager:
        return TracedException(cls, args, kwargs)
    init = cls.__init__
    own_new = cls.__new__ is not object.__new__
    if own_new or type(cls).__call__ is not type.__call__ or not isinstance(init, types.FunctionType):
        is_safe = cls in _CONTAINERS or (isinstance(cls.__new__, types.FunctionType) and issubclass(cls, tuple))
        return bear(trace, _real(trace, cls, args, kwargs, is_safe or not is_trusted_module(cls.__module__)))
    if is_trusted_module(cls.__module__):
        return bear(trace, _real(trace, cls, args, kwargs))
    if dataclasses.is_dataclass(cls) and is_generated(init):
        return bear(trace, _make_dataclass(cls, args, kwargs))
    new = bear(trace, object.__new__(cls))
    call(init, (new, *args), kwargs)
    return new


def is_generated(fn: types.FunctionType) -> bool:
    """Whether a method was generated (by `dataclasses`, say) and has no source."""
    return fn.__code__.co_filename.startswith("<")


def _make_dataclass(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """An instance of a dataclass: its `__init__` has no source, but `__post_init__` has."""
    post = getattr(cls, "__post_init__", None)
    if post is None:
        return cls(*args, **kwargs)
    bound = inspect.signature(cls.__init__).bind(None, *args, **kwargs).arguments
    new = object.__new__(cls)
    extra = []
    for name, field in cls.__dataclass_fields__.items():
        kind = getattr(field, "_field_type").name  # noqa: B009 - private, and the only way to tell
        if kind == "_FIELD_CLASSVAR":
            continue
        if field.init and name in bound:
            value = bound[name]
        elif field.default_factory is not dataclasses.MISSING:
            value = call(field.default_factory, (), {})
        else:
            value = field.default
        if kind == "_FIELD_INITVAR":
            extra.append(value)
        elif value is not dataclasses.MISSING:
            object.__setattr__(new, name, value)
    call(post, (new, *extra), {})
    return new


# --- the real function -----------------------------------------------------------------------------------------------


def _real(trace: Trace, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], is_safe: bool = False) -> Any:
    """Call `fn` as it is."""
    if not is_safe:
        if holds_traced(trace, args, kwargs):
            _refuse(trace, _name(fn))
        if not trace.eager:
            _refuse_impure(trace, fn)
    whole = trace.captures.whole
    found = fn(*map(whole, args), **{k: whole(v) for k, v in kwargs.items()})
    return own_array(trace, found) if type(found) is np.ndarray else found


def own_array(trace: Trace, array: np.ndarray[Any, Any]) -> Any:
    """A box of a new array that was computed from known values: traced values may be stored in it."""
    if not array.ndim or array.dtype not in (np.float64, np.int64, np.bool_):
        return array
    return Array(_constant(trace, array))


def _refuse(trace: Trace, name: str) -> None:
    fix = "write it with functions that wengert knows, or wrap its arguments in wg.stop_gradient(...) if they need no gradient"
    if trace.eager:
        raise GradientCutError(f"{name} is not known to wengert, and a traced value is passed to it", trace.span, fix=fix)
    what = f"{name} cannot be staged: wengert does not know it, and a traced value is passed to it"
    raise StagingError(what, trace.span, fix=fix)


def _refuse_impure(trace: Trace, fn: Any) -> None:
    owner = getattr(fn, "__self__", None)
    module = (type(owner).__module__ if owner is not None and not isinstance(owner, types.ModuleType) else fn.__module__) or ""
    name = getattr(fn, "__name__", "")
    impure = any(module == m or module.startswith(m + ".") for m in _IMPURE) or fn in (input, open)
    if impure and (module != "time" or name in _CLOCKS) and not isinstance(fn, type) and name != "default_rng":
        raise StagingError(
            f"{_name(fn)} gives another result at every call, and staging would keep the first one",
            trace.span,
            fix="draw the numbers outside of the function and pass them in",
        )


def _name(fn: Any) -> str:
    owner = getattr(fn, "__self__", None)
    name = getattr(fn, "__qualname__", None) or getattr(fn, "__name__", None) or type(fn).__name__
    module = getattr(fn, "__module__", None)
    if owner is not None and not isinstance(owner, types.ModuleType):
        return str(name)
    return f"{module}.{name}" if module and module != "builtins" else str(name)


def holds_traced(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a box is among the arguments, or in containers and objects that are."""
    return any(_holds(trace, a) for a in args) or any(_holds(trace, a) for a in kwargs.values())


def _holds(trace: Trace, obj: Any) -> bool:
    if is_box(obj) or isinstance(obj, TracedText):
        return True
    if isinstance(obj, float | int | str | np.ndarray | type | types.FunctionType | types.ModuleType) or obj is None:
        return False
    if isinstance(obj, types.MethodType):
        return _holds(trace, obj.__self__)
    if trace.captures is not None and id(obj) in trace.captures.known:
        return False
    return any(is_box(leaf) for leaf in flatten(obj)[0])
