"""Generators and iterators whose own loops and branches are staged, consumed by loops, folds and `with`."""

import contextlib
import gc
import math
import warnings

import numpy as np
import pytest

import wengert as wg
from tests.frontend.programs import same_everywhere
from tests.frontend.test_control_flow import ops
from wengert.frontend.trace import trace

X = np.array([0.5, -1.0, 2.0, 0.25, -3.0, 1.5, 0.75, -0.1, 4.0, 0.2])


def halvings(x, stop):
    while x > stop:
        yield x
        x = 0.5 * x


def loop_over(x):
    total = 0.0
    last = 0.0
    for v in halvings(x, 0.1):
        total += v * v
        last = v
    return total + 10.0 * last


def test_a_while_in_a_generator():
    same_everywhere(loop_over, (3.0,), (0.7,), (0.05,))
    assert "while" in ops(trace(loop_over, (3.0,), {}).function)


def positive(x):
    for v in x:
        if v > 0.0:
            yield v


def filtered(x):
    total = 0.0
    for k, v in enumerate(positive(x), start=1):
        total += k * v * v
    return total


def test_a_filter_in_a_generator():
    same_everywhere(filtered, (X,))


def leaves_early(x, limit):
    total = 0.0
    for v in positive(x):
        if v > limit:
            break
        if v < 0.3:
            continue
        total += v
    else:
        total = -total
    return total + x[0]


def test_break_continue_and_else():
    same_everywhere(leaves_early, (X, 1.8), (X, 100.0))


def returns_early(x, limit):
    for v in halvings(x, 0.01):
        if v < limit:
            return v * 3.0
    return x


def test_return_out_of_a_generator():
    same_everywhere(returns_early, (3.0, 1.0), (3.0, 0.001))


def both(x):
    yield x[0]
    yield from positive(x)
    if x[1] < 0.0:
        yield 5.0 * x[1]


def folds(x):
    found = sum(both(x)) + max(positive(x)) - min(v * v for v in x if v > 0.3)
    if any(v > 3.0 for v in positive(x)):
        found = 2.0 * found
    if all(v > -10.0 for v in both(x)):
        found += x[2]
    return found + sum(positive(x), 1.0)


def test_folds():
    same_everywhere(folds, (X,), (np.minimum(X, 2.5),))


def first_match(x, limit):
    return next((v * v for v in x if v > limit), -1.0) + x[0]


def test_next_with_a_default():
    same_everywhere(first_match, (X, 1.0), (X, 10.0))


def nested_expression(x):
    return sum(a * b for a in x for b in x if a < b) + max(a * b for a in x for b in (1.0, 2.0))


def test_nested_generator_expressions():
    same_everywhere(nested_expression, (X,))


def piped(x):
    return sum(map(lambda v: v * v, filter(lambda v: v > 0.0, (2.0 * v for v in x if v < 3.0))))


def test_map_and_filter():
    same_everywhere(piped, (X,))


def static_use(x):
    items = list(halvings_of(x, 3))
    first = iter(halvings_of(x, 2))
    a = next(first)
    b = next(first)
    return sum(items) + a * b + sum(p * q for p, q in zip(halvings_of(x, 3), items, strict=True))


def halvings_of(x, n):
    for _ in range(n):
        x = x * 0.5
        yield x


def test_generators_that_python_runs():
    same_everywhere(static_use, (2.0,))


def closure(x, n):
    calls = 0.0

    def numbers():
        nonlocal calls
        k = 0
        while k < n:
            calls = calls + 1.0
            yield k * x
            k += 1

    total = 0.0
    for v in numbers():
        total += v * v
    return total + calls


def test_nested_generator_function():
    same_everywhere(closure, (1.5, 20), (0.5, 3))


def raises_in_body(x):
    total = 0.0
    try:
        for v in positive(x):
            total += math.log(v - 0.4)
    except ValueError:
        total = 2.0 * total
    return total + x[0]


def test_exception_in_the_body():
    same_everywhere(raises_in_body, (X,))


# --- iterators ---


class Countdown:
    def __init__(self, x, low):
        self.x = x
        self.low = low

    def __iter__(self):
        return self

    def __next__(self):
        if self.x < self.low:
            raise StopIteration
        self.x = self.x * 0.75
        return self.x


def iterates(x):
    total = 0.0
    for v in Countdown(x, 0.2):
        total += v * v
    return total


def test_iterator_class():
    same_everywhere(iterates, (3.0,), (0.1,))


