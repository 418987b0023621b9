"""Gradients through recursive functions: compiled, eager and by differences."""

import math
import types
import warnings

import numpy as np
import pytest

import wengert as wg


def matrix_folded(a):
    def fold(m):
        rows, columns = m.shape
        if rows == 1 and columns == 1:
            m[0, 0] = math.sin(m[0, 0])
        elif rows >= columns:
            fold(m[: rows // 2])
            fold(m[rows // 2 :])
            m[0] += m[-1] * m[0]
        else:
            fold(m[:, : columns // 2])
            fold(m[:, columns // 2 :])
            m[:, 0] *= 1.1

    b = a.copy()
    fold(b)
    return np.sum(b * b)


def scanned(values):
    def scan(x):
        m = len(x) // 2
        if m > 0:
            scan(x[:m])
            scan(x[m:])
            x[m:] *= 1.0 + x[m - 1]

    x = values.copy()
    scan(x)
    return np.sum(np.sin(x))


def smoothed(values, n):
    def smooth(x, k):
        if k == 0:
            return x
        y = x.copy()
        y[1:-1] = 0.25 * x[:-2] + 0.5 * x[1:-1] * x[2:]
        return smooth(y, k - 1)

    return np.sum(smooth(values, n) ** 2)


def moved(n, x):
    moves = [x * x, 1.0]
    visits = 0

    def move(k, cost):
        nonlocal visits
        visits += 1
        if k > 0:
            move(k - 1, cost * 0.9)
            moves[0] += cost * k * moves[1]
            moves[1] = math.cos(moves[0])
            move(k - 1, cost * 1.1)

    move(n, x)
    return moves[0] * visits


def table_of_results(x, n):
    known = np.full(40, -1.0)

    def value(k):
        if k < 2:
            return x
        if known[k] < 0.0:
            known[k] = value(k - 1) + 0.5 * math.sin(value(k - 2))
        return known[k]

    return value(n)


def blended(x, n):
    def blend(pair, k):
        if k == 0:
            return types.SimpleNamespace(a=pair.b, b=pair.a)
        return blend(types.SimpleNamespace(a=0.5 * (pair.a + pair.b), b=pair.b * pair.a), k - 1)

    pair = blend(types.SimpleNamespace(a=x, b=1.0), n)
    return pair.a - 2.0 * pair.b


def expression(x, n):
    return x if n <= 0 else term(x, n - 1) + 0.5 * expression(x * x, n - 2)


def term(x, n):
    return 1.0 + x if n <= 0 else expression(x * 0.9, n - 1) * 0.7 + term(x, n - 2)


def folded(values, first, last):
    def fold(node):
        total = math.tanh(values[node])
        for child in range(first[node], last[node]):
            total += 0.5 * fold(child) * values[node]
        return total

    return fold(0)


def merged(values):
    def sort(a):
        n = len(a)
        m = n // 2
        if n < 2:
            return a
        left, right = sort(a[:m]), sort(a[m:])
        out = np.zeros(n)
        i = j = 0
        for k in range(n):
            if j >= n - m or (i < m and left[i] < right[j]):
                out[k] = left[i]
                i += 1
            else:
                out[k] = right[j]
                j += 1
        return out

    return np.sum(sort(values) * np.arange(len(values)) ** 2)


PROGRAMS = [
    (matrix_folded, (np.linspace(-1.0, 1.0, 12).reshape(3, 4),)),
    (scanned, (np.array([0.3, -0.2, 0.5, 0.1, 0.4]),)),
    (smoothed, (np.array([1.0, 0.4, -0.2, 0.3]), 3)),
    (moved, (4, 0.3)),
    (table_of_results, (0.7, 9)),
    (blended, (0.8, 4)),
    (expression, (0.8, 6)),
    (folded, (np.array([1.0, 0.2, 0.3, 0.4, 0.5]), np.array([1, 3, 0, 0, 0]), np.array([3, 5, 0, 0, 0]))),
    (merged, (np.array([4.0, 2.0, 7.0, 1.0, 9.0, 3.0]),)),
]


def along(f, args, positions, direction, h):
    moved = list(args)
    for k, d in zip(positions, direction, strict=True):
        moved[k] = args[k] + h * d
    return f(*moved)


@pytest.mark.parametrize(("f", "args"), PROGRAMS, ids=[f.__name__ for f, _ in PROGRAMS])
def test_compiled_eager_and_differences(f, args):
    positions = tuple(k for k, x in enumerate(args) if np.asarray(x).dtype == np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, slope = wg.value_and_grad(f, argnums=positions)(*args)
    with wg.eager():
        eager_value, eager_slope = wg.value_and_grad(f, argnums=positions)(*args)
    assert value == pytest.approx(f(*args), rel=1e-12)
    assert eager_value == pytest.approx(value, rel=1e-12)
    for a, b in zip(slope, eager_slope, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
    direction = [np.random.default_rng(1).uniform(0.5, 1.0, np.shape(args[k])) for k in positions]
    h = 1e-5
    difference = (along(f, args, positions, direction, h) - along(f, args, positions, direction, -h)) / (2.0 * h)
    assert sum(np.sum(s * d) for s, d in zip(slope, direction, strict=True)) == pytest.approx(difference, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize(("f", "args"), [p for p in PROGRAMS if p[0] in (moved, blended, expression, folded)])
def test_forward_mode(f, args):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wg.check_grads(f, args, modes=("forward",))


def test_gradient_inside_of_a_recursive_function():
    def halve(x):
        return x if x < 1.0 else halve(x * 0.5) * 1.1

    def total(x, n):
        if n <= 0:
            return x * x
        return wg.grad(lambda t: halve(t) * t)(x) + total(x * 0.5, n - 1)

    with wg.eager():
        expected = wg.value_and_grad(total)(3.0, 3)
    assert wg.value_and_grad(total)(3.0, 3) == pytest.approx(expected, rel=1e-12)


def test_second_derivative():
    def power(x, n):
        return 1.0 if n == 0 else x * power(x, n - 1)

    assert wg.grad(wg.grad(power))(1.5, 4) == pytest.approx(12.0 * 1.5**2)


def test_recursion_without_end():
    def up(x):
        return up(x + 1.0) if x > 0.0 else x

    for run in (wg.jit(up), wg.grad(up)):
        with pytest.raises(RecursionError):
            run(1.0)
    with wg.eager(), pytest.raises(RecursionError):
        wg.grad(up)(1.0)
    assert wg.jit(up)(-1.0) == -1.0
