"""The transpose of a linearised block: cotangents flow from results to operands, items in reverse order.

Reads of arrays accumulate in place (`accumulate` rules); loops run backwards over their stack, with the cotangents of the
carry and the accumulators of captured tangents as their own carry; an `if` keeps its predicate. An absent cotangent is an
exact zero and produces no instruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wengert.errors import InternalError
from wengert.ir.builder import Builder
from wengert.ir.core import Instr, Region, Value
from wengert.ir.op import Rule, get_op
from wengert.ir.rewrite import Env, copy_instr, inline, substitute_type
from wengert.transforms.activity import loop_parts
from wengert.transforms.callee import ReverseCallees
from wengert.transforms.checkpoint_loops import REPLAY
from wengert.transforms.linearize import (
    Block,
    LinearCall,
    LinearGroup,
    LinearIf,
    LinearLoop,
    LinearOp,
    Split,
    linear_blocks,
    tangent_definitions,
    tangent_uses,
)
from wengert.transforms.primal import Primal, Stacks, find_calls
from wengert.transforms.replay import Replayer, slots_for
from wengert.transforms.residuals import Frame, Residuals, can_recompute
from wengert.transforms.stack_flow import MASKING, has_select, is_popped
from wengert.transforms.transpose_call import fit, transpose_call
from wengert.types import I64_SCALAR, StackType, Type

Cotangents = dict[Value, Value]
"""The cotangent gathered so far for each tangent; absent means zero."""

@dataclass(eq=False)
class Scope:
    """A region of the reverse pass: its builder and what primal values are called in it; the `block` that a loop reverses."""

    builder: Builder
    names: Env
    parent: Scope | None
    block: Block | None = None

    def find(self, value: Value) -> Value | None:
        """What `value` is called here or in a scope around."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.names.get(value)
            if found is not None:
                return found
            scope = scope.parent
        return None


@dataclass(frozen=True)
class ChangingSizes:
    """The sizes of arrays that a loop carries and that it changes.

    Attributes:
        symbols: the sizes at the start of an iteration, as the primal loop calls them.
        params: what the reversed loop calls them at its start: the sizes that the iteration left.
        final: the sizes after the loop.
    """

    symbols: list[Value]
    params: list[Value]
    final: list[Value]

    def type_of(self, transposer: Transposer, tangent: Value, scope: Scope, init: Value) -> Type:
        """The type of the cotangent of a carried `tangent` at the start of the reversed body."""
        env: Env = dict(zip(self.symbols, self.params, strict=True))
        if not any(s in env for s in tangent.type.symbols()):
            return init.type
        others = {s: transposer.resolve(s, scope) for s in tangent.type.symbols() if isinstance(s, Value) and s not in env}
        return substitute_type({**others, **env}, tangent.type)


