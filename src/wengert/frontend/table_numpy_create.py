"""Handlers of the NumPy functions that make arrays. They box also when nothing is traced: the array may be written to later."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import (
    any_box,
    as_array,
    dtype_of,
    is_box,
    is_number,
    lift,
    lift_as,
    promote,
    refuse_options,
    shape_of,
)
from wengert.frontend.broadcasting import broadcast_into
from wengert.frontend.context import current
from wengert.frontend.emit import (
    builder,
    difference,
    dtype_from,
    ensure,
    fail,
    is_at_least,
    logical_and,
    product_of,
    to_dtype,
    unsupported,
    value_of,
)
from wengert.frontend.memory_order import BY_ROWS, gives_view, lay_out, note
from wengert.frontend.python_numbers import to_int
from wengert.frontend.registry import OPERATORS, PASS, handle, operator_rule, register
from wengert.frontend.scalars import Scalar
from wengert.frontend.shapes import affine_of, dims_from, size_from
from wengert.ir.core import Value
from wengert.types import BOOL, F32, F64, I64, NUMPY_DTYPES, Affine, DType, dim_add, widened


def is_foreign(dtype: Any) -> bool:
    """Whether a dtype argument names a dtype that only known arrays have."""
    return dtype is not None and not isinstance(dtype, DType) and np.dtype(dtype) not in NUMPY_DTYPES


def _filled(function: Any, number: float) -> None:
    def handler(shape: Any, dtype: Any = float, order: str = "C", **options: Any) -> Any:
        refuse_options(f"np.{function.__name__}", like=(options.pop("like", None), None))
        if is_foreign(dtype) and not any_box(shape):
            return PASS
        dims = dims_from(shape)
        return in_order(Array(builder().full(dims, number, dtype_from(dtype if dtype is not None else float))), order)

    register(function)(handler)


_filled(np.zeros, 0)
_filled(np.ones, 1)
_filled(np.empty, 0)


@register(np.full)
def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C") -> Array:
    """`np.full`."""
    dims = dims_from(shape)
    kind = dtype_of(fill_value) if dtype is None else dtype_from(dtype)
    made: Array = in_order(Array(broadcast_into(fill_value, dims, lambda v: to_dtype(v, kind))), order)
    return made


def _filled_like(function: Any, number: float) -> None:
    def handler(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **_: Any) -> Any:
        if not any_box(a, shape) and not isinstance(a, np.ndarray):
            return PASS
        dims = shape_of(a) if shape is None else dims_from(shape)
        made = Array(builder().full(dims, number, dtype_of(a) if dtype is None else dtype_from(dtype)))
        return in_order(made, order)

    register(function)(handler)


_filled_like(np.zeros_like, 0)
_filled_like(np.ones_like, 1)
_filled_like(np.empty_like, 0)


@register(np.full_like)
def full_like(a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None) -> Array:
    """`np.full_like`."""
    kind = dtype_of(a) if dtype is None else dtype
    return full(shape_of(a) if shape is None else shape, fill_value, kind, order)


# --- from objects ----------------------------------------------------------------------------------------------------


@register(np.array)
def array(a: Any, dtype: Any = None, *, copy: Any = True, order: str = "K", ndmin: int = 0, **options: Any) -> Any:
    """`np.array`: a new array from numbers, nested lists and arrays; other objects are NumPy's."""
    if dtype is not None and not isinstance(dtype, DType) and np.dtype(dtype) == object:
        return _of_objects(a)
    if not _is_numeric(a) or (not any_box(a) and (is_foreign(dtype) or _is_narrow(a))):
        return PASS
    if not copy and isinstance(a, Array) and a.ndim >= ndmin:
        return asarray(a, dtype, order)
    if dtype is None:
        value = lift(a)
    elif any_box(a):
        value = to_dtype(lift(a), dtype_from(dtype))
    else:
        value = lift(np.array(a, dtype_from(dtype).numpy))
    if order == "A":
        order = "F" if isinstance(a, Array | np.ndarray) and a.flags.fnc else "C"
    made = in_order(Array(value), order if isinstance(a, Array | np.ndarray) or order == "F" else "C")
    return made.reshape((1,) * (ndmin - made.ndim) + tuple(made.shape)) if made.ndim < ndmin else made


def _of_objects(a: Any) -> Any:
    """`np.array(a, dtype=object)`: NumPy's own, which eager mode can fill with traced numbers."""
    if not current().eager:
        if not any_box(a):
            return PASS
        unsupported("an array of Python objects is made of traced values", fix="use a list", error=StagingError)
    made = np.empty(_shape_of_objects(a), dtype=object)
    for place in np.ndindex(made.shape):
        item = a
        for k in place:
            item = item[k]
        made[place] = item
    return made


def _shape_of_objects(a: Any) -> tuple[int, ...]:
    """The shape of an array of the objects in nested lists."""
    if is_box(a) or isinstance(a, np.ndarray):
        return tuple(int(n) for n in shape_of(a))
    if not isinstance(a, list | tuple):
        return ()
    inner = {_shape_of_objects(item) for item in a}
    return (len(a), *(inner.pop() if len(inner) == 1 else ()))


