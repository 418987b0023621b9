"""Colours of columns: columns of one colour share no row, so one directional derivative gives the entries of all of them.

The greedy colouring is a program of the IR, compiled when first used. Reference: A. H. Gebremedhin, F. Manne and
A. Pothen, "What color is your Jacobian? Graph coloring for computing derivatives", SIAM Review 47 (2005), section 3,
doi:10.1137/S0036144504444711.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from wengert.codegen import Compiled
from wengert.codegen import compile as compile_native
from wengert.ir.parser import parse

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
    colours, count = _compiled()(pattern.starts, pattern.columns, by_column.starts, by_column.columns, order)
    return colours, int(count)


# Each column in turn gets the smallest colour that no column with a common row has. `marks[c]` is the last column that found
# colour c taken; columns without a colour yet have the colour n, which nobody asks for.
_GREEDY = """
func @greedy<%r, %e, %c, %d, %n>(%row_starts: i64[%r], %columns: i64[%e], %column_starts: i64[%c], %rows: i64[%d],
                                 %order: i64[%n]) -> (i64[%n], i64[]) {
  %zero: i64[] = const() {dtype=i64, value=0}
  %one: i64[] = const() {dtype=i64, value=1}
  %minus: i64[] = const() {dtype=i64, value=-1}
  %size: i64[] = add(%n, %one)
  %none: i64[%n] = broadcast(%n, %n) {axes=()}
  %unmarked: i64[%n+1] = broadcast(%minus, %size) {axes=()}
  %colours: i64[%n], %marks: i64[%n+1], %used: i64[] = for(%n, %none, %unmarked, %zero) {
    region(%k: i64[], %colour: i64[%n], %mark: i64[%n+1], %most: i64[]) {
      %column: i64[] = index(%order, %k) {spec=('i',)}
      %next_column: i64[] = add(%column, %one)
      %first_row: i64[] = index(%column_starts, %column) {spec=('i',)}
      %last_row: i64[] = index(%column_starts, %next_column) {spec=('i',)}
      %row_count: i64[] = sub(%last_row, %first_row)
      %marked: i64[%n+1] = for(%row_count, %mark) {
        region(%a: i64[], %mark_a: i64[%n+1]) {
          %place_a: i64[] = add(%first_row, %a)
          %row: i64[] = index(%rows, %place_a) {spec=('i',)}
          %next_row: i64[] = add(%row, %one)
          %first: i64[] = index(%row_starts, %row) {spec=('i',)}
          %last: i64[] = index(%row_starts, %next_row) {spec=('i',)}
          %count: i64[] = sub(%last, %first)
          %marked_a: i64[%n+1] = for(%count, %mark_a) {
            region(%b: i64[], %mark_b: i64[%n+1]) {
              %place_b: i64[] = add(%first, %b)
              %other: i64[] = index(%columns, %place_b) {spec=('i',)}
              %taken: i64[] = index(%colour, %other) {spec=('i',)}
              %marked_b: i64[%n+1] = update(%mark_b, %column, %taken) {spec=('i',)}
              yield %marked_b
            }
          }
          yield %marked_a
        }
      }
      %mine: i64[] = while(%zero) {
        region(%tried: i64[]) {
          %by: i64[] = index(%marked, %tried) {spec=('i',)}
          %is_taken: bool[] = eq(%by, %column)
          yield %is_taken
        }
        region(%tried: i64[]) {
          %following: i64[] = add(%tried, %one)
          yield %following
        }
      }
      %coloured: i64[%n] = update(%colour, %mine, %column) {spec=('i',)}
      %so_far: i64[] = add(%mine, %one)
      %now: i64[] = maximum(%most, %so_far)
      yield %coloured, %marked, %now
    }
  }
  return %colours, %used
}
"""


@functools.cache
def _compiled() -> Compiled:
    return compile_native(parse(_GREEDY))
