"""Money with `numpy-financial`."""

from __future__ import annotations

import pytest

from tests.packages.checking import Call, check


def _payments():
    import numpy_financial

    def f(rate, periods):
        payment = numpy_financial.pmt(rate, periods, 1000.0)
        return payment + numpy_financial.fv(rate, 12, -100.0, -100.0) + numpy_financial.npv(rate, [-100.0, 39.0, 59.0, 55.0])

    return f


def _rate():
    import numpy_financial

    return lambda payment: numpy_financial.rate(10.0, payment, -100.0, 2000.0)


CALLS = [
    Call("numpy-financial", "numpy_financial", "payment, future and present value", _payments, (0.05, 12.0), compiles=False),
    Call("numpy-financial", "numpy_financial", "rate of interest by Newton's method", _rate, (-100.0,), compiles=False),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c.title)
def test_finance(call):
    check(call)
