"""What call sites know of a function in reverse mode: which values its way back reads, its stacks, its two halves.

A function f becomes `f_fwd(args, stacks) -> (results, stacks)`, which pushes what its reverse needs, and `f_bwd(inputs, sizes,
cotangents, gathered, stacks) -> (cotangents of args, stacks)`, which pops it in the opposite order. Arguments of f are not
stored: the reversed caller passes those that are read once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from wengert.ir.calls import Signature, bind_symbols
from wengert.ir.core import Function, Instr, Value
from wengert.transforms.linearize import Block, CallKey, Split
from wengert.types import Affine, Dim, StackType


@dataclass(eq=False)
class ReverseCallee:
    """A function that a call leads to, for one pattern of active parameters and results.

    Attributes:
        key: name and pattern.
        fn: a copy of the function.
        own: stands for the function's block among the keys of stacks.
        block: its linearised block.
        tangents: the tangents of the active parameters, in the order of the pattern.
        inputs: sizes and parameters that the way back reads.
        sizes: sizes made inside that types of cotangents refer to: by position among the results, the parameter of the way back.
        stacks: keys of all stacks that it threads, those of its own callees included.
        names: of the way there and the way back.
        signatures: of both.
        bars: parameters of the way back for cotangents of the active results.
        gathered: parameters of the way back for what active arrays have gathered so far, by position among the parameters.
    """

    key: CallKey
    fn: Function
    own: Split
    block: Block
    tangents: list[Value]
    inputs: list[Value] = field(default_factory=list)
    sizes: dict[int, Value] = field(default_factory=dict)
    stacks: list[Split] = field(default_factory=list)
    names: tuple[str, str] = ("", "")
    signatures: tuple[Signature, Signature] | None = None
    bars: list[Value] = field(default_factory=list)
    gathered: dict[int, Value] = field(default_factory=dict)

    def needs(self, instr: Instr) -> Iterator[Value]:
        """Values of the caller that the reversed call `instr` reads."""
        for value in self.inputs:
            found = self.argument(instr, value)
            if isinstance(found, Value):
                yield found
                found_dims: tuple[Affine, ...] = () if isinstance(found.type, StackType) else found.dims
            else:
                found_dims = (found,)
            for d in found_dims:
                yield from _symbols(d)
        for k in self.sizes:
            yield instr.results[k]
        for k in self.key.moving:
            operand = instr.operands[k]
            yield from (s for s in operand.type.symbols() if isinstance(s, Value))

    def argument(self, instr: Instr, value: Value) -> Value | Affine:
        """What `value`, a parameter or a size of the callee, is at the call `instr`: an operand, or an expression."""
        if value in self.fn.params:
            return instr.operands[self.fn.params.index(value)]
        signature = instr.attrs["_signature"]
        assert isinstance(signature, Signature)
        return bind_symbols(signature, instr.operands)[signature.dims[self.fn.dims.index(value)]]


def _symbols(d: Affine) -> Iterator[Value]:
    if isinstance(d, Dim):
        yield from (s for s, _ in d.terms if isinstance(s, Value))


ReverseCallees: TypeAlias = Mapping[CallKey, ReverseCallee]
"""The callees of a program in reverse mode."""