@register(np.asarray, np.asanyarray)
def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, **options: Any) -> Any:
    """`np.asarray`: the array itself where it is one of this dtype."""
    if copy or not isinstance(a, Array) or (dtype is not None and dtype_from(dtype) != a.element):
        return array(a, dtype, order=order or "K")
    x = a.T if order == "F" else a
    if order not in ("C", "F") or a.ndim < 2 or gives_view(x, (product_of(a.dims),), flattens=True):
        return a
    made = array(a, dtype, order=order)
    if not current().eager:
        note(x.root).copies.append(made.root)
    return made


@register(np.ascontiguousarray)
def ascontiguousarray(a: Any, dtype: Any = None, **options: Any) -> Any:
    """`np.ascontiguousarray`."""
    return asarray(a, dtype, "C")


@register(np.asfortranarray)
def asfortranarray(a: Any, dtype: Any = None, **options: Any) -> Any:
    """`np.asfortranarray`."""
    return asarray(a, dtype, "F")


@register(np.copy)
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    """`np.copy`."""
    return array(a, order=order)


@operator_rule("in order")
def in_order(made: Any, order: str | None) -> Any:
    """A new array, in the order in memory that NumPy's argument `order` names: "C", "F", or "K" and "A" as it is."""
    if not isinstance(made, Array) or made.ndim < 2 or order not in ("C", "F"):
        return made
    if order == "F":
        made = Array(made.T.value)
    lay_out(made, BY_ROWS)
    return made.T if order == "F" else made


def _is_narrow(a: Any) -> bool:
    """Whether `a` is a known array or number of a dtype that traced ones do not have, and NumPy keeps."""
    return isinstance(a, np.ndarray | np.generic) and a.dtype not in NUMPY_DTYPES


def _is_numeric(a: Any) -> bool:
    """Whether an array of numbers would come out, traced ones included."""
    if is_box(a) or is_number(a):
        return True
    if isinstance(a, np.ndarray):
        return a.dtype.kind in "bif" or (a.dtype == object and any_box(a.tolist()))
    if isinstance(a, list | tuple):
        return all(map(_is_numeric, a))
    return isinstance(a, range)


def _converter(kind: type, dtype: DType) -> None:
    def handler(x: Any = 0) -> Any:
        if not any_box(x):
            return PASS
        value = to_dtype(lift(x), dtype)
        return Array(value) if value.rank else Scalar(value, numpy=True)

    register(kind)(handler)


_converter(np.float64, F64)
_converter(np.float32, F32)
_converter(np.int64, I64)
_converter(np.bool_, BOOL)


def _refused(*kinds: type) -> None:
    for kind in kinds:

        def handler(*args: Any, _kind: type = kind) -> Any:
            if not any_box(args):
                return PASS
            return dtype_from(_kind)

        register(kind)(handler)


_refused(np.float16, np.int32, np.int16, np.int8, np.uint8, np.uint32, np.uint64, np.complex128, np.complex64)


# --- ranges ----------------------------------------------------------------------------------------------------------


@register(np.arange)
def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, **options: Any) -> Any:
    """`np.arange`, with traced bounds too."""
    if is_foreign(dtype) and not any_box(start, stop, step):
        return PASS
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else step
    kind = promote(start, stop, step)
    if kind == F32:
        unsupported("np.arange of float32 bounds is not supported", "np.arange(n) * step + start", StagingError)
    if kind == F64:
        values = _float_range(start, stop, step)
    else:
        values = _integer_range(start, stop, step)
    return Array(values if dtype is None else to_dtype(values, dtype_from(dtype)))


def _integer_range(start: Any, stop: Any, step: Any) -> Value:
    first, last, stride = (affine_of(x, "a bound of arange") for x in (start, stop, step))
    b = builder()
    if not isinstance(stride, int):
        size: Affine = _opaque_count(lift_as(stop, F64), lift_as(start, F64), lift_as(step, F64))
    elif stride == 0:
        fail(ZeroDivisionError, "division by zero")
    else:
        size = _exact_count(difference(last, first) if stride > 0 else difference(first, last), abs(stride))
    index: Value = b.iota(value_of(size))
    if stride != 1:
        index = b.mul(index, b.full((size,), value_of(stride)))
    return index if first == 0 else b.add(index, b.full((size,), value_of(first)))


