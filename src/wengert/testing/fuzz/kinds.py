"""What the parameters of a program are, and random arguments' forms: dtypes, ranks, sizes, lengths.

A parameter is written as a word: `f64[n,3]` is an array, `f64` a float, `list[f64]` a list of floats, `index(n)` a whole number
that picks among n, `i64[m]@n` an array of such, `size` a whole number that becomes a size, `count` one that stays small, and
`mean|sum` a text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

SIZES = (0, 2, 2, 3, 3, 4, 5, 7, 8, 9, 12, 16, 17, 33)
SMALL = (0, 2, 2, 3, 3, 4, 5)
DTYPES = {
    "f64": "<f8", "f32": "<f4", "i64": "<i8", "bool": "|b1", "c128": "<c16", "i32": "<i4",
    "u8": "|u1", "f16": "<f2", "c64": "<c8", "swapped": ">f8", "object": "O",
}  # fmt: skip
_OFTEN = ("f64", "f32", "i64", "bool", "c128", "i32")
HUGE = (2**31 - 1, 2**31, 2**32 + 1, 2**33, 2**40, 2**47, 2**60, 2**61, 2**62, 2**63 - 1)
_NUMBERS = ("f64", "f64", "f64", "numpy", "int", "bool", "f32", "complex")
_ARRAY = re.compile(r"(\w+)\[([\w,]*)\](?:@(\w+))?")


@dataclass(frozen=True)
class Form:
    """What one argument is, apart from its values.

    Attributes:
        kind: "array", "float", "list", "index", "size", "count" or "text".
        dtype: of an array.
        shape: of an array; of a list, its length.
        limit: what an index picks among.
        value: a text, or a whole number that is part of the form.
        zero_strides: an array is a view of one element, whatever its shape.
    """

    kind: str
    dtype: str = "f64"
    shape: tuple[int, ...] = ()
    limit: int = 0
    value: str | int | None = None
    zero_strides: bool = False


@dataclass(frozen=True)
class Signature:
    """The forms of all arguments of a call.

    Attributes:
        forms: one per parameter.
        matches: whether all sizes are as the program wants them.
        huge: whether a size is astronomical, so that only some ways to fail are of interest.
        intended: whether dtypes and ranks are as the program wants them. Otherwise code that does not run may fail as well, when
            it is traced.
    """

    forms: tuple[Form, ...]
    matches: bool = True
    huge: bool = False
    intended: bool = True


def draw_signature(
    words: Sequence[str], kind: random.Random, rng: random.Random, huge: bool, plain: bool, units: bool
) -> Signature:
    """Random forms for the parameters `words`.

    Args:
        words: of the parameters.
        kind: decides about what a compilation depends on: dtypes, ranks, axes of size 1, texts, lengths of lists.
        rng: decides about the rest.
        huge: whether astronomical sizes may be drawn.
        plain: keep the ranks and dtypes that the parameters ask for.
        units: whether axes may have size 1.
    """
    symbols = sorted({s for word in words for s in re.findall(r"\b[a-z]\b", word)})
    ones = {s for s in symbols if units and kind.random() < 0.25}
    many = sum(len(found[2].split(",")) > 2 for word in words if (found := _ARRAY.fullmatch(word)))
    sizes = {s: 1 if s in ones else rng.choice(SMALL if many else SIZES) for s in symbols}
    forms = [_form(word, sizes, kind, plain) for word in words]
    wanted = [_form(word, sizes, kind, True) for word in words]
    intended = all(a == b for a, b in zip(forms, wanted, strict=True) if a.kind in ("array", "float"))
    matches = True
    arrays = [k for k, form in enumerate(forms) if form.kind == "array"]
    if arrays and rng.random() < 0.04:
        at = rng.choice(arrays)
        changed = tuple(_other(n, rng) for n in forms[at].shape)
        matches = changed == forms[at].shape
        forms[at] = replace(forms[at], shape=changed)
    if huge and rng.random() < 0.06:
        enlarged = _enlarged(forms, rng)
        if enlarged is not None:
            return Signature(tuple(enlarged), False, True)
    return Signature(tuple(forms), matches, False, intended)


def _form(word: str, sizes: dict[str, int], kind: random.Random, plain: bool) -> Form:
    if found := _ARRAY.fullmatch(word):
        dtype, names, limit = found.groups()
        if dtype == "list":
            return Form("list", "f64", (kind.choice((0, 1, 2, 3, 5)),))
        shape = tuple(int(n) if n.isdigit() else sizes[n] for n in names.split(",") if n)
        if not plain and kind.random() < 0.25:
            others = _OFTEN if kind.random() < 0.85 else tuple(DTYPES)
            dtype = kind.choice(("i64", "i32", "bool", "u8", "f64") if limit else others)
        if not plain and kind.random() < 0.06:
            shape = kind.choice([(), (*shape, 2), shape[1:], (1, *shape)])
        return Form("array", dtype, shape, sizes.get(limit, 0) if limit else 0)
    if word.startswith("index("):
        return Form("index", limit=sizes[word[6:-1]])
    if "|" in word:
        return Form("text", value=kind.choice(word.split("|")))
    if word == "f64":
        return Form("float", dtype="f64" if plain else kind.choice(_NUMBERS))
    if word in ("size", "count"):
        return Form(word)
    raise ValueError(f"no parameter is written as {word!r}")


def _other(size: int, rng: random.Random) -> int:
    """Another size, of 1 only where it was 1."""
    return size if size == 1 or rng.random() < 0.4 else rng.choice((0, 2, 3, size + 2, 5 * size + 2))


def _enlarged(forms: list[Form], rng: random.Random) -> list[Form] | None:
    """`forms` with one size that no memory holds; None if there is no place for it."""
    places = [k for k, form in enumerate(forms) if form.kind == "size" or (form.kind == "array" and form.shape)]
    if not places:
        return None
    at = rng.choice(places)
    form = forms[at]
    if form.kind == "size":
        forms[at] = replace(form, value=rng.choice((-1, 1)) * rng.choice(HUGE))
        return forms
    shape = list(form.shape)
    axis = rng.randrange(len(shape))
    shape[axis] = rng.choice(HUGE)
    if len(shape) > 1 and rng.random() < 0.5:
        shape[axis - 1] = rng.choice((0, 2**31, 2**33))
    if 0 in shape:
        shape = [min(n, 1000) for n in shape]  # loops run over what is around nothing
    forms[at] = replace(form, shape=tuple(shape), zero_strides=True)
    return forms
