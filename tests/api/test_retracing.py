"""A transformed function is traced once for all sizes, floats and captured arrays of one kind; the counters say so."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import wengert as wg

SCALE = 2.0
WEIGHTS = np.array([0.5, 1.5, -1.0])
TABLE = np.arange(15.0).reshape(5, 3)


def weighted(x: Any) -> Any:
    """Captures a float, an array and a matrix."""
    total = SCALE * np.sum(WEIGHTS * WEIGHTS)
    for k in range(len(WEIGHTS)):
        total += WEIGHTS[k] * x
    return total + np.mean(TABLE[1:] @ WEIGHTS) * x * x


def counts(f: Any) -> tuple[int, int, int]:
    """Traces, compilations, and the variants kept."""
    return f.stats.traces, f.stats.compilations, f.stats.variants


def derivative(f: Callable[[complex], Any], x: float) -> float:
    """By a complex step."""
    return float(f(x + 1e-30j).imag / 1e-30)


def test_other_sizes_and_floats() -> None:
    def f(x: Any, a: float) -> Any:
        total = a * np.sum(x[1:] * x[:-1])
        for k in range(len(x)):
            if x[k] > a:
                total += x[k] ** 3
        return total

    value, gradient = wg.jit(f), wg.grad(f, argnums=1)
    for size, a in ((5, 0.5), (9, 0.25), (40, -1.0), (2, 3.0), (40, 0.1)):
        x = np.linspace(-1.0, 2.0, size)
        assert value(x, a) == pytest.approx(f(x, a), rel=1e-13)
        assert gradient(x, a) == pytest.approx(np.sum(x[1:] * x[:-1]), rel=1e-12)
    assert counts(value) == counts(gradient) == (1, 1, 1)
    assert value.stats.calls == gradient.stats.calls == 5
    assert value.stats.eager_calls == gradient.stats.eager_calls == 0


def test_other_captured_values_and_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    value, gradient = wg.jit(weighted), wg.grad(weighted)
    rng = np.random.default_rng(1)
    for n, rows in ((3, 5), (3, 5), (4, 7), (20, 2), (2, 6)):
        assert value(1.5) == pytest.approx(weighted(1.5), rel=1e-13)
        assert gradient(1.5) == pytest.approx(derivative(weighted, 1.5), rel=1e-12)
        monkeypatch.setitem(globals(), "SCALE", float(rng.normal()))
        monkeypatch.setitem(globals(), "WEIGHTS", rng.normal(size=n))
        monkeypatch.setitem(globals(), "TABLE", rng.normal(size=(rows, n)))
    assert counts(value) == counts(gradient) == (1, 1, 1)


def test_captured_arrays_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    value = wg.jit(weighted)
    value(1.0)
    monkeypatch.setitem(globals(), "WEIGHTS", np.ones(4))
    with pytest.raises(ValueError, match=r"matmul|shape"):
        weighted(1.0)
    with pytest.raises(ValueError, match=r"size|shape|match"):
        value(1.0)


def test_attributes_and_cells_of_other_sizes() -> None:
    model = SimpleNamespace(knots=np.array([0.0, 1.0, 2.0]), rate=0.5)
    data = np.array([1.0, 2.0, 4.0, 8.0])

    def f(x: float) -> Any:
        return model.rate * np.sum(np.exp(-((model.knots - x) ** 2))) + np.sum(np.diff(data)) * x

    gradient = wg.grad(f)
    for size in (3, 8, 5):
        assert gradient(0.7) == pytest.approx(derivative(f, 0.7), rel=1e-12)
        model.knots, model.rate = np.linspace(0.0, 1.0, size + 2), 0.1 * size
        data = np.linspace(0.0, 3.0, size)
    assert counts(gradient) == (1, 1, 1)


def test_captured_size_that_python_needs() -> None:
    data = np.array([1.0, 2.0, 3.0])

    def f(x: float) -> Any:
        a, b, c = data
        return a * x + b * x**2 + c * x**3

    gradient = wg.grad(f)
    assert gradient(2.0) == pytest.approx(derivative(f, 2.0))
    traces = gradient.stats.traces
    data = np.array([4.0, 5.0, 6.0])
    assert gradient(2.0) == pytest.approx(derivative(f, 2.0))
    assert counts(gradient) == (traces, 1, 1)
    data = np.array([4.0, 5.0, 6.0, 7.0])
    with warnings.catch_warnings(), pytest.raises(ValueError, match="unpack"):
        warnings.simplefilter("ignore")
        gradient(2.0)


def test_captured_interior_that_is_empty() -> None:
    """A trace assumes that slices are not empty; a captured array for which one is gets a compilation of its own."""
    data = np.array([1.0, 2.0, 3.0, 4.0])

    def f(x: float) -> Any:
        return x * np.sum(data[1:-1] * data[2:]) + x**2 * np.sum(data[:-3])

    gradient = wg.grad(f)
    for size in (4, 6, 2, 3, 1, 8):
        data = np.linspace(1.0, 2.0, size)
        if size == 2:
            continue
        assert gradient(0.5) == pytest.approx(derivative(f, 0.5), rel=1e-12)
    assert gradient.stats.traces <= 5


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([(1, 2.0), (1.0, 2.0)], id="dtype"),
        pytest.param([(np.ones(3), 1.0), (np.ones((3, 2)), 1.0)], id="rank"),
        pytest.param([(1.0, "plus"), (1.0, "minus")], id="string"),
        pytest.param([(1.0, True), (1.0, None)], id="options"),
        pytest.param([([1.0, 2.0], 1.0), ([1.0, 2.0, 3.0], 1.0)], id="structure"),
    ],
)
def test_other_kinds_are_traced_again(others: list[tuple[Any, Any]]) -> None:
    def f(x: Any, option: Any) -> Any:
        x = np.sum(np.asarray(x))
        if option == "minus":
            return -x
        return x if option is None else x * (2.0 if option == "plus" else option)

    value = wg.jit(f)
    for args in others * 2:
        assert value(*args) == pytest.approx(f(*args))
    assert counts(value) == (2, 2, 2)
    assert value.stats.calls == 4


def test_eager_calls_are_counted() -> None:
    def f(x: float) -> Any:
        return x * x

    gradient = wg.grad(f)
    gradient(1.0)
    with wg.eager():
        assert gradient(3.0) == 6.0
    assert (gradient.stats.calls, gradient.stats.eager_calls, gradient.stats.traces) == (2, 1, 1)
    assert gradient.stats.trace_seconds > 0.0
    assert gradient.stats.compile_seconds > 0.0


slope = wg.grad(np.sin)
batch = wg.vmap(np.sin)


def test_another_transformation_of_the_same_name_is_seen() -> None:
    global slope, batch
    before = slope, batch
    compiled = wg.jit(lambda x: slope(x) + np.sum(batch(x * np.ones(2))))
    assert compiled(0.3) == pytest.approx(np.cos(0.3) + 2.0 * np.sin(0.3), rel=1e-15)
    slope = wg.grad(np.cos)
    try:
        assert compiled(0.3) == pytest.approx(-np.sin(0.3) + 2.0 * np.sin(0.3), rel=1e-15)
        batch = wg.vmap(np.cos)
        assert compiled(0.3) == pytest.approx(-np.sin(0.3) + 2.0 * np.cos(0.3), rel=1e-15)
    finally:
        slope, batch = before
