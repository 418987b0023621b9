"""How many bytes a gradient puts on its stacks, or keeps in arrays, per line of the user's source.

The one idea: the compiled gradient is rewritten (`instrument`) to count instead of to compute. Each push adds the bytes of its
entry to an integer per source line, each pop takes them away, and with the numbers at the peak as only results most else is dead
code. So the counts are exact, and cost about what the function itself costs, however long its loops are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from wengert.api.lowering import lower_grad, lower_vjp, scalar_loss
from wengert.diagnose.instrument import Instrument, State
from wengert.errors import ArgumentError, Span
from wengert.frontend.trace import Traced
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Instr, Value, free_values, walk
from wengert.passes.pipeline import optimize
from wengert.types import Affine, Dim, StackType, TensorType

Key = tuple[str, int]
"""File and line; ("", 0) where an instruction has no span."""

Run = Callable[[Function, Sequence[Any]], Sequence[Any]]


def gradient_or_pullback(traced: Traced, positions: Sequence[int]) -> Function:
    """The gradient of a scalar result; of anything else, the reverse derivative of all of its floats."""
    try:
        scalar_loss(traced, "explain", has_aux=False)
    except ArgumentError:
        if not any(r.is_float for r in traced.function.results):
            raise
        return lower_vjp(traced, positions)
    return lower_grad(traced, positions, what="explain", has_aux=False)


def without_cotangents(gradient: Function, count: int) -> Function:
    """The first `count` parameters of the gradient only: counting what is stored needs no cotangents."""
    if len(gradient.params) == count:
        return gradient
    return replace(gradient, params=gradient.params[:count])


def tape_bytes(instrs: Sequence[Instr]) -> dict[Key, int]:
    """Bytes that each line leaves on the list of eager mode."""
    sizes: dict[Key, int] = {}
    for instr in instrs:
        if instr.op.kind == "constant":
            continue
        part = instr.operands[1:2] if instr.op.name in ("update", "add_at") else instr.results
        for value in part:
            count = math.prod(d for d in value.dims if isinstance(d, int))
            key = key_of(instr.span)
            sizes[key] = sizes.get(key, 0) + count * value.tensor.dtype.itemsize
    return sizes


def stored_bytes(function: Function, inputs: Sequence[Any], run: Run) -> dict[Key, int]:
    """Bytes on the stacks of `function` on `inputs`, at the time when they are most, by the line that computed what is stored.

    Args:
        function: a lowered gradient.
        inputs: its arguments.
        run: compiles a function and calls it.
    """
    keys, counting = counting_function(function)
    if not keys:
        return {}
    found = run(counting, inputs)
    return {key: int(np.asarray(count)) for key, count in zip(keys, found, strict=True)}


def counting_function(function: Function) -> tuple[list[Key], Function]:
    """The lines at which `function` stores something, and a function of its arguments: the bytes of each at the peak."""
    counting = _Counting(function)
    parts, found = counting.function(function)
    places = [k for k, part in enumerate(parts) if isinstance(part, tuple) and part[0] == _PEAK]
    lines = [parts[k][1] for k in places]
    return lines, optimize(replace(found, results=tuple(found.results[k] for k in places)))


def kept_bytes(gradient: Function, results: int, sizes: dict[Value, int]) -> dict[Key, int]:
    """Bytes of the arrays that stay alive from the forward to the reverse pass outside of all loops, by line.

    An upper bound: what is cheap may be computed again instead.

    Args:
        gradient: a lowered gradient.
        results: how many of its results are those of the function itself; the reverse pass begins behind the last of them.
        sizes: the integers known for the arguments at hand; arrays of other sizes are left out.
    """
    forward = set(gradient.results[:results])
    places = [k for k, instr in enumerate(gradient.instrs) if any(r in forward for r in instr.results)]
    end = max(places, default=-1) + 1
    read: set[Value] = set()
    for instr in gradient.instrs[end:]:
        read.update(instr.operands)
        for region in instr.regions:
            read.update(free_values(region))
    found: dict[Key, int] = {}
    for instr in gradient.instrs[:end]:
        if instr.op.cost == 0 or instr.op.kind in ("shape", "index", "constant"):
            continue
        for value in instr.results:
            size = _known_size(value, sizes) if value in read else 0
            if size:
                found[key_of(instr.span)] = found.get(key_of(instr.span), 0) + size
    return found


def _known_size(value: Value, sizes: dict[Value, int]) -> int:
    """The bytes of an array, 0 for anything else."""
    if not isinstance(value.type, TensorType) or not value.rank:
        return 0
    dims = [evaluate(d, sizes) for d in value.dims]
    return math.prod(d or 0 for d in dims) * value.type.dtype.itemsize


def known_sizes(function: Function, inputs: Sequence[Any]) -> dict[Value, int]:
    """The integers that are known for these arguments: sizes of arrays, and integer arguments."""
    known: dict[Value, int] = {}
    for param, given in zip(function.params, inputs, strict=False):
        if param.rank == 0 and isinstance(given, int | np.integer) and not isinstance(given, bool):
            known[param] = int(given)
        for declared, size in zip(param.dims, np.shape(given), strict=False):
            if isinstance(declared, Dim) and declared.const == 0 and len(declared.terms) == 1:
                symbol, coefficient = declared.terms[0]
                if coefficient == 1 and isinstance(symbol, Value):
                    known[symbol] = size
    return known


def evaluate(dimension: Affine, sizes: dict[Value, int]) -> int | None:
    """The number that an affine expression stands for, or None if it has other terms than `sizes`."""
    if isinstance(dimension, int):
        return dimension
    total = dimension.const
    for symbol, coefficient in dimension.terms:
        size = sizes.get(symbol) if isinstance(symbol, Value) else None
        if size is None:
            return None
        total += coefficient * size
    return total


def defining_spans(instrs: Sequence[Instr]) -> dict[Value, Span | None]:
    """For every value the place that computed it: in an arm of an `if`, or, for a loop carry, the place of its next value."""
    spans: dict[Value, Span | None] = {}
    fillers: set[Value] = set()
    for instr in reversed(list(walk(tuple(instrs)))):  # what is inside comes before what is around it
        spans.update((r, instr.span) for r in instr.results)
        if instr.op.name == "undef":
            fillers.update(instr.results)
        elif instr.op.name == "if":
            for values in zip(instr.results, *(r.results for r in instr.regions), strict=True):
                inside = next((v for v in values[1:] if v in spans and v not in fillers), None)
                spans[values[0]] = instr.span if inside is None else spans[inside] or instr.span
    for instr in walk(tuple(instrs)):
        if instr.op.name in ("for", "while"):
            body = instr.regions[-1]
            offset = len(body.params) - len(body.results)
            for param, result in zip(body.params[offset:], body.results, strict=True):
                spans.setdefault(param, spans.get(result) or instr.span)
    return spans


def key_of(span: Span | None) -> Key:
    """The line of a span."""
    return ("", 0) if span is None else (span.file, span.line)


_TOTAL, _PEAK = "total", "peak"


class _Counting(Instrument):
    """Adds up the bytes on the stacks, per line that computed them, and remembers what they were when they were most.

    The state holds a number per line, their sum, the largest sum so far, and the numbers per line as they were then.
    """

    def __init__(self, function: Function) -> None:
        self.whole = function
        self.spans = defining_spans(function.instrs)
        self.roots = stack_roots(function.instrs)
        self.entries: dict[Value, list[Key]] = {}
        for instr in walk(function.instrs):
            if instr.op.name == "push":
                keys = [key_of(self.spans.get(v) or instr.span) for v in instr.operands[1:]]
                self.entries.setdefault(self.roots.get(instr.result, instr.result), keys)
        self.lines = list(dict.fromkeys(key for keys in self.entries.values() for key in keys))
        self.parts = [*self.lines, _TOTAL, _PEAK, *((_PEAK, key) for key in self.lines)] if self.lines else []

    def start(self, builder: Builder) -> State:
        """Zeros."""
        return {part: builder.const(0) for part in self.parts}

    def changes(self, instrs: Sequence[Instr]) -> Sequence[Any]:
        """All parts, where something is put on a stack or taken off."""
        return self.parts if any(i.op.name in ("push", "pop") for i in walk(tuple(instrs))) else ()

    def observe(self, builder: Builder, instr: Instr, state: State) -> None:
        """Count what a push stores or a pop takes away."""
        if instr.op.name not in ("push", "pop"):
            return
        is_push = instr.op.name == "push"
        stack, values = (instr.result, instr.operands[1:]) if is_push else (instr.results[0], instr.results[1:])
        for key, value in zip(self.entries.get(self.roots.get(stack, stack), ()), values, strict=False):
            size = _size(builder, value)
            for part in (key, _TOTAL):
                state[part] = builder.add(state[part], size) if is_push else builder.sub(state[part], size)
        if is_push:
            more = builder.gt(state[_TOTAL], state[_PEAK])
            for part in self.lines:
                state[_PEAK, part] = builder.select(more, state[part], state[_PEAK, part])
            state[_PEAK] = builder.maximum(state[_TOTAL], state[_PEAK])


def stack_roots(instrs: Sequence[Instr]) -> dict[Value, Value]:
    """For every stack, the empty stack that it was at first (or the parameter that it came in as)."""
    roots: dict[Value, Value] = {}

    def follow(targets: Sequence[Value], sources: Sequence[Value]) -> None:
        for target, source in zip(targets, sources, strict=True):
            if isinstance(target.type, StackType):
                roots[target] = roots.get(source, source)

    def visit(block: Sequence[Instr]) -> None:
        for instr in block:
            name = instr.op.name
            if name in ("push", "pop"):
                follow(instr.results[:1], instr.operands[:1])
            if name in ("for", "while"):
                init = instr.operands[1:] if name == "for" else instr.operands
                for region in instr.regions:
                    follow(region.params[len(region.params) - len(init) :], init)
                follow(instr.results, init)
            for region in instr.regions:
                visit(region.instrs)
            if name == "if":
                follow(instr.results, instr.regions[0].results)

    visit(instrs)
    return roots


def _size(builder: Builder, value: Value) -> Value:
    """The bytes of `value`."""
    declared = value.type
    assert isinstance(declared, TensorType)
    fixed = declared.dtype.itemsize
    symbolic: list[Affine] = []
    for d in declared.dims:
        if isinstance(d, int):
            fixed *= d
        else:
            symbolic.append(d)
    total = builder.const(fixed)
    for d in symbolic:
        total = builder.mul(total, builder.dim(d))
    return total
