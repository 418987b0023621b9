"""Factorisations, recurrences and products of triangles, row by row and in place, as one writes them with NumPy.

The `_loops` twins are the same programs with every slice written out, which is what a compiler of loops wants.
"""

from __future__ import annotations

import math

import numpy as np


def cholesky(a):
    """The lower factor, below what was above the diagonal."""
    a = a.copy()
    for i in range(len(a)):
        for j in range(i):
            a[i, j] = (a[i, j] - a[i, :j] @ a[j, :j]) / a[j, j]
        a[i, i] = np.sqrt(a[i, i] - a[i, :i] @ a[i, :i])
    return a


def cholesky_loops(a):
    """`cholesky` in scalar loops."""
    a = a.copy()
    for i in range(len(a)):
        for j in range(i):
            for k in range(j):
                a[i, j] -= a[i, k] * a[j, k]
            a[i, j] /= a[j, j]
        for k in range(i):
            a[i, i] -= a[i, k] * a[i, k]
        a[i, i] = math.sqrt(a[i, i])
    return a


def lu(a):
    """Both factors in one matrix, without pivots."""
    a = a.copy()
    n = len(a)
    for i in range(n):
        for j in range(i):
            a[i, j] -= a[i, :j] @ a[:j, j]
            a[i, j] /= a[j, j]
        for j in range(i, n):
            a[i, j] -= a[i, :i] @ a[:i, j]
    return a


def lu_loops(a):
    """`lu` in scalar loops."""
    a = a.copy()
    n = len(a)
    for i in range(n):
        for j in range(i):
            for k in range(j):
                a[i, j] -= a[i, k] * a[k, j]
            a[i, j] /= a[j, j]
        for j in range(i, n):
            for k in range(i):
                a[i, j] -= a[i, k] * a[k, j]
    return a


def ludcmp(a, b):
    """The solution of a x = b by both factors."""
    a = a.copy()
    n = len(a)
    for i in range(n):
        for j in range(i):
            a[i, j] = (a[i, j] - a[i, :j] @ a[:j, j]) / a[j, j]
        for j in range(i, n):
            a[i, j] -= a[i, :i] @ a[:i, j]
    y = np.empty(n)
    x = np.empty(n)
    for i in range(n):
        y[i] = b[i] - a[i, :i] @ y[:i]
    for i in range(n - 1, -1, -1):
        x[i] = (y[i] - a[i, i + 1 :] @ x[i + 1 :]) / a[i, i]
    return x


def ludcmp_loops(a, b):
    """`ludcmp` in scalar loops."""
    a = a.copy()
    n = len(a)
    y = np.empty(n)
    x = np.empty(n)
    for i in range(n):
        for j in range(i):
            w = a[i, j]
            for k in range(j):
                w -= a[i, k] * a[k, j]
            a[i, j] = w / a[j, j]
        for j in range(i, n):
            w = a[i, j]
            for k in range(i):
                w -= a[i, k] * a[k, j]
            a[i, j] = w
    for i in range(n):
        w = b[i]
        for j in range(i):
            w -= a[i, j] * y[j]
        y[i] = w
    for i in range(n - 1, -1, -1):
        w = y[i]
        for j in range(i + 1, n):
            w -= a[i, j] * x[j]
        x[i] = w / a[i, i]
    return x


def durbin(r):
    """The solution of the Yule-Walker equations."""
    n = len(r)
    y = np.empty(n)
    y[0] = -r[0]
    alpha, beta = -r[0], 1.0
    for k in range(1, n):
        beta *= 1.0 - alpha * alpha
        alpha = -(r[k] + r[:k][::-1] @ y[:k]) / beta
        y[:k] += alpha * y[:k][::-1]
        y[k] = alpha
    return y


def durbin_loops(r):
    """`durbin` in scalar loops."""
    n = len(r)
    y = np.empty(n)
    z = np.empty(n)
    y[0] = -r[0]
    alpha, beta = -r[0], 1.0
    for k in range(1, n):
        beta *= 1.0 - alpha * alpha
        total = 0.0
        for i in range(k):
            total += r[k - i - 1] * y[i]
        alpha = -(r[k] + total) / beta
        for i in range(k):
            z[i] = y[i] + alpha * y[k - i - 1]
        for i in range(k):
            y[i] = z[i]
        y[k] = alpha
    return y


def gramschmidt(a):
    """Orthonormal columns, and the triangle that makes `a` of them."""
    a = a.copy()
    m, n = a.shape
    q = np.zeros((m, n))
    r = np.zeros((n, n))
    for k in range(n):
        r[k, k] = np.sqrt(a[:, k] @ a[:, k])
        q[:, k] = a[:, k] / r[k, k]
        for j in range(k + 1, n):
            r[k, j] = q[:, k] @ a[:, j]
            a[:, j] -= q[:, k] * r[k, j]
    return q, r


