"""Moist air with `psychrolib`."""

from __future__ import annotations

import pytest

from tests.packages.checking import Call, check


def _enthalpy():
    import psychrolib

    psychrolib.SetUnitSystem(psychrolib.SI)

    def f(temperature, humidity):
        ratio = psychrolib.GetHumRatioFromRelHum(temperature, humidity, 101325.0)
        return psychrolib.GetMoistAirEnthalpy(temperature, ratio)

    return f


def _dew_point():
    import psychrolib

    psychrolib.SetUnitSystem(psychrolib.SI)
    return lambda temperature, ratio: psychrolib.GetTDewPointFromHumRatio(temperature, ratio, 101325.0)


CALLS = [
    Call("psychrolib", "psychrolib", "enthalpy of moist air", _enthalpy, (30.0, 0.5)),
    Call("psychrolib", "psychrolib", "dew point by Newton's method", _dew_point, (30.0, 0.012)),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c.title)
def test_psychrolib(call):
    check(call)
