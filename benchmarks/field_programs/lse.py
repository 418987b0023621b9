"""Logarithm of a sum of exponentials, shifted by the largest."""

from __future__ import annotations

import numpy as np

SIZES = tuple(2500 * 2**k for k in range(10))


def loss(x):
    """log(sum(exp(x))) without overflow."""
    largest = np.max(x)
    return largest + np.log(np.sum(np.exp(x - largest)))


def inputs(size: int) -> tuple[np.ndarray]:
    """The numbers drawn for `size`, which depend on the sizes before it."""
    rng = np.random.RandomState(31337)
    for n in SIZES:
        drawn = rng.rand(n)
        if n == size:
            return (drawn,)
    return (rng.rand(size),)


def expected(x: np.ndarray) -> np.ndarray:
    """The gradient by its formula: softmax."""
    weights = np.exp(x - x.max())
    return weights / weights.sum()
