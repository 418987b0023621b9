"""Variables that may be read before they are set get a flag that says whether they are.

Staging gives such a variable a filler on paths that do not set it; the flag makes a read of the filler raise
UnboundLocalError, as Python does. Programs that set their variables first get no flags.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import Any

from wengert.frontend.convert_jumps import is_made_up
from wengert.frontend.convert_protect import lets_exceptions_through
from wengert.frontend.convert_scope import captured, loads, stores
from wengert.frontend.syntax import walk

_PREFIX = "__is_set_"


def flag_of(name: str) -> str:
    """The flag of the variable `name`."""
    return f"{_PREFIX}{name}__"


def is_flag(name: str) -> bool:
    """Whether `name` is such a flag."""
    return name.startswith(_PREFIX)


def track_unset(body: list[ast.stmt], parameters: Iterable[str], own: set[str]) -> tuple[list[ast.stmt], set[str]]:
    """The body with flags for variables that may be read unset, and the names of these variables.

    Args:
        body: a function body without jumps.
        parameters: names that are set from the start.
        own: the local variables.
    """
    analysis = _Assigned(own - set(parameters) - captured(body))
    analysis.block(body, set(parameters))
    names = analysis.doubtful
    if not names:
        return body, set()
    marked = _Marker(names).block(body)
    start = [_assign(flag_of(n), False, body[0]) for n in sorted(names)]
    return [*start, *marked], names


class _Assigned:
    """Finds reads of variables that are not assigned on every path to them.

    Attributes:
        own: the variables looked at.
        doubtful: those with such reads.
    """

    def __init__(self, own: set[str]) -> None:
        self.own = own
        self.doubtful: set[str] = set()

    def read(self, nodes: Iterable[ast.AST], known: set[str]) -> None:
        """Note the reads in expressions."""
        nodes = list(nodes)
        known = known | _named_within(nodes)
        self.doubtful |= {name for name in (loads(nodes) & self.own) - known if not is_made_up(name)}

    def block(self, body: Sequence[ast.stmt], known: set[str]) -> set[str]:
        """What is assigned after `body`."""
        known = set(known)
        for node in body:
            known = self.statement(node, known)
        return known

    def statement(self, node: ast.stmt, known: set[str]) -> set[str]:
        """What is assigned after one statement."""
        if isinstance(node, ast.If):
            self.read([node.test], known)
            known = known | stores([node.test])
            return self.block(node.body, known) & self.block(node.orelse, known)
        if isinstance(node, ast.For):
            self.read([node.iter], known)
            self.block(node.body, known | stores([node.target]))
            return known
        if isinstance(node, ast.While):
            self.read([node.test], known)
            known = known | stores([node.test])
            self.block(node.body, known)
            return known
        if isinstance(node, ast.With):
            self.read(node.items, known)
            after = self.block(node.body, known | stores(node.items))
            return after if lets_exceptions_through(node) else known
        if isinstance(node, ast.Try):
            return self.attempt(node, known)
        if isinstance(node, ast.Match) or type(node).__name__ == "TryStar":
            self.read([node], known | stores([node]))
            return known
        if isinstance(node, ast.Delete):
            return known - stores([node])
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            self.read([ast.Name(node.target.id, ast.Load())], known)
        self.read([node], known)
        if _always_raises(node):
            return known | self.own
        return known | stores([node])

    def attempt(self, node: ast.Try, known: set[str]) -> set[str]:
        """What is assigned after a `try`: nothing of its body is sure where a handler begins."""
        after = self.block(node.orelse, self.block(node.body, known))
        for handler in node.handlers:
            if handler.type is not None:
                self.read([handler.type], known)
            after &= self.block(handler.body, known | ({handler.name} if handler.name else set()))
        return after | (self.block(node.finalbody, known) - known)


def _named_within(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that `:=` sets in the expressions: whether it runs before a read is left to Python."""
    return {n.target.id for root in nodes for n in walk(root) if isinstance(n, ast.NamedExpr)}


def _always_raises(node: ast.stmt) -> bool:
    return isinstance(node, ast.Raise)


