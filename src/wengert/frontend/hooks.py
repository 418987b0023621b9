"""The object that converted code calls: one per converted function, with its places, globals and cells.

Each hook sets the user's line and hands over to the module that knows; nothing is decided here.
"""

from __future__ import annotations

import builtins
import sys
import types
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import numpy as np

from wengert.errors import Span, StagingError
from wengert.frontend import generators, lists, loads, patterns, staging, staging_loops, staging_whiles, stores
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import is_box
from wengert.frontend.calls import call
from wengert.frontend.capture_paths import Path
from wengert.frontend.choices import Choice, note_not
from wengert.frontend.comprehensions import comprehension
from wengert.frontend.context import Trace, current
from wengert.frontend.convert import MISSING, ConvertedCode
from wengert.frontend.convert_info import BranchInfo
from wengert.frontend.growing import is_growing
from wengert.frontend.iterators import before_taking
from wengert.frontend.registry import PASS
from wengert.frontend.scalars import Scalar
from wengert.frontend.sequences import compare_items
from wengert.frontend.staging_choices import ask, compare, iterable_of, spread
from wengert.frontend.staging_exceptions import Handler, attempt, kinds_of, raise_again
from wengert.frontend.staging_failures import is_ours
from wengert.frontend.staging_iter import StagedArray, StagedRows, live, staged
from wengert.frontend.staging_managers import manage
from wengert.frontend.staging_state import ArmEnded, bear
from wengert.frontend.table_builtins import is_same_object
from wengert.frontend.text import TracedException, TracedText, failure_of, join_text
from wengert.ir.core import Value


