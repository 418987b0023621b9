"""A bad loss or gradient is traced back to the line of the user's that makes it."""

import inspect
import math
import re

import numpy as np
import pytest

import wengert as wg
from wengert.diagnose.locate import locate
from wengert.diagnose.probe import first_bad
from wengert.train import GradientError, fit


def line_of(fn, text):
    lines, first = inspect.getsourcelines(fn)
    (offset,) = [k for k, line in enumerate(lines) if text in line]
    return first + offset


def root(p):
    scaled = p["w"] * 2.0
    roots = np.sqrt(scaled)
    return np.sum(roots) + p["b"]


def test_an_infinite_derivative():
    found = locate(root, [{"b": 1.0, "w": np.array([1.0, 0.0])}], "gradient", number=1)
    assert found.span.line == line_of(root, "np.sqrt")
    assert found.sentence.startswith("the derivative of sqrt at ")
    assert found.sentence.endswith("is infinite: its argument at [1] is 0.0")


def test_a_loss_that_is_not_finite():
    def loss(x):
        y = x - 1.0
        z = np.log(y)
        return z * z + 1.0

    found = locate(loss, [1.0], "loss")
    assert found.span.line == line_of(loss, "np.log")
    assert found.sentence.endswith("is minus infinite: its argument is 0.0")


def test_overflow_deep_in_a_loop():
    def loss(x):
        for _ in range(60):
            x = x * x
        return x

    found = locate(loss, [1.5], "loss")
    assert found.span.line == line_of(loss, "x = x * x")
    assert found.sentence.startswith("the product at")


def test_what_is_not_used_is_not_blamed():
    def loss(x):
        a = np.where(x > 0.0, np.log(x), 0.0)
        b = np.sqrt(x)
        return a + b

    found = locate(loss, [0.0], "gradient")
    assert found.span.line == line_of(loss, "np.sqrt")


def test_a_zero_gradient():
    def steps(x):
        whole = np.floor(x)
        return whole * 2.0

    found = locate(steps, [1.5], "zero")
    assert found.span.line == line_of(steps, "np.floor")
    assert "`floor` is flat" in found.sentence

    def tested(x):
        if x > 0.0:
            return 1.0 + 0.0 * np.abs(2.0)
        return 2.0

    def unread(p):
        return p["x"] * 2.0

    found = locate(unread, [{"x": 1.0, "y": 2.0}], "zero", number=1)
    assert (found.sentence, found.span) == ("the function does not read it", None)

    def flat(x):
        return np.cos(x) * 2.0

    found = locate(flat, [0.0], "zero")
    assert "the derivative of cos at" in found.sentence
    assert found.sentence.endswith("is zero: its argument is 0.0")


def test_an_exploding_gradient():
    def loss(x):
        y = x * x
        return math.exp(y)

    found = locate(loss, [20.0], "large", limit=1e6)
    assert found.span.line == line_of(loss, "math.exp")


def test_a_search_that_fails_gives_nothing():
    def broken(x):
        raise LookupError("gone")

    assert locate(broken, [1.0], "gradient") is None
    assert locate(root, [{"b": 1.0, "w": np.array([1.0, 4.0])}], "gradient") is None


def test_long_programs_are_searched_compiled(monkeypatch):
    monkeypatch.setattr("wengert.diagnose.locate.MOST_INSTRUCTIONS", 500)

    def growing(x, steps):
        y = x
        for k in range(steps):
            if k > 9_000:
                y = y * 1.5
        return y - y * 0.5

    found = locate(growing, [1.0, 50_000], "loss")
    assert found.span.line == line_of(growing, "y = y * 1.5")
    assert "the first number that is not finite is the product at" in found.sentence
    assert re.search(r"applied to 1\.\d+e\+308 and 1\.5$", found.sentence)

    def cancelling(x, steps):
        y = 0.0
        for _ in range(steps):
            y = y * 0.999 + math.sin(x)
        zero = y - y
        return math.sqrt(zero)

    found = locate(cancelling, [1.0, 50_000], "gradient")
    assert found.span.line == line_of(cancelling, "math.sqrt")
    assert "the first number that is not finite is the derivative of sqrt at" in found.sentence

    def stepping(x, steps):
        y = 0.0
        for _ in range(steps):
            y = y * 0.999 + math.sin(1.0)
        return y + math.floor(x)

    found = locate(stepping, [1.5, 50_000], "zero")
    assert found.span.line == line_of(stepping, "math.floor")
    assert locate(growing, [1.0, 50_000], "large", limit=1e6) is None


def test_the_compiled_search_sees_arrays_and_while_loops():
    def arrays(x, steps):
        u = np.ones(10) * x
        k = 0
        while k < steps:
            u[1:] = u[1:] * u[:-1] * 3.0
            k += 1
        return np.sum(u)

    found = first_bad(arrays, [1.0, 3000], 0)
    assert found.instr.span.line == line_of(arrays, "u[1:] = u")
    assert first_bad(arrays, [0.1, 30], 0) is None


def test_prints_are_held_back(capsys):
    def loss(x):
        print("again")
        return math.sqrt(x)

    assert locate(loss, [0.0], "gradient") is not None
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_fit_names_parameter_and_line(method):
    with pytest.raises(GradientError, match="'w\\[1\\]' is infinite") as caught:
        fit(root, {"w": np.array([1.0, 0.0]), "b": 1.0}, method=method, progress=False)
    assert caught.value.parameter == "w[1]"
    assert caught.value.span.line == line_of(root, "np.sqrt")
    assert "the derivative of sqrt" in str(caught.value)


def test_fit_says_what_cuts():
    def loss(p):
        return (round(p["x"]) - 1.0) ** 2 + (p["y"] - 2.0) ** 2

    with pytest.raises(GradientError, match="'x' is exactly zero") as caught:
        fit(loss, {"x": 0.3, "y": 1.0}, progress=False)
    assert caught.value.span.line == line_of(loss, "round(")


def test_eager_mode_finds_the_same():
    with wg.eager(), pytest.raises(GradientError) as caught:
        fit(root, {"w": np.array([1.0, 0.0]), "b": 1.0}, progress=False)
    assert caught.value.span.line == line_of(root, "np.sqrt")
