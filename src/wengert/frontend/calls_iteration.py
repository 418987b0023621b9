"""`itertools` and `operator` objects in a trace: iteration in Python, with the functions they are given as converted code."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from wengert.frontend.boxes import any_box
from wengert.frontend.calls import KINDS, SPECIAL, call
from wengert.frontend.context import current
from wengert.frontend.loads import attribute, item
from wengert.frontend.staging_iter import live
from wengert.frontend.staging_state import bear

# --- itertools that pass items around --------------------------------------------------------------------------------

_REARRANGE = (
    itertools.product,
    itertools.permutations,
    itertools.combinations,
    itertools.combinations_with_replacement,
    itertools.chain,
    itertools.islice,
    itertools.zip_longest,
    itertools.repeat,
    itertools.cycle,
    itertools.pairwise,
    itertools.tee,
    itertools.compress,
)


def _rearranged(kind: Any) -> Callable[..., Any]:
    def rule(*args: Any, **options: Any) -> Any:
        return kind(*(args if kind is itertools.repeat else map(live, args)), **options)

    return rule


for _kind in _REARRANGE:
    SPECIAL[_kind] = _rearranged(_kind)
SPECIAL[itertools.chain.from_iterable] = lambda iterables: itertools.chain.from_iterable(map(live, live(iterables)))


# --- itertools that call ---------------------------------------------------------------------------------------------


def _starmap(function: Any, iterable: Iterable[Any]) -> Iterator[Any]:
    return (call(function, tuple(row), {}) for row in live(iterable))


def _takewhile(predicate: Any, iterable: Iterable[Any]) -> Iterator[Any]:
    return itertools.takewhile(lambda x: bool(call(predicate, (x,), {})), live(iterable))


def _dropwhile(predicate: Any, iterable: Iterable[Any]) -> Iterator[Any]:
    return itertools.dropwhile(lambda x: bool(call(predicate, (x,), {})), live(iterable))


def _filterfalse(predicate: Any, iterable: Iterable[Any]) -> Iterator[Any]:
    return (x for x in live(iterable) if not (x if predicate is None else call(predicate, (x,), {})))


def _groupby(iterable: Iterable[Any], key: Any = None) -> Iterator[Any]:
    return itertools.groupby(live(iterable), key and (lambda x: call(key, (x,), {})))


def _count(start: Any = 0, step: Any = 1) -> Any:
    if not any_box(start, step):
        return itertools.count(start, step)
    return (start + k * step for k in itertools.count())


SPECIAL.update(
    {
        itertools.starmap: _starmap,
        itertools.takewhile: _takewhile,
        itertools.dropwhile: _dropwhile,
        itertools.filterfalse: _filterfalse,
        itertools.groupby: _groupby,
        itertools.count: _count,
    }
)


# --- operator objects ------------------------------------------------------------------------------------------------


def _item_getter(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found = tuple(item(args[0], key) for key in fn.__reduce__()[1])
    return found[0] if len(found) == 1 else found


def _attribute_getter(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found = []
    for path in fn.__reduce__()[1]:
        value = args[0]
        for name in path.split("."):
            value = attribute(value, name)
        found.append(value)
    return found[0] if len(found) == 1 else tuple(found)


def _method_caller(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    made = fn.__reduce__()
    name, *given = made[1] if isinstance(made[0], type) else (*made[0].args, *made[1])
    named = {} if isinstance(made[0], type) else dict(made[0].keywords)
    return call(attribute(args[0], name), tuple(given), named)


KINDS.update({operator.itemgetter: _item_getter, operator.attrgetter: _attribute_getter, operator.methodcaller: _method_caller})


# --- functions made of functions -------------------------------------------------------------------------------------


def _vectorized(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of an `np.vectorize` object: its function for every element of the broadcast arguments, as an array."""
    plain = fn.signature is None and not (fn.excluded or kwargs or fn.cache) and fn.otypes in (None, "d")
    if not plain or not args:
        return call(type(fn).__call__, (fn, *args), kwargs)
    arrays = call(np.broadcast_arrays, args, {})
    shape = tuple(int(n) for n in arrays[0].shape)
    count = int(np.prod(shape, dtype=int))
    if not count:
        raise ValueError("cannot call `vectorize` on size 0 inputs unless `otypes` is set")
    rows = [call(np.ravel, (array,), {}) for array in arrays]
    found = [call(fn.pyfunc, tuple(row[k] for row in rows), {}) for k in range(count)]
    if isinstance(found[0], tuple):
        return tuple(_as_array([each[k] for each in found], shape) for k in range(len(found[0])))
    return _as_array(found, shape)


def _as_array(items: list[Any], shape: tuple[int, ...]) -> Any:
    return call(np.reshape, (call(np.array, (bear(current(), items),), {}), shape), {})


KINDS[np.vectorize] = _vectorized
