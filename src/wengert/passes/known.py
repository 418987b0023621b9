"""What can be read off definitions: constants, splats (a scalar repeated), the operation behind a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wengert.ir.core import Instr, Value
from wengert.ir.rewriter import RewriteBuilder
from wengert.types import DType, TensorType


@dataclass(frozen=True)
class Known:
    """Answers from `defs`, the instruction behind each value.

    Attributes:
        defs: the definitions.
        overwritten: arrays that an instruction further up may have overwritten in place; reading them here would cost a copy.
    """

    defs: dict[Value, Instr]
    overwritten: set[Value] = field(default_factory=set)

    def behind(self, value: Value, op_name: str) -> Instr | None:
        """The instruction that defines `value`, if it is an `op_name`."""
        instr = self.defs.get(value)
        return instr if instr is not None and instr.op.name == op_name else None

    def constant(self, value: Value) -> Any:
        """The Python number that `value` holds (everywhere, if it is an array), or None."""
        instr = self.defs.get(value)
        if instr is None:
            return None
        if instr.op.name == "const":
            return instr.attrs["value"]
        if instr.op.name == "broadcast":
            inner = self.defs.get(instr.operands[0])
            return inner.attrs["value"] if inner is not None and inner.op.name == "const" else None
        return None

    def splat(self, value: Value) -> Instr | None:
        """The `broadcast` of a scalar that defines the array `value`, or None."""
        instr = self.behind(value, "broadcast")
        return instr if instr is not None and not instr.operands[0].rank else None


Rule = Callable[[Known, RewriteBuilder, Instr], "Value | None"]


def fill(known: Known, b: RewriteBuilder, model: Instr, value: Any, dtype: DType) -> Value | None:
    """`value` in the shape of the result of `model`: its sizes are taken from an operand that is a splat, or are static."""
    declared = model.result.type
    assert isinstance(declared, TensorType)
    if not declared.rank:
        return b.const(value, dtype)
    for operand in model.operands:
        splat = known.splat(operand)
        if splat is not None and operand.dims == declared.dims:
            return spread(b, b.const(value, dtype), splat)
    return b.full(declared.dims, value, dtype)


def spread(b: RewriteBuilder, scalar: Value, like: Instr) -> Value:
    """`scalar` repeated in the shape of the `broadcast` instruction `like`."""
    return b.broadcast(scalar, *like.operands[1:], axes=())
