"""`fit` finds minima, keeps to bounds, keeps what it has, and refuses gradients that cannot be followed."""

import csv
import json
import math
from dataclasses import dataclass

import numpy as np
import pytest

from wengert.errors import ArgumentError
from wengert.train import FitResult, GradientError, fit, load_params, save_params


@dataclass
class Line:
    slope: float
    offset: float
    name: str = "line"
    degree: int = 1


X = np.linspace(-1.0, 1.0, 21)
Y = 2.0 * X - 0.5


def squares(p, x, y):
    r = p.slope * x + p.offset - y
    return np.sum(r * r)


def rosenbrock(p):
    return (1.0 - p["x"]) ** 2 + 100.0 * (p["y"] - p["x"] ** 2) ** 2


def quiet(loss, params, *args, **options):
    return fit(loss, params, *args, progress=False, **options)


# --- finding minima ---


def test_rosenbrock():
    result = quiet(rosenbrock, {"x": -1.2, "y": 1.0})
    assert isinstance(result, FitResult)
    assert result.converged
    assert result.stopped_by == "converged"
    assert result.params == pytest.approx({"x": 1.0, "y": 1.0}, abs=1e-6)
    assert result.loss < 1e-12
    assert result.grad_norm == result.history[-1].grad_norm
    assert [row.step for row in result.history] == list(range(result.steps + 1))
    assert all(a.seconds <= b.seconds for a, b in zip(result.history, result.history[1:]))


def test_the_start_is_left_alone_and_types_are_kept():
    start = {"w": np.array([[3.0, -1.0]]), "b": np.float64(2.0), "flag": True, "name": "n", "none": None}
    before = start["w"].copy()

    def loss(p):
        return np.sum((p["w"] - 1.0) ** 2) + (p["b"] - 0.5) ** 2

    result = quiet(loss, start)
    assert np.array_equal(start["w"], before)
    assert result.params["w"].shape == (1, 2)
    assert type(result.params["b"]) is np.float64
    np.testing.assert_allclose(result.params["w"], 1.0, atol=1e-6)
    assert (result.params["flag"], result.params["name"], result.params["none"]) == (True, "n", None)


def test_arguments_and_fixed_parameters():
    result = quiet(squares, Line(0.1, 0.1), X, Y, fix=["degree"])
    assert (result.params.name, result.params.degree) == ("line", 1)
    assert (result.params.slope, result.params.offset) == pytest.approx((2.0, -0.5), abs=1e-6)
    result = quiet(squares, Line(0.1, 0.25), X, Y, fix=["degree", "offset"])
    assert result.params.offset == 0.25
    assert result.params.slope == pytest.approx(2.0, abs=1e-6)


def test_a_lone_number_or_array_is_fitted():
    assert quiet(lambda x: (x - 3.0) ** 2, 1.0).params == pytest.approx(3.0)
    result = quiet(lambda x: np.sum((x - 3.0) ** 2), np.zeros(4))
    np.testing.assert_allclose(result.params, 3.0)


def test_adam():
    result = quiet(squares, Line(1.0, 1.0), X, Y, method="adam", steps=1500, learning_rate=0.02, fix=["degree"])
    assert (result.params.slope, result.params.offset) == pytest.approx((2.0, -0.5), abs=1e-4)
    assert result.loss == min(row.loss for row in result.history)


def test_adam_keeps_to_bounds():
    seen = []
    result = quiet(
        rosenbrock,
        {"x": 0.2, "y": 0.2},
        method="adam",
        steps=300,
        learning_rate=0.1,
        bounds={"x": (None, 0.5)},
        callback=lambda step: seen.append(step.params["x"]),
    )
    assert max(seen) <= 0.5
    assert result.params["x"] == pytest.approx(0.5, abs=1e-2)


def test_bounds():
    result = quiet(rosenbrock, {"x": 0.0, "y": 0.1}, bounds={"x": (None, 0.5)})
    assert result.converged
    assert result.params["x"] == 0.5
    assert result.params["y"] == pytest.approx(0.25, abs=1e-6)
    assert result.grad_norm < 1e-4, "an entry that pushes against its bound does not count"


