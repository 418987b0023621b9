"""Functions of the IR that call themselves: on arrays, and on state that lives outside of them."""

import math

import numpy as np

from tests.frontend.agreement import agree
from tests.frontend.test_recursion import calls

# --- arrays ----------------------------------------------------------------------------------------------------------


def test_slices():
    def total(x):
        n = len(x)
        if n == 1:
            return x[0] * x[0]
        return total(x[: n // 2]) + 0.9 * total(x[n // 2 :])

    calls(total, np.array([1.0, 2.0, 3.0, 4.0, 5.0]), also=[(np.array([2.0]),), (np.arange(1.0, 14.0),)])


def test_array_passed_on_and_returned():
    def smooth(x, n):
        if n == 0:
            return x
        y = x.copy()
        y[1:-1] = 0.25 * x[:-2] + 0.5 * x[1:-1] + 0.25 * x[2:]
        return smooth(y, n - 1)

    calls(lambda x, n: np.sum(smooth(x, n) ** 2), np.array([1.0, 4.0, -2.0, 3.0]), 3, also=[(np.arange(7.0), 0)])


def test_minors():
    def minors(a, rows, used, n):
        if rows == n:
            return 1.0
        total, sign = 0.0, 1.0
        for column in range(n):
            if used[column] == 0:
                used[column] = 1
                total += sign * a[rows, column] * minors(a, rows + 1, used, n)
                used[column] = 0
                sign = -sign
        return total

    a = np.array([[2.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.2, 0.7, 1.5]])
    calls(lambda a: minors(a, 0, np.zeros(a.shape[0], dtype=int), a.shape[0]), a, also=[(a[:2, :2].copy(),)])


def test_partition_in_place():
    def quicksort(x, low, high):
        if low >= high:
            return
        pivot, store = x[high], low
        for k in range(low, high):
            if x[k] < pivot:
                x[k], x[store] = x[store], x[k]
                store += 1
        x[store], x[high] = x[high], x[store]
        quicksort(x, low, store - 1)
        quicksort(x, store + 1, high)

    def run(values):
        x = values.copy()
        quicksort(x, 0, len(x) - 1)
        return np.sum(x * np.arange(len(x)))

    calls(run, np.array([3.0, -1.0, 2.0, 5.0, 0.5]), also=[(np.array([1.0]),), (np.array([4.0, 3.0, 2.5, 1.0]),)])


def test_slices_written_in_place():
    def scan(x):
        n = len(x)
        if n < 2:
            return
        m = n // 2
        scan(x[:m])
        scan(x[m:])
        x[m:] += x[m - 1]

    def run(values):
        x = values.copy()
        scan(x)
        return np.sum(x * x)

    calls(run, np.array([1.0, 2.0, 3.0, 4.0, 5.0]), also=[(np.array([2.0]),), (np.arange(1.0, 12.0),)])


def test_sorted_array_returned():
    def insert(x, k):
        if k == len(x):
            return x
        j = k
        while j > 0 and x[j - 1] > x[j]:
            x[j - 1], x[j] = x[j], x[j - 1]
            j -= 1
        return insert(x, k + 1)

    def run(values):
        x = values.copy()
        y = insert(x, 1)
        y[0] = 7.0
        return x[0] + x[-1] * 10.0 + y[1]

    calls(run, np.array([3.0, -1.0, 2.0, 5.0, 0.5]), also=[(np.array([2.0, 1.0]),)])


def test_tree_in_arrays():
    def force(position, mass, centre, left, right, node, x, size):
        if node < 0:
            return 0.0
        gap = centre[node] - x
        if left[node] < 0 or size < 0.5 * abs(gap):
            return mass[node] * gap / (abs(gap) ** 3 + 0.01)
        return force(position, mass, centre, left, right, left[node], x, 0.5 * size) + force(
            position, mass, centre, left, right, right[node], x, 0.5 * size
        )

    def run(position):
        mass = np.array([3.0, 2.0, 1.0, 1.0, 1.0])
        left, right = np.array([1, 3, -1, -1, -1]), np.array([2, 4, -1, -1, -1])
        pair = 0.5 * (position[0] + position[1])
        centre = np.array([(2.0 * pair + position[2]) / 3.0, pair, position[2], position[0], position[1]])
        return sum(force(position, mass, centre, left, right, 0, x, 4.0) for x in position)

    traced = agree(run, np.array([0.1, 0.5, 3.0]))
    assert traced.function.functions


def test_loop_without_a_base_case():
    def fold(values, first, last, node):
        total = values[node]
        for child in range(first[node], last[node]):
            total += 0.5 * fold(values, first, last, child)
        return total

    first, last = np.array([1, 3, 0, 0, 0]), np.array([3, 5, 0, 0, 0])
    calls(lambda v, a, b: fold(v, a, b, 0), np.array([1.0, 2.0, 3.0, 4.0, 5.0]), first, last)


def test_call_in_a_while_loop():
    def spread(x, n):
        total = x
        k = n - 1
        while k > 0:
            total = total * 0.5 + spread(x * 1.1, k)
            k -= 2
        return total

    calls(spread, 1.5, 6, also=[(1.5, 0)])


def test_rows_returned():
    def bezier(p, t, low, high):
        if high == low:
            return p[low]
        return (1.0 - t) * bezier(p, t, low, high - 1) + t * bezier(p, t, low + 1, high)

    points = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 1.0]])
    calls(lambda p, t: np.sum(bezier(p, t, 0, len(p) - 1) ** 2), points, 0.3, also=[(np.ones((2, 3)), 0.4)])


