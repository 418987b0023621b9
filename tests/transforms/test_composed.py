"""All transformations, up to third order, on a few composed programs in every mode; `composed.py` runs them on all."""

from __future__ import annotations

import warnings

import pytest

from tests.transforms import composed

CANDIDATES = {program.name: (f, point) for program, f, point in composed.candidates()}
FEW = (
    "control_flow.skip_bad_samples",
    "control_flow.match_guard",
    "control_flow.walrus_in_while",
    "functions.reduce_product",
    "functions.recursion_of_known_depth",
    "exceptions.nested_try",
    "exceptions.several_handlers",
)


def test_there_are_enough():
    assert len(CANDIDATES) >= 60


@pytest.mark.parametrize("name", FEW)
def test_derivatives_of_a_composed_program(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        composed.check(name, *CANDIDATES[name])
