"""Additions to the rows that attain an extremum leave the other rows alone.

The derivative of `np.min(a)` goes to the elements that equal the result: reverse mode multiplies all rows by a mask that is zero
but for these, and adds all of them up. Where such a mask chooses rows of a matrix, a loop looks for the rows that it chooses, and
adds these only. The others would have had exact zeros added (or nan, where an element is infinite: zero wins here).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from wengert.ir.builder import Builder
from wengert.ir.core import Function, Instr, Region, Value, free_values, walk
from wengert.ir.op import get_op
from wengert.ir.rewrite import Env, emit_copy, lookup
from wengert.types import I64_SCALAR, TensorType

_EXTREMA = frozenset({"min", "max"})


def hits(fn: Function) -> Function:
    """`fn` with masked additions to rows as loops over the rows that an extremum chooses."""
    if not any(i.op.name in _EXTREMA for i in walk(fn.instrs)):
        return fn
    makers = {r: i for i in walk(fn.instrs) for r in i.results}
    body = _region(fn.body, makers)
    return fn if body.instrs is fn.instrs else replace(fn, instrs=body.instrs, results=body.results)


@dataclass
class _Chain:
    """Additions to one array, one after another, all to the rows that `mask` chooses.

    Attributes:
        root: the array before.
        terms: what is added.
        end: the array behind.
    """

    root: Value
    terms: list[Value] = field(default_factory=list)
    end: Value | None = None


def _region(region: Region, makers: dict[Value, Instr]) -> Region:
    instrs = region.instrs
    if any(i.regions for i in instrs):
        new = tuple([_inner(i, makers) for i in instrs])
        if any(a is not b for a, b in zip(new, instrs, strict=True)):
            region = Region(region.params, new, region.results)
    while True:
        changed = _rewrite_one(region, makers)
        if changed is None:
            return region
        region = changed


def _inner(instr: Instr, makers: dict[Value, Instr]) -> Instr:
    regions = tuple([_region(r, makers) for r in instr.regions])
    return instr if all(a is b for a, b in zip(regions, instr.regions, strict=True)) else replace(instr, regions=regions)


def _rewrite_one(region: Region, makers: dict[Value, Instr]) -> Region | None:
    """The region with the additions under one mask as a loop, or None."""
    by_mask: dict[Value, dict[Value, _Chain]] = {}
    last: dict[Value, int] = {}
    for position, instr in enumerate(region.instrs):
        found = _masked_addition(instr, makers)
        if found is None:
            continue
        mask, array, term = found
        chains = by_mask.setdefault(mask, {})
        chain = chains.pop(array) if array in chains and _uses(array, region) == 1 else _Chain(array)
        chain.terms.append(term)
        chain.end = instr.result
        chains[instr.result] = chain
        last[mask] = position
    for mask, chains in by_mask.items():
        found_chains = list(chains.values())
        if all(_may_wait(c, region, last[mask]) for c in found_chains):
            return _with_loop(region, mask, found_chains, last[mask], makers)
    return None


def _masked_addition(instr: Instr, makers: dict[Value, Instr]) -> tuple[Value, Value, Value] | None:
    """Mask, array and term of an addition to rows that an extremum chooses."""
    if instr.op.name != "add" or instr.result.rank < 2 or not instr.result.is_float:
        return None
    for array, term in (instr.operands, instr.operands[::-1]):
        mask = _mask_of(term, makers)
        if mask is not None and _mask_of(array, makers) is None:
            return mask, array, term
    return None


def _mask_of(term: Value, makers: dict[Value, Instr]) -> Value | None:
    """The mask of rows outside of which `term` is zero, if it is one of where an extremum is attained."""
    made = makers.get(term)
    if made is None:
        return None
    if made.op.name == "mul":
        return _mask_of(made.operands[0], makers) or _mask_of(made.operands[1], makers)
    if made.op.name == "neg":
        return _mask_of(made.operands[0], makers)
    if made.op.name != "broadcast" or tuple(made.attrs["axes"]) != (0,):
        return None
    chosen = makers.get(made.operands[0])
    if chosen is None or chosen.op.name != "select" or not _is_zero(chosen.operands[2], makers):
        return None
    return chosen.operands[0] if _is_of_extremum(chosen.operands[0], makers) else None


def _is_zero(value: Value, makers: dict[Value, Instr]) -> bool:
    made = makers.get(value)
    while made is not None and made.op.name == "broadcast":
        made = makers.get(made.operands[0])
    return made is not None and made.op.name == "const" and made.attrs["value"] == 0


def _is_of_extremum(mask: Value, makers: dict[Value, Instr]) -> bool:
    """Whether a mask of a derivative says where a vector equals its own minimum or maximum.

    The same mask of the program itself is no such: it multiplies as floats do, so 0 * inf is nan.
    """
    made = makers.get(mask)
    if made is None or made.op.name != "attains" or mask.rank != 1:
        return False
    spread = makers.get(made.operands[1])
    if spread is None or spread.op.name != "broadcast":
        return False
    extremum = makers.get(spread.operands[0])
    return extremum is not None and extremum.op.name in _EXTREMA and extremum.operands[0] is made.operands[0]


def _uses(value: Value, region: Region) -> int:
    count = region.results.count(value)
    for instr in region.instrs:
        count += instr.operands.count(value) + sum(value in free_values(r) for r in instr.regions)
    return count


def _may_wait(chain: _Chain, region: Region, last: int) -> bool:
    """Whether nothing up to position `last` uses the sum of a chain."""
    assert chain.end is not None
    return not any(
        chain.end in i.operands or any(chain.end in free_values(r) for r in i.regions) for i in region.instrs[: last + 1]
    )


# --- the loop ----------------------------------------------------------------------------------------------------------


def _with_loop(region: Region, mask: Value, chains: list[_Chain], last: int, makers: dict[Value, Instr]) -> Region:
    """The region with a loop behind position `last` in place of the additions."""
    b = Builder(region.instrs[last].span)
    row = Value(I64_SCALAR, "row")
    sums = [Value(c.root.type, c.root.name) for c in chains]
    inner = b.child()
    test = _at(inner, mask, row, makers)
    then = inner.child()
    added: list[Value] = []
    for chain, total in zip(chains, sums, strict=True):
        rest = (":",) * (total.rank - 1)
        for term in chain.terms:
            total = then.add_at(total, _at(then, term, row, makers), row, spec=("i", *rest))
        added.append(total)
    arms = [Region((), tuple(then.instrs), tuple(added)), Region((), (), tuple(sums))]
    kept = inner.emit(get_op("if"), [test], {}, arms, [s.name for s in sums])
    body = Region((row, *sums), tuple(inner.instrs), kept)
    count = b.dim(mask.dims[0])
    ends = b.emit(get_op("for"), [count, *(c.root for c in chains)], {}, [body], [s.name for s in sums])
    env: Env = {c.end: end for c, end in zip(chains, ends, strict=True) if c.end is not None}
    replaced = set(env)
    for instr in region.instrs[last + 1 :]:
        b.span = instr.span
        emit_copy(b, instr, env)
    before = [i for i in region.instrs[: last + 1] if not replaced.intersection(i.results)]
    return Region(region.params, (*before, *b.instrs), tuple(lookup(env, r) for r in region.results))


def _at(b: Builder, value: Value, row: Value, makers: dict[Value, Instr]) -> Value:
    """Row `row` of an array, computed from the rows of what the array is computed from."""
    made = makers.get(value)
    name = made.op.name if made is not None else ""
    if made is not None and made.op.kind == "elementwise" and not made.op.effects:
        return b.emit(made.op, [_at(b, o, row, makers) for o in made.operands], dict(made.attrs))[0]
    if made is not None and name == "broadcast":
        (source,), axes = made.operands[:1], tuple(made.attrs["axes"])
        if 0 in axes:
            source = _at(b, source, row, makers)
            axes = axes[1:]
        return b.broadcast_to(source, value.dims[1:], tuple(a - 1 for a in axes)) if value.rank > 1 else source
    assert isinstance(value.type, TensorType)
    return b.index(value, row, spec=("i", *(":",) * (value.rank - 1)))
