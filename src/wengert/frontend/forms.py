"""The form of a Python value as staging sees it: a tree whose leaves are static objects or traced values of a type."""

from __future__ import annotations

import math
import types
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from wengert.frontend.boxes import dtype_of
from wengert.frontend.scalars import Kinds, class_of
from wengert.ir.core import Value
from wengert.tree import TreeDef
from wengert.types import BOOL, DTYPES, F32, F64, I64, TensorType


class Unset:
    """The type of `UNSET`, which stands for a variable or item without a value, and of `DEAD`, whose value nobody reads."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "nothing"


UNSET: Final = Unset()
DEAD: Final = Unset()
IN_LIST: Final = "what has been put into a list whose length is known only at run time"


class CannotMergeError(Exception):
    """Two values have no common form; the message says why, without a place.

    Attributes:
        size: where only sizes differ: a symbolic one, which might turn out to be equal if it were known.
    """

    def __init__(self, message: str, size: Value | None = None) -> None:
        super().__init__(message)
        self.size = size


@dataclass(slots=True)
class Leaf:
    """One leaf of a form.

    Attributes:
        kind: "static", "scalar", "array" (a box), "value" (a bare IR value), "length" (of a growing list) or "unset".
        type: of traced leaves.
        numpy: for scalars, whether they stand for a NumPy number.
        obj: the object of a static leaf.
        kinds: for scalars, the classes they may be of, if that is not sure.
    """

    kind: Final[str]
    type: Final[TensorType | None] = None
    numpy: Final[bool] = False
    obj: Final[Any] = None
    kinds: Final[Kinds] = None


@dataclass(slots=True)
class Form:
    """The form of a value: its structure (None for a bare leaf that is no container) and its leaves."""

    structure: Final[TreeDef]
    leaves: Final[tuple[Leaf, ...]]

    @property
    def is_unset(self) -> bool:
        """Whether there is no value."""
        return len(self.leaves) == 1 and self.leaves[0].kind == "unset"

    @property
    def is_static(self) -> bool:
        """Whether nothing in it is traced."""
        return all(leaf.kind in ("static", "unset") for leaf in self.leaves)


SCALARS: Final = {
    (dtype, numpy): Leaf("scalar", TensorType(dtype), numpy) for dtype in DTYPES.values() for numpy in (False, True)
}
"""The leaves of traced numbers of one class, by dtype and whether they are NumPy's."""
TRACED: Final = {
    float: SCALARS[F64, False],
    int: SCALARS[I64, False],
    bool: SCALARS[BOOL, False],
    np.float64: SCALARS[F64, True],
}
"""The leaves of what static numbers become, by class."""
_STATIC_NUMBERS = (bool, int, float, np.bool_, np.integer, np.float64, np.float32)
_BEYOND = 2.0**128
"""Numbers below this, if they have few enough digits, are numbers of single precision."""
_BY_VALUE = (int, float, str, bytes, np.generic)

# --- static leaves ---------------------------------------------------------------------------------------------------


class StaticLeaf:
    """Compares static leaves: numbers and texts by value, everything else by identity."""

    __slots__ = ("obj",)

    def __init__(self, obj: Any) -> None:
        self.obj = obj

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StaticLeaf) and is_same(self.obj, other.obj)

    __hash__ = None  # type: ignore[assignment]


def is_same(a: Any, b: Any) -> bool:
    """Whether two static objects are interchangeable."""
    if a is b:
        return True
    if isinstance(a, types.MethodType) and isinstance(b, types.MethodType):
        return a.__func__ is b.__func__ and a.__self__ is b.__self__
    if type(a) is not type(b) or not isinstance(a, _BY_VALUE):
        return False
    if isinstance(a, float):
        return a == b and math.copysign(1.0, a) == math.copysign(1.0, b)
    return bool(a == b)


def is_number(obj: Any) -> bool:
    """Whether `obj` is a static number that can become a traced one."""
    return isinstance(obj, _STATIC_NUMBERS)


def traced_form(form: Form) -> Form:
    """`form` with its static numbers and arrays traced."""
    return Form(form.structure, tuple(map(traced_leaf, form.leaves)))


def traced_leaf(leaf: Leaf) -> Leaf:
    """A static number or array as the traced leaf it can become."""
    if leaf.kind != "static":
        return leaf
    obj = leaf.obj.obj
    known = TRACED.get(type(obj))
    if known is not None:
        return known
    if isinstance(obj, np.ndarray):
        return Leaf("array", TensorType(dtype_of(obj), obj.shape)) if obj.dtype.kind in "fiub" else leaf
    return Leaf("scalar", TensorType(dtype_of(obj)), isinstance(obj, np.generic)) if is_number(obj) else leaf


def is_single(leaf: Leaf) -> bool:
    """Whether float32 holds the number exactly, whatever it turns out to be."""
    if leaf.kind == "static" and isinstance(leaf.obj.obj, int | float):
        number = float(leaf.obj.obj)
        return not math.isfinite(number) or (abs(number) < _BEYOND and float(np.float32(number)) == number)
    declared = traced_leaf(leaf).type
    return declared is not None and declared.dtype in (F32, BOOL)


def of_kinds(form: Form, other: Form) -> Form:
    """`form`, with numbers of the classes that they have in `other`, if its structure is the same."""
    if form.structure != other.structure or all(leaf.kinds is None for leaf in form.leaves):
        return form
    pairs = zip(form.leaves, other.leaves, strict=True)
    return Form(form.structure, tuple(a if a.kinds is None else replace(a, kinds=_sure(a, b)) for a, b in pairs))


def _sure(leaf: Leaf, other: Leaf) -> Kinds:
    """The classes of a leaf which is known to be `other`; None where that is what its own type says."""
    kinds = kinds_of_leaf(other, traced_leaf(other)) if other.kind in ("scalar", "static") else leaf.kinds
    assert leaf.type is not None and kinds is not None
    return None if kinds == {class_of(leaf.type.dtype, leaf.numpy)} else kinds


def kinds_of_leaf(leaf: Leaf, traced: Leaf) -> frozenset[type]:
    """The classes of the numbers that a leaf stands for."""
    if leaf.kind == "static":
        return frozenset((type(leaf.obj.obj),))
    if traced.kinds is not None:
        return traced.kinds
    assert traced.type is not None
    return frozenset((class_of(traced.type.dtype, traced.numpy),))
