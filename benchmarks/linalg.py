"""Linear algebra against NumPy: seconds per call of products, solutions and Cholesky factors, and of their gradients.

Usage: OPENBLAS_NUM_THREADS=1 python benchmarks/linalg.py
"""

from __future__ import annotations

import statistics
import time

import numpy as np

import wengert as wg

SIZES = (2, 4, 8, 64, 512)


def product(a, y):
    return a @ y


def solution(a, y):
    return np.linalg.solve(a, y)


def factor(a, y):
    return np.linalg.cholesky(a)


FUNCTIONS = {"matmul": product, "solve": solution, "cholesky": factor}


def seconds(function, *args, budget=0.3, most=2000):
    """Median time of a call."""
    function(*args)
    times = []
    end = time.perf_counter() + budget
    while time.perf_counter() < end and len(times) < most:
        start = time.perf_counter()
        function(*args)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main():
    rng = np.random.default_rng(0)
    print(f"{'':10}{'n':>5}{'numpy us':>12}{'native us':>12}{'ratio':>8}{'gradient us':>13}{'grad/native':>13}")
    for name, function in FUNCTIONS.items():
        native = wg.jit(function)
        gradient = wg.jit(wg.grad(lambda a, y, f=function: np.sum(f(a, y) ** 2)))
        for n in SIZES:
            half = rng.normal(size=(n, n))
            a, y = half @ half.T + n * np.eye(n), rng.normal(size=(n, n))
            np.testing.assert_allclose(native(a, y), function(a, y), rtol=1e-7, atol=1e-9 * n)
            numpy_time = seconds(function, a, y)
            time_native = seconds(native, a, y)
            time_gradient = seconds(gradient, a, y)
            figures = (numpy_time * 1e6, time_native * 1e6, time_native / numpy_time, time_gradient * 1e6)
            print(f"{name:10}{n:5}{figures[0]:12.2f}{figures[1]:12.2f}{figures[2]:8.2f}{figures[3]:13.2f}", end="")
            print(f"{time_gradient / time_native:13.2f}")


if __name__ == "__main__":
    main()
