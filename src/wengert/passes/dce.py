"""Dead code elimination: what no result and no effect depends on goes, loop carries and results of `if` one by one.

Marks from the results and the effects backwards through operands, yields and the sizes in types. A carry is live if its final
value is or if the body needs it for something live, so carries that only feed one another (or themselves) disappear. Stacks are
ordinary carries here: one that nobody pops is dead with all its pushes, one with a live pop keeps every push and pop.
"""

from __future__ import annotations

from dataclasses import replace

from wengert.ir.calls import has_effects
from wengert.ir.core import Function, Instr, Region, Value


def dce(fn: Function) -> Function:
    """`fn` without instructions, loop carries and `if` results that nothing depends on."""
    live = _Marker(fn).live()
    instrs, changed = _sweep(fn.instrs, live)
    return replace(fn, instrs=instrs) if changed else fn


class _Marker:
    """Finds the live values and the instructions that stay.

    Attributes:
        values: live values.
        kept: instructions that stay (an instruction stays if a result is live or it has an effect, or holds one).
        owner: the instruction that defines a value, and its position among the results or carries.
        effects: instructions that have or hold an effect.
    """

    def __init__(self, fn: Function) -> None:
        self.fn = fn
        self.values: set[Value] = set()
        self.kept: set[Instr] = set()
        self.work: list[Value] = []
        self.owner: dict[Value, tuple[Instr, int]] = {}
        self.effects: list[Instr] = []

    def live(self) -> _Marker:
        self.index(self.fn.instrs)
        for value in self.fn.results:
            self.mark(value)
        for instr in self.effects:
            self.keep(instr)
        while self.work:
            value = self.work.pop()
            for symbol in value.type.symbols():
                if isinstance(symbol, Value):
                    self.mark(symbol)
            owned = self.owner.get(value)
            if owned is not None:
                self.needs(*owned)
        return self

    def index(self, instrs: tuple[Instr, ...]) -> bool:
        """Note the owner of each value; effects keep the instructions around them. Returns whether there are effects."""
        any_effect = False
        for instr in instrs:
            for position, result in enumerate(instr.results):
                self.owner[result] = (instr, position)
            effect = has_effects(instr)
            for region in instr.regions:
                offset = 1 if instr.op.name == "for" else 0
                for position, param in enumerate(region.params):
                    self.owner[param] = (instr, position - offset)
                effect = self.index(region.instrs) or effect
            if effect:
                self.effects.append(instr)
            any_effect = any_effect or effect
        return any_effect

    def mark(self, value: Value) -> None:
        if value not in self.values:
            self.values.add(value)
            self.work.append(value)

    def keep(self, instr: Instr) -> None:
        """`instr` stays: what it needs whichever of its results is live."""
        if instr in self.kept:
            return
        self.kept.add(instr)
        name = instr.op.name
        if not instr.regions:
            for operand in instr.operands:
                self.mark(operand)
            for result in instr.results:
                self.mark_type(result)
            for declared in (instr.attrs.get("type"), *instr.attrs.get("elements", ())):
                if declared is not None and not isinstance(declared, str):
                    for symbol in declared.symbols():
                        if isinstance(symbol, Value):
                            self.mark(symbol)
        elif name == "while":
            self.mark(instr.regions[0].results[0])
        else:
            self.mark(instr.operands[0])

    def mark_type(self, value: Value) -> None:
        for symbol in value.type.symbols():
            if isinstance(symbol, Value):
                self.mark(symbol)

    def needs(self, instr: Instr, position: int) -> None:
        """Mark what result (or carry) `position` of `instr` depends on; position -1 is a loop index."""
        self.keep(instr)
        if not instr.regions or position < 0:
            return
        name = instr.op.name
        if name == "if":
            for region in instr.regions:
                self.mark(region.results[position])
            return
        init = instr.operands[1:] if name == "for" else instr.operands
        offset = 1 if name == "for" else 0
        self.mark(init[position])
        self.mark(instr.regions[-1].results[position])
        self.mark(instr.results[position])
        for region in instr.regions:
            self.mark(region.params[position + offset])


def _sweep(instrs: tuple[Instr, ...], live: _Marker) -> tuple[tuple[Instr, ...], bool]:
    """The instructions that stay, with dead carries and results dropped, and whether that changed anything."""
    kept: list[Instr] = []
    changed = False
    for instr in instrs:
        if instr not in live.kept:
            changed = True
            continue
        new = _trim(instr, live) if instr.regions else instr
        changed = changed or new is not instr
        kept.append(new)
    return tuple(kept), changed


def _trim(instr: Instr, live: _Marker) -> Instr:
    """A region instruction that stays, without its dead positions."""
    alive = [k for k, result in enumerate(instr.results) if result in live.values]
    all_alive = len(alive) == len(instr.results)
    offset = 1 if instr.op.name == "for" else 0
    regions: list[Region] = []
    changed = not all_alive
    for number, region in enumerate(instr.regions):
        body, body_changed = _sweep(region.instrs, live)
        changed = changed or body_changed
        params, results = region.params, region.results
        if not all_alive:
            if instr.op.name != "if":
                params = (*params[:offset], *(params[offset + k] for k in alive))
            is_condition = instr.op.name == "while" and number == 0
            results = results if is_condition else tuple(results[k] for k in alive)
        regions.append(Region(params, body, results))
    if not changed:
        return instr
    first = 0 if instr.op.name == "while" else 1
    operands = instr.operands
    if instr.op.name != "if":
        operands = (*operands[:first], *(operands[first + k] for k in alive))
    results = tuple(instr.results[k] for k in alive)
    return Instr(instr.op, operands, results, instr.attrs, tuple(regions), instr.span)
