"""Further calls with arguments of one kind take a short way, which gives the same and notices everything that changes."""

from __future__ import annotations

import itertools
import pickle
import sys
import threading
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import wengert as wg
from wengert.api.hot import MISSING, _size_tests

FACTOR = 2.0
TABLE = np.array([1.0, 2.0])


def cubic(a: float, b: float, c: float) -> float:
    return a * b * c + c * c


def scaled(x: Any) -> Any:
    return np.sum(x * x) * FACTOR


def looked_up(x: Any) -> Any:
    return np.sum(x * TABLE)


def pair(a: float, x: Any) -> Any:
    return {"sum": a + np.sum(x), "both": (x * a, [a])}


def dot(x: Any, y: Any) -> Any:
    return np.sum(x[1:] * y[:-1])


def power(x: float, n: int) -> float:
    return x**n if n > 2 else x


@wg.jit
def decorated(x: float) -> float:
    return x * 3.0


def is_hot(fn: Any, *args: Any) -> bool:
    return fn._hot_code is not None and fn._hot_code(args, {}) is not MISSING


def test_all_ways_are_short() -> None:
    x = np.array([1.0, 2.0, 3.0])
    for make, args in ((cubic, (1.0, 2.0, 3.0)), (scaled, (x,)), (looked_up, (x[:2],)), (pair, (2.0, x))):
        made = wg.jit(make)
        first = made(*args)
        assert is_hot(made, *args)
        np.testing.assert_equal(made(*args), first)
        assert type(made(*args)) is type(first)
    for transform in (wg.grad, wg.value_and_grad):
        for fn, args in ((cubic, (1.0, 2.0, 3.0)), (scaled, (x,)), (dot, (x, x))):
            for argnums in (0, tuple(range(len(args)))):
                made = transform(fn, argnums=argnums)
                first = made(*args)
                assert is_hot(made, *args)
                np.testing.assert_equal(made(*args), first)
                assert type(made(*args)) is type(first)
                value = made(*args)[0] if transform is wg.value_and_grad else None
                assert value is None or type(value) is type(first[0])


def test_conditions_on_sizes_are_what_they_were() -> None:
    """Written out, for sizes around where they change."""
    lists: list[list[tuple[int, list[tuple[str, int]]]]] = [
        [(0, [("a", 1), ("b", -1)]), (0, [("b", 1), ("a", -1)])],
        [(-2, [("a", 1)]), (3, [("a", -1), ("b", 2)]), (0, [("b", 1)])],
        [(1, [("a", 1), ("b", -1)]), (-1, [("a", -1), ("b", 1)]), (0, [("c", 1), ("a", -2)])],
        [(-3, [("a", -1)])], [(3, [("a", -1), ("a", -1)])], [(0, [("a", 1), ("a", -1)])], [(-1, [("a", 1), ("a", -1)])],
        [(0, [("a", -1)]), (0, [("a", 1)])], [(2, [("a", -1), ("b", -1)]), (-2, [("a", 1), ("b", 1)])], [],
    ]  # fmt: skip
    for conditions in lists:
        tests = _size_tests(conditions)
        for sizes in itertools.product(range(5), repeat=3):
            env = dict(zip("abc", sizes, strict=True))
            expected = all(slack + sum(c * env[name] for name, c in terms) >= 0 for slack, terms in conditions)
            assert all(eval(test, dict(env)) for test in tests) == expected, (conditions, tests, env)
    assert _size_tests(lists[0]) == ["a == b"]
    assert _size_tests([(0, [("a", 1)])]) == []


def scaled_sum(out: Any, x: Any, y: Any) -> None:
    out[:] = x + 2.0 * y


def test_written_arrays_that_overlap_others_or_differ_in_size() -> None:
    """The short way leaves them to the long one, which does what NumPy does."""
    made = wg.jit(scaled_sum)
    base = np.arange(12.0)
    for _ in range(2):
        made(np.empty(4), base[:4], base[4:8])
    assert is_hot(made, np.empty(4), base[:4], base[:4])
    for places in ((0, 1, 6), (1, 0, 6), (3, 6, 0), (0, 0, 0), (0, 4, 8)):
        ours, theirs = base.copy(), base.copy()
        made(np.empty(4), base[:4], base[4:8])  # makes the short way again after an error
        arrays = [ours[k : k + 4] for k in places]
        assert not is_hot(made, *arrays) or places == (0, 4, 8)
        ours[:] = base
        try:
            made(*arrays)
        except wg.WengertError:
            np.testing.assert_array_equal(ours, base)
            continue
        scaled_sum(*[theirs[k : k + 4] for k in places])
        np.testing.assert_array_equal(ours, theirs)
    made(np.empty(4), base[:4], base[4:8])
    for sizes in ((4, 4, 5), (4, 5, 4), (5, 4, 4)):
        arrays = [base[:n].copy() for n in sizes]
        assert not is_hot(made, *arrays)
        with pytest.raises(ValueError, match=r"broadcast|size|shape"):
            made(*arrays)
    frozen = np.ones(4)
    frozen.flags.writeable = False
    made(np.empty(4), base[:4], base[4:8])
    assert not is_hot(made, frozen, base[:4], base[4:8])


