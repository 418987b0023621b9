"""Handlers of `scipy.special`: ufuncs by their ops, and the functions around them that SciPy writes in Python.

They are registered by name, so that SciPy is imported by those only who use it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.boxes import any_box, is_box, lift, result
from wengert.frontend.elementwise import ELEMENTWISE, Elementwise, Rule, apply, call_ufunc, op, select
from wengert.frontend.emit import as_float, builder, unsupported
from wengert.frontend.registry import PASS, handle, register, register_name
from wengert.frontend.shapes import static_int
from wengert.ir.core import Value
from wengert.types import F64

_MODULE = "scipy.special"


def _ufunc(name: str, rule: Rule) -> None:
    """Register the ufunc of SciPy called `name`, with the options of NumPy's."""

    def handler(*args: Any, **kwargs: Any) -> Any:
        return call_ufunc(_declared(name, rule), *args, **kwargs) if any_box(args, *kwargs.values()) else PASS

    register_name(_MODULE, name)(handler)


def _declared(name: str, rule: Rule) -> Any:
    """The ufunc itself; its rule is in the table afterwards."""
    ufunc = getattr(sys.modules[_MODULE], name)
    ELEMENTWISE.setdefault(ufunc, Elementwise(rule, F64))
    return ufunc


def _entr(x: Value) -> Value:
    """`-x log(x)`, and minus infinity for negative numbers."""
    b = builder()
    return b.select(b.lt(x, 0.0), b.full(x.dims, -math.inf, x.tensor.dtype), b.neg(b.xlogy(x, x)))


def _of_order(family: str, order: int) -> Rule:
    return lambda x: getattr(builder(), family)(x, order=order)


_SAME_NAME = """
    erf erfc erfcx erfinv erfcinv ndtr ndtri log_ndtr gammaln gamma beta betaln binom expit log_expit logit xlogy xlog1py
    rel_entr kl_div
"""
_BESSEL = {
    "j0": ("bessel_j", 0), "j1": ("bessel_j", 1), "y0": ("bessel_y", 0), "y1": ("bessel_y", 1),
    "i0": ("bessel_i", 0), "i1": ("bessel_i", 1), "k0": ("bessel_k", 0), "k1": ("bessel_k", 1),
    "i0e": ("bessel_ie", 0), "i1e": ("bessel_ie", 1), "k0e": ("bessel_ke", 0), "k1e": ("bessel_ke", 1),
}  # fmt: skip


def _declare_ufuncs() -> None:
    for name in _SAME_NAME.split():
        _ufunc(name, op(name))
    _ufunc("psi", op("digamma"))
    _ufunc("entr", _entr)
    for name, (family, order) in _BESSEL.items():
        _ufunc(name, _of_order(family, order))


_declare_ufuncs()

# --- functions of a static order -------------------------------------------------------------------------------------


def _floats(x: Any) -> Value:
    """An argument of any kind as floats."""
    return as_float(lift(x))


def _order(n: Any, function: str) -> int:
    """A static whole number of at least 0."""
    if isinstance(n, float) and n.is_integer():
        n = int(n)
    if isinstance(n, float | np.ndarray | list) or (is_box(n) and lift(n).is_float):
        unsupported(
            f"scipy.special.{function} is supported for a single order that is a whole number",
            "pass the order as an int",
            StagingError,
        )
    order = static_int(n, f"the order of {function}")
    if order < 0:
        unsupported(
            f"scipy.special.{function} of a negative order is not supported", "use its relation to order -n", StagingError
        )
    return order


def _bessel(name: str, family: str) -> None:
    def handler(v: Any, z: Any) -> Any:
        return result(getattr(builder(), family)(_floats(z), order=_order(v, name))) if any_box(v, z) else PASS

    register_name(_MODULE, name)(handler)


for _name, _family in {
    "jv": "bessel_j", "yv": "bessel_y", "iv": "bessel_i", "kv": "bessel_k", "ive": "bessel_ie", "kve": "bessel_ke",
    "yn": "bessel_y", "kn": "bessel_k",
}.items():  # fmt: skip
    _bessel(_name, _family)


@register(np.i0)
def i0(x: Any) -> Any:
    """`np.i0`."""
    return result(builder().bessel_i(_floats(x), order=0)) if is_box(x) else PASS


