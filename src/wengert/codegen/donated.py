"""Array arguments whose memory a function may overwrite: results that were to become them are stored there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from wengert.ir.core import Function, Instr, Value, free_values
from wengert.ir.op import get_op

_MADE_IN_PLACE = frozenset({"for", "while", "if", "call", "update", "add_at"})
"""What makes its result in memory of its own choice, which is that of an argument where this can be."""


def in_arguments(function: Function, donated: Mapping[int, int]) -> Function:
    """`function` with results that are computed element by element stored into the arguments that they are to become.

    Args:
        function: the function.
        donated: parameters that may be overwritten, each with the result that it is to become.
    """
    makers = {value: instr for instr in function.instrs for value in instr.results}
    instrs, results = list(function.instrs), list(function.results)
    for k, position in donated.items():
        param, found = function.params[k], results[position]
        maker = makers.get(found)
        if found is param or (maker is not None and maker.op.name in _MADE_IN_PLACE):
            continue
        results[position] = stored = Value(param.type, param.name)
        span = maker.span if maker is not None else function.span
        instrs.append(Instr(get_op("update"), (param, found), (stored,), {"spec": (":",) * param.rank}, (), span))
    return replace(function, instrs=tuple(instrs), results=tuple(results))


def raises_in_time(function: Function, donated: Mapping[int, int], raising: Sequence[Instr]) -> bool:
    """Whether the instructions that may raise all come before the first one that may write to an argument.

    A call that raises leaves its arguments as they were: they may be passed to another way of running the function.
    """
    arguments = {function.params[k] for k in donated}
    for position, instr in enumerate(function.instrs):
        written = instr.operands[:1] if instr.op.name in ("update", "add_at") else instr.operands if instr.regions else ()
        inside = (v for region in instr.regions for v in free_values(region))
        if any(v in arguments for v in (*written, *inside)):
            before = set(function.instrs[:position])
            return all(instr in before for instr in raising)
    return True
