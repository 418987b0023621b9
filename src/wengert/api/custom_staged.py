"""Calls of functions with rules of their own while a program is staged: function and rules, traced on values of their own.

The one idea: a call becomes one instruction that holds closed IR functions for the primal and for its rules, so the rule is
there whenever a transform asks for it, in whatever program the instruction has been copied to by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from wengert.api.arguments import leaf_key
from wengert.api.results import conjugated
from wengert.errors import ArgumentError, StagingError, UnsupportedError, WengertError
from wengert.frontend import calls
from wengert.frontend.boxes import box, is_box, lift
from wengert.frontend.broadcasting import unify
from wengert.frontend.context import NeedsPythonValue, Trace, current
from wengert.frontend.emit import to_dtype, values_of
from wengert.ir.core import Function, Region, Value, free_values
from wengert.ir.op import get_op
from wengert.ops.custom import CustomRule, Pullback
from wengert.transforms.custom import refuse_calls
from wengert.transforms.linear import forward_of_pullback
from wengert.tree import TreeDef, flatten
from wengert.types import I64_SCALAR, Affine, TensorType, describe_types

if TYPE_CHECKING:
    from wengert.api.custom import CustomFunction

MOST_NESTED = 40
MOST_ATTEMPTS = 8
_MARK = object()


@dataclass(frozen=True)
class Static:
    """A leaf that is no traced value but always this object."""

    value: Any


def flatten_traced(tree: Any) -> tuple[list[Any], TreeDef]:
    """The leaves of a tree with traced values in it."""
    return flatten(tree, is_leaf=is_box)


def fitted(found: Any, model: Value, what: str) -> Value:
    """`found`, a box or a number, as a value with the type of `model`.

    Raises:
        ArgumentError: it has another rank; sizes that may differ are compared at run time.
    """
    if found is None:
        zero: Value = current().builder.zeros_like(model)
        return zero
    value = to_dtype(lift(found), model.tensor.dtype)
    if value.type == model.type:
        return value
    if value.rank != model.rank:
        types = describe_types(value.type, model.type)
        raise ArgumentError(f"{what} has a wrong shape", current().span, found=types[0], expected=types[1])
    for size, expected in zip(value.dims, model.dims, strict=True):
        unify(expected, size, f"{what} has a wrong shape: found and expected", (value.dims, model.dims))
    return current().builder.assume_shape(value, *values_of(model.dims))


def matched(tree: Any, model: TreeDef, count: int, what: str) -> list[Any]:
    """The leaves of `tree`, which must have the structure of `model`; None stands for zeros in place of any part.

    Raises:
        ArgumentError: the structures differ.
    """
    if tree is None:
        return [None] * count
    marks = model.unflatten([_MARK] * count)
    expected, expected_tree = flatten(marks, is_leaf=lambda x: x is None or x is _MARK)
    leaves, found = flatten(tree, is_leaf=lambda x: x is None or is_box(x))
    if found != expected_tree:
        raise ArgumentError(f"{what} has a wrong structure", _span(), found=str(found), expected=str(expected_tree))
    return [leaf for leaf, mark in zip(leaves, expected, strict=True) if mark is _MARK]


def _span() -> Any:
    return current().span


def generalised(types: Sequence[TensorType], names: Sequence[str]) -> tuple[list[Value], list[Value]]:
    """Sizes and parameters of the given types, in which equal sizes are one symbol."""
    symbols: dict[Affine, Value] = {}
    params = []
    for declared, name in zip(types, names, strict=True):
        dims: list[Affine] = []
        for d in declared.dims:
            if not isinstance(d, int):
                d = symbols.setdefault(d, Value(I64_SCALAR, "n")).affine
            dims.append(d)
        params.append(Value(TensorType(declared.dtype, tuple(dims)), name))
    return list(symbols.values()), params


@dataclass(eq=False)
class Body:
    """Instructions with parameters, before it is known what they see from outside."""

    instrs: tuple[Any, ...]
    results: list[Value]

    def free(self, known: Sequence[Value]) -> list[Value]:
        """What is seen from outside, apart from `known`."""
        inside = set(known)
        return [v for v in free_values(Region((), self.instrs, tuple(self.results))) if v not in inside]


@dataclass(eq=False)
class Arguments:
    """The arguments of a call: structure, leaves, and which of these are operands.

    Attributes:
        differentiable: numbers (among the operands) of floats in arguments that the rule covers.
    """

    custom: CustomFunction
    tree: TreeDef
    leaves: list[Any]
    places: list[int]
    operands: list[Value]
    differentiable: tuple[int, ...]
    hidden: dict[int, str]

    def with_operands(self, values: Sequence[Value]) -> tuple[Any, ...]:
        """The arguments with other values in place of the operands."""
        leaves = list(self.leaves)
        for place, value in zip(self.places, values, strict=True):
            leaves[place] = box(value, numpy=value.rank > 0 or getattr(self.leaves[place], "numpy", False))
        found: tuple[Any, ...] = self.tree.unflatten(leaves)
        return found

    def tangent_leaves(self, tangents: dict[int, Any]) -> tuple[Any, ...]:
        """Trees like the arguments that hold `tangents` (by number of operand), and zeros elsewhere."""
        leaves = [zero_tangent(leaf) for leaf in self.leaves]
        for number, tangent in tangents.items():
            leaves[self.places[number]] = tangent
        found: tuple[Any, ...] = self.tree.unflatten(leaves)
        return found


def zero_tangent(leaf: Any) -> Any:
    """The tangent of a leaf that does not move."""
    if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "fiub":
        return np.zeros(leaf.shape)
    return 0.0 if is_box(leaf) or isinstance(leaf, float | int | np.generic) else None


def arguments_of(custom: CustomFunction, args: tuple[Any, ...]) -> Arguments:
    """The arguments of a call, taken apart."""
    leaves, tree = flatten_traced(args)
    places = [k for k, leaf in enumerate(leaves) if is_box(leaf)]
    operands = [lift(leaves[k]) for k in places]
    owner = [k for k, child in enumerate(tree.children) for _ in range(child.num_leaves)]
    differentiable, hidden = [], {}
    for number, (place, operand) in enumerate(zip(places, operands, strict=True)):
        if owner[place] in custom.nondiff:
            hidden[number] = f"argument {owner[place]} is declared not differentiable"
        elif operand.is_float:
            differentiable.append(number)
    return Arguments(custom, tree, leaves, places, operands, tuple(differentiable), hidden)


@dataclass(eq=False)
class Site:
    """One call: its functions as they are being made.

    Attributes:
        rule: what the instruction will hold.
        outside: values from around the call that the functions read; operands after the arguments.
        recursive: whether a rule has called the function itself.
    """

    custom: CustomFunction
    arguments: Arguments
    trace: Trace
    dims: list[Value] = field(init=False)
    params: list[Value] = field(init=False)
    rule: CustomRule = field(init=False)
    primal: Body = field(init=False)
    out_tree: TreeDef = field(init=False)
    out_leaves: list[Any] = field(init=False)
    outside: list[Value] = field(default_factory=list)
    recursive: bool = False
    failure: WengertError | None = None

    def __post_init__(self) -> None:
        self.span = self.trace.span
        types = [v.tensor for v in self.arguments.operands]
        self.dims, self.params = generalised(types, [v.name for v in self.arguments.operands])

    # --- tracing ------------------------------------------------------------------------------------------------

    def body(self, make: Callable[[], list[Value]]) -> Body:
        """The instructions that `make` emits, and the results that it returns."""
        child = self.trace.builder.child()
        mark = self.trace.journal.mark()
        try:
            with self.trace.inner_function(child):
                results = make()
        finally:
            self.trace.journal.rollback(mark)
        refuse_calls(child.instrs, "call", self.custom.name)
        return Body(tuple(child.instrs), results)

    def trace_primal(self) -> None:
        """Trace the function itself."""
        inputs = self.arguments.with_operands(self.params)
        before = [leaf for leaf in flatten_traced(inputs)[0] if is_box(leaf)]

        def make() -> list[Value]:
            out = calls.call(self.custom.fn, inputs, {})
            leaves, self.out_tree = flatten_traced(out)
            self.out_leaves = [leaf if is_box(leaf) else Static(leaf) for leaf in leaves]
            if any(b.value is not p for b, p in zip(before, self.params, strict=True)):
                raise StagingError(
                    f"{self.custom.name} writes to its argument, which a function with a derivative rule must not do",
                    _span(),
                    fix="write to a copy: x = x.copy()",
                )
            return [lift(leaf) for leaf in self.out_leaves if not isinstance(leaf, Static)]

        self.primal = self.body(make)
        allowed = {*self.dims, *self.params}
        if any(s not in allowed for r in self.primal.results for s in r.type.symbols()):
            what = f"the size of a result of {self.custom.name} is only known inside of it"
            raise StagingError(what, _span())
        self.outside = self.primal.free([*self.dims, *self.params])
        hidden = dict(self.arguments.hidden)
        self.rule = CustomRule(
            self.custom.name, self.function("", self.primal), self.arguments.differentiable, hidden, self.forward, self.pullback
        )

    def function(self, suffix: str, body: Body, extra: Sequence[Value] = ()) -> Function:
        """A body as a function of the operands and `extra` parameters."""
        params = (*self.params, *self.outside, *extra)
        return Function(self.custom.name + suffix, tuple(self.dims), params, body.instrs, tuple(body.results), self.span)

    def trace_rules(self) -> None:
        """Trace the rules, until it is known all that they read from outside."""
        for _ in range(MOST_ATTEMPTS):
            self.recursive = False
            count = len(self.outside)
            self._forward = self._pullback = None
            try:
                self.trace_rules_once()
            except NeedsPythonValue as need:
                what = f"Python needs the value of a traced number in a rule of {self.custom.name}: {need.reason}"
                self.failure = StagingError(what, need.span)
            except WengertError as error:
                self.failure = error  # no harm where no derivative is taken
            first = len(self.params)
            for k in range(first, first + len(self.outside)):
                self.rule.hidden[k] = f"{self.custom.name} reads it from outside, not as an argument"
            self.rule.primal = self.function("", self.primal)
            if len(self.outside) == count or not self.recursive:
                return
        raise StagingError(f"the rules of {self.custom.name} read ever more values from outside", _span())

    def add_outside(self, body: Body, known: Sequence[Value]) -> None:
        inside = {*self.outside}
        self.outside += [v for v in body.free([*self.dims, *self.params, *known]) if v not in inside]

    def trace_rules_once(self) -> None:
        """Trace what the user has given: a jvp, or a fwd and a bwd, or all."""
        if self.custom.jvp_rule is not None:
            self.trace_jvp()
        if self.custom.fwd is not None:
            self.trace_vjp()

    _forward: tuple[Body, list[Value]] | None = None
    _pullback: tuple[Body, list[Value], Body, list[Value], list[Value]] | None = None

    def trace_jvp(self) -> None:
        numbers = self.arguments.differentiable
        tangents = [Value(self.params[k].type, f"{self.params[k].name}_dot") for k in numbers]

        def make() -> list[Value]:
            inputs = self.arguments.with_operands(self.params)
            leaves = [self.arguments.leaves[self.arguments.places[k]] for k in numbers]
            boxes = [box(t, numpy=t.rank > 0 or getattr(x, "numpy", False)) for t, x in zip(tangents, leaves, strict=True)]
            moving = self.arguments.tangent_leaves(dict(zip(numbers, boxes, strict=True)))
            given, rest = self.custom.split(inputs)
            pair = calls.call(self.custom.jvp_rule, (*given, rest, self.custom.split(moving)[1]), {})
            out, dot = self.pair(pair, "the jvp rule", "(result, tangent)")
            results = self.outputs(out, "the result that the jvp rule gives")
            what = f"the tangent that the jvp rule of {self.custom.name} gives"
            dots = self.by_result(matched(dot, self.out_tree, len(self.out_leaves), what))
            return results + [fitted(d, r, what) for d, r in zip(dots, self.primal.results, strict=True) if r.is_float]

        body = self.body(make)
        self.add_outside(body, tangents)
        self._forward = (body, tangents)

    def pair(self, found: Any, what: str, form: str) -> tuple[Any, Any]:
        """A rule's result, which must be a pair."""
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise ArgumentError(f"{what} of {self.custom.name} must return {form}", _span(), found=type(found).__name__)
        return found[0], found[1]

    def by_result(self, leaves: Sequence[Any]) -> list[Any]:
        """Of leaves of a tree like the result, those that stand for computed values."""
        return [leaf for leaf, out in zip(leaves, self.out_leaves, strict=True) if not isinstance(out, Static)]

    def outputs(self, out: Any, what: str) -> list[Value]:
        """The results that a rule gives, in the types of the function's own."""
        what = f"{what} of {self.custom.name}"
        leaves = self.by_result(matched(out, self.out_tree, len(self.out_leaves), what))
        return [fitted(leaf, r, what) for leaf, r in zip(leaves, self.primal.results, strict=True)]

    def trace_vjp(self) -> None:
        static: list[Any] = []
        structure: list[TreeDef] = []
        places: list[int] = []

        def forward() -> list[Value]:
            pair = calls.call(self.custom.fwd, self.arguments.with_operands(self.params), {})
            out, saved = self.pair(pair, "the fwd rule", "(result, residuals)")
            results = self.outputs(out, "the result that the fwd rule gives")
            leaves, tree = flatten_traced(saved)
            structure.append(tree)
            static.extend(leaves)
            places.extend(k for k, leaf in enumerate(leaves) if is_box(leaf))
            return results + [lift(leaves[k]) for k in places]

        fwd = self.body(forward)
        count = len(self.primal.results)
        residuals = fwd.results[count:]
        floats = [r for r in self.primal.results if r.is_float]
        models = [*self.params, *residuals, *floats]
        dims, values = generalised([v.tensor for v in models], [v.name for v in models])
        params, rest = values[: len(self.params)], values[len(self.params) :]
        saved_params, seeds = rest[: len(residuals)], rest[len(residuals) :]

        def backward() -> list[Value]:
            given, _ = self.custom.split(self.arguments.with_operands(params))
            leaves = list(static)
            for place, value in zip(places, saved_params, strict=True):
                leaves[place] = box(value, numpy=value.rank > 0 or getattr(static[place], "numpy", False))
            cotangents = self.out_tree.unflatten(conjugated(self.out_tree, self.cotangent_leaves(seeds)))
            found = calls.call(self.custom.bwd, (*given, structure[0].unflatten(leaves), cotangents), {})
            return self.gradients(found, params)

        bwd = self.body(backward)
        self.add_outside(fwd, ())
        self.add_outside(bwd, [*dims, *values])
        self._pullback = (fwd, dims, bwd, params, [*saved_params, *seeds])

    def cotangent_leaves(self, seeds: Sequence[Value]) -> list[Any]:
        remaining = iter(seeds)
        found: list[Any] = []
        for out in self.out_leaves:
            if isinstance(out, Static):
                found.append(zero_tangent(out.value))
            elif lift(out).is_float:
                seed = next(remaining)
                found.append(box(seed, numpy=seed.rank > 0 or getattr(out, "numpy", False)))
            else:
                found.append(0.0)
        return found

    def gradients(self, found: Any, params: Sequence[Value]) -> list[Value]:
        """What a bwd rule returns, as one value per differentiable operand."""
        leaves = gradient_leaves(self.custom, self.arguments, found)
        what = f"the cotangent that the bwd rule of {self.custom.name} gives"
        return [fitted(leaves[k], params[k], what) for k in self.arguments.differentiable]

    # --- what transforms ask for --------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise what went wrong while the rules were traced."""
        if self.failure is not None:
            raise self.failure

    def forward(self) -> Function:
        """The rule for forward mode."""
        self.check()
        if self._forward is not None:
            return self.function("_jvp", self._forward[0], self._forward[1])
        pullback = self.pullback()
        assert pullback is not None
        return forward_of_pullback(self.rule, pullback)

    def pullback(self) -> Pullback | None:
        """The rule for reverse mode, if it is one."""
        self.check()
        if self._pullback is None:
            return None
        fwd, dims, body, params, rest = self._pullback
        everything = [*params, *self.outside, *rest]
        count = len(everything) - sum(r.is_float for r in self.primal.results)
        kept = kept_params(body, dims, everything, count)
        bwd_params = (*(everything[k] for k in kept), *everything[count:])
        bound = {s for p in bwd_params for s in p.type.symbols()}
        name = f"{self.custom.name}_bwd"
        bwd = Function(name, tuple(d for d in dims if d in bound), bwd_params, body.instrs, tuple(body.results), self.span)
        return Pullback(self.function("_fwd", fwd), bwd, tuple(kept))

    # --- the call itself ----------------------------------------------------------------------------------------

    def emit(self, operands: Sequence[Value]) -> Any:
        """The instruction, and its results in the structure that the function returns."""
        attrs = {"name": self.custom.name, "_rule": self.rule}
        values = iter(self.trace.builder.emit(get_op("custom"), [*operands, *self.outside], attrs))
        leaves = []
        for out in self.out_leaves:
            if isinstance(out, Static):
                leaves.append(out.value)
            else:
                value = next(values)
                leaves.append(box(value, numpy=value.rank > 0 or getattr(out, "numpy", False)))
        return self.out_tree.unflatten(leaves)


