"""Orbits of satellites with the Python code of `sgp4`."""

from __future__ import annotations

import pytest

from tests.packages.checking import Call, check


def _position():
    from sgp4.earth_gravity import wgs72
    from sgp4.io import twoline2rv
    from sgp4.propagation import sgp4

    first = "1 00005U 58002B   00179.78495062  .00000023  00000-0  28098-4 0  4753"
    second = "2 00005  34.2682 348.7242 1859667 331.7664  19.3264 10.82419157413667"
    satellite = twoline2rv(first, second, wgs72)

    def f(minutes):
        position, velocity = sgp4(satellite, minutes)
        return position[0] + 2.0 * position[1] + 1000.0 * velocity[2]

    return f


def _elements():
    from sgp4.earth_gravity import wgs72
    from sgp4.model import Satellite
    from sgp4.propagation import sgp4, sgp4init

    def f(eccentricity, inclination):
        satellite = Satellite()
        epoch, drag, motion = 18441.78, 2.8098e-05, 0.0472
        sgp4init(wgs72, "i", 5, epoch, drag, 0.0, 0.0, eccentricity, 5.79, inclination, 0.3373, motion, 6.0863, satellite)
        position, velocity = sgp4(satellite, 30.0)
        return position[0] + 1000.0 * velocity[1]

    return f


CALLS = [
    Call("sgp4", "sgp4", "position by time", _position, (30.0,), compiles=False),
    Call("sgp4", "sgp4", "position by orbital elements", _elements, (0.1859667, 0.598), compiles=False),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c.title)
def test_sgp4(call):
    check(call)
