"""Generators in staged code: the body of the loop that consumes one is handed to it, and runs at each `yield`.

A generator is a function that is suspended, which no compiled loop can be. Its consumer is a function that can be called:
`yield v` becomes a call with `v`, which says whether the consumer has had enough. Thereby loops and branches of the generator
stay loops and branches around the consumer. Where Python itself wants the items one by one (`next`, `list`, `zip`), it gets
the generator as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from wengert.errors import StagingError
from wengert.frontend import staging, staging_loops, staging_whiles
from wengert.frontend.boxes import box
from wengert.frontend.calls import call
from wengert.frontend.context import NeedsPythonValue, Trace, current
from wengert.frontend.convert_info import BranchInfo
from wengert.frontend.forms import UNSET, CannotMergeError
from wengert.frontend.generator_objects import Consume, Replay, Slot, StagedGenerator
from wengert.frontend.iterators import SequenceIterator, note_spent, tried, was_tried
from wengert.frontend.scalars import Scalar
from wengert.frontend.staging_builder import TraceBuilder
from wengert.frontend.staging_exceptions import Handler, attempt, end_with, keep_outcome
from wengert.frontend.staging_iter import staged, staged_range
from wengert.frontend.staging_state import Variables, run_region, write_cell
from wengert.frontend.stores import touch_cell


def pushes(iterable: Any) -> bool:
    """Whether `iterable` is a generator that takes a consumer."""
    return isinstance(iterable, StagedGenerator) and iterable.can_push


def loop(info: BranchInfo, iterable: Any, body: Callable[[Any], None], carrier: Any) -> None:
    """`for item in iterable: body(item)`."""
    if not current().eager and pushes(iterable) and run_pushed(info, iterable, body, carrier):
        return
    if has_own_next(iterable):
        loop_iterator(info, iterable, body, carrier)
        return
    if type(iterable) is SequenceIterator and not current().eager:
        loop_sequence(info, iterable, body, carrier)
        return
    staging_loops.loop(info, iterable, body, carrier)


def run_pushed(info: BranchInfo, generator: StagedGenerator, body: Callable[[Any], None], carrier: Any) -> bool:
    """`for item in generator: body(item)`; False, with nothing changed, where that cannot be staged."""
    trace, variables = current(), Variables(carrier)
    kept = info.live | info.head | frozenset(info.stop)
    pairs = list(zip(variables.names, variables.cells, strict=True))
    optional: set[int] = trace.extra.setdefault("optional_cells", set())
    optional.update(id(cell) for name, cell in pairs if name not in info.shared)
    trace.extra.setdefault("dropped_cells", set()).update(id(cell) for name, cell in pairs if name not in kept)

    def consume(item: Any) -> Any:
        for name, cell in pairs:
            touch_cell(trace, name, cell)
        body(item)
        for name, cell in pairs:
            if name not in kept:
                write_cell(cell, UNSET)
        enough = staging_loops.has_stopped(info, variables)
        return enough if isinstance(enough, bool) else box(enough)

    return _isolated(trace, variables, generator, consume, f"the loop at {info.span}")


def fold(generator: StagedGenerator, consume: Consume) -> bool:
    """Hand all items to `consume`, which changes slots only; False, with nothing changed, where that cannot be staged."""
    return _isolated(current(), Variables(None), generator, consume, "a generator")


def _isolated(trace: Trace, variables: Variables, generator: StagedGenerator, consume: Consume, what: str) -> bool:
    """Run a generator in a region of its own, so that it can be undone."""
    builder = trace.builder.child()
    assert isinstance(builder, TraceBuilder)
    assert generator.push is not None
    push, span, taken = generator.push, trace.span, tried(trace)
    builder.kind = "trial"
    try:
        outcome = run_region(trace, builder, variables, lambda: push(consume), what)
    except (StagingError, CannotMergeError, NeedsPythonValue):
        trace.span = span
        was_tried(trace, taken)
        return False
    generator.running = iter(())
    note_spent(trace, generator)  # unless its consumer has had enough
    keep_outcome(trace, variables, outcome)
    if outcome.ended is not None:
        end_with(trace, outcome.ended)
    trace.failures.settle()
    return True


# --- iterators of the user's own -------------------------------------------------------------------------------------


def has_own_next(iterable: Any) -> bool:
    """Whether `__next__` is a Python function of the user's class."""
    method = getattr(type(iterable), "__next__", None)
    return hasattr(method, "__code__") and not type(iterable).__module__.startswith("wengert.")


def loop_iterator(info: BranchInfo, iterator: Any, body: Callable[[Any], None], carrier: Any) -> None:
    """`for item in iterator: body(item)`, where `__next__` says when it is over."""
    done, item = Slot(False), Slot(UNSET)
    method = type(iterator).__next__
    needed = info.live | info.head | frozenset(info.stop)
    inner = BranchInfo(info.span, needed, needed, (), info.made_up, info.shared, needed)

    def advance() -> None:
        item.put(call(method, (iterator,), {}))

    def step() -> None:
        handler = Handler((StopIteration,), lambda error: done.put(True), False)
        attempt(inner, advance, [handler], lambda: body(item.value), None, carrier)

    staging_whiles.repeat(info, lambda: _negated(done.value), step, carrier)


def loop_sequence(info: BranchInfo, iterator: SequenceIterator, body: Callable[[Any], None], carrier: Any) -> None:
    """`for item in iterator: body(item)`, from where the iterator has come to."""

    def step(position: Any) -> None:
        iterator.put(position + 1)
        body(iterator.at(position))

    staging_loops.loop(info, staged_range(iterator.position, iterator.length), step, carrier)


def _negated(flag: Any) -> Any:
    return flag ^ True if isinstance(flag, Scalar) else not flag


def pulled(iterator: Any) -> Iterator[Any]:
    """The items of an iterator of the user's own, one by one."""
    method = type(iterator).__next__
    while True:
        try:
            item = call(method, (iterator,), {})
        except StopIteration:
            return
        yield item


# --- generator expressions -------------------------------------------------------------------------------------------


Level: TypeAlias = tuple[Any, Any, bool, tuple[Any, ...]]


def expression(info: BranchInfo, first: Any, levels: tuple[Level, ...], element: Any, pull: Any) -> StagedGenerator:
    """`(element for ... in first if ... for ... in ...)`.

    Args:
        info: the place.
        first: the first iterable.
        levels: per `for`: the BranchInfo of its loop, the iterable as a function of the names so far (None for the first),
            whether its target is a tuple, and its conditions.
        element: the item, as a function of all names.
        pull: Python's own generator expression, as a function of the first iterable.
    """
    if hasattr(type(first), "__next__") and not (isinstance(first, StagedGenerator | SequenceIterator) or has_own_next(first)):
        first = Replay(first)

    def push(consume: Consume) -> None:
        over = Slot(False)

        def emit(row: tuple[Any, ...]) -> None:
            enough = consume(element(*row))
            if enough is not None and enough is not False:
                over.put(enough)

        def level(depth: int, row: tuple[Any, ...]) -> None:
            if depth == len(levels):
                emit(row)
                return
            loop_info, source, is_tuple, conditions = levels[depth]
            iterable = first if source is None else source(*row)

            def body(item: Any) -> None:
                names = (*row, *(tuple(staged(item) or item) if is_tuple else (item,)))
                tests = [lambda c=c: c(*names) for c in conditions]
                test = staging.conjunction(_negated(over.value), tests)
                staging.branch(info, test, lambda: level(depth + 1, names), None, None)

            loop(loop_info, iterable, body, None)

        level(0, ())

    return StagedGenerator(push, lambda: pull(first))
