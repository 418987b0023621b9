"""Sizes of arguments that turned out to be needed while tracing: what was traced before is brought up to date with them.

A trace that needs the size of an argument relies on the size at hand and goes on. What it wrote before holds for any size, so it
holds for this one; here the size is put in its place, and the function is as if the size had been known from the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from wengert.ir.builder import Builder
from wengert.ir.core import Function, Instr, Region, Value
from wengert.ir.rewriter import pinned_values
from wengert.types import I64, I64_SCALAR, Affine, Dim, StackType, Symbol, TensorType, Type, dim_of, dim_substitute


def known_sizes(assumptions: Iterable[tuple[Affine, int]]) -> dict[Value, int]:
    """The sizes that are known if `(size, minimum)` holds for all of these: at least and at most one number."""
    least: dict[Value, int] = {}
    most: dict[Value, int] = {}
    for size, minimum in assumptions:
        if not isinstance(size, Dim) or len(size.terms) != 1:
            continue
        ((symbol, coefficient),) = size.terms
        bound = minimum - size.const
        if isinstance(symbol, Value) and coefficient == 1:
            least[symbol] = max(bound, least.get(symbol, bound))
        elif isinstance(symbol, Value) and coefficient == -1:
            most[symbol] = min(-bound, most.get(symbol, -bound))
    return {symbol: bound for symbol, bound in least.items() if most.get(symbol) == bound}


def same_sizes(pairs: Iterable[tuple[Affine, Affine]], dims: Sequence[Value]) -> dict[Value, Value]:
    """For sizes of arguments that are equal, the first of them, in the order of `dims`."""
    first: dict[Value, Value] = {}

    def root(symbol: Value) -> Value:
        while symbol in first:
            symbol = first[symbol]
        return symbol

    for a, b in pairs:
        symbols = [symbol for symbol in dims if symbol.affine in (a, b)]
        if len(symbols) == 2 and root(symbols[0]) is not root(symbols[1]):
            early, late = sorted(map(root, symbols), key=dims.index)
            first[late] = early
    return {symbol: root(symbol) for symbol in first}


def with_known_sizes(
    fn: Function, assumptions: Iterable[tuple[Affine, int]], equal: Iterable[tuple[Affine, Affine]] = ()
) -> Function:
    """`fn` with the sizes that the assumptions settle as constants, and one symbol for those that are equal.

    The values of `fn`, which has just been traced and is nobody else's, take the types that they have then; but a parameter keeps
    a size that is a constant now. What is computed from arrays of one size is one loop.
    """
    known = {symbol: size for symbol, size in known_sizes(assumptions).items() if symbol in fn.dims}
    same = {late: early for late, early in same_sizes(equal, fn.dims).items() if late not in known and early not in known}
    if not known and not same:
        return fn
    settler = _Settler(pinned_values(fn))
    b = Builder(fn.span)
    for symbol, size in known.items():
        settler.env[symbol] = b.const(size)
        settler.sizes[symbol] = size
    equals: dict[Symbol, Affine] = {late: early.affine for late, early in same.items()}
    settler.env.update(same)
    settler.sizes.update(equals)
    for param in fn.params:
        param.type = param.type.substitute(equals)
        wanted = param.type.substitute(settler.sizes)
        if isinstance(wanted, TensorType) and wanted != param.type:
            settler.env[param] = b.assume_shape(param, *[b.dim(d) for d in wanted.dims])
    results = tuple([r if r in fn.params else settler.env.get(r, r) for r in fn.results])
    dims = tuple([symbol for symbol in fn.dims if symbol not in same])
    return replace(fn, dims=dims, instrs=(*b.instrs, *settler.block(fn.instrs)), results=results)


class _Settler:
    """Puts known sizes into types and instructions; values stay the same objects.

    Attributes:
        env: what sizes and parameters have become.
        sizes: what symbols of dimensions are, those that turn out to be known on the way included.
        pinned: integers that must stay symbols.
        types: types brought up to date, by the identity of the old one: one object is the type of many values.
    """

    def __init__(self, pinned: set[Value]) -> None:
        self.env: dict[Value, Value] = {}
        self.sizes: dict[Symbol, Affine] = {}
        self.pinned = pinned
        self.types: dict[int, tuple[Type, Type]] = {}

    def block(self, instrs: Iterable[Instr]) -> tuple[Instr, ...]:
        """Instructions with the known sizes."""
        return tuple([self.instr(instr) for instr in instrs])

    def instr(self, instr: Instr) -> Instr:
        """An instruction with the known sizes; the same object if all that changes is types of values."""
        env, old, attrs = self.env, instr.operands, instr.attrs
        operands = old
        for operand in old:
            if operand in env:
                operands = tuple([env.get(o, o) for o in old])
                break
        regions = instr.regions and tuple([self.region(r) for r in instr.regions])
        if attrs and ("type" in attrs or "elements" in attrs):
            attrs = {name: self.attribute(found) for name, found in attrs.items()}
        for result in instr.results:
            declared = result.type
            if type(declared) is not TensorType or declared.dims or declared.dtype is I64:  # of other numbers nothing changes
                self.settle(result)
        if instr.op.affine is not None and len(instr.results) == 1 and instr.results[0].type == I64_SCALAR:
            self.note_affine(instr, operands)
        if operands is old and regions == instr.regions and attrs is instr.attrs:
            return instr
        return Instr(instr.op, operands, instr.results, attrs, regions, instr.span)

    def attribute(self, found: Any) -> Any:
        """An attribute, with known sizes in the types that it holds."""
        if isinstance(found, tuple):
            return tuple([self.attribute(each) for each in found])
        return found.substitute(self.sizes) if isinstance(found, TensorType | StackType) else found

    def region(self, region: Region) -> Region:
        """A region with the known sizes."""
        for param in region.params:
            self.settle(param)
        instrs = self.block(region.instrs)
        results = tuple([self.env.get(r, r) for r in region.results])
        if instrs == region.instrs and results == region.results:
            return region
        return Region(region.params, instrs, results)

    def settle(self, value: Value) -> None:
        """Bring the type and the affine form of a value up to date."""
        declared = value.type
        if isinstance(declared, StackType) or declared.dims:
            known = self.types.get(id(declared))
            if known is None:
                touched = any([symbol in self.sizes for symbol in declared.symbols()])
                known = self.types[id(declared)] = (declared, declared.substitute(self.sizes) if touched else declared)
            value.type = known[1]
        elif declared.dtype is I64:
            affine = value.affine
            if isinstance(affine, Dim) and any([symbol in self.sizes for symbol, _ in affine.terms]):
                value.set_affine(dim_substitute(affine, self.sizes))

    def note_affine(self, instr: Instr, operands: Sequence[Value]) -> None:
        """An integer that the op cannot give for unknown operands (a product) may be known now."""
        value = instr.result
        if value in self.pinned or value.affine != dim_of(value) or instr.op.affine is None:
            return
        found = instr.op.affine(*[o.affine for o in operands], **instr.attrs)
        if found is not None:
            self.sizes[value] = found
            self.types.clear()
            value.set_affine(found)
