"""Arguments as trees: which leaves a derivative is taken with respect to, and what a compilation is keyed by."""

from __future__ import annotations

import array
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert.errors import ArgumentError, Span
from wengert.frontend.boxes import is_box
from wengert.tree import TreeDef, flatten

FLOATS = (float, np.floating)
_F64 = np.dtype(np.float64)


def flatten_call(args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[list[Any], TreeDef]:
    """The leaves of a call's arguments, positional then by name, and their structure."""
    return flatten((tuple(args), kwargs))


_CONTENTS = (set, bytearray, memoryview, array.array)
"""Containers that are no trees, compared by what they hold."""


def leaf_key(leaf: Any) -> Any:
    """What of a leaf the compiled code depends on: kind, dtype, rank and unit axes of numbers; the value of anything else."""
    kind = type(leaf)
    if kind is float or kind is int:
        return kind
    if kind is np.ndarray:
        return (leaf.dtype, tuple([1 if n == 1 else 0 for n in leaf.shape]))
    if isinstance(leaf, np.ndarray):
        return (kind, leaf.dtype, leaf.shape)
    if isinstance(leaf, np.generic):  # a bool, a text or a date is not traced but known by its value
        return (kind, leaf.dtype) if leaf.dtype.kind in "fiuc" else (kind, leaf.dtype, leaf.tobytes())
    if isinstance(leaf, float | int) and not isinstance(leaf, bool):
        return (kind,)
    if isinstance(leaf, _CONTENTS):  # what a trace read of them
        return (kind, frozenset(leaf) if isinstance(leaf, set) else bytes(leaf))
    try:
        hash(leaf)
    except TypeError:
        return (kind, id(leaf))
    return (kind, leaf)


def leaf_test(leaf: Any) -> tuple[str, Any]:
    """The condition under which another leaf has the same `leaf_key`, for `tree_code.fetch_code`."""
    kind = type(leaf)
    if kind in (float, int):
        return "type({x}) is {k}", kind
    if kind is np.ndarray and 1 not in leaf.shape and leaf.dtype is _F64:
        return f"type({{x}}) is ndarray and {{x}}.dtype is {{k}} and {{x}}.ndim == {leaf.ndim} and 1 not in {{x}}.shape", _F64
    key = leaf_key(leaf)
    return "{k}({x})", lambda other: leaf_key(other) == key


def differentiable_leaves(
    args: Sequence[Any], argnums: int | Sequence[int], what: str, fn: Any = None, integers: bool = False
) -> tuple[list[int], list[tuple[TreeDef, list[Any]]]]:
    """Flat positions of the leaves that `argnums` selects for differentiation.

    Args:
        args: the positional arguments of the call.
        argnums: which of them.
        what: named in messages.
        fn: the function that is called, whose definition messages point at.
        integers: pass over whole numbers among the leaves instead of refusing them.

    Returns:
        The positions in the flattened call, and per entry of `argnums` the structure of that argument with its leaves.

    Raises:
        ArgumentError: `argnums` out of range; an integer or complex leaf, which has no derivative.
    """
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    count = len(args)
    wanted = []
    for number in numbers:
        if not -count <= number < count:
            raise ArgumentError(
                f"The 'argnums' argument of {what} must name positional arguments. Got {number} with {count} of them.",
                definition(fn),
            )
        wanted.append(number % count)
    starts, trees = [], []
    position = 0
    for index, arg in enumerate(args):
        leaves, tree = flatten(arg, is_leaf=is_box)
        if index in wanted and not integers:
            _check_leaves(leaves, tree, index, what, fn)
        starts.append(position)
        trees.append((tree, leaves))
        position += len(leaves)
    positions = []
    for index in wanted:
        leaves = trees[index][1]
        positions += [starts[index] + k for k, leaf in enumerate(leaves) if is_differentiable(leaf)]
    if not positions:
        raise ArgumentError(
            f"{what} has nothing to differentiate with respect to: no float among the chosen arguments",
            definition(fn),
            fix="choose other arguments with argnums, or write numbers as floats (1.0 for 1)",
        )
    return positions, [trees[index] for index in wanted]


def is_differentiable(leaf: Any) -> bool:
    """Whether a leaf is a float or an array of floats."""
    if isinstance(leaf, FLOATS):
        return True
    if is_box(leaf):
        return bool(leaf.value.is_float)
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and np.issubdtype(dtype, np.floating)


def definition(fn: Any) -> Span | None:
    """The line on which a function is defined, if it is one of Python's."""
    function = inspect.unwrap(fn) if callable(fn) else None
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return None if code is None else Span(code.co_filename, code.co_firstlineno, function=code.co_name)


def _check_leaves(leaves: Sequence[Any], tree: TreeDef, index: int, what: str, fn: Any) -> None:
    for leaf, path in zip(leaves, tree.paths(f"argument {index}"), strict=True):
        if isinstance(leaf, bool | str | bytes) or callable(leaf) or is_differentiable(leaf):
            continue
        dtype = getattr(leaf, "dtype", None)
        if isinstance(leaf, int) or (dtype is not None and not np.issubdtype(dtype, np.bool_)):
            found = f"{leaf!r}, an int" if isinstance(leaf, int) else f"a value of dtype {dtype}"
            raise ArgumentError(
                f"{what} needs floats, and {path} is not one",
                definition(fn),
                found=found,
                expected="a float or an array of floats",
                fix=f"write {float(leaf)!r}" if isinstance(leaf, int) else "convert it with .astype(np.float64)",
            )
