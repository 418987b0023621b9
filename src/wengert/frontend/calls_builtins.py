"""Python's own functions that take functions, iterables, names or text: what they do in a trace."""

from __future__ import annotations

import builtins
import functools
import itertools
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import box, holds_box, is_box
from wengert.frontend.calls import SPECIAL, call
from wengert.frontend.context import current
from wengert.frontend.iterators import SequenceIterator
from wengert.frontend.registry import PASS
from wengert.frontend.staging import decide
from wengert.frontend.staging_iter import (
    StagedSequence,
    live,
    staged,
    staged_enumerate,
    staged_range,
    staged_reversed,
    staged_zip,
)
from wengert.frontend.staging_state import bear
from wengert.frontend.text import TracedText, text_of


def special(*functions: Any) -> Callable[[Any], Any]:
    """Decorator: the function below is called in place of `functions`."""

    def add(rule: Any) -> Any:
        SPECIAL.update(dict.fromkeys(functions, rule))
        return rule

    return add


SPECIAL.update(
    {
        range: staged_range,
        enumerate: staged_enumerate,
        zip: staged_zip,
        reversed: staged_reversed,
    }
)


# --- functions of functions ------------------------------------------------------------------------------------------


@special(map)
def traced_map(function: Any, *iterables: Any) -> Any:
    """`map`."""
    rows = staged_zip(*iterables) if len(iterables) > 1 else ((x,) for x in live(iterables[0]))
    return (call(function, tuple(row), {}) for row in rows)


@special(filter)
def traced_filter(function: Any, iterable: Iterable[Any]) -> Any:
    """`filter`."""
    return (x for x in live(iterable) if (x if function is None else call(function, (x,), {})))


@special(functools.reduce)
def traced_reduce(function: Any, iterable: Iterable[Any], *initial: Any) -> Any:
    """`functools.reduce`."""
    return functools.reduce(lambda a, b: call(function, (a, b), {}), live(iterable), *initial)


@special(itertools.accumulate)
def traced_accumulate(iterable: Iterable[Any], func: Any = None, *, initial: Any = None) -> Any:
    """`itertools.accumulate`."""
    return itertools.accumulate(live(iterable), func and (lambda a, b: call(func, (a, b), {})), initial=initial)


# --- iterables -------------------------------------------------------------------------------------------------------


def _collect(kind: Any) -> Callable[..., Any]:
    def rule(*args: Any) -> Any:
        if len(args) == 1 and isinstance(args[0], (Array, StagedSequence)):
            return bear(current(), kind(list(args[0])))
        made = kind(*args)
        return bear(current(), made)

    return rule


SPECIAL.update({list: _collect(list), tuple: _collect(tuple), set: _collect(set)})


@special(dict)
def _dict(*args: Any, **items: Any) -> Any:
    return bear(current(), dict(*args, **items))


@special(iter)
def _iter(iterable: Any, *sentinel: Any) -> Any:
    inner = None if sentinel else staged(iterable)
    if current().eager or sentinel:
        return PASS if inner is None or isinstance(iterable, range) else iter(inner)
    return PASS if inner is None and type(iterable) not in (list, tuple) else SequenceIterator(inner or iterable)


@special(any)
def _any(iterable: Any) -> Any:
    return PASS if isinstance(iterable, Array) else _fold(iterable, False)


@special(all)
def _all(iterable: Any) -> Any:
    return PASS if isinstance(iterable, Array) else _fold(iterable, True)


def _fold(iterable: Iterable[Any], neutral: bool) -> Any:
    """`all` (neutral True) or `any` (False)."""
    found: Any = neutral
    for item in iterable:
        truth = decide(item)
        if isinstance(truth, bool):
            if truth is not neutral:
                return truth
            continue
        item = box(truth)
        if found is neutral:
            found = item
        else:
            found = (found & item) if neutral else (found | item)
    return found


# --- text ------------------------------------------------------------------------------------------------------------


@special(str)
def _str(*args: Any, **options: Any) -> Any:
    if len(args) != 1 or options or not (isinstance(args[0], (TracedText, BaseException)) or holds_box(args[0])):
        return PASS
    return text_of(args[0])


@special(repr)
def _repr(obj: Any) -> Any:
    return text_of(obj, 114) if holds_box(obj) else PASS


@special(format)
def _format(obj: Any, spec: str = "") -> Any:
    if not is_box(obj):
        return PASS
    trace = current()
    return format(trace.known(obj.value), spec) if trace.eager else TracedText([(obj, -1, spec)])


@special(float, int, np.float64, np.float32)
def _number(*args: Any) -> Any:
    if args and isinstance(args[0], TracedText):
        raise StagingError("a number that is read back from text made of traced values cannot be staged", current().span)
    return PASS


# --- names and classes -----------------------------------------------------------------------------------------------


@special(isinstance)
def _isinstance(obj: Any, kinds: Any) -> Any:
    return issubclass(str, kinds) if isinstance(obj, TracedText) else PASS


@special(super)
def _super(*args: Any) -> Any:
    return super(*args)


@special(callable, id, issubclass)
def _as_it_is(*args: Any) -> Any:
    return PASS


@special(hash)
def _hash(obj: Any) -> Any:
    return hash(obj)


def _refuse_names(name: str) -> Callable[..., Any]:
    def rule(*args: Any) -> Any:
        if name == "vars" and args:
            return PASS
        raise StagingError(f"{name}() is not supported in traced code", current().span, fix="name the variables")

    return rule


for _name in ("locals", "vars", "eval", "exec"):
    SPECIAL[getattr(builtins, _name)] = _refuse_names(_name)


@special(types.SimpleNamespace)
def _namespace(*args: Any, **items: Any) -> Any:
    return bear(current(), types.SimpleNamespace(*args, **items))
