"""`vjp`, `linearize` and `linear_transpose`: the function runs once, and what it leaves behind serves any number of calls."""

from __future__ import annotations

import dataclasses
import math
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import wengert as wg
from wengert.api.program import shared_program
from wengert.api.split import SplitProgram
from wengert.errors import ArgumentError, WengertError
from wengert.tree import flatten

MODES = pytest.mark.parametrize("mode", ["compiled", "eager"])
X = np.array([0.3, 0.7, 1.1, -0.4])
V = np.array([1.0, -2.0, 0.5, 0.25])


def run_in(mode: str) -> Any:
    return wg.eager() if mode == "eager" else nullcontext()


# --- programs ------------------------------------------------------------------------------------------------------


def straight(x):
    return {"a": np.sin(x) * x, "n": len(x), "s": np.sum(np.exp(-x))}


def while_loop(x):
    y, u, count = 0.0, x.copy(), 0
    while y < 5.0:
        y = y + np.sum(np.sin(u) * u) + 0.5
        u[1:] = u[:-1] * 0.9 + np.cos(u[1:])
        count += 1
    return y, u, count


def nested_loops(x):
    total = 0.0
    for i in range(len(x)):
        for j in range(i + 1):
            if x[j] > 0.5:
                total += math.exp(-x[i] * x[j])
            else:
                total += x[j] ** 2 * i
    return total


def depth(x, n):
    return x if n < 1 else math.sin(depth(x, n - 1)) * x + 0.1


def recursion(x):
    return depth(x[0], 3 if x[1] > 0.0 else 5) * x[2]


def growing(x):
    items = []
    while len(items) < 3.0 + x[0]:
        items.append(x * math.exp(-len(items) * x[1]))
    return np.array(items)


def matrices(x):
    m = x.reshape(2, 2) @ np.array([[1.0, 0.5], [0.2, 2.0]])
    return np.linalg.solve(m @ m.T + np.eye(2), x[:2])


PROGRAMS = [straight, while_loop, nested_loops, recursion, growing, matrices]


def numbers(tree: Any) -> Any:
    leaves = [leaf for leaf in flatten(tree)[0] if not isinstance(leaf, int)]
    return np.concatenate([np.ravel(leaf) for leaf in leaves])


def cotangent_of(f: Any) -> Any:
    """A cotangent for each of the programs."""

    def like(leaf: Any) -> Any:
        return None if isinstance(leaf, int) else np.cos(1.0 + np.arange(float(np.size(leaf)))).reshape(np.shape(leaf))

    leaves, structure = flatten(f(X.copy()))
    return structure.unflatten([like(leaf) for leaf in leaves])


