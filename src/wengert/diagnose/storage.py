"""How many bytes a gradient puts on its stacks, or keeps in arrays, per line of the user's source.

The one idea: the compiled gradient is rewritten (`instrument`) to count instead of to compute. Each push adds the bytes of its
entry to an integer per source line, and with these as only results everything else is dead code. So the counts are exact, and
cost about what the function itself costs, however long its loops are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.diagnose.instrument import Instrument, State
from wengert.errors import Span
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Instr, Value, free_values, walk
from wengert.types import Affine, Dim, TensorType

Key = tuple[str, int]
"""File and line; ("", 0) where an instruction has no span."""

Run = Callable[[Function, Sequence[Any]], Sequence[Any]]


def stored_bytes(function: Function, inputs: Sequence[Any], run: Run) -> dict[Key, int]:
    """Bytes pushed on stacks by `function` on `inputs`, by the line that computed what is stored.

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
    """The lines at which `function` stores something, and a function of the same arguments that returns the bytes of each."""
    return _Counting(function).function(function)


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


class _Counting(Instrument):
    """Adds up the bytes of what is pushed, per line that computed it."""

    def __init__(self, function: Function) -> None:
        self.whole = function
        self.spans = defining_spans(function.instrs)

    def start(self, builder: Builder) -> State:
        """A zero for every line whose values are pushed somewhere."""
        return {key: builder.const(0) for key in self.changes(self.whole.instrs)}

    def changes(self, instrs: Sequence[Instr]) -> list[Key]:
        """The lines whose values are pushed in `instrs`."""
        found: dict[Key, None] = {}
        for instr in walk(tuple(instrs)):
            if instr.op.name == "push":
                found.update(dict.fromkeys(self.key(v, instr) for v in instr.operands[1:]))
        return list(found)

    def key(self, value: Value, push: Instr) -> Key:
        return key_of(self.spans.get(value) or push.span)

    def observe(self, builder: Builder, instr: Instr, state: State) -> None:
        """Add the sizes of what a push stores."""
        if instr.op.name == "push":
            for value in instr.operands[1:]:
                key = self.key(value, instr)
                state[key] = builder.add(state[key], _size(builder, value))


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
