"""Results that loops make lie in the NumPy arrays that are returned: no copy, nothing lost on any way out."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import wengert as wg


def running(x, n):
    y = np.zeros(n)
    for i in range(n):
        y[i] = x[i % len(x)] * 2.0
    for i in range(1, n):
        y[i] += 0.5 * y[i - 1]
    return y


def test_a_result_of_loops() -> None:
    f, x = wg.jit(running), np.arange(1.0, 8.0)
    first = f(x, 200)
    np.testing.assert_array_equal(first, running(x, 200))
    second = f(x + 1.0, 200)
    np.testing.assert_array_equal(first, running(x, 200))  # the second call does not write to it
    np.testing.assert_array_equal(second, running(x + 1.0, 200))
    assert first.flags.owndata and first.flags.writeable
    assert f(x, 0).shape == (0,)


def test_one_array_returned_twice_and_changed_behind_the_loop() -> None:
    def f(x, n):
        y = np.zeros(n)
        for i in range(n):
            y[i] = x * i
        z = y + 1.0
        return y, z, y

    y, z, again = wg.jit(f)(2.0, 300)
    np.testing.assert_array_equal(y, 2.0 * np.arange(300))
    np.testing.assert_array_equal(z, y + 1.0)
    np.testing.assert_array_equal(again, y)
    y[0] = 7.0
    assert wg.jit(f)(2.0, 300)[2][0] == 0.0


def test_results_that_take_over_an_argument_or_swap() -> None:
    def swapping(x, y, n):
        for i in range(n):
            x, y = y + i, x * 2.0
        return x, y

    x, y = np.arange(100.0), np.ones(100)
    for n in (0, 1, 2, 5):
        for found, wanted in zip(wg.jit(swapping)(x, y, n), swapping(x, y, n), strict=True):
            np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(x, np.arange(100.0))


def test_growing_lists_and_arrays_that_are_read_while_they_are_made() -> None:
    def primes(limit, n):
        found = [2.0]
        for k in range(3, n):
            if limit * k % 2.0 > 0.5:
                found.append(limit * k)
        return np.array(found)

    np.testing.assert_array_equal(wg.jit(primes)(1.0, 200), primes(1.0, 200))

    def blurred(x, n):
        y = x.copy()
        for _ in range(n):
            y = 0.5 * (y + y[::-1])
        return y, x

    x = np.linspace(0.0, 1.0, 150)
    for found, wanted in zip(wg.jit(blurred)(x, 3), blurred(x, 3), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_an_exception_behind_the_loop_loses_no_memory() -> None:
    def f(x, n):
        y = np.zeros(n)
        for i in range(n):
            y[i] = x * i
        if y[n - 1] > 5.0:
            raise ValueError("too large")
        return y

    compiled = wg.jit(f)
    compiled(0.0, 1000)
    with pytest.raises(ValueError, match="too large"):
        compiled(1.0, 1000)
    before = resident()
    for _ in range(200):
        with pytest.raises(ValueError, match="too large"):
            compiled(1.0, 100_000)
        compiled(0.0, 100_000)
    gc.collect()
    assert resident() - before < 40_000_000


def resident() -> int:
    """Bytes of memory of this process."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096
    except OSError:
        pytest.skip("memory is measured on Linux only")


@pytest.mark.parametrize("off", ["inplace", "fuse"])
def test_without_it(off: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WENGERT_DISABLE", off)
    x = np.arange(1.0, 8.0)
    np.testing.assert_array_equal(wg.jit(lambda x, n: running(x, n))(x, 200), running(x, 200))
