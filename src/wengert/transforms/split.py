"""A function in two: what can be computed before its last arguments are known, and the rest.

A reverse derivative split at its cotangents is the primal pass and the pullback. What the second part needs of the first are its
residuals. Outside of compiled code a stack among them is an array of words (`stack_save`, `stack_load`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from wengert.errors import InternalError
from wengert.ir.builder import Builder
from wengert.ir.calls import refresh
from wengert.ir.core import Function, Instr, Region, Value, free_values
from wengert.ir.op import get_op
from wengert.transforms.jvp import fresh_copy
from wengert.types import I64, I64_SCALAR, Affine, Dim, StackType, TensorType


@dataclass(frozen=True)
class Parts:
    """Both parts of a function, as blocks on one set of values.

    Attributes:
        early: the instructions of the first part.
        late: those of the second.
        needed: values of the first part, parameters and sizes that the second one reads, scalars first.
    """

    early: tuple[Instr, ...]
    late: tuple[Instr, ...]
    needed: tuple[Value, ...]


@dataclass(frozen=True)
class Halves:
    """Both parts as functions of their own.

    Attributes:
        first: from the early parameters to the early results, then what is kept.
        second: from the residuals and the late parameters to the late results.
        residuals: where each argument of `second` comes from: ("argument", k) of `first`, or ("result", k).
    """

    first: Function
    second: Function
    residuals: tuple[tuple[str, int], ...]


def depends_on(fn: Function, given: Sequence[Value], wanted: Sequence[Value]) -> bool:
    """Whether one of `wanted` is computed from what is in the values `given`; their sizes do not count."""
    depends = set(given)
    for instr in fn.instrs:
        used = [*instr.operands, *(v for region in instr.regions for v in free_values(region))]
        if any(v in depends for v in used):
            depends.update(instr.results)
    return any(v in depends for v in wanted)


def parts(fn: Function, late: Sequence[Value], results: Sequence[Value]) -> Parts:
    """The instructions of `fn` that depend on the parameters `late`, those that do not, and what goes across.

    Args:
        fn: the function.
        late: its last parameters.
        results: the results that the second part gives.
    """
    sizes = own_dims(fn, late)
    depends, owner = {*late, *sizes}, {r: instr for instr in fn.instrs for r in instr.results}
    early: list[Instr] = []
    after: list[Instr] = []
    for instr in fn.instrs:
        used = [*instr.operands, *(v for region in instr.regions for v in free_values(region))]
        if any(v in depends for v in used):
            depends.update(instr.results)
            after.append(instr)
        else:
            early.append(instr)
    needed, again = _needed(after, [*late, *sizes], results, owner)
    second = (*[i for i in early if i in again], *after)
    order = sorted(needed, key=lambda v: (not _is_scalar(v), v.serial))
    return Parts(tuple(early), second, tuple(order))


def own_dims(fn: Function, late: Sequence[Value]) -> tuple[Value, ...]:
    """The sizes that are read from no other parameters than `late`."""
    early = {s for p in fn.params if p not in late for s in p.type.symbols()}
    return tuple(d for d in fn.dims if d not in early)


def _needed(
    late: Sequence[Instr], given: Sequence[Value], results: Sequence[Value], owner: dict[Value, Instr]
) -> tuple[set[Value], set[Instr]]:
    """What the late instructions read of the early ones, and those of these that run again because that costs nothing."""
    again: set[Instr] = set()
    needed: set[Value] = set()
    sizes = [s for p in given for s in p.type.symbols() if isinstance(s, Value)]
    pending = [*free_values(Region((), tuple(late), tuple(results))), *sizes]
    seen = set(given)
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        instr = owner.get(value)
        if instr is not None and _is_free(instr):
            again.add(instr)
            pending += instr.operands
        else:
            needed.add(value)
        pending += [s for s in value.type.symbols() if isinstance(s, Value)]
    return needed, again


def _is_free(instr: Instr) -> bool:
    """Whether the result is as cheap to make again as to keep: a constant, another view, one number repeated."""
    return instr.op.kind in ("constant", "shape") and not instr.op.effects and instr.op.name != "undef"


def _is_scalar(value: Value) -> bool:
    return isinstance(value.type, TensorType) and not value.rank


def halves(fn: Function, count: int, results: int) -> Halves:
    """`fn` as two functions.

    Args:
        fn: the function.
        count: how many of its last parameters are late.
        results: how many of its results, from the first on, are the first part's; they do not depend on late parameters.
    """
    early, late = fn.params[: len(fn.params) - count], fn.params[len(fn.params) - count :]
    both = parts(fn, late, fn.results[results:])
    made = {r for i in both.late for r in i.results} - {r for i in both.early for r in i.results}
    if any(r in made or r in late for r in fn.results[:results]):
        raise InternalError(f"a result of the first part of {fn.name} depends on what is only known later")
    builder = Builder(fn.span)
    kept, where = list(fn.results[:results]), []
    for value in both.needed:
        if value in early:
            where.append(("argument", early.index(value)))
        elif value in fn.results[:results]:
            where.append(("result", fn.results.index(value)))
        elif isinstance(value.type, StackType):
            kept += builder.emit(get_op("stack_save"), (value,), names=["words", "residuals"])
            where.append(("result", len(kept) - 1))
        else:
            kept.append(value)
            where.append(("result", len(kept) - 1))
    instrs = (*both.early, *builder.instrs)
    dims = tuple(d for d in fn.dims if d not in own_dims(fn, late))
    first = Function(f"{fn.name}_first", dims, early, instrs, tuple(kept), fn.span, fn.functions)
    return Halves(refresh(first), refresh(_second(fn, both, late, fn.results[results:])), tuple(where))


def _second(fn: Function, both: Parts, late: Sequence[Value], results: Sequence[Value]) -> Function:
    """The second part, in which saved stacks are loaded."""
    builder = Builder(fn.span)
    params: list[Value] = []
    dims = [*own_dims(fn, late)]
    for value in (*both.needed, *late):
        if not isinstance(value.type, StackType):
            params.append(value)
            continue
        dims.append(Value(I64_SCALAR, "words"))
        params.append(Value(TensorType(I64, (dims[-1].affine,)), "residuals"))
        attrs = {"elements": value.type.elements}
        builder.append(Instr(get_op("stack_load"), (params[-1],), (value,), attrs, (), fn.span))
    instrs = (*builder.instrs, *both.late)
    second = Function(f"{fn.name}_second", tuple(dims), tuple(params), instrs, tuple(results), fn.span, fn.functions)
    return fresh_copy(with_free_sizes(second))


def with_free_sizes(fn: Function) -> Function:
    """`fn`, whose arrays may have sizes that are integers among its parameters, with arrays of sizes of any name instead."""
    builder = Builder(fn.span)
    params: list[Value] = []
    dims = list(fn.dims)

    def size(declared: Affine) -> Affine:
        if not isinstance(declared, Dim) or all(s in fn.dims for s, _ in declared.terms):
            return declared
        dims.append(Value(I64_SCALAR, "n"))
        return dims[-1].affine

    for value in fn.params:
        if all(s in fn.dims for s in value.type.symbols()):
            params.append(value)
            continue
        params.append(Value(TensorType(value.tensor.dtype, tuple(map(size, value.dims))), value.name))
        sizes = [builder.dim(d) for d in value.dims]
        builder.append(Instr(get_op("assume_shape"), (params[-1], *sizes), (value,), {}, (), fn.span))
    return replace(fn, dims=tuple(dims), params=tuple(params), instrs=(*builder.instrs, *fn.instrs))
