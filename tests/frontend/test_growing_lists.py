"""Lists and deques whose length is known only at run time: compiled code gives what CPython and eager mode give."""

import copy
import functools
import itertools
import math
import operator
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
import pytest

import wengert as wg
from wengert.errors import StagingError
from wengert.frontend.trace import trace
from wengert.ir.verify import verify
from wengert.tree import flatten


def same(found, expected):
    assert type(found) is type(expected), (found, expected)
    a, b = flatten(found), flatten(expected)
    assert a[1] == b[1], (found, expected)
    for x, y in zip(a[0], b[0], strict=True):
        if isinstance(y, str):
            assert x == y
        else:
            np.testing.assert_allclose(x, y, rtol=1e-12)


def agree(f, *args, gradient=True):
    expected = f(*copy.deepcopy(args))
    verify(trace(f, args, {}).function)
    same(wg.jit(f)(*args), expected)
    with wg.eager():
        same(wg.value_and_grad(f)(*args)[0] if gradient else wg.jit(f)(*args), expected)
    if gradient:
        wg.check_grads(f, args)


def halves(x):
    values = [x]
    while values[-1] > 0.1:
        values.append(0.5 * values[-1])
    return values[-1] + len(values) * x + sum(values) + values[len(values) // 2] * min(values) + max(values)


def evens(x, n):
    out = []
    for i in range(n):
        if i % 2 == 0:
            out.append(x * i)
        else:
            out.append(x)
            out.append(x * x)
    return np.sum(np.array(out) ** 2) + np.mean(out)


def worklist(x):
    stack, total = [x, 2 * x], 0.0
    while stack:
        v = stack.pop()
        if v > 0.5:
            stack.append(v * 0.5)
            stack.append(v * 0.3)
        total += v * v
    return total


def queue(x):
    pending, total, steps = deque([x]), 0.0, 0
    while pending and steps < 40:
        v = pending.popleft()
        steps += 1
        if v > 0.3:
            pending.append(0.5 * v)
            pending.appendleft(0.7 * v)
        total += v * steps
    return total + len(pending)


def pairs(x, n):
    points = [(x, 0.0)]
    for _ in range(n):
        a, b = points[-1]
        points.append((a + 0.1 * b, b - 0.1 * a))
    return points[-1][0] * points[-2][1] + sum(p[0] for p in points)


def written(x, n):
    values = [0.0] * n
    for i in range(n):
        values[i] = x * i
    for i in range(1, n):
        values[i] += values[i - 1]
    total = 0.0
    for i, v in enumerate(values):
        total += i * v * v
    for v, w in zip(values, reversed(values)):
        total += v * w
    return total


def memo(x, n):
    cache = [x, x * x]
    for i in range(2, n):
        cache += [cache[i - 1] + cache[i - 2] * x]
    return cache[n - 1] + (x in cache)


def rows(x, n):
    trajectory, state = [], np.array([x, 0.0])
    for _ in range(n):
        state = state + 0.1 * np.array([state[1], -state[0]])
        trajectory.append(state)
    path = np.array(trajectory)
    return np.sum(path[:, 0] * path[:, 1]) + trajectory[-1][0] + np.sum(trajectory[0])


@dataclass
class Sample:
    time: float
    value: float


class Recorder:
    def __init__(self):
        self.samples = []
        self.best = 0.0

    def note(self, time, value):
        self.samples.append(Sample(time, value))
        if value > self.best:
            self.best = value


def records(x, n):
    recorder = Recorder()
    for i in range(n):
        recorder.note(0.1 * i, np.sin(x * i))
    total = recorder.best
    for sample in recorder.samples:
        total += sample.time * sample.value
    return total + recorder.samples[n // 2].value


def arms(x):
    values = [x, 2 * x]
    if x > 1.0:
        values.append(x * x)
        values.append(3.0)
    elif x > 0.5:
        values.pop()
    else:
        values.clear()
    values.append(5 * x)
    return sum(values) + len(values)


def nested(x, n):
    total = 0.0
    for i in range(n):
        row = []
        for j in range(i):
            row.append(x * j)
        total += sum(row) * len(row)
    return total


GRADIENTS = [
    (halves, 2.03), (halves, 0.05), (evens, 1.3, 21), (worklist, 3.01), (queue, 1.7), (pairs, 1.1, 30), (written, 1.5, 12),
    (memo, 0.9, 15), (rows, 1.2, 25), (records, 0.8, 30), (arms, 1.5), (arms, 0.7), (arms, 0.2), (nested, 1.1, 14),
]  # fmt: skip


@pytest.mark.parametrize(("f", "args"), [(f, args) for f, *args in GRADIENTS], ids=lambda p: getattr(p, "__name__", ""))
def test_value_and_gradient(f, args):
    agree(f, *args)


def edited(x, n):
    out = []
    for i in range(n):
        if i % 3:
            out.append(x * i)
    out.insert(1, x * x)
    out.insert(-1, 7.0)
    del out[0]
    out[0] += 3.0
    out[-2] = x
    out += [x, 2 * x]
    out.extend(out[:2])
    head = out.pop(2)
    out[1:3] = [head, head, x]
    del out[-1:]
    return out[1:-1], out[::-1], len(out), out == out.copy(), list(out)


def cleared(x, n):
    out = [1.0]
    for i in range(n):
        out.append(x)
        if i == n - 3:
            out.clear()
    return out


def deques(x, n):
    out = deque([x])
    for i in range(n):
        if x * i > 1.0:
            out.appendleft(x * i)
        out.append(1.0)
    out.popleft()
    return out


def labelled(x, n):
    out = []
    for i in range(n):
        out.append({"step": i, "state": (x * i, "fixed")})
    return out


@pytest.mark.parametrize(
    ("f", "args"),
    [(edited, (1.2, 20)), (cleared, (1.0, 9)), (deques, (0.4, 12)), (labelled, (1.5, 11))],
    ids=lambda p: getattr(p, "__name__", ""),
)
def test_lists_as_results(f, args):
    agree(f, *args, gradient=False)


def test_one_compilation_serves_all_lengths():
    program = wg.jit(evens)
    for n in (1, 2, 9, 40):
        np.testing.assert_allclose(program(1.3, n), evens(1.3, n))


def test_errors_are_those_of_lists():
    def pop(x, n):
        out = []
        for i in range(n):
            if x > i:
                out.append(x)
        return out.pop()

    def beyond(x, n):
        out = []
        for i in range(n):
            if x > i:
                out.append(x)
        return out[3]

    assert wg.jit(pop)(2.0, 20) == wg.jit(beyond)(5.0, 20) - 3.0 == 2.0
    with pytest.raises(IndexError, match="pop from empty list"):
        wg.jit(pop)(-1.0, 20)
    with pytest.raises(IndexError):
        wg.jit(beyond)(2.0, 20)


def test_what_is_in_a_list_must_not_be_written():
    def alias(x, n):
        out, state = [], np.array([x, x])
        for i in range(n):
            state[0] += 1.0
            out.append(state)
        return out[0][0]

    def item(x, n):
        out = []
        for i in range(n):
            out.append([x, x])
        out[2][0] = 5.0
        return out[2][0] + out[1][0]

    for f in (alias, item):
        with pytest.raises(StagingError):
            wg.jit(f)(1.0, 20)
        with pytest.warns(wg.EagerFallbackWarning):
            slope = wg.grad(f)(1.0, 20)
        assert slope == 1.0


def test_a_million_appends_cost_what_they_should():
    def f(x, n):
        values = [x]
        for i in range(n):
            values.append(values[-1] * 0.999 + x * values[i])
        return values[-1]

    gradient = wg.value_and_grad(f)
    gradient(1e-6, 10)
    times = []
    for n in (10**5, 10**6):
        start = time.perf_counter()
        gradient(1e-6, n)
        times.append(time.perf_counter() - start)
    assert times[1] < 40 * times[0] + 0.2


@pytest.mark.parametrize(
    "use",
    [
        lambda v: sum([10.0 * b - a for a, b in itertools.pairwise(v)]),
        lambda v: sum(a * b for a, b in itertools.combinations(v, 2)),
        lambda v: sum(itertools.islice(v, 1, 3)),
        lambda v: list(itertools.accumulate(v))[-1],
        lambda v: functools.reduce(lambda a, b: a + b * a, v),
        lambda v: functools.reduce(operator.mul, v),
        lambda v: sum(itertools.chain(v, [1.0])),
        lambda v: sum(map(operator.mul, v, v)),
    ],
)
def test_functions_written_in_c_do_not_look_inside(use):
    """They are refused where the length is traced: never given what stands in the list."""

    def f(x):
        v = []
        for each in x:
            v.append(2.0 * each)
        return use(v)

    x = np.arange(1.0, 13.0)
    with wg.eager():
        assert wg.value_and_grad(f)(x)[0] == pytest.approx(f(x))
    with pytest.raises(wg.StagingError, match="of a list of traced length"):
        wg.jit(f)(x)


def test_functions_of_lists_that_are_known():
    def f(x):
        v = []
        for each in x:
            v.append(2.0 * each)
        return math.prod(v) + math.fsum(v)

    x = np.arange(1.0, 13.0)
    assert wg.jit(f)(x) == pytest.approx(f(x))
