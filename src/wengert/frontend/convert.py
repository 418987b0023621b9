"""Conversion: from a Python function to the same function with hooks where tracing must step in.

The converted function runs on the user's own globals and closure cells; hooks are reached through one more closure variable.
File names and line numbers are kept, so tracebacks show the user's lines.
"""

from __future__ import annotations

import ast
import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from wengert.errors import Span
from wengert.frontend.convert_info import BranchInfo
from wengert.frontend.convert_push import can_push, push_form
from wengert.frontend.convert_rewrite import FunctionRewriter
from wengert.frontend.convert_scope import function_scope
from wengert.frontend.source import find_source
from wengert.frontend.syntax import walk

_SIMPLE = (type(None), bool, int, str, type(Ellipsis))


@dataclass(frozen=True, eq=False)
class ConvertedCode:
    """What all functions of one code object share; `loops`: whether a generator may be handed the body of a loop."""

    code: types.CodeType
    hook: str
    spans: tuple[Span, ...]
    infos: tuple[BranchInfo, ...]
    offences: tuple[tuple[str, Span], ...]
    loops: bool = True


_codes: dict[tuple[str, types.CodeType, bool], ConvertedCode | None] = {}
_made: set[types.CodeType] = set()
_functions: weakref.WeakKeyDictionary[types.FunctionType, types.FunctionType] = weakref.WeakKeyDictionary()
_pushed: weakref.WeakKeyDictionary[types.FunctionType, types.FunctionType] = weakref.WeakKeyDictionary()


