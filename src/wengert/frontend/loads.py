"""Loads of attributes and items: of boxes, of objects made while tracing, and of captured ones, whose path is recorded."""

from __future__ import annotations

import functools
import operator
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.errors import StagingError, UnsupportedError
from wengert.frontend import lists
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, is_box, lift, lift_int, type_name
from wengert.frontend.calls import SPECIAL, call, is_generated, own_array
from wengert.frontend.capture import is_trusted_module
from wengert.frontend.capture_paths import Path
from wengert.frontend.choices import Choice
from wengert.frontend.context import Trace, current
from wengert.frontend.emit import builder, ensure, logical_and
from wengert.frontend.growing import is_growing
from wengert.frontend.references import (
    are_on,
    chosen,
    columns,
    holds_links,
    is_float,
    is_link,
    merged_items,
    replaced,
    select_item,
)
from wengert.frontend.registry import OPERATORS, PASS, operator_rule
from wengert.frontend.rows import can_be_rows
from wengert.frontend.scalars import Scalar, kinds_of
from wengert.frontend.staging_choices import binary, dispatch, spread, unary
from wengert.frontend.staging_state import bear
from wengert.frontend.stores import (
    before_change,
    delete_attribute,
    is_journaled,
    refuse_array,
    set_attribute,
    set_contents,
    set_item,
)
from wengert.frontend.table_builtins import python_type, special_method
from wengert.frontend.text import percent

_NO_NUMBERS = "OSUVMm"
_AS_THEY_ARE = frozenset(
    f"__{name}__" for name in ("copy", "deepcopy", "getitem", "setitem", "iter", "contains", "format", "repr", "str", "hash")
)
_METHODS = (types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType)
_CONTAINERS = frozenset({list, dict, set})
_OWN = frozenset(
    {float, int, str, list, tuple, dict, bool, type(None), Scalar, Array}
    | {np.ndarray, np.float64, np.float32, np.int64, np.bool_}
)


def attribute(obj: Any, name: str) -> Any:
    """`obj.name`."""
    if is_box(obj):
        return _of_box(obj, name)
    if type(obj) is Choice:
        return dispatch(obj, lambda x: attribute(x, name))
    trace = current()
    if isinstance(obj, types.ModuleType):
        value = getattr(obj, name)
        if is_trusted_module(obj.__name__) or trace.captures.outside.holds(obj, name):
            return value
        return trace.captures.load(Path("attribute", Path("constant", obj), name), value)
    found = _descriptor(type(obj), name)
    if isinstance(found, property) and isinstance(found.fget, types.FunctionType):
        return call(found.fget, (obj,), {})
    if isinstance(found, functools.cached_property) and name not in getattr(obj, "__dict__", ()):
        return _cache(obj, name, call(found.func, (obj,), {}))
    path = None if trace.eager else trace.captures.path_of(obj)
    if path is not None and not hasattr(obj, name):
        trace.captures.guard(path, "lacks", name)
    value = getattr(obj, name)
    if path is not None and trace.captures.outside.holds(obj, name):
        return value
    if path is None and type(value) is np.ndarray and value.dtype.kind in _NO_NUMBERS:
        return value
    if path is None:
        return trace.captures.load(Path("attribute", Path("constant", obj), name), value) if type(value) is np.ndarray else value
    if isinstance(value, _METHODS) and getattr(value, "__self__", None) is obj:
        if isinstance(value, types.MethodType) and not isinstance(obj, type):
            place = Path("attribute", Path("constant", type(obj)), name)
            trace.captures.guard(place, "is", value.__func__)
        return value
    return trace.captures.load(Path("attribute", path, name), value)


def _cache(obj: Any, name: str, value: Any) -> Any:
    """What a cached property has computed, kept by the object; one that is captured by staged code computes it anew."""
    trace = current()
    if trace.eager or (trace.captures.path_of(obj) is None and not is_journaled(trace)):
        set_attribute(trace, obj, name, value)  # not in an arm: others would find a value that was never computed
    return value


def _of_box(obj: Any, name: str) -> Any:
    """An attribute of what a box stands for; special methods are those of numbers and arrays."""
    if not name.startswith("__"):
        return getattr(obj, name)
    stands_for = python_type(obj)
    if name == "__class__":
        return stands_for
    if not hasattr(stands_for, name):
        raise AttributeError(f"'{stands_for.__name__}' object has no attribute {name!r}")
    if not callable(getattr(stands_for, name)):
        return getattr(obj, name)
    if name in _AS_THEY_ARE:
        return getattr(obj, name)
    return functools.partial(special_method, name, obj)


def _descriptor(cls: type, name: str) -> Any:
    for base in cls.__mro__:
        if name in base.__dict__:
            return base.__dict__[name]
    return None


