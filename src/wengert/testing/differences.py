"""Numerical derivatives: the oracle that knows nothing of our rules."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Arrays = list[Any]


def directional(
    function: Callable[[Arrays], Arrays], point: Sequence[Any], direction: Sequence[Any], step: float = 2e-3
) -> Arrays:
    """The derivative of `function` at `point` along `direction`, by central differences extrapolated twice.

    The error is of order `step**6` from truncation and about `1e-16 / step` from rounding (L. F. Richardson, "The
    approximate arithmetical solution by finite differences", 1911, doi:10.1098/rsta.1911.0009).

    Args:
        function: maps float arrays to float arrays.
        point: where; unchanged.
        direction: one array per entry of `point`, of its shape.
        step: the largest step, relative to the length of `direction`.
    """
    table = [_central(function, point, direction, step / 2**k) for k in range(3)]
    for level in (1, 2):
        factor = 4.0**level
        table = [
            [(factor * f - c) / (factor - 1) for c, f in zip(coarse, fine, strict=True)]
            for coarse, fine in itertools.pairwise(table)
        ]
    return table[0]


def _central(
    function: Callable[[Arrays], Arrays], point: Sequence[Any], direction: Sequence[Any], step: float
) -> Arrays:
    ahead, behind = (
        function([np.asarray(p) + s * np.asarray(d) for p, d in zip(point, direction, strict=True)])
        for s in (step, -step)
    )
    return [(np.asarray(a) - np.asarray(b)) / (2 * step) for a, b in zip(ahead, behind, strict=True)]


def inner(left: Sequence[Any], right: Sequence[Any]) -> float:
    """The sum of products of all entries of two lists of arrays."""
    return float(sum(np.sum(np.asarray(a) * np.asarray(b)) for a, b in zip(left, right, strict=True)))


def scale(arrays: Sequence[Any]) -> float:
    """The largest absolute entry, for tolerances; 0 for empty arrays."""
    return max((float(np.max(np.abs(a))) for a in arrays if np.size(a)), default=0.0)
