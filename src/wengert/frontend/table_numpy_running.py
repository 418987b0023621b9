"""Handlers of NumPy functions that run along an axis: accumulations, differences with ends, convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, as_array, promote
from wengert.frontend.elementwise import ELEMENTWISE, write_out
from wengert.frontend.emit import builder, dtype_from, ensure, fail, for_loop, is_at_least, to_dtype, unsupported, value_of
from wengert.frontend.registry import PASS, handle, register
from wengert.frontend.shapes import axis_number
from wengert.ir.core import Value
from wengert.types import BOOL, I64, dim_add, dim_scale, widened

# --- accumulations ---------------------------------------------------------------------------------------------------


def accumulate(ufunc: Any, a: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    """`ufunc.accumulate(a, axis)`: each element combined with the result before it."""
    declared = ELEMENTWISE[ufunc]
    x = as_array(a)
    if not x.ndim:
        fail(TypeError, "cannot accumulate on a scalar")
    kind = dtype_from(dtype) if dtype is not None else widened(x.element, declared.least)
    if ufunc in (np.add, np.multiply) and kind == BOOL:
        kind = I64
    number = axis_number(axis, x.ndim)
    perm = (number, *(k for k in range(x.ndim) if k != number))
    found = _accumulated(declared.rule, to_dtype(x.permuted(perm).value, kind))
    moved = Array(found).permuted(tuple(perm.index(k) for k in range(x.ndim)))
    done = Array(moved.value)
    if out is None:
        return done
    return write_out(out[0] if isinstance(out, tuple) else out, done, True, f"np.{ufunc.__name__}.accumulate")


def _accumulated(rule: Any, x: Value) -> Value:
    """Running results over the first axis, in a staged loop."""
    b = builder()
    size = x.dims[0]
    if not is_at_least(size, 1):
        # Nothing is read where there is nothing: the loop over the rest runs over no rows then.
        return _from_zero(rule, x)
    spec = ("i", *(":" for _ in x.dims[1:]))
    first = b.index(x, b.const(0), spec=spec)
    table = rule(first, first)
    whole = b.update(b.full(x.dims, 0, table.tensor.dtype), to_dtype(first, table.tensor.dtype), b.const(0), spec=spec)

    def step(i: Value, running: Value, filled: Value) -> list[Value]:
        inner = builder()
        row = inner.add(i, inner.const(1))
        new = rule(running, inner.index(x, row, spec=spec))
        return [new, inner.update(filled, new, row, spec=spec)]

    return for_loop(dim_add(size, -1), [to_dtype(first, table.tensor.dtype), whole], step)[1]


def _from_zero(rule: Any, x: Value) -> Value:
    """The same for an axis that may be empty: whether a row is the first one is asked in the loop."""
    b = builder()
    spec = ("i", *(":" for _ in x.dims[1:]))
    start = b.full(x.dims[1:], 0, x.tensor.dtype)

    def step(i: Value, running: Value, filled: Value) -> list[Value]:
        inner = builder()
        row = inner.index(x, i, spec=spec)
        is_first = inner.full(row.dims, inner.eq(i, inner.const(0)))
        new = inner.select(is_first, row, rule(inner.select(is_first, row, running), row))
        return [new, inner.update(filled, new, i, spec=spec)]

    return for_loop(x.dims[0], [start, b.full(x.dims, 0, x.tensor.dtype)], step)[1]


@register(np.cumprod)
def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """`np.cumprod`."""
    if not any_box(a, out):
        return PASS
    x = as_array(a)
    x = x if axis is not None and x.ndim else x.ravel()
    return accumulate(np.multiply, x, 0 if axis is None else axis, dtype, out)


# --- convolutions ----------------------------------------------------------------------------------------------------


@register(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """`np.convolve`: a loop over the shorter of the two."""
    if not any_box(a, v):
        return PASS
    x, kernel = (as_array(e).reshape(-1) if not as_array(e).ndim else as_array(e) for e in (a, v))
    if x.ndim != 1 or kernel.ndim != 1:
        fail(ValueError, "object too deep for desired array")
    if _surely_longer(kernel, x):
        x, kernel = kernel, x
    return _convolved(x, kernel, mode)


@register(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """`np.correlate`."""
    if not any_box(a, v):
        return PASS
    x, kernel = as_array(a), as_array(v)
    if _surely_longer(kernel, x):
        return _convolved(kernel, x[::-1], mode)[::-1].copy()
    return _convolved(x, kernel[::-1], mode, turns=True)


def _surely_longer(x: Array, y: Array) -> bool:
    return is_at_least(dim_add(x.dims[0], y.dims[0], -1), 1)


def _convolved(x: Array, kernel: Array, mode: str, turns: bool = False) -> Any:
    """The products of `x` with the shifted kernel, which is the shorter one if that is known.

    Args:
        x: the longer one.
        kernel: the shorter one.
        mode: which of the products.
        turns: a kernel that is longer after all changes places with `x`, and the result is reversed.
    """
    size, width = x.dims[0], kernel.dims[0]
    for each in (size, width):
        if each == 0:
            fail(ValueError, "a and v cannot be empty")
        if not is_at_least(each, 1):
            ensure(builder().ge(value_of(each), builder().const(1)), "ValueError", "a and v cannot be empty")
    dtype = promote(x, kernel)
    b = builder()
    total = dim_add(dim_add(size, width), -1)
    start = b.full((total,), 0, widened(dtype, I64))
    values, weights = (to_dtype(e.value, start.tensor.dtype) for e in (x, kernel))

    def step(i: Value, filled: Value) -> list[Value]:
        inner = builder()
        scaled = inner.mul(values, inner.full(values.dims, inner.index(weights, i, spec=("i",))))
        return [inner.add_at(filled, scaled, i, value_of(size), inner.const(1), spec=("s",))]

    full = Array(for_loop(width, [start], step)[0])
    if mode == "full":
        return full
    short, long, turned = kernel.shape[0], x.shape[0], 0
    if not is_at_least(dim_add(size, dim_scale(width, -1)), 0):
        short, long = handle(min, x.shape[0], kernel.shape[0]), handle(max, x.shape[0], kernel.shape[0])
        turned = handle(min, kernel.shape[0] - short, 1) if turns else 0
    gap = short - 1
    if mode == "valid":
        return full[gap : full.shape[0] - gap].copy()
    if mode == "same":
        before = (gap + turned) // 2
        return full[before : before + long].copy()
    unsupported(f"the mode {mode!r} of np.convolve is not supported", "use 'full', 'same' or 'valid'", StagingError)


# --- differences -----------------------------------------------------------------------------------------------------


@register(np.diff)
def diff(a: Any, n: Any = 1, axis: Any = -1, prepend: Any = np._NoValue, append: Any = np._NoValue) -> Any:
    """`np.diff`."""
    if not any_box(a, prepend, append):
        return PASS
    x = as_array(a)
    number = axis_number(axis, x.ndim)
    ends = [x]
    for extra, is_last in ((prepend, False), (append, True)):
        if extra is not np._NoValue:
            end = as_array(extra)
            shape = (*x.shape[:number], 1, *x.shape[number + 1 :])
            end = end if end.ndim else as_array(handle(np.full, shape, end))
            ends = [*ends, end] if is_last else [end, *ends]
    x = as_array(handle(np.concatenate, ends, axis=number)) if len(ends) > 1 else x
    before: tuple[Any, ...] = (slice(None),) * number
    subtract = np.not_equal if x.element == BOOL else np.subtract
    for _ in range(int(n)):
        x = handle(subtract, x[(*before, slice(1, None))], x[(*before, slice(None, -1))])
    return x


@register(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    """`np.ptp`."""
    if not any_box(a):
        return PASS
    return handle(np.max, a, axis=axis, keepdims=keepdims) - handle(np.min, a, axis=axis, keepdims=keepdims)