class Missing:
    """The type of `MISSING`."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()
MakeHooks: TypeAlias = Callable[[types.FunctionType, dict[str, Any], ConvertedCode], Any]


def convert(fn: types.FunctionType, make_hooks: MakeHooks, push: bool = False) -> Any:
    """The function `fn` with hooks; cached.

    Args:
        fn: a function written in Python.
        make_hooks: called with `fn`, its closure cells by name and the converted code; makes the object that hooks are
            attributes of.
        push: of a generator function, the form that takes a consumer; None if it has none.

    Raises:
        SourceUnavailableError: the source of `fn` cannot be found.
    """
    functions = _pushed if push else _functions
    known = functions.get(fn)
    if known is not None and known.__wengert_of__ == (fn.__code__, fn.__defaults__, fn.__kwdefaults__):  # type: ignore[attr-defined]
        return known
    key = (fn.__code__.co_filename, fn.__code__, push)
    if key not in _codes:
        _codes[key] = _convert_code(fn, push)
    shared = _codes[key]
    if shared is None:
        return None
    functions[fn] = new = _bind(fn, shared, make_hooks)
    return new


def is_converted(fn: types.FunctionType) -> bool:
    """Whether `fn` has hooks already: it was made by `convert`, or defined while converted code ran."""
    return fn.__code__ in _made


def runs_converted(generator: types.GeneratorType[Any, Any, Any]) -> bool:
    """Whether the body of a generator has hooks."""
    return generator.gi_code in _made


def _bind(fn: types.FunctionType, shared: ConvertedCode, make_hooks: MakeHooks) -> types.FunctionType:
    """A function of the converted code with the globals, cells and defaults of `fn`."""
    cells = dict(zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True))
    hooks = make_hooks(fn, dict(cells), shared)
    cells[shared.hook] = types.CellType(hooks)
    closure = tuple(cells[name] for name in shared.code.co_freevars)
    defaults = tuple(_stand_in(d) for d in fn.__defaults__ or ())
    new = types.FunctionType(shared.code, fn.__globals__, fn.__name__, defaults or None, closure)
    new.__kwdefaults__ = {k: _stand_in(d) for k, d in (fn.__kwdefaults__ or {}).items()} or None
    new.__qualname__, new.__doc__, new.__module__ = fn.__qualname__, fn.__doc__, fn.__module__
    new.__wengert_loops__ = shared.loops  # type: ignore[attr-defined]
    new.__wengert_of__ = (fn.__code__, fn.__defaults__, fn.__kwdefaults__)  # type: ignore[attr-defined]
    return new


def _stand_in(default: Any) -> Any:
    """Defaults that may change or be differentiated are captured when they are used."""
    return default if isinstance(default, _SIMPLE) else MISSING


# --- code ------------------------------------------------------------------------------------------------------------


def _convert_code(fn: types.FunctionType, push: bool = False) -> ConvertedCode | None:
    source = find_source(fn)
    node: Any = _as_def(source.node)
    optional = _optional_parameters(node.args)
    loops = True
    if push:
        if not can_push(node, inside=True):
            return None
        loops = can_push(node)
        node = push_form(node)
    if source.class_name is not None or any(isinstance(n, ast.ClassDef) for n in walk(node)):
        _Mangle(source.class_name).visit(node)
    names = {n.id for n in walk(node) if isinstance(n, ast.Name)}
    hook = "__hooks__"
    while hook in names or hook in fn.__code__.co_freevars:
        hook = f"_{hook}_"
    free = fn.__code__.co_freevars
    scope = function_scope(node, None, [n for n in free if n != "__class__"])
    rewriter = FunctionRewriter(source.file, hook, scope, fn.__name__)
    body = rewriter.function_body(node, scope)
    node.args = _without_defaults(node.args)
    node.body = [*_load_defaults(rewriter, optional, node), *body]
    node.decorator_list, node.returns = [], None
    code = _compile(node, [*free, hook], source.file, fn)
    return ConvertedCode(code, hook, tuple(rewriter.spans), tuple(rewriter.infos), tuple(rewriter.offences), loops)


def _as_def(node: Any) -> Any:
    """A lambda as a function definition; definitions as they are."""
    if not isinstance(node, ast.Lambda):
        return node
    returned = ast.copy_location(ast.Return(node.body), node.body)
    new = ast.FunctionDef("__lambda__", node.args, [returned], [])
    new.type_params = []  # type: ignore[attr-defined]
    return ast.copy_location(new, node)


def _optional_parameters(arguments: ast.arguments) -> list[str]:
    positional = [*arguments.posonlyargs, *arguments.args]
    names = [a.arg for a in positional[len(positional) - len(arguments.defaults) :]] if arguments.defaults else []
    return names + [a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]


def _without_defaults(arguments: ast.arguments) -> ast.arguments:
    """The parameters alone; real functions get their defaults when they are bound."""
    for arg in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if arg is not None:
            arg.annotation = None
    arguments.defaults, arguments.kw_defaults = [], [None] * len(arguments.kwonlyargs)
    return arguments


def _load_defaults(rewriter: FunctionRewriter, names: list[str], node: Any) -> list[ast.stmt]:
    """`if p is MISSING: p = hooks.default("p")` for every parameter that has a default."""
    done: list[ast.stmt] = []
    for name in names:
        test = ast.Compare(ast.Name(name, ast.Load()), [ast.Is()], [rewriter.attribute("missing")])
        load = ast.Assign([ast.Name(name, ast.Store())], rewriter.call("default", node, name))
        done.append(ast.copy_location(ast.If(test, [load], []), node))
    return done


def _compile(node: Any, free: list[str], file: str, fn: types.FunctionType) -> types.CodeType:
    """The code of the function definition `node`, with `free` as variables from around it."""
    parameters = ast.arguments([], [ast.arg(n) for n in free], None, [], [], None, [])
    factory = ast.FunctionDef("__factory__", parameters, [node], [])
    factory.type_params = []  # type: ignore[attr-defined]
    module = ast.Module([ast.copy_location(factory, node)], [])
    ast.fix_missing_locations(module)
    flags = fn.__code__.co_flags & _FUTURE_FLAGS
    outer = compile(module, file, "exec", flags=flags, dont_inherit=True)
    inner = next(c for c in outer.co_consts if isinstance(c, types.CodeType))
    code = next(c for c in inner.co_consts if isinstance(c, types.CodeType) and c.co_name == node.name)
    renamed = _rename(code, fn.__code__.co_name, fn.__code__.co_qualname)
    return renamed


_FUTURE_FLAGS = 0x1000000  # annotations


def _rename(code: types.CodeType, name: str, qualname: str) -> types.CodeType:
    """`code` under the user's name; arms are named after the function they belong to. Registers all of them."""
    made = [_rename(c, *_names(c, name, qualname)) if isinstance(c, types.CodeType) else c for c in code.co_consts]
    new = code.replace(co_name=name, co_qualname=qualname, co_consts=tuple(made))
    _made.add(new)
    return new


def _names(code: types.CodeType, outer: str, outer_qualname: str) -> tuple[str, str]:
    if code.co_name.startswith(("__then_", "__otherwise_", "__body_", "__test_", "__handler_", "__orelse_", "__final_")):
        return outer, outer_qualname
    return code.co_name, f"{outer_qualname}.<locals>.{code.co_name}"


class _Mangle(ast.NodeVisitor):
    """Writes private names (`__x` in a class) as Python stores them, since the function is compiled outside of its class."""

    def __init__(self, owner: str | None) -> None:
        self.owner = owner

    def name(self, name: str) -> str:
        """The stored form of `name`."""
        if self.owner is None or not name.startswith("__") or name.endswith("__") or "." in name:
            return name
        return f"_{self.owner.lstrip('_')}{name}"

    def generic_visit(self, node: ast.AST) -> None:
        for field, child in ast.iter_fields(node):
            if field in ("id", "attr", "arg", "asname") and isinstance(child, str):
                setattr(node, field, self.name(child))
            elif field == "name" and isinstance(child, str) and isinstance(node, ast.FunctionDef | ast.ExceptHandler):
                node.name = self.name(child)
            elif field == "names" and isinstance(node, ast.Global | ast.Nonlocal):
                node.names = [self.name(n) for n in node.names]
        super().generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        outer, self.owner = self.owner, node.name
        self.generic_visit(node)
        self.owner = outer
