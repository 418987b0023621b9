"""What acts on the world: output, logging, warnings, clocks. It happens at run time, every time, in program order."""

from __future__ import annotations

import io
import logging
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from wengert.errors import StagingError
from wengert.frontend.calls import METHOD_RULES, SPECIAL
from wengert.frontend.calls_escape import holds_traced
from wengert.frontend.context import current
from wengert.frontend.host import NOTHING, Form, host_call, scalar_form
from wengert.frontend.registry import PASS
from wengert.frontend.text import TracedText, parts_of, text_of, traced_print
from wengert.types import F64, I64


def _named(obj: Any) -> Callable[[], Any]:
    """What gives `obj` at run time: standard streams and captured variables may be others by then."""
    for name in ("stdout", "stderr"):
        if obj is getattr(sys, name):
            return lambda: getattr(sys, name)
    path = None if current().eager else current().captures.path_of(obj)
    return (lambda: obj) if path is None else path.read


# --- output ----------------------------------------------------------------------------------------------------------


def _is_own(stream: Any, args: tuple[Any, ...]) -> bool:
    """Whether `stream` was made in this trace, which may read from it: what goes there is written at once.

    Raises:
        StagingError: what is written, or whether, is known only at run time.
    """
    trace = current()
    born = trace.born.get(id(stream))
    if born is None:
        return False
    if born[1] is not trace.builder or holds_traced(trace, args, {}):
        raise StagingError(
            "a stream made inside of the function is written to with values known only at run time",
            trace.span,
            fix="make the stream outside of the function, or run it with wg.eager()",
        )
    return True


def print_anywhere(*args: Any, sep: Any = " ", end: Any = "\n", file: Any = None, flush: Any = False) -> None:
    """`print`, to a file too."""
    if current().eager or not (file is not None or flush or isinstance(end, TracedText) or isinstance(sep, TracedText)):
        traced_print(*args, sep=sep, end=end, file=file, flush=flush)
        return
    if file is not None and _is_own(file, (*args, sep, end)):
        print(*args, sep=sep, end=end, file=file, flush=flush)
        return
    pieces: list[Any] = []
    for position, arg in enumerate(args):
        if position:
            pieces += parts_of(" " if sep is None else sep)
        pieces += parts_of(text_of(arg))
    pieces += parts_of("\n" if end is None else end)
    target = _named(sys.stdout if file is None else file)

    def write(text: str) -> None:
        print(text, end="", file=target(), flush=bool(flush))

    host_call(write, (TracedText(pieces),), {}, NOTHING, "print", stop=True)


def stream_method(fn: Any, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`file.write` and the like."""
    name = fn.__name__
    if current().eager or name not in ("write", "writelines", "flush") or _is_own(owner, args):
        return PASS
    target = _named(owner)
    form = scalar_form(I64) if name == "write" else NOTHING
    return host_call(lambda *given: getattr(target(), name)(*given), args, kwargs, form, f"file.{name}", stop=True)


SPECIAL[print] = print_anywhere
METHOD_RULES.append((io.IOBase, stream_method))

# --- logging ---------------------------------------------------------------------------------------------------------

_LEVELS = ("debug", "info", "warning", "error", "critical", "exception", "log")


def log_method(fn: Any, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`logger.info(...)` and the other levels."""
    if getattr(fn, "__name__", "") not in (*_LEVELS, "warn", "fatal"):
        return PASS
    target, name = _named(owner), fn.__name__
    return host_call(lambda *a, **k: getattr(target(), name)(*a, **k), args, kwargs, NOTHING, f"logger.{name}", stop=True)


def _log_function(function: Callable[..., Any]) -> Callable[..., Any]:
    def rule(*args: Any, **kwargs: Any) -> Any:
        return host_call(function, args, kwargs, NOTHING, f"logging.{function.__name__}", stop=True)

    return rule


METHOD_RULES.append((logging.Logger, log_method))
METHOD_RULES.append((logging.LoggerAdapter, log_method))
SPECIAL.update({getattr(logging, name): _log_function(getattr(logging, name)) for name in _LEVELS})

# --- warnings --------------------------------------------------------------------------------------------------------


def warn(message: Any, category: Any = None, stacklevel: int = 1, source: Any = None, **options: Any) -> Any:
    """`warnings.warn`, with the user's line."""
    trace = current()
    span = trace.span
    file, line = (span.file, span.line) if span is not None else ("<unknown>", 1)
    registry: dict[Any, Any] = {}
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == file:
            registry = module.__dict__.setdefault("__warningregistry__", {})

    own = None if warnings.filters == trace.extra.get("warning_filters") else list(warnings.filters)

    def show(text: Any) -> None:
        kind = None if isinstance(text, Warning) else (category or UserWarning)
        if own is None:
            warnings.warn_explicit(text, kind, file, line, registry=registry)
            return
        with warnings.catch_warnings():  # the filters that a `with` of the function has set
            warnings.resetwarnings()
            warnings.filters[:] = own  # type: ignore[index]
            warnings.warn_explicit(text, kind, file, line, registry=registry)

    return host_call(show, (message,), {}, NOTHING, "warnings.warn", stop=True)


SPECIAL[warnings.warn] = warn

# --- clocks ----------------------------------------------------------------------------------------------------------


def _clock(function: Callable[..., Any], form: Form) -> Callable[..., Any]:
    def rule(*args: Any) -> Any:
        if current().eager:
            return PASS
        return host_call(function, args, {}, form, f"time.{function.__name__}", stop=True)

    return rule


for _name in ("time", "perf_counter", "monotonic", "process_time", "thread_time"):
    SPECIAL[getattr(time, _name)] = _clock(getattr(time, _name), scalar_form(F64))
    SPECIAL[getattr(time, f"{_name}_ns")] = _clock(getattr(time, f"{_name}_ns"), scalar_form(I64))
SPECIAL[time.sleep] = _clock(time.sleep, NOTHING)
