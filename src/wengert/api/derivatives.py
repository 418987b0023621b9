"""`jit`, `grad`, `value_and_grad` and `stop_gradient`."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.api import nested
from wengert.api.arguments import differentiable_leaves, flatten_call, is_differentiable, leaf_key, leaf_test
from wengert.api.hot import MISSING, HotCode, hot_code, result_source
from wengert.api.lowering import lower_grad, lower_jit, scalar_loss
from wengert.api.mode import is_eager
from wengert.api.pickling import name_in_module
from wengert.api.program import Program, Stats, Variant
from wengert.api.results import conjugated, rebuild, tree_of_gradients
from wengert.errors import ArgumentError
from wengert.frontend.capture_paths import Path
from wengert.frontend.context import current, is_tracing
from wengert.frontend.trace import Traced
from wengert.tape.backward import pull_back
from wengert.tape.evaluate import EvalBuilder
from wengert.tree import TreeDef, map_leaves
from wengert.tree_code import Fetch, assemble_code, fetch_code, tree_expression
from wengert.types import F32, F64

ArgNums = int | Sequence[int]


class Transformed:
    """A user's function under a transformation; call it with the function's own arguments."""

    def __init__(self, fn: Callable[..., Any], what: str) -> None:
        if not callable(fn):
            raise ArgumentError(f"{what} takes a function. Got {fn!r} instead.")
        self.fn = fn
        functools.update_wrapper(self, fn, updated=())

    program: Program
    _arguments: tuple[Any, ...] | None = None

    def __reduce__(self) -> str | tuple[Any, ...]:
        """By name where the function was decorated in its module, else by what it was made of; compiled code is not pickled."""
        name = name_in_module(self)
        if name is not None:
            return name
        if self._arguments is None:
            what = f"{type(self).__name__} of {getattr(self, '__qualname__', self.fn)}"
            raise TypeError(f"cannot pickle {what}: pickle the function and transform it again")
        return type(self), self._arguments

    @property
    def stats(self) -> Stats:
        """How often the function has been traced, compiled and called under this transformation, up to now."""
        return self.program.stats()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The result for these arguments."""
        raise NotImplementedError

    def inner(self, name: str = "fn") -> Any:
        """The function inside, in a trace: attributes of the object that it is, or belongs to, are read again at every call."""
        found, trace = getattr(self, name), current()
        path = None if trace.eager else trace.captures.path_of(self)
        if path is not None and not isinstance(found, types.FunctionType):
            place = Path("attribute", path, name)
            if isinstance(found, types.MethodType):
                trace.captures.load(Path("attribute", place, "__self__"), found.__self__)
            else:
                trace.captures.load(place, found)
        return found


# --- jit -----------------------------------------------------------------------------------------------------------


