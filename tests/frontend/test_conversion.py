"""Python as it is written: every construct runs as Python does, staged where that is possible, eagerly in any case."""

import functools
import math

import numpy as np
import pytest

import wengert as wg
from tests.frontend.agreement import agree

X = np.array([0.5, -1.0, 2.0, 0.25, -3.0, 1.5, 0.75, -0.1, 4.0, 0.2])
RATE = 0.25


def walrus(x):
    if (y := x * 2) > 1:
        z = y + 1
    else:
        z = -y
    while (z := z / 2) > 0.1:
        x += z
    return x, y, z


def targets(x):
    a = b = [x, 2.0]
    a[0] = b[1] = x * 3
    (c, d), *e = (x, a[0]), 1.0, 2.0
    p = {"k": x}
    p["m"], a[1] = c, d
    a[0] += 1.0
    p["k"] -= a[0]
    [f, g] = a
    del p["m"]
    del c
    return a, b, d, e, p, f, g


def signatures(x):
    def variadic(first, *rest, scale=2.0, **more):
        return first * scale + sum(rest) + more.get("extra", 0.0)

    def only(a, /, b, *, c=RATE):
        return a + b * c

    arguments = [x, 1.0]
    return variadic(*arguments, 2.0, **{"extra": x}) + variadic(x, scale=x) + only(x, b=2.0) + only(1.0, 2.0, c=x)


def decorated(x):
    def twice(f):
        @functools.wraps(f)
        def inner(*args):
            return f(f(*args))

        return inner

    @twice
    def step(v):
        return v * 1.5 if v < 3 else v - 1

    return step(x)


def classes(x):
    class Local:
        factor = 2.0
        __secret = 3.0

        def __init__(self, v):
            self.__v = v

        def get(self):
            if self.__v > 0:
                return self.__v * self.factor
            return self.__secret

        @staticmethod
        def fixed(v):
            return v + 1

        @classmethod
        def make(cls, v):
            return cls(v * cls.factor)

        def __mul__(self, other):
            return Local(self.__v * other)

        __rmul__ = __mul__

        def __getitem__(self, k):
            return self.__v + k

        def __len__(self):
            return 3

        def __neg__(self):
            return Local(-self.__v)

    local = Local.make(x)
    return local.get() + Local.fixed(x) + (2 * local * 3.0).get() + local[1] + len(local) + (-local).get()


def comprehensions(x, n):
    i = 5.0
    a = [i * x for i in range(n) if i % 2]
    b = {k: [v + j for j, v in enumerate(a)] for k in ("p", "q")}
    c = {round(v) for v in (1.2, 2.7)}
    d = max(v if v > 1 else -v for v in a)
    return a, b, sum(c), d, i


def texts(x, n):
    name = f"{n:03d}" + "_" + "a" * n
    return x * len(name), name.upper().split("_")[1]


def deep_jumps(x):
    total = 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            if x[i] + x[j] > 5.5:
                return total, i, j
            if j > i:
                break
            if x[j] < 0:
                continue
            total += x[j]
        else:
            total += 100.0
        if total > 300:
            break
    while total > 50:
        total /= 2
        if total < 60:
            continue
        total -= 1
    else:
        total += 0.5
    return total, -1, -1


def late_binding(x):
    functions = []
    for k in range(3):
        functions.append(lambda v, k=k: v * k + x)
    other = [lambda: k * x for k in range(3)]
    return sum(f(1.0) for f in functions) + other[0]()


def members(x, n):
    y = 0.0
    if n in (1, 2, 3):
        y += 1
    if n not in {"a": 1}:
        y += x
    if x in (1.0, 2.0):
        y += 10
    return y if x is not None and n != 4 else -y


def mixed_numbers(x, n):
    a = n // 2 + n % 3 - (n << 1)
    b = x // 0.3 + x % 0.4 + divmod(x, 0.7)[1]
    c = abs(-x) + round(x, 1) + int(x * 3) + float(n) + bool(n) + pow(x, 2)
    return a, b, c, min(x, n, 1.5), max(n, 2), -n, +x, ~n, not n