class Transposer:
    """Emits the reverse pass of one function."""

    def __init__(
        self,
        plan: Residuals,
        tangent_values: set[Value],
        primal: Primal,
        singular: set[Value] | None = None,
        callees: ReverseCallees | None = None,
    ) -> None:
        self.callees = callees or {}
        # Whether cotangents that come from calls may be such zeros as `masked` means, and whether one had to be made for a call.
        self.call_masks = False
        self.made_zero = False
        self.plan = plan
        self.tangent_values = tangent_values
        self.primal = primal
        self.singular = singular
        self.stacks: Stacks = dict(primal.stacks)
        # Cotangents that have passed an op of `MASKING`: where 0, they stay 0 against an infinite partial derivative.
        self.masked: set[Value] = set()

    def top_scope(self, builder: Builder) -> Scope:
        """The scope of the function's own block."""
        return Scope(builder, dict(self.primal.exported), None)

    # --- primal values in the reverse pass ------------------------------------------------------------------------

    def resolve(self, value: Value, scope: Scope) -> Value:
        """`value` in the reverse pass: popped, still alive, or recomputed here."""
        pending = [value]
        while pending:
            current = pending[-1]
            if self._known(current, scope) is not None:
                pending.pop()
                continue
            home = self.home(current, scope)
            if home is not scope:
                self.resolve(current, home)
                continue
            instr = self.plan.restored.recipes.get(current) or self.plan.definitions[current].instr
            if instr is None or not (can_recompute(instr) or current in self.plan.restored.recipes):
                raise InternalError(f"the reverse pass needs {current}, which was neither stored nor can be recomputed")
            missing = [o for o in instr.operands if self._known(o, scope) is None]
            if missing:
                pending.extend(missing)
                continue
            operands = [self._known(o, scope) for o in instr.operands]
            span = scope.builder.span
            scope.builder.span = instr.span
            results = scope.builder.emit(
                instr.op, [o for o in operands if o is not None], instr.attrs, names=[r.name for r in instr.results]
            )
            scope.builder.span = span
            scope.names.update(zip(instr.results, results, strict=True))
            pending.pop()
        found = self._known(value, scope)
        assert found is not None
        return found

    def home(self, value: Value, scope: Scope) -> Scope:
        """Where to write down how a value is got again: here; of an array that is put back, at the level of its loop."""
        if value not in self.plan.restored.versions:
            return scope
        block = self.plan.definitions[value].frame.block
        while scope.block is not block and scope.parent is not None:
            scope = scope.parent
        return scope

    def _known(self, value: Value, scope: Scope) -> Value | None:
        found = scope.find(value)
        if found is not None:
            return found
        definition = self.plan.definitions.get(value)
        top = self.plan.top
        if definition is None or value in top.alive:
            return value
        return value if definition.frame is top and definition.arm is None and top.split is None else None

    def phantom(self, tangent: Value, scope: Scope) -> Value:
        """A stand-in for `tangent` whose type is valid in the reverse pass; its data does not exist."""
        symbols = [s for s in tangent.type.symbols() if isinstance(s, Value)]
        env = {s: self.resolve(s, scope) for s in symbols}
        if all(old is new for old, new in env.items()):
            return tangent
        return Value(substitute_type(env, tangent.type), tangent.name)

    def zero(self, tangent: Value, scope: Scope) -> Value:
        """A zero cotangent for `tangent`."""
        return scope.builder.zeros_like(self.phantom(tangent, scope))

    def fitted(self, ct: Value, tangent: Value, scope: Scope) -> Value:
        """`ct` with the sizes of `tangent` as they are called in `scope`."""
        found = fit(scope.builder, ct, self.phantom(tangent, scope).type)
        self.mask(found, ct)
        return found

    def add(self, builder: Builder, cotangents: Cotangents, tangent: Value, term: Value) -> None:
        """Add `term` to the cotangent of `tangent`."""
        if tangent not in self.tangent_values:
            return
        known = cotangents.get(tangent)
        if known is None:
            cotangents[tangent] = term
        elif isinstance(known.type, StackType):
            raise InternalError("a tangent stack is used twice")
        else:
            term = fit(builder, term, known.type)
            cotangents[tangent] = total = builder.emit(get_op("add"), (known, term), names=[_bar(tangent)])[0]
            self.mask(total, known, term)

    def mask(self, result: Value, *sources: Value) -> None:
        """Note that `result` holds zeros that must win, if one of `sources` does."""
        if any(s in self.masked for s in sources):
            self.masked.add(result)

    # --- items ----------------------------------------------------------------------------------------------------

    def block(self, block: Block, cotangents: Cotangents, scope: Scope) -> None:
        """Emit the transpose of `block`; `cotangents` goes from those of its results to those of what it reads."""
        for item in reversed(block.linear):
            if isinstance(item, LinearOp):
                scope.builder.span = item.instr.span
                self.leaf(item.instr, cotangents, scope)
            elif isinstance(item, LinearGroup):
                scope.builder.span = item.split.instr.span
                self.group(item, cotangents, scope)
            elif isinstance(item, LinearIf):
                scope.builder.span = item.split.instr.span
                self.branch(item, cotangents, scope)
            elif isinstance(item, LinearCall):
                scope.builder.span = item.split.instr.span
                transpose_call(self, item, cotangents, scope)
            else:
                scope.builder.span = item.split.instr.span
                self.loop(item, cotangents, scope)

    def leaf(self, instr: Instr, cotangents: Cotangents, scope: Scope) -> None:
        if instr.op.name in ("push", "pop"):
            self.stack(instr, cotangents, scope)
            return
        if instr.op.name == "pullback":
            self.pullback(instr, cotangents, scope)
            return
        ct = cotangents.pop(instr.result, None)
        if ct is None:
            return
        b, op = scope.builder, instr.op
        ct = self.fitted(ct, instr.result, scope)
        linear = [k for k, o in enumerate(instr.operands) if o in self.tangent_values]
        operands = [
            self.phantom(o, scope) if o in self.tangent_values else self.resolve(o, scope) for o in instr.operands
        ]
        attrs = instr.attrs
        masked = ct in self.masked
        rules = self.rules(instr, masked)
        # The last operand first: what is written is read before the place that it goes to is cleared.
        for k in reversed(linear):
            tangent = instr.operands[k]
            if k < len(op.accumulate) and (rule := op.accumulate[k]) is not None:
                known = cotangents.get(tangent)
                gathered = self.zero(tangent, scope) if known is None else fit(b, known, operands[k].type)
                if known is not None:
                    self.mask(gathered, known)
                cotangents[tangent] = total = rule(b, gathered, ct, *operands, **attrs)
                self.mask(total, gathered, ct)
                if op.name in MASKING:
                    self.masked.add(total)
            elif op.extra.get("variadic"):
                rule = op.transpose[0]
                assert rule is not None
                term = rule(b, ct, k, *operands, **attrs)
                self.mask(term, ct)
                self.add(b, cotangents, tangent, term)
            else:
                rule = rules[k if len(rules) > 1 else 0] if rules else None
                if rule is None:
                    raise InternalError(f"`{op.name}` has no transpose for operand {k}", instr.span)
                term = rule(b, ct, *operands, **attrs)
                if masked or op.name in MASKING:
                    self.masked.add(term)
                self.add(b, cotangents, tangent, term)

    def pullback(self, instr: Instr, cotangents: Cotangents, scope: Scope) -> None:
        """The user's own pullback, in line, on all cotangents at once."""
        found = [cotangents.pop(r, None) for r in instr.results]
        if all(ct is None for ct in found):
            return
        b, positions = scope.builder, instr.attrs["positions"]
        seeds = [
            self.zero(r, scope) if ct is None else self.fitted(ct, r, scope)
            for ct, r in zip(found, instr.results, strict=True)
        ]
        count = len(instr.operands) - len(positions)
        saved = [self.resolve(o, scope) for o in instr.operands[:count]]
        terms = inline(b, instr.attrs["_bwd"], [*saved, *seeds])
        for k, tangent in zip(positions, instr.operands[count:], strict=True):
            term = fit(b, terms[k], self.phantom(tangent, scope).type)
            self.mask(term, *(ct for ct in found if ct is not None))
            self.add(b, cotangents, tangent, term)

    def rules(self, instr: Instr, masked: bool) -> tuple[Rule | None, ...]:
        """The transposes of an op: where zero is strong, if the cotangent may be zero and a coefficient infinite."""
        strong: tuple[Rule | None, ...] | None = instr.op.extra.get("masked_transpose")
        if strong is None or not masked:
            return instr.op.transpose
        if instr.op.name != "mul" or self.singular is None:
            return strong
        coefficients = (o for o in instr.operands if o not in self.tangent_values)
        return strong if any(c in self.singular for c in coefficients) else instr.op.transpose

    def stack(self, instr: Instr, cotangents: Cotangents, scope: Scope) -> None:
        """The transpose of a push of tangents is a pop of cotangents, and the other way round."""
        b = scope.builder
        if instr.op.name == "push":
            stack_dot, *values = instr.operands
            stack_bar = cotangents.pop(instr.result, None)
            if stack_bar is None:
                return
            rest, *terms = b.emit(get_op("pop"), (stack_bar,))
            self.add(b, cotangents, stack_dot, rest)
            for place in (rest, *terms):
                self.mask(place, stack_bar)
            for value, term in zip(values, terms, strict=True):
                if value in self.tangent_values:
                    dims = self.phantom(value, scope).dims
                    same = dims == term.dims
                    self.add(b, cotangents, value, term if same else b.assume_shape(term, *[b.dim(d) for d in dims]))
            return
        rest_dot, *values = instr.results
        found = [cotangents.pop(v, None) for v in values]
        stack_bar = cotangents.pop(rest_dot, None)
        if stack_bar is None and all(f is None for f in found):
            return
        if stack_bar is None:
            stack_bar = self.zero(rest_dot, scope)
        terms = []
        for value, known in zip(values, found, strict=True):
            if value not in self.tangent_values:
                terms.append(self.resolve(value, scope))
            else:
                terms.append(self.zero(value, scope) if known is None else known)
        pushed = b.emit(get_op("push"), (stack_bar, *terms))[0]
        self.mask(pushed, stack_bar, *terms)
        self.add(b, cotangents, instr.operands[0], pushed)

    # --- checkpoint -----------------------------------------------------------------------------------------------

    def group(self, item: LinearGroup, cotangents: Cotangents, scope: Scope) -> None:
        """Compute the region again, then go back through it."""
        incoming = [cotangents.pop(r, None) for r in item.results]
        if all(ct is None for ct in incoming):
            return
        inner = Scope(scope.builder, {}, scope)
        self.rerun(item, inner)
        scope.builder.span = item.split.instr.span
        for dot, ct in zip(item.yields[0], incoming, strict=True):
            if dot is not None and ct is not None:
                self.add(scope.builder, cotangents, dot, ct)
        self.block(item.split.blocks[0], cotangents, inner)

    def rerun(self, item: LinearGroup, scope: Scope) -> None:
        """Compute a `checkpoint` region again; its values get names in `scope`."""
        rerun = self.plan.frames[item.split].rerun
        assert rerun is not None
        b, env = scope.builder, Env()
        for value in rerun.reads:
            found = self.resolve(value, scope)
            env[value] = b.recall(found) if found is value and found.is_float else found
        scope.names.update(env)
        for instr in rerun.instrs:
            b.append(copy_instr(instr, env))
            scope.names.update((r, env[r]) for r in instr.results)
        scope.names.update((value, env[name]) for value, name in rerun.exported.items() if name in env)
        self.stacks.update((split, env[stack]) for split, stack in rerun.stacks.items())
        self.primal.loops_inside.update(rerun.loops_inside)

    # --- if -------------------------------------------------------------------------------------------------------

    def branch(self, item: LinearIf, cotangents: Cotangents, scope: Scope) -> None:
        incoming = [cotangents.pop(r, None) for r in item.results]
        if all(c is None for c in incoming) and not self.pops(item):
            return
        pred = self.resolve(item.split.instr.operands[0], scope)
        free = self.free_tangents(item)
        for tangent in free:
            self.phantom(tangent, scope)
        loops = self.primal.loops_inside[item.split]
        outer_stacks = {k: self.stacks[k] for k in loops}
        arms: list[tuple[Scope, Cotangents, Stacks]] = []
        for arm_block, yields in zip(item.split.blocks, item.yields, strict=True):
            inner = Scope(scope.builder.child(), {}, scope)
            local = {t: cotangents[t] for t in free if t in cotangents}
            for dot, ct in zip(yields, incoming, strict=True):
                if dot is not None and ct is not None:
                    self.add(inner.builder, local, dot, ct)
            self.stacks.update(outer_stacks)
            self.block(arm_block, local, inner)
            arms.append((inner, local, {k: self.stacks[k] for k in loops}))
        touched = [t for t in free if any(local.get(t) is not cotangents.get(t) for _, local, _ in arms)]
        popped = [k for k in loops if any(stacks[k] is not outer_stacks[k] for _, _, stacks in arms)]
        regions = []
        for inner, local, stacks in arms:
            bars = [
                fit(inner.builder, local[t], self.phantom(t, scope).type) if t in local else self.zero(t, inner)
                for t in touched
            ]
            results = (*bars, *(stacks[k] for k in popped))
            regions.append(Region((), tuple(inner.builder.instrs), results))
        names = [_bar(t) for t in touched]
        self.stacks.update(outer_stacks)
        results_out = scope.builder.emit(item.split.instr.op, (pred,), {}, regions, names)
        for place, result in enumerate(results_out[: len(touched)]):
            self.mask(result, *(region.results[place] for region in regions))
        cotangents.update(zip(touched, results_out, strict=False))
        self.stacks.update(zip(popped, results_out[len(touched) :], strict=True))

    def pops(self, item: LinearIf | LinearLoop) -> bool:
        """Whether the way back of `item` pops stacks that others use as well: it must run, even with zeros."""
        return any(True for block in item.split.blocks for _ in find_calls(block))

    def free_tangents(self, item: LinearIf | LinearLoop) -> list[Value]:
        """Tangents from outside that the blocks of `item` read (initial values of a loop left out), in order of first use."""
        inside: set[Value] = set(item.params) if isinstance(item, LinearLoop) else set()
        for block in linear_blocks(item):
            inside.update(tangent_definitions(block))
        used: dict[Value, None] = {}
        for block in linear_blocks(item):
            used.update(dict.fromkeys(tangent_uses(block, self.tangent_values)))
        yields = [item.yields] if isinstance(item, LinearLoop) else item.yields
        used.update(dict.fromkeys(y for row in yields for y in row if y is not None))
        return [t for t in used if t not in inside and t in self.tangent_values]

    # --- loops ----------------------------------------------------------------------------------------------------

    def loop(self, item: LinearLoop, cotangents: Cotangents, scope: Scope) -> None:
        incoming = [cotangents.pop(r, None) for r in item.results]
        restored = self.plan.restored
        if all(c is None for c in incoming) and not self.pops(item) and not restored.is_inner(item.split):
            return
        frame = self.plan.frames[item.split]
        assert frame.count is not None
        b = scope.builder
        count = self.resolve(frame.count, scope)
        free = self.free_tangents(item)
        if any(isinstance(t.type, StackType) for t in free):
            raise InternalError("a loop captures a tangent stack")
        # The cotangent of a stack that the body pops starts empty; of one that it pushes, and whose entries nobody read
        # afterwards, it is an absent zero (there is nothing to pop).
        body = item.split.blocks[0]
        carried = [
            k
            for k, (ct, param) in enumerate(zip(incoming, item.params, strict=True))
            if ct is not None or not isinstance(param.type, StackType) or is_popped(body, {param}, self.callees)
        ]
        init: list[Value] = []
        for k in carried:
            found = incoming[k]
            init.append(self.zero(item.results[k], scope) if found is None else self.fitted(found, item.results[k], scope))
        init += [self.fitted(cotangents[t], t, scope) if t in cotangents else self.zero(t, scope) for t in free]
        loops = self.primal.loops_inside[item.split]
        init += [self.stacks[k] for k in loops]
        replayer = self.replayer(item, frame, scope)
        if replayer is not None:
            init += replayer.start(b)
        init += [self.resolve(v, scope) for v in restored.finals(item.split)]
        index = Value(I64_SCALAR, "k")
        changing = self.changing_sizes(item, carried, scope)
        params = [Value(v.type, v.name) for v in init]
        for place, k in enumerate(carried):
            params[place] = Value(changing.type_of(self, item.params[k], scope, init[place]), init[place].name)
        if has_select(body) or (self.call_masks and self.pops(item)) or any(v in self.masked for v in init):
            self.masked.update(params)
        inner = Scope(b.child(), {}, scope, body)
        yields = self.loop_body(item, frame, inner, count, index, params, carried, free, changing, replayer)
        region = Region((index, *changing.params, *params), tuple(inner.builder.instrs), tuple(yields))
        names = [s.name for s in changing.params] + [_bar(item.params[k]) for k in carried]
        names += [_bar(t) for t in free] + ["residuals"] * len(loops) + ["states", "held"] * (replayer is not None)
        names += [f"{v.name}_back" if v.name else "" for v in restored.finals(item.split)]
        results = b.emit(get_op("for"), (count, *changing.final, *init), {}, (region,), names)[len(changing.params) :]
        for result, param in zip(results, params, strict=True):
            self.mask(result, param)
        for tangent, result in zip(free, results[len(carried) :], strict=False):
            cotangents[tangent] = result
        for k, result in zip(carried, results, strict=False):
            start = item.init[k]
            if start is not None:
                self.add(b, cotangents, start, result)
        done = len(carried) + len(free)
        self.stacks.update(zip(loops, results[done:], strict=False))
        if restored.is_inner(item.split):
            arrays = restored.initials(item.split)
            scope.names.update(zip(arrays, results[len(results) - len(arrays) :], strict=True))

    def replayer(self, item: LinearLoop, frame: Frame, scope: Scope) -> Replayer | None:
        """What runs the loop again from one of few states, if it goes back that way."""
        if frame.replay is None or frame.count is None:
            return None
        env = {v: self.resolve(v, scope) for v in frame.replay.reads}
        initial = [self.resolve(v, scope) for v in frame.replay.initial(item.split.instr)]
        rounds, budget = self.resolve(frame.count, scope), item.split.instr.attrs[REPLAY]
        return Replayer(frame.replay, env, slots_for(scope.builder, budget, rounds, initial), initial)

    def pop_entry(self, frame: Frame, key: Split, scope: Scope) -> None:
        """Pop what `frame` has stored and name its values."""
        names = ["residuals", *(v.name for v in frame.stored)]
        rest, *popped = scope.builder.emit(get_op("pop"), (self.stacks[key],), names=names)
        self.stacks[key] = rest
        self.name_popped(frame, popped, scope)

    def name_popped(self, frame: Frame, popped: Sequence[Value], scope: Scope) -> None:
        """Name the values of a popped entry; arrays get the sizes that the reverse pass knows under other names."""
        for value, found in zip(frame.stored, popped, strict=True):
            if value.rank == 0:
                at_hand = value is frame.index or value in frame.alive
                if self.plan.definitions[value].frame is frame and not at_hand:
                    scope.names[value] = found
                continue
            dims = self.phantom(value, scope).dims
            if dims != found.dims:
                found = scope.builder.assume_shape(found, *[scope.builder.dim(d) for d in dims])
            scope.names[value] = found

    def loop_body(
        self,
        item: LinearLoop,
        frame: Frame,
        inner: Scope,
        count: Value,
        index: Value,
        params: Sequence[Value],
        carried: Sequence[int],
        free: Sequence[Value],
        changing: ChangingSizes,
        replayer: Replayer | None,
    ) -> list[Value]:
        """Emit one iteration backwards; returns the next carry."""
        b = inner.builder
        loops = self.primal.loops_inside[item.split]
        bars, gathered, stacks = _split(params, len(carried), len(free))
        self.stacks.update(zip(loops, stacks, strict=False))
        starts, ends = self.plan.restored.inside(item.split)
        inner.names.update(zip(ends, params[len(params) - len(ends) :], strict=True))
        number = b.sub(b.sub(count, b.const(1)), index)
        if frame.index is not None:
            inner.names[frame.index] = number
        states: list[Value] = []
        if replayer is not None:
            *states, state = replayer.state(b, stacks[-2], stacks[-1], number)
            inner.names.update(zip(replayer.replay.params, state, strict=True))
        elif frame.stored:
            self.pop_entry(frame, item.split, inner)
        local: Cotangents = dict(zip(free, gathered, strict=True))
        for k, bar in zip(carried, bars, strict=True):
            tangent = item.yields[k]
            if tangent is not None:
                self.add(b, local, tangent, bar)
        self.block(item.split.blocks[0], local, inner)
        yields = []
        for k in carried:
            gone_back = local.get(item.params[k])
            yields.append(self.zero(item.params[k], inner) if gone_back is None else gone_back)
        yields += [local[t] for t in free]
        before = [self.resolve(s, inner) for s in changing.symbols]
        env = dict(zip(changing.params, before, strict=True))
        yields = [fit(b, y, substitute_type(env, p.type)) for y, p in zip(yields, params, strict=False)]
        return [*before, *yields, *(self.stacks[k] for k in loops), *states, *(self.resolve(v, inner) for v in starts)]

    def changing_sizes(self, item: LinearLoop, carried: Sequence[int], scope: Scope) -> ChangingSizes:
        """The sizes of carried cotangents that differ from iteration to iteration: they are carried, too."""
        _, _, carry = loop_parts(item.split.instr)
        positions = {p: k for k, p in enumerate(carry)}
        found = {s: None for k in carried for s in item.params[k].type.symbols() if isinstance(s, Value) and s in positions}
        symbols = list(found)
        final = [self.resolve(item.split.instr.results[positions[s]], scope) for s in symbols]
        return ChangingSizes(symbols, [Value(I64_SCALAR, s.name) for s in symbols], final)


def _bar(tangent: Value) -> str:
    name = tangent.name.removesuffix("_dot")
    return f"{name}_bar" if name else ""


def _split(values: Sequence[Value], *lengths: int) -> list[Sequence[Value]]:
    """Consecutive pieces of the given lengths, then the rest."""
    pieces, start = [], 0
    for length in lengths:
        pieces.append(values[start : start + length])
        start += length
    return [*pieces, values[start:]]
