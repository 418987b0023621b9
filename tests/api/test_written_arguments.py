"""Arguments that a compiled function writes to: arrays that are read-only, and arrays without axes."""

import numpy as np
import pytest

import wengert as wg


def read_only(*values):
    found = np.array(values)
    found.flags.writeable = False
    return found


def sweep(x, n):
    for _ in range(n):
        for i in range(1, len(x) - 1):
            x[i] = 0.5 * (x[i - 1] + x[i + 1])
    return np.sum(x)


def guarded(x, limit):
    if x[0] > limit:
        x[0] = limit
    return x[0] * 2.0


def always(x, k):
    x[k:] = 0.0
    return np.sum(x)


@pytest.mark.parametrize(("f", "args"), [(sweep, (0,)), (guarded, (9.0,))])
def test_a_read_only_array_that_is_not_written_to(f, args):
    x = read_only(1.0, 2.5, 3.0, -1.0)
    assert wg.jit(f)(x, *args) == f(x, *args)


@pytest.mark.parametrize(("f", "args"), [(sweep, (2,)), (guarded, (0.5,)), (always, (1,)), (always, (4,))])
def test_a_read_only_array_that_is_written_to(f, args):
    x = read_only(1.0, 2.5, 3.0, -1.0)
    for g in (f, wg.jit(f)):
        with pytest.raises(ValueError, match="read-only"):
            g(x, *args)
    assert x.tolist() == [1.0, 2.5, 3.0, -1.0]


def through_a_view(a):
    a.reshape(-1)[0] = 7.0
    return a * 2.0


def in_place(a):
    a += 1.0
    return a * a


@pytest.mark.parametrize(("f", "slope"), [(through_a_view, 0.0), (in_place, 8.0)])
def test_an_array_without_axes_is_written_to(f, slope):
    expected, found = np.array(3.0), np.array(3.0)
    assert wg.jit(f)(found) == f(expected)
    assert found == expected
    assert wg.grad(f)(np.array(3.0)) == slope
