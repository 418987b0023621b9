"""Every program in a process of its own: when one dies, its call is named, and the others go on."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from wengert.testing.fuzz.cases import MODES, Case, all_cases
from wengert.testing.fuzz.runner import Report, Runner

MOST_CRASHES = 3
PATIENCE = 180.0
"""Seconds after which a call counts as one that hangs."""
MEMORY = 3 << 30
"""Bytes of addresses that a process may use, so that what is too large fails at once."""


@dataclass(frozen=True)
class Task:
    """Calls of one program.

    Attributes:
        name: of the program.
        seed: of the run.
        count: calls per mode.
        mode: the mode to begin with.
        first: the number of the first call in that mode.
        memory: bytes of addresses that the process may use; 0: any number.
    """

    name: str
    seed: int
    count: int
    mode: str = MODES[0]
    first: int = 0
    memory: int = MEMORY


def run_all(
    cases: Sequence[Case], count: int, seed: int, jobs: int = 1, memory: int = MEMORY, show: Callable[[str], None] = print
) -> Report:
    """Call all programs, about `count` calls in all.

    Args:
        cases: the programs.
        count: how many calls.
        seed: of the arguments.
        jobs: processes at a time.
        memory: bytes of addresses that a process may use; 0: any number.
        show: called with every description of a wrong outcome.
    """
    each = max(1, round(count / sum(len(case.ways) for case in cases)))
    whole = Report()

    def work(case: Case) -> Report:
        return run_guarded(Task(case.name, seed, each, case.ways[0], memory=memory))

    with ThreadPoolExecutor(jobs) as pool:
        for report in pool.map(work, cases):
            whole.add(report)
            for mismatch in report.mismatches:
                show(mismatch)
    return whole


def run_guarded(task: Task) -> Report:
    """The calls of one task, in processes that may die."""
    whole = Report()
    ways = all_cases()[task.name].ways
    for _ in range(MOST_CRASHES):
        report, place, fault = _run_once(task)
        whole.add(report)
        if not fault:
            return whole
        mode, number, signature = place
        call = f"{task.name} {ways[mode]} call {number} signature {signature} of seed {task.seed}"
        whole.mismatches.append(f"{call}: the process {fault}")
        task = replace(task, mode=ways[mode], first=number + 1)
    return whole


def run_here(task: Task, note: Callable[[int, int, int], None] = lambda mode, number, signature: None) -> Report:
    """The calls of one task in this process; `note` is told of each call before it is made.

    The memory that the process may use has to be limited (`limit_memory`) if the task says that it is.
    """
    case = all_cases()[task.name]
    whole = Report()
    for position, mode in enumerate(case.ways):
        if position < case.ways.index(task.mode):
            continue
        first = task.first if mode == task.mode else 0
        runner = Runner(case, mode, task.seed, partial(note, position), bool(task.memory))
        whole.add(runner.run(first, task.count - first))
    return whole


def _run_once(task: Task) -> tuple[Report, tuple[int, int, int], str]:
    """What a process for this task reports, its last call, and how it ended badly, if it did."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(False)
    place = context.Array("q", 3, lock=False)
    process = context.Process(target=_work, args=(task, place, sender))
    process.start()
    sender.close()
    report, fault = Report(), _wait(process, receiver, place)
    if not fault:
        with contextlib.suppress(EOFError):
            report = receiver.recv()
    process.join()
    if not fault and process.exitcode:
        fault = f"died with exit code {process.exitcode}"
    process.close()
    return report, (place[0], place[1], place[2]), fault


def _wait(process: SpawnProcess, receiver: Connection[Any, Any], place: Any) -> str:
    """Wait for the report; kills a process in which one call takes too long."""
    last, since = tuple(place), time.monotonic()
    while not receiver.poll(0.2):
        if not process.is_alive():
            return "" if receiver.poll(0) else f"died with exit code {process.exitcode}"
        if tuple(place) != last:
            last, since = tuple(place), time.monotonic()
        elif time.monotonic() - since > PATIENCE:
            process.kill()
            return "hung"
    return ""


def _work(task: Task, place: Any, sender: Connection[Any, Any]) -> None:
    """The process of a task."""
    limit_memory(task.memory)

    def note(*numbers: int) -> None:
        place[0], place[1], place[2] = numbers

    sender.send(run_here(task, note))


def limit_memory(size: int) -> None:
    """Let allocations of this process fail beyond `size` bytes of addresses (0: no limit), where the system can do that."""
    if size and sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


if sys.platform != "win32":
    import resource