@register_name(_MODULE, "polygamma")
def polygamma(n: Any, x: Any) -> Any:
    """`scipy.special.polygamma` of a static order."""
    if not any_box(n, x):
        return PASS
    order, value = _order(n, "polygamma"), _floats(x)
    return result(builder().digamma(value) if order == 0 else builder().polygamma(value, order=order))


# --- counting --------------------------------------------------------------------------------------------------------


@register_name(_MODULE, "comb")
def comb(N: Any, k: Any, *, exact: bool = False, repetition: bool = False) -> Any:
    """`scipy.special.comb`."""
    if not any_box(N, k):
        return PASS
    if exact:
        return _exactly("comb", static_int(N, "N"), static_int(k, "k"), exact=True, repetition=repetition)
    if repetition:
        unsupported("scipy.special.comb with repetition is not supported", "use comb(N + k - 1, k)", StagingError)
    known = apply(np.logical_and, apply(np.less_equal, k, N), apply(np.greater_equal, k, 0))
    return select(known, apply(_declared("binom", op("binom")), N, k), 0.0)


@register_name(_MODULE, "factorial")
def factorial(n: Any, exact: bool = False, **options: Any) -> Any:
    """`scipy.special.factorial` of numbers: the gamma function, and 0 below 0."""
    if not any_box(n):
        return PASS
    if options:
        unsupported(f"the argument {next(iter(options))!r} of scipy.special.factorial is not supported", error=StagingError)
    if exact:
        return _exactly("factorial", static_int(n, "n"), exact=True)
    b, x = builder(), _floats(n)
    return result(b.select(b.lt(x, 0.0), 0.0, b.gamma(b.add(x, 1.0))))


def _exactly(name: str, *numbers: int, **options: Any) -> Any:
    return getattr(sys.modules[_MODULE], name)(*numbers, **options)


def _static(function: Callable[..., Any]) -> None:
    def handler(*numbers: Any) -> Any:
        if not any_box(numbers):
            return PASS
        return function(*[n if n is None else static_int(n, f"an argument of math.{function.__name__}") for n in numbers])

    register(function)(handler)


for _function in (math.comb, math.perm, math.factorial):
    _static(_function)


# --- sums of exponentials --------------------------------------------------------------------------------------------


def _shift(a: Any, axis: Any) -> Any:
    """The largest element as a constant, 0 where it is not finite: what is subtracted before exponentials are taken."""
    b = builder()
    most = as_float(lift(handle(np.max, a, axis=axis, keepdims=True)))
    return result(b.stop_gradient(b.select(b.isfinite(most), most, 0.0)))


def _array(x: Any) -> Any:
    """An array of floats; numbers have one axis, as in SciPy."""
    return handle(np.atleast_1d, result(_floats(x)))


@register_name(_MODULE, "logsumexp")
def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """`scipy.special.logsumexp`."""
    if not any_box(a, b):
        return PASS
    x = _array(a)
    if b is not None:
        x = select(apply(np.equal, b, 0), -math.inf, x)
    shift = _shift(x, axis)
    powers = apply(np.exp, apply(np.subtract, x, shift))
    total = handle(np.sum, powers if b is None else apply(np.multiply, b, powers), axis=axis, keepdims=True)
    found = apply(np.add, apply(np.log, apply(np.absolute, total) if return_sign else total), shift)
    sign = apply(np.sign, total)
    if not keepdims:
        found, sign = (handle(np.squeeze, y, axis=axis) for y in (found, sign))
    return (found, sign) if return_sign else found


@register_name(_MODULE, "softmax")
def softmax(x: Any, axis: Any = None) -> Any:
    """`scipy.special.softmax`."""
    if not any_box(x):
        return PASS
    powers = apply(np.exp, apply(np.subtract, x, _shift(x, axis)))
    return apply(np.divide, powers, handle(np.sum, powers, axis=axis, keepdims=True))


@register_name(_MODULE, "log_softmax")
def log_softmax(x: Any, axis: Any = None) -> Any:
    """`scipy.special.log_softmax`."""
    if not any_box(x):
        return PASS
    shifted = apply(np.subtract, x, _shift(x, axis))
    total = handle(np.sum, apply(np.exp, shifted), axis=axis, keepdims=True)
    return apply(np.subtract, shifted, apply(np.log, total))
