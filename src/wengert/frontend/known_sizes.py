"""Sizes of arguments that turned out to be needed while tracing: what was traced before is brought up to date with them.

A trace that needs the size of an argument relies on the size at hand and goes on. What it wrote before holds for any size, so it
holds for this one; here the size is put in its place, and the function is as if the size had been known from the start.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from wengert.ir.core import Function, Value
from wengert.ir.rewriter import RewriteBuilder, Rewriter, pinned_values
from wengert.types import Affine, Dim, TensorType


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


def with_known_sizes(fn: Function, assumptions: Iterable[tuple[Affine, int]]) -> Function:
    """`fn` with the sizes that the assumptions settle as constants; its parameters stay as they are."""
    known = {symbol: size for symbol, size in known_sizes(assumptions).items() if symbol in fn.dims}
    if not known:
        return fn
    rewriter = Rewriter()
    rewriter.pinned = pinned_values(fn)
    b = RewriteBuilder(rewriter.defs, fn.span)
    for symbol, size in known.items():
        rewriter.env[symbol] = b.const(size)
    for param in fn.params:
        wanted = param.type.substitute(rewriter.affine_of)
        if isinstance(wanted, TensorType) and wanted != param.type:
            rewriter.env[param] = b.assume_shape(param, *[b.dim(d) for d in wanted.dims])
    rewriter.block(b, fn.instrs)
    results = tuple([r if r in fn.params else rewriter.env.get(r, r) for r in fn.results])
    return replace(fn, instrs=tuple(b.instrs), results=results)
