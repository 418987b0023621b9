"""Bessel functions of integer order, elementwise on f64.

Their slopes are half the sum or difference of the functions of the neighbouring orders, so nothing is divided by x and
derivatives of all orders hold at 0. The scaled functions of the first kind have a kink at 0, where the slope of `exp(-|x|)`
counts as 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wengert.ir.builder import Builder
from wengert.ir.core import Value
from wengert.ops.special import scipy_function, with_order

# Of each family, SciPy's functions of order 0 and 1 and of any order.
ROUTINES = {
    "bessel_j": ("j0", "j1", "jv"),
    "bessel_y": ("y0", "y1", "yv"),
    "bessel_i": ("i0", "i1", "iv"),
    "bessel_k": ("k0", "k1", "kv"),
    "bessel_ie": ("i0e", "i1e", "ive"),
    "bessel_ke": ("k0e", "k1e", "kve"),
}


def _impl(family: str) -> Callable[..., Any]:
    low, any_order = [scipy_function(n) for n in ROUTINES[family][:2]], scipy_function(ROUTINES[family][2])
    return lambda x, *, order: low[order](x) if order < 2 else any_order(float(order), x)


def _neighbours(family: str, above: float, below: float) -> Callable[[Builder, Value, int], Value]:
    """`below * f[n-1] / 2 + above * f[n+1] / 2`, where for n = 0 both are `above * f[1] / 2`."""

    def rule(b: Builder, x: Value, order: int) -> Value:
        upper = getattr(b, family)(x, order=order + 1)
        if order == 0:
            return b.mul(above, upper)
        return b.add(b.mul(0.5 * above, upper), b.mul(0.5 * below, getattr(b, family)(x, order=order - 1)))

    return rule


def _family(
    family: str,
    above: float,
    below: float,
    samples: tuple[float, float],
    doc: str,
    scaling: Callable[[Builder, Value], Any] | None = None,
) -> None:
    """Declare one family; `scaling` is the slope of the logarithm of the factor that scales it."""
    neighbours = _neighbours(family, above, below)

    def partial(b: Builder, out: Value, x: Value, order: int) -> Value:
        slope = neighbours(b, x, order)
        return slope if scaling is None else b.add(slope, b.mul(scaling(b, x), out))

    with_order(family, _impl(family), partial, 0, samples, doc)


_family("bessel_j", -1.0, 1.0, (-6.0, 6.0), "Bessel function of the first kind.")
_family("bessel_y", -1.0, 1.0, (0.7, 6.0), "Bessel function of the second kind.")
_family("bessel_i", 1.0, 1.0, (-3.0, 3.0), "Modified Bessel function of the first kind.")
_family("bessel_k", -1.0, -1.0, (0.7, 4.0), "Modified Bessel function of the second kind.")
_family(
    "bessel_ie", 1.0, 1.0, (0.3, 4.0), "bessel_i times exp(-|x|).", lambda b, x: b.neg(b.sign(x)),
)  # fmt: skip
_family("bessel_ke", -1.0, -1.0, (0.7, 4.0), "bessel_k times exp(x).", lambda b, x: 1.0)
