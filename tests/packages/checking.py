"""Calls of packages from PyPI, used as they are: value and gradient against the package itself and against differences."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import wengert as wg

SCALES = (1e-2, 3e-3, 1e-3, 3e-4)


@dataclass(frozen=True)
class Call:
    """A realistic call of a package.

    Attributes:
        package: its name on PyPI.
        module: what is imported to see whether it is there.
        title: what is computed.
        make: gives the function; it imports the package.
        args: floats and arrays; the function is differentiated by all of them.
        compiles: whether native code must be made of it; it may run eagerly otherwise.
        tolerance: of the gradient, relative to the differences.
    """

    package: str
    module: str
    title: str
    make: Callable[[], Callable[..., Any]]
    args: tuple[Any, ...]
    compiles: bool = True
    tolerance: float = 1e-6

    @property
    def argnums(self) -> tuple[int, ...]:
        """All arguments."""
        return tuple(range(len(self.args)))

    def function(self) -> Callable[..., Any]:
        """The function; packages say things of their own when they are imported."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(self.module)
            return self.make()


def differences(f: Callable[..., Any], args: tuple[Any, ...], k: int) -> Any:
    """The derivative by argument `k`: central differences, three times extrapolated, with the steps that agree best."""
    x = np.array(args[k], dtype=float)
    found = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        unit = np.zeros(x.shape)
        unit[place] = abs(x[place]) or 0.1

        def at(h: float, unit: Any = unit) -> float:
            moved = x + h * unit
            return float(f(*args[:k], moved if x.ndim else float(moved), *args[k + 1 :]))

        found[place] = min((_extrapolated(at, h) for h in SCALES), key=lambda pair: pair[0])[1] / unit[place]
    return found if x.ndim else float(found)


def _extrapolated(at: Callable[[float], float], h: float) -> tuple[float, float]:
    """Richardson's table: the last correction, and the derivative at 0."""
    row = [(at(h / 2**j) - at(-h / 2**j)) / (2 * h / 2**j) for j in range(4)]
    for m in range(1, 4):
        previous, row = row, [(4**m * row[j + 1] - row[j]) / (4**m - 1) for j in range(len(row) - 1)]
    return abs(row[0] - previous[-1]), row[0]


def gradient_error(found: tuple[Any, ...], expected: tuple[Any, ...], value: float) -> float:
    """The largest relative error; entries that are nothing beside the value count by its scale."""
    floor = 1e-6 * max(1.0, abs(value))
    return max(float(np.max(np.abs(a - b) / np.maximum(np.abs(b), floor))) for a, b in zip(found, expected, strict=True))


def check(call: Call) -> None:
    """The call in CPython, eagerly and compiled (or eagerly after a notice); skipped where the package is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(call.module, reason=f"{call.package} is not installed (extra `packages`)")
    f = call.function()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = float(f(*call.args))
        expected = tuple(differences(f, call.args, k) for k in call.argnums)
        with wg.eager():
            eager_value, eager = wg.value_and_grad(f, argnums=call.argnums)(*call.args)
        caught.clear()
        found_value, found = wg.value_and_grad(f, argnums=call.argnums)(*call.args)
    for v, g in ((eager_value, eager), (found_value, found)):
        assert float(v) == pytest.approx(value, rel=1e-11)
        assert gradient_error(g, expected, value) < call.tolerance
    reasons = [str(w.message) for w in caught if issubclass(w.category, wg.EagerFallbackWarning)]
    assert not (call.compiles and reasons), reasons
