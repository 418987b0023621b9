"""How arrays lie in memory in NumPy, which decides whether a reshaped array is a view or a copy.

`np.reshape` gives a view where the strides allow it. IR values have no strides, so here is what is known of them:

- Eagerly, from the arrays at hand: a new array is laid out as NumPy lays it out (`np.sin(x.T)` by columns, `x.T.copy()` by
  rows), a caller's array as it is.
- While tracing, new arrays and arguments are taken to lie row after row. Where it matters, as an array is both reshaped and
  written to, `arguments_by_rows` looks at the end at what it was computed from: arguments are checked at every call, and a
  transpose on the way means that the function runs eagerly.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np

from wengert.errors import Span, StagingError
from wengert.frontend.context import current
from wengert.frontend.emit import difference, is_at_least
from wengert.frontend.registry import operator_rule
from wengert.frontend.scalars import Scalar
from wengert.frontend.views import At, Index, Part, Reshape, Step, Transpose, Whole
from wengert.ir.calls import all_functions
from wengert.ir.core import Function, Instr, Value
from wengert.types import Affine, TensorType, dim_scale

if TYPE_CHECKING:
    from wengert.frontend.arrays import Array

BY_ROWS: Final = "by rows"
"""The layout of an array that surely lies row after row without gaps: C order."""

UNKNOWN: Final = "unknown"
"""The layout of an array of which it is not known how NumPy or SciPy lays it out."""

_NOTES = "reshaped"
_LIKE_THE_FIRST = frozenset({"update", "add_at", "scatter", "scatter_add", "gather", "index"})
_MADE_BY_ROWS = frozenset({"matmul", "iota", "const", "make_array", "undef", "nonzero"})
_IN_ORDER = frozenset({np.array, np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray, np.copy})
_BY_ROWS_ALWAYS = frozenset({np.matmul, np.dot, np.tensordot, np.outer, np.kron})


# --- new arrays ------------------------------------------------------------------------------------------------------


@operator_rule("laid out")
def laid_out(function: Any, args: Sequence[Any], kwargs: dict[str, Any], found: Any) -> Any:
    """`found`, the result of a NumPy or SciPy function, with what is known of how it lies in memory.

    The code that computes it here may go another way than NumPy's, of which only the layout of its arguments is told.
    """
    module = (getattr(function, "__module__", None) or "").partition(".")[0]
    results = [x for x in (found if isinstance(found, (tuple, list)) else (found,)) if _is_new(x)]
    if not results or module not in ("numpy", "scipy") or function in _IN_ORDER:
        return found
    given = list(_arrays((*args, *kwargs.values())))
    if any(x is array for x in results for array in given) or any(map(callable, args)):
        return found
    is_scipy = module == "scipy"
    deep = [x for x in given if len(x.dims) > 1]
    if not current().eager:
        for made in results:
            made.layout = UNKNOWN if is_scipy else BY_ROWS if function in _BY_ROWS_ALWAYS or not deep else None
            made.origin = (*made.origin, *(x.value for x in deep))
    elif not is_scipy and all(x.is_contiguous for x in deep):
        for made in results:
            lay_out(made, BY_ROWS)
    else:
        for made, layout in zip(results, _as_the_function_does(function, args, kwargs, len(results)), strict=True):
            lay_out(made, layout)
    return found


def lay_out(made: Array, layout: Any) -> None:
    """Say how a new array lies in memory; in eager mode also its data will, for what is computed from it."""
    made.layout = layout
    if not current().eager or layout is UNKNOWN:
        return
    b: Any = current().builder
    data = b.buffer(made.value)
    dims: Any = made.dims
    if layout is BY_ROWS and not data.flags.c_contiguous:
        made.replace_data(b.moved(made.value, np.empty(dims, made.dtype)))
    elif layout is not BY_ROWS and _order(data) != _order(layout):
        made.replace_data(b.moved(made.value, np.empty_like(layout, made.dtype)))


def _order(data: np.ndarray[Any, Any]) -> list[int]:
    return [abs(stride) for stride, size in zip(np.empty_like(data).strides, data.shape, strict=True) if size > 1]


def _is_new(x: Any) -> bool:
    return hasattr(x, "layout") and x.parent is None and len(x.dims) > 1


def _arrays(items: Iterable[Any]) -> Iterator[Array]:
    for item in items:
        if isinstance(item, (tuple, list)):
            yield from _arrays(item)
        elif hasattr(item, "layout"):
            yield item


def _as_the_function_does(function: Any, args: Sequence[Any], kwargs: dict[str, Any], count: int) -> list[Any]:
    """The layouts that NumPy's function gives its results, from a call with arrays that lie as those at hand do."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            real = function(*[_like(x, function) for x in args], **{name: _like(x, function) for name, x in kwargs.items()})
    except Exception:  # noqa: BLE001 - whatever the function says to contents that mean nothing
        return [UNKNOWN] * count
    arrays = [x for x in (real if isinstance(real, (tuple, list)) else (real,)) if isinstance(x, np.ndarray) and x.ndim > 1]
    return arrays if len(arrays) == count else [UNKNOWN] * count


