"""Identity with True and False, choices that leave the function, and facts about choices that exclude each other."""

import types

import numpy as np
import pytest

import wengert as wg
from wengert.testing.modes import assert_modes_agree

HOLDER = types.SimpleNamespace(last=None)
TABLE = {"k": None}


def true_or_not(x):
    negative = x < 0
    return (2.0 * x if negative is True else 3.0 * x) + (x * x if negative is not False else 0.0)


def excluded(x):
    y = x if x > 0 else None
    missing = y is None
    there = y is not None
    if missing:
        if there:
            return y * 2.0
        return -x
    return y * 3.0


@pytest.mark.parametrize("x", [-1.3, 0.7])
@pytest.mark.parametrize("f", [true_or_not, excluded])
def test_modes(f, x):
    assert_modes_agree(f, (x,))
    assert wg.grad(f)(x) == pytest.approx((f(x + 1e-6) - f(x - 1e-6)) / 2e-6, rel=1e-6)


def remembers(x):
    if x > 1:
        HOLDER.last = x
    TABLE["k"] = x * x if x > 1 else "none"
    return x * 2.0


@pytest.mark.parametrize("transform", [wg.jit, wg.value_and_grad])
@pytest.mark.parametrize(("x", "last", "k"), [(2.0, 2.0, 4.0), (0.5, None, "none")])
def test_a_choice_that_is_stored_outside_is_settled(transform, x, last, k):
    HOLDER.last, TABLE["k"] = None, None
    transform(remembers)(x)
    assert HOLDER.last == last
    assert TABLE["k"] == k


def test_dtypes_of_single_precision():
    x = np.array([0.5, 1.5, np.nan], dtype=np.float32)
    for function in (np.nanmean, np.nanstd, lambda v: np.ldexp(v, 2)[0], lambda v: np.polyval([1.0, 2.0], v)[0]):
        found, expected = wg.jit(lambda v, function=function: function(v))(x), function(x)
        assert found.dtype == expected.dtype
        assert found == pytest.approx(expected, rel=1e-6)
