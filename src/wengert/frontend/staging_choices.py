"""What happens to a value of several kinds: every use of it is a branch over what it may be.

What one of the kinds does not allow raises, at run time, the exception that Python raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import is_box, type_name
from wengert.frontend.choices import Choice, describe, is_one_of, narrowed, note_test, possible
from wengert.frontend.context import current
from wengert.frontend.references import common_length, is_choice_of_references
from wengert.frontend.registry import OPERATORS
from wengert.frontend.scalars import Scalar
from wengert.frontend.staging import choose, decide
from wengert.frontend.staging_failures import is_ours
from wengert.frontend.staging_iter import StagedSequence
from wengert.frontend.staging_state import ArmEnded
from wengert.frontend.text import failure_of
from wengert.ir.core import Value
from wengert.tree import flatten

Use = Callable[..., Any]

_SYMBOLS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "pow": "** or pow()",
    "matmul": "@",
    "and_": "&",
    "or_": "|",
    "xor": "^",
    "lshift": "<<",
    "rshift": ">>",
}
_ORDERS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_UNARY = {"neg": "-", "pos": "+", "invert": "~"}


def dispatch(choice: Any, use: Use) -> Any:
    """`use(x)` for whichever `x` the choice is: a branch for each, unless it is known."""
    choice = narrowed(choice)
    if type(choice) is not Choice:
        return use(choice)
    if not possible(choice):  # what is known of choices contradicts itself: no run comes here
        raise ArmEnded(failure_of(AssertionError("unreachable")))
    first = possible(choice)[0]
    test = is_one_of(choice, [first])
    assert isinstance(test, Value)
    arms = partial(_attempted, use, choice.options[first]), partial(_others, choice, use)
    return choose(Scalar(test), *arms)


def _others(choice: Choice, use: Use) -> Any:
    found = narrowed(choice)
    return dispatch(found, use) if type(found) is Choice else _attempted(use, found)


def _attempted(use: Use, option: Any) -> Any:
    """`use(option)` in an arm: an exception of Python's is one of the run, not of staging."""
    try:
        return dispatch(option, use) if type(option) is Choice else use(option)
    except Exception as error:
        if is_ours(error):
            raise
        _refuse_unset(error)
        raise ArmEnded(failure_of(error)) from error


def _refuse_unset(error: Exception) -> None:
    """Refuse if a function reads a variable around it that a branch may have set: staging does not know whether it has."""
    trace = current()
    found = re.match(r"cannot access free variable '(\w+)'", str(error)) if isinstance(error, NameError) else None
    if found is not None and found[1] in trace.extra.get("maybe_unset", ()):
        raise StagingError(f"{found[1]!r} may be undefined here, and a nested function reads it", trace.span) from error


def spread(use: Use, *values: Any) -> Any:
    """`use(*values)`, a branch for each thing that the choices among the values may be."""
    for k, value in enumerate(values):
        if type(value) is Choice:
            return dispatch(value, lambda x, k=k: spread(use, *values[:k], x, *values[k + 1 :]))
    return use(*values)


def ask(use: Use, *values: Any) -> Any:
    """`use(*values)` for a question: what it is for each thing that a choice may be tells which of these it is, too."""
    position = next((k for k, value in enumerate(values) if type(narrowed(value)) is Choice), None)
    values = tuple(narrowed(v) for v in values)
    if position is None:
        return use(*values)
    choice = values[position]

    def asked(x: Any) -> Any:
        return ask(use, *values[:position], x, *values[position + 1 :])

    codes = possible(choice)
    others = [v for k, v in enumerate(values) if k != position]
    if not any(_is_traced(choice.options[k]) for k in codes) and not any(map(_is_traced, others)):
        answers = {k: asked(choice.options[k]) for k in codes}
        if all(isinstance(a, bool | np.bool_) for a in answers.values()):
            found = is_one_of(choice, [k for k in codes if answers[k]])
            return found if isinstance(found, bool) else Scalar(found)
    seen: dict[int, Any] = {}

    def noted(x: Any) -> Any:
        answer = asked(x)
        seen[id(x)] = answer
        return answer

    found = dispatch(choice, noted)
    if isinstance(found, Scalar):
        never = {k: seen.get(id(choice.options[k])) for k in codes}
        true, false = (frozenset(k for k in codes if never[k] is not wrong) for wrong in (False, True))
        code = choice.code.value
        note_test(current(), found.value, ((code, true),), ((code, false),))
    return found


def _is_traced(obj: Any) -> bool:
    return type(obj) is Choice or any(is_box(leaf) for leaf in flatten(obj)[0])