def _like(x: Any, function: Any) -> Any:
    if isinstance(x, (tuple, list)):
        return [_like(item, function) for item in x]
    if not hasattr(x, "layout"):
        return current().known(x.value) if isinstance(x, Scalar) else x
    if not x.element.is_float:
        return np.array(current().known(x.value))  # positions, a mask: those at hand
    seen = np.asarray(model(x))
    if "linalg" not in function.__module__ or seen.ndim != 2:
        return stand_in(seen)
    regular = np.empty_like(seen)
    regular[...] = np.eye(*seen.shape)
    return regular


def stand_in(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Zeros in memory of their own with the strides of `x`: functions that overwrite what they get must not get the caller's."""
    reach = [(size - 1) * stride for size, stride in zip(x.shape, x.strides, strict=True)] if x.size else []
    room = bytearray(sum(map(abs, reach)) + x.itemsize)
    return np.ndarray(x.shape, x.dtype, room, -sum(r for r in reach if r < 0), x.strides)


# --- eager mode ------------------------------------------------------------------------------------------------------


def remember_layout(root: Array) -> None:
    """Before an array is written to the first time, in eager mode: how it lies in memory, as the new value may not."""
    if root.layout is None and len(root.dims) > 1:
        root.layout = _layout(root)
    if id(root) in current().extra.get(_NOTES, ()):  # eagerly only those of which nothing is known
        refuse(current().span)


def _layout(root: Array) -> Any:
    """Without a function that decides it: NumPy fills a new array in the order of what it is computed from."""
    if root.layout is not None:
        return root.layout
    eager: Any = current().builder
    data = eager.buffer(root.value)
    return BY_ROWS if data.flags.c_contiguous else np.empty_like(data)


def lies_by_rows(root: Array) -> bool:
    """Whether an array that is no view is row-major; while tracing, whether it is taken to be."""
    if root.layout is BY_ROWS or len(root.dims) < 1 or not current().eager:
        return True
    layout = _layout(root)
    return layout is BY_ROWS or (layout is not UNKNOWN and bool(layout.flags.c_contiguous))


def model(x: Array) -> np.ndarray[Any, Any] | None:
    """A NumPy array that lies in memory as `x` does, of any contents; None if that is not known."""
    if x.parent is not None and x.step is not None:
        seen = model(x.parent)
        return None if seen is None else replay(x.step, seen)
    if not all(isinstance(d, int) for d in x.dims):
        return None
    if current().eager:
        layout = _layout(x) if len(x.dims) > 1 else x.layout
        if layout is UNKNOWN:
            return None
        if isinstance(layout, np.ndarray):
            return layout
    dims: Any = x.dims
    return np.empty(dims, x.dtype)


def replay(step: Step, seen: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """The same view of a real array; None if a position is symbolic or NumPy would have made a copy."""
    if isinstance(step, Transpose):
        return seen.transpose(step.perm)
    if isinstance(step, Reshape) and all(isinstance(d, int) for d in step.dims):
        shown = seen.reshape(step.dims)  # type: ignore[arg-type]
        return shown if not shown.size or np.may_share_memory(shown, seen) else None
    if not isinstance(step, Index):
        return None
    keys = [_key(entry) for entry in step.entries]
    return None if None in keys else seen[tuple(keys)]


def _key(entry: At | Part | Whole) -> int | slice | None:
    if isinstance(entry, At):
        return entry.position if isinstance(entry.position, int) else None
    if not isinstance(entry, Part):
        return slice(None)
    if not isinstance(entry.start, int) or not isinstance(entry.size, int):
        return None
    stop = entry.start + entry.step * entry.size
    return slice(entry.start, stop if stop >= 0 else None, entry.step)


def gives_view(x: Array, dims: Sequence[Affine], flattens: bool = False) -> bool | None:
    """Whether NumPy gives a view when `x` gets the shape `dims`; None if that cannot be told while tracing.

    Args:
        x: the array.
        dims: the new shape, of as many elements.
        flattens: the function is `np.ravel`, which copies whatever has gaps, and `np.reshape` does not.
    """
    if not current().eager:
        note(x.root)
    if x.is_contiguous:
        return True
    seen = model(x)
    if seen is not None:
        shown = np.ravel(seen) if flattens else seen.reshape(dims)  # type: ignore[arg-type]
        return not shown.size or np.may_share_memory(shown, seen)
    if len(dims) == 1 and _surely_scattered(x, flattens):
        return False
    note(x.root).sure = False
    return None


# --- symbolic sizes --------------------------------------------------------------------------------------------------


def _surely_scattered(x: Array, flattens: bool) -> bool:
    """Whether the elements of `x`, row after row, have no constant distance, if need be by relying on sizes of 2 and more."""
    perm: Sequence[int] = range(len(x.dims))
    part = x
    if isinstance(x.step, Transpose) and x.parent is not None:
        perm, part = x.step.perm, x.parent
    base = part.parent if isinstance(part.step, Index) and part.parent is not None else part
    if not base.is_contiguous or not all(is_at_least(d, 2) for d in x.dims):
        return False
    if any(a > b for a, b in itertools.pairwise(perm)):
        return True  # an axis that goes further in memory is inside of one that goes less far
    if base is part or not isinstance(part.step, Index):
        return False
    axes = [k for k, entry in enumerate(part.step.entries) if not isinstance(entry, At)]
    steps = [_step(part.step.entries[k]) for k in axes]
    if flattens and (abs(steps[-1]) != 1 or axes[-1] != len(base.dims) - 1):
        return True
    return any(
        inner == outer + 1 and _differ(dim_scale(base.dims[inner], step), dim_scale(size, inner_step))
        for outer, inner, step, inner_step, size in zip(axes, axes[1:], steps, steps[1:], x.dims[1:], strict=False)
    )


def _step(entry: At | Part | Whole) -> int:
    return entry.step if isinstance(entry, Part) else 1


def _differ(a: Affine, b: Affine) -> bool:
    return is_at_least(difference(a, b), 1) or is_at_least(difference(b, a), 1)


# --- at the end of a trace -------------------------------------------------------------------------------------------


@dataclass
class Note:
    """That it matters how an array lies in memory.

    Attributes:
        root: the array, which is no view.
        span: where it was reshaped.
        sure: whether it is known, of an array that lies row after row, what NumPy makes a view.
        always: whether it matters even if nothing is written to.
        writes: how often the array had been written to before it was reshaped; in a loop, before it was made.
        copies: what was made of it by functions that make views of arrays that lie in other ways.
    """

    root: Array
    span: Span | None
    sure: bool = True
    always: bool = False
    writes: int = 0
    copies: list[Array] = field(default_factory=list)

    @property
    def matters(self) -> bool:
        """Whether a view instead of a copy, or a copy instead of a view, could be told apart."""
        return self.always or self.root.writes > self.writes or any(copy.writes for copy in self.copies)


def note(root: Array) -> Note:
    """What is noted of `root`, for those who add to it."""
    notes: dict[int, Note] = current().extra.setdefault(_NOTES, {})
    if id(root) not in notes:
        # A write that stands above in a loop may come after, in its next turn.
        notes[id(root)] = Note(root, current().span, writes=root.writes if root.home is current().builder else 0)
    return notes[id(root)]


def refuse(span: Span | None) -> NoReturn:
    """Say that it matters how an array lies in memory and that this is not known."""
    message = "whether a reshaped array is a view depends on how the array lies in memory, which is not known here"
    raise StagingError(message, span, fix="reshape a copy that lies row after row: np.ascontiguousarray(x)")


def arguments_by_rows(function: Function) -> set[Value]:
    """The parameters that must lie row after row for a trace to be right about which reshaped arrays are views.

    Raises:
        StagingError: an array that is reshaped and written to may lie in another way.
    """
    found: set[Value] = set()
    notes = [about for about in current().extra.get(_NOTES, {}).values() if about.matters]
    if not notes:
        return found
    makers = dict(_makers(function))
    stayed = {about.span for about in notes if _has_stayed(about.root, makers, function.params)}
    for about in notes:
        root = about.root
        if about.span in stayed and not _has_stayed(root, makers, function.params):
            continue  # made in a run of the code that was undone
        if not about.sure or (root.layout is not BY_ROWS and not _lies_as_arguments(root, makers, function.params, found)):
            refuse(about.span)
    return found


def _has_stayed(root: Array, makers: dict[Value, Instr], params: Sequence[Value]) -> bool:
    return root.origin[0] in makers or root.origin[0] in params


def _makers(function: Function) -> Iterator[tuple[Value, Instr]]:
    """Where values come from: the instruction that they are results of, or parameters of a region of."""
    for fn in all_functions(function):
        open_blocks: list[Iterable[Instr]] = [fn.instrs]
        while open_blocks:
            for instr in open_blocks.pop():
                yield from ((result, instr) for result in instr.results)
                for region in instr.regions:
                    yield from ((param, instr) for param in region.params)
                    open_blocks.append(region.instrs)


def _lies_as_arguments(root: Array, makers: dict[Value, Instr], params: Sequence[Value], found: set[Value]) -> bool:
    """Whether an array lies row after row if parameters do; those are added to `found`."""
    seen, ahead = set(root.origin), list(root.origin)
    while ahead and root.layout is not UNKNOWN:
        value = ahead.pop()
        if value in params:
            found.add(value)
            continue
        sources = _sources(value, makers[value]) if value in makers else None
        if sources is None:
            return False
        ahead += [v for v in sources if isinstance(v.type, TensorType) and v.rank > 1 and v not in seen]
        seen.update(ahead)
    return root.layout is not UNKNOWN


def _sources(value: Value, instr: Instr) -> Iterable[Value] | None:
    """The values whose order in memory decides on that of `value`; None if it may be another one in any case."""
    op = instr.op
    if op.kind == "control":
        inner = [result for region in instr.regions for result in region.results]
        return [v for v in (*instr.operands, *inner) if isinstance(v.type, TensorType) and v.rank == value.rank]
    if op.name in _MADE_BY_ROWS:
        return ()
    if op.kind not in ("elementwise", "shape", "index", "reduce", "order"):
        return None
    if op.name == "transpose" and tuple(instr.attrs["perm"]) != tuple(sorted(instr.attrs["perm"])):
        return None
    return instr.operands[:1] if op.name in _LIKE_THE_FIRST else instr.operands
