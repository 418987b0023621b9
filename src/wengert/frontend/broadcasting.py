"""Shapes that go together: NumPy's broadcasting, written out with `broadcast`, and run-time checks where it cannot be proved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wengert.frontend.arrays import Array
from wengert.frontend.boxes import lift
from wengert.frontend.context import current
from wengert.frontend.emit import (
    builder,
    difference,
    ensure,
    fail,
    logical_and,
    logical_or,
    remember,
    value_of,
    values_of,
)
from wengert.ir.core import Value
from wengert.types import Affine, describe_sizes

Shape = tuple[Affine, ...]
Placed = tuple[Value, Shape, tuple[int, ...]]


OPERANDS = "operands could not be broadcast together with shapes"
INDICES = "shape mismatch: indexing arrays could not be broadcast together with shapes"


def broadcast_shapes(
    shapes: Sequence[Shape],
    what: str = OPERANDS,
    error: type[Exception] = ValueError,
) -> Shape:
    """The common shape of `shapes`; emits the checks that it needs.

    Raises:
        ValueError: the shapes surely do not go together; `error`, if given, instead.
    """
    rank = max((len(s) for s in shapes), default=0)
    dims: list[Affine] = []
    for axis in range(rank):
        common: Affine = 1
        for shape in shapes:
            k = axis - rank + len(shape)
            if k >= 0 and shape[k] != 1:
                common = shape[k] if common == 1 else unify(common, shape[k], what, shapes, error)
        dims.append(common)
    return tuple(dims)


def unify(a: Affine, b: Affine, what: str, shapes: Sequence[Shape], error: type[Exception] = ValueError) -> Affine:
    """The dimension that `a` and `b` both are, a static one if possible; checked at run time where it cannot be proved."""
    if a == b:
        return a
    preferred = b if isinstance(b, int) else a
    if current().assume_equal(a, b):
        return preferred
    if isinstance(difference(a, b), int):
        fail(error, f"{what} {show_shapes(shapes)}")
    _check_equal(a, b, what, shapes, error)
    return preferred


def _check_equal(a: Affine, b: Affine, what: str, shapes: Sequence[Shape], error: type[Exception] = ValueError) -> None:
    def emit() -> Value:
        x, y = value_of(a), value_of(b)
        equal: Value = builder().eq(x, y)
        extras = [value_of(d) for s in shapes for d in s]
        shown = " ".join("(" + ",".join("{}" for _ in s) + ("," if len(s) == 1 else "") + ")" for s in shapes)
        failures = current().failures
        if failures is None or not failures.catches(error):
            ensure(equal, error.__name__, f"{what} {shown}", *extras, sizes=True)
            return equal
        # A `try` takes the error of sizes that do not go together, but not that one of them is 1 and would repeat.
        one = builder().const(1)
        none_is_one = logical_and(builder().ne(x, one), builder().ne(y, one))
        ensure(logical_or(equal, none_is_one), error.__name__, f"{what} {shown}", *extras, sizes=True)
        ensure(equal, error.__name__, f"{what} {shown}", *extras)
        return equal

    remember("equal", (a, b), emit)


def show_shapes(shapes: Sequence[Shape]) -> str:
    """Shapes as NumPy writes them, for the arguments at hand: `(3,) (4,)`."""
    letters: dict[Any, str] = {}
    found = []
    for shape in shapes:
        sizes = [size if known is None else known for size, known in ((d, current().size_at_hand(d)) for d in shape)]
        found.append(f"({describe_sizes(sizes, letters)}{',' if len(shape) == 1 else ''})")
    return " ".join(found)


def placed(x: Any) -> Placed:
    """A value, the shape that `x` has, and the axes of that shape that the value's axes are."""
    if isinstance(x, Array):
        return x.placed()
    value = lift(x)
    return value, value.dims, tuple(range(value.rank))


def spread(x: Placed, dims: Shape) -> Value:
    """`x` repeated to shape `dims`, with which it is known to go together."""
    value, shape, axes = x
    if value.dims == dims and len(axes) == len(shape):
        return value
    shift = len(dims) - len(shape)
    ones = [k for k, axis in enumerate(axes) if value.dims[k] == 1 and dims[axis + shift] != 1]
    if ones:
        value = drop_axes(value, ones)
        axes = tuple(axis for k, axis in enumerate(axes) if k not in ones)
    axes = tuple(axis + shift for axis in axes)
    value = assume(value, tuple(dims[axis] for axis in axes))
    return builder().broadcast_to(value, dims, axes)


def drop_axes(value: Value, axes: Sequence[int]) -> Value:
    """`value` without the given axes of size 1."""
    b = builder()
    spec = tuple("i" if k in axes else ":" for k in range(value.rank))
    return b.index(value, *[b.const(0) for _ in axes], spec=spec)


def assume(value: Value, dims: Shape) -> Value:
    """`value` with its shape called `dims`, which it is known to have."""
    if value.dims == dims:
        return value
    return builder().assume_shape(value, *values_of(dims))


def broadcast_operands(
    operands: Sequence[Any],
    convert: Callable[[Value], Value] | None = None,
    what: str = OPERANDS,
    error: type[Exception] = ValueError,
) -> list[Value]:
    """The operands as values of one shape; `convert` is applied before they are repeated, `error` raised where they differ."""
    places = [placed(x) for x in operands]
    if convert is not None:
        places = [(convert(value), shape, axes) for value, shape, axes in places]
    first = places[0][1]
    if all([shape == first for _, shape, _ in places]):
        dims = first
    else:
        dims = broadcast_shapes([shape for _, shape, _ in places], what, error)
    return [spread(p, dims) for p in places]


def broadcast_into(x: Any, dims: Shape, convert: Callable[[Value], Value]) -> Value:
    """`x` as a value of exactly shape `dims`, as in an assignment.

    Raises:
        ValueError: it does not fit.
    """
    value, shape, axes = placed(x)
    if not shape or shape == dims:
        return spread((convert(value), shape, axes), dims)
    extra = len(shape) - len(dims)
    if extra > 0 and all(d == 1 for d in shape[:extra]):
        value, shape, axes = _strip_leading(value, shape, axes, extra)
    what = "could not broadcast input array from shape {} into shape {}".format(
        show_shapes([shape]).replace(" ", ""), show_shapes([dims])
    )
    if len(shape) > len(dims):
        fail(ValueError, what)
    for have, want in zip(reversed(shape), reversed(dims), strict=False):
        if have == 1 or have == want:
            continue
        if current().assume_equal(have, want):
            continue
        if isinstance(difference(have, want), int):
            fail(ValueError, what)
        _check_equal(have, want, "could not broadcast input array from and into shapes", (shape, dims))
    return spread((convert(value), shape, axes), dims)


def _strip_leading(value: Value, shape: Shape, axes: tuple[int, ...], extra: int) -> Placed:
    ones = [k for k, axis in enumerate(axes) if axis < extra]
    if ones:
        value = drop_axes(value, ones)
    return value, shape[extra:], tuple(axis - extra for axis in axes if axis >= extra)
