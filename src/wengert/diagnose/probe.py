"""The first number that is not finite in a compiled gradient, found at the speed of native code.

The one idea: every instruction gets a number, and an observed integer keeps that of the first one whose result is infinite
or NaN. A second run, which observes that instruction alone, keeps what it was applied to. Unlike the walk back along a tape this
says what came first, not what mattered; it serves programs that are too long for a tape.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wengert.api.lowering import lower_grad
from wengert.api.program import Program
from wengert.codegen import compile as compile_native
from wengert.diagnose.instrument import Instrument, State
from wengert.ir.builder import Builder
from wengert.ir.core import Instr, Value, walk
from wengert.types import TensorType


@dataclass(frozen=True)
class FirstBad:
    """An instruction of a gradient whose result is not finite.

    Attributes:
        instr: the instruction of the function itself; where `is_derivative`, that of which it computes the derivative.
        is_derivative: whether the bad number is a derivative.
        result: the bad number; nan for arrays.
        operands: the numbers that it was computed from, none for arrays.
    """

    instr: Instr
    is_derivative: bool
    result: float
    operands: tuple[float, ...]


def first_bad(f: Callable[..., Any], args: Sequence[Any], position: int) -> FirstBad | None:
    """The first instruction of the gradient of `f` at `args` whose result is not finite.

    Args:
        f: returns a float.
        args: its arguments.
        position: the flat position of the leaf to differentiate with respect to.
    """
    program = Program(f, functools.partial(lower_grad, what="locate", has_aux=False), strict=True)
    variant, leaves = program.variant(args, {}, [position])
    if variant is None:
        return None
    gradient, inputs = variant.function, variant.inputs(leaves)
    numbered = {instr: number for number, instr in enumerate(_float_instrs(gradient.instrs), start=1)}
    (found,) = _run(_First(numbered), gradient, inputs)
    instr = next((instr for instr, number in numbered.items() if number == found), None)
    if instr is None:
        return None
    _, result, *operands = _run(_Operands(instr), gradient, inputs)
    there = [i for i in _float_instrs(variant.traced.function.instrs) if i.span == instr.span]
    own = next((i for i in there if i.op is instr.op), None)
    if own is None and there:
        return FirstBad(max(there, key=lambda i: i.op.cost), True, result, tuple(operands))
    return FirstBad(own or instr, False, result, tuple(operands))


def _run(instrument: Instrument, gradient: Any, inputs: Sequence[Any]) -> tuple[Any, ...]:
    _, observed = instrument.function(gradient)
    return compile_native(observed)(*inputs)


def _float_instrs(instrs: Sequence[Instr]) -> list[Instr]:
    """The plain instructions that make a float, in program order."""
    return [
        i for i in walk(tuple(instrs)) if not i.regions and i.op.name != "undef" and any(r.is_float for r in i.results)
    ]


class _First(Instrument):
    """Keeps the number of the first instruction with a bad result."""

    def __init__(self, numbered: dict[Instr, int]) -> None:
        self.numbered = numbered

    def start(self, builder: Builder) -> State:
        """Nothing has been found."""
        return {"first": builder.const(0)}

    def changes(self, instrs: Sequence[Instr]) -> Sequence[str]:
        """Whether there is any float instruction."""
        return ["first"] if _float_instrs(instrs) else []

    def observe(self, builder: Builder, instr: Instr, state: State) -> None:
        """Keep the number if the result is bad and none has been kept."""
        number = self.numbered.get(instr)
        if number is None:
            return
        for result in instr.results:
            if result.is_float:
                is_first = _both(builder, builder.eq(state["first"], 0), _is_bad(builder, result))
                state["first"] = builder.select(is_first, builder.const(number), state["first"])


class _Operands(Instrument):
    """Keeps the scalar result and operands of one instruction, from the first time that its result is bad."""

    def __init__(self, instr: Instr) -> None:
        self.instr = instr
        results = [r for r in instr.results if r.is_float]
        scalars = [o for o in instr.operands if o.is_float and not o.rank]
        self.watched = [] if results[0].rank else [results[0], *scalars]

    def start(self, builder: Builder) -> State:
        """Nothing has been found."""
        return {"seen": builder.const(0), "result": builder.const(float("nan"))} | {
            k: builder.const(0.0) for k in range(len(self.watched) - 1)
        }

    def changes(self, instrs: Sequence[Instr]) -> Sequence[Any]:
        """Everything, where the instruction is."""
        if all(i is not self.instr for i in walk(tuple(instrs))):
            return []
        return ["seen", "result", *range(len(self.watched) - 1)]

    def observe(self, builder: Builder, instr: Instr, state: State) -> None:
        """Keep the numbers if the result is bad for the first time."""
        if instr is not self.instr or not self.watched:
            return
        result, *operands = self.watched
        is_first = _both(builder, builder.eq(state["seen"], 0), _is_bad(builder, result))
        state["seen"] = builder.select(is_first, builder.const(1), state["seen"])
        state["result"] = builder.select(is_first, result, state["result"])
        for k, operand in enumerate(operands):
            state[k] = builder.select(is_first, operand, state[k])


def _both(builder: Builder, x: Value, y: Value) -> Value:
    return getattr(builder, "and")(x, y)


def _is_bad(builder: Builder, value: Value) -> Value:
    """Whether a number, or any element of an array, is infinite or NaN."""
    assert isinstance(value.type, TensorType)
    if value.rank:
        value = builder.sum(builder.mul(value, 0.0), axes=tuple(range(value.rank)))
    return getattr(builder, "not")(builder.isfinite(value))
