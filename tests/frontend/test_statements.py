"""Statements and Python's functions of functions on traced values: CPython, eager, reference and compiled agree."""

import functools
import math
from dataclasses import dataclass

import numpy as np
import pytest

import wengert as wg
from tests.frontend.programs import raises_alike, same_everywhere

X = np.array([0.5, -1.0, 2.0, 0.25, -3.0])


# --- match ---


@dataclass
class Point:
    x: float
    y: float


class Shape:
    __match_args__ = ("kind", "size")

    def __init__(self, kind, size):
        self.kind = kind
        self.size = size


def matches(x, shape):
    match shape:
        case None:
            return -x
        case True | False as flag:
            return x + flag
        case Point(x=a, y=b) if a > b:
            return a * x + b
        case Point(a, b):
            return a - b * x
        case Shape("square", size=s):
            return s * s * x
        case {"kind": "circle", "r": r, **rest}:
            return r * x + len(rest)
        case [a, *middle, (b, c)] if middle:
            return a * x + b + c + sum(middle)
        case [[a, b], _] | [a, b, _]:
            return a * b * x
        case [a]:
            return a / x
        case "unit" | "one":
            return 1.0 * x
        case int(n) | float(n):
            return n * x
        case _:
            return 0.0 * x


SHAPES = [
    None,
    True,
    Point(2.0, 1.0),
    Point(1.0, 2.0),
    Shape("square", 3.0),
    Shape("disc", 3.0),
    {"kind": "circle", "r": 2.0, "more": 1},
    {"kind": "square"},
    [1.0, 2.0, 3.0, (4.0, 5.0)],
    [(2.0, 3.0), 1.0],
    (2.0, 3.0, 4.0),
    [4.0],
    "one",
    "other",
    3,
    2.5,
]


@pytest.mark.parametrize("position", range(len(SHAPES)))
def test_match(position):
    shape = SHAPES[position]
    same_everywhere(matches, (2.0, shape), gradient=not hasattr(shape, "kind") and not isinstance(shape, Point))


def matches_numbers(x, n):
    match n:
        case 0:
            y = x
        case 1 | 2:
            y = x * x
        case k if k > 10:
            y = k * x
        case _:
            y = -x
    match x:
        case 2.0:
            y += 100.0
        case v if v > 2.5:
            y += v
    return y


def test_match_of_traced_numbers():
    same_everywhere(matches_numbers, (2.1, 0), (1.5, 1), (3.0, 2), (1.0, 11), (1.0, 5))
    assert wg.jit(matches_numbers)(2.0, 0) == 102.0


def matches_tuple(x, y):
    match (x > 0.0, y):
        case (True, 1.0):
            return x
        case (True, v):
            return x * v
        case (_, v):
            return v - x


def test_match_of_a_tuple_of_traced_values():
    same_everywhere(matches_tuple, (2.0, 3.0), (-2.0, 3.0))
    assert wg.jit(matches_tuple)(2.0, 1.0) == 2.0


# --- sorting ---


def sorts(x):
    s = sorted(x, key=lambda v: (v - 1.0) ** 2)
    t = sorted([x[0], x[1], x[2]], reverse=True)
    u = sorted([(x[0], 1.0), (x[1], 2.0), (x[2], 3.0)])
    w = [x[2], x[0], x[1]]
    w.sort()
    return s[0] + 10 * s[1] + 100 * s[-1] + t[0] * t[1] + u[0][0] * u[0][1] + w[2] * w[0]


def test_sorted_with_traced_keys():
    same_everywhere(sorts, (X,), (-X,))


def extremes(x):
    k, v = max(enumerate(list(x)), key=lambda kv: kv[1])
    best = min((v, j) for j, v in enumerate(list(x)))
    nearest = min(x[0], x[1], key=abs) + max([], default=3.0) + max(list(x), key=lambda v: v * v)
    return v * (k + 1) + best[0] * (best[1] + 1) + nearest


def test_min_and_max_by_key():
    same_everywhere(extremes, (X,), (np.roll(X, 2),))


def stable(x):
    rows = sorted([(x[0], 1.0), (x[2], 2.0), (x[0], 3.0)], key=lambda r: r[0])
    back = sorted([(x[0], 1.0), (x[2], 2.0), (x[0], 3.0)], key=lambda r: r[0], reverse=True)
    return rows[0][1] + 10.0 * rows[1][1] + 100.0 * back[1][1] + 1000.0 * back[2][1] + x[0]


def test_equal_keys_keep_their_order():
    same_everywhere(stable, (X,), (-X,))


# --- membership, deletion, caches ---


def members(x, v):
    y = 1.0 if v in x else 2.0
    z = 3.0 if v in (2.0, 5.0) else 4.0
    return x[0] * (y + z)


def test_in():
    same_everywhere(members, (X, 9.0), (X, 5.0))
    assert wg.jit(members)(X, 2.0) == members(X, 2.0)


class Cached:
    def __init__(self, x):
        self.x = x
        self.count = 0

    @functools.cached_property
    def square(self):
        self.count += 1
        return self.x**2


def caches(x):
    c = Cached(x)
    return c.square + c.square * 2 + c.count


def test_cached_property_runs_once():
    same_everywhere(caches, (2.0,))


def deletes(x):
    y = x * 2
    z = y.sum()
    del y
    items = [z, z + 1, z + 2, z + 3]
    del items[1], items[1:2]
    table = {"a": z, "b": 2 * z}
    del table["a"]
    return sum(items) + table["b"]


def test_del():
    same_everywhere(deletes, (X,))


def test_errors_of_comprehensions():
    def plain(x):
        return math.log(x) + sum([math.sqrt(v) for v in (x, 1.0)])

    raises_alike(plain, -1.0)
