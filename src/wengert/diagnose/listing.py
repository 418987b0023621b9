"""The user's source around a set of lines: which functions to show, where their loops are, what is library code.

A line belongs to the innermost function of the file's syntax tree around it; what stands in the standard library, among
installed packages or in wengert itself is named but not shown.
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_LOOPS = (ast.For, ast.While)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Loop:
    """A loop of the source: its first line and its body's, and the lines of loops inside of it."""

    line: int
    body: range
    inner: frozenset[int]


@dataclass(frozen=True)
class Listing:
    """The lines of one file to show."""

    file: str
    lines: tuple[int, ...]
    loops: tuple[Loop, ...]


def make_listings(fn: Callable[..., Any], places: Iterable[tuple[str, int]]) -> tuple[list[Listing], list[str]]:
    """What to show of `fn` and of the functions that `places` (file, line) lie in.

    Returns:
        One listing per user's file, that of `fn` first, and the names of library files among `places`.
    """
    home = _home(fn)
    by_file: dict[str, set[int]] = {} if home is None else {home[0]: {home[1]}}
    libraries: dict[str, None] = {}
    for file, line in places:
        if not file:
            continue
        if (home is None or file != home[0]) and is_library(file):
            libraries.setdefault(file)
        else:
            by_file.setdefault(file, set()).add(line)
    found = [_listing(file, lines) for file, lines in by_file.items()]
    return [listing for listing in found if listing is not None], [short_path(file) for file in libraries]


def _home(fn: Any) -> tuple[str, int] | None:
    """File and first line of the Python code that calling `fn` runs."""
    function = inspect.unwrap(fn)
    while isinstance(function, functools.partial):
        function = inspect.unwrap(function.func)
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None) or getattr(_call_method(function), "__code__", None)
    return None if code is None else (code.co_filename, code.co_firstlineno)


def _call_method(obj: Any) -> Any:
    return next((vars(base)["__call__"] for base in type(obj).__mro__ if "__call__" in vars(base)), None)


@functools.cache
def _library_roots() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return (Path(__file__).parents[1], *(Path(p).resolve() for n in names if (p := sysconfig.get_path(n))))


@functools.cache
def is_library(file: str) -> bool:
    """Whether a file belongs to Python, an installed package or wengert."""
    if file.startswith("<frozen"):
        return True
    if file.startswith("<"):
        return False
    path = Path(file).resolve()
    return any(path.is_relative_to(root) for root in _library_roots())


def short_path(file: str) -> str:
    """A file's name relative to the working directory or to where packages are installed, if it lies there."""
    for root in (Path.cwd(), *sorted(_library_roots(), key=lambda p: -len(p.parts))):
        try:
            return str(Path(file).relative_to(root))
        except ValueError:
            continue
    return file


def _listing(file: str, lines: set[int]) -> Listing | None:
    source = linecache.getlines(file)
    if not source:
        return None
    try:
        tree = ast.parse("".join(source), file)
    except SyntaxError:
        return Listing(file, tuple(sorted(n for n in lines if n <= len(source))), ())
    functions = [_extent(node) for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)]
    shown: set[int] = set()
    for line in lines:
        around = [f for f in functions if line in f]
        innermost: range = min(around, key=len, default=range(line, line + 1))
        shown.update(innermost)
    loops = tuple(
        _loop(node)
        for node in ast.walk(tree)
        if isinstance(node, (*_LOOPS, *_COMPREHENSIONS)) and node.lineno in shown
    )
    return Listing(file, tuple(sorted(n for n in shown if n <= len(source))), loops)


def _extent(node: Any) -> range:
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(d.lineno for d in decorators)])
    return range(first, node.end_lineno + 1)


def _loop(node: Any) -> Loop:
    if isinstance(node, _LOOPS):
        body = range(node.body[0].lineno, (node.body[-1].end_lineno or node.lineno) + 1)
    else:
        body = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    below = (n for n in ast.walk(node) if n is not node and isinstance(n, _LOOPS))
    return Loop(node.lineno, body, frozenset(k for n in below for k in _extent(n)))
