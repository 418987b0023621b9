"""Nested containers: take them apart into leaves, and put leaves back into the same structure.

A *tree* is any nesting of dicts, lists, deques, tuples, named tuples, dataclasses and plain Python objects; everything
else is a *leaf*. `None` is a container with nothing in it, and a complex number or array one with two leaves, its real
and its imaginary part. The one idea: the structure (`TreeDef`) is a value of its
own, hashable and comparable, so compiled code can be keyed by it.

Example:
    >>> leaves, treedef = flatten({"w": [1.0, 2.0], "b": 3.0})
    >>> leaves
    [1.0, 2.0, 3.0]
    >>> treedef.paths("params")
    ["params['w'][0]", "params['w'][1]", "params['b']"]
    >>> treedef.unflatten([10.0, 20.0, 30.0])
    {'w': [10.0, 20.0], 'b': 30.0}
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import itertools
import numbers
import sys
import types
from argparse import Namespace
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from wengert.errors import ArgumentError

__all__ = ["ComplexParts", "TreeDef", "flatten", "map_leaves", "register_complex", "register_leaf"]

IsLeaf = Callable[[Any], bool]
T = TypeVar("T", bound=type)


class TreeDef:
    """The structure of a tree without its leaves.

    Two structures are equal when the kinds of containers, their classes, their keys (in order) and their children
    are. The hash is computed once.

    Attributes:
        kind: One of `leaf none tuple list dict object complex`.
        cls: The class to rebuild, or None for a leaf.
        keys: Dict keys or attribute names in order; empty for sequences. For a `tuple`, `list` or `dict` subclass
            that carries attributes, the attribute names stand last, see `num_attributes`.
        children: The structures of the children, in order.
        num_leaves: How many leaves the whole tree has.
    """

    __slots__ = ("_hash", "children", "cls", "extra", "keys", "kind", "num_attributes", "num_leaves")

    def __init__(
        self,
        kind: str,
        cls: type | None = None,
        keys: tuple[Any, ...] = (),
        children: tuple[TreeDef, ...] = (),
        num_attributes: int = 0,
        extra: Any = None,
    ) -> None:
        self.kind = kind
        self.cls = cls
        self.keys = keys
        self.children = children
        self.num_attributes = num_attributes
        self.extra = extra
        self.num_leaves: int = 1 if kind == "leaf" else sum([child.num_leaves for child in children])
        self._hash: int | None = None

    def unflatten(self, leaves: Sequence[Any]) -> Any:
        """Return a new tree of this structure with `leaves` in it.

        Args:
            leaves: As many leaves as the structure has, in the order in which `flatten` gives them.

        Raises:
            ArgumentError: If the number of leaves does not fit.
        """
        if len(leaves) != self.num_leaves:
            raise ArgumentError(
                f"wrong number of leaves for {self!r}", found=str(len(leaves)), expected=str(self.num_leaves)
            )
        if self.kind == "leaf":
            return leaves[0]
        if self.cls is tuple and len(self.children) == self.num_leaves and _is_flat(self):
            return tuple(leaves)
        return _build(self, iter(leaves))

    def paths(self, root: str = "") -> list[str]:
        """Return one path per leaf, written as Python would reach it from `root`: `params.layers[0]['w']`."""
        found: list[str] = []
        _collect_paths(self, root, found)
        return found

    def steps(self) -> list[str]:
        """Return the way to each child as a suffix: `.name` for attributes, `['key']` and `[0]` for items."""
        count = len(self.children) - self.num_attributes
        if self.kind in ("object", "complex"):
            return [f".{name}" for name in self.keys]
        if self.kind == "dict":
            items = [f"[{key!r}]" for key in self.keys[:count]]
        elif self.cls is not None and hasattr(self.cls, "_fields"):
            items = [f".{name}" for name in self.cls._fields]
        else:
            items = [f"[{i}]" for i in range(count)]
        return items + [f".{name}" for name in self.keys[len(self.keys) - self.num_attributes :]]

    def imaginary(self) -> list[bool]:
        """Return for each leaf whether it is the imaginary part of a complex number."""
        if self.kind == "complex":
            return [False, True]
        return [False] if self.kind == "leaf" else [part for child in self.children for part in child.imaginary()]

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, TreeDef):
            return NotImplemented
        return hash(self) == hash(other) and self._identity() == other._identity()

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self._identity())
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return TreeDef, (self.kind, self.cls, self.keys, self.children, self.num_attributes, self.extra)

    def __repr__(self) -> str:
        return f"TreeDef({_show(self)})"

    def _identity(self) -> tuple[Any, ...]:
        return self.kind, self.cls, self.keys, self.children, self.num_attributes, self.extra


def flatten(tree: Any, is_leaf: IsLeaf | None = None) -> tuple[list[Any], TreeDef]:
    """Take a tree apart.

    A container that occurs twice is flattened twice. Attributes that hold the value of a `functools.cached_property`
    are left out: they are recomputed from the new leaves.

    Args:
        tree: Any nesting of containers.
        is_leaf: Called with every container (`None` included); where it returns True the container is a leaf.

    Returns:
        The leaves in order, and the structure.

    Raises:
        ArgumentError: If a container contains itself; the message names the path.
    """
    leaves: list[Any] = []
    try:
        return leaves, _walk(tree, leaves, is_leaf)
    except RecursionError:
        cycle = _find_cycle(tree)
        if cycle is None:
            raise
    outer, inner = cycle
    raise ArgumentError(
        "a container contains itself",
        found=f"{inner} is the same object as {outer or 'the tree it stands in'}",
        expected="a nesting without cycles",
        fix="keep back references (to a parent, say) out of the parameters",
    )


def map_leaves(f: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Return a tree like `tree` whose leaves are `f(leaf, *leaves_of_rest)`.

    Args:
        f: Called once per leaf.
        tree: Gives the structure.
        *rest: Further trees of the same structure.

    Raises:
        ArgumentError: If a tree of `rest` has another structure.
    """
    leaves, treedef = flatten(tree)
    columns = [leaves]
    for other in rest:
        other_leaves, other_def = flatten(other)
        if other_def != treedef:
            raise ArgumentError("trees of different structure", found=repr(other_def), expected=repr(treedef))
        columns.append(other_leaves)
    return treedef.unflatten([f(*row) for row in zip(*columns, strict=True)])


