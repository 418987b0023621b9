"""Functions that call themselves under a traced condition become functions of the IR."""

import functools
import types

import numpy as np
import pytest

from tests.frontend.agreement import agree, assert_same, eager_result
from wengert.errors import StagingError
from wengert.frontend.trace import trace
from wengert.ir.interpret import run


def calls(f, *args, also=(), functions=1):
    """Python, the interpreter and eager mode agree, and the recursion is a call of so many functions."""
    traced = agree(f, *args, also=also)
    assert len(traced.function.functions) == functions, list(traced.function.functions)
    assert not traced.static_leaves
    return traced


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_number_halved_until_small():
    def halve(x):
        return x if x < 1.0 else halve(0.5 * x) + 0.1 * x

    calls(halve, 20.0, also=[(0.3,), (1000.0,)])


def test_depth_in_a_traced_int():
    def horner(coefficients, x, k):
        if k == len(coefficients):
            return 0.0
        return coefficients[k] + x * horner(coefficients, x, k + 1)

    calls(lambda c, x: horner(c, x, 0), np.array([1.0, -2.0, 0.5]), 1.7, also=[(np.arange(9.0), 0.3), (np.zeros(0), 2.0)])


def test_two_calls_of_itself():
    def fibonacci(x, n):
        return x if n < 2 else fibonacci(x, n - 1) + 0.9 * fibonacci(x * 1.1, n - 2)

    calls(fibonacci, 1.5, 7, also=[(1.5, 0), (2.0, 4)])


def test_call_within_the_argument_of_a_call():
    def ackermann(m, n):
        if m == 0:
            return n + 1
        if n == 0:
            return ackermann(m - 1, 1)
        return ackermann(m - 1, ackermann(m, n - 1))

    calls(lambda m, n, x: x * ackermann(m, n), 2, 3, 1.5, also=[(1, 4, 0.5), (0, 0, 1.0)])


def test_integers_only():
    def gcd(a, b):
        return a if b == 0 else gcd(b, a % b)

    calls(lambda a, b, x: x ** gcd(a, b), 48, 18, 1.5, also=[(17, 5, 2.0)])


def test_mutual_recursion():
    def even(x, n):
        return 1.0 if n == 0 else x * odd(x, n - 1) + 0.5

    def odd(x, n):
        return 0.0 if n == 0 else even(x, n - 1) - x

    calls(even, 0.8, 7, also=[(0.8, 0), (1.1, 12)])


def test_mutual_recursion_of_self_recursive_functions():
    def expression(x, n):
        if n <= 0:
            return x
        return term(x, n - 1) + 0.5 * expression(x, n - 2)

    def term(x, n):
        if n <= 0:
            return 1.0 + x
        return expression(x * 0.9, n - 1) * 0.7 + term(x, n - 2)

    traced = agree(expression, 0.8, 6, also=[(0.8, 0), (1.1, 9)])
    assert 1 <= len(traced.function.functions) <= 3


def test_result_widens_from_int_to_float():
    def count(x):
        if x < 1.0:
            return 0
        return 1.5 + count(x / 2.0)

    calls(count, 30.0, also=[(0.5,)])


def test_static_argument_moves():
    def bisect(f, low, high, depth):
        middle = 0.5 * (low + high)
        if depth == 60 or high - low < 1e-12:
            return middle
        if f(middle) > 0.0:
            return bisect(f, low, middle, depth + 1)
        return bisect(f, middle, high, depth + 1)

    calls(lambda a: bisect(lambda t: t * t - a, 0.0, 4.0, 0), 2.0, also=[(9.0,)])


def test_arguments_by_name_and_defaults():
    def total(x, n=5, *, scale=2.0):
        return 0.0 if n == 0 else scale * x + total(x, n - 1, scale=scale * 0.5)

    agree(lambda x, n: total(x, n) + total(x), 1.5, 4, also=[(2.0, 0)])


def test_texts_make_functions_of_their_own():
    def moves(n, x, source, target, spare):
        if n == 0:
            return 0.0
        cost = {"A": 1.0, "B": 2.0, "C": 3.0}[source] * x
        return moves(n - 1, x, source, spare, target) + cost + moves(n - 1, x, spare, target, source)

    traced = agree(lambda n, x: moves(n, x, "A", "C", "B"), 3, 1.5, also=[(0, 1.5), (5, 0.5)])
    assert len(traced.function.functions) > 1


