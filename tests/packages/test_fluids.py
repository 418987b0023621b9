"""Fluid mechanics and heat transfer with `fluids` and `ht`."""

from __future__ import annotations

import pytest

from tests.packages.checking import Call, check


def _friction():
    import fluids

    return lambda reynolds, roughness: fluids.friction_factor(Re=reynolds, eD=roughness)


def _atmosphere():
    from fluids.atmosphere import ATMOSPHERE_1976

    def f(height):
        air = ATMOSPHERE_1976(height)
        return 1e3 * air.rho + air.v_sonic + 1e5 * air.mu

    return f


def _nusselt():
    import ht

    return lambda reynolds, prandtl: ht.Nu_conv_internal(Re=reynolds, Pr=prandtl) + ht.LMTD(100.0, 60.0, 30.0, 40.0 + prandtl)


CALLS = [
    Call("fluids", "fluids", "friction factor of a pipe", _friction, (1e5, 1e-4)),
    Call("fluids", "fluids", "standard atmosphere", _atmosphere, (5000.0,)),
    Call("ht", "ht", "Nusselt number of a pipe", _nusselt, (1e5, 0.7), compiles=False),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c.title)
def test_fluids(call):
    check(call)