def test_size_of_an_argument_that_must_be_known():
    def steps(f, y, n):
        return y if n == 0 else steps(f, y + 0.1 * f(y), n - 1)

    def run(y, n):
        return np.sum(steps(lambda z: np.array([z[1], -math.sin(z[0])]), y, n))

    assert agree(run, np.array([1.0, 0.5]), 7).function.functions


# --- state -----------------------------------------------------------------------------------------------------------


def test_attribute_counted():
    class Walker:
        def __init__(self):
            self.count = 0
            self.total = 0.0

        def walk(self, x):
            self.count += 1
            self.total += x
            return x if x < 1.0 else self.walk(0.5 * x) * 1.1

    def run(x):
        walker = Walker()
        return walker.walk(x) + walker.count + 0.1 * walker.total

    calls(run, 20.0, also=[(0.5,)])


def test_nonlocal_and_list_items():
    def run(x, n):
        moves = [0.0, x]
        visits = 0

        def move(k, cost):
            nonlocal visits
            visits += 1
            if k > 0:
                move(k - 1, cost * 0.9)
                moves[0] += cost * k
                move(k - 1, cost * 1.1)

        move(n, x)
        return moves[0] + moves[1] * visits

    calls(run, 1.3, 4, also=[(1.3, 0)])


def test_array_of_the_enclosing_function():
    def run(x):
        out = np.zeros(len(x))

        def fill(k, value):
            if k < len(x):
                out[k] = value * x[k]
                fill(k + 1, value + out[k])

        fill(0, 1.0)
        return np.sum(out * x)

    calls(run, np.array([1.0, 2.0, -1.0]), also=[(np.array([3.0]),), (np.arange(6.0),)])


def test_table_of_results():
    def run(x, n):
        known = np.full(40, -1.0)

        def value(k):
            if k < 2:
                return x
            if known[k] < 0.0:
                known[k] = value(k - 1) + 0.5 * value(k - 2)
            return known[k]

        return value(n)

    calls(run, 1.5, 12, also=[(0.5, 1)])


def test_captured_numbers_and_arrays():
    weights = np.array([0.5, 1.5, 2.5])
    scale = 3.0

    def walk(x, k):
        return x if k < 0 else walk(x * scale, k - 1) + weights[k]

    traced = calls(walk, 1.5, 2, also=[(0.5, -1), (2.0, 1)])
    assert len(traced.captures) == 2


def test_values_around_a_call_in_a_loop():
    def walk(x, k, shift):
        return shift if k == 0 else walk(x, k - 1, shift) * 0.5 + x

    def run(x, n):
        total = 0.0
        for k in range(n):
            total += walk(x[k], k, total)
        return total

    calls(run, np.arange(1.0, 10.0), 9, also=[(np.arange(4.0), 3)])


def test_equal_functions_are_made_once():
    def walk(x):
        return x if x < 1.0 else walk(0.5 * x)

    calls(lambda x, y: walk(x) + walk(y) * walk(x + y), 5.0, 7.0)


def test_function_as_argument():
    def integrate(f, a, b, tolerance):
        m = 0.5 * (a + b)
        rough = (b - a) * f(m)
        fine = 0.5 * (b - a) * (f(0.5 * (a + m)) + f(0.5 * (m + b)))
        if abs(fine - rough) < tolerance:
            return fine
        return integrate(f, a, m, 0.5 * tolerance) + integrate(f, m, b, 0.5 * tolerance)

    def run(k, b):
        return integrate(lambda t: math.exp(-t) * math.sin(k * t), 0.0, b, 1e-3)

    calls(run, 3.0, 1.5, also=[(0.5, 4.0)])
