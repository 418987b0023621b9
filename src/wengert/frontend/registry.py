"""The tables that calls and operators of boxes are looked up in; filled by the `table_*` modules and `arithmetic`.

A handler takes the arguments of the function it stands for and returns its result, or `PASS` when the real function should
be called because nothing in the arguments is traced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from wengert.errors import InternalError

F = TypeVar("F", bound=Callable[..., Any])


class Pass:
    """The type of `PASS`."""

    def __repr__(self) -> str:
        return "PASS"


PASS: Final = Pass()

HANDLERS: dict[Any, Callable[..., Any]] = {}
OPERATORS: dict[str, Callable[..., Any]] = {}
# By the function's name, then by the module that it is public in: for modules that are not imported unless the user does.
NAMES: dict[str, dict[str, Callable[..., Any]]] = {}


def register(*functions: Any) -> Callable[[F], F]:
    """Decorator: the function below handles calls of `functions`."""

    def add(handler: F) -> F:
        for function in functions:
            if function in HANDLERS:
                raise InternalError(f"{function!r} has two handlers")
            HANDLERS[function] = handler
            # NumPy's own code calls what stands behind the public function.
            inner = getattr(function, "_implementation", None)
            if inner is not None:
                HANDLERS.setdefault(inner, handler)
        return handler

    return add


def register_name(module: str, *names: str) -> Callable[[F], F]:
    """Decorator: the function below handles calls of the functions of `module` called `names`, which need not be imported."""

    def add(handler: F) -> F:
        for name in names:
            known = NAMES.setdefault(name, {})
            if module in known:
                raise InternalError(f"{module}.{name} has two handlers")
            known[module] = handler
        return handler

    return add


def operator_rule(name: str) -> Callable[[F], F]:
    """Decorator: the function below is what the operator called `name` (`add`, `getitem`, ...) does on boxes."""

    def add(rule: F) -> F:
        if name in OPERATORS:
            raise InternalError(f"operator {name!r} has two rules")
        OPERATORS[name] = rule
        return rule

    return add


def handle(function: Any, *args: Any, **kwargs: Any) -> Any:
    """The result of `function`, by its handler where a box is among the arguments."""
    found = HANDLERS[function](*args, **kwargs)
    return function(*args, **kwargs) if found is PASS else OPERATORS["laid out"](function, args, kwargs, found)
