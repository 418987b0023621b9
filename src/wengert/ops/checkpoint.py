"""Stretches of a program that the way back computes again: the marks around them, and what reverse mode makes of these.

A stretch is traced in place, like any other code, between `checkpoint_begin` and `checkpoint_end`; so closures and writes need
no care, and passes leave the marks where they are. Reverse mode alone (`transforms/checkpoint.py`) turns a stretch into a
`checkpoint` region while it works. `recall` stands where the way back reads again what the stretch was given: a value under a
new name, so that what is computed from it is not merged with what has been computed before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wengert.errors import InternalError
from wengert.ir.core import Region, Value
from wengert.ir.op import LINEAR, op
from wengert.types import Type

Operands = Sequence[Value]
Attrs = dict[str, Any]
Regions = Sequence[Region]


def _infer_nothing(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    return ()


def _infer_checkpoint(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    raise InternalError("a checkpoint region exists within reverse mode only")


checkpoint_begin = op(
    "checkpoint_begin",
    doc="Here begins what the way back computes again; with a `budget`, only the loops up to the end are meant.",
    kind="effect",
    infer=_infer_nothing,
    impl=lambda **attrs: (),
    effects=True,
    cost=0,
)
checkpoint_end = op(
    "checkpoint_end",
    doc="Here ends what the way back computes again.",
    kind="effect",
    infer=_infer_nothing,
    impl=lambda **attrs: (),
    effects=True,
    cost=0,
)
checkpoint = op("checkpoint", doc="One region, computed again on the way back.", kind="control", infer=_infer_checkpoint)

recall = op(
    "recall",
    doc="The value itself, under a new name.",
    kind="effect",
    infer=lambda operands, attrs, regions: (operands[0].type,),
    impl=lambda x: x,
    jvp=LINEAR,
    transpose=(lambda b, ct, x: ct,),
    cost=0,
    samples=((("f64[]",), {}), (("f64[2,3]",), {})),
)
