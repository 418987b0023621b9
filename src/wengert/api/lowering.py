"""From a trace to the function to compile, one rule per transformation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wengert.codegen.engine import cache_size
from wengert.errors import ArgumentError, StagingError, UnsupportedError
from wengert.frontend.trace import Traced
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Value
from wengert.passes.apart import apart
from wengert.passes.blocks import blocks
from wengert.passes.pipeline import optimize
from wengert.switches import disabled
from wengert.transforms.jacobian import jacobian
from wengert.transforms.jvp import jvp
from wengert.transforms.sparsity import pattern_program
from wengert.transforms.vjp import value_and_grad, vjp
from wengert.types import describe_type


def params_of(traced: Traced, positions: Sequence[int]) -> list[int]:
    """Positions among the IR parameters of the leaves at flat `positions`."""
    return [traced.param_leaves.index(k) for k in positions]


def with_tape_laid_out(fn: Function) -> Function:
    """`fn` as it is compiled when all derivatives are taken.

    Loops forth and back go in blocks whose tape stays in the cache; what is overwritten early is saved early.
    """
    off = disabled()
    made = fn if "blocks" in off else blocks(fn, cache_size())
    made = made if "apart" in off else apart(made)
    return fn if made is fn else optimize(made)


def lower_jit(traced: Traced, positions: Sequence[int]) -> Function:
    """The function itself."""
    return traced.function


def lower_grad(traced: Traced, positions: Sequence[int], what: str, has_aux: bool) -> Function:
    """The results, then the gradient of the first output leaf."""
    loss = scalar_loss(traced, what, has_aux)
    fn = optimize(traced.function)
    wrt = params_of(traced, positions)
    if loss is None:
        builder = Builder(fn.span)
        zeros = [builder.zeros_like(fn.params[k]) for k in wrt]
        return replace(fn, instrs=(*fn.instrs, *builder.instrs), results=(*fn.results, *zeros))
    place = traced.out_leaves[0]
    assert isinstance(place, int)
    return gradient_of_result(fn, place, wrt)


def gradient_of_result(fn: Function, place: int, wrt: Sequence[int]) -> Function:
    """The results of `fn`, then the gradient of its result number `place`."""
    order = [place, *(k for k in range(len(fn.results)) if k != place)]
    first = replace(fn, results=tuple(fn.results[k] for k in order))
    found = value_and_grad(first, wrt)
    results = [found.results[order.index(k)] for k in range(len(order))]
    results += found.results[len(order) :]
    return replace(found, results=tuple(results))


def lower_jvp(traced: Traced, positions: Sequence[int]) -> Function:
    """The results, then their tangents."""
    return jvp(optimize(traced.function), params_of(traced, positions))


def lower_vjp(traced: Traced, positions: Sequence[int]) -> Function:
    """The results, then the cotangents of the chosen parameters."""
    return vjp(optimize(traced.function), params_of(traced, positions))


def check_forward(traced: Traced, positions: Sequence[int]) -> None:
    """Raise what forward mode would raise."""
    jvp(optimize(traced.function), params_of(traced, positions))


def lower_jacobian(traced: Traced, positions: Sequence[int], mode: str = "auto") -> Function:
    """The blocks of the Jacobian only."""
    _refuse_writes(traced, "the Jacobian")
    fn = jacobian(optimize(traced.function), params_of(traced, positions), mode)
    blocks = fn.results[len(traced.function.results) :]
    return replace(fn, results=tuple(blocks))


def lower_pattern(traced: Traced, positions: Sequence[int]) -> Function:
    """Which groups of elements of the chosen parameters the results may depend on, from masks; see `pattern_program`."""
    _refuse_writes(traced, "the Jacobian")
    fn, wrt = optimize(traced.function), params_of(traced, positions)
    try:
        return pattern_program(fn, wrt)
    except UnsupportedError:
        scalars = [k for k, p in enumerate(fn.params) if p.is_float and not p.rank and k not in wrt]
        if not scalars:
            raise
        return pattern_program(fn, wrt, scalars)


def _refuse_writes(traced: Traced, what: str) -> None:
    if traced.writes:
        message = f"{what} of a function that writes to state outside is not staged"
        raise StagingError(message, traced.function.span, fix="return the new state instead")


def scalar_loss(traced: Traced, what: str, has_aux: bool) -> Value | None:
    """The IR value of the loss; None for a constant that depends on no argument.

    Raises:
        ArgumentError: the loss is not one float scalar.
    """
    tree = traced.out_tree
    if has_aux:
        pair = tree.kind == "tuple" and len(tree.children) == 2
        if not pair:
            raise ArgumentError(f"with has_aux=True, {what} needs a function that returns (loss, aux)", found=str(tree))
        tree = tree.children[0]
    fix = "use jacobian, or reduce it with sum() or mean()"
    span = traced.function.span
    if tree.kind == "complex":
        hint = "return a real number, or pass holomorphic=True"
        raise ArgumentError(f"{what} needs a real number; the output is complex", span, fix=hint)
    if tree.kind != "leaf":
        hint = "return (loss, aux) and pass has_aux=True" if tree.kind == "tuple" else fix
        raise ArgumentError(f"{what} needs a scalar; the output is a {tree.kind}", span, found=str(tree), fix=hint)
    place = traced.out_leaves[0]
    if not isinstance(place, int):
        if isinstance(place.value, float):
            return None
        raise ArgumentError(f"{what} needs a float; the output is {place.value!r}", span, fix="return a float")
    value = traced.function.results[place]
    if value.rank:
        raise ArgumentError(f"{what} needs a scalar; the output is {describe_type(value.type)}", span, fix=fix)
    if not value.is_float:
        shown = describe_type(value.type)
        raise ArgumentError(f"{what} needs a float; the output is {shown}", span, fix="integers and booleans have no derivative")
    return value
