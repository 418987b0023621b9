"""`hvp`: the Hessian times a vector, without the Hessian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wengert.api.arguments import definition, differentiable_leaves
from wengert.api.derivatives import ArgNums, Grad, Transformed
from wengert.api.directional import jvp
from wengert.api.lowering import lower_jit
from wengert.api.mode import eager
from wengert.api.program import Program, retrying
from wengert.api.results import matching_leaves, rebuild
from wengert.errors import ArgumentError
from wengert.frontend.context import is_tracing


class Hvp(Transformed):
    """Products of a Hessian with vectors; see `hvp`."""

    def __init__(self, fn: Callable[..., Any], argnums: ArgNums) -> None:
        super().__init__(fn, "hvp")
        self.argnums = argnums
        self.gradient = Grad(fn, argnums, has_aux=False, with_value=False)
        self.program = Program(self, lower_jit)
        self._arguments = (fn, argnums)

    @retrying
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The product; the last positional argument is the vector."""
        if is_tracing():
            return self._product(args, kwargs)
        self.program.counts.calls += 1
        numbers, vectors = self._chosen(args)
        moving = [args[k] for k in numbers]
        positions, _ = differentiable_leaves(moving, tuple(range(len(moving))), "hvp", self.fn)
        matching_leaves(moving, vectors, positions, "hvp")
        variant, leaves = self.program.variant(args, kwargs, ())
        if variant is not None:
            return rebuild(variant.traced, variant.run(leaves, args, kwargs))
        self.program.counts.eager_calls += 1
        with eager():
            found = self._product(args, kwargs)
        self.program.notice()
        return found

    def _product(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The derivative of the gradient along the vector."""
        numbers, vectors = self._chosen(args)
        given = args[:-1]
        inner = self.inner("gradient") if is_tracing() else self.gradient

        def gradient(*moving: Any) -> Any:
            full = list(given)
            for k, x in zip(numbers, moving, strict=True):
                full[k] = x
            return inner(*full, **kwargs)

        return jvp(gradient, [given[k] for k in numbers], vectors)[1]

    def _chosen(self, args: tuple[Any, ...]) -> tuple[list[int], list[Any]]:
        """Which arguments move, and the vector for each."""
        if len(args) < 2:
            raise ArgumentError(
                f"hvp takes the function's arguments and, behind them, a vector. Got {len(args)} positional arguments.",
                definition(self.fn),
                fix="call it as hvp(f)(x, v); v has the structure of x",
            )
        count = len(args) - 1
        single = isinstance(self.argnums, int)
        numbers = [self.argnums] if isinstance(self.argnums, int) else list(self.argnums)
        for number in numbers:
            if not -count <= number < count:
                what = f"The 'argnums' argument of hvp must name positional arguments. Got {number} with {count} of them"
                raise ArgumentError(f"{what} before the vector.", definition(self.fn))
        vectors = [args[-1]] if single else args[-1]
        if not isinstance(vectors, tuple | list) or len(vectors) != len(numbers):
            raise ArgumentError(
                "with a sequence of argnums, hvp takes a tuple with one vector for each of them", definition(self.fn)
            )
        return [n % count for n in numbers], list(vectors)


def hvp(fn: Callable[..., Any], argnums: ArgNums = 0) -> Hvp:
    """The Hessian of a scalar function times a vector, at the cost of a few gradients; the Hessian is not formed.

    It is the derivative of the gradient along the vector (forward over reverse).

    Args:
        fn: returns one float.
        argnums: which positional argument, or a sequence of them.

    Returns:
        A callable that takes the arguments of `fn` and, as the last positional one, the vector: of the structure of the
        chosen argument, or a tuple of these for a sequence of `argnums`. The result has that structure, too.

    Example:
        >>> import numpy as np, wengert as wg
        >>> wg.hvp(lambda x: np.sum(x**3))(np.array([1.0, 2.0]), np.array([1.0, 0.5]))
        array([6., 6.])
    """
    return Hvp(fn, argnums)
