"""Lists and deques of traced length as Python uses them: methods, operators, builtins, and results of the function."""

from __future__ import annotations

import builtins
import copy
import functools
import operator
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType
from typing import Any

from wengert.errors import StagingError
from wengert.frontend import rows as rows_
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import box, lift
from wengert.frontend.calls import GROWING, METHODS, SPECIAL, call
from wengert.frontend.context import Trace, current
from wengert.frontend.emit import difference, ensure, is_at_least, value_of
from wengert.frontend.growing import Rows, is_growing
from wengert.frontend.registry import PASS
from wengert.frontend.scalars import Scalar
from wengert.frontend.staging_iter import (
    StagedRows,
    staged,
    staged_enumerate,
    staged_reversed,
    staged_zip,
)
from wengert.frontend.staging_state import bear
from wengert.frontend.stores import set_contents
from wengert.ir.core import Value

# --- methods ---------------------------------------------------------------------------------------------------------


def method(trace: Trace, owner: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`owner.name(*args)` for a growing list or deque, or for one that is about to become one."""
    rule = RULES.get(name)
    if rule is None or (kwargs and name != "sort"):
        raise StagingError(
            f"{type(owner).__name__}.{name} of a list whose length is known only at run time is not staged", trace.span
        )
    return rule(trace, owner, *args, **kwargs)


def _change(trace: Trace, owner: Any, new: Rows, keeps_first: bool = False) -> None:
    """Give a list or deque other items; of a deque that is full, those at the other end go."""
    most = owner.maxlen if isinstance(owner, deque) else None
    if most is not None and not (isinstance(new.size, int) and new.size <= most):
        kept = current().builder.minimum(value_of(new.size), current().builder.const(most)).affine
        new = rows_.part(new, 0 if keeps_first else difference(new.size, kept), kept)
    set_contents(trace, owner, [new])


def _append(trace: Trace, owner: Any, item: Any) -> None:
    _change(trace, owner, rows_.append(rows_.rows_of(owner), item))


def _append_left(trace: Trace, owner: Any, item: Any) -> None:
    rows = rows_.fit_item(rows_.rows_of(owner), item)[0]
    _change(trace, owner, rows_.concatenate(rows_.rows_like(rows, [item]), rows), keeps_first=True)


def _extend(trace: Trace, owner: Any, items: Any) -> None:
    rows = rows_.rows_of(owner)
    if is_growing(items):
        _change(trace, owner, rows_.concatenate(rows, rows_.rows_of(items)))
        return
    if isinstance(items, Array) and items.ndim == 1 and rows.pattern.form.structure.kind == "leaf":
        added = rows_.rows_of([items[0] if is_at_least(items.dims[0], 1) else 0.0])
        _change(trace, owner, rows_.concatenate(rows, Rows(added.pattern, value_of(items.dims[0]), (items.value,))))
        return
    for item in staged(items) or items:
        rows = rows_.append(rows, item)
    _change(trace, owner, rows)


def _pop(trace: Trace, owner: Any, index: Any = -1) -> Any:
    item, rest = rows_.take(rows_.rows_of(owner), index)
    _change(trace, owner, rest)
    return item


def _pop_left(trace: Trace, owner: Any) -> Any:
    return _pop(trace, owner, 0)


def _insert(trace: Trace, owner: Any, index: Any, item: Any) -> None:
    if isinstance(owner, deque) and owner.maxlen is not None:
        _refuse_full(trace, owner)
    _change(trace, owner, rows_.insert(rows_.rows_of(owner), index, item))


def _refuse_full(trace: Trace, owner: Any) -> None:
    """`insert` of a deque with a largest length raises IndexError where it is full."""
    room = current().builder.lt(value_of(rows_.rows_of(owner).size), current().builder.const(owner.maxlen))
    ensure(room, "IndexError", "deque already at its maximum size")


def _extend_left(trace: Trace, owner: Any, items: Any) -> None:
    for item in staged(items) or items:
        _append_left(trace, owner, item)


def _rotate(trace: Trace, owner: Any, steps: Any = 1) -> None:
    rows = rows_.rows_of(owner)
    size = rows_.size_of(rows)
    if isinstance(size, int) and not size:
        return
    # An empty one is divided by 1.
    b = current().builder
    first = lift(-steps % box(b.maximum(value_of(rows.size), b.const(1))))
    rest = difference(rows.size, first.affine)
    _change(trace, owner, rows_.concatenate(rows_.part(rows, first.affine, rest), rows_.part(rows, 0, first.affine)))


def _clear(trace: Trace, owner: Any) -> None:
    set_contents(trace, owner, [])


def _reverse(trace: Trace, owner: Any) -> None:
    _change(trace, owner, rows_.read(rows_.rows_of(owner), slice(None, None, -1))[0])


def _copy(trace: Trace, owner: Any) -> Any:
    made = copy.copy(owner)
    return bear(trace, made)


def _count(trace: Trace, owner: Any, item: Any) -> Any:
    return rows_.count(rows_.rows_of(owner), item)


def _set_item(trace: Trace, owner: Any, index: Any, value: Any) -> None:
    set_item(trace, owner, index, value)


def _get_item(trace: Trace, owner: Any, index: Any) -> Any:
    return rows_.read(rows_.rows_of(owner), index)


RULES: dict[str, Callable[..., Any]] = {
    "append": _append,
    "appendleft": _append_left,
    "extend": _extend,
    "pop": _pop,
    "popleft": _pop_left,
    "extendleft": _extend_left,
    "rotate": _rotate,
    "insert": _insert,
    "clear": _clear,
    "reverse": _reverse,
    "copy": _copy,
    "count": _count,
    "__setitem__": _set_item,
    "__getitem__": _get_item,
    "__len__": lambda trace, owner: rows_.size_of(rows_.rows_of(owner)),
}

# --- items and operators ---------------------------------------------------------------------------------------------


def is_traced_index(obj: Any, index: Any) -> bool:
    """Whether a list or tuple is read or written at a place that is known only at run time."""
    if type(obj) not in (list, tuple, deque):
        return False
    if isinstance(index, slice):
        return type(obj) is list and any(isinstance(x, Scalar) for x in (index.start, index.stop))
    return isinstance(index, Scalar) or (isinstance(index, Array) and not index.dims)


def get_item(obj: Any, index: Any) -> Any:
    """`obj[index]`."""
    rows = rows_.rows_of(obj)
    if isinstance(index, slice):
        found = rows_.read(rows, index)
        return bear(current(), deque(found)) if isinstance(obj, deque) else found
    return rows_.read(rows, index)


def set_item(trace: Trace, obj: Any, index: Any, value: Any) -> None:
    """`obj[index] = value`."""
    rows = rows_.rows_of(obj)
    if not isinstance(index, slice):
        set_contents(trace, obj, [rows_.replace(rows, index, value)])
        return
    items = _as_rows(rows, value)
    set_contents(trace, obj, [rows_.splice(rows, index, items)])


def delete_item(trace: Trace, obj: Any, index: Any) -> None:
    """`del obj[index]`."""
    if isinstance(index, slice):
        set_contents(trace, obj, [rows_.splice(rows_.rows_of(obj), index, None)])
    else:
        _pop(trace, obj, index)


def _as_rows(rows: Rows, items: Any) -> Rows:
    if is_growing(items):
        return rows_.rows_of(items)
    return rows_.rows_like(rows, list(staged(items) or items))


def apply(name: str, a: Any, b: Any) -> Any:
    """A binary operator or comparison with a growing list among its operands."""
    both = isinstance(a, list) and isinstance(b, list)
    if name == "add" and both:
        return _added(a, b)
    if name in ("eq", "ne") and both:
        first, second = (rows_.rows_of(x) if x else None for x in (a, b))
        if first is None or second is None:
            same: Any = rows_.size_of(first or second) == 0  # type: ignore[arg-type]
        else:
            same = rows_.equal(first, second)
        return same if name == "eq" else same ^ True
    if name == "mul" and isinstance(b if is_growing(a) else a, int):
        items, times = (a, b) if is_growing(a) else (b, a)
        return functools.reduce(_added, [items] * times, []) if times > 0 else bear(current(), [])
    if name in ("eq", "ne"):
        return name == "ne"
    raise StagingError(f"this operator on a list whose length is known only at run time is not staged: {name}", current().span)


def _added(a: list[Any], b: list[Any]) -> list[Any]:
    if not a or not b:
        made: list[Any] = bear(current(), list(a or b))
        return made
    rows = rows_.rows_of(a)
    if is_growing(b):
        return rows_.copy_of(rows_.concatenate(rows, rows_.rows_of(b)))
    for item in b:
        rows = rows_.append(rows, item)
    return rows_.copy_of(rows)


def add_in_place(trace: Trace, name: str, a: Any, b: Any) -> Any:
    """`a += b`."""
    if name.rstrip("_") == "mul" and type(a) is list:
        set_contents(trace, a, list(apply("mul", a, b)))
        return a
    if name.rstrip("_") != "add":
        return apply(name, a, b)
    _extend(trace, a, b)
    return a


def repeated(items: Any, times: Any) -> Any:
    """`[item] * n` for a traced n."""
    if len(items) != 1 or is_growing(items):
        return None
    rows = rows_.rows_of(items)
    b = current().builder
    length = b.maximum(value_of(times.value.affine), b.const(0))
    stores = []
    for store in rows.stores:
        row = b.index(store, b.const(0), spec=("i", *(":" * (store.rank - 1))))
        stores.append(b.broadcast_to(row, (length.affine, *row.dims), tuple(range(1, row.rank + 1))))
    return rows_.copy_of(Rows(rows.pattern, length, tuple(stores)))


def contains(items: Any, item: Any) -> Any:
    """`item in items`."""
    return rows_.contains(rows_.rows_of(items), item)


# --- functions -------------------------------------------------------------------------------------------------------


def _sequence(items: Any) -> Any:
    return StagedRows(items) if is_growing(items) else items


def _on_sequences(rule: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return rule(*map(_sequence, args), **kwargs)

    return call


def _sum(items: Any, start: Any = 0) -> Any:
    rows = rows_.rows_of(items)
    form = rows.pattern.form
    if form.structure.kind == "leaf" and form.leaves[0].kind == "array":
        total: Any = Array(current().builder.sum(rows.stores[0], axes=(0,)))
    else:
        total = rows_.fold(rows, "sum", "sum()")
    return total if isinstance(start, int) and start == 0 else total + start


def _list(items: Any) -> Any:
    return rows_.copy_of(rows_.rows_of(items))


def _deque(items: Any, maxlen: Any = None) -> Any:
    made = bear(current(), deque([rows_.rows_of(items)], maxlen))
    if maxlen is not None:
        _change(current(), made, made[0])
    return made


def _own_method(name: str, otherwise: Any) -> Callable[..., Any]:
    """`len(obj)` and the like: the method of a class of the user's, converted, as it may meet lists of traced length."""

    def rule(*args: Any) -> Any:
        method = getattr(type(args[0]), name, None) if len(args) == 1 else None
        if isinstance(method, FunctionType) and not type(args[0]).__module__.startswith("wengert."):
            return call(method, args, {})
        return otherwise(*args) if otherwise is not None else PASS

    return rule


for _function, _name in ((len, "__len__"), (abs, "__abs__")):
    SPECIAL[_function] = _own_method(_name, SPECIAL.get(_function))


def _make_deque(items: Any = (), maxlen: Any = None) -> Any:
    """`deque(items, maxlen)`."""
    found = staged(items)
    most = None if maxlen is None else operator.index(maxlen)
    return bear(current(), deque(items if found is None or isinstance(items, range) else list(found), most))


SPECIAL[deque] = _make_deque


def _tuple(items: Any) -> Any:
    return tuple(StagedRows(items))


GROWING.update(
    {
        len: lambda items: rows_.size_of(rows_.rows_of(items)),
        builtins.sum: _sum,
        list: _list,
        tuple: _tuple,
        deque: _deque,
        bool: lambda items: box(found) if isinstance(found := rows_.is_filled(items[0]), Value) else found,
        enumerate: _on_sequences(staged_enumerate),
        zip: _on_sequences(staged_zip),
        reversed: _on_sequences(staged_reversed),
        iter: lambda items: iter(StagedRows(items)),
        isinstance: isinstance,
        type: type,
        id: id,
        copy.copy: lambda items: bear(current(), copy.copy(items)),
        copy.deepcopy: lambda items: bear(current(), copy.copy(items)),
        operator.getitem: get_item,
    }
)


def arrays_of(args: Sequence[Any]) -> list[Any]:
    """Arguments with growing lists as arrays: what NumPy's functions make of them."""
    return [rows_.as_array(rows_.rows_of(a)) if is_growing(a) else a for a in args]


def sequences_of(args: Iterable[Any]) -> list[Any]:
    """Arguments with growing lists as sequences to iterate over."""
    return list(map(_sequence, args))


METHODS.update(method=method, arrays=arrays_of)
