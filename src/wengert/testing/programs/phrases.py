"""What idioms are written with: the type of one, and small expressions."""

from __future__ import annotations

from collections.abc import Callable

from wengert.testing.programs.expressions import scalar, tame
from wengert.testing.programs.scope import Writer, bare

Body = Callable[[Writer, int], None]
"""Writes the statements of a block; the number is how many it may be."""
LONGEST = 40


def phrase(w: Writer, depth: int = 1, bound: float = 2.0) -> str:
    """A scalar expression of bounded size."""
    return bare(tame(w, scalar(w, depth), bound).text)


def small(w: Writer) -> str:
    """A factor below 1."""
    return w.number(0.3, 0.9)


def fits(w: Writer, trips: int) -> bool:
    """Whether a loop of so many trips may stand here."""
    return w.frame.trips * trips <= LONGEST
