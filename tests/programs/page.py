"""Writes docs/corpus.md: what each program of the corpus shows, and whether it compiles."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from pathlib import Path
from typing import Any

from tests.programs.catalog import PROGRAMS

SUBJECTS = (
    "control_flow functions recursion classes containers arrays exceptions effects numerics "
    "simulation finance_statistics methods pipelines systems processes"
).split()
LONG = 20


def text() -> str:
    """The page."""
    modules = {name: importlib.import_module(f"tests.programs.{name}") for name in SUBJECTS}
    compiled = sum(p.eager is None for p in PROGRAMS)
    long = sum(_length(p.function) >= LONG for p in PROGRAMS)
    lines = [
        "# The corpus",
        "",
        f"{len(PROGRAMS)} programs in the style of real code, {long} of them of {LONG} lines or more, in `tests/programs/`. Each "
        "is run as plain Python, eagerly, compiled, and by the reference interpreter; the four must agree, and the gradient must "
        f"agree with differences. {compiled} compile. This page is written by `python -m tests.programs.page`.",
    ]
    for name, module in modules.items():
        lines += ["", f"## {(module.__doc__ or '').strip().rstrip('.')}", "", "| program | lines | runs |", "| --- | --- | --- |"]
        for p in PROGRAMS:
            if p.function.__module__ == module.__name__:
                runs = "compiled" if p.eager is None else f"eagerly: {p.eager}"
                lines.append(f"| `{p.function.__name__}` | {_length(p.function)} | {runs} |")
    return "\n".join(lines) + "\n"


def _length(function: Any) -> int:
    """Lines of a program, with the functions and classes of its module that it uses."""
    module = inspect.getmodule(function)
    found: dict[str, Any] = {}
    waiting = [inspect.unwrap(function)]
    while waiting:
        part = waiting.pop()
        if part.__qualname__ in found:
            continue
        source = textwrap.dedent(inspect.getsource(part))
        found[part.__qualname__] = len([line for line in source.splitlines() if not line.startswith("@example")])
        for name in {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}:
            used = getattr(module, name, None)
            written = inspect.isfunction(used) or (inspect.isclass(used) and not hasattr(used, "_fields"))
            if inspect.getmodule(used) is module and written:
                waiting.append(inspect.unwrap(used))
    return sum(found.values())


if __name__ == "__main__":
    Path("docs/corpus.md").write_text(text())
