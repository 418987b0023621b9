"""Iterators that branches and loops take items from: how far one has come is never guessed."""

import itertools
import warnings

import numpy as np
import pytest

import wengert as wg


def in_one_branch(x):
    it = iter([x, x * 2, x * 3])
    a = next(it) if x > 0 else 1.0
    return a * next(it)


def until_enough(x):
    it, t = iter([x, 2 * x, 3 * x]), 0.0
    while t < 2.5:
        t += next(it, 5.0)
    return t * next(it, 7.0)


def left_early(x):
    it, t = iter([x, 2 * x, 3 * x, 4 * x]), 0.0
    for v in it:
        if v > 1.5:
            break
        t += v
    return t * next(it, 7.0)


def in_a_long_loop(x):
    it, t = iter(range(30)), 0.0
    for k in range(20):
        if x * k > 3:
            t += x * next(it)
    return t + next(it)


def until_it_stops(x):
    it, t = iter([x, 2 * x, 3 * x]), 0.0
    while True:
        try:
            t += next(it) * t + x
        except StopIteration:
            break
    return t


def in_pairs(x):
    it = iter([x, 2 * x, 3 * x, 5 * x])
    return sum(a * b for a, b in zip(it, it))


def cycle_in_a_loop(x):
    it, t = itertools.cycle([x, 2 * x]), 0.0
    for k in range(30):
        t += next(it) * k
    return t


def generator_in_one_arm(x):
    g = (k * x for k in range(5))
    return sum(g) if x > 0 else x


def summed_in_a_branch(x):
    total = 0.0
    for k in range(12):
        if x * k > 2.0:
            parts = {"u": x * k, "v": x}
            total += 0.3 * sum(float(part) for part in parts.values())
    return total + x


def filtered(x):
    kept = list(filter(lambda v: v > 1.5, [x, 2 * x, 3 * x]))
    return sum(kept) * len(kept) + x


COMPILES = [
    in_one_branch,
    until_enough,
    left_early,
    in_a_long_loop,
    until_it_stops,
    in_pairs,
    cycle_in_a_loop,
    generator_in_one_arm,
    summed_in_a_branch,
]


def generator_in_one_branch(x):
    g, t = (k * x for k in range(5)), 0.0
    if x > 0:
        t = next(g) + x
    return t + next(g)


def generator_used_up_in_one_branch(x):
    g = (k * x for k in range(5))
    t = sum(g) if x > 0 else x
    return t + sum(g)


def numbers_of(x):
    yield x
    yield 2 * x
    yield 3 * x


def generator_until_enough(x):
    it, t = numbers_of(x), 0.0
    while t < 2.5:
        t += next(it, 5.0)
    return t


def generator_left_early(x):
    it, t = numbers_of(x), 0.0
    for v in it:
        if v > 1.5:
            break
        t += v
    return t + next(it, 9.0)


def enumerate_in_one_branch(x):
    z, t = enumerate([x, 2 * x, 3 * x]), 0.0
    if x > 1:
        next(z)
    for i, v in z:
        t += i * v
    return t


def count_in_one_branch(x):
    it, t = itertools.count(), 0.0
    if x > 0:
        t = next(it) + x
    return t + next(it) + 1


def rest_of_an_iterator(x):
    it = iter([x, 2 * x, 3 * x, 5 * x])
    a = next(it) * next(it) if x > 1 else next(it)
    return a + sum(it)


EAGER = [
    generator_in_one_branch,
    generator_used_up_in_one_branch,
    generator_until_enough,
    generator_left_early,
    enumerate_in_one_branch,
    count_in_one_branch,
    rest_of_an_iterator,
]


@pytest.mark.parametrize("program", COMPILES + EAGER + [filtered])
def test_items_are_those_of_python(program):
    for x in (0.7, -0.7, 2.2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if program in (*EAGER, filtered) else "error")
            value, gradient = wg.value_and_grad(program)(x)
        assert value == pytest.approx(program(x))
        assert gradient == pytest.approx((program(x + 1e-6) - program(x - 1e-6)) / 2e-6, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("program", EAGER)
def test_what_python_hides_is_not_compiled(program):
    with pytest.raises(wg.StagingError, match="iterator"):
        wg.jit(program)(0.7)


def test_iterator_over_an_array():
    def largest(xs):
        it = iter(xs)
        found = next(it)
        for v in it:
            found = v if v > found else found
        return found

    xs = np.array([3.0, 1.0, 4.0, 2.0])
    assert wg.jit(largest)(xs) == 4.0
    assert wg.grad(largest)(xs).tolist() == [0.0, 0.0, 1.0, 0.0]