def register_leaf(cls: T) -> T:
    """Declare that objects of `cls` and its subclasses are leaves, never containers. Usable as a class decorator.

    Example:
        >>> @register_leaf
        ... class Meter:
        ...     def __init__(self):
        ...         self.value = 1.0
        >>> len(flatten([Meter(), Meter()])[0])
        2
    """
    _LEAF_CLASSES.append(cls)
    for known in [known for known in _WALKERS if issubclass(known, cls)]:
        del _WALKERS[known]
    return cls


class ComplexParts:
    """A complex number or array taken apart: what `unflatten` gives where the parts are neither numbers nor arrays.

    Attributes:
        real: the real part.
        imag: the imaginary part, of the same shape.
    """

    __slots__ = ("imag", "real")

    def __init__(self, real: Any, imag: Any) -> None:
        self.real = real
        self.imag = imag

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.real!r}, {self.imag!r})"


def register_complex(cls: type[ComplexParts], part: type | tuple[type, ...]) -> None:
    """Declare that complex numbers with a part of the classes `part` are put together as `cls(real, imag)`."""
    _COMPLEX_CLASSES.append((part, cls))


# --- walking: one function per kind of container ---

Walker = Callable[[Any, list[Any], "IsLeaf | None"], TreeDef]

_LEAF = TreeDef("leaf")
_NONE = TreeDef("none", type(None))
_LEAF_CLASSES: list[type] = []
_COMPLEX_CLASSES: list[tuple[type | tuple[type, ...], type[ComplexParts]]] = []
_COMPLEX = TreeDef("complex", complex, ("real", "imag"), (_LEAF, _LEAF))
_FLAT_TUPLES: dict[int, TreeDef] = {}
_SLOTS: dict[type, tuple[str, ...]] = {}
_FLAT_LIMIT = 1024
_WALKERS_LIMIT = 4096


def _walk(obj: Any, leaves: list[Any], is_leaf: IsLeaf | None) -> TreeDef:
    walk = _WALKERS.get(type(obj), _walk_unknown)
    if walk is None or (is_leaf is not None and is_leaf(obj)):
        leaves.append(obj)
        return _LEAF
    return walk(obj, leaves, is_leaf)


def _walk_none(obj: Any, leaves: list[Any], is_leaf: IsLeaf | None) -> TreeDef:
    return _NONE


