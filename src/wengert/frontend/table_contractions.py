"""Handlers of contractions: `einsum`, `tensordot`, `kron`. They become transposes, reshapes and matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, as_array, promote, refuse_options, result
from wengert.frontend.broadcasting import assume, unify
from wengert.frontend.elementwise import apply, write_out
from wengert.frontend.emit import fail, product_of, unsupported
from wengert.frontend.registry import PASS, handle, register
from wengert.frontend.shapes import axis_number
from wengert.frontend.table_numpy_linalg import product
from wengert.frontend.table_numpy_split import diagonal_view
from wengert.types import Affine

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass
class Term:
    """An array with a label on each axis."""

    array: Array
    labels: str


# --- einsum ----------------------------------------------------------------------------------------------------------


@register(np.einsum)
def einsum(*operands: Any, out: Any = None, optimize: Any = False, **options: Any) -> Any:
    """`np.einsum`: pairs of operands are contracted one after the other, those that share labels first."""
    if not any_box(*operands, out):
        return PASS
    refuse_options("np.einsum", dtype=(options.pop("dtype", None), None))
    if not isinstance(operands[0], str):
        operands = _from_lists(operands)
    terms, wanted = _parsed(operands[0], [as_array(x) for x in operands[1:]])
    found = _contract(_with_common_sizes([_without_repeats(t) for t in terms]), wanted)
    return found if out is None else write_out(out, found, True, "np.einsum")


def _from_lists(operands: Sequence[Any]) -> tuple[Any, ...]:
    """The form `einsum(x, [0, 1], y, [1, 2], [0, 2])` with letters in place of numbers."""

    def letters(axes: Any) -> str:
        return "".join("..." if axis is Ellipsis else _LETTERS[int(axis)] for axis in axes)

    count = len(operands) // 2
    text = ",".join(letters(operands[2 * k + 1]) for k in range(count))
    if len(operands) % 2:
        text += "->" + letters(operands[-1])
    return (text, *(operands[2 * k] for k in range(count)))


def _parsed(subscripts: str, arrays: Sequence[Array]) -> tuple[list[Term], str]:
    """The operands with their labels, and the labels of the result."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(arrays):
        fail(ValueError, "more operands provided to einstein sum function than specified in the subscripts string or fewer")
    free = [c for c in _LETTERS if c not in text]
    ranks = [a.ndim - len(p.replace("...", "")) if "..." in p else 0 for p, a in zip(parts, arrays, strict=True)]
    depth = max(ranks, default=0)
    spread = "".join(free[:depth])
    terms = []
    for labels, array, rank in zip(parts, arrays, ranks, strict=True):
        named = labels.replace("...", spread[depth - rank :]) if rank >= 0 else ""
        if len(named) != array.ndim or not all(c in _LETTERS for c in named):
            fail(ValueError, f"einstein sum subscripts string {labels!r} does not fit an operand with {array.ndim} axes")
        terms.append(Term(array, named))
    if arrow:
        wanted = right.replace("...", spread)
    else:
        everything = "".join(t.labels for t in terms)
        wanted = spread + "".join(sorted(c for c in set(everything) if everything.count(c) == 1 and c not in spread))
    missing = [c for c in wanted if not any(c in t.labels for t in terms)]
    if missing or len(set(wanted)) != len(wanted):
        fail(ValueError, f"einstein sum subscripts string has a bad result {wanted!r}")
    return terms, wanted


def _without_repeats(term: Term) -> Term:
    """Diagonals taken where a label stands twice on one operand."""
    for label in dict.fromkeys(term.labels):
        while term.labels.count(label) > 1:
            first = term.labels.index(label)
            second = term.labels.index(label, first + 1)
            term = Term(_diagonal(term.array, first, second), term.labels[:second] + term.labels[second + 1 :])
    return term


def _diagonal(x: Array, first: int, second: int) -> Array:
    size = unify(x.dims[first], x.dims[second], "dimensions in operand for a repeated label do not match:", [x.dims])
    view = diagonal_view(x, 0, first, second, size)
    perm = list(range(view.ndim - 1))
    return view.permuted((*perm[:first], view.ndim - 1, *perm[first:]))


def _with_common_sizes(terms: list[Term]) -> list[Term]:
    """Equal labels get one size; a size of 1 is repeated where another operand has more."""
    sizes: dict[str, Affine] = {}
    shapes = [t.array.dims for t in terms]
    for term in terms:
        for label, size in zip(term.labels, term.array.dims, strict=True):
            known = sizes.get(label, 1)
            what = f"operands could not be broadcast together in einsum, label {label!r}, shapes"
            sizes[label] = size if known == 1 else known if size == 1 else unify(known, size, what, shapes)
    found = []
    for term in terms:
        dims = tuple(sizes[c] for c in term.labels)
        array = term.array
        if any(have == 1 and want != 1 for have, want in zip(array.dims, dims, strict=True)):
            array = Array(as_array(handle(np.broadcast_to, array, dims)).value)
        found.append(Term(array if array.dims == dims else Array(assume(array.value, dims)), term.labels))
    return found


def _contract(terms: list[Term], wanted: str) -> Any:
    given = terms[0].array
    while len(terms) > 1:
        first, second = _next_pair(terms, wanted)
        rest = [t for k, t in enumerate(terms) if k not in (first, second)]
        needed = set(wanted).union(*(t.labels for t in rest))
        terms = [*rest, _pair(terms[first], terms[second], needed)]
    term = _summed(terms[0], set(wanted))
    order = tuple(term.labels.index(c) for c in wanted)
    moved = term.array.permuted(order)
    return moved if moved.root is given.root and moved.ndim else result(moved.value)


