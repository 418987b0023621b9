"""Text with traced numbers in it: made by f-strings, printed or raised at run time."""

from __future__ import annotations

import string
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import holds_box, is_box, lift
from wengert.frontend.context import NeedsPythonValue, current
from wengert.frontend.scalars import Scalar
from wengert.frontend.staging_state import Failure, bear
from wengert.frontend.text_inputs import InputText, joined
from wengert.ir.core import Value
from wengert.tree import flatten, map_leaves

_CONVERSIONS = {-1: "", 115: "!s", 114: "!r", 97: "!a"}


class TracedText:
    """A string that is complete only at run time.

    Attributes:
        parts: pieces of text, and `(box, conversion, format)` for traced numbers.
    """

    __slots__ = ("parts",)

    def __init__(self, parts: list[Any]) -> None:
        self.parts = parts

    def template(self) -> tuple[str, list[Value]]:
        """The text for `str.format`, and the values for it."""
        pieces: list[str] = []
        values: list[Value] = []
        for part in self.parts:
            if isinstance(part, str):
                pieces.append(part.replace("{", "{{").replace("}", "}}"))
                continue
            number, conversion, spec = part
            values.append(lift(number))
            field = "{" + _CONVERSIONS[conversion] + (f":{spec}" if spec else "") + "}"
            scalar_type = f"np.{number.value.tensor.dtype.numpy.name}" if isinstance(number, Scalar) and number.numpy else ""
            pieces.append(f"{scalar_type}({field})" if conversion == 114 and scalar_type else field)
        return "".join(pieces), values

    def __add__(self, other: Any) -> TracedText:
        return TracedText([*self.parts, *parts_of(other)])

    def __radd__(self, other: Any) -> TracedText:
        return TracedText([*parts_of(other), *self.parts])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(str, name):
            raise AttributeError(f"'str' object has no attribute {name!r}")
        raise StagingError(f"str.{name} of text made of traced values is not staged", current().span)

    def __str__(self, *_: Any) -> str:
        number = next(p[0] for p in self.parts if not isinstance(p, str))
        raise NeedsPythonValue(lift(number), "text made of a traced value", current().span)

    __repr__ = __hash__ = __len__ = __iter__ = __str__  # type: ignore[assignment]
    __getitem__ = __contains__ = __mod__ = __mul__ = __eq__ = __ne__ = __lt__ = __str__  # type: ignore[assignment]


def join_text(*parts: Any) -> Any:
    """What an f-string gives: a `str`, or a text to be completed at run time."""
    found: list[Any] = []
    for part in parts:
        if isinstance(part, str | TracedText):
            found += parts_of(part)
        else:
            found += _formatted(*part)
    return _finished(found)


def text_of(obj: Any, conversion: int = 115) -> Any:
    """`str(obj)` or `repr(obj)`."""
    return _finished(_formatted(obj, conversion, ""))


def parts_of(text: Any) -> list[Any]:
    """The pieces of a text."""
    if isinstance(text, TracedText):
        return text.parts
    if isinstance(text, str):
        return [text]
    raise TypeError(f'can only concatenate str (not "{type(text).__name__}") to str')


def _finished(parts: list[Any]) -> Any:
    return joined(parts) if all(isinstance(p, str) for p in parts) else TracedText(parts)


def _formatted(obj: Any, conversion: int, spec: Any) -> list[Any]:
    if isinstance(obj, TracedText):
        return obj.parts
    moves = isinstance(obj, InputText)
    if isinstance(obj, BaseException) and conversion != 114 and len(obj.args) == 1:
        inner = obj.args[0]
        if (is_box(inner) or isinstance(inner, TracedText)) and type(obj).__str__ in (BaseException.__str__, KeyError.__str__):
            return _formatted(inner, 114 if isinstance(obj, KeyError) else conversion, spec)
    if is_box(obj):
        trace = current()
        if not trace.eager:
            return [(obj, conversion, spec)]
        moves = trace.depends_on_input(obj.value)
        known = trace.known(obj.value)
        obj = np.asarray(known)[()] if isinstance(obj, Array) or obj.numpy else known
    elif not spec and isinstance(obj, list | tuple | dict) and type(obj) in (list, tuple, dict):
        return list(_nested(obj))
    if conversion == 114:
        obj = repr(obj)
    elif conversion == 115:
        obj = str(obj)
    elif conversion == 97:
        obj = ascii(obj)
    text = format(obj, spec)
    return [InputText(text) if moves else text]


def percent(template: str, values: Any) -> Any:
    """`template % values` with boxes among the values: in eager mode only."""
    trace = current()
    if not trace.eager:
        raise StagingError("% formatting of traced values is not staged", trace.span, fix="use an f-string")
    leaves = flatten(values)[0]
    text = template % map_leaves(lambda leaf: _known(leaf) if is_box(leaf) else leaf, values)
    return InputText(text) if any(map(_moves, leaves)) else text


