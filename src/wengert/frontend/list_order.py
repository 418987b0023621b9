"""Lists of traced length by order: `sort`, `sorted`, `min`, `max`, `index`, `remove`, with keys."""

from __future__ import annotations

import builtins
from typing import Any

from wengert.errors import StagingError
from wengert.frontend import rows as rows_
from wengert.frontend.boxes import box, is_number, lift, type_name
from wengert.frontend.calls import GROWING, call
from wengert.frontend.comprehensions import collected
from wengert.frontend.context import Trace, current
from wengert.frontend.convert_info import BranchInfo
from wengert.frontend.emit import builder, common_dtype, ensure, to_dtype, value_of
from wengert.frontend.generators import expression
from wengert.frontend.growing import Rows
from wengert.frontend.lists import RULES
from wengert.frontend.staging import choose
from wengert.frontend.stores import set_contents
from wengert.ir.core import Value
from wengert.types import BOOL, F32, F64, I64


def _columns(items: Any, key: Any, what: str) -> list[Value]:
    """What decides on the order of the items: arrays with a number for each of them, the first one first.

    Raises:
        StagingError: keys are neither numbers nor tuples of numbers.
    """
    if key is not None:
        items = _keys(items, key, what)
    rows = rows_.rows_of(items)
    form = rows.pattern.form
    traced = [leaf for leaf in form.leaves if leaf.kind not in ("static", "unset")]
    if form.structure.kind not in ("leaf", "tuple", "list") or not traced or any(leaf.kind != "scalar" for leaf in traced):
        raise StagingError(f"{what} by other things than numbers, of a list of traced length, is not staged", current().span)
    return [to_dtype(s, _SORTED.get(s.tensor.dtype, s.tensor.dtype)) for s in rows.stores]


_SORTED = {BOOL: I64, F32: F64}


def _keys(items: Any, key: Any, what: str) -> Any:
    """The keys of the items as a list of traced length."""
    trace = current()
    assert trace.span is not None
    info = BranchInfo(trace.span, frozenset())
    found = collected(expression(info, items, ((info, None, False, ()),), lambda item: call(key, (item,), {}), iter))
    if found is None:
        raise StagingError(f"the key of {what}, for a list of traced length, is not staged", trace.span)
    return found


def _order(columns: list[Value]) -> Value:
    """The positions of the items in ascending order; equal ones keep theirs."""
    b = builder()
    found: Value | None = None
    for column in reversed(columns):
        if found is None:
            found = b.argsort(column)
        else:
            found = b.gather(found, b.argsort(b.gather(column, found)))
    assert found is not None
    return found


def _reversed(items: Any) -> Any:
    return rows_.read(rows_.rows_of(items), slice(None, None, -1))


def ordered(items: Any, key: Any = None, reverse: Any = False) -> Any:
    """`sorted(items)`: a new list of traced length."""
    if reverse:
        return _reversed(ordered(_reversed(items), key))
    rows = rows_.rows_of(items)
    order = _order(_columns(items, key, "sorting"))
    stores = tuple(builder().gather(store, order) for store in rows.stores)
    return rows_.copy_of(Rows(rows.pattern, value_of(order.dims[0]), stores))


def _sort(trace: Trace, owner: Any, *, key: Any = None, reverse: Any = False) -> None:
    set_contents(trace, owner, list(ordered(owner, key, reverse)))


def _extremum(name: str) -> Any:
    """`min` or `max` of a list of traced length."""

    def rule(*args: Any, key: Any = None, **options: Any) -> Any:
        if len(args) != 1:
            raise StagingError(f"{name}() of several lists of traced length is not staged", current().span)
        items = args[0]
        if "default" not in options:
            return best(items, key)
        filled = rows_.is_filled(rows_.rows_of(items))
        return choose(box(filled) if isinstance(filled, Value) else filled, lambda: best(items, key), lambda: options["default"])

    def best(items: Any, key: Any) -> Any:
        rows = rows_.rows_of(items)
        if key is None and rows.pattern.form.structure.kind == "leaf":
            return rows_.fold(rows, name, f"{name}()")
        filled = rows_.is_filled(rows)
        if filled is False:
            raise ValueError(f"{name}() iterable argument is empty")
        if isinstance(filled, Value):
            ensure(filled, "ValueError", f"{name}() iterable argument is empty")
        columns = _columns(items, key, f"{name}()")
        return rows_.item_at(rows, _best_position(columns, name == "max").affine)

    return rule


def _best_position(columns: list[Value], is_max: bool) -> Value:
    """The position of the first of the largest (or smallest) items."""
    b = builder()
    if len(columns) == 1:
        found: Value = (b.argmax if is_max else b.argmin)(columns[0], axis=0)
        return found
    if not is_max:
        return _element(_order(columns), b.const(0))
    # The largest one that stands last when all are turned round is the first one.
    size = value_of(columns[0].dims[0])
    last = b.sub(size, b.const(1))
    turned = [b.index(c, last, size, b.const(-1), spec=("s",)) for c in columns]
    return b.sub(last, _element(_order(turned), last))


def _element(array: Value, position: Value) -> Value:
    found: Value = builder().index(array, position, spec=("i",))
    return found


# --- by value --------------------------------------------------------------------------------------------------------


def position_of(items: Any, item: Any, message: str) -> Value:
    """Where the first item stands that is equal to a number.

    Raises:
        ValueError: there is none; at run time.
    """
    if not is_number(item):
        raise StagingError(f"a search for a {type_name(item)} in a list of traced values is not staged", current().span)
    store, _ = rows_.numbers(rows_.rows_of(items), "a search")
    b, wanted = builder(), lift(item)
    dtype = common_dtype(wanted.tensor.dtype, store.tensor.dtype)
    same = b.convert(b.eq(to_dtype(store, dtype), b.full(store.dims, to_dtype(wanted, dtype))), dtype=I64)
    ensure(b.gt(b.sum(same, axes=(0,)), b.const(0)), "ValueError", message)
    found: Value = b.argmax(same, axis=0)
    return found


def _index(trace: Trace, owner: Any, item: Any) -> Any:
    return box(position_of(owner, item, "the item is not in list"))


def _remove(trace: Trace, owner: Any, item: Any) -> None:
    position = position_of(owner, item, "list.remove(x): x not in list")
    set_contents(trace, owner, [rows_.without(rows_.rows_of(owner), position.affine, 1)])


def install() -> None:
    """Put the rules in their place."""
    RULES.update(sort=_sort, index=_index, remove=_remove)
    GROWING.update({builtins.sorted: ordered, builtins.min: _extremum("min"), builtins.max: _extremum("max")})
