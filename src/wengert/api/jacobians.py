"""`jacobian`, `jacfwd`, `jacrev` and `hessian`: all first or second derivatives, dense."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.api import nested
from wengert.api.arguments import differentiable_leaves
from wengert.api.derivatives import ArgNums, Grad, Transformed
from wengert.api.lowering import lower_jacobian
from wengert.api.program import Program, retrying
from wengert.api.results import Selected, package_blocks
from wengert.api.sparse import SparseJacobian
from wengert.errors import ArgumentError
from wengert.frontend.context import is_tracing
from wengert.frontend.trace import Traced
from wengert.ir.core import Value
from wengert.ir.effects import plain
from wengert.tape.backward import pull_back, push_forward
from wengert.tape.evaluate import EvalBuilder


class Jacobian(Transformed):
    """All first derivatives; see `jacobian`."""

    def __init__(self, fn: Callable[..., Any], argnums: ArgNums, mode: str = "auto") -> None:
        self.what = {"forward": "jacfwd", "reverse": "jacrev"}.get(mode, "jacobian")
        super().__init__(fn, self.what)
        self.argnums = argnums
        self.mode = mode
        self.program = Program(fn, functools.partial(lower_jacobian, mode=mode))
        self._arguments = (fn, argnums, mode)

    @retrying
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The Jacobian at these arguments."""
        self.program.counts.calls += 1
        positions, selected = differentiable_leaves(args, self.argnums, self.what, self.fn)
        if is_tracing():
            traced_like, blocks = nested.jacobian(self.inner(), args, kwargs, positions, self.mode)
            return self._package(traced_like, blocks, selected)
        variant, leaves = self.program.variant(args, kwargs, positions)
        if variant is None:
            traced, blocks = self._eager(args, kwargs, positions)
            return self._package(traced, blocks, selected)
        found = variant.compiled(*variant.inputs(leaves))
        return self._package(variant.traced, list(found), selected)

    def _eager(self, args: Sequence[Any], kwargs: dict[str, Any], positions: Sequence[int]) -> tuple[Traced, list[Any]]:
        """One pull-back per output element over the recorded list; in forward mode, one push-forward per input element."""
        traced, builder = self.program.record(args, kwargs, positions)
        wrt = [traced.function.params[traced.param_leaves.index(k)] for k in positions]
        if self.mode == "forward":
            return traced, _pushed(traced, builder, wrt)
        blocks: list[Any] = []
        for result in traced.function.results:
            if result.is_float:
                shape = np.shape(builder.known(result))
                rows = []
                for place in np.ndindex(*shape):
                    runner = EvalBuilder(record=False)
                    seed = np.zeros(shape, result.tensor.dtype.numpy)
                    seed[place] = 1.0
                    bars = pull_back(runner, traced.function.instrs, [result], [runner.lift_known(seed)], wrt)
                    rows.append([runner.known(g) for g in bars])
                for k, param in enumerate(wrt):
                    stacked = np.array([row[k] for row in rows], dtype=param.tensor.dtype.numpy).reshape((*shape, *param.dims))
                    blocks.append(stacked if stacked.ndim else plain(stacked))
        return traced, blocks

    def _package(self, traced: Any, blocks: list[Any], selected: Selected) -> Any:
        return package_blocks(traced, blocks, selected, isinstance(self.argnums, int))


def _pushed(traced: Traced, builder: EvalBuilder, wrt: Sequence[Value]) -> list[Any]:
    """The blocks of the Jacobian of a recorded list, column by column."""
    floats = [r for r in traced.function.results if r.is_float]
    known = [np.asarray(builder.known(r)) for r in floats]
    sizes = [np.shape(builder.known(p)) for p in wrt]
    dtypes = [p.tensor.dtype.numpy for p in wrt]
    blocks = [[np.zeros((*y.shape, *size), d) for size, d in zip(sizes, dtypes, strict=True)] for y in known]
    for position, size in enumerate(sizes):
        for place in np.ndindex(*size):
            runner = EvalBuilder(record=False)
            directions = [np.zeros(s, d) for s, d in zip(sizes, dtypes, strict=True)]
            directions[position][place] = 1.0
            seeds = [runner.lift_known(d) for d in directions]
            dots = push_forward(runner, tuple(traced.function.instrs), floats, wrt, seeds)
            for row, dot in zip(blocks, dots, strict=True):
                row[position][(..., *place)] = runner.known(dot)
    return [block if block.ndim else plain(block) for row in blocks for block in row]


def jacobian(fn: Callable[..., Any], argnums: ArgNums = 0, *, sparsity: Any = None) -> Jacobian | SparseJacobian:
    """All first derivatives of `fn`, dense or sparse.

    Args:
        fn: returns floats or arrays, or a container of them.
        argnums: which positional argument, or a sequence of them.
        sparsity: True to have the pattern of the Jacobian found, or the pattern itself: a SciPy sparse matrix or a boolean array
            with a row per element of the result and a column per element of the chosen arguments, leaf after leaf.

    Returns:
        A callable: for a result of shape `s` and an argument of shape `t`, an array of shape `s + t`; containers nest, those
        of the result outside. Costs one forward derivative per input element (one reverse per output element if fewer); `jacfwd`
        and `jacrev` are for when that choice is to be made by hand.

        With `sparsity`, each block is a `scipy.sparse.csr_array` of shape `(size of s, size of t)` instead, both in row-major
        order. It costs one derivative per colour: columns without a common row share one. The pattern is found at the first call
        and kept for others of the same sizes and whole numbers; entries of it may be zero.

    Raises:
        ArgumentError: at the call, if a pattern that was given lacks entries.
    """
    dense = Jacobian(fn, argnums)
    return dense if sparsity is None or sparsity is False else SparseJacobian(fn, argnums, sparsity, dense)


def jacfwd(fn: Callable[..., Any], argnums: ArgNums = 0) -> Jacobian:
    """`jacobian` in forward mode: one forward derivative per element of the chosen arguments, in a loop over them.

    The better choice for results that are large compared with the arguments, and for functions that have a forward rule only.
    """
    return Jacobian(fn, argnums, "forward")


def jacrev(fn: Callable[..., Any], argnums: ArgNums = 0) -> Jacobian:
    """`jacobian` in reverse mode: one reverse derivative per element of the result, in a loop over them.

    The better choice for arguments that are large compared with the result.
    """
    return Jacobian(fn, argnums, "reverse")


def hessian(fn: Callable[..., Any], argnums: ArgNums = 0, *, sparsity: Any = None) -> Jacobian | SparseJacobian:
    """All second derivatives of a scalar function: the Jacobian of its gradient (forward over reverse).

    Args:
        fn: returns a float.
        argnums: which positional argument, or a sequence of them.
        sparsity: True or a pattern, as for `jacobian`, to get sparse matrices. The whole is symmetric, which saves colours.
    """
    if not callable(fn):
        raise ArgumentError(f"hessian takes a function. Got {fn!r} instead.")
    gradient = Grad(fn, argnums, has_aux=False, with_value=False)
    dense = Jacobian(gradient, argnums)
    if sparsity is None or sparsity is False:
        return dense
    return SparseJacobian(gradient, argnums, sparsity, dense, symmetric=True)
