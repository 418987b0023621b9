"""What the operators of boxes do: Python's arithmetic between Python numbers, NumPy's as soon as one side is NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.frontend import python_numbers as python
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import box, dtype_of, is_operand, is_python_number, lift, type_name
from wengert.frontend.elementwise import apply
from wengert.frontend.emit import fail, unsupported
from wengert.frontend.python_numbers import compare, to_int
from wengert.frontend.registry import OPERATORS, handle
from wengert.frontend.scalars import Scalar
from wengert.ir.core import Value
from wengert.types import I64

Rule = Callable[..., Any]


def _takes(x: Any, other: Any) -> bool:
    """Whether operators take `x` beside `other`: lists count as arrays only beside NumPy values."""
    return is_operand(x) or (isinstance(x, list | tuple) and not is_python_number(other))


def _binary(name: str, ufunc: Any, python_rule: Rule) -> None:
    def operator(x: Any, y: Any) -> Any:
        if isinstance(x, complex | np.complexfloating) or isinstance(y, complex | np.complexfloating):
            unsupported("complex numbers are not supported", "compute with real and imaginary parts as two real numbers")
        if not (_takes(x, y) and _takes(y, x)):
            return NotImplemented
        if is_python_number(x) and is_python_number(y):
            return python_rule(x, y)
        return apply(ufunc, x, y)

    OPERATORS[name] = operator


def _unary(name: str, ufunc: Any, python_rule: Rule) -> None:
    OPERATORS[name] = lambda x: python_rule(x) if is_python_number(x) else apply(ufunc, x)


def _compare(name: str, ufunc: Any) -> None:
    python_rule = compare(name)

    def operator(x: Any, y: Any) -> Any:
        if not (_takes(x, y) and _takes(y, x)):
            return NotImplemented
        if isinstance(x, Scalar) and not isinstance(y, Array | np.ndarray | list | tuple):
            return _as_flavour(python_rule(x, y), x, y)
        return apply(ufunc, x, y)

    OPERATORS[name] = operator


def _as_flavour(found: Any, x: Any, y: Any) -> Any:
    """A truth value as Python's or NumPy's bool, by what was compared."""
    if is_python_number(x) and is_python_number(y):
        return found
    return Scalar(found.value, numpy=True) if isinstance(found, Scalar) else np.bool_(found)


def _matmul(x: Any, y: Any) -> Any:
    if is_python_number(x) and is_python_number(y):
        fail(TypeError, f"unsupported operand type(s) for @: '{type_name(x)}' and '{type_name(y)}'")
    return handle(np.matmul, x, y)


def _divmod(x: Any, y: Any) -> Any:
    if not (_takes(x, y) and _takes(y, x)):
        return NotImplemented
    if is_python_number(x) and is_python_number(y):
        return python.divide_both(x, y)
    return apply(np.floor_divide, x, y), apply(np.remainder, x, y)


def _positive(x: Any) -> Any:
    return python.positive(x) if is_python_number(x) else apply(np.positive, x)


def _rounding(name: str) -> Rule:
    """`math.floor`, `math.ceil`: a Python int."""

    def rule(x: Any) -> Any:
        value = lift(x)
        if not value.is_float:
            return box(to_int(value))
        rounded: Value = apply(getattr(np, name), x).value
        return box(to_int(rounded))

    return rule


def item(x: Any) -> Any:
    """`x.item()`: the one element as a Python number."""
    if isinstance(x, Array):
        if any(d != 1 for d in x.dims):
            fail(ValueError, "can only convert an array of size 1 to a Python scalar")
        return box(x[(0,) * x.ndim].value if x.dims else x.value)
    return box(x.value) if isinstance(x, Scalar) else x.item() if isinstance(x, np.generic) else x


def copy(x: Any) -> Any:
    """`copy.copy(x)`: a new array, or the number itself."""
    return Array(x.value) if isinstance(x, Array) else x


def stop_gradient_of(x: Any) -> Any:
    """The box `x` with derivative zero; other leaves are returned as they are."""
    if isinstance(x, Array):
        return Array(_stopped(x.value))
    if isinstance(x, Scalar) and dtype_of(x) != I64:
        return Scalar(_stopped(x.value), x.numpy)
    return x


def _stopped(value: Value) -> Value:
    return python.builder().stop_gradient(value)  # type: ignore[no-any-return]


def _fill() -> None:
    for name, ufunc in (("add", np.add), ("sub", np.subtract), ("mul", np.multiply)):
        _binary(name, ufunc, python.ring(name))
    for name, ufunc in (("truediv", np.divide), ("floordiv", np.floor_divide), ("mod", np.remainder)):
        _binary(name, ufunc, python.divide(name))
    for name, ufunc in (("and", np.bitwise_and), ("or", np.bitwise_or), ("xor", np.bitwise_xor)):
        _binary(name, ufunc, python.bits(name))
    _binary("pow", np.power, python.power)
    _binary("lshift", np.left_shift, python.shift("shl", "<<"))
    _binary("rshift", np.right_shift, python.shift("shr", ">>"))
    for name, ufunc in (("lt", np.less), ("le", np.less_equal), ("gt", np.greater), ("ge", np.greater_equal)):
        _compare(name, ufunc)
    _compare("eq", np.equal)
    _compare("ne", np.not_equal)
    _unary("neg", np.negative, python.negative)
    _unary("abs", np.absolute, python.absolute)
    _unary("invert", np.invert, python.invert)
    OPERATORS.update(
        pos=_positive, matmul=_matmul, divmod=_divmod, item=item, copy=copy, floor=_rounding("floor"), ceil=_rounding("ceil")
    )


_fill()
