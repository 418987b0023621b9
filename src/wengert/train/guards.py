"""What may not happen to a gradient while fitting, and the error that says where it did."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert.api.arguments import is_differentiable
from wengert.diagnose.locate import Fault, locate
from wengert.errors import Span, WengertError
from wengert.train.packing import Packing, Vector

__all__ = ["Evaluation", "GradientError", "check_bounded", "check_finite", "check_start", "loss_error"]

GROWTH_LIMIT = 1e6
SIZE_LIMIT = 1e150


class GradientError(WengertError, ArithmeticError):
    """A gradient that cannot be followed: NaN, infinite, zero where a parameter should matter, or exploding.

    Attributes:
        parameter: Name of the parameter, or "" where it is the loss itself.
    """

    parameter: str = ""


@dataclass(frozen=True)
class Evaluation:
    """What was evaluated: enough to do it once more and find the line at fault."""

    loss: Callable[..., Any]
    packing: Packing
    args: tuple[Any, ...]
    x: Vector

    def arguments(self) -> tuple[Any, ...]:
        """What the loss was called with."""
        return (self.packing.unpack(self.x), *self.args)


def check_start(at: Evaluation, value: float, gradient: Vector) -> None:
    """Check loss and gradient at the starting point.

    Raises:
        GradientError: If the loss or the gradient is not finite, the gradient exceeds 1e150, or all of its entries for
            some parameter are exactly zero.
    """
    if not np.isfinite(value):
        raise loss_error(at, value, "at the starting point", "start from parameters at which the loss is finite")
    check_finite(at, gradient)
    for name, part in at.packing.fitted():
        if gradient[part].size and not np.any(gradient[part]):
            raise _error(
                at,
                "zero",
                part.start,
                name,
                f"the gradient with respect to '{name}' is exactly zero",
                found="0.0" if gradient[part].size == 1 else f"{gradient[part].size} zeros",
                expected=f"a loss that depends on '{name}' smoothly",
                fix=f"the loss does not depend on it, or a step (round, int, //, a comparison) cuts the dependence: "
                f"see wengert.explain; start elsewhere if this is a stationary point, or fix it (--fix {name})",
            )
    check_bounded(at, gradient, SIZE_LIMIT)


def check_finite(at: Evaluation, gradient: Vector) -> None:
    """Check that no entry of a gradient is NaN or infinite.

    Raises:
        GradientError: If one is; it names the first.
    """
    if np.isfinite(gradient).all():
        return
    position = int(np.flatnonzero(~np.isfinite(gradient))[0])
    name = at.packing.entry(position)
    raise _error(
        at,
        "gradient",
        position,
        name,
        f"the gradient with respect to '{name}' is {_spell(gradient[position])}",
        found=f"{_spell(gradient[position])} although the loss is finite",
        expected="a finite gradient",
        fix="look for sqrt, log, a power or a division at the end of its domain; bounds keep parameters away from it",
    )


def check_bounded(at: Evaluation, gradient: Vector, first_norm: float) -> None:
    """Check that a gradient does not explode.

    The limit is 1e6 times the norm at the start (or times 1, where that is larger), and 1e150 in any case: squares of
    larger entries overflow soon after.

    Args:
        at: What was evaluated.
        gradient: The gradient to check.
        first_norm: Norm of the gradient at the start.

    Raises:
        GradientError: If it is larger; it names the largest entry.
    """
    limit = min(GROWTH_LIMIT * max(first_norm, 1.0), SIZE_LIMIT)
    largest = float(np.max(np.abs(gradient)))
    if largest <= limit and float(np.linalg.norm(gradient)) <= limit:
        return
    position = int(np.argmax(np.abs(gradient)))
    name = at.packing.entry(position)
    raise _error(
        at,
        "large",
        position,
        name,
        f"the gradient explodes, most of all with respect to '{name}'",
        found=f"{largest:.3g}",
        expected=f"at most {limit:.3g}",
        fix="bound the parameters, start closer, or shorten the simulation",
        limit=limit,
    )


def loss_error(at: Evaluation, value: float, when: str, fix: str) -> GradientError:
    """Return the error of a loss that is NaN or infinite."""
    spelt = _spell(value)
    return _error(at, "loss", 0, "", f"the loss is {spelt} {when}", found=spelt, expected="a finite loss", fix=fix)


def _error(
    at: Evaluation,
    fault: Fault,
    position: int,
    parameter: str,
    what: str,
    *,
    found: str,
    expected: str,
    fix: str,
    limit: float = np.inf,
) -> GradientError:
    """Return the error of an evaluation, with the line at fault where it can be found."""
    finding = locate(at.loss, at.arguments(), fault, _leaf_number(at.packing, position), limit)
    span = None if finding is None else finding.span
    if finding is not None:
        found = f"{found}; {finding.sentence}"
    error = GradientError(what, span or _definition(at.loss), found=found, expected=expected, fix=fix)
    error.parameter = parameter
    return error


def _leaf_number(packing: Packing, position: int) -> int:
    """Return which float leaf of the parameters, fixed ones included, an entry of the vector belongs to."""
    index = next(index for index, part in packing.places if part.start <= position < max(part.stop, part.start + 1))
    return sum(map(is_differentiable, packing.leaves[:index]))


def _definition(loss: Callable[..., Any]) -> Span | None:
    """Return the line on which the loss function is defined."""
    function = inspect.unwrap(loss)
    code = getattr(function, "__code__", None) or getattr(_call_method(function), "__code__", None)
    if code is None:
        return None
    return Span(code.co_filename, code.co_firstlineno, function=code.co_name)


def _call_method(obj: Any) -> Any:
    return next((vars(base)["__call__"] for base in type(obj).__mro__ if "__call__" in vars(base)), None)


def _spell(value: float) -> str:
    if np.isnan(value):
        return "NaN"
    return "infinite" if value > 0 else "minus infinite"
