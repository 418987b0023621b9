"""The four programs, as anyone would write them: plain Python and NumPy.

Nothing here knows of a compiler or of derivatives. The lynx-hare program is the file
`examples/lynx_hare.py` itself.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))
lynx_hare = importlib.import_module("lynx_hare")
"""(a): its `loss` takes a dataclass and reads its data from module variables."""


@dataclass(frozen=True)
class Program:
    """A loss, the arguments it is timed on, and which of them to differentiate."""

    key: str
    title: str
    loss: Callable[..., float]
    args: tuple[Any, ...]
    argnums: tuple[int, ...]


# --- (b) a branchy scalar recurrence ---


def recurrence(a: float, b: float, c: float, data: Any) -> float:
    """Mean squared distance of a driven, thresholded recurrence from its threshold."""
    x = 0.2
    loss = 0.0
    for d in data:
        if x > c:
            x = a * x - b * x * x + d
        else:
            x = a * x + b * d
        while x > 1.5:
            x = x * 0.7 + 0.1 * b
        loss += (x - c) * (x - c)
    return loss / len(data)


RECURRENCE_MAX_TRIPS = 5
"""Most trips of the inner `while` over the data of `recurrence_args` (peers without `while` need it)."""


def recurrence_args(n: int = 2000) -> tuple[float, float, float, np.ndarray]:
    """Parameters and `n` inputs, skewed so that the `while` runs 0 to 5 times a step."""
    data = np.random.default_rng(2).lognormal(mean=-0.5, sigma=1.1, size=n)
    return 0.9, 0.3, 0.5, np.minimum(data, 6.0)


def recurrence_trips(a: float, b: float, c: float, data: Any) -> int:
    """Most trips that the `while` of `recurrence` takes in one step."""
    x, most = 0.2, 0
    for d in data:
        x = a * x - b * x * x + d if x > c else a * x + b * d
        trips = 0
        while x > 1.5:
            x = x * 0.7 + 0.1 * b
            trips += 1
        most = max(most, trips)
    return most


# --- (c) a heat stencil with conductivity that depends on temperature ---


def heat(k0: float, k1: float, u0: Any, target: Any, steps: int) -> float:
    """Mean squared distance from `target` after `steps` explicit steps of nonlinear diffusion."""
    u = u0.copy()
    for _ in range(steps):
        k = k0 * (1.0 + k1 * u[1:-1] ** 2)
        u[1:-1] += k * (u[2:] - 2 * u[1:-1] + u[:-2])
    return np.mean((u - target) ** 2)


def heat_args(steps: int = 1000, points: int = 1000) -> tuple[float, float, np.ndarray, np.ndarray, int]:
    """Parameters, a bumpy start and a smooth target."""
    x = np.linspace(0.0, 1.0, points)
    u0 = np.sin(np.pi * x) + 0.3 * np.sin(9 * np.pi * x) * x
    return 0.2, 0.5, u0, 0.8 * np.sin(np.pi * x), steps


# --- (d) logistic regression on the breast-cancer data ---


def logistic(w: Any, b: float, x: Any, y: Any) -> float:
    """Mean logistic loss with labels of -1 and 1, written so that it cannot overflow, plus a ridge."""
    m = y * (x @ w + b)
    losses = np.maximum(0.0, -m) + np.log(1.0 + np.exp(-np.abs(m)))
    return np.mean(losses) + 0.001 * np.sum(w * w)


def logistic_args() -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    """Weights off the optimum, and the 569 x 30 data, standardised."""
    data, labels = load_breast_cancer(return_X_y=True)
    x = np.ascontiguousarray((data - data.mean(axis=0)) / data.std(axis=0))
    w = 0.1 * np.random.default_rng(3).standard_normal(x.shape[1])
    return w, 0.1, x, 2.0 * labels - 1.0


# --- the same code under other names ---


def rebound(function: Callable[..., Any], **names: Any) -> Callable[..., Any]:
    """The same code, with other modules behind some of its global names."""
    own = {**function.__globals__, **names}
    for name, value in function.__globals__.items():
        if name not in names and isinstance(value, types.FunctionType) and value.__module__ == function.__module__:
            own[name] = types.FunctionType(value.__code__, own, name, value.__defaults__, value.__closure__)
    return types.FunctionType(function.__code__, own, function.__name__, function.__defaults__, function.__closure__)


# --- arguments as flat vectors, for the peers and for the differences ---


def flat(tree: Any) -> np.ndarray:
    """All numbers of a nest of numbers, arrays, tuples, dicts and dataclasses, in order."""
    return np.array(list(_leaves(tree)))


def _leaves(tree: Any) -> Iterator[Any]:
    if is_dataclass(tree):
        for entry in fields(tree):
            yield from _leaves(getattr(tree, entry.name))
    elif isinstance(tree, dict):
        for entry in tree.values():
            yield from _leaves(entry)
    elif isinstance(tree, tuple | list) or np.ndim(tree):
        for entry in tree:
            yield from _leaves(entry)
    else:
        yield tree if np.iscomplexobj(tree) else float(tree)


def refilled(tree: Any, numbers: Iterator[Any]) -> Any:
    """A nest shaped like `tree` that holds the next `numbers`."""
    if is_dataclass(tree):
        return type(tree)(*(refilled(getattr(tree, entry.name), numbers) for entry in fields(tree)))
    if isinstance(tree, dict):
        return {name: refilled(entry, numbers) for name, entry in tree.items()}
    if isinstance(tree, tuple | list):
        return type(tree)(refilled(entry, numbers) for entry in tree)
    if np.ndim(tree):
        return np.array([next(numbers) for _ in range(np.size(tree))]).reshape(np.shape(tree))
    return next(numbers)


# --- all of them ---


def programs() -> list[Program]:
    """The programs at the sizes they are timed at."""
    return [
        Program("a", "lynx-hare loss", lynx_hare.loss, (lynx_hare.params,), (0,)),
        Program("b", "branchy recurrence", recurrence, recurrence_args(), (0, 1, 2)),
        Program("c", "heat stencil in place", heat, heat_args(), (0, 1, 2)),
        Program("d", "logistic regression", logistic, logistic_args(), (0, 1)),
    ]


def scaled(key: str, steps: int) -> Program:
    """A program that takes `steps` steps, small in everything else.

    The lynx-hare program gets more years of data, by way of its module variables.
    """
    if key == "a":
        years = max(1, steps // lynx_hare.STEPS_PER_YEAR)
        lynx_hare.HARE, lynx_hare.LYNX = (np.resize(counts, years) for counts in LYNX_HARE_COUNTS)
        return Program("a", "lynx-hare loss", lynx_hare.loss, (lynx_hare.params,), (0,))
    if key == "b":
        return Program("b", "branchy recurrence", recurrence, recurrence_args(steps), (0, 1, 2))
    return Program("c", "heat stencil in place", heat, heat_args(steps, points=16), (0, 1, 2))


LYNX_HARE_COUNTS = (lynx_hare.HARE, lynx_hare.LYNX)
