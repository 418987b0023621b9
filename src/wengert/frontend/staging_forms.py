"""What a Python value looks like to staging: a tree whose leaves are static objects or traced values of a type.

Two forms join where arms of a branch meet or a loop closes: equal static leaves stay static, numbers that differ become traced.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from wengert.frontend.arrays import Array
from wengert.frontend.boxes import box, dtype_of, lift, lift_as
from wengert.frontend.context import current
from wengert.frontend.emit import common_dtype
from wengert.frontend.scalars import Scalar
from wengert.ir.core import Value
from wengert.tree import TreeDef, flatten
from wengert.types import TensorType, describe_type, describe_types


class Unset:
    """The type of `UNSET`, which stands for a variable or item without a value, and of `DEAD`, whose value nobody reads."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "nothing"


UNSET: Final = Unset()
DEAD: Final = Unset()


class CannotMergeError(Exception):
    """Two values have no common form; the message says why, without a place.

    Attributes:
        size: where only sizes differ: a symbolic one, which might turn out to be equal if it were known.
    """

    def __init__(self, message: str, size: Value | None = None) -> None:
        super().__init__(message)
        self.size = size


@dataclass(frozen=True)
class Leaf:
    """One leaf of a form.

    Attributes:
        kind: "static", "scalar", "array" (a box), "value" (a bare IR value) or "unset".
        type: of traced leaves.
        numpy: for scalars, whether they stand for a NumPy number.
        obj: the object of a static leaf.
    """

    kind: str
    type: TensorType | None = None
    numpy: bool = False
    obj: Any = None


@dataclass(frozen=True)
class Form:
    """The form of a value: its structure (None for a bare leaf that is no container) and its leaves."""

    structure: TreeDef
    leaves: tuple[Leaf, ...]

    @property
    def is_unset(self) -> bool:
        """Whether there is no value."""
        return len(self.leaves) == 1 and self.leaves[0].kind == "unset"

    @property
    def is_static(self) -> bool:
        """Whether nothing in it is traced."""
        return all(leaf.kind in ("static", "unset") for leaf in self.leaves)


_LEAF: Final = flatten(0)[1]


def take_apart(obj: Any) -> tuple[list[Any], TreeDef]:
    """The leaves of `obj` and its structure; bare IR values are leaves."""
    if isinstance(obj, Value | Unset):
        return [obj], _LEAF
    return flatten(obj)


def form_of(obj: Any) -> Form:
    """The form of `obj`."""
    leaves, structure = take_apart(obj)
    return Form(structure, tuple(map(_leaf_of, leaves)))


def _leaf_of(obj: Any) -> Leaf:
    if isinstance(obj, Scalar):
        return Leaf("scalar", obj.value.tensor, obj.numpy)
    if isinstance(obj, Array):
        return Leaf("array", TensorType(obj.element, obj.dims))
    if isinstance(obj, Value):
        return Leaf("value", obj.tensor)
    if isinstance(obj, Unset):
        return Leaf("unset", obj=obj if obj is DEAD else None)
    return Leaf("static", obj=_Static(obj))


class _Static:
    """Compares static leaves: numbers and texts by value, everything else by identity."""

    __slots__ = ("obj",)

    def __init__(self, obj: Any) -> None:
        self.obj = obj

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Static) and is_same(self.obj, other.obj)

    __hash__ = None  # type: ignore[assignment]


def is_same(a: Any, b: Any) -> bool:
    """Whether two static objects are interchangeable."""
    if a is b:
        return True
    if type(a) is not type(b) or not isinstance(a, int | float | str | bytes | np.generic):
        return False
    if isinstance(a, float):
        return a == b and math.copysign(1.0, a) == math.copysign(1.0, b)
    return bool(a == b)


def is_number(obj: Any) -> bool:
    """Whether `obj` is a static number that can become a traced one."""
    return isinstance(obj, bool | int | float | np.bool_ | np.integer | np.float64)


# --- joining ---------------------------------------------------------------------------------------------------------


def join(a: Form, b: Form) -> Form:
    """The form that values of both forms can take.

    Raises:
        CannotMergeError: there is none.
    """
    if a.is_unset or b.is_unset:
        known, other = (b, a) if a.is_unset else (a, b)
        if other.leaves[0].obj is DEAD:
            return known
        return Form(known.structure, tuple(map(_traced, known.leaves)))
    if a.structure != b.structure:
        raise CannotMergeError(f"{_shown(a)} or {_shown(b)}")
    return Form(a.structure, tuple(map(_join_leaves, a.leaves, b.leaves)))


