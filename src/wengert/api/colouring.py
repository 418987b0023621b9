"""Colours of columns: columns of one colour share no row, so one directional derivative gives the entries of all of them.

The greedy colouring is written in plain Python and compiled by the package itself. Reference: A. H. Gebremedhin, F. Manne and
A. Pothen, "What color is your Jacobian? Graph coloring for computing derivatives", SIAM Review 47 (2005), section 3,
doi:10.1137/S0036144504444711.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from wengert.api.derivatives import jit

Integers = np.ndarray[Any, np.dtype[np.int64]]


class Pattern(NamedTuple):
    """Rows of sorted column numbers, as in `scipy.sparse.csr_array`.

    Attributes:
        starts: where each row begins in `columns`, and their number at the end.
        columns: of all entries, row by row.
        width: the number of columns.
    """

    starts: Integers
    columns: Integers
    width: int

    @property
    def height(self) -> int:
        """The number of rows."""
        return len(self.starts) - 1

    @property
    def rows(self) -> Integers:
        """The row of each entry."""
        return np.repeat(np.arange(self.height), np.diff(self.starts))

    @property
    def counts(self) -> Integers:
        """The number of entries of each row."""
        return np.diff(self.starts)

    def transposed(self) -> Pattern:
        """The pattern of the transpose."""
        return pattern_of(self.columns, self.rows, (self.width, self.height))

    def only(self, kept: np.ndarray[Any, np.dtype[np.bool_]]) -> Pattern:
        """The pattern in which the rows that are not `kept` are empty."""
        counts = np.where(kept, self.counts, 0)
        starts = np.concatenate([[0], np.cumsum(counts)])
        return Pattern(starts, self.columns[np.repeat(kept, self.counts)], self.width)


def pattern_of(rows: Any, columns: Any, shape: tuple[int, int]) -> Pattern:
    """The pattern with entries at these places."""
    ones = np.ones(len(rows), dtype=np.int8)
    made = sp.csr_array((ones, (rows, columns)), shape=shape)
    made.sum_duplicates()
    return Pattern(made.indptr.astype(np.int64), made.indices.astype(np.int64), shape[1])


def colour_columns(pattern: Pattern) -> tuple[Integers, int]:
    """A colour for each column, so that no row has two entries of one colour, and the number of colours.

    Tries what is best for bands first, then greedy in the order of the columns, then with the fullest columns first.
    """
    least = int(pattern.counts.max(initial=0))
    if not pattern.columns.size:
        return np.zeros(pattern.width, dtype=np.int64), min(pattern.width, 1)
    filled = np.flatnonzero(pattern.counts)
    band = int((pattern.columns[pattern.starts[filled + 1] - 1] - pattern.columns[pattern.starts[filled]]).max()) + 1
    if band == least:
        return np.arange(pattern.width) % band, band
    by_column = pattern.transposed()
    found = _greedy_colours(pattern, by_column, np.arange(pattern.width))
    if found[1] > least:
        other = _greedy_colours(pattern, by_column, np.argsort(-by_column.counts, kind="stable"))
        found = min(found, other, key=lambda pair: pair[1])
    return found


def _greedy_colours(pattern: Pattern, by_column: Pattern, order: Integers) -> tuple[Integers, int]:
    colours, marks = np.full(pattern.width, -1), np.full(pattern.width + 1, -1)
    count = _compiled(pattern.starts, pattern.columns, by_column.starts, by_column.columns, order, colours, marks)
    return colours, int(count)


def _greedy(
    row_starts: Any, columns: Any, column_starts: Any, rows: Any, order: Any, colours: Any, marks: Any
) -> int:
    """Give each column in turn the smallest colour that no column with a common row has; returns how many are used."""
    used = 0
    for k in range(len(order)):
        column = order[k]
        for place in range(column_starts[column], column_starts[column + 1]):
            row = rows[place]
            for entry in range(row_starts[row], row_starts[row + 1]):
                other = colours[columns[entry]]
                if other >= 0:
                    marks[other] = column
        mine = 0
        while marks[mine] == column:
            mine += 1
        colours[column] = mine
        used = max(used, mine + 1)
    return used


_compiled = jit(_greedy)
