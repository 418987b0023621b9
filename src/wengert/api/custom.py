"""`custom_jvp` and `custom_vjp`: functions whose derivative the user writes down.

A rule is plain Python like the function itself, so it is staged and differentiated like any other code, and derivatives of
higher order are those of the rule.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Sequence
from typing import Any

from wengert.api.custom_eager import call_eager
from wengert.api.custom_staged import call_staged
from wengert.api.pickling import name_in_module
from wengert.errors import ArgumentError
from wengert.frontend import calls
from wengert.frontend.context import current, is_tracing


class CustomFunction:
    """A function with derivative rules; made by `custom_jvp`, `custom_vjp` and `wrap`.

    Attributes:
        fn: the function itself.
        name: how messages call it.
        nondiff: positions of arguments that are handed to the rules as they are.
        jvp_rule: `(*nondiff, primals, tangents) -> (result, tangent)`, or None.
        fwd: `(*args) -> (result, residuals)`, or None.
        bwd: `(*nondiff, residuals, cotangent) -> one cotangent per argument`, or None; `df/dx - i df/dy` for complex numbers.
    """

    kind = "custom rule"

    def __init__(
        self, fn: Callable[..., Any], nondiff_argnums: int | Sequence[int] = (), nondiff_argnames: str | Sequence[str] = ()
    ) -> None:
        if not callable(fn):
            raise ArgumentError(f"{self.kind} takes a function. Got {fn!r} instead.")
        self.fn = fn
        self.name: str = getattr(fn, "__name__", type(fn).__name__)
        self.jvp_rule: Callable[..., Any] | None = None
        self.fwd: Callable[..., Any] | None = None
        self.bwd: Callable[..., Any] | None = None
        self._signature = _signature(fn)
        self.nondiff = self._positions(nondiff_argnums, nondiff_argnames)
        functools.update_wrapper(self, fn, updated=())

    def _positions(self, numbers: int | Sequence[int], names: str | Sequence[str]) -> frozenset[int]:
        found = set((numbers,) if isinstance(numbers, int) else numbers)
        parameters = list(self._signature.parameters) if self._signature is not None else []
        for name in (names,) if isinstance(names, str) else names:
            if name not in parameters:
                raise ArgumentError(f"The 'nondiff_argnames' argument of {self.kind} names {name!r}, which is no parameter.")
            found.add(parameters.index(name))
        if any(k < 0 for k in found):
            what = f"The 'nondiff_argnums' argument of {self.kind} must not be negative."
            raise ArgumentError(f"{what} Got {sorted(found)} instead.")
        return frozenset(found)

    def positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """The arguments of a call in order, with defaults."""
        if self._signature is None:
            if kwargs:
                raise ArgumentError(f"{self.name} has no signature that is known; pass its arguments by position")
            return args
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            named = ", ".join(bound.kwargs)
            raise ArgumentError(f"{self.name} takes arguments by name only ({named}), which its rules cannot be given")
        return bound.args

    def split(self, args: Sequence[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The arguments that the rules take as they are, and the others."""
        given = tuple([a for k, a in enumerate(args) if k in self.nondiff])
        return given, tuple([a for k, a in enumerate(args) if k not in self.nondiff])

    def require_rule(self) -> None:
        """Raise ArgumentError if no rule has been given."""
        raise NotImplementedError

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's value."""
        if is_tracing():
            return self.__wengert_call__(*args, **kwargs)
        return self.fn(*args, **kwargs)

    def __wengert_call__(self, *args: Any, **kwargs: Any) -> Any:
        """The call inside of a trace."""
        self.require_rule()
        trace = current()
        if trace.eager:
            return call_eager(self, self.positional(args, kwargs))
        path = trace.captures.path_of(self)
        if path is not None:
            trace.captures.guard(path, "is", self)
        return call_staged(self, self.positional(args, kwargs))

    def __reduce__(self) -> str | tuple[Any, ...]:
        """By the name that the module has it under; its rules are functions that may have no name of their own."""
        name = name_in_module(self)
        if name is None:
            what = f"the {self.kind} {self.name}"
            raise TypeError(f"cannot pickle {what}: its module does not have it under the name of its function")
        return name

    def __get__(self, owner: Any, cls: type | None = None) -> Any:
        """The method, where the function is an attribute of a class."""
        return self if owner is None else types.MethodType(self, owner)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"


