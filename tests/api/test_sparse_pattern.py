"""Patterns, colours and blocks on random matrices; the programs on masks are played by NumPy."""

import numpy as np
import pytest
import scipy.sparse as sp

from wengert.api.colouring import colour_columns, pattern_of
from wengert.api.sparse_pattern import find_pattern
from wengert.api.sparse_plan import blocks_of, choose_colours, group_colours


def masks_of(matrix):
    """From masks of columns to masks of rows, as a differentiated program would tell."""
    matrix = matrix.tocsr()
    filled = np.flatnonzero(np.diff(matrix.indptr))

    def run(seeds):
        found = np.zeros(matrix.shape[0], dtype=np.int64)
        if len(filled):
            found[filled] = np.bitwise_or.reduceat(seeds[matrix.indices], matrix.indptr[filled])
        return found

    return run


def random_matrix(seed, shape, density, full_rows=0, full_columns=0):
    rng = np.random.default_rng(seed)
    matrix = sp.random_array(shape, density=density, rng=rng, format="lil")
    for row in rng.integers(0, shape[0], full_rows):
        matrix[row, :] = 1.0
    for column in rng.integers(0, shape[1], full_columns):
        matrix[:, [column]] = np.ones((shape[0], 1))
    return matrix.tocsr()


MATRICES = [
    random_matrix(0, (40, 30), 0.1),
    random_matrix(1, (1, 5000), 0.5),
    random_matrix(2, (3000, 1), 0.2),
    random_matrix(3, (300, 5000), 0.002),
    random_matrix(4, (500, 300_000), 0.00002),
    random_matrix(5, (60, 4097), 0.003, full_rows=2, full_columns=2),
    random_matrix(6, (50, 64), 0.0),
    random_matrix(7, (200, 65), 0.05),
]


@pytest.mark.parametrize("matrix", MATRICES, ids=lambda m: "x".join(map(str, m.shape)))
def test_patterns_lack_nothing_and_add_little(matrix):
    pattern = find_pattern(masks_of(matrix), *matrix.shape)
    found = sp.csr_array((np.ones(len(pattern.columns)), pattern.columns, pattern.starts), shape=matrix.shape)
    missing = (matrix != 0).astype(int) - (found != 0).astype(int)
    assert missing.max() <= 0
    full = np.diff(matrix.indptr) > 64
    added = np.diff(found.tocsr().indptr) - np.diff(matrix.indptr)
    assert not added[~full].any()


@pytest.mark.parametrize("matrix", MATRICES, ids=lambda m: "x".join(map(str, m.shape)))
def test_no_row_has_two_entries_of_one_colour(matrix):
    pattern = pattern_of(*matrix.nonzero(), matrix.shape)
    colours, count = colour_columns(pattern)
    pairs = np.stack([pattern.rows, colours[pattern.columns]])
    assert np.unique(pairs, axis=1).shape == pairs.shape
    assert not len(pattern.columns) or set(colours[pattern.columns]) <= set(range(count))


@pytest.mark.parametrize("matrix", MATRICES[:-1], ids=lambda m: "x".join(map(str, m.shape)))
@pytest.mark.parametrize("symmetric", [False, True])
def test_entries_are_read_from_compressed_matrices(matrix, symmetric):
    if symmetric:
        size = min(*matrix.shape, 400)
        matrix = matrix[:size, :size]
        matrix = (matrix + matrix.T).tocsr()
    pattern = pattern_of(*matrix.nonzero(), matrix.shape)
    chosen = choose_colours(pattern, symmetric)
    values = matrix[pattern.rows, pattern.columns] if len(pattern.columns) else np.zeros(0)

    def along(colours, count, product):
        return [product(np.where(colours == c, 1.0, 0.0)) for c in range(count)]

    by_column = along(chosen.columns, chosen.column_count, lambda v: matrix @ v)
    by_row = along(chosen.rows, chosen.row_count, lambda v: v @ matrix)
    found = [
        by_row[c][j] if reverse else by_column[c][i]
        for c, i, j, reverse in zip(chosen.take_colour, chosen.take_row, pattern.columns, chosen.by_row, strict=True)
    ]
    np.testing.assert_allclose(found, values, rtol=1e-12)


def test_blocks_are_parts_of_the_whole():
    matrix = MATRICES[0]
    pattern = pattern_of(*matrix.nonzero(), matrix.shape)
    blocks, order = blocks_of(pattern, [10, 0, 30], [5, 25], [np.dtype(float)] * 2)
    data = matrix[pattern.rows, pattern.columns][order]
    found = sp.block_array([[b.matrix(data) for b in blocks[2 * k : 2 * k + 2]] for k in (0, 2)])
    np.testing.assert_array_equal(found.toarray(), matrix.toarray())
    assert [b.shape for b in blocks[2:4]] == [(0, 5), (0, 25)]


def test_colours_are_grouped_by_the_leaves_that_they_belong_to():
    columns = np.array([0, 1, 2, 3, 4, 0, 1, 5, 6, 6, -1, 7])
    grouping = group_colours(columns, 8, [5, 4, 3], most=2, apart=True)
    seen = {}
    for group, first, times in zip(grouping.groups, grouping.first, grouping.times, strict=True):
        assert len(group.directions) <= 2
        assert group.looped == (times > 1)
        for k in range(times * len(group.directions)):
            assert first + k not in seen
            seen[first + k] = group.directions[k % len(group.directions)]
    assert [seen[grouping.number[c]] for c in range(8)] == [(0, 1), (0, 1), (0,), (0,), (0,), (1,), (1, 2), (2,)]
    assert grouping.count == len(seen)
