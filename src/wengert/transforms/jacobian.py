"""Dense Jacobians as IR: a loop over the elements of the input (columns, forward mode) or of the output (rows, reverse mode)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wengert.ir.builder import Builder
from wengert.ir.calls import refresh
from wengert.ir.core import Function, Region, Value
from wengert.ir.op import get_op
from wengert.ir.rewrite import inline
from wengert.transforms.custom import refuse_repeated_effects
from wengert.transforms.jvp import fresh_copy, jvp
from wengert.transforms.vjp import vjp
from wengert.types import I64_SCALAR, Affine, DType


def jacobian(fn: Function, wrt: Sequence[int], mode: str = "auto") -> Function:
    """All first derivatives of the float results of `fn` with respect to the parameters `wrt`.

    Args:
        fn: the function.
        wrt: positions of float parameters.
        mode: "forward" (cost: one jvp per input element), "reverse" (one vjp per output element) or "auto": reverse for
            results of rank 0 and for those known to be smaller than the input, else forward.

    Returns:
        A function of the same parameters that returns the results of `fn`, then, for each float result and each entry of
        `wrt`, an array of shape `result.shape + parameter.shape`.
    """
    refuse_repeated_effects(fn, "a Jacobian")
    fn = fresh_copy(fn)
    builder = Builder(fn.span)
    results = inline(builder, fn, fn.params)
    outputs = [k for k, r in enumerate(fn.results) if r.is_float]
    blocks: dict[tuple[int, int], Value] = {}
    for position in wrt:
        forward = [k for k in outputs if not _prefers_reverse(fn.results[k], fn.params[position], mode)]
        if forward:
            for k, block in zip(forward, _columns(builder, fn, position, results, forward), strict=True):
                blocks[k, position] = block
    for k in outputs:
        reverse = [p for p in wrt if (k, p) not in blocks]
        if reverse:
            for p, block in zip(reverse, _rows(builder, fn, reverse, results, k), strict=True):
                blocks[k, p] = block
    jacobians = tuple(blocks[k, p] for k in outputs for p in wrt)
    name, instrs = f"{fn.name}_jacobian", tuple(builder.instrs)
    return refresh(Function(name, fn.dims, fn.params, instrs, (*results, *jacobians), fn.span, builder.functions))


def _prefers_reverse(result: Value, param: Value, mode: str) -> bool:
    if mode != "auto":
        return mode == "reverse"
    if param.rank == 0:
        return False
    sizes = [_static_size(v) for v in (result, param)]
    if sizes[0] is not None and sizes[1] is not None:
        return sizes[0] < sizes[1]
    return result.rank == 0


def _static_size(value: Value) -> int | None:
    size = 1
    for d in value.dims:
        if not isinstance(d, int):
            return None
        size *= d
    return size


def _columns(b: Builder, fn: Function, position: int, results: Sequence[Value], outputs: Sequence[int]) -> list[Value]:
    """The blocks d results[k] / d params[position] for k in `outputs`, one input element at a time."""
    forward = jvp(fn, [position])
    param = fn.params[position]
    float_results = [k for k, r in enumerate(fn.results) if r.is_float]
    where = {k: len(fn.results) + float_results.index(k) for k in outputs}

    def column(inner: Builder, direction: Value) -> list[Value]:
        found = inline(inner, forward, [*fn.params, direction])
        return [_in_dtype(inner, found[where[k]], param.tensor.dtype) for k in outputs]

    return _for_each_element(b, param, [results[k] for k in outputs], column, leading=False)


def _in_dtype(b: Builder, value: Value, dtype: DType) -> Value:
    """A derivative in the dtype of what it is taken by."""
    found: Value = value if value.tensor.dtype == dtype else b.convert(value, dtype=dtype)
    return found


def _rows(b: Builder, fn: Function, wrt: Sequence[int], results: Sequence[Value], output: int) -> list[Value]:
    """The blocks d results[output] / d params[p] for p in `wrt`, one output element at a time."""
    reverse = vjp(fn, wrt)
    float_results = [k for k, r in enumerate(fn.results) if r.is_float]

    def row(inner: Builder, direction: Value) -> list[Value]:
        seeds = [direction if k == output else inner.zeros_like(results[k]) for k in float_results]
        return list(inline(inner, reverse, [*fn.params, *seeds])[len(fn.results) :])

    return _for_each_element(b, results[output], [fn.params[p] for p in wrt], row, leading=True)


def _for_each_element(
    b: Builder,
    over: Value,
    others: Sequence[Value],
    derivative: Callable[[Builder, Value], list[Value]],
    leading: bool,
) -> list[Value]:
    """Derivatives along every unit direction of `over`, stacked on the leading or on the trailing axes.

    `derivative(builder, direction)` gives values of the shapes of `others`, in the dtype of the input.
    """
    if over.rank == 0:
        return derivative(b, b.const(1.0, over.tensor.dtype))
    dtype = over.tensor.dtype
    sizes = [b.dim(d) for d in over.dims]
    count = sizes[0]
    for size in sizes[1:]:
        count = b.mul(count, size)
    total: Affine = count.affine
    shapes = [(total, *o.dims) if leading else (*o.dims, total) for o in others]
    init = [b.full(shape, 0.0, o.tensor.dtype if leading else dtype) for shape, o in zip(shapes, others, strict=True)]
    index = Value(I64_SCALAR, "element")
    params = [Value(i.type, "jacobian") for i in init]
    inner = b.child()
    zeros = inner.full(over.dims, 0.0, dtype)
    place = _unravel(inner, index, sizes)
    direction = inner.update(zeros, inner.const(1.0, dtype), *place, spec=("i",) * over.rank)
    yields = []
    for param, other, found in zip(params, others, derivative(inner, direction), strict=True):
        # A size that the function computes is the same one each time.
        part = found if found.dims == other.dims else inner.assume_shape(found, *[inner.dim(d) for d in other.dims])
        rest = (":",) * other.rank
        if part.dims != other.dims:  # sizes that the function computes: it does so once more inside the loop
            part = inner.assume_shape(part, *[inner.dim(d) for d in other.dims])
        yields.append(inner.update(param, part, index, spec=("i", *rest) if leading else (*rest, "i")))
    region = Region((index, *params), tuple(inner.instrs), tuple(yields))
    filled = b.emit(get_op("for"), (count, *init), {}, (region,), ["jacobian"] * len(init))
    if over.rank == 1:
        return list(filled)
    final = [(*over.dims, *o.dims) if leading else (*o.dims, *over.dims) for o in others]
    return [b.reshape(f, *[b.dim(d) for d in dims]) for f, dims in zip(filled, final, strict=True)]


def _unravel(b: Builder, index: Value, sizes: Sequence[Value]) -> list[Value]:
    """The multi-index of flat position `index` in row-major order."""
    place: list[Value] = []
    for size in reversed(sizes[1:]):
        place.append(b.mod(index, size))
        index = b.floordiv(index, size)
    return [index, *reversed(place)]
