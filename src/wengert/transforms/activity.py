"""Which values take part in a derivative: reached from the inputs (varied) and reaching the outputs (useful).

Both analyses grow a set to a fixpoint over loops; a value is active when it is in both sets. Values that are not active get
no tangent, no cotangent and cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from wengert.errors import GradientCutError, UnsupportedError
from wengert.ir.core import Function, Instr, Region, Value, walk
from wengert.ir.op import LINEAR, Marker, OpDef
from wengert.types import Affine, Dim, Slot, StackType, Symbol, TensorType, Type

Pattern = frozenset[int]

ARMS = frozenset({"if", "checkpoint"})
"""Instructions whose regions have no parameters and yield their results."""


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
    if op.name == "custom":
        return [k for k in instr.attrs["_rule"].reached(instr) if instr.operands[k].is_float]
    if op.name == "with_pullback":
        count = len(instr.operands)
        return list(range(count - instr.attrs["moving"], count))
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
    if instr.op.name == "host_call":
        raise GradientCutError(
            f"{instr.attrs.get('name', 'a host call')} has no derivative, and a differentiated value is passed to it",
            instr.span,
            fix="give it a derivative with wg.wrap(...), or wrap its arguments in wg.stop_gradient(...) if they need none",
        )
    if isinstance(marker, Marker) and marker.name == "NOT_YET":
        raise UnsupportedError(f"the derivative of `{instr.op.name}` is not available: {marker.reason}", instr.span)


class Callees:
    """How the results of functions depend on their parameters, per pattern: a fixpoint over the calls among them.

    Attributes:
        functions: by name.
    """

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self.functions = functions
        self._found: dict[tuple[str, str, Pattern], Pattern] = {}
        self._settling = False

    def varied(self, instr: Instr, params: Iterable[int]) -> Pattern:
        """The results of the call `instr` that depend differentiably on the parameters at the positions `params`."""
        return self._ask("varied", instr.attrs["callee"], frozenset(params))

    def useful(self, instr: Instr, results: Iterable[int]) -> Pattern:
        """The parameters of the call `instr` that the results at the positions `results` depend on differentiably."""
        return self._ask("useful", instr.attrs["callee"], frozenset(results))

    def _ask(self, what: str, name: str, pattern: Pattern) -> Pattern:
        key = (what, name, pattern)
        if key not in self._found:
            self._found[key] = frozenset()
            if not self._settling:
                self._settle()
        return self._found[key]

    def _settle(self) -> None:
        self._settling = True
        before: dict[tuple[str, str, Pattern], Pattern] = {}
        while before != self._found:
            before = dict(self._found)
            for what, name, pattern in before:
                callee = self.functions[name]
                ends = callee.params if what == "varied" else callee.results
                spread = varied_values if what == "varied" else useful_values
                marked = spread(callee.instrs, [v for k in pattern if can_vary((v := ends[k]).type)], self)
                others = callee.results if what == "varied" else callee.params
                self._found[what, name, pattern] = frozenset(k for k, v in enumerate(others) if v in marked)
        self._settling = False


def varied_values(instrs: Sequence[Instr], seeds: Iterable[Value], calls: Callees | None = None) -> set[Value]:
    """Values that depend differentiably on `seeds`; without `calls`, results of a call on each of its operands."""
    varied = set(seeds)
    _spread_forward(instrs, varied, calls)
    return varied


def _spread_forward(instrs: Sequence[Instr], varied: set[Value], calls: Callees | None) -> None:
    for instr in instrs:
        if instr.op.name == "call" and calls is not None:
            reached = calls.varied(instr, _positions(instr.operands, varied))
            varied.update(instr.results[k] for k in reached)
        elif not instr.regions:
            if any(instr.operands[k] in varied for k in differentiable_operands(instr)):
                varied.update(r for r in instr.results if can_vary(r.type))
        elif instr.op.name in ARMS:
            for region in instr.regions:
                _spread_forward(region.instrs, varied, calls)
                _union(varied, region.results, instr.results)
        else:
            _spread_loop(instr, varied, calls)


def _positions(values: Sequence[Value], marked: set[Value]) -> list[int]:
    return [k for k, v in enumerate(values) if v in marked]


def _spread_loop(instr: Instr, varied: set[Value], calls: Callees | None) -> None:
    body, init, carry = loop_parts(instr)
    _union(varied, init, carry)
    while True:
        _spread_forward(body.instrs, varied, calls)
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


def refuse_cuts(instrs: Sequence[Instr], seeds: Iterable[Value], calls: Callees | None = None) -> None:
    """Raise if what depends on `seeds` decides on whole numbers that Python code gives: no tangent would tell.

    Raises:
        GradientCutError: it does.
    """
    cuts = [i for i in walk(tuple(instrs)) if i.op.name == "host_call" and i.attrs.get("cut")]
    if cuts:
        varied = varied_values(instrs, seeds, calls)
        for instr in cuts:
            if any(o in varied for o in instr.operands):
                refuse_missing_rule(instr)


def useful_values(instrs: Sequence[Instr], results: Iterable[Value], calls: Callees | None = None) -> set[Value]:
    """Values that `results` depend on differentiably; without `calls`, results of a call on each of its operands."""
    useful = set(results)
    _spread_backward(instrs, useful, calls)
    return useful


def _spread_backward(instrs: Sequence[Instr], useful: set[Value], calls: Callees | None) -> None:
    for instr in reversed(instrs):
        if instr.op.name == "call" and calls is not None:
            needed = calls.useful(instr, _positions(instr.results, useful))
            useful.update(instr.operands[k] for k in needed)
        elif not instr.regions:
            if any(r in useful for r in instr.results):
                useful.update(instr.operands[k] for k in differentiable_operands(instr))
        elif instr.op.name in ARMS:
            for region in instr.regions:
                _union(useful, instr.results, region.results)
                _spread_backward(region.instrs, useful, calls)
        else:
            body, init, carry = loop_parts(instr)
            _union(useful, instr.results, body.results)
            _union(useful, instr.results, carry)  # a loop that runs no iteration returns its initial values
            _spread_backward(body.instrs, useful, calls)
            while _union(useful, carry, body.results):
                _spread_backward(body.instrs, useful, calls)
            _union(useful, carry, init)


def active_values(
    instrs: Sequence[Instr], seeds: Iterable[Value], results: Iterable[Value], calls: Callees | None = None
) -> set[Value]:
    """Values that are both varied and useful."""
    useful = useful_values(instrs, (r for r in results if can_vary(r.type)), calls)
    return varied_values(instrs, seeds, calls) & useful


def call_pattern(instr: Instr, active: set[Value], calls: Callees) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The positions of the parameters and results of a call that take part in a derivative."""
    results = _positions(instr.results, active)
    useful = calls.useful(instr, results)
    return tuple(k for k in _positions(instr.operands, active) if k in useful), tuple(results)
