"""Forward mode: every active value is computed together with its tangent, op by op; regions carry tangents.

Primal instructions keep their values, so the result reads as the original program with tangent instructions between.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from wengert.errors import InternalError
from wengert.ir.builder import Builder
from wengert.ir.calls import Signature, refresh, signature_of, unused_name
from wengert.ir.core import Function, Instr, Region, Value
from wengert.ir.op import LINEAR, Marker, get_op
from wengert.ir.rewrite import Env, copy_instr, copy_value, inline, lookup
from wengert.transforms.activity import (
    Callees,
    active_values,
    call_pattern,
    differentiable_operands,
    loop_parts,
    refuse_cuts,
    refuse_missing_rule,
    tangent_elements,
    tangent_type,
)
from wengert.transforms.custom import refuse_customs_in_callees, refuse_hidden
from wengert.types import StackType

Tangents: TypeAlias = MutableMapping[Value, Value]


def jvp(fn: Function, wrt: Sequence[int]) -> Function:
    """The forward derivative of `fn` along tangents of the parameters `wrt`.

    Returns:
        A function of the parameters, then one tangent per entry of `wrt`; it returns the results of `fn`, then a
        tangent per float result (zeros where it does not depend on `wrt`).
    """
    fn = fresh_copy(fn)
    builder = Builder(fn.span)
    tangents: dict[Value, Value] = {}
    tangent_params = []
    for position in wrt:
        param = fn.params[position]
        if not param.is_float:
            raise InternalError(f"parameter {param} of {fn.name} has no tangent")
        tangents[param] = tangent = Value(param.type, tangent_name(param))
        tangent_params.append(tangent)
    refuse_customs_in_callees(fn)
    refuse_cuts(fn.instrs, list(tangents), Callees(fn.functions))
    forward = _Callees(fn.functions)
    active = active_values(fn.instrs, list(tangents), fn.results, forward.callees)
    _Forward(active, forward).block(builder, fn.instrs, tangents)
    results = list(fn.results)
    for result in fn.results:
        if result.is_float:
            results.append(tangent_or_zero(builder, result, tangents))
    params = (*fn.params, *tangent_params)
    name, instrs = f"{fn.name}_jvp", tuple(builder.instrs)
    return refresh(Function(name, fn.dims, params, instrs, tuple(results), fn.span, forward.finished()))


def tangent_name(value: Value) -> str:
    """How the tangent of `value` prints."""
    return f"{value.name}_dot" if value.name else ""


def fresh_copy(fn: Function) -> Function:
    """`fn` with all values new, so that two derivatives of it can stand in one program."""
    env: Env = {}
    for value in (*fn.dims, *fn.params):
        copy_value(env, value)
    instrs = tuple(copy_instr(i, env) for i in fn.instrs)
    dims = tuple(env[d] for d in fn.dims)
    params = tuple(env[p] for p in fn.params)
    return Function(fn.name, dims, params, instrs, tuple(lookup(env, r) for r in fn.results), fn.span, fn.functions)


def tangent_of_instr(b: Builder, instr: Instr, tangents: Tangents) -> Value | None:
    """Emit the tangent of the only result of a region-free instruction, or None when no operand has one."""
    moving = [k for k in differentiable_operands(instr) if instr.operands[k] in tangents]
    if not moving:
        return None
    refuse_missing_rule(instr)
    op = instr.op
    if op.jvp is LINEAR:
        positions = differentiable_operands(instr)
        operands = list(instr.operands)
        for k in positions:
            tangent = tangents.get(operands[k])
            operands[k] = b.zeros_like(operands[k]) if tangent is None else tangent
        return b.emit(op, operands, instr.attrs, names=[tangent_name(instr.result)])[0]
    assert not isinstance(op.jvp, Marker)
    total: Value | None = None
    for k in moving:
        rule = op.jvp[k]
        assert rule is not None
        term = rule(b, instr.result, *instr.operands, tangents[instr.operands[k]], **instr.attrs)
        total = term if total is None else b.add(total, term)
    return total


def tangent_entry(b: Builder, stack: Value, entry: Sequence[Value], tangents: Tangents) -> tuple[Value, list[Value]]:
    """The stack of tangents of `stack`, and what an entry of it holds: tangents of floats, and sizes of arrays as they are."""
    assert isinstance(stack.type, StackType)
    stack_dot = tangent_or_zero(b, stack, tangents)
    kept = [entry[k] for k in tangent_elements(stack.type)]
    return stack_dot, [tangent_or_zero(b, v, tangents) if v.is_float else v for v in kept]


def _stack_tangents(b: Builder, instr: Instr, tangents: Tangents) -> None:
    """Emit the tangent of `push` or `pop`: the same on the stack of tangents."""
    stack = instr.operands[0]
    assert isinstance(stack.type, StackType)
    if instr.op.name == "push":
        stack_dot, entry = tangent_entry(b, stack, instr.operands[1:], tangents)
        tangents[instr.result] = b.emit(instr.op, (stack_dot, *entry))[0]
        return
    stack_dot = tangent_or_zero(b, stack, tangents)
    rest, *popped = b.emit(instr.op, (stack_dot,))
    tangents[instr.results[0]] = rest
    for k, dot in zip(tangent_elements(stack.type), popped, strict=True):
        primal = instr.results[k + 1]
        if primal.is_float:
            same = dot.dims == primal.dims
            tangents[primal] = dot if same else b.assume_shape(dot, *[b.dim(d) for d in primal.dims])


@dataclass(eq=False)
class _Callee:
    """The forward derivative of a function for one pattern: the callee, its tangent parameters, what call sites know.

    Attributes:
        fn: a copy of the callee.
        moving: positions of the parameters that have a tangent.
        results: positions of the results that have one.
        tangents: the tangent parameters.
        name: of the derivative.
        signature: of the derivative.
    """

    fn: Function
    moving: tuple[int, ...]
    results: tuple[int, ...]
    tangents: list[Value]
    name: str
    signature: Signature


class _Callees:
    """The functions of the derived program: those of the given one, and forward derivatives as calls ask for them."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self.callees = Callees(functions)
        self.functions = dict(functions)
        self.known: dict[tuple[str, tuple[int, ...], tuple[int, ...]], _Callee] = {}
        self.pending: list[_Callee] = []

    def get(self, instr: Instr, moving: tuple[int, ...], results: tuple[int, ...]) -> _Callee:
        """The derivative of the callee of `instr` along the parameters `moving`, with tangents of `results`."""
        key = (instr.attrs["callee"], moving, results)
        found = self.known.get(key)
        if found is not None:
            return found
        fn = fresh_copy(self.callees.functions[key[0]])
        dots = [Value(tangent_type(fn.params[k].type), tangent_name(fn.params[k])) for k in moving]
        name = unused_name(f"{fn.name}_jvp", [*self.functions, *(c.name for c in self.pending)])
        plain = signature_of(fn)
        types = (*plain.results, *(tangent_type(plain.results[k]) for k in results))
        self.known[key] = new = _Callee(fn, moving, results, dots, name, Signature(fn.dims, (*fn.params, *dots), types))
        self.pending.append(new)
        self.functions[name] = fn  # the place is taken; `finished` fills it
        return new

    def finished(self) -> dict[str, Function]:
        """All functions, those that were asked for differentiated."""
        while self.pending:
            callee = self.pending.pop()
            fn = callee.fn
            tangents: dict[Value, Value] = {fn.params[k]: d for k, d in zip(callee.moving, callee.tangents, strict=True)}
            outputs = [fn.results[k] for k in callee.results]
            active = active_values(fn.instrs, list(tangents), outputs, self.callees)
            builder = Builder(fn.span)
            _Forward(active, self).block(builder, fn.instrs, tangents)
            dots = [tangent_or_zero(builder, r, tangents) for r in outputs]
            params, results = (*fn.params, *callee.tangents), (*fn.results, *dots)
            self.functions[callee.name] = Function(callee.name, fn.dims, params, tuple(builder.instrs), results, fn.span)
        return self.functions


