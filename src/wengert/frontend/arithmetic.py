"""What the operators of boxes do: Python's arithmetic between Python numbers, NumPy's as soon as one side is NumPy's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.frontend import python_numbers as python
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import box, dtype_of, is_operand, is_python_number, lift, type_name
from wengert.frontend.broadcasting import assume
from wengert.frontend.complexes import is_complex
from wengert.frontend.context import current
from wengert.frontend.elementwise import apply
from wengert.frontend.emit import builder, fail, to_dtype
from wengert.frontend.python_numbers import compare, to_int
from wengert.frontend.registry import OPERATORS, handle
from wengert.frontend.scalars import Kinds, Scalar, kinds_of, type_of
from wengert.frontend.views import Expand
from wengert.ir.core import Value
from wengert.ir.op import OpDef, get_op
from wengert.ops import elementwise as _ops  # noqa: F401 - fills the registry
from wengert.types import F64, F64_SCALAR, I64

Rule = Callable[..., Any]

_EXACT = 2**53
"""Whole numbers up to here are floats."""
_SHORT = {"add": "add", "sub": "sub", "mul": "mul", "truediv": "div"}


def _takes(x: Any, other: Any) -> bool:
    """Whether operators take `x` beside `other`: lists count as arrays only beside NumPy values."""
    return is_operand(x) or (isinstance(x, (list, tuple)) and not is_python_number(other))


def _float_value(x: Any) -> Value | None:
    """The value of a traced float, or of a static number beside one."""
    kind = type(x)
    if kind is Scalar:
        value: Value = x.value
        return value if value.type is F64_SCALAR or value.type == F64_SCALAR else None
    return builder().const(float(x)) if kind is float or kind is int or kind is np.float64 else None


def _is_numpy(x: Any) -> bool:
    return x.numpy if type(x) is Scalar else type(x) is np.float64


def _short_cut(op: OpDef, x: Any, y: Any) -> Value | None:
    """The op on two floats, at least one of them traced: what scalar loops consist of."""
    left = _float_value(x)
    right = None if left is None else _float_value(y)
    return None if left is None or right is None else builder().emit(op, (left, right))[0]


def _array_short_cut(op: OpDef, x: Any, y: Any) -> Array | None:
    """The op on two arrays of floats of one shape, or on one and a float: what array code consists of."""
    left, right = _float_array(x), _float_array(y)
    if left is not None and right is not None:
        if left.dims != right.dims:
            return None
    elif left is not None:
        number = _number_beside(y)
        right = None if number is None else builder().broadcast_to(number, left.dims, ())
    elif right is not None:
        number = _number_beside(x)
        left = None if number is None else builder().broadcast_to(number, right.dims, ())
    return None if left is None or right is None else Array(builder().emit(op, (left, right))[0])


def _float_array(x: Any) -> Value | None:
    """The value of an array of f64 of rank 1 or more, all of whose axes it has; sizes that are known by now are numbers."""
    if type(x) is not Array or type(x.step) is Expand or x.element is not F64 or not x.dims:
        return None
    value, numbers = x.value, current().numbers
    if not numbers or all([type(d) is int for d in value.dims]):
        return value
    return assume(value, tuple([d if type(d) is int else numbers.get(d, d) for d in value.dims]))


def _number_beside(x: Any) -> Value | None:
    """The value of a number that is a float beside an array of f64."""
    return None if type(x) is int and abs(x) > _EXACT else _float_value(x)


def _binary(name: str, ufunc: Any, python_rule: Rule) -> None:
    op = get_op(_SHORT[name]) if name in _SHORT else None
    may_raise = name == "truediv"

    def operator(x: Any, y: Any) -> Any:
        if (type(x) is Scalar and x.kinds) or (type(y) is Scalar and y.kinds):
            return _of_any_kind(operator, name, x, y)
        if op is not None:
            numpy = _is_numpy(x) or _is_numpy(y)
            found = None if may_raise and not numpy and not (type(y) is float and y) else _short_cut(op, x, y)
            if found is not None:
                return Scalar(found, numpy)
            array = _array_short_cut(op, x, y)
            if array is not None:
                return array
        if is_complex(x) or is_complex(y):
            return OPERATORS["complex"](name, x, y)
        if not (_takes(x, y) and _takes(y, x)):
            return NotImplemented
        if is_python_number(x) and is_python_number(y):
            return python_rule(x, y)
        return apply(ufunc, x, y)

    OPERATORS[name] = operator


def _of_any_kind(rule: Rule, name: str, x: Any, y: Any) -> Any:
    """An operator on numbers of which the class is not sure: nor is that of the result."""
    first, second = kinds_of(x), kinds_of(y)
    found = rule(_of_its_type(x), _of_its_type(y))
    if type(found) is not Scalar:
        return found
    kinds = {_result(name, a, b) for a in first for b in second} | ({type_of(found)} if name == "pow" else set())
    return Scalar(found.value, found.numpy, _joined(kinds, found))


def _of_its_type(x: Any) -> Any:
    return Scalar(x.value, x.numpy) if type(x) is Scalar else x


def _result(name: str, a: type, b: type) -> type:
    """The class of what an operator gives for numbers of two classes."""
    numpy = issubclass(a, np.generic) or issubclass(b, np.generic)
    if name in ("and", "or", "xor") and all(issubclass(kind, bool | np.bool_) for kind in (a, b)):
        return np.bool_ if numpy else bool
    if all(issubclass(kind, bool | int | np.bool_ | np.integer) for kind in (a, b)) and name != "truediv":
        return np.int64 if numpy else int
    single = np.float32 in (a, b) and not any(issubclass(kind, np.float64 | np.integer) for kind in (a, b))
    return np.float32 if single else np.float64 if numpy else float


def _joined(kinds: set[type], found: Scalar) -> Kinds:
    return frozenset(kinds) if kinds != {type_of(found)} else None


def _unary(name: str, ufunc: Any, python_rule: Rule) -> None:
    def operator(x: Any) -> Any:
        if type(x) is Scalar and x.kinds:
            found = operator(_of_its_type(x))
            return Scalar(found.value, found.numpy, _joined({_result(name, k, k) for k in x.kinds}, found))
        if is_complex(x):
            return OPERATORS["complex"](name, x)
        return python_rule(x) if is_python_number(x) else apply(ufunc, x)

    OPERATORS[name] = operator


def _compare(name: str, ufunc: Any) -> None:
    python_rule = compare(name)
    op = get_op(name)

    def operator(x: Any, y: Any) -> Any:
        found = _short_cut(op, x, y)
        if found is not None:
            return box(found, _is_numpy(x) or _is_numpy(y))
        if is_complex(x) or is_complex(y):
            return OPERATORS["complex"](name, x, y)
        if (x is None or y is None) and name in ("eq", "ne"):
            other = y if x is None else x
            return Array(builder().full(other.dims, name == "ne")) if isinstance(other, Array) else NotImplemented
        if not (_takes(x, y) and _takes(y, x)):
            return NotImplemented
        if isinstance(x, Scalar) and not isinstance(y, (Array, np.ndarray, list, tuple)):
            return _as_flavour(python_rule(x, y), x, y)
        return apply(ufunc, x, y)

    OPERATORS[name] = operator


def _as_flavour(found: Any, x: Any, y: Any) -> Any:
    """A truth value as Python's or NumPy's bool, by what was compared."""
    if is_python_number(x) and is_python_number(y):
        return found
    return Scalar(found.value, numpy=True) if isinstance(found, Scalar) else np.bool_(found)


def _matmul(x: Any, y: Any) -> Any:
    if is_complex(x) or is_complex(y):
        return OPERATORS["complex"]("matmul", x, y)
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
    if is_complex(x):
        return OPERATORS["complex"]("pos", x)
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
        return _as_python(x[(0,) * x.ndim].value if x.dims else x.value)
    return _as_python(x.value) if isinstance(x, Scalar) else x.item() if isinstance(x, np.generic) else x


def _as_python(value: Value) -> Any:
    return box(to_dtype(value, F64) if value.is_float else value)


def _accepts_one_element() -> bool:
    """Whether this NumPy converts arrays of rank 1 with one element to numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            float(np.ones(1))
        except TypeError:
            return False
    return True


_ONE_ELEMENT = _accepts_one_element()


def as_number(x: Any) -> Any:
    """What `float(x)` looks at: the element of an array of rank 0 (or, in older NumPy, of one element), or the number itself.

    Raises:
        TypeError: an array of other size.
    """
    if not isinstance(x, Array):
        return x
    if x.dims and not (_ONE_ELEMENT and all(d == 1 for d in x.dims)):
        fail(TypeError, f"only {'length-1' if _ONE_ELEMENT else '0-dimensional'} arrays can be converted to Python scalars")
    return item(x)


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
    return builder().stop_gradient(value)


def _fill() -> None:
    name: str
    ufunc: Any
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
        pos=_positive,
        matmul=_matmul,
        divmod=_divmod,
        item=item,
        copy=copy,
        number=as_number,
        floor=_rounding("floor"),
        ceil=_rounding("ceil"),
    )


_fill()
