"""`explain`: the user's own source, annotated with what becomes of it under a gradient.

The one idea: everything is read off the program that would run. The traced IR says what was compiled and where a derivative ends,
the lowered gradient says what is stored and checked, the code generator says what it copies; spans tie it all to source lines.
"""

from __future__ import annotations

import functools
import inspect
import linecache
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from wengert.api.arguments import differentiable_leaves
from wengert.api.derivatives import ArgNums
from wengert.api.program import Program, Variant
from wengert.codegen import compile as compile_native
from wengert.diagnose.cuts import find_cuts, find_tests, zero_reason
from wengert.diagnose.explanation import Explanation, LineNote, ParameterNote, bytes_text
from wengert.diagnose.listing import Listing, Loop, make_listings, short_path
from wengert.diagnose.storage import (
    Key,
    evaluate,
    gradient_or_pullback,
    kept_bytes,
    key_of,
    known_sizes,
    stored_bytes,
    tape_bytes,
    without_cotangents,
)
from wengert.errors import Span, StagingError, UnsupportedError
from wengert.frontend.boxes import is_box
from wengert.frontend.trace import Traced
from wengert.ir.calls import walk_all
from wengert.ir.core import Function, Instr, Value, walk
from wengert.transforms.activity import useful_values, varied_values
from wengert.tree import flatten

_CHECKED = frozenset({"check", "wrap_index"})


def explain(f: Callable[..., Any], *args: Any, argnums: ArgNums = 0, **kwargs: Any) -> Explanation:
    """What wengert does with `f` when its gradient is taken at these arguments: print the result.

    The source of `f` and of every function of the user's that it reaches is shown line by line, with: what was compiled, and
    what was not and why; where a gradient is cut; the bytes stored for the reverse pass; copies and allocations; the checks left
    for run time. `f` is traced, its gradient compiled, and its forward part run once, counting. Only where `f` cannot be
    compiled does its own Python run, once.

    Args:
        f: returns a float (other results are explained for the reverse derivative of all their floats).
        *args: arguments, as for `f` itself; what is stored is counted for these.
        argnums: which positional argument, or a sequence of them, to differentiate with respect to.
        **kwargs: further arguments of `f`.

    Returns:
        An `Explanation`: print it, or read its fields.

    Raises:
        ArgumentError: `argnums` selects nothing that has a derivative.
        SourceUnavailableError: the source of `f` cannot be read.
        Exception: whatever `f` raises whatever the values of its floats.
    """
    positions, _ = differentiable_leaves(args, argnums, "explain", f)
    program = Program(f, gradient_or_pullback, strict=True)
    subject = _Subject(f, _names(f, args), positions, _wrt_text(f, args, argnums))
    try:
        variant, leaves = program.variant(args, kwargs, positions)
    except StagingError as error:
        return _explain_eager(subject, program, args, kwargs, error)
    except UnsupportedError as error:
        return _explain_refused(subject, error)
    if variant is None:
        return _explain_eager(subject, program, args, kwargs, None)
    return _explain_compiled(subject, variant, leaves)


@dataclass
class _Subject:
    """What is explained: the function, names of the leaves of its positional arguments, and those differentiated at."""

    fn: Callable[..., Any]
    names: list[str]
    positions: Sequence[int]
    wrt: str
    notes: dict[Key, dict[str, dict[str, None]]] = field(default_factory=lambda: defaultdict(dict))
    failure: str = ""
    recursion: str = ""

    @property
    def name(self) -> str:
        """What the function is called."""
        fn = self.fn
        while isinstance(fn, functools.partial):
            fn = fn.func
        return getattr(fn, "__qualname__", None) or getattr(fn, "__name__", None) or type(fn).__qualname__

    def note(self, span: Span | None, text: str, item: str = "") -> None:
        """Say `text` about a line, once; items said under the same text are gathered."""
        if span is not None:
            self.note_at(key_of(span), text, item)

    def note_at(self, key: Key, text: str, item: str = "") -> None:
        """Like `note`, for a line."""
        items = self.notes[key].setdefault(text, {})
        if item:
            items[item] = None

    def notes_of(self, key: Key) -> tuple[str, ...]:
        """What has been said about a line."""
        return tuple(f"{text}: {', '.join(items)}" if items else text for text, items in self.notes.get(key, {}).items())


# --- the three outcomes ----------------------------------------------------------------------------------------------


