"""Filters with `filterpy`."""

from __future__ import annotations

import pytest

from tests.packages.checking import Call, check


def _tracking():
    from filterpy.gh import GHFilter

    def f(g, h):
        tracker = GHFilter(x=0.0, dx=0.5, dt=1.0, g=g, h=h)
        total = 0.0
        for measured in [1.0, 1.9, 3.2, 4.1]:
            x, _ = tracker.update(measured)
            total += (x - measured) ** 2
        return total

    return f


CALLS = [Call("filterpy", "filterpy.gh", "error of a g-h filter", _tracking, (0.6, 0.02))]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c.title)
def test_filterpy(call):
    check(call)
