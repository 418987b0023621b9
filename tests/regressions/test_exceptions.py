"""Programs with exceptions that once gave a wrong number or an internal error, as found among random ones and made small."""

import math

import pytest

from wengert.testing.check_grads import check_grads
from wengert.testing.modes import assert_modes_agree


def finally_needs_what_nothing_else_does(x):
    total = x * x
    for _ in range(3):
        e = 0.7
        try:
            if x < 0.7:
                raise KeyError("refused")
        except KeyError:
            e = math.tanh(x)
        finally:
            e -= 0.48
    return total


@pytest.mark.parametrize("x", [0.4, 1.1])
@pytest.mark.parametrize("f", [finally_needs_what_nothing_else_does])
def test_modes_and_differences(f, x):
    assert_modes_agree(f, (x,))
    check_grads(f, (x,))