def test_tuples_as_arguments_and_results():
    def extremes(x, low, high):
        if high - low == 1:
            return x[low], x[low]
        middle = (low + high) // 2
        a, b = extremes(x, low, middle)
        c, d = extremes(x, middle, high)
        return min(a, c), max(b, d)

    def spread(x):
        low, high = extremes(x, 0, len(x))
        return high - low

    calls(spread, np.array([2.0, -1.0, 5.0, 3.0, 0.5]), also=[(np.array([1.0]),)])


def test_objects_as_arguments_and_results():
    class Pair:
        def __init__(self, a, b):
            self.a = a
            self.b = b

    def blend(pair, n):
        if n == 0:
            return Pair(pair.b, pair.a)
        return blend(Pair(0.5 * (pair.a + pair.b), pair.b * 0.9), n - 1)

    def run(x, n):
        pair = blend(Pair(x, 1.0), n)
        return pair.a - 2.0 * pair.b

    calls(run, 3.0, 4, also=[(3.0, 0)])


def test_cached_function():
    @functools.lru_cache
    def chebyshev(n, x):
        if n == 0:
            return 1.0
        return x if n == 1 else 2.0 * x * chebyshev(n - 1, x) - chebyshev(n - 2, x)

    calls(lambda n, x: chebyshev(n, x), 6, 0.4, also=[(0, 0.4), (1, 0.3)])


def test_complex_numbers():
    def iterate(z, c):
        return z if abs(z) > 10.0 else iterate(z * z + c, c)

    calls(lambda x: iterate(complex(0.1, 0.0), complex(x, 0.9)).imag, 0.7, also=[(2.0,)])


# --- static recursion is followed ------------------------------------------------------------------------------------


def test_static_depth_is_followed():
    def power(x, n):
        return 1.0 if n == 0 else x * power(x, n - 1)

    assert not agree(lambda x: power(x, 5), 1.5).function.functions


def test_static_structure_is_followed():
    def predict(node, x):
        if not isinstance(node, tuple):
            return node * x
        return predict(node[0], x) if x < node[1] else predict(node[2], x - 1.0)

    tree = (((1.0, 0.2, 2.0), 0.5, 3.0), 1.0, (4.0, 2.0, (5.0, 3.0, (6.0, 4.0, (7.0, 5.0, 8.0)))))
    assert not agree(lambda x: predict(tree, x), 1.5, also=[(0.1,), (9.0,)]).function.functions


def test_deep_static_recursion_is_called():
    def power(x, n):
        return 1.0 if n == 0 else x * power(x, n - 1)

    assert agree(lambda x: power(x, 90), 1.01).function.functions


def test_helper_defined_inside_calls_back():
    def run(x, n):
        def outer(y, k):
            def helper(z, m):
                return z if m <= 0 else helper(z * 1.1, m - 1) + 0.1 * outer(z * 0.5, k - 1)

            return y if k <= 0 else helper(y, k)

        return outer(x, n)

    calls(run, 3.0, 3, also=[(3.0, 0)], functions=2)


def test_state_that_is_put_back():
    class Level:
        depth = 0

    def run(x):
        level = Level()
        level.depth, level.deepest = 0, 0

        def walk(y):
            level.depth += 1
            level.deepest = max(level.deepest, level.depth)
            found = y if y < 1.0 else walk(0.4 * y) + level.depth * walk(0.3 * y)
            level.depth -= 1
            return found

        return walk(x) + level.deepest

    calls(run, 20.0, also=[(0.5,)])


