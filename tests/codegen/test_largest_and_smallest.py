"""The largest and the smallest of floats: NaN wins, wherever it is."""

import re

import numpy as np
import pytest

import wengert as wg
from wengert.api.program import Program

DTYPES = (np.float64, np.float32)


def smallest(x):
    return np.min(x)


def largest(x):
    return np.max(x * 1.0)


def of_rows(x):
    return np.min(x.reshape(3, -1), axis=1)


def of_columns(x):
    return np.max(x.reshape(-1, 3), axis=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("f", (smallest, largest, of_rows, of_columns), ids=lambda f: f.__name__)
def test_as_numpy(f, dtype):
    run = wg.jit(f)
    x = np.random.default_rng(0).normal(size=33).astype(dtype)
    cases = [x, -x, np.full(33, np.inf, dtype), np.full(33, -np.inf, dtype), np.zeros(33, dtype), np.full(33, np.nan, dtype)]
    for place in (0, 1, 16, 31, 32):
        for value in (np.nan, -np.nan, np.inf, -np.inf):
            cases.append(x.copy())
            cases[-1][place] = value
            cases.append(cases[-1].copy())
            cases[-1][(place + 7) % 33] = -value
    for case in cases:
        found, expected = run(case), f(case)
        np.testing.assert_array_equal(found, expected)
        assert np.asarray(found).dtype == np.asarray(expected).dtype


def test_nan_is_not_in_the_way_of_a_step():
    variant, _ = Program(smallest, lambda traced, _: traced.function, strict=True).variant((np.ones(100),), {}, ())
    text = variant.compiled.llvm_ir
    assert "call nnan nsz double @llvm.minnum.f64" in text
    assert "llvm.minimum" not in text


def test_the_step_runs_on_vectors_beside_sums():
    def spread(x):
        return np.max(x) - np.min(x) + np.sum(x * x) + np.sum(x)

    variant, _ = Program(spread, lambda traced, _: traced.function, strict=True).variant((np.ones(100),), {}, ())
    text = variant.compiled.optimized()
    for name in ("maxnum", "minnum"):
        assert re.search(rf"<\d+ x double> @llvm\.{name}\.v", text), name


def test_parts_of_threads_are_put_together():
    x = np.random.default_rng(1).normal(size=400_000)
    run = wg.jit(smallest)
    expected = np.min(x)
    assert run(x) == expected
    x[399_999] = np.nan
    assert np.isnan(run(x))
    x[399_999], x[0] = 0.0, np.nan
    assert np.isnan(run(x))
