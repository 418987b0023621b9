"""Inlined kernels against mpmath over their whole range, and the edges of their domains against the C library."""

from __future__ import annotations

import math

import numpy as np
import pytest

import wengert.ops  # noqa: F401 - registers the ops
from wengert.codegen import Compiled, Options, compile
from wengert.codegen.vecmath import KERNELS
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Value
from wengert.ir.op import get_op
from wengert.types import F32, F64, I64_SCALAR, DType, TensorType, dim_of

mpmath = pytest.importorskip("mpmath")

LIMITS = {"exp": 1.0, "log": 1.0, "log1p": 1.0, "sin": 1.0, "cos": 1.0, "expm1": 2.0, "tanh": 2.2}


def native(name: str, options: Options | None = None, dtype: DType = F64) -> Compiled:
    size = Value(I64_SCALAR, "n")
    x = Value(TensorType(dtype, (dim_of(size),)), "x")
    b = Builder()
    result = b.emit(get_op(name), [x])
    return compile(Function(name, (size,), (x,), tuple(b.instrs), result), options)


def points(name: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    small = np.concatenate([s * 10.0 ** rng.uniform(-18, 0, 300) for s in (-1, 1)])
    positive = np.exp(rng.uniform(-744, 709, 600))
    near_one = rng.uniform(0.5, 2.0, 600)
    angles = np.concatenate([np.arange(1, 800) * (math.pi / 2), rng.uniform(-(2.0**30), 2.0**30, 500)])
    return {
        "exp": np.concatenate([rng.uniform(-745, 709.7, 900), small]),
        "expm1": np.concatenate([rng.uniform(-50, 709.7, 600), rng.uniform(-1.2, 1.2, 900), small]),
        "log": np.concatenate([positive, near_one]),
        "log1p": np.concatenate([positive, near_one, small[small > -1], rng.uniform(-0.9999, 0, 500)]),
        "tanh": np.concatenate([rng.uniform(-25, 25, 500), rng.uniform(-1, 1, 900), small]),
        "sin": np.concatenate([angles, small]),
        "cos": np.concatenate([angles, small]),
    }[name]


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_accuracy(name: str) -> None:
    xs = points(name)
    (found,) = native(name)(xs)
    worst = 0.0
    with mpmath.workprec(200):
        for x, y in zip(xs, found, strict=True):
            truth = getattr(mpmath, name)(mpmath.mpf(float(x)))
            if truth == 0:
                assert y == 0
                continue
            worst = max(worst, float(abs(mpmath.mpf(float(y)) - truth) / math.ulp(abs(float(truth)))))
    assert worst <= LIMITS[name]


EDGES = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 5e-324, -5e-324, 2.0**-1022, 709.78, 709.79, 710.0, -745.1, -745.2]
EDGES += [-746.0, 1e300, -1e300, 1.7976931348623157e308, 2.0**30, -(2.0**30), 1e17, 1e22, -1e300, 22.5, -22.5, 1e-300, -0.5]


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_edges(name: str) -> None:
    xs = np.array(EDGES)
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(xs)
    (found,) = native(name)(xs)
    np.testing.assert_allclose(found, expected, rtol=5e-16, atol=5e-324)
    np.testing.assert_array_equal(np.signbit(found[expected == 0]), np.signbit(expected[expected == 0]))
    (library,) = native(name, Options(vecmath=False))(xs)
    np.testing.assert_allclose(library, expected, rtol=5e-16, atol=5e-324)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sin"])
def test_kernels_vectorise(name: str) -> None:
    assert "x double>" in native(name).optimized()


# --- single precision ------------------------------------------------------------------------------------------------

SINGLE_LIMITS = {"exp": 1.1, "log": 1.0, "log1p": 1.0, "expm1": 2.0, "tanh": 2.0, "sin": 0.51, "cos": 0.51}


@pytest.mark.parametrize("name", SINGLE_LIMITS)
def test_single_precision(name: str) -> None:
    """Random bit patterns and denser ranges, all special values among them, against extended precision."""
    assert np.finfo(np.longdouble).nmant > 60
    rng = np.random.default_rng(0)
    spread = [*(rng.uniform(low, high, 50_000) for low, high in ((-1, 1), (0.5, 2), (-104, 89))), [*EDGES, 1e-45, -1e-45, 88.73]]
    with np.errstate(all="ignore"):
        xs = np.concatenate([rng.integers(0, 2**32, 200_000, dtype=np.uint32).view(np.float32), *spread]).astype(np.float32)
        truth = getattr(np, name)(xs.astype(np.longdouble))
        expected = truth.astype(np.float32)
        (found,) = native(name, dtype=F32)(xs)
        special = ~np.isfinite(expected) | (expected == 0)
        np.testing.assert_array_equal(found[special], expected[special])
        np.testing.assert_array_equal(np.signbit(found[expected == 0]), np.signbit(expected[expected == 0]))
        unit = np.spacing(np.abs(expected[~special])).astype(np.longdouble)
        error = np.abs(found[~special] - truth[~special]) / unit
    worst = int(np.argmax(error))
    assert error[worst] <= SINGLE_LIMITS[name], f"at {xs[~special][worst]!r}"


def test_single_precision_vectorises() -> None:
    for name in ("exp", "log", "tanh"):
        text = native(name, dtype=F32).optimized()
        assert "x float>" in text
        assert "x double>" not in text
