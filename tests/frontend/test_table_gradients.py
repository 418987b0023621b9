"""Derivatives of what the tables build out of several ops: reverse mode and the tape against central differences."""

from __future__ import annotations

import numpy
import pytest

from tests.frontend.boxed import Hooked, eager, stage
from wengert.frontend.boxes import box
from wengert.ir.interpret import run
from wengert.tape.backward import pull_back
from wengert.transforms.vjp import value_and_grad

np = Hooked(numpy)
X = numpy.array([0.3, -0.7, 0.25, 0.9, -0.2])
A = numpy.arange(12.0).reshape(3, 4) ** 1.3 - 5.0
STEP = 1e-5

VECTOR = [
    lambda x: np.logaddexp(x, x[::-1]),
    lambda x: np.logaddexp2(x, 0.3),
    lambda x: np.linalg.norm(x),
    lambda x: np.linalg.norm(x, 3),
    lambda x: np.std(x),
    lambda x: np.var(x, ddof=1),
    lambda x: np.copysign(x, -1.0) * x,
    lambda x: np.fmax(x, x[::-1] * 0.5),
    lambda x: np.where(x > 0, np.log(x), 0.0),
    lambda x: np.clip(x, -0.5, 0.5),
    lambda x: np.concatenate([x[1:], x * x]),
    lambda x: np.stack([x, np.sin(x)], axis=1) @ np.array([1.0, 2.0]),
    lambda x: np.tile(x, 2) * np.arange(10),
    lambda x: np.repeat(x, 2) * np.arange(10),
    lambda x: np.roll(x, 2) * np.arange(5),
    lambda x: np.diag(np.outer(x, x)),
    lambda x: np.cumsum(x) * x,
    lambda x: np.diff(x) ** 2,
    lambda x: np.average(x, weights=x**2),
    lambda x: np.polyval([x[0], 1.0, x[1]], x),
    lambda x: np.trapezoid(x, x * 2 + 1),
    lambda x: np.linspace(x[0], x[1], 7) ** 2,
    lambda x: np.sinc(x),
    lambda x: x[[0, 0, 3]] ** 2,
    lambda x: np.array([[x[0], 1], [x[1], x[0] * x[2]]]) @ x[:2],
    lambda x: np.mean(x) ** 2 + np.prod(x) + np.max(x) - np.min(x),
    lambda x: np.add(x, x**2, out=np.zeros(5)) * x,
    lambda x: np.multiply(x, 2.0, out=np.ones(5), where=x > 0) * x,
    lambda x: numpy.add.outer(x, x**2),
    lambda x: np.power(abs(x), 1.7) + x**3 + x**-1 + x**20 + 2.0**x,
    lambda x: np.hypot(x, 2.0) + np.arctan2(x, 0.5) + np.fmod(x, 0.4) + x % 0.4,
]


def written(x):
    y = np.zeros(5)
    y[1:-1] = x[2:] - x[:-2]
    y[1:-1] += x[1:-1] * y[2:]
    v = y[::2]
    v *= x[:3]
    y[0] = v[1] * x[-1]
    return y


def overwritten(x):
    x = x.copy()
    x[x > 0.5] = 0.5
    x *= x
    x[:2] = x[0]
    x[2] = 3.0
    return x


def scattered(x):
    y = np.zeros(3)
    numpy.add.at(y, [0, 2, 2, -1, 0], x**2)
    return y


MATRIX = [
    lambda a: (a - a.mean(axis=0, keepdims=True)) ** 2,
    lambda a: a @ a.T,
    lambda a: a.T.reshape(2, 6)[1] * a.ravel()[:6],
    lambda a: np.linalg.norm(a, axis=1),
    lambda a: a[:, 1:] * a[:, :1],
    lambda a: np.cumsum(a, axis=1).max(axis=0),
]


def views(a):
    a = a.copy()
    t = a.T
    t[0] = t[1] * a[:, 2]
    f = a.ravel()
    f[3:7] *= f[:4]
    a[:, None, 2] += a[:, 3:]
    return t


def weighted(function):
    """A number that depends on every result."""

    def scalar(x):
        found = np.ravel(np.asarray(function(x)))
        return np.sum(found * np.cos(np.arange(found.shape[0]) + 1.0))

    return scalar


def differences(function, x):
    gradient = numpy.zeros_like(x)
    for k in numpy.ndindex(x.shape):
        sides = []
        for h in (STEP, -STEP, 2 * STEP, -2 * STEP):
            moved = x.copy()
            moved[k] += h
            with numpy.errstate(all="ignore"):
                sides.append(function(moved))
        gradient[k] = (8 * (sides[0] - sides[1]) - (sides[2] - sides[3])) / (12 * STEP)
    return gradient


@pytest.mark.parametrize(
    ("function", "x"),
    [(f, X) for f in [*VECTOR, written, overwritten, scattered]] + [(f, A) for f in [*MATRIX, views]],
)
def test_gradient(function, x):
    scalar = weighted(function)
    expected = differences(scalar, x)
    staged, inputs, _ = stage(scalar, x)
    value, gradient = run(value_and_grad(staged, [0]), inputs)
    with numpy.errstate(all="ignore"):
        numpy.testing.assert_allclose(value, scalar(x), rtol=1e-13)
    numpy.testing.assert_allclose(gradient, expected, rtol=1e-8, atol=1e-8)
    with eager() as builder:
        start = builder.lift_known(x.copy())
        found = scalar(box(start))
        (pulled,) = pull_back(builder, builder.instrs, [found.value], [builder.const(1.0)], [start])
        numpy.testing.assert_allclose(builder.known(pulled), gradient, rtol=1e-12, atol=1e-13)


def test_ties_and_kinks():
    for function, x, expected in (
        (lambda x: np.linalg.norm(x), numpy.zeros(3), numpy.zeros(3)),
        (lambda x: np.std(x), numpy.ones(3), numpy.zeros(3)),
        (lambda x: np.logaddexp(x[0], x[1]), numpy.ones(2), numpy.full(2, 0.5)),
        (lambda x: np.sinc(x[0]), numpy.zeros(1), numpy.zeros(1)),
        (lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0)), numpy.zeros(2), numpy.zeros(2)),
        (lambda x: np.sum(abs(x)), numpy.zeros(2), numpy.zeros(2)),
    ):
        staged, inputs, _ = stage(function, x)
        _, gradient = run(value_and_grad(staged, [0]), inputs)
        numpy.testing.assert_allclose(gradient, expected, atol=1e-15)
