"""The entry of the frontend: runs a function once on boxes and gives its IR, with all that the result depends on.

A trace that needs the Python value of an integer argument or of an array size starts again with that value static.
"""

from __future__ import annotations

import functools
import re
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wengert.errors import Span, StagingError, UnsupportedError
from wengert.frontend import calls_builtins as _calls_builtins  # noqa: F401 - fills the table of builtins
from wengert.frontend import calls_iteration as _calls_iteration  # noqa: F401 - and that of itertools and operator
from wengert.frontend import generators_builtins, list_order, sorting
from wengert.frontend import table_effects as _table_effects  # noqa: F401 - and that of effects
from wengert.frontend import table_random as _table_random  # noqa: F401 - and that of random numbers
from wengert.frontend.arrays import READ_ONLY, Array
from wengert.frontend.boxes import box, is_box, lift, refuse_subclass
from wengert.frontend.calls import call
from wengert.frontend.capture import Captures
from wengert.frontend.capture_paths import CapturedInput, Guard, Path, compile_guards, compile_reader
from wengert.frontend.choices import Choice, narrowed
from wengert.frontend.collector import rare_collections
from wengert.frontend.context import NeedsPythonValue, Trace, activate
from wengert.frontend.convert import convert
from wengert.frontend.deep_stack import deep_stack
from wengert.frontend.eager_stores import unbox_stores
from wengert.frontend.forms import CannotMergeError
from wengert.frontend.hooks import Hooks
from wengert.frontend.known_sizes import known_sizes, with_known_sizes
from wengert.frontend.memory_order import BY_ROWS, arguments_by_rows
from wengert.frontend.outside import WantsIntegers
from wengert.frontend.outside_values import WriteBack
from wengert.frontend.recursion_watch import RecursionFound
from wengert.frontend.references import are_wanted, turn_on, whole
from wengert.frontend.registry import OPERATORS
from wengert.frontend.rows import as_results
from wengert.frontend.scalars import Scalar
from wengert.frontend.staging_builder import TraceBuilder
from wengert.frontend.staging_failures import Failures
from wengert.frontend.staging_state import ArmEnded, spoil
from wengert.frontend.text import TracedText
from wengert.frontend.write_back import Arguments, Updates
from wengert.ir.builder import Builder
from wengert.ir.calls import refresh
from wengert.ir.core import Function, Instr, Value
from wengert.tree import TreeDef, flatten
from wengert.types import BOOL, F32, F64, I64, I64_SCALAR, Affine, Dim, DType, TensorType, describe_type

generators_builtins.install()
sorting.install()
list_order.install()
MAX_RETRACES = 100
SMALL_MATRIX = 4
"""Captured matrices of at most so many rows and columns (rotations, systems of a filter) have sizes that compiled code knows."""
Static = int | tuple[int, int]
_OBJECT_FREE = (bool, int, float, str, bytes, complex, type(None), types.FunctionType, type, types.ModuleType)


@dataclass
class Counter:
    """How many times a function has been traced in this process."""

    count: int = 0


counter = Counter()


@dataclass(frozen=True)
class StaticLeaf:
    """An output leaf that is not computed but always this object."""

    value: Any


