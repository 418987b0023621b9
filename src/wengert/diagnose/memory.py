"""`memory`: how many bytes a gradient keeps for its way back, and which lines of the user's source are behind them.

It is the part of `explain` that is about memory, as numbers: the stacks at the time when they are fullest, and the arrays outside
of loops that the way back reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wengert.api.arguments import differentiable_leaves
from wengert.api.derivatives import ArgNums
from wengert.api.program import Program
from wengert.codegen import compile as compile_native
from wengert.diagnose.explanation import bytes_text
from wengert.diagnose.listing import short_path
from wengert.diagnose.storage import (
    Key,
    gradient_or_pullback,
    kept_bytes,
    known_sizes,
    stored_bytes,
    tape_bytes,
    without_cotangents,
)


@dataclass(frozen=True)
class Memory:
    """What a gradient keeps for its way back; print it.

    Attributes:
        name: of the function.
        mode: "compiled", or "eager" where everything is on a list.
        stack_bytes: on stacks (or on the list), at the time when it is most.
        array_bytes: the most that arrays outside of loops take because the way back reads them.
        lines: bytes of both by file and line, the most first.
    """

    name: str
    mode: str
    stack_bytes: int
    array_bytes: int
    lines: dict[Key, int]

    @property
    def total(self) -> int:
        """All bytes."""
        return self.stack_bytes + self.array_bytes

    def __str__(self) -> str:
        return "\n".join(self._text())

    def _text(self) -> Iterator[str]:
        where = "on stacks" if self.mode == "compiled" else "on the list of eager mode"
        parts = f"{bytes_text(self.stack_bytes)} {where}, {bytes_text(self.array_bytes)} in arrays"
        yield f"the gradient of {self.name} keeps {bytes_text(self.total)} for its way back: {parts}"
        for (file, line), size in self.lines.items():
            yield f"{bytes_text(size):>10}  {f'{short_path(file)}:{line}' if file else 'elsewhere'}"


def memory(f: Callable[..., Any], *args: Any, argnums: ArgNums = 0, **kwargs: Any) -> Memory:
    """What the gradient of `f` keeps for its way back at these arguments, in bytes and by source line.

    The compiled gradient is run once with counters in place of the numbers, so the counts are exact, and hold for these sizes and
    numbers of rounds. What recursive functions keep for each of their calls is not counted.

    Args:
        f: returns a float, or anything with floats in it.
        *args: arguments, as for `f` itself.
        argnums: which positional argument, or a sequence of them, to differentiate with respect to.
        **kwargs: further arguments of `f`.

    Returns:
        A `Memory`: print it, or read its fields.

    Raises:
        ArgumentError: `argnums` selects nothing that has a derivative.
        Exception: whatever `f` raises at these arguments.

    Example:
        >>> import math, wengert as wg
        >>> def simulate(x, steps):
        ...     for _ in range(steps):
        ...         x = x + 0.01 * math.sin(x)
        ...     return x
        >>> wg.memory(simulate, 1.0, 1000).total
        8000
    """
    positions, _ = differentiable_leaves(args, argnums, "memory", f)
    program = Program(f, gradient_or_pullback)
    name = getattr(f, "__qualname__", None) or type(f).__qualname__
    variant, leaves = program.variant(args, kwargs, positions)
    if variant is None:
        traced, _ = program.record(args, kwargs)
        return _report(name, "eager", tape_bytes(traced.function.instrs), {})
    inputs = variant.inputs(leaves)
    gradient, count = variant.function, len(variant.traced.function.params)
    counted = stored_bytes(without_cotangents(gradient, count), inputs, _run)
    results = len(variant.traced.function.results)
    return _report(name, "compiled", counted, kept_bytes(gradient, results, known_sizes(gradient, inputs)))


def _run(function: Any, inputs: Sequence[Any]) -> Sequence[Any]:
    found: Sequence[Any] = compile_native(function)(*inputs)
    return found


def _report(name: str, mode: str, stacks: dict[Key, int], arrays: dict[Key, int]) -> Memory:
    lines = {key: stacks.get(key, 0) + arrays.get(key, 0) for key in (*stacks, *arrays)}
    ordered = dict(sorted(((k, n) for k, n in lines.items() if n), key=lambda item: (-item[1], item[0])))
    return Memory(name, mode, sum(stacks.values()), sum(arrays.values()), ordered)