def _explain_compiled(subject: _Subject, variant: Variant, leaves: Sequence[Any]) -> Explanation:
    traced, gradient = variant.traced, variant.function
    function = traced.function
    inputs = variant.inputs(leaves)
    sizes = known_sizes(function, inputs)
    spans = [i.span for i in walk_all(function) if i.span is not None]
    listings, libraries = _listings(subject, [key_of(s) for s in spans])
    seeds = [function.params[traced.param_leaves.index(k)] for k in subject.positions]
    _note_regions(subject, function, sizes, seeds)
    _note_unrolled(subject, listings, function)
    _note_derivatives(subject, function.instrs, seeds, _losses(function))
    count = len(function.params)
    try:
        counted = stored_bytes(without_cotangents(gradient, count), inputs, _run_native)
    except Exception as error:  # noqa: BLE001 - whatever the user's function raises at these arguments is a result too
        counted = {}
        subject.failure = f"it fails at these arguments, so what it stores is not known: {type(error).__name__}: {error}"
    if gradient.functions:
        subject.recursion = "what recursive functions store for each of their calls is not counted"
    for key, size in counted.items():
        if size:
            subject.note_at(key, f"stores {bytes_text(size)}")
    kept = kept_bytes(gradient, len(function.results), known_sizes(gradient, inputs))
    for key, size in kept.items():
        subject.note_at(key, f"keeps {bytes_text(size)}")
    _note_checks(subject, gradient)
    _note_memory(subject, variant)
    totals = (sum(counted.values()), sum(kept.values()))
    return _finish(subject, "compiled", "", listings, totals, _idle(subject, traced), libraries)


def _explain_eager(
    subject: _Subject, program: Program, args: Sequence[Any], kwargs: dict[str, Any], error: StagingError | None
) -> Explanation:
    try:
        traced, _ = program.record(args, kwargs)
    except UnsupportedError as refusal:
        return _explain_refused(subject, refusal)
    function = traced.function
    reached = [key_of(i.span) for i in function.instrs if i.span is not None]
    if error is not None:
        if error.span is not None:
            reached.append(key_of(error.span))
        subject.note(error.span, f"not compiled: {error.what}; the whole function runs eagerly")
    listings, libraries = _listings(subject, reached)
    seeds = [function.params[traced.param_leaves.index(k)] for k in subject.positions]
    _note_derivatives(subject, function.instrs, seeds, _losses(function))
    total = _note_tape(subject, function.instrs)
    return _finish(subject, "eager", str(error or ""), listings, (total, 0), _idle(subject, traced, recorded=True), libraries)


def _explain_refused(subject: _Subject, error: UnsupportedError) -> Explanation:
    subject.note(error.span, f"not supported: {error.what}")
    listings, libraries = _listings(subject, [] if error.span is None else [key_of(error.span)])
    if not listings:
        raise error
    return _finish(subject, "refused", str(error), listings, (0, 0), (), libraries)


def _listings(subject: _Subject, reached: Sequence[Key]) -> tuple[list[Listing], list[str]]:
    return make_listings(subject.fn, dict.fromkeys(reached))


def _finish(
    subject: _Subject,
    mode: str,
    reason: str,
    listings: Sequence[Listing],
    totals: tuple[int, int],
    parameters: Sequence[ParameterNote],
    libraries: Sequence[str],
) -> Explanation:
    lines, shown = [], set()
    for listing in listings:
        for number in listing.lines:
            key = (listing.file, number)
            shown.add(key)
            text = linecache.getline(*key).rstrip().expandtabs(4)
            lines.append(LineNote(*key, text, subject.notes_of(key)))
    elsewhere = tuple(
        f"{short_path(key[0])}:{key[1]}: {'; '.join(subject.notes_of(key))}"
        for key in subject.notes
        if key not in shown and key[0]
    )
    return Explanation(
        subject.name,
        subject.wrt,
        mode,
        reason,
        tuple(lines),
        *totals,
        tuple(parameters),
        tuple(libraries),
        notes=(*filter(None, (subject.failure, subject.recursion)), *elsewhere),
    )


# --- what was compiled -----------------------------------------------------------------------------------------------


def _note_regions(subject: _Subject, function: Function, sizes: dict[Value, int], seeds: Sequence[Value]) -> None:
    told = set(find_tests(function.instrs, seeds))  # these are noted with the derivatives
    loops = _loop_lines(function.instrs)
    for instr in walk(function.instrs):
        if instr.op.name == "for":
            trips = evaluate(instr.operands[0].affine, sizes)
            subject.note(instr.span, "compiled: for loop" + (f", {max(trips, 0)} iterations" if trips is not None else ""))
        elif instr.op.name == "while":
            subject.note(instr.span, "compiled: while loop")
        elif instr.op.name == "if" and instr not in told and key_of(instr.span) not in loops:
            subject.note(instr.span, "compiled: branch")


def _loop_lines(instrs: Sequence[Instr]) -> set[Key]:
    return {key_of(i.span) for i in walk(tuple(instrs)) if i.op.name in ("for", "while")}


def _note_unrolled(subject: _Subject, listings: Sequence[Listing], function: Function) -> None:
    """Note the loops of the source that have no region: their bodies stand in line, once per iteration."""
    regions = _loop_lines(function.instrs)
    copies: dict[str, dict[int, Counter[Any]]] = defaultdict(lambda: defaultdict(Counter))
    for instr in walk(function.instrs):
        if instr.span is not None and instr.op.kind != "constant":
            place = (instr.span.column, instr.span.end_column, instr.op.name)
            copies[instr.span.file][instr.span.line][place] += 1
    for listing in listings:
        for loop in listing.loops:
            if (listing.file, loop.line) not in regions:
                count = _copies(loop, copies[listing.file])
                if count:
                    what = f"unrolled: {count} copies of its body" if count > 1 else "unrolled: its body stands in line"
                    subject.note_at((listing.file, loop.line), what)


