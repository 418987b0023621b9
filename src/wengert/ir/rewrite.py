"""Copying instructions under a substitution: what transforms and passes are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wengert.ir.builder import Builder
from wengert.ir.calls import linked
from wengert.ir.core import Function, Instr, Region, Value
from wengert.types import Affine, Dim, StackType, TensorType, Type

Env = dict[Value, Value]


def lookup(env: Env, value: Value) -> Value:
    """What `value` has become."""
    return env.get(value, value)


def substitute_type(env: Env, declared: Type) -> Type:
    """`declared` with the symbols of its dimensions looked up in `env`."""

    def find(symbol: Any) -> Affine | None:
        new = env.get(symbol)
        return None if new is None else new.affine

    return declared.substitute(find)


def copy_value(env: Env, value: Value) -> Value:
    """A new value like `value`, with its type substituted; registered in `env`."""
    affine: Affine | None = None
    old = value.affine
    if not (isinstance(old, Dim) and old.const == 0 and old.terms == ((value, 1),)):
        declared = substitute_type(env, TensorType(value.tensor.dtype, (old,)))
        assert isinstance(declared, TensorType)
        affine = declared.dims[0]
    env[value] = new = Value(substitute_type(env, value.type), value.name, affine)
    return new


def copy_region(region: Region, env: Env) -> Region:
    """A copy of `region` with fresh values; free values are looked up in `env`."""
    params = tuple(copy_value(env, p) for p in region.params)
    instrs = tuple(copy_instr(i, env) for i in region.instrs)
    return Region(params, instrs, tuple(lookup(env, r) for r in region.results))


def copy_instr(instr: Instr, env: Env) -> Instr:
    """A copy of `instr` with fresh results, which are registered in `env`."""
    operands = tuple(lookup(env, o) for o in instr.operands)
    regions = tuple(copy_region(r, env) for r in instr.regions)
    attrs = substitute_attrs(instr.attrs, env)
    results = tuple(copy_value(env, r) for r in instr.results)
    return Instr(instr.op, operands, results, attrs, regions, instr.span)


def substitute_attrs(attrs: dict[str, Any], env: Env) -> dict[str, Any]:
    """Attributes that hold types (`undef`, `stack_new`) follow the substitution."""
    elements = attrs.get("elements")
    if elements is not None:
        return {**attrs, "elements": tuple(substitute_type(env, e) for e in elements)}
    declared = attrs.get("type")
    if isinstance(declared, TensorType | StackType):
        return {**attrs, "type": substitute_type(env, declared)}
    return attrs


def inline(builder: Builder, function: Function, arguments: Sequence[Value]) -> tuple[Value, ...]:
    """Emit the body of `function` into `builder` on `arguments` (without the `dims`, which are read off their types)."""
    function = linked(function, builder.functions)
    env: Env = dict(zip(function.params, arguments, strict=True))
    for dim, value in bind_dims(builder, function, arguments).items():
        env[dim] = value
    span = builder.span
    for instr in function.instrs:
        builder.span = instr.span or span
        emit_copy(builder, instr, env)
    builder.span = span
    return tuple(lookup(env, r) for r in function.results)


def emit_copy(builder: Builder, instr: Instr, env: Env) -> None:
    """Emit `instr` under `env` through `builder.emit` (so that recording builders see it), types inferred anew."""
    operands = [lookup(env, o) for o in instr.operands]
    regions = [copy_region(r, env) for r in instr.regions]
    names = [r.name for r in instr.results]
    results = builder.emit(instr.op, operands, substitute_attrs(instr.attrs, env), regions, names)
    env.update(zip(instr.results, results, strict=True))


def bind_dims(builder: Builder, function: Function, arguments: Sequence[Value]) -> dict[Value, Value]:
    """The values of `function.dims`, from the dimensions of `arguments`."""
    bound: dict[Value, Value] = {}
    for param, argument in zip(function.params, arguments, strict=True):
        if not isinstance(param.type, TensorType):
            continue
        for declared, actual in zip(param.dims, argument.dims, strict=True):
            if isinstance(declared, Dim) and declared.const == 0 and len(declared.terms) == 1:
                symbol, coefficient = declared.terms[0]
                if coefficient == 1 and symbol in function.dims and symbol not in bound:
                    assert isinstance(symbol, Value)
                    bound[symbol] = builder.dim(actual)
    return bound
