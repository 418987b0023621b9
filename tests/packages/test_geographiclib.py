"""Geodesics on the ellipsoid with `geographiclib`: the direct and the inverse problem."""

from __future__ import annotations

import pytest

from tests.packages.checking import Call, check


def _inverse():
    from geographiclib.geodesic import Geodesic

    return lambda latitude, longitude: Geodesic.WGS84.Inverse(48.0, 11.0, latitude, longitude)["s12"]


def _direct():
    from geographiclib.geodesic import Geodesic

    def f(azimuth, distance):
        found = Geodesic.WGS84.Direct(48.0, 11.0, azimuth, distance)
        return found["lat2"] + 2.0 * found["lon2"]

    return f


CALLS = [
    Call("geographiclib", "geographiclib", "distance of two places", _inverse, (52.5, 13.4)),
    Call("geographiclib", "geographiclib", "end of a geodesic", _direct, (30.0, 1e6)),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c.title)
def test_geographiclib(call):
    check(call)
