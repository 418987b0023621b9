"""What NumPy gives as a view shares memory here too, and what it gives as a copy does not."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import wengert as wg

X = (np.arange(12.0) ** 1.1 / 9 + 0.2).reshape(3, 4)

MAKE = {
    "x.T": lambda x: x.T,
    "x.mT": lambda x: x.mT,
    "x[1:]": lambda x: x[1:],
    "x[::-1]": lambda x: x[::-1],
    "x[1]": lambda x: x[1],
    "x[:, 1]": lambda x: x[:, 1],
    "x[:, None]": lambda x: x[:, None],
    "x[..., 0]": lambda x: x[..., 0],
    "x[[0, 1]]": lambda x: x[[0, 1]],
    "x[mask]": lambda x: x[x > 0.5],
    "x[ix_]": lambda x: x[np.ix_([0, 1], [1, 2])],
    "reshape": lambda x: x.reshape(-1),
    "ravel": np.ravel,
    "ravel of the transpose": lambda x: np.ravel(x.T),
    "flatten": lambda x: x.flatten(),
    "flat[:5]": lambda x: x.flat[:5],
    "squeeze": lambda x: np.squeeze(x[None]),
    "expand_dims": lambda x: np.expand_dims(x, 0),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "moveaxis": lambda x: np.moveaxis(x, 0, 1),
    "rollaxis": lambda x: np.rollaxis(x, 1),
    "permute_dims": lambda x: np.permute_dims(x, (1, 0)),
    "matrix_transpose": np.matrix_transpose,
    "linalg.diagonal": np.linalg.diagonal,
    "flip": lambda x: np.flip(x, 0),
    "flipud": np.flipud,
    "fliplr": np.fliplr,
    "rot90": np.rot90,
    "rot90 twice": lambda x: np.rot90(x, 2),
    "split": lambda x: np.split(x, 3)[1],
    "array_split": lambda x: np.array_split(x, 2)[0],
    "hsplit": lambda x: np.hsplit(x, 2)[1],
    "atleast_1d": lambda x: np.atleast_1d(x[0]),
    "atleast_2d": np.atleast_2d,
    "atleast_3d": np.atleast_3d,
    "asarray": np.asarray,
    "asarray(copy=True)": lambda x: np.asarray(x, copy=True),
    "ascontiguousarray": np.ascontiguousarray,
    "ascontiguousarray of the transpose": lambda x: np.ascontiguousarray(x.T),
    "asfortranarray": np.asfortranarray,
    "array": np.array,
    "array(copy=None)": lambda x: np.array(x, copy=None),
    "array(copy=False)": lambda x: np.array(x, copy=False),
    "copy": np.copy,
    "astype": lambda x: x.astype(float),
    "astype(copy=False)": lambda x: x.astype(float, copy=False),
    "astype(int, copy=False)": lambda x: x.astype(int, copy=False) * 1.0,
    "view": lambda x: x.view(),
    "real": np.real,
    "diagonal": np.diagonal,
    "diag": np.diag,
    "einsum ij->ji": lambda x: np.einsum("ij->ji", x),
    "einsum ii->i": lambda x: np.einsum("ii->i", x[:, :3]),
    "sliding_window_view": lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, axis=0),
    "broadcast_to": lambda x: np.broadcast_to(x[0], (3, 4)),
    "broadcast_arrays": lambda x: np.broadcast_arrays(x, 1.0)[0],
    "meshgrid": lambda x: np.meshgrid(x[0], x[1])[0],
    "meshgrid(sparse)": lambda x: np.meshgrid(x[0], x[1], sparse=True)[0],
    "meshgrid(sparse, copy=False)": lambda x: np.meshgrid(x[0], x[1], sparse=True, copy=False)[0],
    "take": lambda x: np.take(x, [0, 1], axis=0),
    "where": lambda x: np.where(x > 0, x, 0),
    "concatenate of one": lambda x: np.concatenate([x]),
    "stack of one": lambda x: np.stack([x])[0],
    "vstack of one": lambda x: np.vstack([x]),
    "tile once": lambda x: np.tile(x, (1, 1)),
    "+x": lambda x: +x,
    "clip": lambda x: np.clip(x, -9, 9),
    "nan_to_num": np.nan_to_num,
    "list(x)[1]": lambda x: list(x)[1],
    "next(iter(x))": lambda x: next(iter(x)),
    "a row of zip": lambda x: [row for row, _ in zip(x, range(3), strict=True)][2],
}


def read_later(x, make):
    v = make(x)
    x[0, 1] = 7.0 * x[2, 3]
    x[1, 1] = x[0, 0]
    x[2, 2] *= 2.0
    return np.sum(v * v) + np.sum(x)


def written(x, make):
    v = make(x)
    v[...] = v * 1.5 + 0.25
    return np.sum(x * x) + np.sum(v)


def first_written(x, make):
    v = make(x)
    v[0] = 3.0
    return np.sum(x * x) + np.sum(v)


@pytest.mark.filterwarnings("ignore::wengert.EagerFallbackWarning", "ignore:Numpy has detected")
@pytest.mark.parametrize("use", (read_later, written, first_written), ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", MAKE)
def test_as_numpy(name, use):
    make = MAKE[name]

    def program(x):
        return use(x, make)

    try:
        wanted = program(X.copy())
    except ValueError as error:
        assert "read-only" in str(error)
        wanted = None
    for mode in (contextlib.nullcontext, wg.eager):
        with mode():
            if wanted is None:
                with pytest.raises((wg.StagingError, ValueError), match=r"writing to|read-only"):
                    wg.value_and_grad(program)(X.copy())
                continue
            value, gradient = wg.value_and_grad(program)(X.copy())
        assert value == pytest.approx(wanted, rel=1e-12)
        step = np.cos(np.arange(12.0)).reshape(3, 4)
        along = (program(X + 1e-6 * step) - program(X - 1e-6 * step)) / 2e-6
        assert np.sum(gradient * step) == pytest.approx(along, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("make", (lambda x: np.broadcast_arrays(x[0], x)[0], lambda x: np.meshgrid(x[0], x[1], copy=False)[0]))
def test_repeated_elements_are_read_later_and_not_written(make):
    def reads(x):
        return read_later(x, make)

    for mode in (contextlib.nullcontext, wg.eager):
        with mode():
            assert wg.value_and_grad(reads)(X.copy())[0] == pytest.approx(reads(X.copy()), rel=1e-12)
            with pytest.raises(wg.StagingError, match="writing to the result of"):
                wg.grad(lambda x: written(x, make))(X.copy())
