"""Traced complex numbers and arrays: a pair of real ones, on which all of the rest of the system works unchanged.

A `Complex` is a container of two boxes, so staging, views and derivatives come from its parts. Operators reach this module
through `OPERATORS["complex"]`, library functions through `table_complex`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wengert.frontend.arrays import Array
from wengert.frontend.boxes import is_box, lift, promote
from wengert.frontend.emit import dtype_from, ensure, fail
from wengert.frontend.registry import OPERATORS, handle, operator_rule
from wengert.frontend.scalars import Operators, Scalar, type_of
from wengert.tree import ComplexParts, register_complex
from wengert.types import F32

Pair = tuple[Any, Any]


class Complex(ComplexParts, Operators):
    """A traced complex number or array.

    Attributes:
        real: the real part: a traced number or array, or a plain one.
        imag: the imaginary part, of the same shape.
    """

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    # --- as an array --------------------------------------------------------------------------------------------

    @property
    def is_array(self) -> bool:
        """Whether it stands for an array."""
        return isinstance(self.real, (Array, np.ndarray)) or isinstance(self.imag, (Array, np.ndarray))

    def __getitem__(self, key: Any) -> Any:
        return join(self.real[key], self.imag[key])

    def __setitem__(self, key: Any, new: Any) -> None:
        real, imag = parts(new)
        self.real[key] = real
        self.imag[key] = imag

    def __len__(self) -> int:
        return len(self.real)

    def __iter__(self) -> Iterator[Any]:
        return map(join, self.real, self.imag)

    def __bool__(self) -> bool:
        return bool(OPERATORS["complex"]("ne", self, 0))

    def __complex__(self) -> complex:
        return complex(float(self.real), float(self.imag))

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return lift(self.real if is_box(self.real) else self.imag)

    def __getattr__(self, name: str) -> Any:
        """The attributes and methods of NumPy's arrays that work part by part, and those that have a function."""
        if name in ("shape", "ndim", "size", "length"):
            return getattr(self.real if is_box(self.real) else self.imag, name)
        if name == "dtype":
            return dtype_of_complex(self)
        if name == "T":
            return join(self.real.T, self.imag.T)
        function = getattr(np, name, None)
        if name in _METHODS and function is not None:
            return lambda *args, **kwargs: OPERATORS["complex call"](function, (self, *args), kwargs)
        raise AttributeError(f"'{'numpy.ndarray' if self.is_array else 'complex'}' object has no attribute {name!r}")

    def reshape(self, *shape: Any) -> Complex:
        """Another shape."""
        return Complex(self.real.reshape(*shape), self.imag.reshape(*shape))

    def copy(self) -> Any:
        """A new array."""
        return Complex(OPERATORS["copy"](self.real), OPERATORS["copy"](self.imag))

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def conjugate(self) -> Any:
        """The complex conjugate."""
        return join(OPERATORS["copy"](self.real), -self.imag)

    conj = conjugate

    def item(self) -> Any:
        """The one element as a Python number."""
        return join(OPERATORS["item"](self.real), OPERATORS["item"](self.imag))

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """Itself as complex; other types would lose the imaginary part."""
        if np.dtype(dtype).kind != "c":
            fail(TypeError, f"a complex array as {np.dtype(dtype)} loses its imaginary part", fix="take .real")
        part = part_dtype(dtype)
        return Complex(*(OPERATORS["astype"](p, part) if is_box(p) else np.asarray(p, part)[()] for p in (self.real, self.imag)))


_METHODS = frozenset("sum mean prod dot ravel transpose squeeze flatten trace cumsum swapaxes diagonal repeat".split())  # noqa: SIM905


def _in_place(name: str) -> Callable[..., Any]:
    def operator(self: Complex, other: Any) -> Any:
        found = OPERATORS["complex"](name, self, other)
        if not self.is_array:
            return found
        self[...] = found
        return self

    return operator


for _name in ("add", "sub", "mul", "truediv", "pow"):
    setattr(Complex, f"__i{_name}__", _in_place(_name))
register_complex(Complex, (Scalar, Array))


# --- parts -----------------------------------------------------------------------------------------------------------


def is_complex(x: Any) -> bool:
    """Whether `x` is a complex number or array, traced or not."""
    if isinstance(x, (Complex, complex, np.complexfloating)):
        return True
    return isinstance(x, np.ndarray) and x.dtype.kind == "c"


def parts(x: Any) -> Pair:
    """The real and the imaginary part; that of a real number or array is zero."""
    if is_complex(x):
        return x.real, x.imag
    if isinstance(x, Array):
        return x, handle(np.zeros_like, x)
    if isinstance(x, np.ndarray):
        return x, np.zeros_like(x)
    return x, 0.0


def join(real: Any, imag: Any) -> Any:
    """The complex number or array with these parts."""
    if is_box(real) or is_box(imag):
        return Complex(real, imag)
    if isinstance(real, np.ndarray) or isinstance(imag, np.ndarray):
        return real + 1j * imag
    return complex(real, imag)


