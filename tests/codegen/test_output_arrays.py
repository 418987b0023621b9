"""What a result is computed from lies in the array that is returned, and is overwritten there, where nothing else reads it."""

from __future__ import annotations

import numpy as np
import pytest

import wengert as wg
from wengert.api.program import Program


def softmax(x):
    e = np.exp(x - np.max(x))
    return e / np.sum(e)


def running(x):
    return np.cumsum(x) * 2 + 1


def recurrence(x):
    y = np.zeros(len(x))
    for i in range(1, len(x)):
        y[i] = y[i - 1] * 0.5 + x[i]
    return np.tanh(y)


def of_two(x):
    a, b = np.cumsum(x), np.cumsum(x * x)
    return a - b


def reversed_too(x):
    e = np.exp(x)
    return e[::-1] + e * np.sum(e)


def both(x):
    c = np.cumsum(x)
    return c, 2 * c


def both_turned(x):
    c = np.cumsum(x)
    return 2 * c, c[::-1] * 3


def read_by_another(x):
    y = np.sort(x)
    z = y * 2
    return z, np.sum(y), np.cumsum(z)


def in_a_branch(x):
    a = np.cumsum(x)
    if a[3] > 0.5:
        a = np.sin(a)
    return a * 2


def written_later(x):
    a = np.cumsum(x)
    b = a * 2
    a[0] = 7.0
    return b


def symmetric(x):
    m = x[:900].reshape(30, 30)
    p = m @ m
    return p + p.T


def given_back(x):
    y = np.cumsum(x)
    x[:] = y + 1.0
    return y * 3


ALL = (softmax, running, recurrence, of_two, reversed_too, both, both_turned, read_by_another, in_a_branch, written_later)


@pytest.mark.parametrize("program", (*ALL, symmetric, given_back), ids=lambda f: f.__name__)
@pytest.mark.parametrize("n", (1000, 100_000))
def test_values(program, n):
    x = np.random.default_rng(3).normal(size=n)
    run = wg.jit(program)
    for _ in range(3):
        given, copied = x.copy(), x.copy()
        found, expected = run(given), program(copied)
        np.testing.assert_array_equal(given, copied)
        pairs = zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]
        for ours, theirs in pairs:
            np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("program", (softmax, running), ids=lambda f: f.__name__)
def test_no_memory_but_the_result(program):
    variant, _ = Program(program, lambda traced, _: traced.function, strict=True).variant((np.ones(1000),), {}, ())
    assert not [note for note in variant.compiled.report if note.kind in ("copy", "allocation")]
    text = variant.compiled.llvm_ir
    assert text.count("call ptr @PyArray_New(") == 1, "one new array"


def test_a_failure_frees_what_was_made():
    def fails(x):
        y = np.cumsum(x)
        if y[0] > 0:
            raise ValueError("positive")
        return y * 2

    run = wg.jit(fails)
    for _ in range(100):
        with pytest.raises(ValueError, match="positive"):
            run(np.ones(1_000_000))
    np.testing.assert_array_equal(run(-np.ones(5)), [-2.0, -4.0, -6.0, -8.0, -10.0])
