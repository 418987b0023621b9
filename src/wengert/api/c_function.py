"""`c_function`: a compiled function as a C function pointer, for SciPy's quadrature and filters, ctypes and cffi."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert.api.program import compiling
from wengert.codegen import Compiled, Options, options_from_environment
from wengert.codegen.c_entry import Door, shapes_fit
from wengert.codegen.text import float_literal
from wengert.errors import ArgumentError, UnsupportedError
from wengert.frontend.trace import Traced, trace
from wengert.passes.inline_custom import inline_custom
from wengert.passes.pipeline import optimize
from wengert.transforms.checkpoint import remove_marks

_C_TYPES: dict[str, Any] = {
    "double": ctypes.c_double,
    "int": ctypes.c_int,
    "intptr_t": ctypes.c_ssize_t,
    "double *": ctypes.POINTER(ctypes.c_double),
    "void *": ctypes.c_void_p,
}
_FORMS = (
    "double (double, ..., double)",
    "double (int, double *)",
    "int (double *, intptr_t, double *)",
)


@dataclass(frozen=True)
class _Signature:
    """A C signature that can be given.

    Attributes:
        returned: its return type.
        types: its parameters.
        numbers: how many doubles it has as parameters of their own.
        has_user_data: whether the last parameter is the address of data of the user.
    """

    returned: str
    types: tuple[str, ...]
    numbers: int
    has_user_data: bool

    def __str__(self) -> str:
        return f"{self.returned} ({', '.join(self.types)})"


def _read(text: str) -> _Signature:
    plain = re.sub(r"\s*\*", " *", re.sub(r"\s+", " ", text.replace("npy_intp", "intptr_t"))).strip()
    found = re.fullmatch(r"(double|int) ?\(([^()]*)\)", plain)
    listed = found[2].split(",") if found else []
    types = tuple(re.sub(r"^((?:double|void) \*|double|intptr_t|int)( ?\w+)?$", r"\1", t.strip()) for t in listed)
    with_data = bool(types) and types[-1] == "void *"
    own = types[:-1] if with_data else types
    if found is not None and found[1] == "double" and own and set(own) == {"double"}:
        return _Signature("double", types, len(own), with_data)
    if found is not None and (found[1], own) in (("double", ("int", "double *")), ("int", ("double *", "intptr_t", "double *"))):
        return _Signature(found[1], types, 0, with_data)
    raise ArgumentError(
        "there is no C function of this signature",
        found=repr(text),
        expected=f"{'; '.join(_FORMS)}; each also with a `void *` behind the last parameter",
    )


class CFunction:
    """A C function made of a Python function; call it from C by its `address`, or from Python.

    Attributes:
        address: where the native code is. It stays there as long as this object, or what `ctypes` gives, is kept.
        signature: of the C function.
        ctypes: the same as a function of ctypes.
    """

    def __init__(self, fn: Callable[..., Any], signature: _Signature, size: int | None, user_data: Any) -> None:
        self.signature = str(signature)
        self._data = None if user_data is None else np.ascontiguousarray(user_data, np.float64)
        example: list[Any] = [0.5] * signature.numbers or [np.full(size or 0, 0.5)]
        if self._data is not None:
            example.append(self._data)
        arrays = [k for k, x in enumerate(example) if isinstance(x, np.ndarray)]
        with compiling:
            traced = trace(fn, tuple(example), {}, static=frozenset([*arrays, "captured"]))
        _require_a_float(fn, traced)
        function = optimize(remove_marks(inline_custom(traced.function)))
        self._held = [np.array(x, order="C") if isinstance(x, np.ndarray) else x for x in traced.read_captures()]
        door = _door(traced, signature, size or 0, self._data, self._held)
        if not shapes_fit(function, door.shapes):
            raise ArgumentError(f"the sizes of what {_name(fn)} reads from outside do not go together")
        options: Options = options_from_environment()
        options.threads = False  # whoever calls may hold locks that other threads would wait for
        self._compiled = Compiled(function, options, door)
        self._compiled.hold([x.ctypes.data if isinstance(x, np.ndarray) else 0 for x in self._held])
        self.address = self._compiled.c_address()
        kind = ctypes.CFUNCTYPE(_C_TYPES[signature.returned], *[_C_TYPES[t] for t in signature.types])
        self.ctypes: Any = kind(self.address)
        vars(self.ctypes)["made_of"] = self  # keeps the code as long as the pointer to it

    def low_level(self) -> Any:
        """The `scipy.LowLevelCallable` for `quad`, `nquad` and the filters of `ndimage`; it comes with its user data."""
        from scipy import LowLevelCallable  # noqa: PLC0415 - SciPy is not needed before

        if self._data is None:
            return LowLevelCallable(self.ctypes)
        data = ctypes.c_void_p(self._data.ctypes.data)
        return LowLevelCallable(self.ctypes, data)

    def __call__(self, *args: Any) -> Any:
        """Call the C function; its arguments are those of its signature."""
        try:
            return self.ctypes(*args)
        except SystemError as error:  # a status of 0, with the exception set
            raise error.__cause__ or error from None

    def __repr__(self) -> str:
        return f"<C function {self.signature} at {self.address:#x}>"


def _name(fn: Any) -> str:
    return str(getattr(fn, "__name__", fn))


def _require_a_float(fn: Callable[..., Any], traced: Traced) -> None:
    place = traced.out_leaves[0] if len(traced.out_leaves) == 1 else None
    result = traced.function.results[place] if isinstance(place, int) else None
    if result is None or result.rank or result.tensor.dtype.name != "f64" or traced.out_tree.kind != "leaf":
        raise UnsupportedError(
            f"{_name(fn)} cannot be a C function",
            traced.function.span,
            found="a result that is no single float",
            expected="a function that returns a float",
        )
    changes = traced.writes or traced.written or traced.written_captures or traced.updates is not None
    if changes or len(traced.function.results) > 1:
        raise UnsupportedError(
            f"{_name(fn)} cannot be a C function",
            traced.function.span,
            found="a function that changes its arguments or what is outside",
            expected="a function that only computes",
        )
    if traced.function.functions:
        raise UnsupportedError(
            f"{_name(fn)} cannot be a C function",
            traced.function.span,
            found="a function that calls itself under a condition on its arguments",
            expected="a function without such calls: nobody tells a C function how deep its caller's stack is",
        )


def _door(traced: Traced, signature: _Signature, size: int, data: np.ndarray | None, held: list[Any]) -> Door:
    """What the C function looks like from outside, and what it gives the kernel."""
    parameters = [f"double %x{k}" for k in range(signature.numbers)]
    leaves: list[str] = [f"%x{k}" for k in range(signature.numbers)]
    count = ""
    if not signature.numbers:
        is_filter = signature.returned == "int"
        parameters = ["ptr %values", "i64 %count", "ptr %result"] if is_filter else ["i32 %count", "ptr %values"]
        count, leaves = ("i64 %count" if is_filter else "i32 %count"), ["%values"]
    if signature.has_user_data:
        parameters.append("ptr %data")
    leaves.append("%data")
    sizes: list[tuple[int, ...]] = [()] * signature.numbers or [(size,)]
    sizes.append(data.shape if data is not None else ())
    given: list[str | int] = [leaves[k] for k in traced.param_leaves]
    shapes = [sizes[k] for k in traced.param_leaves]
    for value in held:
        if isinstance(value, np.ndarray):
            given.append(len(shapes) - len(traced.param_leaves))
        elif isinstance(value, bool | np.bool_):
            given.append("true" if value else "false")
        else:
            given.append(str(int(value)) if isinstance(value, int | np.integer) else float_literal(float(value)))
        shapes.append(np.shape(value))
    returned = "i32" if signature.returned == "int" else "double"
    return Door(returned, tuple(parameters), count, size, tuple(given), tuple(shapes))


def c_function(
    fn: Callable[..., Any], signature: str = "double (double)", *, size: int | None = None, user_data: Any = None
) -> CFunction:
    """`fn` as a C function: for SciPy's low-level callables, and for whoever takes a function pointer.

    Args:
        fn: returns a float. What it reads from outside is read now, once. It may be a derivative: `wg.grad(f)`.
        signature: `double (double, ..., double)`: `fn` takes as many floats. `double (int, double *)` (for `nquad`): it takes an
            array of `size` floats. `int (double *, intptr_t, double *)` (for `ndimage.generic_filter`): likewise, and the result
            is written to the last address; the status is 1. Each may have a `void *` at its end: the address of `user_data`.
        size: the number of floats in the array; other numbers are refused at the call.
        user_data: an array of float64, the last argument of `fn`. Its numbers are read at each call, where the caller says.

    Returns:
        An object with the `address` of the function, `ctypes` to call it, and `low_level()` for SciPy; it keeps the code. For
        cffi: `ffi.cast("double (*)(double)", made.address)`. It may be called from several threads at once. Where `fn` raises,
        the function gives nan and the exception is reported as unraisable; a function that returns a status gives 0 and raises.

    Raises:
        ArgumentError: the signature is none of these, or does not go with `size` and `user_data`.
        UnsupportedError: `fn` returns something else than a float, or changes what is outside.

    Example:
        >>> import math, wengert as wg
        >>> wg.c_function(lambda x: math.exp(-x * x))(0.5) == math.exp(-0.25)
        True
    """
    found = _read(signature)
    if not callable(fn):
        raise ArgumentError(f"c_function takes a function. Got {fn!r} instead.")
    if (size is None) != bool(found.numbers) or (size is not None and (type(size) is not int or size < 0)):
        given = "takes no size" if found.numbers else "needs the size of the array, a whole number"
        raise ArgumentError(f"a C function `{found}` {given}. Got {size!r} instead.")
    if found.has_user_data != (user_data is not None):
        given = "needs user_data" if found.has_user_data else "takes no user_data: add `void *` to the signature"
        raise ArgumentError(f"a C function `{found}` {given}.")
    return CFunction(fn, found, size, user_data)
