"""Every program of the corpus gives CPython's value in every mode, and derivatives that agree with differences."""

from __future__ import annotations

import copy
import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wengert as wg
from tests.programs import page
from tests.programs.catalog import PROGRAMS, Program
from wengert.api.arguments import is_differentiable
from wengert.testing.differences import directional, inner
from wengert.testing.modes import float_arguments, largest_difference, run_modes
from wengert.tree import flatten

for _subject in page.SUBJECTS:
    importlib.import_module(f"tests.programs.{_subject}")

CASES = [pytest.param(p, k, id=f"{p.name}-{k}") for p in PROGRAMS for k in range(len(p.examples))]


def weighed(program: Program) -> Callable[..., float]:
    """The program with a number as its result: a weighted sum of all floats in what it returns."""

    def number(*args: Any) -> float:
        if program.fresh is not None:
            program.fresh()
        total = 0.0
        for k, leaf in enumerate(flatten(program.function(*args))[0]):
            total = total + np.sum(leaf) * (1.0 + 0.3 * k)
        return total

    number.__name__ = program.function.__name__
    return number


@pytest.mark.parametrize(("program", "k"), CASES)
def test_modes_and_differences(program: Program, k: int, capsys: pytest.CaptureFixture[str]) -> None:
    f, args = weighed(program), program.examples[k]
    before = copy.deepcopy(args)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wg.EagerFallbackWarning)
        found = run_modes(f, args)
    assert largest_difference(args, before) == 0.0, "the arguments were changed"
    assert ("compiled" in found) == (program.eager is None), "the page says otherwise"
    value, gradient = found["python"][0], found["eager"][1]
    for mode, (other, slope) in found.items():
        assert largest_difference(other, value) < 1e-12, f"{mode}: {other}, Python: {value}"
        assert slope is None or largest_difference(slope, gradient) < 1e-11, f"{mode}: {slope}, eager: {gradient}"
    expected, slope = along_a_direction(f, args, gradient)
    assert slope == pytest.approx(expected, rel=1e-6, abs=1e-7)


def along_a_direction(f: Callable[..., float], args: tuple[Any, ...], gradient: Any) -> tuple[float, float]:
    """The derivative along one direction, by differences and from the gradient."""
    positions = float_arguments(args)
    point, tree = flatten(tuple(args[p] for p in positions))
    rng = np.random.default_rng(3)
    moves = [is_differentiable(x) for x in point]
    signs = [rng.uniform(0.5, 1.5, np.shape(x)) * rng.choice([-1.0, 1.0], np.shape(x)) for x in point]
    direction = [np.asarray(sign) for sign, m in zip(signs, moves, strict=True) if m]

    def at(moved: list[Any]) -> list[Any]:
        full = list(copy.deepcopy(args))
        supply = iter(moved)
        leaves = [_like(x, next(supply)) if m else x for x, m in zip(point, moves, strict=True)]
        for p, arg in zip(positions, tree.unflatten(leaves), strict=True):
            full[p] = arg
        return [f(*full)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = directional(at, [x for x, m in zip(point, moves, strict=True) if m], direction, step=1e-4)[0]
    return float(expected), inner([g for g in flatten(gradient)[0] if is_differentiable(g)], direction)


def _like(model: Any, number: Any) -> Any:
    return number if isinstance(model, np.ndarray) else float(number)


def test_page() -> None:
    """The page of the corpus is up to date, and long enough."""
    assert Path("docs/corpus.md").read_text() == page.text(), "run `python -m tests.programs.page`"
    assert len(PROGRAMS) >= 180
    assert sum(p.eager is None for p in PROGRAMS) >= 0.9 * len(PROGRAMS)
