"""Longer programs: linear algebra by hand, images, rendering, signals."""

import math

import numpy as np

from tests.programs.catalog import example

SPD = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]])


@example(SPD, np.array([1.0, 2.0, 3.0]))
def gauss_with_pivoting(a, b):
    a = a.copy()
    b = b.copy()
    n = len(b)
    for k in range(n - 1):
        pivot = k
        for i in range(k + 1, n):
            if abs(a[i, k]) > abs(a[pivot, k]):
                pivot = i
        if pivot != k:
            for j in range(n):
                a[k, j], a[pivot, j] = a[pivot, j], a[k, j]
            b[k], b[pivot] = b[pivot], b[k]
        for i in range(k + 1, n):
            factor = a[i, k] / a[k, k]
            a[i, k:] -= factor * a[k, k:]
            b[i] -= factor * b[k]
    x = np.zeros(n)
    for i in range(n - 1, -1, -1):
        x[i] = (b[i] - a[i, i + 1 :] @ x[i + 1 :]) / a[i, i]
    return x


@example(SPD)
def cholesky_by_hand(a):
    n = a.shape[0]
    factor = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            if i == j:
                if total <= 0.0:
                    raise np.linalg.LinAlgError("not positive definite")
                factor[i, i] = math.sqrt(total)
            else:
                factor[i, j] = total / factor[j, j]
    return factor


@example(SPD)
def gram_schmidt(a):
    n = a.shape[1]
    q = np.zeros_like(a)
    r = np.zeros((n, n))
    for j in range(n):
        v = a[:, j].copy()
        for i in range(j):
            r[i, j] = q[:, i] @ a[:, j]
            v -= r[i, j] * q[:, i]
        r[j, j] = np.sqrt(v @ v)
        q[:, j] = v / r[j, j]
    return q + r


@example(SPD, np.array([1.0, -1.0, 0.5]))
def conjugate_gradient(a, b):
    x = np.zeros_like(b)
    r = b - a @ x
    p = r.copy()
    rs = r @ r
    for _ in range(len(b)):
        ap = a @ p
        alpha = rs / (p @ ap)
        x += alpha * p
        r -= alpha * ap
        new = r @ r
        if math.sqrt(new) < 1e-12:
            break
        p = r + (new / rs) * p
        rs = new
    return x


@example(np.array([1.0, 1.2, 0.9]), np.array([4.0, 4.5, 5.0, 4.2]), np.array([1.0, 0.0, 2.0, 1.0]))
def thomas_algorithm(off, diagonal, rhs):
    n = len(diagonal)
    c, d = [0.0] * n, [0.0] * n
    c[0], d[0] = off[0] / diagonal[0], rhs[0] / diagonal[0]
    for i in range(1, n):
        m = diagonal[i] - off[i - 1] * c[i - 1]
        if i < n - 1:
            c[i] = off[i] / m
        d[i] = (rhs[i] - off[i - 1] * d[i - 1]) / m
    x = [0.0] * n
    x[-1] = d[-1]
    for i in range(n - 2, -1, -1):
        x[i] = d[i] - c[i] * x[i + 1]
    return np.array(x)


@example(SPD)
def power_iteration(a):
    v = np.ones(len(a)) / math.sqrt(len(a))
    value = 0.0
    for _ in range(200):
        w = a @ v
        new = v @ w
        v = w / np.linalg.norm(w)
        if abs(new - value) < 1e-13:
            break
        value = new
    return value


@example(np.linspace(0.0, 1.0, 36).reshape(6, 6) ** 2, np.array([[0.1, 0.2, 0.1], [0.0, 0.3, 0.0], [0.1, 0.1, 0.1]]))
def image_filter(image, kernel):
    h, w = image.shape
    k = kernel.shape[0] // 2
    padded = np.zeros((h + 2 * k, w + 2 * k))
    padded[k:-k, k:-k] = image
    out = np.zeros_like(image)
    for i in range(h):
        for j in range(w):
            out[i, j] = np.sum(padded[i : i + 2 * k + 1, j : j + 2 * k + 1] * kernel)
    edges = np.abs(np.diff(out, axis=0)).sum() + np.abs(np.diff(out, axis=1)).sum()
    return edges + out.max()


