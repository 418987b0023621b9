"""Rotations with `pytransform3d`, `transforms3d`, `spatialmath` and `pyquaternion`."""

from __future__ import annotations

import numpy as np
import pytest

from tests.packages.checking import Call, check

POINT = np.array([1.0, 2.0, 3.0])


def _axis_and_quaternion():
    from pytransform3d import rotations

    def f(a, b):
        first = rotations.matrix_from_axis_angle(np.array([1.0, 0.0, 0.0, a]))
        second = rotations.matrix_from_quaternion(rotations.quaternion_from_axis_angle(np.array([0.0, 1.0, 0.0, b])))
        return np.sum(first @ second @ POINT)

    return f


def _euler():
    from pytransform3d.rotations import matrix_from_euler

    return lambda angles: np.sum(matrix_from_euler(angles, 0, 1, 2, True) @ POINT)


def _there_and_back():
    from transforms3d.euler import euler2mat, mat2euler

    def f(a, b, c):
        matrix = euler2mat(a, b, c, "sxyz")
        return np.sum(matrix @ POINT) + mat2euler(matrix, "rzyx")[0]

    return f


def _roll_pitch_yaw():
    from spatialmath.base import rpy2r

    return lambda a, b, c: np.sum(rpy2r(a, b, c) @ POINT)


def _quaternion():
    from pyquaternion import Quaternion

    def f(angle):
        rotation = Quaternion(axis=[1.0, 0.0, 0.0], angle=angle) * Quaternion(0.5, 0.5, -0.5, 0.5)
        return np.sum(rotation.rotate(POINT))

    return f


ANGLES = (0.1, 0.2, 0.3)
CALLS = [
    Call("pytransform3d", "pytransform3d.rotations", "axis, angle and quaternion", _axis_and_quaternion, (0.3, 0.7)),
    Call("pytransform3d", "pytransform3d.rotations", "Euler angles", _euler, (np.array(ANGLES),)),
    Call("transforms3d", "transforms3d.euler", "Euler angles and back", _there_and_back, ANGLES, compiles=False),
    Call("spatialmath-python", "spatialmath.base", "roll, pitch and yaw", _roll_pitch_yaw, ANGLES),
    Call("pyquaternion", "pyquaternion", "product of quaternions", _quaternion, (0.4,), compiles=False),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c.title)
def test_rotations(call):
    check(call)