@dataclass
class Spring:
    stiffness: float
    ends: Any
    name: str = "spring"


STRIDED = np.array([[1.0, -9.0], [2.0, -9.0], [4.0, -9.0]])[:, 0]


def energy(spring: Any, scale: dict[str, float]) -> Any:
    return scale["by"] * spring.stiffness * np.sum(spring.ends**2 * STRIDED)


def test_objects_and_containers_take_the_short_way_too() -> None:
    made = wg.value_and_grad(energy, argnums=(0, 1))
    spring, scale = Spring(2.0, np.array([1.0, 2.0, 3.0])), {"by": 0.5}
    first = made(spring, scale)
    for ends in (spring.ends, np.array([3.0, -1.0, 0.5]), spring.ends[::-1]):
        for stiffness in (2.0, -1.5):
            spring = Spring(stiffness, ends)
            assert is_hot(made, spring, scale)
            value, (slopes, by) = made(spring, scale)
            assert type(slopes) is Spring and slopes.name is None is first[1][0].name
            weighed = float(np.sum(ends**2 * STRIDED))
            assert value == pytest.approx(0.5 * stiffness * weighed, rel=1e-14)
            assert slopes.stiffness == pytest.approx(0.5 * weighed, rel=1e-14)
            assert slopes.ends == pytest.approx(stiffness * ends * STRIDED, rel=1e-14)
            assert by == {"by": pytest.approx(stiffness * weighed, rel=1e-14)}


def test_objects_of_another_kind_take_the_long_way() -> None:
    made = wg.grad(energy)
    spring, scale = Spring(2.0, np.array([1.0, 2.0, 3.0])), {"by": 0.5}
    made(spring, scale)
    other = Spring(2.0, np.array([1.0, 2.0, 3.0]))
    other.extra = 1.0  # type: ignore[attr-defined]
    for args in (
        (other, scale),
        (Spring(2, np.array([1.0, 2.0, 3.0])), scale),
        (Spring(2.0, np.array([1, 2, 3])), scale),
        (Spring(2.0, np.array([1.0, 2.0, 3.0]), "coil"), scale),
        (spring, {"by": 0.5, "more": 1.0}),
        (spring, {"by": "much"}),
    ):
        assert not is_hot(made, *args)
    found = made(Spring(2.0, np.array([1.0, 2.0, 3.0]), "coil"), scale)
    assert found.ends == pytest.approx(2.0 * np.array([1.0, 2.0, 3.0]) * STRIDED, rel=1e-14)
    assert made(spring, scale).ends == pytest.approx(found.ends, rel=1e-15)


def test_arrays_in_objects_that_are_written_to() -> None:
    def doubled(spring: Any) -> Any:
        spring.ends[:] = 2.0 * spring.ends
        return np.sum(spring.ends)

    made = wg.jit(doubled)
    spring = Spring(2.0, np.array([1.0, 2.0, 3.0]))
    for times in (2.0, 4.0, 8.0):
        assert made(spring) == pytest.approx(6.0 * times)
        assert spring.ends == pytest.approx(np.array([1.0, 2.0, 3.0]) * times)


def test_counters_count_every_call_once() -> None:
    made = wg.grad(cubic)
    for _ in range(5):
        made(1.0, 2.0, 3.0)
    made(np.float64(1.0), 2.0, 3.0)
    assert made.stats.calls == 6


def test_other_arguments_go_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    made = wg.jit(scaled)
    x = np.array([1.0, 2.0, 3.0])
    assert made(x) == 28.0
    assert made(np.array([5.0])) == 50.0
    assert made(x[None, :]) == 28.0
    assert made(np.array([1, 2, 3])) == 28
    assert made(x[::2]) == 20.0
    assert made(2.0) == 8.0
    assert made(x=x) == 28.0
    assert made(np.float32([1.0, 2.0])) == 10.0
    with pytest.raises(TypeError):
        made(x, x)
    assert made(x) == 28.0
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 3.0)
    assert made(x) == 42.0
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 3)
    assert made(x) == 42.0


def test_captured_arrays_are_read_again() -> None:
    made = wg.grad(looked_up)
    x = np.array([1.0, 1.0])
    try:
        np.testing.assert_array_equal(made(x), [1.0, 2.0])
        TABLE[0] = 7.0
        np.testing.assert_array_equal(made(x), [7.0, 2.0])
    finally:
        TABLE[0] = 1.0


