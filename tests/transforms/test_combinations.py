"""Transformations of transformations, two and three levels deep, on programs with every kind of control flow.

Expected values come from Taylor series on which the plain Python program runs (`jets.py`). The quick tests go through all
programs and all transformations; the long ones (`scripts/test -m long`) through all pairs and a sample of the triples, compiled.
"""

from __future__ import annotations

import itertools
import random
from contextlib import nullcontext

import pytest

import wengert as wg
from tests.transforms.combination_programs import POINT, PROGRAMS, TRANSFORMS, combined, derivatives, expected

PAIRS = list(itertools.product(TRANSFORMS, repeat=2))
TRIPLES = list(itertools.product(TRANSFORMS, repeat=3))
NAMES = list(PROGRAMS)


def check(name: str, transforms: tuple[str, ...], eager: bool = False) -> None:
    """A program under transformations gives what its Taylor series says."""
    f = combined(name, transforms)
    with wg.eager() if eager else nullcontext():
        found = f(POINT) if eager else wg.jit(f)(POINT)
    assert found == pytest.approx(expected(name, transforms), rel=1e-9, abs=1e-9), (name, transforms)


def shown(case: tuple[str, ...]) -> str:
    return "-of-".join(reversed(case))


@pytest.mark.parametrize("name", NAMES)
def test_the_oracle_agrees_with_differences(name: str) -> None:
    value, slope, *_ = derivatives(name, POINT, 2)
    step = 1e-5
    above, below = (derivatives(name, POINT + s * step, 1)[0] for s in (1, -1))
    assert PROGRAMS[name][0](POINT) == pytest.approx(value, rel=1e-14)
    assert slope == pytest.approx((above - below) / (2 * step), rel=1e-6)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", NAMES)
def test_one_level_eagerly(name: str, transform: str) -> None:
    check(name, (transform,), eager=True)


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
def test_both_orders_compiled(number: int) -> None:
    """Forward over forward, forward over reverse and the rest, each on two of the programs."""
    modes = ("jvp", "vjp", "jacfwd", "jacrev")
    pairs = list(itertools.product(modes, repeat=2))
    for pair in (pairs[number], pairs[number + 8]):
        check(NAMES[number], pair)


@pytest.mark.parametrize("pair", PAIRS, ids=shown)
def test_pairs_eagerly(pair: tuple[str, ...]) -> None:
    check(random.Random(shown(pair)).choice(NAMES), pair, eager=True)


@pytest.mark.parametrize("triple", random.Random(7).sample(TRIPLES, 8), ids=shown)
def test_triples(triple: tuple[str, ...]) -> None:
    chosen = random.Random(shown(triple))
    check(chosen.choice(("branch", "counted", "in_place")), triple)
    check(chosen.choice(NAMES), triple, eager=True)


@pytest.mark.long
@pytest.mark.parametrize("pair", PAIRS, ids=shown)
def test_all_pairs_compiled(pair: tuple[str, ...]) -> None:
    for name in NAMES:
        check(name, pair)


@pytest.mark.long
@pytest.mark.parametrize("triple", random.Random(11).sample(TRIPLES, 48), ids=shown)
def test_more_triples_compiled(triple: tuple[str, ...]) -> None:
    check(random.Random(shown(triple)).choice(NAMES), triple)
