"""What has been written to a part of an array is read there by later code, as long as the part is not overwritten."""

import numpy as np
import pytest

import wengert as wg
from wengert.api.program import Program


def stencil(a, steps):
    a = a.copy()
    b = a.copy()
    for _ in range(steps):
        b[1:-1] = np.exp(-(a[1:-1] * a[1:-1])) + a[:-2] - a[2:]
        a[1:-1] = np.exp(-b[1:-1]) + b[:-2] - b[2:]
    return a


def overwritten_behind(a, steps):
    b = np.zeros_like(a)
    for i in range(steps):
        t = np.sin(a[1:-1]) * a[:-2] + a[2:]
        b[1:-1] = t
        b[2] = 5.0
        a = a + np.sum(t * b[1:-1])
        b[i % 3] += t[1]
        a[1:-1] += t
    return a + b


def overwritten_in_a_loop(a, steps):
    b = np.zeros_like(a)
    t = np.sin(a[1:-1]) * a[:-2] + a[2:]
    b[1:-1] = t
    for i in range(steps):
        b[i] += t[0] * 2.0
        b[1:-1] = t + np.cos(b[:-2]) * b[2:] * b[1:-1]
    return b[1:-1] + t


def overwritten_in_a_branch(a, steps):
    b = np.zeros_like(a)
    t = np.sin(a[1:-1]) * a[:-2] + a[2:]
    b[1:-1] = t
    if a[0] > 0.0:
        b[2:] = 3.0 * np.sin(b[2:] * a[0]) * a[1]
    u = np.sum(t * b[1:-1])
    b[1:-1] = np.tanh(t + b[1:-1]) * a[2:]
    return b[1:-1] + t + u


PROGRAMS = (stencil, overwritten_behind, overwritten_in_a_loop, overwritten_in_a_branch)


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("off", ("", "inplace"))
def test_values_and_gradients(f, off, monkeypatch):
    monkeypatch.setenv("WENGERT_DISABLE", off)
    for a in (np.linspace(0.2, 1.3, 8), np.linspace(-0.2, 1.3, 9)):
        np.testing.assert_allclose(wg.jit(lambda a, n: f(a, n))(a.copy(), 5), f(a.copy(), 5), rtol=1e-12)
        weights = np.cos(np.arange(len(f(a.copy(), 5))))
        found = wg.grad(lambda a, n: weights @ f(a, n))(a, 5)
        with wg.eager():
            np.testing.assert_allclose(found, wg.grad(lambda a, n: weights @ f(a, n))(a, 5), rtol=1e-9, atol=1e-12)


def test_a_stencil_has_no_temporary():
    variant, _ = Program(stencil, lambda traced, _: traced.function, strict=True).variant((np.ones(9), 3), {}, ())
    assert not [note for note in variant.compiled.report if note.loops]
