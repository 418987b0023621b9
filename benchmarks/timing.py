"""Paired, interleaved timing on one core and one thread.

The one idea: a ratio is worth more than a time. Every round times each contender once, one right
after the other, so whatever slows the machine in that moment slows them all; a ratio is the median
over rounds of the ratios *within* a round.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

PEERS = {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1"}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "WENGERT_NUM_THREADS")

SAMPLE_SECONDS = 0.005
"""Shortest time one sample may take; faster contenders are called several times a sample."""


def confine_to_one_core() -> int:
    """Pin this process to one core and its numerical libraries to one thread.

    Returns:
        The number of the core.
    """
    return confine(1)


def confine(threads: int) -> int:
    """Pin this process to as many cores as threads, and its numerical libraries to as many threads.

    Libraries read variables when they are imported, so a process that lacks them replaces
    itself by one that has them before anything heavy is loaded.

    Returns:
        The number of the last core.
    """
    wanted = PEERS | dict.fromkeys(THREADS, str(threads))
    wanted["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()} intra_op_parallelism_threads={threads}"
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **wanted})
    if not hasattr(os, "sched_setaffinity"):  # only Linux can pin
        return -1
    cores = sorted(os.sched_getaffinity(0))[-threads:]
    os.sched_setaffinity(0, cores)
    return cores[-1]


@dataclass
class Contender:
    """One thing to time.

    Attributes:
        name: Label in tables.
        call: Does the work once; its result is discarded.
        calls: Calls a sample; 0 lets `interleave` choose.
        seconds: One entry a round, seconds a call; None for a round it sat out.
        work: How many times `call` itself repeats the work (a loop inside C).
    """

    name: str
    call: Callable[[], Any]
    calls: int = 0
    work: int = 1
    seconds: list[float | None] = field(default_factory=list)

    def sample(self) -> float:
        """Time one sample, in seconds a unit of work."""
        start = time.perf_counter()
        for _ in range(self.calls):
            self.call()
        return (time.perf_counter() - start) / (self.calls * self.work)

    @property
    def median(self) -> float:
        """Median seconds a unit of work over the rounds it took part in."""
        return median(second for second in self.seconds if second is not None)


def interleave(contenders: list[Contender], repeats: int, budget: float = 8.0, least: int = 3) -> None:
    """Fill `seconds` of every contender, in rounds.

    Args:
        contenders: What to time; each is called a few times beforehand to warm it up.
        repeats: Rounds.
        budget: Seconds a contender may use in all; a slower one sits out the later rounds.
        least: Rounds that every contender takes part in, whatever the budget.
    """
    for contender in contenders:
        contender.calls = contender.calls or calls_per_sample(contender)
    spent = dict.fromkeys((contender.name for contender in contenders), 0.0)
    gc_was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for round_ in range(repeats):
            for contender in contenders:
                if round_ >= least and spent[contender.name] > budget:
                    contender.seconds.append(None)
                    continue
                start = time.perf_counter()
                contender.seconds.append(contender.sample())
                spent[contender.name] += time.perf_counter() - start
            gc.collect(0)
    finally:
        if gc_was_on:
            gc.enable()


def calls_per_sample(contender: Contender) -> int:
    """Number of calls that fill `SAMPLE_SECONDS`, found by doubling; the first call, which may compile, does not count."""
    contender.call()
    contender.calls = 1
    while True:
        elapsed = contender.sample() * contender.calls * contender.work
        if elapsed >= SAMPLE_SECONDS:
            return contender.calls
        contender.calls *= 2


def ratio(above: Contender, below: Contender) -> float:
    """Median over the shared rounds of `above` time over `below` time."""
    pairs = zip(above.seconds, below.seconds, strict=True)
    return median(a / b for a, b in pairs if a is not None and b is not None)
