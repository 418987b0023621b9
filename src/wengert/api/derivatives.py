"""`jit`, `grad`, `value_and_grad`, `jvp`, `vjp`, `jacobian`, `hessian`, `stop_gradient`: what users call."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.api import nested
from wengert.api.arguments import differentiable_leaves, flatten_call, is_differentiable, leaf_key, leaf_test
from wengert.api.lowering import lower_grad, lower_jacobian, lower_jit, lower_jvp, lower_vjp, scalar_loss
from wengert.api.mode import is_eager
from wengert.api.program import Program, Variant
from wengert.errors import ArgumentError
from wengert.frontend.boxes import is_box
from wengert.frontend.context import is_tracing
from wengert.frontend.trace import Traced
from wengert.tape.backward import pull_back, push_forward
from wengert.tape.evaluate import EvalBuilder
from wengert.tree import TreeDef, flatten, map_leaves
from wengert.tree_code import Fetch, assemble_code, fetch_code

ArgNums = int | Sequence[int]
Selected = list[tuple[TreeDef, list[Any]]]


class Transformed:
    """A user's function under a transformation; call it with the function's own arguments."""

    def __init__(self, fn: Callable[..., Any], what: str) -> None:
        if not callable(fn):
            raise ArgumentError(f"{what} takes a function. Got {fn!r} instead.")
        self.fn = fn
        functools.update_wrapper(self, fn, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The result for these arguments."""
        raise NotImplementedError


# --- jit -----------------------------------------------------------------------------------------------------------


class Jit(Transformed):
    """`fn` compiled; see `jit`."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        super().__init__(fn, "jit")
        self.program = Program(fn, lower_jit, strict=True)
        self._fast: dict[tuple[type, ...], Callable[..., Any]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the compiled function, compiling it first if these types are new."""
        if not kwargs:
            fast = self._fast.get(tuple(map(type, args)))
            if fast is not None and not is_eager():
                return fast(*args)[0]
        if is_tracing():
            return nested.call(self.fn, args, kwargs)
        variant, leaves = self.program.variant(args, kwargs, ())
        if variant is None:
            return self.fn(*args, **kwargs)
        traced = variant.traced
        plain = not (traced.guards or traced.captures or variant.sizes or kwargs)
        if plain and traced.out_leaves == [0] and traced.out_numpy == [False] and _is_single(traced) and all(type(a) is float for a in args):
            self._fast[tuple(map(type, args))] = variant.compiled.entry
        return rebuild(traced, variant.compiled(*variant.inputs(leaves)))


def _is_single(traced: Traced) -> bool:
    return traced.out_tree.kind == "leaf"


def jit(fn: Callable[..., Any]) -> Jit:
    """`fn` as native code, compiled at the first call with arguments of new types.

    Args:
        fn: a function of numbers, arrays and containers of them.

    Returns:
        A callable with the signature of `fn`. Arguments are never mutated.

    Raises:
        StagingError: at the call, if `fn` cannot be staged; it names the line and the reason.
    """
    return Jit(fn)


# --- grad ----------------------------------------------------------------------------------------------------------