class Jit(Transformed):
    """`fn` compiled; see `jit`."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        super().__init__(fn, "jit")
        self.program = Program(fn, lower_jit, strict=True, write_back=True)
        self._hot_code: HotCode | None = None
        self._arguments = (fn,)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the compiled function, compiling it first if these types are new."""
        try:
            hot = self._hot_code
            if hot is not None:
                found = hot(args, kwargs)
                if found is not MISSING:
                    return found
            self.program.counts.calls += 1
            if is_tracing():
                return nested.call(self.inner(), args, kwargs)
            return self._call(args, kwargs)
        except ValueError as error:
            self._hot_code = None  # the next call asks for its variant again
            if not self.program.may_retry(error, args, kwargs):
                raise
        return self(*args, **kwargs)

    def _call(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        variant, leaves = self.program.variant(args, kwargs, ())
        if variant is None:
            self.program.counts.eager_calls += 1
            return self.fn(*args, **kwargs)
        result = rebuild(variant.traced, variant.run(leaves, args, kwargs))
        if not kwargs and not self.program.with_sizes:
            if variant.hot is None:
                names: dict[str, Any] = {}
                source = result_source(variant.traced, names)
                code = hot_code(variant, args, source, names, self.program.counts) if source is not None else None
                variant.hot = code or False
            self._hot_code = variant.hot or None
        return result


def jit(fn: Callable[..., Any]) -> Jit:
    """`fn` as native code, compiled at the first call with arguments of new types.

    Args:
        fn: a function of numbers, arrays and containers of them.

    Returns:
        A callable with the signature of `fn`. What `fn` does to its arguments (arrays written to, lists, dicts and objects
        changed), to captured objects and to variables outside is done to them after the compiled run; nothing is if it raises.
        Arrays are written to while it runs where it cannot raise once it has begun to write (but for a lack of memory).

    Raises:
        StagingError: at the call, if `fn` cannot be staged; it names the line and the reason.
    """
    return Jit(fn)


# --- grad ----------------------------------------------------------------------------------------------------------


class Grad(Transformed):
    """Gradient of a scalar function; see `grad` and `value_and_grad`.

    With `integers`, whole numbers in the chosen arguments are passed over (their gradient is None) instead of refused.
    """

    def __init__(self, fn: Callable[..., Any], argnums: ArgNums, has_aux: bool, with_value: bool, integers: bool = False) -> None:
        self.what = "value_and_grad" if with_value else "grad"
        super().__init__(fn, self.what)
        self.argnums = argnums
        self.has_aux = has_aux
        self.with_value = with_value
        self.integers = integers
        self._arguments = (fn, argnums, has_aux, with_value, integers)
        self._hot_code: HotCode | None = None
        self.program = Program(fn, functools.partial(lower_grad, what=self.what, has_aux=has_aux))
        self._hot: dict[Any, _HotCall] = {}
        self._last: _HotCall | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The gradient (and value) at these arguments."""
        try:
            code = self._hot_code
            if code is not None:
                found = code(args, kwargs)
                if found is not MISSING:
                    return found
            self.program.counts.calls += 1
            if is_tracing() or is_eager():
                return self._call(args, kwargs)
            return self._compiled(args, kwargs)
        except ValueError as error:
            self._last = self._hot_code = None  # the next call asks for its variant again
            self._hot.clear()
            if not self.program.may_retry(error, args, kwargs):
                raise
        return self(*args, **kwargs)

    def _compiled(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        last = self._last
        if last is not None and last.fetch is not None:
            known = last.fetch((args, kwargs))
            if known is not None and last.variant.serves(known):
                return self._finish(*last.run(known))
        leaves, tree = flatten_call(args, kwargs)
        key = (tree, *[leaf_key(leaf) for leaf in leaves])
        hot = self._hot.get(key)
        if hot is not None and hot.variant.serves(leaves):
            self._last, self._hot_code = hot, hot.code
            return self._finish(*hot.run(leaves))
        result, used = self._call_noting(args, kwargs)
        if used is not None and not self.program.with_sizes:
            used.fetch = fetch_code(tree, [leaf_test(leaf) for leaf in leaves])
            self._last = self._hot[key] = used
            if not kwargs and not self.has_aux:
                used.code = used.compile(args, self.with_value, isinstance(self.argnums, int), self.program.counts)
            self._hot_code = used.code
        return result

    def _call(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        return self._call_noting(args, kwargs)[0]

    def _call_noting(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Any, _HotCall | None]:
        """The result, and how to get it again for arguments of the same types."""
        positions, selected = differentiable_leaves(args, self.argnums, self.what, self.fn, self.integers)
        if is_tracing():
            out, gradients = nested.grad(self.inner(), args, kwargs, positions, self.what, self.has_aux)
            return self._finish(out, tree_of_gradients(gradients, selected)), None
        variant, leaves = self.program.variant(args, kwargs, positions)
        if variant is None:
            out, gradients = self._eager(args, kwargs, positions)
            return self._finish(out, tree_of_gradients(gradients, selected)), None
        shapes = [(tree, [is_differentiable(leaf) for leaf in found]) for tree, found in selected]
        hot = _HotCall(variant, len(positions), shapes)
        if variant.traced.writes:
            return self._finish(*hot.unpacked(variant.run(leaves, args, kwargs))), None
        return self._finish(*hot.run(leaves)), hot

    def _eager(self, args: Sequence[Any], kwargs: dict[str, Any], positions: Sequence[int]) -> tuple[Any, list[Any]]:
        traced, builder = self.program.record(args, kwargs, positions)
        loss = scalar_loss(traced, self.what, self.has_aux)
        values = list(traced.function.results)
        out = rebuild(traced, [builder.known(v) for v in values])
        wrt = [traced.function.params[traced.param_leaves.index(k)] for k in positions]
        runner = EvalBuilder(record=False)
        if loss is None:
            return out, [runner.known(runner.zeros_like(p)) for p in wrt]
        bars = pull_back(runner, traced.function.instrs, [loss], [runner.const(1.0, loss.tensor.dtype)], wrt)
        return out, [runner.known(g) for g in bars]

    def _finish(self, out: Any, trees: list[Any]) -> Any:
        gradient = trees[0] if isinstance(self.argnums, int) else tuple(trees)
        if self.with_value:
            return out, gradient
        return (gradient, out[1]) if self.has_aux else gradient


class _HotCall:
    """What a further call with arguments of the same types needs: no argument is looked at twice.

    Attributes:
        variant: the compilation.
        fetch: gives the leaves of `(args, kwargs)` if they have the same structure and types.
        assemble: from the compiled results to the function's result and the gradients, one tree per chosen argument.
        code: all of it in one, if the arguments are numbers and arrays by position.
    """

    def __init__(self, variant: Variant, count: int, selected: list[tuple[TreeDef, list[bool]]]) -> None:
        self.variant = variant
        self.fetch: Fetch | None = None
        self.code: HotCode | None = None
        traced = variant.traced
        start = len(variant.function.results) - count
        expressions: list[str] = []
        for _, moves in selected:
            for moved in moves:
                expressions.append(f"f[{start}]" if moved else "None")
                start += moved
        self.expressions = expressions
        trees = TreeDef("list", list, (), tuple(tree for tree, _ in selected))
        self.assemble = assemble_code(trees, expressions)
        self.trees, self.moves = trees, [m for _, moves in selected for m in moves]
        self.count = count
        place = traced.out_leaves[0] if traced.out_tree.kind == "leaf" else None
        self.place = place if isinstance(place, int) else None
        self.number = _number_kind(traced, self.place)

    def run(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The function's result and the gradients in the structure of the chosen arguments."""
        return self.unpacked(self.variant.compiled.entry(*self.variant.inputs(leaves)))

    def compile(self, args: Sequence[Any], with_value: bool, single: bool, counts: Stats) -> HotCode | None:
        """Code for further calls with arguments like these."""
        names: dict[str, Any] = {}
        shape = self.trees.children[0] if single else TreeDef("tuple", tuple, (), self.trees.children)
        result = tree_expression(shape, self.expressions, names)
        if result is None or self.place is None:
            return None
        if with_value:
            names["number"] = self.number
            plain = self.number is float and self.variant.function.results[self.place].tensor.dtype == F64
            result = f"({'' if plain else 'number'}(f[{self.place}]), {result})"
        return hot_code(self.variant, args, result, names, counts)

    def unpacked(self, found: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The function's result and the gradients, from the compiled results."""
        out = rebuild(self.variant.traced, found) if self.place is None else self.number(found[self.place])
        if self.assemble is not None:
            return out, self.assemble(found)
        gradients = iter(found[len(found) - self.count :])
        return out, self.trees.unflatten(conjugated(self.trees, [next(gradients) if m else None for m in self.moves]))


class Holomorphic(Transformed):
    """The complex derivative of a holomorphic function: by the Cauchy-Riemann equations, the gradient of its real part."""

    def __init__(self, fn: Callable[..., Any], argnums: ArgNums, with_value: bool) -> None:
        super().__init__(fn, "value_and_grad" if with_value else "grad")
        self.with_value = with_value
        self._arguments = (fn, argnums, with_value)

        def real_part(*args: Any, **kwargs: Any) -> Any:
            found = fn(*args, **kwargs)
            return found.real, found

        self.gradient = Grad(functools.wraps(fn)(real_part), argnums, has_aux=True, with_value=True)
        self.program = self.gradient.program

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The derivative (and value) at these arguments."""
        gradient = self.inner("gradient") if is_tracing() else self.gradient
        (_, value), derivative = gradient(*args, **kwargs)
        return (value, derivative) if self.with_value else derivative


def _number_kind(traced: Traced, place: int | None) -> Callable[[Any], Any]:
    """What the number at `place` of the results is made, as the function would give it."""
    if place is not None and traced.function.results[place].tensor.dtype == F32:
        return np.float32
    return np.float64 if traced.out_numpy[:1] == [True] else float


def grad(fn: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False, holomorphic: bool = False) -> Any:
    """The gradient of a scalar function.

    Args:
        fn: returns one float (with `has_aux`, a pair of that and anything else).
        argnums: which positional argument, or a sequence of them, to differentiate with respect to.
        has_aux: whether `fn` returns `(loss, aux)`; then the result is `(gradient, aux)`.
        holomorphic: whether `fn` is a holomorphic function that returns a complex number; the result is then its complex
            derivative. That it is holomorphic is not checked.

    Returns:
        A callable with the signature of `fn`; its result has the structure of the chosen argument (a tuple of them for a
        sequence), floats where that has floats and arrays where that has arrays. Leaves without a derivative (strings,
        booleans) come back as None. For a complex argument `x + iy` it is `df/dx - i df/dy`, as in JAX; its conjugate points
        uphill.

    Raises:
        ArgumentError: at the call, if the output is not a float scalar or a chosen argument is an integer.

    Example:
        >>> import wengert as wg
        >>> wg.grad(lambda x: x * x)(3.0)
        6.0
    """
    return _gradient(fn, argnums, has_aux, holomorphic, with_value=False)


def value_and_grad(fn: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False, holomorphic: bool = False) -> Any:
    """Like `grad`, but returns the pair of the function's result and the gradient, computed together."""
    return _gradient(fn, argnums, has_aux, holomorphic, with_value=True)


def _gradient(fn: Callable[..., Any], argnums: ArgNums, has_aux: bool, holomorphic: bool, with_value: bool) -> Any:
    if not holomorphic:
        return Grad(fn, argnums, has_aux, with_value)
    if has_aux:
        raise ArgumentError("has_aux and holomorphic do not go together", fix="return the complex number alone")
    return Holomorphic(fn, argnums, with_value)


def stop_gradient(x: Any) -> Any:
    """`x` (a number, an array or a container of them), with derivative zero."""
    return map_leaves(nested.stop, x) if is_tracing() else x
