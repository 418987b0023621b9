"""Names: which a piece of code stores and reads, where they belong, and which are still needed after a statement.

All of it works on the syntax tree before rewriting. Nested functions may run at any time, so what they read counts as needed
everywhere.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from wengert.frontend.syntax import children, walk

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class _Stores(ast.NodeVisitor):
    """Collects the names that code binds in its own function scope, and its `global` and `nonlocal` declarations."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.names.add(node.id)

    def _definition(self, node: Any) -> None:
        self.names.add(node.name)
        for decorator in node.decorator_list:
            self.visit(decorator)

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _definition

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)

    def _comprehension(self, node: Any) -> None:
        for child in children(node):
            if isinstance(child, ast.comprehension):
                for part in (child.iter, *child.ifs):
                    self.visit(part)
            else:
                self.visit(child)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def _import(self, node: Any) -> None:
        for alias in node.names:
            self.names.add(alias.asname or alias.name.split(".")[0])

    visit_Import = visit_ImportFrom = _import

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.names.add(node.name)
        self.generic_visit(node)

    def _pattern(self, node: Any) -> None:
        name = getattr(node, "name", None) or getattr(node, "rest", None)
        if name:
            self.names.add(name)
        self.generic_visit(node)

    visit_MatchAs = visit_MatchStar = visit_MatchMapping = _pattern

    def visit_Global(self, node: ast.Global) -> None:
        self.globals.update(node.names)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self.nonlocals.update(node.names)


def clone_expression(node: Any) -> Any:
    """A copy of an expression, with the marks that were made on it."""
    return copy.deepcopy(node)


def stores(code: Iterable[ast.AST]) -> set[str]:
    """The names that `code` binds or deletes in the function it stands in."""
    visitor = _Stores()
    for node in code:
        visitor.visit(node)
    return visitor.names


def written_in_place(code: Iterable[ast.AST]) -> frozenset[str]:
    """The variables and attributes whose items the code sets, or that it changes by `op=`, and does not assign in another way."""
    written: set[str] = set()
    assigned: set[str] = set()
    for node in (inner for statement in code for inner in walk(statement)):
        if isinstance(node, ast.AugAssign):
            written.add(_dotted(node.target))
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            array = node.value
            while isinstance(array, ast.Subscript):
                array = array.value
            written.add(_dotted(array))
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.For | ast.NamedExpr):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            parts = (part for target in targets for part in walk(target))
            assigned |= {_dotted(p) for p in parts if isinstance(p, ast.Name | ast.Attribute) and isinstance(p.ctx, ast.Store)}
    return frozenset(path for path in written - assigned if path and path.partition(".")[0] not in assigned)


def _dotted(node: ast.AST) -> str:
    """`a`, or `a.b.c`; "" for anything else."""
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return node.id if isinstance(node, ast.Name) else ""


def loads(code: Iterable[ast.AST]) -> set[str]:
    """The names that `code` reads in the function it stands in, and those that functions nested in it read from there."""
    names: set[str] = set()
    for node in code:
        if isinstance(node, ast.Name):
            names |= {node.id} if isinstance(node.ctx, ast.Load) else set()
        elif isinstance(node, _COMPREHENSIONS):
            first = node.generators[0].iter
            own = stores([generator.target for generator in node.generators])
            names |= loads([first]) | (loads(children(node)) - own)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            body = [node.body] if isinstance(node, ast.Lambda) else node.body
            around = [*node.args.defaults, *filter(None, node.args.kw_defaults), *getattr(node, "decorator_list", ())]
            names |= loads(around) | (loads(body) - function_scope(node, None).bound)
        else:
            names |= loads(children(node))
    return names


