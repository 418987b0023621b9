"""Loops cut into parts that run in threads: results are those of one thread, and of Python; what may not be cut is not."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import wengert as wg
from wengert.codegen import parts, threads

RNG = np.random.default_rng(3)
X = RNG.uniform(0.5, 2.0, 23)
M = RNG.uniform(0.5, 2.0, (11, 5))


@pytest.fixture(autouse=True)
def _three_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three threads, and every loop is thought long enough."""
    monkeypatch.setattr(parts, "GRAIN", 1e-3)
    wg.set_threads(3)
    yield
    wg.set_threads(1)


def native(fn: Any) -> str:
    return "".join(v.compiled.llvm_ir for found in fn.program.variants.values() for v in found)


def number_of_parts(fn: Any) -> int:
    return native(fn).count("define internal void @wg.part")


def chain(x: np.ndarray) -> Any:
    y = np.tanh(x) * np.exp(-x) + np.sin(x)
    return np.sum(y * y), np.max(y), np.min(x), np.prod(x), np.any(x > 1.9), y


def angles(x: np.ndarray) -> Any:
    return np.sin(x * 1e9), np.cos(x[:, np.newaxis] * x)


def stencil(x: np.ndarray) -> Any:
    y = x.copy()
    for _ in range(7):
        y[1:-1] = 0.25 * (y[:-2] + 2.0 * y[1:-1] + y[2:])
        y[0] += 0.1 * np.sum(y)
    return y


def single(x: np.ndarray) -> Any:
    z = x.astype(np.float32)
    return np.sum(z * z), np.cumsum(z)


def integers(x: np.ndarray) -> Any:
    k = np.floor(x * 10.0).astype(np.int64)
    total = 0
    for j in k:
        total += j * j
    return total, np.sum(k), np.max(k)


ELEMENTWISE = (chain, angles, stencil, single, integers)


@pytest.mark.parametrize("fn", ELEMENTWISE, ids=lambda f: f.__name__)
def test_nests_in_parts(fn: Callable[..., Any]) -> None:
    compiled = wg.jit(fn)
    for x in (X, X[:2], np.concatenate([X, X * 0.5])):
        found, expected = compiled(x), fn(x)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6 if fn is single else 1e-12)
    assert number_of_parts(compiled) > 0


def row_sums(w: np.ndarray, m: np.ndarray) -> float:
    total = 0.0
    for i in range(len(m)):
        z = np.tanh(m[i] @ w)
        total += z * z + np.exp(-z)
    return total


def rows_and_branches(w: np.ndarray, m: np.ndarray) -> float:
    out = np.zeros((len(m), 2))
    for i in range(len(m)):
        s = 0.0
        for j in range(len(w)):
            s += m[i, j] * w[j] if m[i, j] > 1.0 else np.sin(m[i, j] * w[j])
        if s > 3.0:
            out[i, 0] = s
        else:
            out[i, 1] = s * s
    return np.sum(out**2)


def backwards(w: np.ndarray, m: np.ndarray) -> float:
    out = m.copy()
    n = len(m)
    for i in range(n):
        out[n - 1 - i] = out[n - 1 - i] * w + np.sum(m[i])
    return np.sum(np.sin(out))


def histogram(w: np.ndarray, m: np.ndarray) -> float:
    bins = np.zeros(len(w))
    for i in range(len(m)):
        for j in range(len(w)):
            bins[(i * j) % len(w)] += m[i, j] * w[j]
    return np.sum(bins**3)


def searched(w: np.ndarray, m: np.ndarray) -> float:
    total = 0.0
    for i in range(len(m)):
        root = 1.0
        while abs(root * root - m[i, 0] * w[1]) > 1e-12:
            root = 0.5 * (root + m[i, 0] * w[1] / root)
        total += root
    return total


def factored(w: np.ndarray, m: np.ndarray) -> float:
    total = 0.0
    for i in range(len(m)):
        a = np.outer(m[i], m[i]) + np.diag(w) * 4.0
        total += np.linalg.solve(a, w) @ m[i] + np.linalg.slogdet(a)[1]
    return total


LOOPS = (row_sums, rows_and_branches, backwards, histogram, searched, factored)


@pytest.mark.parametrize("fn", LOOPS, ids=lambda f: f.__name__)
def test_loops_in_parts_and_their_gradients(fn: Callable[..., Any]) -> None:
    w = RNG.uniform(0.5, 1.5, 5)
    both = wg.value_and_grad(fn, argnums=(0, 1))
    value, gradients = both(w, M)
    assert number_of_parts(both) > 0
    assert value == pytest.approx(fn(w, M), rel=1e-12)
    wg.set_threads(1)
    alone, expected = both(w, M)
    assert value == pytest.approx(alone, rel=1e-12)
    for a, b in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def settle(a: float, w: np.ndarray) -> Any:
    x = 0.7
    while abs(x * x - a) > 1e-12:
        x = 0.5 * (x + a / x)
    return x * w if a > 1.2 else -x * w


@pytest.mark.parametrize("order", [0, 1])
def test_examples_in_parts(order: int) -> None:
    def f(a: float, w: np.ndarray) -> float:
        return np.sum(np.sin(settle(a, w)))

    inner = wg.grad(f, argnums=(0, 1)) if order else settle
    w = np.array([0.3, 0.7])
    batched = wg.vmap(inner, in_axes=(0, None))
    found = batched(X, w)
    assert number_of_parts(batched) > 0
    expected = [inner(x, w) for x in X]
    if order:
        np.testing.assert_array_equal(found[0], [e[0] for e in expected])
        np.testing.assert_array_equal(found[1], [e[1] for e in expected])
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-15)


