"""Rewrites `try` and `with`: bodies and handlers become nested functions that hooks call.

In generators and coroutines, which stay Python's own, a `try` stays one too; its handlers let through what is not the user's
to handle.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from wengert.frontend.convert_scope import loads, stores
from wengert.frontend.syntax import walk

_QUIET = frozenset({"errstate", "catch_warnings", "nullcontext", "closing", "open", "localcontext", "redirect_stdout"})


def rewrite_try(rewriter: Any, node: ast.Try) -> list[ast.stmt]:
    """`hooks.attempt(...)` with the parts of the statement as functions."""
    stored = stores([node])
    names = rewriter.own(stored)
    info = rewriter.info(node, names)
    body = rewriter.arm("body", node.body, node)
    arms: list[ast.stmt] = [body]
    clauses: list[ast.expr] = []
    for handler in node.handlers:
        clause, arm = _handler(rewriter, handler)
        arms.append(arm)
        clauses.append(clause)
    parts: list[ast.expr] = []
    for kind, block in (("orelse", node.orelse), ("final", node.finalbody)):
        if block:
            arm = rewriter.arm(kind, block, node)
            arms.append(arm)
            parts.append(ast.Name(arm.name, ast.Load()))
        else:
            parts.append(ast.Constant(None))
    listed = ast.Tuple(clauses, ast.Load())
    cells = rewriter.cells(names, node)
    hook = rewriter.call("attempt", node, info, ast.Name(body.name, ast.Load()), listed, *parts, cells)
    return [*arms, ast.copy_location(ast.Expr(hook), node)]


def _handler(rewriter: Any, handler: ast.ExceptHandler) -> tuple[ast.expr, Any]:
    """What the hook is given of a clause: the classes, its body, and whether it looks at the exception; and the body."""
    item = rewriter.temporary()
    body = list(handler.body)
    looks = any(isinstance(n, ast.Raise) and n.exc is None for s in body for n in walk(s))
    if handler.name is not None:
        looks = looks or handler.name in loads(body)
        bind = ast.Assign([ast.Name(handler.name, ast.Store())], ast.Name(item, ast.Load()))
        clear = ast.Assign([ast.Name(handler.name, ast.Store())], ast.Constant(None))
        drop = ast.Delete([ast.Name(handler.name, ast.Del())])
        body = [bind, *body, clear, drop] if looks else body
        for made in (bind, clear, drop):
            ast.fix_missing_locations(ast.copy_location(made, handler))
    kinds: ast.expr = ast.Constant(None)
    if handler.type is not None:
        kinds = rewriter.thunk(rewriter.expr(handler.type))
    arm = rewriter.arm("handler", body, handler, item)
    clause = ast.Tuple([kinds, ast.Name(arm.name, ast.Load()), ast.Constant(looks)], ast.Load())
    return ast.copy_location(clause, handler), arm


def rewrite_plain_try(rewriter: Any, node: Any) -> ast.stmt:
    """Python's own `try`, whose handlers begin with a hook that lets our own errors through."""
    rewritten: ast.stmt = rewriter.generic(node)
    for handler in node.handlers:
        check = ast.Expr(rewriter.call("genuine", handler))
        handler.body.insert(0, ast.fix_missing_locations(ast.copy_location(check, handler)))
    return rewritten


def rewrite_with(rewriter: Any, node: ast.With) -> list[ast.stmt]:
    """`hooks.manage(...)`, nested where there are several items."""
    item, *others = node.items
    inner: Sequence[ast.stmt] = node.body
    if others:
        nested = ast.copy_location(ast.With(others, list(node.body)), others[0].context_expr)
        rewriter.liveness.copy(node, nested)
        inner = [nested]
    name = rewriter.temporary()
    bind: list[ast.stmt] = []
    if item.optional_vars is not None:
        assign = ast.Assign([item.optional_vars], ast.Name(name, ast.Load()))
        bind.append(ast.fix_missing_locations(ast.copy_location(assign, item.optional_vars)))
    whole = [*bind, *inner]
    names = rewriter.own(stores(whole))
    info = rewriter.info(node, names)
    manager = rewriter.expr(item.context_expr)
    body = rewriter.arm("body", whole, node, name)
    cells = rewriter.cells(names, node)
    hook = rewriter.call("manage", item.context_expr, info, manager, ast.Name(body.name, ast.Load()), cells)
    return [body, ast.copy_location(ast.Expr(hook), node)]


def lets_exceptions_through(node: ast.With) -> bool:
    """Whether the managers are known never to swallow an exception."""
    for item in node.items:
        call = item.context_expr
        function = call.func if isinstance(call, ast.Call) else call
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name not in _QUIET:
            return False
    return True
