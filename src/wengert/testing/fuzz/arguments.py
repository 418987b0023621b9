"""Random arguments of given forms: values with NaN and infinities, every layout in memory, indices in and out of range.

The one idea: an argument is drawn from a generator that is seeded for this call, so a call can be made again alone.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from wengert.testing.fuzz.guarded import Arena
from wengert.testing.fuzz.kinds import DTYPES, HUGE, Form, Signature

LAYOUTS = (
    "end", "end", "end", "start", "start", "heap", "steps", "reversed", "fortran", "read only", "misaligned", "repeated",
    "own dtype",
)  # fmt: skip
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -1e-310, 1e308, -1.7e308, 1.0, -1.0, 2.0**31, 2.0**53, 709.8)
FAR = (2**31 - 1, 2**31, -(2**31) - 1, 2**62, 2**63 - 1, -(2**63), -(2**63) + 1, 10**6)
_WITH_METADATA = [np.dtype(DTYPES[name], metadata={"own": True}) for name in ("f64", "f32", "i64", "bool")]


@dataclass
class Arguments:
    """The arguments of one call.

    Attributes:
        values: the arguments.
        arenas: the memory that arrays among them lie in, where that is guarded.
        tame: no value is NaN, infinite or of an extreme size.
    """

    values: list[Any]
    arenas: list[Arena]
    tame: bool

    def snapshot(self) -> list[bytes]:
        """What the guarded memory holds, around the arrays and in them."""
        return [arena.bytes.tobytes() for arena in self.arenas]

    def restore(self, snapshot: Sequence[bytes]) -> None:
        """Put back what the guarded memory held."""
        for arena, held in zip(self.arenas, snapshot, strict=True):
            arena.bytes[:] = np.frombuffer(held, np.uint8)


class Source:
    """Draws arguments; owns the guarded memory.

    Args:
        most: how many arrays a call has at most.
    """

    def __init__(self, most: int) -> None:
        self.arenas = [Arena(4) for _ in range(most)]

    def draw(self, signature: Signature, seed: int, whole: int, batch: int | None = None) -> Arguments:
        """Arguments of these forms.

        Args:
            signature: the forms.
            seed: of this call.
            whole: seed of the whole numbers.
            batch: make every argument an array of this many examples.
        """
        rng, wholes = random.Random(seed), random.Random(whole)
        numbers = np.random.Generator(np.random.PCG64(seed))
        tame = rng.random() < 0.85
        used: list[Arena] = []
        values = []
        for form, arena in zip(signature.forms, self.arenas, strict=False):
            if batch is not None and form.kind == "count":  # of moderate size, as Python goes through all
                values.append(np.array([_other(form, rng, tame) for _ in range(batch)], dtype=np.int64))
                continue
            if batch is not None and form.kind in ("float", "index"):
                form = Form("array", {"float": "f64"}.get(form.kind, "i64"), (), form.limit)
            if form.kind == "array":
                shape = form.shape if batch is None else (batch, *form.shape)
                values.append(_array(form, shape, rng, numbers, tame, arena, used))
            else:
                values.append(_other(form, wholes if form.kind in ("index", "count", "size") else rng, tame))
        return Arguments(values, used, tame)


def _other(form: Form, rng: random.Random, tame: bool) -> Any:
    """An argument that is no array."""
    if form.kind == "text" or form.value is not None:
        return form.value
    if form.kind == "list":
        return [_number(rng, tame) for _ in range(form.shape[0])]
    if form.kind == "float":
        return _float(form.dtype, _number(rng, tame))
    if form.kind == "count":
        return rng.choice((-3, 0, 1, 2, 3, 5, 8, 13))
    if form.kind == "size":
        return rng.choice((-2, 0, 1, 2, 3, 5, 8, 20))
    return _index(form.limit, rng)


def _float(dtype: str, number: float) -> Any:
    """A number in one of its forms."""
    if dtype == "int":
        return round(number) if abs(number) < 2**62 else 3
    if dtype == "f32":
        return np.float32(number)
    return {"f64": number, "numpy": np.float64(number), "bool": number > 0, "complex": complex(number, 1.0)}[dtype]


def _number(rng: random.Random, tame: bool) -> float:
    return rng.choice(SPECIAL) if not tame and rng.random() < 0.3 else rng.gauss(0.0, 2.0)


def _index(limit: int, rng: random.Random) -> int:
    draw = rng.random()
    if draw < 0.8 and limit:
        return rng.randrange(-limit, limit)
    return rng.choice((limit, -limit - 1, limit + 1, -limit - 2)) if draw < 0.93 else rng.choice((*FAR, *HUGE))


def _array(
    form: Form,
    shape: tuple[int, ...],
    rng: random.Random,
    numbers: np.random.Generator,
    tame: bool,
    arena: Arena,
    used: list[Arena],
) -> np.ndarray:
    """An array in some layout; what is guarded is added to `used`."""
    if form.zero_strides:
        return _one_element(form, shape, rng)
    content = _content(form, shape, rng, numbers, tame)
    layout = rng.choice(LAYOUTS)
    if content.dtype.hasobject or layout == "heap" or content.nbytes * 2 + 64 > len(arena.bytes):
        return content
    used.append(arena)
    if layout == "repeated" and content.ndim:
        return np.broadcast_to(_placed(content[:1], arena, "end"), shape)
    return _placed(content, arena, layout)


def _placed(content: np.ndarray, arena: Arena, layout: str) -> np.ndarray:
    """`content` in guarded memory, in a layout."""
    dtype, shape, size = content.dtype, content.shape, content.nbytes
    if layout == "misaligned":
        found = arena.room(size, True, 1).view(dtype).reshape(shape)
    elif layout == "steps" and shape:
        found = arena.room(2 * size, True).view(dtype).reshape(*shape[:-1], 2 * shape[-1])[..., 1::2]
    elif layout == "reversed" and shape:
        found = arena.room(size, False).view(dtype).reshape(shape)[::-1]
    elif layout == "fortran":
        found = arena.room(size, True).view(dtype).reshape(shape[::-1]).T
    else:
        found = arena.room(size, layout != "start").view(dtype).reshape(shape)
    found[...] = content
    if layout == "read only":
        found.flags.writeable = False
    if layout == "own dtype":
        own = [d for d in _WITH_METADATA if d == dtype]
        found = found.view(own[0]) if own else found
    return found


def _content(form: Form, shape: tuple[int, ...], rng: random.Random, numbers: np.random.Generator, tame: bool) -> np.ndarray:
    dtype = np.dtype(DTYPES[form.dtype])
    # Integers of fewer bits are taken as int64: sums of large ones wrap around elsewhere.
    if form.limit or (dtype.kind in "iu" and dtype.itemsize == 8 and rng.random() < 0.5):
        found = _indices(form.limit or 4, shape, rng, numbers)
        return found.astype(dtype) if dtype.kind != "b" else found > 0
    if dtype.kind in "iu":
        return numbers.integers(0 if dtype.kind == "u" else -9, 10, shape).astype(dtype)
    if dtype.kind == "b":
        return numbers.random(shape) < 0.5
    found = numbers.standard_normal(shape)
    if rng.random() < 0.2:
        found = np.round(found)  # equal entries
    if not tame:
        found = np.where(numbers.random(shape) < 0.2, numbers.choice(SPECIAL, shape), found)
    if dtype.kind == "c":
        found = found + 1j * numbers.standard_normal(shape)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.asarray(found).astype(dtype)


def _indices(limit: int, shape: tuple[int, ...], rng: random.Random, numbers: np.random.Generator) -> np.ndarray:
    found = numbers.integers(-limit, limit, shape)
    if found.size and rng.random() < 0.15:
        found = np.array(found)
        found.reshape(-1)[rng.randrange(found.size)] = _index(limit, rng)
    return np.asarray(found)


def _one_element(form: Form, shape: tuple[int, ...], rng: random.Random) -> np.ndarray:
    """An array of any shape that is one element in memory; of fewer axes where NumPy refuses the shape."""
    element = np.ones((), DTYPES[form.dtype])
    try:
        if rng.random() < 0.5:
            return np.broadcast_to(element, shape)
        return as_strided(element, shape, (0,) * len(shape))
    except (ValueError, OverflowError):
        return np.broadcast_to(element, tuple(min(n, 2**40 if k == 0 else 2) for k, n in enumerate(shape)))
