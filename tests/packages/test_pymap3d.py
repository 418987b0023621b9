"""Coordinates on the Earth with `pymap3d`."""

from __future__ import annotations

import pytest

from tests.packages.checking import Call, check


def _to_local():
    import pymap3d

    def f(latitude, longitude, height):
        east, north, up = pymap3d.geodetic2enu(latitude, longitude, height, 42.0, -82.0, 200.0)
        return east + 2.0 * north + 3.0 * up

    return f


def _distance():
    from pymap3d.vincenty import vdist

    return lambda latitude, longitude: vdist(48.0, 11.0, latitude, longitude)[0]


CALLS = [
    Call("pymap3d", "pymap3d", "local coordinates", _to_local, (42.1, -81.9, 1000.0)),
    Call("pymap3d", "pymap3d", "distance by Vincenty's iteration", _distance, (52.5, 13.4), compiles=False),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c.title)
def test_pymap3d(call):
    check(call)