@example(np.linspace(0.0, 1.0, 25).reshape(5, 5) ** 2, 0.3, 1.2, 0.7)
def warp_image(image, angle, dx, dy):
    """Bilinear sampling of a turned and shifted image."""
    h, w = image.shape
    c, s = math.cos(angle), math.sin(angle)
    total = 0.0
    for i in range(h):
        for j in range(w):
            y = c * (i - 2.0) - s * (j - 2.0) + 2.0 + dy
            x = s * (i - 2.0) + c * (j - 2.0) + 2.0 + dx
            if y < 0 or x < 0 or y >= h - 1 or x >= w - 1:
                continue
            y0, x0 = int(y), int(x)
            fy, fx = y - y0, x - x0
            top = (1 - fx) * image[y0, x0] + fx * image[y0, x0 + 1]
            bottom = (1 - fx) * image[y0 + 1, x0] + fx * image[y0 + 1, x0 + 1]
            total += ((1 - fy) * top + fy * bottom) * (1 + i * w + j)
    return total


class Sphere:
    def __init__(self, centre, radius, colour):
        self.centre, self.radius, self.colour = np.array(centre), radius, colour

    def hit(self, origin, direction):
        gap = origin - self.centre
        b = gap @ direction
        d = b * b - gap @ gap + self.radius**2
        if d < 0.0:
            return math.inf
        t = -b - np.sqrt(d)
        return t if t > 1e-6 else math.inf


@example(0.8, 0.5, np.array([0.3, 0.9, -0.4]))
def ray_tracer(radius, shine, light):
    scene = [Sphere([0.0, 0.0, 3.0], radius, 1.0), Sphere([0.9, 0.2, 4.0], 0.5 * radius, 0.5)]
    light = light / np.linalg.norm(light)
    image = 0.0
    eye = np.zeros(3)
    for py in range(5):
        for px in range(5):
            ray = np.array([(px - 2.0) / 4.0, (py - 2.0) / 4.0, 1.0])
            ray = ray / np.linalg.norm(ray)
            nearest, target = math.inf, None
            for k, sphere in enumerate(scene):
                t = sphere.hit(eye, ray)
                if t < nearest:
                    nearest, target = t, k
            if target is None:
                image += 0.1
                continue
            for k, sphere in enumerate(scene):
                if k == target:
                    normal = (eye + nearest * ray - sphere.centre) / sphere.radius
                    lit = max(0.0, normal @ light)
                    image += sphere.colour * (0.2 + lit + shine * lit**8)
    return image


