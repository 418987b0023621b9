"""State outside of the function while staged code writes it: attributes, variables, captured containers and arrays.

Attributes and variables are set where they are, so that all code sees them, and put back when the trace ends. Captured
containers are copies, and captured arrays boxes, which are compared with what they started as.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wengert.errors import Span, StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import is_box
from wengert.frontend.capture_paths import Guard, Path, compile_reader
from wengert.frontend.context import Trace
from wengert.frontend.forms import UNSET
from wengert.frontend.growing import is_growing
from wengert.frontend.outside_values import (
    Make,
    Step,
    Templates,
    WriteBack,
    argument_of,
    children,
    containers,
    differences,
    place_of,
)
from wengert.frontend.scalars import Scalar
from wengert.ir.core import Value

Way = tuple[tuple[str, Any], ...]
"""Attributes and items, from the arguments of a call to something in them."""


class WantsIntegers(Exception):
    """Whole numbers that change from call to call are to be inputs: start again with `keys` (of their paths) traced."""

    def __init__(self, keys: set[Any]) -> None:
        super().__init__("integers outside are written")
        self.keys = keys


@dataclass
class Stored:
    """An attribute or variable that was written.

    Attributes:
        owner: the object, the globals or the cell.
        kind: "attribute", "global" or "cell".
        name: of the attribute or variable.
        path: the way to the variable, or to the object that has the attribute.
        get: reads it; gives UNSET where there is none.
        put: sets it.
        original: what it was.
        loaded: what it was as an input of the trace; UNSET where its first value does not matter.
    """

    owner: Any
    kind: str
    name: str
    path: Path
    get: Callable[[], Any]
    put: Callable[[Any], None]
    original: Any
    loaded: Any = UNSET

    @property
    def place(self) -> Path:
        """The way to the value."""
        return Path("attribute", self.path, self.name) if self.kind == "attribute" else self.path

    @property
    def home(self) -> Path:
        """The way to the owner."""
        return self.path if self.kind == "attribute" else Path("constant", self.owner)


@dataclass
class Copy:
    """A captured container: the copy that traced code uses, the container, the way there, and the copy's first contents."""

    copy: Any
    original: Any
    path: Path
    before: dict[tuple[str, Any], Any]


