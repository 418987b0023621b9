"""What a variable holds that is one of several Python values of different kinds, chosen at run time: `None` or a number, one of
two strings, one of two functions.

A `Choice` is a number, the code, and what the value is for each code; parts that are absent are fillers. What tests say about
a code holds where they dominate: there a choice may be known to be one value.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.context import Trace, current
from wengert.frontend.scalars import Scalar
from wengert.ir.core import Value

MAX_OPTIONS: Final = 8
FACTS: Final = ("what is known of choices",)
Facts = tuple[tuple[Value, frozenset[int]], ...]

_PLAIN = (str, bytes, bool, int, float, type, enum.Enum, np.generic, np.ndarray, np.dtype, np.ufunc, type(Ellipsis))
_CALLABLE = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, type(np.dot))


def may_be_option(obj: Any) -> bool:
    """Whether a known object may be one of the values of a choice."""
    return isinstance(obj, (*_PLAIN, *_CALLABLE))


def _refuse(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
    raise StagingError(
        "a value that may be of different kinds is used in a way that cannot be staged",
        current().span,
        found=describe(self),
        fix="give it values of one kind only, or test it with `is None`, `==` or isinstance before",
    )


class Choice:
    """One of several Python values.

    Attributes:
        code: which one it is: a traced int.
        options: what it is, by code.
    """

    def __init__(self, code: Any, options: tuple[Any, ...]) -> None:
        self.code = code
        self.options = options

    __bool__ = __hash__ = __iter__ = __len__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __call__ = __getitem__ = __setitem__ = __contains__ = __float__ = __int__ = __index__ = __array__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = _refuse
    __neg__ = __pos__ = __abs__ = __invert__ = __str__ = __format__ = _refuse
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _refuse

    def __repr__(self) -> str:
        return describe(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _refuse(self)


def describe(choice: Choice) -> str:
    """What a choice may be, in words."""
    return " or ".join(kind_of(o) for o in choice.options)


def kind_of(obj: Any) -> str:
    """What messages call one of the values of a choice."""
    if obj is None or isinstance(obj, (str, int, float)):
        return repr(obj)
    return getattr(obj, "__name__", "") or type(obj).__name__


def is_choice(obj: Any) -> bool:
    """Whether `obj` is a choice."""
    return type(obj) is Choice


def any_choice(objects: Iterable[Any]) -> bool:
    """Whether a choice is among `objects`."""
    return any(type(x) is Choice for x in objects)


# --- what is known ---------------------------------------------------------------------------------------------------


def facts(trace: Trace) -> Facts:
    """What is known of codes here."""
    found: Facts = trace.extra.get("facts", ())
    return found


def assume(trace: Trace, test: Value, outcome: bool) -> None:
    """From here on, `test` is known to be `outcome`."""
    new = implied(trace, test)[0 if outcome else 1]
    if new:
        trace.journal.write(
            FACTS, trace, lambda: facts(trace), lambda value: trace.extra.__setitem__("facts", value), (*facts(trace), *new)
        )


def implied(trace: Trace, test: Value) -> tuple[Facts, Facts]:
    """What is known of codes where `test` holds, and where it does not."""
    found: tuple[Facts, Facts] = trace.extra.setdefault("implied", {}).get(test, ((), ()))
    return found


def note_test(trace: Trace, test: Value, if_true: Facts, if_false: Facts) -> None:
    """Keep what the outcomes of a test tell about codes."""
    if if_true or if_false:
        known = implied(trace, test)
        trace.extra["implied"][test] = ((*known[0], *if_true), (*known[1], *if_false))


def possible(choice: Choice, known: Facts | None = None) -> list[int]:
    """The codes that the choice may have here, or where `known` holds."""
    if not isinstance(choice.code, Scalar):
        return [int(choice.code)]
    codes = set(range(len(choice.options)))
    for value, allowed in facts(current()) if known is None else known:
        if value is choice.code.value:
            codes &= allowed
    return sorted(codes)


def narrowed(obj: Any, known: Facts | None = None) -> Any:
    """`obj`, or what it is if it is a choice of which the value is known here, or where `known` holds."""
    while type(obj) is Choice:
        codes = possible(obj, known)
        if len(codes) != 1:
            return obj
        obj = obj.options[codes[0]]
    return obj


def is_one_of(choice: Choice, codes: Iterable[int]) -> bool | Value:
    """Whether the code is among `codes`: a bool where it is known, else a test."""
    wanted, may_be = set(codes), possible(choice)
    if wanted.issuperset(may_be):
        return True
    hit = sorted(wanted.intersection(may_be))
    if not hit:
        return False
    trace, value = current(), choice.code.value
    b = trace.builder
    few = len(hit) * 2 <= len(may_be)
    listed = hit if few else [k for k in may_be if k not in wanted]
    test = b.eq(value, b.const(listed[0]))
    for k in listed[1:]:
        test = getattr(b, "or")(test, b.eq(value, b.const(k)))
    if not few:
        test = getattr(b, "not")(test)
    rest = frozenset(k for k in may_be if k not in wanted)
    note_test(trace, test, ((value, frozenset(hit)),), ((value, rest),))
    return test


def note_not(trace: Trace, test: Value, negated: Value) -> None:
    """`negated` is `not test`."""
    if_true, if_false = implied(trace, test)
    note_test(trace, negated, if_false, if_true)


def recode(choice: Choice, mapping: Callable[[int], int]) -> Any:
    """The code of a choice among other options, given the new number of each."""
    if not isinstance(choice.code, Scalar):
        return mapping(int(choice.code))
    numbers = [mapping(k) for k in range(len(choice.options))]
    if numbers == list(range(len(numbers))):
        return choice.code
    b = current().builder
    made = b.const(numbers[-1])
    for k in range(len(numbers) - 2, -1, -1):
        made = b.select(b.eq(choice.code.value, b.const(k)), b.const(numbers[k]), made)
    return Scalar(made)
