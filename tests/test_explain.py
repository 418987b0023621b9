"""`explain` shows the user's own lines with what becomes of them."""

import inspect
import os
from dataclasses import dataclass

import numpy as np
import pytest

import wengert as wg
from wengert.diagnose import Explanation
from wengert.errors import ArgumentError


def line_of(fn, text):
    """The number of the only line of `fn` that contains `text`."""
    lines, first = inspect.getsourcelines(fn)
    (offset,) = [k for k, line in enumerate(lines) if text in line]
    return first + offset


def notes(explanation, fn, text):
    return "; ".join(explanation.notes_at(line_of(fn, text), fn.__code__.co_filename))


def decay(p, n):
    x = p["x0"]
    for _ in range(n):
        x = x - p["rate"] * np.sin(x)
    return x


def helper(x):
    if x > 1.0:
        return x * x
    return x


def stages(p):
    y = helper(p["a"])
    total = 0.0
    for k in range(3):
        total = total + y * p["b"]
    return total + np.floor(p["c"]) + abs(p["a"])


def test_a_loop_and_what_it_stores():
    n = 1000
    found = wg.explain(decay, {"x0": 1.0, "rate": 0.1}, n)
    assert isinstance(found, Explanation)
    assert (found.name, found.wrt, found.mode, found.reason) == ("decay", "p", "compiled", "")
    assert "compiled: for loop" in notes(found, decay, "for _ in")
    body = notes(found, decay, "x = x - p")
    assert "stores" in body
    per_step = found.stored_bytes / n
    assert per_step in (8.0, 16.0, 24.0)
    twice = wg.explain(decay, {"x0": 1.0, "rate": 0.1}, 2 * n)
    assert twice.stored_bytes == 2 * found.stored_bytes


def test_functions_reached_branches_unrolling_and_cuts():
    found = wg.explain(stages, {"a": 2.0, "b": 3.0, "c": 1.5, "unused": 1.0})
    assert "branch on a traced value: piecewise derivative" in notes(found, helper, "if x > 1.0")
    assert "unrolled: 3 copies" in notes(found, stages, "for k in")
    last = notes(found, stages, "return total")
    assert "gradient cut: `floor`" in last
    assert "kink: `abs`" in last
    idle = {p.name: p.why for p in found.parameters}
    assert set(idle) == {"p['c']", "p['unused']"}
    assert "floor" in idle["p['c']"]
    assert idle["p['unused']"] == "the function does not read it"


@dataclass
class Model:
    k: float
    scale: float


def test_names_of_parameters_follow_the_structure():
    def loss(weights, model):
        return weights[0] * model.k

    found = wg.explain(loss, np.array([1.0, 2.0]), Model(2.0, 3.0), argnums=(0, 1))
    assert found.wrt == "weights, model"
    assert [p.name for p in found.parameters] == ["model.scale"]


def test_a_test_is_not_a_cut_but_leaves_no_gradient():
    def loss(p):
        if p["x"] > 0.0:
            return p["y"] * 2.0
        return p["y"]

    found = wg.explain(loss, {"x": 1.0, "y": 1.0})
    assert "gradient cut" not in str(found)
    (idle,) = found.parameters
    assert idle.name == "p['x']"
    assert idle.why.startswith("only a test reads it")


def test_comparisons_and_conversions_used_as_numbers_cut():
    def loss(x):
        a = (x > 1.0) * 3.0
        b = int(x * 2.0)
        c = wg.stop_gradient(x)
        return a + b + c + x

    found = wg.explain(loss, 2.5)
    assert "comparison is used as a number" in notes(found, loss, "a = (x")
    assert "conversion to an integer" in notes(found, loss, "b = int")
    assert "gradient cut: stop_gradient" in notes(found, loss, "c = wg")
    assert found.parameters == ()


def test_checks_that_are_left():
    def loss(x, k):
        return x[k] * x[0]

    found = wg.explain(loss, np.arange(4.0), np.int64(2))
    assert "checked at run time: index" in notes(found, loss, "return x[k]")


def test_a_function_that_cannot_be_compiled():
    def loss(x):
        parts = os.path.join("a", str(float(x)))
        return x * len(parts)

    found = wg.explain(loss, 2.0)
    assert found.mode in ("eager", "refused")
    assert found.reason
    assert "os.path.join" in str(found)


def test_eager_by_choice():
    with wg.eager():
        found = wg.explain(decay, {"x0": 1.0, "rate": 0.1}, 50)
    assert (found.mode, found.reason) == ("eager", "")
    assert found.stored_bytes >= 50 * 8
    assert "stores" in notes(found, decay, "x = x - p")
    assert "runs eagerly, as asked for" in str(found)


def test_results_that_are_no_scalar():
    def trajectory(p):
        x = np.zeros(5)
        for t in range(1, 5):
            x[t] = x[t - 1] * p + np.floor(p)
        return x

    found = wg.explain(trajectory, 0.5)
    assert found.mode == "compiled"
    assert "gradient cut: `floor`" in notes(found, trajectory, "x[t] =")


def test_a_gradient_of_something_without_floats_is_refused():
    with pytest.raises(ArgumentError, match="needs floats"):
        wg.explain(decay, {"x0": 1, "rate": 2}, 3)


def test_printed_text_is_aligned_and_narrow():
    text = str(wg.explain(stages, {"a": 2.0, "b": 3.0, "c": 1.5, "unused": 1.0}))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120
    assert lines[0] == "stages, gradient with respect to p: compiled to native code"
    assert "stored for the reverse pass" in lines[1]
    assert any("test_explain.py" in line for line in lines)
    (row,) = [line for line in lines if "for k in range(3):" in line]
    assert row.split("for k")[0].strip() == str(line_of(stages, "for k in"))
    assert len({line.index("  | ") for line in lines if "  | " in line}) == 1


def test_explaining_prints_nothing_and_changes_nothing(capsys):
    def loss(p):
        p["w"][0] = 2.0
        print("running")
        return p["w"][0] * p["w"][1]

    start = {"w": np.array([1.0, 3.0])}
    wg.explain(loss, start)
    assert start["w"].tolist() == [1.0, 3.0]
