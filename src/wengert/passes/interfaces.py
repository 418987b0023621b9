"""Smaller interfaces of callees: a parameter that the callee does not need goes, and so does a result that no call needs.

The one idea: liveness across calls. A parameter that only travels on to dead parameters of calls is dead, which is a fixpoint
that starts from nothing being needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from wengert.ir.calls import Signature, all_functions, map_instrs, refresh, signature_of, walk_all
from wengert.ir.core import Function, Instr, Value, walk
from wengert.types import Dim, Slot, Symbol


def prune_interfaces(fn: Function) -> Function:
    """`fn` whose callees lack the parameters and results that nobody needs; `fn` itself if there are none."""
    if not fn.functions:
        return fn
    params = _needed_params(fn)
    results = _needed_results(fn)
    complete = all(
        len(params[n]) == len(f.params) and len(results[n]) == len(f.results) for n, f in fn.functions.items()
    )
    return fn if complete else _pruned(fn, params, results)


def _needed_params(fn: Function) -> dict[str, set[int]]:
    """Positions of the parameters that each callee needs."""
    needed: dict[str, set[int]] = {name: set() for name in fn.functions}
    while True:
        before = {name: set(found) for name, found in needed.items()}
        for name, callee in fn.functions.items():
            used = _used(callee, needed)
            needed[name] = {k for k, p in enumerate(callee.params) if p in used}
        if needed == before:
            return needed


def _used(fn: Function, needed: dict[str, set[int]]) -> set[Symbol]:
    """What `fn` reads: operands (of calls, only those that the callee needs), yields, results, sizes, and what those need."""
    used: set[Symbol] = set(fn.results)
    for instr in walk(fn.instrs):
        if instr.op.name == "call":
            used.update(instr.operands[k] for k in needed[instr.attrs["callee"]])
        else:
            used.update(instr.operands)
        for region in instr.regions:
            used.update(region.results)
        for value in (*instr.results, *(p for r in instr.regions for p in r.params)):
            used.update(value.type.symbols())
        for declared in (instr.attrs.get("type"), *instr.attrs.get("elements", ())):
            if declared is not None and not isinstance(declared, str):
                used.update(declared.symbols())
    for value in fn.results:
        used.update(value.type.symbols())
    for param in fn.params:
        if param in used:
            used.update(param.type.symbols())
    _keep_sizes(fn, used)
    return used


def _keep_sizes(fn: Function, used: set[Symbol]) -> None:
    """A size that is used keeps the first array that it can be read from."""
    for dim in fn.dims:
        if dim not in used:
            continue
        sources = [p for p in fn.params if _reads(p, dim)]
        if not any(p in used for p in sources):
            used.add(sources[0])
            used.update(sources[0].type.symbols())
            _keep_sizes(fn, used)


def _reads(param: Value, dim: Value) -> bool:
    dims = getattr(param.type, "dims", ())
    return any(isinstance(d, Dim) and len(d.terms) == 1 and d.terms[0] == (dim, 1) for d in dims)


def _needed_results(fn: Function) -> dict[str, set[int]]:
    """Positions of the results of each callee that some call needs, or that size another one that stays."""
    needed: dict[str, set[int]] = {name: set() for name in fn.functions}
    used: set[Symbol] = set()
    for each in all_functions(fn):
        used |= _used(each, {name: set(range(len(f.params))) for name, f in fn.functions.items()})
    for instr in walk_all(fn):
        if instr.op.name == "call":
            needed[instr.attrs["callee"]].update(k for k, r in enumerate(instr.results) if r in used)
    for name, callee in fn.functions.items():
        types = signature_of(callee).results
        for k in sorted(needed[name], reverse=True):
            needed[name].update(s.index for s in types[k].symbols() if isinstance(s, Slot) and hasattr(types[k], "dims"))
    return needed


def _pruned(fn: Function, params: dict[str, set[int]], results: dict[str, set[int]]) -> Function:
    signatures: dict[str, Signature] = {}
    functions: dict[str, Function] = {}
    for name, callee in fn.functions.items():
        kept = _chosen(callee.params, params[name])
        alive: set[Any] = {s for p in kept for s in p.type.symbols()}
        dims = tuple(d for d in callee.dims if d in alive)
        functions[name] = replace(callee, dims=dims, params=kept, results=_chosen(callee.results, results[name]))
        signatures[name] = signature_of(functions[name])

    def update(instr: Instr) -> Instr:
        if instr.op.name != "call":
            return instr
        name = instr.attrs["callee"]
        operands, kept = _chosen(instr.operands, params[name]), _chosen(instr.results, results[name])
        effects = instr.attrs["_signature"].effects
        attrs = {**instr.attrs, "_signature": replace(signatures[name], effects=effects)}
        return Instr(instr.op, operands, kept, attrs, (), instr.span)

    return refresh(map_instrs(replace(fn, functions=functions), update))


def _chosen(values: Sequence[Value], positions: set[int]) -> tuple[Value, ...]:
    return tuple(v for k, v in enumerate(values) if k in positions)

