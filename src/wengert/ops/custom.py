"""Calls of functions with a derivative rule of their own, and the markers by which transforms put the rule in place.

`custom` stands in a program until it is differentiated or compiled. A transform that has to differentiate it puts the rule in
line between markers, and takes the markers out again when it is done (`transforms/custom.py`): `detach` hides a value from the
derivative in progress, `shadow` stands for its tangent, `attach` says what tangent a result has; a pullback written by the user
stays whole as `with_pullback`, whose linear part is `pullback`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert.errors import InternalError
from wengert.ir.core import Function, Instr, Value
from wengert.ir.op import LINEAR, NON_DIFFERENTIABLE, NOT_YET, op
from wengert.ops.infer import Attrs, Operands, Regions
from wengert.types import I64_SCALAR, Affine, Dim, Symbol, Type


@dataclass(frozen=True, eq=False)
class Pullback:
    """A rule for reverse mode.

    Attributes:
        fwd: from the operands to the results, then what the pullback needs (residuals).
        bwd: from the kept operands and residuals, then a cotangent per float result, to a cotangent per differentiable operand.
        kept: which of the operands (numbered first) and residuals `bwd` takes.
    """

    fwd: Function
    bwd: Function
    kept: tuple[int, ...]


@dataclass(eq=False)
class CustomRule:
    """What a `custom` instruction means, and its derivative.

    Attributes:
        name: of the user's function.
        primal: the function itself, of all operands.
        differentiable: positions of the operands that the rule gives a derivative for.
        hidden: why other operands have none, by position.
        forward: gives a function of the operands and a tangent per differentiable one; it returns the results, then a tangent
            per float result. Raises where the rule cannot be used.
        pullback: gives the rule for reverse mode, or None if `forward` serves there too.
    """

    name: str
    primal: Function
    differentiable: tuple[int, ...]
    hidden: dict[int, str]
    forward: Callable[[], Function]
    pullback: Callable[[], Pullback | None]

    def reached(self, instr: Instr) -> range:
        """Positions of the operands that the results depend on."""
        return range(len(instr.operands))

    def types(self, operands: Sequence[Value]) -> tuple[Type, ...]:
        """The types of the results on these operands."""
        if len(operands) != len(self.primal.params):
            raise InternalError(f"{self.name} takes {len(self.primal.params)} operands, got {len(operands)}")
        return result_types(self.primal, operands)


def result_types(function: Function, operands: Sequence[Value]) -> tuple[Type, ...]:
    """The types of the results of a function with `dims`, on these operands."""
    known: dict[Symbol, Affine] = {}
    for param, operand in zip(function.params, operands, strict=True):
        if param.type == I64_SCALAR:
            known[param] = operand.affine
        for declared, actual in zip(param.dims, operand.dims, strict=True):
            if isinstance(declared, Dim) and declared.const == 0 and len(declared.terms) == 1:
                symbol, coefficient = declared.terms[0]
                if coefficient == 1:
                    known.setdefault(symbol, actual)
    return tuple([r.type.substitute(known) for r in function.results])


def _infer_custom(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    rule = attrs["_rule"]
    found: tuple[Type, ...] = rule.types(operands)
    return found


custom = op(
    "custom",
    doc="Call a function that has a derivative rule of its own.",
    kind="effect",
    infer=_infer_custom,
    effects=True,
    jvp=NOT_YET("its rule was not put in place"),
)


# --- markers ---------------------------------------------------------------------------------------------------------


def _same(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    return (operands[0].type,)


def _passes_on(b: Any, out: Value, *operands_and_tangent: Value, **attrs: Any) -> Value:
    return operands_and_tangent[-1]


detach = op("detach", doc="The value, without a tangent.", kind="shape", infer=_same, impl=lambda x: x, jvp=NON_DIFFERENTIABLE)
shadow = op("shadow", doc="Zero, with the tangent of x.", kind="shape", infer=_same, impl=np.zeros_like, jvp=(_passes_on,))
attach = op(
    "attach", doc="x, with the tangent of t.", kind="shape", infer=_same, impl=lambda x, t: x, jvp=(None, _passes_on)
)


def _infer_with_pullback(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    return tuple([o.type for o in operands[: attrs["outs"]]])


with_pullback = op(
    "with_pullback",
    doc="The first operands (`outs` of them); then come what the pullback reads, and what it gives cotangents of (`moving`).",
    kind="effect",
    infer=_infer_with_pullback,
    effects=True,
    jvp=LINEAR,
)


def _infer_pullback(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    return tuple(attrs["elements"])


pullback = op("pullback", doc="The linear part of `with_pullback`.", kind="effect", infer=_infer_pullback, jvp=LINEAR)
