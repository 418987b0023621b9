"""Inlined kernels against mpmath: random bit patterns, their usual ranges, the ends of their domains and all special values."""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import scipy.special

import wengert as wg
from wengert.codegen import Compiled, Options, compile
from wengert.codegen.vecmath import KERNELS
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Value
from wengert.ir.op import get_op
from wengert.types import F32, F64, I64_SCALAR, DType, TensorType, dim_of

mpmath = pytest.importorskip("mpmath")
mp = mpmath.mp

# Units in the last place. A figure above 2 is a fault that is known.
LIMIT = 2.0
BINARY = ("arctan2", "hypot", "pow")
TRUTH: dict[str, Callable[..., Any]] = {
    "arcsin": mpmath.asin, "arccos": mpmath.acos, "arctan": mpmath.atan, "arctan2": mpmath.atan2, "arcsinh": mpmath.asinh,
    "arccosh": mpmath.acosh, "arctanh": mpmath.atanh, "exp2": lambda x: mpmath.mpf(2) ** x,
    "expit": lambda x: 1 / (1 + mpmath.exp(-x)),
    "log2": lambda x: mpmath.log(x) / mpmath.log(2), "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "pow": lambda x, y: mpmath.power(abs(x), y) * (-1 if x < 0 and y % 2 == 1 else 1),
    "erfc": lambda x: mpmath.erfc(max(min(x, 40), -40)), "gammaln": lambda x: mpmath.re(mpmath.loggamma(x)),
}  # fmt: skip
# Where the functions are neither constant nor beyond the largest number.
RANGES: dict[str, list[tuple[float, float]]] = {
    "exp": [(-745.2, 709.79), (-1, 1)], "exp2": [(-1075, 1024), (-1, 1)], "expm1": [(-50, 709.79), (-1, 1)],
    "sinh": [(-710.5, 710.5), (-2, 2)], "cosh": [(-710.5, 710.5), (-2, 2)], "tanh": [(-22, 22), (-1, 1)],
    "expit": [(-745.2, 40), (-3, 3)], "log": [(0.5, 2), (0, 100)], "log1p": [(-1, 1), (0, 10)], "log2": [(0.5, 2), (0, 10)],
    "log10": [(0.5, 2), (0, 100)], "arcsinh": [(-1, 1), (-100, 100)], "arccosh": [(1, 2), (1, 100)],
    "arctanh": [(-1, 1), (-0.6, 0.6)], "sin": [(-10, 10), (-(2.0**30), 2.0**30)], "cos": [(-10, 10), (-(2.0**30), 2.0**30)],
    "tan": [(-10, 10), (-(2.0**30), 2.0**30)],
    "arcsin": [(-1, 1)], "arccos": [(-1, 1)], "arctan": [(-3, 3), (-100, 100)], "cbrt": [(-3, 3), (0, 1e5)],
    "erf": [(-6, 6), (-1.5, 1.5)], "erfc": [(-6, 27), (0, 2)], "erfinv": [(-1, 1), (0.9, 1), (0.999, 1), (0.9999999, 1)],
    "gamma": [(0, 4), (-180, 180), (-3, 0), (170, 171.7)], "gammaln": [(0, 4), (0, 1e5), (0.9, 1.1), (1.9, 2.1)],
    "digamma": [(0, 4), (0, 1e5), (1.4, 1.5)],
}  # fmt: skip
EDGES = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -3.0, math.inf, -math.inf, math.nan, 5e-324, -5e-324, 2.0**-1022, -(2.0**-1022)]
EDGES += [709.78, 709.79, 710.0, -745.1, -745.2, -746.0, 710.47, 710.48, -1022.5, 1023.99, 1e300, -1e300, 1.7976931348623157e308]
EDGES += [2.0**30, -(2.0**30), 2.0**31, 1e17, 1e22, 22.5, -22.5, 1e-300, -1e-300, 1e100, 1e154, -1e154, 27.2, 5.93, 26.6]
EDGES += [math.nextafter(v, w) for v in (1.0, -1.0, 0.5, -0.5) for w in (-2.0, 2.0)] + [10.0**k for k in range(-5, 23)]


