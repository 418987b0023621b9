"""The standard atmosphere with `ambiance`: a class on arrays, with layers picked by masks."""

from __future__ import annotations

import pytest

from tests.packages.checking import Call, check


def _at_height():
    from ambiance import Atmosphere

    def f(height):
        air = Atmosphere(height)
        return 1e3 * air.density[0] + air.speed_of_sound[0]

    return f


CALLS = [Call("ambiance", "ambiance", "density and speed of sound by height", _at_height, (5000.0,))]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c.title)
def test_ambiance(call):
    check(call)
