"""A long function in pieces, each a native function of its own: what LLVM does takes time that grows faster than a function.

The one idea: only what runs once is cut, so a call costs nothing that counts. A piece is a stretch of instructions of the
outermost block; what it reads from before is its parameters, what is read after it its results. What costs nothing to make
(constants, a scalar repeated, other shapes of an array) is made again in each piece that uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from wengert.ir.calls import effectful, make_signature, unused_name
from wengert.ir.core import Function, Instr, Value, walk
from wengert.ir.op import get_op
from wengert.types import I64_SCALAR, Dim, StackType, TensorType, Type

WHOLE = 1200
"""Functions of up to this many instructions stay in one piece."""
PIECE = 400
"""About how many instructions make a piece."""
LOOP = 100
"""A loop or branch counts as at most so many, as it is not cut: code that is long for what stands in loops stays in one piece."""
_MADE_AGAIN = frozenset({"const", "broadcast", "iota", "transpose", "reshape", "assume_shape"})


def in_pieces(fn: Function) -> Function:
    """`fn` as a sequence of calls if it is a long one; else `fn` itself."""
    sizes = [min(LOOP, sum(1 for _ in walk((instr,)))) for instr in fn.instrs]
    if sum(sizes) <= WHOLE or len(fn.instrs) < 2:
        return fn
    stretches = list(_stretches(fn, sizes))
    if len(stretches) < 2:
        return fn
    makers = {r: instr for instr in fn.instrs for r in instr.results}
    cut = _Cut(fn, makers, {*fn.params, *fn.dims, *makers})
    needed = [_Needs(cut, stretch) for stretch in stretches]
    last = _Needs(cut, (), fn.results)
    later = set(last.params)
    functions, calls = dict(fn.functions), list[Instr]()
    for need in reversed(needed):
        made = {r for instr in need.instrs for r in instr.results} - need.again
        results = sorted(later & made, key=lambda v: (v.type != I64_SCALAR, v.serial))
        name = unused_name(f"{fn.name}.piece", functions)
        functions[name] = Function(name, (), tuple(need.params), tuple(need.instrs), tuple(results), need.instrs[0].span)
        calls.append(_call(functions[name]))
        later |= set(need.params)
    effects = effectful(functions)
    instrs = [_with_effects(instr, effects) for instr in (*reversed(calls), *last.instrs)]
    return replace(fn, instrs=tuple(instrs), functions=functions)


@dataclass(frozen=True)
class _Cut:
    """The function that is cut: who makes its values, all that its outermost block sees, and what is the same in every piece."""

    fn: Function
    makers: dict[Value, Instr]
    seen: set[Value]

    def is_made_again(self, value: Value) -> bool:
        """Whether a value costs nothing to make."""
        maker = self.makers.get(value)
        return maker is not None and maker.op.name in _MADE_AGAIN


class _Needs:
    """A stretch of instructions, with what it makes again in front of them, and what it needs from outside.

    Attributes:
        instrs: the instructions of the piece.
        again: the values that it makes again.
        params: what it needs: integers, which sizes may refer to, come first.
    """

    def __init__(self, cut: _Cut, stretch: Sequence[Instr], results: Sequence[Value] = ()) -> None:
        self.cut = cut
        self.again: set[Value] = set()
        self.found: set[Value] = {r for instr in stretch for r in instr.results}
        self.outside: dict[Value, None] = {}
        self.front: list[Instr] = []
        for instr in stretch:
            for value in _uses(instr):
                self.use(value)
        for result in results:
            self.use(result)
        self.instrs = [*self.front, *stretch]
        self.params = sorted(self.outside, key=lambda v: (v.type != I64_SCALAR, v.serial))

    def use(self, value: Value) -> None:
        """Note that a value of the outermost block, or of this piece, is needed."""
        if value in self.found or value not in self.cut.seen:  # a size may be known by numbers from inside of another branch
            return
        self.found.add(value)
        if not self.cut.is_made_again(value):
            self.outside[value] = None
            for symbol in (*_symbols(value.type), *_terms(value)):
                self.use(symbol)
            return
        maker = self.cut.makers[value]
        self.again.add(value)
        for operand in _uses(maker):
            if operand is not value:
                self.use(operand)
        self.front.append(maker)


def _stretches(fn: Function, sizes: Sequence[int]) -> Iterator[tuple[Instr, ...]]:
    """Consecutive instructions, cut near every `PIECE` of them where the fewest values go across."""
    crossing = _crossing(fn)
    start = 0
    while start < len(sizes):
        end, total, best = start, 0, None
        while end < len(sizes) and total < 1.5 * PIECE:
            total += sizes[end]
            end += 1
            if total >= 0.5 * PIECE and (best is None or crossing[end] <= crossing[best]):
                best = end
        rest = sum(sizes[end:])
        stop = len(sizes) if rest < 0.5 * PIECE or best is None else best
        yield fn.instrs[start:stop]
        start = stop


def _crossing(fn: Function) -> list[int]:
    """For every place between two instructions how many values are made before and used behind it."""
    last: dict[Value, int] = {}
    for position, instr in enumerate(fn.instrs):
        for value in _uses(instr):
            last[value] = position
    last.update(dict.fromkeys(fn.results, len(fn.instrs)))
    change = [0] * (len(fn.instrs) + 2)
    for position, instr in enumerate(fn.instrs):
        for result in instr.results:
            if instr.op.name not in _MADE_AGAIN and last.get(result, position) > position:
                change[position + 1] += 1
                change[last[result] + 1] -= 1
    total, found = 0, []
    for step in change:
        total += step
        found.append(total)
    return found


def _uses(instr: Instr) -> set[Value]:
    """The values from outside that an instruction needs: operands, sizes, and what its regions see."""
    own: set[Value] = set()
    used: set[Value] = set()
    for each in walk((instr,)):
        values: list[Value] = [*each.operands, *each.results]
        own.update(each.results)
        for region in each.regions:
            own.update(region.params)
            values += [*region.params, *region.results]
        used.update(values)
        for value in values:
            used.update(_symbols(value.type))
            used.update(_terms(value))
        for declared in (each.attrs.get("type"), *each.attrs.get("elements", ())):
            if isinstance(declared, TensorType | StackType):
                used.update(_symbols(declared))
    return used - own


def _symbols(declared: Type) -> Iterable[Value]:
    return [s for s in declared.symbols() if isinstance(s, Value)]


def _terms(value: Value) -> Iterable[Value]:
    """What an integer is computed from, if it is known as a size."""
    affine = value.affine if value.type == I64_SCALAR else 0
    return [s for s, _ in affine.terms if isinstance(s, Value) and s is not value] if isinstance(affine, Dim) else []


def _call(piece: Function) -> Instr:
    """The call of a piece: in its place, under the same names."""
    signature = make_signature(piece.name, (), piece.params, piece.results)
    attrs = {"callee": piece.name, "_signature": signature}
    return Instr(get_op("call"), piece.params, piece.results, attrs, (), piece.span)


def _with_effects(instr: Instr, effects: set[str]) -> Instr:
    """A call that says whether it may raise or print."""
    if instr.op.name != "call":
        return instr
    signature = replace(instr.attrs["_signature"], effects=instr.attrs["callee"] in effects)
    return replace(instr, attrs={**instr.attrs, "_signature": signature})
