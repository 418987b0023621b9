"""Which reshaped arrays are views depends on how arrays lie in memory; values and gradients as NumPy's rules make them."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import scipy.linalg

import wengert as wg
from wengert.frontend.memory_order import stand_in

ROWS = (np.arange(12.0) ** 1.1 + 0.3).reshape(3, 4)
WIDE = (np.arange(48.0) ** 1.1 + 0.3).reshape(6, 8)
PLACES = np.array([1, 0, 1])

# How an array comes about inside of a program: from an argument, by each of these.
VIEWS = {
    "as it is": (ROWS, lambda x: x),
    "transposed": (ROWS, lambda x: x.T),
    "reversed": (ROWS, lambda x: x[::-1]),
    "by columns": (ROWS, np.asfortranarray),
    "with gaps": (WIDE, lambda x: x[::2, ::2]),
    "transposed with gaps": (WIDE, lambda x: x[::2, ::2].T),
}

MADE_BY = {
    "sin": np.sin,
    "negative": lambda a: -a,
    "sum of two": lambda a: a + a,
    "scaled": lambda a: 2 * a,
    "with ones": lambda a: a + np.ones(a.shape),
    "with a column": lambda a: a * np.ones((a.shape[0], 1)),
    "with a row": lambda a: a * np.ones(a.shape[1]),
    "with its transpose": lambda a: a[:3, :3] + a[:3, :3].T,
    "comparison": lambda a: a > 1,
    "where": lambda a: np.where(a > 1, a, 0.0),
    "np.copy": np.copy,
    "copy": lambda a: a.copy(),
    "copy in order F": lambda a: a.copy(order="F"),
    "copy in order K": lambda a: a.copy(order="K"),
    "copy in order A": lambda a: a.copy(order="A"),
    "np.copy in order C": lambda a: np.copy(a, order="C"),
    "copy, then scaled": lambda a: a.copy() * 2,
    "array": np.array,
    "array of rows": lambda a: np.array([a, a])[0],
    "astype": lambda a: a.astype(int),
    "asarray": np.asarray,
    "ascontiguousarray": np.ascontiguousarray,
    "asfortranarray": np.asfortranarray,
    "zeros_like": np.zeros_like,
    "full_like": lambda a: np.full_like(a, 2.0),
    "zeros in order F": lambda a: np.zeros(a.shape, order="F") + a,
    "cumsum": lambda a: np.cumsum(a, axis=0),
    "sort": lambda a: np.sort(a, axis=0),
    "argsort": lambda a: np.argsort(a, axis=0),
    "sum along an axis": lambda a: np.sum(a[:, :, None] * np.ones(3), axis=2),
    "sum along the first axis": lambda a: np.sum(a[:, :, None] * np.ones(3), axis=0),
    "concatenate": lambda a: np.concatenate([a, a]),
    "hstack": lambda a: np.hstack([a, a]),
    "stack": lambda a: np.stack([a, a], axis=2),
    "matmul": lambda a: a @ a.T,
    "outer": lambda a: np.outer(a[0], a[1]),
    "einsum of one": lambda a: np.einsum("ij->ji", a),
    "einsum of two": lambda a: np.einsum("ij,kj->ik", a, a),
    "take of rows": lambda a: np.take(a, PLACES, axis=0),
    "take of columns": lambda a: np.take(a, PLACES, axis=1),
    "rows by an array": lambda a: a[PLACES],
    "columns by an array": lambda a: a[:, PLACES],
    "columns by a mask": lambda a: a[:, np.arange(a.shape[1]) < 2],
    "clip": lambda a: np.clip(a, 0, 1),
    "round": lambda a: np.round(a, 1),
    "diff": lambda a: np.diff(a, axis=0),
    "gradient": lambda a: np.gradient(a)[0],
    "roll": lambda a: np.roll(a, 1, axis=0),
    "flip": lambda a: np.flip(a, 0) * 1.0,
    "rot90": lambda a: np.rot90(a) * 1.0,
    "tile": lambda a: np.tile(a, (2, 1)),
    "repeat": lambda a: np.repeat(a, 2, axis=0),
    "pad": lambda a: np.pad(a, 1),
    "tril": np.tril,
    "meshgrid": lambda a: np.meshgrid(a[0], a[1])[0],
    "inverse": lambda a: np.linalg.inv(a[:3, :3] + 5 * np.eye(3)),
    "solve": lambda a: np.linalg.solve(a[:3, :3] + 5 * np.eye(3), a[:3]),
    "svd": lambda a: np.linalg.svd(a, full_matrices=False)[0],
    "SciPy's cholesky": lambda a: scipy.linalg.cholesky(a @ a.T + 9 * np.eye(a.shape[0])),
    "SciPy's inverse": lambda a: scipy.linalg.inv(a[:3, :3] + 5 * np.eye(3)),
    "reshape in order F": lambda a: a.reshape((a.shape[1], a.shape[0]), order="F"),
    "median": lambda a: np.median(a[:, :, None] * np.ones(3), axis=0),
    "broadcast_to": lambda a: np.broadcast_to(a[:, :1], (a.shape[0], 5)) + 0.0,
    "delete": lambda a: np.delete(a, 1, axis=0),
    "take_along_axis": lambda a: np.take_along_axis(a, np.argsort(a, axis=0), axis=0),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", MADE_BY)
def test_flags_are_numpys(name, view):
    """Eager mode knows how NumPy lays out every new array, for arguments that lie in any way too."""
    argument, look = VIEWS[view]
    make = MADE_BY[name]
    wanted = np.asarray(make(look(argument)))
    expected = (wanted.flags.c_contiguous, wanted.flags.f_contiguous)
    seen = []

    def inside(x):
        made = make(look(x))
        seen.append((made.flags.c_contiguous, made.flags.f_contiguous))
        return x[0, 0]

    def outside(x):
        made = make(x)
        seen.append((made.flags.c_contiguous, made.flags.f_contiguous))
        return x[0, 0]

    with wg.eager():
        wg.grad(inside)(argument)
        wg.grad(outside)(look(argument))
    assert seen == [expected, expected]


@pytest.mark.filterwarnings("ignore::wengert.EagerFallbackWarning")
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", MADE_BY)
def test_writing_to_what_is_reshaped(name, view):
    """A write reaches the array where NumPy's reshape is a view of it, in every mode, and nowhere else."""
    argument, look = VIEWS[view]
    make = MADE_BY[name]
    made = np.asarray(make(look(argument)))
    if made.dtype.kind != "f":
        pytest.skip("this test writes floats")

    def by_ravel(x):
        y = make(look(x))
        y.ravel()[1] = 3.0 * x[1, 1]
        return np.sum(y * y) + x[0, 1]

    def by_reshape(x):
        y = make(look(x))
        part = y.reshape((-1,))
        y[0, 1] = 3.0 * x[1, 1]
        return np.sum(part * part) + x[0, 1]

    def by_transposed_ravel(x):
        y = make(look(x))
        y.T.ravel()[1] = 3.0 * x[1, 1]
        return np.sum(y * y) + x[0, 1]

    for program in (by_ravel, by_reshape, by_transposed_ravel):
        wanted = program(argument.copy())
        for mode in (contextlib.nullcontext, wg.eager):
            with mode():
                value, gradient = wg.value_and_grad(program)(argument.copy())
            assert value == pytest.approx(wanted, rel=1e-12)
            step = np.cos(np.arange(argument.size)).reshape(argument.shape)
            along = (program(argument + 1e-6 * step) - program(argument - 1e-6 * step)) / 2e-6
            assert np.sum(gradient * step) == pytest.approx(along, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("view", VIEWS)
def test_functions_are_tried_on_memory_of_their_own(view):
    argument, look = VIEWS[view]
    for given in (look(argument), look(argument)[:0], look(argument)[0]):
        found = stand_in(given)
        assert (found.shape, found.strides, found.dtype) == (given.shape, given.strides, given.dtype)
        assert not np.may_share_memory(found, given)
        found += 1.0
        assert np.all(found == 1.0)


def test_arrays_that_lie_by_rows_stay_compiled():
    """Reshaping and writing is compiled where nothing in the program could lie in another way."""

    def program(x):
        filled = np.zeros((4, 3))
        for k in range(4):
            filled[k] = np.sin(x[k]) * 2
        flat = filled.ravel()
        flat[::2] += 1.0
        other = np.exp(x) + filled
        other.reshape(-1)[3] = 0.0
        part = x.T.copy()
        part.ravel()[0] = 7.0
        return np.sum(other * other) + np.sum(part)

    x = ROWS.reshape(4, 3)
    derivative = wg.grad(program)
    found = derivative(x.copy())
    assert derivative.stats.eager_calls == 0
    with wg.eager():
        np.testing.assert_allclose(found, wg.grad(program)(x.copy()), rtol=1e-12)


@pytest.mark.filterwarnings("ignore::wengert.EagerFallbackWarning")
def test_sizes_that_decide_are_checked_at_every_call():
    """`x.T.ravel()` is a copy of a matrix and a view of a column."""

    def program(x):
        flat = x.T.ravel()
        x[0, 0] = 2.0
        return np.sum(flat * flat)

    derivative = wg.grad(program)
    derivative(ROWS.copy())
    assert derivative.stats.eager_calls == 0
    for shape in ((3, 4), (5, 1), (2, 2), (1, 4)):
        x = np.arange(1.0, 1.0 + np.prod(shape)).reshape(shape)
        wanted = 2 * x
        wanted[0, 0] = 0.0 if 1 in shape else 2.0
        np.testing.assert_array_equal(derivative(x.copy()), wanted)


def test_a_loop_may_turn_an_array():
    def program(x, steps):
        y = np.zeros((3, 3))
        for _ in range(steps):
            y.ravel()[1] = 5.0 * x[0, 0]
            y = y.T + x
        y.ravel()[2] = x[1, 1]
        return np.sum(y * y)

    x = ROWS[:, :3].copy()
    for steps in (0, 1, 2, 3):
        wanted = program(x.copy(), steps)
        with pytest.warns(wg.EagerFallbackWarning, match="how the array lies in memory"):
            assert wg.value_and_grad(program)(x.copy(), steps)[0] == pytest.approx(wanted, rel=1e-12)


def loop_run_twice(x, n):
    t, s = 0, x[0] * 1.0
    for _ in range(n):
        y = s * 2.0 + x
        y.ravel()[0] = 5.0
        t = t + y.sum()
        s = y[0]
    return t


def loop_that_may_end(x, n):
    t, k, kept = 0, 0, []
    while k < n:
        y = np.sin(x) * (k + 1)
        line = y.reshape(-1)
        line[1] = t
        kept.append(line.sum())
        t = t + y[0, 0]
        k += 1
        if t > 100:
            break
    return t + sum(kept)


def loop_with_branches(x, n):
    y = x * 1.0
    for _ in range(n):
        y = np.tanh(y) + x
        if y[0, 0] > 0:
            y.ravel()[0] = 0.3 * y[0, 1]
        else:
            w = y * 2
            w.reshape(-1)[2] = y[0, 0]
            y = w
    return y.sum()


@pytest.mark.parametrize("program", [loop_run_twice, loop_that_may_end, loop_with_branches])
def test_runs_of_a_loop_that_are_undone_do_not_count(program):
    derivative = wg.value_and_grad(program)
    for steps in (0, 1, 4):
        assert derivative(ROWS.copy(), steps)[0] == pytest.approx(program(ROWS.copy(), steps), rel=1e-12)
    assert derivative.stats.eager_calls == 0


@pytest.mark.filterwarnings("ignore::wengert.EagerFallbackWarning")
def test_nditer_goes_as_the_elements_lie():
    """NumPy goes through an array in the order of memory; of one by columns, that is refused in every mode."""

    def program(x):
        y = np.tanh(x)
        total = 0.0
        for k, element in enumerate(np.nditer(y)):
            total += (k + 1) * element
        return total

    assert wg.value_and_grad(program)(ROWS.copy())[0] == pytest.approx(program(ROWS), rel=1e-12)
    for mode in (contextlib.nullcontext, wg.eager):
        with mode(), pytest.raises(wg.StagingError, match="one contiguous array"):
            wg.value_and_grad(program)(np.asfortranarray(ROWS))


# --- other views -----------------------------------------------------------------------------------------------------


def diagonal(x):
    d = np.diagonal(x)
    x[1, 1] = 5.0 * x[0, 2]
    return np.sum(d * d)


def diag_above(x):
    d = np.diag(x, 1)
    x[0, 1] = x[2, 0] * x[2, 1]
    return np.sum(d**3)


def diagonal_of_many(x):
    cube = np.stack([x, 2 * x, x * x])
    d = np.diagonal(cube, 0, 0, 2)
    cube[1] = 3.0 * x
    return np.sum(d * d)


def einsum_diagonal(x):
    y = 2.0 * x
    np.einsum("ii->i", y)[...] = np.array([1.0, 2.0, 3.0]) * x[0]
    return np.sum(y * y)


def einsum_transposed(x):
    y = 2.0 * x
    np.einsum("ij->ji", y)[0] = x[2]
    return np.sum(y * y)


def broadcast(x):
    b = np.broadcast_to(x[0], (4, 3))
    x[0, 1] = x[1, 1] * x[2, 2]
    return np.sum(b * b)


def flat_in_order_f(x):
    y = x.reshape(-1)
    y.reshape((3, 3), order="F")[0, 1] = 4.0 * y[0]
    return np.sum(y * y)


def ravel_in_order_k(x):
    y = np.asfortranarray(x)
    return np.sum(y.ravel("K") * np.arange(9.0)) + np.sum(x.T.ravel("A") * np.arange(9.0) ** 2)


@pytest.mark.filterwarnings("ignore::wengert.EagerFallbackWarning")
@pytest.mark.parametrize(
    "program",
    [diagonal, diag_above, diagonal_of_many, einsum_diagonal, einsum_transposed, broadcast, flat_in_order_f, ravel_in_order_k],
)
@pytest.mark.parametrize("mode", [contextlib.nullcontext, wg.eager])
def test_views(program, mode):
    """What NumPy gives as a view follows the array, and the array follows it where it can be written to."""
    x = ROWS[:, :3].copy()
    with mode():
        value, gradient = wg.value_and_grad(program)(x.copy())
    assert value == pytest.approx(program(x.copy()), rel=1e-12)
    step = np.cos(np.arange(9.0)).reshape(3, 3)
    along = (program(x + 1e-6 * step) - program(x - 1e-6 * step)) / 2e-6
    assert np.sum(gradient * step) == pytest.approx(along, rel=1e-6)