def gramschmidt_loops(a):
    """`gramschmidt` in scalar loops."""
    a = a.copy()
    m, n = a.shape
    q = np.zeros((m, n))
    r = np.zeros((n, n))
    for k in range(n):
        square = 0.0
        for i in range(m):
            square += a[i, k] * a[i, k]
        r[k, k] = math.sqrt(square)
        for i in range(m):
            q[i, k] = a[i, k] / r[k, k]
        for j in range(k + 1, n):
            r[k, j] = 0.0
            for i in range(m):
                r[k, j] += q[i, k] * a[i, j]
            for i in range(m):
                a[i, j] -= q[i, k] * r[k, j]
    return q, r


def trmm(alpha, a, b):
    """alpha A^T B with ones on the diagonal of the lower triangle A."""
    b = b.copy()
    m, n = b.shape
    for i in range(m):
        for j in range(n):
            b[i, j] += a[i + 1 :, i] @ b[i + 1 :, j]
    b *= alpha
    return b


def trmm_loops(alpha, a, b):
    """`trmm` in scalar loops."""
    b = b.copy()
    m, n = b.shape
    for i in range(m):
        for j in range(n):
            for k in range(i + 1, m):
                b[i, j] += a[k, i] * b[k, j]
            b[i, j] *= alpha
    return b


def syrk(alpha, beta, c, a):
    """alpha A A^T + beta C, of which the lower triangle is computed."""
    c = c.copy()
    n, m = a.shape
    for i in range(n):
        c[i, : i + 1] *= beta
        for k in range(m):
            c[i, : i + 1] += alpha * a[i, k] * a[: i + 1, k]
    return c


def syrk_loops(alpha, beta, c, a):
    """`syrk` in scalar loops."""
    c = c.copy()
    n, m = a.shape
    for i in range(n):
        for j in range(i + 1):
            c[i, j] *= beta
        for k in range(m):
            for j in range(i + 1):
                c[i, j] += alpha * a[i, k] * a[j, k]
    return c


def syr2k(alpha, beta, c, a, b):
    """alpha A B^T + alpha B A^T + beta C, of which the lower triangle is computed."""
    c = c.copy()
    n, m = a.shape
    for i in range(n):
        c[i, : i + 1] *= beta
        for k in range(m):
            c[i, : i + 1] += a[: i + 1, k] * alpha * b[i, k] + b[: i + 1, k] * alpha * a[i, k]
    return c


def syr2k_loops(alpha, beta, c, a, b):
    """`syr2k` in scalar loops."""
    c = c.copy()
    n, m = a.shape
    for i in range(n):
        for j in range(i + 1):
            c[i, j] *= beta
        for k in range(m):
            for j in range(i + 1):
                c[i, j] += a[j, k] * alpha * b[i, k] + b[j, k] * alpha * a[i, k]
    return c


def min_plus(cost):
    """The least cost to join neighbours until one is left: `best[i, j]` of those from i to j."""
    n = len(cost)
    best = np.zeros((n, n))
    for i in range(n - 2, -1, -1):
        for j in range(i + 1, n):
            best[i, j] = np.min(best[i, i:j] + best[i + 1 : j + 1, j]) + cost[i, j]
    return best


def min_plus_loops(cost):
    """`min_plus` in scalar loops."""
    n = len(cost)
    best = np.zeros((n, n))
    for i in range(n - 2, -1, -1):
        for j in range(i + 1, n):
            least = best[i, i] + best[i + 1, j]
            for k in range(i + 1, j):
                least = min(least, best[i, k] + best[k + 1, j])
            best[i, j] = least + cost[i, j]
    return best


def floyd_warshall(path):
    """The lengths of the shortest paths between all pairs."""
    path = path.copy()
    n = len(path)
    for k in range(n):
        for i in range(n):
            path[i] = np.minimum(path[i], path[i, k] + path[k])
    return path


def floyd_warshall_loops(path):
    """`floyd_warshall` in scalar loops."""
    path = path.copy()
    n = len(path)
    for k in range(n):
        for i in range(n):
            for j in range(n):
                path[i, j] = min(path[i, j], path[i, k] + path[k, j])
    return path


def spmv(values, columns, starts, x):
    """The product of a matrix in compressed rows with a vector."""
    n = len(starts) - 1
    y = np.zeros(n)
    for row in range(n):
        part = slice(starts[row], starts[row + 1])
        y[row] = values[part] @ x[columns[part]]
    return y


def spmv_loops(values, columns, starts, x):
    """`spmv` in scalar loops."""
    n = len(starts) - 1
    y = np.zeros(n)
    for row in range(n):
        total = 0.0
        for k in range(starts[row], starts[row + 1]):
            total += values[k] * x[columns[k]]
        y[row] = total
    return y
