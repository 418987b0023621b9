"""How a Jacobian of known pattern is computed: colours of columns and of rows, and where each entry is found afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from wengert.api.colouring import Integers, Pattern, colour_columns, pattern_of
from wengert.errors import ArgumentError
from wengert.transforms.compressed import Group

_COST_OF_ROW = 3
"""A reverse derivative costs about as much as this many forward ones that share their primal."""


@dataclass(frozen=True)
class Colours:
    """Which derivatives are computed, and where the entries of the pattern stand among them.

    Attributes:
        columns: the colour of each column.
        rows: the colour of each row; -1 for those that columns give.
        column_count: how many colours of columns.
        row_count: how many colours of rows.
        take_row: per entry, the row at which it is read from the derivative along the colour `take_colour`.
        take_colour: per entry, its colour, of columns or (where `by_row`) of rows.
        by_row: per entry, whether a colour of rows gives it.
    """

    columns: Integers
    rows: Integers
    column_count: int
    row_count: int
    take_row: Integers
    take_colour: Integers
    by_row: np.ndarray[Any, np.dtype[np.bool_]]


def choose_colours(pattern: Pattern, symmetric: bool) -> Colours:
    """Few directional derivatives that give all entries.

    Full rows are left to reverse derivatives where that is cheaper; in a symmetric matrix they are read from their columns.
    """
    return _symmetric_colours(pattern) if symmetric else _two_way_colours(pattern)


def _two_way_colours(pattern: Pattern) -> Colours:
    by_rows = _rows_apart(pattern, _COST_OF_ROW)
    most = int(np.bincount(pattern.columns, minlength=1).max())
    if _COST_OF_ROW * most < _cost(pattern, by_rows, _COST_OF_ROW):
        by_rows = np.ones(pattern.height, dtype=bool)
    columns, column_count = colour_columns(pattern.only(~by_rows))
    if not np.any(~by_rows & (pattern.counts > 0)):
        column_count = 0
    rows, row_count = np.full(pattern.height, -1), 0
    if by_rows.any():
        found, row_count = colour_columns(pattern.only(by_rows).transposed())
        rows[by_rows] = found[by_rows]
    entry_rows = pattern.rows
    from_rows = by_rows[entry_rows]
    take = np.where(from_rows, rows[entry_rows], columns[pattern.columns])
    return Colours(columns, rows, column_count, row_count, entry_rows, take, from_rows)


def _symmetric_colours(pattern: Pattern) -> Colours:
    """Full columns have colours of their own, which give the full rows as well."""
    apart = _rows_apart(pattern, 1)
    inside = ~apart[pattern.rows] & ~apart[pattern.columns]
    rest = pattern_of(pattern.rows[inside], pattern.columns[inside], (pattern.height, pattern.width))
    columns, count = colour_columns(rest)
    if not rest.columns.size and apart.all():
        count = 0
    columns[apart] = count + np.arange(int(apart.sum()))
    flipped = apart[pattern.rows] & ~apart[pattern.columns]
    take_row = np.where(flipped, pattern.columns, pattern.rows)
    take = columns[np.where(flipped, pattern.rows, pattern.columns)]
    total = count + int(apart.sum())
    none = np.full(pattern.height, -1)
    return Colours(columns, none, total, 0, take_row, take, np.zeros(len(take), dtype=bool))


def _rows_apart(pattern: Pattern, price: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """The fullest rows, as far as it costs less to take them by themselves than to have colours for all their entries."""
    order = np.argsort(-pattern.counts, kind="stable")
    left = np.append(pattern.counts[order], 0)
    best = int(np.argmin(price * np.arange(len(left)) + left))
    apart = np.zeros(pattern.height, dtype=bool)
    apart[order[:best]] = True
    return apart


def _cost(pattern: Pattern, apart: np.ndarray[Any, np.dtype[np.bool_]], price: int) -> int:
    return price * int(apart.sum()) + int(pattern.counts[~apart].max(initial=0))


# --- groups ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grouping:
    """Colours of columns, renumbered so that those of a group follow each other.

    Attributes:
        groups: how they are done.
        first: the first colour of each.
        times: how often each is done.
        number: the new number of each old colour.
        count: of the new colours; some may be of no column.
    """

    groups: tuple[Group, ...]
    first: list[int]
    times: list[int]
    number: Integers
    count: int


def group_colours(columns: Integers, count: int, widths: Sequence[int], most: int, apart: bool) -> Grouping:
    """How `count` colours of columns are done, at most `most` tangents side by side.

    Args:
        columns: the colour of each column; -1 for none.
        count: the number of colours.
        widths: the sizes of the leaves, side by side among the columns.
        most: that are done together.
        apart: tell apart which leaves a colour belongs to: that is more code, and less work.
    """
    leaves: list[tuple[int, ...]] = [tuple(range(len(widths)))] * count
    if apart:
        parts = np.split(columns, np.cumsum(widths)[:-1])
        met = np.stack([np.bincount(part[part >= 0], minlength=count) > 0 for part in parts])
        leaves = [tuple(np.flatnonzero(met[:, c]).tolist()) for c in range(count)]
    members: dict[tuple[int, ...], list[int]] = {}
    for colour, where in enumerate(leaves):
        members.setdefault(where, []).append(colour)
    chunks: list[tuple[Group, list[int]]] = []
    rest: list[int] = []
    for where, colours in members.items():
        if len(members) > 1 and 2 * len(colours) <= most:
            rest += colours
            continue
        times = -(-len(colours) // most)
        side = -(-len(colours) // times)
        chunks.append((Group((where,) * side, times > 1), colours))
    for begin in range(0, len(rest), most):
        together = rest[begin : begin + most]
        chunks.append((Group(tuple(leaves[c] for c in together), False), together))
    number, first, times_each, total = np.zeros(count, dtype=np.int64), [], [], 0
    for group, colours in chunks:
        side = len(group.directions)
        number[colours] = total + np.arange(len(colours))
        first.append(total)
        times_each.append(-(-len(colours) // side))
        total += side * times_each[-1]
    return Grouping(tuple(group for group, _ in chunks), first, times_each, number, total)


# --- blocks ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """The matrix of one result and one argument leaf.

    Attributes:
        starts: as `indptr` of `scipy.sparse.csr_array`.
        columns: as its `indices`.
        shape: of the matrix.
        begin: where its entries begin among all.
        dtype: of its numbers, which is that of the argument.
    """

    starts: np.ndarray[Any, Any]
    columns: np.ndarray[Any, Any]
    shape: tuple[int, int]
    begin: int
    dtype: np.dtype[Any]

    def matrix(self, data: np.ndarray[Any, Any]) -> sp.csr_array:
        """The matrix with its entries among `data`."""
        entries = data[self.begin : self.begin + len(self.columns)].astype(self.dtype, copy=False)
        made = sp.csr_array((entries, self.columns.copy(), self.starts.copy()), shape=self.shape, copy=False)
        made.has_canonical_format = True
        return made


def blocks_of(
    pattern: Pattern, heights: Sequence[int], widths: Sequence[int], dtypes: Sequence[np.dtype[Any]]
) -> tuple[list[Block], Integers]:
    """The blocks, row of blocks by row, and the order of the entries of the pattern in which they follow each other."""
    tops, lefts = (np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64) for sizes in (heights, widths))
    rows = pattern.rows
    which = np.searchsorted(tops, rows, side="right") - 1
    if len(widths) > 1:
        which = which * len(widths) + np.searchsorted(lefts, pattern.columns, side="right") - 1
    order = np.argsort(which, kind="stable") if len(heights) * len(widths) > 1 else np.arange(len(rows))
    counts = np.bincount(which, minlength=len(heights) * len(widths))
    small = max(len(rows), *heights, *widths, 1) < np.iinfo(np.int32).max
    blocks, begin = [], 0
    for k, count in enumerate(counts):
        r, c = divmod(k, len(widths))
        entries = order[begin : begin + count]
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows[entries] - tops[r], minlength=heights[r]))])
        columns = pattern.columns[entries] - lefts[c]
        kind = np.int32 if small else np.int64
        blocks.append(Block(starts.astype(kind), columns.astype(kind), (heights[r], widths[c]), begin, dtypes[c]))
        begin += int(count)
    return blocks, order


# --- patterns that users give ----------------------------------------------------------------------------------------


def given_pattern(given: Any, shape: tuple[int, int]) -> Pattern:
    """The pattern of a SciPy matrix or a boolean array.

    Raises:
        ArgumentError: it has another shape than the Jacobian.
    """
    shape_given = np.shape(given) if not sp.issparse(given) else given.shape
    if shape_given != shape:
        raise ArgumentError(
            "the pattern given as sparsity has a wrong shape", found=f"{shape_given}", expected=f"{shape}, all blocks together"
        )
    entries = sp.coo_array(given)
    return pattern_of(entries.row, entries.col, shape)


def check_against_direction(
    product: np.ndarray[Any, Any], matrix: sp.csr_array, direction: np.ndarray[Any, Any], what: str
) -> None:
    """Raise if the derivative along a direction is not what the sparse Jacobian says.

    Raises:
        ArgumentError: an entry of the Jacobian is not in the pattern.
    """
    found = matrix @ direction
    tolerance = 1e-8 if product.dtype == matrix.dtype == np.float64 else 1e-3
    scale = abs(matrix) @ np.abs(direction) + np.abs(product)
    wrong = np.abs(found - product) > tolerance * scale
    wrong |= np.isfinite(product) != np.isfinite(found)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ArgumentError(
            "the pattern given as sparsity lacks entries: the Jacobian made with it is wrong",
            found=f"{found[row]:.6g} along a random direction in element {row} of {what}",
            expected=f"{product[row]:.6g}, the directional derivative",
            fix="add the missing entries, or pass sparsity=True to have the pattern found",
        )