def gradient_leaves(custom: CustomFunction, arguments: Arguments, found: Any) -> dict[int, Any]:
    """By number of operand: the leaves of what a bwd rule returns, one entry per covered argument.

    The rule takes and gives cotangents of complex numbers as `df/dx - i df/dy`; the leaves are those of the parts.
    """
    covered = [k for k in range(len(arguments.tree.children)) if k not in custom.nondiff]
    if not isinstance(found, tuple | list) or len(found) != len(covered):
        raise ArgumentError(
            f"the bwd rule of {custom.name} must return a tuple with one cotangent per argument",
            _span(),
            found=f"{type(found).__name__}" + (f" of length {len(found)}" if isinstance(found, tuple | list) else ""),
            expected=f"a tuple of length {len(covered)}",
        )
    by_place: dict[int, Any] = {}
    starts = np.cumsum([0, *(child.num_leaves for child in arguments.tree.children)])
    for argument, tree in zip(covered, found, strict=True):
        child = arguments.tree.children[argument]
        what = f"the cotangent of argument {argument} that the bwd rule of {custom.name} gives"
        for k, leaf in enumerate(conjugated(child, matched(tree, child, child.num_leaves, what))):
            by_place[int(starts[argument]) + k] = leaf
    return {number: by_place.get(place) for number, place in enumerate(arguments.places)}


