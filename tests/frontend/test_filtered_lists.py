"""Lists whose length data decides: filtered comprehensions, and what Python does with such lists by order and by value."""

import warnings

import numpy as np
import pytest

import wengert as wg


def squares_in_order(xs):
    kept = [v * v for v in xs if v > 1.5]
    kept.sort()
    return kept[0] * kept[-1] * len(kept)


def in_reverse(xs):
    kept = sorted([v for v in xs if v > 1.5], reverse=True)
    return kept[0] * 3 + kept[1]


def pairs_by_key(xs):
    kept = [(v, k) for k, v in enumerate(xs) if v > 1.5]
    kept.sort(key=lambda pair: -pair[1])
    return max(kept)[0] * min(kept, key=lambda pair: -pair[0])[0] * kept[0][0]


def products_of_pairs(xs):
    return sum([a * b for a in xs if a > 2 for b in xs if b < a])


def without_one(xs):
    left = list(xs)
    left.remove(xs[1])
    return sum(v * k for k, v in enumerate(left))


def place_of_the_largest(xs):
    values = [v for v in xs]
    k = values.index(max(values))
    return values[k] * k + values[0]


def two_parts(xs):
    low = [v for v in xs if v < 2.5]
    high = [v for v in xs if v >= 2.5]
    return sum(a * b for a, b in zip(low, high)) + len(high) * xs[0]


class Item:
    def __init__(self, v):
        self.v = v


def objects(xs):
    kept = [Item(v * 2) for v in xs if v > 1.5]
    return sum([item.v for item in kept]) + max(kept, key=lambda item: item.v).v


def from_a_dict(xs):
    table = {k: v for k, v in enumerate(xs)}
    return sum([v * k for k, v in table.items() if v > 1.5])


def conditions_are_asked_once(xs):
    asked = 0

    def ask():
        nonlocal asked
        asked += 1
        return True

    return sum([v for v in xs if ask() and v > 1.5]) * asked


def maybe_nothing(xs):
    kept = [v for v in xs if v > 100.0]
    return (sum(kept) / len(kept) if kept else 0.0) + max(kept, default=xs[0])


def edited_afterwards(xs):
    kept = [v for v in xs if v > 1.5]
    kept[0] = kept[1] * 2
    kept.append(xs[0])
    kept.insert(0, xs[1])
    while kept and kept[-1] > 2.5:
        kept.pop()
    return sum(kept) + len(kept)


def median_of_some(xs):
    return np.median(np.array([v for v in xs if v > 1.2]))


def list_of_filter(xs):
    kept = list(filter(lambda v: v > 1.5, xs))
    return sum(kept) * len(kept)


def sorted_generator(xs):
    return sorted(v for v in xs if v > 1.5)[0]


def maximum_is_the_first(xs):
    kept = [(round(v / 10.0), v) for v in xs if v > 0.5]
    return max(kept, key=lambda pair: pair[0])[1] + 2.0 * min(kept, key=lambda pair: pair[0])[1]


PROGRAMS = [
    squares_in_order,
    in_reverse,
    pairs_by_key,
    products_of_pairs,
    without_one,
    place_of_the_largest,
    two_parts,
    objects,
    from_a_dict,
    conditions_are_asked_once,
    maybe_nothing,
    edited_afterwards,
    median_of_some,
    list_of_filter,
    sorted_generator,
    maximum_is_the_first,
]
SHORT = np.array([3.0, 1.0, 2.0])
LONG = np.array([(k * 17 % 23 + 0.3) / 4.0 for k in range(12)])
IN_LOOPS = (squares_in_order, pairs_by_key, products_of_pairs, objects, edited_afterwards)


@pytest.mark.parametrize("program", PROGRAMS)
def test_compiles(program):
    xs = LONG if program in IN_LOOPS else SHORT
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, gradient = wg.value_and_grad(program)(xs)
    assert value == pytest.approx(program(xs))
    with wg.eager():
        eager = wg.value_and_grad(program)(xs)
    assert eager[0] == pytest.approx(value)
    np.testing.assert_allclose(gradient, eager[1], rtol=1e-12, atol=1e-12)
    step = 1e-6 * np.eye(len(xs))[1]
    assert gradient[1] == pytest.approx((program(xs + step) - program(xs - step)) / 2e-6, rel=1e-5, abs=1e-5)


def test_errors_are_those_of_python():
    def missing(xs, y):
        return [v for v in xs if v > 1.5].index(y)

    def nothing(xs, y):
        return max([v for v in xs if v > y], key=lambda v: -v)

    assert wg.jit(missing)(SHORT, 2.0) == 1
    with pytest.raises(ValueError, match="is not in list"):
        wg.jit(missing)(SHORT, 1.0)
    assert wg.jit(nothing)(SHORT, 1.0) == 2.0
    with pytest.raises(ValueError, match="empty"):
        wg.jit(nothing)(SHORT, 10.0)


def test_items_of_a_generator():
    def grown(x):
        def values():
            v = x + 1
            while v < 10:
                if v > 3:
                    yield v
                v *= 1.5

        return sum([v * v for v in values()]) + len(list(values()))

    for x in (0.7, 2.2):
        assert wg.jit(grown)(x) == pytest.approx(grown(x))
        assert wg.grad(grown)(x) == pytest.approx((grown(x + 1e-6) - grown(x - 1e-6)) / 2e-6)


def test_a_list_that_a_recursion_fills_runs_eagerly():
    def collected(x):
        def walk(v, found):
            if v < 10:
                found.append(v)
                walk(v * 2, found)
            return found

        return sum(walk(x + 1, []))

    with pytest.raises(wg.StagingError, match="recursion of"):
        wg.jit(collected)(0.7)
    with wg.eager():
        assert wg.value_and_grad(collected)(0.7) == (pytest.approx(collected(0.7)), pytest.approx(7.0))
