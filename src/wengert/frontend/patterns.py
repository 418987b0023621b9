"""What the patterns of `match` ask of a subject: its kind, and its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wengert.frontend import loads
from wengert.frontend.boxes import is_box
from wengert.frontend.calls import call
from wengert.frontend.table_builtins import is_same_object

_SELF_MATCHING = (bool, bytearray, bytes, dict, float, frozenset, int, list, set, str, tuple)


def is_singleton(subject: Any, value: Any) -> Any:
    """Whether the subject is None, True or False: of a traced bool, its value."""
    return is_same_object(subject, value)


def is_sequence(subject: Any, count: int, has_star: bool) -> bool:
    """Whether the subject is a sequence (no string) of `count` items, or at least so many."""
    if is_box(subject) or isinstance(subject, np.ndarray | str | bytes | bytearray) or not isinstance(subject, Sequence):
        return False
    return len(subject) >= count if has_star else len(subject) == count


def sequence_part(subject: Any, place: int) -> Any:
    """One item."""
    return loads.item(subject, place)


def star_part(subject: Any, before: int, behind: int) -> Any:
    """The items that a star takes."""
    return [loads.item(subject, k) for k in range(before, len(subject) - behind)]


def is_mapping(subject: Any, keys: tuple[Any, ...]) -> bool:
    """Whether the subject is a mapping with these keys."""
    return isinstance(subject, Mapping) and all(key in subject for key in keys)


def rest_part(subject: Any, keys: tuple[Any, ...]) -> dict[Any, Any]:
    """What a mapping holds beside the keys of the pattern."""
    return {key: loads.item(subject, key) for key in subject if key not in keys}


def is_instance_of(subject: Any, cls: Any, count: int, named: tuple[str, ...]) -> bool:
    """Whether a class pattern applies: the class fits and the attributes are there."""
    if not isinstance(cls, type):
        raise TypeError("called match pattern must be a class")
    if not call(isinstance, (subject, cls), {}):
        return False
    if issubclass(cls, _SELF_MATCHING):
        if count > 1:
            raise TypeError(f"{cls.__name__}() accepts 1 positional sub-pattern ({count} given)")
        attributes: tuple[str, ...] = named
    else:
        listed = getattr(cls, "__match_args__", ())
        if count > len(listed):
            raise TypeError(f"{cls.__name__}() accepts {len(listed)} positional sub-patterns ({count} given)")
        attributes = (*listed[:count], *named)
    return all(call(hasattr, (subject, name), {}) for name in attributes)


def class_part(subject: Any, cls: Any, place: Any) -> Any:
    """The attribute that a place of a class pattern looks at."""
    if isinstance(place, str):
        return loads.attribute(subject, place)
    if issubclass(cls, _SELF_MATCHING) and "__match_args__" not in vars(cls):
        return subject
    return loads.attribute(subject, cls.__match_args__[place])
