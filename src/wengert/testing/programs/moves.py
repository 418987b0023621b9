"""Arguments moved along random directions, and derivatives along them by differences."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.api.arguments import is_differentiable
from wengert.tree import flatten

TOLERANCE = 1e-5
_STEPS = (2e-3, 2e-4, 2e-5)


def floats(tree: Any) -> list[Any]:
    """The floats and arrays of floats in it."""
    return [leaf for leaf in flatten(tree)[0] if is_differentiable(leaf)]


def random_direction(rng: random.Random, args: Sequence[Any], wrt: Sequence[int] | None = None) -> list[Any]:
    """A random direction per float of the arguments, or of some of them."""
    chosen = args if wrt is None else [args[k] for k in wrt]
    return [
        np.array([rng.uniform(-1, 1) for _ in range(np.size(x))]).reshape(np.shape(x)) if np.ndim(x) else rng.uniform(-1, 1)
        for x in floats(tuple(chosen))
    ]


def moved(args: Sequence[Any], direction: Sequence[Any], step: float) -> tuple[Any, ...]:
    """A copy of the arguments, moved."""
    leaves, tree = flatten(tuple(copy.deepcopy(args)))
    steps = iter(direction)
    result: tuple[Any, ...] = tree.unflatten([x + step * next(steps) if is_differentiable(x) else x for x in leaves])
    return result


def trees_of(args: Sequence[Any], direction: Sequence[Any]) -> list[Any]:
    """A direction in the form of the arguments."""
    leaves, tree = flatten(tuple(args))
    steps = iter(direction)
    return list(tree.unflatten([next(steps) if is_differentiable(x) else x for x in leaves]))


def along(args: Sequence[Any], wrt: Sequence[int], gradient: Any, direction: Sequence[Any]) -> float:
    """The gradient times the direction; NaN where their shapes differ."""
    bars = floats(gradient)
    if [np.shape(b) for b in bars] != [np.shape(x) for k in wrt for x in floats(args[k])]:
        return math.nan
    return float(sum(np.sum(np.multiply(b, d)) for b, d in zip(bars, direction, strict=True)))


def against_differences(found: float, at: Callable[[float], float]) -> tuple[str, list[float]]:
    """Whether `found` is the derivative of `at` at 0, by central differences in several steps.

    Returns:
        What is the matter, and the differences. "" if they agree with `found`, "wrong" if they do not; "differences do not
        converge" and "on a kink" say that `at` has no derivative there, so that nothing is known.
    """
    estimates: list[float] = []
    for step in _STEPS:
        expected = _extrapolated(at, step)
        if abs(found - expected) <= TOLERANCE * (1 + abs(found)):
            return "", estimates
        estimates.append(expected)
    last, before = estimates[-1], estimates[-2]
    if not abs(last - before) <= TOLERANCE * (1 + abs(last)):
        return "differences do not converge", estimates
    here, step = at(0.0), _STEPS[-1] / 20
    ahead, behind = (at(step) - here) / step, (here - at(-step)) / step
    if not abs(ahead - behind) <= 1e-2 * (1 + abs(last)):
        return "on a kink", estimates
    return "wrong", estimates


def _extrapolated(at: Callable[[float], float], step: float) -> float:
    coarse = (at(step) - at(-step)) / (2 * step)
    fine = (at(step / 2) - at(-step / 2)) / step
    return (4 * fine - coarse) / 3
