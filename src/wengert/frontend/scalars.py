"""Traced scalars: what stands for a Python or NumPy number while a program is traced.

A `Scalar` follows the number it stands for: a Python float raises ZeroDivisionError where a NumPy float gives inf, and has no
`.shape`. What the operators do is in `arithmetic`, reached through the registry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

import numpy as np

from wengert.errors import GradientCutError
from wengert.frontend.context import NeedsPythonValue, current, is_tracing
from wengert.frontend.emit import unsupported
from wengert.frontend.registry import HANDLERS, OPERATORS, handle
from wengert.ir.core import Value
from wengert.tree import register_leaf
from wengert.types import BOOL, F32, I64, I64_SCALAR, DType, describe_type


def _forward(name: str) -> Callable[..., Any]:
    def operator(self: Any, other: Any) -> Any:
        return OPERATORS[name](self, other)

    return operator


def _reflected(name: str) -> Callable[..., Any]:
    def operator(self: Any, other: Any) -> Any:
        return OPERATORS[name](other, self)

    return operator


class Operators:
    """The operators and protocols that all boxes share."""

    __slots__ = ()
    __array_priority__ = 1000.0

    __add__, __radd__ = _forward("add"), _reflected("add")
    __sub__, __rsub__ = _forward("sub"), _reflected("sub")
    __mul__, __rmul__ = _forward("mul"), _reflected("mul")
    __truediv__, __rtruediv__ = _forward("truediv"), _reflected("truediv")
    __floordiv__, __rfloordiv__ = _forward("floordiv"), _reflected("floordiv")
    __mod__, __rmod__ = _forward("mod"), _reflected("mod")
    __divmod__, __rdivmod__ = _forward("divmod"), _reflected("divmod")
    __matmul__, __rmatmul__ = _forward("matmul"), _reflected("matmul")
    __and__, __rand__ = _forward("and"), _reflected("and")
    __or__, __ror__ = _forward("or"), _reflected("or")
    __xor__, __rxor__ = _forward("xor"), _reflected("xor")
    __lshift__, __rlshift__ = _forward("lshift"), _reflected("lshift")
    __rshift__, __rrshift__ = _forward("rshift"), _reflected("rshift")
    __lt__, __le__, __gt__, __ge__ = _forward("lt"), _forward("le"), _forward("gt"), _forward("ge")
    __eq__, __ne__ = _forward("eq"), _forward("ne")
    __rpow__ = _reflected("pow")

    def __pow__(self, exponent: Any, modulus: Any = None) -> Any:
        if modulus is not None:
            unsupported("pow with a modulus is not supported for traced numbers", fix="write `x ** y % m`")
        return OPERATORS["pow"](self, exponent)

    def __neg__(self) -> Any:
        return OPERATORS["neg"](self)

    def __pos__(self) -> Any:
        return OPERATORS["pos"](self)

    def __abs__(self) -> Any:
        return OPERATORS["abs"](self)

    def __invert__(self) -> Any:
        return OPERATORS["invert"](self)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return OPERATORS["ufunc"](ufunc, method, *inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        handler = HANDLERS.get(function)
        if handler is None:
            name = f"{getattr(function, '__module__', 'numpy')}.{getattr(function, '__name__', function)}"
            unsupported(f"{name} is not supported on traced values yet", fix="write it with other NumPy functions")
        return handler(*args, **kwargs)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(_plain(self, "C code that needs a NumPy array"), dtype)

    def __deepcopy__(self, memo: Any) -> Any:
        return OPERATORS["copy"](self)

    def __copy__(self) -> Any:
        return OPERATORS["copy"](self)


def _plain(box: Any, reason: str) -> Any:
    """The run-time value of `box`: in eager mode, and if it depends on no input; else a request to retrace, or an error."""
    trace = current()
    if not trace.eager:
        raise NeedsPythonValue(box.value, reason, trace.span)
    if not trace.depends_on_input(box.value):
        return trace.known(box.value)
    raise GradientCutError(
        f"a traced {describe_type(box.value.type)} would be turned into a plain number here, and its gradient lost",
        trace.span,
        fix="wrap it in wg.stop_gradient(...) if no gradient is wanted, or use a function wengert knows",
    )


Kinds: TypeAlias = frozenset[type] | None


@register_leaf
class Scalar(Operators):
    """A traced number; immutable.

    Attributes:
        value: the IR value, of rank 0.
        numpy: whether it stands for a NumPy scalar (`np.float64`) rather than a Python number (`float`).
        kinds: the classes of the numbers that it may stand for, where it is not sure which: what branches have left.
    """

    __slots__ = ("kinds", "numpy", "value")

    def __init__(self, value: Value, numpy: bool = False, kinds: Kinds = None) -> None:
        self.value = value
        self.kinds = kinds
        # Python has no number of 32 bits.
        self.numpy = numpy or value.type.dtype is F32  # type: ignore[union-attr]

    # --- what Python asks numbers for ---------------------------------------------------------------------------

    def __bool__(self) -> bool:
        return bool(self._known("a truth value that Python must know"))

    def __index__(self) -> int:
        if self.value.tensor.dtype != I64:
            raise TypeError(f"'{type_of(self).__name__}' object cannot be interpreted as an integer")
        return int(self._known("an integer that Python must know"))

    def __int__(self) -> int:
        return int(self._known("int() of a traced number"))

    def __float__(self) -> float:
        return float(_plain(self, "float() of a traced number outside of converted code"))

    def __hash__(self) -> int:
        return hash(self._known("a dictionary key or set element"))

    def __complex__(self) -> NoReturn:
        unsupported("complex numbers are not supported")

    def _known(self, reason: str) -> Any:
        """The Python value: in eager mode only."""
        trace = current()
        if trace.eager:
            return trace.known(self.value)
        settled = trace.settle(self.value.affine) if self.value.type == I64_SCALAR else None
        if settled is None:
            raise NeedsPythonValue(self.value, reason, trace.span)
        return settled

    def __round__(self, ndigits: Any = None) -> Any:
        return handle(round, self, ndigits)

    def __trunc__(self) -> Any:
        return handle(int, self)

    def __floor__(self) -> Any:
        return OPERATORS["floor"](self)

    def __ceil__(self) -> Any:
        return OPERATORS["ceil"](self)

    def __format__(self, spec: str) -> str:
        return format(type_of(self)(self._known("a number formatted outside of converted code")), spec)

    def __repr__(self) -> str:
        """The number where it is known, else its type."""
        if is_tracing() and current().eager:
            return repr(type_of(self)(current().known(self.value)))
        return f"<traced {type_of(self).__name__} {self.value.type}>"

    def __str__(self) -> str:
        if is_tracing() and current().eager:
            return str(type_of(self)(current().known(self.value)))
        return repr(self)

    # --- what both Python's and NumPy's numbers have ------------------------------------------------------------

    @property
    def real(self) -> Scalar:
        """The number itself."""
        return self

    @property
    def imag(self) -> Any:
        """Zero, of the same type."""
        return type_of(self)(0)

    def conjugate(self) -> Scalar:
        """The number itself."""
        return self

    def is_integer(self) -> Any:
        """Whether the number is a whole number."""
        return handle(float.is_integer, self)

    def __getattr__(self, name: str) -> Any:
        """Attributes that NumPy scalars have and Python numbers do not."""
        if self.numpy and is_tracing():
            if name in _CONSTANT_ATTRIBUTES:
                return _CONSTANT_ATTRIBUTES[name]
            if name in _METHODS:
                return lambda *args, **kwargs: handle(_METHODS[name], self, *args, **kwargs)
            if name in _SPECIAL:
                return _SPECIAL[name](self)
            if hasattr(np.float64, name) and not name.startswith("__"):
                unsupported(f"attribute {name!r} of a traced NumPy scalar is not supported")
        raise AttributeError(f"'{type_of(self).__name__}' object has no attribute {name!r}")


_CONSTANT_ATTRIBUTES: dict[str, Any] = {"shape": (), "ndim": 0, "size": 1}
_METHODS: dict[str, Any] = {
    name: getattr(np, name)
    for name in "sum mean max min prod round clip all any std var cumsum ravel reshape squeeze".split()  # noqa: SIM905
}
_SPECIAL: dict[str, Callable[[Scalar], Any]] = {
    "dtype": lambda s: s.value.tensor.dtype.numpy,
    "itemsize": lambda s: s.value.tensor.dtype.itemsize,
    "nbytes": lambda s: s.value.tensor.dtype.itemsize,
    "T": lambda s: s,
    "item": lambda s: lambda *args: OPERATORS["item"](s),
    "tolist": lambda s: lambda: OPERATORS["item"](s),
    "astype": lambda s: lambda dtype, *args, **kwargs: OPERATORS["astype"](s, dtype),
    "copy": lambda s: lambda *args: s,
}

_PYTHON: dict[DType, type] = {BOOL: bool, I64: int}
_NUMPY: dict[DType, type] = {BOOL: np.bool_, I64: np.int64, F32: np.float32}


def type_of(scalar: Scalar) -> type:
    """The class of the number that `scalar` stands for: `float`, `np.float64`, ..."""
    return class_of(scalar.value.tensor.dtype, scalar.numpy)


def class_of(dtype: DType, numpy: bool) -> type:
    """The class of numbers of a dtype, NumPy's or Python's."""
    return _NUMPY.get(dtype, np.float64) if numpy else _PYTHON.get(dtype, float)


def kinds_of(number: Any) -> frozenset[type]:
    """The classes that a number, static or traced, may be of."""
    if type(number) is Scalar:
        return number.kinds or frozenset((type_of(number),))
    return frozenset((type(number),))


def box_scalar(value: Value, numpy: bool = False) -> Any:
    """A rank-0 value as a number: a plain Python or NumPy one where its value is static or, for ints and bools, known."""
    dtype = value.tensor.dtype
    if dtype.is_float:
        return Scalar(value, numpy)
    kinds = _NUMPY if numpy else _PYTHON
    if dtype == I64 and isinstance(value.affine, int):
        return kinds[dtype](value.affine)
    trace = current()
    if trace.eager:
        return kinds[dtype](trace.known(value))
    return Scalar(value, numpy)
