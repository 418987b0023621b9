"""Objects that stand for functions are pickled by name where a module has them under their name, as functions are."""

from __future__ import annotations

import sys
from typing import Any


def name_in_module(found: Any) -> str | None:
    """The qualified name under which the module of `found` has this very object; None if it has not."""
    name = getattr(found, "__qualname__", "")
    there: Any = sys.modules.get(getattr(found, "__module__", ""))
    for part in name.split("."):
        there = getattr(there, part, None)
    return name if there is found else None
