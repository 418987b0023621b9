"""`vmap`: a function of one example on a whole batch.

A batched call is a loop over the examples, staged once: control flow may differ between examples, and derivatives of it are
those of any loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.api.arguments import definition
from wengert.api.derivatives import Transformed
from wengert.api.lowering import lower_jit
from wengert.api.program import Program, retrying
from wengert.api.results import rebuild
from wengert.errors import ArgumentError
from wengert.frontend import calls
from wengert.frontend.boxes import box, is_box, lift
from wengert.frontend.broadcasting import unify
from wengert.frontend.context import current, is_tracing
from wengert.frontend.examples import Axis, for_each_example, own_containers, stack_known
from wengert.ir.core import Value
from wengert.tree import TreeDef, flatten
from wengert.types import Affine

_NUMERIC = (bool, int, float, complex, np.generic, np.ndarray)


class Vmap(Transformed):
    """A function on batches; see `vmap`."""

    def __init__(self, fn: Callable[..., Any], in_axes: Any, out_axes: Any) -> None:
        super().__init__(fn, "vmap")
        for name, axes in (("in_axes", in_axes), ("out_axes", out_axes)):
            _check_axes(name, axes)
        self.in_axes = tuple(in_axes) if isinstance(in_axes, list) else in_axes
        self.out_axes = out_axes
        self.program = Program(self, lower_jit)
        self._arguments = (fn, in_axes, out_axes)

    @retrying
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The results for all examples, stacked."""
        leaves, tree = flatten((tuple(args), kwargs), is_leaf=is_box)
        axes = self._axes_of_arguments(tree, leaves, len(args))
        if is_tracing():
            return self._staged(tree, leaves, axes)
        self.program.counts.calls += 1
        sizes = {np.shape(leaf)[axis] for leaf, axis in zip(leaves, axes, strict=True) if axis is not None}
        if len(sizes) > 1:
            raise self._differing_sizes(tree, leaves, axes)
        if getattr(self.fn, "__wengert_native__", False):
            return self._eager(tree, leaves, axes, sizes.pop())
        variant, flat = self.program.variant(args, kwargs, ())
        if variant is None:
            return self._eager(tree, leaves, axes, sizes.pop())
        return rebuild(variant.traced, variant.run(flat, args, kwargs))

    # --- running ------------------------------------------------------------------------------------------------

    def _staged(self, tree: TreeDef, leaves: Sequence[Any], axes: Sequence[Axis]) -> Any:
        """The call inside a trace."""
        values = [lift(x) if axis is not None or is_box(x) else x for x, axis in zip(leaves, axes, strict=True)]
        mapped = [(v, axis) for v, axis in zip(values, axes, strict=True) if axis is not None]
        count: Affine = mapped[0][0].dims[mapped[0][1]]
        for value, axis in mapped[1:]:
            found = value.dims[axis]
            count = unify(count, found, "vmap got arguments of different sizes along the axes it maps: shapes", _shapes(mapped))

        fn = self.inner()

        def run(position: Value) -> Any:
            b = current().builder
            parts = []
            for leaf, value, axis in zip(leaves, values, axes, strict=True):
                if axis is not None:
                    spec = [":"] * value.rank
                    spec[axis] = "i"
                    parts.append(box(b.index(value, position, spec=tuple(spec)), numpy=True))
                else:
                    parts.append(box(value, numpy=getattr(leaf, "numpy", False) is True) if is_box(leaf) else leaf)
            args, kwargs = own_containers(tree.unflatten(parts))
            return calls.call(fn, tuple(args), kwargs)

        return for_each_example(count, run, self._axes_of_results)

    def _eager(self, tree: TreeDef, leaves: Sequence[Any], axes: Sequence[Axis], count: int) -> Any:
        """The call as a Python loop."""
        self.program.counts.eager_calls += 1
        found = []
        for k in range(count):
            parts = [_own(x) if axis is None else _own(np.take(x, k, axis)) for x, axis in zip(leaves, axes, strict=True)]
            args, kwargs = tree.unflatten(parts)
            found.append(self.fn(*args, **kwargs))
        stacked = stack_known(found, self._axes_of_results, lambda column, axis: np.stack(column, axis))
        self.program.notice()
        return stacked

    # --- axes ---------------------------------------------------------------------------------------------------

    def _axes_of_arguments(self, tree: TreeDef, leaves: Sequence[Any], count: int) -> list[Axis]:
        """The axis of each leaf of `(args, kwargs)` along which it is mapped."""
        prefix = self.in_axes if isinstance(self.in_axes, tuple) else (self.in_axes,) * count
        if len(prefix) != count:
            raise ArgumentError(
                f"vmap got {count} positional arguments and in_axes for {len(prefix)}",
                definition(self.fn),
                found=f"in_axes={self.in_axes!r}",
                fix="give one entry per positional argument; arguments by name are mapped along axis 0",
            )
        axes = [*spread_axes(prefix, tree.children[0], "in_axes"), *[0] * tree.children[1].num_leaves]
        paths = tree.paths("call")
        found = [self._checked(x, axis, path) for x, axis, path in zip(leaves, axes, paths, strict=True)]
        if all(axis is None for axis in found):
            raise ArgumentError(
                "vmap has nothing to map over: no array among the arguments with an axis",
                definition(self.fn),
                found=f"in_axes={self.in_axes!r}",
                fix="give the batch as an array, and its axis in in_axes",
            )
        return found

    def _checked(self, leaf: Any, axis: Axis, path: str) -> Axis:
        """The axis, counted from the front; None for what is neither a number nor an array."""
        if axis is None:
            return None
        if is_box(leaf):
            rank = lift(leaf).rank
        elif isinstance(leaf, _NUMERIC):
            rank = np.ndim(leaf)
        else:
            return None
        if not -rank <= axis < rank:
            raise ArgumentError(
                f"vmap maps {_readable(path)} along axis {axis}, which it does not have",
                definition(self.fn),
                found="a number" if rank == 0 else f"an array of rank {rank}",
                expected=f"an array of rank {axis + 1 if axis >= 0 else -axis} or more",
                fix="pass an array with one item per example, or give None in in_axes for what all examples share",
            )
        return axis % rank

    def _axes_of_results(self, tree: TreeDef, leaves: Sequence[Any]) -> list[Axis]:
        """The axis of each leaf of the result along which it is stacked."""
        found: list[Axis] = []
        for leaf, axis in zip(leaves, spread_axes(self.out_axes, tree, "out_axes"), strict=True):
            is_number = is_box(leaf) or isinstance(leaf, _NUMERIC)
            if axis is None:
                found.append(None)
                continue
            if not is_number:
                raise ArgumentError(
                    f"vmap cannot stack {leaf!r}: a result must consist of numbers and arrays",
                    definition(self.fn),
                    fix="leave it out, or give None for it in out_axes if it is the same for all examples",
                )
            rank = (lift(leaf).rank if is_box(leaf) else np.ndim(leaf)) + 1
            if not -rank <= axis < rank:
                raise ArgumentError(
                    f"out_axes of vmap asks for axis {axis} of a stacked result that has {rank}", definition(self.fn)
                )
            found.append(axis % rank)
        return found

    def _differing_sizes(self, tree: TreeDef, leaves: Sequence[Any], axes: Sequence[Axis]) -> ArgumentError:
        shown = [
            f"{_readable(path)} has {np.shape(leaf)[axis]} along axis {axis} of {np.shape(leaf)}"
            for leaf, axis, path in zip(leaves, axes, tree.paths("call"), strict=True)
            if axis is not None
        ]
        return ArgumentError(
            "vmap got arguments of different sizes along the axes it maps",
            definition(self.fn),
            found="; ".join(shown),
            expected="one size for all of them",
            fix="check in_axes; None is for what all examples share",
        )