class Static:
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


class Counter:
    def __init__(self, n):
        self.n = n
        self.k = 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.k >= self.n:
            raise StopIteration
        self.k += 1
        return self.k


def static_iterators(x):
    return sum(x * k for k in Static(3)) + sum([x**k for k in Counter(3)]) + sum(k for k in Counter(2))


def test_iterators_that_python_runs():
    same_everywhere(static_iterators, (2.0,))


# --- context managers made of generators ---


@contextlib.contextmanager
def scaled(state, factor):
    old = state["scale"]
    state["scale"] = old * factor
    try:
        yield state["scale"]
    except ZeroDivisionError:
        state["scale"] = 100.0
    finally:
        state["done"] = state["done"] + 1.0


def manages(x):
    state = {"scale": x, "done": 0.0}
    y = 1.0
    with scaled(state, 3.0) as s:
        y = s * s / (x - 1.0)
    return y + state["scale"] * x + state["done"]


def test_generator_manager():
    same_everywhere(manages, (2.0,))
    assert wg.jit(manages)(1.0) == manages(1.0)
    assert wg.grad(manages)(1.0) == 100.0


@contextlib.contextmanager
def plain_manager(log):
    log.append(1.0)
    yield
    log.append(2.0)


def managed_return(x):
    log = []
    with plain_manager(log):
        if x > 0.0:
            return x * x
        x = x - 1.0
    return x + sum(log)


def test_return_out_of_a_manager():
    same_everywhere(managed_return, (2.0,), (-2.0,))


def running_mean():
    count, total, mean = 0, 0.0, None
    while True:
        try:
            x = yield mean
        except ValueError:
            x = 5.0 * total
        count += 1
        total += x
        mean = total / count


def sends(x):
    means = running_mean()
    next(means)
    result = means.send(x[0]) ** 2 + means.send(x[1]) * x[0]
    result += means.throw(ValueError)
    if x[2] > 0.0:
        result = 2.0 * result
    result += means.send(x[2])
    means.close()
    return result


def sends_in_a_loop(x):
    means = running_mean()
    next(means)
    return sum(means.send(v * v) ** 2 for v in x)


def test_what_is_sent_to_a_generator():
    same_everywhere(sends, (X,), (-X,))
    assert wg.jit(sends)(X) == sends(X)


def test_what_is_sent_to_a_generator_in_a_loop_is_eager():
    with pytest.warns(wg.EagerFallbackWarning, match="iterator"):
        found = wg.grad(sends_in_a_loop)(X)
    means = np.cumsum(X * X) / np.arange(1, len(X) + 1)
    weights = 2.0 * means / np.arange(1, len(X) + 1)
    np.testing.assert_allclose(found, 2.0 * X * np.cumsum(weights[::-1])[::-1], rtol=1e-13)


def zipped_with_text(x):
    values = dict(zip("abc", x, strict=False))
    stack = []
    for sign in "ab*c+":
        stack.append(values[sign] if sign.isalpha() else stack.pop() * stack.pop() if sign == "*" else stack.pop() + stack.pop())
    return stack[-1] ** 2


def test_text_zipped_with_an_array():
    same_everywhere(zipped_with_text, (X,))
    assert wg.jit(zipped_with_text)(X) == zipped_with_text(X)


PAIRS = [(0, 1), (2, 3)]


def sum_over_nested_pairs(x):
    return sum(a * (x[i] - x[j]) for a, (i, j) in zip([2.0, 3.0], PAIRS, strict=True)) * x[0]


def test_a_generator_with_a_nested_target_in_a_loop():
    same_everywhere(sum_over_nested_pairs, (X[:4],))
    rows = np.stack([X[:4], 2.0 * X[:4]])

    def of_rows(m):
        return sum(sum_over_nested_pairs(row) for row in m)

    np.testing.assert_allclose(wg.jit(of_rows)(rows), of_rows(rows), rtol=1e-14)
    np.testing.assert_allclose(wg.jit(lambda m: wg.vmap(sum_over_nested_pairs)(m))(rows), [4.125, 16.5], rtol=1e-14)


def leaves_a_generator(x):
    means = running_mean()
    next(means)
    return means.send(x) * x


def test_a_generator_that_outlives_its_trace_is_closed_quietly():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            assert wg.jit(leaves_a_generator)(3.0) == 9.0
            with wg.eager():
                assert wg.grad(leaves_a_generator)(3.0) == 6.0
            gc.collect()
