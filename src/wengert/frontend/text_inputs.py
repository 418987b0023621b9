"""Text that eager code has made of numbers that depend on an input: read back as a number, it would lose their gradient."""

from __future__ import annotations

from typing import Any


class InputText(str):
    """A string with such a number in it; what is made of it by cutting and joining is one as well."""

    __slots__ = ()


def _kept(name: str) -> Any:
    plain = getattr(str, name)

    def method(self: InputText, *args: Any, **options: Any) -> Any:
        found = plain(self, *args, **options)
        return InputText(found) if isinstance(found, str) else found

    method.__name__ = name
    return method


_OPERATORS = ("__add__", "__mul__", "__rmul__", "__mod__", "__getitem__", "format", "join")
_CHANGES = ("strip", "lstrip", "rstrip", "replace", "lower", "upper", "ljust", "rjust", "center", "zfill")
for _name in (*_OPERATORS, *_CHANGES):
    setattr(InputText, _name, _kept(_name))


def _radd(self: InputText, other: str) -> InputText:
    return InputText(str(other) + str.__str__(self))


setattr(InputText, "__radd__", _radd)  # noqa: B010 - str has none that a class body could override


def joined(parts: list[Any]) -> str:
    """The strings one after the other."""
    text = "".join(parts)
    return InputText(text) if any(isinstance(p, InputText) for p in parts) else text
