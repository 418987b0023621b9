"""`linearize` and `linear_transpose`: derivatives as linear functions that can be called many times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.api import nested
from wengert.api.arguments import definition, differentiable_leaves, flatten_call
from wengert.api.directional import pushed
from wengert.api.results import Selected, checked_direction, matching_leaves, tree_of_gradients
from wengert.api.split import NativePoint, Point, point_of, runs_natively
from wengert.errors import ArgumentError
from wengert.frontend.context import is_tracing


def linearize(fn: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of `fn` and its derivative there, a linear function of tangents.

    The function runs once; the linear function holds what it needs of that, and can be called any number of times. (Inside of
    traced code, and where a program cannot be split, it runs again at each call of the linear function.)

    Args:
        fn: the function.
        *primals: its positional arguments.

    Returns:
        `(fn(*primals), linear)`: `linear(*tangents)`, with one tangent per primal, of the same structure, gives the tangent
        of the result; leaves that are not floats become None.

    Example:
        >>> import wengert as wg
        >>> value, linear = wg.linearize(lambda x: x**3, 2.0)
        >>> value, linear(1.0), linear(10.0)
        (8.0, 12.0, 120.0)
    """
    positions, _ = differentiable_leaves(primals, tuple(range(len(primals))), "linearize", fn)

    def directions(tangents: Sequence[Any]) -> list[Any]:
        if len(tangents) != len(primals):
            what = f"a linearised function takes one tangent per primal. Got {len(tangents)} for {len(primals)} primals."
            raise ArgumentError(what)
        return matching_leaves(primals, tangents, positions, "a linearised function")

    if is_tracing():
        out, push = nested.linearize(fn, primals, positions)
        return out, lambda *tangents: push(directions(tangents))
    point = point_of(fn, primals, positions, lambda given: pushed(fn, primals, positions, given))
    return point.out, runs_natively(lambda *tangents: point.push(directions(tangents)))


def linear_transpose(fn: Callable[..., Any], *examples: Any) -> Callable[[Any], tuple[Any, ...]]:
    """The transpose of a linear function.

    Args:
        fn: a linear function of its positional arguments: `fn(a*x + b*y) = a*fn(x) + b*fn(y)`.
        *examples: arguments of the types and shapes that it is to be transposed for; their values do not matter.

    Returns:
        A function from a cotangent, in the structure of the result of `fn`, to a tuple with one entry per argument.

    Raises:
        ArgumentError: `fn` is not linear, as its values and derivatives at two points show. Inside of traced code, only what
            its program shows is looked at.

    Example:
        >>> import numpy as np, wengert as wg
        >>> a = np.array([[1.0, 2.0], [3.0, 4.0]])
        >>> wg.linear_transpose(lambda x: a @ x, np.zeros(2))(np.array([1.0, 0.0]))
        (array([1., 2.]),)
    """
    positions, selected = differentiable_leaves(examples, tuple(range(len(examples))), "linear_transpose", fn)
    if is_tracing():
        pull = nested.linear_transpose(fn, examples, positions)
        return lambda ct: tuple(tree_of_gradients(pull(ct), selected))
    point, _ = _point_at(fn, examples, positions, 0.0)
    for result, value in zip(point.results, point.traced.function.results, strict=True):
        if value.is_float and np.any(result):
            raise not_linear(fn, "its value at zero is not zero")
    other, numbers = _point_at(fn, examples, positions, 37.3)
    values = [r for r, value in zip(other.results, other.traced.function.results, strict=True) if value.is_float]
    if not all(_agree(r, tangent) for r, tangent in zip(values, other.pushed(numbers), strict=True)):
        raise not_linear(fn, "its derivative along a vector is not its value there")
    if not isinstance(point, NativePoint):
        return runs_natively(lambda ct: _transposed(fn, point, other, ct, selected))
    if not point.variant.is_linear:
        raise not_linear(fn, "its derivative depends on where it is taken")
    return runs_natively(lambda ct: tuple(tree_of_gradients(point.pull(ct), selected)))


def _point_at(fn: Callable[..., Any], examples: Sequence[Any], positions: Sequence[int], scale: float) -> tuple[Point, list[Any]]:
    """The function at zeros or at other numbers, and these numbers."""
    leaves, tree = flatten_call(examples, {})
    for number, k in enumerate(positions):
        shape = np.shape(leaves[k])
        found = scale * np.cos(1.0 + number + np.arange(float(np.prod(shape)))).reshape(shape)
        leaves[k] = checked_direction(found, leaves[k], "example", "linear_transpose")
    args, _ = tree.unflatten(leaves)
    point = point_of(fn, args, positions, lambda given: pushed(fn, args, positions, given))
    return point, [leaves[k] for k in positions]


def _transposed(fn: Callable[..., Any], point: Point, other: Point, cotangent: Any, selected: Selected) -> tuple[Any, ...]:
    """The gradients in eager mode, where only values can tell: they must be the same at two points."""
    found = point.pull(cotangent)
    for here, there in zip(found, other.pull(cotangent), strict=True):
        if not _agree(here, there):
            raise not_linear(fn, "its derivative depends on where it is taken")
    return tuple(tree_of_gradients(found, selected))


def _agree(left: Any, right: Any) -> bool:
    single = np.asarray(left).dtype == np.float32
    tolerance = 1e-4 if single else 1e-9
    scale = float(np.max(np.abs(left), initial=0.0))
    return np.allclose(left, right, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def not_linear(fn: Callable[..., Any], why: str) -> ArgumentError:
    """The error for a function that has no transpose."""
    return ArgumentError(
        "linear_transpose takes a linear function",
        definition(fn),
        found=why,
        fix="use vjp, which gives the pullback of any function at given arguments",
    )
