"""Structural equality of functions: the same instructions in the same order, up to the identity of values, names and spans."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from wengert.ir.core import Function, Instr, Region, Value
from wengert.types import Affine, StackType, TensorType, dim_of


def same(fn_a: Function, fn_b: Function) -> bool:
    """Whether two functions are equal up to the names, serials and source lines of their values.

    The name of the outermost function and private attributes (`_...`) do not count either.
    """
    if fn_a.functions.keys() != fn_b.functions.keys():
        return False
    pairs = [(fn_a, fn_b), *((f, fn_b.functions[name]) for name, f in fn_a.functions.items())]
    return all(len(a.dims) == len(b.dims) and _Matcher().region(a.body, b.body) for a, b in pairs)


class _Matcher:
    """Walks two functions side by side, pairing the values they define."""

    def __init__(self) -> None:
        self.pairs: dict[Value, Value] = {}

    def region(self, a: Region, b: Region) -> bool:
        return (
            self.define(a.params, b.params)
            and len(a.instrs) == len(b.instrs)
            and all(self.instr(x, y) for x, y in zip(a.instrs, b.instrs))
            and self.use(a.results, b.results)
        )

    def instr(self, a: Instr, b: Instr) -> bool:
        return (
            a.op is b.op
            and self.use(a.operands, b.operands)
            and len(a.regions) == len(b.regions)
            and self.attributes(_public(a.attrs), _public(b.attrs))
            and all(self.region(x, y) for x, y in zip(a.regions, b.regions))
            and self.define(a.results, b.results)
        )

    def use(self, a: Sequence[Value], b: Sequence[Value]) -> bool:
        return len(a) == len(b) and all(self.pairs.get(x, x) is y for x, y in zip(a, b))

    def define(self, a: Sequence[Value], b: Sequence[Value]) -> bool:
        if len(a) != len(b):
            return False
        self.pairs.update(zip(a, b))
        return all(self.attributes(x.type, y.type) for x, y in zip(a, b))

    def attributes(self, a: Any, b: Any) -> bool:
        """Equality of attribute values, in which types and dimensions refer to paired values; NaN equals NaN."""
        if isinstance(a, TensorType | StackType) and isinstance(b, TensorType | StackType):
            return a.substitute(self.symbol) == b
        if isinstance(a, tuple | list) and type(a) is type(b):
            return len(a) == len(b) and all(self.attributes(x, y) for x, y in zip(a, b))
        if isinstance(a, dict) and isinstance(b, dict):
            return a.keys() == b.keys() and all(self.attributes(a[k], b[k]) for k in a)
        if isinstance(a, float) and isinstance(b, float):
            return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1.0, a) == math.copysign(1.0, b))
        return type(a) is type(b) and bool(a == b)

    def symbol(self, symbol: Any) -> Affine | None:
        paired = self.pairs.get(symbol)
        return None if paired is None else dim_of(paired)


def _public(attrs: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in attrs.items() if not k.startswith("_")}
