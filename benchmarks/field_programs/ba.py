"""Bundle adjustment: residuals of points seen by cameras, and their sparse Jacobian."""

from __future__ import annotations

import numpy as np

SIZES = (
    (49, 7776, 31843), (21, 11315, 36455), (161, 48126, 182072), (88, 64298, 383937), (253, 163691, 899155),
    (356, 226730, 1255268),
)  # fmt: skip
CAMERA = (-0.758453, -1.109613, -0.845551, 34.556073, 39.676747, 53.881673, 419.194514, 5.864426, -8.518870, 0.087812, 0.002739)
POINT = (7.203245, 0.001144, 3.023326)
WEIGHT, FEATURE = 0.417022, (271.760969, 834.209256)


def project(camera, point):
    """Where a camera sees a point: rotation, centre, focal length, principal point, radial distortion."""
    r, offset = camera[:3], point - camera[3:6]
    square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2]
    if square != 0.0:
        theta = np.sqrt(square)
        w = r / theta
        sine, cosine = np.sin(theta), np.cos(theta)
        turned = offset * cosine + cross(w, offset) * sine + w * (dot(w, offset) * (1.0 - cosine))
    else:
        turned = offset + cross(r, offset)
    seen = turned[:2] / turned[2]
    rho = seen[0] * seen[0] + seen[1] * seen[1]
    return seen * ((1.0 + camera[9] * rho + camera[10] * rho * rho) * camera[6]) + camera[7:9]


def cross(a, b):
    """The cross product of two vectors."""
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def dot(a, b):
    """The inner product of two vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def residuals(cameras, points, weights, observations, features):
    """Two residuals of each observation (camera, point), then one of each weight."""
    p = len(weights)
    result = np.empty(3 * p)
    for i in range(p):
        camera, point = observations[i]
        result[2 * i : 2 * i + 2] = weights[i] * (project(cameras[camera], points[point]) - features[i])
        result[2 * p + i] = 1.0 - weights[i] * weights[i]
    return result


def inputs(size: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cameras, points, weights, observations and features of `size`; slightly perturbed, so that no two are alike."""
    n, m, p = size
    rng = np.random.default_rng(0)
    cameras = np.array(CAMERA) * (1.0 + 1e-3 * rng.uniform(-1.0, 1.0, (n, 11)))
    points = np.array(POINT) * (1.0 + 1e-3 * rng.uniform(-1.0, 1.0, (m, 3)))
    weights = WEIGHT * (1.0 + 1e-3 * rng.uniform(-1.0, 1.0, p))
    features = np.array(FEATURE) * (1.0 + 1e-3 * rng.uniform(-1.0, 1.0, (p, 2)))
    observations = np.stack([np.arange(p) % n, np.arange(p) % m], axis=1)
    return cameras, points, weights, observations, features
