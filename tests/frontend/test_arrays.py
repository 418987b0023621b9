"""Arrays and views: reading, writing, aliasing, clamping, as NumPy does it."""

from __future__ import annotations

import numpy
import pytest

from tests.frontend.boxed import Hooked, check, eager, run_eagerly, stage
from wengert.errors import StagingError
from wengert.frontend.boxes import box
from wengert.ir.interpret import run

np = Hooked(numpy)
X = np.arange(1.0, 8.0) ** 1.5
A = np.arange(12.0).reshape(3, 4) ** 1.3 + 1.0

READS = [
    lambda x: x[0],
    lambda x: x[-1],
    lambda x: x[3],
    lambda x: x[1:-1],
    lambda x: x[:],
    lambda x: x[2:],
    lambda x: x[:3],
    lambda x: x[-3:],
    lambda x: x[::2],
    lambda x: x[1::3],
    lambda x: x[::-1],
    lambda x: x[5:1:-2],
    lambda x: x[-2:0:-1],
    lambda x: x[100:],
    lambda x: x[:100],
    lambda x: x[-100:2],
    lambda x: x[4:2],
    lambda x: x[1:-1][1:][::2],
    lambda x: x[::-1][1:3],
    lambda x: x[::2][-1],
    lambda x: x[None],
    lambda x: x[:, None],
    lambda x: x[...],
    lambda x: x[..., 0],
    lambda x: x[..., 1:3],
    lambda x: x[[0, 2, -1]],
    lambda x: x[np.array([1, 1, 0])],
    lambda x: [e for e in x[:3]],
]


@pytest.mark.parametrize("read", READS)
def test_read_vector(read):
    check(read, X)


MATRIX_READS = [
    lambda a: a[0],
    lambda a: a[-1, 2],
    lambda a: a[:, 1],
    lambda a: a[1:, :-1],
    lambda a: a[0][1],
    lambda a: a.T,
    lambda a: a.T[1],
    lambda a: a.T[1:, 0],
    lambda a: a[:, None, :],
    lambda a: a[..., None],
    lambda a: a.reshape(-1),
    lambda a: a.ravel(),
    lambda a: a.T.ravel(),
    lambda a: a.reshape(4, 3),
    lambda a: a.reshape((2, -1)),
    lambda a: a.reshape(3, 2, 2),
    lambda a: a.flatten(),
    lambda a: a.transpose(1, 0),
    lambda a: np.transpose(a[None], (1, 2, 0)),
    lambda a: np.swapaxes(a, 0, 1),
    lambda a: a[[2, 0]],
    lambda a: a[None, :, 1:2].squeeze(),
    lambda a: np.expand_dims(a, (0, 2)),
    lambda a: np.moveaxis(a[None], 0, -1),
    lambda a: a[::-1, ::2],
    lambda a: np.flip(a, 1),
    lambda a: a.shape,
    lambda a: (a.size, a.ndim, len(a.shape)),
]


@pytest.mark.parametrize("read", MATRIX_READS)
def test_read_matrix(read):
    check(read, A)


def element(x):
    x = x.copy()
    x[0] = 5.0
    x[-1] = x[1] * 2
    x[2] += x[0]
    return x


def slices(x):
    x = x.copy()
    x[1:-1] = x[2:] - 2 * x[1:-1] + x[:-2]
    x[1:-1] += x[:-2]
    x[:2] *= 3
    x[::2] = 1
    x[3:] = x[:4]
    return x


def overlap(x):
    x = x.copy()
    x[1:] = x[:-1]
    x[:] = x[::-1]
    return x


def aliases(x):
    x = x.copy()
    v = x[1:4]
    w = v[1:]
    v[0] = 10.0
    x[2] = 20.0
    w += 1.0
    before = v.copy()
    v[:] = 0.0
    return x, v, w, before


def whole(x):
    x = x.copy()
    y = x
    x += 1.0
    x *= x
    x -= np.ones(7)
    x /= 2
    return x, y


def filled(x):
    y = np.zeros_like(x)
    y.fill(3.0)
    y[...] = y + x
    z = np.empty(4)
    z[:] = 2
    return y, z


def masked(x):
    x = x.copy()
    x[x > 4.0] = 4.0
    return x


@pytest.mark.parametrize("write", [element, slices, overlap, aliases, whole, filled, masked])
def test_write_vector(write):
    check(write, X)


def rows(a):
    a = a.copy()
    a[0] = a[1]
    a[:, 0] = 7.0
    a[1, 2:] = a[0, :2]
    a[1:, 1:] += a[:-1, :-1]
    a[2] += 1.0
    return a


def transposed(a):
    a = a.copy()
    t = a.T
    t[0] = 1.0
    t[1:, 0] = a[0, 1:] * 2
    a[2, 3] = -1.0
    return a, t


