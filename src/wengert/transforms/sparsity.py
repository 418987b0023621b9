"""Patterns of derivatives as IR: the program run on sets of input elements instead of numbers.

A set is a 64-bit mask: which of 64 groups of input elements a number may depend on. Sums and products become unions, reads and
writes move masks as they move numbers, and whole numbers (sizes, indices, trip counts) are computed as they are. What floats
decide on is not followed but covered: both arms of a branch, any number of iterations, any index. So a pattern holds for all
floats, and for the whole numbers that it was made with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from wengert.errors import Span, UnsupportedError
from wengert.ir.builder import Builder
from wengert.ir.calls import refresh
from wengert.ir.core import Function, Instr, Region, Value, free_values, walk
from wengert.ir.op import get_op
from wengert.ir.rewrite import Env, substitute_attrs
from wengert.transforms.activity import loop_parts
from wengert.transforms.jvp import fresh_copy
from wengert.transforms.sparsity_levels import BLANK, KNOWN, MASK, Levels, steering
from wengert.transforms.sparsity_rules import any_differs, apply_rule, in_range, union
from wengert.types import BOOL_SCALAR, I64, Affine, Dim, Slot, StackType, Symbol, TensorType


def pattern_program(fn: Function, wrt: Sequence[int], known: Sequence[int] = ()) -> Function:
    """The function that tells which groups of input elements the results of `fn` may depend on.

    Args:
        fn: the function.
        wrt: positions of the float parameters whose elements are asked for.
        known: positions of other float parameters that the pattern may depend on.

    Returns:
        A function of parameters like those of `fn`, except that those at `wrt` are masks, `i64`; other floats are not looked at.
        It returns a mask per float result, of its shape.

    Raises:
        UnsupportedError: floats decide on the size of an array, or on what a reverse pass remembers.
    """
    fn = fresh_copy(fn)
    start = [BLANK if p.is_float and k not in known else KNOWN for k, p in enumerate(fn.params)]
    for k in wrt:
        start[k] = MASK
    emitter = _Emitter(fn, Levels(fn, start))
    params = []
    for param, level in zip(fn.params, start, strict=True):
        masked = Value(TensorType(I64, param.dims), param.name) if level == MASK else param
        params.append(masked)
        if level != BLANK:
            emitter.env[param] = masked
    builder = Builder(fn.span)
    builder.functions.update(fn.functions)
    emitter.block(builder, fn.instrs)
    builder.span = fn.span
    results = tuple(emitter.mask(builder, r) for r in fn.results if r.is_float)
    name, instrs = f"{fn.name}_pattern", tuple(builder.instrs)
    return refresh(Function(name, fn.dims, tuple(params), instrs, results, fn.span, builder.functions))


_UNKNOWN_VALUES = "a check of the program fails for these sizes and whole numbers"


class _Emitter:
    """Emits blocks on masks.

    Attributes:
        env: the number of each known value and the mask of each that has one.
        covering: how many branches and loops that floats decide on are around: inside, a write may or may not happen.
        constants: of the program.
    """

    def __init__(self, fn: Function, levels: Levels) -> None:
        self.levels = levels
        self.env: Env = {d: d for d in fn.dims}
        self.covering = 0
        self.constants = {i.result for i in walk(fn.instrs) if i.op.name == "const"}

    # --- values -------------------------------------------------------------------------------------------------

    def mask(self, b: Builder, value: Value) -> Value:
        """The mask of a float, empty where it has none."""
        if self.levels[value] == MASK:
            return self.env[value]
        return b.full(self.dims(value, b.span), 0, I64)

    def number(self, value: Value, span: Span | None) -> Value:
        """The number of a whole number on which the shape of the program depends."""
        found = self.env.get(value)
        if found is None or not self.levels.is_known(value):
            self.refuse_size(span)
        return found

    def refuse_size(self, span: Span | None) -> NoReturn:
        """Raise: a size that floats decide on."""
        raise UnsupportedError(
            "the sparsity pattern is not known before the run: floats decide on the size of an array",
            span,
            fix="compute the dense jacobian, pass the pattern with sparsity=..., or make the size an integer argument",
        )

    def dims(self, value: Value, span: Span | None) -> tuple[Affine, ...]:
        """The sizes of `value` in the new program."""
        return self.in_program(value.tensor, span).dims

    def in_program(self, declared: TensorType, span: Span | None) -> TensorType:
        """A type with the sizes of the new program."""

        def find(symbol: Symbol) -> Affine | None:
            return self.number(symbol, span).affine if isinstance(symbol, Value) else None

        return declared.substitute(find)

    def kept(self, values: Sequence[Value]) -> list[int]:
        """Positions of those of `values` that have something in the new program."""
        return [k for k, v in enumerate(values) if isinstance(v.type, StackType) or self.levels[v] != BLANK]

    def as_level(self, b: Builder, value: Value, like: Value) -> Value:
        """What stands for `value` where something of the level of `like` is wanted."""
        if isinstance(value.type, StackType) or self.levels[like] == KNOWN:
            return self.env[value]
        return self.mask(b, value)

    def parameter(self, value: Value) -> Value:
        """A region parameter that stands for `value`."""
        if isinstance(value.type, StackType):
            new = Value(self.stack_type(value), value.name)
        else:
            declared = self.in_program(value.tensor, None)
            new = Value(declared.with_dtype(I64) if self.levels[value] == MASK else declared, value.name)
        self.env[value] = new
        return new

    # --- blocks -------------------------------------------------------------------------------------------------

    def block(self, b: Builder, instrs: Sequence[Instr]) -> None:
        """Emit `instrs` into `b`."""
        for instr in instrs:
            b.span = instr.span
            name = instr.op.name
            if name == "if":
                self.branch(b, instr)
            elif name in ("for", "while"):
                self.loop(b, instr)
            elif name in ("push", "pop", "stack_new") or self.makes_stack(instr):
                self.stack(b, instr)
            else:
                self.leaf(b, instr)

    def leaf(self, b: Builder, instr: Instr) -> None:
        levels = [self.levels[r] for r in instr.results]
        if any(isinstance(o.type, StackType) for o in instr.operands):
            self.refuse_stack(instr)
        if instr.op.name == "check":
            self.check(b, instr)
        if not levels or BLANK in levels:
            return
        if not self.covering:
            self.env.update(self.results(b, instr))
        elif instr.op.name == "wrap_index":
            position, size = (self.env[o] for o in instr.operands)
            self.env[instr.result] = b.select(b.lt(position, 0), b.add(position, size), position)
        else:
            valid = in_range(b, self, instr)
            if valid is None:
                self.env.update(self.results(b, instr))
            else:
                self.env[instr.result] = self.guarded(b, instr, valid)

    def results(self, b: Builder, instr: Instr) -> Env:
        """Emit what stands for an instruction without regions."""
        if MASK in [self.levels[r] for r in instr.results]:
            masks = apply_rule(b, self, instr)
            return {r: v for r, v in zip(instr.results, masks, strict=True) if v is not None}
        operands = [self.env[o] for o in instr.operands]
        attrs = substitute_attrs(instr.attrs, self.env)
        found = b.emit(instr.op, operands, attrs, names=[r.name for r in instr.results])
        return dict(zip(instr.results, found, strict=True))

    def guarded(self, b: Builder, instr: Instr, valid: Value) -> Value:
        """A read or write in code that may not be reached: nothing happens where its indices are out of range."""
        inner, other = b.child(), b.child()
        found = self.results(inner, instr)[instr.result]
        if instr.op.name in ("index", "gather"):
            instead = other.full(found.dims, 0, found.tensor.dtype)
        else:
            instead = self.as_level(other, instr.operands[0], instr.result)
        regions = [Region((), tuple(x.instrs), (v,)) for x, v in ((inner, found), (other, instead))]
        return b.emit(get_op("if"), (valid,), {}, regions, [instr.result.name])[0]

    def check(self, b: Builder, instr: Instr) -> None:
        """A check of whole numbers is made here, too, since what follows relies on it; not where it may not be reached.

        There, sizes are checked all the same, and indices where they are used.
        """
        condition, constant = instr.operands[0], instr.operands[0] in self.constants
        if not all(map(self.levels.is_known, instr.operands)):
            if not self.levels.is_known(condition) or self.covering:
                return
        elif self.covering and (constant or instr.attrs["exception"] != "ValueError"):
            return
        known = [o for o in instr.operands if self.levels.is_known(o)]
        if len(known) == len(instr.operands):
            b.emit(instr.op, [self.env[o] for o in known], instr.attrs)
        else:
            b.check(self.env[condition], exception=instr.attrs["exception"], message=_UNKNOWN_VALUES)

    # --- branches -----------------------------------------------------------------------------------------------

    def branch(self, b: Builder, instr: Instr) -> None:
        if not self.levels.is_known(instr.operands[0]):
            self.both_arms(b, instr)
            return
        kept = self.kept(instr.results)
        regions = []
        for region in instr.regions:
            inner = b.child()
            self.block(inner, region.instrs)
            found = [self.as_level(inner, region.results[k], instr.results[k]) for k in kept]
            regions.append(Region((), tuple(inner.instrs), tuple(found)))
        if kept:
            results = b.emit(instr.op, (self.env[instr.operands[0]],), {}, regions, [instr.results[k].name for k in kept])
            self.env.update((instr.results[k], v) for k, v in zip(kept, results, strict=True))

    def both_arms(self, b: Builder, instr: Instr) -> None:
        """A branch that floats decide on: what either arm depends on.

        The second arm goes on with the arrays that the first has written to, where a write adds and takes nothing away. Entries
        that one way pushes, the way back pops in reverse.
        """
        first, second = instr.regions
        if any(i.op.name == "pop" for region in instr.regions for i in walk(region.instrs)):
            first, second = second, first
        shared = self.shared_arrays(instr)
        self.covering += 1
        self.block(b, first.instrs)
        self.go_on_with_stacks(instr, first, second)
        before = {array: self.env[array] for array in shared}
        self.env.update((array, self.env[first.results[k]]) for array, k in shared.items())
        self.block(b, second.instrs)
        self.covering -= 1
        b.span = instr.span
        then, otherwise = (r.results for r in instr.regions)
        for k, (result, one, other) in enumerate(zip(instr.results, then, otherwise, strict=True)):
            if isinstance(result.type, StackType) or k in shared.values():
                self.env[result] = self.env[second.results[k]]
            elif self.levels[result] == MASK:
                masks = [self.mask(b, v) for v in (one, other) if self.levels[v] == MASK]
                if masks[0].dims != masks[-1].dims:
                    self.refuse_size(instr.span)
                self.env[result] = union(b, masks)
            elif self.levels[result] == KNOWN:
                read = self.levels.read_in(one, other)
                assert read is not None
                self.env[result] = self.env[read]
        self.env.update(before)

    def shared_arrays(self, instr: Instr) -> dict[Value, int]:
        """Arrays that both arms of a branch hand on, written to or not, and the positions of the results that they become."""
        found: dict[Value, list[int]] = {}
        for k, (one, other) in enumerate(zip(*[r.results for r in instr.regions], strict=True)):
            if one.is_float and one.rank:
                origin, same = (written_from(v, r) for v, r in zip((one, other), instr.regions, strict=True))
                if origin is same and self.levels[origin] == MASK:
                    found.setdefault(origin, []).append(k)
        return {origin: places[0] for origin, places in found.items() if len(places) == 1}

    def go_on_with_stacks(self, instr: Instr, first: Region, second: Region) -> None:
        """Let the second arm push onto, or pop from, what the first has left."""
        groups = [(self.levels.stacks.find(r), k) for k, r in enumerate(instr.results) if isinstance(r.type, StackType)]
        if len({group for group, _ in groups}) < len(groups):
            self.refuse_stack(instr)
        for value in free_values(second) if groups else ():
            for group, k in groups:
                if isinstance(value.type, StackType) and self.levels.stacks.find(value) is group:
                    self.env[value] = self.env[first.results[k]]

    # --- loops --------------------------------------------------------------------------------------------------

    def loop(self, b: Builder, instr: Instr) -> None:
        if not self.levels.is_known(steering(instr)):
            self.any_trips(b, instr)
            return
        body, init, carry = loop_parts(instr)
        kept = self.kept(carry)
        start = [self.as_level(b, init[k], carry[k]) for k in kept]
        regions = []
        if instr.op.name == "while":
            cond = instr.regions[0]
            params = [self.parameter(cond.params[k]) for k in kept]
            inner = b.child()
            self.block(inner, cond.instrs)
            regions.append(Region(tuple(params), tuple(inner.instrs), (self.env[cond.results[0]],)))
        else:
            start.insert(0, self.env[instr.operands[0]])
        index = [self.parameter(body.params[0])] if instr.op.name == "for" else []
        params = [*index, *(self.parameter(carry[k]) for k in kept)]
        inner = b.child()
        self.block(inner, body.instrs)
        found = [self.as_level(inner, body.results[k], carry[k]) for k in kept]
        regions.append(Region(tuple(params), tuple(inner.instrs), tuple(found)))
        if kept:
            results = b.emit(instr.op, start, {}, regions, [instr.results[k].name for k in kept])
            self.env.update((instr.results[k], v) for k, v in zip(kept, results, strict=True))

    def any_trips(self, b: Builder, instr: Instr) -> None:
        """A loop that floats end: unions over all iterations, repeated until they grow no more."""
        body, init, carry = loop_parts(instr)
        if any(isinstance(c.type, StackType) for c in carry):
            self.refuse_stack(instr)
        same = [k for k, c in enumerate(carry) if self.levels[c] == KNOWN]
        for k in same:
            for value in (carry[k], instr.results[k]):
                self.env[value] = self.env[init[k]]
        moved = [k for k, c in enumerate(carry) if self.levels[c] == MASK]
        if not moved:
            return
        start = [self.mask(b, init[k]) for k in moved]
        types = [v.type for v in start]
        going = b.const(True)
        cond_params = [Value(t) for t in (*types, BOOL_SCALAR)]
        params = [self.parameter(carry[k]) for k in moved]
        inner = b.child()
        self.covering += 1
        self.block(inner, body.instrs)
        self.covering -= 1
        found = [union(inner, [p, self.mask(inner, body.results[k])]) for p, k in zip(params, moved, strict=True)]
        grown = any_differs(inner, params, found)
        regions = [
            Region(tuple(cond_params), (), (cond_params[-1],)),
            Region((*params, Value(BOOL_SCALAR)), tuple(inner.instrs), (*found, grown)),
        ]
        results = b.emit(get_op("while"), (*start, going), {}, regions, [instr.results[k].name for k in moved])
        self.env.update((instr.results[k], v) for k, v in zip(moved, results, strict=False))

    # --- stacks -------------------------------------------------------------------------------------------------

    def makes_stack(self, instr: Instr) -> bool:
        """Whether `instr` gives a stack that is never used."""
        return instr.op.name == "undef" and isinstance(instr.result.type, StackType)

    def stack_elements(self, value: Value) -> list[int]:
        """Positions of the elements of entries that are kept."""
        return [k for k, level in enumerate(self.levels.stacks.elements(value)) if level != BLANK]

    def stack_type(self, value: Value) -> StackType:
        """The type of the stack that stands for `value`."""
        assert isinstance(value.type, StackType)
        levels, kept = self.levels.stacks.elements(value), self.stack_elements(value)
        slots: dict[Symbol, Affine] = {Slot(old): Dim(0, ((Slot(new), 1),)) for new, old in enumerate(kept)}
        elements = []
        for k in kept:
            declared = self.in_program(value.type.elements[k], None).substitute(slots)
            elements.append(declared.with_dtype(I64) if levels[k] == MASK else declared)
        return StackType(tuple(elements))

    def stack(self, b: Builder, instr: Instr) -> None:
        stack = instr.results[0]
        kept = self.stack_elements(stack)
        levels = self.levels.stacks.elements(stack)
        if instr.op.name in ("stack_new", "undef"):
            declared = self.stack_type(stack)
            if instr.op.name == "undef":
                self.env[stack] = b.undef(type=declared)
                return
            room = self.env.get(instr.operands[0])
            room = room if room is not None and self.levels.is_known(instr.operands[0]) else b.const(0)
            self.env[stack] = b.stack_new(room, elements=declared.elements)
        elif instr.op.name == "push":
            values = [instr.operands[k + 1] for k in kept]
            entry = [
                self.mask(b, v) if levels[k] == MASK else self.env[v] for k, v in zip(kept, values, strict=True)
            ]
            self.env[stack] = b.emit(instr.op, (self.env[instr.operands[0]], *entry))[0]
        else:
            rest, *popped = b.emit(instr.op, (self.env[instr.operands[0]],))
            self.env[stack] = rest
            self.env.update((instr.results[k + 1], v) for k, v in zip(kept, popped, strict=True))

    def refuse_stack(self, instr: Instr) -> NoReturn:
        """Raise: what is pushed, and how often, is decided by floats."""
        raise UnsupportedError(
            "the sparsity pattern is not known before the run: floats decide on what the reverse pass of this line remembers",
            instr.span,
            fix="compute the dense derivative, or pass the pattern with sparsity=...",
        )


def written_from(value: Value, region: Region) -> Value:
    """The array outside of `region` that writes inside have made into `value`; `value` itself if it was not made so."""
    made = {r: (i, k) for i in region.instrs for k, r in enumerate(i.results)}
    while value in made:
        instr, k = made[value]
        if instr.op.name in ("update", "add_at", "scatter", "scatter_add"):
            value = instr.operands[0]
        elif instr.op.name in ("for", "while"):
            body, init, carry = loop_parts(instr)
            if written_from(body.results[k], body) is not carry[k]:
                return value
            value = init[k]
        elif instr.op.name == "if":
            one, other = (written_from(r.results[k], r) for r in instr.regions)
            if one is not other:
                return value
            value = one
        else:
            return value
    return value
