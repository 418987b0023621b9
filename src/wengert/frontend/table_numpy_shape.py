"""Handlers of NumPy functions that rearrange: views (reshape, transpose, ...), joins (concatenate, stack, ...), repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from wengert.errors import InternalError, StagingError
from wengert.frontend.advanced import setitem
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, as_array, dtype_of, is_box, is_number, lift, promote, shape_of
from wengert.frontend.broadcasting import assume, broadcast_into, broadcast_shapes, unify
from wengert.frontend.elementwise import astype, write_out
from wengert.frontend.emit import builder, fail, product_of, to_dtype, unsupported, value_of
from wengert.frontend.registry import PASS, handle, operator_rule, register
from wengert.frontend.scalars import Scalar
from wengert.frontend.shapes import axes_from, axis_number, dims_from, python_shape, reshaped, static_int
from wengert.frontend.views import At, Entry, Index, Part, Step, Whole, expand_step, whole
from wengert.ir.core import Value
from wengert.types import Affine, dim_add

# --- views -----------------------------------------------------------------------------------------------------------


@register(np.reshape)
def reshape(a: Any, /, shape: Any = None, order: str = "C", **options: Any) -> Any:
    """`np.reshape`."""
    if not any_box(a, shape):
        return PASS
    x, wanted = as_array(a), options.get("newshape") if shape is None else shape
    if order == "F" or (order == "A" and x.flags.fnc):
        sizes = tuple(wanted) if isinstance(wanted, tuple | list) else (wanted,)
        return reshaped(x.T, sizes[::-1]).T
    return reshaped(x, wanted)


@register(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    """`np.ravel`."""
    if not any_box(a):
        return PASS
    x = as_array(a)
    if x.ndim == 1:
        return x
    if order == "F" or (order in ("A", "K") and x.flags.fnc):
        x = x.T
    elif order == "K" and not x.flags.c_contiguous:
        unsupported("np.ravel(order='K') of an array with gaps is not supported", "use order='C'", StagingError)
    return reshaped(x, (-1,), flattens=True) if x.ndim else x.through(expand_step((), (0,)))


@register(np.transpose)
def transpose(a: Any, axes: Any = None) -> Any:
    """`np.transpose`."""
    if not any_box(a):
        return PASS
    x = as_array(a)
    if axes is None:
        return x.T
    perm = tuple(axis_number(k, x.ndim) for k in axes)
    if sorted(perm) != list(range(x.ndim)):
        fail(ValueError, "axes don't match array")
    return x.permuted(perm)


@register(np.swapaxes)
def swapaxes(a: Any, axis1: Any, axis2: Any) -> Any:
    """`np.swapaxes`."""
    if not any_box(a):
        return PASS
    x = as_array(a)
    perm = list(range(x.ndim))
    first, second = axis_number(axis1, x.ndim), axis_number(axis2, x.ndim)
    perm[first], perm[second] = perm[second], perm[first]
    return x.permuted(tuple(perm))


@register(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """`np.moveaxis`."""
    if not any_box(a):
        return PASS
    x = as_array(a)
    sources = [axis_number(k, x.ndim) for k in (source if isinstance(source, tuple | list) else (source,))]
    targets = [axis_number(k, x.ndim) for k in (destination if isinstance(destination, tuple | list) else (destination,))]
    perm = [k for k in range(x.ndim) if k not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        perm.insert(target, origin)
    return x.permuted(tuple(perm))


@register(np.squeeze)
def squeeze(a: Any, axis: Any = None) -> Any:
    """`np.squeeze`."""
    if not any_box(a):
        return PASS
    x = as_array(a)
    axes = axes_from(axis, x.ndim) if axis is not None else tuple(k for k, d in enumerate(x.dims) if d == 1)
    if any(x.dims[k] != 1 for k in axes):
        fail(ValueError, "cannot select an axis to squeeze out which has size not equal to one")
    entries: list[Entry] = [At(0) if k in axes else Whole(d) for k, d in enumerate(x.dims)]
    return x.through(Index(tuple(entries)))


@register(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Any:
    """`np.expand_dims`."""
    if not any_box(a):
        return PASS
    x = as_array(a)
    given = axis if isinstance(axis, tuple | list) else (axis,)
    return x.through(expand_step(x.dims, axes_from(tuple(given), x.ndim + len(given))))


@register(np.atleast_1d)
def atleast_1d(*arrays: Any) -> Any:
    """`np.atleast_1d`."""
    if not any_box(arrays):
        return PASS
    found = [x if x.ndim else x.reshape((1,)) for x in map(as_array, arrays)]
    return found[0] if len(found) == 1 else tuple(found)


@register(np.atleast_2d)
def atleast_2d(*arrays: Any) -> Any:
    """`np.atleast_2d`."""
    if not any_box(arrays):
        return PASS
    found = [x if x.ndim > 1 else x[None, :] if x.ndim else x.reshape((1, 1)) for x in map(as_array, arrays)]
    return found[0] if len(found) == 1 else tuple(found)


@register(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    """`np.flip`."""
    if not any_box(m):
        return PASS
    x = as_array(m)
    axes = axes_from(axis, x.ndim)
    entries: list[Entry] = [Part(dim_add(d, -1), d, -1) if k in axes else Whole(d) for k, d in enumerate(x.dims)]
    return x.through(Index(tuple(entries)))


@register(np.flipud)
def flipud(m: Any) -> Any:
    """`np.flipud`."""
    return flip(m, 0) if any_box(m) else PASS


@register(np.fliplr)
def fliplr(m: Any) -> Any:
    """`np.fliplr`."""
    return flip(m, 1) if any_box(m) else PASS


# --- questions -------------------------------------------------------------------------------------------------------


@register(np.shape)
def shape(a: Any) -> Any:
    """`np.shape`."""
    return python_shape(shape_of(a)) if any_box(a) else PASS


@register(np.ndim)
def ndim(a: Any) -> Any:
    """`np.ndim`."""
    return len(shape_of(a)) if any_box(a) else PASS


@register(np.size)
def size(a: Any, axis: Any = None) -> Any:
    """`np.size`."""
    if not any_box(a):
        return PASS
    dims = shape_of(a)
    return python_shape((product_of(dims) if axis is None else dims[axis_number(axis, len(dims))],))[0]


@register(np.isscalar)
def isscalar(element: Any) -> Any:
    """`np.isscalar`."""
    return isinstance(element, Scalar) if is_box(element) else PASS


@register(np.iscomplexobj, np.iscomplex)
def iscomplexobj(x: Any) -> Any:
    """`np.iscomplexobj`: nothing traced is complex."""
    return False if any_box(x) else PASS


@register(np.isrealobj)
def isrealobj(x: Any) -> Any:
    """`np.isrealobj`."""
    return True if any_box(x) else PASS


@register(np.real)
def real(val: Any) -> Any:
    """`np.real`."""
    return val if any_box(val) else PASS


# --- joins -----------------------------------------------------------------------------------------------------------


@register(np.concatenate)
def concatenate(arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, **options: Any) -> Any:
    """`np.concatenate`."""
    if not any_box(_items(arrays)):
        return PASS
    parts = [as_array(a) if dtype is None else as_array(astype(as_array(a), dtype)) for a in _items(arrays)]
    if axis is None:
        parts, axis = [p.ravel() for p in parts], 0
    if not parts[0].ndim:
        fail(ValueError, "zero-dimensional arrays cannot be concatenated")
    number = axis_number(axis, parts[0].ndim)
    if len({p.ndim for p in parts}) > 1:
        fail(ValueError, "all the input array dimensions must match exactly: the arrays have different numbers of dimensions")
    found = Array(join([p.value for p in parts], number))
    return found if out is None else _joined_into(out, found, parts, "np.concatenate")


def _joined_into(out: Any, found: Array, parts: Sequence[Array], name: str) -> Any:
    """`found` in an array of the caller's, which NumPy fills part by part: what it overwrites must not be among the parts."""
    if isinstance(out, Array) and any(p.root is out.root for p in parts):
        unsupported(f"the argument 'out' of {name} shares memory with what is joined", "join copies", StagingError)
    return write_out(out, found, True, name)