@cache
def native(name: str, vecmath: bool = True, dtype: DType = F64) -> Compiled:
    """Compiled code that applies the op to arrays."""
    options = Options(vecmath=vecmath)
    size = Value(I64_SCALAR, "n")
    xs = tuple(Value(TensorType(dtype, (dim_of(size),)), n) for n in ("xy" if name in BINARY else "x"))
    b = Builder()
    result = b.emit(get_op(name), list(xs))
    return compile(Function(name, (size,), xs, tuple(b.instrs), result), options)


def library(name: str) -> Callable[..., Any]:
    """The function of NumPy or SciPy."""
    return getattr(np, {"pow": "power"}.get(name, name), None) or getattr(scipy.special, name)


def points(name: str, count: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Operands: `count` random bit patterns and as many of each range, and all special values (in all pairs)."""
    rng = np.random.default_rng(seed)

    def random(count: int) -> np.ndarray:
        patterns = rng.integers(0, 2**64, count, dtype=np.uint64).view(np.float64)
        tiny = rng.choice([-1.0, 1.0], count) * 10.0 ** rng.uniform(-18, 0, count)
        return np.concatenate([patterns, tiny])

    if name not in BINARY:
        spread = [rng.uniform(low, high, count) for low, high in RANGES[name]]
        angles = np.arange(1, count) * (math.pi / 2)
        return (np.concatenate([random(count), angles, *spread, EDGES]),)
    xs, ys = np.meshgrid(EDGES, EDGES)
    near = np.exp(rng.uniform(-3, 3, count)), rng.uniform(-200, 200, count)
    if name == "pow":
        one = 1 + random(count)[count:]
        bases = [xs.ravel(), random(count), near[0], rng.uniform(0, 100, count), -rng.uniform(0, 9, count), one]
        powers = [ys.ravel(), random(count), near[1], rng.uniform(-150, 150, count), rng.integers(-99, 99, count)]
        return np.concatenate(bases), np.concatenate([*powers, 1e3 / (one - 1.01)])
    scale = np.exp(rng.uniform(-700, 700, count))
    lengths = [rng.normal(size=count), rng.normal(size=count)]
    return tuple(np.concatenate([e.ravel(), random(count), v, v * scale]) for e, v in zip((xs, ys), lengths, strict=True))


def worst(name: str, operands: tuple[np.ndarray, ...]) -> tuple[float, Any]:
    """The largest error in units in the last place, and where; special values must be the library's."""
    (found,) = native(name)(*operands)
    with np.errstate(all="ignore"):
        expected = library(name)(*operands)
    special = ~np.isfinite(expected) if name != "expit" else np.isnan(expected)
    if name == "gammaln":  # of subnormal numbers, SciPy gives infinity
        special &= ~((np.abs(operands[0]) < 2.0**-1022) & (operands[0] != 0))
    if name in BINARY:
        special |= (operands[0] == 0) | (operands[1] == 0)
    differs = special & (found != expected) & ~(np.isnan(found) & np.isnan(expected))
    assert not differs.any(), [(*map(float, row),) for row in zip(*operands, found, expected, differs) if row[-1]][:5]
    zero = (expected == 0) & (found == 0)
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(expected[zero]), err_msg=str([x[zero] for x in operands]))
    largest: tuple[float, Any] = (0.0, None)
    truth = TRUTH.get(name) or getattr(mpmath, name)
    with mpmath.workprec(250):
        for *x, y in zip(*(x[~special] for x in operands), found[~special], strict=True):
            exact = truth(*(mpmath.mpf(float(v)) for v in x))
            unit = math.ulp(min(abs(float(exact)), 1.7e308))
            error = float(abs(mpmath.mpf(float(y)) - exact) / unit) if math.isfinite(y) else math.inf
            largest = max(largest, (error, (*map(float, x), float(y))), key=lambda e: e[0])
    return largest


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_accuracy(name: str) -> None:
    error, at = worst(name, points(name, 60))
    assert error <= LIMIT, f"{name}: {error:.3f} ulp at {at}"


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(KERNELS))
def test_accuracy_of_many(name: str) -> None:
    found = [worst(name, points(name, 5_000, seed)) for seed in range(1, 4)]
    error, at = max(found, key=lambda e: e[0])
    print(f"{name}: {error:.3f} ulp at {at}")
    assert error <= LIMIT, f"{name}: {error:.3f} ulp at {at}"


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_library_instead_of_kernels(name: str) -> None:
    operands = points(name, 1)
    (found,) = native(name, vecmath=False)(*operands)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(found, library(name)(*operands), rtol=2e-15, atol=5e-324)