def formatted(template: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """`template.format(*args, **kwargs)` with boxes among the arguments, in eager mode."""
    leaves = flatten((args, kwargs))[0]
    plain, named = map_leaves(lambda leaf: _known(leaf) if is_box(leaf) else leaf, (args, kwargs))
    text = template.format(*plain, **named)
    return InputText(text) if any(map(_moves, leaves)) else text


def _known(box: Any) -> Any:
    known = current().known(box.value)
    return np.asarray(known)[()] if isinstance(box, Array) or box.numpy else known


def _moves(leaf: Any) -> bool:
    return isinstance(leaf, InputText) or (is_box(leaf) and current().depends_on_input(leaf.value))


def _nested(obj: Any) -> Iterator[Any]:
    """The representation of a list, tuple or dict, piece by piece."""
    opening, closing = ("[", "]") if isinstance(obj, list) else ("(", ")") if isinstance(obj, tuple) else ("{", "}")
    yield opening
    for position, item in enumerate(obj):
        if position:
            yield ", "
        yield from _formatted(item, 114, "")
        if isinstance(obj, dict):
            yield ": "
            yield from _formatted(obj[item], 114, "")
    yield ",)" if isinstance(obj, tuple) and len(obj) == 1 else closing


# --- print -----------------------------------------------------------------------------------------------------------


def traced_print(*args: Any, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False) -> None:
    """`print`: at run time, every time."""
    pieces: list[Any] = []
    for position, arg in enumerate(args):
        if position:
            pieces.append(" " if sep is None else sep)
        pieces += _formatted(arg, 115, "")
    trace = current()
    if trace.eager or file is not None:
        print(_finished(pieces), end=end, file=file, flush=flush)
        return
    template, values = TracedText(pieces).template()
    attrs = {"template": template} if end in (None, "\n") else {"template": template, "end": end}
    trace.builder.host_print(*values, **attrs)


# --- exceptions ------------------------------------------------------------------------------------------------------


def text_from_template(template: str, numbers: list[Any]) -> Any:
    """The text of a `str.format` template, with traced numbers in the order of its fields."""
    parts: list[Any] = []
    supply = iter(numbers)
    for literal, field, spec, conversion in string.Formatter().parse(template):
        if literal:
            parts.append(literal)
        if field is not None:
            parts.append((next(supply), ord(conversion) if conversion else -1, spec or ""))
    return _finished(parts)


class TracedException:
    """An exception with traced values among its arguments, to be made at run time."""

    __slots__ = ("args", "cls", "kwargs")

    def __init__(self, cls: type[BaseException], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.cls, self.args, self.kwargs = cls, args, kwargs

    def failure(self) -> Failure:
        """What a check needs to raise it."""
        values: list[Value] = []
        makers = {key: _maker(arg, values) for key, arg in [*enumerate(self.args), *self.kwargs.items()]}
        count = len(self.args)
        cls = self.cls

        def make(*numbers: Any) -> BaseException:
            made = {key: maker(numbers) for key, maker in makers.items()}
            return cls(*[made[k] for k in range(count)], **{k: v for k, v in made.items() if isinstance(k, str)})

        message, _ = TracedText(_formatted(self.args[0], 115, "")).template() if self.args else ("", [])
        return Failure(cls.__name__, message, values, make, exc=self)

    def instance(self) -> BaseException:
        """The exception object that a handler gets: its arguments are the traced values."""
        new = bear(current(), self.cls.__new__(self.cls, *self.args, **self.kwargs))
        init = self.cls.__init__
        if isinstance(init, types.FunctionType):
            assert current().enter is not None
            current().enter(init)(new, *self.args, **self.kwargs)  # type: ignore[misc]
        assert isinstance(new, BaseException)
        return new


def _maker(arg: Any, values: list[Value]) -> Any:
    """A function from the run-time values to one argument; `values` collects what it needs."""
    first = len(values)
    if isinstance(arg, TracedText):
        template, found = arg.template()
        values += found
        return lambda numbers: template.format(*numbers[first : first + len(found)])
    if is_box(arg):
        values.append(lift(arg))
        kind = type_name_of(arg)
        return lambda numbers: kind(numbers[first])
    return lambda numbers: arg


def type_name_of(number: Any) -> Any:
    """The class that a traced number is shown as at run time."""
    if isinstance(number, Array):
        return np.asarray
    return number.value.tensor.dtype.numpy.type if number.numpy else (lambda x: x)


def failure_of(exc: Any) -> Failure:
    """What a check needs to raise `exc`: an exception, an exception class, or a `TracedException`."""
    if isinstance(exc, TracedException):
        return exc.failure()
    if isinstance(exc, type) and issubclass(exc, BaseException):
        return Failure(exc.__name__, "", [], exc, exc=exc)
    if not isinstance(exc, BaseException):
        raise TypeError("exceptions must derive from BaseException")
    if holds_box(exc.args) or holds_box(exc.__dict__) or any(isinstance(a, TracedText) for a in exc.args):
        return _boxed_failure(exc)
    return Failure(type(exc).__name__, _escaped(str(exc)), [], lambda: _copy(exc), exc=exc)


def _boxed_failure(exc: BaseException) -> Failure:
    """What a check needs to raise an exception object whose arguments or attributes are traced."""
    values: list[Value] = []
    args = [_maker(a, values) for a in exc.args]
    attributes = {k: _maker(v, values) for k, v in exc.__dict__.items()}
    cls, cause = type(exc), exc.__cause__

    def make(*numbers: Any) -> BaseException:
        found = [maker(numbers) for maker in args]
        new = cls.__new__(cls, *found)
        new.__dict__.update({k: maker(numbers) for k, maker in attributes.items()})
        new.args, new.__cause__ = tuple(found), cause
        return new

    return Failure(cls.__name__, "", values, make, exc=exc)


def _copy(exc: BaseException) -> BaseException:
    """A new exception like `exc`, without its traceback."""
    new = type(exc).__new__(type(exc), *exc.args)
    new.__dict__.update(exc.__dict__)
    new.args, new.__cause__ = exc.args, exc.__cause__
    return new


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
