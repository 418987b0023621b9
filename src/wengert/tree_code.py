"""Straight-line Python for one tree structure: for calls that happen a million times with arguments of one kind.

`flatten` looks at a tree and says what it is; the code made here knows what to expect and only checks. It is some five
times as fast, and gives up (None) on anything else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from wengert.tree import TreeDef

Fetch = Callable[[Any], tuple[Any, ...] | None]
Assemble = Callable[[Sequence[Any]], Any]


def fetch_code(tree: TreeDef, tests: Sequence[tuple[str, Any]]) -> Fetch | None:
    """A function that gives the leaves of a tree of exactly this structure, and None for any other.

    Args:
        tree: the structure.
        tests: per leaf a condition on it, a template of Python source with `{x}` for the leaf, `{k}` for the second
            entry of the pair and `ndarray` for NumPy's class.

    Returns:
        The function; None for structures that hold other containers than tuples, lists, dicts and plain objects.
    """
    writer = _FetchWriter(tests)
    if not writer.visit(tree, "root"):
        return None
    leaves = ", ".join(writer.leaves) + ("," if len(writer.leaves) == 1 else "")
    body = "\n".join(f"    {line}" for line in writer.lines)
    guarded = f"    try:\n{_indent(body)}\n    except (KeyError, AttributeError):\n        return None\n"
    source = f"def fetch(root):\n{guarded if writer.lines else ''}    return ({leaves})\n"
    exec(compile(source, "<wengert fetch>", "exec"), writer.names)  # source made above from a TreeDef
    found: Fetch = writer.names["fetch"]
    return found


def assemble_code(tree: TreeDef, leaves: Sequence[str]) -> Assemble | None:
    """A function from a sequence `f` to a tree of this structure whose leaves are the expressions `leaves` in `f`."""
    names: dict[str, Any] = {}
    expression = tree_expression(tree, leaves, names)
    if expression is None:
        return None
    exec(compile(f"def assemble(f):\n    return {expression}\n", "<wengert assemble>", "exec"), names)
    found: Assemble = names["assemble"]
    return found


def tree_expression(tree: TreeDef, leaves: Sequence[str], names: dict[str, Any]) -> str | None:
    """Python source of a tree of this structure; what it refers to is added to `names`. None if it cannot be written."""
    names["_object"] = _object
    return _expression(tree, iter(leaves), names, itertools.count())


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))


def _is_plain_object(tree: TreeDef) -> bool:
    """Whether all state of the object is in its `__dict__`, under names that are plain strings."""
    cls = tree.cls
    if tree.kind != "object" or cls is None or any("__slots__" in vars(base) for base in cls.__mro__):
        return False
    return all(isinstance(key, str) for key in tree.keys) and not any(
        hasattr(getattr(cls, key, None), "__get__") for key in tree.keys
    )


class _FetchWriter:
    def __init__(self, tests: Sequence[tuple[str, Any]]) -> None:
        self.tests = iter(tests)
        self.lines: list[str] = []
        self.leaves: list[str] = []
        self.names: dict[str, Any] = {"ndarray": np.ndarray}
        self.serial = itertools.count()

    def name(self, value: Any) -> str:
        name = f"c{next(self.serial)}"
        self.names[name] = value
        return name

    def require(self, condition: str) -> None:
        self.lines.append(f"if not ({condition}): return None")

    def visit(self, tree: TreeDef, at: str) -> bool:
        """Write the checks of a subtree held by the variable `at`; False if it cannot be done."""
        if tree.kind == "leaf":
            source, constant = next(self.tests)
            self.require(source.format(x=at, k=self.name(constant)))
            self.leaves.append(at)
            return True
        if tree.kind == "none":
            self.require(f"{at} is None")
            return True
        if tree.cls in (tuple, list):
            self.require(f"type({at}) is {tree.kind} and len({at}) == {len(tree.children)}")
            return self.children(tree, [f"{at}[{i}]" for i in range(len(tree.children))])
        if tree.cls is dict:
            self.require(f"type({at}) is dict and len({at}) == {len(tree.children)}")
            return self.children(tree, [f"{at}[{self.name(key)}]" for key in tree.keys])
        if not _is_plain_object(tree):
            return False
        own = f"v{next(self.serial)}"
        self.require(f"type({at}) is {self.name(tree.cls)}")
        self.lines.append(f"{own} = {at}.__dict__")
        self.require(f"len({own}) == {len(tree.children)}")
        return self.children(tree, [f"{own}[{key!r}]" for key in tree.keys])

    def children(self, tree: TreeDef, ways: Sequence[str]) -> bool:
        for child, way in zip(tree.children, ways, strict=True):
            variable = f"v{next(self.serial)}"
            self.lines.append(f"{variable} = {way}")
            if not self.visit(child, variable):
                return False
        return True


def _object(cls: type, attributes: dict[str, Any]) -> Any:
    made: Any = object.__new__(cls)
    made.__dict__.update(attributes)
    return made


def _expression(tree: TreeDef, leaves: Iterator[str], names: dict[str, Any], serial: Iterator[int]) -> str | None:
    if tree.kind == "leaf":
        return next(leaves)
    if tree.kind == "none":
        return "None"
    parts = [_expression(child, leaves, names, serial) for child in tree.children]
    if any(part is None for part in parts):
        return None
    if tree.cls is tuple:
        return f"({', '.join(map(str, parts))}{',' if len(parts) == 1 else ''})"
    if tree.cls is list:
        return f"[{', '.join(map(str, parts))}]"
    if tree.cls is not dict and not _is_plain_object(tree):
        return None
    keys = []
    for key in tree.keys:
        keys.append(f"c{next(serial)}")
        names[keys[-1]] = key
    items = ", ".join(f"{key}: {part}" for key, part in zip(keys, parts, strict=True))
    if tree.cls is dict:
        return f"{{{items}}}"
    keys.append(f"c{next(serial)}")
    names[keys[-1]] = tree.cls
    return f"_object({keys[-1]}, {{{items}}})"
