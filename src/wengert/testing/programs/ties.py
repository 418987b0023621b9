"""Whether a program compares two numbers that are equal up to rounding: then its ways of running may rightly differ."""

from __future__ import annotations

import ast
import operator
from typing import Any

import numpy as np

from wengert.testing.programs.generate import Program

_TOLERANCE = 1e-12
_OPERATORS = {
    "Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt, "GtE": operator.ge, "Eq": operator.eq, "NotEq": operator.ne,
}  # fmt: skip
_SELECTIONS = ("max", "min", "maximum", "minimum")


def has_near_tie(program: Program) -> bool:
    """Whether any comparison that the program makes at its inputs is that close."""
    watcher = _Watcher()
    tree = ast.fix_missing_locations(_Rewrite().visit(ast.parse(program.source)))
    names: dict[str, Any] = {"__name__": "watched", "_watch_compare": watcher.compare, "_watch_select": watcher.select}
    exec(compile(tree, "<watched program>", "exec", dont_inherit=True), names)
    with np.errstate(all="ignore"):
        names["program"](*names["make_args"]())
    return watcher.found


class _Rewrite(ast.NodeTransformer):
    """Sends comparisons, and calls of `max` and the like, through the watcher."""

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if any(type(op).__name__ not in _OPERATORS for op in node.ops):
            return node
        names = ast.Tuple([ast.Constant(type(op).__name__) for op in node.ops], ast.Load())
        return ast.Call(ast.Name("_watch_compare", ast.Load()), [names, node.left, *node.comparators], [])

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name not in _SELECTIONS or node.keywords:
            return node
        if not node.args:  # x.max()
            assert isinstance(node.func, ast.Attribute)
            node.func.value = ast.Call(ast.Name("_watch_select", ast.Load()), [node.func.value], [])
            return node
        call = ast.Call(ast.Name("_watch_select", ast.Load()), list(node.args), [])
        node.args = [ast.Starred(call, ast.Load())] if len(node.args) > 1 else [call]
        return node


class _Watcher:
    """Sees the operands of every comparison; `found` once two of them are close."""

    def __init__(self) -> None:
        self.found = False

    def compare(self, names: tuple[str, ...], *values: Any) -> Any:
        """The comparison `values[0] names[0] values[1] names[1] ...`."""
        outcome: Any = True
        for name, left, right in zip(names, values, values[1:], strict=False):
            self._note(left, right)
            outcome = _OPERATORS[name](left, right)
            if len(names) > 1 and not outcome:
                return outcome
        return outcome

    def select(self, *values: Any) -> Any:
        """The operands of a maximum or minimum, unchanged."""
        if len(values) == 2:
            self._note(*values)
        elif len(values) == 1 and np.size(values[0]) > 1:
            ordered = np.sort(np.ravel(values[0]))
            self._note(ordered[1:], ordered[:-1])
        return values if len(values) > 1 else values[0]

    def _note(self, left: Any, right: Any) -> None:
        kinds = [np.asarray(side).dtype.kind for side in (left, right)]
        if "f" not in kinds or set(kinds) - set("fiub"):
            return  # exact numbers, and texts and other objects
        gap = np.abs(np.subtract(left, right))
        self.found |= bool(np.any(gap <= _TOLERANCE * (1 + np.abs(left))))
