"""Lowers `match` to tests and assignments, before anything else is rewritten.

A case becomes `if TEST: names = parts` followed by its guard, its body, and the other cases as the `else`. What only the run
of the program can tell (is it a sequence, which attributes does a class pattern look at) is asked through hooks; literals
are compared with `==`, so a traced subject gives traced tests.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from wengert.frontend.convert_scope import clone_expression
from wengert.frontend.syntax import walk


def lower_matches(body: list[ast.stmt]) -> list[ast.stmt]:
    """The body of a function without `match`; nested functions are left for later."""
    if not any(isinstance(node, ast.Match) for root in body for node in walk(root)):
        return body
    return _Lowering().block(body)


def is_case(name: str) -> bool:
    """Whether `name` is one of the variables made here."""
    return name.startswith(("__subject_", "__case_"))


class _Lowering:
    """Counts the subjects, which are kept in variables of their own."""

    def __init__(self) -> None:
        self.count = 0

    def block(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        """The statements without `match`."""
        return [new for node in body for new in self.statement(node)]

    def statement(self, node: Any) -> list[ast.stmt]:
        """One statement."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return [node]
        for name in ("body", "orelse", "finalbody"):
            inner = getattr(node, name, None)
            if isinstance(inner, list) and inner:
                setattr(node, name, self.block(inner))
        for handler in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            handler.body = self.block(handler.body)
        return self.match(node) if isinstance(node, ast.Match) else [node]

    def match(self, node: ast.Match) -> list[ast.stmt]:
        """The subject in a variable, then the cases one within the other."""
        self.count += 1
        name = f"__subject_{self.count}__"
        start = ast.Assign([ast.Name(name, ast.Store())], node.subject)
        subject = ast.Name(name, ast.Load())
        following: list[ast.stmt] = []
        for position in range(len(node.cases) - 1, -1, -1):
            following = self.case(node.cases[position], subject, following, position)
        return [_place(new, node) for new in [start, *following]]

    def case(self, case: ast.match_case, subject: ast.expr, following: list[ast.stmt], position: int) -> list[ast.stmt]:
        """One case, with the cases that follow as the alternative."""
        test, bindings = _pattern(case.pattern, subject)
        for part in (*([test] if test is not None else []), *[value for _, value in bindings]):
            _place(part, case.pattern)
        names = [_place(ast.Assign([ast.Name(n, ast.Store())], value), case.pattern) for n, value in bindings]
        if case.guard is None:
            chosen = [*names, *case.body]
            if test is None:
                return chosen
            return [_place(ast.If(test, chosen, following), case.pattern)]
        flag = f"__case_{self.count}_{position}__"
        guarded: list[ast.stmt] = [*names, ast.Assign([ast.Name(flag, ast.Store())], case.guard)]
        last = ast.If(ast.Name(flag, ast.Load()), case.body, following)
        if test is None:
            made: list[ast.stmt] = [*guarded, last]
        else:
            off = ast.Assign([ast.Name(flag, ast.Store())], ast.Constant(False))
            made = [off, ast.If(test, guarded, []), last]
        return [_place(new, case.pattern) for new in made]


def _place(node: Any, where: Any) -> Any:
    """`node`, with the place of `where` given to the parts that have none."""
    for part in walk(node):
        if not hasattr(part, "lineno") and isinstance(part, ast.expr | ast.stmt):
            ast.copy_location(part, where)
    return node


# --- patterns --------------------------------------------------------------------------------------------------------

_Found = tuple[ast.expr | None, list[tuple[str, ast.expr]]]


def _pattern(pattern: ast.pattern, subject: ast.expr) -> _Found:
    """The test that a pattern stands for (None if it always matches) and the names that it binds."""
    rule: Any = _RULES[type(pattern)]
    found: _Found = rule(pattern, clone_expression(subject))
    return found


def _value(pattern: ast.MatchValue, subject: ast.expr) -> _Found:
    return ast.Compare(subject, [ast.Eq()], [pattern.value]), []


def _singleton(pattern: ast.MatchSingleton, subject: ast.expr) -> _Found:
    return _hook("is_singleton", subject, ast.Constant(pattern.value)), []


