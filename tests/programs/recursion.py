"""Functions that call themselves, to a depth that the data decide."""

import math

import numpy as np

from tests.programs.catalog import example


@example(20.0, also=((0.3,), (1000.0,)))
def halve(x):
    return x if x < 1.0 else halve(0.5 * x) + 0.1 * x


def tree_sum(x, low, high):
    if high - low == 1:
        return x[low] * x[low]
    middle = (low + high) // 2
    return tree_sum(x, low, middle) + 0.9 * tree_sum(x, middle, high)


@example(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), also=((np.array([2.0]),), (np.arange(1.0, 14.0),)))
def divide_and_conquer(x):
    return tree_sum(x, 0, len(x))


def simpson(f, a, fa, b, fb, m, fm, whole, tolerance):
    left, right = 0.5 * (a + m), 0.5 * (m + b)
    fl, fr = f(left), f(right)
    first = (m - a) / 6.0 * (fa + 4.0 * fl + fm)
    second = (b - m) / 6.0 * (fm + 4.0 * fr + fb)
    delta = first + second - whole
    if abs(delta) < 15.0 * tolerance:
        return first + second + delta / 15.0
    return simpson(f, a, fa, m, fm, left, fl, first, 0.5 * tolerance) + simpson(
        f, m, fm, b, fb, right, fr, second, 0.5 * tolerance
    )


@example(3.0, 1.5, also=((0.5, 4.0),))
def adaptive_quadrature(k, b):
    def f(t):
        return math.exp(-t) * math.sin(k * t)

    m = 0.5 * b
    fa, fb, fm = f(0.0), f(b), f(m)
    return simpson(f, 0.0, fa, b, fb, m, fm, b / 6.0 * (fa + 4.0 * fm + fb), 1e-9)


def minors(a, rows, used, n):
    """The determinant by minors of the rows from `rows` on, over the columns that are not used yet."""
    if rows == n:
        return 1.0
    total = 0.0
    sign = 1.0
    for column in range(n):
        if used[column] == 0:
            used[column] = 1
            total += sign * a[rows, column] * minors(a, rows + 1, used, n)
            used[column] = 0
            sign = -sign
    return total


@example(np.array([[2.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.2, 0.7, 1.5]]))
def determinant_by_minors(a):
    n = a.shape[0]
    return minors(a, 0, np.zeros(n, dtype=int), n)


def even_part(x, n):
    return 1.0 if n == 0 else x * odd_part(x, n - 1) + 0.5


def odd_part(x, n):
    return 0.0 if n == 0 else even_part(x, n - 1) - x


@example(0.8, 7, also=((0.8, 0), (1.1, 12)))
def mutual(x, n):
    return even_part(x, n)


def quicksort(x, low, high):
    if low >= high:
        return
    pivot = x[high]
    store = low
    for k in range(low, high):
        if x[k] < pivot:
            x[k], x[store] = x[store], x[k]
            store += 1
    x[store], x[high] = x[high], x[store]
    quicksort(x, low, store - 1)
    quicksort(x, store + 1, high)


@example(np.array([3.0, -1.0, 2.0, 5.0, 0.5]), also=((np.array([1.0]),), (np.array([4.0, 3.0, 2.5, 1.0, 0.1, -1.0]),)))
def sort_in_place(values):
    x = values.copy()
    quicksort(x, 0, len(x) - 1)
    total = 0.0
    for k in range(len(x)):
        total += x[k] * (k + 1)
    return total


def continued(x, depth):
    if depth == 0:
        return x
    return 1.0 + x / continued(x, depth - 1)


@example(0.7, 12, also=((0.7, 0),))
def continued_fraction(x, depth):
    return continued(x, depth)


@example(48, 18, 1.5, also=((17, 5, 1.5),))
def greatest_divisor(a, b, x):
    def gcd(m, n):
        return m if n == 0 else gcd(n, m % n)

    return x ** gcd(a, b) + gcd(a, b) * x


class Tree:
    """A binary tree in arrays."""

    def __init__(self, values):
        self.values = values
        self.visits = 0

    def fold(self, node):
        self.visits += 1
        if node >= len(self.values):
            return 0.0
        return math.tanh(self.values[node] + self.fold(2 * node + 1) - self.fold(2 * node + 2))


@example(np.array([0.5, -0.2, 0.9, 0.1, 0.3]))
def method_recursion(values):
    tree = Tree(values)
    return tree.fold(0) + 0.01 * tree.visits


def find(x, target, low, high):
    if high - low <= 1:
        return low + (target - x[low]) / (x[high] - x[low])
    middle = (low + high) // 2
    if x[middle] <= target:
        return find(x, target, middle, high)
    return find(x, target, low, middle)


@example(np.array([0.0, 1.0, 1.5, 4.0, 7.0]), 2.2, also=((np.array([0.0, 1.0]), 0.5),))
def binary_search(x, target):
    return find(x, target, 0, len(x) - 1)


def newton(f, df, x, tries):
    step = f(x) / df(x)
    if abs(step) < 1e-13 or tries == 0:
        return x - step
    return newton(f, df, x - step, tries - 1)


@example(2.0, 0.3)
def recursive_newton(a, b):
    return newton(lambda x: x**3 - a * x - b, lambda x: 3.0 * x**2 - a, 2.0, 50)


@example(6, 1.3)
def towers_of_hanoi(n, x):
    moves = [0.0]

    def move(k, cost):
        if k > 0:
            move(k - 1, cost * 0.9)
            moves[0] += cost * k
            move(k - 1, cost * 1.1)

    move(n, x)
    return moves[0]
