"""Reading and writing parts of arrays. Indices are in range: `wrap_index` has seen to that.

`spec` has one entry per axis: `'i'` an index (axis dropped), `'s'` start, size and step, `':'` the whole axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from wengert.errors import InternalError
from wengert.ir import effects
from wengert.ir.builder import Builder
from wengert.ir.core import Instr, Value
from wengert.ir.op import LINEAR, NON_DIFFERENTIABLE, op
from wengert.ops.infer import NUMBER, Attrs, Operands, Regions, sizes, tensor_of
from wengert.types import I64, I64_SCALAR, Affine, TensorType, Type

Spec = tuple[str, ...]
Entry = tuple[str, tuple[Value, ...]]
_TAKES = {"i": 1, "s": 3, ":": 0}


def entries(instr: Instr, first: int = 1) -> list[Entry]:
    """The entries of the `spec` of an instruction, each with its operands, which begin at operand `first`."""
    found: list[Entry] = []
    for kind in instr.attrs["spec"]:
        count = _TAKES[kind]
        found.append((kind, instr.operands[first : first + count]))
        first += count
    return found


@cache
def _operand_count(spec: Spec) -> int | None:
    """How many index operands go with `spec`, or None if there is no such spec."""
    return None if any(s not in _TAKES for s in spec) else sum(_TAKES[s] for s in spec)


def part_type(name: str, whole: TensorType, spec: Spec, indices: Sequence[Value]) -> TensorType:
    """The type of the part of `whole` that `spec` selects."""
    values, wanted = sizes(name, indices), _operand_count(spec)
    if len(spec) != len(whole.dims) or wanted is None:
        raise InternalError(f"{name} of {whole}: bad spec {spec}")
    if len(values) != wanted:
        raise InternalError(f"{name} of {whole} with spec {spec}: {len(values)} index operands")
    dims: list[Affine] = []
    position = 0
    for axis, entry in enumerate(spec):
        if entry == "s":
            dims.append(values[position + 1])
        elif entry == ":":
            dims.append(whole.dims[axis])
        position += _TAKES[entry]
    return whole.with_dims(tuple(dims))


def numpy_index(spec: Spec, indices: Sequence[Any]) -> tuple[int | slice, ...]:
    """The NumPy index that selects the same part."""
    result: list[int | slice] = []
    values = iter(indices)
    for entry in spec:
        if entry == "i":
            result.append(int(next(values)))
        elif entry == "s":
            start, size, step = int(next(values)), int(next(values)), int(next(values))
            stop = start + size * step
            # A stop below 0 would count from the end.
            result.append(slice(0, 0) if size <= 0 else slice(start, None if stop < 0 else stop, step))
        else:
            result.append(slice(None))
    return tuple(result)


# --- reading ---------------------------------------------------------------------------------------------------------


def _infer_index(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    return (part_type("index", tensor_of("index", operands), attrs["spec"], operands[1:]),)


_READS: tuple[Any, ...] = (
    (("f64[4]", 2), {"spec": ("i",)}),
    (("f64[3,4]", 1, 3), {"spec": ("i", "i")}),
    (("f64[3,4]", 1), {"spec": ("i", ":")}),
    (("f64[3,4]", 1), {"spec": (":", "i")}),
    (("f64[6]", 1, 3, 2), {"spec": ("s",)}),
    (("f64[6]", 5, 6, -1), {"spec": ("s",)}),
    (("f64[6]", 4, 2, -2), {"spec": ("s",)}),
    (("f64[3,6]", 2, 1, 4, 1), {"spec": ("i", "s")}),
    (("f64[3,6]", 0, 2, 2, 1, 4, 1), {"spec": ("s", "s")}),
    (("f64[3]", 0, 0, 1), {"spec": ("s",)}),
    (("f64[0]", 0, 0, 1), {"spec": ("s",)}),
    (("f64[]",), {"spec": ()}),
    (("i64[4]", 1, 2, 1), {"spec": ("s",)}),
)

index = op(
    "index",
    doc="A part of an array: one element, or a subarray.",
    kind="index",
    infer=_infer_index,
    impl=lambda x, *indices, spec: np.asarray(x)[numpy_index(spec, indices)],
    jvp=LINEAR,
    linear=(0,),
    accumulate=(lambda b, acc, ct, x, *indices, spec: b.add_at(acc, ct, *indices, spec=spec),),
    cost=1,
    samples=_READS,
)

# --- writing ---------------------------------------------------------------------------------------------------------


def _infer_write(name: str, operands: Operands, attrs: Attrs) -> tuple[Type, ...]:
    whole = tensor_of(name, operands)
    part = part_type(name, whole, attrs["spec"], operands[2:])
    if operands[1].type != part:
        raise InternalError(f"{name}: a part of type {part} cannot take {operands[1].type}")
    return (whole,)


def _update(x: Any, part: Any, *indices: Any, spec: Spec) -> Any:
    new = np.array(x)
    new[numpy_index(spec, indices)] = part
    return new[()]


def _add_at(x: Any, part: Any, *indices: Any, spec: Spec) -> Any:
    new = np.array(x)
    with np.errstate(all="ignore"):
        new[numpy_index(spec, indices)] += part
    return new[()]


def _read(b: Builder, ct: Value, x: Value, part: Value, *indices: Value, spec: Spec) -> Value:
    return b.index(ct, *indices, spec=spec)


def _blank(b: Builder, ct: Value, x: Value, part: Value, *indices: Value, spec: Spec) -> Value:
    return b.update(ct, b.zeros_like(part), *indices, spec=spec)


_WRITES: tuple[Any, ...] = (
    (("f64[4]", "f64[]", 2), {"spec": ("i",)}),
    (("f64[3,4]", "f64[]", 1, 3), {"spec": ("i", "i")}),
    (("f64[3,4]", "f64[4]", 1), {"spec": ("i", ":")}),
    (("f64[6]", "f64[3]", 1, 3, 2), {"spec": ("s",)}),
    (("f64[6]", "f64[6]", 5, 6, -1), {"spec": ("s",)}),
    (("f64[3,6]", "f64[2,4]", 0, 2, 2, 1, 4, 1), {"spec": ("s", "s")}),
    (("f64[3,6]", "f64[3]", 5), {"spec": (":", "i")}),
    (("f64[3]", "f64[0]", 0, 0, 1), {"spec": ("s",)}),
    (("f64[]", "f64[]"), {"spec": ()}),
    (("i64[4]", "i64[2]", 1, 2, 1), {"spec": ("s",)}),
)

update = op(
    "update",
    doc="The array with a part replaced.",
    kind="index",
    infer=lambda operands, attrs, regions: _infer_write("update", operands, attrs),
    impl=_update,
    jvp=LINEAR,
    linear=(0, 1),
    transpose=(_blank, _read),
    cost=1,
    samples=_WRITES,
)

add_at = op(
    "add_at",
    doc="The array with numbers added to a part.",
    kind="index",
    infer=lambda operands, attrs, regions: _infer_write("add_at", operands, attrs),
    impl=_add_at,
    jvp=LINEAR,
    linear=(0, 1),
    transpose=(lambda b, ct, *operands, spec: ct, _read),
    cost=1,
    samples=_WRITES,
)



def _infer_resize(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    whole = tensor_of("resize", operands)
    if not whole.rank or len(operands) != 2:
        raise InternalError(f"resize takes an array and a size, got {[o.type for o in operands]}")
    return (whole.with_dims((*sizes("resize", operands[1:]), *whole.dims[1:])),)


def _resize(x: Any, n: Any) -> Any:
    new = np.zeros((int(n), *x.shape[1:]), x.dtype)
    kept = min(len(x), int(n))
    new[:kept] = x[:kept]
    return new


resize = op(
    "resize",
    doc="The array with n rows along axis 0: the first ones are its own, those that it does not have are zero.",
    kind="index",
    infer=_infer_resize,
    impl=_resize,
    jvp=LINEAR,
    linear=(0,),
    transpose=(lambda b, ct, x, n: b.resize(ct, b.dim(x.dims[0])),),
    cost=1,
    samples=(
        (("f64[3]", 5), {}),
        (("f64[3]", 2), {}),
        (("f64[3]", 3), {}),
        (("f64[0]", 1), {}),
        (("f64[2]", 0), {}),
        (("f64[2,3]", 4), {}),
        (("f64[3,2]", 1), {}),
        (("i64[2]", 4), {}),
        (("bool[2]", 3), {}),
    ),
)

# --- arrays of indices -----------------------------------------------------------------------------------------------


def _infer_gather(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    whole = tensor_of("gather", operands)
    return (_rows_type("gather", whole, operands[1]),)


def _rows_type(name: str, whole: TensorType, indices: Value) -> TensorType:
    declared = indices.type
    if not isinstance(declared, TensorType) or declared.dtype != I64 or declared.rank != 1 or not whole.rank:
        raise InternalError(f"{name} of {whole} takes indices i64[m], got {declared}")
    return whole.with_dims((*declared.dims, *whole.dims[1:]))


gather = op(
    "gather",
    doc="The entries along axis 0 at the given indices.",
    kind="index",
    infer=_infer_gather,
    impl=lambda x, indices: x[indices],
    jvp=LINEAR,
    linear=(0,),
    accumulate=(lambda b, acc, ct, x, indices: b.scatter_add(acc, indices, ct),),
    cost=1,
    samples=(
        (("f64[4]", (2, 0, 2)), {}),
        (("f64[3,2]", (1, 1, 0, 2)), {}),
        (("f64[3]", ()), {}),
        (("i64[3]", (2, 1)), {}),
    ),
)


def _infer_scatter_add(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    whole = tensor_of("scatter_add", operands, NUMBER)
    part = _rows_type("scatter_add", whole, operands[1])
    if operands[2].type != part:
        raise InternalError(f"scatter_add to {whole}: expected {part}, got {operands[2].type}")
    return (whole,)


def _scatter_add(x: Any, indices: Any, part: Any) -> Any:
    new = np.array(x)
    with np.errstate(all="ignore"):
        np.add.at(new, indices, part)
    return new


scatter_add = op(
    "scatter_add",
    doc="The array with numbers added to its entries along axis 0, one after the other.",
    kind="index",
    infer=_infer_scatter_add,
    impl=_scatter_add,
    jvp=LINEAR,
    linear=(0, 2),
    transpose=(
        lambda b, ct, x, indices, part: ct,
        None,
        lambda b, ct, x, indices, part: b.gather(ct, indices),
    ),
    cost=1,
    samples=(
        (("f64[4]", (2, 0, 2), "f64[3]"), {}),
        (("f64[3,2]", (1, 1, 0, 2), "f64[4,2]"), {}),
        (("f64[3]", (), "f64[0]"), {}),
    ),
)


def _infer_scatter(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    whole = tensor_of("scatter", operands)
    part = _rows_type("scatter", whole, operands[1])
    if operands[2].type != part:
        raise InternalError(f"scatter to {whole}: expected {part}, got {operands[2].type}")
    return (whole,)


def _scatter(x: Any, indices: Any, part: Any, *, distinct: bool) -> Any:
    new = np.array(x)
    last = np.full(len(new), -1)
    # NumPy does not promise which of several writes to one place wins.
    np.maximum.at(last, indices, np.arange(len(indices)))
    new[last >= 0] = part[last[last >= 0]]
    return new


def _scatter_rows(b: Builder, ct: Value, x: Value, indices: Value, part: Value, *, distinct: bool) -> Value:
    """The cotangent of the rows that stay: those of rows overwritten later are zero."""
    rows: Value = b.gather(ct, indices)
    if distinct:
        return rows
    order = b.iota(b.dim(part.dims[0]))
    winner = b.scatter(b.full(x.dims[:1], 0), indices, order, distinct=False)
    wins = b.broadcast_to(b.eq(b.gather(winner, indices), order), part.dims, (0,))
    return b.select(wins, rows, b.zeros_like(rows))


scatter = op(
    "scatter",
    doc="The array with its entries along axis 0 replaced, one after the other; `distinct` promises that none comes twice.",
    kind="index",
    infer=_infer_scatter,
    impl=_scatter,
    jvp=LINEAR,
    linear=(0, 2),
    transpose=(
        lambda b, ct, x, indices, part, *, distinct: b.scatter(ct, indices, b.zeros_like(part), distinct=distinct),
        None,
        _scatter_rows,
    ),
    cost=1,
    samples=(
        (("f64[4]", (2, 0, 2), "f64[3]"), {"distinct": False}),
        (("f64[4]", (2, 0, 1), "f64[3]"), {"distinct": True}),
        (("f64[3,2]", (1, 1, 0, 1), "f64[4,2]"), {"distinct": False}),
        (("f64[3]", (), "f64[0]"), {"distinct": False}),
        (("i64[3]", (2, 2), "i64[2]"), {"distinct": False}),
        (("bool[3]", (2, 1), "bool[2]"), {"distinct": True}),
    ),
)

# --- checking --------------------------------------------------------------------------------------------------------


def _infer_wrap_index(operands: Operands, attrs: Attrs, regions: Regions) -> tuple[Type, ...]:
    if len(sizes("wrap_index", operands)) != 2:
        raise InternalError("wrap_index takes an index and a size")
    return (I64_SCALAR,)


wrap_index = op(
    "wrap_index",
    doc="The index counted from the front; raises IndexError if it is not in [-size, size).",
    kind="index",
    infer=_infer_wrap_index,
    impl=lambda position, size, *, what: np.int64(effects.wrap_index(int(position), int(size), {"what": what})),
    jvp=NON_DIFFERENTIABLE,
    effects=True,
    smoothness="integer",
    samples=(((2, 5), {"what": "axis 0"}), ((-1, 5), {"what": "axis 0"}), ((-5, 5), {"what": "axis 1"})),
)