def _shapes(mapped: Sequence[tuple[Value, int]]) -> list[tuple[Affine, ...]]:
    return [value.dims for value, _ in mapped]


def _own(leaf: Any) -> Any:
    """A copy of an array: what a function writes to its example does not reach the batch."""
    return leaf.copy() if isinstance(leaf, np.ndarray) and leaf.ndim else leaf


def _readable(path: str) -> str:
    """`call[0][2]['w']` as `argument 2['w']`, `call[1]['w']` as `argument 'w'`."""
    kind, rest = path[len("call[") :].split("]", 1)
    first, _, more = rest[1:].partition("]")
    return f"argument {first}{more}" if kind in ("0", "1") else path


def _check_axes(name: str, axes: Any) -> None:
    for axis in flatten(axes, is_leaf=lambda x: x is None)[0]:
        if axis is not None and type(axis) is not int:
            raise ArgumentError(
                f"The '{name}' argument of vmap must be an int, None, or a tree of these. Got {axis!r} in it.",
            )


def spread_axes(prefix: Any, tree: TreeDef, name: str) -> list[Axis]:
    """One axis per leaf of `tree`, from a tree of axes that stops where all below have the same one.

    Raises:
        ArgumentError: `prefix` has a container where `tree` has another one, or a leaf.
    """
    axes, structure = flatten(prefix, is_leaf=lambda x: x is None)
    supply = iter(axes)
    found: list[Axis] = []

    def visit(node: TreeDef, part: TreeDef) -> None:
        if node.kind == "leaf":
            found.extend([next(supply)] * part.num_leaves)
            return
        same = (node.kind, node.keys, len(node.children)) == (part.kind, part.keys, len(part.children))
        if not same:
            raise ArgumentError(
                f"{name} of vmap does not fit the structure of the {'arguments' if name == 'in_axes' else 'result'}",
                found=repr(structure),
                expected=f"the beginning of {tree!r}",
            )
        for a, b in zip(node.children, part.children, strict=True):
            visit(a, b)

    visit(structure, tree)
    return found


def vmap(fn: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Vmap:
    """`fn`, which takes one example, as a function of a batch of them.

    Each example goes its own way through branches, loops, `while` loops and recursion. The whole is one compiled loop.

    Args:
        fn: a function of one example. What it does to its arguments is not seen outside.
        in_axes: the axis of the arguments along which the examples lie: an int for all of them; None for what all examples
            share; a tuple with an entry per positional argument, each an int, None, or a tree of these in the structure of
            the argument. Arguments by name are mapped along axis 0. What is neither a number nor an array is shared.
        out_axes: the axis of the results along which they are stacked: an int, or a tree of these in the structure of the
            result. None for what does not depend on the example.

    Returns:
        A callable with the signature of `fn`.

    Raises:
        ArgumentError: at the call, if an argument has no such axis, or if the axes have different sizes.

    Example:
        >>> import numpy as np, wengert as wg
        >>> wg.vmap(wg.grad(lambda w, x: (w * x) ** 2), in_axes=(None, 0))(2.0, np.array([1.0, 2.0]))
        array([ 4., 16.])
    """
    return Vmap(fn, in_axes, out_axes)