def truth_of(choice: Choice) -> bool | Value:
    """`bool(x)`."""
    return decide(ask(_truth, choice))


def _truth(x: Any) -> Any:
    known = decide(x)
    return known if isinstance(known, bool) else Scalar(known)


OPERATORS["truth of a choice"] = truth_of


def compare(plain: Use, name: str, a: Any, b: Any) -> Any:
    """A comparison, `is` or `in` with choices among the operands; `plain` compares what is none."""
    if name in ("is", "is not", "in", "not in"):
        return ask(partial(plain, name), a, b)
    return ask(partial(_operate, plain, name), a, b)


def binary(plain: Use, name: str, a: Any, b: Any) -> Any:
    """A binary operator."""
    return spread(partial(_operate, plain, name), a, b)


def unary(plain: Use, name: str, a: Any) -> Any:
    """A unary operator."""

    def use(x: Any) -> Any:
        if x is None or isinstance(x, str):
            raise TypeError(f"bad operand type for unary {_UNARY.get(name, name)}: {type(x).__name__!r}")
        return plain(name, x)

    return dispatch(a, use)


def _operate(plain: Use, name: str, a: Any, b: Any) -> Any:
    """A binary operator on plain values: the errors of Python for operands that are no numbers."""
    for x, other in ((a, b), (b, a)):
        if not (x is None or isinstance(x, str)) or not (is_box(other) or x is None):
            continue
        if isinstance(other, Array) and name in ("eq", "ne"):
            break
        if name in ("eq", "ne"):
            return plain(name, a, b) if not is_box(other) else name == "ne"
        if name in _ORDERS:
            kinds = f"{type_name(a)!r} and {type_name(b)!r}"
            raise TypeError(f"{_ORDERS[name]!r} not supported between instances of {kinds}")
        symbol = _SYMBOLS.get(name)
        if symbol is not None and (x is None or name not in ("mul", "mod")):
            raise TypeError(f"unsupported operand type(s) for {symbol}: {type_name(a)!r} and {type_name(b)!r}")
    return plain(name, a, b)


def iterable_of(choice: Choice) -> Any:
    """What is iterated over: the one thing that the choice may be which can be."""
    if is_choice_of_references(narrowed(choice)) and common_length(choice) is not None:
        return StagedChosen(choice)
    ways = [k for k in possible(choice) if _can_iterate(choice.options[k])]
    if len(ways) > 1:
        raise StagingError("what is iterated over may be of different kinds", current().span, found=describe(choice))

    def use(x: Any) -> Any:
        if not _can_iterate(x):
            raise TypeError(f"{type_name(x)!r} object is not iterable")
        return x

    return dispatch(choice, use)


class StagedChosen(StagedSequence):
    """The items of one of several lists, read when it is their turn."""

    __slots__ = ("choice", "size")

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self.size = common_length(choice)

    @property
    def length(self) -> Any:
        """That of all the lists."""
        return self.size

    def item(self, position: Any) -> Any:
        """One item."""
        if common_length(self.choice) != self.size:
            raise StagingError("a list chosen at run time changes its length while a loop runs over it", current().span)
        return OPERATORS["list item"](self.choice, position)


def _can_iterate(obj: Any) -> bool:
    if isinstance(obj, Array):
        return bool(obj.dims)
    return not is_box(obj) and (hasattr(type(obj), "__iter__") or hasattr(type(obj), "__getitem__"))


def call_with(plain: Use, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of a function that knows nothing of choices: one for each thing that they may be."""
    names, count = list(kwargs), len(args)

    def use(*values: Any) -> Any:
        given = dict(zip(names, values[count:], strict=True))
        if any(v is None for v in values):
            _refuse_none(fn)
        return plain(fn, values[:count], given)

    if fn in (enumerate, zip, reversed):
        args = tuple(iterable_of(a) if is_choice_of_references(narrowed(a)) else a for a in args)
        if not any(type(x) is Choice for x in (*args, *kwargs.values())):
            return plain(fn, args, kwargs)
    wrapped = (*args, *kwargs.values())
    return ask(use, *wrapped) if fn in (isinstance, callable, bool) else spread(use, *wrapped)


def _refuse_none(fn: Any) -> None:
    """A mathematical function of None raises, as it does in Python."""
    if getattr(fn, "__module__", None) == "math":
        raise TypeError("must be real number, not NoneType")
    if fn in (float, int):
        raise TypeError(f"{fn.__name__}() argument must be a string or a real number, not 'NoneType'")
    if fn is abs:
        raise TypeError("bad operand type for abs(): 'NoneType'")
