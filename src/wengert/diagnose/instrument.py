"""Rewriting a program so that it also observes itself: numbers that are updated after its instructions.

The one idea: an observation is a handful of scalars (`State`). Regions in which some of them may change take them along as
further carries and results; everything else stays as it is, so dead code elimination can drop what the observation does not need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from wengert.ir.builder import Builder
from wengert.ir.core import Function, Instr, Region, Value
from wengert.passes.pipeline import optimize

State = dict[Any, Value]
"""The current value of each observed scalar."""


class Instrument:
    """Threads a state through a function; subclasses say what is observed."""

    def start(self, builder: Builder) -> State:
        """The state at the beginning."""
        raise NotImplementedError

    def changes(self, instrs: Sequence[Instr]) -> Sequence[Any]:
        """The parts of the state that may change in `instrs`, regions included."""
        raise NotImplementedError

    def observe(self, builder: Builder, instr: Instr, state: State) -> None:
        """Update `state` after the plain instruction `instr`."""
        raise NotImplementedError

    def function(self, function: Function) -> tuple[list[Any], Function]:
        """The parts of the state, and a function of the arguments of `function` that returns their values at the end."""
        builder = Builder(function.span)
        state = self.start(builder)
        keys = list(state)
        instrs = self.block(function.instrs, state)
        results = tuple(state[key] for key in keys)
        name = f"{function.name}_observed"
        return keys, optimize(replace(function, name=name, instrs=(*builder.instrs, *instrs), results=results))

    def block(self, instrs: Sequence[Instr], state: State) -> tuple[Instr, ...]:
        """`instrs` with observations; `state` goes from before to after. Prints are left out."""
        new: list[Instr] = []
        for instr in instrs:
            if instr.op.name == "host_print":
                continue
            keys = self.changes((instr,)) if instr.regions else ()
            if keys:
                new.append(self.branch(instr, keys, state) if instr.op.name == "if" else self.loop(instr, keys, state))
                continue
            new.append(instr)
            if not instr.regions:
                builder = Builder(instr.span)
                self.observe(builder, instr, state)
                new += builder.instrs
        return tuple(new)

    def branch(self, instr: Instr, keys: Sequence[Any], state: State) -> Instr:
        arms = []
        for region in instr.regions:
            local = dict(state)
            body = self.block(region.instrs, local)
            arms.append(Region((), body, (*region.results, *(local[k] for k in keys))))
        return replace(instr, regions=tuple(arms), results=(*instr.results, *_fresh(keys, state)))

    def loop(self, instr: Instr, keys: Sequence[Any], state: State) -> Instr:
        operands = (*instr.operands, *(state[k] for k in keys))
        body = instr.regions[-1]
        local = dict(state)
        params = _fresh(keys, local)
        instrs = self.block(body.instrs, local)
        regions = [Region((*body.params, *params), instrs, (*body.results, *(local[k] for k in keys)))]
        if instr.op.name == "while":
            cond = instr.regions[0]
            unread = [Value(state[k].type, "seen") for k in keys]
            regions.insert(0, Region((*cond.params, *unread), cond.instrs, cond.results))
        results = (*instr.results, *_fresh(keys, state))
        return replace(instr, operands=operands, regions=tuple(regions), results=results)


def _fresh(keys: Sequence[Any], state: State) -> list[Value]:
    """New values for the parts `keys` of the state, which are registered in it."""
    state.update((key, Value(state[key].type, "seen")) for key in keys)
    return [state[key] for key in keys]