def _exact_count(length: Affine, step: int) -> Affine:
    if isinstance(length, int):
        return max(0, -(-length // step))
    b = builder()
    if not is_at_least(length, 0):
        length = b.maximum(value_of(length), b.const(0)).affine
    if step == 1:
        return length
    count: Value = b.floordiv(value_of(dim_add(length, step - 1)), b.const(step))
    return count.affine


def _opaque_count(stop: Value, start: Value, step: Value) -> Affine:
    """`ceil((stop - start) / step)` of floats, at least 0."""
    b = builder()
    ensure(b.ne(step, 0.0), "ZeroDivisionError", "division by zero")
    count = to_int(b.ceil(b.div(b.sub(stop, start), step)))
    size: Value = b.maximum(count, b.const(0))
    return size.affine


def _float_range(start: Any, stop: Any, step: Any) -> Value:
    b = builder()
    if any_box(start, stop, step):
        first, stride = lift_as(start, F64), lift_as(step, F64)
        size = _opaque_count(lift_as(stop, F64), first, stride)
        delta = b.sub(b.add(first, stride), first)
    else:
        if step == 0:
            fail(ZeroDivisionError, "division by zero")
        size = max(0, math.ceil((float(stop) - float(start)) / float(step)))
        first, delta = b.const(float(start)), b.const((float(start) + float(step)) - float(start))
    index = b.convert(b.iota(value_of(size)), dtype=F64)
    return b.add(b.full((size,), first), b.mul(index, b.full((size,), delta)))


@register(np.linspace)
def linspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0
) -> Any:
    """`np.linspace` between two numbers."""
    if not (is_number(start) and is_number(stop)):
        return _linspace_of_arrays(start, stop, num, endpoint, retstep, dtype, axis)
    b = builder()
    size = size_from(num)
    kind = widened(promote(start, stop), F64)
    first, last = lift_as(start, kind), lift_as(stop, kind)
    gaps = dim_add(size, -1) if endpoint else size
    if isinstance(gaps, int):
        count = b.const(float(max(gaps, 1)), kind)
    else:
        count = b.convert(b.maximum(value_of(gaps), b.const(1)), dtype=kind)
    step = b.div(b.sub(last, first), count)
    position = b.iota(value_of(size))
    values = b.add(b.mul(b.convert(position, dtype=kind), b.full((size,), step)), b.full((size,), first))
    if endpoint:
        at_end = b.eq(position, b.full((size,), value_of(dim_add(size, -1))))
        several = b.gt(value_of(size), b.const(1))
        values = b.select(logical_and(at_end, b.full((size,), several)), b.full((size,), last), values)
    made = Array(values if dtype is None else to_dtype(values, dtype_from(dtype)))
    return (made, Scalar(step, numpy=True)) if retstep else made


def _linspace_of_arrays(start: Any, stop: Any, num: Any, endpoint: bool, retstep: bool, dtype: Any, axis: int) -> Any:
    """`np.linspace` between the elements of arrays, along a new axis."""
    first, last = (handle(np.multiply, as_array(x), 1.0) for x in (start, stop))
    gaps = num - 1 if endpoint else num
    step = handle(np.divide, handle(np.subtract, last, first), gaps)
    position = arange(num).reshape((-1, *(1,) * as_array(step).ndim))
    values = handle(np.add, handle(np.multiply, position, step), first)
    if endpoint and isinstance(num, int) and num > 1:
        values[-1] = last
    values = handle(np.moveaxis, values, 0, axis) if axis else values
    made = values if dtype is None else Array(to_dtype(values.value, dtype_from(dtype)))
    return (made, step) if retstep else made


@register(np.eye)
def eye(N: Any, M: Any = None, k: Any = 0, dtype: Any = float, order: str = "C", **options: Any) -> Array:
    """`np.eye`."""
    rows = size_from(N)
    columns = rows if M is None else size_from(M)
    b = builder()
    shape = (rows, columns)
    row = b.iota(value_of(rows))
    if affine_of(k, "k") != 0:
        row = b.add(row, b.full((rows,), lift(k)))
    equal = b.eq(b.broadcast_to(row, shape, (0,)), b.broadcast_to(b.iota(value_of(columns)), shape, (1,)))
    return Array(to_dtype(equal, dtype_from(dtype)))


@register(np.identity)
def identity(n: Any, dtype: Any = None, **options: Any) -> Array:
    """`np.identity`."""
    return eye(n, dtype=float if dtype is None else dtype)


@register(np.meshgrid)
def meshgrid(*xs: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    """`np.meshgrid`: new arrays, or views that must not be written to."""
    if sparse or not copy:
        views = _sparse_grid(xs, indexing)
        if not sparse:
            views = OPERATORS["repeated"](views, "the result of np.meshgrid(copy=False)")
        return tuple(Array(view.value) for view in views) if copy else views
    values = [as_array(x).ravel().value for x in xs]
    order = list(range(len(values)))
    if indexing == "xy" and len(order) > 1:
        order[:2] = [1, 0]
    dims = tuple(values[k].dims[0] for k in order)
    grids = [Array(builder().broadcast_to(v, dims, (order.index(k),))) for k, v in enumerate(values)]
    return tuple(grids)


def _sparse_grid(xs: Any, indexing: str) -> tuple[Array, ...]:
    """Each array along its own axis, as a view."""
    found = []
    for k, x in enumerate(xs):
        axis = 1 - k if indexing == "xy" and k < 2 and len(xs) > 1 else k
        flat = as_array(x).ravel()
        found.append(flat.reshape((*(1,) * axis, -1, *(1,) * (len(xs) - axis - 1))))
    return tuple(found)
