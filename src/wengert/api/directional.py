"""`jvp` and `vjp`: derivatives along one direction of the arguments or of the result."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.api import nested
from wengert.api.arguments import differentiable_leaves
from wengert.api.lowering import lower_jit, lower_jvp, lower_vjp
from wengert.api.program import Program
from wengert.api.results import (
    checked_direction,
    matching_cotangents,
    matching_leaves,
    rebuild,
    split_tangents,
    tree_of_gradients,
)
from wengert.errors import ArgumentError
from wengert.frontend.context import is_tracing
from wengert.frontend.trace import Traced
from wengert.tape.backward import pull_back, push_forward
from wengert.tape.evaluate import EvalBuilder


@functools.lru_cache(maxsize=512)
def _shared_program(fn: Callable[..., Any], lower: Any) -> Program:
    return Program(fn, lower)


def _program(fn: Callable[..., Any], lower: Any) -> Program:
    try:
        return _shared_program(fn, lower)
    except TypeError:  # an unhashable callable object
        return Program(fn, lower)


def jvp(fn: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of `fn` and its directional derivative.

    Args:
        fn: the function.
        primals: its positional arguments.
        tangents: one direction per argument, of the same structure; leaves that have no tangent are ignored.

    Returns:
        `(fn(*primals), tangent)`, the tangent with the structure of the result; leaves that are not floats become None.
    """
    if len(primals) != len(tangents):
        raise ArgumentError(f"jvp takes one tangent per primal. Got {len(primals)} primals and {len(tangents)} tangents.")
    positions, _ = differentiable_leaves(primals, tuple(range(len(primals))), "jvp", fn)
    directions = matching_leaves(primals, tangents, positions, "jvp")
    if is_tracing():
        return nested.jvp(fn, primals, positions, directions)
    program = _program(fn, lower_jvp)
    variant, leaves = program.variant(primals, {}, positions)
    if variant is None:
        traced, builder = program.record(primals, {}, positions)
        results = list(traced.function.results)
        wrt = [traced.function.params[traced.param_leaves.index(k)] for k in positions]
        seeds = [builder.lift_known(d) for d in directions]
        floats = [r for r in results if r.is_float]
        dots = push_forward(builder, tuple(traced.function.instrs), floats, wrt, seeds)
        found = [builder.known(v) for v in (*results, *dots)]
    else:
        traced = variant.traced
        found = variant.run(leaves, primals, {}, *directions)
    return split_tangents(traced, found)


def vjp(fn: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The value of `fn` and its pullback.

    Returns:
        `(fn(*primals), pullback)`: `pullback(cotangent)`, with a cotangent of the structure of the result, gives a tuple
        with one entry per primal. Each call of the pullback runs the function again together with its reverse pass.
    """
    positions, selected = differentiable_leaves(primals, tuple(range(len(primals))), "vjp", fn)
    if is_tracing():
        out, pull = nested.vjp(fn, primals, positions)
        return out, lambda ct: tuple(tree_of_gradients(pull(ct), selected))
    program = _program(fn, lower_vjp)
    variant, leaves = program.variant(primals, {}, positions)
    if variant is not None:
        compiled, traced, inputs = variant.compiled, variant.traced, variant.inputs(leaves)
        inputs = [np.array(a) if isinstance(a, np.ndarray) else a for a in inputs]
        seeds = [_zeros_of(r) for r in _evaluate(program, primals)]

        def run(cotangents: Sequence[Any]) -> list[Any]:
            return list(compiled(*inputs, *cotangents))

        traced.writes.check(primals, {})
        found = run(seeds)
        traced.writes.apply(found, primals)
        results = found[: len(traced.function.results)]

        def pull_native(cotangent: Any) -> tuple[Any, ...]:
            bars = run(_seeds_of(traced, results, cotangent))[len(results) :]
            return tuple(tree_of_gradients(bars, selected))

        return rebuild(traced, results), pull_native
    traced, builder = program.record(primals, {}, positions)
    values = list(traced.function.results)
    results = [builder.known(v) for v in values]
    wrt = [traced.function.params[traced.param_leaves.index(k)] for k in positions]

    def pull_eager(cotangent: Any) -> tuple[Any, ...]:
        runner = EvalBuilder(record=False)
        seeds = [runner.lift_known(s) for s in _seeds_of(traced, results, cotangent)]
        floats = [v for v in values if v.is_float]
        bars = pull_back(runner, traced.function.instrs, floats, seeds, wrt)
        return tuple(tree_of_gradients([runner.known(g) for g in bars], selected))

    return rebuild(traced, results), pull_eager


def _evaluate(program: Program, primals: Sequence[Any]) -> list[Any]:
    """The float results of the plain function: what the cotangents have to look like."""
    variant, leaves = _program(program.fn, lower_jit).variant(primals, {}, ())
    assert variant is not None
    found = variant.compiled(*variant.inputs(leaves))
    return [f for f, r in zip(found, variant.traced.function.results, strict=True) if r.is_float]


def _zeros_of(result: Any) -> Any:
    return np.zeros_like(result) if isinstance(result, np.ndarray | np.float32) else 0.0


def _seeds_of(traced: Traced, results: Sequence[Any], cotangent: Any) -> list[Any]:
    """The cotangents of the float results, from a tree of the structure of the function's result."""
    leaves = matching_cotangents(traced.out_tree, cotangent)
    by_result: dict[int, Any] = {}
    for place, leaf in zip(traced.out_leaves, leaves, strict=True):
        if isinstance(place, int):
            by_result[place] = leaf
    seeds = []
    for k, (value, result) in enumerate(zip(traced.function.results, results, strict=True)):
        if value.is_float:
            seed = by_result.get(k)
            seeds.append(_zeros_of(result) if seed is None else checked_direction(seed, result, "cotangent", "vjp"))
    return seeds
