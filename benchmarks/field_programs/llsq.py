"""Polynomial least squares: how far a polynomial is from the sign function, in two nested scalar loops."""

from __future__ import annotations

import numpy as np

SIZES = (*(16 * 2**k for k in range(9)), 8196, 16392)
TERMS = 128


def loss(x, n):
    """Half the sum of the squared residuals at n points in [-1, 1]."""
    total = 0.0
    for i in range(n):
        t = -1.0 + 2.0 * i / (n - 1)
        residual = float(np.sign(t))
        power = 1.0
        for j in range(len(x)):
            residual -= x[j] * power
            power *= t
        total += residual * residual
    return 0.5 * total


def inputs(size: int) -> tuple[np.ndarray, int]:
    """The coefficients drawn for `size`, which depend on the sizes before it."""
    rng = np.random.RandomState(31337)
    drawn = {n: rng.rand(TERMS) for n in SIZES}
    return drawn.get(size, drawn[SIZES[0]]), size


def expected(x: np.ndarray, n: int) -> np.ndarray:
    """The gradient by its formula: -V^T (s - V x) with the Vandermonde matrix V."""
    t = -1.0 + 2.0 * np.arange(n) / (n - 1)
    powers = np.vander(t, len(x), increasing=True)
    return -powers.T @ (np.sign(t) - powers @ x)
