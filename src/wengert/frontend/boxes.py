"""From Python objects to IR values and back: `lift`, `box`, and the questions tables ask about their arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from wengert.errors import StagingError, UnsupportedError
from wengert.frontend.arrays import Array
from wengert.frontend.choices import Choice, describe, narrowed
from wengert.frontend.context import current
from wengert.frontend.emit import builder, common_dtype, dtype_from, fail, to_dtype, unsupported
from wengert.frontend.registry import handle
from wengert.frontend.scalars import Scalar, box_scalar, type_of
from wengert.ir.core import Value
from wengert.types import BOOL, F32, F64, I64, NUMPY_DTYPES, DType, TensorType, describe_type

SMALL_ARRAY = 64
_BOXES = (Scalar, Array)


def is_box(x: Any) -> bool:
    """Whether `x` is a traced number or array."""
    return isinstance(x, _BOXES)


def box(value: Value, numpy: bool = False) -> Any:
    """The Python object that stands for `value`: a new base array, a traced number, or a plain number where it is known."""
    return Array(value) if value.rank else box_scalar(value, numpy)


def result(value: Value) -> Any:
    """What a NumPy function that computed `value` returns: an array, or a NumPy scalar for rank 0."""
    return Array(value) if value.rank else box_scalar(value, True)


# --- questions -------------------------------------------------------------------------------------------------------


def is_python_number(x: Any) -> bool:
    """Whether `x` is, or stands for, a Python float, int or bool (`np.float64` is not, though it derives from float)."""
    if isinstance(x, Scalar):
        return not x.numpy
    return isinstance(x, (float, int)) and not isinstance(x, np.generic)


def is_number(x: Any) -> bool:
    """Whether `x` is, or stands for, one number (0-d arrays included)."""
    if isinstance(x, Array):
        return not x.dims
    return isinstance(x, (Scalar, float, int, np.number, np.bool_))


def is_operand(x: Any) -> bool:
    """Whether operators of traced NumPy values take `x` without further ado."""
    return isinstance(x, (Scalar, Array, float, int, np.generic, np.ndarray))


def is_static_int(x: Any) -> bool:
    """Whether `x` is an int with a known value."""
    return isinstance(x, (int, np.integer)) and not isinstance(x, bool)


def holds_box(x: Any) -> bool:
    """Whether `x` is a box, or a list, tuple, set or dict that holds one."""
    if isinstance(x, _BOXES):
        return True
    if isinstance(x, dict):
        return any(map(holds_box, x.values()))
    return isinstance(x, (list, tuple)) and any(map(holds_box, x))


def any_box(*xs: Any) -> bool:
    """Whether a box is among the arguments or their items."""
    return any(map(holds_box, xs))


def type_name(x: Any) -> str:
    """The name of the class of `x`, or of what it stands for."""
    if isinstance(x, Scalar):
        return type_of(x).__name__
    return "numpy.ndarray" if isinstance(x, Array) else type(x).__name__


def shape_of(x: Any) -> tuple[Any, ...]:
    """The dimensions of a box, number or array."""
    if isinstance(x, Array):
        return x.dims
    return () if is_number(x) else lift(x).dims


# --- lifting ---------------------------------------------------------------------------------------------------------


def lift(x: Any) -> Value:
    """The IR value of a box, a number, an array or a nested list of these.

    Raises:
        UnsupportedError: a dtype other than f64, f32, i64 and bool, or an object that is no number.
    """
    if isinstance(x, _BOXES):
        return x.value
    if isinstance(x, (bool, np.bool_)):
        return builder().const(bool(x))
    if isinstance(x, (int, np.integer)):
        return _integer(int(x))
    if isinstance(x, np.floating) and x.dtype != np.float64:
        return builder().const(float(x), dtype_from(x.dtype))
    if isinstance(x, float):
        return builder().const(float(x))
    if isinstance(x, np.ndarray):
        return _constant_array(x)
    if isinstance(x, (list, tuple)):
        return _nested(x)
    if isinstance(x, (complex, np.complexfloating)):
        unsupported("complex numbers are not supported", fix="compute with real and imaginary parts as two real numbers")
    if isinstance(x, range):
        return lift(list(x))
    if type(x) is Choice:
        known = narrowed(x)
        if known is not x:
            return lift(known)
        unsupported("a value that may be of different kinds is used as a number here: " + describe(x), error=StagingError)
    fail(TypeError, f"a {type_name(x)} cannot be used as a number or an array here")


def _integer(number: int) -> Value:
    if not -(2**63) <= number < 2**63:
        fail(OverflowError, "Python integer too large to convert to int64", fix="use a float")
    return builder().const(number)


def _constant_array(x: np.ndarray[Any, Any]) -> Value:
    """A small array element by element; a large one, and any in eager mode, becomes an input of the trace."""
    refuse_subclass(x)
    if x.dtype == object:
        return _nested(x.tolist()) if x.ndim else lift(x[()])
    dtype = dtype_from(x.dtype)
    if x.ndim == 0:
        return builder().const(x.item(), dtype)
    trace = current()
    if trace.eager or x.size > SMALL_ARRAY:
        captured = trace.capture_constant(x)
        return lift(captured) if isinstance(captured, _BOXES) else captured
    return _constants(x, dtype)


_OVERRIDES = frozenset(
    {"__array_ufunc__", "__array_function__", "__getitem__", "__setitem__", "__add__", "__mul__", "__matmul__", "__pow__"}
)


def refuse_subclass(x: np.ndarray[Any, Any], name: str = "", is_argument: bool = False) -> None:
    """Raise UnsupportedError for an array of a class with an arithmetic of its own (masked arrays, matrices, units).

    Captured ones are refused where code is staged; eager mode may read them.
    """
    kind = type(x)
    if kind is np.ndarray or issubclass(kind, np.memmap):
        return
    own = kind.__mro__[: kind.__mro__.index(np.ndarray)]
    if any(_OVERRIDES & set(vars(c)) for c in own):
        what = f"{name!r} is a" if name else "a"
        unsupported(
            f"{what} {kind.__module__}.{kind.__qualname__}, which is an array with an arithmetic of its own, is not supported",
            fix="hand over a plain array: np.asarray(x), or x.filled(...) of a masked one",
            error=UnsupportedError if current().eager or is_argument else StagingError,
        )


def _constants(x: np.ndarray[Any, Any], dtype: DType) -> Value:
    b = builder()
    if x.size == 0 or (x == x.flat[0]).all():
        return b.full(x.shape, x.flat[0].item() if x.size else 0, dtype)
    return b.make_array(*[b.const(e.item(), dtype) for e in x.flat], shape=x.shape)


def _nested(items: Sequence[Any]) -> Value:
    """`np.array` of a nested list that holds numbers, boxes and arrays."""
    if not any_box(items):
        return _constant_array(np.array(items))
    shape = _list_shape(items)
    leaves = list(_leaves(items, len(shape)))
    if all(is_number(leaf) for leaf in leaves):
        values = [lift(leaf) for leaf in leaves]
        dtype = common_dtype(*[v.tensor.dtype for v in values])
        return builder().make_array(*[to_dtype(v, dtype) for v in values], shape=shape)
    if len(shape) == 1:
        return lift(handle(np.stack, leaves))
    return lift(handle(np.stack, [Array(_nested(item)) for item in items]))


def _list_shape(items: Any) -> tuple[int, ...]:
    """The shape of a nested list, down to what is not a list; ragged lists raise NumPy's ValueError."""
    if not isinstance(items, (list, tuple)):
        return ()
    inner = {_list_shape(item) for item in items}
    if len(inner) > 1:
        fail(ValueError, "setting an array element with a sequence: the nested lists have different lengths")
    return (len(items), *(inner.pop() if inner else ()))


