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
KINDS: list[Any] = [wg.checkpoint, *(wg.checkpoint(budget=b) for b in ("sqrt", "revolve", 100))]
NAMED = pytest.mark.parametrize("kind", KINDS, ids=["whole", "sqrt", "revolve", "bytes"])


def floats(args: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(k for k, a in enumerate(args) if not isinstance(a, int))


@NAMED
@pytest.mark.parametrize(("f", "arguments"), LOOPS, ids=lambda x: getattr(x, "__name__", ""))
def test_gradients_are_the_same_to_the_last_bit(f: Any, arguments: Any, kind: Any) -> None:
    plain = wg.value_and_grad(f, argnums=floats(arguments(1)))
    less = wg.value_and_grad(kind(f), argnums=floats(arguments(1)))
    for n in (0, 1, 2, 5, 30):
        (value, gradient), (other, found) = plain(*arguments(n)), less(*arguments(n))
        assert value == other
        for a, b in zip(gradient, found, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"n = {n}")


@NAMED
@pytest.mark.parametrize(("f", "arguments"), LOOPS[:2], ids=lambda x: getattr(x, "__name__", ""))
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


def watched(f: Callable[..., Any], args: tuple[Any, ...], numbers: bool = False) -> tuple[int, int, float]:
    """How often the gradient takes a sine, the most entries (or numbers) on its stacks at a time, and the gradient."""
    count, held, most = 0, 0, 0

    def watch(instr: Instr, results: Any) -> None:
        nonlocal count, held, most
        count += instr.op.name == "sin"
        if instr.op.name == "push":
            held += len(instr.operands) - 1 if numbers else 1
        if instr.op.name == "pop":
            held -= len(instr.results) - 1 if numbers else 1
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

    count, most, plain = watched(f, (0.3, 30), numbers=True)
    again, less, found = watched(g, (0.3, 30), numbers=True)
    assert found == plain
    assert (count, again) == (300, 300 + 240)  # the way back needs no value of the last two sines of a step
    assert (most, less) == (300, 30)


def reach(places: int, repeats: int) -> int:
    return math.comb(places + repeats, places) if repeats >= 0 else 0


def least_advances(n: int, places: int) -> int:
    """How many rounds must be run again to go back through n of them, by Griewank and Walther."""
    repeats = next(r for r in range(n + 1) if reach(places, r) >= n)
    return repeats * n - reach(places + 1, repeats - 1)


@pytest.mark.parametrize("places", [1, 2, 3, 5, 8, 40])
def test_the_binomial_schedule_runs_as_few_rounds_again_as_can_be(places: int) -> None:
    n = 35
    # A state is the number of its round and x, in `until` also i: 8 bytes each.
    for f, args, size in ((recurrence, (0.3, n, W), 16), (until, (0.3, 1.6, W), 24)):
        count, _, plain = watched(f, args)
        again, most, found = watched(wg.checkpoint(budget=places * size)(f), args)
        assert found == plain
        assert again == 2 * count + least_advances(count, min(places, count))
        assert most <= places


def test_revolve_keeps_a_multiple_of_the_logarithm() -> None:
    count, _, plain = watched(recurrence, (0.3, 500, W))
    again, most, found = watched(wg.checkpoint(budget="revolve")(recurrence), (0.3, 500, W))
    assert found == plain
    assert most <= 2 * math.ceil(math.log2(500))
    assert again == 2 * count + least_advances(count, 18)


def test_what_is_not_a_budget_is_refused() -> None:
    for budget in ("log", 0, -3, 1.5, True):
        with pytest.raises(wg.ArgumentError, match="budget"):
            wg.checkpoint(budget=budget)  # type: ignore[call-overload]
    with pytest.raises(wg.ArgumentError, match="takes a function"):
        wg.checkpoint(3)  # type: ignore[call-overload]


# --- programs with state around them ----------------------------------------------------------------------------------


def test_closures_writes_methods_and_nesting() -> None:
    class Cell:
        def __init__(self, x: float) -> None:
            self.x = x

        @wg.checkpoint
        def step(self, k: float) -> None:
            self.x = math.sin(self.x) + k * self.x

    @wg.checkpoint
    def inner(cell: Cell, u: np.ndarray) -> float:
        for k in range(20):
            cell.step(0.01 * k)
            u[k % 3] *= math.cos(cell.x)
        return cell.x

    def f(x: float, u: np.ndarray) -> float:
        cell, u = Cell(x), u.copy()
        total = 0.0

        @wg.checkpoint
        def add() -> None:
            nonlocal total
            total += inner(cell, u) * u[1]

        for _ in range(11):
            add()
        return total + cell.x + np.sum(u)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wg.check_grads(f, (0.7, U[:4] + 0.5))
    np.testing.assert_allclose(wg.jit(f)(0.7, U[:4] + 0.5), f(0.7, U[:4] + 0.5), rtol=1e-13)


step = wg.checkpoint(math.sin)


def test_another_function_of_the_same_name_is_seen() -> None:
    global step
    before, gradient = step, wg.grad(lambda x: step(x) * x)
    assert gradient(0.3) == pytest.approx(math.sin(0.3) + 0.3 * math.cos(0.3), rel=1e-15)
    step = wg.checkpoint(math.cos)
    try:
        assert gradient(0.3) == pytest.approx(math.cos(0.3) - 0.3 * math.sin(0.3), rel=1e-15)
    finally:
        step = before


def test_exceptions_rules_and_recursion_inside() -> None:
    @wg.custom_jvp
    def cube(x: float) -> float:
        return x**3

    @cube.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        return cube(primals[0]), 3.0 * primals[0] ** 2 * tangents[0]

    def part(x: float) -> float:
        if x > 1.0:
            raise ValueError("no")
        return x * x if x > 0.5 else math.sin(cube(x))

    def halves(x: float) -> float:
        return x if x < 0.2 else math.sin(halves(x * 0.5)) + halves(x * 0.4)

    def f(x: float) -> float:
        total = halves(x)
        for k in range(13):
            try:
                total += part(x * k * 0.1) * part(0.4)
            except ValueError:
                total += x
            if total > 5.0:
                break
        return total

    for kind in KINDS[:3]:
        assert wg.grad(kind(f))(0.9) == wg.grad(f)(0.9)
    inside = wg.checkpoint(part)

    def g(x: float) -> float:
        return inside(0.4 * x) + wg.checkpoint(halves)(x)

    assert wg.grad(g)(0.9) == pytest.approx(wg.grad(lambda x: part(0.4 * x) + halves(x))(0.9), rel=1e-14)


def test_zeros_win_and_single_precision_stays() -> None:
    def roots(x: np.ndarray) -> float:
        for _ in range(12):
            x = np.where(x > 0, np.sqrt(np.abs(x)), 0.0) * 0.9 - 0.01
        return np.sum(x)

    at = np.array([0.0, 0.5, -1.0, 2.0])
    for kind in KINDS:
        np.testing.assert_array_equal(wg.grad(kind(roots))(at), wg.grad(roots)(at))
    single = wg.grad(KINDS[2](roots))(at.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, wg.grad(roots)(at.astype(np.float32)))


def test_it_holds_inside_branches_and_other_transformations() -> None:
    @wg.checkpoint(budget="revolve")
    def walk(x: float, n: int) -> float:
        for k in range(n):
            if x > 0.5:
                x = x * 0.9 + 0.01 * math.sin(k * x)
            else:
                x = x * 1.2
        return x

    def f(x: float, n: int) -> float:
        if x < 2.0:
            return walk(x, n) * wg.grad(walk)(x, n)
        return x

    plain = wg.checkpoint(lambda x, n: f(x, n))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wg.check_grads(f, (0.3, 12))
        assert wg.grad(plain)(0.3, 12) == pytest.approx(wg.grad(f)(0.3, 12), rel=1e-13)
        xs = np.array([0.2, 0.4, 0.9])
        found = wg.vmap(wg.grad(walk), in_axes=(0, None))(xs, 12)
    np.testing.assert_array_equal(found, [wg.grad(walk.fn)(x, 12) for x in xs])


def test_what_cannot_be_run_twice_is_kept() -> None:
    rng = np.random.default_rng(3)

    @wg.checkpoint
    def noisy(x: float) -> float:
        return math.sin(x * rng.normal())

    state = rng.bit_generator.state
    found = wg.grad(noisy)(0.7)
    rng.bit_generator.state = state
    draw = rng.normal()
    assert found == pytest.approx(math.cos(0.7 * draw) * draw, rel=1e-14)