@dataclass
class Traced:
    """A function as IR, and what it was made under.

    Attributes:
        function: parameters are the traced argument leaves in order, then the captured inputs.
        in_tree: the structure of `(args, kwargs)`.
        param_leaves: which leaf each argument parameter is.
        static_leaves: leaves that were baked in, with their values.
        static_sizes: sizes of array leaves that were baked in: `(leaf, axis)` to size.
        captures: captured inputs; `read()` gives the value to pass.
        guards: conditions on what is captured; `holds()` says whether each still holds.
        assumptions: `(size, minimum)` pairs over sizes of parameters that calls must satisfy.
        out_tree: the structure of the result.
        out_leaves: per output leaf the position of an IR result, or a `StaticLeaf`.
        out_numpy: per output leaf whether a number is a NumPy one.
        updates: what the function does to its arguments; its values are results behind those of `out_leaves`.
        written: leaves that are arrays and that the function writes to; they must not share memory with other inputs.
        writes: what a call leaves behind outside; its values are results, too.
        written_captures: parameters that are captured arrays which the function writes to.
        ordered: arrays among the inputs that must lie row after row: of others, NumPy would reshape this or that to a copy.
        guards_hold: all guards at once, compiled.
        read_captures: all captured inputs at once, compiled.
        sizes: where the sizes stand that the assumptions are about: parameter and axis.
    """

    function: Function
    in_tree: TreeDef
    param_leaves: list[int]
    static_leaves: dict[int, Any]
    static_sizes: dict[tuple[int, int], int]
    captures: list[CapturedInput]
    guards: list[Guard]
    assumptions: list[tuple[Affine, int]]
    out_tree: TreeDef
    out_leaves: list[int | StaticLeaf]
    out_numpy: list[bool]
    written: list[int]
    writes: WriteBack
    written_captures: list[int]
    ordered: list[int]
    guards_hold: Callable[[], bool] = field(repr=False)
    read_captures: Callable[[], tuple[Any, ...]] = field(repr=False)
    updates: Updates | None = None
    sizes: dict[Any, tuple[int, int]] = field(default_factory=dict)


def trace(
    fn: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    static: frozenset[Any] = frozenset(),
    eager_builder: Builder | None = None,
    write_back: bool = False,
    references: bool = False,
) -> Traced:
    """Run `fn` once on traced arguments.

    Args:
        fn: a Python function, method or callable object.
        args: positional arguments.
        kwargs: arguments by name.
        static: leaves of `(args, kwargs)` to bake in: ints, or arrays of which all sizes are baked in; "captured" for the sizes
            of all captured arrays.
        write_back: describe what the function does to its arguments, too.
        eager_builder: a builder that knows the values of what it emits; given, control flow follows the values.
        references: follow lists by identity, so that one that is chosen at run time may be written to.

    Returns:
        The IR function, and what it depends on.

    Raises:
        StagingError: the function cannot be staged; the message has the line and the reason.
        UnsupportedError: an argument of a dtype that is not supported.
        Exception: whatever the function itself raises whatever the values of its traced arguments.
    """
    leaves, tree = flatten((tuple(args), dict(kwargs)))
    known: set[Any] = set(static)
    unroll: set[Any] = set()
    recursive: set[Any] = set()
    partial_trace = functools.partial(trace, fn, args, kwargs, static=static, write_back=write_back, references=True)
    for _ in range(MAX_RETRACES):
        run = _Run(fn, leaves, tree, known, unroll, recursive, eager_builder)
        run.write_back = write_back
        if references:
            turn_on(run.trace)
        try:
            return run.traced()
        except NeedsPythonValue as need:
            wanted, loops = run.what_to_fix(need)
            if not wanted - known and not loops - unroll:
                wanted = run.settled_late()
            if not wanted - known and not loops - unroll:
                if _pin(known):
                    continue
                found = _by_reference(run, partial_trace)
                if found is not None:
                    return found
                raise _refusal(need) from need
            known |= wanted
            unroll |= loops
            recursive.clear()
        except RecursionFound as call_found:
            if references:
                raise StagingError("a recursive function is called where lists are followed by identity") from None
            recursive.add(call_found.code)
        except WantsIntegers as wants:
            known |= {("dynamic", key) for key in wants.keys}
            recursive.clear()
        except StagingError:
            large = run.trace.extra.get("large_loops", set()) - unroll
            late = run.settled_late() - known
            if not large and not late and not _pin(known):
                found = _by_reference(run, partial_trace)
                if found is not None:
                    return found
                raise
            known |= late  # what came before may be staged in another way if they are known from the start
            unroll |= large  # short loops that were staged for their size: unrolled, more can be done with what they make
            recursive.clear()
    raise StagingError("tracing does not come to an end: too many values have to be known")


