"""Reverse derivatives in two native functions: the primal pass, which keeps what the way back needs, and the pullback."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from wengert.api.lowering import check_forward, lower_vjp, params_of
from wengert.api.program import Program, Variant, shared_program, size_conditions
from wengert.api.results import checked_direction, matching_cotangents, rebuild, split_tangents
from wengert.codegen import Compiled
from wengert.codegen import compile as compile_native
from wengert.errors import InternalError
from wengert.frontend.trace import Traced
from wengert.ir.calls import walk_all
from wengert.passes.inline_custom import inline_custom
from wengert.passes.pipeline import optimize
from wengert.tape.backward import pull_back, push_forward
from wengert.tape.evaluate import EvalBuilder
from wengert.transforms.split import Halves, depends_on, halves, with_free_sizes
from wengert.transforms.vjp import vjp
from wengert.tree import map_leaves

MOST_RETRIES = 4


@dataclass
class SplitVariant(Variant):
    """One compilation of a function and its pullback.

    Attributes:
        halves: both as functions; `compiled` is the first of them.
        positions: the flat leaves with respect to which the pullback is.
    """

    halves: Halves | None = None
    positions: tuple[int, ...] = ()

    @property
    def both(self) -> Halves:
        """Both functions."""
        assert self.halves is not None
        return self.halves

    @cached_property
    def pullback(self) -> Compiled:
        """From residuals and cotangents of the float results to gradients."""
        return compile_native(optimize(self.both.second))

    @cached_property
    def pushforward(self) -> Compiled | None:
        """From residuals, zeros like the float results, and tangents to tangents; None if the pullback calls Python.

        It is the transpose of the pullback, which is linear.
        """
        second = self.both.second
        if any(i.op.effects and i.op.name != "check" for i in walk_all(second)):
            return None
        check_forward(self.traced, self.positions)
        count = len(self.both.residuals)
        forward = vjp(optimize(second), range(count, len(second.params)))
        return compile_native(optimize(with_free_sizes(replace(forward, results=forward.results[len(second.results) :]))))

    @cached_property
    def is_linear(self) -> bool:
        """Whether the pullback does not depend on the values of the arguments."""
        first = self.halves.first if self.halves is not None else self.function
        given = [first.params[k] for k in params_of(self.traced, self.positions)]
        wanted = [first.params[k] if kind == "argument" else first.results[k] for kind, k in self.both.residuals]
        return not depends_on(first, given, wanted)

    def residuals(self, inputs: Sequence[Any], found: Sequence[Any]) -> list[Any]:
        """What the pullback needs, from the inputs and the results of the first function, as it is now."""
        count = len(self.traced.function.results)
        kept = []
        for kind, k in self.both.residuals:
            value = inputs[k] if kind == "argument" else found[k]
            shared = kind == "argument" or k < count
            kept.append(np.array(value) if shared and isinstance(value, np.ndarray) else value)
        return kept


class SplitProgram(Program):
    """A function and its pullback, compiled on demand."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        super().__init__(fn, lower_vjp)

    def _build(self, traced: Traced, leaves: Sequence[Any], positions: Sequence[int]) -> SplitVariant:
        started = time.perf_counter()
        # The primal loops stay apart from those that run them backwards: they are what is split.
        whole = optimize(inline_custom(self.lower(traced, positions)), without=frozenset({"sweeps"}))
        results = traced.function.results
        both = halves(whole, sum(r.is_float for r in results), len(results))
        function = optimize(both.first)
        compiled = compile_native(function)
        self.counts.compilations += 1
        self.counts.compile_seconds += time.perf_counter() - started
        statics = [(k, v) for k, v in traced.static_leaves.items() if isinstance(v, int | float)]
        conditions = size_conditions(traced)
        return SplitVariant(traced, function, compiled, statics, conditions, halves=both, positions=tuple(positions))


