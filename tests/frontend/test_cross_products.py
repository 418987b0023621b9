"""`np.cross` of arrays of vectors."""

from __future__ import annotations

import numpy as np
import pytest

import wengert as wg

CROSSES = (
    ((3,), (3,), {}),
    ((5, 3), (5, 3), {}),
    ((5, 3), (3,), {}),
    ((4, 1, 3), (5, 3), {}),
    ((3, 4), (3, 4), {"axis": 0}),
    ((3, 4), (4, 3), {"axisa": 0, "axisc": 0}),
    ((4, 2), (4, 3), {}),
    ((4, 2), (4, 2), {}),
)


@pytest.mark.filterwarnings("ignore:Arrays of 2-dimensional vectors:DeprecationWarning")
@pytest.mark.parametrize(("left", "right", "options"), CROSSES)
def test_cross_products(left, right, options):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=left), rng.normal(size=right)

    def cross(x, y):
        return np.cross(x, y, **options)

    def loss(x, y):
        return np.sum(np.sin(cross(x, y)))

    np.testing.assert_allclose(wg.jit(cross)(x, y), cross(x, y), rtol=1e-14, atol=1e-15)
    wg.check_grads(loss, (x, y))
    with wg.eager():
        wg.check_grads(loss, (x, y))


def test_cross_products_of_other_lengths_are_refused_as_by_numpy():
    def cross(x):
        return np.cross(x, x)

    with pytest.raises(ValueError, match="incompatible dimensions for cross product"):
        wg.jit(cross)(np.ones((3, 4)))


def test_a_cross_product_that_is_not_reached_is_not_in_the_way():
    def turned(x):
        return np.cross(x, x[::-1]) if x.shape == (3,) else x

    for sizes in ((3, 4, 1, 2, 0), (5, 3, 2)):
        run = wg.jit(turned)
        for n in sizes:
            np.testing.assert_array_equal(run(np.arange(1.0, n + 1)), turned(np.arange(1.0, n + 1)))
