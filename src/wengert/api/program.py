"""A function under a transformation: traced on demand, compiled, kept, and run again while its guards hold."""

from __future__ import annotations

import functools
import sys
import threading
import time
import types
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import numpy as np

from wengert.api.arguments import flatten_call, leaf_key
from wengert.api.lowering import with_tape_laid_out
from wengert.api.mode import EagerFallbackWarning, is_eager
from wengert.api.results import write_back
from wengert.codegen import Compiled
from wengert.codegen import compile as compile_native
from wengert.codegen.threads import mode
from wengert.errors import StagingError, UnsupportedError
from wengert.frontend.context import is_tracing
from wengert.frontend.trace import Traced, counter, trace
from wengert.ir.calls import walk_all
from wengert.ir.core import Function
from wengert.passes.inline_custom import inline_custom
from wengert.passes.pipeline import optimize
from wengert.tape.evaluate import EvalBuilder
from wengert.transforms.checkpoint import remove_marks
from wengert.tree import TreeDef

Lower = Callable[[Traced, Sequence[int]], Function]
"""From a trace, and the flat positions to differentiate at, to the function to compile."""


compiling = threading.RLock()
"""One thread traces and compiles at a time. Tracing calls the user's code, which may read what others write; and functions
that use each other would wait for each other if each had a lock of its own."""

MAX_VARIANTS = 64
"""Compilations kept per kind of arguments, as they differ in baked-in integers or captured state; the oldest goes first."""


@dataclass
class Stats:
    """How often a transformed function has been traced, compiled and called.

    Attributes:
        calls: all calls.
        eager_calls: those that ran eagerly.
        traces: how often the function was traced. A trace that starts again, with an integer or a size known, counts again.
        compilations: native programs made.
        variants: native programs that are kept for further calls.
        trace_seconds: time spent on tracing.
        compile_seconds: time spent on transforms, passes and native code.
    """

    calls: int = 0
    eager_calls: int = 0
    traces: int = 0
    compilations: int = 0
    variants: int = 0
    trace_seconds: float = 0.0
    compile_seconds: float = 0.0


@dataclass
class Variant:
    """One compilation: the trace it came from, and when it may be used."""

    traced: Traced
    function: Function
    compiled: Compiled
    statics: list[tuple[int, Any]]
    sizes: list[tuple[int, list[tuple[int, int, int]]]] = field(default_factory=list)
    hot: Any = None
    knows_sizes: bool = False
    protected: bool = False  # made for read-only arrays among those that it would write to
    arrays: list[int] = field(init=False)
    written: list[int] = field(init=False)
    unconditional: bool = field(init=False)
    splits: bool = field(default_factory=lambda: mode.splits)

    def __post_init__(self) -> None:
        self.arrays = [k for k, p in enumerate(self.traced.function.params) if p.rank]
        self.written = [self.traced.param_leaves.index(k) for k in self.traced.written] + self.traced.written_captures
        self.unconditional = not (self.statics or self.sizes or self.traced.static_sizes)

    def fits(self, leaves: Sequence[Any]) -> bool:
        """Whether baked-in integers, captured state and assumed sizes are as they were, and several threads wanted or not."""
        if self.splits is not mode.splits:
            return False
        if self.unconditional:
            return self.traced.guards_hold()
        for position, value in self.statics:
            if leaves[position] != value:
                return False
        for (leaf, axis), size in self.traced.static_sizes.items():
            if leaves[leaf].shape[axis] != size:
                return False
        if not self.traced.guards_hold():
            return False
        if not self.sizes:
            return True
        arrays = [*[leaves[k] for k in self.traced.param_leaves], *self.traced.read_captures()]
        return all(slack + sum(c * arrays[k].shape[axis] for k, axis, c in terms) >= 0 for slack, terms in self.sizes)

    def serves(self, leaves: Sequence[Any]) -> bool:
        """Whether it may be used for arguments with these leaves."""
        return self.fits(leaves) and not self.scattered(leaves)

    def scattered(self, leaves: Sequence[Any]) -> str:
        """The name of an array that must lie row after row (`Traced.ordered`) and does not, or ""."""
        if not self.traced.ordered:
            return ""
        inputs = [*(leaves[k] for k in self.traced.param_leaves), *self.traced.read_captures()]
        params = self.traced.function.params
        return next((params[k].name for k in self.traced.ordered if not inputs[k].flags.c_contiguous), "")

    def inputs(self, leaves: Sequence[Any]) -> list[Any]:
        """The run-time arguments of the compiled function: leaves, then captured values."""
        inputs = [leaves[k] for k in self.traced.param_leaves]
        inputs += self.traced.read_captures()
        if self.written:
            refuse_shared(inputs, self.written, self.arrays, self.traced)
        for k in self.arrays:
            if not inputs[k].flags.c_contiguous:
                inputs[k] = np.ascontiguousarray(inputs[k])
        for k in self.compiled.donated:
            if not inputs[k].flags.writeable:
                inputs[k] = inputs[k].copy()
        return inputs

    def run(self, leaves: Sequence[Any], args: Sequence[Any], kwargs: dict[str, Any], *more: Any) -> list[Any]:
        """The values of the results, for arguments with these leaves; what the function leaves behind is written after it."""
        traced = self.traced
        if traced.writes:
            traced.writes.check(args, kwargs)
        found = list(self.compiled(*self.inputs(leaves), *more))
        if traced.updates is not None:
            write_back(traced, found, args, kwargs, leaves)
        if traced.writes:
            traced.writes.apply(found, args, kwargs)
        return found


