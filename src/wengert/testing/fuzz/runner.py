"""Calls of one program in one mode: native code against Python, with the memory around the arguments watched."""

from __future__ import annotations

import copy
import random
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wengert.api import eager, jit, jvp, value_and_grad, vmap
from wengert.errors import WengertError
from wengert.testing.fuzz.arguments import Arguments, Source
from wengert.testing.fuzz.cases import Case, loss_of
from wengert.testing.fuzz.kinds import Signature, draw_signature
from wengert.testing.fuzz.outcomes import SINGLE, Outcome, difference, disagreement, outcome_of
from wengert.tree import flatten

KINDS = 4
SIGNATURES = 240
FEW_SIGNATURES = 12
MOST_COMPILATIONS = 24
MOST_MISMATCHES = 3
EAGER_EVERY = 97
EXPECTED_OF_HUGE = (
    MemoryError, ValueError, IndexError, TypeError, WengertError, ArithmeticError,
    RecursionError,
)  # fmt: skip


@dataclass
class Report:
    """What came of the calls of one program.

    Attributes:
        counts: calls by mode and by what came of them.
        mismatches: descriptions of calls whose outcome is wrong.
    """

    counts: Counter[str] = field(default_factory=Counter)
    mismatches: list[str] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Take in the calls of another report."""
        self.counts.update(other.counts)
        self.mismatches += other.mismatches


Note = Callable[[int, int], None]


class Runner:
    """Calls a program in one mode.

    Args:
        case: the program.
        mode: one of its modes.
        seed: of the whole run.
        note: told the numbers of each call and of its signature before it is made.
        huge: whether astronomical sizes may be passed, as in a process whose memory is limited.
    """

    def __init__(self, case: Case, mode: str, seed: int, note: Note, huge: bool = False) -> None:
        self.huge = huge and case.allows_huge(mode)
        self.case, self.mode, self.seed, self.note = case, mode, seed, note
        self.source = Source(len(case.words))
        self.loss = loss_of(case.f)
        self.report = Report()
        self.signatures: dict[int, Signature] = {}
        self.refusals: Counter[str] = Counter()
        self.compiled = self._compiled()
        self.few = False
        self.intended, self.matches, self.rtol = True, True, case.rtol

    def _compiled(self) -> Any:
        """The transformed function; of `grad`, one per choice of parameters."""
        if self.mode == "value":
            return jit(self.case.f)
        if self.mode == "vmap":
            return vmap(self.case.f)
        return {}

    def run(self, first: int, count: int) -> Report:
        """Make the calls with these numbers."""
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            self._calls(first, count)
        self.report.counts["compilations"] += self._compilations()
        return self.report

    def _calls(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            if number % 64 == 0 and not self.few:
                self.few = self._compilations() > MOST_COMPILATIONS
            signature = number * 7919 % (FEW_SIGNATURES if self.few else SIGNATURES)
            self.note(number, signature)
            found = self.call(number, signature)
            if found is not None:
                self.report.mismatches.append(f"{self.case.name} {self.mode} call {number} signature {signature}: {found[:700]}")
                if len(self.report.mismatches) >= MOST_MISMATCHES:
                    break

    def _compilations(self) -> int:
        transformed = self.compiled.values() if isinstance(self.compiled, dict) else [self.compiled]
        return sum(t.stats.compilations for t in transformed)

    def signature(self, number: int) -> Signature:
        """One of the forms of arguments that this run uses."""
        known = self.signatures.get(number)
        if known is None:
            known = self.signatures[number] = self._signature(number)
        return known

    def _signature(self, number: int) -> Signature:
        place = f"{self.seed} {self.case.name} {self.mode}"
        kind = random.Random(f"{place} kind {number % KINDS}")
        case = self.case
        first = case.plain or number % KINDS == 0
        sizes = random.Random(f"{place} sizes {number}")
        return draw_signature(case.words, kind, sizes, self.huge, first or self.mode == "jvp", not first)

    def call(self, number: int, signature_number: int) -> str | None:
        """Make one call; returns what is wrong with its outcome."""
        signature = self.signature(signature_number)
        seed = hash((self.seed, number)) & (2**63 - 1)
        # Where sizes do not match, a call is made again with all whole numbers known, which compiles.
        whole = seed if signature.matches and not self.few else signature_number
        batch = seed % 4 if self.mode == "vmap" else None
        args = self.source.draw(signature, seed, whole, batch)
        self.report.counts[self.mode] += 1
        way = {"value": self._value, "grad": self._grad, "jvp": self._jvp, "vmap": self._vmap}[self.mode]
        before = args.snapshot()
        self.intended, self.matches = signature.intended, signature.matches
        self.rtol = max(self.case.rtol, SINGLE) if any(_is_single(v) for v in args.values) else self.case.rtol
        if signature.huge:
            found = self._survives(outcome_of(lambda: self._transformed(args.values)))
        else:
            found = way(args, number)
        if self.mode == "value" and not signature.huge:
            return found or self._outside(args, before)
        return found or (None if args.snapshot() == before else "the memory of an argument has changed")

    def _transformed(self, values: list[Any]) -> Any:
        """The result of the transformed function."""
        if self.mode in ("value", "vmap"):
            return self.compiled(*values)
        wrt = tuple(k for k, value in enumerate(values) if _is_float(value))
        if self.mode == "jvp":
            rng = np.random.default_rng(0)
            tangents = [_tangent(value, rng) if k in wrt else value for k, value in enumerate(values)]
            return jvp(self.case.f, values, tangents)
        if wrt not in self.compiled:
            self.compiled[wrt] = value_and_grad(self.loss, argnums=wrt)
        return self.compiled[wrt](*values)

    # --- what each mode has to give ------------------------------------------------------------------------------

    def _survives(self, found: Outcome) -> str | None:
        self.report.counts["huge"] += 1
        return None if found.error is None or isinstance(found.error, EXPECTED_OF_HUGE) else f"{found}"

    def _python(self, f: Callable[..., Any], args: Arguments) -> tuple[Outcome, list[Any]]:
        """What the plain function does, and the arguments as it leaves them; they are put back."""
        before, copies = args.snapshot(), _copies(args.values)
        found = outcome_of(f, *args.values)
        found = Outcome(copy.deepcopy(found.value), found.error)  # later writes to the arguments do not change it
        left = _copies(args.values)
        args.restore(before)
        _put_back(args.values, copies)
        return found, left

    def _value(self, args: Arguments, number: int) -> str | None:
        python, left = self._python(self.case.f, args)
        copies = _copies(args.values)
        compiled = outcome_of(self._transformed, args.values)
        self._count(compiled)
        # NaN and infinity come out otherwise where a complex number meets a real one: docs/limitations.md says so.
        values = args.tame or (self.case.exact and not any(np.iscomplexobj(v) for v in args.values))
        found = self._disagreement(args, python, compiled, values)
        if found is None and compiled.error is None:
            found = difference(left, args.values, values, self.rtol)
            found = found and f"arguments afterwards: {found}"
        _put_back(args.values, copies)
        return found

    def _outside(self, args: Arguments, before: list[bytes]) -> str | None:
        """The content of arrays has been put back, so nothing may differ."""
        return None if args.snapshot() == before else "memory around an argument has changed"

    def _grad(self, args: Arguments, number: int) -> str | None:
        python, _ = self._python(self.loss, args)
        compiled = outcome_of(self._transformed, args.values)
        self._count(compiled)
        if compiled.error is not None or python.error is not None:
            return self._disagreement(args, python, compiled, args.tame)
        value, gradients = compiled.value
        found = difference(python.value, value, args.tame, self.rtol)
        wrt = [v for v in args.values if _is_float(v)]
        for x, g in zip(wrt, gradients, strict=True):
            if isinstance(x, np.ndarray) and x.shape and (g.shape, g.dtype) != (x.shape, x.dtype.newbyteorder("=")):
                return f"the gradient of {x.dtype}{x.shape} is {g.dtype}{g.shape}"
            if np.shape(x) != np.shape(g):
                return f"the gradient of an argument of shape {np.shape(x)} has shape {np.shape(g)}"
        if found is None and number % EAGER_EVERY == 0 and args.tame:
            with eager():
                other = outcome_of(self._transformed, args.values)
            if other.error is not None:
                return None if other.refused else f"compiled {compiled}, eager {other}"
            found = difference(other.value[1], gradients, True, 1e3 * self.rtol)
            found = found and f"eager and compiled gradient: {found}"
        return found

    def _jvp(self, args: Arguments, number: int) -> str | None:
        python, _ = self._python(self.case.f, args)
        compiled = outcome_of(self._transformed, args.values)
        self._count(compiled)
        if compiled.error is not None or python.error is not None:
            return self._disagreement(args, python, compiled, args.tame)
        return difference(python.value, compiled.value[0], args.tame, self.rtol)

    def _vmap(self, args: Arguments, number: int) -> str | None:
        compiled = outcome_of(self._transformed, args.values)
        self._count(compiled)
        rows: list[list[Any]] = []
        for k in range(_number_of_examples(args.values)):
            one = outcome_of(self.case.f, *[v[k].copy() if isinstance(v, np.ndarray) else copy.deepcopy(v) for v in args.values])
            if one.error is not None:
                return self._disagreement(args, one, compiled, args.tame)
            rows.append(flatten(one.value)[0])
        if compiled.error is not None:  # of no examples, what each of them would raise
            return self._disagreement(args, Outcome(), compiled, args.tame) if rows else None
        stacked = [np.stack(column) for column in zip(*rows, strict=True)]
        return difference(stacked, flatten(compiled.value)[0], args.tame, self.rtol) if rows else None

    def _disagreement(self, args: Arguments, python: Outcome, compiled: Outcome, values: bool) -> str | None:
        """How two outcomes differ; where two things are wrong with the arguments, either may be found first."""
        if not self.intended and isinstance(compiled.error, (TypeError, LookupError, AttributeError, ValueError)):
            return None
        if not self.matches and all(isinstance(e, (IndexError, ValueError)) for e in (python.error, compiled.error)):
            return None  # sizes that do not go together, and an index that may be out of range besides
        frozen = any(isinstance(v, np.ndarray) and not v.flags.writeable for v in args.values)
        if frozen and self.mode != "value" and isinstance(python.error, ValueError):
            return None  # derivatives write to copies
        scattered = any(isinstance(v, np.ndarray) and not (v.flags.writeable or v.flags.c_contiguous) for v in args.values)
        if scattered and isinstance(python.error, ValueError) and compiled.error is None:
            return None  # what is written there may be what was there; `_value` sees whether the argument has changed
        return disagreement(python, compiled, values, self.rtol, strict=not frozen)

    def _count(self, compiled: Outcome) -> None:
        what = "refused" if compiled.refused else "raised" if compiled.error is not None else "gave a result"
        self.report.counts[what] += 1
        if compiled.refused:
            self.refusals[getattr(compiled.error, "what", "")[:100]] += 1


def _number_of_examples(values: list[Any]) -> int:
    """The length of the first axis of all arrays."""
    return min((len(v) for v in values if isinstance(v, np.ndarray) and v.ndim), default=0)


def _put_back(values: list[Any], copies: list[Any]) -> None:
    """Give arguments the content of their copies."""
    for value, copied in zip(values, copies, strict=True):
        if isinstance(value, list):
            value[:] = copied
        elif isinstance(value, np.ndarray) and value.flags.writeable:
            value[...] = copied


def _copies(values: list[Any]) -> list[Any]:
    """Arguments that a function may write to."""
    return [v.copy() if isinstance(v, np.ndarray) else copy.deepcopy(v) for v in values]


def _is_float(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value)
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f"
    return isinstance(value, float | np.floating)


def _is_single(value: Any) -> bool:
    return getattr(value, "dtype", None) in (np.float32, np.complex64)


def _tangent(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, list):
        return [float(n) for n in rng.standard_normal(len(value))]
    if isinstance(value, np.ndarray):
        return np.asarray(rng.standard_normal(value.shape), value.dtype.newbyteorder("=")) if value.size < 10**6 else value
    return type(value)(rng.standard_normal())
