"""The entries of a stack as words of eight bytes, laid out as compiled code does: per entry its arrays, then its scalars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.types import Affine, Dim, DType, Slot, StackType, TensorType

WORD = 8
Words = np.ndarray[Any, np.dtype[np.int64]]


def to_words(stack: Any, declared: StackType) -> Words:
    """The words of a chain of `(rest, entry)` pairs, the oldest entry first."""
    entries = []
    while stack:
        stack, entry = stack
        entries.append(entry)
    pieces: list[bytes] = []
    for entry in reversed(entries):
        parts = list(zip(entry, declared.elements, strict=True))
        for value, element in [p for p in parts if p[1].rank] + [p for p in parts if not p[1].rank]:
            found = np.ascontiguousarray(value, element.dtype.numpy).tobytes()
            pieces.append(found + bytes(-len(found) % WORD))
    return np.frombuffer(b"".join(pieces), np.int64).copy()


def from_words(words: Words, declared: StackType, size: Callable[[Affine], int]) -> Any:
    """The chain of entries in `words`; `size` knows dimensions that are not part of an entry."""
    data, end = words.tobytes(), len(words) * WORD
    entries: list[list[Any]] = []
    scalars = [k for k, e in enumerate(declared.elements) if not e.rank]
    arrays = [k for k, e in enumerate(declared.elements) if e.rank]
    while end > 0:
        entry: list[Any] = [None] * len(declared.elements)
        end -= WORD * len(scalars)
        for position, k in enumerate(scalars):
            entry[k] = _read(data, end + WORD * position, declared.elements[k].dtype, ())
        for k in reversed(arrays):
            shape = _shape(declared.elements[k], entry, size)
            count = int(np.prod(shape)) * declared.elements[k].dtype.numpy.itemsize
            end -= -(-count // WORD) * WORD
            entry[k] = _read(data, end, declared.elements[k].dtype, shape)
        entries.append(entry)
    stack: Any = ()
    for entry in reversed(entries):
        stack = (stack, tuple(entry))
    return stack


def _shape(declared: TensorType, entry: list[Any], size: Callable[[Affine], int]) -> tuple[int, ...]:
    """The sizes of an array in an entry, which may be given by scalars of the entry."""
    found = []
    for dim in declared.dims:
        total = dim.const if isinstance(dim, Dim) else dim
        for symbol, coefficient in dim.terms if isinstance(dim, Dim) else ():
            value = int(entry[symbol.index]) if isinstance(symbol, Slot) else size(Dim(0, ((symbol, 1),)))
            total += coefficient * value
        found.append(total)
    return tuple(found)


def _read(data: bytes, start: int, dtype: DType, shape: tuple[int, ...]) -> Any:
    kind = dtype.numpy
    count = int(np.prod(shape))
    flat = np.frombuffer(data[start : start + count * kind.itemsize], kind)
    return flat.reshape(shape).copy() if shape else flat[0]
