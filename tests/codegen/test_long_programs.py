"""Long programs are compiled with less effort and with more calls: the results are the same."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as wg
from wengert.codegen import Options, compiled, engine, lowering, pieces
from wengert.codegen.engine import Effort
from wengert.frontend.trace import trace
from wengert.ir.core import walk
from wengert.ir.interpret import run
from wengert.ir.verify import verify
from wengert.passes.pipeline import optimize


@pytest.fixture(params=["long", "huge", "pieces"])
def hurried(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program counts as long."""
    if request.param == "pieces":
        monkeypatch.setattr(pieces, "WHOLE", 12)
        monkeypatch.setattr(pieces, "PIECE", 6)
        return
    monkeypatch.setattr(lowering, "LONG", 0)
    monkeypatch.setattr(compiled, "LARGE", 0)
    if request.param == "huge":
        monkeypatch.setattr(compiled, "HUGE", 0)


def chain(x: np.ndarray, a: float) -> float:
    u = np.sin(x * a)
    v = np.cumsum(u * u)
    w = v[::-1] + u
    for k in range(len(x) // 2):
        w[k] = w[k] * v[k] + u[2 * k]
    return float(np.sum(np.exp(-w) * x) + w[0])


def growing(x: np.ndarray, a: float) -> float:
    kept = []
    for v in x:
        if v * a > 0.2:
            kept.append(v * v)
    found = np.array(kept)
    return float(np.sum(found * found) + len(kept) * a)


def products(x: np.ndarray, a: float) -> float:
    m = np.outer(x, x) + a * np.eye(len(x))
    return float(np.linalg.solve(m, x) @ (m @ x) + np.log(np.linalg.det(m)))


def tree(x: np.ndarray, a: float) -> float:
    return a if len(x) < 2 else tree(x[: len(x) // 2], a) * a + tree(x[len(x) // 2 :], a) + float(np.sum(x * x))


def guarded(x: np.ndarray, a: float) -> float:
    total = 0.0
    for v in x:
        if v > 0.9:
            raise ValueError(f"too large: {v:.3f}")
        total += math.sqrt(v) * a
    return total


@pytest.mark.parametrize("fn", [chain, growing, products, tree], ids=lambda f: f.__name__)
@pytest.mark.usefixtures("hurried")
def test_same_results(fn: Callable[..., float]) -> None:
    made, differentiated = wg.jit(fn), wg.grad(fn, argnums=(0, 1))
    for n in (4, 7, 300 if fn is not products else 20, 5):
        x, a = np.linspace(0.1, 0.8, n), 0.7
        assert made(x, a) == pytest.approx(fn(x, a), rel=1e-10)
        along, slope = differentiated(x, a)
        step = 1e-6
        assert slope == pytest.approx((fn(x, a + step) - fn(x, a - step)) / (2 * step), rel=1e-5)
        direction = np.cos(np.arange(n))
        ahead, behind = fn(x + step * direction, a), fn(x - step * direction, a)
        assert along @ direction == pytest.approx((ahead - behind) / (2 * step), rel=1e-5, abs=1e-7)


@pytest.mark.usefixtures("hurried")
def test_errors_and_calls_after_them() -> None:
    made = wg.jit(guarded)
    good, bad = np.linspace(0.0, 0.5, 9), np.linspace(0.0, 1.0, 9)
    for _ in range(3):
        assert made(good, 2.0) == pytest.approx(guarded(good, 2.0), rel=1e-13)
        with pytest.raises(ValueError, match=r"too large: 1\.000"):
            made(bad, 2.0)


@pytest.mark.usefixtures("hurried")
def test_several_threads() -> None:
    made = wg.value_and_grad(chain)
    made(np.ones(8), 1.0)
    wrong: list[Any] = []

    def work(seed: int) -> None:
        x = np.random.default_rng(seed).uniform(0.1, 0.9, 50 + seed)
        expected = chain(x, 0.5)
        for _ in range(200):
            if made(x, 0.5)[0] != pytest.approx(expected, rel=1e-12):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_effort() -> None:
    """A module of many lines, or of many lines and loops, gets less effort; without optimisation, none."""
    loops = "  %i = phi i64 [ 0, %a ]\n" * 100
    assert compiled.effort_for("x\n" * 1000, Options()) == Effort(2)
    assert compiled.effort_for(loops, Options()) == Effort(2)
    assert compiled.effort_for(loops + "\n" * 20_000, Options()) == Effort(1)
    assert compiled.effort_for("x" * 700_000, Options()) == Effort(1)
    assert compiled.effort_for("x" * 2_100_000, Options()) == Effort(1, fast=True)
    assert compiled.effort_for("x" * 2_100_000, Options(llvm=False)) == Effort(0)
    halves = "x" * 1_100_000 + "\ndefine y() {" + "x" * 1_100_000
    assert compiled.effort_for(halves, Options()) == Effort(1)
    assert len(engine.SHORT) < 10


def straight(x: np.ndarray, a: float) -> float:
    s, t = a, x * a
    for k in range(8):
        for j in range(8):
            s = s + np.sum(t * x[k % 3]) / (1.0 + s * s) * math.sin(a * j + k)
            t = t + np.cos(t) * s * 0.01
            if s > 100.0:
                t[0] = s
    return s + float(t @ x)


def test_pieces_of_a_long_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long straight-line code is several functions, of about one length, that take one another's results."""
    monkeypatch.setattr(pieces, "WHOLE", 60)
    monkeypatch.setattr(pieces, "PIECE", 30)
    fn = optimize(trace(straight, (np.ones(5), 0.5), {}).function)
    cut = pieces.in_pieces(fn)
    assert len(fn.instrs) > pieces.WHOLE
    assert all(i.op.name == "call" for i in cut.instrs)
    lengths = [sum(1 for _ in walk(f.instrs)) for f in cut.functions.values()]
    assert len(lengths) > 3 and sorted(lengths)[-2] < 2 * pieces.PIECE  # but for a loop, which is not cut
    verify(cut)
    x, a = np.linspace(0.1, 0.8, 5), 0.7
    whole = wg.jit(straight)(x, a)
    assert whole == pytest.approx(straight(x, a), rel=1e-12)
    assert run(cut, [x, a])[0] == pytest.approx(whole, rel=1e-12)


def swapped_rows(a: float, p: list[float], n: int) -> float:
    rows = [[p[0], 0.3], [p[1], 0.5], [a, 1.0]]
    other = [[0.1, a], [0.2, p[2]], [0.3, 0.7]]
    if n % 3 != 1:
        for i, row in enumerate(other):
            row[0] = 0.7 * row[0] + 0.3 * row[1]
            rows[2] = rows[(i + 2) % 3]
            rows[int(math.tanh(a) > 1.17) + int(a > 0.81)][-1] += 0.78 * other[i % 3][0]
    else:
        for row in rows:
            row[0] = 0.59 * row[0] + 0.51
            k = int(math.tanh(a) > 0.1) + int(np.tanh(p[0]) > -1.11)
            rows[2], rows[k] = rows[k], rows[2]
            rows[2][-1] = other[0][0]
    return sum((k + 1.0) * math.tanh(row[0]) - 0.5 * k * math.sin(row[1]) for k, row in enumerate([*rows, *other]))


def test_numbers_from_inside_of_branches_are_not_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [wg.grad(swapped_rows)(0.4, [0.7, 0.8, 0.4], n) for n in (10, 11)]
    monkeypatch.setattr(pieces, "WHOLE", 12)
    monkeypatch.setattr(pieces, "PIECE", 6)
    again = wg.grad(lambda a, p, n: swapped_rows(a, p, n))
    assert [again(0.4, [0.7, 0.8, 0.4], n) for n in (10, 11)] == pytest.approx(expected, rel=1e-14)


def test_short_functions_stay_whole() -> None:
    fn = optimize(trace(chain, (np.ones(6), 0.5), {}).function)
    assert pieces.in_pieces(fn) is fn


@pytest.mark.parametrize("write", [False, True])
def test_each_part_is_looked_at_once(write: bool) -> None:
    """Every step uses the one before twice: there are 2**60 ways from the result to the argument."""

    def doubled(x: np.ndarray) -> np.ndarray:
        y = x.copy()
        for k in STEPS:
            y = y + (y - k)
        if write:
            x[:, :] = y
        return y

    x = np.array([[0.5, -0.25], [1.0, 2.0]])
    expected = doubled(x.copy())
    np.testing.assert_array_equal(wg.jit(doubled)(x), expected)
    gradient = wg.grad(lambda x: np.sum(doubled(x)))(np.ones((2, 3)))
    np.testing.assert_array_equal(gradient, np.full((2, 3), 2.0**60))


STEPS = [0.5] * 60
