"""Comparisons, boolean and bit operations, elementwise. None of them has a derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.ir.op import NON_DIFFERENTIABLE, OpDef, op
from wengert.ops.infer import ANY, FLOAT, INTEGER, LOGICAL, elementwise, quiet
from wengert.types import BOOL, DType


def discrete(
    name: str,
    impl: Callable[..., Any],
    doc: str,
    *,
    arity: int,
    allowed: tuple[DType, ...],
    result: DType | None = None,
    smoothness: str = "integer",
    samples: tuple[Any, ...] = (-3.0, 3.0),
) -> OpDef:
    """Declare an op with discrete values."""
    return op(
        name,
        doc=doc,
        kind="elementwise",
        infer=elementwise(name, arity, allowed, result),
        impl=quiet(impl),
        jvp=NON_DIFFERENTIABLE,
        cost=1,
        smoothness=smoothness,
        samples=samples,
        extra={"dtypes": allowed, "arity": arity},
    )


def _compare(name: str, impl: Callable[..., Any], doc: str) -> OpDef:
    return discrete(name, impl, doc, arity=2, allowed=ANY, result=BOOL, smoothness="jump")


# --- comparisons (false for nan, except ne) --------------------------------------------------------------------------

lt = _compare("lt", np.less, "Whether x < y.")
le = _compare("le", np.less_equal, "Whether x <= y.")
gt = _compare("gt", np.greater, "Whether x > y.")
ge = _compare("ge", np.greater_equal, "Whether x >= y.")
eq = _compare("eq", np.equal, "Whether x == y.")
ne = _compare("ne", np.not_equal, "Whether x != y.")
attains = _compare("attains", np.equal, "Whether x == y, asked by a derivative: whether x attains the extremum y.")

# --- booleans --------------------------------------------------------------------------------------------------------

and_op = discrete("and", np.logical_and, "Both.", arity=2, allowed=LOGICAL)
or_op = discrete("or", np.logical_or, "Either or both.", arity=2, allowed=LOGICAL)
xor = discrete("xor", np.logical_xor, "Exactly one.", arity=2, allowed=LOGICAL)
not_op = discrete("not", np.logical_not, "The opposite.", arity=1, allowed=LOGICAL)

# --- bits ------------------------------------------------------------------------------------------------------------

bitand = discrete("bitand", np.bitwise_and, "Bits set in both.", arity=2, allowed=INTEGER)
bitor = discrete("bitor", np.bitwise_or, "Bits set in either.", arity=2, allowed=INTEGER)
bitxor = discrete("bitxor", np.bitwise_xor, "Bits set in exactly one.", arity=2, allowed=INTEGER)
_SHIFTS = ((-9.0, 9.0), (0.0, 5.0))
shl = discrete("shl", np.left_shift, "x * 2**y; 0 for y >= 64.", arity=2, allowed=INTEGER, samples=_SHIFTS)
shr = discrete("shr", np.right_shift, "floor(x / 2**y).", arity=2, allowed=INTEGER, samples=_SHIFTS)
invert = discrete("invert", np.invert, "-x - 1: every bit flipped.", arity=1, allowed=INTEGER)

# --- kinds of floats -------------------------------------------------------------------------------------------------

isnan = discrete("isnan", np.isnan, "Whether x is nan.", arity=1, allowed=FLOAT, result=BOOL)
isinf = discrete("isinf", np.isinf, "Whether x is infinite.", arity=1, allowed=FLOAT, result=BOOL)
isfinite = discrete(
    "isfinite", np.isfinite, "Whether x is neither infinite nor nan.", arity=1, allowed=FLOAT, result=BOOL
)