def _walk_complex(obj: Any, leaves: list[Any], is_leaf: IsLeaf | None) -> TreeDef:
    """A complex number, or its parts."""
    leaves += [obj.real, obj.imag]
    return _COMPLEX


def _walk_array(obj: Any, leaves: list[Any], is_leaf: IsLeaf | None) -> TreeDef:
    """An array: a leaf, unless it is complex."""
    if obj.dtype.kind == "c":
        return _walk_complex(obj, leaves, is_leaf)
    leaves.append(obj)
    return _LEAF


def _walk_items(items: Any, leaves: list[Any], is_leaf: IsLeaf | None) -> list[TreeDef]:
    """Walk an iterable of children; as `_walk` for each, without a Python call per leaf."""
    children = []
    find = _WALKERS.get
    for obj in items:
        walk = find(type(obj), _walk_unknown)
        if walk is None or (is_leaf is not None and is_leaf(obj)):
            leaves.append(obj)
            children.append(_LEAF)
        else:
            children.append(walk(obj, leaves, is_leaf))
    return children


def _walk_tuple(obj: tuple[Any, ...], leaves: list[Any], is_leaf: IsLeaf | None) -> TreeDef:
    children = tuple(_walk_items(obj, leaves, is_leaf))
    if len(children) > _FLAT_LIMIT:
        return TreeDef("tuple", tuple, (), children)
    flat = _FLAT_TUPLES.get(len(children))
    if flat is None:
        flat = _FLAT_TUPLES[len(children)] = TreeDef("tuple", tuple, (), (_LEAF,) * len(children))
    return flat if children == flat.children else TreeDef("tuple", tuple, (), children)


def _walk_list(obj: list[Any], leaves: list[Any], is_leaf: IsLeaf | None) -> TreeDef:
    return TreeDef("list", list, (), tuple(_walk_items(obj, leaves, is_leaf)))


def _walk_dict(obj: dict[Any, Any], leaves: list[Any], is_leaf: IsLeaf | None) -> TreeDef:
    return TreeDef("dict", dict, tuple(obj), tuple(_walk_items(obj.values(), leaves, is_leaf)))


def _walk_defaultdict(obj: defaultdict[Any, Any], leaves: list[Any], is_leaf: IsLeaf | None) -> TreeDef:
    children = tuple(_walk_items(obj.values(), leaves, is_leaf))
    return TreeDef("dict", defaultdict, tuple(obj), children, extra=obj.default_factory)


def _walk_deque(obj: deque[Any], leaves: list[Any], is_leaf: IsLeaf | None) -> TreeDef:
    return TreeDef("list", deque, (), tuple(_walk_items(obj, leaves, is_leaf)), extra=obj.maxlen)


def _walk_subclass(obj: Any, leaves: list[Any], is_leaf: IsLeaf | None) -> TreeDef:
    """A class derived from `tuple`, `list` or `dict`: its items, then the attributes it carries."""
    kind, keys, items = _items_of(obj)
    attributes = getattr(obj, "__dict__", {})
    children = tuple(_walk_items([*items, *attributes.values()], leaves, is_leaf))
    return TreeDef(kind, type(obj), (*keys, *attributes), children, num_attributes=len(attributes))


def _items_of(obj: Any) -> tuple[str, tuple[Any, ...], list[Any]]:
    """Kind, keys and items of a built-in container, past any method its class overrides."""
    if isinstance(obj, dict):
        return "dict", tuple(dict.keys(obj)), list(dict.values(obj))
    if isinstance(obj, list):
        return "list", (), list(list.__iter__(obj))
    return "tuple", (), list(tuple.__iter__(obj))


def _object_walker(cls: type) -> Walker:
    """Make the walker of a class of plain objects; what depends on the class alone is looked up here, once."""
    fields = tuple(f.name for f in dataclasses.fields(cls)) if dataclasses.is_dataclass(cls) else ()
    slots = tuple(name for name in _slot_names(cls) if name not in fields)
    cached = frozenset(
        name
        for base in cls.__mro__
        for name, value in vars(base).items()
        if isinstance(value, functools.cached_property)
    )

    def walk_object(obj: Any, leaves: list[Any], is_leaf: IsLeaf | None) -> TreeDef:
        own = getattr(obj, "__dict__", None) or {}
        names = tuple(own)
        if not slots and not cached and (not fields or names == fields):
            return TreeDef("object", cls, names, tuple(_walk_items(own.values(), leaves, is_leaf)))
        names = tuple(name for name in fields + slots if name in own or hasattr(obj, name))
        names += tuple(name for name in own if name not in fields and name not in cached)
        values = [own[name] if name in own else getattr(obj, name) for name in names]
        return TreeDef("object", cls, names, tuple(_walk_items(values, leaves, is_leaf)))

    return walk_object


