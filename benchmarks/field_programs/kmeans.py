"""Newton's direction of k-means: the gradient of the cost over the diagonal of its Hessian."""

from __future__ import annotations

import numpy as np

SIZES = tuple((k, n, d) for d in (8, 16) for n in (1000, 10000) for k in (10, 100, 1000))


def cost(centroids, points):
    """Sum of the squared distances of the points to the nearest centroid."""
    total = 0.0
    for point in points:
        total += np.min(np.sum((centroids - point) ** 2, axis=1))
    return total


def inputs(size: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Centroids and points of `size`, centroids, points and dimensions."""
    k, n, d = size
    points = np.random.RandomState(31337).rand(n, d)
    return points[-k:].copy(), points


def expected(centroids: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The direction by its formula: from the mean of the points nearest to a centroid to the centroid."""
    squares = (centroids**2).sum(axis=1)
    nearest = np.argmin(squares - 2.0 * (points @ centroids.T), axis=1)
    return np.array([c - points[nearest == j].mean(axis=0) for j, c in enumerate(centroids)])
