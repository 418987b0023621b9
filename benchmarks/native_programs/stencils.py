"""Stencils and filters, in place, as one writes them with NumPy.

The `_loops` twins are the same programs with every slice written out, which is what a compiler of loops wants.
"""

from __future__ import annotations

import math

import numpy as np


def jacobi_2d(a, steps):
    """Means of five neighbours, back and forth between two arrays."""
    a = a.copy()
    b = a.copy()
    for _ in range(steps):
        b[1:-1, 1:-1] = 0.2 * (a[1:-1, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:] + a[2:, 1:-1] + a[:-2, 1:-1])
        a[1:-1, 1:-1] = 0.2 * (b[1:-1, 1:-1] + b[1:-1, :-2] + b[1:-1, 2:] + b[2:, 1:-1] + b[:-2, 1:-1])
    return a


def jacobi_2d_loops(a, steps):
    """`jacobi_2d` in scalar loops."""
    a = a.copy()
    b = a.copy()
    n = len(a)
    for _ in range(steps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                b[i, j] = 0.2 * (a[i, j] + a[i, j - 1] + a[i, j + 1] + a[i + 1, j] + a[i - 1, j])
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                a[i, j] = 0.2 * (b[i, j] + b[i, j - 1] + b[i, j + 1] + b[i + 1, j] + b[i - 1, j])
    return a


def seidel_2d(a, steps):
    """Means of nine neighbours, the new ones where they are there already."""
    a = a.copy()
    n = len(a)
    for _ in range(steps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                above = a[i - 1, j - 1] + a[i - 1, j] + a[i - 1, j + 1]
                below = a[i + 1, j - 1] + a[i + 1, j] + a[i + 1, j + 1]
                a[i, j] = (above + a[i, j - 1] + a[i, j] + a[i, j + 1] + below) / 9.0
    return a


def fdtd_2d(ex, ey, hz, fict):
    """Electric and magnetic fields of a wave that `fict` drives at one edge."""
    ex, ey, hz = ex.copy(), ey.copy(), hz.copy()
    for t in range(len(fict)):
        ey[0] = fict[t]
        ey[1:] -= 0.5 * (hz[1:] - hz[:-1])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])
    return hz


def fdtd_2d_loops(ex, ey, hz, fict):
    """`fdtd_2d` in scalar loops."""
    ex, ey, hz = ex.copy(), ey.copy(), hz.copy()
    n, m = ex.shape
    for t in range(len(fict)):
        for j in range(m):
            ey[0, j] = fict[t]
        for i in range(1, n):
            for j in range(m):
                ey[i, j] -= 0.5 * (hz[i, j] - hz[i - 1, j])
        for i in range(n):
            for j in range(1, m):
                ex[i, j] -= 0.5 * (hz[i, j] - hz[i, j - 1])
        for i in range(n - 1):
            for j in range(m - 1):
                hz[i, j] -= 0.7 * (ex[i, j + 1] - ex[i, j] + ey[i + 1, j] - ey[i, j])
    return hz


def heat_3d_step(b, a):
    """One step of diffusion from `a` to `b`, except at the faces."""
    middle = a[1:-1, 1:-1, 1:-1]
    b[1:-1, 1:-1, 1:-1] = (
        0.125 * (a[2:, 1:-1, 1:-1] - 2.0 * middle + a[:-2, 1:-1, 1:-1])
        + 0.125 * (a[1:-1, 2:, 1:-1] - 2.0 * middle + a[1:-1, :-2, 1:-1])
        + 0.125 * (a[1:-1, 1:-1, 2:] - 2.0 * middle + a[1:-1, 1:-1, :-2])
        + middle
    )


def heat_3d(a, steps):
    """Diffusion, back and forth between two arrays."""
    a = a.copy()
    b = a.copy()
    for _ in range(steps):
        heat_3d_step(b, a)
        heat_3d_step(a, b)
    return a


