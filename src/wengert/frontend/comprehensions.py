"""List comprehensions, and lists of generators: Python's own where it can make them, else lists that grow in a staged loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wengert.frontend.calls import call
from wengert.frontend.context import NeedsPythonValue, current
from wengert.frontend.convert_info import BranchInfo
from wengert.frontend.generator_objects import StagedGenerator
from wengert.frontend.generators import Level, expression, fold, pushes
from wengert.frontend.iterators import tried, was_tried
from wengert.frontend.staging_builder import TraceBuilder
from wengert.frontend.staging_iter import staged
from wengert.frontend.staging_state import ArmEnded, bear


def collected(generator: StagedGenerator) -> Any:
    """A list of what a generator gives, maybe of traced length; None, with nothing changed, where that cannot be staged."""
    items = bear(current(), [])

    def consume(item: Any) -> None:
        call(items.append, (item,), {})

    return items if fold(generator, consume) else None


def comprehension(info: BranchInfo, first: Any, levels: tuple[Level, ...], element: Any, pull: Callable[[Any], Any]) -> Any:
    """`[element for ... in first if ...]`; the arguments are those of `generators.expression`."""
    trace = current()
    sequence = None if trace.eager else staged(first)
    may_need_loop = len(levels) > 1 or bool(levels[0][3]) or (sequence is not None and not isinstance(sequence.length, int))
    if isinstance(first, StagedGenerator):
        may_need_loop = may_need_loop or pushes(first)
    if trace.eager or not may_need_loop:
        return bear(trace, pull(first))
    return list_of(expression(info, first, levels, element, lambda source: iter(pull(source))), first)


def list_of(generator: StagedGenerator, source: Any = None) -> Any:
    """`list(generator)`: as Python makes it, unless it needs values that are not known while tracing.

    Args:
        generator: what gives the items.
        source: what it runs over, if that may be a generator that has not begun.
    """
    trace = current()
    builder = trace.builder.child()
    assert isinstance(builder, TraceBuilder)
    builder.kind = "trial"
    mark, span, taken, fresh = trace.journal.mark(), trace.span, tried(trace), pushes(source)
    trace.trials += 1
    try:
        with trace.building(builder):
            found = bear(trace, list(generator))
    except NeedsPythonValue as need:
        trace.journal.rollback(mark)
        builder.close("a first attempt at a list")
        trace.span, generator.running = span, None
        if fresh:
            source.running = None
        was_tried(trace, taken, (generator, source if fresh else None))
        reason = need
    except BaseException as error:
        if isinstance(error, ArmEnded) or trace.failures.takes(error):
            _keep(builder)  # what ran before the exception has run
        raise
    else:
        _keep(builder)
        return found
    finally:
        trace.trials -= 1
    made = collected(generator) if pushes(generator) else None
    if made is None:
        raise reason
    return made


def _keep(builder: TraceBuilder) -> None:
    outer = current().builder
    assert isinstance(outer, TraceBuilder)
    outer.splice(builder)
