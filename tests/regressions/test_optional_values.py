"""Programs with values that are None or a number, as found among random ones and made small."""

import math
import warnings

import numpy as np

import wengert as wg
from wengert.testing.check_grads import check_grads
from wengert.testing.modes import assert_modes_agree

X = np.array([0.7, -0.4, 1.1, 0.2])


def none_or_a_number_in_where(x):
    best = None
    for value in x:
        if best is None or math.sin(value + 0.86) > best:
            best = math.sin(value - 1.81)
    return float(np.where(1.24 > 0.83, 1.24, best)) + best


def test_a_function_that_makes_an_array_of_objects_of_none():
    # A choice between such an array and one of numbers was refused in eager mode too.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wg.EagerFallbackWarning)
        assert_modes_agree(none_or_a_number_in_where, (X,))
        check_grads(none_or_a_number_in_where, (X,))
