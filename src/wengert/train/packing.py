"""Parameters as one flat vector: which leaves are fitted, what they are called, between which bounds.

Only floats and float arrays are fitted. Everything else in the parameters (strings, flags, functions, `None`) and
what the caller fixes stays as it is. Inside the vector the order is that of `wengert.tree.flatten`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wengert.errors import ArgumentError, InternalError
from wengert.tree import TreeDef, flatten

__all__ = ["Packing", "Vector", "pack", "parse_bounds"]

Vector = NDArray[np.float64]
Bounds = Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True)
class Packing:
    """How a tree of parameters becomes a vector and back.

    Attributes:
        treedef: Structure of the parameters; `None` counts as a leaf.
        leaves: The leaves at the start.
        names: One name per leaf, as in `layers[0].w`.
        places: For every fitted leaf its index in `leaves` and its part of the vector.
    """

    treedef: TreeDef
    leaves: tuple[Any, ...]
    names: tuple[str, ...]
    places: tuple[tuple[int, slice], ...]

    def start(self) -> Vector:
        """Return the vector of the starting values."""
        return self._concatenate(self.leaves)

    def vector(self, params: Any) -> Vector:
        """Return the vector of parameters of the same structure."""
        return self._concatenate(flatten(params, is_leaf=_is_none)[0])

    def unpack(self, x: Vector) -> Any:
        """Return new parameters with the values of `x`, each of the type and shape it had at the start."""
        leaves = list(self.leaves)
        for index, part in self.places:
            leaves[index] = _like(self.leaves[index], x[part])
        return self.treedef.unflatten(leaves)

    def gradient(self, tree: Any) -> Vector:
        """Return the entries of a gradient that belong to fitted parameters, as one vector."""
        leaves, treedef = flatten(tree, is_leaf=_is_none)
        if len(leaves) != len(self.leaves):
            expected = repr(self.treedef)
            raise InternalError("the gradient is not like the parameters", found=repr(treedef), expected=expected)
        # The gradient of a complex parameter is df/dx - i df/dy; the step goes along df/dx and df/dy.
        flags = self.treedef.imaginary()
        return self._concatenate([-leaf if flag else leaf for leaf, flag in zip(leaves, flags, strict=True)])

    def scale(self) -> Vector:
        """Return the typical size of each entry: the root mean square of its leaf at the start, 1 where that is 0."""
        x = self.start()
        scale = np.ones_like(x)
        for _, part in self.places:
            size = float(np.sqrt(np.mean(x[part] ** 2))) if x[part].size else 1.0
            scale[part] = size if 1e-100 < size < 1e100 else 1.0
        return scale

    def fitted(self) -> list[tuple[str, slice]]:
        """Return name and part of the vector of every fitted leaf."""
        return [(self.names[index], part) for index, part in self.places]

    def entry(self, position: int) -> str:
        """Return the name of one entry of the vector: `alpha`, `w[3]`, `layers[0].w[1, 2]`."""
        for index, part in self.places:
            if part.start <= position < part.stop:
                shape = np.shape(self.leaves[index])
                if not shape:
                    return self.names[index]
                coordinates = np.unravel_index(position - part.start, shape)
                return f"{self.names[index]}[{', '.join(str(i) for i in coordinates)}]"
        raise IndexError(position)

    def bounds(self, bounds: Bounds) -> tuple[Vector, Vector]:
        """Return lower and upper bounds of each entry, infinite where there is none.

        Raises:
            ArgumentError: If a name is unknown or fixed, the bounds are empty, or the start lies outside of them.
        """
        x = self.start()
        low, high = np.full_like(x, -np.inf), np.full_like(x, np.inf)
        for name, pair in bounds.items():
            below, above = _as_pair(name, pair)
            matched = _matching(name, self.names, "bounds")
            parts = [(index, part) for index, part in self.places if self.names[index] in matched]
            if not parts:
                raise ArgumentError(f"'{name}' has bounds but is not fitted", fix="drop its bounds, or do not fix it")
            for index, part in parts:
                shape = np.shape(self.leaves[index])
                low[part] = np.broadcast_to(below, shape).ravel()
                high[part] = np.broadcast_to(above, shape).ravel()
        for position in np.flatnonzero(~((low <= x) & (x <= high))):
            raise ArgumentError(
                f"the start of '{self.entry(int(position))}' lies outside its bounds",
                found=f"{x[position]:.6g}",
                expected=f"a value in [{low[position]:.6g}, {high[position]:.6g}]",
                fix="move the start or widen the bounds",
            )
        return low, high

    def _concatenate(self, leaves: Sequence[Any]) -> Vector:
        return np.concatenate([np.asarray(leaves[i], dtype=np.float64).ravel() for i, _ in self.places])


def pack(params: Any, fix: Iterable[str] = ()) -> Packing:
    """Decide what is fitted.

    Args:
        params: The starting values.
        fix: Names of leaves, or of containers of leaves, that keep their value.

    Raises:
        ArgumentError: If a name is unknown, an integer is not fixed, a start is not finite, or nothing is left to fit.
    """
    leaves, treedef = flatten(params, is_leaf=_is_none)
    names = tuple(_short_name(path) or "params" for path in treedef.paths())
    fixed: set[str] = set()
    for name in [fix] if isinstance(fix, str) else fix:
        fixed |= _matching(name, names, "fix")
    places, offset = [], 0
    for index, (name, leaf) in enumerate(zip(names, leaves, strict=True)):
        if name in fixed or not _is_number(leaf):
            continue
        _require_float(name, leaf)
        places.append((index, slice(offset, offset + np.size(leaf))))
        offset += np.size(leaf)
    if offset == 0:
        raise ArgumentError(
            "there is nothing to fit",
            found="parameters without a float, or all of them fixed" if names else "empty parameters",
            expected="at least one float or float array that is not fixed",
        )
    return Packing(treedef, tuple(leaves), names, tuple(places))


def parse_bounds(text: str) -> tuple[str, tuple[float, float]]:
    """Read `alpha=0:2`; either end may be left open.

    Raises:
        ArgumentError: If the text has another form.
    """
    name, equals, span = text.rpartition("=")
    low, colon, high = span.partition(":")
    try:
        if not (name and equals and colon):
            raise ValueError
        return name, (float(low) if low.strip() else -np.inf, float(high) if high.strip() else np.inf)
    except ValueError:
        expected = "NAME=LOW:HIGH, as in alpha=0:2 or alpha=0:"
        raise ArgumentError("bad bounds", found=repr(text), expected=expected) from None


def _is_none(value: Any) -> bool:
    return value is None


def _is_number(leaf: Any) -> bool:
    if isinstance(leaf, np.ndarray | np.generic):
        return bool(np.issubdtype(leaf.dtype, np.number))
    return isinstance(leaf, int | float | complex) and not isinstance(leaf, bool)


def _require_float(name: str, leaf: Any) -> None:
    kind = leaf.dtype if isinstance(leaf, np.ndarray | np.generic) else type(leaf)
    if not np.issubdtype(kind, np.floating):
        is_whole = not np.issubdtype(kind, np.complexfloating)
        shown = f"{leaf} ({getattr(kind, '__name__', kind)})" if np.size(leaf) == 1 else f"an array of {kind}"
        better = f"{float(leaf)!r}" if is_whole and np.ndim(leaf) == 0 else "floats"
        raise ArgumentError(
            f"the parameter '{name}' is not a float, so it cannot be fitted",
            found=shown,
            expected="a float or a float array",
            fix=f"write {better}, or fix it with fix=['{name}'] (--fix {name})",
        )
    if not np.all(np.isfinite(leaf)):
        raise ArgumentError(f"the start of '{name}' is not finite", found=f"{leaf}", expected="finite numbers")


def _like(leaf: Any, values: Vector) -> Any:
    if isinstance(leaf, np.ndarray):
        return values.reshape(leaf.shape).astype(leaf.dtype)
    return type(leaf)(values[0])


def _short_name(path: str) -> str:
    """`['layers'][0]['w']` and `.layers[0].w` are both called `layers[0].w`."""
    return re.sub(r"\[(['\"])([^\W\d]\w*)\1\]", r".\2", path.strip()).removeprefix(".")


def _matching(name: str, names: Sequence[str], argument: str) -> set[str]:
    """Return the leaves a name stands for: itself or, for a container, all leaves in it."""
    wanted = _short_name(name)
    found = {leaf for leaf in names if leaf == wanted or leaf.startswith((f"{wanted}.", f"{wanted}["))}
    if not found:
        close = difflib.get_close_matches(wanted, names, n=1)
        raise ArgumentError(
            f"no parameter named '{name}' (in {argument})" + (f"; did you mean '{close[0]}'?" if close else ""),
            expected=", ".join(names[:20]) + (", ..." if len(names) > 20 else ""),
        )
    return found


def _as_pair(name: str, pair: Any) -> tuple[Vector, Vector]:
    try:
        low, high = pair
        below = np.asarray(-np.inf if low is None else low, dtype=np.float64)
        above = np.asarray(np.inf if high is None else high, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(f"bad bounds for '{name}'", found=repr(pair), expected="a pair (low, high)") from None
    if not np.all(below <= above):
        raise ArgumentError(f"bad bounds for '{name}'", found=f"({low}, {high})", expected="low <= high")
    return below, above
