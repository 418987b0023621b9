"""Compiled functions called from several Python threads at once: results, errors and state are those of one thread."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import wengert as wg

THREADS = 8


@pytest.fixture(autouse=True)
def _hurried() -> Iterator[None]:
    """Threads take turns often, so that what they share is seen."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def together(jobs: list[Callable[[], Any]]) -> list[Any]:
    """What the jobs return, each run in a thread of its own, all started at once."""
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        start.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs, timeout=60))


def chain(x: np.ndarray) -> float:
    y = np.sin(x) * x
    for k in range(len(x) - 1):
        y[k + 1] += 0.5 * y[k] * np.tanh(y[k])
    return np.sum(y * y)


def newton(x: np.ndarray) -> float:
    total = 0.0
    for value in x:
        root = 1.0
        while abs(root * root - value) > 1e-12:
            root = 0.5 * (root + value / root)
        total += root * value
    return total


def depth(x: float, n: int) -> float:
    return x if n <= 0 else np.sin(depth(x, n - 1)) + 0.1 * x


def recursive(x: np.ndarray) -> float:
    total = 0.0
    for value in x[:20]:
        total += depth(value, int(40.0 * value) + len(x) % 3)
    return total


def products(x: np.ndarray) -> float:
    a = np.outer(x, x) + np.eye(len(x)) * len(x)
    return np.sum(np.linalg.solve(a, x) * x) + np.sum(np.cumsum(x) * x)


def sorted_sum(x: np.ndarray) -> float:
    kept = []
    for value in x:
        if value > 0.8:
            kept.append(value * value)
    return np.sum(np.sort(x) * x[::-1]) + sum(kept)


FUNCTIONS = (chain, newton, recursive, products, sorted_sum)


def inputs(k: int) -> np.ndarray:
    return np.random.default_rng(k).uniform(0.5, 1.5, 20 + 7 * k)


@pytest.mark.parametrize("fn", FUNCTIONS, ids=lambda f: f.__name__)
def test_one_function_in_eight_threads(fn: Callable[..., Any]) -> None:
    """Each thread has inputs of its own; the function is traced and compiled by whoever comes first, once."""
    expected = [wg.value_and_grad(fn)(inputs(k)) for k in range(THREADS)]
    fresh = wg.value_and_grad(lambda x: fn(x))

    def job(k: int) -> list[Any]:
        return [fresh(inputs(k)) for _ in range(12)]

    for found, (value, gradient) in zip(together([lambda k=k: job(k) for k in range(THREADS)]), expected, strict=True):
        for each in found:
            assert each[0] == value
            np.testing.assert_array_equal(each[1], gradient)
    assert fresh.stats.compilations == 1


def test_different_functions_at_once() -> None:
    expected = {fn: wg.value_and_grad(fn)(inputs(1)) for fn in FUNCTIONS}

    def job(fn: Callable[..., Any]) -> list[Any]:
        return [wg.value_and_grad(lambda x: fn(x))(inputs(1)) for _ in range(2)]

    chosen = [FUNCTIONS[k % len(FUNCTIONS)] for k in range(THREADS)]
    for fn, found in zip(chosen, together([lambda fn=fn: job(fn) for fn in chosen]), strict=True):
        for value, gradient in found:
            assert value == expected[fn][0]
            np.testing.assert_array_equal(gradient, expected[fn][1])


def test_functions_that_use_each_other_do_not_wait_for_each_other() -> None:
    inner_a, inner_b = wg.jit(lambda x: x * x), wg.jit(lambda x: x + 1.0)
    outer_a, outer_b = wg.jit(lambda x: inner_b(x) * 2.0), wg.jit(lambda x: inner_a(x) * 3.0)
    jobs = [lambda: inner_a(2.0), lambda: outer_a(2.0), lambda: inner_b(2.0), lambda: outer_b(2.0)]
    assert together(jobs) == [4.0, 6.0, 3.0, 12.0]


def test_native_code_lets_other_threads_run() -> None:
    """While a long call runs, this thread goes on."""

    @wg.jit
    def long(x: float, n: int) -> float:
        for _ in range(n):
            x = x * 0.999999 + np.sin(x) * 1e-9
        return x

    def waits_for_nobody() -> bool:
        begun, ended = threading.Event(), list[float]()

        def run() -> None:
            begun.set()
            long(1.0, 5_000_000)
            ended.append(time.perf_counter())

        thread = threading.Thread(target=run)
        thread.start()
        begun.wait()
        time.sleep(0.001)
        back = time.perf_counter()
        thread.join()
        return back < ended[0]

    long(1.0, 10)
    assert any(waits_for_nobody() for _ in range(10))  # the machine may have other things to do, once or twice