def _slot_names(cls: type) -> tuple[str, ...]:
    """Names of the slots of a class and its bases, as they are stored (`_Class__name` for private ones)."""
    if cls in _SLOTS:
        return _SLOTS[cls]
    if len(_SLOTS) > _WALKERS_LIMIT:
        _SLOTS.clear()
    _SLOTS[cls] = tuple(
        name
        for base in reversed(cls.__mro__)
        for name, value in vars(base).items()
        if isinstance(value, types.MemberDescriptorType) and name not in ("__dict__", "__weakref__")
    )
    return _SLOTS[cls]


def _walk_unknown(obj: Any, leaves: list[Any], is_leaf: IsLeaf | None) -> TreeDef:
    """Classify a class that is met for the first time, then walk the object."""
    if len(_WALKERS) > _WALKERS_LIMIT:
        _WALKERS.clear()
        _WALKERS.update(_BUILTIN_WALKERS)
    _WALKERS[type(obj)] = _classify(type(obj))
    return _walk(obj, leaves, is_leaf)


_BUILTIN_WALKERS: dict[type, Walker | None] = {
    type(None): _walk_none,
    tuple: _walk_tuple,
    list: _walk_list,
    dict: _walk_dict,
    defaultdict: _walk_defaultdict,
    deque: _walk_deque,
    np.ndarray: _walk_array,
    **dict.fromkeys((complex, np.complex128, np.complex64, ComplexParts), _walk_complex),
    **dict.fromkeys((float, int, bool, str, bytes, np.float64, np.float32, np.int64)),
}
_WALKERS: dict[type, Walker | None] = dict(_BUILTIN_WALKERS)


# --- what counts as a container ---


def _classify(cls: type) -> Walker | None:
    """Return the walker for a class, or None if its objects are leaves."""
    if cls in _BUILTIN_WALKERS:
        return _BUILTIN_WALKERS[cls]
    if issubclass(cls, tuple(_LEAF_CLASSES)):
        return None
    if issubclass(cls, ComplexParts):
        return _walk_complex
    if issubclass(cls, (tuple, list, dict)):
        return _walk_subclass if cls is OrderedDict or hasattr(cls, "_fields") or _is_python_class(cls) else None
    if cls in (types.SimpleNamespace, Namespace):
        return _object_walker(cls)
    if issubclass(cls, (numbers.Number, enum.Enum)) or hasattr(cls, "__array_ufunc__") or hasattr(cls, "__dlpack__"):
        return None
    if cls.__module__.partition(".")[0] in sys.stdlib_module_names or not _is_python_class(cls):
        return None
    return _object_walker(cls) if "__dict__" in dir(cls) or _slot_names(cls) else None


_NEW_METHOD = type(object.__new__)


def _is_python_class(cls: type) -> bool:
    """Whether a class is written in Python, up to `object` or a built-in container.

    A class written in C brings a `__new__` of its own that is a built-in method bound to it.
    """
    for base in cls.__mro__:
        new = base.__new__
        if base not in (object, tuple, list, dict) and isinstance(new, _NEW_METHOD) and new.__self__ is base:
            return False
    return bool(cls.__flags__ & 1 << 9)  # Py_TPFLAGS_HEAPTYPE


# --- building ---


def _build(node: TreeDef, leaves: Iterator[Any]) -> Any:
    if node.kind == "leaf":
        return next(leaves)
    if node.kind == "none":
        return None
    values = [next(leaves) if child is _LEAF else _build(child, leaves) for child in node.children]
    if node.cls is tuple:
        return tuple(values)
    if node.cls is list:
        return values
    if node.kind == "complex":
        return _put_together(*values)
    if node.cls is dict:
        return dict(zip(node.keys, values, strict=True))
    if node.cls is defaultdict:
        return defaultdict(node.extra, zip(node.keys, values, strict=True))
    if node.cls is deque:
        return deque(values, node.extra)
    if node.kind == "object":
        assert node.cls is not None
        new = node.cls.__new__ if node.cls is types.SimpleNamespace else object.__new__
        return _with_attributes(new(node.cls), node.keys, values)
    return _build_subclass(node, values)