def _leaves(items: Any, depth: int) -> Iterator[Any]:
    if depth == 0:
        yield items
        return
    for item in items:
        yield from _leaves(item, depth - 1)


def lift_as(x: Any, dtype: DType) -> Value:
    """`lift` followed by a conversion; Python numbers become constants of `dtype` directly."""
    if isinstance(x, (float, int)) and (dtype.is_float or not isinstance(x, float)) and dtype != BOOL:
        return builder().const(x, dtype)
    return to_dtype(lift(x), dtype)


def lift_int(x: Any, what: str) -> Value:
    """`x` as an `i64[]` value.

    Raises:
        TypeError: it is not an integer.
    """
    value = lift(x)
    if value.type != TensorType(I64):
        fail(TypeError, f"{what} must be an integer", found=describe_type(value.type))
    return value


def promote(*xs: Any) -> DType:
    """The dtype that NumPy 2 computes in for these operands: Python floats and ints beside f32 are f32."""
    dtypes = [dtype_of(x) for x in xs]
    if F32 in dtypes:
        dtypes = [d for x, d in zip(xs, dtypes, strict=True) if d == BOOL or not is_python_number(x)]
    return common_dtype(*dtypes)


def dtype_of(x: Any) -> DType:
    """The IR dtype of a box, number or array."""
    if isinstance(x, Array):
        return x.element
    if isinstance(x, Scalar):
        return x.value.tensor.dtype
    if isinstance(x, (bool, np.bool_)):
        return BOOL
    if isinstance(x, (int, np.integer)):
        return I64
    if isinstance(x, np.ndarray) and x.dtype != object:
        return dtype_from(x.dtype)
    if isinstance(x, float) and not isinstance(x, np.generic):
        return F64
    return lift(x).tensor.dtype


def stand_in(x: Any) -> Any:
    """What has the dtype of a box in promotion: a dtype, or a Python number where that is what the box stands for."""
    if isinstance(x, Array):
        return x.dtype
    if isinstance(x, Scalar):
        return x.value.tensor.dtype.numpy if x.numpy else type_of(x)(0)
    return lift(x).tensor.dtype.numpy if isinstance(x, (list, tuple)) and any_box(x) else x


def as_array(x: Any) -> Array:
    """`x` as an array box: itself, or a new array."""
    return x if isinstance(x, Array) else Array(lift(x))


def widened(x: Any, others: Sequence[Any]) -> Any:
    """A known array or number of a narrow dtype in the dtype that NumPy computes in beside `others`, if that is one we have."""
    if not isinstance(x, (np.ndarray, np.generic)) or x.dtype in NUMPY_DTYPES or x.dtype.kind not in "iuf":
        return x
    wide = np.result_type(*map(stand_in, others))
    return x.astype(wide) if wide in NUMPY_DTYPES else x


def refuse_options(function: str, **options: Any) -> None:
    """Raise StagingError for the first of `options` that is given; `name=(value, default)` says what counts as given."""
    for name, (found, default) in options.items():
        if found is not default and found != default:
            unsupported(
                f"the argument {name!r} of {function} is not supported on traced arrays yet",
                fix=f"call {function} without {name!r}",
                error=StagingError,
            )