def _join_leaves(a: Leaf, b: Leaf) -> Leaf:
    if a == b:
        return a
    x, y = _traced(a), _traced(b)
    if "static" in (x.kind, y.kind) or (x.kind == "array") != (y.kind == "array"):
        raise CannotMergeError(f"{_shown_leaf(a)} or {_shown_leaf(b)}")
    assert x.type is not None and y.type is not None
    if x.type.dims != y.type.dims:
        symbols = [s for s in (*x.type.symbols(), *y.type.symbols()) if isinstance(s, Value)]
        size = symbols[0] if x.type.rank == y.type.rank and symbols else None
        first, second = describe_types(x.type, y.type)
        raise CannotMergeError(f"an array {first} or an array {second}", size)
    if x.type.rank and x.type.dtype != y.type.dtype:
        raise CannotMergeError(f"an array of dtype {x.type.dtype} or of dtype {y.type.dtype}")
    return Leaf(x.kind, x.type.with_dtype(common_dtype(x.type.dtype, y.type.dtype)), x.numpy or y.numpy)


def _traced(leaf: Leaf) -> Leaf:
    """A static number or array as the traced leaf it can become."""
    if leaf.kind != "static":
        return leaf
    obj = leaf.obj.obj
    if isinstance(obj, np.ndarray):
        return Leaf("array", TensorType(dtype_of(obj), obj.shape))
    return Leaf("scalar", TensorType(dtype_of(obj)), isinstance(obj, np.generic)) if is_number(obj) else leaf


def _shown(form: Form) -> str:
    if form.structure.kind == "leaf":
        return _shown_leaf(form.leaves[0])
    return "None" if form.structure.kind == "none" else repr(form.structure).removeprefix("TreeDef")


def _shown_leaf(leaf: Leaf) -> str:
    if leaf.kind == "static":
        obj = leaf.obj.obj
        return "None" if obj is None else f"the {type(obj).__name__} {obj!r}"
    if leaf.kind == "unset":
        return "nothing"
    assert leaf.type is not None
    if leaf.type.rank:
        return f"an array {describe_type(leaf.type)}"
    return {"f64": "a float", "i64": "an int", "bool": "a bool"}[leaf.type.dtype.name]


# --- values ----------------------------------------------------------------------------------------------------------


def lower(form: Form, obj: Any, filler: bool = False) -> list[Value]:
    """The traced leaves of `obj` as values of the types of `form`; unset ones as anything, if `filler` is set, else as zeros."""
    if isinstance(obj, Unset):
        leaves: Sequence[Any] = [UNSET] * len(form.leaves)
    else:
        leaves, _ = take_apart(obj)
    pairs = zip(form.leaves, leaves, strict=True)
    return [_lower_leaf(leaf, found, filler) for leaf, found in pairs if leaf.kind not in ("static", "unset")]


def _lower_leaf(leaf: Leaf, obj: Any, filler: bool) -> Value:
    builder = current().builder
    assert leaf.type is not None
    if isinstance(obj, Unset):
        return builder.undef(type=leaf.type) if filler else builder.zeros_like(leaf.type)
    if isinstance(obj, Value):
        getattr(builder, "check_scope", _ignore)(obj)
        return obj
    value = lift_as(obj, leaf.type.dtype) if leaf.kind == "scalar" else lift(obj)
    getattr(builder, "check_scope", _ignore)(value)
    return value


def _ignore(value: Value) -> None:
    return None


def raise_up(form: Form, values: Iterator[tuple[Value, Any]], made: dict[Any, Any]) -> Any:
    """A Python value of `form` around traced values: the inverse of `lower`.

    Args:
        form: what to build.
        values: the traced leaves, each with a key that two array leaves share when they are one array.
        made: boxes of arrays made so far, by key.
    """
    leaves = [_raise_leaf(leaf, values, made) for leaf in form.leaves]
    return leaves[0] if form.structure.kind == "leaf" else form.structure.unflatten(leaves)


def _raise_leaf(leaf: Leaf, values: Iterator[tuple[Value, Any]], made: dict[Any, Any]) -> Any:
    if leaf.kind == "static":
        return leaf.obj.obj
    if leaf.kind == "unset":
        return UNSET
    value, key = next(values)
    if leaf.kind != "array":
        return value if leaf.kind == "value" else box(value, leaf.numpy)
    if key not in made:
        made[key] = box(value, True)
    return made[key]


def mutable_parts(obj: Any) -> list[Any]:
    """The lists, dicts and objects that `obj` consists of."""
    if isinstance(obj, Value | Unset):
        return []
    found: list[Any] = []

    def visit(part: Any) -> bool:
        if part is not None and not isinstance(part, tuple):
            found.append(part)
        return False

    flatten(obj, is_leaf=visit)
    return found
