"""Rewrites expressions: operators, calls, subscripts, attributes and names from outside become calls of hooks.

Parts that must not run at once (arms of a ternary, right-hand sides of `and`) become lambdas. An expression with `:=`, `yield`
or `await` in such a part stays as Python has it.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Sequence
from typing import Any

from wengert.errors import Span
from wengert.frontend.convert_info import BranchInfo
from wengert.frontend.convert_scope import Scope, function_scope, stores
from wengert.frontend.syntax import walk

_BINARY = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv", ast.FloorDiv: "floordiv", ast.Mod: "mod",
    ast.Pow: "pow", ast.MatMult: "matmul", ast.BitAnd: "and_", ast.BitOr: "or_", ast.BitXor: "xor",
    ast.LShift: "lshift", ast.RShift: "rshift",
}  # fmt: skip
_UNARY = {ast.USub: "neg", ast.UAdd: "pos", ast.Invert: "invert"}
_COMPARE = {
    ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne", ast.In: "in", ast.NotIn: "not in",
    ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip


class ExpressionRewriter:
    """Rewrites expressions of one function and those nested in it.

    Attributes:
        file: the user's file, for spans.
        hook: the name under which the hooks are reached.
        spans: places that hooks refer to by number.
        infos: what hooks of control flow know, by number.
        function: the name of the innermost function, for spans.
        scope: where names are looked up.
        me: the first parameter of the innermost function, for `super()`.
    """

    def __init__(self, file: str, hook: str, scope: Scope, function: str) -> None:
        self.file = file
        self.hook = hook
        self.scope = scope
        self.function = function
        self.spans: list[Span] = []
        self.infos: list[BranchInfo] = []
        self.me = ""

    # --- making nodes -------------------------------------------------------------------------------------------

    def site(self, node: Any) -> int:
        """The number of a new span for `node`."""
        end = node.end_col_offset if getattr(node, "end_lineno", None) == node.lineno else None
        self.spans.append(Span(self.file, node.lineno, node.col_offset, end, self.function))
        return len(self.spans) - 1

    def call(self, name: str, node: Any, *args: Any) -> ast.expr:
        """`hooks.name(site, *args)`; strings and numbers among `args` become constants."""
        operands = [ast.Constant(self.site(node)), *map(_expression, args)]
        return ast.copy_location(ast.Call(self.attribute(name), operands, []), node)

    def attribute(self, name: str) -> ast.expr:
        """`hooks.name`."""
        return ast.Attribute(ast.Name(self.hook, ast.Load()), name, ast.Load())

    # --- expressions --------------------------------------------------------------------------------------------

    def expr(self, node: ast.expr) -> ast.expr:
        """The rewritten expression."""
        rule: Callable[[Any], ast.expr] = getattr(self, f"expr_{type(node).__name__}", self.children)
        return rule(node)

    def exprs(self, nodes: Sequence[ast.expr]) -> list[ast.expr]:
        """The rewritten expressions."""
        return [self.expr(n) for n in nodes]

    def children(self, node: Any) -> Any:
        """`node` with its parts rewritten."""
        for name, child in ast.iter_fields(node):
            if isinstance(child, ast.expr):
                setattr(node, name, self.expr(child))
            elif isinstance(child, list):
                setattr(node, name, [self.expr(c) if isinstance(c, ast.expr) else c for c in child])
        return node

    def expr_Constant(self, node: ast.Constant) -> ast.expr:
        return node

    def expr_Name(self, node: ast.Name) -> ast.expr:
        if not isinstance(node.ctx, ast.Load) or node.id == "__class__" or node.id.startswith("__temporary_"):
            return node
        place = self.scope.place(node.id)
        if place == "local":
            return node
        return self.call("free" if place == "free" else "name", node, node.id)

    def expr_BinOp(self, node: ast.BinOp) -> ast.expr:
        if isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant):
            return node
        return self.call("binary", node, _BINARY[type(node.op)], self.expr(node.left), self.expr(node.right))

    def expr_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if isinstance(node.operand, ast.Constant):
            return node
        operand = self.expr(node.operand)
        if isinstance(node.op, ast.Not):
            return self.call("not_", node, operand)
        return self.call("unary", node, _UNARY[type(node.op)], operand)

    def expr_Compare(self, node: ast.Compare) -> ast.expr:
        names = [_COMPARE[type(op)] for op in node.ops]
        if len(names) == 1:
            left, right = self.expr(node.left), self.expr(node.comparators[0])
            return self.call("compare", node, names[0], left, right)
        if not self.can_defer(node.comparators[1:]):
            return self.children(node)
        parts = self.exprs([node.left, *node.comparators])
        thunks = [self.thunk(p) for p in parts[2:]]
        listed: Any = tuple(names)
        return self.call("chain", node, ast.Constant(listed), parts[0], parts[1], *thunks)

    def expr_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        if not self.can_defer(node.values[1:]):
            return self.children(node)
        first, *rest = self.exprs(node.values)
        name = "and_" if isinstance(node.op, ast.And) else "or_"
        return self.call(name, node, first, *map(self.thunk, rest))

    def expr_IfExp(self, node: ast.IfExp) -> ast.expr:
        if not self.can_defer([node.body, node.orelse]):
            return self.children(node)
        test, body, orelse = self.exprs([node.test, node.body, node.orelse])
        return self.call("choose", node, test, self.thunk(body), self.thunk(orelse))

    def expr_Call(self, node: ast.Call) -> ast.expr:
        hook = getattr(node, "wengert_hook", None)
        if hook is not None:
            return self.call("pattern", node, hook, *self.exprs(node.args))
        read = getattr(node, "wengert_reads", None)
        if read is not None:
            return self.call("read_set", node, read, node.args[0], self.thunk(node.args[1]))
        if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args and self.me:
            node.args = [ast.Name("__class__", ast.Load()), ast.Name(self.me, ast.Load())]
        if self.is_sum(node):
            return self.sum_of(node)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        function = self.expr(node.func)
        args = self.exprs(node.args)
        keywords = [ast.keyword(k.arg, self.expr(k.value)) for k in node.keywords]
        new = ast.Call(self.attribute("call"), [ast.Constant(self.site(node)), function, *args], keywords)
        new.wengert_callee = name  # type: ignore[attr-defined]
        return ast.copy_location(new, node)

    def is_sum(self, node: ast.Call) -> bool:
        """Whether it is `sum(... for ... in ...)` over one iterable."""
        if not isinstance(node.func, ast.Name) or node.func.id != "sum" or len(node.args) != 1 or node.keywords:
            return False
        source = node.args[0]
        if not isinstance(source, ast.GeneratorExp) or len(source.generators) != 1 or source.generators[0].is_async:
            return False
        target = source.generators[0].target
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        return all(isinstance(n, ast.Name) for n in names) and self.can_defer([source])

    def sum_of(self, node: ast.Call) -> ast.expr:
        """A sum that can be staged as a loop: the iterable, and the element and the condition as functions of an item."""
        source: Any = node.args[0]
        generator: Any = source.generators[0]
        function, iterable = self.expr(node.func), self.expr(generator.iter)
        takes_tuple = isinstance(generator.target, ast.Tuple)
        names = [n.id for n in (generator.target.elts if takes_tuple else [generator.target])]
        self.scope = Scope(set(names), "comprehension", self.scope)
        parts = self.exprs([source.elt, *generator.ifs])
        assert self.scope.parent is not None
        self.scope = self.scope.parent
        span = self.spans[self.site(node)]
        total = frozenset(["total"])
        self.infos += [BranchInfo(span, total, total), BranchInfo(span, total, total)]
        made = []
        for part in parts:
            arguments = ast.arguments([], [ast.arg(n) for n in names], None, [], [], None, [])
            made.append(ast.copy_location(ast.Lambda(arguments, part), part))
        return self.call("sum", node, len(self.infos) - 2, function, iterable, takes_tuple, *made)

    def expr_Starred(self, node: ast.Starred) -> ast.expr:
        node.value = self.expr(node.value)
        if isinstance(node.ctx, ast.Load):
            node.value = self.call("spread", node, node.value)
        return node

    def expr_Subscript(self, node: ast.Subscript) -> ast.expr:
        value = self.expr(node.value)
        if not isinstance(node.ctx, ast.Load):
            return ast.copy_location(ast.Subscript(value, self.index(node.slice), node.ctx), node)
        return self.call("item", node, value, self.index(node.slice))

    def index(self, node: ast.expr) -> ast.expr:
        """What stands between brackets, with slices as `slice` objects."""
        if isinstance(node, ast.Tuple):
            return ast.copy_location(ast.Tuple([self.index(e) for e in node.elts], ast.Load()), node)
        if isinstance(node, ast.Slice):
            parts = [self.expr(p) if p is not None else ast.Constant(None) for p in (node.lower, node.upper, node.step)]
            return ast.copy_location(ast.Call(self.attribute("slice"), parts, []), node)
        return self.expr(node)

    def expr_Attribute(self, node: ast.Attribute) -> ast.expr:
        value = self.expr(node.value)
        if not isinstance(node.ctx, ast.Load):
            return ast.copy_location(ast.Attribute(value, node.attr, node.ctx), node)
        return self.call("attribute", node, value, node.attr)

    def display(self, node: Any) -> ast.expr:
        """A list, dict or set: noted as made here, since it may be changed later."""
        node = self.children(node)
        return node if isinstance(getattr(node, "ctx", None), ast.Store | ast.Del) else self.call("fresh", node, node)

    expr_List = expr_Dict = expr_Set = display

    def expr_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        parts: list[ast.expr] = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                spec = self.expr(part.format_spec) if part.format_spec is not None else ast.Constant("")
                parts.append(ast.Tuple([self.expr(part.value), ast.Constant(part.conversion), spec], ast.Load()))
            else:
                parts.append(part)
        return self.call("text", node, *parts)

    def expr_Lambda(self, node: ast.Lambda) -> ast.expr:
        arguments = self.arguments(node.args)
        outer, me, function = self.scope, self.me, self.function
        self.scope, self.me, self.function = function_scope(node, outer), "", "<lambda>"
        body = self.expr(node.body)
        self.scope, self.me, self.function = outer, me, function
        return ast.copy_location(ast.Lambda(arguments, body), node)

    def arguments(self, node: ast.arguments) -> ast.arguments:
        """Parameters with defaults rewritten and annotations dropped."""
        node.defaults = self.exprs(node.defaults)
        node.kw_defaults = [d if d is None else self.expr(d) for d in node.kw_defaults]
        for arg in (*node.posonlyargs, *node.args, *node.kwonlyargs, node.vararg, node.kwarg):
            if arg is not None:
                arg.annotation = None
        return node

    def expr_GeneratorExp(self, node: Any) -> ast.expr:
        targets = [g.target for g in node.generators]
        names: list[Any] = [n for t in targets for n in (t.elts if isinstance(t, ast.Tuple) else [t])]
        simple = all(isinstance(n, ast.Name) for n in names) and not any(g.is_async for g in node.generators)
        simple = simple and len({n.id for n in names}) == len(names)
        if not simple or not self.can_defer([node]):
            return self.comprehension(node)
        return self.generator(node)

    expr_ListComp = expr_GeneratorExp

    def generator(self, node: Any) -> ast.expr:
        """A generator expression or list twice: as loops around a consumer, and as Python's own."""
        outer, span = self.scope, self.spans[self.site(node)]
        first = self.expr(node.generators[0].iter)
        known: list[str] = []
        levels: list[ast.expr] = []
        other = copy.deepcopy(node)
        for position, generator in enumerate(other.generators):
            source = ast.Constant(None) if position == 0 else self.function_of(known, self.expr(generator.iter), node)
            is_tuple = isinstance(generator.target, ast.Tuple)
            known = [*known, *[n.id for n in (generator.target.elts if is_tuple else [generator.target])]]
            self.scope = Scope(set(known), "comprehension", outer)
            tests = [self.function_of(known, self.expr(c), node) for c in generator.ifs]
            self.infos.append(BranchInfo(span, frozenset()))
            parts = [ast.Constant(len(self.infos) - 1), source, ast.Constant(is_tuple), ast.Tuple(tests, ast.Load())]
            levels.append(ast.Tuple(parts, ast.Load()))
        element = self.function_of(known, self.expr(other.elt), node)
        self.scope = outer
        given = f"__temporary_first_{len(self.spans)}__"
        node.generators[0].iter = ast.copy_location(ast.Name(given, ast.Load()), node)
        pull = self.function_of([given], self.comprehension(node), node)
        hook = "generator" if isinstance(node, ast.GeneratorExp) else "listed"
        return self.call(hook, node, len(self.infos) - 1, first, ast.Tuple(levels, ast.Load()), element, pull)

    def function_of(self, names: Sequence[str], body: ast.expr, place: ast.expr) -> ast.expr:
        """`lambda names: body`."""
        arguments = ast.arguments([], [ast.arg(n) for n in names], None, [], [], None, [])
        return ast.copy_location(ast.Lambda(arguments, body), place)

    def comprehension(self, node: Any) -> ast.expr:
        """A list, set or dict comprehension or generator expression: Python's own, over hooked parts."""
        outer = self.scope
        first = self.expr(node.generators[0].iter)
        bound = stores([g.target for g in node.generators])
        self.scope = Scope(bound, "comprehension", outer)
        for position, generator in enumerate(node.generators):
            source = first if position == 0 else self.expr(generator.iter)
            if not generator.is_async:
                source = self.call("iterate", generator.target, source)
            generator.iter = source
            generator.target = self.children(generator.target) if not isinstance(generator.target, ast.Name) else generator.target
            generator.ifs = self.exprs(generator.ifs)
        for name in ("elt", "key", "value"):
            if getattr(node, name, None) is not None:
                setattr(node, name, self.expr(getattr(node, name)))
        self.scope = outer
        return self.call("fresh", node, node)

    expr_SetComp = expr_DictComp = comprehension

    # --- parts that run later -----------------------------------------------------------------------------------

    def can_defer(self, nodes: Sequence[ast.expr]) -> bool:
        """Whether the expressions may become lambdas."""
        forbidden = (ast.NamedExpr, ast.Yield, ast.YieldFrom, ast.Await)
        return self.scope.kind != "class" and not any(isinstance(n, forbidden) for root in nodes for n in walk(root))

    def thunk(self, body: ast.expr) -> ast.expr:
        """`lambda: body`."""
        none = ast.arguments([], [], None, [], [], None, [])
        return ast.copy_location(ast.Lambda(none, body), body)


def _expression(part: Any) -> ast.expr:
    return part if isinstance(part, ast.expr) else ast.Constant(part)
