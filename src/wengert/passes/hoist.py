"""Loop-invariant code motion: what a loop computes anew from values outside of it moves in front of it.

Only work that cannot go wrong when the loop runs no trip, or when a check in the loop would have raised first: no effects, no
stacks, no reads by an index that has to be in range, no array whose size may be negative, no nested `while`. What a loop that
surely runs does before its first effect may go wrong as well in front of it. Views and filled arrays cost nothing and stay,
unless something that does cost needs them. Nothing leaves the arm of an `if`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from wengert.ir.calls import has_effects
from wengert.ir.core import Function, Instr, Region, Value, free_values, walk
from wengert.ir.op import OpDef
from wengert.passes.cse import is_pure
from wengert.types import Affine

# Guarded by checks that the frontend emits before them: equal sizes, a reduction that is not empty.
_GUARDED = frozenset({"assume_shape", "reshape", "undef", "max", "min", "argmax", "argmin"})
_FILLS = frozenset({"broadcast", "iota"})


def hoist(fn: Function) -> Function:
    """`fn` with loop-invariant instructions moved in front of their loops."""
    instrs = _block(fn.instrs, set(fn.dims))
    return fn if instrs is fn.instrs else replace(fn, instrs=instrs)


def _block(instrs: tuple[Instr, ...], sizes: set[Value]) -> tuple[Instr, ...]:
    """`instrs` with the loops among them relieved; the same tuple if nothing moved."""
    out: list[Instr] = []
    changed = False
    for instr in instrs:
        if not instr.regions:
            out.append(instr)
            continue
        regions = tuple([_inner(r, sizes) for r in instr.regions])
        if instr.op.name in ("for", "while"):
            split = [_split(r, sizes, _surely_runs(instr)) for r in regions]
            for moved, _ in split:
                out += moved
            regions = tuple([rest for _, rest in split])
        if all(new is old for new, old in zip(regions, instr.regions)):
            out.append(instr)
            continue
        changed = True
        out.append(replace(instr, regions=regions))
    return tuple(out) if changed else instrs


def _inner(region: Region, sizes: set[Value]) -> Region:
    instrs = _block(region.instrs, sizes)
    return region if instrs is region.instrs else replace(region, instrs=instrs)


def _surely_runs(loop: Instr) -> bool:
    """Whether a loop has a known number of trips, and at least one."""
    if loop.op.name != "for":
        return False
    count = loop.operands[0].affine
    return isinstance(count, int) and count > 0


def _split(region: Region, sizes: set[Value], surely: bool) -> tuple[list[Instr], Region]:
    """What moves in front of the loop, in order, and the region without it; `surely`: what the loop begins with will run."""
    inside = set(region.params)
    candidates: dict[Value, Instr] = {}
    chosen: set[Instr] = set()

    def choose(instr: Instr) -> None:
        chosen.add(instr)
        for value in _needs(instr):
            before = candidates.get(value)
            if before is not None and before not in chosen:
                choose(before)

    for instr in region.instrs:
        surely = surely and not _any_effects(instr)
        if any(v in inside for v in _needs(instr)) or not (_may_move(instr, sizes) or (surely and _is_pure_throughout(instr))):
            inside.update(instr.results)
            continue
        candidates.update(dict.fromkeys(instr.results, instr))
        if not _is_free(instr):
            choose(instr)
    if not chosen:
        return [], region
    moved = [i for i in region.instrs if i in chosen]
    rest = tuple([i for i in region.instrs if i not in chosen])
    return moved, replace(region, instrs=rest)


def _needs(instr: Instr) -> Iterable[Value]:
    """Values that must exist before `instr`."""
    yield from instr.operands
    for result in instr.results:
        for symbol in result.type.symbols():
            if isinstance(symbol, Value) and symbol not in instr.results:
                yield symbol
    for region in instr.regions:
        yield from free_values(region)


def _is_free(instr: Instr) -> bool:
    """Whether an array costs nothing where it is: views and filled arrays."""
    return not instr.regions and instr.op.cost == 0 and instr.result.rank > 0


def _any_effects(instr: Instr) -> bool:
    return has_effects(instr) or any(has_effects(i) for r in instr.regions for i in walk(r.instrs))


def _is_pure_throughout(instr: Instr) -> bool:
    """Whether an instruction that runs in the first trip anyway may run before: it has no effect and touches no stack."""
    if instr.regions:
        return all(_is_pure_throughout(i) for r in instr.regions for i in r.instrs)
    return is_pure(instr)


def _may_move(instr: Instr, sizes: set[Value]) -> bool:
    """Whether `instr` may run although the loop would not have run it."""
    if instr.regions:
        return instr.op.name in ("if", "for") and all(_may_move(i, sizes) for r in instr.regions for i in r.instrs)
    if not is_pure(instr) or instr.op.name in _GUARDED:
        return False
    if instr.op.kind == "index":
        return _in_range(instr)
    if instr.op.name in _FILLS:
        return all(_is_size(d, sizes) for d in instr.result.dims)
    return _cannot_fail(instr.op)


def _in_range(instr: Instr) -> bool:
    """Whether a read at constant places of an array of constant size is in range."""
    spec = instr.attrs.get("spec")
    if instr.op.name != "index" or spec is None or not set(spec) <= {"i", ":"}:
        return False
    places = iter(instr.operands[1:])
    for kind, size in zip(spec, instr.operands[0].dims, strict=True):
        if kind == "i":
            place = next(places).affine
            if not isinstance(place, int) or not isinstance(size, int) or not 0 <= place < size:
                return False
    return True


def _is_size(d: Affine, sizes: set[Value]) -> bool:
    """Whether dimension `d` is not negative for sure: a number, or the size of an argument."""
    if isinstance(d, int):
        return d >= 0
    return d.const >= 0 and all(coefficient > 0 and symbol in sizes for symbol, coefficient in d.terms)


def _cannot_fail(op: OpDef) -> bool:
    """Ops whose result exists for all operands of the right types."""
    return op.kind in ("constant", "elementwise", "shape", "reduce", "linalg")