def _copies(loop: Loop, by_line: dict[int, Counter[Any]]) -> int:
    """How often the body of a loop was laid down: the commonest number of copies of its expressions."""
    own = [n for line in loop.body if line not in loop.inner for n in by_line.get(line, Counter()).values()]
    own = own or [n for line in loop.body for n in by_line.get(line, Counter()).values()]
    if not own:
        return 0
    (count, _), *_ = Counter(own).most_common(1)
    return count


# --- derivatives -----------------------------------------------------------------------------------------------------


def _losses(function: Function) -> list[Value]:
    return [r for r in function.results if r.is_float]


def _note_derivatives(
    subject: _Subject, instrs: Sequence[Instr], seeds: Sequence[Value], results: Sequence[Value]
) -> None:
    """Note cuts, branches on what depends on the parameters, and kinks."""
    for cut in find_cuts(instrs, seeds, results):
        subject.note(cut.instr.span, f"gradient cut: {cut.what}")
    loops = _loop_lines(instrs)
    for instr in find_tests(instrs, seeds):
        if instr.op.name == "select":
            subject.note(instr.span, "choice by a traced value: piecewise derivative")
        elif instr.op.name == "while":
            subject.note(instr.span, "the number of iterations depends on the parameters: piecewise derivative")
        elif key_of(instr.span) not in loops:
            subject.note(instr.span, "branch on a traced value: piecewise derivative")
    active = varied_values(instrs, seeds) & useful_values(instrs, results)
    for instr in walk(tuple(instrs)):
        if instr.op.smoothness == "kink" and any(r in active for r in instr.results):
            subject.note(instr.span, "kink", f"`{instr.op.name}`")


def _idle(subject: _Subject, traced: Traced, recorded: bool = False) -> list[ParameterNote]:
    """The parameters that the results do not depend on differentiably."""
    function = traced.function
    results = _losses(function)
    useful = useful_values(function.instrs, results)
    found = []
    for k in subject.positions:
        param = function.params[traced.param_leaves.index(k)] if k in traced.param_leaves else None
        if param is None or param not in useful:
            found.append(ParameterNote(subject.names[k], zero_reason(function.instrs, param, results, recorded)[0]))
    return found


# --- storage, checks, copies -----------------------------------------------------------------------------------------


def _run_native(function: Function, inputs: Sequence[Any]) -> Sequence[Any]:
    return compile_native(function)(*inputs)


def _note_tape(subject: _Subject, instrs: Sequence[Instr]) -> int:
    """Note what each line leaves on the tape; returns the total in bytes."""
    sizes = tape_bytes(instrs)
    for key, size in sizes.items():
        subject.note_at(key, f"stores {bytes_text(size)}")
    return sum(sizes.values())


def _note_checks(subject: _Subject, gradient: Function) -> None:
    for instr in walk_all(gradient):
        if instr.op.name == "wrap_index":
            subject.note(instr.span, "checked at run time", "index")
        elif instr.op.name == "check":
            factory = instr.attrs.get("_factory")
            kind = "the function's own exception" if factory else str(instr.attrs.get("exception", "RuntimeError"))
            subject.note(instr.span, "checked at run time", kind)


def _note_memory(subject: _Subject, variant: Variant) -> None:
    for note in getattr(variant.compiled, "report", ()):
        if note.kind == "copy":
            subject.note(note.span, f"copy{' in a loop' if note.loops else ''}: {note.what}")
        elif note.kind == "allocation" and note.loops:
            subject.note(note.span, f"allocation in a loop: {note.what}")


# --- names -----------------------------------------------------------------------------------------------------------


def _argument_names(f: Callable[..., Any], args: Sequence[Any]) -> list[str]:
    try:
        bound = inspect.signature(f).bind_partial(*args)
    except (TypeError, ValueError):
        return [f"argument {k}" for k in range(len(args))]
    names = [name for name in bound.arguments if bound.signature.parameters[name].kind != inspect.Parameter.VAR_POSITIONAL]
    return [*names, *(f"argument {k}" for k in range(len(names), len(args)))]


def _names(f: Callable[..., Any], args: Sequence[Any]) -> list[str]:
    """The names of the leaves of the positional arguments, in the order of the flattened call."""
    found: list[str] = []
    for name, arg in zip(_argument_names(f, args), args, strict=True):
        found += flatten(arg, is_leaf=is_box)[1].paths(name)
    return found


def _wrt_text(f: Callable[..., Any], args: Sequence[Any], argnums: ArgNums) -> str:
    names = _argument_names(f, args)
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    return ", ".join(names[k] for k in numbers)