def _by_reference(run: _Run, again: Callable[[], Traced]) -> Traced | None:
    """What tracing with lists by identity gives where `run` had to refuse a write to a list; None if that fails, too."""
    if not are_wanted(run.trace):
        return None
    try:
        return again()
    except (UnsupportedError, CannotMergeError):  # the first refusal is what the user hears of
        return None


def _pin(known: set[Any]) -> bool:
    """Give up on integers outside as inputs: they are baked in, as others are. False if there are none left."""
    pins = {("pinned", note[1]) for note in known if isinstance(note, tuple) and note[0] == "dynamic"}
    news = pins - known
    known |= news
    return bool(news)


def _refusal(need: NeedsPythonValue) -> StagingError:
    return StagingError(
        f"Python needs the value of a traced number: {need.reason}",
        need.span,
        found=f"a traced {describe_type(need.value.type)}, known only at run time",
        fix="use arrays and NumPy functions there, or run it with wg.eager()",
    )


class _Run:
    """One attempt at tracing.

    Attributes:
        static: leaves, and (leaf, axis) pairs, that are baked in.
        sources: for traced integers among the inputs: what to make static to know them.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        leaves: Sequence[Any],
        tree: TreeDef,
        static: set[Any],
        unroll: set[Any],
        recursive: set[Any],
        eager: Builder | None,
    ) -> None:
        self.fn = fn
        self.leaves = leaves
        self.tree = tree
        self.static = static
        self.eager = eager is not None
        self.builder: Any = eager if eager is not None else TraceBuilder()
        self.trace = Trace(self.builder, self.eager, unroll=set(unroll), recursive=set(recursive))
        notes = [note for note in static if isinstance(note, tuple)]
        self.pinned = {note[1] for note in notes if note[0] == "pinned"}
        dynamic = frozenset(note[1] for note in notes if note[0] == "dynamic") - self.pinned
        self.trace.captures = Captures(self.trace, self.captured_input, dynamic)
        self.trace.enter = functools.partial(convert, make_hooks=Hooks)
        self.trace.journal.spoil = functools.partial(spoil, self.trace)
        if isinstance(self.builder, TraceBuilder):
            self.trace.failures = Failures(self.trace)
            self.builder.history.intercept = self.trace.failures.intercept
        self.sources: dict[Value, Any] = {}
        self.dims: list[Value] = []
        self.params: list[Value] = []
        self.arrays: dict[int, Any] = {}
        self.param_leaves: list[int] = []
        self.static_leaves: dict[int, Any] = {}
        self.static_sizes: dict[tuple[int, int], int] = {}
        self.names = _leaf_names(fn, tree)

    write_back = False
    given: Arguments | None = None

    def traced(self) -> Traced:
        """Run the function and put together what it gave."""
        counter.count += 1
        with deep_stack(), nullcontext() if self.eager else rare_collections(), activate(self.trace):
            boxes = [self.box_leaf(k, leaf) for k, leaf in enumerate(self.leaves)]
            args, kwargs = self.tree.unflatten(boxes)
            self.given = Arguments((args, kwargs), boxes) if self.write_back else None
            self.note_owner()
            self.trace.extra["warning_filters"] = list(warnings.filters)
            if self.given is not None and not self.eager:
                self.trace.captures.outside.note_arguments((args, kwargs), self.arrays)
            try:
                return self.finish(self.run(args, kwargs))
            finally:
                self.leave()

    def leave(self) -> None:
        """Make places outside real again: as they were, or in eager mode with real values."""
        if self.eager:
            unbox_stores(self.trace, self.leaves)
        else:
            self.trace.captures.outside.restore()

    def run(self, args: Any, kwargs: Any) -> Any:
        """The function's result on boxes."""
        try:
            return call(self.fn, args, kwargs)
        except ArmEnded as end:
            raise StagingError("this function always raises", self.trace.span) from end
        except NameError as error:
            found = re.match(r"cannot access (?:free|local) variable ('(\w+)')", str(error))
            if found is None:
                raise
            if found[2] in self.trace.extra.get("maybe_unset", ()):
                what = f"{found[1]} may be undefined here, and a nested function reads it"
                raise StagingError(what, self.trace.span) from error
            message = f"cannot access local variable {found[1]} where it is not associated with a value"
            raise UnboundLocalError(message) from error

    def note_owner(self) -> None:
        """The object that a method belongs to is captured, and so is a callable object."""
        fn: Any = self.fn
        owner = fn.__self__ if isinstance(fn, types.MethodType) else fn
        if not isinstance(owner, (*_OBJECT_FREE, types.BuiltinFunctionType, np.ufunc)):
            self.trace.captures.remember(owner)

    # --- inputs -------------------------------------------------------------------------------------------------

    def box_leaf(self, k: int, leaf: Any) -> Any:
        """What traced code gets for an argument leaf."""
        if is_box(leaf):
            raise UnsupportedError("a traced value of another trace is passed to a transformed function")
        if isinstance(leaf, np.ndarray):
            refuse_subclass(leaf, self.names[k], is_argument=True)
            made = Array(self.array_param(k, leaf))
            if self.eager:
                made.layout = BY_ROWS if leaf.flags.c_contiguous else leaf
            if ("read-only", k) in self.static:
                made.frozen = READ_ONLY
            self.arrays[k] = made
            return made
        if isinstance(leaf, float) or (isinstance(leaf, np.generic) and leaf.dtype.kind in "fiu"):
            return box(self.param(k, leaf, _dtype(leaf, self.names[k], _span_of(self.fn))), isinstance(leaf, np.generic))
        if type(leaf) is int and k not in self.static and not self.eager and -(2**63) <= leaf < 2**63:
            return Scalar(self.param(k, leaf, I64))
        self.static_leaves[k] = leaf
        if not isinstance(leaf, _OBJECT_FREE):
            self.trace.captures.remember(leaf)
        return leaf

    def param(self, k: int, leaf: Any, dtype: DType) -> Value:
        """A scalar parameter."""
        if self.eager:
            value: Value = self.builder.lift_known(_number(leaf, dtype), self.names[k])
            self.builder.note_input(k, value)
        else:
            value = Value(TensorType(dtype), self.names[k])
            if dtype == I64:
                self.sources[value] = k
        self.params.append(value)
        self.param_leaves.append(k)
        return value

    def array_param(self, k: int, leaf: np.ndarray[Any, Any]) -> Value:
        """An array parameter with a symbol per size."""
        dtype = _dtype(leaf, self.names[k], _span_of(self.fn))
        if self.eager:
            value: Value = self.builder.lift_known(np.asarray(leaf, dtype.numpy), self.names[k])
            self.builder.note_input(k, value)
        else:
            dims = tuple(self.size(k, axis, size) for axis, size in enumerate(leaf.shape))
            value = Value(TensorType(dtype, dims), self.names[k])
        self.params.append(value)
        self.param_leaves.append(k)
        return value

    def size(self, k: int, axis: int, size: int) -> Affine:
        """The dimension of one axis of an argument."""
        if size != 1 and (k in self.static or (k, axis) in self.static):
            self.static_sizes[k, axis] = size
            return size
        return self.symbol(self.names[k], axis, size, (k, axis))

    def symbol(self, name: str, axis: int, size: int, source: tuple[Any, ...]) -> Affine:
        """The size of one axis of an input: a symbol, unless it is 1 or has to be known."""
        if size == 1 or source in self.static:
            return size
        symbol = Value(I64_SCALAR, f"n_{name}" if axis == 0 else f"n{axis}_{name}")
        self.dims.append(symbol)
        self.sources[symbol] = source
        self.trace.extra.setdefault("known_sizes", {})[symbol] = size
        return symbol.affine

    def captured_input(self, path: Path, value: Any) -> Value:
        """A parameter for a captured number or array."""
        name = str(path)
        dtype = _dtype(value, name, self.trace.span)
        hint = re.sub(r"\W+", "_", name).strip("_")
        shape = np.shape(value)
        if path.kind == "constant" or (len(shape) > 1 and max(shape) <= SMALL_MATRIX) or "captured" in self.static or not shape:
            made = Value(TensorType(dtype, shape), hint)
            if made.type == I64_SCALAR:
                self.sources[made] = ("pinned", path.key)
            return made
        sizes = [self.symbol(hint, axis, size, ("captured", path.key, axis)) for axis, size in enumerate(shape)]
        return Value(TensorType(dtype, tuple(sizes)), hint)

    # --- outputs ------------------------------------------------------------------------------------------------

    def finish(self, out: Any) -> Traced:
        """The trace as a function."""
        captures: Captures = self.trace.captures
        leaves, tree = flatten(as_results(captures.whole(whole(narrowed(out), OPERATORS["list item"]))))
        self.refuse_choices(tree, "the result")
        leaves = [captures.whole(leaf) for leaf in leaves]
        results: list[Value] = []
        out_leaves, numpy = self.outputs(leaves, results)
        start = dict(zip(self.param_leaves, self.params, strict=True))
        written = [k for k, array in self.arrays.items() if isinstance(array, Array) and array.value is not start[k]]
        updates = self.updates(written, results)
        writes, kept = self.writes(results)
        wanted = {c.param for c in captures.inputs} if not self.eager else set()
        used = _used_among(wanted, self.builder.instrs, results) | kept
        inputs = [c for c in captures.inputs if c.param in used or any(isinstance(d, Dim) for d in c.param.dims)]
        function = Function(
            getattr(self.fn, "__name__", type(self.fn).__name__),
            tuple(self.dims),
            (*self.params, *(c.param for c in inputs)),
            tuple(self.builder.instrs),
            tuple(results),
            _span_of(self.fn),
            dict(self.builder.functions),
        )
        by_rows = arguments_by_rows(function) if not self.eager else ()
        sizes = _places_of_sizes(function)
        function = refresh(with_known_sizes(function, self.trace.assumptions, self.trace.equal_sizes))
        return Traced(
            function,
            self.tree,
            self.param_leaves,
            self.static_leaves,
            self.static_sizes,
            inputs,
            captures.guards,
            list(self.trace.assumptions),
            tree,
            out_leaves,
            numpy,
            written,
            writes,
            [k for k, c in enumerate(inputs, len(self.params)) if c.param in kept],
            [k for k, value in enumerate((*self.params, *(c.param for c in inputs))) if value in by_rows],
            compile_guards(captures.guards),
            compile_reader([i.path for i in inputs]),
            updates,
            sizes,
        )

    def outputs(self, leaves: Sequence[Any], results: list[Value]) -> tuple[list[int | StaticLeaf], list[bool]]:
        """Where output leaves are among the results, to which they are added, and which of them are NumPy numbers."""
        places: list[int | StaticLeaf] = []
        for leaf in leaves:
            if isinstance(leaf, TracedText):
                raise StagingError("text with traced values in it cannot be returned", self.trace.span)
            if not is_box(leaf):
                places.append(StaticLeaf(leaf))
                continue
            value = lift(leaf)
            if isinstance(self.builder, TraceBuilder):
                self.builder.check_scope(value)
            places.append(len(results))
            results.append(value)
        return places, [isinstance(leaf, Array | np.generic) or getattr(leaf, "numpy", False) is True for leaf in leaves]

    def refuse_choices(self, tree: TreeDef, what: str) -> None:
        """Refuse results of different kinds, such as a number or None."""
        if tree.cls is Choice:
            raise StagingError(f"{what} may be of different kinds, such as a number or None", self.trace.span)
        for child in tree.children:
            self.refuse_choices(child, what)

    def updates(self, written: Sequence[int], results: list[Value]) -> Updates | None:
        """What the function did to its arguments, if that is wanted; the new values are added to the results."""
        if self.given is None or (changes := self.given.changes(written)) is None:
            return None
        leaves, tree = flatten(changes)
        self.refuse_choices(tree, "what an argument holds afterwards")
        places, numpy = self.outputs(leaves, results)
        return Updates(tree, places, numpy, tuple(changes[1]))

    def writes(self, results: list[Value]) -> tuple[WriteBack, set[Value]]:
        """What the function leaves behind outside, with the inputs that are arrays it writes to; new values join the results."""
        captures: Captures = self.trace.captures
        if not isinstance(self.builder, TraceBuilder):
            return WriteBack([], [], None), set()
        count = len(results)
        writes = captures.outside.finish(results, captures.known, captures.guards, self.pinned, _span_of(self.fn))
        for value in results[count:]:
            self.builder.check_scope(value)
        return writes, {value for _, value in captures.outside.written_arrays()}

    # --- starting again -----------------------------------------------------------------------------------------

    def settled_late(self) -> set[Any]:
        """The sizes that the trace has come to rely on."""
        return {self.sources[symbol] for symbol in known_sizes(self.trace.assumptions) if symbol in self.sources}

    def what_to_fix(self, need: NeedsPythonValue) -> tuple[set[Any], set[Any]]:
        """Which inputs to make static, and which loops to unroll, so that the value asked for is known; nothing if in vain."""
        if not isinstance(self.builder, TraceBuilder):
            return set(), set()
        roots, loops = self.builder.history.roots(need.value)
        if not all(root in self.sources for root in roots):
            return set(), set()
        return {self.sources[root] for root in roots}, loops


