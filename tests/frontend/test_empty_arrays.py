"""Functions of NumPy on arrays without elements, whose size is known at run time only, and with counts of none."""

import numpy as np
import pytest

import wengert as wg

EMPTY, FULL = np.zeros(0), np.arange(3.0)
VALUES = [
    (lambda x, k: np.roll(x, k), 1),
    (lambda x, k: np.roll(x, k), -5),
    (lambda x, k: np.roll(x, 7) + k, 2),
    (lambda x, n: np.repeat(x, n), 0),
    (lambda x, n: np.repeat(x, n), 2),
    (lambda x, n: np.tile(x, n), 0),
    (lambda x, n: np.tile(x, (2, n)), 0),
    (lambda x, n: np.tile(x, (n, 2)), 2),
    (lambda x, n: np.repeat(x[:0], n), -1),
]
FAILURES = [
    (lambda x, n: np.repeat(x, n), -1),
    (lambda x, n: np.tile(x, n), -1),
    (lambda x, n: np.convolve(x, np.ones(n)), 2),
    (lambda x, n: np.convolve(np.ones(n), x, "same"), 2),
    (lambda x, n: np.correlate(x, np.ones(n)), 2),
    (lambda x, n: np.interp(0.5, x, x) * n, 2),
]


@pytest.mark.parametrize("x", [FULL, EMPTY], ids=["full", "empty"])
@pytest.mark.parametrize("case", VALUES, ids=range(len(VALUES)))
def test_values(case, x):
    f, n = case
    compiled = wg.jit(f)
    compiled(np.arange(5.0), n)
    np.testing.assert_array_equal(compiled(x, n), f(x, n))
    if x.size:
        with wg.eager():
            eager = wg.grad(lambda x, n: np.sum(f(x, n) ** 2))(x, n)
        np.testing.assert_array_equal(wg.grad(lambda x, n: np.sum(f(x, n) ** 2))(x, n), eager)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("function", [np.convolve, np.correlate])
def test_convolutions_of_which_either_may_be_longer(function, mode):
    def f(x, n):
        return function(x, x[:n] * 2.0, mode), function(x[:n], x + 1.0, mode), function(x[:n], x[1:], mode)

    compiled = wg.jit(f)
    for size, n in ((3, 2), (4, 4), (7, 1), (5, 3), (5, 4), (2, 2)):
        x = np.sin(np.arange(float(size))) + 0.5
        for a, b in zip(compiled(x, n), f(x, n), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-14)


@pytest.mark.parametrize("case", FAILURES, ids=range(len(FAILURES)))
def test_failures(case):
    f, n = case
    x = EMPTY if n > 0 else FULL
    with pytest.raises(ValueError) as expected:
        f(x, n)
    compiled = wg.jit(f)
    for _ in range(2):
        with pytest.raises(ValueError) as found:
            compiled(x, n)
        assert type(found.value) is type(expected.value)
    if n > 0:
        np.testing.assert_allclose(compiled(FULL, n), f(FULL, n))


def test_index_that_no_array_of_size_one_has_in_code_that_does_not_run():
    def guarded(x, n):
        if n > 3 and x[3] > 0.0:
            return x[3] * 2.0
        total = x[0]
        for _ in range(n - 3):
            total += x[-2]
        return total

    one = np.array([2.0])
    for transform in (wg.jit, wg.grad):
        f = transform(guarded)
        f(one, 2)
        with pytest.raises(IndexError, match="index 3 is out of bounds for axis 0 with size 1"):
            f(one, 4)
    assert wg.jit(guarded)(one, 3) == 2.0


def test_index_that_no_array_has_and_a_handler_takes():
    def caught(x, n):
        total = 0.0
        for k in range(n):
            try:
                total += x[1] * k
            except IndexError:
                total += 10.0 * k
        return total

    for x in (np.array([2.0]), np.array([2.0, 3.0])):
        assert wg.jit(caught)(x, 4) == caught(x, 4)
