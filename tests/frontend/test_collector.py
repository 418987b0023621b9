"""Garbage collection while code is traced: seldom, and afterwards as it was."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import wengert as wg
from wengert.frontend import trace as frontend_trace
from wengert.frontend.collector import OBJECTS, rare_collections


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    """The thresholds are put back, whatever a test does."""
    before = gc.get_threshold()
    gc.set_threshold(600, 9, 8)
    yield
    gc.set_threshold(*before)


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gets the threshold that holds while a function is run on boxes."""
    seen: list[int] = []
    plain = frontend_trace.call

    def watched(*given: Any) -> Any:
        seen.append(gc.get_threshold()[0])
        return plain(*given)

    monkeypatch.setattr(frontend_trace, "call", watched)
    return seen


def doubled(x: float) -> float:
    return 2.0 * x


def test_a_trace_collects_seldom_and_puts_the_thresholds_back(inside: list[int]) -> None:
    frontend_trace.trace(doubled, (1.0,), {})
    assert inside == [OBJECTS] and gc.get_threshold()[:2] == (600, 9)


def test_after_an_error_they_are_put_back() -> None:
    def f(x: float) -> float:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        wg.jit(f)(1.0)
    assert gc.get_threshold()[:2] == (600, 9)


def test_eager_code_is_collected_as_usual(inside: list[int]) -> None:
    with wg.eager():
        wg.grad(doubled)(1.0)
    assert inside == [600]


def test_a_collector_that_is_switched_off_stays_off() -> None:
    gc.set_threshold(0, 9, 8)
    with rare_collections():
        assert gc.get_threshold()[0] == 0
    assert gc.get_threshold()[0] == 0


def test_what_the_program_sets_meanwhile_stays() -> None:
    with rare_collections():
        gc.set_threshold(1234, 9, 8)
    assert gc.get_threshold()[0] == 1234


def test_the_last_of_several_threads_puts_them_back() -> None:
    first, second = threading.Event(), threading.Event()

    def other() -> None:
        with rare_collections():
            first.set()
            second.wait(5.0)

    thread = threading.Thread(target=other)
    with rare_collections():
        thread.start()
        assert first.wait(5.0)
    assert gc.get_threshold()[0] == OBJECTS
    second.set()
    thread.join()
    assert gc.get_threshold()[:2] == (600, 9)