@operator_rule("list item")
def item(obj: Any, index: Any) -> Any:
    """`obj[index]`."""
    if type(obj) is Choice or type(index) is Choice:
        found = columns(obj, index) if type(obj) is Choice else None
        return spread(item, obj, index) if found is None else select_item(obj, found, index)
    if isinstance(obj, Scalar):
        if not obj.numpy:
            raise TypeError(f"'{type_name(obj)}' object is not subscriptable")
        return OPERATORS["number item"](obj, index)
    if is_box(obj):
        return obj[index]
    if is_growing(obj):
        return lists.get_item(obj, index)
    if isinstance(index, Scalar) and are_on(current()) and holds_links(obj):
        _check_position(obj, index)
        return chosen(obj, lift_int(index, "a list index"))
    if lists.is_traced_index(obj, index) and not current().eager and can_be_rows(obj):
        if isinstance(index, Scalar):
            _check_position(obj, index)
        return lists.get_item(obj, index)
    if isinstance(obj, np.ndarray):
        if not any_box(index):
            return obj[index]
        captured = current().capture_constant(obj)
        return (captured if is_box(captured) else Array(captured))[index]
    method = getattr(type(obj), "__getitem__", None)
    if isinstance(method, types.FunctionType) and method.__module__.partition(".")[0] != "wengert":
        return call(method, (obj, index), {})
    trace = current()
    if isinstance(index, Scalar) and isinstance(obj, (list, tuple)) and not trace.eager and _is_table(obj):
        return _look_up(obj, index)
    path = None if trace.eager else trace.captures.path_of(obj)
    value = obj[index]
    if path is None and type(index) is slice and type(value) is list:
        return bear(trace, value)
    if type(value) is np.ndarray:
        return trace.captures.load(Path("item", path or Path("constant", obj), index), value)
    return value if path is None or isinstance(obj, type) else trace.captures.load(Path("item", path, index), value)


def _is_table(obj: list[Any] | tuple[Any, ...]) -> bool:
    """Whether all items are Python numbers: then an array of them has the item at any position (floats, if one is a float)."""
    kinds = frozenset[type]().union(*map(kinds_of, obj))
    return bool(kinds) and kinds <= {float, int}


def _look_up(obj: list[Any] | tuple[Any, ...], index: Scalar) -> Any:
    """`obj[index]` for a position that is not known while tracing."""
    _check_position(obj, index)
    found, kinds = OPERATORS["item"](Array(lift(list(obj)))[index]), frozenset[type]().union(*map(kinds_of, obj))
    return Scalar(found.value, found.numpy, kinds) if len(kinds) > 1 and type(found) is Scalar else found


def _check_position(obj: Any, index: Scalar) -> None:
    """Raise Python's IndexError at run time for a position outside of a list, tuple or deque."""
    b = builder()
    position = lift_int(index, "a list index")
    inside = logical_and(b.ge(position, b.const(-len(obj))), b.lt(position, b.const(len(obj))))
    ensure(inside, "IndexError", f"{type(obj).__name__} index out of range")


def store_item(trace: Trace, obj: Any, index: Any, value: Any) -> None:
    """`obj[index] = value`."""
    if type(obj) is Choice or type(index) is Choice:
        found = columns(obj, index) if type(obj) is Choice and is_float(value) else None
        if found is None:
            spread(lambda x, k: store_item(trace, x, k, value), obj, index)
            return
        for items, new in merged_items(obj, found, index, value):
            set_item(trace, items, index, new)
        return
    if is_box(obj):
        obj[index] = value
        return
    if isinstance(index, Scalar) and type(obj) is list and are_on(trace) and holds_links(obj):
        if not is_link(value):
            raise StagingError("an item of a list of lists, chosen at run time, is replaced by something else", trace.span)
        _check_position(obj, index)
        set_contents(trace, obj, replaced(obj, lift_int(index, "a list index"), value))
        return
    if is_growing(obj) or (lists.is_traced_index(obj, index) and not trace.eager and can_be_rows(obj)):
        lists.set_item(trace, obj, index, value)
        return
    method = getattr(type(obj), "__setitem__", None)
    if isinstance(method, types.FunctionType):
        call(method, (obj, index, value), {})
    else:
        set_item(trace, obj, index, value)


def store_attribute(trace: Trace, obj: Any, name: str, value: Any) -> None:
    """`obj.name = value`."""
    if type(obj) is Choice:
        dispatch(obj, lambda x: store_attribute(trace, x, name, value))
        return
    found = _descriptor(type(obj), name)
    if isinstance(found, property) and isinstance(found.fset, types.FunctionType):
        call(found.fset, (obj, value), {})
        return
    if is_box(obj):
        if name == "flat":
            OPERATORS["set_flat"](obj, value)
            return
        raise UnsupportedError(f"the attribute {name!r} of a traced array cannot be assigned", trace.span)
    method = type(obj).__setattr__
    if isinstance(method, types.FunctionType) and not is_generated(method):
        call(method, (obj, name, value), {})
    else:
        set_attribute(trace, obj, name, value)


# --- operators -------------------------------------------------------------------------------------------------------

_REFLECTED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}