def _next_pair(terms: list[Term], wanted: str) -> tuple[int, int]:
    """The two operands whose contraction has the fewest axes, where possible such that share a label."""
    best: tuple[tuple[bool, int], tuple[int, int]] | None = None
    for i in range(len(terms)):
        for j in range(i + 1, len(terms)):
            needed = set(wanted).union(*(t.labels for k, t in enumerate(terms) if k not in (i, j)))
            both = set(terms[i].labels) | set(terms[j].labels)
            score = (not set(terms[i].labels) & set(terms[j].labels), len(both & needed))
            if best is None or score < best[0]:
                best = score, (i, j)
    assert best is not None
    return best[1]


def _summed(term: Term, needed: set[str]) -> Term:
    """Labels that nobody needs are summed over."""
    axes = tuple(k for k, c in enumerate(term.labels) if c not in needed)
    if not axes:
        return term
    total = as_array(handle(np.sum, term.array, axis=axes))
    if term.array.element.name == "bool":
        total = as_array(handle(np.any, term.array, axis=axes))
    return Term(total, "".join(c for c in term.labels if c in needed))


def _pair(x: Term, y: Term, needed: set[str]) -> Term:
    """The contraction of two operands."""
    x = _summed(x, needed | set(y.labels))
    y = _summed(y, needed | set(x.labels))
    shared = [c for c in x.labels if c in y.labels]
    batch = "".join(c for c in shared if c in needed)
    inner = "".join(c for c in shared if c not in needed)
    left = "".join(c for c in x.labels if c not in shared)
    right = "".join(c for c in y.labels if c not in shared)
    if not inner or not (left or right) or not promote(x.array, y.array).is_float:
        return _multiplied(x, y, batch + left + right, inner)
    first, second = _ordered(x, batch, left, inner), _ordered(y, batch, inner, right)
    found = as_array(product(first, second, "the shapes of einsum do not fit:"))
    sizes = {**dict(zip(x.labels, x.array.dims, strict=True)), **dict(zip(y.labels, y.array.dims, strict=True))}
    labels = batch + left + right
    return Term(found.reshape(tuple(sizes[c] for c in labels)), labels)


def _ordered(term: Term, *groups: str) -> Array:
    """The axes in the order of `groups`, each group flattened into one axis (an empty first group: none)."""
    order = tuple(term.labels.index(c) for group in groups for c in group)
    array = Array(term.array.permuted(order).value)
    sizes = dict(zip(term.labels, term.array.dims, strict=True))
    shape = tuple(product_of([sizes[c] for c in group]) for k, group in enumerate(groups) if group or k)
    return array.reshape(shape)


def _multiplied(x: Term, y: Term, kept: str, inner: str) -> Term:
    """Elementwise products over all labels, summed over `inner`."""
    labels = kept + inner

    def placed(term: Term) -> Array:
        order = tuple(term.labels.index(c) for c in labels if c in term.labels)
        index = tuple(slice(None) if c in term.labels else None for c in labels)
        return as_array(term.array.permuted(order)[index]) if index else term.array

    return _summed(Term(as_array(apply(np.multiply, placed(x), placed(y))), labels), set(kept))


# --- tensordot, kron -------------------------------------------------------------------------------------------------


@register(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """`np.tensordot`."""
    if not any_box(a, b):
        return PASS
    x, y = as_array(a), as_array(b)
    first, second = _axis_pairs(axes, x, y)
    if len(first) != len(second):
        fail(ValueError, "shape-mismatch for sum")
    names = iter(_LETTERS)
    left = [next(names) for _ in x.dims]
    right = [left[first[second.index(k)]] if k in second else next(names) for k in range(y.ndim)]
    kept = [c for k, c in enumerate(left) if k not in first] + [c for k, c in enumerate(right) if k not in second]
    if any((x.dims[i] == 1) != (y.dims[j] == 1) and isinstance(x.dims[i], int) and isinstance(y.dims[j], int)
           for i, j in zip(first, second, strict=True)):  # fmt: skip
        fail(ValueError, "shape-mismatch for sum")
    return _contract(_with_common_sizes([Term(x, "".join(left)), Term(y, "".join(right))]), "".join(kept))


def _axis_pairs(axes: Any, x: Array, y: Array) -> tuple[list[int], list[int]]:
    if isinstance(axes, int | np.integer):
        return list(range(x.ndim - int(axes), x.ndim)), list(range(int(axes)))
    if not isinstance(axes, tuple | list) or len(axes) != 2:
        unsupported("the axes of np.tensordot must be known while tracing", error=StagingError)
    first, second = ([a] if isinstance(a, int | np.integer) else list(a) for a in axes)
    return [axis_number(a, x.ndim) for a in first], [axis_number(a, y.ndim) for a in second]


@register(np.kron)
def kron(a: Any, b: Any) -> Any:
    """`np.kron`."""
    if not any_box(a, b):
        return PASS
    x, y = as_array(a), as_array(b)
    rank = max(x.ndim, y.ndim)
    if not rank:
        return apply(np.multiply, a, b)
    shapes = [(*(1 for _ in range(rank - v.ndim)), *v.dims) for v in (x, y)]
    first = x.reshape(tuple(d for size in shapes[0] for d in (size, 1)))
    second = y.reshape(tuple(d for size in shapes[1] for d in (1, size)))
    found = as_array(apply(np.multiply, first, second))
    shape = tuple(product_of([p, q]) for p, q in zip(*shapes, strict=True))
    return result(found.reshape(shape).value)
