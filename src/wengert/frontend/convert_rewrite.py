"""Rewrites statements: control flow becomes calls of hooks with the arms and bodies as nested functions.

An arm declares what it stores `nonlocal`, so that every variable stays a variable of the user's function; the hooks reach the
variables through their cells, which a lambda that is never called carries along.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from wengert.errors import Span
from wengert.frontend.convert_expr import _BINARY, ExpressionRewriter
from wengert.frontend.convert_info import BranchInfo
from wengert.frontend.convert_jumps import is_made_up, lower_jumps
from wengert.frontend.convert_match import is_case, lower_matches
from wengert.frontend.convert_protect import rewrite_plain_try, rewrite_try, rewrite_with
from wengert.frontend.convert_push import CONSUME, can_push, push_form
from wengert.frontend.convert_scope import Liveness, Scope, captured, function_scope, nonlocals, stores, written_in_place
from wengert.frontend.convert_unset import is_flag, track_unset
from wengert.frontend.source import clone
from wengert.frontend.syntax import children

_OFFENCES: dict[str, str] = {"TryStar": "try/except*", "AsyncWith": "async with", "AsyncFor": "async for"}


class FunctionRewriter(ExpressionRewriter):
    """Rewrites the body of one function, nested functions included.

    Attributes:
        offences: statements that cannot be staged.
        doubtful: variables of the innermost function whose reads are guarded by a flag.
    """

    def __init__(self, file: str, hook: str, scope: Scope, function: str) -> None:
        super().__init__(file, hook, scope, function)
        self.offences: list[tuple[str, Span]] = []
        self.liveness = Liveness([], set())
        self.plain = False
        self.doubtful: set[str] = set()
        self.count = 0

    # --- functions ----------------------------------------------------------------------------------------------

    def function_body(self, node: Any, scope: Scope) -> list[ast.stmt]:
        """The rewritten body of a function whose scope is `scope`."""
        saved = self.scope, self.liveness, self.plain, self.me, self.function, self.doubtful
        self.scope = scope
        self.function = node.name
        self.me = next((a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg != CONSUME), "")
        self.plain = isinstance(node, ast.AsyncFunctionDef) or _is_generator(node)
        body: list[ast.stmt] = node.body
        if _is_docstring(body[0]) and len(body) > 1:
            body = body[1:]
        body = lower_matches(body)
        scope.bound |= {n for n in stores(body) if is_case(n)}
        if not self.plain:
            body = lower_jumps(body)
            parameters = scope.bound - stores(body) | _parameters(node.args)
            body, doubtful = track_unset(body, parameters, scope.bound)
            scope.bound |= {n for n in stores(body) if is_made_up(n) or is_flag(n)}
            self.doubtful = doubtful
            self.liveness = Liveness(body, captured(body) | scope.globals | scope.nonlocals)
        rewritten = [*self.declarations(scope), *self.lent(node, body), *self.block(body)]
        self.scope, self.liveness, self.plain, self.me, self.function, self.doubtful = saved
        return rewritten

    def declarations(self, scope: Scope) -> list[ast.stmt]:
        """Stores that never run: they tell Python which variables are the function's own, as arms only declare them."""
        names = sorted(scope.bound)
        if not names or self.plain:
            return []
        never = ast.Assign([ast.Name(n, ast.Store()) for n in names], ast.Constant(None))
        return [ast.If(ast.Constant(False), [never], [])]

    def lent(self, node: Any, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        """Announce the variables that functions in here may assign: they are as old as this call."""
        names = sorted({n for root in body for n in nonlocals(root)} & self.scope.bound)
        if not names or self.plain:
            return []
        return [ast.copy_location(ast.Expr(self.call("lend", node, self.cells(names, node))), node)]

    def block(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        """The rewritten statements."""
        done: list[ast.stmt] = []
        for node in body:
            done += self.touch(node)
            rule = getattr(self, f"stmt_{type(node).__name__}", self.generic)
            found = rule(node)
            done += found if isinstance(found, list) else [found]
        return done or [ast.Pass()]

    def touch(self, node: ast.stmt) -> list[ast.stmt]:
        """Announce a store to a variable of another function or of the module."""
        if isinstance(node, ast.If | ast.While | ast.For | ast.Global | ast.Nonlocal) or not (
            self.scope.nonlocals or self.scope.globals
        ):
            return []
        written = stores([node]) & (self.scope.nonlocals | self.scope.globals)
        done: list[ast.stmt] = []
        for name in sorted(written):
            if self.scope.place(name) == "local":
                cell = self.thunk(ast.Name(name, ast.Load()))
                done.append(ast.Expr(self.call("touch", node, name, ast.copy_location(cell, node))))
            else:
                done.append(ast.Expr(self.call("outside", node, name)))
        return [ast.copy_location(d, node) for d in done]

    def generic(self, node: Any) -> ast.stmt:
        """A statement whose parts are expressions or blocks."""
        what = _OFFENCES.get(type(node).__name__)
        for name, child in ast.iter_fields(node):
            if isinstance(child, ast.expr):
                setattr(node, name, self.expr(child))
            elif isinstance(child, list) and child and isinstance(child[0], ast.stmt):
                setattr(node, name, self.block(child))
            elif isinstance(child, list):
                setattr(node, name, [self.part(c) for c in child])
        if what is None or self.plain:
            return node
        fence = ast.Expr(self.call("fence", node, what))
        self.offences.append((what, self.spans[-1]))
        return [ast.copy_location(fence, node), node]  # type: ignore[return-value]

    def part(self, node: Any) -> Any:
        """An item of a statement: a `with` item, an exception handler, a match case, a name."""
        if isinstance(node, ast.expr):
            return self.expr(node)
        if isinstance(node, ast.withitem):
            node.context_expr = self.expr(node.context_expr)
            if node.optional_vars is not None:
                node.optional_vars = self.expr(node.optional_vars)
        elif isinstance(node, ast.ExceptHandler):
            node.type = node.type if node.type is None else self.expr(node.type)
            node.body = self.block(node.body)
        elif isinstance(node, ast.match_case):
            node.guard = node.guard if node.guard is None else self.expr(node.guard)
            node.body = self.block(node.body)
        return node

    # --- definitions --------------------------------------------------------------------------------------------

    def stmt_Expr(self, node: ast.Expr) -> ast.stmt:
        name = getattr(node, "wengert_requires", None)
        node.value = self.expr(node.value) if name is None else self.call("require_set", node, name, node.value)
        return node

    def stmt_FunctionDef(self, node: Any) -> Any:
        node.decorator_list = self.exprs(node.decorator_list)
        if _is_generator(node) and can_push(node, inside=True) and self.scope.kind == "function":
            loops = can_push(node)
            push: Any = push_form(clone(node))
            self.count += 1
            push.name, push.decorator_list = f"__push_{self.count}__", []
            self.definition(push)
            pair = self.call("paired", node, ast.Name(push.name, ast.Load()), loops)
            node.decorator_list.append(pair)
            return [push, self.definition(node)]
        return self.definition(node)

    def definition(self, node: Any) -> ast.stmt:
        """A nested function, its decorators aside."""
        node.args = self.arguments(node.args)
        node.returns = None
        node.body = self.function_body(node, function_scope(node, self.scope))
        return node

    stmt_AsyncFunctionDef = stmt_FunctionDef

    def stmt_ClassDef(self, node: ast.ClassDef) -> ast.stmt:
        node.bases, node.decorator_list = self.exprs(node.bases), self.exprs(node.decorator_list)
        for keyword in node.keywords:
            keyword.value = self.expr(keyword.value)
        saved = self.scope, self.plain
        self.scope = Scope(stores(node.body), "class", self.scope)
        self.plain = True
        node.body = self.block(node.body)
        self.scope, self.plain = saved
        return node

    def stmt_Import(self, node: Any) -> ast.stmt:
        return node

    stmt_ImportFrom = stmt_Pass = stmt_Break = stmt_Continue = stmt_Import

    def stmt_Global(self, node: Any) -> ast.stmt:
        return node

    stmt_Nonlocal = stmt_Global

    # --- assignments --------------------------------------------------------------------------------------------

    def stmt_Assign(self, node: ast.Assign) -> list[ast.stmt]:
        if len(node.targets) == 1:
            return self.assign(node.targets[0], self.expr(node.value), node)
        name = self.temporary()
        done: list[ast.stmt] = [ast.copy_location(ast.Assign([_store(name)], self.expr(node.value)), node)]
        for target in node.targets:
            done += self.assign(target, ast.Name(name, ast.Load()), node)
        return done

    def stmt_AnnAssign(self, node: ast.AnnAssign) -> list[ast.stmt]:
        if node.value is None:
            return [ast.copy_location(ast.Pass(), node)]
        if self.scope.kind == "class":
            node.value, node.annotation = self.expr(node.value), self.expr(node.annotation)
            return [node]
        return self.assign(node.target, self.expr(node.value), node)

    def assign(self, target: ast.expr, value: ast.expr, place: ast.stmt) -> list[ast.stmt]:
        """Store `value`, which is rewritten already."""
        if isinstance(target, ast.Subscript):
            hook = self.call("set_item", place, value, self.expr(target.value), self.index(target.slice))
            return [ast.copy_location(ast.Expr(hook), place)]
        if isinstance(target, ast.Attribute):
            hook = self.call("set_attribute", place, value, self.expr(target.value), target.attr)
            return [ast.copy_location(ast.Expr(hook), place)]
        after: list[ast.stmt] = []
        if isinstance(target, ast.Tuple | ast.List):
            value = self.call("unpack", place, value)
            target = self.unpacked(target, place, after)
        return [ast.copy_location(ast.Assign([target], value), place), *after]

    def unpacked(self, target: Any, place: ast.stmt, after: list[ast.stmt]) -> Any:
        """A target of names only; stores to items and attributes follow in `after`."""
        if isinstance(target, ast.Tuple | ast.List):
            target.elts = [self.unpacked(t, place, after) for t in target.elts]
        elif isinstance(target, ast.Starred):
            target.value = self.unpacked(target.value, place, after)
        elif isinstance(target, ast.Subscript | ast.Attribute):
            name = self.temporary()
            after += self.assign(target, ast.Name(name, ast.Load()), place)
            return ast.copy_location(_store(name), target)
        return target

    def stmt_AugAssign(self, node: ast.AugAssign) -> list[ast.stmt]:
        operation, target = _BINARY[type(node.op)], node.target
        if isinstance(target, ast.Name):
            old = self.expr(ast.copy_location(ast.Name(target.id, ast.Load()), target))
            new = self.call("augment", node, operation, old, self.expr(node.value))
            return [ast.copy_location(ast.Assign([target], new), node)]
        if isinstance(target, ast.Subscript):
            parts = self.call("load_item", target, self.expr(target.value), self.index(target.slice))
            hook = "augment_item"
        else:
            parts = self.call("load_attribute", target, self.expr(target.value), target.attr)
            hook = "augment_attribute"
        starred = ast.Starred(parts, ast.Load())
        return [ast.copy_location(ast.Expr(self.call(hook, node, operation, starred, self.expr(node.value))), node)]

    def stmt_Delete(self, node: ast.Delete) -> list[ast.stmt]:
        done: list[ast.stmt] = []
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                hook = self.call("delete_item", node, self.expr(target.value), self.index(target.slice))
                done.append(ast.Expr(hook))
            elif isinstance(target, ast.Attribute):
                hook = self.call("delete_attribute", node, self.expr(target.value), target.attr)
                done.append(ast.Expr(hook))
            else:
                done.append(ast.Delete([target]))
        return [ast.copy_location(d, node) for d in done]

    def temporary(self) -> str:
        """The name of a new variable that is read at once."""
        self.count += 1
        return f"__temporary_{self.count}__"

    # --- try and with -------------------------------------------------------------------------------------------

    def stmt_Try(self, node: ast.Try) -> list[ast.stmt]:
        return [rewrite_plain_try(self, node)] if self.plain else rewrite_try(self, node)

    def stmt_With(self, node: ast.With) -> list[ast.stmt]:
        return [self.generic(node)] if self.plain else rewrite_with(self, node)

    # --- raise and assert ---------------------------------------------------------------------------------------

    def stmt_Raise(self, node: ast.Raise) -> ast.stmt:
        if node.exc is not None:
            node.exc = self.call("exception", node, self.expr(node.exc))
        elif not self.plain:
            return ast.copy_location(ast.Expr(self.call("raise_again", node)), node)
        node.cause = node.cause if node.cause is None else self.expr(node.cause)
        return node

    def stmt_Assert(self, node: ast.Assert) -> ast.stmt:
        message = node.msg if node.msg is None else self.expr(node.msg)
        test = self.expr(node.test)
        if message is None:
            node.test = self.call("ensure", node, test)
        elif self.can_defer([message]):
            node.test = self.call("ensure", node, test, self.thunk(message))
            node.msg = ast.Call(self.attribute("message"), [], [])
        return node

    # --- control flow -------------------------------------------------------------------------------------------

    def stmt_If(self, node: ast.If) -> list[ast.stmt]:
        if self.plain:
            return [self.generic(node)]
        names = self.own(stores([*node.body, *node.orelse]))
        info = self.info(node, names)
        then = self.arm("then", node.body, node)
        arms = [then]
        orelse: ast.expr = ast.Constant(None)
        if node.orelse:
            arms.append(self.arm("otherwise", node.orelse, node))
            orelse = ast.Name(arms[1].name, ast.Load())
        cells = self.cells(names, node)
        hook = self.call("branch", node.test, info, self.expr(node.test), ast.Name(then.name, ast.Load()), orelse, cells)
        return [*arms, ast.copy_location(ast.Expr(hook), node)]

    def stmt_While(self, node: ast.While) -> list[ast.stmt]:
        if self.plain:
            return [self.generic(node)]
        names = self.own(stores(node.body) | stores([node.test]))
        info = self.info(node, names)
        test = self.arm("test", [ast.copy_location(ast.Return(node.test), node.test)], node)
        body = self.arm("body", node.body, node)
        loaded = [ast.Name(test.name, ast.Load()), ast.Name(body.name, ast.Load())]
        hook = self.call("repeat", node.test, info, *loaded, self.cells(names, node))
        return [test, body, ast.copy_location(ast.Expr(hook), node)]

    def stmt_For(self, node: ast.For) -> list[ast.stmt]:
        if self.plain:
            node.iter = self.call("iterate", node.iter, self.expr(node.iter))
            node.target = self.expr(node.target)
            node.body, node.orelse = self.block(node.body), self.block(node.orelse) if node.orelse else []
            return [node]
        names = self.own(stores([*node.body, node.target]))
        info = self.info(node, names)
        item = self.temporary()
        bind = ast.copy_location(ast.Assign([node.target], ast.Name(item, ast.Load())), node.target)
        source = self.expr(node.iter)
        body = self.arm("body", [ast.fix_missing_locations(bind), *node.body], node, item)
        loop = self.call("loop", node.iter, info, source, ast.Name(body.name, ast.Load()), self.cells(names, node))
        return [body, ast.copy_location(ast.Expr(loop), node)]

    def own(self, names: set[str]) -> list[str]:
        """The names among `names` whose variables have cells that arms can share."""
        return sorted(n for n in names if self.scope.place(n) == "local")

    def info(self, node: Any, names: Sequence[str]) -> int:
        """The number of a new `BranchInfo`."""
        live = frozenset(names) & self.liveness.after.get(id(node), set(names))
        head = frozenset(names) & self.liveness.head.get(id(node), set())
        span = self.spans[self.site(node)]
        stop = getattr(node, "wengert_stop", ())
        made_up = frozenset(n for n in names if is_made_up(n) or n in self.doubtful)
        shared = frozenset(names) & self.liveness.always
        final = frozenset(names) & self.liveness.final.get(id(node), set())
        jumps = bool(getattr(node, "wengert_jumps", False))
        written = written_in_place(node.body) if isinstance(node, ast.For | ast.While) else frozenset()
        self.infos.append(BranchInfo(span, frozenset(live), frozenset(head), stop, made_up, shared, final, jumps, written))
        return len(self.infos) - 1

    def arm(self, kind: str, body: Sequence[ast.stmt], place: ast.stmt, parameter: str = "") -> ast.FunctionDef:
        """A nested function that runs `body` on the variables of the function around it."""
        written = stores(body)
        inner = self.block(body)
        outside = sorted(n for n in written if self.scope.place(n) == "global")
        shared = sorted(written - set(outside))
        head: list[ast.stmt] = []
        if shared:
            head.append(ast.Nonlocal(shared))
        if outside:
            head.append(ast.Global(outside))
        arguments = ast.arguments([], [ast.arg(parameter)] if parameter else [], None, [], [], None, [])
        self.count += 1
        new = ast.FunctionDef(f"__{kind}_{self.count}__", arguments, [*head, *inner], [])
        new.type_params = []  # type: ignore[attr-defined]
        return ast.copy_location(new, place)

    def cells(self, names: Sequence[str], place: ast.stmt) -> ast.expr:
        """A lambda whose closure holds the cells of `names`."""
        if not names:
            return ast.Constant(None)
        return ast.copy_location(self.thunk(ast.Tuple([ast.Name(n, ast.Load()) for n in names], ast.Load())), place)


def _store(name: str) -> ast.Name:
    return ast.Name(name, ast.Store())


def _parameters(arguments: ast.arguments) -> set[str]:
    named = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
    return {a.arg for a in named if a is not None}


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_generator(node: Any) -> bool:
    """Whether `yield` or `await` stands in the function itself."""
    pending = list(node.body)
    while pending:
        at = pending.pop()
        if isinstance(at, ast.Yield | ast.YieldFrom | ast.Await):
            return True
        if not isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            pending += children(at)
    return False
