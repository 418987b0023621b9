"""What the arguments and the result of a recursive function look like at every one of its calls.

An argument, or a part of one, is either the same object at every call, and then the function reads it like any variable from
outside, or it moves, and then it is a parameter. All start as the same; a call that passes something else sets them moving.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wengert.frontend.arrays import Array
from wengert.frontend.boxes import box, dtype_of, lift, lift_as
from wengert.frontend.context import Trace
from wengert.frontend.emit import joined_dtype
from wengert.frontend.forms import CannotMergeError, is_number, is_same
from wengert.frontend.scalars import Scalar
from wengert.frontend.staging_builder import TraceBuilder
from wengert.frontend.staging_forms import mutable_parts
from wengert.frontend.staging_state import bear, freeze
from wengert.ir.core import Value
from wengert.tree import TreeDef, flatten
from wengert.types import BOOL, F32, I64, I64_SCALAR, Affine, Dim, DType, TensorType, dim_of


@dataclass(frozen=True, eq=False)
class Same:
    """A part that is one and the same object at every call."""

    obj: Any


@dataclass(frozen=True, eq=False)
class Argument:
    """A part of the result that is the array passed as leaf `index` of the arguments."""

    index: int


@dataclass(frozen=True, eq=False)
class Moving:
    """A number or array that is another one at every call.

    Attributes:
        is_array: whether it is an array box (of any rank), not a number.
        dtype: of its elements.
        dims: sizes that are the same at every call; None where they are not.
        numpy: for numbers, whether they stand for a NumPy number.
        value: the parameter.
        sizes: per axis the size in the parameter's type.
    """

    is_array: bool
    dtype: DType
    dims: tuple[Affine | None, ...] = ()
    numpy: bool = False
    value: Value = field(init=False)
    sizes: tuple[Affine, ...] = field(init=False)

    def __post_init__(self) -> None:
        sizes = tuple([dim_of(Value(I64_SCALAR, "n")) if d is None else d for d in self.dims])
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "value", Value(TensorType(self.dtype, sizes)))

    @property
    def own_sizes(self) -> list[Value]:
        """The sizes that each call brings along."""
        own = [s for d, s in zip(self.dims, self.sizes) if d is None]
        return [s.terms[0][0] for s in own if not isinstance(s, int) and isinstance(s.terms[0][0], Value)]

    def is_equal(self, other: Moving) -> bool:
        """Whether both say the same."""
        mine = (self.is_array, self.dtype, self.dims, self.numpy)
        return mine == (other.is_array, other.dtype, other.dims, other.numpy)

    def join(self, other: Moving) -> Moving:
        """What both can be.

        Raises:
            CannotMergeError: a number and an array, or arrays of different rank or dtype.
        """
        if self.is_equal(other):
            return self
        if self.is_array != other.is_array or len(self.dims) != len(other.dims):
            raise CannotMergeError("a number or an array, or arrays of different rank,")
        if self.is_array and self.dtype != other.dtype:
            raise CannotMergeError(f"an array of dtype {self.dtype} or of dtype {other.dtype}")
        dims = tuple([a if a == b else None for a, b in zip(self.dims, other.dims, strict=True)])
        dtype = joined_dtype((self.dtype, self.numpy), (other.dtype, other.numpy))
        if dtype == F32 and not {self.dtype, other.dtype} <= {F32, BOOL}:
            raise CannotMergeError("a float32 or a number of Python's that float32 would round")
        joined = Moving(self.is_array, dtype, dims, self.numpy or other.numpy)
        return self if joined.is_equal(self) else joined

    def lower(self, obj: Any) -> Value:
        """`obj` as a value of this kind."""
        return lift(obj) if self.is_array else lift_as(obj, self.dtype)


def moving_of(obj: Any) -> Moving:
    """The part that `obj` is when it moves.

    Raises:
        CannotMergeError: it is no number or array.
    """
    if isinstance(obj, Scalar):
        return Moving(False, obj.value.tensor.dtype, (), obj.numpy)
    if isinstance(obj, Array):
        return Moving(True, obj.element, obj.dims)
    if is_number(obj):
        return Moving(False, dtype_of(obj), (), isinstance(obj, np.generic))
    if isinstance(obj, np.ndarray):
        return Moving(True, dtype_of(obj), obj.shape)
    raise CannotMergeError(f"the {type(obj).__name__} {obj!r} or something else")


def is_identical(a: Any, b: Any) -> bool:
    """Whether two objects are interchangeable at the same moment: one object, one traced value, the same part of one array."""
    if a is b:
        return True
    if isinstance(a, Scalar) and isinstance(b, Scalar):
        x, y = a.value, b.value
        equal = x is y or (x.tensor == TensorType(I64) == y.tensor and x.affine == y.affine)
        return a.numpy == b.numpy and equal
    if isinstance(a, Array) and isinstance(b, Array):
        return a.is_same_view(b)
    if isinstance(a, types.MethodType) and isinstance(b, types.MethodType):
        return a.__func__ is b.__func__ and a.__self__ is b.__self__
    return is_same(a, b)


@dataclass(frozen=True)
class Split:
    """An argument that is taken apart."""

    structure: TreeDef
    parts: tuple[Same | Moving, ...]


class Arguments:
    """What the arguments are at every call.

    Attributes:
        items: per argument.
        names: names of the arguments passed by name; they come last.
        labels: names of the parameters, for printing.
        boxes: the arrays made for the parameters, by position of the parameter.
        rebuilt: containers that are made anew inside of the function.
    """

    def __init__(self, trace: Trace, args: Sequence[Any], kwargs: dict[str, Any], labels: Sequence[str]) -> None:
        self.trace = trace
        self.labels = labels
        self.names = tuple(kwargs)
        self.items: list[Same | Split] = [Same(obj) for obj in (*args, *kwargs.values())]
        self.boxes: dict[int, Array] = {}
        self.rebuilt: list[Any] = []

    def fit(self, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
        """Take in another call; False if something is not the same there, and moves from now on.

        Raises:
            CannotMergeError: there is no form for both.
        """
        given = [*args, *(kwargs[name] for name in self.names if name in kwargs)]
        if set(kwargs) != set(self.names) or len(given) != len(self.items):
            raise CannotMergeError("called with different numbers of arguments")
        new = [self._fit_item(item, obj) for item, obj in zip(self.items, given, strict=True)]
        settled = all(a is b for a, b in zip(new, self.items, strict=True))
        self.items = new
        return settled

    def _fit_item(self, item: Same | Split, obj: Any) -> Same | Split:
        if isinstance(item, Same):
            if is_identical(item.obj, obj):
                return item
            leaves, structure = self.apart(item.obj)
            item = Split(structure, tuple(map(Same, leaves)))
        leaves, structure = self.apart(obj)
        if structure != item.structure:
            raise CannotMergeError(f"{item.structure!r} or {structure!r}".replace("TreeDef", ""))
        parts = tuple(_fit_part(part, leaf) for part, leaf in zip(item.parts, leaves, strict=True))
        if all(a is b for a, b in zip(parts, item.parts, strict=True)):
            return item
        return Split(structure, parts)

    def apart(self, obj: Any) -> tuple[list[Any], TreeDef]:
        """The leaves and the structure of an argument; captured objects are leaves."""
        known = self.trace.captures.known
        return flatten(obj, is_leaf=lambda part: id(part) in known)

    @property
    def moving(self) -> list[Moving]:
        """The parameters, in order."""
        return [p for item in self.items if isinstance(item, Split) for p in item.parts if isinstance(p, Moving)]

    def enter(self, builder: TraceBuilder, first: Sequence[Value]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments inside of the function; parameters come from the values `first` of the outermost call."""
        for moving, source in zip(self.moving, first, strict=True):
            for own in (*moving.own_sizes, moving.value):
                builder.history.owner[own] = builder
            builder.history.sources[moving.value] = [source]
            own_dims = [d for d, known in zip(source.dims, moving.dims) if known is None]
            for own, d in zip(moving.own_sizes, own_dims, strict=True):
                symbols = [s for s, _ in d.terms if isinstance(s, Value)] if isinstance(d, Dim) else []
                builder.history.sources[own] = symbols
        self.boxes, self.rebuilt = {}, []
        places = iter(range(len(first)))
        objs = [self._enter_item(item, places, label) for item, label in zip(self.items, self.labels, strict=True)]
        split = len(objs) - len(self.names)
        return objs[:split], dict(zip(self.names, objs[split:], strict=True))

    def _enter_item(self, item: Same | Split, places: Iterator[int], label: str) -> Any:
        if isinstance(item, Same):
            return item.obj
        for part in item.parts:
            if isinstance(part, Moving):
                part.value.name = label
        leaves = [p.obj if isinstance(p, Same) else self._enter_leaf(p, next(places)) for p in item.parts]
        if item.structure.kind == "leaf":
            return leaves[0]
        made = item.structure.unflatten(leaves)
        for part in mutable_parts(made):
            self.rebuilt.append(bear(self.trace, part))
        freeze(self.trace, made, "a container that is passed to a recursive call")
        return made

    def _enter_leaf(self, moving: Moving, place: int) -> Any:
        if not moving.is_array:
            return box(moving.value, moving.numpy)
        self.boxes[place] = Array(moving.value)
        return self.boxes[place]

    def leaves(self, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
        """What a call passes for the parameters."""
        found: list[Any] = []
        for item, obj in zip(self.items, (*args, *(kwargs[name] for name in self.names)), strict=True):
            if isinstance(item, Split):
                leaves = self.apart(obj)[0]
                found += [leaf for part, leaf in zip(item.parts, leaves, strict=True) if isinstance(part, Moving)]
        return found


def _fit_part(part: Same | Moving, obj: Any) -> Same | Moving:
    if isinstance(part, Same):
        return part if is_identical(part.obj, obj) else moving_of(part.obj).join(moving_of(obj))
    return part.join(moving_of(obj))


# --- results ---------------------------------------------------------------------------------------------------------

Part = Same | Argument | Moving


@dataclass(frozen=True)
class Result:
    """What a function returns at every call.

    Attributes:
        structure: the structure, or None when the whole is the object of the only part.
        parts: its leaves. Sizes of moving arrays refer to parameters and to what is outside.
    """

    structure: TreeDef | None
    parts: tuple[Part, ...]

    def join(self, other: Result, params: Sequence[Moving]) -> Result:
        """What both can be; `self` if it is wide enough.

        Raises:
            CannotMergeError: there is no such form.
        """
        if self.structure != other.structure:
            raise CannotMergeError(f"{self.structure!r} or {other.structure!r}".replace("TreeDef", ""))
        parts = tuple([_join_parts(a, b, params) for a, b in zip(self.parts, other.parts, strict=True)])
        return self if all(x is y for x, y in zip(parts, self.parts, strict=True)) else Result(self.structure, parts)


def _join_parts(a: Part, b: Part, params: Sequence[Moving]) -> Part:
    if isinstance(a, Same) and isinstance(b, Same) and is_identical(a.obj, b.obj):
        return a
    if isinstance(a, Argument) and isinstance(b, Argument) and a.index == b.index:
        return a
    x, y = (_as_moving(part, params) for part in (a, b))
    return x.join(y)


def _as_moving(part: Part, params: Sequence[Moving]) -> Moving:
    if isinstance(part, Argument):
        found = params[part.index]
        return Moving(found.is_array, found.dtype, found.sizes, found.numpy)
    return moving_of(part.obj) if isinstance(part, Same) else part


def origin_of(part: Part) -> frozenset[Any]:
    """Where an array comes from that becomes a moving one: a position in the arguments, or an array from outside."""
    if isinstance(part, Argument):
        return frozenset([part.index])
    if isinstance(part, Same) and isinstance(part.obj, Array):
        return frozenset([Shared(part.obj.root)])
    return frozenset()


@dataclass(frozen=True)
class Shared:
    """An array from outside of the function, compared by identity."""

    array: Array

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shared) and self.array is other.array

    def __hash__(self) -> int:
        return id(self.array)