@MODES
@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_both_are_the_jacobian(f: Any, mode: str) -> None:
    ct = cotangent_of(f)
    with run_in(mode):
        value, pull = wg.vjp(f, X)
        same, linear = wg.linearize(f, X)
        first, again = pull(ct)[0], pull(ct)[0]
        pushed, twice = linear(V), linear(2.0 * V)
        _, expected = wg.jvp(f, (X,), (V,))
        rows = wg.jacobian(f)(X)
    np.testing.assert_allclose(numbers(value), numbers(f(X.copy())), rtol=1e-13)
    np.testing.assert_allclose(numbers(same), numbers(value), rtol=1e-15)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(numbers(pushed), numbers(expected), rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(numbers(twice), 2.0 * numbers(pushed), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(first @ V, numbers(ct) @ numbers(pushed), rtol=1e-11)
    cells = np.concatenate([np.reshape(cell, (-1, 4)) for cell in flatten(rows)[0]])
    np.testing.assert_allclose(first, numbers(ct) @ cells, rtol=1e-11, atol=1e-14)


def test_the_function_runs_once() -> None:
    seen: list[float] = []

    def noisy(x):
        print("value", x)
        return math.sin(x) * x

    def host(x):
        return x * probe(x)

    probe = wg.wrap(lambda x: seen.append(x) or 2.0 * x, vjp=lambda args, out, ct: (2.0 * ct,), like=0.0)
    _, pull = wg.vjp(host, 1.5)
    del seen[:]
    value, pull = wg.vjp(host, 1.5)
    assert value == 4.5 and len(seen) == 1
    assert [pull(1.0)[0], pull(2.0)[0]] == [6.0, 12.0]
    assert len(seen) == 1
    _, pull = wg.vjp(noisy, 1.0)
    assert pull(1.0)[0] == pytest.approx(math.sin(1.0) + math.cos(1.0))


def test_prints_appear_once(capsys: Any) -> None:
    def noisy(x):
        for _ in range(2):
            print("value", x)
            x = math.sin(x)
        return x

    _, pull = wg.vjp(noisy, 1.0)
    assert capsys.readouterr().out.count("value") == 2
    pull(1.0)
    pull(1.0)
    assert capsys.readouterr().out == ""


@MODES
def test_what_happens_to_arrays_later_does_not_matter(mode: str) -> None:
    x = X.copy()
    with run_in(mode):
        out, pull = wg.vjp(lambda x: np.exp(x) * x, x)
        before = pull(V)[0].copy()
        x[:] = 100.0
        out[:] = -5.0
        np.testing.assert_array_equal(pull(V)[0], before)
        _, linear = wg.linearize(lambda x: np.exp(x), x[:0])
    assert linear(np.zeros(0)).shape == (0,)


def test_one_compilation_serves_all_calls() -> None:
    def f(x):
        return np.sin(x) * x

    for scale in (1.0, 2.0, 3.0):
        _, pull = wg.vjp(f, scale * X)
        np.testing.assert_allclose(pull(V)[0], V * (np.sin(scale * X) + scale * X * np.cos(scale * X)))
    assert shared_program(f, SplitProgram).counts.compilations == 1


@MODES
def test_trees_and_several_arguments(mode: str) -> None:
    def f(p, t):
        return {"y": p["w"] * t, "z": p["b"] ** 2}

    p = {"w": X, "b": 3.0}
    with run_in(mode):
        _, linear = wg.linearize(f, p, 2.0)
        found = linear({"w": V, "b": 1.0}, 0.5)
        partly = linear({"w": None, "b": None}, 1.0)
        with pytest.raises(ArgumentError, match="one tangent per primal"):
            linear(p)
        with pytest.raises(ArgumentError, match="do not have the structure"):
            linear(p["w"], 1.0)
    np.testing.assert_allclose(found["y"], 2.0 * V + 0.5 * X)
    assert found["z"] == 6.0
    np.testing.assert_allclose(partly["y"], X)
    assert partly["z"] == 0.0


@MODES
def test_batches_of_cotangents_and_tangents(mode: str) -> None:
    with run_in(mode):
        _, pull = wg.vjp(nested_loops, X)
        _, linear = wg.linearize(while_loop, X)
        (scaled,) = wg.vmap(pull)(np.array([1.0, 2.0, -3.0]))
        columns = wg.vmap(linear, out_axes=(0, 1, None))(np.eye(4))
        rows = wg.jacobian(while_loop)(X)
        gradient = wg.grad(nested_loops)(X)
    np.testing.assert_allclose(scaled, np.outer([1.0, 2.0, -3.0], gradient), rtol=1e-12)
    np.testing.assert_allclose(columns[0], rows[0], rtol=1e-11)
    np.testing.assert_allclose(columns[1], rows[1], rtol=1e-11, atol=1e-14)


# --- inside of programs --------------------------------------------------------------------------------------------


@MODES
def test_inside_of_programs(mode: str) -> None:
    def gauss_newton(x):
        for _ in range(2):
            r, pull = wg.vjp(lambda x: np.sin(x) - 0.3 * x, x)
            _, linear = wg.linearize(lambda x: np.sin(x) - 0.3 * x, x)
            g = pull(r)[0]
            slope = linear(g)
            x = x - g * (np.sum(g * g) / np.sum(slope * slope))
        return np.sum(x * x)

    def plain(x):
        for _ in range(2):
            r, d = np.sin(x) - 0.3 * x, np.cos(x) - 0.3
            g = d * r
            slope = d * g
            x = x - g * (np.sum(g * g) / np.sum(slope * slope))
        return np.sum(x * x)

    with run_in(mode):
        np.testing.assert_allclose(wg.grad(gauss_newton)(X), wg.grad(plain)(X), rtol=1e-9)
        np.testing.assert_allclose(wg.hvp(gauss_newton)(X, V), wg.hvp(plain)(X, V), rtol=1e-7)


@MODES
@pytest.mark.parametrize("f", [nested_loops, recursion], ids=lambda f: f.__name__)
def test_a_pullback_inside_serves_several_calls_anywhere(f: Any, mode: str) -> None:
    ct = cotangent_of(f)

    def energy(x):
        _, pull = wg.vjp(f, x)
        total = np.sum(pull(ct)[0] ** 2)
        for k in range(2):
            if x[0] > k - 5.0:
                total = total + np.sum(pull(ct)[0] ** 3)
        return total + np.sum(pull(ct)[0])

    def plain(x):
        g = wg.vjp(f, x)[1](ct)[0]
        return np.sum(g**2) + 2.0 * np.sum(g**3) + np.sum(g)

    with run_in(mode):
        value, gradient = wg.value_and_grad(energy)(X)
        expected, wanted = wg.value_and_grad(plain)(X)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-10)


# --- transposes ----------------------------------------------------------------------------------------------------


def smoothing(x):
    y = np.zeros(len(x))
    for i in range(1, len(x) - 1):
        y[i] = 0.25 * x[i - 1] + 0.5 * x[i] + 0.25 * x[i + 1]
    return y, 3.0 * x[0]


@MODES
def test_linear_transpose(mode: str) -> None:
    a = np.arange(12.0).reshape(3, 4)
    with run_in(mode):
        (found,) = wg.linear_transpose(lambda x: a @ x, np.zeros(4))(np.array([1.0, 2.0, 3.0]))
        both = wg.linear_transpose(lambda x, t: 2.0 * x + t, np.zeros(4), 0.0)(V)
        transpose = wg.linear_transpose(smoothing, X)
        (bars,) = transpose((V, 2.0))
    np.testing.assert_allclose(found, a.T @ np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(both[0], 2.0 * V)
    assert both[1] == pytest.approx(np.sum(V))
    y, first = smoothing(X)
    assert bars @ X == pytest.approx(y @ V + 2.0 * first)


@MODES
@pytest.mark.parametrize(
    "f",
    [
        lambda x: x * x,
        lambda x: x + 1.0,
        lambda x: np.sin(x),
        lambda x: np.abs(x),
        lambda x: x * np.sum(x),
        lambda x: x if x[0] > 0.5 else 2.0 * x,
    ],
)
def test_what_is_not_linear_has_no_transpose(f: Any, mode: str) -> None:
    with run_in(mode), pytest.raises(ArgumentError, match="takes a linear function"):
        wg.linear_transpose(f, np.ones(4))(V)


def test_linear_transpose_inside_of_a_program() -> None:
    a = np.arange(12.0).reshape(3, 4)
    program = wg.jit(lambda y: wg.linear_transpose(lambda x: a @ x, np.zeros(4))(y)[0])
    np.testing.assert_allclose(program(np.array([1.0, 2.0, 3.0])), a.T @ np.array([1.0, 2.0, 3.0]))
    with pytest.raises(ArgumentError, match="takes a linear function"):
        wg.jit(lambda y: wg.linear_transpose(lambda x: x * x, y)(y)[0])(V)


@MODES
def test_a_clipped_gradient_is_not_linear(mode: str) -> None:
    with run_in(mode), pytest.raises(WengertError):
        wg.linearize(lambda x: wg.clip_gradient(x, value=1.0) * 5.0, X)[1](V)


def test_results_that_are_constants():
    def with_constants(x):
        return x * x, 2.0, np.zeros(3), 0.0 * np.ones(len(x))

    x = np.array([1.0, 2.0])
    value, pullback = wg.vjp(with_constants, x)
    assert value[1] == 2.0
    assert pullback((x, 1.0, np.ones(3), x))[0] == pytest.approx(2 * x * x)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.floor(x),
        lambda x: x + np.round(x),
        lambda x: 1.0 if x > 0.5 else 0.0,
        lambda x: x + wg.stop_gradient(x * x),
    ],
)
def test_steps_and_cuts_are_not_linear(f):
    with pytest.raises(wg.ArgumentError, match="linear function"):
        wg.linear_transpose(f, 0.3)


@dataclasses.dataclass(frozen=True)
class Scaled:
    name: str
    factor: float = dataclasses.field(compare=False)

    def __call__(self, x):
        return self.factor * x * x


def test_equal_objects_are_not_the_same_function():
    for factor in (1.0, 5.0):
        f = Scaled("a", factor)
        value, pull = wg.vjp(f, 3.0)
        assert (value, pull(1.0)) == (9.0 * factor, (6.0 * factor,))
        assert wg.linearize(f, 3.0)[0] == 9.0 * factor
        assert wg.jvp(f, (3.0,), (1.0,)) == (9.0 * factor, 6.0 * factor)
