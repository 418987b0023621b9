"""The methods of ufuncs on boxes: `reduce`, `accumulate`, `reduceat`, `outer` and `at`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend import advanced
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, as_array, lift, promote
from wengert.frontend.elementwise import ELEMENTWISE, apply, call_ufunc, write_out
from wengert.frontend.emit import builder, fail, for_loop, to_dtype, unsupported
from wengert.frontend.registry import HANDLERS, PASS, handle, operator_rule, register
from wengert.frontend.shapes import axes_from, axis_number, static_int
from wengert.frontend.table_numpy_running import accumulate
from wengert.ir.core import Value
from wengert.types import widened

_REDUCE = {np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min}
_REDUCE |= {np.logical_and: np.all, np.logical_or: np.any}


@operator_rule("ufunc")
def array_ufunc(ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """`__array_ufunc__` of boxes: calls and methods of ufuncs that NumPy's own code reaches."""
    if method == "__call__" and ufunc in ELEMENTWISE:
        return call_ufunc(ufunc, *inputs, **options)
    if method == "__call__" and ufunc in HANDLERS:
        return HANDLERS[ufunc](*inputs, **options)
    rule = _METHODS.get(method)
    if rule is not None and ufunc in ELEMENTWISE:
        return rule(ufunc, *inputs, **options)
    unsupported(f"np.{ufunc.__name__}{'' if method == '__call__' else '.' + method} is not supported on traced values yet")


def _reduce(ufunc: Any, a: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
    out = out[0] if isinstance(out, tuple) else out
    if ufunc in _REDUCE:
        return handle(_REDUCE[ufunc], a, axis=axis, dtype=dtype, out=out, keepdims=keepdims, **options)
    if options or dtype is not None:
        unsupported(f"np.{ufunc.__name__}.reduce is supported without {', '.join(options) or 'dtype'}")
    x = as_array(a)
    axes = axes_from(axis, x.ndim)
    if len(axes) != 1:
        fail(ValueError, f"reduction operation '{ufunc.__name__}' is not reorderable, so at most one axis may be specified")
    running = as_array(accumulate(ufunc, x, axes[0]))
    found = running[(*(slice(None),) * axes[0], -1)]
    found = handle(np.expand_dims, found, axes[0]) if keepdims is True else found
    return found if out is None else write_out(out, found, True, f"np.{ufunc.__name__}.reduce")


def _accumulate(ufunc: Any, a: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    if ufunc is np.add:
        return handle(np.cumsum, a, axis=axis, dtype=dtype, out=out[0] if isinstance(out, tuple) else out)
    return accumulate(ufunc, a, axis, dtype, out)


def _reduceat(ufunc: Any, a: Any, indices: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    """One reduction per stretch between two positions; a stretch that is not longer than 0 is the element at its start."""
    x = as_array(a)
    number = axis_number(axis, x.ndim)
    before = (slice(None),) * number
    starts = [static_int(k, "a position of reduceat") for k in np.asarray(indices).tolist()]
    ends: list[Any] = [*starts[1:], None]
    parts = []
    for start, end in zip(starts, ends, strict=True):
        if end is not None and end <= start:
            parts.append(x[(*before, start)])
        else:
            parts.append(_reduce(ufunc, x[(*before, slice(start, end))], number, dtype))
    found = handle(np.stack, [as_array(p) for p in parts], axis=number)
    return found if out is None else write_out(out, found, True, f"np.{ufunc.__name__}.reduceat")


def _outer(ufunc: Any, a: Any, b: Any, **options: Any) -> Any:
    x, y = as_array(a), as_array(b)
    return call_ufunc(ufunc, x.reshape((*x.shape, *(1,) * y.ndim)), y, **options)


def _at(ufunc: Any, target: Any, index: Any, values: Any = None) -> None:
    """`ufunc.at(x, index, values)`: one position after the other, repeated ones again."""
    if not isinstance(target, Array):
        unsupported(f"np.{ufunc.__name__}.at writes to an array from outside of the function", "work on a copy")
    rows = advanced.rows_of(target, index if advanced.is_advanced(index) else advanced.as_arrays(index))
    if ufunc in (np.add, np.subtract):
        rows.write(_fitted(rows, values if ufunc is np.add else apply(np.negative, values)), "scatter_add")
        return
    operands = () if ufunc.nin == 1 else (_fitted(rows, values),)
    declared = ELEMENTWISE[ufunc]
    dtype = widened(promote(target, *([values] if operands else [])), declared.least)
    spec = ("i", *(":" for _ in rows.rest))

    def step(i: Value, whole: Value) -> list[Value]:
        b = builder()
        place = b.index(rows.positions, i, spec=("i",))
        old = to_dtype(b.index(whole, place, spec=spec), dtype)
        new = declared.rule(old, *[to_dtype(b.index(v, i, spec=spec), dtype) for v in operands])
        return [b.update(whole, to_dtype(new, target.element), place, spec=spec)]

    rows.put(for_loop(rows.positions.dims[0], [rows.merged_value()], step)[0])


def _fitted(rows: Any, values: Any) -> Value:
    """The second operand as rows, of its own dtype."""
    kept = rows.base.element
    found: Value = rows.fitted(values)
    if lift(values).tensor.dtype != kept and not found.is_float and lift(values).is_float:
        what = "ufunc.at with floats on an array of integers, which cuts off each result, is not staged"
        unsupported(what, "use an array of floats", StagingError)
    return found


_METHODS: dict[str, Callable[..., Any]] = {
    "reduce": _reduce,
    "accumulate": _accumulate,
    "reduceat": _reduceat,
    "outer": _outer,
    "at": _at,
}


def _register_methods() -> None:
    for ufunc in ELEMENTWISE:
        for method in _METHODS:
            _register_method(ufunc, method)


def _register_method(ufunc: Any, method: str) -> None:
    def handler(*args: Any, **options: Any) -> Any:
        return array_ufunc(ufunc, method, *args, **options) if any_box(*args, *options.values()) else PASS

    register(getattr(ufunc, method))(handler)


_register_methods()
