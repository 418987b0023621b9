"""Common subexpression elimination: of two equal pure instructions the first one serves both.

A region sees what the regions around it have computed before it; what it computes itself is forgotten behind it. Integers are
equal when their affine forms are. Effects, stacks, regions and `undef` are never merged.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable
from typing import Any

from wengert.ir.calls import has_effects
from wengert.ir.core import Function, Instr, Region, Value
from wengert.ir.rewriter import RewriteBuilder, Rewriter
from wengert.types import I64_SCALAR, StackType

_COMMUTATIVE = frozenset(
    {"add", "mul", "zmul", "maximum", "minimum", "eq", "ne", "and", "or", "xor", "bitand", "bitor", "bitxor", "hypot"}
)
_KINDS_LEFT_ALONE = frozenset({"stack", "control", "effect"})


def cse(fn: Function) -> Function:
    """`fn` in which no pure value is computed twice on one path."""
    return _Merger().function(fn)


def is_pure(instr: Instr) -> bool:
    """Whether equal operands give equal results and leaving it out changes nothing else; regions do not count as pure."""
    return not instr.op.effects and not instr.regions and instr.op.kind not in _KINDS_LEFT_ALONE


class _Merger(Rewriter):
    """Keeps the available values in a table; entries that a region made are taken back at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.available: dict[Hashable, tuple[Value, ...]] = {}
        self.added: list[Hashable] = []

    def region(self, region: Region) -> Region:
        mark = len(self.added)
        new = super().region(region)
        for key in self.added[mark:]:
            del self.available[key]
        del self.added[mark:]
        return new

    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        new = self.rebuild(instr)
        if is_pure(new) and len(new.results) == 1 and new.op.name != "undef":
            key = value_key(new)
            first = self.available.get(key)
            if first is not None and self.can_replace(instr.result, first[0]):
                self.replace(instr, *first)
                return
            if first is None:
                self.note(key, new)
        elif _is_pure_call(new):
            key = ("call", new.operands, freeze(new.attrs))
            first = self.available.get(key)
            if first is not None and self.same_results(instr, first):
                return
            if first is None:
                self.note(key, new)
        b.append(new)

    def note(self, key: Hashable, instr: Instr) -> None:
        """Make the results of `instr` available."""
        self.available[key] = instr.results
        self.added.append(key)

    def same_results(self, instr: Instr, values: tuple[Value, ...]) -> bool:
        """Make the results of a call become `values` (sizes first, as types refer to them); False if they cannot."""
        for done, (old, new) in enumerate(zip(instr.results, values, strict=True)):
            if not self.can_replace(old, new):
                for again in instr.results[:done]:
                    del self.env[again]
                return False
            self.env[old] = new
        return True


def _is_pure_call(instr: Instr) -> bool:
    """Whether a call may be merged with an equal one: no effects, no stacks."""
    if instr.op.name != "call" or has_effects(instr):
        return False
    return not any(isinstance(v.type, StackType) for v in (*instr.operands, *instr.results))


def value_key(instr: Instr) -> Hashable:
    """Equal for instructions that compute the same value."""
    result = instr.results[0] if instr.results else None
    if result is not None and result.type == I64_SCALAR:
        form = result.affine
        if isinstance(form, int) or form.terms != ((result, 1),):
            return ("affine", form)
    operands = instr.operands
    if instr.op.name in _COMMUTATIVE and operands[0].serial > operands[1].serial:
        operands = operands[::-1]
    return (instr.op.name, operands, freeze(instr.attrs))


def freeze(attribute: Any) -> Hashable:
    """An attribute as something hashable; floats by their bits, private entries of dictionaries by identity."""
    if isinstance(attribute, dict):
        return tuple((k, id(v) if k.startswith("_") else freeze(v)) for k, v in sorted(attribute.items()))
    if isinstance(attribute, list | tuple):
        return tuple(map(freeze, attribute))
    if isinstance(attribute, float):
        return struct.pack("d", attribute)
    if isinstance(attribute, Hashable):
        return (type(attribute), attribute)
    return id(attribute)
