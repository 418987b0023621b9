"""`wg.jit(f)` does to its arguments what `f` does; derivatives leave theirs alone."""

import copy
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import pytest

import wengert as wg
from wengert.tree import flatten


@dataclass
class Filter:
    x: np.ndarray
    p: float
    log: list = field(default_factory=list)

    def predict(self, u):
        self.x[0] += u
        self.p = self.p * 1.1

    def update(self, z):
        gain = self.p / (self.p + 1.0)
        self.x += gain * (z - self.x)
        self.p *= 1.0 - gain
        self.log.append(self.p)


def run_filter(kalman, u, n):
    for i in range(n):
        kalman.predict(u * i)
        kalman.update(u)
    return kalman.x[0] + kalman.p


def scale(x, a):
    x *= a
    x[0] = 5.0
    return np.sum(x)


def lists(items, a):
    items.append(a * items[0])
    items[0] = items[1] + a
    items[1], items[2] = items[2], items[1]
    return items[0]


def grows(items, a, n):
    for i in range(n):
        if i % 3:
            items.append(a * i)
    return items[-1]


def dicts(state, a):
    state["x"] += a
    state["new"] = {"inner": [a, 2 * a]}
    del state["old"]
    return state["x"]


def queue(pending, a):
    first = pending.popleft()
    pending.append(first * a)
    return first


def in_branch(items, a):
    if a > 1.0:
        items[0] = a
    else:
        items[1] = -a
    return items[0] + items[1]


def nested(tree, a):
    tree["left"][0] += a
    tree["right"] = tree["left"]
    return tree["left"][0]


class Node:
    def __init__(self, value, following):
        self.value = value
        self.following = following


def linked(node, a):
    at = node
    while at is not None:
        at.value = at.value * a
        at = at.following
    node.following = Node(a, node.following)
    return node.value


CASES = [
    (run_filter, Filter(np.array([1.0, 2.0]), 0.5), 0.3, 12),
    (scale, np.arange(4.0), 2.0),
    (scale, np.arange(8.0)[::2], 2.0),
    (scale, np.arange(4.0).reshape(2, 2).T[0], 1.5),
    (lists, [1.0, 2.0], 3.0),
    (grows, [1.0], 2.0, 20),
    (dicts, {"x": np.ones(3), "old": 1.0}, 2.0),
    (queue, deque([1.0, 2.0]), 3.0),
    (in_branch, [1.0, 2.0], 1.5),
    (in_branch, [1.0, 2.0], 0.5),
    (linked, Node(1.0, Node(2.0, None)), 3.0),
]


def assert_same(found, expected):
    a, b = flatten(found), flatten(expected)
    assert a[1] == b[1], (a[1], b[1])
    for x, y in zip(a[0], b[0], strict=True):
        assert type(x) is type(y), (x, y)
        np.testing.assert_allclose(x, y, rtol=1e-13)


@pytest.mark.parametrize(("f", "args"), [(f, args) for f, *args in CASES], ids=lambda p: getattr(p, "__name__", ""))
def test_arguments_change_as_with_the_function_itself(f, args):
    program = wg.jit(f)
    expected, found, eager = copy.deepcopy(args), copy.deepcopy(args), copy.deepcopy(args)
    for _ in range(1 if f is dicts else 2):
        result = f(*expected)
        np.testing.assert_allclose(program(*found), result, rtol=1e-13)
        with wg.eager():
            program(*eager)
    assert_same(found, expected)
    assert_same(eager, expected)


def test_objects_keep_their_identity():
    kalman = Filter(np.array([1.0, 2.0]), 0.5)
    x, log = kalman.x, kalman.log
    wg.jit(run_filter)(kalman, 0.3, 3)
    assert kalman.x is x and kalman.log is log and len(log) == 3
    tree = {"left": [1.0], "right": [2.0]}
    left = tree["left"]
    wg.jit(nested)(tree, 1.0)
    assert tree["right"] is left is tree["left"] and left == [2.0]


def test_derivatives_leave_their_arguments_alone():
    for f, *args in CASES:
        if f is dicts:
            continue
        before = copy.deepcopy(args)
        wg.grad(f, argnums=1)(*args)
        assert_same(args, before)


def test_a_container_passed_twice_is_refused_when_it_changes():
    def both(a, b):
        a.append(1.0)
        return len(b)

    shared = [1.0]
    with pytest.raises(wg.UnsupportedError, match="passed to it twice"):
        wg.jit(both)(shared, shared)
    assert shared == [1.0]


def test_other_sizes_and_numbers_do_not_compile_again():
    program = wg.jit(scale)
    for n in (3, 5, 9):
        program(np.ones(n), 0.5 * n)
    assert (program.stats.traces, program.stats.compilations, program.stats.variants) == (1, 1, 1)


@pytest.mark.filterwarnings("ignore::wengert.EagerFallbackWarning")
@pytest.mark.parametrize("repeats", [1, 4])
def test_reshaped_argument_that_is_not_contiguous(repeats):
    """NumPy's reshape of such an array is a copy, so a write to it is not seen in the array."""

    def flat(a):
        part = a.reshape(-1)
        part[0] = 3.5
        return np.sum(a * a)

    def read(a):
        return np.sum(a.reshape(-1) ** 2)

    def gaps():
        return np.hstack([rows, rows])[:, :3]

    rows = np.arange(1.0, 7.0).reshape(2, 3)
    program, derivative = wg.jit(flat), wg.grad(flat)
    for a in (
        rows.copy,
        rows.copy(order="F").copy,
        lambda: np.asfortranarray(rows),
        lambda: np.repeat(rows, 2, axis=1)[:, ::2],
        gaps,
    ):
        for _ in range(repeats):
            example = a()
            is_view = np.may_share_memory(example, example.reshape(-1))
            if example.flags.c_contiguous:
                assert program(a()) == flat(a())
            else:
                with pytest.raises(wg.StagingError, match="'a' does not lie row after row"):
                    program(a())
            wanted = 2 * rows
            wanted[0, 0] *= not is_view
            np.testing.assert_array_equal(derivative(a()), wanted)
            with wg.eager():
                np.testing.assert_array_equal(wg.grad(flat)(a()), wanted)
    np.testing.assert_array_equal(wg.grad(read)(np.asfortranarray(rows)), 2 * rows)
