"""Declarations of the primitive ops with all of their rules. Importing this package fills the registry."""

from wengert.ops import (
    control,
    custom,
    elementwise,
    index,
    linalg,
    logic,
    order,
    reduce,
    shape,
    spectral,
    systems,
    transcendental,
)

__all__ = [
    "control", "custom", "elementwise", "index", "linalg", "logic", "order", "reduce", "shape", "spectral", "systems",
    "transcendental",
]  # fmt: skip
