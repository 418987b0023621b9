"""Tangents and cotangents that are given: their structure, their shapes; what `stop_gradient` hands out."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import wengert as wg
from wengert.errors import ArgumentError

MODES = pytest.mark.parametrize("mode", ["compiled", "eager"])
X, V = np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.5, -1.0])


def run_in(mode: str) -> Any:
    return wg.eager() if mode == "eager" else nullcontext()


def cubic(x: np.ndarray) -> float:
    return np.sum(x**3) * x[0]


def cubes(x: np.ndarray) -> np.ndarray:
    return x**2 * x[0]


@MODES
def test_a_captured_direction_fits_an_argument_of_unknown_size(mode: str) -> None:
    expected = wg.hessian(cubic)(X) @ V
    with run_in(mode):
        np.testing.assert_allclose(wg.grad(lambda x: wg.jvp(cubic, (x,), (V,))[1])(X), expected, rtol=1e-12)
        pulled = wg.grad(lambda x: np.sum(wg.vjp(cubes, x)[1](V)[0]))(X)
    jacobian = wg.jacobian(lambda x: wg.vjp(cubes, x)[1](V)[0])(X)
    np.testing.assert_allclose(pulled, jacobian.sum(axis=0), rtol=1e-12)


@MODES
def test_a_direction_of_another_size_is_refused(mode: str) -> None:
    short = V[:2].copy()
    with run_in(mode), pytest.raises((ArgumentError, ValueError), match="does not match"):
        wg.grad(lambda x: wg.jvp(cubic, (x,), (short,))[1])(X)
    with run_in(mode), pytest.raises((ArgumentError, ValueError), match="does not match"):
        wg.grad(lambda x: np.sum(wg.vjp(cubes, x)[1](short)[0]))(X)


@MODES
def test_cotangents_are_matched_by_structure(mode: str) -> None:
    def pair(x: float) -> dict[str, Any]:
        return {"a": x * 2.0, "n": 3, "none": None, "b": x * 3.0}

    with run_in(mode):
        _, pullback = wg.vjp(pair, 1.0)
        assert pullback({"a": 1.0, "n": None, "none": None, "b": 0.0}) == (2.0,)
        assert pullback({"a": None, "n": None, "none": None, "b": 1.0}) == (3.0,)
        for wrong in ({"b": 0.0, "n": None, "none": None, "a": 1.0}, {"a": 1.0, "b": 0.0}, 1.0, None):
            with pytest.raises(ArgumentError, match="structure"):
                pullback(wrong)


def test_stop_gradient_hands_plain_numbers_to_functions_that_are_not_known() -> None:
    def weighted(x: float, y: np.ndarray) -> float:
        return x * np.spacing(wg.stop_gradient(x)) + np.sum(y * np.sort(wg.stop_gradient(y)))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wg.EagerFallbackWarning)
        dx, dy = wg.grad(weighted, argnums=(0, 1))(2.5, np.array([3.0, 1.0]))
    assert dx == np.spacing(2.5)
    np.testing.assert_array_equal(dy, [1.0, 3.0])


@MODES
def test_names_that_an_expression_sets_for_itself(mode: str) -> None:
    def both(x: float) -> float:
        if (y := x * x) > 0.5 and y < 2.0:
            return y
        return (z := 3.0 * x) + z

    with run_in(mode):
        assert [wg.grad(both)(x) for x in (0.9, 2.0)] == [1.8, 6.0]


def constant_result(x):
    return 2.0, x * x, "name", 3


def test_the_tangent_of_a_constant_is_zero():
    expected = (0.0, 6.0, None, None)
    assert wg.jvp(constant_result, (3.0,), (1.0,))[1] == expected
    with wg.eager():
        assert wg.jvp(constant_result, (3.0,), (1.0,))[1] == expected
