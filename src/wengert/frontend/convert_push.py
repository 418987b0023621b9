"""Rewrites a generator as a function that is handed its consumer: `yield v` becomes a call that says whether to go on."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from wengert.frontend.syntax import children

CONSUME = "__consume__"


def can_push(node: Any, inside: bool = False) -> bool:
    """Whether every `yield` of a generator is a statement of its own.

    Args:
        node: the definition of the generator.
        inside: whether a `yield` may stand in a `try` or `with`: only where exceptions of the consumer are the generator's.
    """
    return isinstance(node, ast.FunctionDef) and all(_fits(s, inside) for s in node.body)


def _fits(node: ast.AST, inside: bool) -> bool:
    if not _yields(node):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield | ast.YieldFrom):
        return node.value.value is None or not _yields(node.value.value)
    if isinstance(node, ast.Try | ast.With) and not inside:
        return False
    if isinstance(node, ast.If | ast.For | ast.While | ast.Try | ast.With | ast.Match):
        heads = [getattr(node, name) for name in ("test", "iter", "subject") if hasattr(node, name)]
        if any(map(_yields, heads)):
            return False
        blocks = [*getattr(node, "body", ()), *getattr(node, "orelse", ()), *getattr(node, "finalbody", ())]
        for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            blocks += part.body
        return all(_fits(s, inside) for s in blocks)
    return False


def _yields(node: ast.AST) -> bool:
    """Whether `yield` stands in `node` itself, nested functions left out."""
    if isinstance(node, ast.Yield | ast.YieldFrom):
        return True
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
        return False
    return any(map(_yields, children(node)))


def push_form(node: ast.FunctionDef) -> ast.FunctionDef:
    """The definition with the consumer as its first parameter, in place of `node`."""
    node.args.posonlyargs.insert(0, ast.arg(CONSUME))
    node.body = [*_block(node.body), ast.copy_location(ast.Return(None), node.body[-1])]
    return ast.fix_missing_locations(node)


def _block(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    return [new for node in body for new in _statement(node)]


def _statement(node: Any) -> list[ast.stmt]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node]
    if isinstance(node, ast.Return):
        node.value = None
        return [node]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield):
        return [_hand_over(node.value.value or ast.Constant(None), node)]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.YieldFrom):
        item = "__yielded__"
        handed = _hand_over(ast.Name(item, ast.Load()), node)
        loop = ast.For(ast.Name(item, ast.Store()), node.value.value, [handed], [])
        return [ast.fix_missing_locations(ast.copy_location(loop, node))]
    for name in ("body", "orelse", "finalbody"):
        inner = getattr(node, name, None)
        if isinstance(inner, list) and inner:
            setattr(node, name, _block(inner))
    for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        part.body = _block(part.body)
    return [node]


def _hand_over(value: ast.expr, place: ast.stmt) -> ast.stmt:
    """`if __consume__(value): return`."""
    handed = ast.Call(ast.Name(CONSUME, ast.Load()), [value], [])
    new = ast.If(handed, [ast.Return(None)], [])
    return ast.fix_missing_locations(ast.copy_location(new, place))
