"""Filters with `filterpy`."""

from __future__ import annotations

import numpy as np
import pytest

from tests.packages.checking import Call, check


def _tracking():
    from filterpy.gh import GHFilter

    def f(g, h):
        tracker = GHFilter(x=0.0, dx=0.5, dt=1.0, g=g, h=h)
        total = 0.0
        for measured in [1.0, 1.9, 3.2, 4.1]:
            x, _ = tracker.update(measured)
            total += (x - measured) ** 2
        return total

    return f


def _kalman():
    from filterpy.kalman import KalmanFilter

    def f(q, r):
        tracker = KalmanFilter(dim_x=2, dim_z=1)
        tracker.x = np.array([[2.0], [0.0]])
        tracker.F = np.array([[1.0, 1.0], [0.0, 1.0]])
        tracker.H = np.array([[1.0, 0.0]])
        tracker.P = tracker.P * 10.0
        tracker.R = np.array([[r]])
        tracker.Q = np.array([[0.25 * q, 0.5 * q], [0.5 * q, q]])
        total = 0.0
        for k in range(3):
            tracker.predict()
            tracker.update(np.array([[2.0 + 0.9 * k]]))
            total = total + tracker.y[0, 0] ** 2 + tracker.x[0, 0]
        return total

    return f


CALLS = [
    Call("filterpy", "filterpy.gh", "error of a g-h filter", _tracking, (0.6, 0.02)),
    Call("filterpy", "filterpy.kalman", "three steps of a Kalman filter", _kalman, (0.1, 2.0)),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c.title)
def test_filterpy(call):
    check(call)