def flattened(a):
    a = a.copy()
    f = a.ravel()
    f[5] = 100.0
    f[-3:] += 1.0
    r = a.reshape(2, 6)
    r[1] = 0.0
    g = a[1].reshape(2, 2)
    g[0, 0] = 3.0
    n = a[:, None]
    n[0, 0, 0] = -2.0
    return a, f, r, g


def broadcast_write(a):
    a = a.copy()
    a[:] = a[0]
    a[:, 1:3] = a[:, 0:1]
    a[1:] = [1.0, 2.0, 3.0, 4.0]
    return a


def iterate(a):
    a = a.copy()
    for row in a:
        row *= 2.0
    return a


@pytest.mark.parametrize("write", [rows, transposed, flattened, broadcast_write])
def test_write_matrix(write):
    check(write, A)


def test_iteration_over_rows_gives_views():
    check(iterate, A, modes="de")
    check(lambda a: [row.sum() for row in a], A, modes="de")


@pytest.mark.parametrize("i", [0, 2, 6, -1, -7])
@pytest.mark.parametrize(
    "use",
    [
        lambda x, i: x[i],
        lambda x, i: x[:i],
        lambda x, i: x[i:],
        lambda x, i: x[i : i + 2],
        lambda x, i: x[:i] + x[:i],
        lambda x, i: (x[:i] @ x[:i], len(x.shape)),
        lambda x, i: x[i::2],
        lambda x, i: x[i::-1],
        lambda x, i: x[:i:-1],
    ],
)
def test_traced_positions(use, i):
    check(use, X, i)


def store(x, i, v):
    x = x.copy()
    x[i] = v
    x[i] += 1.0
    x[i:] *= 2.0
    return x


def test_traced_store():
    check(store, X, 3, 2.5)
    check(store, X, -2, 2.5)


@pytest.mark.parametrize("i", [7, -8])
def test_index_out_of_range(i):
    staged, inputs, _ = stage(lambda x, k: x[k], X, i)
    with pytest.raises(IndexError, match=f"index {i} is out of bounds for axis 0 with size 7"):
        run(staged, inputs)
    with pytest.raises(IndexError, match=f"index {i} is out of bounds for axis 0 with size 7\n.*user.py:7"):
        run_eagerly(lambda x, k: x[k], X, i)
    with pytest.raises(IndexError, match="out of bounds"):
        stage(lambda x: x[i], X, symbolic=False)
    staged, inputs, _ = stage(lambda x: x[i], X)
    with pytest.raises(IndexError, match=f"index {i} is out of bounds"):
        run(staged, inputs)


def test_gather_out_of_range():
    staged, inputs, _ = stage(lambda x: x[[0, 9]], X)
    with pytest.raises(IndexError, match="out of bounds"):
        run(staged, inputs)


def test_common_stencil_is_one_index_and_one_update():
    def f(u):
        u = u.copy()
        u[1:-1] += 1.0
        return u

    staged, _, _ = stage(f, X)
    names = [i.op.name for i in staged.instrs]
    assert names.count("index") == 1
    assert names.count("update") == 1
    assert "check" not in names


def test_bad_shapes():
    with pytest.raises(ValueError, match=r"operands could not be broadcast together with shapes \(7,\) \(3,\)"):
        run_eagerly(lambda x: x + np.ones(3), X)
    with pytest.raises(ValueError, match="could not broadcast input array"):
        run_eagerly(lambda x: x.__setitem__(slice(0, 3), np.ones(4)), X)
    staged, inputs, _ = stage(lambda x, y: x + y, X, np.ones(5))
    with pytest.raises(ValueError, match=r"broadcast together with shapes \(7,\) \(5,\)"):
        run(staged, inputs)


def test_equal_sizes_unify():
    check(lambda x, y: x * y + x, X, X + 1.0)
    check(lambda a, x: a + x, A, np.ones(4))
    check(lambda a, x: a * x[:, None], A, np.ones(3))
    check(lambda x, y: x[:, None] * y[None, :], X, np.arange(3.0))


def test_bad_keys():
    with eager() as builder:
        x = box(builder.lift_known(X))
        with pytest.raises(IndexError, match="too many indices"):
            x[0, 1]
        with pytest.raises(IndexError, match="only integers"):
            x[1.5]
        with pytest.raises(IndexError, match="only integers"):
            x["a"]
        with pytest.raises(TypeError, match="slice indices"):
            x[1.5:]
        with pytest.raises(ValueError, match="step cannot be zero"):
            x[::0]
        with pytest.raises(StagingError, match="byteswap"):
            x.byteswap()
        assert not hasattr(x, "no_such_thing")


def test_casts_in_place():
    def into_ints(x):
        n = np.zeros(7, dtype=int)
        n[:] = x
        n[0] = 2.9
        return n

    check(into_ints, X)
    with pytest.raises(TypeError, match="Cannot cast"):
        stage(lambda x: x.astype(int).__iadd__(x), X)


def test_zero_dimensional():
    def f(x):
        z = np.array(0.0)
        z += x
        z[...] = z * 2
        return z + 1, z[()], z.item()

    check(f, 3.0)
