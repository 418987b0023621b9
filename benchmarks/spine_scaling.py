"""Cost of a gradient against the number of steps, and the fixed costs: a call, an import.

Every size runs in a process of its own, so that one size's memory is not another's. Run as a script
this module is that process: `python spine_scaling.py PROGRAM STEPS ENGINE` prints one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from spine_programs import Program, scaled
from timing import Contender, confine_to_one_core, interleave

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
SMALLEST = 60
"""Steps of the run that compiles and warms up before memory is measured."""


@dataclass(frozen=True)
class Cost:
    """What one gradient of a program of `steps` steps takes."""

    program: str
    steps: int
    seconds: float
    peak_bytes: int

    @property
    def nanoseconds_per_step(self) -> float:
        """Time a step."""
        return self.seconds / self.steps * 1e9

    @property
    def bytes_per_step(self) -> float:
        """Peak memory a step, above what the process held before."""
        return self.peak_bytes / self.steps


def scaling(keys: str, engine: str, sizes: tuple[int, ...] = SIZES) -> list[Cost]:
    """Measure every program of `keys` at every size, each in a fresh process."""
    costs = []
    for key in keys:
        for steps in sizes:
            command = [sys.executable, str(Path(__file__)), key, str(steps), engine]
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
            costs.append(Cost(**json.loads(answer.stdout.splitlines()[-1])))
    return costs


def cost(key: str, steps: int, engine: str) -> Cost:
    """Measure one size in this process.

    Peak memory is the high-water mark of the resident set during the gradient, above the resident
    set after a run of a few steps has compiled everything (Linux only; 0 elsewhere).
    """
    small = scaled(key, SMALLEST)
    gradient = ENGINES[engine](small)
    gradient(small)
    program = scaled(key, steps)
    before = reset_peak_memory()
    gradient(program)
    peak_bytes = max(0, memory("VmHWM") - before)
    contender = Contender(engine, lambda: gradient(program))
    interleave([contender], repeats=5, budget=4.0, least=1)
    return Cost(key, steps, contender.median, peak_bytes)


def _wengert_gradient(program: Program) -> Callable[[Program], Any]:
    import wengert  # inside: the other engine must not be in memory

    value_and_grad = wengert.value_and_grad(program.loss, argnums=program.argnums)
    return lambda program: value_and_grad(*program.args)


def _jax_gradient(program: Program) -> Callable[[Program], Any]:
    import jax  # inside: the other engine must not be in memory
    import spine_peers

    value_and_grad = spine_peers.jax_gradient(program)
    return lambda program: jax.block_until_ready(value_and_grad(*spine_peers.jax_args(program)))


ENGINES = {"wengert": _wengert_gradient, "JAX": _jax_gradient}


# --- memory ---


def memory(entry: str) -> int:
    """An entry of /proc/self/status in bytes: VmRSS, or VmHWM for the high-water mark."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(entry + ":"))


def reset_peak_memory() -> int:
    """Lower the high-water mark to the memory in use, and return that in bytes."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return 0
    return memory("VmRSS")


# --- fixed costs ---


def three_floats(x: float, y: float, z: float) -> float:
    """The function whose call is timed."""
    return x * y + z


def call_microseconds(repeats: int = 15, calls: int = 20_000) -> float:
    """Median time of a call of a compiled scalar function of three floats, in microseconds."""
    import wengert  # inside: the peers run without it

    compiled = wengert.jit(three_floats)
    compiled(1.0, 2.0, 3.0)
    times = timeit.repeat(lambda: compiled(1.0, 2.0, 3.0), number=calls, repeat=repeats)
    empty = timeit.repeat(lambda: None, number=calls, repeat=repeats)
    return (median(times) - median(empty)) / calls * 1e6


def import_seconds(module: str = "wengert", processes: int = 7) -> float:
    """Median time of `import module` over fresh processes, in seconds."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    runs = [
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        for _ in range(processes)
    ]
    return median(float(run.stdout) for run in runs)


if __name__ == "__main__":
    confine_to_one_core()
    print(json.dumps(vars(cost(sys.argv[1], int(sys.argv[2]), sys.argv[3]))))