def heat_3d_loops(a, steps):
    """`heat_3d` in scalar loops."""
    a = a.copy()
    b = a.copy()
    n = len(a)
    for _ in range(steps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                for k in range(1, n - 1):
                    b[i, j, k] = (
                        0.125 * (a[i + 1, j, k] - 2.0 * a[i, j, k] + a[i - 1, j, k])
                        + 0.125 * (a[i, j + 1, k] - 2.0 * a[i, j, k] + a[i, j - 1, k])
                        + 0.125 * (a[i, j, k + 1] - 2.0 * a[i, j, k] + a[i, j, k - 1])
                        + a[i, j, k]
                    )
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                for k in range(1, n - 1):
                    a[i, j, k] = (
                        0.125 * (b[i + 1, j, k] - 2.0 * b[i, j, k] + b[i - 1, j, k])
                        + 0.125 * (b[i, j + 1, k] - 2.0 * b[i, j, k] + b[i, j - 1, k])
                        + 0.125 * (b[i, j, k + 1] - 2.0 * b[i, j, k] + b[i, j, k - 1])
                        + b[i, j, k]
                    )
    return a


def adi_coefficients(n, steps):
    """What the implicit steps along one axis and the other multiply by: a, b, c and d, e, f."""
    dx, dy, dt = 1.0 / n, 1.0 / n, 1.0 / steps
    first = 2.0 * dt / (dx * dx)
    second = dt / (dy * dy)
    a, b = -first / 2.0, 1.0 + first
    d, e = -second / 2.0, 1.0 + second
    return a, b, a, d, e, d


def adi(u, steps):
    """Diffusion by alternating directions: implicit along one axis, then along the other."""
    u = u.copy()
    n = len(u)
    v, p, q = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    a, b, c, d, e, f = adi_coefficients(n, steps)
    for _ in range(steps):
        v[0, 1:-1] = 1.0
        p[1:-1, 0] = 0.0
        q[1:-1, 0] = v[0, 1:-1]
        for j in range(1, n - 1):
            p[1:-1, j] = -c / (a * p[1:-1, j - 1] + b)
            source = -d * u[j, :-2] + (1.0 + 2.0 * d) * u[j, 1:-1] - f * u[j, 2:]
            q[1:-1, j] = (source - a * q[1:-1, j - 1]) / (a * p[1:-1, j - 1] + b)
        v[n - 1, 1:-1] = 1.0
        for j in range(n - 2, 0, -1):
            v[j, 1:-1] = p[1:-1, j] * v[j + 1, 1:-1] + q[1:-1, j]
        u[1:-1, 0] = 1.0
        p[1:-1, 0] = 0.0
        q[1:-1, 0] = u[1:-1, 0]
        for j in range(1, n - 1):
            p[1:-1, j] = -f / (d * p[1:-1, j - 1] + e)
            source = -a * v[:-2, j] + (1.0 + 2.0 * a) * v[1:-1, j] - c * v[2:, j]
            q[1:-1, j] = (source - d * q[1:-1, j - 1]) / (d * p[1:-1, j - 1] + e)
        u[1:-1, n - 1] = 1.0
        for j in range(n - 2, 0, -1):
            u[1:-1, j] = p[1:-1, j] * u[1:-1, j + 1] + q[1:-1, j]
    return u


def adi_loops(u, steps):
    """`adi` in scalar loops."""
    u = u.copy()
    n = len(u)
    v, p, q = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    dx, dy, dt = 1.0 / n, 1.0 / n, 1.0 / steps
    first = 2.0 * dt / (dx * dx)
    second = dt / (dy * dy)
    a, b = -first / 2.0, 1.0 + first
    d, e = -second / 2.0, 1.0 + second
    c, f = a, d
    for _ in range(steps):
        for i in range(1, n - 1):
            v[0, i] = 1.0
            p[i, 0] = 0.0
            q[i, 0] = v[0, i]
            for j in range(1, n - 1):
                p[i, j] = -c / (a * p[i, j - 1] + b)
                source = -d * u[j, i - 1] + (1.0 + 2.0 * d) * u[j, i] - f * u[j, i + 1]
                q[i, j] = (source - a * q[i, j - 1]) / (a * p[i, j - 1] + b)
            v[n - 1, i] = 1.0
            for j in range(n - 2, 0, -1):
                v[j, i] = p[i, j] * v[j + 1, i] + q[i, j]
        for i in range(1, n - 1):
            u[i, 0] = 1.0
            p[i, 0] = 0.0
            q[i, 0] = u[i, 0]
            for j in range(1, n - 1):
                p[i, j] = -f / (d * p[i, j - 1] + e)
                source = -a * v[i - 1, j] + (1.0 + 2.0 * a) * v[i, j] - c * v[i + 1, j]
                q[i, j] = (source - d * q[i, j - 1]) / (d * p[i, j - 1] + e)
            u[i, n - 1] = 1.0
            for j in range(n - 2, 0, -1):
                u[i, j] = p[i, j] * u[i, j + 1] + q[i, j]
    return u


def deriche(image, alpha):
    """Edges of an image, smoothed by recursive filters along both axes and both ways."""
    w, h = image.shape
    decay = math.exp(-alpha)
    k = (1.0 - decay) * (1.0 - decay) / (1.0 + 2.0 * alpha * decay - math.exp(2.0 * alpha))
    a1, a2, a3, a4 = k, k * decay * (alpha - 1.0), k * decay * (alpha + 1.0), -k * math.exp(-2.0 * alpha)
    b1, b2 = 2.0 ** (-alpha), -math.exp(-2.0 * alpha)
    first = np.empty((w, h))
    second = np.empty((w, h))
    for i in range(w):
        last, before, seen = 0.0, 0.0, 0.0
        for j in range(h):
            first[i, j] = a1 * image[i, j] + a2 * seen + b1 * last + b2 * before
            seen, before, last = image[i, j], last, first[i, j]
        last, before, seen, earlier = 0.0, 0.0, 0.0, 0.0
        for j in range(h - 1, -1, -1):
            second[i, j] = a3 * seen + a4 * earlier + b1 * last + b2 * before
            earlier, seen, before, last = seen, image[i, j], last, second[i, j]
    smooth = first + second
    for j in range(h):
        last, before, seen = 0.0, 0.0, 0.0
        for i in range(w):
            first[i, j] = a1 * smooth[i, j] + a2 * seen + b1 * last + b2 * before
            seen, before, last = smooth[i, j], last, first[i, j]
        last, before, seen, earlier = 0.0, 0.0, 0.0, 0.0
        for i in range(w - 1, -1, -1):
            second[i, j] = a3 * seen + a4 * earlier + b1 * last + b2 * before
            earlier, seen, before, last = seen, smooth[i, j], last, second[i, j]
    return first + second