class Outside:
    """What one trace writes outside of the function.

    Attributes:
        dynamic: keys of the paths of integers that are inputs because they are written.
        stored: attributes and variables, by id of the owner and name.
        copies: captured containers, by id of the copy.
        arrays: captured arrays that may be written, by id of the box: the box, the path, the array, and the first value.
        arguments: containers among the arguments, by id, and the way there.
        argument_arrays: arrays among the arguments, and the way there.
    """

    def __init__(self, trace: Trace, dynamic: frozenset[Any]) -> None:
        self.trace = trace
        self.dynamic = dynamic
        self.stored: dict[tuple[int, str], Stored] = {}
        self.copies: dict[int, Copy] = {}
        self.arrays: dict[int, tuple[Array, Path, Any, Value]] = {}
        self.arguments: dict[int, tuple[Any, Way]] = {}
        self.argument_arrays: list[tuple[Array, Way]] = []

    # --- while tracing ------------------------------------------------------------------------------------------

    def holds(self, owner: Any, name: str) -> bool:
        """Whether an attribute was written: then it is what it is now, and no input."""
        if not self.stored:
            return False
        owners = (_keeper(owner), *(owner.__mro__ if isinstance(owner, type) else type(owner).__mro__))
        return any((id(o), name) in self.stored for o in owners)

    def has_variable(self, owner: Any, name: str) -> bool:
        """Whether a variable of the module or of a function around was written."""
        return bool(self.stored) and (id(owner), name) in self.stored

    def note(self, stored: Stored, load: Callable[[Path, Any], Any]) -> None:
        """A place is about to be written: remember what it was, and let regions start from it as an input."""
        key = (id(_keeper(stored.owner)), "" if stored.kind == "cell" else stored.name)
        if key in self.stored:
            return
        self.stored[key] = stored
        value = stored.original
        if stored.kind == "attribute" and not (self.trace.depth or self.trace.trials):
            return  # a read came before, or there is none; a variable is read after this
        if value is UNSET and stored.kind == "attribute":
            value = getattr(stored.owner, stored.name, UNSET)
        if value is not UNSET:
            stored.loaded = load(stored.place, value)
            stored.put(stored.loaded)

    def note_copy(self, copy: Any, original: Any, path: Path) -> None:
        """A captured container is read."""
        if not isinstance(original, tuple):
            self.copies[id(copy)] = Copy(copy, original, path, children(copy))

    def note_arguments(self, call: Any, arrays: dict[int, Any]) -> None:
        """The arguments, as traced code gets them: what is stored outside may be one of them."""
        boxes = {id(a): a for a in arrays.values() if isinstance(a, Array)}
        seen: set[int] = set()
        for way, node in containers(call):
            self.arguments[id(node)] = (node, way)
        self._note_arrays(boxes, seen, (("item", 0),), call[0])
        self._note_arrays(boxes, seen, (("item", 1),), call[1])

    def _note_arrays(self, boxes: dict[int, Array], seen: set[int], way: Way, node: Any) -> None:
        for place, child in children(node).items():
            if id(child) in boxes and id(child) not in seen:
                seen.add(id(child))
                self.argument_arrays.append((child, (*way, place)))
            elif not is_box(child):
                self._note_arrays(boxes, seen, (*way, place), child)

    def fingerprint(self) -> dict[Any, Any]:
        """What everything outside is now."""
        found: dict[Any, Any] = {("stored", key): stored.get() for key, stored in self.stored.items()}
        found.update({("array", key): array.value for key, (array, *_) in self.arrays.items()})
        for key, copy in self.copies.items():
            found.update({("copy", key, place): child for place, child in children(copy.copy).items()})
        return found

    def has_changed(self, before: dict[Any, Any]) -> bool:
        """Whether anything outside was written since `before`, a fingerprint."""
        first: dict[Any, Any] = {("array", key): start for key, (_, _, _, start) in self.arrays.items()}
        for key, copy in self.copies.items():
            first.update({("copy", key, place): child for place, child in copy.before.items()})
        now = self.fingerprint()
        start = {**first, **before}
        return any(key not in start or start[key] is not value for key, value in now.items()) or bool(before.keys() - now.keys())

    def restore(self) -> None:
        """Put back what was written."""
        for stored in reversed(self.stored.values()):
            stored.put(stored.original)

    # --- at the end ---------------------------------------------------------------------------------------------

    def finish(
        self, results: list[Value], known: dict[int, tuple[Any, Path]], guards: list[Guard], pinned: set[Any], span: Span | None
    ) -> WriteBack:
        """What the trace leaves behind outside; new results of the IR function go to `results`, conditions to `guards`."""
        templates = Templates(results, self._places(), lambda obj: known[id(obj)][1] if id(obj) in known else None)
        templates.span = span
        wanted: set[Any] = set()
        steps = self._stored_steps(templates, wanted)
        for copy in self.copies.values():
            owner = place_of(copy.path)
            steps += self._container_steps(templates, copy.copy, owner, str(copy.path), copy.before, (copy.path, wanted))
        arrays = [(array, place_of(path), start) for array, path, _, start in self.arrays.values()]
        for array, owner, start in arrays:
            if array.value is not start:
                steps.append(Step(owner, "array", None, templates.leaf_of_contents(array)))
        wanted -= pinned | self.dynamic
        if wanted:
            raise WantsIntegers(wanted)
        owners = [path for _, path in known.values()] + [copy.path for copy in self.copies.values()]
        if steps and len(owners) > 1:
            read = compile_reader(owners)
            guards.append(Guard(Path("constant", read), "apart", len(owners)))
        return WriteBack(steps, owners, span)

    def written_arrays(self) -> list[tuple[Path, Value]]:
        """Captured arrays that were written, with their inputs."""
        return [(path, start) for array, path, _, start in self.arrays.values() if array.value is not start]

    def _places(self) -> dict[int, tuple[Any, Make]]:
        """What traced code has in place of what exists outside."""
        found: dict[int, tuple[Any, Make]] = {id(c.copy): (c.copy, place_of(c.path)) for c in self.copies.values()}
        for node, way in self.arguments.values():
            found[id(node)] = (node, argument_of(way))
        for array, path, *_ in self.arrays.values():
            found[id(array)] = (array, place_of(path))
        for array, way in self.argument_arrays:
            found[id(array)] = (array, argument_of(way))
        return found

    def _stored_steps(self, templates: Templates, wanted: set[Any]) -> list[Step]:
        steps = []
        for stored in self.stored.values():
            now = stored.get()
            if now is UNSET and stored.original is UNSET:
                continue
            if stored.loaded is not UNSET and now is stored.loaded and stored.original is not UNSET:
                continue
            what = str(stored.place)
            value = None if now is UNSET else templates.of(now, what)
            if now is UNSET and stored.kind != "attribute":
                raise StagingError(f"deleting {what}, a variable outside of the function, is not staged", self.trace.span)
            if _counts(stored.original, now):
                wanted.add(stored.place.key)
            steps.append(Step(place_of(stored.home), stored.kind, stored.name, value))
        return steps

    def _container_steps(
        self,
        templates: Templates,
        node: Any,
        owner: Make,
        what: str,
        before: dict[tuple[str, Any], Any],
        counted: tuple[Path, set[Any]],
    ) -> list[Step]:
        steps = []
        if is_growing(node):
            what = f"the list {what}, which is outside of the function, gets a length that depends on traced values"
            raise StagingError(what, self.trace.span, fix="return the list, or run with wg.eager()")
        for kind, name, child in differences(before, node):
            if kind == "contents":
                steps.append(Step(owner, kind, name, templates.contents(child, what)))
                continue
            if _counts(before.get((kind, name)), child):
                counted[1].add(Path(kind, counted[0], name).key)
            steps.append(Step(owner, kind, name, None if child is UNSET else templates.of(child, what)))
        return steps


def _keeper(owner: Any) -> Any:
    """The object that identifies where attributes of `owner` live: for a module its variables."""
    return owner.__dict__ if isinstance(owner, types.ModuleType) else owner


def _counts(before: Any, now: Any) -> bool:
    """Whether a whole number became another, so that it should be an input."""
    if type(before) is not int or not -(2**63) <= before < 2**63:
        return False
    if isinstance(now, Scalar):
        return not now.value.is_float
    return type(now) is int and now != before and -(2**63) <= now < 2**63
