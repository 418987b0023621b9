"""`Rewriter`: the walk that the passes are made of. It rebuilds a function under a substitution, keeping whatever did not change.

The one idea: an instruction that nothing touches stays the same object with the same result values, so a pass over a program
that needs no work costs a dictionary look-up per operand and returns the very function it was given (which is how the pipeline
knows that it is done). Where an operand changed, types are inferred anew; a result whose type and affine form come out as
before keeps its value, which ends the ripple.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from wengert.errors import InternalError, Span
from wengert.ir.builder import Builder, holds_in_arms, resolve_slots
from wengert.ir.core import Function, Instr, Region, Value, walk
from wengert.ir.rewrite import Env, copy_value, substitute_attrs, substitute_type
from wengert.types import I64_SCALAR, Affine, Dim, Slot, StackType, Type, dim_of, dim_substitute


class RewriteBuilder(Builder):
    """A builder that notes which instruction defines each value."""

    def __init__(self, defs: dict[Value, Instr], span: Span | None = None) -> None:
        super().__init__(span)
        self.defs = defs

    def append(self, instr: Instr) -> None:
        """Append a finished instruction and note its results."""
        self.instrs.append(instr)
        for result in instr.results:
            self.defs[result] = instr

    def child(self) -> RewriteBuilder:
        """A builder for a region nested here."""
        inner = RewriteBuilder(self.defs, self.span)
        inner.functions = self.functions
        return inner


class Rewriter:
    """Rebuilds a function; passes override `visit`.

    Attributes:
        env: what values have become; values that stay are not in it.
        defs: the instruction that defines a value of the new function (parameters have none).
        pinned: integers that must stay symbols, because a loop or `if` or stack refers to them by position in a type.
    """

    def __init__(self) -> None:
        self.env: Env = {}
        self.defs: dict[Value, Instr] = {}
        self.pinned: set[Value] = set()

    # --- to override --------------------------------------------------------------------------------------------

    def visit(self, b: RewriteBuilder, instr: Instr) -> None:
        """Emit what `instr` becomes into `b` (and call `replace` where its results become other values)."""
        b.append(self.rebuild(instr))

    def enter(self, b: RewriteBuilder, params: tuple[Value, ...], region: Region) -> None:
        """Called at the beginning of each region, whose new parameters are `params`."""

    # --- the walk -----------------------------------------------------------------------------------------------

    def function(self, fn: Function) -> Function:
        """`fn` rewritten; `fn` itself if nothing changed."""
        self.pinned = pinned_values(fn)
        old = fn.body
        new = self.region(old)
        if new is old:
            return fn
        return replace(fn, instrs=new.instrs, results=new.results)

    def region(self, region: Region) -> Region:
        """`region` rewritten; `region` itself if nothing changed."""
        params = tuple([self.param(p) for p in region.params])
        b = RewriteBuilder(self.defs)
        self.enter(b, params, region)
        self.block(b, region.instrs)
        env = self.env
        results = tuple([env.get(r, r) for r in region.results])
        instrs = tuple(b.instrs)
        if params == region.params and instrs == region.instrs and results == region.results:
            return region
        return Region(params, instrs, results)

    def block(self, b: RewriteBuilder, instrs: Iterable[Instr]) -> None:
        """Visit `instrs` one after another; what is emitted on behalf of one gets its span."""
        for instr in instrs:
            b.span = instr.span
            self.visit(b, instr)

    def param(self, param: Value) -> Value:
        """A region parameter with the sizes in its type substituted."""
        if not self.env or not any(s in self.env for s in param.type.symbols()):
            return param
        return copy_value(self.env, param)

    def rebuild(self, instr: Instr) -> Instr:
        """`instr` on the new operands and regions; the same object if all of that is unchanged."""
        env = self.env
        if not instr.regions and (not env or not self.is_touched(instr)):
            return instr
        operands = tuple([env.get(o, o) for o in instr.operands])
        regions = tuple([self.region(r) for r in instr.regions]) if instr.regions else ()
        attrs = instr.attrs
        if "type" in attrs or "elements" in attrs:
            substituted = substitute_attrs(attrs, env)
            attrs = attrs if substituted == attrs else substituted
        # Tuples of values, instructions and regions compare by identity.
        unchanged = operands == instr.operands and regions == instr.regions and attrs is instr.attrs
        if unchanged and not self.sizes_changed(instr):
            return instr
        return self.remake(instr, operands, attrs, regions)

    def is_touched(self, instr: Instr) -> bool:
        """Whether an operand, an attribute or a type of an instruction without regions may have changed."""
        env = self.env
        for operand in instr.operands:
            if operand in env:
                return True
        return "type" in instr.attrs or "elements" in instr.attrs or self.sizes_changed(instr)

    def sizes_changed(self, instr: Instr) -> bool:
        """Whether a type among the results refers to a value that has been replaced."""
        env = self.env
        for result in instr.results:
            declared = result.type
            if type(declared) is StackType:
                if any([symbol in env for symbol in declared.symbols()]):
                    return True
                continue
            for size in declared.dims:  # type: ignore[union-attr]
                if type(size) is Dim:
                    for symbol, _ in size.terms:
                        if symbol in env:
                            return True
        return False

    def remake(self, instr: Instr, operands: tuple[Value, ...], attrs: dict[str, Any], regions: tuple[Region, ...]) -> Instr:
        """An instruction like `instr` with other parts; results keep their values where type and affine form allow."""
        results: list[Value] = []
        for place, (old, declared) in enumerate(zip(instr.results, instr.op.infer(operands, attrs, regions), strict=True)):
            new_type = resolve_slots(declared, results)
            if instr.op.name == "if" and new_type != old.type and self.keeps_sizes(instr, regions, place, results, new_type):
                new_type = substitute_type(self.env, old.type)
            affine: Affine | None = None
            opaque = old in self.pinned and old.affine == dim_of(old)
            if new_type == I64_SCALAR and instr.op.affine is not None and not opaque:
                affine = instr.op.affine(*[o.affine for o in operands], **attrs)
            if new_type == old.type and old.affine == (dim_of(old) if affine is None else affine):
                results.append(old)
                continue
            self.env[old] = new = Value(new_type, old.name, affine)
            results.append(new)
        return Instr(instr.op, operands, tuple(results), attrs, regions, instr.span)

    def keeps_sizes(self, instr: Instr, arms: tuple[Region, ...], place: int, results: list[Value], found: Type) -> bool:
        """Whether a result of an `if` keeps naming its sizes by results before it, though both arms now give one value for them.

        What follows may know those sizes by the results alone.
        """
        old = substitute_type(self.env, instr.results[place].type)
        is_vaguer = sum(1 for _ in old.symbols()) > sum(1 for _ in found.symbols())
        return not is_vaguer and holds_in_arms(old, results, place, arms)

    # --- replacing ----------------------------------------------------------------------------------------------

    def can_replace(self, old: Value, new: Value) -> bool:
        """Whether every use of `old`, in types too, may become a use of `new` (which is known to hold the same)."""
        if substitute_type(self.env, old.type) != new.type:
            return False
        if new.type != I64_SCALAR:
            return True
        if old.affine == dim_of(old):
            return old not in self.pinned
        return dim_substitute(old.affine, self.affine_of) == new.affine

    def affine_of(self, symbol: Any) -> Affine | None:
        """What a symbol of a dimension has become, or None if it stays."""
        new = self.env.get(symbol)
        return None if new is None else new.affine

    def replace(self, instr: Instr, *values: Value) -> None:
        """Make the results of `instr` become `values`.

        Raises:
            InternalError: the types do not agree, a defect of the pass.
        """
        for old, new in zip(instr.results, values, strict=True):
            if not self.can_replace(old, new):
                raise InternalError(f"a pass would replace {old!r} by {new!r}", instr.span)
            self.env[old] = new
            if not new.name:
                new.name = old.name


def pinned_values(fn: Function) -> set[Value]:
    """Integers that a type refers to by position: loop carries, results of `if` and stack entries of varying size."""
    pinned: set[Value] = set()
    for instr in walk(fn.instrs):
        if not instr.regions and instr.op.name != "push":
            continue
        if instr.op.name == "push":
            declared = instr.operands[0].type
            assert isinstance(declared, StackType)
            slots = [s for e in declared.elements for s in e.symbols() if isinstance(s, Slot)]
            pinned.update(instr.operands[1 + s.index] for s in slots)
        elif instr.op.name == "if":
            _pin(instr.results, [r.results for r in instr.regions], pinned)
        elif instr.op.name == "for":
            body = instr.regions[0]
            _pin(body.params[1:], [instr.operands[1:], body.results], pinned)
        elif instr.op.name == "while":
            body = instr.regions[1]
            _pin(body.params, [instr.operands, body.results], pinned)
    return pinned


def _pin(values: Sequence[Value], sources: Sequence[Sequence[Value]], pinned: set[Value]) -> None:
    """Pin the entries of `sources` at the positions of those `values` that types among `values` refer to."""
    referred = {s for v in values if isinstance(v.type, StackType) or v.rank for s in v.type.symbols()}
    if not referred:
        return
    for position, value in enumerate(values):
        if value in referred:
            pinned.update(source[position] for source in sources)