def _signature(fn: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(fn)
    except (ValueError, TypeError):
        return None


class custom_jvp(CustomFunction):
    """A function with a rule for its tangent.

    The rule is given by `defjvp`: it takes `(primals, tangents)`, two tuples like the arguments, and returns the result and
    its tangent, which must be linear in the tangents. It serves every mode; derivatives of higher order are those of the rule.

    Args:
        fn: the function; its value is computed by it.
        nondiff_argnums: positions of arguments (functions, options) that the rule gets first, as they are.
        nondiff_argnames: the same by name.

    Example:
        >>> import numpy as np, wengert as wg
        >>> @wg.custom_jvp
        ... def log1pexp(x):
        ...     return np.log(1.0 + np.exp(x))
        >>> @log1pexp.defjvp
        ... def _(primals, tangents):
        ...     (x,), (x_dot,) = primals, tangents
        ...     return log1pexp(x), x_dot / (1.0 + np.exp(-x))
        >>> wg.grad(log1pexp)(800.0)
        1.0
    """

    kind = "custom_jvp"

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Set the rule; returns it, so this can be a decorator."""
        self.jvp_rule = rule
        return rule

    def defjvps(self, *rules: Callable[..., Any] | None) -> None:
        """Set one rule per argument: `rule(tangent, result, *args)`, or None for no contribution."""
        self.jvp_rule = functools.partial(_sum_of_rules, self, rules)

    def require_rule(self) -> None:
        """Raise ArgumentError if no rule has been given."""
        if self.jvp_rule is None:
            raise ArgumentError(f"{self.name} has no derivative rule yet", fix=f"give it one with {self.name}.defjvp(...)")


def _sum_of_rules(custom: CustomFunction, rules: Sequence[Any], *args: Any) -> tuple[Any, Any]:
    primals, tangents = args[-2], args[-1]
    out = calls.call(custom, primals, {})
    total: Any = None
    for rule, tangent in zip(rules, tangents, strict=True):
        if rule is not None:
            term = calls.call(rule, (tangent, out, *primals), {})
            total = term if total is None else total + term
    return out, total


class custom_vjp(CustomFunction):
    """A function with a rule for the cotangents of its arguments.

    The rule is given by `defvjp(fwd, bwd)`: `fwd(*args)` returns the result and residuals, whatever `bwd` needs;
    `bwd(residuals, cotangent)` returns a tuple with one cotangent per argument (None for zero). Derivatives of higher order
    are those of `fwd` and `bwd`; forward mode works if `bwd` is linear in the cotangent. The cotangent of a complex number
    `x + iy` is `df/dx - i df/dy`, so that of a holomorphic function is `cotangent * derivative`.

    Args:
        fn: the function; its value is computed by it where no derivative is taken.
        nondiff_argnums: positions of arguments that `bwd` gets first, as they are.
        nondiff_argnames: the same by name.

    Example:
        >>> import numpy as np, wengert as wg
        >>> @wg.custom_vjp
        ... def norm(x):
        ...     return np.sqrt(np.sum(x * x))
        >>> def norm_fwd(x):
        ...     y = norm(x)
        ...     return y, (x, y)
        >>> def norm_bwd(residuals, y_bar):
        ...     x, y = residuals
        ...     return (np.where(y > 0.0, y_bar * x / np.maximum(y, 1e-300), 0.0),)
        >>> norm.defvjp(norm_fwd, norm_bwd)
        >>> wg.grad(norm)(np.zeros(2))
        array([0., 0.])
    """

    kind = "custom_vjp"

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """Set the rule."""
        self.fwd, self.bwd = fwd, bwd

    def require_rule(self) -> None:
        """Raise ArgumentError if no rule has been given."""
        if self.fwd is None or self.bwd is None:
            raise ArgumentError(f"{self.name} has no derivative rule yet", fix=f"give it one with {self.name}.defvjp(fwd, bwd)")