def _is_read_only(leaf: Any) -> bool:
    """Whether nobody can write to an array through a view of it; a reshaped form of one that is not contiguous is no view."""
    return isinstance(leaf, np.ndarray) and not leaf.flags.writeable and leaf.flags.c_contiguous


class Program:
    """`fn` under one transformation, with its compiled variants.

    Args:
        fn: the user's function.
        lower: makes the function to compile from a trace.
        strict: raise instead of running eagerly when `fn` cannot be staged.
        write_back: describe what `fn` does to its arguments.
    """

    def __init__(self, fn: Callable[..., Any], lower: Lower, strict: bool = False, write_back: bool = False) -> None:
        self.fn = fn
        self.lower = lower
        self.strict = strict
        self.write_back = write_back
        self.variants: dict[Any, list[Variant]] = {}
        self.refused: set[Any] = set()
        self.with_sizes: dict[Any, str] = {}
        self.written: set[int] = set()
        self.counts = Stats()
        self._noticed = False
        self._reason: StagingError | None = None

    def stats(self) -> Stats:
        """The counters as they stand."""
        return replace(self.counts, variants=sum(map(len, self.variants.values())))

    def variant(self, args: Sequence[Any], kwargs: dict[str, Any], positions: Sequence[int]) -> tuple[Variant | None, list[Any]]:
        """The compilation for these arguments, and the flat leaves; None means that they have to run eagerly."""
        variant, leaves = self._variant(args, kwargs, positions)
        scattered = "" if variant is None else variant.scattered(leaves)
        if not scattered:
            return variant, leaves
        reason = StagingError(
            f"{scattered!r} does not lie row after row in memory, and it decides which reshaped arrays are views",
            fix="pass a copy that does: np.ascontiguousarray(x)",
        )
        if self.strict:
            raise reason
        self._reason = reason
        return None, leaves

    def _variant(self, args: Sequence[Any], kwargs: dict[str, Any], positions: Sequence[int]) -> tuple[Variant | None, list[Any]]:
        leaves, tree = flatten_call(args, kwargs)
        if is_eager():
            return None, leaves
        key = (tree, tuple([leaf_key(leaf) for leaf in leaves]), tuple(positions), self._protected(leaves))
        wanted = self.with_sizes.get(_shapes_key(tree, leaves), "") if self.with_sizes else ""
        if wanted == "eager":  # this once: the sizes that it computes may go together next time
            self.with_sizes[_shapes_key(tree, leaves)] = "eager before"
            return None, leaves
        found = self._known(key, leaves, bool(wanted))
        if found is not None:
            if wanted:
                self.with_sizes[_shapes_key(tree, leaves)] = "sizes"
            return found, leaves
        with compiling:
            found = self._known(key, leaves, bool(wanted))  # another thread may have been here
            if found is not None:
                return found, leaves
            if key in self.refused:
                return None, leaves
            try:
                variant = self._compile(args, kwargs, leaves, positions, bool(wanted))
            except StagingError as error:
                if error.temporary:
                    return None, leaves
                if self.strict:
                    raise
                self.refused.add(key)
                self._reason = None if error.quiet else error
                return None, leaves
            self.variants[key] = [variant, *self.variants.get(key, ())][:MAX_VARIANTS]
            if variant.traced.updates is not None:
                self.written.update(variant.traced.written)
                if self._protected(leaves) != key[-1]:
                    return self._variant(args, kwargs, positions)
        return variant, leaves

    def _protected(self, leaves: Sequence[Any]) -> tuple[int, ...]:
        """The leaves that are read-only arrays, of those to which the function is known to write, perhaps."""
        return tuple([k for k in sorted(self.written) if k < len(leaves) and _is_read_only(leaves[k])])

    def _known(self, key: Any, leaves: Sequence[Any], sizes: bool) -> Variant | None:
        """A compilation for such arguments that is still good."""
        return next((v for v in self.variants.get(key, ()) if v.fits(leaves) and (v.knows_sizes or not sizes)), None)

    def _compile(
        self, args: Sequence[Any], kwargs: dict[str, Any], leaves: Sequence[Any], positions: Sequence[int], sizes: bool
    ) -> Variant:
        protected = frozenset(("read-only", k) for k in self._protected(leaves))
        variant = None if sizes else self._build(self._trace(args, kwargs, protected), leaves, positions)
        if variant is None or not variant.fits(leaves):
            # The sizes at hand are smaller than what the trace assumed (an interior `x[1:-1]` of one element, say).
            known = {k for k, leaf in enumerate(leaves) if getattr(leaf, "shape", ()) or (sizes and type(leaf) is int)}
            variant = self._build(self._trace(args, kwargs, frozenset({*known, "captured"}) | protected), leaves, positions)
            variant.knows_sizes = True
        variant.protected = bool(protected)
        return variant

    def may_retry(self, error: ValueError, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
        """Whether a call that raised `error` is to be made again: sizes differ, and one of them may be 1 and repeat.

        Compiled code serves all sizes and takes those that must go together to be equal. Where they are not, the function
        is traced once more with its sizes known, and if sizes that it computes differ still, it runs eagerly.
        """
        if not getattr(error, "wengert_sizes", False) or is_eager() or is_tracing():
            return False
        retry = self._next_try(args, kwargs)
        if not retry:
            error.wengert_sizes = False  # type: ignore[attr-defined]  # for functions around this one it is any ValueError
        return retry

    def _next_try(self, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
        """Note how these sizes are to run the next time; whether that may be at once."""
        functions = [v.traced.function for found in self.variants.values() for v in found]
        if not functions:
            return False
        leaves, tree = flatten_call(args, kwargs)
        key = _shapes_key(tree, leaves)
        now = self.with_sizes.get(key, "")
        if len(self.with_sizes) >= MAX_VARIANTS:
            self.with_sizes.clear()
        if now == "eager before":
            self.with_sizes[key] = "sizes"
            return False
        self.with_sizes[key] = "eager" if now else "sizes"
        return not any(map(_has_host_effects, functions))

    def _trace(self, args: Sequence[Any], kwargs: dict[str, Any], static: frozenset[Any] = frozenset()) -> Traced:
        started, before = time.perf_counter(), counter.count
        try:
            return trace(self.fn, tuple(args), kwargs, static=static, write_back=self.write_back)
        finally:
            self.counts.traces += counter.count - before
            self.counts.trace_seconds += time.perf_counter() - started

    def _build(self, traced: Traced, leaves: Sequence[Any], positions: Sequence[int]) -> Variant:
        started = time.perf_counter()
        function = optimize(remove_marks(inline_custom(self.lower(traced, positions))))
        donated = donations(traced, function) if self.write_back else None
        compiled = compile_native(with_tape_laid_out(function), donated=donated)
        self.counts.compilations += 1
        self.counts.compile_seconds += time.perf_counter() - started
        statics = [(k, v) for k, v in traced.static_leaves.items() if isinstance(v, int | float)]
        return Variant(traced, function, compiled, statics, size_conditions(traced))

    def notice(self) -> None:
        """Say once that the function runs eagerly and why; called when it has, since eager mode may refuse it too."""
        if self._reason is not None and not self._noticed:
            self._noticed = True
            name = getattr(self.fn, "__qualname__", repr(self.fn))
            message = f"{name} runs eagerly: {self._reason}"
            warnings.warn(message, EagerFallbackWarning, stacklevel=_frames_to_the_user())

    def record(
        self, args: Sequence[Any], kwargs: dict[str, Any], positions: Sequence[int] | None = None
    ) -> tuple[Traced, EvalBuilder]:
        """Run eagerly; the trace has the list of what ran, the builder every value.

        Args:
            args: positional arguments.
            kwargs: arguments by name.
            positions: the flat leaves to differentiate at (None for all): values that depend on others only may leave the trace.
        """
        self.counts.eager_calls += 1
        builder = EvalBuilder(positions=positions)
        traced = trace(self.fn, tuple(args), kwargs, eager_builder=builder)
        self.notice()
        if traced.written:
            leaves, _ = flatten_call(args, kwargs)
            inputs = [*(leaves[k] for k in traced.param_leaves), *traced.read_captures()]
            arrays = [k for k, value in enumerate(inputs) if isinstance(value, np.ndarray)]
            refuse_shared(inputs, [traced.param_leaves.index(k) for k in traced.written], arrays, traced)
        return traced, builder


Own = TypeVar("Own", bound=Program)
_MOST_SHARED = 512
_shared: OrderedDict[Any, tuple[Callable[..., Any], Program]] = OrderedDict()
_shared_lock = threading.Lock()


def shared_program(fn: Callable[..., Any], make: Callable[[Callable[..., Any]], Own]) -> Own:
    """The program that `make` made of this very function (or method of this very object) before, or a new one.

    Functions that are merely equal, as objects with `__call__` may be, compute different things.
    """
    is_method = isinstance(fn, types.MethodType)
    key = (make, id(fn.__self__), id(fn.__func__)) if is_method else (make, id(fn))  # type: ignore[attr-defined]
    with _shared_lock:
        found = _shared.get(key)
        if found is None:
            found = _shared[key] = (fn, make(fn))  # holds the function, so that its id stays its own
            while len(_shared) > _MOST_SHARED:
                _shared.popitem(last=False)
        _shared.move_to_end(key)
    return cast(Own, found[1])


def _shapes_key(tree: TreeDef, leaves: Sequence[Any]) -> Any:
    """What sizes may depend on."""
    return tree, *[leaf.shape if isinstance(leaf, np.ndarray) else _number_key(leaf) for leaf in leaves]


def _number_key(leaf: Any) -> Any:
    return leaf if type(leaf) is int else leaf_key(leaf)


def _has_host_effects(function: Function) -> bool:
    """Whether a second run would be seen: it prints, or calls what may remember the call."""
    return any(i.op.name in ("host_print", "host_call") and not i.attrs.get("pure") for i in walk_all(function))


Call = TypeVar("Call", bound=Callable[..., Any])


def retrying(call: Call) -> Call:
    """A `__call__` of an object with a `program`, which is made again where sizes turn out to differ; see `Program.may_retry`."""

    @functools.wraps(call)
    def again(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return call(self, *args, **kwargs)
        except ValueError as error:
            if not self.program.may_retry(error, args, kwargs):
                raise
        return again(self, *args, **kwargs)

    return cast(Call, again)


def _frames_to_the_user() -> int:
    """The `stacklevel` that makes a warning point at the call from outside of wengert."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "wengert":
        frame, level = frame.f_back, level + 1
    return level


def refuse_shared(inputs: Sequence[Any], written: Sequence[int], arrays: Sequence[int], traced: Traced) -> None:
    """Raise if an array that the function writes to shares memory with another input: the write would not be seen there.

    Raises:
        UnsupportedError: for this reason.
    """
    for k in written:
        for other in arrays:
            if other != k and np.may_share_memory(inputs[k], inputs[other]):
                names = [traced.function.params[n].name for n in (k, other)]
                raise UnsupportedError(
                    f"{names[0]!r} is written to and shares memory with {names[1]!r}",
                    traced.function.span,
                    found="one array, or two views of one, in two places",
                    expected="arrays with memory of their own",
                    fix="pass a copy: x.copy()",
                )


def donations(traced: Traced, function: Function) -> dict[int, int]:
    """The parameters whose arrays native code may write to itself, each with the result that the array becomes."""
    updates = traced.updates
    if updates is None or updates.parts:
        return {}
    arrays, _ = updates.tree.unflatten(updates.leaves)
    found = {traced.param_leaves.index(k): place for k, place in arrays.items() if isinstance(place, int)}
    returned = [place for place in traced.out_leaves if isinstance(place, int)]
    is_whole = len(set(found.values())) == len(found) and not set(found.values()) & set(returned)
    same = all(function.params[k].type == function.results[place].type for k, place in found.items())
    return found if is_whole and same else {}


def size_conditions(traced: Traced) -> list[tuple[int, list[tuple[int, int, int]]]]:
    """The assumptions on sizes as `slack + sum(coefficient * inputs[k].shape[axis]) >= 0`."""
    conditions = []
    for affine, minimum in traced.assumptions:
        if isinstance(affine, int):
            continue
        terms = [(*traced.sizes[symbol], coefficient) for symbol, coefficient in affine.terms]
        conditions.append((affine.const - minimum, terms))
    return conditions
