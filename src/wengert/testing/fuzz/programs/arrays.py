"""Programs of elementwise code, reductions, rearranging, and functions of NumPy that make arrays."""

# ruff: noqa: D103
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
from __future__ import annotations

from typing import Any

import numpy as np


def axpy(a, x, y):
    return a * x + y


def chain(x):
    return np.tanh(np.exp(-x * x) + np.sin(x) / (1.0 + np.cos(x) ** 2))


def logarithms(x):
    return np.log(np.abs(x) + 1.0) + np.sqrt(np.abs(x * x) + 0.5) + np.log1p(np.exp(-np.abs(x)))


def compare_and_select(x, y):
    return np.where(x > y, x - y, np.minimum(x, 2.0 * y)), np.sum(x < 0.0), np.clip(x, -1.0, 1.0)


def whole_numbers(n, m):
    return n // (m * m + 1) + n % (np.abs(m) + 1), (n << 1) ^ m, n & m | 3


def complex_numbers(z, w):
    return np.abs(z * w + np.conj(z)), (z / (w + 3.0)).imag, np.exp(1j * z.real)


def outer_broadcast(x, y):
    return x[:, None] * y[None, :] + x[:, np.newaxis]


def rows_and_columns(a, x):
    return a * x + a.sum(axis=0) - a.mean(axis=1)[:, None]


def reductions(a):
    return a.sum(axis=0), a.max(axis=1), np.prod(a, axis=0), a.mean(), a.std(axis=1)


def extrema(x):
    return np.max(x), np.min(x), np.argmax(x), np.argmin(x), np.ptp(x)


def truth(x, y):
    return np.any(x > y), np.all(x > -9.0), np.count_nonzero(x), np.isnan(x) | np.isinf(y)


def running(x):
    return np.cumsum(x), np.cumprod(x * 0.5), np.diff(x)


def running_axis(a):
    return np.cumsum(a, axis=0), np.diff(a, axis=1), np.flip(a, axis=1)


def sorted_values(x):
    return np.sort(x), np.argsort(x, kind="stable"), np.median(x) if len(x) else 0.5 * np.sum(x)


def sorted_rows(a):
    return np.sort(a, axis=1), np.sort(a, axis=0)[::-1], np.argsort(a, axis=-1, kind="stable")


def joined(x, y):
    return np.concatenate([x, y, x[:1]]), np.stack([x, x * 2.0]), np.append(y, 3.0)


def reshaped(a):
    return a.reshape(-1)[::2], a.T.reshape(-1), np.ravel(a)[1:], a.T @ a


def cube(a):
    return a.transpose(2, 0, 1) * 2.0, a.sum(axis=(0, 2)), np.swapaxes(a, 0, 1).copy(), a[:, 0]


def made(n, x):
    return np.zeros(n) + x, np.ones((n, 2)) * x, np.full(n, x), np.arange(n) * x


def made_between(n, x):
    return np.linspace(0.0, x, n), np.eye(n) * x, np.empty(n).size, np.tri(n)


def made_large(n, m):
    return np.zeros((n, m)), np.ones(n), np.zeros((m, 3, n), dtype=np.float32)


def repeated(x, n):
    return np.repeat(x, n), np.tile(x, n), np.resize(x, n)


def rolled(x, k):
    return np.roll(x, k), np.roll(x, -k) * x


def searched(x, v):
    return np.searchsorted(np.sort(x), v), np.digitize(v, np.array([-1.0, 0.0, 1.0]))


def interpolated(x, y, v):
    return np.interp(v, np.cumsum(np.abs(x) + 0.1), y)


def counted(k):
    return np.bincount(np.minimum(np.abs(k), np.int64(2**50))), np.unique(k)  # NumPy crashes at 2**63 - 1


def chosen_reduction(x, how):
    if how == "mean":
        return np.mean(x)
    if how == "sum":
        return np.sum(x)
    return np.max(x)


def convolved(x, y):
    return np.convolve(x, y), np.dot(x, x)


def split(x):
    parts = np.split(x[: len(x) // 2 * 2], 2)
    return parts[0] * parts[1]


def listed(values, x):
    y = np.array(values)
    return np.sum(y) * x, y * 2.0, [v * x[0] for v in values]


PROGRAMS: tuple[Any, ...] = (
    (axpy, "f64 f64[n] f64[n]", {"exact": True}),
    (chain, "f64[n]", {}),
    (logarithms, "f64[m,n]", {}),
    (compare_and_select, "f64[n] f64[n]", {}),
    (whole_numbers, "i64[n] i64[n]", {"modes": ("value", "vmap"), "exact": True}),
    (complex_numbers, "c128[n] c128[n]", {"modes": ("value",)}),
    (outer_broadcast, "f64[n] f64[m]", {}),
    (rows_and_columns, "f64[m,n] f64[n]", {}),
    (reductions, "f64[m,n]", {"rtol": 1e-7}),
    (extrema, "f64[n]", {}),
    (truth, "f64[n] f64[n]", {}),
    (running, "f64[n]", {}),
    (running_axis, "f64[m,n]", {}),
    (sorted_values, "f64[n]", {}),
    (sorted_rows, "f64[m,n]", {}),
    (joined, "f64[n] f64[m]", {}),
    (reshaped, "f64[m,n]", {}),
    (cube, "f64[l,m,n]", {}),
    (made, "size f64", {"modes": ("value", "grad", "jvp")}),
    (made_between, "size f64", {"modes": ("value", "grad", "jvp")}),
    (made_large, "size size", {"modes": ("value",)}),
    (repeated, "f64[n] size", {"modes": ("value", "grad")}),
    (rolled, "f64[n] index(n)", {}),
    (searched, "f64[n] f64[m]", {"modes": ("value", "vmap")}),
    (interpolated, "f64[n] f64[n] f64[m]", {}),
    (counted, "i64[n]", {"modes": ("value",), "huge": False}),
    (chosen_reduction, "f64[n] mean|sum|max", {}),
    (convolved, "f64[m] f64[n]", {}),
    (split, "f64[n]", {}),
    (listed, "list[f64] f64[n]", {}),
)
