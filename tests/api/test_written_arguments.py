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


def test_writable_arrays_after_read_only_ones():
    """The short way of calls is made for the kind of the last arguments: it must not take others for that kind."""
    found = wg.jit(sweep)
    for _ in range(3):
        assert found(read_only(1.0, 2.0), 2) == 3.0
        assert found(np.array([1.0, 2.0]), 2) == 3.0
    for _ in range(3):
        assert found(read_only(1.0, 2.0), 2) == 3.0
        x = np.array([1.0, 5.0, 2.0])
        assert found(x, 2) == 4.5
        np.testing.assert_array_equal(x, [1.0, 1.5, 2.0])


def test_one_number_seen_as_many_that_is_not_written_to():
    x = np.broadcast_to(np.array(1.5), 4)
    assert wg.jit(sweep)(x, 0) == 6.0
    with pytest.raises(ValueError, match="read-only"):
        wg.jit(always)(x, 1)
