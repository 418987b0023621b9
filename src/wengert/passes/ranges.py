"""Facts about integers: affine forms known to be >= 0 at a place of the program, and a prover on top of them.

To prove `e >= 0`, the newest symbol of `e` is eliminated with a fact that bounds it by older ones (Fourier-Motzkin elimination,
in order of definition and with a budget): `n - 1 - i >= 0` gives `n - i - 1 >= 0`, and so on down to a number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wengert.ir.core import Instr, Value
from wengert.types import BOOL_SCALAR, I64_SCALAR, Affine, Dim, dim_add, dim_scale, dim_substitute

_BUDGET = 200
_COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})

Renaming = Callable[[Any], "Affine | None"]


class Facts:
    """What is known here. `mark` and `forget` bracket a region.

    Attributes:
        truth: booleans with a known value.
        checked: index and size -> the result of a `wrap_index` that has run.
    """

    def __init__(self, defs: dict[Value, Instr]) -> None:
        self.defs = defs
        self.truth: dict[Value, bool] = {}
        self.checked: dict[tuple[Affine, Affine], Value] = {}
        self._bounds: dict[Any, list[Dim]] = {}
        self._ranks: dict[Any, int] = {}
        self._undo: list[Callable[[], Any]] = []
        self._fuel = 0

    # --- scopes -------------------------------------------------------------------------------------------------

    def mark(self) -> int:
        """A point to come back to."""
        return len(self._undo)

    def forget(self, mark: int) -> None:
        """Forget what was learned since `mark`."""
        while len(self._undo) > mark:
            self._undo.pop()()

    def define(self, value: Value) -> None:
        """Note the order of definition."""
        if value.type == I64_SCALAR:
            self._ranks.setdefault(value, len(self._ranks))

    # --- learning -----------------------------------------------------------------------------------------------

    def add(self, form: Affine) -> None:
        """Learn that `form >= 0`."""
        if isinstance(form, int):
            return
        known = self._bounds.setdefault(self._newest(form)[0], [])
        if form not in known:
            known.append(form)
            self._undo.append(known.pop)

    def equal(self, a: Affine, b: Affine) -> None:
        """Learn that `a == b`."""
        self.add(dim_add(a, b, -1))
        self.add(dim_add(b, a, -1))

    def note_checked(self, key: tuple[Affine, Affine], result: Value) -> None:
        """Learn that a `wrap_index` of an index and a size has passed."""
        self.checked[key] = result
        self._undo.append(lambda: self.checked.pop(key, None))

    def assume(self, predicate: Value, holds: bool, rename: Renaming | None = None) -> None:
        """Learn what follows from a boolean having a value; `rename` maps symbols first."""
        if rename is None and predicate not in self.truth:
            self.truth[predicate] = holds
            self._undo.append(lambda: self.truth.pop(predicate, None))
        instr = self.defs.get(predicate)
        if instr is None:
            return
        name = instr.op.name
        if name == "not":
            self.assume(instr.operands[0], not holds, rename)
        elif (name == "and" and holds) or (name == "or" and not holds):
            for operand in instr.operands:
                self.assume(operand, holds, rename)
        elif name in _COMPARISONS and instr.operands[0].type == I64_SCALAR:
            a, b = (o.affine if rename is None else dim_substitute(o.affine, rename) for o in instr.operands)
            self._compared(name, a, b, holds)
        elif name == "if" or (name == "select" and predicate.type == BOOL_SCALAR):
            self._assume_short_circuit(instr, predicate, holds, rename)

    def _assume_short_circuit(self, instr: Instr, predicate: Value, holds: bool, rename: Renaming | None) -> None:
        """`if c then x else False` is true: c and x are; `if c then True else x` is false: neither is."""
        if instr.op.name == "if":
            position = instr.results.index(predicate)
            then, otherwise = (r.results[position] for r in instr.regions)
        else:
            then, otherwise = instr.operands[1:]
        condition = instr.operands[0]
        if self._constant(otherwise) is (not holds):
            self.assume(condition, True, rename)
            self.assume(then, holds, rename)
        elif self._constant(then) is (not holds):
            self.assume(condition, False, rename)
            self.assume(otherwise, holds, rename)

    def _constant(self, value: Value) -> Any:
        instr = self.defs.get(value)
        return instr.attrs["value"] if instr is not None and instr.op.name == "const" else None

    def _compared(self, name: str, a: Affine, b: Affine, holds: bool) -> None:
        if (name == "eq" and holds) or (name == "ne" and not holds):
            self.equal(a, b)
        elif name in ("lt", "ge"):
            self.add(dim_add(dim_add(b, a, -1), -1) if holds == (name == "lt") else dim_add(a, b, -1))
        elif name in ("gt", "le"):
            self.add(dim_add(dim_add(a, b, -1), -1) if holds == (name == "gt") else dim_add(b, a, -1))

    # --- proving ------------------------------------------------------------------------------------------------

    def holds(self, name: str, a: Affine, b: Affine) -> bool | None:
        """Whether the comparison `name` of integers is known to be true or false."""
        if name in ("eq", "ne"):
            if dim_add(a, b, -1) == 0:
                return name == "eq"
            if self.less(a, b) or self.less(b, a):
                return name == "ne"
            return None
        if name in ("gt", "le"):
            a, b = b, a
        if self.less(a, b):
            return name in ("lt", "gt")
        if self.proves(dim_add(a, b, -1)):
            return name in ("ge", "le")
        return None

    def less(self, a: Affine, b: Affine) -> bool:
        """Whether `a < b` is known."""
        return self.proves(dim_add(dim_add(b, a, -1), -1))

    def proves(self, form: Affine) -> bool:
        """Whether `form >= 0` is known; False means only that no proof was found."""
        self._fuel = _BUDGET
        return self._prove(form)

    def _prove(self, form: Affine) -> bool:
        if isinstance(form, int):
            return form >= 0
        self._fuel -= 1
        if self._fuel < 0:
            return False
        symbol, coefficient = self._newest(form)
        for fact in reversed(self._bounds.get(symbol, ())):
            slope = next(c for s, c in fact.terms if s is symbol)
            if slope * coefficient > 0:
                rest = dim_add(dim_scale(form, abs(slope)), fact, -abs(coefficient))
                if self._prove(rest):
                    return True
        return False

    def _newest(self, form: Dim) -> tuple[Any, int]:
        return max(form.terms, key=lambda term: self._ranks.get(term[0], -1))
