"""Programs with loops and recursion whose trips and indices the arguments decide about, growing lists, linear algebra."""

# ruff: noqa: D103
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
from __future__ import annotations

import math
from typing import Any

import numpy as np


def summed(x, n):
    total = 0.0
    for i in range(n):
        total += x[i] * (i + 1)
    return total


def backwards(x, n):
    total = 0.0
    for i in range(n, -n, -1):
        total = 0.9 * total + x[i]
    return total


def jumps(x, k):
    total, place = 0.0, 0
    for _ in range(len(k)):
        place = k[place]
        total += x[place]
    return total


def recurrence(x, n):
    y = np.zeros(len(x))
    for i in range(1, n):
        y[i] = y[i - 1] + x[i] * y[i - 2]
    return y


def in_place_sweep(x, n):
    for _ in range(n):
        for i in range(1, len(x) - 1):
            x[i] = 0.5 * (x[i - 1] + x[i + 1])
    return x


def scattered_in_loop(x, k):
    y = np.zeros(len(x))
    for i in range(len(k)):
        y[k[i]] += x[i]
    return y


def double_loop(a, x):
    y = np.zeros(a.shape[0])
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            y[i] += a[i, j] * x[j]
    return y


def bisected(x, v):
    low, high = 0, len(x)
    while low < high:
        middle = (low + high) // 2
        if x[middle] < v:
            low = middle + 1
        else:
            high = middle
    return low, x[low]


def walked(x):
    total, i = 0.0, 0
    while i < len(x) and x[i] > -1.0:
        total += math.sin(x[i])
        i += 1
    return total, i


def inserted(x):
    y = x.copy()
    for i in range(1, len(y)):
        j = i
        while j > 0 and y[j - 1] > y[j]:
            y[j - 1], y[j] = y[j], y[j - 1]
            j -= 1
    return y


def growing(x, v):
    kept = []
    for i in range(len(x)):
        if x[i] > v:
            kept.append(x[i] * x[i])
    total = 0.0
    for value in kept:
        total += value
    return total, len(kept)


def popped(x, n):
    stack = []
    for i in range(len(x)):
        stack.append(x[i])
    total = 0.0
    for _ in range(n):
        total += stack.pop()
    return total


def list_place(values, k, v):
    values[k] = v
    return values[0] + values[-1] * v


def tree_sum(x):
    half = len(x) // 2
    return x[0] ** 2 if half == 0 else tree_sum(x[:half]) + 0.9 * tree_sum(x[half:])


def descended(x, i, depth):
    if depth <= 0:
        return x[i]
    return x[depth] + 0.5 * descended(x, i - 1, depth - 1)


def recursive(x, i, n):
    return descended(x, i, n)


def deep(x, n):
    return x if n <= 0 else 1.0 + 0.5 * deep(x, n - 1)


def caught(x, k):
    try:
        return x[k] * 1.0
    except IndexError:
        return -1.0


def divided(x, y):
    return x / y + math.sqrt(abs(x)) + x // (y * y + 1.0)


def guarded(x, n):
    if n > 3 and x[3] > 0.0:
        return x[n]
    return x[-n]


def shrinking(x, n):
    y = x
    for _ in range(n):
        y = y[1:] - y[:-1]
    return y


def dynamic(a):
    best = a.copy()
    for i in range(1, a.shape[0]):
        for j in range(a.shape[1]):
            low = best[i - 1, max(j - 1, 0)]
            best[i, j] += min(low, best[i - 1, j])
    return best[-1].min()


def product(a, b):
    return a @ b, a @ b[:, 0]


def solved(a, x):
    b = a @ a.T + 3.0 * np.eye(a.shape[0])
    return np.linalg.solve(b, x), np.linalg.det(b), np.linalg.inv(b)


def factorised(a):
    b = a @ a.T + (3.0 + 1e-6 * np.sum(a * a)) * np.eye(a.shape[0])
    return np.linalg.cholesky(b), np.linalg.eigvalsh(b), np.linalg.norm(a)


def singular(a):
    return np.linalg.svd(a, compute_uv=False), np.linalg.slogdet(a @ a.T + np.eye(a.shape[0]))


def solved_raw(a, x):
    return np.linalg.solve(np.where(np.eye(a.shape[0]) > 0.0, a, 0.0), x)


def contracted(a, b):
    return np.einsum("ij,jk->ik", a, b), np.tensordot(a, b, 1), np.outer(a[0], b[:, 0]), np.vdot(a, a)


def kronecker(a, x):
    return np.kron(a, a), np.cross(x, x[::-1]) if x.shape == (3,) else x


PROGRAMS: tuple[Any, ...] = (
    (summed, "f64[n] count", {}),
    (backwards, "f64[n] count", {}),
    (jumps, "f64[n] i64[m]@n", {"huge": False}),
    (recurrence, "f64[n] count", {}),
    (in_place_sweep, "f64[n] count", {"huge": False}),
    (scattered_in_loop, "f64[n] i64[m]@n", {"huge": False}),
    (double_loop, "f64[m,n] f64[n]", {"huge": False}),
    (bisected, "f64[n] f64", {}),
    (walked, "f64[n]", {}),
    (inserted, "f64[n]", {"huge": False}),
    (growing, "f64[n] f64", {"huge": False}),
    (popped, "f64[n] count", {"huge": False}),
    (list_place, "list[f64] count f64", {"modes": ("value", "grad", "jvp")}),
    (tree_sum, "f64[n]", {"modes": ("value", "grad"), "plain": True}),
    (recursive, "f64[n] index(n) count", {"plain": True}),
    (deep, "f64 size", {"modes": ("value", "grad"), "plain": True}),
    (caught, "f64[n] index(n)", {}),
    (divided, "f64 f64", {"modes": ("value", "grad", "jvp")}),
    (guarded, "f64[n] count", {}),
    (shrinking, "f64[n] count", {"modes": ("value", "grad"), "huge": False}),
    (dynamic, "f64[m,n]", {"huge": False}),
    (product, "f64[m,k] f64[k,n]", {}),
    (solved, "f64[n,n] f64[n]", {"rtol": 1e-6}),
    (factorised, "f64[m,n]", {"rtol": 1e-6}),
    (singular, "f64[m,n]", {"rtol": 1e-6}),
    # A diagonal matrix: whether another one of small whole numbers is singular depends on the order of the sums.
    (solved_raw, "f64[n,n] f64[n]", {"rtol": 1e-5}),
    (contracted, "f64[m,k] f64[k,n]", {}),
    (kronecker, "f64[2,n] f64[n]", {"modes": ("value", "grad"), "huge": False}),
)
