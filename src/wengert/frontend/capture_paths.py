"""Where a captured value was read from, and what must still hold there for a compiled function to be used again.

Paths and guards are also written as Python source, so that all guards of a function become one compiled expression.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_LOOKUP_ERRORS = (NameError, AttributeError, LookupError, ValueError, TypeError)


class Constants:
    """Objects that generated source refers to by name."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self.known: dict[int, str] = {}

    def name(self, obj: Any) -> str:
        """The name of `obj` in generated source."""
        found = self.known.get(id(obj))
        if found is None:
            found = self.known[id(obj)] = f"c{len(self.names)}"
            self.names[found] = obj
        return found


@dataclass(frozen=True, eq=False)
class Path:
    """A way to a captured value.

    Attributes:
        kind: "global", "cell", "constant", "attribute", "item" or "default".
        root: the globals, the cell, the object or the function; for attributes and items the path of the owner.
        name: the name or key.
    """

    kind: str
    root: Any
    name: Any = ""

    @property
    def key(self) -> tuple[Any, ...]:
        """Identifies the place."""
        root = self.root.key if isinstance(self.root, Path) else id(self.root)
        return (self.kind, root, type(self.name), self.name)

    def read(self) -> Any:
        """The value that is there now."""
        if self.kind == "constant":
            return self.root
        if self.kind == "cell":
            return self.root.cell_contents
        if self.kind == "global":
            return self.root[self.name]
        if self.kind == "attribute":
            return getattr(self.root.read(), self.name)
        if self.kind == "item":
            return self.root.read()[self.name]
        if isinstance(self.name, int):
            return self.root.__defaults__[self.name]
        return self.root.__kwdefaults__[self.name]

    def source(self, constants: Constants) -> str:
        """Python source that reads the value."""
        if self.kind in ("attribute", "item"):
            owner = self.root.source(constants)
            return f"{owner}.{self.name}" if self.kind == "attribute" else f"{owner}[{constants.name(self.name)}]"
        root = constants.name(self.root)
        if self.kind == "default":
            table = "__defaults__" if isinstance(self.name, int) else "__kwdefaults__"
            return f"{root}.{table}[{self.name!r}]"
        return {"constant": root, "cell": f"{root}.cell_contents", "global": f"{root}[{self.name!r}]"}[self.kind]

    def __str__(self) -> str:
        if self.kind == "attribute":
            return f"{self.root}.{self.name}" if str(self.root) else str(self.name)
        if self.kind == "item":
            return f"{self.root}[{self.name!r}]"
        if self.kind == "constant":
            return getattr(self.root, "__name__", "") or type(self.root).__name__
        return str(self.name)


@dataclass(frozen=True, eq=False)
class Guard:
    """A condition on what is captured: the compiled function may be used while it holds.

    Attributes:
        path: where to look.
        kind: "is", "equal", "type", "array", "length", "keys", "same", "absent", "has", "lacks" or "apart".
        expected: the object, class, array type, length, keys, other path or name.
    """

    path: Path
    kind: str
    expected: Any = None

    def holds(self) -> bool:
        """Whether it is so now."""
        try:
            return bool(_CHECKS[self.kind](self.path.read(), self.expected))
        except _LOOKUP_ERRORS:
            return False

    def source(self, constants: Constants) -> str:
        """Python source of the condition."""
        place = self.path.source(constants)
        if self.kind == "is":
            return f"{place} is {constants.name(self.expected)}"
        if self.kind == "type":
            return f"type({place}) is {constants.name(self.expected)}"
        if self.kind == "absent":
            return f"{self.expected!r} not in {place}"
        if self.kind == "same":
            return f"{place} is {self.expected.source(constants)}"
        if self.kind == "array":
            dtype, shape = self.expected
            sizes = "".join(f" and s[{k}] {'!= 1' if n is None else f'== {n}'}" for k, n in enumerate(shape))
            tests = f"isinstance(v := {place}, {constants.name(np.ndarray)}) and v.dtype == {constants.name(dtype)}"
            return f"{tests} and len(s := v.shape) == {len(shape)}{sizes}"
        return f"{constants.name(_CHECKS[self.kind])}({place}, {constants.name(self.expected)})"

    def __str__(self) -> str:
        return f"{self.path} ({self.kind})"


def _is_equal(value: Any, expected: Any) -> bool:
    return type(value) is type(expected) and bool(value == expected)


def _fits_array(value: Any, expected: tuple[Any, ...]) -> bool:
    """Class, dtype, rank, and per axis either an exact size or None for any size but 1."""
    dtype, shape = expected
    if not isinstance(value, np.ndarray) or value.dtype != dtype or value.ndim != len(shape):
        return False
    return all(n != 1 if size is None else n == size for n, size in zip(value.shape, shape, strict=True))


_CHECKS: dict[str, Callable[[Any, Any], bool]] = {
    "is": lambda value, expected: value is expected,
    "equal": _is_equal,
    "type": lambda value, expected: type(value) is expected,
    "array": _fits_array,
    "length": lambda value, expected: len(value) == expected,
    "keys": lambda value, expected: tuple(value) == expected,
    "same": lambda value, expected: value is expected.read(),
    "absent": lambda value, expected: expected not in value,
    "has": hasattr,
    "lacks": lambda value, expected: not hasattr(value, expected),
    "apart": lambda read, count: len(set(map(id, read()))) == count,
}


@dataclass
class CapturedInput:
    """A captured number or array that is passed at every call.

    Attributes:
        path: where it is read.
        value: what it was while tracing.
    """

    path: Path
    value: Any
    param: Any = field(repr=False, default=None)

    def read(self) -> Any:
        """The current value."""
        return self.path.read()


def compile_guards(guards: Sequence[Guard]) -> Callable[[], bool]:
    """A function that says whether all guards hold."""
    if not guards:
        return lambda: True
    constants = Constants()
    conditions = " and ".join(f"({g.source(constants)})" for g in guards)
    body = f"def holds():\n try:\n  return {conditions}\n except errors:\n  return False"
    return _function(body, "holds", {**constants.names, "errors": _LOOKUP_ERRORS, "type": type})


def compile_reader(paths: Sequence[Path]) -> Callable[[], tuple[Any, ...]]:
    """A function that reads what is at all of these paths."""
    constants = Constants()
    items = "".join(f"{path.source(constants)}, " for path in paths)
    return _function(f"def read():\n return ({items})", "read", constants.names)


def _function(source: str, name: str, names: dict[str, Any]) -> Callable[[], Any]:
    space = dict(names)
    exec(compile(source, "<guards>", "exec"), space)
    found = space[name]
    assert isinstance(found, types.FunctionType)
    return found
