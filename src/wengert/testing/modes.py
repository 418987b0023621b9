"""Run one function in every way that there is to run it, and demand that all of them agree.

The modes: "python" (the plain function), "compiled" (native code), "eager" (op by op on real values, with a tape) and
"reference" (what was compiled, run by the IR interpreter).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.api import eager, value_and_grad
from wengert.api.arguments import differentiable_leaves, is_differentiable
from wengert.api.derivatives import Grad
from wengert.api.results import rebuild, tree_of_gradients
from wengert.errors import WengertError
from wengert.ir.interpret import run
from wengert.tree import flatten

Outcomes = dict[str, tuple[Any, Any]]


class ModeMismatchError(WengertError, AssertionError):
    """Two ways to run a function gave different numbers."""


def run_modes(f: Callable[..., Any], args: Sequence[Any], wrt: int | Sequence[int] | None = None) -> Outcomes:
    """Value and gradient of a scalar function in each mode.

    Args:
        f: returns one float.
        args: its positional arguments, unchanged by this.
        wrt: which of them to differentiate with respect to, as `argnums` of `grad`; None for all that hold only floats.

    Returns:
        `{mode: (value, gradient)}` for "python" (whose gradient is None), "compiled", "reference" and "eager". Where the
        function cannot be staged, "compiled" and "reference" are missing.
    """
    transformed = value_and_grad(f, argnums=float_arguments(args) if wrt is None else wrt)
    found: Outcomes = {"python": (f(*copy.deepcopy(tuple(args))), None)}
    compiled = transformed(*args)
    positions, _ = differentiable_leaves(args, transformed.argnums, "value_and_grad")
    if transformed.program.variant(args, {}, positions)[0] is not None:
        found["compiled"] = compiled
        found["reference"] = run_reference(transformed, args)
    with eager():
        found["eager"] = transformed(*args)
    return found


def run_reference(transformed: Grad, args: Sequence[Any]) -> tuple[Any, Any]:
    """What a `value_and_grad(...)` gives at `args` when its compiled program is interpreted instead."""
    positions, selected = differentiable_leaves(args, transformed.argnums, transformed.what)
    variant, leaves = transformed.program.variant(args, {}, positions)
    if variant is None:
        raise ModeMismatchError("the function cannot be staged, so there is no program to interpret")
    numbers = run(variant.function, variant.inputs(leaves))
    split = len(numbers) - len(positions)
    trees = tree_of_gradients(numbers[split:], selected)
    gradient = trees[0] if isinstance(transformed.argnums, int) else tuple(trees)
    return rebuild(variant.traced, numbers[:split]), gradient


def float_arguments(args: Sequence[Any]) -> tuple[int, ...]:
    """Positions of the arguments that hold a float and no integers."""
    chosen = []
    for k, arg in enumerate(args):
        leaves = [leaf for leaf in flatten(arg)[0] if not isinstance(leaf, bool | str | bytes) and not callable(leaf)]
        if leaves and all(is_differentiable(leaf) for leaf in leaves):
            chosen.append(k)
    return tuple(chosen)


def assert_modes_agree(
    f: Callable[..., Any], args: Sequence[Any], wrt: int | Sequence[int] | None = None, rtol: float = 1e-12
) -> None:
    """Demand that value and gradient of a scalar function are the same in every mode.

    Args:
        f: returns one float.
        args: its positional arguments.
        wrt: as in `run_modes`.
        rtol: largest difference, relative to the largest number of value or gradient (or 1, if that is larger).

    Raises:
        ModeMismatchError: two modes differ; a NaN equals only a NaN in the same place.
    """
    outcomes = run_modes(f, args, wrt)
    name = getattr(f, "__name__", "the function")
    for part, what in enumerate(("value", "gradient")):
        first: tuple[str, Any] | None = None
        for mode, outcome in outcomes.items():
            if outcome[part] is None:
                continue
            if first is None:
                first = (mode, outcome[part])
            elif (difference := largest_difference(first[1], outcome[part])) > rtol:
                raise ModeMismatchError(
                    f"the {what} of {name} is not the same in modes {first[0]} and {mode}",
                    found=f"{mode}: {outcome[part]!r}",
                    expected=f"{first[0]}: {first[1]!r} (relative difference {difference:.1e}, allowed {rtol})",
                )


def largest_difference(left: Any, right: Any) -> float:
    """The largest difference of two trees of floats, relative to their largest entry or 1; inf where they do not match."""
    left_leaves, left_tree = flatten(left)
    right_leaves, right_tree = flatten(right)
    if left_tree != right_tree:
        return np.inf
    scale, worst = 1.0, 0.0
    for a, b in zip(left_leaves, right_leaves, strict=True):
        if not is_differentiable(a):
            worst = worst if a is b or bool(np.all(a == b)) else np.inf
            continue
        if np.shape(a) != np.shape(b):
            return np.inf
        for side in (a, b):
            scale = max(scale, float(np.max(np.abs(side), initial=0.0, where=np.isfinite(side))))
        with np.errstate(invalid="ignore"):
            gaps = np.where((np.asarray(a) == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(np.subtract(a, b)))
        worst = max(worst, float(np.max(np.nan_to_num(gaps, nan=np.inf, posinf=np.inf), initial=0.0)))
    return worst / scale
