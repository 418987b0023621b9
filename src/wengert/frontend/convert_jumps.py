"""Lowers `break`, `continue` and early `return` to assignments and guards, so that arms and bodies can be functions.

Where a path surely ends in a jump, what follows moves into the other arm; only where that is not possible is a flag set
and tested. With Python values as tests the flags are Python bools and the program does what it did before.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from wengert.frontend.convert_protect import lets_exceptions_through
from wengert.frontend.syntax import children, walk

RETURNED = "__returned__"
RESULT = "__result__"


def is_made_up(name: str) -> bool:
    """Whether `name` is one of the variables made here."""
    return name in (RETURNED, RESULT) or name.startswith(("__broke_", "__continued_"))


def lower_jumps(body: list[ast.stmt]) -> list[ast.stmt]:
    """The body of a function without jumps but for at most one `return`, its last statement."""
    kinds = {kind for statement in body[:-1] for kind in _jumps(statement)}
    simple_end = isinstance(body[-1], ast.Return) or not _jumps(body[-1])
    if not kinds and simple_end and not _has_loop_jumps(body):
        return body
    if not _surely_jumps(body) and not isinstance(body[-1], ast.Raise):
        none = ast.Return(ast.Constant(None))
        body = [*body, ast.copy_location(none, body[-1])]
    lowering = _Lowering()
    lowered = lowering.block(body, None)
    if RESULT in lowering.assigned:
        last = ast.Return(ast.Name(RESULT, ast.Load()))
        lowered.append(ast.copy_location(last, body[-1]))
    if RETURNED in lowering.used:
        lowered.insert(0, _assign(RETURNED, ast.Constant(False), body[0]))
    return [ast.fix_missing_locations(node) for node in _strip(lowered, lowering.used)]


def _has_loop_jumps(body: Sequence[ast.stmt]) -> bool:
    return any(isinstance(n, ast.Break | ast.Continue) or _has_else(n) for s in body for n in _walk(s))


def _has_else(node: ast.AST) -> bool:
    return (isinstance(node, ast.For | ast.While) and bool(node.orelse)) or _assigns_in_test(node)


def _assigns_in_test(node: ast.AST) -> bool:
    """Whether it is a `while` whose condition has a `:=`."""
    return isinstance(node, ast.While) and any(isinstance(n, ast.NamedExpr) for n in walk(node.test))


def _walk(node: ast.AST) -> Any:
    """`ast.walk` that stays out of nested functions and classes."""
    yield node
    for child in children(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield from _walk(child)


def _jumps(node: ast.AST) -> set[str]:
    """The kinds of jumps that may leave `node`: "return", "break", "continue"."""
    if isinstance(node, ast.Return):
        return {"return"}
    if isinstance(node, ast.Break):
        return {"break"}
    if isinstance(node, ast.Continue):
        return {"continue"}
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.expr):
        return set()
    found = {kind for child in children(node) for kind in _jumps(child)}
    if isinstance(node, ast.For | ast.While | ast.AsyncFor):
        tail = {kind for child in node.orelse for kind in _jumps(child)}
        return (found & {"return"}) | tail
    return found


def _surely_jumps(body: Sequence[ast.stmt]) -> bool:
    return any(_is_jump(statement) for statement in body)


def _is_jump(node: ast.stmt) -> bool:
    if isinstance(node, ast.Return | ast.Break | ast.Continue):
        return True
    if isinstance(node, ast.If):
        return _surely_jumps(node.body) and _surely_jumps(node.orelse)
    if isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and node.test.value:
        return not any(_breaks(child) for child in node.body)
    if isinstance(node, ast.Try):
        return _surely_jumps(node.finalbody) or (
            _surely_ends([*node.body, *node.orelse]) and all(_surely_ends(h.body) for h in node.handlers)
        )
    return isinstance(node, ast.With) and lets_exceptions_through(node) and _surely_jumps(node.body)


def _surely_ends(body: Sequence[ast.stmt]) -> bool:
    """Whether what follows `body` is not reached: it jumps or raises."""
    return _surely_jumps(body) or any(isinstance(s, ast.Raise) for s in body)


def _breaks(node: ast.stmt) -> bool:
    return "break" in _jumps(node)


class _Loop:
    """The flags of the loop around a statement."""

    def __init__(self, number: int) -> None:
        self.broke = f"__broke_{number}__"
        self.continued = f"__continued_{number}__"


class _Lowering:
    """Lowers blocks.

    Attributes:
        assigned: variables made up that are set somewhere.
        used: flags that are tested somewhere.
    """

    def __init__(self) -> None:
        self.assigned: set[str] = set()
        self.used: set[str] = set()
        self.count = 0

    def block(self, body: Sequence[ast.stmt], loop: _Loop | None) -> list[ast.stmt]:
        """`body` without jumps."""
        done: list[ast.stmt] = []
        for position, node in enumerate(body):
            rest = body[position + 1 :]
            if isinstance(node, ast.Return | ast.Break | ast.Continue):
                return done + self.jump(node, loop)
            if isinstance(node, ast.If) and rest and (_surely_jumps(node.body) or _surely_jumps(node.orelse)):
                done.append(self.absorb(node, rest, loop))
                return done
            kinds = _jumps(node)
            if isinstance(node, ast.Try) and rest and kinds and self.can_absorb(node):
                node.orelse = [*node.orelse, *rest]
                return [*done, *self.statement(node, loop)]
            done += self.statement(node, loop)
            if kinds and rest:
                done.append(self.guard(kinds, self.block(rest, loop), loop, rest[0]))
                return done
        return done or [ast.Pass(lineno=1, col_offset=0)]

    def jump(self, node: ast.stmt, loop: _Loop | None) -> list[ast.stmt]:
        """A jump as assignments."""
        if isinstance(node, ast.Return):
            self.assigned.add(RESULT)
            value = node.value if node.value is not None else ast.Constant(None)
            return [_assign(RESULT, value, node), _assign(RETURNED, ast.Constant(True), node)]
        assert loop is not None
        return [_assign(loop.broke if isinstance(node, ast.Break) else loop.continued, ast.Constant(True), node)]

    def can_absorb(self, node: ast.Try) -> bool:
        """Whether what follows a `try` is reached through its `else` only."""
        return bool(node.handlers) and not node.finalbody and all(_surely_ends(h.body) for h in node.handlers)

    def absorb(self, node: ast.If, rest: Sequence[ast.stmt], loop: _Loop | None) -> ast.stmt:
        """An `if` one arm of which jumps: what follows goes into the other arm."""
        then, orelse = node.body, node.orelse
        if not _surely_jumps(then):
            then = [*then, *rest]
        elif not _surely_jumps(orelse):
            orelse = [*orelse, *rest]
        new = ast.If(node.test, self.block(then, loop), self.block(orelse, loop) if orelse else [])
        return ast.copy_location(new, node)

    def guard(self, kinds: set[str], body: list[ast.stmt], loop: _Loop | None, place: ast.stmt) -> ast.stmt:
        """`body`, to be run unless one of the jumps has happened."""
        flags = [RETURNED] if "return" in kinds else []
        if loop is not None:
            flags += [loop.broke] * ("break" in kinds) + [loop.continued] * ("continue" in kinds)
        self.used.update(flags)
        names: list[ast.expr] = [ast.Name(f, ast.Load()) for f in flags]
        flag = names[0] if len(names) == 1 else ast.BoolOp(ast.Or(), names)
        test = ast.UnaryOp(ast.Not(), flag)
        for part in walk(test):
            ast.copy_location(part, place)
        return ast.copy_location(ast.If(test, body, []), place)

    def statement(self, node: ast.stmt, loop: _Loop | None) -> list[ast.stmt]:
        """A statement that is no jump itself."""
        if isinstance(node, ast.For | ast.While):
            return self.loop(node, loop)
        tried = {kind for child in getattr(node, "body", ()) for kind in _jumps(child)} if isinstance(node, ast.Try) else set()
        if isinstance(node, ast.Try):
            node.wengert_jumps = any(_jumps(child) for child in node.finalbody)  # type: ignore[attr-defined]
        for name in ("body", "orelse", "finalbody"):
            inner = getattr(node, name, None)
            if isinstance(inner, list) and inner and not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                setattr(node, name, self.block(inner, loop))
        for handler in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            handler.body = self.block(handler.body, loop)
        if isinstance(node, ast.Try) and node.orelse and tried:
            node.orelse = [self.guard(tried, node.orelse, loop, node.orelse[0])]
        return [node]

    def loop(self, node: Any, outer: _Loop | None) -> list[ast.stmt]:
        """A loop: `break` and `return` in it stop it through the flags named in `wengert_stop`."""
        self.count += 1
        flags = _Loop(self.count)
        if _assigns_in_test(node) and not node.orelse:
            leave = ast.copy_location(ast.If(ast.UnaryOp(ast.Not(), node.test), [ast.Break()], []), node)
            node.body.insert(0, ast.fix_missing_locations(leave))
            node.test = ast.copy_location(ast.Constant(True), node.test)
        kinds = {kind for child in node.body for kind in _jumps(child)}
        orelse, node.orelse = node.orelse, []
        body = self.block(node.body, flags)
        if flags.continued in self.used:
            body.insert(0, _assign(flags.continued, ast.Constant(False), node))
        node.body = body
        stop = [flags.broke] * ("break" in kinds) + [RETURNED] * ("return" in kinds)
        self.used.update(stop)
        node.wengert_stop = tuple(stop)
        before = [_assign(flags.broke, ast.Constant(False), node)] if "break" in kinds else []
        after: list[ast.stmt] = []
        if orelse:
            lowered = self.block(orelse, outer)
            after = [self.guard(kinds - {"continue"}, lowered, flags, orelse[0])] if stop else lowered
        return [*before, node, *after]


def _strip(body: list[ast.stmt], used: set[str]) -> list[ast.stmt]:
    """Remove assignments of flags that nobody tests."""
    kept: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if is_made_up(name) and name != RESULT and name not in used:
                continue
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            for name in ("body", "orelse", "finalbody"):
                inner = getattr(node, name, None)
                if isinstance(inner, list) and inner:
                    setattr(node, name, _strip(inner, used) or [ast.copy_location(ast.Pass(), node)])
            for handler in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
                handler.body = _strip(handler.body, used)
        kept.append(node)
    return kept


def _assign(name: str, value: ast.expr, place: ast.AST) -> ast.stmt:
    target = ast.copy_location(ast.Name(name, ast.Store()), place)
    if not hasattr(value, "lineno"):
        ast.copy_location(value, place)
    return ast.copy_location(ast.Assign([target], value), place)
