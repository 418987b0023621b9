"""Where arms of a branch leave nothing but numbers: they have no structure and share nothing with others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np

from wengert.frontend.boxes import box, lift_as
from wengert.frontend.context import Trace
from wengert.frontend.forms import SCALARS, TRACED, Form, Leaf, is_same
from wengert.frontend.scalars import Scalar, kinds_of
from wengert.frontend.staging_forms import form_of
from wengert.frontend.staging_state import Outcome
from wengert.ir.core import Value

Plan = tuple[str, Any, Any, Callable[[Any], None]]
"""What to merge: what messages call it, what each arm has left, and what takes the merged value."""
NUMBERS: Final = frozenset({Scalar, float, int, bool, np.float64})


class Merger(Protocol):
    """What is needed of a branch."""

    trace: Trace

    def join(self, label: str, a: Form, b: Form) -> Form:
        """The form of both values."""

    def emit_if(
        self, first: Outcome, a: Sequence[Value], second: Outcome, b: Sequence[Value], names: Sequence[str] = ()
    ) -> tuple[Value, ...]:
        """Emit the instruction."""


def merge_numbers(branch: Merger, plans: Sequence[Plan], first: Outcome, second: Outcome) -> bool:
    """Merge what the arms have left, if it is nothing but numbers, at least one of each pair traced or other than its partner.

    Returns:
        False, with nothing done, where that is not so.
    """
    leaves: list[Leaf] = []
    for label, a, b, _ in plans:
        leaf = _common_leaf(branch, label, a, b) if type(a) in NUMBERS and type(b) in NUMBERS else None
        if leaf is None:
            return False
        leaves.append(leaf)
    lefts = _lowered(branch.trace, first, leaves, [a for _, a, _, _ in plans])
    rights = _lowered(branch.trace, second, leaves, [b for _, _, b, _ in plans])
    differing = [k for k, (x, y) in enumerate(zip(lefts, rights)) if x is not y]
    names = [plans[k][0].strip("'") for k in differing]
    emitted = branch.emit_if(first, [lefts[k] for k in differing], second, [rights[k] for k in differing], names)
    for k, value in zip(differing, emitted, strict=True):
        lefts[k] = value
    for leaf, plan, value in zip(leaves, plans, lefts):
        plan[3](box(value, leaf.numpy) if leaf.kinds is None else Scalar(value, leaf.numpy, leaf.kinds))
    return True


def _common_leaf(branch: Merger, label: str, a: Any, b: Any) -> Leaf | None:
    """The leaf of a number that is one of two; None where it stays static."""
    x, y = _class_of(a), _class_of(b)
    if x is y and x is not None:
        return None if type(a) is not Scalar and type(b) is not Scalar and is_same(a, b) else x
    if type(a) is Scalar and type(b) is Scalar and a.value.type == b.value.type:
        kinds = kinds_of(a) | kinds_of(b)
        return Leaf("scalar", a.value.tensor, a.numpy or b.numpy, None, kinds if len(kinds) > 1 else None)
    leaf = branch.join(label, form_of(a), form_of(b)).leaves[0]
    return leaf if leaf.kind == "scalar" else None


def _class_of(number: Any) -> Leaf | None:
    """The leaf of traced numbers of the class of this one, if that is sure."""
    if type(number) is Scalar:
        return SCALARS[number.value.tensor.dtype, number.numpy] if number.kinds is None else None
    return TRACED[type(number)]


def _lowered(trace: Trace, arm: Outcome, leaves: Sequence[Leaf], numbers: Sequence[Any]) -> list[Value]:
    """Numbers that an arm has left, as values in it."""
    found: list[Value] = []
    with trace.building(arm.builder):
        for leaf, number in zip(leaves, numbers):
            assert leaf.type is not None
            value = lift_as(number, leaf.type.dtype)
            arm.builder.check_scope(value)
            found.append(value)
    return found