@dataclass
class Scope:
    """The names of one function (or class body, or comprehension).

    Attributes:
        bound: names that belong to it.
        kind: "function", "class" or "comprehension".
        parent: the scope around it, None for the function that is converted.
        free: for the outermost scope: names that the function takes from functions around it that already ran.
        globals: names declared `global`.
        nonlocals: names declared `nonlocal`.
    """

    bound: set[str]
    kind: str = "function"
    parent: Scope | None = None
    free: frozenset[str] = frozenset()
    globals: set[str] = field(default_factory=set)
    nonlocals: set[str] = field(default_factory=set)

    def place(self, name: str) -> str:
        """Where `name` lives: "local" (this function or one around it in the same source), "free" or "global"."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.globals:
                return "global"
            if name in scope.bound and (scope.kind != "class" or scope is self):
                return "local"
            if scope.parent is None:
                return "free" if name in scope.free else "global"
            scope = scope.parent
        raise AssertionError(name)


def function_scope(node: Any, parent: Scope | None, free: Sequence[str] = ()) -> Scope:
    """The scope of a function definition or lambda."""
    visitor = _Stores()
    for statement in [node.body] if isinstance(node, ast.Lambda) else node.body:
        visitor.visit(statement)
    arguments = node.args
    named = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
    bound = (visitor.names | {a.arg for a in named if a is not None}) - visitor.globals - visitor.nonlocals
    return Scope(bound, "function", parent, frozenset(free), visitor.globals, visitor.nonlocals)


def captured(body: Iterable[ast.AST]) -> set[str]:
    """Names that functions nested in `body` read or store: they may be needed at any time."""
    names: set[str] = set()
    for root in body:
        for node in walk(root):
            if isinstance(node, (*_SCOPES, ast.GeneratorExp)):
                names |= {n.id for n in walk(node) if isinstance(n, ast.Name)}
                names |= nonlocals(node)
    return names


def nonlocals(root: ast.AST) -> set[str]:
    """Names that functions in `root` declare to be those of a function around."""
    return {n for node in walk(root) if isinstance(node, ast.Nonlocal) for n in node.names}


# --- liveness --------------------------------------------------------------------------------------------------------


class Liveness:
    """Which names are needed after each statement.

    Attributes:
        after: by id of an `if` or loop: the names needed after it.
        head: by id of a loop: the names needed at the start of its body, before the loop's own target is set; of a `try`:
            those that its handlers need.
        final: by id of a `try`: the names that `finally`, or what follows, needs.
        always: names that nested functions read, which may be called anywhere.
        pinned: these and the names that handlers around need: an exception may lead there from anywhere.
    """

    def __init__(self, body: Sequence[ast.stmt], always: set[str]) -> None:
        self.after: dict[int, set[str]] = {}
        self.head: dict[int, set[str]] = {}
        self.final: dict[int, set[str]] = {}
        self.always = always
        self.pinned = set(always)
        self.block(body, set(always))

    def block(self, body: Sequence[ast.stmt], live: set[str]) -> set[str]:
        """The names needed before `body`, given those needed after it."""
        for statement in reversed(body):
            live = self.statement(statement, live) | self.pinned
        return live

    def statement(self, node: ast.stmt, live: set[str]) -> set[str]:
        """The names needed before `node`."""
        if isinstance(node, ast.If):
            self.after[id(node)] = live
            return loads([node.test]) | self.block(node.body, live) | self.block(node.orelse, live)
        if isinstance(node, ast.While):
            return self.loop(node, live, [], [node.test])
        if isinstance(node, ast.For):
            return loads([node.iter]) | self.loop(node, live, [node.target], [])
        if isinstance(node, ast.With | ast.AsyncWith):
            self.after[id(node)] = self.head[id(node)] = self.final[id(node)] = live
            return self.protected(node.body, live, live) | loads(node.items)
        if isinstance(node, ast.Try):
            return self.attempt(node, live)
        if isinstance(node, ast.Match | ast.AsyncFor) or type(node).__name__ == "TryStar":
            return self.opaque(node, live)
        if isinstance(node, _SCOPES):
            return live | loads([node])
        return (live - _killed(node)) | loads([node]) | _augmented(node)

    def attempt(self, node: ast.Try, live: set[str]) -> set[str]:
        """A `try`: what handlers and `finally` need is needed throughout its body."""
        self.after[id(node)] = live
        last = self.block(node.finalbody, live)
        self.final[id(node)] = last
        handled = set(last) if node.finalbody else set()
        for handler in node.handlers:
            entry = self.protected(handler.body, last, last if node.finalbody else set())
            handled |= (entry - {handler.name or ""}) | (loads([handler.type]) if handler.type is not None else set())
        self.head[id(node)] = handled
        orelse = self.protected(node.orelse, last, last if node.finalbody else set())
        return self.protected(node.body, orelse, handled) | handled

    def protected(self, body: Sequence[ast.stmt], live: set[str], handled: set[str]) -> set[str]:
        """A block from anywhere in which an exception may lead to where `handled` is needed."""
        saved = self.pinned
        self.pinned = saved | handled
        entry = self.block(body, live)
        self.pinned = saved
        return entry

    def copy(self, node: ast.stmt, other: ast.stmt) -> None:
        """Know of `other` what is known of `node`."""
        for table in (self.after, self.head, self.final):
            if id(node) in table:
                table[id(other)] = table[id(node)]

    def loop(self, node: Any, live: set[str], targets: list[ast.expr], tests: list[ast.expr]) -> set[str]:
        """A loop: needed at its head is what is needed after it, by its test, or by its body in the next round."""
        stop = set(getattr(node, "wengert_stop", ()))
        head = live | loads(tests)
        while True:
            entry = self.block(node.body, head | stop)
            killed = stores(targets)
            grown = head | (entry - killed) | loads(targets)
            if grown == head:
                break
            head = grown
        self.after[id(node)] = live
        self.head[id(node)] = loads(tests) | (entry - killed) | self.always
        return head

    def opaque(self, node: ast.stmt, live: set[str]) -> set[str]:
        """A statement whose flow is not followed: all it reads is needed, nothing is overwritten."""
        live = live | loads([node])
        for child in walk(node):
            if isinstance(child, ast.If | ast.While | ast.For):
                self.after[id(child)] = live
                self.head[id(child)] = live
        return live


def _killed(node: ast.stmt) -> set[str]:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = list(node.targets)
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        targets = [node.target]
    names: set[str] = set()
    while targets:
        target = targets.pop()
        if isinstance(target, ast.Name):
            names.add(target.id)
        elif isinstance(target, ast.Tuple | ast.List):
            targets = [*targets, *target.elts]
        elif isinstance(target, ast.Starred):
            targets = [*targets, target.value]
    return names


def _augmented(node: ast.stmt) -> set[str]:
    return {node.target.id} if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) else set()
