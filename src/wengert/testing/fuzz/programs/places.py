"""Programs that read and write at places that the arguments decide about: indices, slices, masks, views, updates in place."""

# ruff: noqa: D103
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
from __future__ import annotations

from typing import Any

import numpy as np


def one_element(x, k):
    return x[k] * 2.0


def one_of_matrix(a, i, j):
    return a[i, j] + a[i][j] - a[-1, 0]


def sliced(x, i, j):
    return x[i:j] * 2.0, x[j:], x[:i]


def stepped(x, i):
    return x[::2], x[i::-1], x[-2:0:-2] * 1.5


def slices_of_matrix(a, i, j):
    return a[i:, :j] * 3.0, a[:, j], a[i], a[..., -1]


def neighbours(x):
    return x[2:] - 2.0 * x[1:-1] + x[:-2]


def gathered(x, k):
    return x[k] * 2.0


def gathered_rows(a, k, j):
    return a[k], a[:, j], a[k, 0]


def gathered_pairs(a, k, j):
    return a[k, j] * a[j[0], k[0]]


def taken(x, k):
    return np.take(x, k), np.take(x, k, mode="wrap") if len(x) else x


def along(a, k):
    return np.take_along_axis(a, k, axis=1)


def masked(x, b):
    y = x.copy()
    y[b] = 0.5
    return y, np.where(b, x, -x), np.sum(x[b])


def scattered(x, k, v):
    y = np.zeros_like(x)
    y[k] = v
    return y


def added_at(x, k, v):
    y = x.copy()
    np.add.at(y, k, v)
    return y


def added_once(x, k):
    y = np.copy(x)
    y[k] += 1.5
    y[k] *= 2.0
    return y


def written_argument(x, k, v):
    x[k] = v
    x[k] += x[0]
    return x[k]


def written_slice(x, i, j, v):
    x[i:j] = v
    x[::2] *= 2.0
    return np.sum(x)


def written_part(x, y, i):
    x[i : i + len(y)] = y
    return x[i:]


def written_rows(a, i, x):
    a[i] = x
    a[:, 0] += a[:, -1]
    return a.sum()


def shifted_in_place(x):
    x[1:] += x[:-1]
    x[:-1] = x[1:]
    return x[0]


def reversed_in_place(x):
    x[:] = x[::-1]
    return x


def view_of_view(a, i):
    part = a[1:, ::2]
    row = part[i]
    row *= 2.0
    part.T[0] = 1.0
    return a


def reshaped_view(a, i):
    flat = a.reshape(-1)
    flat[i] = 3.5
    return a * 1.0


def copied_through_reshape(a, i):
    flat = a.T.reshape(-1)
    flat[i] = 3.5
    return a * 1.0, flat[i]


def exchanged(a, i, j):
    a[i], a[j] = a[j].copy(), a[i].copy()
    return a[i, 0] - a[j, 0]


def diagonal(a):
    b = a.copy()
    np.fill_diagonal(b, 2.0)
    return np.diag(b), np.trace(b), np.diagonal(a, 1)


def triangle(a):
    return np.tril(a), np.triu(a, 1)


def mask_written(x, b, v):
    x[b] = v
    x[x > 1.0] = 1.0
    return x


def two_results(x, k):
    view = x[1:]
    view[k] = 7.0
    return view, x


def whole_matrix(a, b):
    a += b
    a -= a.T if a.shape[0] == a.shape[1] else 1.0
    return a


PROGRAMS: tuple[Any, ...] = (
    (one_element, "f64[n] index(n)", {"exact": True}),
    (one_of_matrix, "f64[m,n] index(m) index(n)", {}),
    (sliced, "f64[n] index(n) index(n)", {"modes": ("value", "grad", "jvp"), "exact": True}),
    (stepped, "f64[n] index(n)", {"modes": ("value", "grad", "jvp"), "exact": True}),
    (slices_of_matrix, "f64[m,n] index(m) index(n)", {"modes": ("value", "grad", "jvp"), "exact": True}),
    (neighbours, "f64[n]", {}),
    (gathered, "f64[n] i64[m]@n", {"exact": True}),
    (gathered_rows, "f64[m,n] i64[k]@m i64[k]@n", {"exact": True}),
    (gathered_pairs, "f64[m,n] i64[k]@m i64[k]@n", {"exact": True}),
    (taken, "f64[n] i64[m]@n", {"exact": True}),
    (along, "f64[m,n] i64[m,k]@n", {"exact": True}),
    (masked, "f64[n] bool[n]", {}),
    (scattered, "f64[n] i64[m]@n f64[m]", {"exact": True}),
    (added_at, "f64[n] i64[m]@n f64[m]", {}),
    (added_once, "f64[n] i64[m]@n", {}),
    (written_argument, "f64[n] index(n) f64", {}),
    (written_slice, "f64[n] index(n) index(n) f64", {}),
    (written_part, "f64[n] f64[m] index(n)", {"modes": ("value", "grad", "jvp")}),
    (written_rows, "f64[m,n] index(m) f64[n]", {}),
    (shifted_in_place, "f64[n]", {}),
    (reversed_in_place, "f64[n]", {"exact": True}),
    (view_of_view, "f64[m,n] index(m)", {}),
    (reshaped_view, "f64[m,n] index(m)", {}),
    (copied_through_reshape, "f64[m,n] index(m)", {}),
    (exchanged, "f64[m,n] index(m) index(m)", {}),
    (diagonal, "f64[m,n]", {}),
    (triangle, "f64[m,n]", {"exact": True}),
    (mask_written, "f64[n] bool[n] f64", {"exact": True}),
    (two_results, "f64[n] index(n)", {"exact": True}),
    (whole_matrix, "f64[n,n] f64[n,n]", {}),
)
