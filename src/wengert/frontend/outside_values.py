"""What a call leaves behind outside of the function: which places are set after it has run, and to what.

While tracing, places outside hold boxes; the values that they have at the end become further results of the IR function.
A `WriteBack` sets the places from those. All objects are looked up, and all new values made, before the first place is set.
"""

from __future__ import annotations

import enum
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wengert.errors import Span, StagingError, UnsupportedError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import is_box, lift
from wengert.frontend.capture_paths import Path
from wengert.frontend.choices import Choice, narrowed
from wengert.frontend.forms import UNSET
from wengert.frontend.growing import is_growing
from wengert.frontend.scalars import Scalar, type_of
from wengert.ir.core import Value
from wengert.tree import TreeDef, flatten

_NUMBERS = (bool, int, float, complex, np.generic)
_FIXED = (*_NUMBERS, str, bytes, type(None), type(Ellipsis), enum.Enum, range, slice, frozenset, np.dtype)
_SHARED = (type, types.ModuleType, types.BuiltinFunctionType, np.ufunc)


@dataclass
class Env:
    """One call: the values of the IR results, the arguments, and what has been made for it."""

    found: Sequence[Any]
    call: Any
    made: dict[Any, Any] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)


Make = Callable[[Env], Any]
"""Gives an object for one call."""


def place_of(path: Path) -> Make:
    """What is found at a captured path."""
    return lambda env: path.read()


def argument_of(steps: tuple[tuple[str, Any], ...]) -> Make:
    """What is found in the arguments of the call."""

    def read(env: Env) -> Any:
        found = env.call
        for kind, name in steps:
            found = getattr(found, name) if kind == "attribute" else found[name]
        return found

    return read


@dataclass
class Step:
    """One place that is set.

    Attributes:
        owner: gives the object that holds it.
        kind: "attribute", "item", "contents", "array", "cell" or "global".
        name: of the attribute or variable, or the key.
        value: gives what is stored; None to delete an attribute.
    """

    owner: Make
    kind: str
    name: Any
    value: Make | None


