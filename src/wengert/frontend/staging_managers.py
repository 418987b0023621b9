"""`with` in a trace: managers of the user's classes, of `contextlib`, and those that only set how NumPy and Python warn."""

from __future__ import annotations

import contextlib
import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.calls import call, push_of
from wengert.frontend.context import current
from wengert.frontend.convert_info import BranchInfo
from wengert.frontend.generator_objects import Consumer, GeneratorManager
from wengert.frontend.staging_builder import TraceBuilder
from wengert.frontend.staging_exceptions import Handler, attempt, end_with, keep_outcome, raise_again
from wengert.frontend.staging_state import Variables, run_region
from wengert.frontend.stores import touch_cell

_QUIET = (np.errstate, warnings.catch_warnings, contextlib.nullcontext)


def manage(info: BranchInfo, manager: Any, body: Callable[[Any], None], carrier: Any) -> None:
    """`with manager as value: body(value)`."""
    trace = current()
    if isinstance(manager, contextlib.suppress):
        attempt(info, lambda: body(None), [Handler(manager._exceptions, _swallow, False)], None, None, carrier)  # type: ignore[attr-defined]
        return
    if isinstance(manager, GeneratorManager) and not trace.eager:
        _manage_generator(info, manager, body, carrier)
        return
    enter, leave = _methods(manager)
    if isinstance(enter, types.FunctionType) and isinstance(leave, types.FunctionType) and not _is_library(type(manager)):
        _manage_own(info, manager, enter, leave, body, carrier)
        return
    if not trace.eager and not isinstance(manager, _QUIET):
        if trace.captures.path_of(manager) is None and hasattr(manager, "close"):
            manager.close()  # made by this attempt, which nobody goes on with
        raise StagingError(
            f"`with` cannot be staged for a {type(manager).__name__}",
            trace.span,
            fix="move it out of the differentiated function, or run with wg.eager()",
        )
    with manager as value:
        body(value)


def _manage_generator(info: BranchInfo, manager: GeneratorManager, body: Callable[[Any], None], carrier: Any) -> None:
    """A generator around the body: the body runs where it yields, and exceptions come out there."""
    trace, variables = current(), Variables(carrier)
    push = push_of(trace, manager.function)
    if push is None:
        raise StagingError(f"{manager.function.__qualname__} yields in a way that cannot be staged", trace.span)
    entered: list[Any] = []
    kept = info.live | info.head | info.final
    pairs = list(zip(variables.names, variables.cells, strict=True))
    trace.extra.setdefault("optional_cells", set()).update(id(cell) for name, cell in pairs if name not in info.shared)
    trace.extra.setdefault("dropped_cells", set()).update(id(cell) for name, cell in pairs if name not in kept)

    def consume(value: Any) -> bool:
        for name, cell in zip(variables.names, variables.cells, strict=True):
            touch_cell(trace, name, cell)
        entered.append(value)
        body(value)
        return False

    builder = trace.builder.child()
    assert isinstance(builder, TraceBuilder)

    def run() -> None:
        push(Consumer(consume), *manager.args, **manager.kwargs)

    outcome = run_region(trace, builder, variables, run, f"the `with` at {info.span}")
    keep_outcome(trace, variables, outcome)
    if outcome.ended is not None:
        end_with(trace, outcome.ended)
    if not entered:
        raise RuntimeError("generator didn't yield")
    trace.failures.settle()


def _methods(manager: Any) -> tuple[Any, Any]:
    cls = type(manager)
    for name in ("__enter__", "__exit__"):
        if not hasattr(cls, name):
            raise TypeError(f"'{cls.__qualname__}' object does not support the context manager protocol")
    return cls.__enter__, cls.__exit__


def _is_library(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in ("contextlib", "numpy", "warnings", "wengert", "threading", "decimal")


def _manage_own(
    info: BranchInfo, manager: Any, enter: Any, leave: Any, body: Callable[[Any], None], carrier: Any
) -> None:
    """A manager whose methods are Python functions: they are part of the program."""
    value = call(enter, (manager,), {})

    def finish() -> None:
        call(leave, (manager, None, None, None), {})

    def handle(error: BaseException) -> None:
        swallows = call(leave, (manager, type(error), error, error.__traceback__), {})
        trace = current()
        if not isinstance(swallows, bool | types.NoneType):
            raise StagingError("`__exit__` gives a value that depends on traced numbers, or no bool", trace.span)
        if not swallows:
            raise_again()

    attempt(info, lambda: body(value), [Handler((BaseException,), handle)], finish, None, carrier)


def _swallow(error: BaseException) -> None:
    return None