@pytest.mark.parametrize("name", ["gammaln", "digamma"])
def test_negative_numbers(name: str) -> None:
    """Close to a zero, of which there are some between poles, the error is that of the terms whose difference it is."""
    rng = np.random.default_rng(1)
    spread = [-rng.uniform(low, high, 60) for low, high in ((0, 0.5), (0.5, 2), (2, 10), (10, 180), (100, 1e5), (1e5, 1e9))]
    poles = -rng.integers(1, 99, 60) * 1.0
    xs = np.concatenate([*spread, np.nextafter(poles, 0.0), np.nextafter(poles, -100.0), -(10.0 ** rng.uniform(-300, -1, 60))])
    (found,) = native(name)(xs)
    with mpmath.workprec(250):
        for x, y in zip(xs, found, strict=True):
            exact = (TRUTH.get(name) or getattr(mpmath, name))(mpmath.mpf(float(x)))
            error = float(abs(mpmath.mpf(float(y)) - exact) / math.ulp(max(abs(float(exact)), 1.0)))
            assert error <= LIMIT, f"{error:.3f} ulp at {x!r}, {y!r}"


PACKED = r"\bv(fn?m(add|sub)\d+|mul|add)pd\s.*%[xyz]mm" if platform.machine() == "x86_64" else r"\bfml[as]\s+v\d+\.2d"


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_machine_code_is_of_vectors(name: str) -> None:
    code = native(name).asm()
    assert len(re.findall(PACKED, code)) > 10


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_same_value_in_vectors_and_one_by_one(name: str) -> None:
    """Main loop, remainder and a loop of one element; among arguments that are left to the library."""
    operands = tuple(x[-333:] for x in points(name, 40))
    (whole,) = native(name)(*operands)
    for start, stop in ((0, 1), (5, 8), (100, 333), *((i, i + 1) for i in range(200, 333, 7))):
        (part,) = native(name)(*(x[start:stop] for x in operands))
        np.testing.assert_array_equal(part, whole[start:stop])


def test_sums_of_exponentials() -> None:
    """softplus(x) = logaddexp(0, x); where the result is closer to 0 than the larger number, the error is in that one's units."""
    added = wg.jit(np.logaddexp)
    (xs,) = points("exp", 60)
    xs = xs[np.isfinite(xs)]
    ys = np.random.default_rng(3).permutation(xs)
    with mpmath.workprec(400):
        for ones in (np.zeros_like(xs), ys, xs + 0.3, xs / (1 + 1e-9)):
            for x, y, found in zip(xs, ones, added(xs, ones), strict=True):
                high, low = max(x, y), min(x, y)
                exact = mpmath.mpf(float(high)) + mpmath.log1p(mpmath.exp(max(mpmath.mpf(float(low)) - float(high), -800)))
                size = min(max(abs(float(exact)), abs(float(high)) if y else 0.0), 1.7e308)
                error = float(abs(mpmath.mpf(float(found)) - exact) / math.ulp(size))
                assert error <= LIMIT, f"{error:.3f} ulp at {x!r}, {y!r}: {found!r}"