@dataclass
class WriteBack:
    """All that a call leaves behind outside.

    Attributes:
        steps: the places that are set.
        owners: the captured objects, lists and dicts of the function: another name for one of them would not see the writes.
        span: the function, for messages.
    """

    steps: list[Step]
    owners: list[Path]
    span: Span | None

    def __bool__(self) -> bool:
        return bool(self.steps)

    def check(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Refuse arguments in which one object occurs twice, or that hold a captured one: names that share are not followed."""
        if not self.steps:
            return
        seen = {id(path.read()) for path in self.owners}
        for place, node in containers((tuple(args), dict(kwargs))):
            if place and id(node) in seen:
                raise UnsupportedError(
                    f"a {type(node).__name__} is known to the function under two names, and the function changes state outside",
                    self.span,
                    expected="arguments that are other objects than those captured, each given once",
                    fix="pass a copy, or run with wg.eager()",
                )
            if place:
                seen.add(id(node))

    def apply(self, found: Sequence[Any], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None) -> None:
        """Set all places from the values of the IR results."""
        env = Env(found, (tuple(args), kwargs or {}))
        owners = [step.owner(env) for step in self.steps]
        values = [None if step.value is None else step.value(env) for step in self.steps]
        for step, owner, value in zip(self.steps, owners, values, strict=True):
            _set(step, owner, value)


def _set(step: Step, owner: Any, value: Any) -> None:
    if step.kind == "array":
        owner[...] = value
    elif step.kind == "cell":
        owner.cell_contents = value
    elif step.kind == "attribute":
        plain = isinstance(owner, _SHARED)
        if step.value is None:
            (delattr if plain else object.__delattr__)(owner, step.name)
        elif plain:
            setattr(owner, step.name, value)
        else:
            object.__setattr__(owner, step.name, value)
    elif step.kind in ("item", "global"):
        _base(owner).__setitem__(owner, step.name, value)
    elif isinstance(owner, dict):
        _base(owner).clear(owner)
        _base(owner).update(owner, value)
    elif isinstance(owner, list):
        list.__setitem__(owner, slice(None), value)
    else:
        owner.clear()
        (owner.extend if isinstance(owner, deque) else owner.update)(value)


def _base(owner: Any) -> Any:
    """The built-in class whose methods store without running the user's code again."""
    return list if isinstance(owner, list) else OrderedDict if isinstance(owner, OrderedDict) else dict


# --- containers ------------------------------------------------------------------------------------------------------


def opened(obj: Any) -> tuple[list[Any], TreeDef]:
    """The children of a container and its structure, one level deep; anything else is its own only child."""
    return flatten(obj, is_leaf=lambda part: part is not obj)


def children(obj: Any) -> dict[tuple[str, Any], Any]:
    """The children of a container by kind ("attribute" or "item") and name."""
    if isinstance(obj, dict) and type(obj) in (dict, OrderedDict):
        return {("item", k): v for k, v in obj.items()}
    if type(obj) is set:
        return {("item", e): e for e in obj}
    if type(obj) in (list, tuple, deque):
        return {("item", k): v for k, v in enumerate(obj)}
    found, structure = opened(obj)
    if structure.kind in ("leaf", "none", "complex"):
        return {}
    count = 0 if structure.kind == "object" else len(found) - structure.num_attributes
    keys = structure.keys if structure.kind != "object" else ()
    names: list[Any] = list(keys[:count]) if structure.kind == "dict" else list(range(count))
    attributes = structure.keys[len(structure.keys) - (len(found) - count) :] if len(found) > count else ()
    places = [("item", n) for n in names] + [("attribute", n) for n in attributes]
    return dict(zip(places, found, strict=True))


def containers(root: Any) -> list[tuple[tuple[tuple[str, Any], ...], Any]]:
    """The lists, dicts and objects in a tree that code may change, each with the way to it."""
    found: list[tuple[tuple[tuple[str, Any], ...], Any]] = []

    def walk(node: Any, way: tuple[tuple[str, Any], ...]) -> None:
        if is_box(node) or isinstance(node, (*_FIXED, *_SHARED, types.FunctionType, np.ndarray)):
            return
        inner = children(node)
        holds = isinstance(node, list | dict) or (not isinstance(node, tuple) and opened(node)[1].kind == "object")
        if holds and len(way) > 1:
            found.append((way, node))
        for place, child in inner.items():
            walk(child, (*way, place))

    walk(root, ())
    return found


def differences(before: dict[tuple[str, Any], Any], now: Any) -> list[tuple[str, Any, Any]]:
    """What changed in a container: `(kind, name, new child)`, or `("contents", "", container)`.

    The new child is UNSET for an attribute that is gone.
    """
    after = children(now)
    items = [name for kind, name in before if kind == "item"]
    changed: list[tuple[str, Any, Any]] = []
    if items != [name for kind, name in after if kind == "item"] or (isinstance(now, deque) and _differ(before, after)):
        changed.append(("contents", "", now))
        after = {place: child for place, child in after.items() if place[0] == "attribute"}
    for place, child in after.items():
        if place not in before or before[place] is not child:
            changed.append((*place, child))
    gone = [place for place in before if place[0] == "attribute" and place not in after]
    return changed + [(*place, UNSET) for place in gone]


def _differ(before: dict[Any, Any], after: dict[Any, Any]) -> bool:
    return any(before[place] is not after[place] for place in before)


# --- values ----------------------------------------------------------------------------------------------------------


class Templates:
    """How the values that are written come about: from results of the IR function, or as what they are.

    Attributes:
        results: values to return from the IR function; grows.
        known: objects that exist outside, by id, with what gives them.
    """

    def __init__(self, results: list[Value], known: dict[int, tuple[Any, Make]], path_of: Callable[[Any], Path | None]) -> None:
        self.results = results
        self.known = known
        self.path_of = path_of
        self.span: Span | None = None
        self._open: set[int] = set()
        self._roots: dict[int, int] = {}
        self._leaves: dict[int, tuple[Any, Make]] = {}

    def of(self, value: Any, what: str) -> Make:
        """What makes `value` for a call; `what` names the place that it is stored in."""
        value = narrowed(value)
        if type(value) is Choice:
            code, makers = self.leaf(value.code, what), [self.of(option, what) for option in value.options]
            return lambda env: makers[int(code(env))](env)
        known = self.known.get(id(value))
        if known is not None:
            return known[1]
        if is_box(value):
            return self.leaf(value, what)
        if isinstance(value, (*_FIXED, *_SHARED)):
            return lambda env: value
        if isinstance(value, types.FunctionType) and not value.__closure__:
            return lambda env: value
        path = self.path_of(value)
        if path is not None:
            return place_of(path)
        if type(value) is np.ndarray:
            return lambda env: env.made.setdefault(id(value), np.array(value))
        return self.container(value, what)

    def leaf(self, value: Any, what: str) -> Make:
        """A number or an array that is computed."""
        found = self._leaves.get(id(value))
        if found is None:
            if isinstance(value, Array):
                self._note_root(value, what)
            elif not isinstance(value, Scalar):
                raise self.refused(what, "a value of no number or array", "store numbers and arrays")
            found = self._leaves[id(value)] = (value, _reader(len(self.results), value))
            self.results.append(lift(value))
        return found[1]

    def leaf_of_contents(self, array: Array) -> Make:
        """What an array from outside holds at the end."""
        self.results.append(array.value)
        return _reader(len(self.results) - 1, array)

    def contents(self, container: Any, what: str) -> Make:
        """What a list, dict, deque or set from outside holds at the end."""
        makers = {name: self.of(child, what) for (kind, name), child in children(container).items() if kind == "item"}
        if isinstance(container, dict):
            return lambda env: {name: m(env) for name, m in makers.items()}
        return lambda env: [m(env) for m in makers.values()]

    def _note_root(self, value: Array, what: str) -> None:
        """Refuse a view whose array is known elsewhere too: writes to the one would have to be seen in the other."""
        root = value.root
        if id(root) in self.known or self._roots.setdefault(id(root), id(value)) != id(value):
            raise self.refused(what, "a view of an array that has another name outside", "store a copy: x[1:].copy()")

    def refused(self, what: str, why: str, fix: str) -> StagingError:
        """The error for a value that cannot be stored outside."""
        return StagingError(f"what is stored in {what} is not staged: it is {why}", self.span, fix=fix)

    def container(self, value: Any, what: str) -> Make:
        """A new list, dict, object and the like."""
        if is_growing(value):
            raise self.refused(what, "a list whose length depends on traced values", "return the list, or run with wg.eager()")
        if id(value) in self._open:
            raise self.refused(what, "a container that holds itself", "run with wg.eager()")
        cls = type(value)
        if cls in (set, deque):
            parts, rebuild = list(value), _rebuilder(value)
        else:
            parts, structure = opened(value)
            if structure.kind in ("leaf", "none"):
                fix = "store numbers, arrays, and containers and objects of them"
                raise self.refused(what, f"a {cls.__name__} that is made in the function", fix)
            rebuild = structure.unflatten
        self._open.add(id(value))
        makers = [self.of(part, what) for part in parts]
        self._open.discard(id(value))

        def make(env: Env) -> Any:
            found = env.made.get(("new", id(value)))
            if found is None:
                found = env.made["new", id(value)] = rebuild([m(env) for m in makers])
            return found

        return make


def _rebuilder(value: Any) -> Callable[[Sequence[Any]], Any]:
    if isinstance(value, deque):
        size = value.maxlen
        return lambda parts: deque(parts, size)
    return set


def _reader(position: int, value: Any) -> Make:
    """What takes one IR result as what the box stands for."""
    kind = type_of(value) if isinstance(value, Scalar) else None

    def read(env: Env) -> Any:
        found = env.found[position]
        if kind is not None:
            return kind(found)
        made = env.made.get(position)
        if made is None:
            made = found if isinstance(found, np.ndarray) and id(found) not in env.taken else np.array(found)
            env.taken.add(id(found))
            env.made[position] = made
        return made

    return read
