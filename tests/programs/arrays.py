"""NumPy code: slices, views, masks, reductions, broadcasting."""

import copy

import numpy as np

from tests.programs.catalog import example

V = np.array([1.0, -2.0, 3.0, 0.5, 4.0, -1.5])
M = np.array([[1.0, 2.0, 0.5], [0.3, -1.0, 2.0], [4.0, 0.1, 1.5]])


@example(V)
def overlapping_slices(x):
    x = x.copy()
    x[1:] = x[:-1]
    x[:-1] += x[1:] * 2.0
    x[::-1] *= np.arange(6.0)
    return x


@example(V)
def views_of_views(x):
    y = x.reshape(2, 3).copy()
    row = y[1]
    row[0] = 10.0
    corner = y[:, 1:][0]
    corner *= 3.0
    y.T[2] += row[:2]
    return y.ravel() @ np.arange(6.0) + y.sum()


@example(M)
def rows_normalised(m):
    m = m.copy()
    for row in m:
        row /= np.abs(row).sum()
    return m


def add_in_place(target, amount):
    target += amount
    target[0] *= 2.0


@example(V, 0.5)
def helper_mutates(x, amount):
    work = x.copy()
    alias = work
    add_in_place(work[1:4], amount)
    return alias * x


@example(V)
def mask_load(x):
    positive = x[x > 0.0]
    return np.sum(positive**2) / positive.size


@example(V)
def mask_store(x):
    y = x.copy()
    y[y < 0.0] = 0.0
    y[x > 2.0] += 1.0
    y[y == 0.0] = np.sin(x[y == 0.0])
    return y


@example(V)
def integer_indexing(x):
    order = np.array([5, 0, 0, 3])
    y = x[order] ** 2
    z = np.zeros(6)
    z[order] = y
    np.add.at(z, order, x[:4])
    return z


@example(M)
def two_index_arrays(m):
    i, j = np.array([0, 1, 2, 0]), np.array([2, 0, 1, 2])
    picked = m[i, j]
    m = m.copy()
    m[[0, 2]] = m[[2, 0]]
    return picked * m[j, i] + m[:, [0, 2]].sum()


@example(V)
def out_arguments(x):
    buffer = np.empty(6)
    np.multiply(x, 2.0, out=buffer)
    np.exp(buffer, out=buffer, where=x > 0.0)
    np.add(buffer[:3], x[3:], out=buffer[:3])
    return buffer


@example(V)
def copyto_and_fill(x):
    a = np.empty_like(x)
    a.fill(0.5)
    np.copyto(a[::2], x[::2])
    b = np.full(3, x[0])
    b[:] = a[3:]
    return np.concatenate([a, b])


@example(V)
def flat_and_enumerate(x):
    table = x.reshape(2, 3).copy()
    total = 0.0
    for (i, j), v in np.ndenumerate(table):
        total += v * (i + 1) / (j + 1)
    for k, v in enumerate(table.flat):
        total -= v * k
    return total


@example(np.linspace(0.0, 1.0, 12) ** 2)
def heat_stencil(u):
    for _ in range(10):
        u = u.copy()
        u[1:-1] += 0.2 * (u[2:] - 2.0 * u[1:-1] + u[:-2])
    return u


@example(np.linspace(0.0, 1.0, 12) ** 2, 0.3)
def ping_pong_buffers(u, c):
    old, new = u.copy(), np.zeros_like(u)
    for _ in range(9):
        new[1:-1] = old[1:-1] + c * (old[2:] - 2 * old[1:-1] + old[:-2])
        new[0], new[-1] = old[0], old[-1]
        old, new = new, old
    return old


@example(M, V[:3])
def broadcasting(m, v):
    a = m * v + v[:, None]
    b = np.exp(-(a**2)).sum(axis=0) / (1.0 + m.mean(axis=1))
    return np.where(b > 0.2, np.log(b), b - 1.0)


@example(M)
def reductions(m):
    return m.max(axis=0) + m.min(axis=1) * m.prod() - m.std(axis=0) + np.cumsum(m, axis=1)[:, -1] + m.argmax()


@example(M)
def stable_softmax(m):
    z = m - m.max(axis=1, keepdims=True)
    p = np.exp(z)
    p /= p.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(3), [0, 2, 1]]).mean()


@example(V)
def sorting(x):
    order = np.argsort(x)
    s = np.sort(x)
    return s * np.arange(6.0) + x[order][::-1] + np.median(x)