@example(np.array([1.0, 0.5, -0.3, 0.8, 0.1, -0.9]))
def discrete_fourier(signal):
    n = len(signal)
    power = 0.0
    for k in range(n // 2 + 1):
        re = im = 0.0
        for t in range(n):
            angle = 2.0 * math.pi * k * t / n
            re += signal[t] * math.cos(angle)
            im -= signal[t] * math.sin(angle)
        power += (re**2 + im**2) * (k + 1)
    return power / n


@example(np.array([0.0, 1.0, 2.5, 3.0]), np.array([1.0, 2.0, 0.5, 1.5]), 1.7)
def cubic_spline(x, y, at):
    """A natural cubic spline: solve for the second derivatives, then evaluate."""
    n = len(x)
    h = [x[i + 1] - x[i] for i in range(n - 1)]
    a = np.zeros((n, n))
    r = np.zeros(n)
    a[0, 0] = a[-1, -1] = 1.0
    for i in range(1, n - 1):
        a[i, i - 1 : i + 2] = [h[i - 1], 2.0 * (h[i - 1] + h[i]), h[i]]
        r[i] = 6.0 * ((y[i + 1] - y[i]) / h[i] - (y[i] - y[i - 1]) / h[i - 1])
    m = np.linalg.solve(a, r)
    i = 0
    while i < n - 2 and at > x[i + 1]:
        i += 1
    left, right = x[i + 1] - at, at - x[i]
    return (
        m[i] * left**3 / (6 * h[i])
        + m[i + 1] * right**3 / (6 * h[i])
        + (y[i] / h[i] - m[i] * h[i] / 6) * left
        + (y[i + 1] / h[i] - m[i + 1] * h[i] / 6) * right
    )


@example(np.array([0.9, 0.1, 0.4, 0.8, 0.3]), 0.5)
def soft_alignment(a, gap):
    """Smith-Waterman with a soft maximum."""
    b = [0.85, 0.2, 0.75]
    rows = [[0.0] * (len(b) + 1)]
    best = 0.0
    for i in range(1, len(a) + 1):
        row = [0.0]
        for j in range(1, len(b) + 1):
            score = 1.0 - 4.0 * abs(a[i - 1] - b[j - 1])
            options = [0.0, rows[i - 1][j - 1] + score, rows[i - 1][j] - gap, row[j - 1] - gap]
            top = max(options)
            row.append(top + 0.1 * math.log(sum(math.exp((o - top) / 0.1) for o in options)))
            best = max(best, row[-1])
        rows.append(row)
    return best


@example(1.02, 0.3, 0.15)
def two_bus_power_flow(v1, load, reactive):
    """Newton's method on the power flow equations of two buses."""
    g, b = 1.5, -6.0
    theta, v2 = 0.0, 1.0
    for _ in range(20):
        p = v2 * v2 * g - v1 * v2 * (g * math.cos(theta) + b * math.sin(theta)) + load
        q = -v2 * v2 * b - v1 * v2 * (g * math.sin(theta) - b * math.cos(theta)) + reactive
        if abs(p) + abs(q) < 1e-12:
            break
        dp_t = -v1 * v2 * (-g * math.sin(theta) + b * math.cos(theta))
        dp_v = 2 * v2 * g - v1 * (g * math.cos(theta) + b * math.sin(theta))
        dq_t = -v1 * v2 * (g * math.cos(theta) + b * math.sin(theta))
        dq_v = -2 * v2 * b - v1 * (g * math.sin(theta) - b * math.cos(theta))
        det = dp_t * dq_v - dp_v * dq_t
        theta -= (dq_v * p - dp_v * q) / det
        v2 -= (dp_t * q - dq_t * p) / det
    return v2 + theta


@example(np.array([0.2, 0.5, 0.9, 0.4]), 6)
def cellular_growth(u, steps):
    n = len(u)
    grid = np.zeros((n, n))
    grid[n // 2] = u
    alive = []
    for step in range(steps):
        new = grid.copy()
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                around = grid[i - 1 : i + 2, j - 1 : j + 2].sum() - grid[i, j]
                if around > 1.0:
                    new[i, j] = grid[i, j] * 0.5 + 0.2 * around
                elif around > 0.2:
                    new[i, j] = grid[i, j] + 0.1 * around
        grid = new
        alive.append(grid.sum() / (step + 1))
    return sum(alive) + alive[-1]


@example(3.0, 0.02, np.array([1.0, 2.0, 3.0]))
def polynomial_fit_and_predict(at, ridge, targets):
    xs = [0.0, 0.5, 1.0]
    rows = []
    for x in xs:
        row = [1.0]
        while len(row) < 3:
            row.append(row[-1] * x)
        rows.append(row)
    design = np.array(rows)
    normal = design.T @ design + ridge * np.eye(3)
    w = np.linalg.solve(normal, design.T @ targets)
    prediction = 0.0
    for k in range(2, -1, -1):
        prediction = prediction * at + w[k]
    residual = design @ w - targets
    return prediction + residual @ residual
