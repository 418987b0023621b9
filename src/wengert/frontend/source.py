"""From a function object to the syntax tree of its definition.

Whole files are parsed, once, so that line and column numbers are the file's own and several lambdas on one line can be told
apart by their columns.
"""

from __future__ import annotations

import ast
import dis
import inspect
import linecache
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

from wengert.errors import SourceUnavailableError
from wengert.frontend.context import current, is_tracing
from wengert.frontend.syntax import children

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True)
class FunctionSource:
    """The definition of a function: a private copy of its syntax tree, its file, and the class whose body it stands in."""

    node: FunctionNode
    file: str
    class_name: str | None


_VARARGS, _VARKEYWORDS = inspect.CO_VARARGS, inspect.CO_VARKEYWORDS


@dataclass
class _File:
    lines: list[str]
    functions: dict[int, list[tuple[FunctionNode, str | None]]] = field(default_factory=dict)


_files: dict[str, _File] = {}


def find_source(fn: types.FunctionType) -> FunctionSource:
    """The definition of `fn`.

    Raises:
        SourceUnavailableError: its source cannot be read, or does not fit the function any more.
    """
    code = fn.__code__
    candidates = _load(code.co_filename, fn).functions.get(code.co_firstlineno, [])
    matching = [(node, owner) for node, owner in candidates if _fits(node, code)]
    if len(matching) > 1:
        exact = [(node, owner) for node, owner in matching if _covers(node, code)]
        # The code of a lambda inside of another one is covered by both: the innermost is its own.
        matching = sorted(exact, key=lambda found: _extent(found[0])) or matching
    if not matching:
        raise _unavailable(fn, "the source file has changed since the function was defined")
    node, owner = matching[0]
    return FunctionSource(clone(node), code.co_filename, owner)


# What does nothing to values but hand them on; names differ between versions of Python.
_HANDS_ON = re.compile(
    r"RESUME|NOP|CACHE|LOAD_FAST(_BORROW|_LOAD_FAST|_CHECK)*|LOAD_CONST|LOAD_SMALL_INT|BUILD_TUPLE|RETURN_(VALUE|CONST)"
)


@cache
def only_arranges(code: types.CodeType) -> bool:
    """Whether a function returns its arguments, constants and tuples of them, and does nothing else: it needs no hooks.

    SciPy's distributions make such functions by `exec`, so they have no source.
    """
    return all(_HANDS_ON.fullmatch(instruction.opname) for instruction in dis.get_instructions(code))


def clone(node: Any) -> Any:
    """A deep copy of a syntax tree."""
    new = node.__class__.__new__(node.__class__)
    fields = new.__dict__
    for name, child in node.__dict__.items():
        if isinstance(child, ast.AST):
            fields[name] = clone(child)
        elif isinstance(child, list):
            fields[name] = [clone(c) if isinstance(c, ast.AST) else c for c in child]
        else:
            fields[name] = child
    return new


def _load(file: str, fn: types.FunctionType) -> _File:
    lines = linecache.getlines(file, fn.__globals__)
    if not lines:
        raise _unavailable(fn, "there is no source file (it was made by exec, typed into a prompt, or compiled)")
    known = _files.get(file)
    if known is not None and (known.lines is lines or known.lines == lines):
        return known
    try:
        tree = ast.parse("".join(lines), file)
    except SyntaxError as error:
        raise _unavailable(fn, f"its source file does not parse: {error}") from error
    loaded = _files[file] = _File(lines)
    for node, owner in _functions(tree, None):
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(d.lineno for d in decorators)])
        loaded.functions.setdefault(first, []).append((node, owner))
    return loaded


def _functions(node: ast.AST, owner: str | None) -> Iterator[tuple[FunctionNode, str | None]]:
    for child in children(node):
        if isinstance(child, _FUNCTIONS):
            yield child, owner
        yield from _functions(child, child.name if isinstance(child, ast.ClassDef) else owner)


def _fits(node: FunctionNode, code: types.CodeType) -> bool:
    """Whether name and parameters are those of `code`."""
    name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
    arguments = node.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    count = code.co_argcount + code.co_kwonlyargcount
    if name != code.co_name or len(names) != count:
        return False
    if (arguments.vararg is None, arguments.kwarg is None) != (not code.co_flags & _VARARGS, not code.co_flags & _VARKEYWORDS):
        return False
    return all(n == v or v.endswith(n) for n, v in zip(names, code.co_varnames[:count], strict=True))


def _extent(node: FunctionNode) -> tuple[int, int]:
    """How much source a function takes: lines, then columns."""
    assert node.end_lineno is not None and node.end_col_offset is not None
    return node.end_lineno - node.lineno, node.end_col_offset - node.col_offset


def _covers(node: FunctionNode, code: types.CodeType) -> bool:
    """Whether the instructions of `code` lie within the columns of `node`."""
    body: Any = node.body if isinstance(node, ast.Lambda) else node
    low = (body.lineno, body.col_offset)
    high = (body.end_lineno, body.end_col_offset)
    places = [p for p in code.co_positions() if p[0] is not None and p[2] is not None and p[3]]
    inside = [low <= (line, start) and (end_line, end) <= high for line, end_line, start, end in places]
    return any(inside) and sum(inside) >= len(inside) - 2


def _unavailable(fn: types.FunctionType, reason: str) -> SourceUnavailableError:
    return SourceUnavailableError(
        f"the source of {fn.__qualname__} is not available: {reason}",
        current().span if is_tracing() else None,
        fix="define the function in a file or a notebook cell; reload its module if the file was edited",
    )
