"""Functions of NumPy, `math`, `cmath` and builtins where an argument is complex and one is traced.

Formulas of the elementary functions: M. Abramowitz and I. A. Stegun, *Handbook of Mathematical Functions*, sections 3.7,
4.2 to 4.6. Branch cuts are those of Python's `cmath`. Functions that only move elements, and linear ones, act part by part.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.frontend.boxes import any_box, dtype_of, is_box, is_number, is_python_number
from wengert.frontend.complexes import Complex, is_complex, is_numpy, join, part_dtype, parts, type_of_complex
from wengert.frontend.emit import fail, unsupported
from wengert.frontend.registry import HANDLERS, OPERATORS, PASS, handle, operator_rule
from wengert.frontend.scalars import Scalar
from wengert.types import F32

Function = Callable[..., Any]
_LONG = 64
_KINDS = (type(cmath.exp), type(np.exp), type, type(np.dot), type(np.array), type(np.where), type(np.angle))


def involves_complex(args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether a complex value or the type `complex` is among the arguments, or in the lists among them."""
    return any(_involves(a) for a in args) or any(_involves(a) for a in kwargs.values())


def _involves(x: Any) -> bool:
    if isinstance(x, (list, tuple)):
        return any(_involves(item) for item in (x if len(x) < _LONG else (x[0], x[-1])))
    return is_complex(x) or _is_kind(x)


def _is_kind(x: Any) -> bool:
    """Whether an argument says that numbers are complex: a class or a dtype."""
    return x is complex or x is np.complex128 or x is np.complex64 or (isinstance(x, np.dtype) and x.kind == "c")