_NUMBERS = frozenset({int, float})
_BOXES = frozenset({Scalar, Array})
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}
"""What is done at once on plain and traced numbers and arrays."""
_ORDERS = {name: getattr(operator, name) for name in ("lt", "le", "gt", "ge")}
"""The same of plain numbers, and of traced ones and arrays on the left."""


def apply(name: str, a: Any, b: Any) -> Any:
    """A binary operator or comparison; operators that the user's classes define are called as functions."""
    plain = _ARITHMETIC.get(name) or _ORDERS.get(name)
    if plain is not None:
        first, second = type(a), type(b)
        if first in _NUMBERS and second in _NUMBERS:
            return plain(a, b)
        on_the_right = first in _NUMBERS and second in _BOXES and name in _ARITHMETIC
        if on_the_right or (first in _BOXES and (second in _BOXES or second in _NUMBERS)):
            found = OPERATORS[name](a, b)
            if found is not NotImplemented:
                return found
    if type(a) is Choice or type(b) is Choice:
        return binary(apply, name, a, b)
    if name == "mod" and isinstance(a, str) and any_box(b):
        return percent(a, b)
    if type(a) in _OWN and type(b) in _OWN:
        if is_growing(a) or is_growing(b):
            return lists.apply(name, a, b)
        return _new(getattr(operator, name)(a, b))
    bare = name.rstrip("_")
    found = _try_method(a, f"__{bare}__", b)
    if found is not NotImplemented:
        return found
    reflected = _REFLECTED.get(name)
    found = _try_method(b, f"__{reflected or 'r' + bare}__", a)
    if found is not NotImplemented:
        return found
    return _new(getattr(operator, name)(a, b))


def _new(found: Any) -> Any:
    """What an operator gives; a new list, dict or set is noted as made here, so that a loop does not carry what is in it."""
    if type(found) is np.ndarray:
        return own_array(current(), found)
    return bear(current(), found) if type(found) in _CONTAINERS else found


def _try_method(obj: Any, name: str, other: Any) -> Any:
    method = getattr(type(obj), name, None)
    if not isinstance(method, types.FunctionType) or type(obj).__module__.partition(".")[0] == "wengert":
        return NotImplemented
    if is_generated(method):
        return NotImplemented
    return call(method, (obj, other), {})


def apply_unary(name: str, a: Any) -> Any:
    """A unary operator."""
    if type(a) is Choice:
        return unary(apply_unary, name, a)
    method = getattr(type(a), f"__{name}__", None)
    if isinstance(method, types.FunctionType) and not is_box(a):
        return call(method, (a,), {})
    return getattr(operator, name)(a)


def apply_in_place(trace: Trace, name: str, a: Any, b: Any) -> Any:
    """`a op= b`: the new value of the variable."""
    if type(a) is Choice or type(b) is Choice:
        return binary(lambda name, a, b: apply_in_place(trace, name, a, b), name, a, b)
    plain = name.rstrip("_")
    if is_growing(a) or (type(a) is list and is_growing(b)):
        return lists.add_in_place(trace, name, a, b)
    if isinstance(a, np.ndarray) and is_box(b):
        refuse_array(trace)
    if isinstance(a, (list, dict, set)):
        before_change(trace, a)
    method = getattr(type(a), f"__i{plain}__", None)
    if method is None:
        return apply(name, a, b)
    if isinstance(method, types.FunctionType) and not is_box(a):
        return call(method, (a, b), {})
    return getattr(operator, f"i{plain}")(a, b)


# --- as functions ----------------------------------------------------------------------------------------------------


def _getattr(obj: Any, name: str, *default: Any) -> Any:
    try:
        return attribute(obj, name)
    except AttributeError:
        if default:
            return default[0]
        raise


def _setattr(obj: Any, name: str, value: Any) -> None:
    store_attribute(current(), obj, name, value)


def _delattr(obj: Any, name: str) -> None:
    delete_attribute(current(), obj, name)


def _hasattr(obj: Any, name: str) -> Any:
    if not is_box(obj):
        trace = current()
        path = None if trace.eager else trace.captures.path_of(obj)
        if path is not None and isinstance(name, str) and not trace.captures.outside.holds(obj, name):
            trace.captures.guard(path, "has" if hasattr(obj, name) else "lacks", name)
        return PASS
    try:
        _of_box(obj, name)
    except UnsupportedError:
        return True
    except AttributeError:
        return False
    return True


def _getitem(obj: Any, index: Any) -> Any:
    return item(obj, index)


def _operator(name: str) -> Callable[..., Any]:
    def rule(a: Any, b: Any) -> Any:
        return apply(name, a, b)

    return rule


_RULES: dict[Any, Any] = {getattr: _getattr, setattr: _setattr, delattr: _delattr, hasattr: _hasattr, operator.getitem: _getitem}
SPECIAL.update(_RULES)
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "lt", "le", "gt", "ge", "eq", "ne"):
    SPECIAL[getattr(operator, _name)] = _operator(_name)
