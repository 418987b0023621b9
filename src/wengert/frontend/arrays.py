"""Traced arrays: what stands for an `ndarray` while a program is traced.

A base array holds the current IR value; writing replaces it. A view knows the array it looks at and how (`views.Step`): it
reads through to the current value of its base and writes back through it, so NumPy's aliasing holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import numpy as np

from wengert.errors import InternalError, StagingError
from wengert.frontend.context import NeedsPythonValue, current, is_tracing
from wengert.frontend.emit import dtype_from, ensure, fail, product_of, unsupported, value_of
from wengert.frontend.memory_order import lies_by_rows, model, note, refuse, remember_layout
from wengert.frontend.registry import OPERATORS, handle
from wengert.frontend.scalars import Operators, box_scalar
from wengert.frontend.views import Expand, Index, Reshape, Step, Transpose, whole
from wengert.ir.core import Value
from wengert.tree import register_leaf
from wengert.types import Affine, DType


def _in_place(name: str) -> Callable[..., Any]:
    def operator(self: Array, other: Any) -> Any:
        new = OPERATORS[name](self, other)
        return new if new is NotImplemented else OPERATORS["assign"](self, new, f"{name} in place")

    return operator


def _method(function: Any) -> Callable[..., Any]:
    def method(self: Array, *args: Any, **kwargs: Any) -> Any:
        return handle(function, self, *args, **kwargs)

    return method


@dataclass(frozen=True)
class Flags:
    """What `x.flags` tells of an array."""

    array: Array
    writeable: bool
    owndata: bool
    aligned: bool = True

    @property
    def c_contiguous(self) -> bool:
        """Whether the elements lie row after row without gaps."""
        return self._are_contiguous()[0]

    @property
    def f_contiguous(self) -> bool:
        """Whether the elements lie column after column without gaps."""
        return self._are_contiguous()[1]

    @property
    def contiguous(self) -> bool:
        """The same as `c_contiguous`."""
        return self.c_contiguous

    @property
    def fnc(self) -> bool:
        """Whether the columns are contiguous and the rows are not."""
        return self._are_contiguous() == (False, True)

    def __getitem__(self, name: str) -> bool:
        return bool(getattr(self, name.lower()))

    def _are_contiguous(self) -> tuple[bool, bool]:
        x = self.array
        if not current().eager:
            note(x.root).always |= x.ndim > 1
            return x.is_contiguous, x.T.is_contiguous
        seen = model(x)
        if seen is None:
            refuse(current().span)
        return seen.flags.c_contiguous, seen.flags.f_contiguous


READ_ONLY: Final = "an argument that is read-only"
"""Why an array must not be written to where the program that does it is at fault: it raises what NumPy raises."""


@register_leaf
class Array(Operators):
    """A traced array of rank 0 or more.

    Attributes:
        parent: the array that this one is a view of, or None.
        step: how it looks at its parent.
        frozen: why it must not be written to, or "".
        home: the builder of the region that it was made in.
        layout: of an array that is no view, how it lies in memory (`memory_order`): `BY_ROWS`, `UNKNOWN`, an array that lies
            as it does, or None where that follows from the value.
        origin: the values that its layout follows from; not in eager mode, where they would take memory.
        writes: how often it has been written to, in runs of code that were undone too.
    """

    __slots__ = ("__weakref__", "_cache", "_value", "frozen", "home", "layout", "origin", "parent", "step", "writes")

    def __init__(self, value: Value) -> None:
        self._value: Value | None = value
        self.parent: Array | None = None
        self.step: Step | None = None
        self._cache: tuple[Value, Any, Value] | None = None
        self.frozen = ""
        self.layout: Any = None
        self.writes = 0
        trace = current()
        self.home = trace.builder
        self.origin: tuple[Value, ...] = () if trace.eager else (value,)

    # --- storage ------------------------------------------------------------------------------------------------

    @property
    def value(self) -> Value:
        """The current IR value; for a view, read from its base."""
        if self.parent is None or self.step is None:
            assert self._value is not None
            return self._value
        source, builder = self.parent.value, current().builder
        cached = self._cache
        if cached is not None and cached[0] is source and cached[1] is builder:
            return cached[2]
        found = self.step.read(source)
        self._cache = (source, builder, found)
        return found

    @property
    def dims(self) -> tuple[Affine, ...]:
        """The sizes of its axes, as dimensions."""
        if self.step is not None:
            return self.step.dims
        assert self._value is not None
        return self._value.dims

    @property
    def element(self) -> DType:
        """The IR dtype of its elements."""
        return self.root.element if self.parent is not None else self._base_value().tensor.dtype

    @property
    def root(self) -> Array:
        """The array that owns the data (itself, unless it is a view)."""
        found = self
        while found.parent is not None:
            found = found.parent
        return found

    def _base_value(self) -> Value:
        assert self._value is not None
        return self._value

    def write(self, new: Value) -> None:
        """Replace the contents by `new`, which has exactly this array's type; seen by the base and by all of its views."""
        if self.frozen == READ_ONLY:
            ensure(False, "ValueError", "assignment destination is read-only")
            return
        if self.frozen:
            unsupported(f"writing to {self.frozen} is not supported", fix="take a .copy() first", error=StagingError)
        if new.dims != self.dims or new.tensor.dtype != self.element:
            raise InternalError(f"write of {new.type} to an array {self.element}{list(self.dims)}")
        if self.parent is None or self.step is None:
            self._store(new)
        elif self.step.reads_on_put:
            self.parent.write(self.step.put(self.parent.value, new))
        else:
            self.parent.write(self.step.put(new, new))

    def _store(self, new: Value) -> None:
        trace = current()
        self.writes += 1
        if trace.eager:
            remember_layout(self)
            self._value = new
        else:
            trace.journal.write((id(self), "value"), self, self._base_value, self._set_value, new)

    def _set_value(self, new: Value) -> None:
        self._value = new

    def replace_data(self, same: Value) -> None:
        """Take another value of the same contents, in eager mode."""
        self._value = same

    # --- views --------------------------------------------------------------------------------------------------

    def through(self, step: Step) -> Array:
        """The view of this array through `step`; consecutive steps of slicing become one."""
        if type(step) is Index:
            if type(self.step) is Index and self.parent is not None:
                return self.parent.through(self.step.then(step))
            if type(self.step) is Transpose and self.parent is not None:
                inner, perm = self.step.push_index(step)
                return self.parent.through(inner).permuted(perm)
        made = Array.__new__(Array)
        made._value, made._cache, made.layout, made.origin, made.writes = None, None, None, (), 0
        made.parent, made.step, made.frozen, made.home = self, step, self.frozen, self.home
        return made

    def permuted(self, perm: tuple[int, ...]) -> Array:
        """The view with axes in the order `perm`."""
        if perm == tuple(range(len(perm))):
            return self
        if type(self.step) is Transpose and self.parent is not None and self.frozen == self.parent.frozen:
            both = tuple(self.step.perm[k] for k in perm)
            return self.parent.through(whole(self.parent.dims)) if both == tuple(range(len(both))) else self.parent.permuted(both)
        return self.through(Transpose(perm, tuple(self.dims[k] for k in perm)))

    @property
    def is_contiguous(self) -> bool:
        """Whether NumPy would surely have its elements in row-major order without gaps, if its root lies so."""
        if self.parent is None:
            return lies_by_rows(self)
        own = self.step.is_contiguous if isinstance(self.step, Index) else isinstance(self.step, Reshape)
        return own and self.parent.is_contiguous

    def is_same_view(self, other: Any) -> bool:
        """Whether `other` shows the same elements of the same array."""
        if other is self:
            return True
        if not isinstance(other, Array) or self.parent is None or other.parent is None:
            return False
        return self.step == other.step and self.parent.is_same_view(other.parent)

    def placed(self) -> tuple[Value, tuple[Affine, ...], tuple[int, ...]]:
        """A value, the shape of this array, and which axes of it the value's axes are: axes of size 1 may be left out."""
        if type(self.step) is Expand and self.parent is not None:
            return self.parent.value, self.dims, self.step.axes
        dims = self.dims
        return self.value, dims, tuple(range(len(dims)))

    # --- indexing -----------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        return OPERATORS["getitem"](self, key)

    def __setitem__(self, key: Any, new: Any) -> None:
        OPERATORS["setitem"](self, key, new)

    def __len__(self) -> int:
        length = self.length
        if isinstance(length, int):
            return length
        settled = current().settle(length)
        if settled is not None:
            return settled
        raise NeedsPythonValue(value_of(length), "the length of an array, outside of converted code", current().span)

    @property
    def length(self) -> Affine:
        """The size of the first axis."""
        if not self.dims:
            fail(TypeError, "len() of unsized object")
        return self.dims[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.dims:
            fail(TypeError, "iteration over a 0-d array")
        return (self[k] for k in range(len(self)))

    def __contains__(self, item: Any) -> Any:
        return bool(handle(np.any, OPERATORS["eq"](self, item)))

    # --- what Python asks for -----------------------------------------------------------------------------------

    def __bool__(self) -> bool:
        if any(d != 1 for d in self.dims):
            fail(ValueError, "The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()")
        return bool(OPERATORS["item"](self))

    def __index__(self) -> int:
        if self.dims:
            fail(TypeError, "only integer scalar arrays can be converted to a scalar index")
        return int(OPERATORS["item"](self).__index__())

    def __int__(self) -> int:
        return int(OPERATORS["number"](self))

    def __float__(self) -> float:
        return float(OPERATORS["number"](self))

    def __repr__(self) -> str:
        """The numbers where they are known, else the type."""
        if is_tracing() and current().eager:
            return repr(np.asarray(current().known(self.value)))
        dims = ",".join(map(str, self.dims))
        return f"<traced array {self.element}[{dims}]{' view' if self.parent is not None else ''}>"

    def __str__(self) -> str:
        if is_tracing() and current().eager:
            return str(np.asarray(current().known(self.value)))
        return repr(self)

    __hash__ = None  # type: ignore[assignment]

    # --- attributes ---------------------------------------------------------------------------------------------

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype."""
        return self.element.numpy

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.dims)

    @property
    def shape(self) -> tuple[Any, ...]:
        """The sizes: ints where they are static, traced integers elsewhere."""
        return tuple(box_scalar(value_of(d)) if not isinstance(d, int) else d for d in self.dims)

    @property
    def size(self) -> Any:
        """The number of elements."""
        total = product_of(self.dims)
        return total if isinstance(total, int) else box_scalar(value_of(total))

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.element.itemsize

    @property
    def nbytes(self) -> Any:
        """Bytes of all elements."""
        return self.size * self.itemsize

    @property
    def T(self) -> Array:
        """The view with the axes reversed."""
        return self.permuted(tuple(reversed(range(self.ndim))))

    @property
    def mT(self) -> Array:
        """The view with the last two axes swapped."""
        if self.ndim < 2:
            fail(ValueError, "matrix transpose with ndim < 2 is undefined")
        return self.swapaxes(-2, -1)

    @property
    def real(self) -> Array:
        """The array itself."""
        return self

    @property
    def imag(self) -> Any:
        """Zeros."""
        return handle(np.zeros_like, self)

    @property
    def flat(self) -> Any:
        """The elements in row-major order."""
        return OPERATORS["flat"](self)

    @property
    def flags(self) -> Flags:
        """What NumPy tells of the memory, as far as it is known."""
        return Flags(self, not self.frozen, self.parent is None)

    def __getattr__(self, name: str) -> NoReturn:
        if hasattr(np.ndarray, name) and not name.startswith("__"):
            unsupported(f"ndarray.{name} is not supported on traced arrays yet", fix=None, error=StagingError)
        raise AttributeError(f"'numpy.ndarray' object has no attribute {name!r}")

    # --- methods ------------------------------------------------------------------------------------------------

    sum, mean, prod = _method(np.sum), _method(np.mean), _method(np.prod)
    max, min, std, var = _method(np.max), _method(np.min), _method(np.std), _method(np.var)
    all, any = _method(np.all), _method(np.any)
    argmax, argmin, cumsum = _method(np.argmax), _method(np.argmin), _method(np.cumsum)
    clip, round, dot = _method(np.clip), _method(np.round), _method(np.dot)
    ravel, squeeze, swapaxes = _method(np.ravel), _method(np.squeeze), _method(np.swapaxes)
    repeat, trace, diagonal = _method(np.repeat), _method(np.trace), _method(np.diagonal)
    argsort, argpartition, searchsorted = _method(np.argsort), _method(np.argpartition), _method(np.searchsorted)
    nonzero, compress, take, put, choose = map(_method, (np.nonzero, np.compress, np.take, np.put, np.choose))
    cumprod = _method(np.cumprod)

    def reshape(self, *shape: Any, **kwargs: Any) -> Any:
        """A view (or copy, as NumPy) of another shape, given as a tuple or as separate sizes."""
        return handle(np.reshape, self, shape[0] if len(shape) == 1 else shape, **kwargs)

    def transpose(self, *axes: Any) -> Any:
        """The view with permuted axes, given as a tuple or as separate ints."""
        return handle(np.transpose, self, axes[0] if len(axes) == 1 else axes or None)

    def flatten(self, order: str = "C") -> Array:
        """A copy of the elements in one dimension."""
        flat: Array = handle(np.ravel, self, order)
        return Array(flat.value) if flat.parent is not None or flat is self else flat

    def copy(self, order: str = "C") -> Array:
        """A new array with the same contents."""
        made: Array = handle(np.copy, self, order)
        return made

    def astype(self, dtype: Any, order: str = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True) -> Any:
        """A new array of another dtype; without `copy` the array itself, if it has that dtype."""
        if not copy and dtype_from(dtype) == self.element:
            return handle(np.asarray, self, order=order)
        return OPERATORS["in order"](OPERATORS["astype"](self, dtype), order)

    def view(self, *kind: Any) -> Array:
        """Another array that shares memory with this one, of the same dtype and shape."""
        if kind and kind[0] not in (np.ndarray, self.dtype, float if self.element.is_float else None):
            unsupported("ndarray.view with another dtype or class is not supported on traced arrays", error=StagingError)
        return self.through(whole(self.dims))

    def fill(self, number: Any) -> None:
        """Set all elements."""
        self[...] = number

    def item(self, *index: Any) -> Any:
        """One element as a Python number."""
        return OPERATORS["item"](self[index[0] if len(index) == 1 else index] if index else self)

    def tolist(self) -> Any:
        """Nested lists of Python numbers; the shape must be static."""
        if not self.dims:
            return OPERATORS["item"](self)
        return [row.tolist() if isinstance(row, Array) else OPERATORS["item"](row) for row in self]

    def sort(self, axis: int = -1, **options: Any) -> None:
        """Sort in place."""
        self[...] = handle(np.sort, self, axis, **options)

    def partition(self, kth: Any, axis: int = -1, **options: Any) -> None:
        """Sort in place, which puts the kth element where it belongs too."""
        self[...] = handle(np.sort, self, axis)

    def conj(self) -> Array:
        """The array itself, as all numbers are real."""
        return self

    conjugate = conj


def _set_in_place(names: str) -> None:
    for name in names.split():
        setattr(Array, f"__i{name}__", _in_place(name))


_set_in_place("add sub mul truediv floordiv mod pow and or xor lshift rshift")