def _places_of_sizes(fn: Function) -> dict[Any, tuple[int, int]]:
    """The parameter and the axis that each size is the length of."""
    found: dict[Any, tuple[int, int]] = {}
    for k, param in enumerate(fn.params):
        for axis, declared in enumerate(param.dims):
            if isinstance(declared, Dim) and declared.const == 0 and len(declared.terms) == 1:
                found.setdefault(declared.terms[0][0], (k, axis))
    return found


def _dtype(value: Any, name: str, span: Span | None) -> DType:
    found = np.asarray(value).dtype
    if found.kind == "i":
        return I64
    for dtype in (F64, F32, BOOL):
        if found == dtype.numpy:
            return dtype
    kind = "array" if np.ndim(value) else "number"
    raise UnsupportedError(
        f"{name!r} is an {kind} of dtype {found}" if kind == "array" else f"{name!r} is a {kind} of dtype {found}",
        span,
        expected="float64, float32, int64 or bool",
        fix="convert it with `.astype(np.float64)`",
    )


def _number(leaf: Any, dtype: DType) -> Any:
    """The number as Python's, or as an `np.float32`."""
    if dtype == F32:
        return np.float32(leaf)
    return leaf.item() if isinstance(leaf, np.generic) else leaf


def _leaf_names(fn: Any, tree: TreeDef) -> list[str]:
    """A name for every argument leaf: the parameter's, with the way to the leaf."""
    function = fn.__func__ if isinstance(fn, types.MethodType) else fn
    code = getattr(function, "__code__", None)
    names = code.co_varnames[: code.co_argcount] if code is not None else ()
    names = names[1:] if isinstance(fn, types.MethodType) else names
    found = []
    for path in tree.paths():
        kind, *words = re.findall(r"\w+", path)
        if kind == "0" and words and int(words[0]) < len(names):
            words[0] = names[int(words[0])]
        elif kind == "0":
            words[:1] = [f"x{words[0]}"] if words else ["x"]
        found.append("_".join(words) or "x")
    return found


def _span_of(fn: Any) -> Span | None:
    function = fn.__func__ if isinstance(fn, types.MethodType) else fn
    code = getattr(function, "__code__", None)
    return None if code is None else Span(code.co_filename, code.co_firstlineno, function=code.co_name)


def _used_among(wanted: set[Value], instrs: Sequence[Instr], results: Sequence[Value]) -> set[Value]:
    """Those of `wanted` that instructions use, or that are results; the search ends with the last one found."""
    left = wanted.difference(results)
    pending = [instrs]
    while pending and left:
        for instr in pending.pop():
            left.difference_update(instr.operands)
            for region in instr.regions:
                left.difference_update(region.results)
                pending.append(region.instrs)
            if not left:
                break
    return wanted - left
