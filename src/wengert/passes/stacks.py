"""Smaller stack entries: an element that no `pop` uses, that repeats another, or that is one outer value, is not stored.

Stack values that flow into one another (through pushes, pops, carries and branches) form a group with one entry type; what an
element holds is known from all the pushes of its group. A group without elements left stops pushing and popping, and its stack
becomes an invariant carry for `carries` and `dce` to remove.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from wengert.ir.core import Function, Instr, Region, Value, walk
from wengert.ir.rewriter import RewriteBuilder, Rewriter, pinned_values
from wengert.types import Affine, Dim, Slot, StackType, Symbol, TensorType, Type


@dataclass
class Group:
    """Stacks of one entry type, which flow into one another.

    Attributes:
        makers: the instructions that make its stacks.
        returned: a parameter or result of the function, or of a call in it, is among them, or one is saved or loaded.
        keep: positions of the elements that stay.
        source: what others are: the element at another position, or one value.
    """

    makers: list[Instr] = field(default_factory=list)
    pushes: list[Instr] = field(default_factory=list)
    pops: list[Instr] = field(default_factory=list)
    returned: bool = False
    keep: list[int] = field(default_factory=list)
    source: dict[int, int | Value] = field(default_factory=dict)


def stacks(fn: Function) -> Function:
    """`fn` with stack entries reduced to what has to be remembered."""
    groups = groups_of(fn)
    if not groups:
        return fn
    used = used_values(fn)
    fixed, scopes = pinned_values(fn), _Scopes(fn)
    smaller = {id(g) for g in {id(g): g for g in groups.values()}.values() if _plan(g, used, fixed, scopes)}
    chosen = {value: group for value, group in groups.items() if id(group) in smaller}
    return _Shrinker(chosen).function(fn) if chosen else fn


# --- analysis --------------------------------------------------------------------------------------------------------


def groups_of(fn: Function) -> dict[Value, Group]:
    """The group of each stack value."""
    parent: dict[Value, Value] = {}

    def find(value: Value) -> Value:
        parent.setdefault(value, value)
        while parent[value] is not value:
            parent[value] = parent[parent[value]]
            value = parent[value]
        return value

    def join(*rows: Sequence[Value]) -> None:
        for values in zip(*rows, strict=True):
            if isinstance(values[0].type, StackType):
                for other in values[1:]:
                    parent[find(other)] = find(values[0])

    for instr in walk(fn.instrs):
        name = instr.op.name
        if name in ("push", "pop"):
            join(instr.operands[:1], instr.results[:1])
        elif name == "if":
            join(instr.results, *(r.results for r in instr.regions))
        elif name == "for":
            (body,) = instr.regions
            join(instr.results, instr.operands[1:], body.params[1:], body.results)
        elif name == "while":
            cond, body = instr.regions
            join(instr.results, instr.operands, cond.params, body.params, body.results)
        elif name in ("stack_new", "stack_load", "undef") and isinstance(instr.result.type, StackType):
            find(instr.result)
    return _collect(fn, {value: find(value) for value in list(parent)})


def _collect(fn: Function, roots: dict[Value, Value]) -> dict[Value, Group]:
    by_root: dict[Value, Group] = {root: Group() for root in set(roots.values())}
    groups = {value: by_root[root] for value, root in roots.items()}
    for instr in walk(fn.instrs):
        if instr.op.name == "push":
            groups[instr.operands[0]].pushes.append(instr)
        elif instr.op.name == "pop":
            groups[instr.operands[0]].pops.append(instr)
        elif instr.op.name in ("stack_new", "undef") and instr.result in groups:
            groups[instr.result].makers.append(instr)
        elif instr.op.name in ("call", "stack_save", "stack_load"):
            for value in (*instr.operands, *instr.results):
                if value in groups:
                    groups[value].returned = True
    for value in (*fn.params, *fn.results):
        if value in groups:
            groups[value].returned = True
    return groups


def used_values(fn: Function) -> set[Symbol]:
    """Values that are operands, yields, results or sizes."""
    used: set[Symbol] = set(fn.results)
    for instr in walk(fn.instrs):
        used.update(instr.operands)
        for region in instr.regions:
            used.update(region.results)
            for param in region.params:
                used.update(param.type.symbols())
        for result in instr.results:
            used.update(result.type.symbols())
    return used


def _plan(group: Group, used: set[Symbol], fixed: set[Value], scopes: _Scopes) -> bool:
    """Decide which elements of a group stay; returns whether some go."""
    if group.returned or not (group.pushes or group.pops):
        return False
    elements = entry_of(group)
    sizes = {s.index for e in elements for s in e.symbols() if isinstance(s, Slot)}
    first_with: dict[tuple[Value, ...], int] = {}
    for k, element in enumerate(elements):
        stored = tuple(p.operands[1 + k] for p in group.pushes)
        popped = [p.results[1 + k] for p in group.pops]
        if k in sizes or any(isinstance(s, Slot) for s in element.symbols()) or not fixed.isdisjoint(popped):
            group.keep.append(k)  # a size, or an array that has one
        elif used.isdisjoint(popped):
            continue
        elif stored and stored in first_with:
            group.source[k] = first_with[stored]
        elif len(set(stored)) == 1 and scopes.covers(stored[0], [*group.makers, *group.pops]):
            group.source[k] = stored[0]
        else:
            group.keep.append(k)
            first_with[stored] = k
    return len(group.keep) < len(elements)


def entry_of(group: Group) -> tuple[TensorType, ...]:
    """The types of the elements of an entry."""
    declared = (group.pushes or group.pops)[0].operands[0].type
    assert isinstance(declared, StackType)
    return declared.elements


class _Scopes:
    """Where values are defined and where instructions stand, as (block, position) pairs from the outermost block inwards."""

    def __init__(self, fn: Function) -> None:
        self.home: dict[Value, tuple[int, int]] = {}
        self.path: dict[Instr, dict[int, int]] = {}
        self._blocks = 0
        self._visit(fn.body, {})

    def _visit(self, region: Region, outside: dict[int, int]) -> None:
        block = self._blocks
        self._blocks += 1
        for param in region.params:
            self.home[param] = (block, -1)
        for position, instr in enumerate(region.instrs):
            if instr.regions or instr.op.kind in ("stack", "shape"):
                self.path[instr] = {**outside, block: position}
            for inner in instr.regions:
                self._visit(inner, self.path[instr])
            for result in instr.results:
                self.home[result] = (block, position)

    def covers(self, value: Value, instrs: Sequence[Instr]) -> bool:
        """Whether `value` is in scope at all of `instrs`."""
        block, position = self.home[value]
        return all(self.path[i].get(block, -2) > position for i in instrs)


# --- rewriting -------------------------------------------------------------------------------------------------------


class _Shrinker(Rewriter):
    """Rebuilds a function with the smaller entries of `groups`."""

    def __init__(self, groups: dict[Value, Group]) -> None:
        super().__init__()
        self.groups = groups

    def param(self, param: Value) -> Value:
        group = self.groups.get(param)
        if group is None:
            return super().param(param)
        self.env[param] = new = Value(self.smaller(param.type, group), param.name)
        return new

    def smaller(self, declared: Type, group: Group) -> StackType:
        """A stack type without the elements that go."""
        assert isinstance(declared, StackType)
        moved: dict[Symbol, Affine] = {Slot(old): Dim(0, ((Slot(new), 1),)) for new, old in enumerate(group.keep) if new != old}
        kept = StackType(tuple(declared.elements[k].substitute(moved) for k in group.keep))
        return kept.substitute(self.affine_of)

    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        group = self.groups.get(instr.results[0]) if instr.results else None
        if group is None or instr.regions:
            b.append(self.rebuild(instr))
            return
        operands = tuple([self.env.get(o, o) for o in instr.operands])
        if instr.op.name == "push":
            if group.keep:
                b.append(self.remake(instr, (operands[0], *(operands[1 + k] for k in group.keep)), instr.attrs, ()))
            else:
                self.env[instr.result] = operands[0]
        elif instr.op.name == "pop":
            self.pop(b, instr, operands[0], group)
        else:
            declared = self.smaller(instr.result.type, group)
            attrs = {"elements": declared.elements} if "elements" in instr.attrs else {"type": declared}
            b.append(self.remake(instr, operands, {**instr.attrs, **attrs}, ()))

    def pop(self, b: RewriteBuilder, instr: Instr, stack: Value, group: Group) -> None:
        """Pop what is stored; other used elements come from where they are known."""
        old = instr.results
        found: tuple[Value, ...] = (stack,)
        if group.keep:
            names = [old[0].name, *(old[1 + k].name for k in group.keep)]
            found = b.emit(instr.op, [stack], instr.attrs, names=names)
        self.env[old[0]] = found[0]
        self.env.update({old[1 + k]: value for k, value in zip(group.keep, found[1:], strict=True)})
        for k, source in group.source.items():
            self.env[old[1 + k]] = self.env.get(source, source) if isinstance(source, Value) else self.env[old[1 + source]]