def test_messages_show_the_arrays_of_their_own_call() -> None:
    @wg.jit
    def checked(x: np.ndarray, limit: float) -> float:
        y = np.cumsum(x * 2.0)
        if np.max(y) > limit:
            raise OverflowError(f"too large: {y} over {limit}")
        return np.sum(y)

    def job(k: int) -> set[str]:
        x, seen = np.full(5000, float(k)), set()
        for _ in range(10):
            try:
                checked(x, 1.0)
            except OverflowError as error:
                seen.add(str(error).split("\n")[0])
        return seen

    for k, seen in enumerate(together([lambda k=k: job(k) for k in range(1, THREADS)]), 1):
        assert len(seen) == 1 and f"{2.0 * k * 5000:.3e}"[:3] in min(seen)


def test_bounds_and_sizes_are_checked_per_call() -> None:
    @wg.jit
    def pick(x: np.ndarray, k: int) -> float:
        total = 0.0
        for j in range(len(x)):
            total += x[j + k]
        return total

    def job(k: int) -> list[Any]:
        found: list[Any] = []
        for _ in range(20):
            try:
                found.append(pick(np.ones(100 + k), k % 2 * 5))
            except IndexError as error:
                found.append(str(error).split("\n")[0])
        return found

    for k, found in enumerate(together([lambda k=k: job(k) for k in range(THREADS)])):
        assert len(set(found)) == 1
        assert (f"{100 + k}" in found[0]) if k % 2 else (found[0] == 100.0 + k)


def test_prints_and_draws_take_the_lock_again() -> None:
    def drawn(x: float, seed: int, n: int) -> float:
        generator = np.random.default_rng(seed)
        for _ in range(n):
            x += 0.1 * generator.normal(x, 1.0)
        return x

    compiled = wg.value_and_grad(drawn)
    expected = [wg.value_and_grad(drawn)(1.5, k, 30) for k in range(THREADS)]
    assert together([lambda k=k: [compiled(1.5, k, 30) for _ in range(5)] for k in range(THREADS)]) == [[e] * 5 for e in expected]


def test_eager_mode_in_threads() -> None:
    def job(k: int) -> Any:
        with wg.eager():
            return [wg.value_and_grad(chain)(inputs(k)) for _ in range(2)]

    for k, found in enumerate(together([lambda k=k: job(k) for k in range(THREADS)])):
        value, gradient = wg.value_and_grad(chain)(inputs(k))
        for each in found:
            assert each[0] == pytest.approx(value, rel=1e-12)
            np.testing.assert_allclose(each[1], gradient, rtol=1e-11)


def test_transformations_in_threads() -> None:
    def curve(x: np.ndarray) -> float:
        return np.sum(np.sin(x) ** 2) + np.prod(np.cos(x[:3]))

    x = np.linspace(0.1, 0.9, 5)
    makers = (wg.grad, wg.jacrev, lambda f: wg.hvp(f), lambda f: wg.vmap(wg.grad(f)))
    arguments = ((x,), (x,), (x, x), (np.stack([x, 2.0 * x]),))
    expected = [make(curve)(*args) for make, args in zip(makers, arguments, strict=True)]
    jobs = [lambda k=k: makers[k % 4](lambda x: curve(x))(*arguments[k % 4]) for k in range(THREADS)]
    for k, found in enumerate(together(jobs)):
        np.testing.assert_array_equal(found, expected[k % 4])


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this platform has no timers that send signals")
def test_endless_loops_end_at_signals() -> None:
    """A handler that raises, as that of Ctrl-C does, ends a loop that would not end."""

    def endless(x: float) -> float:
        while x > 0.0:
            x = x * 0.5 + 1.0
        return x

    class Stopped(Exception):
        pass

    def stop(number: int, frame: Any) -> None:
        raise Stopped

    compiled = wg.jit(endless)
    compiled(-1.0)
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(Stopped):
            compiled(1.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert compiled(-1.0) == -1.0


def test_the_limit_of_recursion_is_put_back():
    before = sys.getrecursionlimit()

    def work(k):
        with wg.eager():
            wg.grad(lambda x: x**k + sum(x for _ in range(200)))(0.5)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sys.getrecursionlimit() == before
