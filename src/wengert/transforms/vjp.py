"""Reverse mode: linearise, plan what to remember, emit the primal pass that stores it, emit the transposed linear part.

`vjp` and `value_and_grad` are the public functions here; the steps are in `linearize`, `residuals`, `primal`, `transpose`.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence

from wengert.errors import InternalError
from wengert.ir.builder import Builder
from wengert.ir.calls import refresh, walk_all
from wengert.ir.core import Function, Value
from wengert.transforms.activity import active_values
from wengert.transforms.checkpoint import gather_regions
from wengert.transforms.checkpoint_inline import inline_regions
from wengert.transforms.custom import expand, remove_markers
from wengert.transforms.jvp import fresh_copy
from wengert.transforms.linearize import Linearizer
from wengert.transforms.primal import emit_primal, make_rerun
from wengert.transforms.residuals import plan_residuals
from wengert.transforms.reverse_calls import ReverseProgram
from wengert.transforms.singular import singular_values
from wengert.transforms.transpose import Transposer
from wengert.types import I64_SCALAR, Affine


def vjp(fn: Function, wrt: Sequence[int]) -> Function:
    """The reverse derivative of `fn` with respect to the parameters `wrt`.

    Returns:
        A function of the parameters, then one cotangent per float result; it returns the results of `fn`, then a cotangent
        per entry of `wrt`.
    """
    return _reverse(fn, wrt, seeded=False)


def value_and_grad(fn: Function, wrt: Sequence[int]) -> Function:
    """`vjp` at cotangent 1 of the first result, which must be a float scalar; other results are returned as they are."""
    if not fn.results or not fn.results[0].is_float or fn.results[0].rank:
        raise InternalError(f"value_and_grad of {fn.name}: the first result is not a float scalar")
    return _reverse(fn, wrt, seeded=True)


def _reverse(given: Function, wrt: Sequence[int], seeded: bool, masks: bool = False) -> Function:
    fn = fresh_copy(given)
    floats = [k for k, r in enumerate(fn.results[: 1 if seeded else None]) if r.is_float]
    fn = gather_regions(expand(fn, wrt, floats))
    wanted = [fn.params[k] for k in wrt]
    outputs = [r for r in fn.results[: 1 if seeded else None] if r.is_float]
    tangent_values: set[Value] = set()
    # In a program that has been differentiated before, a coefficient may itself be a zero that wins against infinity.
    again = any(i.op.name == "zmul" for i in walk_all(fn))
    program = ReverseProgram(fn.functions, tangent_values, masks or again)
    linearizer = Linearizer(active_values(fn.instrs, wanted, outputs, program.calls), program.calls, tangent_values)
    tangents = {p: Value(p.type, f"{p.name}_dot") for p in wanted}
    tangent_values.update(tangents.values())
    block = linearizer.block(fn.instrs, ChainMap(dict(tangents)))
    builder = Builder(fn.span)
    builder.functions.update(fn.functions)
    program.prepare(linearizer.keys, builder.functions)
    plan = plan_residuals(block, tangent_values, program.callees, make_rerun=make_rerun)

    primal = emit_primal(builder, plan, program.callees, program.stack_types)
    builder.span = fn.span
    transposer = Transposer(plan, tangent_values, primal, None if again else singular_values(block), program.callees)
    transposer.call_masks = program.masks
    dims = list(fn.dims)
    params = [Value(r.type, f"{r.name}_bar") for r in outputs] if not seeded else []
    if seeded:
        seeds = [builder.const(1.0, outputs[0].tensor.dtype)]
    else:
        seeds = [_seed(builder, fn, params, k, dims) for k in range(len(params))]
    cotangents: dict[Value, Value] = {}
    for result, seed in zip(outputs, seeds, strict=True):
        tangent = block.tangents.get(result)
        if tangent is not None:
            transposer.add(builder, cotangents, tangent, seed)
    transposer.block(block, cotangents, transposer.top_scope(builder))
    gradients = []
    for param in wanted:
        found = cotangents.get(tangents[param])
        gradients.append(builder.zeros_like(param) if found is None else found)
    name = f"{fn.name}_{'grad' if seeded else 'vjp'}"
    functions = {**builder.functions, **program.emit()}
    if (program.made_zero or transposer.made_zero) and not program.masks:
        return _reverse(given, wrt, seeded, masks=True)
    results = (*fn.results, *gradients)
    taken = (*fn.params, *params)
    whole = Function(name, tuple(dims), taken, tuple(builder.instrs), results, fn.span, functions)
    return remove_markers(refresh(inline_regions(whole)))


def _seed(builder: Builder, fn: Function, params: list[Value], k: int, dims: list[Value]) -> Value:
    """The cotangent `params[k]`; one of a size that `fn` computes comes with a size of its own, which is the same."""
    seed = params[k]
    known = {*fn.dims, *fn.params}
    if all(s in known for s in seed.type.symbols()):
        return seed
    free: list[Affine] = []
    for d in seed.dims:
        if not isinstance(d, int) and not all(s in known for s, _ in d.terms):
            dims.append(Value(I64_SCALAR, "n"))
            d = dims[-1].affine
        free.append(d)
    params[k] = Value(seed.tensor.with_dims(tuple(free)), seed.name)
    found: Value = builder.assume_shape(params[k], *[builder.dim(d) for d in seed.dims])
    return found
