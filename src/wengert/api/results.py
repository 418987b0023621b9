"""Flat results of compiled or recorded code, put back into the structures that the user gave or expects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.api.arguments import is_differentiable
from wengert.errors import ArgumentError, UnsupportedError
from wengert.frontend.boxes import box, is_box, lift
from wengert.frontend.context import current
from wengert.frontend.growing import ListResult
from wengert.frontend.rows import list_of
from wengert.frontend.trace import Traced
from wengert.frontend.write_back import apply
from wengert.tree import TreeDef, flatten

Selected = list[tuple[TreeDef, list[Any]]]
"""Per chosen argument its structure and its leaves."""

_KEEP: Any = object()
_NUMPY_NUMBERS: dict[type, Callable[[Any], Any]] = {float: np.float64, int: np.int64, bool: np.bool_}


def rebuild(traced: Traced, found: Sequence[Any], static: Any = _KEEP) -> Any:
    """The function's result from the values of the IR results.

    `static` replaces leaves that were no IR results: by a value, or by what a function makes of the leaf.

    Numbers come back as the function would give them: as NumPy numbers where it computes with those.
    """
    leaves = []
    for place, is_numpy in zip(traced.out_leaves, traced.out_numpy, strict=True):
        if not isinstance(place, int):
            leaves.append(place.value if static is _KEEP else static(place.value) if callable(static) else static)
            continue
        leaf = found[place]
        convert = _NUMPY_NUMBERS.get(type(leaf)) if is_numpy else None
        leaves.append(leaf if convert is None else convert(leaf))
    return restored(traced.out_tree.unflatten(leaves))


def write_back(traced: Traced, found: Sequence[Any], args: Sequence[Any], kwargs: dict[str, Any], leaves: Sequence[Any]) -> None:
    """Do to the arguments of a call what the function does to them."""
    updates = traced.updates
    if updates is None:
        return
    values = []
    for place, is_numpy in zip(updates.leaves, updates.numpy, strict=True):
        value = found[place] if isinstance(place, int) else place.value
        convert = _NUMPY_NUMBERS.get(type(value)) if is_numpy else None
        values.append(value if convert is None else convert(value))
    apply(updates, restored(updates.tree.unflatten(values)), (tuple(args), kwargs), leaves)


def restored(result: Any) -> Any:
    """A result with its lists of traced length put together."""
    leaves, structure = flatten(result, is_leaf=_is_list_result)
    if not any(map(_is_list_result, leaves)):
        return result
    return structure.unflatten([list_of(leaf) if _is_list_result(leaf) else leaf for leaf in leaves])


def _is_list_result(obj: Any) -> bool:
    return type(obj) is ListResult


def tree_of_gradients(gradients: Sequence[Any], selected: Selected) -> list[Any]:
    """Gradients put back into the structures that they were taken with respect to; None where a leaf has none.

    The gradient with respect to a complex number `x + iy` is `df/dx - i df/dy`, as in JAX: for a holomorphic function the
    complex derivative of its real part.
    """
    remaining = iter(gradients)
    return [
        tree.unflatten(conjugated(tree, [next(remaining) if is_differentiable(leaf) else None for leaf in leaves]))
        for tree, leaves in selected
    ]


def conjugated(tree: TreeDef, leaves: Sequence[Any]) -> list[Any]:
    """The leaves of a tree with those negated that are imaginary parts: cotangents of real pairs as complex ones, and back."""
    flags = zip(leaves, tree.imaginary(), strict=True)
    return [-leaf if is_imaginary and leaf is not None else leaf for leaf, is_imaginary in flags]


def constant_tangent(leaf: Any) -> float | None:
    """The tangent of a leaf that is not computed: zero for a float, else none."""
    return 0.0 if isinstance(leaf, float | np.floating) else None


def package_blocks(traced: Traced, blocks: Sequence[Any], selected: Selected, single: bool) -> Any:
    """Blocks of a Jacobian in the structure of the result, each leaf holding the structure of the chosen arguments.

    Args:
        traced: of the function.
        blocks: result by result, and for each argument leaf by argument leaf.
        selected: the chosen arguments.
        single: whether one argument was chosen by itself, not a tuple of them.
    """
    if any(traced.out_tree.imaginary()) or any(any(tree.imaginary()) for tree, _ in selected):
        raise UnsupportedError(
            "jacobian of a function with complex arguments or results",
            fix="take the Jacobian of the real and imaginary parts, as functions of real and imaginary parts",
        )
    count = sum(sum(map(is_differentiable, leaves)) for _, leaves in selected)
    rows = iter([blocks[k : k + count] for k in range(0, len(blocks), count)])
    cells: list[Any] = []
    for result in traced.function.results:
        if not result.is_float:
            cells.append(None)
            continue
        trees = tree_of_gradients(next(rows), selected)
        cells.append(trees[0] if single else tuple(trees))
    return rebuild(traced, cells, static=None)


def split_tangents(traced: Traced, found: Sequence[Any]) -> tuple[Any, Any]:
    """Results and tangents, each in the structure of the function's result."""
    results = traced.function.results
    dots = iter(found[len(results) :])
    by_result = [next(dots) if r.is_float else None for r in results]
    return rebuild(traced, found), rebuild(traced, by_result, static=constant_tangent)