def test_bounds_reach_into_containers():
    def loss(p):
        total = 0.0
        for layer in p["layers"]:
            total += np.sum((layer["w"] - 1.0) ** 2)
        return total

    start = {"layers": [{"w": np.zeros(2)}, {"w": np.zeros(2)}]}
    result = quiet(loss, start, bounds={"layers[0].w": (None, [0.25, 5.0]), "layers[1]": (-1.0, 0.5)})
    np.testing.assert_allclose(result.params["layers"][0]["w"], [0.25, 1.0], atol=1e-6)
    np.testing.assert_allclose(result.params["layers"][1]["w"], [0.5, 0.5])
    result = quiet(loss, start, fix=["layers[0]['w']"])
    assert result.params["layers"][0]["w"].tolist() == [0.0, 0.0]


def test_parameters_of_very_different_size():
    result = quiet(lambda p: (p["a"] - 2e-6) ** 2 * 1e12 + (p["b"] - 3e6) ** 2 * 1e-12, {"a": 1e-6, "b": 1e6})
    assert result.params == pytest.approx({"a": 2e-6, "b": 3e6}, rel=1e-6)


def test_a_search_that_leaves_the_domain_turns_back():
    def loss(p):
        return p["x"] - 0.01 * math.log(p["x"])

    result = quiet(loss, {"x": 5.0})
    assert result.converged
    assert result.params["x"] == pytest.approx(0.01, rel=1e-5)


# --- stopping ---


def test_steps_run_out():
    result = quiet(rosenbrock, {"x": -1.2, "y": 1.0}, steps=3)
    assert (result.stopped_by, result.converged, result.steps) == ("steps", False, 3)
    result = quiet(rosenbrock, {"x": -1.2, "y": 1.0}, steps=3, method="adam")
    assert (result.stopped_by, result.converged, result.steps) == ("steps", False, 3)


def test_the_callback_stops():
    result = quiet(rosenbrock, {"x": -1.2, "y": 1.0}, callback=lambda step: step.step == 2)
    assert (result.stopped_by, result.steps) == ("callback", 2)


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_an_interrupt_keeps_the_best_parameters(tmp_path, method):
    def interrupt(step):
        if step.step == 4:
            raise KeyboardInterrupt

    result = quiet(rosenbrock, {"x": -1.2, "y": 1.0}, method=method, callback=interrupt, out=tmp_path)
    assert result.stopped_by == "interrupt"
    assert not result.converged
    assert result.loss == pytest.approx(rosenbrock(result.params), rel=1e-14)
    assert result.loss < rosenbrock({"x": -1.2, "y": 1.0})
    assert load_params(tmp_path / "params.json", result.params) == result.params


def test_a_kink_ends_the_line_search():
    result = quiet(lambda p: abs(p["x"] - 1.0) + 2.0 * abs(p["x"] - p["y"]), {"x": 3.3, "y": 0.7}, steps=200)
    assert result.loss < abs(3.3 - 1.0) + 2.0 * abs(3.3 - 0.7)
    assert result.stopped_by in ("line search", "converged")


# --- gradients that cannot be followed ---


def test_a_gradient_that_is_nan_or_infinite():
    with pytest.raises(GradientError, match=r"the gradient with respect to 'w\[1\]' is (infinite|NaN)") as caught:
        quiet(lambda p: np.sum(np.sqrt(p["w"])), {"w": np.array([1.0, 0.0])})
    assert caught.value.parameter == "w[1]"
    assert "test_fit.py" in str(caught.value)
    assert isinstance(caught.value, ArithmeticError)


def test_a_loss_that_is_not_finite_at_the_start():
    with pytest.raises(GradientError, match="the loss is infinite at the starting point"):
        quiet(lambda p: p["x"] * 1e308 * 10.0, {"x": 1.0})


def test_a_parameter_without_influence():
    with pytest.raises(GradientError, match="the gradient with respect to 'unused' is exactly zero"):
        quiet(lambda p: p["x"] ** 2, {"x": 1.0, "unused": 2.0})
    assert quiet(lambda p: p["x"] ** 2, {"x": 1.0, "unused": 2.0}, fix="unused").params["unused"] == 2.0


def test_a_cut_gradient():
    with pytest.raises(GradientError, match=r"'x' is exactly zero[\s\S]*a step"):
        quiet(lambda p: (1.0 if p["x"] > 0.0 else 2.0) + p["y"] ** 2, {"x": 1.5, "y": 1.0})


def test_an_exploding_gradient(tmp_path):
    def loss(p):
        return -math.exp(p["x"] ** 2)

    with pytest.raises(GradientError, match="the gradient explodes, most of all with respect to 'x'"):
        quiet(loss, {"x": 1.0}, method="adam", learning_rate=0.1, out=tmp_path)
    assert "stopped by: gradient" in (tmp_path / "report.md").read_text()
    with pytest.raises(GradientError, match="explodes"):
        quiet(lambda p: p["x"] ** 2 * 1e160, {"x": 1.0})


