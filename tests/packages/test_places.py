"""Places and the Sun with `haversine`, `utm`, `astral` and `pysolar`."""

from __future__ import annotations

import datetime

import pytest

from tests.packages.checking import Call, check

NOON = datetime.datetime(2020, 6, 1, 12, tzinfo=datetime.UTC)


def _haversine():
    from haversine import haversine

    return lambda latitude, longitude: haversine((48.0, 11.0), (latitude, longitude))


def _utm():
    import utm

    def f(latitude, longitude):
        east, north, _, _ = utm.from_latlon(latitude, longitude)
        return east + 2.0 * north

    return f


def _elevation():
    from astral import Observer, sun

    return lambda latitude, longitude: sun.elevation(Observer(latitude, longitude), NOON)


def _altitude():
    from pysolar import solar

    return lambda latitude, longitude: solar.get_altitude(latitude, longitude, NOON)


CALLS = [
    Call("haversine", "haversine", "great-circle distance", _haversine, (52.5, 13.4)),
    Call("utm", "utm", "map coordinates", _utm, (51.2, 7.5), compiles=False),
    Call("astral", "astral", "elevation of the Sun", _elevation, (51.5, -0.1), compiles=False),
    Call("pysolar", "pysolar", "altitude of the Sun", _altitude, (42.2, -71.4), compiles=False),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c.title)
def test_places(call):
    check(call)