def checked_direction(direction: Any, model: Any, name: str, what: str) -> Any:
    """A tangent or cotangent for `model` as a float or a float array of its shape."""
    if is_box(direction):
        return direction
    found = np.asarray(direction)
    if found.shape != np.shape(model) or not (
        np.issubdtype(found.dtype, np.floating) or np.issubdtype(found.dtype, np.integer)
    ):
        raise ArgumentError(
            f"a {name} given to {what} does not match",
            found=f"shape {found.shape} of dtype {found.dtype}",
            expected=f"shape {np.shape(model)} of dtype {dtype_of_result(model)}",
        )
    dtype = dtype_of_result(model)
    return found.astype(dtype) if found.ndim else dtype.type(found) if dtype == np.float32 else float(found)


def dtype_of_result(model: Any) -> np.dtype[Any]:
    """The dtype of a number or an array of floats, and so of its tangents and cotangents."""
    return np.dtype(np.float32) if getattr(model, "dtype", None) == np.float32 else np.dtype(np.float64)


def matching_leaves(primals: Sequence[Any], tangents: Sequence[Any], positions: Sequence[int], what: str) -> list[Any]:
    """The tangents of the leaves at `positions`; None stands for zero."""

    def is_leaf(x: Any) -> bool:
        return x is None or is_box(x)

    leaves, tree = flatten((tuple(primals), {}), is_leaf=is_leaf)
    directions, tangent_tree = flatten((tuple(tangents), {}), is_leaf=is_leaf)
    if tree != tangent_tree:
        raise ArgumentError(
            f"the tangents given to {what} do not have the structure of the primals",
            found=str(tangent_tree),
            expected=str(tree),
        )
    pairs = [(leaf, d) for leaf, d in zip(leaves, directions, strict=True) if leaf is not None]
    found = [(pairs[k][0], _zero_like(pairs[k][0]) if pairs[k][1] is None else pairs[k][1]) for k in positions]
    return [checked_direction(direction, leaf, "tangent", what) for leaf, direction in found]


def _zero_like(leaf: Any) -> Any:
    """A zero tangent of a leaf."""
    if is_box(leaf):
        return box(current().builder.zeros_like(lift(leaf)), numpy=True)
    return np.zeros(np.shape(leaf), dtype_of_result(leaf))


def matching_cotangents(out_tree: TreeDef, cotangent: Any) -> list[Any]:
    """The leaves of a cotangent, one for each leaf of a function's result; None stands for zero.

    Raises:
        ArgumentError: the cotangent has another structure than the result; the order of dict keys counts.
    """
    mark = object()
    model = out_tree.unflatten([mark] * out_tree.num_leaves)
    leaves, tree = flatten(model, is_leaf=lambda x: x is None or x is mark)
    given, given_tree = flatten(cotangent, is_leaf=lambda x: x is None or is_box(x))
    if tree != given_tree:
        raise ArgumentError(
            "the cotangent does not have the structure of the function's result", found=str(given_tree), expected=str(tree)
        )
    return conjugated(out_tree, [direction for leaf, direction in zip(leaves, given, strict=True) if leaf is mark])
