"""Derivatives by difference quotients: at complex points, central, and along random directions.

References:
    J. N. Lyness, C. B. Moler, SIAM J. Numer. Anal. 4 (1967) 202 (complex step); J. C. Spall, IEEE Trans. Autom. Control 37
    (1992) 332 (simultaneous perturbation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wengert.errors import ArgumentError

METHODS = ("complex", "central", "spsa")
EPS = float(np.finfo(float).eps)
COMPLEX_STEP = 2.0**-100

Function = Callable[[Sequence[Any]], list[Any]]
"""From a list of numbers and arrays to a list of arrays."""


@dataclass
class Quotients:
    """How to take difference quotients; see `wengert.wrap` for the fields."""

    method: str
    step: float | None = None
    order: int = 2
    samples: int = 8
    seed: int = 0
    tolerance: float | None = None
    generator: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        if self.order not in (2, 4):
            raise ArgumentError(f"The 'order' argument of wrap must be 2 or 4. Got {self.order!r} instead.")
        if self.samples < 1:
            raise ArgumentError(f"The 'samples' argument of wrap must be at least 1. Got {self.samples!r} instead.")
        self.generator = np.random.default_rng(self.seed)

    def relative_step(self) -> float:
        """The step for numbers of size 1 and below."""
        if self.step is not None:
            return self.step
        if self.method == "spsa":
            return 1e-3
        return EPS ** (1.0 / 3.0) if self.order == 2 else EPS**0.2

    def along(self, f: Function, point: Sequence[Any], direction: Sequence[Any]) -> list[Any]:
        """The directional derivative of `f`."""
        if self.method == "complex":
            return self._complex(f, point, direction)
        size = max((float(np.max(np.abs(d), initial=0.0)) for d in direction), default=0.0)
        if size == 0.0:
            return [np.zeros(np.shape(y)) for y in f(point)]
        scale = max(1.0, *(float(np.max(np.abs(x), initial=0.0)) for x in point))
        return self._central(f, point, direction, self.relative_step() * scale / size)

    def pulled(self, f: Function, point: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """The gradient of the sum of the results of `f`, weighted with `cotangents`."""
        if self.method == "spsa":
            return self._spsa(f, point, cotangents)
        gradients = [np.zeros(np.shape(x)) for x in point]
        for number, place, unit in _units(point):
            if self.method == "complex":
                dots = self._complex(f, point, unit)
            else:
                scale = max(1.0, abs(float(np.asarray(point[number])[place])))
                dots = self._central(f, point, unit, self.relative_step() * scale)
            gradients[number][place] = _product(cotangents, dots)
        return gradients

    def _complex(self, f: Function, point: Sequence[Any], direction: Sequence[Any]) -> list[Any]:
        h = COMPLEX_STEP if self.step is None else self.step
        results = f([_plain(np.asarray(x) + 1j * h * np.asarray(d)) for x, d in zip(point, direction, strict=True)])
        if not any(np.iscomplexobj(y) for y in results):
            raise ArgumentError(
                "the method 'complex' of wrap needs a function that computes with complex numbers; this one returned none",
                fix="use method='central'",
            )
        return [np.imag(y) / h for y in results]

    def _central(self, f: Function, point: Sequence[Any], direction: Sequence[Any], h: float) -> list[Any]:
        near = _quotient(f, point, direction, h)
        if self.order == 2 and self.tolerance is None:
            return near
        far = _quotient(f, point, direction, 2.0 * h)
        better = [(4.0 * a - b) / 3.0 for a, b in zip(near, far, strict=True)]
        if self.tolerance is not None:
            self._check(near if self.order == 2 else better, far, better)
        return near if self.order == 2 else better

    def _check(self, found: Sequence[Any], far: Sequence[Any], better: Sequence[Any]) -> None:
        """Raise where the step matters more than it may."""
        others = better if self.order == 2 else far
        for a, b in zip(found, others, strict=True):
            error = float(np.max(np.abs(a - b), initial=0.0)) / (1.0 if self.order == 2 else 15.0)
            size = float(np.max(np.abs(a), initial=0.0))
            if not error <= float(self.tolerance or 0.0) * max(size, EPS):
                raise ArithmeticError(
                    f"a derivative by central differences has an estimated error of {error:.1e}, and the derivative is {size:.1e}"
                )

    def _spsa(self, f: Function, point: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        totals = [np.zeros(np.shape(x)) for x in point]
        steps = [self.relative_step() * np.maximum(1.0, np.abs(x)) for x in point]
        for _ in range(self.samples):
            signs = [self.generator.choice((-1.0, 1.0), size=np.shape(x)) for x in point]
            moves = [s * h for s, h in zip(signs, steps, strict=True)]
            slope = _product(cotangents, _quotient(f, point, moves, 1.0))
            totals = [t + slope / m for t, m in zip(totals, moves, strict=True)]
        return [t / self.samples for t in totals]


def _quotient(f: Function, point: Sequence[Any], direction: Sequence[Any], h: float) -> list[Any]:
    ahead = f([_plain(np.asarray(x) + h * np.asarray(d)) for x, d in zip(point, direction, strict=True)])
    behind = f([_plain(np.asarray(x) - h * np.asarray(d)) for x, d in zip(point, direction, strict=True)])
    return [(a - b) / (2.0 * h) for a, b in zip(ahead, behind, strict=True)]


def _plain(x: Any) -> Any:
    """Arrays of rank 0 as Python numbers."""
    return x if np.ndim(x) else np.asarray(x).item()


def _product(cotangents: Sequence[Any], dots: Sequence[Any]) -> float:
    return sum(float(np.sum(np.asarray(c) * d)) for c, d in zip(cotangents, dots, strict=True))


def _units(point: Sequence[Any]) -> Iterator[tuple[int, tuple[int, ...], list[Any]]]:
    for number, x in enumerate(point):
        for place in np.ndindex(*np.shape(x)):
            unit = [np.zeros(np.shape(y)) for y in point]
            unit[number][place] = 1.0
            yield number, place, unit
