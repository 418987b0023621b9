"""The transpose of a call: the call of the callee's way back, on cotangents of its results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wengert.errors import UnsupportedError
from wengert.ir.builder import Builder
from wengert.ir.calls import emit_call
from wengert.ir.core import Instr, Value
from wengert.ir.rewrite import Env, substitute_type
from wengert.transforms.callee import ReverseCallee
from wengert.transforms.linearize import LinearCall
from wengert.types import Affine, StackType, TensorType, Type, dim_substitute

if TYPE_CHECKING:
    from wengert.transforms.transpose import Cotangents, Scope, Transposer


def fit(b: Builder, value: Value, declared: Type) -> Value:
    """`value` under the sizes of `declared`, which are equal but may go by other names: each scope recomputes its own."""
    if value.type == declared or not isinstance(declared, TensorType):
        return value
    return b.assume_shape(value, *[b.dim(d) for d in declared.dims])


def transpose_call(transposer: Transposer, item: LinearCall, cotangents: Cotangents, scope: Scope) -> None:
    """Emit the way back of a call; it runs with zeros, too, since it pops what the way there has pushed."""
    assert item.split.key is not None
    callee = transposer.callees[item.split.key]
    assert callee.signatures is not None
    b, instr = scope.builder, item.split.instr
    env = _sizes(transposer, callee, instr, scope)
    operands = [_input(transposer, callee, instr, v, env, scope) for v in callee.inputs]
    operands += [env[size] for size in callee.sizes.values()]
    for tangent, bar in zip(item.results, callee.bars, strict=True):
        found_bar = cotangents.pop(tangent, None)
        if found_bar is None or found_bar in transposer.masked:
            transposer.made_zero = True
        operands.append(_bar(found_bar, substitute_type(env, bar.type), instr, b))
    gathering: dict[int, Value] = {}
    for k, target in zip(callee.key.moving, item.operands, strict=True):
        if k not in callee.gathered:
            continue
        declared = substitute_type(env, callee.gathered[k].type)
        known = cotangents.get(target) if target is not None and target not in gathering.values() else None
        if known is not None and target is not None:
            gathering[k] = target
        operands.append(b.zeros_like(declared) if known is None else fit(b, known, declared))
    operands += [transposer.stacks[key] for key in callee.stacks]
    names = [f"{callee.fn.params[k].name}_bar" for k in callee.key.moving] + ["residuals"] * len(callee.stacks)
    found = emit_call(b, callee.names[1], callee.signatures[1], operands, names)
    for k, target, term in zip(callee.key.moving, item.operands, found, strict=False):
        if transposer.call_masks:
            transposer.masked.add(term)
        transposer.mask(term, *operands)
        if target is None:
            continue
        if k in gathering:
            cotangents[target] = term
        else:
            transposer.add(b, cotangents, target, term)
    transposer.stacks.update(zip(callee.stacks, found[len(callee.key.moving) :], strict=True))


def _sizes(transposer: Transposer, callee: ReverseCallee, instr: Instr, scope: Scope) -> Env:
    """The integers that the way back takes, and what sizes in its types refer to."""
    b, env = scope.builder, Env()
    for value in callee.inputs:
        if isinstance(value.type, StackType) or value.rank or value.is_float:
            continue
        found = callee.argument(instr, value)
        if isinstance(found, Value):
            env[value] = transposer.resolve(found, scope)
        else:
            env[value] = b.dim(dim_substitute(found, lambda s: _resolved(transposer, s, scope)))
    for k, size in callee.sizes.items():
        env[size] = transposer.resolve(instr.results[k], scope)
    return env


def _resolved(transposer: Transposer, symbol: object, scope: Scope) -> Affine:
    assert isinstance(symbol, Value)
    return transposer.resolve(symbol, scope).affine


def _input(
    transposer: Transposer, callee: ReverseCallee, instr: Instr, value: Value, env: Env, scope: Scope
) -> Value:
    if value in env:
        return env[value]
    found = callee.argument(instr, value)
    assert isinstance(found, Value)
    return fit(scope.builder, transposer.resolve(found, scope), substitute_type(env, value.type))


def _bar(known: Value | None, declared: Type, instr: Instr, b: Builder) -> Value:
    """The cotangent of a result, zeros where there is none."""
    if known is not None:
        return fit(b, known, declared)
    if isinstance(declared, StackType):
        raise UnsupportedError("the reverse derivative of a call whose stack nobody reads is not available", instr.span)
    return b.zeros_like(declared)
