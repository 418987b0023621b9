"""Calls with arguments of every kind: some here, many by `python -m wengert.testing.fuzz`; and what the harness notices."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from wengert.testing.fuzz import campaign, runner
from wengert.testing.fuzz.arguments import Source
from wengert.testing.fuzz.campaign import Task, run_guarded, run_here
from wengert.testing.fuzz.cases import all_cases, loss_of
from wengert.testing.fuzz.guarded import PATTERN, Arena
from wengert.testing.fuzz.kinds import Form, Signature
from wengert.testing.fuzz.runner import Runner

QUICK = ("axpy", "one_element", "gathered", "written_slice", "caught", "list_place")


def one_call_at_a_time(number, signature):
    pass


@pytest.mark.parametrize("name", QUICK)
def test_calls_in_this_process(name):
    calls = 300 if name == "list_place" else 150  # half of its calls are refused
    found = Runner(all_cases()[name], "value", 1, one_call_at_a_time).run(0, calls)
    assert not found.mismatches
    assert found.counts["gave a result"] > 20


@pytest.mark.parametrize("name", ["axpy", "scattered"])
def test_gradients_in_this_process(name):
    assert not Runner(all_cases()[name], "grad", 1, one_call_at_a_time).run(0, 100).mismatches


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(all_cases()))
def test_all_programs(name):
    assert not run_here(Task(name, 2, 20, memory=0)).mismatches


@pytest.mark.long
def test_many_calls_in_processes():
    assert not campaign.run_all(list(all_cases().values()), 50_000, 3, jobs=os.cpu_count() or 1).mismatches


def test_astronomical_sizes_in_a_process():
    report = run_guarded(Task("axpy", 5, 60))
    assert not report.mismatches
    assert report.counts["huge"] > 3


# --- the harness notices what goes wrong ---------------------------------------------------------------------------


def run_with(native, name, mode="value", calls=60):
    """The mismatches when `native(f)` stands for the compiled form of the program."""
    found = Runner(all_cases()[name], mode, 0, one_call_at_a_time)
    found.compiled = native(found.case.f)
    found._compilations = lambda: 0
    with np.errstate(all="ignore"):
        return found.run(0, calls).mismatches


@pytest.mark.filterwarnings("ignore")
def test_plain_python_is_right():
    for name in ("axpy", "written_slice", "view_of_view", "list_place", "mask_written"):
        assert not run_with(lambda f: f, name)


def test_wrong_value_shape_and_error():
    assert "other values" in run_with(lambda f: lambda a, x, y: f(a, x, y) + 1e-6, "axpy")[0]
    assert "shapes" in run_with(lambda f: lambda x, k: np.atleast_1d(f(x, k)), "one_element")[0]

    def silent(f):
        def g(x, k):
            try:
                return f(x, k)
            except IndexError:
                return 0.0

        return g

    assert "Python gives IndexError" in run_with(silent, "one_element", calls=200)[0]


def test_argument_that_is_changed():
    def native(f):
        def g(x):
            found = f(x)
            if x.size and x.flags.writeable:
                x.reshape(-1)[0] += 1.0
            return found

        return g

    assert "arguments afterwards" in run_with(native, "chain")[0]


def test_stray_write_beside_an_argument():
    def native(f):
        def g(x):
            found, base = f(x), x
            while isinstance(base.base, np.ndarray):
                base = base.base
            if base.nbytes > 10**4:
                base.reshape(-1).view(np.uint8)[8000] = 7
            return found

        return g

    assert any("memory around" in m for m in run_with(native, "chain"))


# --- guarded memory ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="pages are protected on POSIX systems")
@pytest.mark.parametrize("end", [True, False])
def test_reading_past_an_end_dies(end):
    program = f"""
import ctypes
from wengert.testing.fuzz.guarded import Arena
room = Arena(1).room(16, {end})
ctypes.string_at(room.ctypes.data, 16)
print("inside", flush=True)
ctypes.string_at(room.ctypes.data {"+ 16" if end else "- 1"}, 1)
print("outside", flush=True)
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout == "inside\n"
    assert found.returncode == -signal.SIGSEGV


def test_arena_is_filled_around_an_array():
    arena = Arena(1)
    arena.room(24, True)[:] = 0
    words = arena.bytes.view(np.uint64)
    assert (words[:-3] == PATTERN).all()
    assert not words[-3:].any()
    assert np.isnan(words.view(np.float64)[0])
    with pytest.raises(ValueError, match="no room"):
        arena.room(10**6, True)


def test_the_same_seed_draws_the_same_arguments():
    signature = Signature((Form("array", "f64", (3, 4)), Form("index", limit=4), Form("array", "i64", (5,), 3)))
    source = Source(3)
    for seed in range(40):
        first = [np.array(v) for v in source.draw(signature, seed, seed).values]
        again = source.draw(signature, seed, seed).values
        for a, b in zip(first, again, strict=True):
            np.testing.assert_array_equal(a, b)
        assert again[0].shape == (3, 4)


# --- processes -----------------------------------------------------------------------------------------------------


def dies_once(task, place, sender):
    place[0], place[1], place[2] = 1, 17, 5
    if task.first == 0:
        os.abort()
    report = runner.Report()
    report.counts["jvp"] = task.count - task.first
    sender.send(report)


def hangs(task, place, sender):
    signal.pause()


def test_a_crash_is_named_and_the_rest_is_run(monkeypatch):
    monkeypatch.setattr(campaign, "_work", dies_once)
    report = run_guarded(Task("axpy", 0, 100))
    assert report.counts["jvp"] == 82
    assert report.mismatches == ["axpy grad call 17 signature 5 of seed 0: the process died with exit code -6"]


def test_a_call_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(campaign, "_work", hangs)
    monkeypatch.setattr(campaign, "PATIENCE", 1.0)
    monkeypatch.setattr(campaign, "MOST_CRASHES", 1)
    assert "the process hung" in run_guarded(Task("axpy", 0, 100)).mismatches[0]


def test_losses_add_all_floats():
    loss = loss_of(lambda x: (x, [2.0, 1 + 3j], np.array([True])))
    assert loss(np.array([0.5, 0.25])) == 3.75
