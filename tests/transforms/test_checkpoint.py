"""Gradients that compute parts of the function again: equal to plain ones to the last bit, with less on their stacks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as wg
from wengert.api.lowering import lower_grad
from wengert.frontend.trace import trace
from wengert.ir.core import Function, Instr
from wengert.ir.interpret import run
from wengert.passes.pipeline import optimize
from wengert.transforms.checkpoint import remove_marks

W = np.array([1.0, 0.5, 0.3])


def recurrence(x: float, n: int, w: np.ndarray) -> float:
    s = 0.0
    for i in range(n):
        x = x + 0.01 * math.sin(x * w[i % 3]) * i
        s += x * x
    return s


def until(x: float, limit: float, w: np.ndarray) -> float:
    i = 0
    while x < limit:
        x = x + 0.1 * math.sin(x * w[i % 3]) ** 2 + 0.01
        i += 1
    return x * x


def diffusion(u: np.ndarray, k: float, n: int) -> float:
    u = u.copy()
    for i in range(n):
        u[1:-1] += k * (u[2:] - 2.0 * u[1:-1] + u[:-2]) * np.cos(u[1:-1])
        if u[i % 4] > 0.6:
            u[i % 4] *= 0.9
        for j in range(3):
            u[j] = math.sin(u[j]) + 0.1 * u[j + 1]
    return np.sum(u * u)


def growing(x: float, n: int) -> float:
    """A list that grows: what the loop carries changes its size."""
    found = [x]
    for i in range(n):
        if found[-1] < 1.0:
            found.append(found[-1] * 1.1 + 0.01 * math.sin(found[i // 2]))
    return sum(found)


U = np.linspace(0.1, 1.0, 9) ** 2
LOOPS: list[tuple[Callable[..., Any], Callable[[int], tuple[Any, ...]]]] = [
    (recurrence, lambda n: (0.3, n, W)),
    (until, lambda n: (0.3, 0.3 + 0.05 * n, W)),
    (diffusion, lambda n: (U, 0.2, n)),
    (growing, lambda n: (0.5, n)),
]
KINDS: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [wg.checkpoint, wg.checkpoint(budget="sqrt")]


def floats(args: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(k for k, a in enumerate(args) if not isinstance(a, int))


@pytest.mark.parametrize("kind", KINDS, ids=["whole", "sqrt"])
@pytest.mark.parametrize(("f", "arguments"), LOOPS, ids=lambda x: getattr(x, "__name__", ""))
def test_gradients_are_the_same_to_the_last_bit(f: Any, arguments: Any, kind: Any) -> None:
    plain = wg.value_and_grad(f, argnums=floats(arguments(1)))
    less = wg.value_and_grad(kind(f), argnums=floats(arguments(1)))
    for n in (0, 1, 2, 5, 30):
        (value, gradient), (other, found) = plain(*arguments(n)), less(*arguments(n))
        assert value == other
        for a, b in zip(gradient, found, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"n = {n}")


@pytest.mark.parametrize("kind", KINDS, ids=["whole", "sqrt"])
@pytest.mark.parametrize(("f", "arguments"), LOOPS, ids=lambda x: getattr(x, "__name__", ""))
def test_all_modes_and_orders(f: Any, arguments: Any, kind: Any) -> None:
    args = arguments(7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wg.check_grads(kind(f), args)
    with wg.eager():
        np.testing.assert_allclose(wg.grad(kind(f))(*args), wg.grad(f)(*args), rtol=1e-12)
    np.testing.assert_allclose(wg.hessian(kind(f))(*args), wg.hessian(f)(*args), rtol=1e-12)


# --- what is run and what is kept -------------------------------------------------------------------------------------


def lowered(f: Callable[..., Any], args: tuple[Any, ...]) -> Function:
    traced = trace(f, args, {})
    return optimize(remove_marks(lower_grad(traced, [0], "grad", False)))


def watched(f: Callable[..., Any], args: tuple[Any, ...], op: str = "sin") -> tuple[int, int, float]:
    """How often the gradient runs an op, the most entries on its stacks at a time, and the gradient."""
    count, held, most = 0, 0, 0

    def watch(instr: Instr, results: Any) -> None:
        nonlocal count, held, most
        count += instr.op.name == op
        held += instr.op.name == "push"
        held -= instr.op.name == "pop"
        most = max(most, held)

    found = run(lowered(f, args), args, watch)
    return count, most, found[1]


def test_a_loop_keeps_about_the_root_of_its_rounds_and_runs_each_once_more() -> None:
    for f, args, n in ((recurrence, (0.3, 400, W), 400), (until, (0.3, 12.0, W), None)):
        count, most, plain = watched(f, args)
        n = count if n is None else n
        assert (count, most) == (n, n)
        again, less, found = watched(wg.checkpoint(budget="sqrt")(f), args)
        assert found == plain
        assert again == 2 * n
        bound = 2 * math.sqrt(n) if f is recurrence else 2 * math.sqrt(2 * n)
        assert math.sqrt(n) < less <= bound + 1


def test_the_inside_of_a_function_is_run_again() -> None:
    def step(x: float) -> float:
        for _ in range(5):
            x = math.sin(x) + 0.1 * math.sin(3.0 * x)
        return x

    def f(x: float, n: int) -> float:
        for _ in range(n):
            x = x + step(x)
        return x

    def g(x: float, n: int) -> float:
        for _ in range(n):
            x = x + wg.checkpoint(step)(x)
        return x

    count, most, plain = watched(f, (0.3, 30))
    again, less, found = watched(g, (0.3, 30))
    assert found == plain
    assert (count, again) == (300, 300 + 240)  # the way back needs no value of the last two sines of a step
    assert most > 150 and less <= 40