# --- what needs its order -------------------------------------------------------------------------------------------


def recurrence(x: np.ndarray) -> Any:
    y = np.zeros(len(x))
    y[0] = x[0]
    for i in range(1, len(x)):
        y[i] = 0.5 * y[i - 1] + x[i]
    return y


def shifted(x: np.ndarray) -> Any:
    y = x.copy()
    for i in range(len(x) - 1):
        y[i] = y[i + 1] * 2.0
    return y


def overlapping(x: np.ndarray) -> Any:
    y = np.zeros(len(x))
    for i in range(len(x) - 1):
        y[i] = x[i]
        y[i + 1] = -x[i]
    return y


def halved(x: np.ndarray) -> Any:
    y = np.zeros(len(x))
    for i in range(len(x)):
        y[i // 2] = x[i]
    return y


def by_table(x: np.ndarray) -> Any:
    y, table = np.zeros(len(x)), np.argsort(x) // 2
    for i in range(len(x)):
        y[table[i]] = x[i]
    return y


def running(x: np.ndarray) -> Any:
    y, total = np.zeros(len(x)), 0.0
    for i in range(len(x)):
        total += x[i]
        y[i] = total
    return y


def largest(x: np.ndarray) -> Any:
    best, where = 0.0, 0
    for i in range(len(x)):
        if x[i] > best:
            best, where = x[i], i
    return best, where


def last(x: np.ndarray) -> Any:
    seen = 0.0
    for i in range(len(x)):
        seen = x[i] * 2.0
    return seen, np.array([seen])


def scaled_sum(x: np.ndarray) -> Any:
    total = 1.0
    for i in range(len(x)):
        total = 0.5 * total + x[i]
    return total, np.array([total])


ORDERED = (recurrence, shifted, overlapping, halved, by_table, running, largest, last, scaled_sum)


@pytest.mark.parametrize("fn", ORDERED, ids=lambda f: f.__name__)
def test_loops_whose_iterations_need_each_other_are_not_cut(fn: Callable[..., Any]) -> None:
    compiled = wg.jit(fn)
    for _ in range(3):
        for a, b in zip(compiled(X), fn(X), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14)
    gradient = wg.grad(lambda x: np.sum(fn(x)[0] * 1.5))
    found = gradient(X)
    wg.set_threads(1)
    np.testing.assert_allclose(found, gradient(X), rtol=1e-13)


# --- errors, threads around, switches -------------------------------------------------------------------------------


def test_the_first_error_is_raised() -> None:
    def checked(x: np.ndarray, k: int) -> float:
        total = 0.0
        for i in range(len(x)):
            if x[i] < 0.0:
                raise OverflowError(f"{x[i]} at {i}")
            total += x[i] * x[i + k]
        return total

    compiled = wg.jit(checked)
    x = X.copy()
    x[[9, 12, 21]] = [-1.0, -2.0, -3.0]
    for _ in range(10):
        with pytest.raises(OverflowError, match=r"-1\.0 at 9"):
            compiled(x, 0)
        with pytest.raises(IndexError, match="23"):
            compiled(X, 1)
    assert compiled(X, 0) == pytest.approx(checked(X, 0), rel=1e-13)
    assert number_of_parts(compiled) > 0


def test_results_are_the_same_every_time() -> None:
    both = wg.value_and_grad(lambda x: np.sum(np.tanh(x) * np.exp(x)))
    x = RNG.normal(size=100_000)
    first = both(x)
    for _ in range(5):
        again = both(x)
        assert again[0] == first[0]
        np.testing.assert_array_equal(again[1], first[1])


def test_threads_inside_of_threads() -> None:
    both, w = wg.value_and_grad(row_sums), np.full(5, 0.3)
    expected, found = both(w, M), []
    jobs = [threading.Thread(target=lambda: found.extend(both(w, M) for _ in range(20))) for _ in range(4)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert len(found) == 80
    for value, gradient in found:
        assert value == expected[0]
        np.testing.assert_array_equal(gradient, expected[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_after_a_fork() -> None:
    compiled = wg.jit(row_sums)
    w = np.full(5, 0.3)
    expected = compiled(w, M)
    child = os.fork()
    if child == 0:
        os._exit(0 if compiled(w, M) == expected else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = wg.jit(row_sums)
    w = np.full(5, 0.3)
    for count in (1, 2, 1, 3):
        wg.set_threads(count)
        assert wg.get_threads() == count
        assert compiled(w, M) == pytest.approx(row_sums(w, M), rel=1e-12)
    assert compiled.stats.compilations == 2
    for wrong in (0, -1, 65, 1.5, True):
        with pytest.raises(wg.ArgumentError, match="1 to 64"):
            wg.set_threads(wrong)  # type: ignore[arg-type]
    monkeypatch.setenv("WENGERT_NUM_THREADS", "4")
    assert threads._from_environment() == 4
    monkeypatch.setenv("WENGERT_NUM_THREADS", "many")
    assert threads._from_environment() == 1


def test_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WENGERT_DISABLE", "threads")
    wg.set_threads(3)
    compiled = wg.jit(row_sums)
    compiled(np.full(5, 0.3), M)
    assert number_of_parts(compiled) == 0