def test_rare_cases_are_not_fused_away() -> None:
    """Angles that the kernel leaves to the library, among others, in a chain that is one loop."""
    xs = np.linspace(0.0, 2.0, 999)
    xs[7], xs[500:520], xs[-1] = 1e22, 2.0**40, -1e300
    size = Value(I64_SCALAR, "n")
    x = Value(TensorType(F64, (dim_of(size),)), "x")
    b = Builder()
    result = b.mul(b.sin(x), b.add(b.cos(x), b.exp(b.neg(b.abs(x)))))
    chain = compile(Function("chain", (size,), (x,), tuple(b.instrs), (result,)), None)
    (found,) = chain(xs)
    np.testing.assert_allclose(found, np.sin(xs) * (np.cos(xs) + np.exp(-np.abs(xs))), rtol=1e-15, atol=1e-15)


# --- single precision ------------------------------------------------------------------------------------------------

SINGLE_LIMITS = {"exp": 1.1, "log": 1.0, "log1p": 1.0, "expm1": 2.0, "tanh": 2.0}


@pytest.mark.parametrize("name", sorted(set(KERNELS) - set(BINARY)))
def test_single_precision(name: str) -> None:
    """Random bit patterns and denser ranges, all special values among them, against extended precision."""
    assert np.finfo(np.longdouble).nmant > 60
    rng = np.random.default_rng(0)
    spread = [*(rng.uniform(low, high, 20_000) for low, high in ((-1, 1), (0.5, 2), (-104, 89))), [*EDGES, 1e-45, -1e-45, 88.73]]
    with np.errstate(all="ignore"):
        xs = np.concatenate([rng.integers(0, 2**32, 60_000, dtype=np.uint32).view(np.float32), *spread]).astype(np.float32)
        truth = library(name)(xs.astype(np.longdouble if hasattr(np, name) else np.float64))
        expected = truth.astype(np.float32)
        (found,) = native(name, dtype=F32)(xs)
        special = ~np.isfinite(expected) | (expected == 0)
        np.testing.assert_array_equal(found[special], expected[special])
        np.testing.assert_array_equal(np.signbit(found[expected == 0]), np.signbit(expected[expected == 0]))
        unit = np.spacing(np.abs(expected[~special])).astype(np.longdouble)
        error = np.abs(found[~special] - truth[~special]) / unit
    at = int(np.argmax(error))
    assert error[at] <= SINGLE_LIMITS.get(name, 0.51), f"{name}: {error[at]:.3f} at {xs[~special][at]!r}"


def test_single_precision_vectorises() -> None:
    for name in ("exp", "log", "tanh"):
        text = native(name, dtype=F32).optimized()
        assert "x float>" in text
        assert "x double>" not in text


def test_many_functions_one_from_another_run_two_iterations_at_a_time() -> None:
    size = Value(I64_SCALAR, "n")
    x = Value(TensorType(F64, (dim_of(size),)), "x")
    texts = []
    for names in (("exp", "sin"), ("exp", "sin", "tanh", "arctan")):
        b = Builder()
        result = x
        for name in names:
            result = b.emit(get_op(name), [result])[0]
        chain = compile(Function("chain", (size,), (x,), tuple(b.instrs), (result,)), None)
        xs = np.linspace(-1.0, 1.0, 101)
        (found,) = chain(xs)
        expected = xs
        for name in names:
            expected = library(name)(expected)
        np.testing.assert_allclose(found, expected, rtol=1e-14)
        texts.append(chain.optimized())
    steps = [max(int(n) for n in re.findall(r"%index.next = add nuw i64 %index, (\d+)", text)) for text in texts]
    assert steps[1] == 2 * steps[0]