def test_sizes_that_do_not_fit() -> None:
    made = wg.grad(dot)
    x = np.arange(5.0)
    for n in (5, 2, 3, 5):
        np.testing.assert_array_equal(made(x[:n], x[:n]), np.concatenate([[0.0], x[: n - 1]]))
    with pytest.raises(ValueError, match="shape"):
        made(x, x[:3])
    np.testing.assert_array_equal(made(x, x), [0.0, 0.0, 1.0, 2.0, 3.0])


def test_whole_numbers_that_the_code_depends_on() -> None:
    made = wg.jit(power)
    for n in (1, 2, 3, 4, 1, 3, 3, 5):
        assert made(2.0, n) == power(2.0, n)


def test_inside_of_traces_and_eager_blocks() -> None:
    inner = wg.grad(cubic)
    inner(1.0, 2.0, 3.0)
    assert wg.grad(lambda a: inner(a, a, 1.0))(3.0) == 1.0
    with wg.eager(), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert inner(1.0, 2.0, 3.0) == 6.0
    assert inner.stats.eager_calls == 1
    hot = wg.jit(cubic)
    hot(1.0, 2.0, 3.0)
    with wg.eager():
        assert hot(1.0, 2.0, 3.0) == 15.0
    assert hot.stats.eager_calls == 1


def test_pickle() -> None:
    x = np.array([1.0, 2.0])
    for made in (wg.jit(scaled), wg.grad(scaled), wg.value_and_grad(scaled), wg.grad(pair_loss, argnums=(0, 1), has_aux=True)):
        args = (x,) if made.fn is scaled else (2.0, x)
        expected = made(*args)
        again = pickle.loads(pickle.dumps(made))
        np.testing.assert_equal(again(*args), expected)
        assert again.__name__ == made.__name__
    assert pickle.loads(pickle.dumps(decorated)) is decorated
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(wg.jit(lambda x: x))


def pair_loss(a: float, x: Any) -> Any:
    return a * np.sum(x), x + 1.0


def test_many_threads_on_one_function() -> None:
    made = wg.value_and_grad(scaled)
    wrong: list[Any] = []

    def work(seed: int) -> None:
        for k in range(300):
            n = 2 + (seed * 7 + k) % 40
            x = np.full(n, float(seed + 1))
            value, slope = made(x if k % 3 else np.repeat(x, 2)[::2])
            if value != 2.0 * n * (seed + 1) ** 2 or (slope != 4.0 * x).any():
                wrong.append((seed, k, value))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def relax(x: Any, y: Any, k: int) -> None:
    x[1:-1] = 0.5 * (y[:-2] + y[2:])
    y[0] += k * x[1]


def overwrites_its_argument(x: Any) -> Any:
    x *= 2.0
    return np.sum(x * x)


def test_arguments_are_written_to_the_short_way() -> None:
    made = wg.jit(relax)
    for n in (5, 7, 1000):
        for step in (1, 2):
            ours = [np.linspace(0.0, 1.0, step * n)[::step], np.linspace(1.0, 3.0, n)]
            theirs = [a.copy() for a in ours]
            assert made(*ours, 3) is None
            relax(*theirs, 3)
            np.testing.assert_array_equal(ours[0], theirs[0])
            np.testing.assert_array_equal(ours[1], theirs[1])
    assert is_hot(made, np.zeros(4), np.ones(4), 3)


def test_the_short_way_asks_what_the_long_one_asks_of_written_arguments() -> None:
    made = wg.jit(relax)
    made(np.zeros(4), np.ones(4), 3)
    whole, fixed = np.arange(8.0), np.ones(4)
    fixed.flags.writeable = False
    assert not is_hot(made, whole[:5], whole[3:], 3)
    with pytest.raises(wg.WengertError, match="shares memory"):
        made(whole[:5], whole[3:], 3)
    np.testing.assert_array_equal(whole, np.arange(8.0))
    made(whole[:4], whole[4:], 3)
    assert not is_hot(made, np.zeros(4), fixed, 3)
    with pytest.raises(ValueError, match="read-only"):
        made(np.zeros(4), fixed, 3)


def test_derivatives_leave_arguments_as_they_are_the_short_way() -> None:
    made, x = wg.grad(overwrites_its_argument), np.array([1.0, 2.0])
    for _ in range(3):
        np.testing.assert_array_equal(made(x), 8.0 * x)
    assert is_hot(made, x)
    np.testing.assert_array_equal(x, [1.0, 2.0])
    assert wg.grad(lambda x, y: relax(x, y, 1) or np.sum(x), argnums=1)(np.zeros(4), np.ones(4)).tolist() == [0.5, 0.5, 0.5, 0.5]
