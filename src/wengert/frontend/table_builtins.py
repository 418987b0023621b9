"""Handlers of Python's builtins and of `operator`: what they do on boxes.

Builtins that only pass references around (`list`, `zip`, `getattr`, ...) are registered to pass: the real function is right.
"""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import numpy as np

from wengert.errors import GradientCutError, StagingError
from wengert.frontend.arithmetic import as_number, item, stop_gradient_of
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import any_box, box, is_box, is_python_number, lift, promote, result, type_name
from wengert.frontend.context import current
from wengert.frontend.elementwise import select
from wengert.frontend.emit import builder, fail, logical_and, logical_or, to_dtype, unsupported
from wengert.frontend.python_numbers import to_int, truth, wrap
from wengert.frontend.references import may_be_one, note_wanted
from wengert.frontend.registry import OPERATORS, PASS, handle, register
from wengert.frontend.scalars import Scalar, kinds_of, type_of
from wengert.frontend.shapes import python_shape, static_int
from wengert.frontend.table_numpy import rounded
from wengert.frontend.text_inputs import InputText
from wengert.ir.core import Value
from wengert.tree import map_leaves
from wengert.types import F64, I64

# --- conversions -----------------------------------------------------------------------------------------------------


@register(float)
def to_float(x: Any = 0.0, /) -> Any:
    """`float(x)`."""
    if isinstance(x, InputText):
        raise GradientCutError(
            "a number that depends on an input is read back from text here, and its gradient lost",
            current().span,
            fix="use the number itself, or make the text of wg.stop_gradient(...) of it",
        )
    return wrap(to_dtype(lift(as_number(x)), F64)) if is_box(x) else PASS


@register(int)
def to_integer(x: Any = 0, /, *base: Any) -> Any:
    """`int(x)`: truncates; inf and nan raise."""
    return wrap(to_int(lift(as_number(x)))) if is_box(x) else PASS


@register(bool)
def to_bool(x: Any = False, /) -> Any:
    """`bool(x)`."""
    if not is_box(x):
        return PASS
    if isinstance(x, Array) and any(d != 1 for d in x.dims):
        fail(ValueError, "The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()")
    return wrap(truth(item(x)))


@register(complex)
def to_complex(*parts: Any) -> Any:
    """`complex(x)` is refused."""
    return unsupported("complex numbers are not supported") if any_box(parts) else PASS


# --- numbers ---------------------------------------------------------------------------------------------------------


@register(abs)
def absolute(x: Any, /) -> Any:
    """`abs(x)`."""
    return OPERATORS["abs"](x) if is_box(x) else PASS


@register(round)
def round_number(number: Any, ndigits: Any = None) -> Any:
    """`round(x)`: an int, or with digits a float."""
    if not any_box(number, ndigits):
        return PASS
    if isinstance(number, Array):
        fail(TypeError, "type numpy.ndarray doesn't define __round__ method")
    value = lift(number)
    if not value.is_float:
        return wrap(to_dtype(value, I64))
    if ndigits is None:
        return wrap(to_int(builder().round(value)))
    return box(rounded(value, static_int(ndigits, "the number of digits")), numpy=not is_python_number(number))


@register(pow)
def power(base: Any, exp: Any, mod: Any = None) -> Any:
    """`pow(x, y)`."""
    if not any_box(base, exp, mod):
        return PASS
    return base**exp if mod is None else base**exp % mod


@register(divmod)
def divide(x: Any, y: Any, /) -> Any:
    """`divmod(x, y)`."""
    return OPERATORS["divmod"](x, y) if any_box(x, y) else PASS


@register(float.is_integer)
def is_integer(x: Any) -> Any:
    """`x.is_integer()`."""
    if not is_box(x):
        return PASS
    value = lift(x)
    b = builder()
    if not value.is_float:
        return True
    return wrap(logical_and(b.isfinite(value), b.eq(b.floor(value), value)))


# --- folds -----------------------------------------------------------------------------------------------------------


@register(builtins.sum)
def total(iterable: Iterable[Any], /, start: Any = 0) -> Any:
    """`sum(...)`: of an array along its first axis, of other iterables from left to right."""
    if isinstance(iterable, Array):
        added = handle(np.sum, iterable, axis=0)
        return added if not is_box(start) and start == 0 else start + added
    items = list(iterable)
    if not any_box(items, start):
        return builtins.sum(items, start)
    found = start
    for element in items:
        found = found + element
    return found


def _extremum(function: Callable[..., Any], compare: str, reduction: Any) -> None:
    def handler(*args: Any, **options: Any) -> Any:
        if options.get("key") is not None:
            return PASS
        if len(args) == 1 and isinstance(args[0], Array):
            return _array_extremum(args[0], reduction)
        items = list(args[0]) if len(args) == 1 else list(args)
        if not any_box(items):
            return function(items, **options)
        best = items[0]
        for element in items[1:]:
            best = _better(compare, element, best)
        return best

    register(function)(handler)


def _array_extremum(x: Array, reduction: Any) -> Any:
    if x.ndim != 1:
        fail(ValueError, "The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()")
    return handle(reduction, x)


def _better(compare: str, new: Any, best: Any) -> Any:
    """The one that Python's `max` or `min` keeps: the earlier one unless the later one is strictly better."""
    wins = OPERATORS[compare](new, best) if is_box(new) or is_box(best) else getattr(operator, compare)(new, best)
    if isinstance(wins, bool | np.bool_):
        return new if wins else best
    if isinstance(wins, Array) and wins.dims:
        fail(ValueError, "The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()")
    return choose(lift(wins), new, best)


