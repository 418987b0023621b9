"""Helper functions in LLVM that scalar code calls; inlined, so that loops around them vectorise."""

from __future__ import annotations

from collections.abc import Iterable

from wengert.codegen import scalars


def helpers(names: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """The text of the helpers called `names`, and declarations that they need, by name."""
    return [scalars.HELPERS[name] for name in sorted(names)], {}
