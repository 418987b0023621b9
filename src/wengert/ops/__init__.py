"""Declarations of the primitive ops with all of their rules. Importing this package fills the registry."""

from wengert.ops import (
    bessel,
    checkpoint,
    control,
    custom,
    elementwise,
    index,
    linalg,
    logic,
    order,
    reduce,
    shape,
    special,
    spectral,
    systems,
    transcendental,
    windows,
)

__all__ = [
    "bessel", "checkpoint", "control", "custom", "elementwise", "index", "linalg", "logic", "order", "reduce", "shape", "special",
    "spectral", "systems", "transcendental", "windows",
]  # fmt: skip
