"""Runs a program in every mode: CPython, eager, reference, compiled; gradients against differences and each other."""

from __future__ import annotations

import copy

import numpy as np

import wengert as wg
from tests.frontend.agreement import agree


def same_everywhere(f, *calls, gradient=True, rtol=1e-6):
    """All modes agree on every tuple of arguments in `calls`; the derivative by the first argument is right."""
    agree(f, *calls[0], also=calls[1:])
    compiled = wg.jit(f)
    for args in calls:
        expected = f(*copy.deepcopy(args))
        np.testing.assert_allclose(compiled(*args), expected, rtol=1e-12, atol=1e-300)
        if gradient:
            check_gradient(f, args, rtol)


def check_gradient(f, args, rtol):
    """Reverse, forward and eager derivatives by the first argument against central differences."""
    x, *rest = args
    expected = _differences(f, x, rest)
    np.testing.assert_allclose(wg.grad(f)(*args), expected, rtol=rtol, atol=rtol)
    with wg.eager():
        np.testing.assert_allclose(wg.grad(f)(*args), expected, rtol=rtol, atol=rtol)
    direction = np.ones_like(x) if isinstance(x, np.ndarray) else 1.0
    found = wg.jvp(lambda v: f(v, *rest), (x,), (direction,))[1]
    np.testing.assert_allclose(found, np.sum(expected), rtol=rtol, atol=rtol)


def _differences(f, x, rest):
    if not isinstance(x, np.ndarray):
        h = 1e-6 * max(1.0, abs(x))
        return (f(x + h, *copy.deepcopy(rest)) - f(x - h, *copy.deepcopy(rest))) / (2.0 * h)
    found = np.zeros_like(x)
    for k in range(x.size):
        step = np.zeros_like(x)
        step[k] = 1e-6
        found[k] = (f(x + step, *copy.deepcopy(rest)) - f(x - step, *copy.deepcopy(rest))) / 2e-6
    return found


def raises_alike(f, *args):
    """The exception of CPython, of compiled and of eager code have one class, message and line; gives the exception."""
    found = []
    for run in (f, wg.jit(f), _eagerly(f)):
        try:
            run(*copy.deepcopy(args))
        except Exception as error:  # noqa: BLE001 - any exception of the program
            found.append(error)
    assert len(found) == 3, found
    assert len({type(e) for e in found}) == 1, found
    expected = str(found[0])
    assert all(str(e).startswith(expected) for e in found), [str(e) for e in found]
    return found[0]


def _eagerly(f):
    def run(*args):
        with wg.eager():
            return wg.jit(f)(*args)

    return run