class _Forward:
    """The forward transform of blocks, given the set of active values."""

    def __init__(self, active: set[Value], callees: _Callees) -> None:
        self.active = active
        self.callees = callees

    def block(self, b: Builder, instrs: Sequence[Instr], tangents: Tangents) -> None:
        """Emit `instrs` and their tangents into `b`; `tangents` gains the results'."""
        for instr in instrs:
            b.span = instr.span
            if not any(r in self.active for r in instr.results):
                b.append(instr)
            elif instr.op.name == "call":
                self.call(b, instr, tangents)
            elif instr.op.name == "if":
                self.branch(b, instr, tangents)
            elif instr.regions:
                self.loop(b, instr, tangents)
            elif instr.op.name == "custom":
                self.custom(b, instr, tangents)
            else:
                b.append(instr)
                self.leaf(b, instr, tangents)

    def leaf(self, b: Builder, instr: Instr, tangents: Tangents) -> None:
        if instr.op.name in ("push", "pop"):
            _stack_tangents(b, instr, tangents)
            return
        tangent = tangent_of_instr(b, instr, tangents)
        if tangent is not None:
            tangents[instr.result] = tangent

    def custom(self, b: Builder, instr: Instr, tangents: Tangents) -> None:
        """A rule of the user's own, in line, on the tangents as they are."""
        rule = instr.attrs["_rule"]
        refuse_hidden(rule, instr, self.active)
        dots = [tangent_or_zero(b, instr.operands[k], tangents) for k in rule.differentiable]
        found = inline(b, rule.forward(), [*instr.operands, *dots])
        same = get_op("assume_shape")
        for new, old in zip(found, instr.results, strict=False):
            sizes = [b.dim(d) for d in new.dims]
            b.append(Instr(same, (new, *sizes), (old,), {}, (), instr.span))
        floats = [r for r in instr.results if r.is_float]
        tangents.update(zip(floats, found[len(instr.results) :], strict=True))

    def call(self, b: Builder, instr: Instr, tangents: Tangents) -> None:
        moving, results = call_pattern(instr, self.active, self.callees.callees)
        callee = self.callees.get(instr, moving, results)
        operands = [*instr.operands, *(tangent_or_zero(b, instr.operands[k], tangents) for k in moving)]
        attrs = {"callee": callee.name, "_signature": callee.signature}
        derived = Instr(instr.op, tuple(operands), instr.results, attrs, (), instr.span)
        _append_region_instr(b, derived, operands, (), results, tangents)

    def branch(self, b: Builder, instr: Instr, tangents: Tangents) -> None:
        moving = [k for k, r in enumerate(instr.results) if r in self.active]
        regions = []
        for region in instr.regions:
            inner = b.child()
            local: Tangents = ChainMap({}, tangents)
            self.block(inner, region.instrs, local)
            dots = [tangent_or_zero(inner, region.results[k], local) for k in moving]
            regions.append(Region((), tuple(inner.instrs), (*region.results, *dots)))
        _append_region_instr(b, instr, instr.operands, regions, moving, tangents)

    def loop(self, b: Builder, instr: Instr, tangents: Tangents) -> None:
        body, init, carry = loop_parts(instr)
        moving = [k for k, p in enumerate(carry) if p in self.active]
        init_dots = [tangent_or_zero(b, init[k], tangents) for k in moving]
        params = [Value(tangent_type(carry[k].type), tangent_name(carry[k])) for k in moving]
        local: Tangents = ChainMap({carry[k]: p for k, p in zip(moving, params, strict=True)}, tangents)
        inner = b.child()
        self.block(inner, body.instrs, local)
        yields = [tangent_or_zero(inner, body.results[k], local) for k in moving]
        new_body = Region((*body.params, *params), tuple(inner.instrs), (*body.results, *yields))
        regions = [new_body]
        if instr.op.name == "while":
            cond = instr.regions[0]
            extra = _params_like(params, carry, cond.params)
            regions = [Region((*cond.params, *extra), cond.instrs, cond.results), new_body]
        _append_region_instr(b, instr, (*instr.operands, *init_dots), regions, moving, tangents)


def _params_like(params: Sequence[Value], old: Sequence[Value], new: Sequence[Value]) -> list[Value]:
    """Fresh parameters with the types of `params`, where sizes that refer to `old` refer to `new`."""
    env: Env = dict(zip(old, new, strict=True))
    return [copy_value(dict(env), p) for p in params]


def tangent_or_zero(b: Builder, value: Value, tangents: Tangents) -> Value:
    """The tangent of `value`, zeros if it has none."""
    tangent = tangents.get(value)
    return b.zeros_like(tangent_type(value.type)) if tangent is None else tangent


def _append_region_instr(
    b: Builder,
    instr: Instr,
    operands: Sequence[Value],
    regions: Sequence[Region],
    moving: Sequence[int],
    tangents: Tangents,
) -> None:
    """Append `instr` with tangents among its results; the primal results keep their values."""
    dots = []
    for k in moving:
        old = instr.results[k]
        dots.append(Value(tangent_type(old.type), tangent_name(old)))
        tangents[old] = dots[-1]
    b.append(Instr(instr.op, tuple(operands), (*instr.results, *dots), instr.attrs, tuple(regions), instr.span))