class Grad(Transformed):
    """Gradient of a scalar function; see `grad` and `value_and_grad`.

    With `integers`, whole numbers in the chosen arguments are passed over (their gradient is None) instead of refused.
    """

    def __init__(
        self, fn: Callable[..., Any], argnums: ArgNums, has_aux: bool, with_value: bool, integers: bool = False
    ) -> None:
        self.what = "value_and_grad" if with_value else "grad"
        super().__init__(fn, self.what)
        self.argnums = argnums
        self.has_aux = has_aux
        self.with_value = with_value
        self.integers = integers
        self.program = Program(fn, functools.partial(lower_grad, what=self.what, has_aux=has_aux))
        self._hot: dict[Any, _HotCall] = {}
        self._last: _HotCall | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The gradient (and value) at these arguments."""
        if is_tracing() or is_eager():
            return self._call(args, kwargs)
        last = self._last
        if last is not None and last.fetch is not None:
            known = last.fetch((args, kwargs))
            if known is not None and last.variant.fits(known):
                return self._finish(*last.run(known))
        leaves, tree = flatten_call(args, kwargs)
        key = (tree, *[leaf_key(leaf) for leaf in leaves])
        hot = self._hot.get(key)
        if hot is not None and hot.variant.fits(leaves):
            self._last = hot
            return self._finish(*hot.run(leaves))
        result, used = self._call_noting(args, kwargs)
        if used is not None:
            used.fetch = fetch_code(tree, [leaf_test(leaf) for leaf in leaves])
            self._last = self._hot[key] = used
        return result

    def _call(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        return self._call_noting(args, kwargs)[0]

    def _call_noting(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Any, _HotCall | None]:
        """The result, and how to get it again for arguments of the same types."""
        positions, selected = differentiable_leaves(args, self.argnums, self.what, self.fn, self.integers)
        if is_tracing():
            out, gradients = nested.grad(self.fn, args, kwargs, positions, self.what, self.has_aux)
            return self._finish(out, tree_of_gradients(gradients, selected)), None
        variant, leaves = self.program.variant(args, kwargs, positions)
        if variant is None:
            out, gradients = self._eager(args, kwargs, positions)
            return self._finish(out, tree_of_gradients(gradients, selected)), None
        shapes = [(tree, [is_differentiable(leaf) for leaf in found]) for tree, found in selected]
        hot = _HotCall(variant, len(positions), shapes)
        return self._finish(*hot.run(leaves)), hot

    def _eager(self, args: Sequence[Any], kwargs: dict[str, Any], positions: Sequence[int]) -> tuple[Any, list[Any]]:
        traced, builder = self.program.record(args, kwargs)
        loss = scalar_loss(traced, self.what, self.has_aux)
        values = list(traced.function.results)
        out = rebuild(traced, [builder.known(v) for v in values])
        wrt = [traced.function.params[traced.param_leaves.index(k)] for k in positions]
        runner = EvalBuilder(record=False)
        if loss is None:
            return out, [np.zeros(p.dims)[()] if p.rank else 0.0 for p in wrt]
        bars = pull_back(runner, traced.function.instrs, [loss], [runner.const(1.0)], wrt)
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
    """

    def __init__(self, variant: Variant, count: int, selected: list[tuple[TreeDef, list[bool]]]) -> None:
        self.variant = variant
        self.fetch: Fetch | None = None
        traced = variant.traced
        start = len(variant.function.results) - count
        expressions: list[str] = []
        for _, moves in selected:
            for moved in moves:
                expressions.append(f"f[{start}]" if moved else "None")
                start += moved
        trees = TreeDef("list", list, (), tuple(tree for tree, _ in selected))
        self.assemble = assemble_code(trees, expressions)
        self.trees, self.moves = trees, [m for _, moves in selected for m in moves]
        self.count = count
        place = traced.out_leaves[0] if traced.out_tree.kind == "leaf" else None
        self.place = place if isinstance(place, int) else None
        self.number: Callable[[Any], Any] = np.float64 if traced.out_numpy[:1] == [True] else float

    def run(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The function's result and the gradients in the structure of the chosen arguments."""
        found = self.variant.compiled.entry(*self.variant.inputs(leaves))
        out = rebuild(self.variant.traced, found) if self.place is None else self.number(found[self.place])
        if self.assemble is not None:
            return out, self.assemble(found)
        gradients = iter(found[len(found) - self.count :])
        return out, self.trees.unflatten([next(gradients) if m else None for m in self.moves])


def grad(fn: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False) -> Grad:
    """The gradient of a scalar function.

    Args:
        fn: returns one float (with `has_aux`, a pair of that and anything else).
        argnums: which positional argument, or a sequence of them, to differentiate with respect to.
        has_aux: whether `fn` returns `(loss, aux)`; then the result is `(gradient, aux)`.

    Returns:
        A callable with the signature of `fn`; its result has the structure of the chosen argument (a tuple of them for a
        sequence), floats where that has floats and arrays where that has arrays. Leaves without a derivative (strings,
        booleans) come back as None.

    Raises:
        ArgumentError: at the call, if the output is not a float scalar or a chosen argument is an integer.

    Example:
        >>> import wengert as wg
        >>> wg.grad(lambda x: x * x)(3.0)
        6.0
    """
    return Grad(fn, argnums, has_aux, with_value=False)


def value_and_grad(fn: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False) -> Grad:
    """Like `grad`, but returns the pair of the function's result and the gradient, computed together."""
    return Grad(fn, argnums, has_aux, with_value=True)


# --- jvp and vjp -----------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=512)
def _shared_program(fn: Callable[..., Any], lower: Any) -> Program:
    return Program(fn, lower)


def _program(fn: Callable[..., Any], lower: Any) -> Program:
    try:
        return _shared_program(fn, lower)
    except TypeError:  # an unhashable callable object
        return Program(fn, lower)


def jvp(fn: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of `fn` and its directional derivative.

    Args:
        fn: the function.
        primals: its positional arguments.
        tangents: one direction per argument, of the same structure; leaves that have no tangent are ignored.

    Returns:
        `(fn(*primals), tangent)`, the tangent with the structure of the result; leaves that are not floats become None.
    """
    if len(primals) != len(tangents):
        raise ArgumentError(f"jvp takes one tangent per primal. Got {len(primals)} primals and {len(tangents)} tangents.")
    positions, _ = differentiable_leaves(primals, tuple(range(len(primals))), "jvp", fn)
    directions = matching_leaves(primals, tangents, positions, "jvp")
    if is_tracing():
        return nested.jvp(fn, primals, positions, directions)
    program = _program(fn, lower_jvp)
    variant, leaves = program.variant(primals, {}, positions)
    if variant is None:
        traced, builder = program.record(primals, {})
        results = list(traced.function.results)
        wrt = [traced.function.params[traced.param_leaves.index(k)] for k in positions]
        seeds = [builder.lift_known(d) for d in directions]
        floats = [r for r in results if r.is_float]
        dots = push_forward(builder, tuple(traced.function.instrs), floats, wrt, seeds)
        found = [builder.known(v) for v in (*results, *dots)]
    else:
        traced = variant.traced
        found = list(variant.compiled(*variant.inputs(leaves), *directions))
    return split_tangents(traced, found)


def split_tangents(traced: Traced, found: Sequence[Any]) -> tuple[Any, Any]:
    """Results and tangents, each in the structure of the function's result."""
    results = traced.function.results
    dots = iter(found[len(results) :])
    by_result = [next(dots) if r.is_float else None for r in results]
    return rebuild(traced, found), rebuild(traced, by_result, static=None)


def vjp(fn: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The value of `fn` and its pullback.

    Returns:
        `(fn(*primals), pullback)`: `pullback(cotangent)`, with a cotangent of the structure of the result, gives a tuple
        with one entry per primal. Each call of the pullback runs the function again together with its reverse pass.
    """
    positions, selected = differentiable_leaves(primals, tuple(range(len(primals))), "vjp", fn)
    if is_tracing():
        out, pull = nested.vjp(fn, primals, positions)
        return out, lambda ct: tuple(tree_of_gradients(pull(ct), selected))
    program = _program(fn, lower_vjp)
    variant, leaves = program.variant(primals, {}, positions)
    if variant is not None:
        compiled, traced, inputs = variant.compiled, variant.traced, variant.inputs(leaves)
        inputs = [np.array(a) if isinstance(a, np.ndarray) else a for a in inputs]
        seeds = [_zeros_of(r) for r in _evaluate(program, primals)]

        def run(cotangents: Sequence[Any]) -> list[Any]:
            return list(compiled(*inputs, *cotangents))

        found = run(seeds)
        results = found[: len(traced.function.results)]

        def pull_native(cotangent: Any) -> tuple[Any, ...]:
            bars = run(_seeds_of(traced, results, cotangent))[len(results) :]
            return tuple(tree_of_gradients(bars, selected))

        return rebuild(traced, results), pull_native
    traced, builder = program.record(primals, {})
    values = list(traced.function.results)
    results = [builder.known(v) for v in values]
    wrt = [traced.function.params[traced.param_leaves.index(k)] for k in positions]

    def pull_eager(cotangent: Any) -> tuple[Any, ...]:
        runner = EvalBuilder(record=False)
        seeds = [runner.lift_known(s) for s in _seeds_of(traced, results, cotangent)]
        floats = [v for v in values if v.is_float]
        bars = pull_back(runner, traced.function.instrs, floats, seeds, wrt)
        return tuple(tree_of_gradients([runner.known(g) for g in bars], selected))

    return rebuild(traced, results), pull_eager


def _evaluate(program: Program, primals: Sequence[Any]) -> list[Any]:
    """The float results of the plain function: what the cotangents have to look like."""
    variant, leaves = _program(program.fn, lower_jit).variant(primals, {}, ())
    assert variant is not None
    found = variant.compiled(*variant.inputs(leaves))
    return [f for f, r in zip(found, variant.traced.function.results, strict=True) if r.is_float]


def _zeros_of(result: Any) -> Any:
    return np.zeros_like(result) if isinstance(result, np.ndarray) else 0.0


def _seeds_of(traced: Traced, results: Sequence[Any], cotangent: Any) -> list[Any]:
    """The cotangents of the float results, from a tree of the structure of the function's result."""
    leaves, tree = flatten(cotangent, is_leaf=lambda x: x is None or is_box(x))
    if len(leaves) != len(traced.out_leaves):
        raise ArgumentError(
            "the cotangent does not have the structure of the function's result",
            found=f"{tree} ({len(leaves)} leaves)",
            expected=f"{traced.out_tree} ({len(traced.out_leaves)} leaves)",
        )
    by_result: dict[int, Any] = {}
    for place, leaf in zip(traced.out_leaves, leaves, strict=True):
        if isinstance(place, int):
            by_result[place] = leaf
    seeds = []
    for k, (value, result) in enumerate(zip(traced.function.results, results, strict=True)):
        if value.is_float:
            seed = by_result.get(k)
            seeds.append(_zeros_of(result) if seed is None else checked_direction(seed, result, "cotangent", "vjp"))
    return seeds


def checked_direction(direction: Any, model: Any, name: str, what: str) -> Any:
    """A tangent or cotangent for `model` as a float or a float array of its shape."""
    if is_box(direction):
        return direction
    found = np.asarray(direction)
    if found.shape != np.shape(model) or not (
        np.issubdtype(found.dtype, np.floating) or np.issubdtype(found.dtype, np.integer)
    ):
        raise ArgumentError(
            f"a {name} given to {what} does not match",
            found=f"shape {found.shape} of dtype {found.dtype}",
            expected=f"shape {np.shape(model)} of dtype float64",
        )
    return found.astype(np.float64) if found.ndim else float(found)


def matching_leaves(primals: Sequence[Any], tangents: Sequence[Any], positions: Sequence[int], what: str) -> list[Any]:
    """The tangents of the leaves at `positions`; None stands for zero."""

    def is_leaf(x: Any) -> bool:
        return x is None or is_box(x)

    leaves, tree = flatten((tuple(primals), {}), is_leaf=is_leaf)
    directions, tangent_tree = flatten((tuple(tangents), {}), is_leaf=is_leaf)
    if tree != tangent_tree:
        raise ArgumentError(
            f"the tangents given to {what} do not have the structure of the primals",
            found=str(tangent_tree),
            expected=str(tree),
        )
    pairs = [(leaf, d) for leaf, d in zip(leaves, directions, strict=True) if leaf is not None]
    found = [(pairs[k][0], 0.0 if pairs[k][1] is None else pairs[k][1]) for k in positions]
    return [checked_direction(direction, leaf, "tangent", what) for leaf, direction in found]


# --- jacobian and hessian --------------------------------------------------------------------------------------------


class Jacobian(Transformed):
    """All first derivatives; see `jacobian`."""

    def __init__(self, fn: Callable[..., Any], argnums: ArgNums, has_aux: bool = False) -> None:
        super().__init__(fn, "jacobian")
        self.argnums = argnums
        self.program = Program(fn, lower_jacobian)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The Jacobian at these arguments."""
        positions, selected = differentiable_leaves(args, self.argnums, "jacobian", self.fn)
        if is_tracing():
            traced_like, blocks = nested.jacobian(self.fn, args, kwargs, positions)
            return self._package(traced_like, blocks, selected)
        variant, leaves = self.program.variant(args, kwargs, positions)
        if variant is None:
            traced, blocks = self._eager(args, kwargs, positions)
            return self._package(traced, blocks, selected)
        found = variant.compiled(*variant.inputs(leaves))
        return self._package(variant.traced, list(found), selected)

    def _eager(self, args: Sequence[Any], kwargs: dict[str, Any], positions: Sequence[int]) -> tuple[Traced, list[Any]]:
        """One pull-back per output element over the recorded list."""
        traced, builder = self.program.record(args, kwargs)
        wrt = [traced.function.params[traced.param_leaves.index(k)] for k in positions]
        blocks: list[Any] = []
        for result in traced.function.results:
            if result.is_float:
                shape = np.shape(builder.known(result))
                rows = []
                for place in np.ndindex(*shape):
                    runner = EvalBuilder(record=False)
                    seed = np.zeros(shape)
                    seed[place] = 1.0
                    bars = pull_back(runner, traced.function.instrs, [result], [runner.lift_known(seed)], wrt)
                    rows.append([runner.known(g) for g in bars])
                for k, param in enumerate(wrt):
                    stacked = np.array([row[k] for row in rows], dtype=float).reshape((*shape, *param.dims))
                    blocks.append(stacked if stacked.ndim else float(stacked))
        return traced, blocks

    def _package(self, traced: Any, blocks: list[Any], selected: Selected) -> Any:
        """Blocks in the structure of the result, each leaf holding the structure of the chosen arguments."""
        count = sum(sum(map(is_differentiable, leaves)) for _, leaves in selected)
        rows = iter([blocks[k : k + count] for k in range(0, len(blocks), count)])
        cells: list[Any] = []
        for result in traced.function.results:
            if not result.is_float:
                cells.append(None)
                continue
            trees = tree_of_gradients(next(rows), selected)
            cells.append(trees[0] if isinstance(self.argnums, int) else tuple(trees))
        return rebuild(traced, cells, static=None)


def jacobian(fn: Callable[..., Any], argnums: ArgNums = 0) -> Jacobian:
    """All first derivatives of `fn`, dense.

    Args:
        fn: returns floats or arrays, or a container of them.
        argnums: which positional argument, or a sequence of them.

    Returns:
        A callable: for a result of shape `s` and an argument of shape `t`, an array of shape `s + t`; containers nest, those
        of the result outside. Costs one forward derivative per input element (one reverse per output element if fewer).
    """
    return Jacobian(fn, argnums)


def hessian(fn: Callable[..., Any], argnums: ArgNums = 0) -> Jacobian:
    """All second derivatives of a scalar function, dense: the Jacobian of its gradient (forward over reverse)."""
    if not callable(fn):
        raise ArgumentError(f"hessian takes a function. Got {fn!r} instead.")
    return Jacobian(Grad(fn, argnums, has_aux=False, with_value=False), argnums)


# --- helpers ---------------------------------------------------------------------------------------------------------


def stop_gradient(x: Any) -> Any:
    """`x` (a number, an array or a container of them), with derivative zero."""
    return map_leaves(nested.stop, x) if is_tracing() else x


_KEEP: Any = object()
_NUMPY_NUMBERS: dict[type, Callable[[Any], Any]] = {float: np.float64, int: np.int64, bool: np.bool_}


def rebuild(traced: Traced, found: Sequence[Any], static: Any = _KEEP) -> Any:
    """The function's result from the values of the IR results; `static` replaces leaves that were no IR results.

    Numbers come back as the function would give them: as NumPy numbers where it computes with those.
    """
    leaves = []
    for place, is_numpy in zip(traced.out_leaves, traced.out_numpy, strict=True):
        if not isinstance(place, int):
            leaves.append(place.value if static is _KEEP else static)
            continue
        leaf = found[place]
        convert = _NUMPY_NUMBERS.get(type(leaf)) if is_numpy else None
        leaves.append(leaf if convert is None else convert(leaf))
    return traced.out_tree.unflatten(leaves)


def tree_of_gradients(gradients: Sequence[Any], selected: Selected) -> list[Any]:
    """Gradients put back into the structures that they were taken with respect to; None where a leaf has none."""
    remaining = iter(gradients)
    return [
        tree.unflatten([next(remaining) if is_differentiable(leaf) else None for leaf in leaves])
        for tree, leaves in selected
    ]


