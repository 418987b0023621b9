"""Vapour pressures and water with `chemicals`."""

from __future__ import annotations

import pytest

from tests.packages.checking import Call, check


def _vapour_pressure():
    from chemicals import vapor_pressure

    def f(temperature, a):
        wagner = vapor_pressure.Wagner(temperature, 190.53, 4596420.0, a, 1.1885, -0.834082, -1.22833)
        return wagner + vapor_pressure.Antoine(temperature, 8.95894, 510.595, -15.95)

    return f


def _water():
    from chemicals.iapws import iapws95_rho

    return lambda temperature, pressure: iapws95_rho(temperature, pressure)


CALLS = [
    Call("chemicals", "chemicals", "vapour pressure", _vapour_pressure, (100.0, -6.00435)),
    Call("chemicals", "chemicals", "density of water by Newton's method", _water, (330.0, 8e5), compiles=False),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c.title)
def test_chemistry(call):
    check(call)
