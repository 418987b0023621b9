"""`jvp` and `vjp`: derivatives along one direction of the arguments or of the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wengert.api import nested
from wengert.api.arguments import differentiable_leaves
from wengert.api.lowering import lower_jvp
from wengert.api.program import Program, shared_program
from wengert.api.results import matching_leaves, split_tangents, tree_of_gradients
from wengert.api.split import point_of, runs_natively
from wengert.errors import ArgumentError
from wengert.frontend.context import is_tracing
from wengert.frontend.trace import Traced
from wengert.tape.backward import push_forward


def _forward_program(fn: Callable[..., Any]) -> Program:
    return Program(fn, lower_jvp)


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
    return split_tangents(*_pushed(fn, primals, positions, directions))


def _pushed(
    fn: Callable[..., Any], primals: Sequence[Any], positions: Sequence[int], directions: Sequence[Any]
) -> tuple[Traced, list[Any]]:
    """The results and their tangents."""
    program = shared_program(fn, _forward_program)
    variant, leaves = program.variant(primals, {}, positions)
    if variant is not None:
        try:
            return variant.traced, variant.run(leaves, primals, {}, *directions)
        except ValueError as error:
            if not program.may_retry(error, primals, {}):
                raise
        return _pushed(fn, primals, positions, directions)
    traced, builder = program.record(primals, {}, positions)
    results = list(traced.function.results)
    wrt = [traced.function.params[traced.param_leaves.index(k)] for k in positions]
    seeds = [builder.lift_known(d) for d in directions]
    floats = [r for r in results if r.is_float]
    dots = push_forward(builder, tuple(traced.function.instrs), floats, wrt, seeds)
    return traced, [builder.known(v) for v in (*results, *dots)]


def vjp(fn: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The value of `fn` and its pullback.

    Returns:
        `(fn(*primals), pullback)`: `pullback(cotangent)`, with a cotangent of the structure of the result, gives a tuple
        with one entry per primal. The function runs once; the pullback holds what the way back needs, and can be called
        any number of times.
    """
    positions, selected = differentiable_leaves(primals, tuple(range(len(primals))), "vjp", fn)
    if is_tracing():
        out, pull = nested.vjp(fn, primals, positions)
        return out, lambda ct: tuple(tree_of_gradients(pull(ct), selected))
    point = point_of(fn, primals, positions, lambda tangents: pushed(fn, primals, positions, tangents))
    return point.out, runs_natively(lambda ct: tuple(tree_of_gradients(point.pull(ct), selected)))


def pushed(fn: Callable[..., Any], primals: Sequence[Any], positions: Sequence[int], directions: Sequence[Any]) -> list[Any]:
    """The tangents of the float results of `fn` along tangents of the leaves at `positions`."""
    traced, found = _pushed(fn, primals, positions, directions)
    return list(found[len(traced.function.results) :])
