"""Which values take part in a derivative: reached from the inputs (varied) and reaching the outputs (useful).

Both analyses grow a set to a fixpoint over loops; a value is active when it is in both sets. Values that are not active get
no tangent, no cotangent and cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wengert.errors import UnsupportedError
from wengert.ir.core import Instr, Region, Value
from wengert.ir.op import LINEAR, Marker, OpDef
from wengert.types import Affine, Dim, Slot, StackType, Symbol, TensorType, Type


def can_vary(declared: Type) -> bool:
    """Whether values of this type have tangents: floats, and stacks that hold some."""
    if isinstance(declared, TensorType):
        return declared.is_float
    return any(e.is_float for e in declared.elements)


def tangent_type(declared: Type) -> Type:
    """The type of a tangent of a value of type `declared`."""
    if not isinstance(declared, StackType):
        return declared
    kept = tangent_elements(declared)
    slots: dict[Symbol, Affine] = {Slot(old): Dim(0, ((Slot(new), 1),)) for new, old in enumerate(kept)}
    return StackType(tuple(declared.elements[k].substitute(slots) for k in kept))


def tangent_elements(declared: StackType) -> list[int]:
    """Positions of the elements that a stack of tangents keeps: floats, and the integers that are sizes of those."""
    floats = [k for k, e in enumerate(declared.elements) if e.is_float]
    sizes = {s.index for k in floats for s in declared.elements[k].symbols() if isinstance(s, Slot)}
    return sorted({*floats, *sizes})


def differentiable_operands(instr: Instr) -> list[int]:
    """Positions of the operands through which `instr` has a derivative (regions not included)."""
    op: OpDef = instr.op
    if op.name in ("push", "pop"):
        return [k for k, o in enumerate(instr.operands) if can_vary(o.type)]
    if isinstance(op.jvp, Marker):
        if op.jvp is LINEAR:
            positions = op.linear if op.linear is not None else range(len(instr.operands))
        elif op.jvp.name == "NOT_YET":
            positions = range(len(instr.operands))
        else:
            positions = ()
        return [k for k in positions if instr.operands[k].is_float]
    return [k for k, rule in enumerate(op.jvp) if rule is not None and instr.operands[k].is_float]


def refuse_missing_rule(instr: Instr) -> None:
    """Raise if the op's derivative does not exist yet."""
    marker = instr.op.jvp
    if isinstance(marker, Marker) and marker.name == "NOT_YET":
        raise UnsupportedError(f"the derivative of `{instr.op.name}` is not available: {marker.reason}", instr.span)


def varied_values(instrs: Sequence[Instr], seeds: Iterable[Value]) -> set[Value]:
    """Values that depend differentiably on `seeds`."""
    varied = set(seeds)
    _spread_forward(instrs, varied)
    return varied


def _spread_forward(instrs: Sequence[Instr], varied: set[Value]) -> None:
    for instr in instrs:
        if not instr.regions:
            if any(instr.operands[k] in varied for k in differentiable_operands(instr)):
                varied.update(r for r in instr.results if can_vary(r.type))
        elif instr.op.name == "if":
            for region in instr.regions:
                _spread_forward(region.instrs, varied)
                _union(varied, region.results, instr.results)
        else:
            _spread_loop(instr, varied)


def _spread_loop(instr: Instr, varied: set[Value]) -> None:
    body, init, carry = loop_parts(instr)
    _union(varied, init, carry)
    while True:
        _spread_forward(body.instrs, varied)
        if not _union(varied, body.results, carry):
            break
    _union(varied, carry, instr.results)


def loop_parts(instr: Instr) -> tuple[Region, tuple[Value, ...], tuple[Value, ...]]:
    """Body, initial values and carry parameters of a `for` or a `while`."""
    if instr.op.name == "for":
        return instr.regions[0], instr.operands[1:], instr.regions[0].params[1:]
    return instr.regions[1], instr.operands, instr.regions[1].params


def _union(marked: set[Value], sources: Sequence[Value], targets: Sequence[Value]) -> bool:
    """Mark `targets[k]` where `sources[k]` is marked; whether anything was new."""
    new = [t for s, t in zip(sources, targets, strict=True) if s in marked and t not in marked and can_vary(t.type)]
    marked.update(new)
    return bool(new)


def useful_values(instrs: Sequence[Instr], results: Iterable[Value]) -> set[Value]:
    """Values that `results` depend on differentiably."""
    useful = set(results)
    _spread_backward(instrs, useful)
    return useful


def _spread_backward(instrs: Sequence[Instr], useful: set[Value]) -> None:
    for instr in reversed(instrs):
        if not instr.regions:
            if any(r in useful for r in instr.results):
                useful.update(instr.operands[k] for k in differentiable_operands(instr))
        elif instr.op.name == "if":
            for region in instr.regions:
                _union(useful, instr.results, region.results)
                _spread_backward(region.instrs, useful)
        else:
            body, init, carry = loop_parts(instr)
            _union(useful, instr.results, body.results)
            _union(useful, instr.results, carry)  # a loop that runs no iteration returns its initial values
            _spread_backward(body.instrs, useful)
            while _union(useful, carry, body.results):
                _spread_backward(body.instrs, useful)
            _union(useful, carry, init)


def active_values(instrs: Sequence[Instr], seeds: Iterable[Value], results: Iterable[Value]) -> set[Value]:
    """Values that are both varied and useful."""
    return varied_values(instrs, seeds) & useful_values(instrs, (r for r in results if can_vary(r.type)))
