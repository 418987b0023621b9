"""Wengert's primals and derivatives of the programs of `field_programs`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse
from field_programs import ba, gmm, kmeans, llsq, lse, lstm

import wengert as wg

PRIMALS: dict[str, Callable[..., Any]] = {
    "llsq": llsq.loss,
    "lse": lse.loss,
    "gmm_loops": gmm.objective_loops,
    "gmm_arrays": gmm.objective_arrays,
    "kmeans": kmeans.cost,
    "lstm": lstm.loss,
    "ba": ba.residuals,
}


def newton_direction(centroids, points):
    """The gradient over the diagonal of the Hessian: a Hessian-vector product with ones."""

    def gradient(c):
        return wg.grad(kmeans.cost)(c, points)

    first, second = wg.jvp(gradient, (centroids,), (np.ones(centroids.shape),))
    return first / second


def reprojection_entries(cameras, points, weights, observations, features):
    """The entries of the Jacobian in order: 15 of each reprojection residual, then one of each weight's."""
    count = len(weights)
    entries = np.empty(31 * count)
    derivatives = wg.jacrev(reprojection, argnums=(0, 1, 2))
    for i in range(count):
        camera, point = observations[i]
        by_camera, by_point, by_weight = derivatives(cameras[camera, :11], points[point, :3], weights[i], features[i, :2])
        for row in range(2):
            start = 30 * i + 15 * row
            entries[start : start + 11] = by_camera[row]
            entries[start + 11 : start + 14] = by_point[row]
            entries[start + 14] = by_weight[row]
        entries[30 * count + i] = wg.grad(weight_residual)(weights[i])
    return entries


def reprojection(camera, point, weight, feature):
    """The two residuals of an observation."""
    return weight * (ba.project(camera, point) - feature)


def weight_residual(weight):
    """The residual of a weight."""
    return 1.0 - weight * weight


def sparse_jacobian(args: tuple) -> Callable[[], scipy.sparse.csr_array]:
    """A call that gives the Jacobian of the residuals as CSR; where its entries are is found once, before."""
    cameras, points, weights, observations, _ = args
    n, m, p = len(cameras), len(points), len(weights)
    rows = [11 * observations[:, :1] + np.arange(11), 11 * n + 3 * observations[:, 1:] + np.arange(3)]
    last = 11 * n + 3 * m + np.arange(p)
    indices = np.concatenate([np.repeat(np.hstack([*rows, last[:, None]]), 2, axis=0).ravel(), last]).astype(np.int32)
    starts = np.concatenate([15 * np.arange(2 * p), 30 * p + np.arange(p + 1)]).astype(np.int32)
    compiled = wg.jit(reprojection_entries)
    template = scipy.sparse.csr_array((np.ones(31 * p), indices, starts), (3 * p, 11 * n + 3 * m + p))

    def jacobian() -> scipy.sparse.csr_array:
        found = copy.copy(template)
        found.data = compiled(*args)
        return found

    return jacobian


def primal(key: str, args: tuple) -> Callable[[], Any]:
    """A call of the compiled primal."""
    compiled = wg.jit(PRIMALS[key])
    return lambda: compiled(*args)


def derivative(key: str, args: tuple) -> Callable[[], Any]:
    """A call of the derivative that is wanted of a program."""
    if key == "ba":
        return sparse_jacobian(args)
    function = _derivatives()[key]
    return lambda: function(*args)


@cache
def _derivatives() -> dict[str, Callable[..., Any]]:
    gradients = {key: wg.grad(f) for key, f in PRIMALS.items() if key not in ("kmeans", "lstm", "ba")}
    return {**gradients, "kmeans": wg.jit(newton_direction), "lstm": wg.grad(lstm.loss, argnums=(0, 1))}