def test_errors_of_the_loss_itself_come_through():
    def broken(p):
        raise LookupError("the user's own")

    with pytest.raises(LookupError, match="the user's own"):
        quiet(broken, {"x": 1.0})


# --- arguments ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bounds": {"ofset": (0, 1)}}, r"no parameter named 'ofset' \(in bounds\); did you mean 'offset'\?"),
        ({"fix": ["degree", "slop"]}, r"no parameter named 'slop' \(in fix\); did you mean 'slope'\?"),
        ({"bounds": {"slope": (2, 3)}}, "the start of 'slope' lies outside its bounds"),
        ({"bounds": {"slope": (3, 2)}}, "bad bounds for 'slope'"),
        ({"bounds": {"slope": 3}}, "bad bounds for 'slope'"),
        ({"bounds": {"name": (0, 1)}}, "'name' has bounds but is not fitted"),
        ({"method": "newton"}, "unknown method"),
        ({"steps": 0}, "bad number of steps"),
        ({"tol": float("nan")}, "bad tolerance"),
        ({"learning_rate": 0.0}, "bad learning rate"),
        ({"fix": ["slope", "offset", "degree"]}, "there is nothing to fit"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ArgumentError, match=message):
        quiet(squares, Line(0.1, 0.1), X, Y, **{"fix": ["degree"], **options})


def test_integers_are_refused():
    with pytest.raises(TypeError, match=r"'n' is not a float[\s\S]*write 3\.0, or fix it"):
        quiet(lambda p: p["x"] ** 2, {"x": 1.0, "n": 3})
    with pytest.raises(TypeError, match="an array of int64"):
        quiet(lambda p: p["x"] ** 2, {"x": 1.0, "n": np.arange(3)})


def test_complex_parameters_are_fitted():
    result = quiet(lambda p: (p["x"] - 3.0) ** 2 + abs(p["z"] - (2.0 - 1.0j)) ** 2, {"x": 1.0, "z": 1j})
    assert abs(result.params["x"] - 3.0) < 1e-6 and abs(result.params["z"] - (2.0 - 1.0j)) < 1e-6


def test_a_start_that_is_not_finite_is_refused():
    with pytest.raises(ArgumentError, match="the start of 'x' is not finite"):
        quiet(lambda p: p["x"] ** 2, {"x": math.nan})


# --- what is written ---


def test_outputs(tmp_path):
    folder = tmp_path / "new" / "fit"
    result = quiet(squares, Line(0.1, 0.1), X, Y, fix=["degree"], out=folder)
    assert json.loads((folder / "params.json").read_text())["name"] == "line"
    assert load_params(folder / "params.json", Line(0.0, 0.0)) == result.params
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "loss", "grad_norm", "seconds"]
    assert len(rows) == result.steps + 1
    assert float(rows[-1]["loss"]) == result.history[-1].loss
    report = (folder / "report.md").read_text()
    for part in ("# Fit of `squares`", "| `slope` | 0.1 | 2 |", "`degree` | 1 | not fitted", "stopped by: converged"):
        assert part in report
    assert (folder / "fit.png").read_bytes().startswith(b"\x89PNG")


def test_the_folder_is_made_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="cannot make the folder"):
        quiet(rosenbrock, {"x": 1.5, "y": 1.0}, out=tmp_path / "file" / "fit")


def test_params_round_trip(tmp_path):
    params = {
        "w": np.array([[0.1, 1 / 3], [1e-300, math.inf]]),
        "single": np.float32(0.1),
        "empty": np.zeros((0, 3)),
        "nested": [Line(math.pi, -0.0), (None, True)],
        3: "text",
    }
    save_params(params, tmp_path / "p.json")
    like = {**params, "w": np.zeros((2, 2)), "nested": [Line(0.0, 0.0), (None, False)]}
    back = load_params(tmp_path / "p.json", like)
    assert np.array_equal(back["w"], params["w"])
    assert (back["single"], back["nested"], back[3]) == (params["single"], params["nested"], "text")
    assert back["empty"].shape == (0, 3)
    with pytest.raises(ArgumentError, match="has another structure"):
        load_params(tmp_path / "p.json", {"other": 1.0})


def test_the_progress_bar_writes_to_standard_error(capsys):
    fit(rosenbrock, {"x": -1.2, "y": 1.0}, steps=5)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "5/5" in captured.err
    assert "loss" in captured.err
