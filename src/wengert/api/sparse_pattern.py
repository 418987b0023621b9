"""The pattern of a Jacobian from a program on masks of 64 groups: coarse blocks of columns first, then finer ones.

Blocks that share no row are asked for together, as a mask then tells which of them is meant. A pattern with a few entries per row
takes a few runs for each of the three or four levels, and memory in proportion to its entries.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wengert.api.colouring import Integers, Pattern, colour_columns, pattern_of

_GROUPS = 64
_DENSE = 0.25


def find_pattern(run: Callable[[Integers], Integers], rows: int, columns: int) -> Pattern:
    """The pattern of a Jacobian.

    A row that meets more than a quarter of the blocks of a level (and more than 64) is taken to be full in these.

    Args:
        run: from a mask per column to a mask per row: the union of those of the columns on which the row depends.
        rows: their number.
        columns: their number.
    """
    levels = 1
    while _GROUPS**levels < columns:
        levels += 1
    split = max(int(np.ceil(columns ** (1 / levels))), 2)
    entry_rows, blocks = np.arange(rows), np.zeros(rows, dtype=np.int64)
    colours, count, width = np.zeros(1, dtype=np.int64), 1, split**levels
    full: list[tuple[Integers, Integers]] = []
    for level in range(levels):
        finer = width // split
        entry_rows, blocks = _refine(run, rows, columns, entry_rows, blocks, colours, count, width, finer)
        width = finer
        if level < levels - 1:
            places = -(-columns // width)
            many = np.bincount(entry_rows, minlength=rows)[entry_rows] > max(_DENSE * places, _GROUPS)
            full.append(_columns_of(entry_rows[many], blocks[many], width, columns))
            entry_rows, blocks = entry_rows[~many], blocks[~many]
            colours, count = colour_columns(pattern_of(entry_rows, blocks, (rows, places)))
    all_rows = np.concatenate([entry_rows, *(r for r, _ in full)])
    return pattern_of(all_rows, np.concatenate([blocks, *(c for _, c in full)]), (rows, columns))


def _refine(
    run: Callable[[Integers], Integers],
    rows: int,
    columns: int,
    entry_rows: Integers,
    blocks: Integers,
    colours: Integers,
    count: int,
    width: int,
    finer: int,
) -> tuple[Integers, Integers]:
    """The entries (row, block of width `finer`), given those of the wider blocks and the colours of these."""
    column = np.arange(columns)
    colour_of_column = colours[column // width]
    bit_of_column = np.left_shift(np.int64(1), (column % width) // finer)
    entry_colours = colours[blocks]
    block_of_row = np.zeros(rows, dtype=np.int64)
    wanted = np.zeros(rows, dtype=bool)
    found: list[tuple[Integers, Integers]] = []
    for colour in range(count):
        masks = run(np.where(colour_of_column == colour, bit_of_column, 0))
        here = entry_colours == colour
        block_of_row[entry_rows[here]] = blocks[here]
        wanted[:] = False
        wanted[entry_rows[here]] = True
        met = np.flatnonzero(wanted & (masks != 0))
        for which, bits in _bits(masks[met]):
            found.append((met[which], block_of_row[met[which]] * (width // finer) + bits))
    return np.concatenate([r for r, _ in found] or [column[:0]]), np.concatenate([b for _, b in found] or [column[:0]])


def _bits(masks: Integers) -> list[tuple[Integers, Integers]]:
    """Which masks have a bit set, and which bit, in turns from the lowest."""
    found = []
    which, rest = np.arange(len(masks)), masks.astype(np.uint64)
    while len(which):
        low = rest & (~rest + np.uint64(1))
        found.append((which, np.log2(low.astype(np.float64)).astype(np.int64)))
        rest = rest ^ low
        which, rest = which[rest != 0], rest[rest != 0]
    return found


def _columns_of(rows: Integers, blocks: Integers, width: int, columns: int) -> tuple[Integers, Integers]:
    """All elements of blocks."""
    all_columns = (blocks[:, None] * width + np.arange(width)).ravel()
    all_rows = np.repeat(rows, width)
    inside = all_columns < columns
    return all_rows[inside], all_columns[inside]
