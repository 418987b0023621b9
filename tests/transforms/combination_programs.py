"""Programs of one number for combinations of transformations: one per kind of control flow, each written to run on jets too.

`zeros` makes an array to write to, `slope` is the derivative of an inner function: what plain Python has to do otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import wengert as wg
from tests.transforms.jets import Jet


def zeros(n: int) -> Any:
    """An array of zeros that may hold jets."""
    return np.array([0.0] * n, dtype=object)


def slope(f: Any) -> Any:
    """The derivative of a function of (number, anything), by jets of its own around numbers."""

    def derivative(y: Any, x: Any) -> Any:
        # d/dy of 0.25 y^4 + 0.5 y^2 - x y: the only inner function here.
        return y * y * y + y - x

    return derivative


def branch(x: float) -> float:
    if x * x > 0.5:
        y = x * x * x - 1.0 / (x + 2.0)
    else:
        y = 2.0 * x - x**4
    return y * x if y < 0.4 else y / (1.0 + x * x)


def counted(x: float) -> float:
    total = 0.0
    for k in range(11):
        total = total * x * 0.5 + 1.0 / (1.0 + k * x * x)
    return total


def until(x: float) -> float:
    y, k = x, 0
    while y < 3.0:
        y = y * (1.1 + 0.2 * x) + 0.1 * x * x
        k += 1
    return y / (k + 1.0)


def make_in_place(zeros: Any) -> Any:
    def in_place(x: float) -> float:
        u = zeros(12)
        u[0] = x
        for i in range(1, 12):
            u[i] = u[i - 1] * x * 0.9 + 0.1 * i
        for i in range(10):
            u[i + 1] = u[i + 1] + u[i] * u[i + 2] * 0.1
        return u[11] + u[5] * u[3]

    return in_place


def growing(x: float) -> float:
    items = [x]
    while items[-1] < 2.5:
        items.append(items[-1] * 1.3 + x * x * 0.2)
    total = 0.0
    for item in items:
        total = total + item * item * x
    return total


def descend(n: int, x: float) -> float:
    if n < 1:
        return x
    return descend(n - 1, x * 0.8) * x + descend(n - 2, x * x) * 0.5


def recursive(x: float) -> float:
    n = 0
    while n * x < 2.0:
        n += 1
    return descend(n, x)


def newton(x: float) -> float:
    y, step = 1.0, 1.0
    while abs(step) > 1e-9:
        step = (y * y * y + x * y - 2.0) / (3.0 * y * y + x)
        y = y - step
    return y * x


def energy(y: float, x: float) -> float:
    return 0.25 * y**4 + 0.5 * y * y - x * y


def make_descent(slope: Any) -> Any:
    def descent(x: float) -> float:
        y, move = 0.5 * x, 1.0
        while abs(move) > 1e-3:
            move = 0.3 * slope(energy)(y, x)
            y = y - move
        return y * y + x

    return descent


PROGRAMS = {
    "branch": (branch, branch),
    "counted": (counted, counted),
    "until": (until, until),
    "in_place": (make_in_place(np.zeros), make_in_place(zeros)),
    "growing": (growing, growing),
    "recursive": (recursive, recursive),
    "newton": (newton, newton),
    "descent": (make_descent(wg.grad), make_descent(slope)),
}
POINT = 0.8
SCALES = np.array([1.0, 0.9, 1.05])
WEIGHTS = np.array([1.0, -0.5, 2.0])


def derivatives(name: str, point: float, order: int) -> list[float]:
    """Value and derivatives of a program at a point, by jets."""
    found = PROGRAMS[name][1](Jet.variable(point, order))
    return found.derivatives() if isinstance(found, Jet) else [float(found), *[0.0] * order]


# --- transformations as functions from functions to functions of one number --------------------------------------------

TRANSFORMS: dict[str, Any] = {
    "grad": lambda f: wg.grad(f),
    "jvp": lambda f: lambda x: wg.jvp(f, (x,), (0.7,))[1],
    "vjp": lambda f: lambda x: wg.vjp(f, x)[1](1.3)[0],
    "jacfwd": lambda f: wg.jacfwd(f),
    "jacrev": lambda f: wg.jacrev(f),
    "hvp": lambda f: lambda x: wg.hvp(f)(x, 1.2),
    "linearize": lambda f: lambda x: wg.linearize(f, x)[1](0.6),
    "vmap": lambda f: lambda x: np.sum(WEIGHTS * wg.vmap(f)(SCALES * x)),
}
FACTOR = {"grad": 1.0, "jvp": 0.7, "vjp": 1.3, "jacfwd": 1.0, "jacrev": 1.0, "hvp": 1.2, "linearize": 0.6}


def combined(name: str, transforms: tuple[str, ...]) -> Any:
    """The program under the transformations, the last one outermost."""
    f = PROGRAMS[name][0]
    for transform in transforms:
        f = TRANSFORMS[transform](f)
    return f


def expected(name: str, transforms: tuple[str, ...]) -> float:
    """What `combined` gives, by jets: a sum of derivatives of the program at several points."""
    # Terms of the form weight * D^order f(scale * x), from the innermost transformation outwards.
    terms = [(1.0, 0, 1.0)]
    for transform in transforms:
        if transform == "vmap":
            terms = [(w * v, k, s * r) for w, k, s in terms for v, r in zip(WEIGHTS, SCALES, strict=True)]
        else:
            steps = 2 if transform == "hvp" else 1
            terms = [(w * FACTOR[transform] * s**steps, k + steps, s) for w, k, s in terms]
    total = 0.0
    for weight, order, scale in terms:
        total += weight * derivatives(name, scale * POINT, max(order, 1))[order]
    return total