class Point:
    """A function at given arguments: its result, and the linear map that its derivative there is.

    Attributes:
        traced: the trace.
        results: the values of its results.
    """

    traced: Traced
    results: list[Any]

    @property
    def out(self) -> Any:
        """The function's result."""
        return rebuild(self.traced, self.results)

    def pull(self, cotangent: Any) -> list[Any]:
        """Gradients from a tree of cotangents of the structure of the result."""
        return self.pulled(self.seeds(cotangent))

    def pulled(self, seeds: Sequence[Any]) -> list[Any]:
        """Gradients from cotangents of the float results."""
        raise NotImplementedError

    def push(self, directions: Sequence[Any]) -> Any:
        """The tangent of the result, in its structure."""
        return split_tangents(self.traced, [*self.results, *self.pushed(directions)])[1]

    def pushed(self, directions: Sequence[Any]) -> list[Any]:
        """Tangents of the float results."""
        raise NotImplementedError

    def seeds(self, cotangent: Any) -> list[Any]:
        """The cotangents of the float results, from a tree of the structure of the function's result."""
        leaves = matching_cotangents(self.traced.out_tree, cotangent)
        given = {p: leaf for p, leaf in zip(self.traced.out_leaves, leaves, strict=True) if isinstance(p, int)}
        seeds = []
        for k, (value, result) in enumerate(zip(self.traced.function.results, self.results, strict=True)):
            if value.is_float:
                seed = given.get(k)
                seeds.append(zeros_of(result) if seed is None else checked_direction(seed, result, "cotangent", "vjp"))
        return seeds


class NativePoint(Point):
    """The compiled function, which has run once; what the way back needs is kept."""

    def __init__(self, variant: SplitVariant, primals: Sequence[Any], leaves: Sequence[Any], again: Again) -> None:
        self.variant = variant
        self.traced = traced = variant.traced
        self.again = again
        traced.writes.check(primals, {})
        inputs = variant.inputs(leaves)
        found = list(variant.compiled(*inputs))
        self.kept = variant.residuals(inputs, found)
        traced.writes.apply(found, primals)
        self.results = found[: len(traced.function.results)]

    def pulled(self, seeds: Sequence[Any]) -> list[Any]:
        """Gradients from cotangents of the float results."""
        return list(self.variant.pullback(*self.kept, *seeds))

    def pushed(self, directions: Sequence[Any]) -> list[Any]:
        """Tangents of the float results."""
        forward = self.variant.pushforward
        if forward is None:
            return self.again(directions)
        zeros = [zeros_of(r) for r, v in zip(self.results, self.traced.function.results, strict=True) if v.is_float]
        return list(forward(*self.kept, *zeros, *directions))


class RecordedPoint(Point):
    """The list of what ran eagerly."""

    def __init__(self, traced: Traced, builder: EvalBuilder, positions: Sequence[int]) -> None:
        self.traced = traced
        self.instrs = tuple(traced.function.instrs)
        self.values = list(traced.function.results)
        self.floats = [v for v in self.values if v.is_float]
        known = [builder.known(v) for v in self.values]
        self.results = [x.copy() if isinstance(x, np.ndarray) else x for x in known]
        self.wrt = [traced.function.params[k] for k in params_of(traced, positions)]

    def pulled(self, seeds: Sequence[Any]) -> list[Any]:
        """Gradients from cotangents of the float results."""
        runner = EvalBuilder(record=False)
        bars = pull_back(runner, self.instrs, self.floats, [runner.lift_known(s) for s in seeds], self.wrt)
        return [runner.known(g) for g in bars]

    def pushed(self, directions: Sequence[Any]) -> list[Any]:
        """Tangents of the float results."""
        runner = EvalBuilder(record=False)
        dots = push_forward(runner, self.instrs, self.floats, self.wrt, [runner.lift_known(d) for d in directions])
        return [runner.known(d) for d in dots]


Again = Callable[[Sequence[Any]], list[Any]]
"""Tangents of the float results from tangents of the arguments, by running the function once more."""


LinearMap = TypeVar("LinearMap", bound=Callable[..., Any])


def runs_natively(linear: LinearMap) -> LinearMap:
    """`linear`, marked as a function on real values that runs compiled code: `vmap` calls it once per example."""
    linear.__wengert_native__ = True  # type: ignore[attr-defined]
    return linear


def zeros_of(result: Any) -> Any:
    """A zero cotangent of a result."""
    return np.zeros_like(result) if isinstance(result, np.ndarray | np.float32) else 0.0


def point_of(fn: Callable[..., Any], primals: Sequence[Any], positions: Sequence[int], again: Again) -> Point:
    """`fn` run at `primals`, ready for derivatives with respect to the flat leaves at `positions`."""
    program = shared_program(fn, SplitProgram)
    for _ in range(MOST_RETRIES):
        variant, leaves = program.variant(primals, {}, positions)
        if variant is None:
            own = map_leaves(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, tuple(primals))
            traced, builder = program.record(own, {}, positions)
            return RecordedPoint(traced, builder, positions)
        assert isinstance(variant, SplitVariant)
        try:
            return NativePoint(variant, primals, leaves, again)
        except ValueError as error:
            if not program.may_retry(error, primals, {}):
                raise
    raise InternalError(f"the sizes of {getattr(fn, '__name__', fn)!r} do not settle")
