"""Functions of NumPy that write to arrays, through views too: what else shows the array sees it."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import wengert as wg

X = (np.arange(12.0) ** 1.1 / 9 + 0.2).reshape(3, 4)[[1, 0, 2]]

WRITES = {
    "sort": lambda x: x.sort(),
    "sort of columns": lambda x: x.sort(axis=0),
    "sort of a row": lambda x: x[1].sort(),
    "sort of the transpose": lambda x: x.T.sort(),
    "partition": lambda x: x.partition(2),
    "put": lambda x: x.put([0, 5], [1.0, 2.0]),
    "put to the transpose": lambda x: np.put(x.T, [1, 5], [1.0, 2.0]),
    "place": lambda x: np.place(x, x > 0.5, [1.0, 2.0]),
    "place in the transpose": lambda x: np.place(x.T, x.T > 0.5, [1.0, 2.0, 3.0]),
    "putmask": lambda x: np.putmask(x, x > 0.5, x * 2),
    "putmask of the transpose": lambda x: np.putmask(x.T, x.T > 0.5, [1.0, 2.0]),
    "put_along_axis": lambda x: np.put_along_axis(x, np.argsort(x, axis=0), 1.0, axis=0),
    "put_along_axis of all": lambda x: np.put_along_axis(x, np.array([1, 5]), 1.0, axis=None),
    "copyto": lambda x: np.copyto(x, x[::-1]),
    "copyto the transpose": lambda x: np.copyto(x.T, np.arange(12.0).reshape(4, 3)),
    "copyto where": lambda x: np.copyto(x, 1.0, where=x > 0.6),
    "flat": lambda x: x.flat.__setitem__(slice(0, 3), 9.0),
    "flat of the transpose": lambda x: x.T.flat.__setitem__(slice(0, 3), 9.0),
    "fill": lambda x: x[1:].fill(2.0),
    "out a transpose": lambda x: np.add(x.T, 1, out=x.T),
    "out a shifted part": lambda x: np.multiply(x[1:], x[:-1], out=x[:-1]),
    "out reversed": lambda x: np.add(x, x[::-1], out=x),
    "add.at": lambda x: np.add.at(x, [0, 0], 1.5),
    "add.at of the transpose": lambda x: np.add.at(x.T, ([0, 0], [1, 1]), 1.5),
    "+= of a part": lambda x: x[1:].__iadd__(x[:-1]),
    "fill_diagonal": lambda x: np.fill_diagonal(x, 3.0),
    "fill_diagonal of a part": lambda x: np.fill_diagonal(x[:, :3], [1.0, 2.0, 3.0]),
    "rows swapped": lambda x: x.__setitem__([0, 1], x[[1, 0]]),
    "clip": lambda x: np.clip(x, 0.3, 0.7, out=x),
    "cumsum": lambda x: np.cumsum(x, axis=0, out=x),
    "sum into a row": lambda x: np.sum(x, axis=0, out=x[0]),
    "max into a row": lambda x: np.max(x, axis=0, out=x[1]),
    "var into a row": lambda x: np.var(x, axis=0, out=x[0]),
    "std into a row": lambda x: x.std(axis=0, out=x[0]),
    "nansum into a row": lambda x: np.nansum(x, axis=0, out=x[2]),
    "prod into a row": lambda x: x.prod(axis=0, out=x[0]),
    "minimum.reduce": lambda x: np.minimum.reduce(x, axis=0, out=x[0]),
    "add.accumulate": lambda x: np.add.accumulate(x, axis=1, out=x),
    "take": lambda x: np.take(x, [0, 1], axis=0, out=x[1:]),
    "compress": lambda x: np.compress([True, False, True], x, axis=0, out=x[:2]),
    "subtract the mean": lambda x: np.subtract(x, x.mean(axis=0), out=x),
    "stack": lambda x: np.stack([x[0] * 2.0, x[1] * 3.0], out=x[1:]),
    "concatenate": lambda x: np.concatenate([x[:1] * 2.0, x[1:2] * 3.0], out=x[1:]),
    "concatenate along columns": lambda x: np.concatenate([x[:, :2] * 2.0, x[:, 2:] * 3.0], axis=1, out=x),
    "nan_to_num": lambda x: np.nan_to_num(np.sqrt(x - 0.5, out=x), copy=False, nan=0.25),
    "nditer": lambda x: [e.__setitem__(..., e * 2) for e in np.nditer(x, op_flags=["readwrite"])],
    "swapaxes": lambda x: x.swapaxes(0, 1).__setitem__(0, 2.0),
    "rollaxis": lambda x: np.rollaxis(x, 1).__setitem__(0, 5.0),
    "reshape": lambda x: x.reshape(4, 3).__setitem__(0, 5.0),
    "ravel": lambda x: x.ravel().__setitem__(2, 8.0),
    "ix_": lambda x: x.__setitem__(np.ix_([0, 2], [1, 3]), [[1.0, 2.0], [3.0, 4.0]]),
    "reversed by itself": lambda x: x.__setitem__(slice(None, None, -1), x),
}


@pytest.mark.filterwarnings("ignore::wengert.EagerFallbackWarning", "ignore:invalid value")
@pytest.mark.parametrize("name", WRITES)
def test_as_numpy(name):
    write = WRITES[name]

    def seen_in_views(x):
        y = x * 1.0
        part, turned = y[:, 1:], y.T
        write(y)
        return np.sum(y * y) + np.sum(part) + np.sum(turned * np.arange(3.0))

    def seen_in_the_argument(x):
        part = x[1:]
        write(x)
        return np.sum(x * x) + np.sum(part * part)

    for program in (seen_in_views, seen_in_the_argument):
        wanted = program(X.copy())
        for mode in (contextlib.nullcontext, wg.eager):
            with mode():
                value, gradient = wg.value_and_grad(program)(X.copy())
            assert value == pytest.approx(wanted, rel=1e-12)
            step = np.cos(np.arange(12.0)).reshape(3, 4)
            along = (program(X + 1e-6 * step) - program(X - 1e-6 * step)) / 2e-6
            assert np.sum(gradient * step) == pytest.approx(along, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("join", (np.stack, np.concatenate))
def test_joining_into_what_is_joined_is_refused(join):
    """NumPy overwrites parts before it has read them."""

    def program(x):
        join([x[0], x[1]] if join is np.stack else [x[:1], x[1:2]], out=x[1:])
        return np.sum(x)

    for mode in (contextlib.nullcontext, wg.eager):
        with mode(), pytest.raises(wg.StagingError, match="shares memory with what is joined"):
            wg.grad(program)(X.copy())
