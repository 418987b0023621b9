"""Sea water with `seawater`: the equation of state of 1980, on numbers and on arrays."""

from __future__ import annotations

import numpy as np
import pytest

from tests.packages.checking import Call, check


def _state():
    import seawater

    return lambda s, t, p: seawater.dens(s, t, p) + seawater.svel(s, t, p)


def _potential():
    import seawater

    return lambda s, t, p: np.sum(seawater.dens(s, t, p)) + np.sum(seawater.ptmp(s, t, p))


_CAST = (np.array([35.0, 34.0]), np.array([10.0, 4.0]), np.array([1000.0, 2000.0]))
CALLS = [
    Call("seawater", "seawater", "density and speed of sound", _state, (35.0, 10.0, 1000.0)),
    Call("seawater", "seawater", "density and potential temperature of a cast", _potential, _CAST),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c.title)
def test_seawater(call):
    check(call)
