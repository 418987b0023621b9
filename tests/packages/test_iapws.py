"""Steam tables of `iapws`: properties of water and steam by the industrial formulation of 1997."""

from __future__ import annotations

import pytest

from tests.packages.checking import Call, check


def _regions():
    from iapws import iapws97

    return lambda t, p: iapws97._Region1(t, p)["h"] + iapws97._Region2(t + 300.0, 0.01 * p)["s"]


def _state():
    from iapws import IAPWS97

    return lambda t, p: IAPWS97(T=t, P=p).h


CALLS = [
    Call("iapws", "iapws", "enthalpy of water, entropy of steam", _regions, (350.0, 3.0)),
    Call("iapws", "iapws", "enthalpy of a state object", _state, (350.0, 3.0), compiles=False),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c.title)
def test_iapws(call):
    check(call)