class _Marker:
    """Inserts the flags."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def block(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        """Statements with flags set after stores, and tested before reads."""
        done: list[ast.stmt] = []
        for node in body:
            done += self.statement(node)
        return done

    def statement(self, node: Any) -> list[ast.stmt]:
        """One statement with what belongs to it."""
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            return [node]
        compound = isinstance(node, ast.If | ast.For | ast.While | ast.With | ast.Try | ast.Match)
        before = self.tests(node, compound)
        for name in ("body", "orelse", "finalbody"):
            inner = getattr(node, name, None)
            if isinstance(inner, list) and inner:
                setattr(node, name, self.block(inner))
        for handler in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            handler.body = [*self.handled(handler), *self.block(handler.body)]
        if isinstance(node, ast.For):
            node.body = [*self.sets([node.target], node), *node.body]
        if isinstance(node, ast.With):
            node.body = [*self.sets(node.items, node), *node.body]
        if isinstance(node, ast.While):
            node.body = [*node.body, *self.clones(before)]
        if isinstance(node, ast.Delete):
            return [*before, node, *[_assign(flag_of(n), False, node) for n in sorted(stores([node]) & self.names)]]
        return [*before, node, *([] if compound else self.sets([node], node))]

    def handled(self, handler: Any) -> list[ast.stmt]:
        """The flag of the name that a handler gives to its exception."""
        name = getattr(handler, "name", None)
        return [_assign(flag_of(name), True, handler)] if name in self.names else []

    def clones(self, tests: list[ast.stmt]) -> list[ast.stmt]:
        """The tests again: a `while` reads its condition after every iteration."""
        return [_require(t.wengert_requires, t) for t in tests]  # type: ignore[attr-defined]

    def tests(self, node: Any, compound: bool) -> list[ast.stmt]:
        """Tests that what a statement (if `compound`, its head) reads is set; reads that need not happen get their own."""
        guard = _Guard(self.names - _named_within([node]))
        if compound:
            for name in ("test", "iter", "subject"):
                if hasattr(node, name):
                    setattr(node, name, guard.visit(getattr(node, name)))
            for item in getattr(node, "items", []):
                guard.visit(item)
        else:
            guard.visit(node)
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            guard.sure.add(node.target.id)
        return [_require(name, node) for name in sorted(guard.sure & self.names)]

    def sets(self, nodes: Sequence[ast.AST], place: ast.stmt) -> list[ast.stmt]:
        """Flags for the variables stored in `nodes`."""
        return [_assign(flag_of(name), True, place) for name in sorted(stores(nodes) & self.names)]


class _Guard(ast.NodeTransformer):
    """Puts a test in place of each read that Python need not come to, and collects the other ones.

    Attributes:
        names: the variables that may be unset.
        sure: those that are read in any case.
        deferred: whether what is visited need not run: an arm of a ternary, what follows `and`, an item of a comprehension.
    """

    def __init__(self, names: set[str]) -> None:
        self.names = names
        self.sure: set[str] = set()
        self.deferred = False

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if not isinstance(node.ctx, ast.Load) or node.id not in self.names:
            return node
        if self.deferred:
            return _checked(node)
        self.sure.add(node.id)
        return node

    def later(self, nodes: Sequence[Any]) -> list[Any]:
        """Parts that need not run."""
        saved, self.deferred = self.deferred, True
        found = [self.visit(n) for n in nodes]
        self.deferred = saved
        return found

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        node.values = [self.visit(node.values[0]), *self.later(node.values[1:])]
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        node.test = self.visit(node.test)
        node.body, node.orelse = self.later([node.body, node.orelse])
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        node.left, node.comparators[0] = self.visit(node.left), self.visit(node.comparators[0])
        node.comparators[1:] = self.later(node.comparators[1:])
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        node.test = self.visit(node.test)
        if node.msg is not None:
            node.msg = self.later([node.msg])[0]
        return node

    def comprehension(self, node: Any) -> ast.expr:
        """A list, set or dict made by a loop: only what the first loop runs over is read in any case."""
        node.generators[0].iter = self.visit(node.generators[0].iter)
        saved, self.names = self.names, self.names - stores([g.target for g in node.generators])
        for position, generator in enumerate(node.generators):
            if position:
                generator.iter = self.later([generator.iter])[0]
            generator.ifs = self.later(generator.ifs)
        for name in ("elt", "key", "value"):
            if getattr(node, name, None) is not None:
                setattr(node, name, self.later([getattr(node, name)])[0])
        self.names = saved
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = comprehension

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        node.args = self.visit(node.args)
        return node


def _checked(node: ast.Name) -> ast.expr:
    """A read that the rewriter turns into a call of the hook `read_set`."""
    parts: list[ast.expr] = [ast.Name(flag_of(node.id), ast.Load()), node]
    new = ast.Call(ast.Constant(None), parts, [])
    new.wengert_reads = node.id  # type: ignore[attr-defined]
    return ast.fix_missing_locations(ast.copy_location(new, node))


def _require(name: str, place: Any) -> ast.stmt:
    """A statement that the rewriter turns into a call of the hook `require_set`."""
    new = ast.Expr(ast.Name(flag_of(name), ast.Load()))
    new.wengert_requires = name  # type: ignore[attr-defined]
    return ast.fix_missing_locations(ast.copy_location(new, place))


def _assign(name: str, value: bool, place: Any) -> ast.stmt:
    target = ast.Name(name, ast.Store())
    return ast.fix_missing_locations(ast.copy_location(ast.Assign([target], ast.Constant(value)), place))