def slices(x, n):
    y = x.copy()
    y[1:n] *= 2
    y[::-2] += 1
    z = y[-n:]
    z[0] = 7.0
    w = y.reshape(2, 5)
    w[1, ::2] = 0.0
    return y, z.sum(), w.T[0], x[None, :].shape[0]


class Grid:
    size = 4

    def __init__(self, h):
        self.h = h
        self.cells = np.zeros(self.size)

    def fill(self, f):
        for i in range(self.size):
            self.cells[i] = f(i * self.h)
        self.h += 0.5
        return self


def grids(x):
    return Grid(x).fill(lambda t: t * t).cells, Grid(x).fill(math.sin).h


@functools.lru_cache
def cached(v):
    return v * 3


def uses_cache(x):
    return cached(x) + cached(2.0)


def starred(x):
    def gather(*parts):
        return [p * 2 for p in parts]

    first, *middle, last = gather(*[x, 1.0], *(v for v in (2.0, x)))
    return first, middle, last, [*middle, *gather(last)], {**{"a": first}, "b": last}


def loops_over_containers(p):
    total = 0.0
    for name, (a, b) in p.items():
        total += a * len(name) - b
    for key in sorted(p):
        total *= p[key][0]
    for i, v in zip(range(100), p["xy"]):
        total += i * v
    return total


PROGRAMS = [
    (walrus, (2.0,), (0.1,)),
    (targets, (2.0,)),
    (signatures, (2.0,)),
    (decorated, (2.0,), (5.0,)),
    (classes, (2.0,), (-2.0,)),
    (comprehensions, (2.0, 5)),
    (texts, (2.0, 4)),
    (deep_jumps, (X,), (np.abs(X),), (np.ones(5),), (X * 2,)),
    (late_binding, (2.0,)),
    (members, (2.0, 3), (2.5, 3)),
    (mixed_numbers, (1.7, 5)),
    (slices, (X, 4)),
    (grids, (0.3,)),
    (uses_cache, (2.0,)),
    (starred, (2.0,)),
    (loops_over_containers, ({"xy": (1.0, 2.0), "z": (3.0, 4.0)},)),
]


@pytest.mark.parametrize(("program", "cases"), [(p[0], p[1:]) for p in PROGRAMS], ids=[p[0].__name__ for p in PROGRAMS])
def test_program(program, cases):
    agree(program, *cases[0], also=cases[1:])


# --- compound statements ---


def handled(x):
    total = 0.0
    for k in (0.0, 1.0, -1.0, 2.0):
        try:
            if k < 0:
                continue
            total += 1.0 / (x - k)
        except ZeroDivisionError as error:
            total += len(str(error)) * 0.0 + 100.0
        else:
            total += 1000.0
        finally:
            total += 1.0
        if total > 5000:
            break
    return total


def matched(x, shape):
    match shape:
        case {"kind": "circle", "r": r}:
            return 3.0 * r * x
        case [a, b] if a > 0:
            area = a * b
        case _:
            area = 0.0
    return area * x


def managed(x):
    class Manager:
        def __enter__(self):
            return x * 2

        def __exit__(self, *args):
            return False

    with Manager() as m:
        if m > 1:
            return m
    return -x


@pytest.mark.parametrize(
    ("program", "args"),
    [(handled, (1.0,)), (handled, (0.5,)), (matched, (2.0, {"kind": "circle", "r": 1.5})), (matched, (2.0, [1.0, 2.0])),
     (matched, (2.0, None)), (managed, (2.0,)), (managed, (0.1,))],
)  # fmt: skip
def test_compound_statements(program, args):
    agree(program, *args)


def test_lambdas_inside_of_lambdas_on_one_line_are_told_apart():
    twice = lambda f, x: f(f(x))  # noqa: E731
    nested = [lambda x: 2.0 + twice(lambda x: x * x, x), lambda *x: twice(lambda *x: x[0] + 1.0, x[0]), lambda: (lambda x: x)]
    x = 1.5
    for f, value, slope in ((nested[0], 2.0 + x**4, 4.0 * x**3), (nested[1], 3.5, 1.0), (nested[2](), x, 1.0)):
        assert wg.jit(f)(x) == f(x) == value
        assert wg.grad(f)(x) == slope
        with wg.eager():
            assert wg.grad(f)(x) == slope
