"""Type rules that several families of ops share, and the wrapper that keeps NumPy implementations quiet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.errors import InternalError
from wengert.ir.core import Region, Value
from wengert.ir.op import Infer
from wengert.types import BOOL, F32, F64, I64, I64_SCALAR, Affine, DType, TensorType, Type

Operands = Sequence[Value]
Attrs = dict[str, Any]
Regions = Sequence[Region]

FLOAT = (F64, F32)
DOUBLE = (F64,)
INTEGER = (I64,)
NUMBER = (F64, F32, I64)
LOGICAL = (BOOL,)
ANY = (F64, F32, I64, BOOL)


def elementwise(name: str, arity: int, allowed: tuple[DType, ...], result: DType | None = None) -> Infer:
    """The type rule of an elementwise op: operands of one type among `allowed`; `result` is its dtype if it differs."""

    def infer(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
        if len(operands) != arity:
            raise InternalError(f"{name} takes {arity} operands, got {len(operands)}")
        first = operands[0].type
        if not isinstance(first, TensorType) or first.dtype not in allowed:
            raise InternalError(f"{name} takes {names(allowed)}, got {first}")
        if arity == 2 and operands[1].type is not first and operands[1].type != first:
            raise InternalError(f"{name} takes operands of one type, got {first} and {operands[1].type}")
        return (first if result is None else first.with_dtype(result),)

    return infer


def names(allowed: tuple[DType, ...]) -> str:
    """`f64 or i64`, for messages."""
    return " or ".join(d.name for d in allowed)


def tensor_of(name: str, operands: Operands, allowed: tuple[DType, ...] = ANY) -> TensorType:
    """The type of the first operand, a tensor of one of the `allowed` dtypes."""
    if not operands:
        raise InternalError(f"{name} takes an operand")
    declared = operands[0].type
    if not isinstance(declared, TensorType) or declared.dtype not in allowed:
        raise InternalError(f"{name} takes {names(allowed)}, got {declared}")
    return declared


def sizes(name: str, operands: Operands) -> tuple[Affine, ...]:
    """The dimensions that `i64[]` operands stand for."""
    found: list[Affine] = []
    for operand in operands:
        if operand.type is not I64_SCALAR and operand.type != I64_SCALAR:
            raise InternalError(f"{name} takes i64[] sizes and indices, got {operand.type}")
        found.append(operand.affine)
    return tuple(found)


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` without NumPy's floating-point warnings: IEEE results (inf, nan) are meant."""
    return np.errstate(all="ignore")(function)
