"""Handlers of NumPy functions that ask for dtypes, and of the helper that NumPy's own Python code takes its arguments with."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, as_array, is_box, stand_in
from wengert.frontend.registry import PASS, register
from wengert.frontend.scalars import Scalar


@register(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> Any:
    """`np.result_type`."""
    return np.result_type(*map(stand_in, arrays_and_dtypes)) if any_box(arrays_and_dtypes) else PASS


@register(np.common_type)
def common_type(*arrays: Any) -> Any:
    """`np.common_type`: float64, as all arrays here are real."""
    return np.float64 if any_box(arrays) else PASS


@register(np.can_cast)
def can_cast(from_: Any, to: Any, casting: Any = "safe") -> Any:
    """`np.can_cast` of the dtype of a box."""
    return np.can_cast(stand_in(from_), to, casting) if is_box(from_) else PASS


class Converter:
    """Takes arguments apart into arrays, and gives results the kind that the arguments had."""

    def __init__(self, *args: Any) -> None:
        self.given = args
        self.arrays = tuple(map(as_array, args))
        self.scalar_input = tuple(not isinstance(a, list | tuple | np.ndarray | Array) for a in args)

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, k: Any) -> Any:
        return self.arrays[k]

    def as_arrays(self, *, subok: bool = True, pyscalars: str = "convert_if_no_array") -> tuple[Any, ...]:
        """The arguments as arrays; Python numbers beside arrays may stay what they are."""
        if pyscalars == "convert" or all(self.scalar_input):
            return self.arrays
        pairs = zip(self.arrays, self.given, strict=True)
        return tuple(g if isinstance(g, Scalar | float | int) and not isinstance(g, np.generic) else a for a, g in pairs)

    def result_type(self, extra_dtype: Any = None, ensure_inexact: bool = False) -> Any:
        """The dtype that the arguments have together."""
        found = np.result_type(*map(stand_in, self.given), *([] if extra_dtype is None else [extra_dtype]))
        return np.result_type(found, np.float64) if ensure_inexact else found

    def wrap(self, arr: Any, /, to_scalar: Any = None) -> Any:
        """`arr` as a number where all arguments were, or where `to_scalar` says so."""
        to_scalar = all(self.scalar_input) if to_scalar is None else to_scalar
        return arr[()] if to_scalar and isinstance(arr, Array) and not arr.dims else arr


def _register_converter() -> None:
    found = getattr(getattr(np, "_core", None), "_multiarray_umath", None)
    kind = getattr(found, "_array_converter", None)
    if kind is not None:
        register(kind)(lambda *args: Converter(*args) if any_box(args) else PASS)


_register_converter()
