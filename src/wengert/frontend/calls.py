"""The one way all calls of converted code take: a table entry, a converted Python function, or the real function.

A real function is called only when nothing traced would reach it; otherwise the call is refused, with its name and line.
"""

from __future__ import annotations

import contextlib
import dataclasses
import decimal
import fractions
import functools
import inspect
import types
from collections import ChainMap, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.errors import GradientCutError, SourceUnavailableError, StagingError, UnsupportedError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, is_box, lift
from wengert.frontend.calls_escape import (
    ask_for_integers,
    closes_over_traced,
    hides_growing,
    holds_callback,
    holds_traced,
    is_library_span,
    name_of,
    plain_arguments,
    refuse,
)
from wengert.frontend.capture import is_trusted_module
from wengert.frontend.capture_paths import Path
from wengert.frontend.choices import Choice, any_choice
from wengert.frontend.context import Trace, current
from wengert.frontend.convert import is_converted, runs_converted
from wengert.frontend.generator_objects import Consumer, GeneratorManager, StagedGenerator
from wengert.frontend.growing import any_growing, is_growing
from wengert.frontend.iterators import before_taking
from wengert.frontend.memory_order import laid_out
from wengert.frontend.outside_world import refuse_outside_world
from wengert.frontend.recursion import staged_call
from wengert.frontend.recursion_watch import watch
from wengert.frontend.registry import PASS
from wengert.frontend.rows import can_be_rows
from wengert.frontend.source import only_arranges
from wengert.frontend.staging_choices import call_with, dispatch
from wengert.frontend.staging_state import bear
from wengert.frontend.stores import before_method, delete_attribute, delete_item, set_attribute_plainly, set_item
from wengert.frontend.table import find
from wengert.frontend.table_builtins import python_type, special_method
from wengert.frontend.table_complex import call_complex, involves_complex, is_known, takes_real_too
from wengert.frontend.text import TracedException, TracedText, formatted
from wengert.frontend.text_inputs import InputText, joined
from wengert.frontend.written_in_python import COMPARING, in_python
from wengert.types import NUMPY_DTYPES

_PYTHON_CALLABLES = (types.FunctionType, types.MethodType)
_STORES = frozenset(
    {
        *(list, dict, set, tuple, frozenset, deque, OrderedDict, defaultdict, ChainMap),
        *(property, staticmethod, classmethod, slice, functools.partial),
    }
)
_C_FUNCTION = types.BuiltinFunctionType
_KEEPING = ("append", "appendleft", "insert", "add", "__setitem__", "setdefault")
_PEEKING = (isinstance, hasattr, getattr, type, id, callable, object.__new__)
_NUMERIC = (float, int, complex, np.ndarray, np.generic)
_STORING = {
    "__setattr__": set_attribute_plainly,
    "__setitem__": set_item,
    "__delattr__": delete_attribute,
    "__delitem__": delete_item,
}
_NUMBERS = (float, complex, np.generic, decimal.Decimal, fractions.Fraction)
_NATIVE_MODULES = frozenset({"dataclasses", "copy", "functools", "abc", "typing", "enum", "warnings", "logging", "contextlib"})

_MANAGER_HELPER = contextlib.contextmanager(lambda: iter(())).__code__

SPECIAL: dict[Any, Callable[..., Any]] = {}
GROWING: dict[Any, Callable[..., Any]] = {}
"""What functions do with lists of traced length."""
METHODS: dict[str, Callable[..., Any]] = {}
"""`method`: how methods of such lists are called; `arrays`: turns such lists among arguments into arrays."""
_MAY_BE_SPECIAL = frozenset({type, types.BuiltinFunctionType, types.FunctionType, type(np.random.default_rng)})

METHOD_RULES: list[tuple[type, Callable[[Any, Any, tuple[Any, ...], dict[str, Any]], Any]]] = []
"""Rules for methods of objects of a class: they take the method, the object and the arguments, and may give `PASS`."""


