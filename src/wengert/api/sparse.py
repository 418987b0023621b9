"""Sparse Jacobians and Hessians: the pattern found once, then as few directional derivatives as it has colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from wengert.api.arguments import differentiable_leaves, is_differentiable
from wengert.api.colouring import Integers, Pattern, pattern_of
from wengert.api.derivatives import ArgNums, Transformed
from wengert.api.lowering import lower_jvp, lower_pattern, params_of
from wengert.api.program import MAX_VARIANTS, Program, Variant, retrying
from wengert.api.results import Selected, package_blocks
from wengert.api.sparse_pattern import find_pattern
from wengert.api.sparse_plan import Block, blocks_of, check_against_direction, choose_colours, given_pattern, group_colours
from wengert.codegen import Compiled
from wengert.codegen import compile as compile_native
from wengert.errors import UnsupportedError
from wengert.frontend.context import is_tracing
from wengert.ir.core import walk
from wengert.passes.inline_custom import inline_custom
from wengert.passes.pipeline import optimize
from wengert.transforms.checkpoint import remove_marks
from wengert.transforms.compressed import MAX_SIDE_BY_SIDE, Group, can_share, compressed
from wengert.tree import flatten

_MOST_INSTRUCTIONS = 4000
_MANY_ENTRIES = 50_000
_SIDE_BY_SIDE_OF_FEW = 3


@dataclass
class Plan:
    """All that later calls with the same sizes and whole numbers need.

    Attributes:
        shapes: of the inputs.
        numbers: the inputs, by position, that the pattern depends on.
        blocks: the matrices of the result.
        colours: how many of columns and of rows.
        compiled: gives the entries.
        extra: its arguments behind the inputs.
    """

    shapes: list[tuple[int, ...]]
    numbers: dict[int, Any]
    blocks: list[Block]
    colours: tuple[int, int]
    compiled: Compiled | None
    extra: list[Any]

    def fits(self, inputs: Sequence[Any]) -> bool:
        """Whether sizes and whole numbers are as they were."""
        return [np.shape(x) for x in inputs] == self.shapes and all(
            np.array_equal(inputs[k], value) for k, value in self.numbers.items()
        )

    def matrices(self, inputs: Sequence[Any]) -> list[sp.csr_array]:
        """The blocks at these inputs."""
        data = np.zeros(0) if self.compiled is None else self.compiled(*inputs, *self.extra)[0]
        return [block.matrix(data) for block in self.blocks]


@dataclass
class _Known:
    """What is kept with a variant: native code by how many tangents it does at once, and plans, the latest first."""

    variant: Variant
    natives: dict[tuple[tuple[Group, ...], bool], Compiled] = field(default_factory=dict)
    plans: list[Plan] = field(default_factory=list)


class SparseJacobian(Transformed):
    """All first derivatives as sparse matrices; see `jacobian`."""

    def __init__(
        self, fn: Callable[..., Any], argnums: ArgNums, sparsity: Any, dense: Callable[..., Any], symmetric: bool = False
    ) -> None:
        super().__init__(fn, "hessian" if symmetric else "jacobian")
        self.argnums = argnums
        self.given = None if sparsity is True else sparsity
        self.dense = dense
        self.symmetric = symmetric
        self._arguments = (fn, argnums, sparsity, dense, symmetric)
        self.program = Program(fn, lower_pattern if self.given is None else lower_jvp)
        self._known: dict[int, _Known] = {}

    @retrying
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The sparse Jacobian at these arguments."""
        self.program.counts.calls += 1
        positions, selected = differentiable_leaves(args, self.argnums, "jacobian", self.fn)
        if is_tracing():
            raise UnsupportedError(
                "a sparse Jacobian cannot be part of a function that is compiled or differentiated",
                fix="call it outside, or use the dense jacobian (without sparsity) inside",
            )
        variant, leaves = self.program.variant(args, kwargs, positions)
        if variant is None:
            return _as_matrices(self.dense(*args, **kwargs), selected)
        inputs = variant.inputs(leaves)
        matrices = self._plan(variant, inputs, positions).matrices(inputs)
        if self.given is not None:
            self._check(variant, inputs, positions, matrices)
        return package_blocks(variant.traced, matrices, selected, isinstance(self.argnums, int))

    @retrying
    def colours(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
        """How many directional derivatives the Jacobian at these arguments takes: forward and reverse ones."""
        positions, _ = differentiable_leaves(args, self.argnums, "jacobian", self.fn)
        variant, leaves = self.program.variant(args, kwargs, positions)
        if variant is None:
            raise UnsupportedError("the function runs eagerly, where Jacobians are dense and have no colours")
        return self._plan(variant, variant.inputs(leaves), positions).colours

    # --- plans --------------------------------------------------------------------------------------------------

    def _plan(self, variant: Variant, inputs: Sequence[Any], positions: Sequence[int]) -> Plan:
        known = self._known.get(id(variant))
        if known is None:
            if len(self._known) >= MAX_VARIANTS:
                self._known.pop(next(iter(self._known)))
            known = self._known[id(variant)] = _Known(variant)
        for plan in known.plans:
            if plan.fits(inputs):
                return plan
        plan = self._make_plan(known, inputs, positions)
        known.plans.insert(0, plan)
        del known.plans[8:]
        return plan

    def _make_plan(self, known: _Known, inputs: Sequence[Any], positions: Sequence[int]) -> Plan:
        variant, wrt = known.variant, params_of(known.variant.traced, positions)
        widths = [int(np.size(inputs[k])) for k in wrt]
        if self.given is None:
            pattern, heights = _found_pattern(variant, inputs, wrt, widths)
            numbers = {k: np.array(inputs[k]) for k in _deciding(variant, wrt)}
        else:
            results = variant.compiled(*inputs, *[_zero_like(inputs[k]) for k in wrt])
            count = len(variant.traced.function.results)
            heights = [int(np.size(dot)) for dot in results[count:]]
            pattern = given_pattern(self.given, (sum(heights), sum(widths)))
            params = variant.traced.function.params
            numbers = {k: np.array(inputs[k]) for k, p in enumerate(params) if not p.is_float}
        if self.symmetric:
            rows, columns = (np.concatenate(pair) for pair in ((pattern.rows, pattern.columns), (pattern.columns, pattern.rows)))
            pattern = pattern_of(rows, columns, (pattern.height, pattern.width))
        return self._coloured(known, pattern, heights, widths, inputs, wrt, numbers)

    def _coloured(
        self,
        known: _Known,
        pattern: Pattern,
        heights: Sequence[int],
        widths: Sequence[int],
        inputs: Sequence[Any],
        wrt: Sequence[int],
        numbers: dict[int, Any],
    ) -> Plan:
        shapes = [np.shape(x) for x in inputs]
        dtypes = [known.variant.traced.function.params[k].tensor.dtype.numpy for k in wrt]
        blocks, order = blocks_of(pattern, heights, widths, dtypes)
        if not len(pattern.columns):
            return Plan(shapes, numbers, blocks, (0, 0), None, [])
        chosen = choose_colours(pattern, self.symmetric)
        met = np.bincount(pattern.columns, minlength=pattern.width) > 0
        columns = np.where(met, chosen.columns, -1)
        many = len(pattern.columns) > _MANY_ENTRIES
        grouping = group_colours(columns, chosen.column_count, widths, _side_by_side(known.variant, many), many)
        native = self._native(known, wrt, (grouping.groups, chosen.row_count > 0))
        number = np.append(grouping.number, -1)
        places = np.where(
            chosen.by_row,
            grouping.count * pattern.height + chosen.take_colour * pattern.width + pattern.columns,
            number[np.where(chosen.by_row, -1, chosen.take_colour)] * pattern.height + chosen.take_row,
        )[order]
        column_colours = np.split(number[columns], np.cumsum(widths)[:-1])
        row_colours = np.split(chosen.rows, np.cumsum(heights)[:-1])
        extra = [_shaped(c, np.shape(inputs[k])) for c, k in zip(column_colours, wrt, strict=True)]
        extra += [np.ascontiguousarray(c) for c in row_colours]
        extra += [n for pair in zip(grouping.first, grouping.times, strict=True) for n in pair]
        extra += [grouping.count, chosen.row_count, places]
        return Plan(shapes, numbers, blocks, (chosen.column_count, chosen.row_count), native, extra)

    def _native(self, known: _Known, wrt: Sequence[int], key: tuple[tuple[Group, ...], bool]) -> Compiled:
        if key not in known.natives:
            fn = compressed(optimize(known.variant.traced.function), wrt, *key)
            known.natives[key] = compile_native(optimize(remove_marks(inline_custom(fn))))
        return known.natives[key]

    # --- patterns that users give -------------------------------------------------------------------------------

    def _check(
        self, variant: Variant, inputs: Sequence[Any], positions: Sequence[int], matrices: Sequence[sp.csr_array]
    ) -> None:
        """Compare with the derivative along a random direction, at every call: an entry may be zero at some points."""
        wrt = params_of(variant.traced, positions)
        draw = np.random.default_rng(20)
        directions = [draw.uniform(0.5, 1.5, np.shape(inputs[k])) * draw.choice([-1.0, 1.0], np.shape(inputs[k])) for k in wrt]
        typed = [d.astype(inputs[k].dtype) if d.ndim else float(d) for d, k in zip(directions, wrt, strict=True)]
        found = variant.compiled(*inputs, *typed)
        dots = found[len(variant.traced.function.results) :]
        for k, dot in enumerate(dots):
            row = matrices[k * len(wrt) : (k + 1) * len(wrt)]
            whole = sp.hstack(row, format="csr") if len(row) > 1 else row[0]
            direction = np.concatenate([d.ravel() for d in directions])
            check_against_direction(np.ravel(dot), whole, direction, f"result {k}")


def _side_by_side(variant: Variant, many: bool) -> int:
    """How many tangents are computed together at most. More at once run faster, and compile for longer."""
    if not can_share(variant.traced.function):
        return 1
    size = sum(1 for _ in walk(variant.traced.function.instrs))
    return max(1, min(MAX_SIDE_BY_SIDE if many else _SIDE_BY_SIDE_OF_FEW, _MOST_INSTRUCTIONS // max(size, 1)))


def _found_pattern(
    variant: Variant, inputs: Sequence[Any], wrt: Sequence[int], widths: Sequence[int]
) -> tuple[Pattern, list[int]]:
    """The pattern, and the sizes of the results."""
    inputs = list(inputs)
    ends = np.cumsum(widths)[:-1]

    def run(seeds: Integers) -> list[Any]:
        for k, part in zip(wrt, np.split(seeds, ends), strict=True):
            inputs[k] = _shaped(part, np.shape(inputs[k]))
        return list(variant.compiled(*inputs))

    heights = [int(np.size(m)) for m in run(np.zeros(sum(widths), dtype=np.int64))]

    def masks(seeds: Integers) -> Integers:
        return np.concatenate([np.ravel(np.asarray(m, dtype=np.int64)) for m in run(seeds)])

    return find_pattern(masks, sum(heights), sum(widths)), heights


def _deciding(variant: Variant, wrt: Sequence[int]) -> list[int]:
    """The parameters whose values, not only sizes, the pattern depends on."""
    params = variant.function.params
    used = {operand for instr in walk(variant.function.instrs) for operand in instr.operands}
    used.update(v for instr in walk(variant.function.instrs) for r in instr.regions for v in r.results)
    return [k for k, p in enumerate(params) if k not in wrt and (p in used or p in variant.function.results)]


def _shaped(part: Integers, shape: tuple[int, ...]) -> Any:
    return np.ascontiguousarray(part).reshape(shape) if shape else int(part[0])


def _zero_like(value: Any) -> Any:
    return np.zeros_like(value) if np.shape(value) else 0.0


def _as_matrices(result: Any, selected: Selected) -> Any:
    """A dense Jacobian with sparse matrices for its blocks."""
    widths = [int(np.size(leaf)) for _, found in selected for leaf in found if is_differentiable(leaf)]
    blocks, tree = flatten(result)
    return tree.unflatten(
        [sp.csr_array(np.asarray(b, dtype=float).reshape(-1, widths[k % len(widths)])) for k, b in enumerate(blocks)]
    )
