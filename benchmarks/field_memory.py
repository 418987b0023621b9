"""Peak memory of the derivatives of `field_programs` at several sizes: does it grow as the size does?

    python benchmarks/field_memory.py                 # --only lstm,ba --markdown out.md

Every figure is from a process of its own: the high-water mark of the resident set during one derivative, above the resident set
before it. The program was compiled before, on its smallest inputs, so what native code keeps from call to call counts (Linux).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from field import PROGRAMS
from spine_scaling import memory, reset_peak_memory
from timing import confine_to_one_core

COLUMNS = ("program", "what grows", "sizes", "peak, MB", "bytes for one more", "linear")
# What one more takes may grow by so much from the smaller sizes to the larger ones, and less than this is nothing at all.
GROWTH, NOTHING = 1.2, 1_000_000


@dataclass(frozen=True)
class Series:
    """Sizes of a program of which one number grows.

    Attributes:
        what: the number.
        sizes: the sizes, the first one for compiling.
        count: that number of a size.
    """

    what: str
    sizes: tuple[Any, ...]
    count: Callable[[Any], int]


SERIES = {
    "llsq": Series("data", (16, 4096, 8196, 16392), lambda size: size),
    "lse": Series("numbers", (2500, 320000, 640000, 1280000), lambda size: size),
    "gmm_loops": Series("components", ((20, 5), (20, 25), (20, 50), (20, 100)), lambda size: size[1]),
    "gmm_arrays": Series("components", ((20, 5), (20, 25), (20, 50), (20, 100)), lambda size: size[1]),
    "kmeans": Series("points", ((100, 1000, 16), (100, 10000, 16), (100, 20000, 16), (100, 40000, 16)), lambda size: size[1]),
    "lstm": Series("characters", ((2, 1024), (2, 4096), (2, 8192), (2, 16384)), lambda size: size[1]),
    "ba": Series("observations", ((49, 7776, 31843), (161, 48126, 182072), (88, 64298, 383937), (253, 163691, 899155)),
                 lambda size: size[2]),
}  # fmt: skip


def measure(key: str, position: int) -> int:
    """Bytes that the derivative takes at a size of its series, in this process."""
    import field_own  # inside: core and threads are set before it is loaded

    program, series = PROGRAMS[key], SERIES[key]
    field_own.derivative(key, program.inputs(series.sizes[0]))()
    call = field_own.derivative(key, program.inputs(series.sizes[position]))
    before = reset_peak_memory()
    call()
    return max(0, memory("VmHWM") - before)


def row(key: str) -> str:
    """The line of a program, measured in child processes."""
    series = SERIES[key]
    peaks = []
    for position in range(1, len(series.sizes)):
        command = [sys.executable, str(Path(__file__)), "--one", key, "--position", str(position)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks.append(json.loads(answer.stdout.splitlines()[-1]))
    counts = [series.count(size) for size in series.sizes[1:]]
    steps = [(peaks[k + 1] - peaks[k]) / (counts[k + 1] - counts[k]) for k in range(len(counts) - 1)]
    is_linear = peaks[-1] < NOTHING or steps[-1] <= GROWTH * steps[0]
    cells = [
        key, series.what, ", ".join(map(str, counts)), ", ".join(f"{p / 1e6:.1f}" for p in peaks),
        ", ".join(f"{s:.0f}" for s in steps), "yes" if is_linear else "NO",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main(
    only: Annotated[str, typer.Option(help="Programs to run, such as llsq,ba.")] = "",
    markdown: Annotated[Path | None, typer.Option(help="Write the table here, too.")] = None,
    one: Annotated[str, typer.Option(hidden=True)] = "",
    position: Annotated[int, typer.Option(hidden=True)] = 1,
) -> None:
    """Measure and print the table."""
    confine_to_one_core()
    if one:
        print(json.dumps(measure(one, position)))
        return
    lines = [f"| {' | '.join(COLUMNS)} |", f"| --- | --- |{' ---: |' * (len(COLUMNS) - 2)}"]
    for key in SERIES:
        if not only or any(key.startswith(name) for name in only.split(",")):
            lines.append(row(key))
            print(lines[-1], file=sys.stderr)
    text = "\n".join(lines)
    print(text)
    if markdown:
        markdown.write_text(text + "\n")


if __name__ == "__main__":
    typer.run(main)