@operator_rule("complex call")
def call_complex(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result of a library function of which an argument is complex, or PASS if the real function should be called."""
    if function is complex:
        return join(*_sum_of_parts(*args, **kwargs)) if any_box(args) or any(isinstance(a, Complex) for a in args) else PASS
    rule = _RULES.get(function)
    if rule is not None and (any_box(args) or _any_traced(args)):
        return rule(*args, **kwargs)
    if function in _ALLOCATE and any(map(_is_kind, (*args, *kwargs.values()))):
        return _allocate(function, args, kwargs)
    if not _any_traced(args) and not _any_traced(tuple(kwargs.values())):
        return PASS
    if function in _BY_PARTS:
        return _by_parts(function, args, kwargs)
    if function not in HANDLERS:
        return PASS
    name = f"{getattr(function, '__module__', None) or 'numpy'}.{getattr(function, '__name__', function)}"
    unsupported(f"{name} of complex numbers is not supported", fix="compute with real and imaginary parts")


def _any_traced(args: Sequence[Any]) -> bool:
    return any(isinstance(a, Complex) or is_box(a) or (isinstance(a, (list, tuple)) and _any_traced(a)) for a in args)


def _sum_of_parts(real: Any = 0.0, imag: Any = 0.0) -> tuple[Any, Any]:
    """The parts of `complex(real, imag)`, which may themselves be complex."""
    (a, b), (c, d) = parts(real), parts(imag)
    found = (a - d if is_complex(imag) else a * 1.0), (b + c if is_complex(real) else c * 1.0)
    return _as_python(found[0]), _as_python(found[1])


def _as_python(x: Any) -> Any:
    """A float32 as a Python number, which has 64 bits."""
    return OPERATORS["item"](x) if isinstance(x, (Scalar, np.float32)) and dtype_of(x) == F32 else x


# --- part by part ----------------------------------------------------------------------------------------------------

_BY_PARTS: frozenset[Any] = frozenset(
    {
        *(np.sum, np.mean, np.cumsum, np.reshape, np.ravel, np.transpose, np.squeeze, np.expand_dims, np.concatenate, np.stack),
        *(np.hstack, np.vstack, np.column_stack, np.flip, np.roll, np.tile, np.repeat, np.diag, np.diagonal, np.trace),
        *(np.swapaxes, np.moveaxis, np.broadcast_to, np.array, np.asarray, np.copy, np.take, np.diff, np.atleast_1d),
        *(np.atleast_2d, np.tril, np.triu, np.zeros_like, np.empty_like, sum, np.append, np.round, np.nan_to_num),
    }
)
# Arguments behind the first that are numbers of the same kind.
_NUMBERS = frozenset({"values", "initial", "prepend", "append"})
_NUMBERS_BY_PLACE: dict[Any, tuple[int, ...]] = {np.append: (1,), np.diff: (3, 4), np.sum: (5,)}
_CREATORS: list[Any] = [np.zeros, np.ones, np.empty, np.full, np.eye, np.identity, np.array, np.asarray, np.zeros_like]
_ALLOCATE = frozenset(_CREATORS)


def _part(x: Any, k: int) -> Any:
    if isinstance(x, (list, tuple)):
        return type(x)([_part(item, k) for item in x])
    if is_complex(x):
        return parts(x)[k]
    is_value = is_box(x) or isinstance(x, (float, np.ndarray))
    return parts(x)[k] if is_value else x


def _value_part(x: Any, k: int) -> Any:
    """The real or the imaginary part of a number, which may be a whole one, or of a list of numbers."""
    if isinstance(x, list | tuple):
        return type(x)([_value_part(item, k) for item in x])
    return (x if k == 0 else 0) if isinstance(x, int | np.integer) else _part(x, k)


def _by_parts(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The function on the real parts and on the imaginary parts of its first argument."""
    found = []
    for k in (0, 1):
        given = [_part(args[0], k), *args[1:]]
        for place in _NUMBERS_BY_PLACE.get(function, ()):
            given[place:] = [_value_part(a, k) for a in given[place : place + 1]] + given[place + 1 :]
        options = {n: _value_part(v, k) if n in _NUMBERS else v for n, v in kwargs.items() if n != "dtype"}
        handler = HANDLERS.get(function)
        new = handler(*given, **options) if handler is not None else PASS
        found.append(function(*given, **options) if new is PASS else new)
    whole, kind = join(*found), kwargs.get("dtype")
    return whole if kind is None or not isinstance(whole, Complex) else whole.astype(kind)


def _allocate(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A new complex array."""
    plain = tuple(a for a in args if not _is_kind(a))
    options = {k: v for k, v in kwargs.items() if k != "dtype"}
    kind = next(filter(_is_kind, (*args, *kwargs.values())))
    if any(is_complex(a) or isinstance(a, (list, tuple)) for a in plain[:1]) and function in (np.array, np.asarray):
        return _by_parts(function, plain, {**options, "dtype": kind})
    part = part_dtype(kind)
    real = handle(function, *plain, **options)
    real = OPERATORS["astype"](np.asarray(plain[0], part) if real is PASS else real, part)
    return join(real, handle(np.zeros_like, real))


# --- elementary functions --------------------------------------------------------------------------------------------


class _Real:
    """The real functions to compute with: NumPy's, or `math`'s for Python numbers."""

    def __init__(self, z: Any) -> None:
        self.numpy = is_numpy(z)

    def __getattr__(self, name: str) -> Function:
        python = _PYTHON_NAMES.get(name, name)
        function = getattr(np, name) if self.numpy else getattr(math, python)

        def call(*args: Any) -> Any:
            found = handle(function, *args) if any_box(args) else PASS
            return function(*args) if found is PASS else found

        return call


_PYTHON_NAMES = {"arctan2": "atan2"}


def exp(z: Any) -> Any:
    """The exponential: `exp(x) (cos y + i sin y)`."""
    f = _Real(z)
    size = f.exp(z.real)
    return join(size * f.cos(z.imag), size * f.sin(z.imag))


def log(z: Any, *base: Any) -> Any:
    """The principal logarithm."""
    f = _Real(z)
    found = join(f.log(f.hypot(z.real, z.imag)), f.arctan2(z.imag, z.real))
    return found / log(_as_complex(base[0])) if base else found


def sqrt(z: Any) -> Any:
    """The principal square root, without cancellation: from the modulus, in the form that suits the sign of the real part."""
    f = _Real(z)
    size = f.hypot(z.real, z.imag)
    large = f.sqrt(0.5 * (size + abs(z.real)))
    safe = _where(large > 0.0, large, 1.0)
    small = 0.5 * abs(z.imag) / safe
    sign = f.copysign(1.0, z.imag)
    positive = z.real >= 0.0
    return join(_where(positive, large, small), _where(positive, small * sign, large * sign))


def _where(condition: Any, a: Any, b: Any) -> Any:
    if not is_box(condition) and not isinstance(condition, np.ndarray):
        return a if condition else b
    found = handle(np.where, condition, a, b)
    is_python = is_number(condition) and is_python_number(a) and is_python_number(b)
    return OPERATORS["item"](found) if is_python else found


def sin(z: Any) -> Any:
    """The sine."""
    f = _Real(z)
    return join(f.sin(z.real) * f.cosh(z.imag), f.cos(z.real) * f.sinh(z.imag))


def cos(z: Any) -> Any:
    """The cosine."""
    f = _Real(z)
    return join(f.cos(z.real) * f.cosh(z.imag), -(f.sin(z.real) * f.sinh(z.imag)))


def sinh(z: Any) -> Any:
    """The hyperbolic sine."""
    f = _Real(z)
    return join(f.sinh(z.real) * f.cos(z.imag), f.cosh(z.real) * f.sin(z.imag))


def cosh(z: Any) -> Any:
    """The hyperbolic cosine."""
    f = _Real(z)
    return join(f.cosh(z.real) * f.cos(z.imag), f.sinh(z.real) * f.sin(z.imag))


def tanh(z: Any) -> Any:
    """The hyperbolic tangent, in a form that does not overflow: with `t = tanh x`, `s = tan y`."""
    f = _Real(z)
    t, c, s = f.tanh(z.real), f.cos(z.imag), f.sin(z.imag)
    size = c * c + t * t * s * s
    return join(t / size, s * c * (1.0 - t * t) / size)


def tan(z: Any) -> Any:
    """The tangent: `-i tanh(i z)`."""
    found = tanh(join(-z.imag, z.real))
    return join(found.imag, -found.real)


def angle(z: Any, deg: bool = False) -> Any:
    """The argument, in (-pi, pi]."""
    found = _Real(z).arctan2(z.imag, z.real)
    return found * (180.0 / math.pi) if deg else found


def polar(z: Any) -> tuple[Any, Any]:
    """Modulus and argument."""
    return abs(z), angle(z)


def rect(r: Any, phi: Any) -> Any:
    """The number of this modulus and argument."""
    return join(r * handle(math.cos, phi), r * handle(math.sin, phi)) if is_box(phi) else r * cmath.rect(1.0, phi)


def prod(z: Any, axis: int | None = None) -> Any:
    """The product along an axis."""
    items = z.ravel() if axis is None else OPERATORS["complex call"](np.moveaxis, (z, axis, 0), {})
    found: Any = 1.0
    for k in range(len(items.real)):
        found = items[k] * found
    return found


def add_up(items: Any, start: Any = 0) -> Any:
    """The builtin `sum`."""
    for item in items:
        start = start + item
    return start


def where(condition: Any, x: Any, y: Any) -> Any:
    """`np.where` on complex arrays."""
    (a, b), (c, d) = parts(x), parts(y)
    return join(handle(np.where, condition, a, c), handle(np.where, condition, b, d))


def dot(x: Any, y: Any) -> Any:
    """`np.dot`, of which matrix products are a case."""
    return OPERATORS["complex"]("matmul" if np.ndim(x) and np.ndim(y) else "mul", x, y)


def vdot(x: Any, y: Any) -> Any:
    """The scalar product, linear in the second argument."""
    return OPERATORS["complex"]("matmul", join(*_conjugate(x)).ravel(), y.ravel())


def _conjugate(x: Any) -> tuple[Any, Any]:
    a, b = parts(x)
    return a, -b


def solve(a: Any, b: Any) -> Any:
    """The linear system as a real one of twice the size: `[[A, -B], [B, A]] [x; y] = [c; d]`."""
    (p, q), (c, d) = parts(a), parts(b)
    n = len(p)
    block = handle(np.vstack, [handle(np.hstack, [p, -q]), handle(np.hstack, [q, p])])
    found = handle(np.linalg.solve, block, handle(np.concatenate, [c, d]))
    return join(found[:n], found[n:])


def inv(a: Any) -> Any:
    """The inverse matrix."""
    return solve(a, np.eye(len(a.real)))


def norm(x: Any) -> Any:
    """The Euclidean norm of all elements."""
    return handle(np.sqrt, handle(np.sum, x.real * x.real + x.imag * x.imag))


def isclose(x: Any, y: Any, **options: Any) -> Any:
    """Whether two numbers are close to each other."""
    tolerance = options.get("rtol", 1e-5) * abs(_as_complex(y)) + options.get("atol", 1e-8)
    return abs(x - y) <= tolerance


def _as_complex(x: Any) -> Any:
    return x if is_complex(x) else Complex(*parts(x))


def _each(test: Any, both: bool) -> Function:
    def rule(z: Any) -> Any:
        found = [handle(test, p) if is_box(p) else test(p) for p in (z.real, z.imag)]
        return handle(np.logical_and if both else np.logical_or, *found)

    return rule


def _on_complex(rule: Function) -> Function:
    """The rule with a real first argument taken as complex."""
    return lambda z, *args, **kwargs: rule(_as_complex(z), *args, **kwargs)


def _binary(name: str) -> Function:
    return lambda x, y: OPERATORS["complex"](name, x, y)


def _refuse_order(name: str) -> Function:
    def rule(*args: Any, **kwargs: Any) -> Any:
        fail(TypeError, f"{name} needs an order, and complex numbers have none")

    return rule


_RULES: dict[Any, Function] = {
    np.add: _binary("add"),
    np.subtract: _binary("sub"),
    np.multiply: _binary("mul"),
    np.divide: _binary("truediv"),
    np.power: _binary("pow"),
    pow: _binary("pow"),
    np.matmul: _binary("matmul"),
    np.equal: _binary("eq"),
    np.not_equal: _binary("ne"),
    np.negative: lambda z: -z,
    np.positive: lambda z: +z,
    abs: abs,
    np.abs: abs,
    np.conjugate: lambda z: z.conjugate(),
    np.real: lambda z: z.real,
    np.imag: lambda z: z.imag,
    np.angle: angle,
    np.square: lambda z: z * z,
    np.reciprocal: lambda z: 1.0 / z,
    np.prod: prod,
    sum: add_up,
    np.where: where,
    np.dot: dot,
    np.vdot: vdot,
    np.linalg.solve: solve,
    np.linalg.inv: inv,
    np.linalg.norm: norm,
    np.isclose: isclose,
    cmath.isclose: lambda x, y, **options: abs(x - y) <= options.get("rel_tol", 1e-9) * abs(_as_complex(y)),
    np.iscomplexobj: lambda z: True,
    np.isrealobj: lambda z: False,
    np.isnan: _each(np.isnan, both=False),
    np.isinf: _each(np.isinf, both=False),
    np.isfinite: _each(np.isfinite, both=True),
    np.shape: lambda z: z.shape,
    np.ndim: lambda z: z.ndim,
    np.size: lambda z: z.size,
    len: lambda z: len(z.real),
    cmath.phase: _on_complex(angle),
    cmath.polar: _on_complex(polar),
    cmath.rect: rect,
    isinstance: lambda z, kinds: issubclass(type_of_complex(z), kinds) if isinstance(z, Complex) else PASS,
    type: type_of_complex,
    bool: lambda z: z != 0,
    **{f: _refuse_order(f.__name__) for f in (max, min, np.maximum, np.minimum, np.max, np.min)},
}
for _name, _rule in (("exp", exp), ("log", log), ("sqrt", sqrt), ("sin", sin), ("cos", cos), ("tan", tan)):
    _RULES[getattr(np, _name)] = _RULES[getattr(cmath, _name)] = _on_complex(_rule)
for _name, _rule in (("sinh", sinh), ("cosh", cosh), ("tanh", tanh)):
    _RULES[getattr(np, _name)] = _RULES[getattr(cmath, _name)] = _on_complex(_rule)
_CMATH = frozenset([complex, *(f for f in _RULES if getattr(f, "__module__", "") == "cmath")])


def is_known(function: Any) -> bool:
    """Whether the function has a rule for complex numbers, and may have none for real ones."""
    return type(function) in _KINDS and (function in _RULES or function is complex)


def takes_real_too(function: Any) -> bool:
    """Whether calls with real traced numbers belong here as well: the functions of `cmath`, and `complex` itself."""
    return type(function) in _KINDS and function in _CMATH