class Hooks:
    """What `__hooks__` is in a converted function."""

    missing = MISSING
    slice = slice

    def __init__(self, fn: types.FunctionType, cells: dict[str, Any], shared: ConvertedCode) -> None:
        self.fn = weakref.ref(fn)
        self.globals = fn.__globals__
        self.cells = cells
        self.spans: tuple[Span, ...] = shared.spans
        self.infos: tuple[BranchInfo, ...] = shared.infos
        self.offences = shared.offences
        self.assertion: Any = None

    def at(self, site: int) -> Trace:
        """The trace, with the user's line set."""
        trace = current()
        trace.builder.span = self.spans[site]
        return trace

    # --- names --------------------------------------------------------------------------------------------------

    def name(self, site: int, name: str) -> Any:
        """A global variable or builtin."""
        trace = self.at(site)
        space = self.globals
        if name in space:
            value = space[name]
            if (trace.eager and type(value) is not np.ndarray) or trace.captures.outside.has_variable(space, name):
                return value
            return trace.captures.load(Path("global", space, name), value)
        found = getattr(builtins, name, MISSING)
        if found is MISSING:
            raise NameError(f"name {name!r} is not defined")
        if not trace.eager:
            trace.captures.guard(Path("constant", space), "absent", name)
        return found

    def free(self, site: int, name: str) -> Any:
        """A variable of a function around this one that has run before the trace."""
        trace, cell = self.at(site), self.cells[name]
        try:
            value = cell.cell_contents
        except ValueError:
            raise NameError(f"cannot access free variable {name!r} where it is not associated with a value") from None
        if trace.captures.outside.has_variable(cell, ""):
            return value
        return trace.captures.load(Path("cell", cell, name), value)

    def default(self, site: int, name: str) -> Any:
        """The default of a parameter that was not given."""
        trace, fn = self.at(site), self.fn()
        assert fn is not None
        code, defaults = fn.__code__, fn.__defaults__ or ()
        names = code.co_varnames[: code.co_argcount]
        place: Any = name
        if name in names:
            place = names.index(name) - (len(names) - len(defaults))
        value = defaults[place] if isinstance(place, int) else (fn.__kwdefaults__ or {})[place]
        return trace.captures.load(Path("default", fn, place), value)

    def touch(self, site: int, name: str, carrier: Any) -> None:
        """A variable of an enclosing function is about to be assigned."""
        stores.touch_cell(self.at(site), name, carrier.__closure__[0])

    def lend(self, site: int, carrier: Any) -> None:
        """Variables of a function that has just been entered, which functions inside of it may assign."""
        trace = self.at(site)
        for cell in carrier.__closure__:
            bear(trace, cell)

    def outside(self, site: int, name: str) -> None:
        """A variable of the module, or of a function that has run before the trace, is about to be assigned."""
        stores.touch_outside(self.at(site), name, self.cells.get(name), self.globals)

    def require_set(self, site: int, name: str, flag: Any) -> None:
        """A variable that may be unset is about to be read."""
        trace = self.at(site)
        known = staging.decide(flag)
        error = UnboundLocalError(f"cannot access local variable {name!r} where it is not associated with a value")
        if known is False:
            if not trace.eager and trace.depth > 0:
                raise ArmEnded(failure_of(error))
            raise error
        if known is not True:
            staging.emit_check(trace.builder, known, failure_of(error))

    def read_set(self, site: int, name: str, flag: Any, read: Callable[[], Any]) -> Any:
        """A variable that may be unset, read in a part of an expression that need not run."""
        self.require_set(site, name, flag)
        return read()

    # --- operators ----------------------------------------------------------------------------------------------

    def binary(self, site: int, name: str, a: Any, b: Any) -> Any:
        """`a + b` and the like."""
        current().builder.span = self.spans[site]
        return loads.apply(name, a, b)

    def unary(self, site: int, name: str, a: Any) -> Any:
        """`-a` and the like."""
        current().builder.span = self.spans[site]
        return loads.apply_unary(name, a)

    def compare(self, site: int, name: str, a: Any, b: Any) -> Any:
        """`a < b`, `a in b` and the like."""
        self.at(site)
        return compare(_compared, name, a, b) if type(a) is Choice or type(b) is Choice else _compared(name, a, b)

    def chain(self, site: int, names: tuple[str, ...], a: Any, b: Any, *rest: Callable[[], Any]) -> Any:
        """`a < b < c`."""
        first = self.compare(site, names[0], a, b)
        if not rest:
            return first
        return staging.conjunction(first, [lambda: self.chain(site, names[1:], b, rest[0](), *rest[1:])])

    def not_(self, site: int, a: Any) -> Any:
        """`not a`."""
        self.at(site)
        return _negated(a)

    def and_(self, site: int, first: Any, *rest: Callable[[], Any]) -> Any:
        """`first and ...`."""
        self.at(site)
        return staging.conjunction(first, rest)

    def or_(self, site: int, first: Any, *rest: Callable[[], Any]) -> Any:
        """`first or ...`."""
        self.at(site)
        return staging.disjunction(first, rest)

    def choose(self, site: int, test: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        """`then() if test else otherwise()`."""
        self.at(site)
        return staging.choose(test, then, otherwise)

    # --- calls, attributes, items -------------------------------------------------------------------------------

    def call(self, site: int, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """`fn(*args, **kwargs)`."""
        trace = self.at(site)
        found = call(fn, args, kwargs)
        trace.builder.span = self.spans[site]
        return bear(trace, found) if hasattr(type(found), "__next__") else found

    def attribute(self, site: int, obj: Any, name: str) -> Any:
        """`obj.name`."""
        self.at(site)
        return loads.attribute(obj, name)

    def item(self, site: int, obj: Any, index: Any) -> Any:
        """`obj[index]`."""
        self.at(site)
        return loads.item(obj, index)

    def set_item(self, site: int, value: Any, obj: Any, index: Any) -> None:
        """`obj[index] = value`."""
        loads.store_item(self.at(site), obj, index, value)

    def set_attribute(self, site: int, value: Any, obj: Any, name: str) -> None:
        """`obj.name = value`."""
        loads.store_attribute(self.at(site), obj, name, value)

    def delete_item(self, site: int, obj: Any, index: Any) -> None:
        """`del obj[index]`."""
        trace = self.at(site)
        if is_growing(obj) or lists.is_traced_index(obj, index):
            lists.delete_item(trace, obj, index)
        else:
            stores.delete_item(trace, obj, index)

    def delete_attribute(self, site: int, obj: Any, name: str) -> None:
        """`del obj.name`."""
        stores.delete_attribute(self.at(site), obj, name)

    def augment(self, site: int, name: str, old: Any, operand: Any) -> Any:
        """`x += operand` for a variable: its new value."""
        return loads.apply_in_place(self.at(site), name, old, operand)

    def load_item(self, site: int, obj: Any, index: Any) -> tuple[Any, Any, Any]:
        """What `obj[index] += ...` starts with."""
        self.at(site)
        return obj, index, loads.item(obj, index)

    def augment_item(self, site: int, name: str, obj: Any, index: Any, old: Any, operand: Any) -> None:
        """`obj[index] += operand`."""
        trace = self.at(site)
        new = loads.apply_in_place(trace, name, old, operand)
        if new is old and isinstance(new, Array) and new.parent is not None and isinstance(obj, Array) and new.root is obj.root:
            return  # written in place through the view
        loads.store_item(trace, obj, index, new)

    def load_attribute(self, site: int, obj: Any, name: str) -> tuple[Any, str, Any]:
        """What `obj.name += ...` starts with."""
        self.at(site)
        return obj, name, loads.attribute(obj, name)

    def augment_attribute(self, site: int, operation: str, obj: Any, name: str, old: Any, operand: Any) -> None:
        """`obj.name += operand`."""
        trace = self.at(site)
        loads.store_attribute(trace, obj, name, loads.apply_in_place(trace, operation, old, operand))

    def fresh(self, site: int, container: Any) -> Any:
        """A list, dict or set that was just made."""
        return bear(current(), container)

    def unpack(self, site: int, value: Any) -> Any:
        """The right-hand side of `a, b = value`."""
        return self.iterated(site, value)

    def spread(self, site: int, value: Any) -> Any:
        """`*value` in a call or display."""
        return self.iterated(site, value)

    def paired(self, site: int, push: Any, loops: bool) -> Any:
        """A decorator that gives a generator function its form that takes a consumer."""

        def pair(fn: Any) -> Any:
            fn.__wengert_push__, push.__wengert_loops__ = push, loops
            return fn

        return pair

    def generator(self, site: int, info: int, first: Any, levels: Any, element: Any, pull: Any) -> Any:
        """A generator expression."""
        trace = self.at(site)
        if trace.eager:
            return pull(first)
        if hasattr(type(first), "__next__"):
            before_taking(trace, first)
        listed = tuple((self.infos[number], *rest) for number, *rest in levels)
        return bear(trace, generators.expression(self.infos[info], first, listed, element, pull))

    def listed(self, site: int, info: int, first: Any, levels: Any, element: Any, pull: Any) -> Any:
        """A list comprehension."""
        trace = self.at(site)
        if hasattr(type(first), "__next__"):
            before_taking(trace, first)
        listed = tuple((self.infos[number], *rest) for number, *rest in levels)
        return comprehension(self.infos[info], first, listed, element, pull)

    def iterate(self, site: int, iterable: Any) -> Any:
        """What Python itself is to iterate over while it runs the user's code between the items."""
        return live(self.iterated(site, iterable))

    def iterated(self, site: int, iterable: Any, by_python: bool = True) -> Any:
        """What is to be iterated over."""
        trace = self.at(site)
        if type(iterable) is Choice:
            iterable = iterable_of(iterable)
        if hasattr(type(iterable), "__next__"):
            before_taking(trace, iterable)
        if isinstance(iterable, Array) and iterable.dims:
            return StagedArray(iterable)
        if is_growing(iterable):
            return StagedRows(iterable)
        method = getattr(type(iterable), "__iter__", None)
        if isinstance(method, types.FunctionType) and not type(iterable).__module__.startswith("wengert."):
            iterable = call(method, (iterable,), {})
        return generators.pulled(iterable) if by_python and generators.has_own_next(iterable) else iterable

    def sum(
        self, site: int, info: int, fn: Any, iterable: Any, takes_tuple: bool, element: Any, *conditions: Callable[..., Any]
    ) -> Any:
        """`sum(element(item) for item in iterable if conditions(item))`."""
        trace = self.at(site)
        iterable = self.iterated(site, iterable)
        sequence = staged(iterable)
        spread = _spread if takes_tuple else _single
        if fn is not builtins.sum or (sequence is None and generators.pushes(iterable)):
            levels = ((self.infos[info], None, takes_tuple, conditions),)
            rows = partial(_rows, spread, element, conditions)
            made = generators.expression(self.infos[info + 1], iterable, levels, element, rows)
            return self.call(site, fn, bear(trace, made) if not trace.eager else made.pull())
        if sequence is None:
            return self.call(site, fn, bear(trace, _rows(spread, element, conditions, iterable)))
        total: Any = 0

        def carrier() -> Any:
            return total

        def add(row: tuple[Any, ...]) -> None:
            nonlocal total
            total = loads.apply("add", total, element(*row))

        def body(item: Any) -> None:
            row = spread(item)
            test = staging.conjunction(True, [partial(c, *row) for c in conditions])
            staging.branch(self.infos[info + 1], test, partial(add, row), None, carrier)

        staging_loops.loop(self.infos[info], sequence, body, carrier)
        return total

    # --- text ---------------------------------------------------------------------------------------------------

    def text(self, site: int, *parts: Any) -> Any:
        """An f-string."""
        self.at(site)
        listed = [part[0] if isinstance(part, tuple) else part for part in parts]
        if not any(type(x) is Choice for x in listed):
            return join_text(*parts)
        rest = [part[1:] if isinstance(part, tuple) else None for part in parts]
        return spread(lambda *xs: join_text(*[x if r is None else (x, *r) for x, r in zip(xs, rest)]), *listed)

    # --- statements ---------------------------------------------------------------------------------------------

    def pattern(self, site: int, question: str, *args: Any) -> Any:
        """A question that a pattern of `match` asks."""
        self.at(site)
        asked = getattr(patterns, question)
        if args and type(args[0]) is Choice:
            return (ask if question.startswith("is_") else spread)(lambda x: asked(x, *args[1:]), args[0])
        return asked(*args)

    def attempt(self, site: int, info: int, body: Any, clauses: Any, orelse: Any, final: Any, carrier: Any) -> None:
        """`try`."""
        self.at(site)
        handlers = [
            Handler((BaseException,) if kinds is None else kinds_of(kinds()), run, looks) for kinds, run, looks in clauses
        ]
        attempt(self.infos[info], body, handlers, orelse, final, carrier)

    def manage(self, site: int, info: int, manager: Any, body: Any, carrier: Any) -> None:
        """`with`."""
        self.at(site)
        manage(self.infos[info], manager, body, carrier)

    def raise_again(self, site: int) -> None:
        """A bare `raise`."""
        self.at(site)
        raise_again()

    def genuine(self, site: int) -> None:
        """The start of a handler in code that Python runs: what is not the user's to handle goes on."""
        error = sys.exc_info()[1]
        if error is not None and is_ours(error):
            raise error

    def branch(self, site: int, info: int, test: Any, then: Any, otherwise: Any, carrier: Any) -> None:
        """`if`."""
        self.at(site)
        staging.branch(self.infos[info], test, then, otherwise, carrier)

    def loop(self, site: int, info: int, iterable: Any, body: Any, carrier: Any) -> None:
        """`for`."""
        self.at(site)
        generators.loop(self.infos[info], self.iterated(site, iterable, False), body, carrier)

    def repeat(self, site: int, info: int, test: Any, body: Any, carrier: Any) -> None:
        """`while`."""
        self.at(site)
        staging_whiles.repeat(self.infos[info], test, body, carrier)

    def exception(self, site: int, exc: Any) -> Any:
        """What `raise` is to raise; in a branch that may not be taken, a check is left instead."""
        trace = self.at(site)
        if not trace.eager and trace.depth > 0:
            failure = failure_of(exc)
            failure.span = trace.span
            raise ArmEnded(failure)
        if isinstance(exc, TracedException):
            raise StagingError(f"this always raises {exc.cls.__name__}, with a message made of traced values", trace.span)
        return exc

    def ensure(self, site: int, test: Any, message: Callable[[], Any] | None = None) -> bool:
        """The test of an `assert`."""
        trace = self.at(site)
        known = staging.decide(test)
        if isinstance(known, bool):
            if not known:
                self.assertion = message() if message is not None else None
                if not trace.eager and trace.depth > 0:
                    args = () if message is None else (self.assertion,)
                    raise ArmEnded(failure_of(TracedException(AssertionError, args, {})))
            return known
        if message is None:
            staging.emit_check(trace.builder, known, failure_of(AssertionError))
        else:
            staging.choose(Scalar(known), bool, lambda: _fail(message()))
        return True

    def message(self) -> Any:
        """The message of the assertion that has just failed."""
        found, self.assertion = self.assertion, None
        return str(found) if isinstance(found, TracedText) else found

    def fence(self, site: int, what: str) -> None:
        """A statement that cannot be staged."""
        trace = self.at(site)
        if trace.eager:
            return
        fn = self.fn()
        listed = ", ".join(f"`{name}` in line {span.line}" for name, span in self.offences)
        raise StagingError(
            f"`{what}` cannot be staged",
            trace.span,
            found=f"{listed} of {fn.__qualname__ if fn is not None else 'this function'}",
            fix="move it out of the differentiated function",
        )


def _fail(message: Any) -> NoReturn:
    raise ArmEnded(failure_of(TracedException(AssertionError, (message,), {})))


def _rows(spread: Any, element: Any, conditions: Any, iterable: Any) -> Any:
    rows = map(spread, live(iterable))
    return (element(*row) for row in rows if all(c(*row) for c in conditions))


def _single(item: Any) -> tuple[Any, ...]:
    return (item,)


def _spread(item: Any) -> tuple[Any, ...]:
    return tuple(item)


def _negated(a: Any) -> Any:
    known = staging.decide(a)
    if isinstance(known, bool):
        return not known
    negated = _not(known)
    note_not(current(), known, negated)
    return Scalar(negated)


def _compared(name: str, a: Any, b: Any) -> Any:
    """A comparison."""
    if name == "in":
        return _contains(b, a)
    if name == "not in":
        return _negated(_contains(b, a))
    if name not in ("is", "is not"):
        found = compare_items(name, a, b)
        return loads.apply(name, a, b) if found is PASS else found
    same = is_same_object(a, b)
    return same if name == "is" else _negated(same)


def _not(value: Value) -> Value:
    return getattr(current().builder, "not")(value)


def _contains(container: Any, item: Any) -> Any:
    """`item in container`: with traced numbers on either side, a comparison with each element."""
    if is_growing(container):
        return lists.contains(container, item)
    method = getattr(type(container), "__contains__", None)
    if isinstance(method, types.FunctionType) and not is_box(container):
        return call(method, (container, item), {})
    if isinstance(container, (tuple, list, set, frozenset)) and (is_box(item) or any(map(is_box, container))):
        found: Any = False
        for element in container:
            same = element is item or loads.apply("eq", element, item)
            if same is True:
                return True
            if same is not False:
                found = same if found is False else found | same
        return found
    if isinstance(container, Array) and container.dims:
        return call(np.any, (loads.apply("eq", container, item),), {})
    if isinstance(container, range) and isinstance(item, Scalar):
        return _in_range(container, item)
    return item in container


def _in_range(container: range, item: Scalar) -> Any:
    if not len(container):
        return False
    low, high = min(container[0], container[-1]), max(container[0], container[-1])
    inside = (item >= low) & (item <= high)
    return inside & ((item - low) % abs(container.step) == 0)
