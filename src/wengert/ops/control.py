"""Constants, regions (`if`, `for`, `while`), stacks, checks and prints.

The derivatives of regions and stacks are structural and live in `transforms`; here are their types.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wengert.errors import InternalError
from wengert.ir.builder import resolve_slots, to_slots, types_agree
from wengert.ir.calls import call_types
from wengert.ir.core import Region, Value
from wengert.ir.op import NON_DIFFERENTIABLE, NOT_YET, op
from wengert.types import (
    BOOL_SCALAR,
    I64,
    I64_SCALAR,
    SCALAR_TYPES,
    Affine,
    Dim,
    Slot,
    StackType,
    Symbol,
    TensorType,
    Type,
    dim_add,
    dim_of,
)

Operands = Sequence[Value]
Attrs = dict[str, Any]
Regions = Sequence[Region]


def _infer_const(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    return (SCALAR_TYPES[attrs["dtype"]],)


const = op(
    "const",
    doc="A scalar constant.",
    kind="constant",
    infer=_infer_const,
    impl=lambda *, value, dtype: dtype.numpy.type(value),
    jvp=NON_DIFFERENTIABLE,
    affine=lambda *, value, dtype: value,
    cost=0,
)


# --- regions -------------------------------------------------------------------------------------------------------


def _infer_if(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    if len(operands) != 1 or operands[0].type != BOOL_SCALAR or len(regions) != 2:
        raise InternalError("if takes one bool[] and two regions")
    then, otherwise = (r.results for r in regions)
    types = [_merge_types(k, then, otherwise) for k in range(min(len(then), len(otherwise)))]
    if len(then) != len(otherwise) or any([t is None for t in types]):
        raise InternalError(f"arms of if have different types: {[v.type for v in then]} and {[v.type for v in otherwise]}")
    return tuple(t for t in types if t is not None)


def _merge_types(k: int, then: Operands, otherwise: Operands) -> Type | None:
    """The type of the k-th result of an `if`: sizes that differ between the arms are those of an earlier integer result."""
    a, b = then[k].type, otherwise[k].type
    if a is b or a == b:
        return a
    if isinstance(a, StackType) or isinstance(b, StackType) or a.dtype != b.dtype or a.rank != b.rank:
        return None
    slots_a, slots_b = to_slots([a], then)[0], to_slots([b], otherwise)[0]
    assert isinstance(slots_a, TensorType) and isinstance(slots_b, TensorType)
    dims: list[Affine] = []
    for place, (da, db) in enumerate(zip(a.dims, b.dims, strict=True)):
        if da == db:
            dims.append(da)
        elif slots_a.dims[place] == slots_b.dims[place]:
            dims.append(slots_a.dims[place])
        else:
            pairs = [(x.affine, y.affine) if x.type == y.type == I64_SCALAR else None for x, y in zip(then, otherwise)]
            merged = _merge_dims(da, db, pairs[:k])
            if merged is None:
                return None
            dims.append(merged)
    return a.with_dims(tuple(dims))


def _merge_dims(a: Affine, b: Affine, pairs: Sequence[tuple[Affine, Affine] | None]) -> Affine | None:
    """The size that is `a` in one arm and `b` in the other, in terms of integer results, which are `pairs` in the arms."""
    if (a, b) in pairs:
        return Dim(0, ((Slot(pairs.index((a, b))), 1),))
    if not isinstance(a, Dim) or not isinstance(b, Dim) or a.const != b.const or len(a.terms) != len(b.terms):
        return None
    merged: Affine = a.const
    rest = dict(b.terms)
    for symbol, coefficient in a.terms:
        for other, factor in rest.items():
            if factor == coefficient and (symbol is other or (dim_of(symbol), dim_of(other)) in pairs):
                same = dim_of(symbol) if symbol is other else Dim(0, ((Slot(pairs.index((dim_of(symbol), dim_of(other)))), 1),))
                merged = dim_add(merged, same, coefficient)
                del rest[other]
                break
        else:
            return None
    return merged


if_op = op("if", doc="One of two regions, by a predicate.", kind="control", infer=_infer_if)


def _infer_for(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    (body,) = regions
    count, *init = operands
    carry = body.params[1:]
    types = [p.type for p in carry]
    if count.type != I64_SCALAR or body.params[0].type != I64_SCALAR:
        raise InternalError("for takes an i64[] trip count and its body an i64[] index")
    _check_carry("for", types, carry, init, body.results)
    return to_slots(types, carry)


def _check_carry(what: str, types: list[Type], carry: Operands, init: Operands, results: Operands) -> None:
    for place, values in (("initial values", init), ("yields", results)):
        if not types_agree(types, carry, values):
            raise InternalError(f"{what}: carry has types {types}, its {place} {[v.type for v in values]}")


for_op = op("for", doc="A counted loop with a carry.", kind="control", infer=_infer_for)


def _infer_while(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    cond, body = regions
    types = [p.type for p in body.params]
    _check_carry("while", types, body.params, operands, body.results)
    _check_carry("while condition", types, body.params, cond.params, cond.params)
    if len(cond.results) != 1 or cond.results[0].type != BOOL_SCALAR:
        raise InternalError("the condition of while yields one bool[]")
    return to_slots(types, body.params)


while_op = op("while", doc="A loop that runs while its condition holds.", kind="control", infer=_infer_while)


# --- calls -------------------------------------------------------------------------------------------------------


def _infer_call(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    if "_signature" not in attrs:
        raise InternalError(f"the call of {attrs['callee']} does not know its callee")
    return call_types(attrs["_signature"], operands)


# `effects` is the cautious answer; `ir.calls.has_effects` looks at the callee.
call = op(
    "call",
    doc="A function of the program on arguments.",
    kind="call",
    infer=_infer_call,
    jvp=NOT_YET("a call cannot be differentiated by itself"),
    effects=True,
    cost=100,
)


# --- stacks --------------------------------------------------------------------------------------------------------


def _infer_stack_new(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    return (StackType(tuple(attrs["elements"])),)


def _infer_push(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    stack, *values = operands
    assert isinstance(stack.type, StackType)
    elements = stack.type.elements
    if [resolve_slots(e, values) for e in elements] != [v.type for v in values]:
        raise InternalError(f"push of {[v.type for v in values]} to {stack.type}")
    return (stack.type,)


def _infer_pop(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    declared = operands[0].type
    assert isinstance(declared, StackType)
    # Slots of an entry count its elements; slots of the instruction count its results, the stack being the first.
    shifted = tuple(_shift_slots(e) for e in declared.elements)
    return (declared, *shifted)


def _shift_slots(declared: TensorType) -> TensorType:
    from_types: dict[Symbol, Affine] = {
        s: Dim(0, ((Slot(s.index + 1), 1),)) for s in declared.symbols() if isinstance(s, Slot)
    }
    return declared.substitute(from_types)


stack_new = op("stack_new", doc="An empty stack with room for about n entries.", kind="stack", infer=_infer_stack_new)
push = op("push", doc="A stack with one more entry.", kind="stack", infer=_infer_push)
pop = op("pop", doc="A stack without its last entry, and that entry.", kind="stack", infer=_infer_pop)


def _infer_stack_save(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    return (I64_SCALAR, TensorType(I64, (Dim(0, ((Slot(0), 1),)),)))


_OPAQUE = NOT_YET("the bytes of a stack have no derivative")

stack_save = op(
    "stack_save",
    doc="All entries of a stack as an array of words of eight bytes, and how many these are; the last use of the stack.",
    kind="stack",
    infer=_infer_stack_save,
    jvp=_OPAQUE,
)
stack_load = op(
    "stack_load",
    doc="The stack that `stack_save` took the words from; the words stay as they are.",
    kind="stack",
    infer=_infer_stack_new,
    jvp=NON_DIFFERENTIABLE,
)


# --- effects -------------------------------------------------------------------------------------------------------


def _infer_nothing(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    return ()


check = op(
    "check",
    doc="Raise an exception at run time if the first operand is false.",
    kind="effect",
    infer=_infer_nothing,
    effects=True,
)
host_print = op("host_print", doc="Print at run time.", kind="effect", infer=_infer_nothing, effects=True)


def _infer_host_call(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    return tuple(attrs["elements"])


host_call = op(
    "host_call",
    doc="Call a Python function at run time with the values of the operands; the results have the declared types.",
    kind="effect",
    infer=_infer_host_call,
    effects=True,
    jvp=NOT_YET("it is computed by Python code at run time, through which nothing is differentiated"),
)
