"""Compiled functions as C function pointers: for SciPy's low-level callables, ctypes and cffi."""

from __future__ import annotations

import ctypes
import gc
import math
import sys
import threading
from typing import Any

import numpy as np
import pytest
from scipy import integrate, ndimage

import wengert as wg

SCALE = 2.0
WEIGHTS = np.array([1.0, 2.0, 3.0])


def bell(x: float) -> float:
    return math.exp(-SCALE * x * x) * WEIGHTS[1]


def wave(x: float, p: Any) -> float:
    return p[0] * math.sin(p[1] * x)


def polynomial(x: Any) -> float:
    return x[0] * x[1] + x[2] ** 2


def spread(values: Any, p: Any) -> float:
    return np.max(values) - p[0] * np.sum(values) / len(values)


def test_numbers() -> None:
    made = wg.c_function(bell)
    assert made(0.5) == made.ctypes(0.5) == pytest.approx(bell(0.5), rel=1e-15)
    pointer = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(made.address)
    assert pointer(0.5) == made(0.5)
    two = wg.c_function(lambda x, y: x * y + math.sin(y), "double(double x, double y)")
    assert two(2.0, 3.0) == 6.0 + math.sin(3.0)
    assert wg.c_function(wg.grad(bell))(0.5) == wg.grad(bell)(0.5)


def test_what_is_read_outside_is_read_once() -> None:
    weights = np.array([1.0, 2.0])
    made = wg.c_function(lambda x: x * weights[1] + np.sum(weights))
    assert made(3.0) == 9.0
    weights[:] = 5.0
    assert made(3.0) == 9.0


def test_quadrature() -> None:
    assert integrate.quad(wg.c_function(bell).low_level(), 0, 1) == pytest.approx(integrate.quad(bell, 0, 1), rel=1e-13)
    p = np.array([2.0, 3.0])
    made = wg.c_function(wave, "double (double, void *)", user_data=p)
    assert integrate.quad(made.low_level(), 0, 1)[0] == pytest.approx(integrate.quad(wave, 0, 1, (p,))[0], rel=1e-13)
    p[0] = 4.0  # the data stays the caller's
    assert integrate.quad(made.low_level(), 0, 1)[0] == pytest.approx(integrate.quad(wave, 0, 1, (p,))[0], rel=1e-13)
    many = wg.c_function(polynomial, "double (int, double *)", size=3).low_level()
    bounds = [[0, 1], [0, 2], [0, 3]]
    assert integrate.nquad(many, bounds)[0] == pytest.approx(integrate.nquad(lambda *x: polynomial(x), bounds)[0], rel=1e-13)


def test_filters() -> None:
    image = np.random.default_rng(0).normal(size=(12, 9))
    signature = "int (double *, npy_intp, double *, void *)"
    made = wg.c_function(spread, signature, size=9, user_data=np.array([0.5])).low_level()
    expected = ndimage.generic_filter(image, lambda values: spread(values, [0.5]), size=3)
    np.testing.assert_allclose(ndimage.generic_filter(image, made, size=3), expected, rtol=1e-13)
    small = wg.c_function(spread, signature, size=4, user_data=np.array([0.5]))
    with pytest.raises(ValueError, match="made for 4 numbers, and got 9"):
        ndimage.generic_filter(image, small.low_level(), size=3)


def test_errors_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: seen.append(found.exc_value))
    made = wg.c_function(lambda x: math.log(x))
    assert math.isnan(made(-1.0)) and made(math.e) == 1.0
    assert isinstance(seen[0], ValueError) and "math domain error" in str(seen[0])

    def shown(values: Any) -> float:
        if values[0] < 0.0:
            raise OverflowError(f"negative: {values}")
        return np.sum(values)

    made = wg.c_function(shown, "double (int, double *)", size=2)
    data = (ctypes.c_double * 2)(-1.0, 2.0)
    assert math.isnan(made(2, data)) and "negative: [-1.  2.]" in str(seen[1])
    assert math.isnan(made(3, data)) and "made for 2 numbers, and got 3" in str(seen[2])
    data[0] = 1.0
    assert made(2, data) == 3.0


def test_the_pointer_keeps_the_code() -> None:
    pointer = wg.c_function(bell).ctypes
    gc.collect()
    wg.c_function(lambda x: x + 1.0)
    assert pointer(0.5) == pytest.approx(bell(0.5), rel=1e-15)


def test_from_several_threads() -> None:
    made = wg.c_function(lambda x: np.sum(np.sin(x)), "double (int, double *)", size=500)
    data = [(ctypes.c_double * 500)(*np.random.default_rng(k).normal(size=500)) for k in range(4)]
    expected, found = [made(500, d) for d in data], [[] for _ in data]
    jobs = [threading.Thread(target=lambda k=k: found[k].extend(made(500, data[k]) for _ in range(200))) for k in range(4)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [set(f) for f in found] == [{e} for e in expected]


def test_cffi() -> None:
    cffi = pytest.importorskip("cffi")
    made = wg.c_function(bell)
    assert cffi.FFI().cast("double (*)(double)", made.address)(0.5) == made(0.5)


@pytest.mark.parametrize("signature", ["float (double)", "double (float)", "double ()", "int (int)", "double (double", "void"])
def test_signatures_that_there_are_not(signature: str) -> None:
    with pytest.raises(wg.ArgumentError, match="no C function of this signature"):
        wg.c_function(bell, signature)


def test_what_cannot_be_one() -> None:
    state = {"n": 0.0}

    def counting(x: float) -> float:
        state["n"] += x
        return x

    def deep(x: float) -> float:
        return x if x < 1.0 else deep(x * 0.5)

    for fn, what in ((lambda x: (x, x), "single float"), (counting, "changes"), (deep, "calls itself")):
        with pytest.raises(wg.UnsupportedError, match=what):
            wg.c_function(fn)
    with pytest.raises(wg.ArgumentError, match="needs the size"):
        wg.c_function(polynomial, "double (int, double *)")
    with pytest.raises(wg.ArgumentError, match="takes no size"):
        wg.c_function(bell, size=3)
    with pytest.raises(wg.ArgumentError, match="needs user_data"):
        wg.c_function(wave, "double (double, void *)")
    with pytest.raises(wg.ArgumentError, match="takes no user_data"):
        wg.c_function(bell, user_data=np.zeros(2))