# --- operators -------------------------------------------------------------------------------------------------------


def _add(x: Any, y: Any) -> Any:
    (a, b), (c, d) = parts(x), parts(y)
    return join(a + c, b if _is_zero(d) else d if _is_zero(b) else b + d)


def _subtract(x: Any, y: Any) -> Any:
    (a, b), (c, d) = parts(x), parts(y)
    return join(a - c, b if _is_zero(d) else -d if _is_zero(b) else b - d)


def _is_zero(part: Any) -> bool:
    return isinstance(part, float) and part == 0.0


def _multiply(x: Any, y: Any) -> Any:
    if not is_complex(y):
        return join(x.real * y, x.imag * y)
    if not is_complex(x):
        return join(x * y.real, x * y.imag)
    return join(x.real * y.real - x.imag * y.imag, x.real * y.imag + x.imag * y.real)


def _divide(x: Any, y: Any) -> Any:
    if not is_complex(y):
        return join(x.real / y, x.imag / y)
    size = y.real * y.real + y.imag * y.imag
    if isinstance(size, Scalar) and not size.numpy:
        ensure(lift(size != 0.0), "ZeroDivisionError", "complex division by zero")
    a, b = parts(x)
    return join((a * y.real + b * y.imag) / size, (b * y.real - a * y.imag) / size)


def _power(x: Any, y: Any) -> Any:
    """`x ** y`: products for small whole exponents, else the exponential of the logarithm."""
    if isinstance(y, (int, np.integer)) and not isinstance(y, bool) and abs(int(y)) <= _MOST_FACTORS:
        found: Any = 1.0
        base = x
        left = abs(int(y))
        while left:
            found = base * found if left & 1 else found
            base = base * base if left > 1 else base
            left >>= 1
        return 1.0 / found if y < 0 else found
    call = OPERATORS["complex call"]
    return call(np.exp, (y * call(np.log, (x if isinstance(x, Complex) else Complex(*parts(x)),), {}),), {})


def _matmul(x: Any, y: Any) -> Any:
    if not is_complex(y):
        return join(x.real @ y, x.imag @ y)
    if not is_complex(x):
        return join(x @ y.real, x @ y.imag)
    return join(x.real @ y.real - x.imag @ y.imag, x.real @ y.imag + x.imag @ y.real)


def _equal(x: Any, y: Any) -> Any:
    (a, b), (c, d) = parts(x), parts(y)
    return handle(np.logical_and, a == c, b == d) if is_box(a == c) or is_box(b == d) else (a == c) and (b == d)


def _not_equal(x: Any, y: Any) -> Any:
    same = _equal(x, y)
    return handle(np.logical_not, same) if is_box(same) else not same


def _modulus(x: Any) -> Any:
    function = np.hypot if is_numpy(x) else math.hypot
    return handle(function, x.real, x.imag) if is_box(x.real) or is_box(x.imag) else function(x.real, x.imag)


_MOST_FACTORS = 64
_RULES: dict[str, Callable[..., Any]] = {
    "add": _add,
    "sub": _subtract,
    "mul": _multiply,
    "truediv": _divide,
    "pow": _power,
    "matmul": _matmul,
    "eq": _equal,
    "ne": _not_equal,
    "abs": _modulus,
    "neg": lambda x: join(-x.real, -x.imag),
    "pos": lambda x: join(+x.real, +x.imag),
}


@operator_rule("complex")
def operate(name: str, *operands: Any) -> Any:
    """The operator `name` on operands of which at least one is complex and one is traced."""
    rule = _RULES.get(name)
    if rule is None:
        fail(TypeError, f"the operator {name!r} is not defined for complex numbers")
    return rule(*operands)


def is_numpy(x: Any) -> bool:
    """Whether a complex number is NumPy's rather than Python's, or an array."""
    return any(isinstance(p, (Array, np.ndarray, np.generic)) or (isinstance(p, Scalar) and p.numpy) for p in (x.real, x.imag))


def type_of_complex(x: Complex) -> type:
    """The class that a traced complex number stands for."""
    if x.is_array:
        return np.ndarray
    kinds = [type_of(p) if isinstance(p, Scalar) else type(p) for p in (x.real, x.imag)]
    return dtype_of_complex(x).type if any(issubclass(k, np.generic) for k in kinds) else complex


def dtype_of_complex(x: Complex) -> np.dtype[Any]:
    """The dtype that a traced complex number or array has in NumPy."""
    return np.dtype(np.complex64 if promote(x.real, x.imag) == F32 else np.complex128)


def part_dtype(spec: Any) -> np.dtype[Any]:
    """The dtype of the parts of complex numbers of a dtype; `complex256` is refused."""
    found = np.dtype(spec)
    if found not in (np.complex64, np.complex128):
        dtype_from(found)
    return np.dtype(np.float32 if found == np.complex64 else np.float64)
