"""What a call costs that computes next to nothing: processor microseconds for floats, arrays and a captured array.

    python benchmarks/calls.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import wengert as wg

SCALE = np.array([1.0, 2.0, 3.0])
ROUNDS, CALLS = 15, 5000


def floats(a: float, b: float, c: float) -> float:
    """Three floats."""
    return a * b + c * c


def arrays(x: np.ndarray, y: np.ndarray) -> float:
    """Two arrays."""
    return np.sum(x * y)


def captured(x: np.ndarray) -> float:
    """An array, and one that the function finds in its module."""
    return np.sum(x * SCALE)


def cost(fn: Callable[..., Any], args: tuple[Any, ...]) -> float:
    """Microseconds of a call: the least of some rounds."""
    fn(*args)
    fn(*args)
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(CALLS):
            fn(*args)
        best = min(best, (time.process_time() - started) / CALLS)
    return 1e6 * best


def main() -> None:
    """Print the table."""
    x = np.array([0.5, 1.5, 2.5])
    programs = ((floats, (1.0, 2.0, 3.0)), (arrays, (x, x.copy())), (captured, (x,)))
    print("| arguments | CPython | jit | grad | value_and_grad | native entry |")
    print("| --- |" + " ---: |" * 5)
    for fn, args in programs:
        positions = tuple(range(len(args)))
        jitted = wg.jit(fn)
        made = [fn, jitted, wg.grad(fn, argnums=positions), wg.value_and_grad(fn, argnums=positions)]
        times = [cost(f, args) for f in made]
        (variant,) = next(iter(jitted.program.variants.values()))
        inputs = variant.inputs(list(args))
        times.append(cost(variant.compiled.entry, tuple(inputs)))
        print(f"| {fn.__doc__} | " + " | ".join(f"{t:.2f}" for t in times) + " |")


if __name__ == "__main__":
    main()
