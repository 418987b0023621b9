"""Where a derivative ends: values that come from a parameter and reach the result only through ops without a derivative.

The one idea: follow the data twice. Forward along derivatives (`activity.varied_values`) and backward along all data
(`read_values`): an op with a varied operand whose result is read but does not vary cuts. What only a test reads is a
branch, not a cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wengert.diagnose.listing import short_path
from wengert.errors import Span
from wengert.ir.core import Instr, Value, walk
from wengert.transforms.activity import loop_parts, varied_values

COMPARISONS = frozenset(["lt", "le", "gt", "ge", "eq", "ne", "attains", "isnan", "isinf", "isfinite"])
_STEPS = {"floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "round", "sign": "sign", "floordiv": "//"}
# Operands that steer and are not data of the result.
_STEERING = {"if": (0,), "select": (0,)}


@dataclass(frozen=True)
class Cut:
    """An instruction that ends a derivative, and in words how."""

    instr: Instr
    what: str


def find_cuts(instrs: Sequence[Instr], seeds: Iterable[Value], results: Iterable[Value]) -> list[Cut]:
    """The instructions at which derivatives of `results` with respect to `seeds` end, in program order."""
    varied = varied_values(instrs, seeds)
    read = read_values(instrs, results)
    return [
        Cut(instr, describe_cut(instr))
        for instr in walk(tuple(instrs))
        if not instr.regions and any(r in read for r in instr.results) and _ends_derivative(instr, varied)
    ]


def find_tests(instrs: Sequence[Instr], seeds: Iterable[Value]) -> list[Instr]:
    """Instructions whose outcome is chosen by a test on values that come from `seeds`: `if`, `while`, `select`."""
    influenced = influenced_values(instrs, seeds)
    found = []
    for instr in walk(tuple(instrs)):
        if instr.op.name in _STEERING:
            test = instr.operands[0]
        elif instr.op.name == "while":
            test = instr.regions[0].results[0]
        else:
            continue
        if test in influenced:
            found.append(instr)
    return found


def describe_cut(instr: Instr) -> str:
    """How the op of `instr` ends a derivative."""
    name = instr.op.name
    if name in _STEPS:
        return f"`{_STEPS[name]}` is flat between its jumps"
    if name == "convert":
        kind = "an integer" if instr.attrs["dtype"].name == "i64" else "a truth value"
        return f"a conversion to {kind} has no derivative"
    if name in COMPARISONS:
        return "the result of a comparison is used as a number and has no derivative"
    if name in ("argmax", "argmin"):
        return f"`{name}` gives a position, which has no derivative"
    if name == "stop_gradient":
        return "stop_gradient"
    return f"`{name}` has no derivative"


def _ends_derivative(instr: Instr, varied: set[Value]) -> bool:
    if any(r in varied for r in instr.results):
        return False
    steering = _STEERING.get(instr.op.name, ())
    return any(o in varied and o.is_float and k not in steering for k, o in enumerate(instr.operands))


def influenced_values(instrs: Sequence[Instr], seeds: Iterable[Value]) -> set[Value]:
    """Values computed from `seeds` by any op, with a derivative or without (choices made by tests left out)."""
    marked = set(seeds)
    _spread_forward(instrs, marked)
    return marked


def _spread_forward(instrs: Sequence[Instr], marked: set[Value]) -> None:
    for instr in instrs:
        if not instr.regions:
            if any(o in marked for o in instr.operands):
                marked.update(instr.results)
        elif instr.op.name == "if":
            for region in instr.regions:
                _spread_forward(region.instrs, marked)
                _union(marked, region.results, instr.results)
        else:
            _spread_loop(instr, marked)


def _spread_loop(instr: Instr, marked: set[Value]) -> None:
    body, init, carry = loop_parts(instr)
    _union(marked, init, carry)
    while True:
        _spread_forward(body.instrs, marked)
        if not _union(marked, body.results, carry):
            break
    _union(marked, carry, instr.results)
    if instr.op.name == "while":
        cond = instr.regions[0]
        _union(marked, carry, cond.params)
        _spread_forward(cond.instrs, marked)


def read_values(instrs: Sequence[Instr], results: Iterable[Value]) -> set[Value]:
    """Values that the data of `results` are computed from; what only a test reads is left out."""
    read = set(results)
    _spread_backward(instrs, read)
    return read


def _spread_backward(instrs: Sequence[Instr], read: set[Value]) -> None:
    for instr in reversed(instrs):
        if not instr.regions:
            if any(r in read for r in instr.results):
                steering = _STEERING.get(instr.op.name, ())
                read.update(o for k, o in enumerate(instr.operands) if k not in steering)
        elif instr.op.name == "if":
            for region in instr.regions:
                _union(read, instr.results, region.results)
                _spread_backward(region.instrs, read)
        else:
            body, init, carry = loop_parts(instr)
            _union(read, instr.results, body.results)
            _union(read, instr.results, carry)
            _spread_backward(body.instrs, read)
            while _union(read, carry, body.results):
                _spread_backward(body.instrs, read)
            _union(read, carry, init)
            if instr.op.name == "for" and any(r in read for r in instr.results):
                read.add(instr.operands[0])


def _union(marked: set[Value], sources: Sequence[Value], targets: Sequence[Value]) -> bool:
    """Mark `targets[k]` where `sources[k]` is marked; whether anything was new."""
    new = [t for s, t in zip(sources, targets, strict=True) if s in marked and t not in marked]
    marked.update(new)
    return bool(new)


def zero_reason(
    instrs: Sequence[Instr], param: Value | None, results: Sequence[Value], recorded: bool = False
) -> tuple[str, Span | None]:
    """Why the derivative of `results` with respect to `param` is zero whatever the values: in words, and the place.

    With `recorded`, `instrs` is what one eager run left on its tape: numbers that became plain integers are not on it.
    """
    unread = "nothing that has a derivative reads it" if recorded else "the function does not read it"
    if param is None:
        return unread, None
    cuts = find_cuts(instrs, [param], results)
    if cuts:
        return "; ".join(dict.fromkeys(f"{c.what}{_at(c.instr.span)}" for c in cuts[:3])), cuts[0].instr.span
    influenced = influenced_values(instrs, [param])
    tests = find_tests(instrs, [param])
    tests += [i for i in walk(tuple(instrs)) if i.op.name in COMPARISONS and any(o in influenced for o in i.operands)]
    if tests:
        return f"only a test reads it{_at(tests[0].span)}", tests[0].span
    reader = next((i for i in walk(tuple(instrs)) if param in i.operands), None)
    if reader is None:
        return unread, None
    return f"the result does not depend on what is computed from it{_at(reader.span)}", reader.span


def _at(span: Span | None) -> str:
    return "" if span is None else f" ({short_path(span.file)}:{span.line})"
