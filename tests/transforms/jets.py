"""Truncated Taylor series: a plain Python program run on them gives all of its derivatives, by another way than wengert's."""

from __future__ import annotations

import math
from typing import Any


class Jet:
    """A function of t near 0 by its Taylor coefficients; comparisons look at the value."""

    def __init__(self, coefficients: list[float]) -> None:
        self.c = coefficients

    @classmethod
    def variable(cls, value: float, order: int) -> Jet:
        """`value + t`."""
        return cls([value, 1.0, *[0.0] * (order - 1)])

    def derivatives(self) -> list[float]:
        """Value, first, second ... derivative."""
        return [math.factorial(k) * a for k, a in enumerate(self.c)]

    def _other(self, other: Any) -> list[float]:
        return other.c if isinstance(other, Jet) else [float(other), *[0.0] * (len(self.c) - 1)]

    def __add__(self, other: Any) -> Jet:
        return Jet([a + b for a, b in zip(self.c, self._other(other), strict=True)])

    def __mul__(self, other: Any) -> Jet:
        b = self._other(other)
        return Jet([sum(self.c[j] * b[k - j] for j in range(k + 1)) for k in range(len(self.c))])

    def __truediv__(self, other: Any) -> Jet:
        b, found = self._other(other), []
        for k in range(len(b)):
            found.append((self.c[k] - sum(found[j] * b[k - j] for j in range(k))) / b[0])
        return Jet(found)

    def __neg__(self) -> Jet:
        return self * -1.0

    def __sub__(self, other: Any) -> Jet:
        return self + -1.0 * (other if isinstance(other, Jet) else Jet(self._other(other)))

    def __rsub__(self, other: Any) -> Jet:
        return -self + other

    def __rtruediv__(self, other: Any) -> Jet:
        return Jet(self._other(other)) / self

    def __pow__(self, exponent: int) -> Jet:
        found: Any = 1.0
        for _ in range(exponent):
            found = self * found
        return found

    __radd__, __rmul__ = __add__, __mul__

    def __abs__(self) -> Jet:
        return self if self.c[0] >= 0.0 else -self

    def __lt__(self, other: Any) -> bool:
        return self.c[0] < float(other)

    def __gt__(self, other: Any) -> bool:
        return self.c[0] > float(other)

    def __float__(self) -> float:
        return self.c[0]
