"""`sorted`, `min` and `max` by traced keys: each comparison is a traced test that exchanges two items or not."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from wengert.errors import StagingError
from wengert.frontend import staging
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, holds_box
from wengert.frontend.calls import SPECIAL, call
from wengert.frontend.comprehensions import list_of
from wengert.frontend.context import current
from wengert.frontend.generator_objects import StagedGenerator
from wengert.frontend.generators import pushes
from wengert.frontend.loads import apply
from wengert.frontend.registry import PASS
from wengert.frontend.staging_iter import live
from wengert.frontend.staging_state import bear
from wengert.frontend.table import find

SORT_LIMIT = 32


def less(a: Any, b: Any) -> Any:
    """`a < b`; tuples and lists with traced numbers in them from left to right."""
    if not (type(a) is type(b) and isinstance(a, tuple | list) and any_box(a, b)):
        return apply("lt", a, b)
    return _lexicographic(list(a), list(b))


def _lexicographic(a: Sequence[Any], b: Sequence[Any]) -> Any:
    if not a or not b:
        return len(a) < len(b)
    same = staging.decide(apply("eq", a[0], b[0]))
    if same is True:
        return _lexicographic(a[1:], b[1:])
    first = less(a[0], b[0])
    if same is False or (len(a) == 1 and len(b) == 1):
        return first

    def following() -> Any:
        return staging.conjunction(apply("eq", a[0], b[0]), [lambda: _lexicographic(a[1:], b[1:])])

    return staging.disjunction(first, [following])


def sort(items: Sequence[Any], key: Any, reverse: bool) -> list[Any]:
    """The items in order; equal ones keep theirs."""
    keys = [call(key, (x,), {}) for x in items] if key is not None else list(items)
    if not any(map(holds_box, keys)):
        order = builtins.sorted(range(len(items)), key=keys.__getitem__, reverse=reverse)
        return [items[k] for k in order]
    if len(items) > SORT_LIMIT:
        raise StagingError(
            f"sorting {len(items)} traced values as Python objects is not staged",
            current().span,
            fix="put them in an array and use np.sort or np.argsort",
        )
    rows = [(k, x) for k, x in zip(keys, items, strict=True)] if key is not None else [(x,) for x in items]
    for end in range(1, len(rows)):
        for k in range(end, 0, -1):
            a, b = rows[k - 1], rows[k]
            swap = less(a[0], b[0]) if reverse else less(b[0], a[0])
            rows[k - 1], rows[k] = staging.choose(swap, partial(_pair, b, a), partial(_pair, a, b))
    return [row[-1] for row in rows]


def traced_sorted(iterable: Iterable[Any], /, *, key: Any = None, reverse: bool = False) -> Any:
    """`sorted`."""
    trace = current()
    if isinstance(iterable, Array) and iterable.ndim != 1:
        return PASS
    if not trace.eager and isinstance(iterable, StagedGenerator) and pushes(iterable):
        return call(sorted, (list_of(iterable),), {"key": key, "reverse": reverse})
    items = list(iterable)
    if trace.eager:
        return bear(trace, sorted(items, key=key and (lambda x: call(key, (x,), {})), reverse=reverse))
    return bear(trace, sort(items, key, bool(reverse)))


def _extremum(name: str, is_max: bool) -> Any:
    function = getattr(builtins, name)
    before = SPECIAL.get(function)

    def rule(*args: Any, key: Any = None, **options: Any) -> Any:
        if before is not None:
            found = before(*args, key=key, **options) if key is not None else before(*args, **options)
            if found is not PASS:
                return found
        if len(args) == 1 and isinstance(args[0], Array):
            return PASS if key is None else _best(list(args[0]), key, is_max)
        items = list(args[0]) if len(args) == 1 else list(args)
        if not items and "default" in options:
            return options["default"]
        if not items:
            raise ValueError(f"{name}() iterable argument is empty")
        if key is None and not any(isinstance(x, tuple | list) for x in items):
            return PASS if len(args) > 1 else call_table(function, items)
        return _best(live(args[0]) if len(args) == 1 and type(args[0]) is list else items, key, is_max)

    return rule


def _pair(a: Any, b: Any) -> tuple[Any, Any]:
    return a, b


def call_table(function: Any, items: list[Any]) -> Any:
    """What the table of builtins does with numbers."""
    handler = find(function)
    found = handler(items) if handler is not None else PASS
    return function(items) if found is PASS else found


def install() -> None:
    """Put the rules in their place."""
    SPECIAL[builtins.sorted] = traced_sorted
    SPECIAL[builtins.max] = _extremum("max", True)
    SPECIAL[builtins.min] = _extremum("min", False)


def _best(items: Iterable[Any], key: Any, is_max: bool) -> Any:
    """The first of the largest (or smallest) items, of which there is one at least."""
    rest = iter(items)
    best = next(rest)
    rank = best if key is None else call(key, (best,), {})
    for item in rest:
        value = item if key is None else call(key, (item,), {})
        better = less(rank, value) if is_max else less(value, rank)
        best, rank = staging.choose(better, partial(_pair, item, value), partial(_pair, best, rank))
    return best