def _items(arrays: Any) -> list[Any]:
    return [arrays[k] for k in range(len(arrays))] if isinstance(arrays, Array) else list(arrays)


def join(values: Sequence[Value], axis: int) -> Value:
    """`values`, equal in all other axes, one behind the other along `axis`."""
    dtype = promote(*[Array(v) for v in values])
    dims = list(values[0].dims)
    what = "all the input array dimensions except for the concatenation axis must match exactly, but the shapes are"
    for v in values[1:]:
        dims = [d if k == axis else unify(d, v.dims[k], what, [values[0].dims, v.dims]) for k, d in enumerate(dims)]
    ends: list[Affine] = [0]
    for v in values:
        ends.append(dim_add(ends[-1], v.dims[axis]))
    b = builder()
    joined: Value = b.full((*dims[:axis], ends[-1], *dims[axis + 1 :]), 0, dtype)
    for v, start in zip(values, ends, strict=False):
        shape = (*dims[:axis], v.dims[axis], *dims[axis + 1 :])
        part = Index(tuple(Part(start, d) if k == axis else Whole(d) for k, d in enumerate(shape)))
        joined = part.put(joined, assume(to_dtype(v, dtype), shape))
    return joined


@register(np.stack)
def stack(arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """`np.stack`."""
    if not any_box(_items(arrays)):
        return PASS
    parts = [as_array(a) if dtype is None else as_array(astype(as_array(a), dtype)) for a in _items(arrays)]
    if len({p.ndim for p in parts}) > 1:
        fail(ValueError, "all input arrays must have the same shape")
    number = axis_number(axis, parts[0].ndim + 1)
    found = Array(join([p.through(expand_step(p.dims, (number,))).value for p in parts], number))
    return found if out is None else _joined_into(out, found, parts, "np.stack")


@register(np.vstack)
def vstack(tup: Any, **options: Any) -> Any:
    """`np.vstack`."""
    items = _items(tup)
    return concatenate([atleast_2d(as_array(a)) for a in items], 0) if any_box(items) else PASS


@register(np.hstack)
def hstack(tup: Any, **options: Any) -> Any:
    """`np.hstack`."""
    items = _items(tup)
    if not any_box(items):
        return PASS
    parts = [atleast_1d(as_array(a)) for a in items]
    return concatenate(parts, 0 if parts[0].ndim == 1 else 1)


@register(np.column_stack)
def column_stack(tup: Any) -> Any:
    """`np.column_stack`."""
    items = _items(tup)
    if not any_box(items):
        return PASS
    parts = [as_array(a) for a in items]
    return concatenate([p[:, None] if p.ndim == 1 else p for p in parts], 1)


@register(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    """`np.append`."""
    return concatenate([arr, values], axis) if any_box(arr, values) else PASS


# --- repeats and shifts ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Repeated(Step):
    """An array repeated along new axes and along those of size 1; only to be read."""

    dims: tuple[Affine, ...]

    def read(self, x: Value) -> Value:
        """`broadcast`."""
        return broadcast_into(Array(x), self.dims, lambda v: v)

    def put(self, x: Value, new: Value) -> Value:
        """Never: an element stands in several places."""
        raise InternalError("the result of np.broadcast_to is not written to")


@register(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    """`np.broadcast_to`: a view that must not be written to."""
    if not any_box(array, shape):
        return PASS
    made = as_array(array).through(Repeated(dims_from(shape)))
    made.frozen = "the result of np.broadcast_to"
    if made.value.dims != made.dims:  # read once now, for its errors
        raise InternalError("np.broadcast_to gave another shape")
    return made


@register(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    """`np.broadcast_arrays`: views, of which those that repeat elements must not be written to."""
    return repeated([as_array(x) for x in args], "the result of np.broadcast_arrays") if any_box(args) else PASS


@operator_rule("repeated")
def repeated(arrays: Sequence[Array], what: str) -> tuple[Array, ...]:
    """Views of one shape; `what` they are called where an element stands in several places."""
    dims = broadcast_shapes([x.dims for x in arrays])
    found = [x.through(whole(dims) if x.dims == dims else Repeated(dims)) for x in arrays]
    for x, view in zip(arrays, found, strict=True):
        view.frozen = x.frozen if x.dims == dims else what
    return tuple(found)


@register(np.tile)
def tile(A: Any, reps: Any) -> Any:
    """`np.tile` by static counts."""
    if not any_box(A, reps):
        return PASS
    times = [static_int(r, "the repetitions of np.tile") for r in (reps if isinstance(reps, tuple | list) else (reps,))]
    x = as_array(A)
    rank = max(x.ndim, len(times))
    x = x.reshape((1,) * (rank - x.ndim) + tuple(x.shape)) if x.ndim < rank else x
    times = [1] * (rank - len(times)) + times
    for axis, count in enumerate(times):
        if count < 0:
            fail(ValueError, "negative dimensions are not allowed")
        if count == 0:
            x = x[(*(slice(None),) * axis, slice(0, 0))]
            continue
        x = x if count == 1 else Array(join([x.value] * count, axis))
    return Array(x.value)


@register(np.copyto)
def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> Any:
    """`np.copyto`."""
    if not is_box(dst):
        return PASS
    if casting not in ("no", "equiv", "safe", "same_kind", "unsafe"):
        fail(ValueError, f"casting must be one of 'no', 'equiv', 'safe', 'same_kind' or 'unsafe' (got {casting!r})")
    if isinstance(dst, Array):
        wanted = dst.element.numpy
        given = dtype_of(src).numpy
        if is_number(src) and given.kind != "b" and not (isinstance(src, np.generic) or getattr(src, "numpy", False)):
            given = np.result_type(given.type(0).item(), wanted)  # a number of Python takes the precision of the array
        if not np.can_cast(given, wanted, cast(Any, casting)):
            fail(TypeError, f"Cannot cast array data from {given!r} to {wanted!r} according to the rule '{casting}'")
        src = src if dtype_of(src) == dst.element else astype(as_array(src), wanted)
    setitem(dst, Ellipsis, src if where is True else handle(np.where, where, src, dst))
    return None


def triangle(function: Any, keeps_lower: bool) -> None:
    """Register `np.tril` or `np.triu`."""

    def handler(m: Any, k: Any = 0) -> Any:
        if not any_box(m, k):
            return PASS
        x = as_array(m)
        b = builder()
        rows = b.broadcast_to(b.iota(value_of(x.dims[-2])), x.dims, (x.ndim - 2,))
        columns = b.broadcast_to(b.iota(value_of(x.dims[-1])), x.dims, (x.ndim - 1,))
        edge = b.add(rows, b.full(x.dims, lift(k)))
        kept = b.le(columns, edge) if keeps_lower else b.ge(columns, edge)
        return Array(b.select(kept, x.value, b.full(x.dims, 0, dtype_of(x))))

    register(function)(handler)


triangle(np.tril, True)
triangle(np.triu, False)