def call(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`fn(*args, **kwargs)` in a trace."""
    if type(fn) is types.FunctionType:
        if fn.__code__ is _MANAGER_HELPER:
            function = fn.__wrapped__  # type: ignore[attr-defined]
            return GeneratorManager(function, args, kwargs, lambda: call(function, args, kwargs))
        if is_converted(fn):
            return _entered(current(), fn, fn, args, kwargs)
        staged = getattr(fn, "__wengert_call__", None)
        if staged is not None:
            return staged(*args, **kwargs)
    if type(fn) is Choice:
        return dispatch(fn, lambda f: call(f, args, kwargs))
    handler = find(fn)
    if (any_choice(args) or any_choice(kwargs.values())) and (handler is not None or not _takes_choices(fn)):
        return call_with(call, fn, args, kwargs)
    if args and any_growing(args) and (handler is not None or type(fn) not in _PYTHON_CALLABLES or fn in GROWING):
        args, kwargs, done, found = _with_growing(fn, handler, args, kwargs)
        if done:
            return found
    special = SPECIAL.get(fn) if type(fn) in _MAY_BE_SPECIAL else None
    for given in args:
        if hasattr(type(given), "__next__"):
            _before_taking(fn, given, special is not None or handler is not None)
    if special is not None:
        found = special(*args, **kwargs)
        if found is not PASS:
            return found
    if (handler is not None or is_known(fn)) and (takes_real_too(fn) or involves_complex(args, kwargs)):
        found = call_complex(fn, args, kwargs)
        if found is not PASS:
            return found
    if handler is not None:
        found = handler(*args, **kwargs)
        if found is not PASS:
            return laid_out(fn, args, kwargs, found)
        return _real(current(), fn, args, kwargs, is_safe=True)
    rule = KINDS.get(type(fn))
    if rule is not None:
        return rule(fn, args, kwargs)
    return _call_class(fn, args, kwargs) if isinstance(fn, type) else _call_object(fn, args, kwargs)


def _with_growing(
    fn: Any, handler: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any], bool, Any]:
    """A call with lists of traced length among its arguments: done, or with arrays in their place."""
    owner = getattr(fn, "__self__", None)
    plain = isinstance(fn, (types.FunctionType, types.BuiltinFunctionType, type))
    rule = GROWING.get(fn) if plain and (owner is None or isinstance(owner, (types.ModuleType, type))) else None
    if rule is not None:
        return args, kwargs, True, rule(*args, **kwargs)
    if handler is not None or (getattr(fn, "__module__", None) or "").partition(".")[0] == "numpy":
        return tuple(METHODS["arrays"](args)), kwargs, False, None
    if plain and fn in SPECIAL and fn not in _PEEKING:
        refuse(current(), f"{name_of(fn)} of a list of traced length")  # it would take what stands in the list for items
    return args, kwargs, False, None


def _before_taking(fn: Any, iterator: Any, is_known: bool) -> None:
    """An iterator is passed to a function: one that is not converted may take items from it."""
    owner = getattr(fn, "__self__", None)
    if isinstance(fn, types.BuiltinFunctionType) and isinstance(owner, (list, dict, set, deque)) and fn.__name__ in _KEEPING:
        return
    init = inspect.getattr_static(fn, "__init__", None) if isinstance(fn, type) else None
    is_python = type(fn) in _PYTHON_CALLABLES or isinstance(init, types.FunctionType)
    if (is_known or not is_python) and fn not in _PEEKING:
        before_taking(current(), iterator)


def _takes_choices(fn: Any) -> bool:
    """Whether a function without a rule of its own is converted, or only keeps what it is given."""
    if isinstance(fn, types.MethodType):
        return not is_box(fn.__self__) and isinstance(fn.__func__, types.FunctionType)
    if isinstance(fn, types.BuiltinFunctionType):
        return isinstance(fn.__self__, (list, deque)) and fn.__name__ in ("append", "appendleft", "extend")
    if isinstance(fn, types.FunctionType):
        return not is_trusted_module(fn.__module__ or "")
    if isinstance(fn, type):
        return not issubclass(fn, (*_NUMERIC, str, BaseException)) and not is_trusted_module(fn.__module__)
    return isinstance(fn, functools.partial) or isinstance(vars(type(fn)).get("__call__"), types.FunctionType)


# --- kinds of callables ----------------------------------------------------------------------------------------------


def _call_function(fn: types.FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    trace = current()
    module = fn.__module__ or ""
    root = module.partition(".")[0]
    if root == "wengert":
        return fn(*args, **kwargs)
    if root in ("numpy", "scipy"):
        return _call_library(fn, fn, args, kwargs)
    if is_trusted_module(module) and (root in _NATIVE_MODULES or not holds_traced(trace, args, kwargs)):
        return _real(trace, fn, args, kwargs, is_safe=root in _NATIVE_MODULES)
    assert trace.enter is not None
    try:
        converted = trace.enter(fn)
    except SourceUnavailableError:
        if only_arranges(fn.__code__):
            return fn(*args, **kwargs)
        if holds_traced(trace, args, kwargs):
            raise
        return _real(trace, fn, args, kwargs)
    return _entered(trace, converted, fn, args, kwargs)


def _call_library(fn: Any, python: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A function of NumPy or SciPy that is written in Python: with traced values, converted like the user's own."""
    trace = current()
    callback = holds_callback(args, kwargs)
    if not callback and (not holds_traced(trace, args, kwargs) or plain_arguments(trace, args, kwargs) is not None):
        return _real(trace, fn, args, kwargs)
    span = trace.span
    assert trace.enter is not None
    try:
        return _entered(trace, trace.enter(python), python, args, kwargs)
    except (UnsupportedError, GradientCutError) as error:
        trace.span = span
        if not (is_library_span(error.span) or isinstance(error, SourceUnavailableError)) or is_library_span(span):
            raise
        refuse(trace, name_of(fn), error)


def _call_dispatcher(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A public NumPy function: the Python function behind it, where there is one."""
    python = getattr(fn, "_implementation", None)
    if isinstance(python, types.FunctionType):
        return _call_library(fn, python, args, kwargs)
    return _real(current(), fn, args, kwargs)


def _entered(trace: Trace, converted: Any, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a converted function; a call that tracing cannot follow becomes an instruction."""
    if not trace.eager and (trace.active or trace.recursive) and watch(trace, fn, args, kwargs):
        found = staged_call(trace, converted, fn, args, kwargs)
        trace.failures.settle()
        return found
    if not trace.eager and fn.__code__.co_flags & inspect.CO_GENERATOR:
        return _generator(trace, converted, fn, args, kwargs)
    trace.active.append((fn.__code__, trace.depth, fn, (*args, *kwargs.values())))
    try:
        return converted(*args, **kwargs)
    except RecursionError as error:
        if trace.eager:
            raise
        raise StagingError(f"{fn.__qualname__} recurses too deeply to be traced", trace.span) from error
    finally:
        trace.active.pop()


def push_of(trace: Trace, fn: Any) -> Any:
    """The form of a generator function that takes a consumer, or None."""
    if is_converted(fn):
        return getattr(fn, "__wengert_push__", None)
    assert trace.enter is not None
    return trace.enter(fn, push=True)


def _generator(trace: Trace, converted: Any, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A generator that can be handed the body of the loop that consumes it."""
    push = push_of(trace, fn)

    def run(consume: Any) -> None:
        push(Consumer(consume), *args, **kwargs)

    once = any(hasattr(type(a), "__next__") and not isinstance(a, StagedGenerator) for a in (*args, *kwargs.values()))
    can_push = push is not None and push.__wengert_loops__ and not once
    return StagedGenerator(run if can_push else None, lambda: converted(*args, **kwargs))


def _call_method(fn: types.MethodType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    owner, function = fn.__self__, fn.__func__
    if is_box(owner) or type(owner).__module__.partition(".")[0] == "wengert":
        return fn(*args, **kwargs)
    found = _by_method_rule(fn, owner, args, kwargs)
    return call(function, (owner, *args), kwargs) if found is PASS else found


def _by_method_rule(fn: Any, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the rule for methods of the class of `owner` gives, or `PASS`."""
    for cls, rule in METHOD_RULES:
        if isinstance(owner, cls):
            return rule(fn, owner, args, kwargs)
    return PASS


def _call_builtin(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    owner = getattr(fn, "__self__", None)
    if owner is not None and not isinstance(owner, (types.ModuleType, type)):
        return _call_bound(fn, owner, args, kwargs)
    return _real(current(), fn, args, kwargs)


def _call_bound(fn: Any, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A method of an object made in C."""
    trace, name = current(), fn.__name__
    at_traced_place = name in ("pop", "insert") and type(owner) in (list, deque) and args and is_box(args[0])
    if is_growing(owner) or (at_traced_place and not trace.eager):
        return METHODS["method"](trace, owner, name, args, kwargs)
    if name in ("extend", "__iadd__") and type(owner) in (list, deque) and any_growing(args):
        return METHODS["method"](trace, owner, "extend", args, kwargs)
    if isinstance(owner, (list, dict, set, deque)):
        compares = isinstance(owner, (list, deque)) and name in ("index", "count", "remove")
        if compares and len(args) == 1 and not trace.eager and (is_box(args[0]) or any(map(is_box, owner))):
            if not can_be_rows(owner):
                refuse(trace, f"{type(owner).__name__}.{name}")
            return METHODS["method"](trace, owner, name, args, kwargs)
        before_method(trace, owner, name)
        if name == "sort" and kwargs.get("key") is not None:
            key = kwargs["key"]
            kwargs = {**kwargs, "key": lambda item: call(key, (item,), {})}
        if name == "sort" and isinstance(owner, list) and not trace.eager:
            owner[:] = call(sorted, (owner,), kwargs)
            return None
        found = fn(*args, **kwargs)
        return bear(trace, found) if name == "copy" else found
    found = _by_method_rule(fn, owner, args, kwargs)
    if found is not PASS:
        return found
    if isinstance(owner, str) and name == "join" and trace.eager:
        items = list(args[0])
        return joined([owner.join(items), *(item[:0] for item in items)])
    if isinstance(owner, str) and name in ("format", "join") and holds_traced(trace, args, kwargs):
        return _traced_string(trace, owner, name, args, kwargs)
    if isinstance(owner, types.GeneratorType) and name in ("send", "throw") and runs_converted(owner):
        before_taking(trace, owner)
        return fn(*args, **kwargs)
    before_method(trace, owner, name)
    if isinstance(owner, np.ndarray):
        method = getattr(Array, name, None)
        if method is not None and owner.dtype == object and name not in ("copy", "tolist"):
            return call(getattr(Array(lift(owner)), name), args, kwargs)
        if method is not None and owner.dtype != object:
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
    if trace.eager:
        return formatted(text, args, kwargs)
    raise StagingError("str.format with traced values is not staged", trace.span, fix="use an f-string")


def _call_partial(fn: functools.partial[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    captures = current().captures
    path = captures.path_of(fn)
    given, named = fn.args, fn.keywords
    if path is not None:
        given = captures.load(Path("attribute", path, "args"), given)
        named = captures.load(Path("attribute", path, "keywords"), named)
    return call(fn.func, (*given, *args), {**named, **kwargs})


def _call_wrapper(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A special method of an object made in C, such as `x.__add__`, and `type.__call__` as metaclasses call it."""
    if fn.__name__ == "__call__" and isinstance(fn.__self__, type):
        return _construct(fn.__self__, args, kwargs)
    owner: Any = fn.__self__
    if isinstance(owner, (float, int)) and any_box(*args):
        return special_method(fn.__name__, owner, *args)
    store: Any = _STORING.get(fn.__name__)
    if store is not None:
        return store(current(), owner, *args)
    return _real(current(), fn, args, kwargs, is_safe=not isinstance(owner, _NUMERIC))


def _call_descriptor(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A method taken from the class of a number or array, such as `float.__add__(x, y)`."""
    if args and is_box(args[0]) and issubclass(python_type(args[0]), fn.__objclass__):
        if isinstance(fn, types.WrapperDescriptorType):
            return special_method(fn.__name__, *args)
        return call(getattr(args[0], fn.__name__), args[1:], kwargs)
    if args and not issubclass(fn.__objclass__, _NUMERIC) and isinstance(args[0], fn.__objclass__):
        return call(fn.__get__(args[0]), args[1:], kwargs)
    return _real(current(), fn, args, kwargs)


def _call_wrapped(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A `functools.lru_cache`: without the cache, whose keys traced values cannot be."""
    return call(fn.__wrapped__, args, kwargs)


def _call_object(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    staged = getattr(fn, "__wengert_call__", None)
    if staged is not None:
        return staged(*args, **kwargs)
    if type(fn).__module__.partition(".")[0] == "wengert":
        trace = current()
        path = None if trace.eager else trace.captures.path_of(fn)
        if path is not None:
            trace.captures.guard(path, "is", fn)
        return fn(*args, **kwargs)
    method = inspect.getattr_static(type(fn), "__call__", None)
    if isinstance(method, types.FunctionType):
        return call(method, (fn, *args), kwargs)
    keeps_only = isinstance(fn, types.MethodWrapperType) and isinstance(fn.__self__, BaseException)
    return _real(current(), fn, args, kwargs, is_safe=keeps_only)


KINDS: dict[type, Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]] = {
    types.FunctionType: _call_function,
    types.MethodType: _call_method,
    types.BuiltinFunctionType: _call_builtin,
    types.MethodWrapperType: _call_wrapper,
    types.WrapperDescriptorType: _call_descriptor,
    types.MethodDescriptorType: _call_descriptor,
    type(np.dot): _call_dispatcher,
    functools.partial: _call_partial,
    type(functools.lru_cache(lambda: None)): _call_wrapped,
}


# --- classes ---------------------------------------------------------------------------------------------------------


def _call_class(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    trace = current()
    if issubclass(cls, BaseException) and holds_traced(trace, args, kwargs) and not trace.eager:
        return TracedException(cls, args, kwargs)
    meta = type(cls).__call__
    if meta is not type.__call__ and isinstance(meta, types.FunctionType) and not is_trusted_module(meta.__module__):
        return call(meta, (cls, *args), kwargs)
    return _construct(cls, args, kwargs)


def _construct(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A new object, its Python-written `__new__` and `__init__` run as converted code."""
    trace = current()
    init, make = cls.__init__, cls.__new__
    trusted = is_trusted_module(cls.__module__)
    if trusted and not (_is_numeric_class(cls) and (holds_traced(trace, args, kwargs) or holds_callback(args, kwargs))):
        return bear(trace, _real(trace, cls, args, kwargs, _only_stores(cls, True)))
    if isinstance(make, types.FunctionType) and not is_generated(make) and not is_trusted_module(make.__module__):
        new = call(make, (cls, *args), kwargs)
        if isinstance(new, cls):
            made: Any = type(new)
            call(made.__init__, (new, *args), kwargs)
        return bear(trace, new)
    if make is not object.__new__ or not isinstance(init, types.FunctionType):
        return bear(trace, _real(trace, cls, args, kwargs, is_safe=_only_stores(cls, trusted)))
    if dataclasses.is_dataclass(cls) and is_generated(init):
        return bear(trace, _make_dataclass(cls, args, kwargs))
    new = bear(trace, object.__new__(cls))
    call(init, (new, *args), kwargs)
    return new


def _is_numeric_class(cls: Any) -> bool:
    """Whether it is a class of NumPy or SciPy written in Python."""
    return cls.__module__.partition(".")[0] in ("numpy", "scipy") and isinstance(cls.__init__, types.FunctionType)


def _only_stores(cls: Any, trusted: bool) -> bool:
    """Whether making an object of the class takes no number out of its arguments."""
    if issubclass(cls, BaseException):
        return True
    if issubclass(cls, dict | list | tuple) and not isinstance(cls.__init__, types.FunctionType):
        return True
    return cls in _STORES or (not trusted and not issubclass(cls, _NUMERIC))


def is_generated(fn: types.FunctionType) -> bool:
    """Whether a method was generated (by `dataclasses`, say) and has no source."""
    return fn.__code__.co_filename.startswith("<")


def _make_dataclass(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """An instance of a dataclass: its `__init__` has no source, but `__post_init__` and `__setattr__` have."""
    post = getattr(cls, "__post_init__", None)
    setter = cls.__setattr__
    own_setter = isinstance(setter, types.FunctionType) and not is_generated(setter)
    if post is None and not own_setter:
        return cls(*args, **kwargs)
    bound = inspect.signature(cls.__init__).bind(None, *args, **kwargs).arguments
    new = bear(current(), object.__new__(cls))
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
        elif value is not dataclasses.MISSING and own_setter:
            call(setter, (new, name, value), {})
        elif value is not dataclasses.MISSING:
            object.__setattr__(new, name, value)
    if post is not None:
        call(post, (new, *extra), {})
    return new


# --- the real function -----------------------------------------------------------------------------------------------


def _real(trace: Trace, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], is_safe: bool = False) -> Any:
    """Call `fn` as it is."""
    if isinstance(fn, type) and issubclass(fn, _NUMBERS) and any(isinstance(a, InputText) for a in args):
        refuse(trace, name_of(fn))
    if type(fn) is _C_FUNCTION and fn in COMPARING:
        has_key = kwargs.get("key") is not None
        if (has_key or not trace.eager) and (any_growing(args) or holds_traced(trace, args, kwargs)):
            written = in_python(fn)
            if written is not None:
                return call(written, args, kwargs)
        if args and isinstance(args[0], list):
            before_method(trace, args[0], "append")
        is_safe = not has_key
    if not is_safe:
        if holds_traced(trace, args, kwargs):
            plain = plain_arguments(trace, args, kwargs)
            if plain is None:
                ask_for_integers(trace, name_of(fn), args, kwargs)
                refuse(trace, name_of(fn))
            args, kwargs = plain
        if closes_over_traced(trace, args, kwargs):
            refuse(trace, name_of(fn))
        if not trace.eager:
            refuse_outside_world(trace, fn, args, name_of(fn))
    elif trace.extra.get("patterns") and fn not in _PEEKING and (any(map(hides_growing, args)) or any_growing(args)):
        refuse(trace, name_of(fn))
    whole = trace.captures.whole
    found = fn(*map(whole, args), **{k: whole(v) for k, v in kwargs.items()})
    return own_array(trace, found) if type(found) is np.ndarray else found


def own_array(trace: Trace, array: np.ndarray[Any, Any]) -> Any:
    """A box of a new array that was computed from known values: traced values may be stored in it."""
    if not array.ndim or array.dtype not in NUMPY_DTYPES:
        return array
    return Array(_constant(trace, array))
