"""What threads inside of a call bring: milliseconds with one thread and with several, and their ratio.

python benchmarks/threads.py [threads]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import wengert as wg

ROUNDS = 12
RNG = np.random.default_rng(0)


def formula(x: np.ndarray) -> np.ndarray:
    """An elementwise formula, 4 10^6 elements"""
    return np.tanh(x) * np.exp(-x) + np.sin(x)


def total(x: np.ndarray) -> float:
    """Its sum"""
    return np.sum(np.tanh(x) * np.exp(-x) + np.sin(x))


def rows(w: np.ndarray, m: np.ndarray) -> float:
    """A loop over 800000 rows"""
    found = 0.0
    for i in range(len(m)):
        z = np.tanh(m[i] @ w)
        found += z * z + np.exp(-z)
    return found


def settle(a: float) -> float:
    """800000 examples of Newton's method"""
    x = 0.7
    while abs(x * x - a) > 1e-12:
        x = 0.5 * (x + a / x)
    return x


def orbit(x: float) -> float:
    """80000 examples of a loop of 50 steps"""
    y = x
    for _ in range(50):
        y = np.sin(y) + 0.1 * x
    return y


def best(fn: Callable[..., Any], args: tuple[Any, ...]) -> float:
    """Milliseconds of a call: the least of some."""
    fn(*args)
    found = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        fn(*args)
        found = min(found, time.perf_counter() - started)
    return 1e3 * found


def main() -> None:
    """Print the table."""
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    x, m, w = RNG.uniform(0.5, 2.0, 4_000_000), RNG.normal(size=(800_000, 3)), np.array([0.1, 0.2, 0.3])
    programs: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = [
        (f"{formula.__doc__}", wg.jit(formula), (x,)),
        (f"{total.__doc__}", wg.jit(total), (x,)),
        ("The gradient of the sum", wg.grad(total), (x,)),
        (f"{rows.__doc__}", wg.jit(rows), (w, m)),
        ("Its gradient", wg.grad(rows), (w, m)),
        (f"{settle.__doc__}", wg.vmap(settle), (x[:800_000],)),
        (f"{orbit.__doc__}", wg.vmap(orbit), (x[:80_000],)),
        ("Their derivatives", wg.vmap(wg.grad(orbit)), (x[:80_000],)),
    ]
    print(f"| program | 1 thread, ms | {threads} threads, ms | ratio |")
    print("| --- | ---: | ---: | ---: |")
    for name, fn, args in programs:
        times = []
        for count in (1, threads):
            wg.set_threads(count)
            times.append(best(fn, args))
        print(f"| {name} | {times[0]:.2f} | {times[1]:.2f} | {times[0] / times[1]:.2f} |")


if __name__ == "__main__":
    main()
