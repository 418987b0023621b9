"""Parameters as JSON: plain to read, and read back exactly, given parameters of the same structure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from wengert.errors import ArgumentError
from wengert.tree import TreeDef, flatten

__all__ = ["load_params", "save_params"]


def save_params(params: Any, path: str | PathLike[str]) -> None:
    """Write a tree of parameters as JSON.

    Dicts with text keys, named tuples, dataclasses and objects become JSON objects; other containers and arrays become
    lists. Floats are written with all of their digits. What JSON cannot hold (a function, say) is written as its
    `repr`.

    Args:
        params: The parameters.
        path: The file to write.
    """
    leaves, treedef = flatten(params)
    data = _encode(treedef, iter(leaves))
    Path(path).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def load_params(path: str | PathLike[str], like: Any) -> Any:
    """Read parameters written by `save_params`.

    Args:
        path: The file.
        like: Parameters of the same structure; they give containers, classes, dtypes and whatever is not a number.

    Returns:
        New parameters of the structure of `like`.

    Raises:
        ArgumentError: If the file holds another structure.
    """
    leaves, treedef = flatten(like)
    data = json.loads(Path(path).read_text(encoding="utf-8"))
    found: list[Any] = []
    _decode(treedef, data, iter(leaves), found, "params")
    return treedef.unflatten(found)


def _names(node: TreeDef) -> list[str] | None:
    """Names of the children in a JSON object, or None if they make a list."""
    steps = node.steps()
    if node.kind == "dict" and all(isinstance(key, str) for key in node.keys) and node.num_attributes == 0:
        return list(node.keys)
    if steps and all(step.startswith(".") for step in steps):
        return [step[1:] for step in steps]
    return None


def _encode(node: TreeDef, leaves: Iterator[Any]) -> Any:
    if node.kind == "none":
        return None
    if node.kind == "leaf":
        return _encode_leaf(next(leaves))
    values = [_encode(child, leaves) for child in node.children]
    names = _names(node)
    return values if names is None else dict(zip(names, values, strict=True))


def _encode_leaf(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray | np.generic) and leaf.dtype.kind in "bifu":
        return leaf.tolist()
    return leaf if isinstance(leaf, bool | int | float | str) else repr(leaf)


def _decode(node: TreeDef, data: Any, leaves: Iterator[Any], found: list[Any], path: str) -> None:
    """Append the leaves of one node to `found`, taking those that are no numbers from the template."""
    if node.kind == "none":
        return
    if node.kind == "leaf":
        found.append(_decode_leaf(next(leaves), data, path))
        return
    names = _names(node)
    if names is None:
        fits = isinstance(data, list) and len(data) == len(node.children)
        keys: Any = range(len(node.children))
    else:
        fits = isinstance(data, dict) and sorted(data) == sorted(names)
        keys = names
    if not fits:
        shown = sorted(data) if isinstance(data, dict) else data
        expected = f"an object with {', '.join(names)}" if names else f"a list of {len(node.children)}"
        raise ArgumentError(f"{path} has another structure in the file", found=f"{shown!r:.200}", expected=expected)
    for key, step, child in zip(keys, node.steps(), node.children, strict=True):
        _decode(child, data[key], leaves, found, path + step)


def _decode_leaf(leaf: Any, data: Any, path: str) -> Any:
    try:
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "bifu":
            return np.asarray(data, dtype=leaf.dtype).reshape(leaf.shape)
        if isinstance(leaf, np.generic) and leaf.dtype.kind in "bifu":
            return type(leaf)(data)
        return type(leaf)(data) if isinstance(leaf, bool | int | float | str) else leaf
    except (TypeError, ValueError):
        expected = f"a value like {leaf!r:.200}"
        raise ArgumentError(f"{path} does not fit", found=f"{data!r:.200}", expected=expected) from None
