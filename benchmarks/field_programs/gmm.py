"""Log posterior of a mixture of Gaussians, twice: in scalar loops as in C, and on arrays.

The covariance of a component is given by a lower triangular matrix: the logarithms q of its diagonal, and l, what is
below the diagonal, column after column. `alpha` are the unnormalised logarithms of the weights.
"""

from __future__ import annotations

import math

import numpy as np

SIZES = tuple((d, k) for d in (2, 10, 20, 32, 64) for k in (5, 10, 25, 50, 100))
ROWS, GAMMA, M = 1000, 1.0, 0


def log_sum_exp(values):
    """log(sum(exp(values))) of numbers, without overflow."""
    largest = values[0]
    for value in values:
        if value > largest:
            largest = value
    total = 0.0
    for value in values:
        total += math.exp(value - largest)
    return largest + math.log(total)


def log_gamma_distrib(a, p):
    """Logarithm of the multivariate gamma function."""
    total = 0.25 * p * (p - 1) * math.log(math.pi)
    for j in range(1, p + 1):
        total += math.lgamma(a + 0.5 * (1 - j))
    return total


def wishart_constant(p, k, gamma, m):
    """What the prior adds whatever the parameters are."""
    n = p + m + 1
    return k * (n * p * (math.log(gamma) - 0.5 * math.log(2.0)) - log_gamma_distrib(0.5 * n, p))


def objective_loops(params, x, gamma, m):
    """The log posterior in scalar loops."""
    alpha, mu, q, lower = params["alpha"], params["mu"], params["q"], params["l"]
    n, d = x.shape
    k = len(alpha)
    diagonal = np.empty((k, d))
    sums = np.empty(k)
    for c in range(k):
        sums[c] = 0.0
        for j in range(d):
            sums[c] += q[c, j]
            diagonal[c, j] = math.exp(q[c, j])
    centered = np.empty(d)
    transformed = np.empty(d)
    terms = np.empty(k)
    total = 0.0
    for i in range(n):
        for c in range(k):
            for j in range(d):
                centered[j] = x[i, j] - mu[c, j]
                transformed[j] = diagonal[c, j] * centered[j]
            at = 0
            for j in range(d):
                for row in range(j + 1, d):
                    transformed[row] += lower[c, at] * centered[j]
                    at += 1
            square = 0.0
            for j in range(d):
                square += transformed[j] * transformed[j]
            terms[c] = alpha[c] + sums[c] - 0.5 * square
        total += log_sum_exp(terms)
    prior = 0.0
    for c in range(k):
        square = 0.0
        for j in range(d):
            square += diagonal[c, j] * diagonal[c, j]
        for j in range(d * (d - 1) // 2):
            square += lower[c, j] * lower[c, j]
        prior += 0.5 * gamma * gamma * square - m * sums[c]
    constant = -n * d * 0.5 * math.log(2.0 * math.pi)
    return constant + total - n * log_sum_exp(alpha) - prior + wishart_constant(d, k, gamma, m)


def objective_arrays(params, x, gamma, m):
    """The log posterior on arrays: one matrix product per component."""
    alpha, mu, q, lower = params["alpha"], params["mu"], params["q"], params["l"]
    n, d = x.shape
    k = len(alpha)
    diagonal = np.exp(q)
    terms = np.empty((k, n))
    for c in range(k):
        factor = np.zeros((d, d))  # its transpose, so that columns are rows
        at = 0
        for j in range(d):
            factor[j, j] = diagonal[c, j]
            factor[j, j + 1 :] = lower[c, at : at + d - 1 - j]
            at += d - 1 - j
        transformed = (x - mu[c]) @ factor
        terms[c] = alpha[c] + np.sum(q[c]) - 0.5 * np.sum(transformed * transformed, axis=1)
    largest = np.max(terms, axis=0)
    total = np.sum(largest + np.log(np.sum(np.exp(terms - largest), axis=0)))
    top = np.max(alpha)
    weights = top + np.log(np.sum(np.exp(alpha - top)))
    prior = 0.5 * gamma * gamma * (np.sum(diagonal * diagonal) + np.sum(lower * lower)) - m * np.sum(q)
    constant = -n * d * 0.5 * math.log(2.0 * math.pi)
    return constant + total - n * weights - prior + wishart_constant(d, k, gamma, m)


def inputs(size: tuple[int, int], rows: int = ROWS) -> tuple[dict[str, np.ndarray], np.ndarray, float, int]:
    """Parameters and data of `size`, dimensions and components."""
    d, k = size
    rng = np.random.default_rng(31337)
    x = np.array([rng.normal(size=d) for _ in range(rows)])
    alpha = rng.normal(size=k)
    mu = np.array([rng.uniform(size=d) for _ in range(k)])
    q = np.array([rng.normal(size=d) for _ in range(k)])
    lower = np.array([rng.normal(size=d * (d - 1) // 2) for _ in range(k)])
    return {"alpha": alpha, "mu": mu, "q": q, "l": lower}, x, GAMMA, M


def expected(params: dict[str, np.ndarray], x: np.ndarray, gamma: float, m: int) -> dict[str, np.ndarray]:
    """The gradient by its formula: responsibilities, and the residuals of each component weighted by them."""
    alpha, mu, q, lower = params["alpha"], params["mu"], params["q"], params["l"]
    d, k = x.shape[1], len(alpha)
    columns, rows = np.triu_indices(d, 1)
    factors = np.zeros((k, d, d))
    factors[:, rows, columns] = lower
    factors[:, range(d), range(d)] = np.exp(q)
    centered = [x - mu[c] for c in range(k)]
    transformed = [centered[c] @ factors[c].T for c in range(k)]
    terms = np.array([alpha[c] + q[c].sum() - 0.5 * (transformed[c] ** 2).sum(axis=1) for c in range(k)])
    shares = np.exp(terms - terms.max(axis=0))
    shares /= shares.sum(axis=0)
    weights = np.exp(alpha - alpha.max())
    outer = [-(shares[c, :, None] * transformed[c]).T @ centered[c] for c in range(k)]
    total = shares.sum(axis=1)
    return {
        "alpha": total - len(x) * weights / weights.sum(),
        "mu": np.array([factors[c].T @ (shares[c] @ transformed[c]) for c in range(k)]),
        "q": np.array([np.diag(outer[c]) * np.exp(q[c]) + total[c] - gamma**2 * np.exp(2 * q[c]) + m for c in range(k)]),
        "l": np.array([outer[c][rows, columns] - gamma**2 * lower[c] for c in range(k)]).reshape(lower.shape),
    }