def kept_params(body: Body, dims: Sequence[Value], params: Sequence[Value], count: int) -> list[int]:
    """Which of the first `count` parameters a body reads, or needs to know its sizes."""
    used = set(free_values(Region((), body.instrs, tuple(body.results))))
    kept = [k for k in range(count) if params[k] in used]
    reachable = {s for p in [*(params[k] for k in kept), *params[count:]] for s in p.type.symbols()}
    for d in dims:
        if d in used and d not in reachable:
            kept.append(next(k for k in range(count) if d in params[k].type.symbols()))
            reachable.update(params[kept[-1]].type.symbols())
    return sorted(set(kept))


def call_staged(custom: CustomFunction, args: tuple[Any, ...]) -> Any:
    """The call of a function with rules in a staged program."""
    trace = current()
    arguments = arguments_of(custom, args)
    progress: dict[Any, Site] = trace.extra.setdefault("custom rules", {})
    key = _key(custom, arguments)
    site = progress.get(key)
    if site is not None:
        site.recursive = True
        return site.emit(arguments.operands)
    if len(progress) >= MOST_NESTED:
        raise UnsupportedError(f"the rules of {custom.name} call functions with rules without end", trace.span)
    site = Site(custom, arguments, trace)
    site.trace_primal()
    progress[key] = site
    try:
        site.trace_rules()
    finally:
        del progress[key]
    return site.emit(arguments.operands)


def _key(custom: CustomFunction, arguments: Arguments) -> Any:
    sizes: dict[Affine, int] = {}
    leaves: list[Any] = []
    boxed = dict(zip(arguments.places, arguments.operands, strict=True))
    for place, leaf in enumerate(arguments.leaves):
        value = boxed.get(place)
        if value is None:
            leaves.append(leaf_key(leaf))
            continue
        dims = tuple([d if isinstance(d, int) else ("n", sizes.setdefault(d, len(sizes))) for d in value.dims])
        leaves.append((value.tensor.dtype, dims, getattr(leaf, "numpy", True)))
    return (id(custom), arguments.tree, tuple(leaves))
