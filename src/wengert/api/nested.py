"""Transformations called inside a trace: the inner function is traced on its own values, transformed, and put in line.

This is what makes a gradient inside a loop inside a gradient work: to the outer trace the inner derivative is a stretch of
ordinary instructions. In eager mode the inner list is walked at once, and the outer list records that walk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wengert.api.arguments import flatten_call
from wengert.api.lowering import gradient_of_result, scalar_loss
from wengert.api.results import constant_tangent, matching_cotangents
from wengert.errors import ArgumentError, StagingError
from wengert.frontend import calls
from wengert.frontend.boxes import box, is_box, lift
from wengert.frontend.broadcasting import unify
from wengert.frontend.context import Trace, current
from wengert.frontend.emit import to_dtype, values_of
from wengert.frontend.recursion_close import has_drafts
from wengert.frontend.trace import StaticLeaf
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Value
from wengert.ir.rewrite import inline
from wengert.tape.backward import pull_back, push_forward
from wengert.tape.evaluate import EvalBuilder
from wengert.transforms.custom import refuse_repeated_effects
from wengert.transforms.jacobian import jacobian as jacobian_of_ir
from wengert.transforms.jvp import jvp as jvp_of_ir
from wengert.transforms.split import depends_on, own_dims, parts
from wengert.transforms.vjp import vjp as vjp_of_ir
from wengert.tree import TreeDef, flatten
from wengert.types import describe_types


@dataclass
class Inner:
    """An inner function, traced on values of its own; has the fields of `Traced` that `rebuild` and `scalar_loss` read."""

    function: Function
    arguments: list[Value]
    out_tree: TreeDef
    out_leaves: list[Any]

    @property
    def out_numpy(self) -> list[bool]:
        """Boxes know themselves what they are."""
        return [False] * len(self.out_leaves)


def call(fn: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """`fn` itself inside the trace."""
    return calls.call(fn, tuple(args), kwargs)


def stop(leaf: Any) -> Any:
    """A leaf with its derivative cut; in eager mode a plain number or array, which any function takes."""
    if not is_box(leaf):
        return leaf
    value = lift(leaf)
    if current().eager:
        found = np.array(current().known(value))
        return found if value.rank else (found[()] if leaf.numpy else found.item())
    return box(current().builder.stop_gradient(value), numpy=True) if value.is_float else leaf


def trace_inner(fn: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], positions: Sequence[int]) -> Inner:
    """Trace `fn` with new values for the leaves at `positions`; other values of the outer trace are seen as they are."""
    trace = current()
    leaves, tree = flatten_call(args, kwargs)
    arguments = [lift(leaves[k]) for k in positions]
    child = trace.builder.child() if not trace.eager else EvalBuilder(trace.span, parent=_eager_builder(trace))
    params = [_parameter(trace, a) for a in arguments]
    if isinstance(child, EvalBuilder):
        for k, param in zip(positions, params, strict=True):
            child.note_input(k, param)
    inner_leaves = list(leaves)
    for k, param in zip(positions, params, strict=True):
        inner_leaves[k] = box(param, numpy=getattr(leaves[k], "numpy", False))
    inner_args, inner_kwargs = tree.unflatten(inner_leaves)
    before = trace.captures.outside.fingerprint()
    with trace.inner_function(child):
        out = calls.call(fn, tuple(inner_args), inner_kwargs)
        out_leaves, out_tree = flatten(out, is_leaf=is_box)
        results: list[Value] = []
        places: list[Any] = []
        for leaf in out_leaves:
            if is_box(leaf):
                places.append(len(results))
                results.append(lift(leaf))
            else:
                places.append(StaticLeaf(leaf))
    if trace.eager:
        # To the outer list the inner function is a stretch of its own; it starts from the identities in `params`.
        for instr in child.instrs:
            trace.builder.append(instr)
    elif trace.captures.outside.has_changed(before):
        what = "a function that writes to state outside, and is differentiated inside of another function, is not staged"
        raise StagingError(what, trace.span)
    elif has_drafts(child.instrs):
        what = "a derivative that is taken inside of a recursive function, of a function that calls it again, is not staged"
        raise StagingError(what, trace.span)
    name = getattr(fn, "__name__", "function")
    function = Function(name, (), tuple(params), tuple(child.instrs), tuple(results), trace.span, dict(child.functions))
    return Inner(function, arguments, out_tree, places)


def _eager_builder(trace: Trace) -> EvalBuilder | None:
    return trace.builder if isinstance(trace.builder, EvalBuilder) else None


def _parameter(trace: Trace, argument: Value) -> Value:
    """A new value for an argument: a parameter, or in eager mode the recorded identity of the argument."""
    if trace.eager:
        builder = trace.builder
        return builder.assume_shape(argument, *[builder.dim(d) for d in argument.dims])
    return Value(argument.type, argument.name)


def _finish(values: Sequence[Value]) -> list[Any]:
    return [box(v, numpy=v.rank > 0) for v in values]


def _rebuilt(inner: Inner, values: Sequence[Value]) -> Any:
    boxes = _finish(values)
    leaves = [boxes[p] if isinstance(p, int) else p.value for p in inner.out_leaves]
    return inner.out_tree.unflatten(leaves)


def grad(
    fn: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    positions: Sequence[int],
    what: str,
    has_aux: bool,
) -> tuple[Any, list[Any]]:
    """The result of `fn` and its gradient, as boxes of the outer trace."""
    inner = trace_inner(fn, args, kwargs, positions)
    builder = current().builder
    loss = scalar_loss(inner, what, has_aux)  # type: ignore[arg-type]
    function = inner.function
    if loss is None:
        return _rebuilt(inner, _results(inner)), _finish([builder.zeros_like(a) for a in inner.arguments])
    if current().eager:
        bars = pull_back(builder, function.instrs, [loss], [builder.const(1.0, loss.tensor.dtype)], function.params)
        return _rebuilt(inner, function.results), _finish(bars)
    found = inline(builder, gradient_of_result(function, inner.out_leaves[0], range(len(positions))), inner.arguments)
    split = len(function.results)
    return _rebuilt(inner, found[:split]), _finish(found[split:])


def _results(inner: Inner) -> Sequence[Value]:
    if current().eager:
        return inner.function.results
    return inline(current().builder, inner.function, inner.arguments)


def jvp(fn: Callable[..., Any], primals: Sequence[Any], positions: Sequence[int], directions: Sequence[Any]) -> Any:
    """The result and its tangent, as boxes of the outer trace."""
    inner = trace_inner(fn, primals, {}, positions)
    builder = current().builder
    seeds = [_like(d, a, "tangent") for d, a in zip(directions, inner.arguments, strict=True)]
    results = inner.function.results
    floats = [r for r in results if r.is_float]
    if current().eager:
        dots: Sequence[Value] = push_forward(builder, inner.function.instrs, floats, inner.function.params, seeds)
        values: Sequence[Value] = results
    else:
        found = inline(builder, jvp_of_ir(inner.function, range(len(positions))), [*inner.arguments, *seeds])
        values, dots = found[: len(results)], found[len(results) :]
    return _rebuilt(inner, values), _tangents(inner, dots)


def _tangents(inner: Inner, dots: Sequence[Value]) -> Any:
    """The tangents of the float results in the structure of the result."""
    remaining = iter(_finish(dots))
    by_result = [next(remaining) if r.is_float else None for r in inner.function.results]
    leaves = [by_result[p] if isinstance(p, int) else constant_tangent(p.value) for p in inner.out_leaves]
    return inner.out_tree.unflatten(leaves)


def _like(direction: Any, model: Value, name: str) -> Value:
    """A tangent or cotangent with the type of `model`; sizes that may differ are compared at run time."""
    value = to_dtype(lift(direction), model.tensor.dtype)
    if value.type == model.type:
        return value
    if value.rank != model.rank:
        types = describe_types(value.type, model.type)
        raise ArgumentError(f"a {name} does not match", current().span, found=types[0], expected=types[1])
    for found, expected in zip(value.dims, model.dims, strict=True):
        unify(expected, found, f"a {name} does not match: shapes", (value.dims, model.dims))
    return current().builder.assume_shape(value, *values_of(model.dims))


class Pullback:
    """The way back through an inner function, in the region where the function was called or in one inside of it.

    The function has run with its residuals kept. They serve one call of the pullback, in the same region; every other call
    runs the function once more. (A stack among them can be used up only once.)

    Attributes:
        inner: the inner function.
        values: its results.
    """

    def __init__(self, inner: Inner) -> None:
        self.inner = inner
        self.kept: Sequence[Value] | None = None
        function = inner.function
        if current().eager:
            self.values: Sequence[Value] = function.results
            return
        self.home = current().builder
        self.reverse = vjp_of_ir(function, range(len(inner.arguments)))
        count, whole = len(function.results), self.reverse
        self.late = whole.params[len(function.params) :]
        self.parts = parts(whole, self.late, whole.results[count:])
        results = (*whole.results[:count], *self.parts.needed)
        early = whole.params[: len(function.params)]
        first = replace(whole, dims=function.dims, params=early, instrs=self.parts.early, results=results)
        found = inline(self.home, first, inner.arguments)
        self.values, self.kept = found[:count], found[count:]

    def seeds(self, cotangent: Any) -> list[Value]:
        """The cotangents of the float results, from a tree."""
        leaves = matching_cotangents(self.inner.out_tree, cotangent)
        given = {p: leaf for p, leaf in zip(self.inner.out_leaves, leaves, strict=True) if isinstance(p, int)}
        found = []
        for k, (declared, value) in enumerate(zip(self.inner.function.results, self.values, strict=True)):
            if declared.is_float:
                seed = given.get(k)
                found.append(current().builder.zeros_like(value) if seed is None else _like(seed, value, "cotangent"))
        return found

    def __call__(self, cotangent: Any) -> list[Any]:
        """The gradients."""
        builder, function = current().builder, self.inner.function
        seeds = self.seeds(cotangent)
        if current().eager:
            floats = [r for r in function.results if r.is_float]
            return _finish(pull_back(builder, function.instrs, floats, seeds, function.params))
        if self.kept is not None and builder is self.home:
            params = (*self.parts.needed, *self.late)
            results = self.reverse.results[len(function.results) :]
            dims = own_dims(self.reverse, self.late)
            second = replace(self.reverse, dims=dims, params=params, instrs=self.parts.late, results=results)
            kept, self.kept = self.kept, None
            return _finish(inline(builder, second, [*kept, *seeds]))
        refuse_repeated_effects(function, "a pullback")
        return _finish(inline(builder, self.reverse, [*self.inner.arguments, *seeds])[len(function.results) :])


def vjp(fn: Callable[..., Any], primals: Sequence[Any], positions: Sequence[int]) -> tuple[Any, Callable[[Any], list[Any]]]:
    """The result, and the pullback from a tree of cotangents to a list of gradients."""
    pullback = Pullback(trace_inner(fn, primals, {}, positions))
    return _rebuilt(pullback.inner, pullback.values), pullback


def linearize(
    fn: Callable[..., Any], primals: Sequence[Any], positions: Sequence[int]
) -> tuple[Any, Callable[[Sequence[Any]], Any]]:
    """The result, and the function from tangents of the leaves at `positions` to the tangent of the result."""
    inner = trace_inner(fn, primals, {}, positions)
    results, values = inner.function.results, _results(inner)
    if not current().eager:
        refuse_repeated_effects(inner.function, "a linearised function")

    def push(directions: Sequence[Any]) -> Any:
        seeds = [_like(d, a, "tangent") for d, a in zip(directions, inner.arguments, strict=True)]
        builder, floats = current().builder, [r for r in results if r.is_float]
        if current().eager:
            dots: Sequence[Value] = push_forward(builder, inner.function.instrs, floats, inner.function.params, seeds)
        else:
            forward = jvp_of_ir(inner.function, range(len(positions)))
            dots = inline(builder, forward, [*inner.arguments, *seeds])[len(results) :]
        return _tangents(inner, dots)

    return _rebuilt(inner, values), push


def linear_transpose(fn: Callable[..., Any], examples: Sequence[Any], positions: Sequence[int]) -> Callable[[Any], list[Any]]:
    """The pullback of a linear function from a tree of cotangents to a list of gradients."""
    pullback = Pullback(trace_inner(fn, examples, {}, positions))
    if not current().eager:
        given = pullback.reverse.params[: len(pullback.inner.function.params)]
        if depends_on(pullback.reverse, given, pullback.parts.needed):
            raise ArgumentError(
                "linear_transpose takes a linear function",
                current().span,
                found="its derivative depends on where it is taken",
                fix="use vjp, which gives the pullback of any function at given arguments",
            )
    return pullback


def jacobian(
    fn: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], positions: Sequence[int], mode: str = "auto"
) -> tuple[Inner, list[Any]]:
    """The inner function and the blocks of its Jacobian, as boxes of the outer trace."""
    inner = trace_inner(fn, args, kwargs, positions)
    builder = current().builder
    function = inner.function
    if current().eager and any(i.op.name in ("custom", "host_call") for i in function.instrs):
        return inner, _finish((_columns if mode == "forward" else _rows)(builder, function))
    blocks = inline(builder, jacobian_of_ir(function, range(len(positions)), mode), inner.arguments)
    return inner, _finish(blocks[len(function.results) :])


def _rows(builder: Builder, function: Function) -> list[Value]:
    """The blocks of the Jacobian of a recorded list, one pull-back per output element: what rules run in Python need."""
    blocks: list[Value] = []
    for result in function.results:
        if not result.is_float:
            continue
        made = [builder.full((*result.dims, *p.dims), 0.0, p.tensor.dtype) for p in function.params]
        one = builder.const(1.0, result.tensor.dtype)
        for place in np.ndindex(*[int(d) for d in result.dims if isinstance(d, int)]):
            index = [builder.const(k) for k in place]
            spec = ("i",) * len(place)
            seed = builder.update(builder.zeros_like(result), one, *index, spec=spec) if place else None
            bars = pull_back(builder, function.instrs, [result], [seed or one], function.params)
            for k, bar in enumerate(bars):
                whole = (*spec, *(":",) * bar.rank)
                made[k] = builder.update(made[k], bar, *index, spec=whole) if place else bar
        blocks += made
    return blocks


def _columns(builder: Builder, function: Function) -> list[Value]:
    """The same, one push-forward per input element."""
    floats = [r for r in function.results if r.is_float]
    made = [[builder.full((*r.dims, *p.dims), 0.0, p.tensor.dtype) for p in function.params] for r in floats]
    for k, param in enumerate(function.params):
        dtype = param.tensor.dtype
        one = builder.const(1.0, dtype)
        for place in np.ndindex(*[int(d) for d in param.dims if isinstance(d, int)]):
            index = [builder.const(i) for i in place]
            spec = ("i",) * len(place)
            seeds = [builder.zeros_like(p) for p in function.params]
            seeds[k] = builder.update(seeds[k], one, *index, spec=spec) if place else one
            dots = push_forward(builder, function.instrs, floats, function.params, seeds)
            for row, dot in zip(made, dots, strict=True):
                whole = (*(":",) * dot.rank, *spec)
                dot = to_dtype(dot, dtype)
                row[k] = builder.update(row[k], dot, *index, spec=whole) if place else dot
    return [block for row in made for block in row]