@example(np.array([0.3, 1.7, 2.2]), np.array([0.0, 1.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0, 5.0]))
def interpolation(x, xp, fp):
    k = np.clip(np.searchsorted(xp, x) - 1, 0, len(xp) - 2)
    t = (x - xp[k]) / (xp[k + 1] - xp[k])
    by_hand = (1 - t) * fp[k] + t * fp[k + 1]
    return by_hand + np.interp(x, xp, fp)


@example(V, np.array([0.25, 0.5, 0.25]))
def convolution(x, kernel):
    full = np.convolve(x, kernel)
    valid = np.array([np.dot(x[k : k + 3], kernel) for k in range(4)])
    return full[2:-2] * valid


@example(V)
def polynomials(x):
    p = np.array([1.0, -0.5, 2.0])
    return np.polyval(p, x) + np.gradient(x) + np.diff(x, append=x[0])


@example(M, V[:3])
def linear_solve(m, v):
    x = np.linalg.solve(m, v)
    return x @ np.linalg.inv(m @ m.T + np.eye(3)) + np.linalg.det(m)


@example(M)
def cholesky_likelihood(m):
    c = m @ m.T + np.eye(3)
    factor = np.linalg.cholesky(c)
    return 2.0 * np.log(np.diag(factor)).sum() + np.linalg.norm(factor) + np.trace(c)


@example(M, V)
def einsum_forms(m, v):
    a = np.einsum("ij,jk->ik", m, m) + np.einsum("i,j->ij", v[:3], v[3:])
    return np.einsum("ii->i", a) + np.tensordot(m, a, axes=2)


@example(V)
def meshes(x):
    a, b = np.meshgrid(x[:3], x[3:])
    return np.hypot(a, b).sum(axis=0) + np.outer(x[:3], x[3:]).trace()


@example(V)
def stacking(x):
    parts = np.split(x, 3)
    tall = np.vstack(parts)
    wide = np.hstack([tall, tall[:, ::-1]])
    return np.concatenate([wide.sum(axis=0), np.tile(x[:2], 2), np.repeat(x[2], 2)])


@example(V, 2, also=((V, 0), (V, -1)))
def shifts_and_padding(x, k):
    return np.roll(x, k) + np.pad(x[1:-1], 1, mode="edge")


@example(V)
def clip_and_sign(x):
    return np.clip(x, -1.0, 2.0) * np.sign(x) + np.maximum(x, 0.1) - np.minimum(0.5, x) + np.abs(x)


@example(M)
def triangles(m):
    return np.tril(m) @ np.triu(m, 1) + np.diag(np.diag(m)) - m[::-1, ::-1].T


@example(V)
def deep_copies(x):
    state = {"u": x.copy(), "n": [1.0, x[0]]}
    other = copy.deepcopy(state)
    other["u"][0] = 7.0
    other["n"][1] *= 2.0
    return state["u"] + other["u"] * other["n"][1] - state["n"][1]


@example(V)
def types_and_shapes(x):
    y = np.asarray(x, dtype=float)
    assert isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype == np.float64
    if np.isscalar(x) or np.ndim(x) == 0:
        return x
    n = float(y.size) + len(y.shape)
    return np.atleast_2d(y)[0] * n + x.astype(float).item(2)


@example(V, 3)
def prefix_of_traced_length(x, n):
    total = 0.0
    for k in range(n + 1):
        total += np.sum(x[:k] ** 2) * k
    return total


@example(np.array([[0.0, 1.0, 4.0], [1.0, 0.0, 2.0], [4.0, 2.0, 0.0]]) + 0.1)
def floyd_warshall(distance):
    d = distance.copy()
    n = len(d)
    for k in range(n):
        for i in range(n):
            for j in range(n):
                if d[i, k] + d[k, j] < d[i, j]:
                    d[i, j] = d[i, k] + d[k, j]
    return d


@example(V)
def cumulative_maximum(x):
    peak = np.maximum.accumulate(x)
    drawdown = (peak - x).max()
    return drawdown + np.cumprod(1.0 + 0.1 * x)[-1] + np.trapezoid(x, dx=0.5)


@example(V.reshape(2, 3), M)
def batched_products(a, b):
    stack = np.stack([b, b.T, b @ b])
    return (a @ stack).sum(axis=0) + np.inner(a, a[0]).sum() + np.kron(a[0], a[1])[:3]


@example(np.array([1.0, 2.0, 1.0, 3.0]), np.array([0, 2, 0, 1]))
def grouped_sums(values, groups):
    return np.bincount(groups, weights=values, minlength=3) ** 2 + np.histogram([0.5, 1.5], bins=3)[0]


@example(V)
def empty_arrays(x):
    none = x[:0]
    return np.sum(none) + np.concatenate([none, x]).prod() + len(none)
