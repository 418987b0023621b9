"""Stretches that the way back computes again, as regions: what reverse mode does first with a program that has such marks.

`gather_regions` turns each marked stretch into a `checkpoint` region that sees the values around it. The values that it defines
and that are read behind it become its results. The region exists inside of reverse mode only: the primal pass has its
instructions in line again, and so does the way back, which runs them once more (`rerun`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wengert.ir.core import Function, Instr, Region, Value, free_values, walk
from wengert.ir.op import get_op
from wengert.ir.rewrite import Env, copy_instr, lookup
from wengert.ir.rewriter import RewriteBuilder, Rewriter
from wengert.transforms.checkpoint_loops import changes_sizes, replayed, segmented
from wengert.types import StackType

_MARKS = frozenset({"checkpoint_begin", "checkpoint_end"})


def remove_marks(fn: Function) -> Function:
    """`fn` without marks: once nothing will be differentiated any more, they say nothing."""
    found = {name: remove_marks(callee) for name, callee in fn.functions.items()}
    if any(found[name] is not callee for name, callee in fn.functions.items()):
        fn = replace(fn, functions=found)
    if not any(i.op.name in _MARKS for i in walk(fn.instrs)):
        return fn
    return _Remover().function(fn)


class _Remover(Rewriter):
    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        """Marks are left out."""
        if instr.op.name not in _MARKS:
            b.append(self.rebuild(instr))


def gather_regions(fn: Function) -> Function:
    """`fn` with a `checkpoint` region in place of each marked stretch, and marked loops in segments that are such regions.

    What cannot be run twice (functions of Python that are called at run time, random draws) or is entered by recursion stays
    as it is, and is remembered like anything else.
    """
    if not any(i.op.name in _MARKS for i in walk(fn.instrs)):
        return fn
    instrs = _block(fn.instrs, fn.results, None)
    return replace(fn, instrs=instrs)


def _block(instrs: Sequence[Instr], results: Sequence[Value], budget: object) -> tuple[Instr, ...]:
    """The instructions of one block, its stretches gathered; `budget` is that of the stretch around, for loops."""
    used: set[Value] = set()
    for value in results:
        _use(used, value)
    made: list[Instr] = []  # from the last to the first
    position = len(instrs) - 1
    while position >= 0:
        instr = instrs[position]
        begin = _begin_of(instrs, position) if instr.op.name == "checkpoint_end" else None
        if begin is not None:
            inner, mark = instrs[begin + 1 : position], instrs[begin]
            new = _stretch(inner, mark, used, budget)
            position = begin
        elif instr.op.name in _MARKS:
            new = ()
        else:
            new = _inside(instr, budget)
        for one in reversed(new):
            _read(used, one)
        made += reversed(new)
        position -= 1
    return tuple(reversed(made))


def _begin_of(instrs: Sequence[Instr], end: int) -> int | None:
    """Where the stretch begins that ends at position `end`."""
    depth = 0
    for position in range(end, -1, -1):
        name = instrs[position].op.name
        depth += (name == "checkpoint_end") - (name == "checkpoint_begin")
        if depth == 0:
            return position
    return None


def _stretch(instrs: Sequence[Instr], mark: Instr, used: set[Value], budget: object) -> tuple[Instr, ...]:
    """What becomes of a stretch, given what is read behind it."""
    own = mark.attrs.get("budget")
    escaping = [r for i in instrs for r in i.results if r in used]
    if own is not None:
        return _block(instrs, escaping, own)
    if not can_run_twice(instrs) or any(isinstance(v.type, StackType) for v in escaping):
        return _block(instrs, escaping, budget)
    inner = _block(instrs, escaping, budget)
    return (_region(inner, escaping, mark),)


def _region(instrs: Sequence[Instr], escaping: Sequence[Value], mark: Instr) -> Instr:
    """The stretch as a region: what escapes keeps its value outside, so that inside all values are new."""
    env: Env = {}
    copies = tuple(copy_instr(i, env) for i in instrs)
    region = Region((), copies, tuple(lookup(env, v) for v in escaping))
    return Instr(get_op("checkpoint"), (), tuple(escaping), {}, (region,), mark.span)


def can_run_twice(instrs: Sequence[Instr]) -> bool:
    """Whether running `instrs` again is possible and gives the same: no impure calls of Python, stacks, recursion."""
    for instr in walk(tuple(instrs)):
        if instr.op.name in ("call", "stack_new", "push", "pop"):
            return False
        if instr.op.name == "host_call" and not instr.attrs.get("pure"):
            return False
        if instr.op.name == "custom" and not can_run_twice(instr.attrs["_rule"].primal.instrs):
            return False
    return not any(isinstance(v.type, StackType) for v in free_values(Region((), tuple(instrs), ())))


def _inside(instr: Instr, budget: object) -> tuple[Instr, ...]:
    """An instruction with the stretches in its regions gathered; a loop under a budget is cut into segments."""
    if not instr.regions:
        return (instr,)
    is_loop = instr.op.name in ("for", "while")
    inner_budget = None if is_loop else budget
    if any(i.op.name in _MARKS for r in instr.regions for i in walk(r.instrs)) or inner_budget is not None:
        regions = tuple(Region(r.params, _block(r.instrs, r.results, inner_budget), r.results) for r in instr.regions)
        instr = Instr(instr.op, instr.operands, instr.results, instr.attrs, regions, instr.span)
    if is_loop and budget is not None and can_run_twice((instr,)):
        return segmented(instr) if budget == "sqrt" or changes_sizes(instr) else (replayed(instr, budget),)
    return (instr,)


def _use(used: set[Value], value: Value) -> None:
    """Note that `value` is read, and the sizes in its type and its affine form."""
    if value in used:
        return
    used.add(value)
    for symbol in value.type.symbols():
        if isinstance(symbol, Value):
            _use(used, symbol)
    if not isinstance(value.type, StackType) and not value.type.dims:
        form = value.affine
        if not isinstance(form, int):
            for symbol, _ in form.terms:
                if isinstance(symbol, Value):
                    _use(used, symbol)


def _read(used: set[Value], instr: Instr) -> None:
    """Note what `instr` reads of the block that it stands in."""
    for value in free_values(Region((), (instr,), ())):
        _use(used, value)
    for value in instr.results:  # their types may refer to sizes before them
        for symbol in value.type.symbols():
            if isinstance(symbol, Value):
                _use(used, symbol)
    for declared in (instr.attrs.get("type"), *(instr.attrs.get("elements") or ())):
        if declared is not None and not isinstance(declared, str):
            for symbol in declared.symbols():
                if isinstance(symbol, Value):
                    _use(used, symbol)
