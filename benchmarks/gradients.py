"""What a gradient costs in terms of its function: `python benchmarks/gradients.py [NAME ...] [--markdown out.md]`.

The four programs of the spine and sixteen of the corpus. Both are native code, called on the same inputs, in turn: the function
itself, and the function with its gradient with respect to all of its floats. Times are the least of 25 rounds, of the processor,
without the checks of a call from Python. The goals: a median ratio of at most 2.5, none above 5. Corpus programs
return the weighted sum of the floats in their result.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from timing import confine_to_one_core

ROOT = Path(__file__).resolve().parent.parent
CORPUS = (
    "finance_statistics.american_option",
    "finance_statistics.asian_option_paths",
    "finance_statistics.dynamic_time_warping",
    "finance_statistics.hidden_markov_likelihood",
    "finance_statistics.k_means",
    "simulation.adaptive_runge_kutta",
    "simulation.n_body",
    "simulation.pid_controlled_pendulum",
    "simulation.shallow_wave",
    "methods.image_filter",
    "methods.power_iteration",
    "systems.beacon_tracking",
    "systems.epidemic_calibration",
    "processes.flood_wave",
    "processes.ignition_delay",
    "processes.lattice_desk",
)
GOAL, WORST = 2.5, 5.0
ROUNDS = 25


@dataclass
class Row:
    """What was measured of one program."""

    name: str
    primal: float
    gradient: float

    @property
    def ratio(self) -> float:
        """The gradient, value included, in terms of the function."""
        return self.gradient / self.primal


def weighed(function: Callable[..., Any]) -> Callable[..., float]:
    """The program with a number as its result."""
    from wengert.tree import flatten

    def number(*args: Any) -> float:
        total = 0.0
        for k, leaf in enumerate(flatten(function(*args))[0]):
            total = total + np.sum(leaf) * (1.0 + 0.3 * k)
        return total

    return number


def programs(names: Sequence[str]) -> list[tuple[str, Callable[..., Any], tuple[Any, ...]]]:
    """Names, functions and arguments."""
    from spine_programs import programs as spine

    sys.path.insert(0, str(ROOT))
    catalog = importlib.import_module("tests.programs.catalog")
    for subject in dict.fromkeys(name.partition(".")[0] for name in CORPUS):
        importlib.import_module(f"tests.programs.{subject}")
    corpus = {p.name: p for p in catalog.PROGRAMS}
    found = [(f"({p.key}) {p.title}", p.loss, p.args) for p in spine()]
    found += [(name, weighed(corpus[name].function), corpus[name].examples[0]) for name in CORPUS]
    return [f for f in found if not names or any(n in f[0] for n in names)]


def native(function: Callable[..., Any], args: Sequence[Any]) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Calls of the compiled function, and of it with its gradient."""
    from wengert.api.lowering import gradient_of_result, with_tape_in_cache
    from wengert.codegen import compile as compile_native
    from wengert.frontend.trace import trace
    from wengert.passes.inline_custom import inline_custom
    from wengert.passes.pipeline import optimize
    from wengert.tree import flatten

    traced = trace(function, copy.deepcopy(tuple(args)), {})
    fn = optimize(traced.function)
    place = next(k for k, r in enumerate(fn.results) if r.is_float and not r.rank)
    wrt = [k for k, p in enumerate(fn.params) if p.is_float]
    leaves, _ = flatten((tuple(args), {}))
    given = [*(leaves[k] for k in traced.param_leaves), *traced.read_captures()]
    inputs = [np.ascontiguousarray(v) if isinstance(v, np.ndarray) else v for v in given]  # as a call from Python passes them
    primal = compile_native(optimize(inline_custom(fn)))
    gradient = compile_native(with_tape_in_cache(optimize(inline_custom(gradient_of_result(fn, place, wrt)))))
    return lambda: primal(*inputs), lambda: gradient(*inputs)


def measure(name: str, function: Callable[..., Any], args: Sequence[Any]) -> Row:
    """Time one program."""
    calls = native(function, args)
    numbers = [repeats_of(call) for call in calls]
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for call, number, found in zip(calls, numbers, times, strict=True):
            found.append(seconds(call, number))
    return Row(name, min(times[0]), min(times[1]))


def seconds(call: Callable[[], Any], number: int) -> float:
    """Seconds of processor time that a call takes."""
    started = time.thread_time()
    for _ in range(number):
        call()
    return (time.thread_time() - started) / number


def repeats_of(call: Callable[[], Any]) -> int:
    """How many calls take two milliseconds."""
    call()
    return max(1, int(0.002 / max(seconds(call, 3), 1e-7)))


def table(rows: Sequence[Row]) -> str:
    """The figures as a Markdown table."""
    lines = ["| program | function (us) | with gradient (us) | ratio |", "| --- | ---: | ---: | ---: |"]
    for r in rows:
        missed = " (MISSED)" if r.ratio > WORST else ""
        lines.append(f"| {r.name} | {r.primal * 1e6:.1f} | {r.gradient * 1e6:.1f} | {r.ratio:.2f}{missed} |")
    middle = median(r.ratio for r in rows)
    lines.append(f"| median (goal <= {GOAL}) | | | {middle:.2f} ({'met' if middle <= GOAL else 'MISSED'}) |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="only programs whose name contains one of these")
    parser.add_argument("--markdown", type=Path, help="write the table to this file as well")
    options = parser.parse_args()
    confine_to_one_core()
    text = table([measure(*program) for program in programs(options.names)])
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")


if __name__ == "__main__":
    main()