def _put_together(real: Any, imag: Any) -> Any:
    """A complex number or array from its parts."""
    for part, cls in _COMPLEX_CLASSES:
        if isinstance(real, part) or isinstance(imag, part):
            return cls(real, imag)
    if isinstance(real, (np.ndarray, np.floating)) and isinstance(imag, (np.ndarray, np.floating, float)):
        whole = np.empty(np.shape(real), np.result_type(real, np.complex64))
        whole.real, whole.imag = real, imag
        return whole if whole.ndim else whole[()]
    if isinstance(real, (float, int)) and isinstance(imag, (float, int)):
        return complex(real, imag)
    return ComplexParts(real, imag)


def _build_subclass(node: TreeDef, values: list[Any]) -> Any:
    cls: Any = node.cls
    count = len(values) - node.num_attributes
    items, attributes = values[:count], values[count:]
    if node.kind == "tuple":
        obj = tuple.__new__(cls, items)
    elif node.kind == "list":
        obj = list.__new__(cls)
        list.extend(obj, items)
    else:
        base = OrderedDict if cls is OrderedDict else dict
        obj = base.__new__(cls)
        for key, value in zip(node.keys, items, strict=False):
            base.__setitem__(obj, key, value)
    return _with_attributes(obj, node.keys[len(node.keys) - node.num_attributes :], attributes)


def _with_attributes(obj: Any, names: tuple[str, ...], values: list[Any]) -> Any:
    """Set attributes as they were stored: no `__init__`, no property, no frozen `__setattr__` in the way."""
    own = getattr(obj, "__dict__", None)
    slots = () if own is not None and not hasattr(type(obj), "__slots__") else _slot_names(type(obj))
    for name, value in zip(names, values, strict=True):
        if own is None or name in slots:
            object.__setattr__(obj, name, value)
        else:
            own[name] = value
    return obj


# --- paths, printing, cycles ---


def _is_flat(node: TreeDef) -> bool:
    return all([child is _LEAF for child in node.children])


def _collect_paths(node: TreeDef, prefix: str, found: list[str]) -> None:
    if node.kind == "leaf":
        found.append(prefix)
        return
    for step, child in zip(node.steps(), node.children, strict=True):
        _collect_paths(child, prefix + step if prefix else step.removeprefix("."), found)


def _show(node: TreeDef) -> str:
    if node.kind in ("leaf", "none"):
        return "*" if node.kind == "leaf" else "None"
    assert node.cls is not None
    inner = [_show(child) for child in node.children]
    if node.kind == "dict" and node.cls is dict:
        return "{" + ", ".join(f"{key!r}: {text}" for key, text in zip(node.keys, inner, strict=True)) + "}"
    if node.cls is list:
        return f"[{', '.join(inner)}]"
    if node.cls is tuple:
        return f"({', '.join(inner)}{',' if len(inner) == 1 else ''})"
    named = [f"{step.removeprefix('.')}={text}" for step, text in zip(node.steps(), inner, strict=True)]
    return f"{node.cls.__qualname__}({', '.join(named)})"


def _find_cycle(tree: Any) -> tuple[str, str] | None:
    """Return the paths of a container and of the same container inside itself, or None."""
    active: dict[int, int] = {id(tree): 0}  # containers on the way from the root, with their depth
    done: dict[int, Any] = {}  # holds the objects, so that no id is used twice
    steps: list[str] = [""]
    stack = [(tree, _children(tree))]
    while stack:
        obj, rest = stack[-1]
        step, child = next(rest, ("", None))
        if child is None:
            stack.pop()
            steps.pop()
            del active[id(obj)]
            done[id(obj)] = obj
        elif id(child) in active:
            outer = "".join(steps[: active[id(child)] + 1])
            return outer.removeprefix("."), "".join([*steps, step]).removeprefix(".")
        elif id(child) not in done:
            active[id(child)] = len(stack)
            steps.append(step)
            stack.append((child, _children(child)))
    return None


def _children(obj: Any) -> Iterator[tuple[str, Any]]:
    answers = itertools.chain([False], itertools.repeat(True))  # open `obj` itself and nothing below it
    children, node = flatten(obj, is_leaf=lambda _: next(answers))
    for step, child in zip(node.steps(), children):
        if child is not None:
            yield step, child