def _sequence(pattern: ast.MatchSequence, subject: ast.expr) -> _Found:
    count = len(pattern.patterns)
    star = next((k for k, p in enumerate(pattern.patterns) if isinstance(p, ast.MatchStar)), None)
    length = ast.Constant(count if star is None else count - 1)
    tests: list[ast.expr | None] = [_hook("is_sequence", subject, length, ast.Constant(star is not None))]
    bindings: list[tuple[str, ast.expr]] = []
    for k, inner in enumerate(pattern.patterns):
        if isinstance(inner, ast.MatchStar):
            if inner.name is not None:
                ends = ast.Constant(k), ast.Constant(count - 1 - k)
                bindings.append((inner.name, _hook("star_part", clone_expression(subject), *ends)))
            continue
        place = ast.Constant(k if star is None or k < star else k - count)
        test, bound = _pattern(inner, _hook("sequence_part", clone_expression(subject), place))
        tests.append(test)
        bindings += bound
    return _all(tests), bindings


def _mapping(pattern: ast.MatchMapping, subject: ast.expr) -> _Found:
    keys = ast.Tuple([clone_expression(k) for k in pattern.keys], ast.Load())
    tests: list[ast.expr | None] = [_hook("is_mapping", subject, keys)]
    bindings: list[tuple[str, ast.expr]] = []
    for key, inner in zip(pattern.keys, pattern.patterns, strict=True):
        part = ast.Subscript(clone_expression(subject), clone_expression(key), ast.Load())
        test, bound = _pattern(inner, part)
        tests.append(test)
        bindings += bound
    if pattern.rest is not None:
        bindings.append((pattern.rest, _hook("rest_part", clone_expression(subject), clone_expression(keys))))
    return _all(tests), bindings


def _class(pattern: ast.MatchClass, subject: ast.expr) -> _Found:
    count = ast.Constant(len(pattern.patterns))
    named = ast.Constant(tuple(pattern.kwd_attrs))  # type: ignore[arg-type]
    tests: list[ast.expr | None] = [_hook("is_instance_of", subject, clone_expression(pattern.cls), count, named)]
    bindings: list[tuple[str, ast.expr]] = []
    places: list[Any] = [*range(len(pattern.patterns)), *pattern.kwd_attrs]
    for place, inner in zip(places, [*pattern.patterns, *pattern.kwd_patterns], strict=True):
        part = _hook("class_part", clone_expression(subject), clone_expression(pattern.cls), ast.Constant(place))
        test, bound = _pattern(inner, part)
        tests.append(test)
        bindings += bound
    return _all(tests), bindings


def _as(pattern: ast.MatchAs, subject: ast.expr) -> _Found:
    test, bindings = (None, []) if pattern.pattern is None else _pattern(pattern.pattern, subject)
    if pattern.name is not None:
        bindings = [*bindings, (pattern.name, clone_expression(subject))]
    return test, bindings


def _or(pattern: ast.MatchOr, subject: ast.expr) -> _Found:
    found = [_pattern(p, subject) for p in pattern.patterns]
    tests = [test for test, _ in found]
    bound = dict(found[-1][1])
    for test, bindings in reversed(found[:-1]):
        for name, value in bindings:
            if test is not None and ast.dump(bound[name]) != ast.dump(value):
                bound[name] = ast.IfExp(clone_expression(test), value, bound[name])
            else:
                bound[name] = value
    known = [t for t in tests if t is not None]
    whole = None if len(known) < len(tests) else ast.BoolOp(ast.Or(), known)
    return whole, list(bound.items())


_RULES: dict[type, Any] = {
    ast.MatchValue: _value,
    ast.MatchSingleton: _singleton,
    ast.MatchSequence: _sequence,
    ast.MatchMapping: _mapping,
    ast.MatchClass: _class,
    ast.MatchAs: _as,
    ast.MatchOr: _or,
}


def _all(tests: Sequence[ast.expr | None]) -> ast.expr | None:
    known = [t for t in tests if t is not None]
    if not known:
        return None
    return known[0] if len(known) == 1 else ast.BoolOp(ast.And(), known)


def _hook(name: str, *args: ast.expr) -> ast.expr:
    """A call that the rewriter turns into one of the hook `name`."""
    new = ast.Call(ast.Name(name, ast.Load()), list(args), [])
    new.wengert_hook = name  # type: ignore[attr-defined]
    return new
