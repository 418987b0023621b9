"""The command line does its work, and says in one message what is wrong."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from wengert.cli import app

MODEL = """
from dataclasses import dataclass

@dataclass
class Params:
    a: float
    b: float

params = Params(0.5, 1.0)
start = {"a": 1.5, "b": 2.5}
scale = 2.0
more = (4.0,)

def loss(p):
    return (p.a - 3.0) ** 2 + (p.b + 1.0) ** 2

def scaled(p, scale):
    return scale * (p.a - 3.0) ** 2 + (p.b - scale) ** 2

def of_dict(p):
    return (p["a"] - 1.0) ** 2 + (p["b"] - 1.0) ** 2

def unused(p):
    return p.a ** 2

def astray(p, nowhere):
    return p.a

number = 3
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cli_model.py").write_text(MODEL)
    path = list(sys.path)
    yield "cli_model.py"
    sys.path[:] = path
    for name in ("cli_model", "cli_model_", "broken"):
        sys.modules.pop(name, None)


def run(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


def fitted(*args):
    result = run("fit", *args, "--out", "fit")
    assert result.exit_code == 0, result.stderr
    with open("fit/params.json") as file:
        return json.load(file)


def test_fit(model):
    result = run("fit", f"{model}:loss", "--out", "fit")
    assert result.exit_code == 0, result.stderr
    assert "converged" in result.stdout
    assert "wrote fit.png, history.csv, params.json, report.md to fit" in result.stdout
    assert "fitting" in result.stderr
    with open("fit/params.json") as file:
        assert json.load(file) == pytest.approx({"a": 3.0, "b": -1.0}, abs=1e-6)


def test_options(model):
    assert fitted(model, "--fix", "a")["a"] == 0.5
    assert fitted(f"{model}:loss", "--bounds", "a=0:2", "--bounds", "b=0.5:") == pytest.approx({"a": 2.0, "b": 0.5})
    assert fitted(f"{model}:of_dict", "--params", "start", "--no-progress") == pytest.approx({"a": 1.0, "b": 1.0})
    assert fitted(f"{model}:scaled")["b"] == pytest.approx(2.0, abs=1e-6)
    assert fitted(f"{model}:scaled", "--args", "more")["b"] == pytest.approx(4.0, abs=1e-6)
    result = run("fit", model, "--method", "adam", "--steps", "7", "--learning-rate", "0.1", "--tol", "1e-3")
    assert "not converged: 7 steps are used up" in result.stdout


def test_a_module_by_name(model):
    assert fitted("cli_model:loss")["a"] == pytest.approx(3.0, abs=1e-6)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["cli_modl.py:loss"], "there is no file 'cli_modl.py'; did you mean 'cli_model.py'?"),
        (["nowhere.module:loss"], "there is no module 'nowhere.module'"),
        (["cli_model.py:los"], "there is no 'los' in cli_model.py; did you mean 'loss'?"),
        (["cli_model.py:number"], "'number' in cli_model.py is not a function"),
        (["cli_model.py", "--params", "param"], "there is no 'param' in cli_model.py; did you mean 'params'?"),
        (["cli_model.py", "--params", "Params"], "'Params' in cli_model.py does not hold starting values"),
        (["cli_model.py:astray"], "there is no 'nowhere' in cli_model.py"),
        (["cli_model.py:scaled", "--args", "scale"], "'scale' in cli_model.py must be a tuple"),
        (["cli_model.py:loss", "--args", "more"], "cannot be called with the parameters and 1 more arguments"),
        (["cli_model.py", "--bounds", "a"], "bad bounds"),
        (["cli_model.py", "--bounds", "a=x:2"], "bad bounds"),
        (["cli_model.py", "--bounds", "c=0:2"], "no parameter named 'c' (in bounds)"),
        (["cli_model.py", "--fix", "c"], "no parameter named 'c' (in fix)"),
        (["cli_model.py", "--method", "newton"], "unknown method"),
    ],
)
def test_mistakes(model, args, message):
    result = run("fit", *args)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {message}") or message in result.stderr.splitlines()[0]
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\nundefined_name\n", "NameError: name 'undefined_name' is not defined"),
        ("def loss(p:\n", "SyntaxError"),
        ("raise SystemExit(0)\n", "SystemExit"),
        ("import not_a_package_at_all\n", "ModuleNotFoundError: No module named 'not_a_package_at_all'"),
    ],
)
@pytest.mark.parametrize("target", ["broken.py:loss", "broken:loss"])
def test_a_module_that_fails_to_import(model, target, source, message):
    with open("broken.py", "w") as file:
        file.write(source)
    result = run("fit", target)
    assert result.exit_code == 2
    assert "cannot import broken" in result.stderr
    assert message in result.stderr
    if "NameError" in message:
        assert "broken.py:2" in result.stderr


def test_a_gradient_that_cannot_be_followed(model):
    result = run("fit", f"{model}:unused")
    assert result.exit_code == 1
    assert "the gradient with respect to 'b' is exactly zero" in result.stderr
    assert "cli_model.py" in result.stderr


def test_doctor():
    result = run("doctor")
    assert result.exit_code == 0, result.stderr
    for word in ("wengert", "python", "numpy", "scipy", "llvmlite", "cpu"):
        assert f"\n{word}" in f"\n{result.stdout}"


def test_an_interrupt_from_the_terminal_keeps_the_result(model):
    with open("slow_model.py", "w") as file:
        file.write(
            "params = {'x': -1.2, 'y': 1.0}\n"
            "def loss(p):\n"
            "    return (1.0 - p['x']) ** 2 + 100.0 * (p['y'] - p['x'] ** 2) ** 2\n"
        )
    script = (
        "import os, signal, sys, threading\n"
        "from wengert.cli import app\n"
        "from wengert.train.run import Run\n"
        "accept = Run.accept\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored where the tests run in the background
        "def first(run, point):\n"
        "    Run.accept = accept\n"
        "    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "    accept(run, point)\n"
        "Run.accept = first\n"
        "app(sys.argv[1:])\n"
    )
    args = ["fit", "slow_model.py", "--method", "adam", "--steps", "100000000", "--tol", "0", "--out", "fit"]
    command = [sys.executable, "-c", script, *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "COLUMNS": "100"})
    assert done.returncode == 130, done.stderr
    assert "interrupted; these are the best parameters so far" in done.stdout
    assert "Traceback" not in done.stderr
    assert os.path.exists("fit/params.json")
