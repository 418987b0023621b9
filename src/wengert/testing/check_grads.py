"""Check derivatives of a function against central differences, in forward and in reverse mode, to any order.

Arguments and results are measured in units of their own size: a direction moves each leaf by at most its largest entry, and
a covector divides each result by its largest. So one tolerance serves parameters of 1e-6 and of 1e6 alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert.api import jvp, nested, vjp
from wengert.api.arguments import is_differentiable
from wengert.errors import ArgumentError, WengertError
from wengert.frontend.context import is_tracing
from wengert.testing.differences import directional, inner
from wengert.tree import TreeDef, flatten

Tolerance = tuple[float, float]

TOLERANCES: dict[Any, Tolerance] = {
    np.dtype(np.float64): (1e-8, 1e-6),
    np.dtype(np.float32): (1e-3, 1e-2),
    np.dtype(np.float16): (1e-1, 1e-1),
}
"""Absolute and relative tolerance per dtype; that of the least precise argument counts."""

_SHOWN = 5
_PROBED = 200
_MODES = ("forward", "reverse")


class GradientMismatchError(WengertError, AssertionError):
    """A derivative differs from central differences; the message names the path and the worst parameters."""


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    *,
    modes: Sequence[str] = _MODES,
    order: int = 1,
    tolerance: float | Tolerance | None = None,
    eps: float | None = None,
    seed: int = 0,
) -> None:
    """Compare the derivatives of `f` at `args` with central differences, along one random direction and covector.

    Args:
        f: a function of floats, arrays and containers of them.
        args: its positional arguments. Leaves that are not floats are left alone.
        modes: `"forward"` (`jvp`), `"reverse"` (`vjp`), or both.
        order: 1 checks first derivatives, 2 also the derivatives of these, and so on.
        tolerance: `(absolute, relative)`, or one number for both: `|found - expected| <= absolute + relative * |expected|`,
            in units of the sizes of arguments and results. By default from the dtype.
        eps: relative precision of `f`; the differences use steps of `eps ** (1/3)` and twice and four times that, relative
            to the size of each argument, extrapolated. By default from the dtype.
        seed: of the random direction and covector.

    Raises:
        GradientMismatchError: a derivative differs; a NaN equals nothing.
        ArgumentError: no float among the arguments or results, or a bad option.

    Example:
        >>> import math
        >>> check_grads(lambda x: math.sin(x) * x, (0.5,), order=2)
    """
    unknown = [m for m in modes if m not in _MODES]
    if unknown or not modes:
        raise ArgumentError(f"The 'modes' argument of check_grads takes 'forward' and 'reverse'. Got {modes!r} instead.")
    if order < 1:
        raise ArgumentError(f"The 'order' argument of check_grads must be at least 1. Got {order} instead.")
    point = _Point.of(args)
    dtype = point.dtype
    if tolerance is None:
        tolerance = TOLERANCES[dtype]
    elif not isinstance(tolerance, tuple):
        tolerance = (tolerance, tolerance)
    step = float(np.finfo(dtype).eps if eps is None else eps) ** (1 / 3)
    options = _Options(tuple(modes), tolerance, step, np.random.default_rng(seed))
    name = getattr(f, "__name__", "f")
    _check(point.restrict(f), point, options, order, "f" if name == "<lambda>" else name)


@dataclass(frozen=True)
class _Options:
    modes: tuple[str, ...]
    tolerance: Tolerance
    step: float
    rng: np.random.Generator


@dataclass(frozen=True)
class _Point:
    """Arguments taken apart: the floats in them are what moves."""

    leaves: list[Any]
    tree: TreeDef
    places: list[int]

    @classmethod
    def of(cls, args: Sequence[Any]) -> _Point:
        leaves, tree = flatten(tuple(args))
        places = [k for k, leaf in enumerate(leaves) if is_differentiable(leaf)]
        if not places:
            raise ArgumentError("check_grads found no float among the arguments", fix="write 1.0 for 1")
        return cls(leaves, tree, places)

    @property
    def dtype(self) -> Any:
        dtypes = [np.asarray(leaf).dtype for leaf in self.floats]
        return max(dtypes, key=lambda d: float(np.finfo(d).eps))

    @property
    def floats(self) -> list[Any]:
        return [self.leaves[k] for k in self.places]

    def paths(self) -> list[str]:
        """How Python would reach each float: `args[0]['w']`."""
        names = self.tree.paths("args")
        return [names[k] for k in self.places]

    def restrict(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """`f` as a function of the floats alone."""
        tree, leaves, places = self.tree, self.leaves, self.places
        if all(child.kind == "leaf" for child in tree.children) and len(places) == len(leaves):
            return f

        def of_floats(*floats: Any) -> Any:
            moved = list(leaves)
            for k, value in zip(places, floats, strict=True):
                moved[k] = value
            args = tree.unflatten(moved)
            return nested.call(f, args, {}) if is_tracing() else f(*args)

        return of_floats


# --- one order after the other ---------------------------------------------------------------------------------------


def _check(f: Callable[..., Any], point: _Point, options: _Options, order: int, path: str) -> None:
    floats = [_fresh(x) for x in point.floats]
    results = _float_results(f(*[_fresh(x) for x in floats]))
    if not results:
        raise ArgumentError(f"check_grads found no float in the result of {path}")
    direction = [_random(x, _size(x), options.rng) for x in floats]
    covector = [_random(y, 1.0 / _size(y), options.rng) for y in results]

    def moved(xs: Sequence[Any]) -> list[Any]:
        return _float_results(f(*[_like(x, model) for x, model in zip(xs, floats, strict=True)]))

    expected = inner(covector, directional(moved, floats, direction, 4 * options.step))
    for mode in options.modes:
        derived = _forward(f, direction) if mode == "forward" else _reverse(f, covector)
        derivative = _float_results(derived(*[_fresh(x) for x in floats]))
        found = inner(covector if mode == "forward" else direction, derivative)
        if not _close(found, expected, options.tolerance):
            probe = _Probe(f, moved, floats, covector, derivative if mode == "reverse" else None, point.paths(), options)
            raise _mismatch(f"{mode} of {path}", found, expected, probe)
        if order > 1:
            _check(derived, point, options, order - 1, f"{mode} of {path}")


def _forward(f: Callable[..., Any], direction: Sequence[Any]) -> Callable[..., Any]:
    tangents = tuple(direction)

    def tangent(*xs: Any) -> Any:
        return jvp(f, xs, tangents)[1]

    return tangent


def _reverse(f: Callable[..., Any], covector: Sequence[Any]) -> Callable[..., Any]:
    def pulled_back(*xs: Any) -> Any:
        result, pullback = vjp(f, *xs)
        return pullback(_seeds(result, covector))

    return pulled_back


def _seeds(result: Any, covector: Sequence[Any]) -> Any:
    """`covector` in the structure of `result`, None where that has no floats."""
    leaves, tree = flatten(result)
    given = iter(covector)
    return tree.unflatten([next(given) if is_differentiable(leaf) else None for leaf in leaves])


# --- numbers ---------------------------------------------------------------------------------------------------------


def _float_results(result: Any) -> list[Any]:
    return [leaf for leaf in flatten(result)[0] if is_differentiable(leaf)]


def _fresh(x: Any) -> Any:
    """A copy of an array, so that a function that writes to its arguments does not write to ours."""
    return np.array(x) if isinstance(x, np.ndarray) else x


def _like(x: Any, model: Any) -> Any:
    """`x` as the kind of number that `model` is."""
    if isinstance(model, np.ndarray):
        return np.array(x, dtype=model.dtype)
    return type(model)(x)


def _size(x: Any) -> float:
    largest = float(np.max(np.abs(x))) if np.size(x) else 0.0
    return largest if np.isfinite(largest) and largest > 0 else 1.0


def _random(model: Any, scale: float, rng: np.random.Generator) -> Any:
    numbers = rng.uniform(-scale, scale, np.shape(model))
    return numbers if isinstance(model, np.ndarray) else float(numbers)


def _close(found: float, expected: float, tolerance: Tolerance) -> bool:
    return bool(abs(found - expected) <= tolerance[0] + tolerance[1] * abs(expected))


# --- the report ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Probe:
    """What it takes to compare the derivative with respect to one entry of one parameter; `bars` in reverse mode only."""

    f: Callable[..., Any]
    moved: Callable[[Sequence[Any]], list[Any]]
    floats: Sequence[Any]
    covector: Sequence[Any]
    bars: Sequence[Any] | None
    paths: Sequence[str]
    options: _Options

    def entry(self, k: int, place: tuple[int, ...]) -> tuple[float, float]:
        """Found and expected derivative with respect to entry `place` of leaf `k`: of the result if it is one number, else of
        its product with the covector.
        """
        single = len(self.covector) == 1 and np.ndim(self.covector[0]) == 0
        unit = float(self.covector[0]) if single else 1.0
        size = _size(self.floats[k])
        direction: list[Any] = [np.zeros(np.shape(x)) if isinstance(x, np.ndarray) else 0.0 for x in self.floats]
        if place:
            direction[k][place] = size
        else:
            direction[k] = size if not isinstance(self.floats[k], np.ndarray) else np.array(size)
        differences = directional(self.moved, self.floats, direction, 4 * self.options.step)
        expected = inner(self.covector, differences) / size / unit
        if self.bars is not None:
            return float(np.asarray(self.bars[k])[place]) / unit, expected
        tangent = _float_results(_forward(self.f, direction)(*map(_fresh, self.floats)))
        return inner(self.covector, tangent) / size / unit, expected


def _mismatch(path: str, found: float, expected: float, probe: _Probe) -> GradientMismatchError:
    lines = _worst(probe)
    note = "".join(["\n  largest errors (found, expected):", *lines]) if lines else ""
    error = abs(found - expected) / abs(expected) if expected else np.inf
    tolerance = "absolute {}, relative {}".format(*probe.options.tolerance)
    return GradientMismatchError(
        f"{path} differs from central differences",
        found=repr(found),
        expected=f"{expected!r} (relative error {error:.1e}; tolerance {tolerance}){note}",
        fix="if the function has a kink or a jump within a step of this point, check at another one",
    )


def _worst(probe: _Probe) -> list[str]:
    """One line per wrong derivative with respect to a single number, the worst first."""
    rows = []
    for k, path in enumerate(probe.paths):
        for place in itertools.islice(np.ndindex(*np.shape(probe.floats[k])), _PROBED):
            found, expected = probe.entry(k, place)
            if not _close(found, expected, probe.options.tolerance):
                name = path + (f"[{', '.join(map(str, place))}]" if place else "")
                error = abs(found - expected)
                rows.append((error if np.isfinite(error) else np.inf, f"\n    {name}: {found!r}, {expected!r}"))
    rows.sort(key=lambda row: -row[0])
    return [line for _, line in rows[:_SHOWN]]
