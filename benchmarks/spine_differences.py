"""Derivatives by differences: the oracle that shares no idea with any of the systems compared.

Complex steps where the program allows complex numbers (exact to rounding: W. Squire, G. Trapp, SIAM
Review 40, 1998, doi:10.1137/S003614459631241X), Richardson's extrapolation of central differences
where it takes absolute values and maxima.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
from spine_programs import Program, flat, rebound, refilled

STEP = 1e-30


class Ordered(complex):
    """A complex number that compares by its real part, so that branches go the primal's way."""

    __array_ufunc__ = None  # NumPy scalars leave the arithmetic to this class

    def __add__(self, other: Any) -> Ordered:
        return Ordered(complex.__add__(self, complex(other)))

    def __sub__(self, other: Any) -> Ordered:
        return Ordered(complex.__sub__(self, complex(other)))

    def __rsub__(self, other: Any) -> Ordered:
        return Ordered(complex(other) - complex(self))

    def __mul__(self, other: Any) -> Ordered:
        return Ordered(complex.__mul__(self, complex(other)))

    def __truediv__(self, other: Any) -> Ordered:
        return Ordered(complex.__truediv__(self, complex(other)))

    def __rtruediv__(self, other: Any) -> Ordered:
        return Ordered(complex(other) / complex(self))

    def __pow__(self, other: Any) -> Ordered:
        return Ordered(complex.__pow__(self, other))

    def __neg__(self) -> Ordered:
        return Ordered(complex.__neg__(self))

    def __lt__(self, other: Any) -> bool:
        return self.real < complex(other).real

    def __le__(self, other: Any) -> bool:
        return self.real <= complex(other).real

    def __gt__(self, other: Any) -> bool:
        return self.real > complex(other).real

    def __ge__(self, other: Any) -> bool:
        return self.real >= complex(other).real

    __radd__ = __add__
    __rmul__ = __mul__


COMPLEX_MATH = SimpleNamespace(
    pi=math.pi,
    log=lambda x: Ordered(cmath.log(x)),
    exp=lambda x: Ordered(cmath.exp(x)),
    sqrt=lambda x: Ordered(cmath.sqrt(x)),
)


def difference_error(program: Program, gradient: np.ndarray) -> float:
    """Norm of (gradient - differences) over norm of differences, over some directions.

    Args:
        program: The program; the directions are its coordinates, or random ones in long arrays.
        gradient: The flat gradient to judge, f64[n].
    """
    found, expected = [], []
    for direction in _directions(program):
        found.append(gradient @ direction)
        slope = richardson_slope if program.key == "d" else complex_slope
        expected.append(slope(program, direction))
    return float(np.linalg.norm(np.subtract(found, expected)) / np.linalg.norm(expected))


def complex_slope(program: Program, direction: np.ndarray) -> float:
    """Directional derivative by one evaluation at a point an imaginary step away."""
    point = flat(tuple(program.args[i] for i in program.argnums)) + 1j * STEP * direction
    loss = program.loss
    numbers: Any = point
    if program.key in "ab":  # scalar programs branch on their values
        loss = rebound(loss, math=COMPLEX_MATH)
        numbers = [Ordered(number) for number in point]
    return complex(_at(program, loss, numbers)).imag / STEP


def richardson_slope(program: Program, direction: np.ndarray, step: float = 0.02, levels: int = 5) -> float:
    """Directional derivative by central differences with steps halved and extrapolated to zero."""
    point = flat(tuple(program.args[i] for i in program.argnums))
    row: list[float] = []
    for level in range(levels):
        h = step / 2**level
        ahead = _at(program, program.loss, point + h * direction)
        behind = _at(program, program.loss, point - h * direction)
        finer = [(ahead - behind) / (2 * h)]
        for order, coarse in enumerate(row, start=1):
            finer.append(finer[-1] + (finer[-1] - coarse) / (4**order - 1))
        row = finer
    return row[-1]


def _at(program: Program, loss: Any, numbers: Any) -> Any:
    """The loss with its differentiated arguments replaced by the given numbers."""
    args = list(program.args)
    supply = iter(numbers)
    for i in program.argnums:
        args[i] = refilled(args[i], supply)
    return loss(*args)


def _directions(program: Program) -> Iterator[np.ndarray]:
    """Coordinates of short arguments, two random directions in each long one."""
    random = np.random.default_rng(5)
    sizes = [len(flat((program.args[i],))) for i in program.argnums]
    start = 0
    for size in sizes:
        within = np.eye(size) if size <= 10 else random.standard_normal((2, size))
        for part in within:
            direction = np.zeros(sum(sizes))
            direction[start : start + size] = part
            yield direction
        start += size
