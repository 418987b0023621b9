"""Deques with a largest length whose length data decides: what does not fit falls out at the other end."""

import warnings
from collections import deque

import pytest

import wengert as wg


def filled_by_a_test(x, n):
    d, t = deque(maxlen=3), 0.0
    for i in range(n):
        if x * i > 4:
            d.append(x * i)
        t += sum(d) / max(len(d), 1)
    return t


def from_the_left(x, n):
    d = deque(maxlen=3)
    while x < 5.0 * n:
        d.appendleft(x)
        x *= 1.5
    return d[0] * d[-1] * len(d)


def moving_mean(x, n):
    d, out = deque(maxlen=4), []
    for i in range(n):
        d.append(x * i)
        out.append(sum(d) / len(d))
    return sum(out)


def rotated(x, n):
    d = deque()
    for i in range(n):
        d.append(x * i)
    d.rotate(2)
    a = d[0]
    d.rotate(-3)
    return a * d[0] + d[-1]


def extended(x, n):
    d = deque(maxlen=3)
    for i in range(n):
        d.append(x * i)
    d.extend([x, 2 * x])
    d.extendleft([5 * x])
    return d[0] * d[1] + 3 * d[2]


def taken_when_full(x, n):
    d, t = deque(maxlen=5), 0.0
    for i in range(n):
        d.append(x * i)
        if len(d) == 5:
            t += d.popleft()
    return t + d[0]


PROGRAMS = [filled_by_a_test, from_the_left, moving_mean, rotated, extended, taken_when_full]


@pytest.mark.parametrize("program", PROGRAMS)
def test_compiles(program):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled = wg.value_and_grad(program)
        for n in (2, 12):
            value, gradient = compiled(1.3, n)
            assert value == pytest.approx(program(1.3, n))
            assert gradient == pytest.approx((program(1.3 + 1e-6, n) - program(1.3 - 1e-6, n)) / 2e-6, rel=1e-6)
            with wg.eager():
                assert wg.grad(program)(1.3, n) == pytest.approx(gradient)


def test_a_full_deque_takes_no_insertion():
    def inserting(x, n):
        d = deque(maxlen=3)
        for i in range(n):
            d.append(x * i)
        d.insert(1, 7 * x)
        return sum(d)

    assert wg.jit(inserting)(1.0, 2) == 8.0
    with pytest.raises(IndexError, match="maximum size"):
        wg.jit(inserting)(1.0, 3)
