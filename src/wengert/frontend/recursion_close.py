"""From a traced recursive function to a function of the IR: what it uses of the values around it becomes parameters.

While recursive functions are being traced their instructions refer to values outside of them, and their calls do not pass
these. When the outermost of them is done, what each one needs is found, its instructions are copied onto parameters of its
own, and the calls are completed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from wengert.errors import Span
from wengert.ir.builder import Builder
from wengert.ir.calls import Signature, make_signature, unused_name
from wengert.ir.core import Function, Instr, Region, Value, free_values, walk
from wengert.ir.equal import same
from wengert.ir.op import get_op
from wengert.ir.rewrite import Env, copy_instr, copy_value, substitute_type
from wengert.types import I64_SCALAR, Affine, Dim, TensorType, dim_of


@dataclass(eq=False)
class Draft:
    """A recursive function before it is closed.

    Attributes:
        name: its name.
        dims: sizes of its own.
        params: its own parameters.
        instrs: its instructions; a call among them holds its draft as `_draft` and passes own parameters only.
        results: what it returns.
        span: where it is defined.
        needs: values from outside that it uses, itself or in the functions that it calls.
        derived: integers from outside that are computed anew from the sizes in `needs`.
        defined: values that are its own.
        passed: what calls pass behind the own parameters.
        signature: of the closed function.
    """

    name: str
    dims: tuple[Value, ...] = ()
    params: tuple[Value, ...] = ()
    instrs: tuple[Instr, ...] = ()
    results: tuple[Value, ...] = ()
    span: Span | None = None
    needs: dict[Value, None] = field(default_factory=dict)
    derived: dict[Value, None] = field(default_factory=dict)
    defined: set[Value] = field(default_factory=set)
    passed: list[Value] = field(default_factory=list)
    signature: Signature | None = None

    @property
    def callees(self) -> list[Draft]:
        """The drafts that it calls."""
        return list(dict.fromkeys(i.attrs["_draft"] for i in walk(self.instrs) if "_draft" in i.attrs))


def draft_call(draft: Draft, operands: Sequence[Value], results: Sequence[Value], span: Span | None) -> Instr:
    """A call that is completed later."""
    attrs = {"callee": draft.name, "_draft": draft}
    return Instr(get_op("call"), tuple(operands), tuple(results), attrs, (), span)


def has_drafts(instrs: Iterable[Instr]) -> bool:
    """Whether calls among the instructions are not complete."""
    return any("_draft" in i.attrs for i in walk(list(instrs)))


def close(draft: Draft, functions: dict[str, Function]) -> None:
    """Add `draft`, and the drafts that it calls, to `functions`; afterwards `complete` gives calls of it.

    One that equals a function that is there already is dropped for that one.
    """
    group = _reachable(draft)
    for each in group:
        _note_own_needs(each)
    while any([_pass_needs_on(each) for each in group]):
        pass
    for each in group:
        _choose_passed(each)
    if len(group) == 1:
        base = draft.name.partition(".")[0]
        for name in [n for n in functions if n.partition(".")[0] == base]:
            draft.name = name
            if functions[name].span == draft.span and same(_copied(draft), functions[name]):
                return
    taken = dict.fromkeys(functions)
    for each in group:
        each.name = unused_name(each.name.partition(".")[0], taken)
        taken[each.name] = None
    for each in group:
        functions[each.name] = _copied(each)


def complete(draft: Draft, instr: Instr, lookup: Callable[[Value], Value]) -> Instr:
    """A call of a closed draft with all that it needs passed."""
    operands = (*map(lookup, instr.operands), *map(lookup, draft.passed))
    if draft.signature is None:
        draft.signature = _signature(draft)
    attrs = {"callee": draft.name, "_signature": draft.signature}
    return Instr(instr.op, operands, instr.results, attrs, (), instr.span)


def _reachable(draft: Draft) -> list[Draft]:
    found: dict[Draft, None] = {}
    pending = [draft]
    while pending:
        at = pending.pop()
        if at not in found:
            found[at] = None
            pending += reversed(at.callees)
    return list(found)


# --- what is needed --------------------------------------------------------------------------------------------------


def _note_own_needs(draft: Draft) -> None:
    """Find the free values of the instructions and what they define."""
    region = Region((*draft.dims, *draft.params), draft.instrs, draft.results)
    draft.defined = set(region.params)
    for instr in walk(draft.instrs):
        draft.defined.update(instr.results)
        for inner in instr.regions:
            draft.defined.update(inner.params)
    draft.needs, draft.derived = {}, {}
    for value in free_values(region):
        _need(draft, value)


def _need(draft: Draft, value: Value) -> None:
    if value in draft.needs or value in draft.derived or value in draft.defined:
        return
    if value.type == I64_SCALAR and value.affine != dim_of(value):
        draft.derived[value] = None
    else:
        draft.needs[value] = None
    for symbol in _symbols(value):
        _need(draft, symbol)


def _symbols(value: Value) -> list[Value]:
    """The sizes in the type of a value, and those that an integer is computed from."""
    found = list(value.type.symbols())
    if value.type == I64_SCALAR and isinstance(value.affine, Dim):
        found += [s for s, _ in value.affine.terms]
    return [s for s in found if isinstance(s, Value) and s is not value]


def _pass_needs_on(draft: Draft) -> bool:
    """Need what the callees need; True if that is news."""
    before = len(draft.needs) + len(draft.derived)
    for callee in draft.callees:
        for value in callee.needs:
            _need(draft, value)
    return len(draft.needs) + len(draft.derived) > before


def _choose_passed(draft: Draft) -> None:
    """Arrays and numbers are passed; sizes only if no array that is passed shows them."""
    tensors = [v for v in draft.needs if v.type != I64_SCALAR]
    shown = {s for v in (*draft.params, *tensors) for s in map(_single, v.dims)}
    draft.passed = tensors + [v for v in draft.needs if v.type == I64_SCALAR and v not in shown]


def _single(d: Affine) -> Value | None:
    """The symbol that a dimension is, if it is just that."""
    if isinstance(d, Dim) and d.const == 0 and len(d.terms) == 1 and d.terms[0][1] == 1:
        symbol = d.terms[0][0]
        return symbol if isinstance(symbol, Value) else None
    return None


# --- copying ---------------------------------------------------------------------------------------------------------


def _copied(draft: Draft) -> Function:
    """The function: a copy on parameters of its own."""
    copy = _Copy(draft)
    instrs = [*copy.prologue.instrs, *copy.block(draft.instrs)]
    results = tuple(copy.env.get(r, r) for r in draft.results)
    return Function(draft.name, tuple(copy.dims), tuple(copy.params), tuple(instrs), results, draft.span)


def _signature(draft: Draft) -> Signature:
    """The signature of the copy."""
    copy = _Copy(draft)
    copy.block(draft.instrs, shallow=True)
    return make_signature(draft.name, copy.dims, copy.params, [copy.env.get(r, r) for r in draft.results])


class _Copy:
    """A draft being copied.

    Attributes:
        env: what the values have become.
        dims: sizes that the function reads from its arguments.
        params: its parameters.
        prologue: computes what stands for integers and arrays from outside.
    """

    def __init__(self, draft: Draft) -> None:
        self.env: Env = {}
        self.dims: list[Value] = []
        self.params: list[Value] = []
        self.prologue = Builder(draft.span)
        own = set(draft.dims)
        inputs = [*draft.params, *draft.passed]
        for value in inputs:
            for symbol in map(_single, value.dims):
                if symbol is not None and symbol not in self.env and (symbol in own or symbol in draft.needs):
                    self.env[symbol] = Value(I64_SCALAR, symbol.name)
                    self.dims.append(self.env[symbol])
        late = [self.parameter(value) for value in inputs]
        for value in draft.derived:
            substituted = substitute_type(self.env, TensorType(value.tensor.dtype, (value.affine,)))
            assert isinstance(substituted, TensorType)
            self.env[value] = self.prologue.dim(substituted.dims[0])
        for value, param in late:
            self.assume(value, param)

    def parameter(self, value: Value) -> tuple[Value, Value]:
        """Add the parameter for a value; sizes that are more than a symbol become sizes of their own first."""
        dims: list[Affine] = []
        for d in value.dims:
            if isinstance(d, int):
                dims.append(d)
            elif (symbol := _single(d)) is not None and symbol in self.env:
                dims.append(dim_of(self.env[symbol]))
            else:
                size = Value(I64_SCALAR, "n")
                self.dims.append(size)
                dims.append(dim_of(size))
        param = Value(TensorType(value.tensor.dtype, tuple(dims)), value.name)
        self.params.append(param)
        self.env[value] = param
        return value, param

    def assume(self, value: Value, param: Value) -> None:
        """Give the parameter the sizes that the instructions rely on."""
        wanted = substitute_type(self.env, value.type)
        if wanted != param.type:
            assert isinstance(wanted, TensorType)
            self.env[value] = self.prologue.assume_shape(param, *[self.prologue.dim(d) for d in wanted.dims])

    def block(self, instrs: Iterable[Instr], shallow: bool = False) -> list[Instr]:
        """Copies of instructions; with `shallow`, regions are left out."""
        return [self.instr(i, shallow) for i in instrs]

    def instr(self, instr: Instr, shallow: bool) -> Instr:
        """A copy of an instruction."""
        draft: Any = instr.attrs.get("_draft")
        if draft is not None:
            if not shallow:
                instr = complete(draft, instr, lambda v: self.env.get(v, v))
            return Instr(instr.op, instr.operands, self.results(instr), instr.attrs, (), instr.span)
        if shallow or not instr.regions:
            return copy_instr(Instr(instr.op, instr.operands, instr.results, instr.attrs, (), instr.span), self.env)
        operands = tuple(self.env.get(o, o) for o in instr.operands)
        regions = tuple([self.region(r) for r in instr.regions])
        return Instr(instr.op, operands, self.results(instr), instr.attrs, regions, instr.span)

    def results(self, instr: Instr) -> tuple[Value, ...]:
        """Copies of the results."""
        return tuple([copy_value(self.env, r) for r in instr.results])

    def region(self, region: Region) -> Region:
        """A copy of a region."""
        params = tuple([copy_value(self.env, p) for p in region.params])
        instrs = tuple(self.block(region.instrs))
        return Region(params, instrs, tuple([self.env.get(r, r) for r in region.results]))
