"""Functions that call themselves under a traced condition: they become functions of the IR, and their calls instructions.

The outermost call traces the body until its form is settled, much like a loop. Arguments that differ from call to call
become parameters; what the body writes outside of itself is passed in and handed back. As long as the result of a call is not
known, the arm that calls is taken as one that does not return, so that the first result comes from the arms that do not call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from wengert.errors import Span, StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import box
from wengert.frontend.complexes import Complex
from wengert.frontend.context import NeedsPythonValue, Trace
from wengert.frontend.forms import UNSET, CannotMergeError, Form
from wengert.frontend.recursion_close import Draft, close, complete, draft_call
from wengert.frontend.recursion_forms import Argument, Arguments, Moving, Part, Result, Same, Shared, moving_of, origin_of
from wengert.frontend.recursion_watch import is_same_function
from wengert.frontend.scalars import Scalar
from wengert.frontend.staging_builder import TraceBuilder
from wengert.frontend.staging_forms import form_of, join, lower, mutable_parts, raise_up, take_apart
from wengert.frontend.staging_state import (
    Applied,
    Location,
    NoValueYet,
    Outcome,
    Variables,
    bear,
    freeze,
    is_poisoned,
    link,
    made_in,
    run_region,
)
from wengert.ir.calls import unused_name
from wengert.ir.core import Value
from wengert.types import I64_SCALAR, Affine, Dim, TensorType, dim_substitute

MAX_ATTEMPTS = 24
MAX_FORMS = 8


class _Again(BaseException):
    """The form of a function has become wider: its body is traced again."""

    def __init__(self, target: Recursive) -> None:
        super().__init__()
        self.target = target


@dataclass
class State:
    """A place outside of the function that it writes.

    Attributes:
        location: the place.
        form: what is there at each call and after it.
        entered: what was put there at the start of the body.
    """

    location: Location
    form: Form
    entered: Any = None


def staged_call(trace: Trace, converted: Any, fn: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """A call of a recursive function as an instruction."""
    forms = [each for each in trace.stack if each.fn.__code__ is fn.__code__ and is_same_function(each.fn, fn)]
    for known in reversed(forms):
        try:
            return known.inner_call(args, kwargs)
        except CannotMergeError as error:
            reason = error
    if len(forms) >= MAX_FORMS:
        what = f"{fn.__qualname__} calls itself with arguments of more than {MAX_FORMS} forms"
        raise StagingError(what, trace.span, found=str(reason))
    return Recursive(trace, converted, fn, args, kwargs).outer_call()


class Recursive:
    """One form of a recursive function while it is being traced.

    Attributes:
        arguments: what its arguments are.
        result: what it returns, as far as that is known.
        states: what it writes outside of itself.
        written: positions of the array parameters that it writes to.
        draft: the function being made.
        reached: functions being traced that it calls.
        nested: functions that were traced inside of it and are closed with it.
        origins: for arrays that it returns or leaves outside: what they may share memory with.
        guessed: whether the result was found without running a loop that calls the function.
        sites: at each call, what the arrays hold that it writes to.
    """

    def __init__(self, trace: Trace, converted: Any, fn: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        self.trace = trace
        self.converted = converted
        self.fn = fn
        self.given = (args, kwargs)
        self.span = trace.span
        self.what = f"a call of the recursive function {fn.__qualname__}"
        self.arguments = Arguments(trace, args, kwargs, _labels(fn, len(args), kwargs))
        self.result: Result | None = None
        self.states: dict[Any, State] = {}
        self.written: set[int] = set()
        self.reached: set[Recursive] = set()
        self.nested: list[Recursive] = []
        self.sites: list[list[Value]] = []
        self.guessed = False
        self.origins: dict[Any, frozenset[Any]] = {}
        assert isinstance(trace.builder, TraceBuilder)
        self.builder = trace.builder
        names = {**trace.builder.functions, **{each.draft.name: None for each in trace.stack}}
        code = fn.__code__
        span = Span(code.co_filename, code.co_firstlineno, function=code.co_name)
        self.draft = Draft(unused_name(fn.__name__.strip("<>").replace(".", "_"), names), span=span)

    # --- the outermost call -------------------------------------------------------------------------------------

    def outer_call(self) -> Any:
        """Trace the function, and call it."""
        trace = self.trace
        for _ in range(MAX_ATTEMPTS):
            try:
                outcome = self.attempt()
            except _Again as again:
                self.builder.given_up = True
                if again.target is not self:
                    raise
                continue
            trace.span = self.span
            if self.absorb(outcome):
                break
            self.builder.given_up = True
        else:
            self.refuse("its arguments and results take ever new forms")
        self.reached.discard(self)
        ready = not self.reached
        if ready:
            close(self.draft, trace.builder.functions)
        else:
            trace.stack[-1].reached |= self.reached
            trace.stack[-1].nested += [self, *self.nested]
        found = self.emit_call(*self.given, is_closed=ready)
        if ready:
            for each in (self, *self.nested):
                each.check_reads()
        return found

    def attempt(self) -> Outcome:
        """Trace the body once."""
        trace = self.trace
        self.reached, self.sites, self.nested = set(), [], []
        assert isinstance(trace.builder, TraceBuilder)
        first = self.lowered(*self.given)
        builder = self.builder = trace.builder.child()
        builder.kind = "loop"
        entered: list[Any] = []

        def entry() -> None:
            entered[:] = self.arguments.enter(builder, first)
            self.enter_states(builder)

        active = trace.active
        trace.active = [*active, (self.fn.__code__, trace.depth + 1, self.fn, (*self.given[0], *self.given[1].values()))]
        trace.stack.append(self)
        try:
            body = partial(self.run_body, entered)
            return run_region(trace, builder, Variables(None), body, self.what, entry)
        except CannotMergeError as error:
            self.refuse(str(error))
        finally:
            trace.stack.pop()
            trace.active = active

    def run_body(self, entered: Sequence[Any]) -> Any:
        """The body on the arguments that stand for those of all calls."""
        return self.converted(*entered[0], **entered[1])

    def lowered(self, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Value]:
        """The values of the moving arguments."""
        pairs = zip(self.arguments.moving, self.arguments.leaves(args, kwargs), strict=True)
        return [moving.lower(leaf) for moving, leaf in pairs]

    def enter_states(self, builder: TraceBuilder) -> None:
        """Set what the function writes outside to parameters."""
        self.params: list[Value] = [moving.value for moving in self.arguments.moving]
        for state in self.states.values():
            leaves = [leaf for leaf in state.form.leaves if leaf.kind not in ("static", "unset")]
            if any(leaf.kind == "length" for leaf in leaves):
                self.refuse("a list around it gets a length that depends on traced values")
            values = [builder.param(leaf.type, _label(state.location), ()) for leaf in leaves]
            self.params += values
            state.entered = self.put(state, values, frozen=True)

    def put(self, state: State, values: Sequence[Value], frozen: bool = False) -> Any:
        """Write a place outside."""
        new = raise_up(state.form, iter([(v, v) for v in values]), {})
        location = state.location
        if not isinstance(new, Value):
            for array in _arrays(new).values():
                array.frozen = f"{location.label}, which a recursive function has set" if frozen else ""
            bear(self.trace, new)
            freeze(self.trace, new, f"{location.label}, which a recursive function has set,")
        self.trace.journal.write(location.key, location.owner, location.get, location.set, new)
        return new

    def refuse(self, why: str) -> NoReturn:
        """There is no way to stage the function."""
        raise StagingError(f"the recursion of {self.fn.__qualname__} cannot be staged", self.span, found=why)

    # --- what a run of the body shows ---------------------------------------------------------------------------

    def absorb(self, outcome: Outcome) -> bool:
        """Take in what the body did; False if it must be traced again."""
        if outcome.ended is not None:
            if not isinstance(outcome.ended, NoValueYet):
                self.refuse("it always raises")
            if any(each.result is None for each in self.trace.stack):
                raise NoValueYet
            self.refuse("every way through it calls it again")
        with self.trace.building(outcome.builder), self.left(outcome):
            try:
                settled = self.note_states(outcome) & self.note_written()
                settled &= self.note_result(outcome) & self.note_origins(outcome)
                if settled:
                    self.finish(outcome)
            except CannotMergeError as error:
                self.refuse(f"{error} in different calls")
        return settled

    @contextmanager
    def left(self, outcome: Outcome) -> Iterator[None]:
        """Show the places outside as the body left them."""
        untouched = [s for key, s in self.states.items() if key not in outcome.stores]
        before = [(state.location, state.location.get()) for state in untouched]
        for state in untouched:
            state.location.set(state.entered)
        try:
            with Applied(outcome):
                yield
        finally:
            for location, old in reversed(before):
                location.set(old)

    def note_states(self, outcome: Outcome) -> bool:
        """Note what was written outside."""
        settled = True
        for key, (location, new) in outcome.stores.items():
            if is_poisoned(self.trace, new) or new is UNSET or location.old is UNSET:
                self.refuse(f"{location.label} is not known after a call")
            known = self.states.get(key)
            before = form_of(location.old) if known is None else known.form
            form = join(before, form_of(new))
            if known is None:
                self.states[key] = State(location, form)
                settled = False
            elif form != known.form:
                known.form, settled = form, False
        return settled

    def note_written(self) -> bool:
        """Note which parameters were written to."""
        moving = self.arguments.moving
        written = {k for k, array in self.arguments.boxes.items() if array.value is not moving[k].value}
        if any(is_poisoned(self.trace, self.arguments.boxes[k].value) for k in written):
            self.refuse("the contents of an argument are not known after a call")
        settled = written <= self.written
        self.written |= written
        return settled

    def note_result(self, outcome: Outcome) -> bool:
        """Note what was returned."""
        moving = self.arguments.moving
        found = self.result_of(outcome.result)
        if self.result is None:
            self.result, self.guessed = found, self.trace.extra.pop("skipped_loop", False)
            return False
        try:
            joined = self.result.join(found, moving)
        except CannotMergeError:
            if not self.guessed:
                raise
            joined, self.guessed, self.origins = found, False, {}
        settled = joined is self.result
        for k, part in enumerate(joined.parts):
            if isinstance(part, Moving) and not settled:
                for old in (*self.result.parts[k : k + 1], *found.parts[k : k + 1]):
                    self.origins["result", k] = self.origins.get(("result", k), frozenset()) | origin_of(old)
        self.result = joined
        if any(isinstance(part, Moving) and None in part.dims for part in joined.parts):
            self.refuse("it returns arrays of different sizes")
        return settled

    def result_of(self, obj: Any) -> Result:
        """The form of a result."""
        parts = [part for part in mutable_parts(obj) if not isinstance(part, Complex)]
        outer = [part for part in parts if not made_in(self.trace, part, self.builder)]
        if any(part is made for part in parts for made in self.arguments.rebuilt):
            self.refuse("it returns a container that was passed to it")
        if outer and outer[0] is obj:
            return Result(None, (Same(obj),))
        if outer:
            self.refuse("it returns a container that holds others from outside")
        leaves, structure = take_apart(obj)
        return Result(structure, tuple(map(self.part_of, leaves)))

    def part_of(self, obj: Any) -> Part:
        """The form of a leaf of the result."""
        if isinstance(obj, Scalar):
            return moving_of(obj)
        if not isinstance(obj, Array):
            return Same(obj)
        for k, array in self.arguments.boxes.items():
            if obj is array:
                return Argument(k)
        if obj.parent is None and not made_in(self.trace, obj, self.builder):
            return Same(obj)
        for d in obj.dims:
            self.require_known(d)
        return Moving(True, obj.element, obj.dims)

    def require_known(self, d: Affine) -> None:
        """Ask for the value of a size that callers do not know."""
        own = {s for moving in self.arguments.moving for s in moving.own_sizes} | set(self.params)
        for symbol, _ in d.terms if isinstance(d, Dim) else ():
            if symbol not in own and self.is_local(symbol):
                assert isinstance(symbol, Value)
                reason = f"the size of an array that the recursive function {self.fn.__qualname__} computes and returns"
                raise NeedsPythonValue(symbol, reason, self.span)

    def is_local(self, value: Any) -> bool:
        """Whether a value is computed inside of the function."""
        return self.builder.holds(self.builder.history.owner.get(value))

    def note_origins(self, outcome: Outcome) -> bool:
        """Note what arrays that leave the function may share memory with."""
        result = self.result
        assert result is not None
        leaves = [] if result.structure is None else take_apart(outcome.result)[0]
        exits: dict[Any, Array] = {}
        entries: dict[Any, Array] = {}
        for k, (part, leaf) in enumerate(zip(result.parts, leaves)):
            if isinstance(part, Moving) and isinstance(leaf, Array):
                exits["result", k] = leaf.root
        for key, state in self.states.items():
            exits.update({("exit", key, k): array.root for k, array in _arrays(state.location.get()).items()})
            entries.update({("entry", key, k): array for k, array in _arrays(state.entered).items()})
        settled = True
        for exit_, root in exits.items():
            before = self.origins.get(exit_, frozenset())
            self.origins[exit_] = before | self.relatives(exit_, root, exits, entries)
            settled &= before == self.origins[exit_]
        return settled

    def relatives(self, exit_: Any, root: Array, exits: dict[Any, Array], entries: dict[Any, Array]) -> frozenset[Any]:
        """What one array that leaves the function may share memory with."""
        found: set[Any] = set()
        for array in [root, *_linked(self.trace, root)]:
            places: list[Any] = [k for k, each in self.arguments.boxes.items() if each is array]
            places += [entry for entry, each in entries.items() if each is array]
            if not places and not made_in(self.trace, array, self.builder):
                places = [Shared(array)]
            found.update(places)
            found.update(other for other, each in exits.items() if each is array and other != exit_)
        return frozenset(found)

    def finish(self, outcome: Outcome) -> None:
        """The draft, from the last run."""
        result, draft = self.result, self.draft
        assert result is not None
        leaves = [outcome.result] if result.structure is None else take_apart(outcome.result)[0]
        values: list[Value] = []
        for part, leaf in zip(result.parts, leaves, strict=True):
            if isinstance(part, Moving):
                values.append(part.lower(leaf))
        for state in self.states.values():
            values += lower(state.form, state.location.get(), filler=True)
        values += [self.arguments.boxes[k].value for k in sorted(self.written)]
        draft.params = tuple(self.params)
        draft.dims = tuple(s for moving in self.arguments.moving for s in moving.own_sizes)
        draft.instrs, draft.results = tuple(outcome.builder.instrs), tuple(values)

    # --- calls --------------------------------------------------------------------------------------------------

    def inner_call(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """A call from inside of the function.

        Raises:
            CannotMergeError: the arguments have no form in common with those of the other calls.
        """
        self.trace.stack[-1].reached.add(self)
        if not self.arguments.fit(args, kwargs):
            self.result, self.written, self.origins = None, set(), {}
            raise _Again(self)
        if not self.fit_states():
            raise _Again(self)
        if self.result is None:
            raise NoValueYet
        return self.emit_call(args, kwargs, is_closed=False)

    def fit_states(self) -> bool:
        """Whether what is outside now has the forms that are passed; widens them where not."""
        settled = True
        for state in self.states.values():
            now = state.location.get()
            if is_poisoned(self.trace, now) or now is UNSET:
                self.refuse(f"{state.location.label} is not known at a call")
            try:
                form = join(state.form, form_of(now))
            except CannotMergeError as error:
                self.refuse(f"{state.location.label} is {error} at different calls")
            if form != state.form:
                state.form, settled = form, False
        return settled

    def emit_call(self, args: Sequence[Any], kwargs: dict[str, Any], is_closed: bool) -> Any:
        """The instruction, and what it does to the state at hand; gives the result."""
        trace, builder = self.trace, self.trace.builder
        leaves = self.arguments.leaves(args, kwargs)
        arrays = {k: x for k, (m, x) in enumerate(zip(self.arguments.moving, leaves, strict=True)) if m.is_array}
        contents = {key: state.location.get() for key, state in self.states.items()}
        self.check_aliases(arrays, contents)
        operands = self.lowered(args, kwargs)
        for key, state in self.states.items():
            operands += lower(state.form, contents[key])
        results = self.result_values(operands)
        instr = draft_call(self.draft, operands, [v for group in results for v in group], trace.span)
        builder.append(complete(self.draft, instr, lambda v: v) if is_closed else instr)
        made: dict[Any, Array] = {}
        for (key, state), values in zip(self.states.items(), results[1:-1], strict=True):
            made.update({("exit", key, k): array for k, array in _arrays(self.put(state, values)).items()})
        written = iter(results[-1])
        for k in sorted(self.written):
            arrays[k].write(next(written))
        found = self.returned(results[0], leaves, made)
        for exit_, new in made.items():
            for origin in self.origins.get(exit_, ()):
                other = self.array_at(origin, leaves, contents, made)
                if other is not None:
                    link(trace, new, other.root)
        return found

    def array_at(self, origin: Any, leaves: Sequence[Any], contents: dict[Any, Any], made: dict[Any, Array]) -> Array | None:
        """What an origin is at a call."""
        if isinstance(origin, Shared):
            return origin.array
        if isinstance(origin, int):
            return leaves[origin] if isinstance(leaves[origin], Array) else None
        return _arrays(contents[origin[1]]).get(origin[2]) if origin[0] == "entry" else made.get(origin)

    def result_values(self, operands: Sequence[Value]) -> list[list[Value]]:
        """New values for the results of a call: of the result, of each state, of the arrays that are written."""
        result = self.result
        assert result is not None
        known: dict[Any, Affine] = {}
        for param, operand in zip(self.params, operands, strict=True):
            if param.type == I64_SCALAR:
                known[param] = operand.affine
            for size, actual in zip(param.dims, operand.dims, strict=True):
                if isinstance(size, Dim):
                    known.setdefault(size.terms[0][0], actual)

        def sized(dims: Sequence[Affine]) -> tuple[Affine, ...]:
            return tuple([dim_substitute(d, known) for d in dims])

        groups = [[Value(TensorType(p.dtype, sized(p.sizes))) for p in result.parts if isinstance(p, Moving)]]
        for state in self.states.values():
            types_ = [leaf.type for leaf in state.form.leaves if leaf.kind not in ("static", "unset")]
            groups.append([Value(t, _label(state.location)) for t in types_ if t is not None])
        moving = [self.arguments.moving[k] for k in sorted(self.written)]
        groups.append([Value(TensorType(m.dtype, sized(m.sizes)), m.value.name) for m in moving])
        return groups

    def returned(self, values: Sequence[Value], leaves: Sequence[Any], arrays: dict[Any, Array]) -> Any:
        """The result of a call, as Python sees it; arrays that are new are noted in `arrays`."""
        result, supply = self.result, iter(values)
        assert result is not None
        made: list[Any] = []
        for k, part in enumerate(result.parts):
            if isinstance(part, Same):
                made.append(part.obj)
            elif isinstance(part, Argument):
                made.append(leaves[part.index])
            else:
                value = next(supply)
                made.append(Array(value) if part.is_array else box(value, part.numpy))
                if part.is_array:
                    arrays["result", k] = made[-1]
        if result.structure is None:
            return made[0]
        found = made[0] if result.structure.kind == "leaf" else result.structure.unflatten(made)
        for part in mutable_parts(found):
            bear(self.trace, part)
        return found

    # --- arrays under several names -----------------------------------------------------------------------------

    def check_aliases(self, arrays: dict[int, Any], contents: dict[Any, Any]) -> None:
        """Refuse a call in which an array that is written is known to the function under another name."""
        trace = self.trace
        owners = [s.location.owner for s in self.states.values() if isinstance(s.location.owner, Array)]
        names: list[tuple[bool, Array]] = [(True, owner) for owner in owners]
        names += [(k in self.written, x.root) for k, x in arrays.items() if isinstance(x, Array)]
        names += [(False, array.root) for content in contents.values() for array in _arrays(content).values()]
        for position, (is_written, array) in enumerate(names):
            if is_written:
                both = [array, *_linked(trace, array)]
                if any(k != position and any(other is each for each in both) for k, (_, other) in enumerate(names)):
                    self.refuse("an array that it writes to is passed to it under two names")
        for k in self.written:
            if not isinstance(arrays[k], Array):
                self.refuse("it writes to an array that cannot be written to")
            root = arrays[k].root
            self.sites.append([each._base_value() for each in [root, *_linked(trace, root)]])

    def check_reads(self) -> None:
        """Refuse functions that write to an argument and read the same array as a variable from outside."""
        for values in self.sites:
            if any(value in self.draft.needs for value in values):
                self.refuse("it writes to an array that it also reads as a variable from outside")


def _linked(trace: Trace, array: Array) -> list[Array]:
    """Arrays that may share memory with `array`."""
    found: list[Array] = [array]
    for each in found:
        others = trace.journal.links.get((id(each), "value"), ())
        found += [o for o in others if not any(o is known for known in found) and not _is_stale(trace, o)]
    return found[1:]


def _is_stale(trace: Trace, array: Array) -> bool:
    """Whether an array was made by a run of a body that has been given up."""
    at: Any = array.home
    while isinstance(at, TraceBuilder):
        if at.home is None and at.given_up:
            return True
        at = at.home or at.parent
    return False


def _arrays(content: Any) -> dict[int, Array]:
    """The arrays in the contents of a place, by position of the leaf."""
    if isinstance(content, Value) or content is UNSET:
        return {}
    return {k: x for k, x in enumerate(take_apart(content)[0]) if isinstance(x, Array)}


def _labels(fn: Any, count: int, kwargs: dict[str, Any]) -> list[str]:
    names = fn.__code__.co_varnames[: fn.__code__.co_argcount]
    return [*(names[k] if k < len(names) else "x" for k in range(count)), *kwargs]


def _label(location: Location) -> str:
    kind = location.key[1] if isinstance(location.key, tuple) and len(location.key) > 2 else ""
    return location.key[2] if kind == "attribute" or location.key[0] == "cell" else ""
