"""Sparse Jacobians and Hessians: the dense ones are the oracle, and the number of derivatives is that of the pattern."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp

import wengert as wg
from wengert.api import sparse
from wengert.api.sparse_plan import given_pattern
from wengert.tree import flatten

RNG = np.random.default_rng(7)
X = RNG.normal(size=12)


def assert_same(sparse, dense):
    """Block by block."""
    blocks, (models, _) = [], flatten(dense)
    flatten(sparse, is_leaf=lambda x: sp.issparse(x) and (blocks.append(x) or True))
    assert len(blocks) == len(models)
    for block, model in zip(blocks, models, strict=True):
        assert block.format == "csr"
        assert block.has_canonical_format
        np.testing.assert_allclose(block.toarray(), np.reshape(model, block.shape), rtol=1e-12, atol=1e-13)


def dense(fn, *args, **options):
    """The dense Jacobian, computed eagerly: nothing is compiled."""
    with wg.eager():
        return wg.jacobian(fn, **options)(*args)


def check(fn, *args, entries=None, colours=None, **options):
    jacobian = wg.jacobian(fn, sparsity=True, **options)
    found = jacobian(*args)
    assert_same(found, dense(fn, *args, **options))
    assert jacobian.stats.eager_calls == 0
    if entries is not None:
        assert found.nnz == entries
    if colours is not None:
        assert jacobian.colours(*args) == colours
    return jacobian


# --- patterns --------------------------------------------------------------------------------------------------------


def tridiagonal_loop(x):
    out = np.zeros(len(x))
    for i in range(len(x)):
        left = x[i - 1] if i > 0 else 0.0
        right = x[i + 1] if i + 1 < len(x) else 0.0
        out[i] = left * x[i] - np.sin(right)
    return out


def tridiagonal_slices(x):
    out = x**3
    out[1:] -= x[:-1] * x[1:]
    out[:-1] += np.exp(x[1:])
    return out


@pytest.mark.parametrize("fn", [tridiagonal_loop, tridiagonal_slices])
def test_tridiagonal(fn):
    jacobian = check(fn, RNG.normal(size=6), entries=16, colours=(3, 0))
    tangent = wg.jvp if fn is tridiagonal_loop else None
    for n in (1, 2, 3, 70, 5000):
        x = RNG.normal(size=n)
        found = jacobian(x)
        assert found.nnz == 3 * n - 2
        assert jacobian.colours(x) == (min(n, 3), 0)
        if tangent:
            direction = RNG.normal(size=n)
            np.testing.assert_allclose(found @ direction, tangent(fn, (x,), (direction,))[1], rtol=1e-11, atol=1e-12)


def five_point(u):
    out = np.zeros(u.shape)
    for i in range(1, u.shape[0] - 1):
        for j in range(1, u.shape[1] - 1):
            out[i, j] = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1] - u[i, j] ** 2
    return out


def five_point_slices(u):
    out = np.zeros(u.shape)
    out[1:-1, 1:-1] = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - u[1:-1, 1:-1] ** 2
    return out


@pytest.mark.parametrize("fn", [five_point, five_point_slices])
def test_stencil(fn):
    jacobian = check(fn, RNG.normal(size=(5, 6)), entries=5 * 3 * 4)
    assert jacobian(RNG.normal(size=(20, 30))).nnz == 5 * 18 * 28
    assert sum(jacobian.colours(RNG.normal(size=(20, 30)))) <= 9


def arrow(x):
    out = x[0] * x
    out[0] = np.sum(x**2)
    return out


def test_arrow_takes_a_reverse_derivative_for_the_full_row():
    check(arrow, RNG.normal(size=40), entries=118, colours=(2, 1))


def test_wide_rows_take_reverse_derivatives_only():
    check(lambda x: np.sum(x.reshape(4, 10) ** 2, axis=1), RNG.normal(size=40), entries=40, colours=(0, 1))


def test_dense_pattern():
    check(lambda x: np.outer(x, x) @ x, X, entries=144)


def test_empty_patterns():
    check(lambda x: np.floor(x), X, entries=0, colours=(0, 0))
    check(lambda x: x[:0], X, entries=0)


def adjust(cameras, points, weights, which, features):
    out = np.zeros((len(which), 3))
    for i in range(len(which)):
        camera, point = cameras[which[i, 0]], points[which[i, 1]]
        p = point - camera[:3]
        ratio = p[:2] / p[2]
        radial = 1.0 + camera[3] * np.sum(ratio**2)
        out[i, :2] = weights[i] * (ratio * radial - features[i])
        out[i, 2] = 1.0 - weights[i] ** 2
    return out


def problem(cameras, points, observations):
    which = np.array([(k % cameras, k % points) for k in range(observations)])
    shift = np.array([0.0, 0.0, 5.0])
    return (
        RNG.normal(size=(cameras, 4)),
        RNG.normal(size=(points, 3)) + shift,
        RNG.uniform(0.5, 1.5, observations),
        which,
        RNG.normal(size=(observations, 2)),
    )


def test_bundle_adjustment_by_arguments():
    args = problem(2, 3, 8)
    jacobian = check(adjust, *args, argnums=(0, 1, 2), colours=(8, 0))
    cameras, points, weights = jacobian(*args)
    assert [m.shape for m in (cameras, points, weights)] == [(24, 8), (24, 9), (24, 8)]
    assert [m.nnz for m in (cameras, points, weights)] == [4 * 16, 3 * 16, 24]


def test_colours_of_one_argument_are_done_apart_where_there_are_many_entries(monkeypatch):
    monkeypatch.setattr(sparse, "_MANY_ENTRIES", 0)
    monkeypatch.setattr(sparse, "MAX_SIDE_BY_SIDE", 3)
    args = problem(2, 3, 8)
    found = wg.jacobian(adjust, (2, 0, 1), sparsity=True)(*args)
    assert_same(found, dense(adjust, *args, argnums=(2, 0, 1)))


# --- programs --------------------------------------------------------------------------------------------------------


def float_branch(x):
    out = np.zeros(len(x))
    for i in range(len(x) - 2):
        if x[i] > 0.3:
            out[i] = x[i + 1]
        elif x[i] < -0.3:
            out[i] += x[i + 2] ** 2
    return out


def newton(x):
    out = np.zeros(len(x))
    for i in range(len(x)):
        y = 1.0
        while abs(y * y - 2.0 - x[i] ** 2) > 1e-12:
            y = 0.5 * (y + (2.0 + x[i] ** 2) / y)
        out[i] = y * x[i - 1]
    return out


def steps(x):
    y = x.copy()
    for _ in range(3):
        y[1:-1] = y[1:-1] + 0.1 * (y[2:] - 2.0 * y[1:-1] + y[:-2])
    return y


def in_place(x):
    y = x * 1.0
    for i in range(1, len(y)):
        y[i] += y[i - 1] * x[0]
    y[::2] = 0.0
    return y


def gathered(x):
    order = np.array([3, 1, 1, 0, 7])
    y = np.zeros(9)
    np.add.at(y, np.array([2, 2, 0, 8, 5]), x[order] ** 2)
    y[np.array([6, 7])] = x[4:6]
    return y


def picked_by_floats(x):
    order = np.argsort(x[:4])
    return np.concatenate([x[:4][order] * x[5], x[6:] * x[int(3 * x[5] ** 2) % 3]])


def masked(x):
    return np.where(x > 0, np.exp(x), x[::-1]) * np.where(np.arange(len(x)) < 5, x[0], 1.0)


def scanned(x):
    return np.cumsum(x[:6]) * np.cumsum(x[::-1])[:6]


def linear_algebra(x):
    a = x[:4].reshape(2, 2) + 3.0 * np.eye(2)
    return np.concatenate([np.linalg.solve(a, x[4:6]), np.linalg.inv(a)[0], np.dot(x[6:8], x[8:10]) * x[10:]])


def reduced(x):
    a = x.reshape(3, 4)
    return np.concatenate([a.max(axis=0), a.prod(axis=1), [np.linalg.norm(a[0])]])


def nested_loops(x):
    total = np.zeros((4, 3))
    for e in range(3):
        for a in range(3):
            for b in range(3):
                total[e + a - a, b] += x[3 * e + a] * x[3 * e + b]
    return total


def choice_by_count(x):
    k = 0
    while k < len(x) and k < 5:
        k += 2
    return x[k:] * x[: len(x) - k]


def mixed_break(x):
    out = np.zeros(len(x))
    for i in range(len(x)):
        if x[i] > 1.0:
            break
        out[i] = x[i] * x[-1]
    return out


def guarded_reads(x):
    out = np.zeros(len(x))
    for i in range(len(x)):
        if i + 1 < len(x) and x[i] > 0.0:
            out[i] = x[i + 1]
        if x[i] < 0.0 and i > 1:
            out[i - 2] += x[i - 2] ** 2
    return out


PROGRAMS = [
    guarded_reads,
    float_branch,
    newton,
    steps,
    in_place,
    gathered,
    picked_by_floats,
    masked,
    scanned,
    linear_algebra,
    reduced,
    nested_loops,
    choice_by_count,
    mixed_break,
]


# The tight patterns, where they are tight. An index that may not be reached counts from the end if it is negative.
ENTRIES = {guarded_reads: 23, float_branch: 28, newton: 24, steps: 66, nested_loops: 27}


@pytest.mark.parametrize("fn", PROGRAMS)
def test_programs(fn):
    jacobian = check(fn, X)
    x = RNG.normal(size=12)
    assert_same(jacobian(x), dense(fn, x))
    assert jacobian.stats.compilations == 1
    assert jacobian(x).nnz <= ENTRIES.get(fn, 144)


def pair(p, s):
    return {"a": p["u"] * s, "n": 3, "b": (np.sum(p["v"]), p["u"][0] * p["v"])}


def test_containers_nest_as_dense_blocks_do():
    p = {"u": X[:3], "v": RNG.normal(size=(2, 2))}
    found = wg.jacobian(pair, argnums=(0, 1), sparsity=True)(p, 2.0)
    dense = wg.jacobian(pair, argnums=(0, 1))(p, 2.0)
    assert_same(found, dense)
    assert found["n"] is None
    assert found["a"][0]["u"].shape == (3, 3)
    assert found["b"][1][0]["v"].shape == (4, 4)
    assert found["b"][0][1].shape == (1, 1)


@dataclasses.dataclass
class Model:
    k: float
    y: np.ndarray


def test_dataclass_argument():
    check(lambda m: m.k * m.y[1:] - m.y[:-1], Model(2.0, X))


# --- Hessians --------------------------------------------------------------------------------------------------------


def chain(x):
    total = 0.0
    for i in range(len(x) - 1):
        total += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


def hub(x):
    return np.sum(np.sin(x[1:] * x[0])) + np.sum(x**4)


def branching(x):
    total = 0.0
    for i in range(len(x) - 1):
        if x[i] > 0.0:
            total += x[i] * x[i + 1]
        else:
            total += np.exp(x[i])
    return total


@pytest.mark.parametrize(("fn", "entries", "colours"), [(chain, 34, 3), (hub, 34, 2), (branching, 34, 3)])
def test_hessians(fn, entries, colours):
    hessian = wg.hessian(fn, sparsity=True)
    for x in (X, -X):
        found = hessian(x)
        assert_same(found, wg.hessian(fn)(x))
        assert found.nnz <= entries
    assert hessian.colours(X) == (colours, 0)


def test_hessian_with_respect_to_two_arguments():
    def energy(u, v):
        return np.sum(u[1:] ** 2 * v) + np.sum(u**3)

    args = (X[:5], X[5:9])
    assert_same(wg.hessian(energy, (0, 1), sparsity=True)(*args), wg.hessian(energy, (0, 1))(*args))


# --- later calls -----------------------------------------------------------------------------------------------------


def picked(x, index, scale):
    return scale * x[index] ** 2


def test_the_pattern_follows_whole_numbers_and_sizes():
    jacobian = wg.jacobian(picked, sparsity=True)
    for x, index in [(X, [1, 3]), (X, [0, 5]), (X[:6], [0, 5]), (X, [2, 2, 2])]:
        args = (x, np.array(index), 1.5)
        assert_same(jacobian(*args), dense(picked, *args))
    assert jacobian.stats.compilations == 1


def test_single_precision():
    x = X.astype(np.float32)
    jacobian = wg.jacobian(tridiagonal_slices, sparsity=True)
    found = jacobian(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.toarray(), dense(tridiagonal_slices, x), rtol=1e-5, atol=1e-6)
    given = wg.jacobian(tridiagonal_slices, sparsity=found != 0)
    np.testing.assert_allclose(given(x).toarray(), found.toarray())


def test_axes_of_size_one_repeat():
    def spread(x, y):
        return (x[:, None] * y[None, :]) ** 2 + x

    jacobian = wg.jacobian(spread, (0, 1), sparsity=True)
    for sizes in ((3, 3), (1, 4), (3, 3)):
        args = tuple(RNG.normal(size=n) for n in sizes)
        assert_same(jacobian(*args), dense(spread, *args, argnums=(0, 1)))


def test_the_pattern_follows_floats_that_decide_on_sizes():
    def trajectory(x, end):
        out = np.zeros(int(end / 0.25))
        for k in range(len(out)):
            out[k] = x[k] ** 2
        return out

    jacobian = wg.jacobian(trajectory, sparsity=True)
    for end in (1.0, 2.0, 1.0):
        assert_same(jacobian(X, end), dense(trajectory, X, end))


def test_results_share_no_memory_with_what_is_kept():
    jacobian = wg.jacobian(tridiagonal_slices, sparsity=True)
    first = jacobian(X)
    first.indices[:] = 0
    first.data[:] = 0.0
    first.indptr[:] = 0
    assert_same(jacobian(X), dense(tridiagonal_slices, X))


# --- given patterns --------------------------------------------------------------------------------------------------


def test_a_given_pattern_is_used():
    pattern = sp.diags_array([np.ones(12)] * 3, offsets=[-1, 0, 1], shape=(12, 12))
    jacobian = wg.jacobian(tridiagonal_slices, sparsity=pattern)
    assert_same(jacobian(X), dense(tridiagonal_slices, X))
    assert jacobian.colours(X) == (3, 0)
    for given in (pattern.toarray() != 0, pattern.tocsr(), pattern.tocoo()):
        found = given_pattern(given, (12, 12))
        assert list(found.starts) == list(pattern.tocsr().indptr)
        assert list(found.columns) == list(pattern.tocsr().indices)


def test_a_pattern_that_lacks_entries_is_refused():
    pattern = np.eye(12, dtype=bool)
    with pytest.raises(wg.ArgumentError, match="lacks entries"):
        wg.jacobian(tridiagonal_slices, sparsity=pattern)(X)


def test_a_pattern_that_lacks_entries_at_other_points_is_refused_there():
    def clipped(x):
        return np.where(x > 5.0, x[::-1], x)

    jacobian = wg.jacobian(clipped, sparsity=np.eye(12, dtype=bool))
    np.testing.assert_array_equal(jacobian(X).toarray(), np.eye(12))
    with pytest.raises(wg.ArgumentError, match="lacks entries"):
        jacobian(X + 10.0)


def test_a_given_pattern_is_looked_at_again_for_other_whole_numbers():
    def head(x, n):
        out = np.zeros(n)
        for i in range(n):
            out[i] = x[i] ** 2
        return out

    jacobian = wg.jacobian(head, sparsity=np.eye(4, 12, dtype=bool))
    assert_same(jacobian(X, 4), dense(head, X, 4))
    with pytest.raises(wg.ArgumentError, match="wrong shape"):
        jacobian(X, 5)


def test_a_pattern_of_another_shape_is_refused():
    with pytest.raises(wg.ArgumentError, match="wrong shape"):
        wg.jacobian(tridiagonal_slices, sparsity=np.eye(11))(X)


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_size_that_differentiated_values_decide_on_is_refused():
    def selected(x):
        return x[x > 0.0] * 2.0

    with pytest.raises(wg.UnsupportedError, match="decide on the size"):
        wg.jacobian(selected, sparsity=True)(X)


def test_indices_out_of_range_raise_as_they_do_without_a_derivative():
    for fn in (wg.jacobian(picked, sparsity=True), wg.jit(picked)):
        with pytest.raises(IndexError, match="out of bounds"):
            fn(X, np.array([3, 100]), 1.0)


def test_inside_of_a_compiled_function_it_is_refused():
    jacobian = wg.jacobian(tridiagonal_slices, sparsity=True)
    with pytest.raises(wg.UnsupportedError, match="sparse Jacobian"):
        wg.jit(lambda x: jacobian(x))(X)


def test_what_runs_eagerly_comes_from_the_dense_jacobian():
    with wg.eager():
        found = wg.jacobian(tridiagonal_slices, sparsity=True)(X)
    assert_same(found, dense(tridiagonal_slices, X))