def test_blocks_of_a_matrix_in_place():
    def fold(m):
        rows, columns = m.shape
        if rows == 1 and columns == 1:
            m[0, 0] *= 2.0
        elif rows >= columns:
            fold(m[: rows // 2])
            fold(m[rows // 2 :])
            m[0] += m[-1]
        else:
            fold(m[:, : columns // 2])
            fold(m[:, columns // 2 :])
            m[:, 0] += 1.0

    def run(a):
        b = a.copy()
        fold(b)
        return np.sum(b * b)

    calls(run, np.arange(12.0).reshape(3, 4), also=[(np.ones((2, 2)),), (np.arange(10.0).reshape(5, 2),)])


# --- checks ----------------------------------------------------------------------------------------------------------


def test_exception_keeps_message_and_line():
    def walk(x, k):
        if x < 0.0:
            raise ValueError(f"{x} after {k} steps")
        return x if x > 4.0 else walk(2.0 * x - 1.0, k + 1)

    traced = agree(lambda x: walk(x, 0), 2.0, also=[(5.0,)])
    with pytest.raises(ValueError, match=r"-1\.0 after 2 steps") as caught:
        run(traced.function, [0.5])
    assert "test_recursion.py" in "".join(caught.value.__notes__)


# --- refused: these run eagerly --------------------------------------------------------------------------------------


def refused(f, *args):
    with pytest.raises(StagingError) as caught:
        trace(f, args, {})
    assert_same(eager_result(f, args, {}), f(*args))
    return str(caught.value)


def test_written_argument_that_is_also_read_from_outside():
    def run(x):
        y = x.copy()

        def walk(a, k):
            if k == len(a):
                return 0.0
            a[k] = 2.0 * a[k]
            return y[k] + walk(a[:], k + 1)

        return walk(y, 0)

    assert "also reads as a variable from outside" in refused(run, np.arange(4.0))


def test_written_argument_with_two_names():
    def run(x):
        y = x.copy()

        def walk(a, b, n):
            if n <= 0:
                return 0.0
            a[0] += b[1]
            return walk(b, a, n - 1) + a[0]

        return walk(y[:3], y[1:4], len(x))

    assert "under two names" in refused(run, np.arange(5.0))


def kept(x):
    box = types.SimpleNamespace(x=x.copy())
    other = box.x

    def walk(n):
        if n == 100:
            box.x = box.x * 2.0
        if n > 0:
            walk(n - 1)

    walk(len(x))
    other[0] = 50.0
    return np.sum(box.x)


def swapped(x):
    box = types.SimpleNamespace(x=x.copy(), y=2.0 * x)
    other = box.x

    def walk(n):
        if n > 0:
            box.x, box.y = box.y, box.x
            walk(n - 1)

    walk(len(x))
    other[0] = 50.0
    return np.sum(box.x) - 3.0 * np.sum(box.y)


def returned_twice(x):
    def walk(a, n):
        b = a * 2.0
        if n <= 0:
            return b, b
        p, _ = walk(b, n - 1)
        return p, p

    p, q = walk(x, len(x))
    p[0] = 50.0
    return np.sum(p) - 3.0 * np.sum(q)


def returned_and_stored(x):
    box = types.SimpleNamespace(x=x.copy())

    def walk(n):
        box.x = box.x * 2.0
        if n > 0:
            walk(n - 1)
        return box.x

    found = walk(len(x))
    found[0] = 50.0
    return np.sum(found) - 3.0 * np.sum(box.x)


def returned_argument_or_not(x):
    y = x.copy()

    def walk(a, n):
        return a if n <= 0 else walk(a + 0.0 if n == 3 else a, n - 1)

    z = walk(y, len(x))
    z[0] = 100.0
    return np.sum(y) + np.sum(z)


@pytest.mark.parametrize("f", [kept, swapped, returned_twice, returned_and_stored, returned_argument_or_not])
def test_arrays_that_may_be_one(f):
    refused(f, np.array([3.0, -1.0, 2.0, 5.0]))


def test_list_that_is_passed_on_and_written():
    def run(x):
        def walk(items, n):
            if n <= 0.0:
                return items[0]
            items[0] += 1.0
            return walk([items[1], items[0]], n - 1)

        first = [x, 2.0 * x]
        return walk(first, 2.0 * x) + first[0]

    refused(run, 2.0)


def test_no_way_out():
    def walk(x):
        return walk(0.5 * x) if x > 1.0 else walk(x + 1.0)

    assert "every way through it calls it again" in refused(lambda x: walk(x) if x < 0.0 else x, 1.0)


def test_functions_without_end():
    def walk(k, then):
        return then(1.0) if k <= 0 else walk(k - 1, lambda v: then(v * k))

    refused(lambda x, n: x * walk(n, lambda v: v), 1.5, 4)


def test_result_of_a_size_of_its_own():
    def half(x, n):
        upper = x[len(x) // 2 :] * 1.5
        return upper if n == 0 else upper + half(0.9 * x, n - 1)

    def shrink(x, n):
        upper = x[len(x) // 2 :] * 1.5
        return upper if n == 0 else upper * np.sum(shrink(upper, n - 1))

    traced = agree(lambda x, n: np.sum(half(x, n) ** 2), np.arange(1.0, 6.0), 3)
    assert traced.static_sizes
    assert "the size of an array" in refused(lambda x, n: np.sum(shrink(x, n)), np.arange(1.0, 9.0), 2)