def choose(condition: Value, x: Any, y: Any) -> Any:
    """`x if condition else y` of two numbers, as one op."""
    if not (is_python_number(x) and is_python_number(y)):
        return select(result(condition), x, y)
    dtype = promote(x, y)
    return wrap(builder().select(condition, to_dtype(lift(x), dtype), to_dtype(lift(y), dtype)))


_extremum(max, "gt", np.max)
_extremum(min, "lt", np.min)


def _quantifier(function: Callable[..., Any], decisive: bool, combine: Callable[[Value, Value], Value], reduction: Any) -> None:
    def handler(iterable: Iterable[Any], /) -> Any:
        if isinstance(iterable, Array) and iterable.ndim == 1:
            return wrap(lift(handle(reduction, iterable)))
        found: Value | None = None
        for element in iterable:
            if not is_box(element):
                if bool(element) is decisive:
                    return decisive
                continue
            value = lift(handle(bool, element))
            found = value if found is None else combine(found, value)
        return (not decisive) if found is None else wrap(found)

    register(function)(handler)


_quantifier(any, True, logical_or, np.any)
_quantifier(all, False, logical_and, np.all)


# --- questions -------------------------------------------------------------------------------------------------------


@register(len)
def length(x: Any, /) -> Any:
    """`len(x)`: traced where the size is symbolic."""
    if isinstance(x, Scalar):
        fail(TypeError, f"object of type '{type_name(x)}' has no len()")
    return python_shape((x.length,))[0] if isinstance(x, Array) else PASS


@register(isinstance)
def is_instance(x: Any, kinds: Any, /) -> Any:
    """`isinstance(x, kinds)`, by what `x` stands for."""
    if not is_box(x):
        return PASS
    if not isinstance(x, Scalar) or x.kinds is None:
        return issubclass(python_type(x), kinds)
    answers = {issubclass(kind, kinds) for kind in x.kinds}
    return answers.pop() if len(answers) == 1 else _refuse_kinds(x)


@register(type)
def type_handler(*args: Any) -> Any:
    """`type(x)`: the type of what `x` stands for."""
    if len(args) != 1 or not is_box(args[0]):
        return PASS
    x = args[0]
    return _refuse_kinds(x) if isinstance(x, Scalar) and x.kinds is not None else python_type(x)


def is_same_object(a: Any, b: Any) -> Any:
    """`a is b`: there is one True and one False in Python, so a traced bool of Python's is what it is equal to."""
    for constant, traced in ((a, b), (b, a)):
        if not isinstance(constant, bool) or type(traced) is not Scalar or bool not in kinds_of(traced):
            continue
        if traced.kinds is not None:
            _refuse_kinds(traced)
        return traced if constant else traced ^ True
    if a is not b and type(a) is type(b) and not current().eager and may_be_one(a, b):
        note_wanted(current())
        what = f"whether two objects of the class {type(a).__name__} are one and the same is not known while staging"
        raise StagingError(what, current().span, fix="compare numbers or texts that tell them apart")
    return a is b


def python_type(x: Scalar | Array) -> type:
    """The class of the object that a box stands for."""
    return type_of(x) if isinstance(x, Scalar) else np.ndarray


def _refuse_kinds(x: Scalar) -> NoReturn:
    raise StagingError(
        "Python needs the class of a number, which data decides on",
        current().span,
        found=" or ".join(sorted(kind.__name__ for kind in x.kinds or ())),
        fix="give it numbers of one class in all branches, and before loops: 0.0 in place of 0",
    )


def stop_gradient(tree: Any) -> Any:
    """The same containers and values with derivative zero.

    Args:
        tree: a box, or containers of boxes and other leaves, which stay as they are.
    """
    return stop_gradient_of(tree) if is_box(tree) else map_leaves(stop_gradient_of, tree)


_CONVERSIONS: dict[str, Callable[..., Any]] = {
    "__float__": float,
    "__int__": int,
    "__bool__": bool,
    "__round__": round,
    "__abs__": abs,
    "__trunc__": math.trunc,
    "__floor__": math.floor,
    "__ceil__": math.ceil,
    "__divmod__": divmod,
    "__len__": len,
}


def special_method(name: str, owner: Any, *others: Any) -> Any:
    """What the special method `name` (`__add__`, `__rsub__`, `__float__`, ...) of a number or array gives, one of them traced."""
    conversion = _CONVERSIONS.get(name)
    if conversion is not None:
        return handle(conversion, owner, *others)
    plain = name.strip("_")
    for candidate in (plain, f"{plain}_"):
        if hasattr(operator, candidate):
            return getattr(operator, candidate)(owner, *others)
    if plain.startswith("r") and len(others) == 1:
        return special_method(f"__{plain[1:]}__", others[0], owner)
    return unsupported(f"{name} of a {type_name(owner)} is not supported on traced values", error=StagingError)


# --- functions that only pass references around ----------------------------------------------------------------------


def _pass(*args: Any, **options: Any) -> Any:
    return PASS


_HARMLESS = (list, tuple, dict, zip, enumerate, reversed, iter, next, id, callable, hasattr, getattr, slice, range)
_OPERATOR = """
    add sub mul truediv floordiv mod pow matmul neg pos abs invert and_ or_ xor lshift rshift lt le gt ge eq ne
    iadd isub imul itruediv ifloordiv imod ipow getitem setitem is_ is_not
"""

for _function in (*_HARMLESS, *[getattr(operator, name) for name in _OPERATOR.split()]):
    register(_function)(_pass)
