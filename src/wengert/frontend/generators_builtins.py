"""Python's functions on generators in staged code: what they do with each item is handed to the generator."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

from wengert.frontend import staging
from wengert.frontend.boxes import box, lift
from wengert.frontend.calls import SPECIAL, call
from wengert.frontend.comprehensions import list_of
from wengert.frontend.context import NeedsPythonValue, current
from wengert.frontend.convert_info import BranchInfo
from wengert.frontend.emit import ensure
from wengert.frontend.forms import UNSET
from wengert.frontend.generator_objects import Consume, Slot, StagedGenerator
from wengert.frontend.generators import expression, fold, pushes
from wengert.frontend.iterators import SequenceIterator, advance
from wengert.frontend.loads import apply
from wengert.frontend.registry import PASS
from wengert.frontend.staging_iter import staged


def _wrap(function: Any, rule: Callable[..., Any]) -> None:
    """Let `rule` see the calls of `function` on generators first; PASS leaves them to what was there."""
    before = SPECIAL.get(function)

    def wrapped(*args: Any, **options: Any) -> Any:
        if any(pushes(a) for a in args):
            found = rule(*args, **options)
            if found is not PASS:
                return found
        return PASS if before is None else before(*args, **options)

    SPECIAL[function] = wrapped


def _sum(iterable: Any, /, start: Any = 0) -> Any:
    total = Slot(start)
    done = fold(iterable, lambda item: total.put(apply("add", total.value, item)))
    return total.value if done else PASS


def _quantifier(decisive: bool) -> Callable[..., Any]:
    def rule(iterable: Any, /) -> Any:
        found = Slot(not decisive)

        def consume(item: Any) -> Any:
            truth = call(bool, (item,), {})
            found.put(truth)
            return truth if decisive else staging.choose(truth, lambda: False, lambda: True)

        return found.value if fold(iterable, consume) else PASS

    return rule


def _extremum(name: str, compare: str) -> Callable[..., Any]:
    def rule(*args: Any, key: Any = None, **options: Any) -> Any:
        if len(args) != 1:
            return PASS
        best, rank, some = Slot(UNSET), Slot(UNSET), Slot(False)

        def consume(item: Any) -> None:
            value = item if key is None else call(key, (item,), {})
            better = staging.disjunction(_not(some.value), [lambda: apply(compare, value, rank.value)])
            best.put(staging.choose(better, lambda: item, lambda: best.value))
            rank.put(staging.choose(better, lambda: value, lambda: rank.value))
            some.put(True)

        if not fold(args[0], consume):
            return PASS
        if "default" in options:
            return staging.choose(some.value, lambda: best.value, lambda: options["default"])
        if some.value is False:
            raise ValueError(f"{name}() iterable argument is empty")
        ensure(lift(some.value), "ValueError", f"{name}() iterable argument is empty")
        return best.value

    return rule


def _next(iterator: Any, *default: Any) -> Any:
    """The first item: pulled where Python can, else by a consumer that has had enough after one."""
    try:
        return next(iterator, *default)
    except NeedsPythonValue:
        iterator.running = None
    found, some = Slot(UNSET), Slot(False)

    def consume(item: Any) -> bool:
        found.put(item)
        some.put(True)
        return True

    if not fold(iterator, consume):
        return PASS
    if default:
        return staging.choose(some.value, lambda: found.value, lambda: default[0])
    ensure(lift(some.value), "StopIteration", "")
    return found.value


def _next_item(iterator: Any, *default: Any) -> Any:
    """`next` of an iterator that is no generator."""
    return advance(iterator, *default) if type(iterator) is SequenceIterator else PASS


def _not(flag: Any) -> Any:
    return (not flag) if isinstance(flag, bool) else flag ^ True


def _enumerate(iterable: Any, start: Any = 0) -> Any:
    def push(consume: Consume) -> None:
        count = Slot(start)

        def numbered(item: Any) -> Any:
            number = count.value
            count.put(apply("add", number, 1))
            return consume((number, item))

        iterable.push(numbered)

    return StagedGenerator(push, lambda: enumerate(iterable, start))


def _map(function: Any, *iterables: Any) -> Any:
    if len(iterables) != 1:
        return PASS
    source = iterables[0]

    def push(consume: Consume) -> None:
        source.push(lambda item: consume(call(function, (item,), {})))

    return StagedGenerator(push, lambda: (call(function, (x,), {}) for x in source))


def _filter(function: Any, source: Any) -> Any:
    def kept(item: Any) -> Any:
        return item if function is None else call(function, (item,), {})

    def push(consume: Consume) -> None:
        source.push(lambda item: staging.choose(kept(item), lambda: consume(item) or False, lambda: False))

    return StagedGenerator(push, lambda: (x for x in source if kept(x)))


def _is_kept(answer: Any) -> bool:
    """The truth of what a condition gives, which Python must know."""
    known = staging.decide(answer)
    return known if isinstance(known, bool) else bool(box(known))


def _filter_other(function: Any, iterable: Any) -> Any:
    """`filter` of an iterable that is no generator."""
    trace = current()

    def kept(item: Any) -> Any:
        return item if function is None else call(function, (item,), {})

    def pull(source: Any) -> Any:
        sequence = staged(source)
        return (x for x in (source if sequence is None else sequence) if _is_kept(kept(x)))

    if trace.eager:
        return pull(iterable)
    info = BranchInfo(trace.span, frozenset())  # type: ignore[arg-type]
    return expression(info, iterable, ((info, None, False, (kept,)),), lambda x: x, pull)


def install() -> None:
    """Put the rules in front of those for other iterables."""
    SPECIAL[filter] = _filter_other
    SPECIAL[next] = _next_item
    _wrap(list, list_of)
    rules: dict[Any, Callable[..., Any]] = {
        builtins.sum: _sum,
        any: _quantifier(True),
        all: _quantifier(False),
        max: _extremum("max", "gt"),
        min: _extremum("min", "lt"),
        next: _next,
        enumerate: _enumerate,
        map: _map,
        filter: _filter,
    }
    for function, rule in rules.items():
        _wrap(function, rule)
