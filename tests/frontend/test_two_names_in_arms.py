"""Lists and objects that a branch or loop makes and gives two names: what is written through one is seen through the other."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import wengert as wg
from wengert.errors import StagingError
from wengert.frontend.trace import trace

POINTS = [np.random.default_rng(seed).normal(size=4) for seed in range(6)]


class Holder:
    """An object with one attribute."""

    def __init__(self, value):
        self.value = value


def names(p):
    if p[0] > 0:
        r = s = [p[1], 1.0]
    else:
        r, s = [p[2], 2.0], [p[3], 3.0]
    r[0] += p[0]
    return s[0] + 3.0 * r[0]


def names_in_a_loop(p):
    for i in range(20):
        r = s = [p[1] * i, 1.0]
    r[0] += p[0]
    return s[0] + 3.0 * r[0]


def attributes(p):
    o, q = Holder(None), Holder(None)
    if p[0] > 0:
        o.value = q.value = [p[1], 1.0]
    else:
        o.value, q.value = [p[2], 2.0], [p[3], 3.0]
    o.value[0] += p[0]
    return q.value[0] + 3.0 * o.value[0]


def part_of_another(p):
    if p[0] > 0:
        r = [[p[1], 1.0], 2.0]
        s = r[0]
    else:
        r, s = [[p[2], 2.0], 3.0], [p[3], 3.0]
    s[0] += p[0]
    return s[0] + 3.0 * r[0][0]


def twice_in_one(p):
    if p[0] > 0:
        x = [p[1]]
        r = [x, x]
    else:
        r = [[p[2]], [p[3]]]
    r[0][0] += p[0]
    return r[0][0] + 3.0 * r[1][0]


def appended(p):
    rows = []
    for i in range(3):
        if p[i] > 0:
            y = [p[1]]
            rows.append(y)
        else:
            y = [p[2]]
            rows.append([p[3]])
        y[0] += p[0]
    return sum(row[0] for row in rows)


def objects(p):
    if p[0] > 0:
        r = s = Holder(p[1])
    else:
        r, s = Holder(p[2]), Holder(p[3])
    r.value += p[0]
    return s.value + 3.0 * r.value


def objects_in_a_loop(p):
    for i in range(20):
        r = s = Holder(p[1] * i)
    r.value += p[0]
    return s.value + 3.0 * r.value


@pytest.mark.parametrize(
    "program",
    [names, names_in_a_loop, attributes, part_of_another, twice_in_one, appended, objects, objects_in_a_loop],
    ids=lambda f: f.__name__,
)
def test_eager_with_the_reason_and_right(program):
    with pytest.raises(StagingError, match="writing to"):
        trace(program, (POINTS[0],), {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wg.EagerFallbackWarning)
        for p in POINTS:
            value, gradient = wg.value_and_grad(program)(p)
            np.testing.assert_allclose(value, program(p), rtol=1e-12)
            steps = 1e-6 * np.eye(4)
            differences = [(program(p + e) - program(p - e)) / 2e-6 for e in steps]
            np.testing.assert_allclose(gradient, differences, rtol=1e-7, atol=1e-7)
