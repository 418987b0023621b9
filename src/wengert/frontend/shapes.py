"""Shape arguments: what users pass as `shape`, `axis` and sizes, as dimensions and axis numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert.frontend.arrays import Array
from wengert.frontend.boxes import box, is_static_int, lift_int
from wengert.frontend.context import NeedsPythonValue, current
from wengert.frontend.emit import builder, difference, ensure, fail, is_at_least, product_of, value_of, values_of
from wengert.frontend.memory_order import BY_ROWS, gives_view, lay_out, note
from wengert.frontend.scalars import Scalar
from wengert.frontend.views import Expand, Reshape, expand_step, whole
from wengert.ir.core import Value
from wengert.types import I64_SCALAR, Affine, Dim


def dims_from(shape: Any) -> tuple[Affine, ...]:
    """The dimensions of a shape argument: an int, or a tuple or list of ints, static or traced; negative ones raise."""
    if isinstance(shape, np.ndarray):
        shape = shape.tolist()
    if isinstance(shape, Array):
        raise NeedsPythonValue(shape.value, "a shape given as an array")
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    return tuple(size_from(s) for s in sizes)


def size_from(size: Any) -> Affine:
    """A size as a dimension.

    Raises:
        TypeError: it is not an integer.
        ValueError: it is negative (at run time, if need be).
    """
    d = affine_of(size, "a size")
    if isinstance(d, int):
        if d < 0:
            fail(ValueError, "negative dimensions are not allowed")
        return d
    if not is_at_least(d, 0):
        ensure(builder().ge(value_of(d), builder().const(0)), "ValueError", "negative dimensions are not allowed")
    return d


def affine_of(x: Any, what: str) -> Affine:
    """An integer argument (or a dimension) as an affine expression."""
    if isinstance(x, Dim):
        return x
    if is_static_int(x):
        return int(x)
    return lift_int(x, what).affine


def static_int(x: Any, what: str) -> int:
    """An integer argument that must be known while tracing.

    Raises:
        NeedsPythonValue: it is traced.
        TypeError: it is not an integer.
    """
    if is_static_int(x) or isinstance(x, bool):
        return int(x)
    if isinstance(x, Scalar) and not x.value.is_float:
        settled = current().settle(x.value.affine) if x.value.type == I64_SCALAR else None
        if settled is not None:
            return settled
        raise NeedsPythonValue(x.value, what)
    fail(TypeError, f"{what} must be an integer", found=repr(x))


def python_shape(dims: Sequence[Affine]) -> tuple[Any, ...]:
    """Dimensions as users see them: ints and traced integers."""
    return tuple(d if isinstance(d, int) else box(value_of(d)) for d in dims)


def axis_number(axis: Any, rank: int) -> int:
    """A static axis argument in [0, rank).

    Raises:
        AxisError: out of range.
    """
    number = static_int(axis, "an axis")
    if not -rank <= number < rank:
        raise np.exceptions.AxisError(number, rank)
    return number % rank


def axes_from(axis: Any, rank: int) -> tuple[int, ...]:
    """An axis argument (None, int or tuple) as a sorted tuple of axis numbers."""
    if axis is None:
        return tuple(range(rank))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(sorted(axis_number(a, rank) for a in given))
    if len(set(axes)) != len(axes):
        fail(ValueError, "duplicate value in 'axis'")
    return axes


# --- reshaping -------------------------------------------------------------------------------------------------------


def reshaped(x: Array, shape: Any, flattens: bool = False) -> Array:
    """`np.reshape` (or `np.ravel`, which `flattens`): a view where NumPy gives one, else a copy.

    Where it cannot be told which of them it is, the copy must not be written to.
    """
    dims = _complete(shape, x)
    if dims == x.dims:
        return x.through(whole(dims))
    source = x.dims
    inserted = _inserted_axes(source, dims)
    step = expand_step(source, inserted) if inserted is not None else Reshape(dims, source)
    is_view = len(source) <= 1 or isinstance(step, Expand) or gives_view(x, dims, flattens)
    if is_view:
        return x.through(step)
    made = Array(step.read(x.value))
    lay_out(made, BY_ROWS)
    if not current().eager:
        note(x.root).copies.append(made)
    if is_view is None:
        made.frozen = "the reshape of an array that is not contiguous"
    return made


def _inserted_axes(source: tuple[Affine, ...], dims: tuple[Affine, ...]) -> list[int] | None:
    """Positions of axes of size 1 that make `dims` from `source`, if that is all there is to it."""
    positions: list[int] = []
    rest = list(source)
    for k, d in enumerate(dims):
        if rest and rest[0] == d:
            rest.pop(0)
        elif d == 1:
            positions.append(k)
        else:
            return None
    return positions if not rest and positions else None


def _complete(shape: Any, x: Array) -> tuple[Affine, ...]:
    """The dimensions of a shape with at most one -1, of as many elements as `x`."""
    given = shape if isinstance(shape, (tuple, list)) else (shape,)
    dims = [affine_of(s, "a size") for s in given]
    total = product_of(x.dims)
    unknown = [k for k, d in enumerate(dims) if d == -1]
    if len(unknown) > 1:
        fail(ValueError, "can only specify one unknown dimension")
    if unknown:
        rest = product_of([d for d in dims if d != -1])
        dims[unknown[0]] = _quotient(total, rest, x, shape)
    elif product_of(dims) != total:
        _check_count(product_of(dims), total, shape)
    return tuple(dims)


def _quotient(total: Affine, rest: Affine, x: Array, shape: Any) -> Affine:
    if isinstance(total, int) and isinstance(rest, int):
        if rest == 0 or total % rest:
            fail(ValueError, f"cannot reshape array of size {total} into shape {tuple(shape) if shape != -1 else shape}")
        return total // rest
    if rest == 1:
        return total
    exact = _divide_exactly(total, rest, x)
    if exact is not None:
        return exact
    b = builder()
    whole = b.eq(b.mod(value_of(total), value_of(rest)), b.const(0))
    message = "cannot reshape array of size {} into rows of {} elements"
    ensure(whole, "ValueError", message, value_of(total), value_of(rest))
    quotient: Value = b.floordiv(value_of(total), value_of(rest))
    return quotient.affine


def _divide_exactly(total: Affine, rest: Affine, x: Array) -> Affine | None:
    """The quotient where it can be read off: one of the axes left over, or all coefficients divisible."""
    left = list(x.dims)
    if rest in left:
        left.remove(rest)
        return product_of(left)
    if not (isinstance(rest, int) and rest and isinstance(total, Dim)):
        return None
    divides = total.const % rest == 0 and all(c % rest == 0 for _, c in total.terms)
    return Dim(total.const // rest, tuple((s, c // rest) for s, c in total.terms)) if divides else None


def _check_count(count: Affine, total: Affine, shape: Any) -> None:
    gap = difference(count, total)
    if isinstance(gap, int):
        fail(ValueError, f"cannot reshape array of size {total} into shape {shape}")
    if is_at_least(gap, 0) and is_at_least(difference(total, count), 0):
        return
    counts = values_of([total, count])
    ensure(builder().eq(*counts), "ValueError", "cannot reshape array of size {} into a shape of {} elements", *counts)
