"""Dicts and objects of the user's classes that change in staged loops and branches."""

from collections import Counter, defaultdict, namedtuple
from dataclasses import asdict, dataclass, replace

import numpy as np
import pytest

import wengert as wg
from wengert.errors import StagingError


def agree(f, *args):
    expected = f(*args)
    np.testing.assert_allclose(wg.jit(f)(*args), expected, rtol=1e-12)
    with wg.eager():
        np.testing.assert_allclose(wg.value_and_grad(f)(*args)[0], expected, rtol=1e-12)
    wg.check_grads(f, args)


def dict_values(x, n):
    d = {"a": x, "b": 0.0}
    for _ in range(n):
        d["a"] = d["a"] * 0.9
        d["b"] += d["a"]
    d.update(c=d["b"])
    return d["a"] + d["b"] + sum(d.values()) + d.get("none", 1.0) + d.setdefault("a", 5.0) + d.pop("c")


def default_dict(x, n):
    sums = defaultdict(float)
    for i in range(n):
        sums["s"] += x * i
        sums["t"] += 1.0
    return sums["s"] * sums["t"]


def counter(x, n):
    counts = Counter()
    for _ in range(n):
        counts["s"] += 2
    return x * counts["s"]


Pair = namedtuple("Pair", "a b")


def named_tuple(x, n):
    p = Pair(x, 0.0)
    for _ in range(n):
        p = p._replace(b=p.b + p.a * 0.1)
        p = p._replace(a=p.a - p.b * 0.1)
    return p.a * p.b


@dataclass(frozen=True)
class State:
    q: float
    v: float = 1.0


def frozen_dataclass(x, n):
    s = State(x)
    for _ in range(n):
        s = replace(s, q=s.q + 0.1 * s.v, v=s.v - 0.1 * s.q)
    d = asdict(s)
    return d["q"] * d["v"]


def chosen_object(x, n):
    best = None
    for i in range(n):
        candidate = State(np.sin(x * i), 1.0)
        if best is None or candidate.q > best.q:
            best = candidate
    return best.q


class Vec:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __add__(self, other):
        return Vec(self.x + other.x, self.y + other.y)

    def __rmul__(self, k):
        return Vec(k * self.x, k * self.y)

    def __iadd__(self, other):
        self.x += other.x
        self.y += other.y
        return self

    def __getitem__(self, i):
        return self.x if i == 0 else self.y

    def __setitem__(self, i, value):
        if i == 0:
            self.x = value
        else:
            self.y = value

    def __len__(self):
        return 2

    def __lt__(self, other):
        return self.x < other.x

    def __bool__(self):
        return self.x > 0

    def __call__(self, k):
        return self.x * k

    @property
    def norm(self):
        return np.sqrt(self.x**2 + self.y**2)

    @norm.setter
    def norm(self, value):
        self.x = value

    @classmethod
    def make(cls, a):
        return cls(a, a)

    @staticmethod
    def twice(a):
        return 2 * a


def operators(x, n):
    v, w = Vec.make(x), Vec(0.0, 1.0)
    for _ in range(n):
        w = w + 0.1 * v
        w += v
        w[0] = w[1] * 0.5
        if v < w:
            v.norm = v.norm * 0.5
        if w:
            v.y = v.y * 0.7
    return w.norm + Vec.twice(w(3.0)) + len(w) + w[1]


class Recorder:
    def __init__(self):
        self.values = []
        self.by_name = {"even": [], "odd": []}

    def __len__(self):
        return len(self.values)

    def note(self, i, value):
        self.values.append(value)
        self.by_name["odd" if i % 2 else "even"].append(value)


def lists_in_objects(x, n):
    recorder = Recorder()
    for i in range(n):
        recorder.values.append(x * i)
        if x * i > 3.0:
            recorder.by_name["even"].append(x)
    return sum(recorder.values) + len(recorder.by_name["even"]) * x + len(recorder)


def matrix_of_lists(x, n):
    rows = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(n):
            rows[i][j] = x * (i + j)
    return rows[1][2] * rows[n - 1][0]


CASES = [
    dict_values, default_dict, counter, named_tuple, frozen_dataclass, chosen_object, operators, lists_in_objects,
    matrix_of_lists,
]  # fmt: skip


@pytest.mark.parametrize("f", CASES, ids=lambda f: f.__name__)
def test_value_and_gradient(f):
    agree(f, 1.31, 11)


def test_what_only_one_arm_sets_is_refused():
    def key(x):
        found = {}
        if x > 0:
            found["a"] = x
        return found.get("a", 5.0 * x)

    def attribute(x):
        s = Recorder()
        if x > 0:
            s.extra = x
        return s.extra if hasattr(s, "extra") else 5.0 * x

    for f in (key, attribute):
        with pytest.raises(StagingError, match="may be missing after this branch"):
            wg.jit(f)(-1.0)
        with pytest.warns(wg.EagerFallbackWarning):
            assert (wg.grad(f)(-1.0), wg.grad(f)(1.0)) == (5.0, 1.0)


def test_changes_in_a_trial_run_are_undone():
    def f(x):
        stack, total = [x, 2 * x], 0.0
        while stack:
            v = stack.pop()
            total += v
            if v > 1.0:
                stack.append(0.4 * v)
        return total

    agree(f, 3.01)


def test_short_loops_in_each_other_are_unrolled_within_bounds():
    def f(x):
        total = 0.0
        for _ in range(8):
            for _ in range(8):
                for _ in range(8):
                    for _ in range(8):
                        for _ in range(8):
                            total = total * 0.5 + x
        return total

    program = wg.jit(f)
    np.testing.assert_allclose(program(1.0), f(1.0), rtol=1e-12)
    assert program.stats.traces == 1
