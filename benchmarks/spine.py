"""Gradients of plain Python programs against C, CPython, PyTorch, autograd and JAX.

One core, one thread, f64, medians of paired rounds: see README.md beside this file.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from spine_differences import difference_error
from spine_native import primal
from spine_programs import Program, flat, programs
from spine_report import Report, disagreements, markdown, tables
from spine_scaling import SIZES, call_microseconds, import_seconds, scaling
from timing import Contender, confine_to_one_core, interleave, ratio

C_SAMPLE_SECONDS = 0.005
console = Console()


@dataclass
class Entry:
    """One system under test on one program: how to run it, and what it said."""

    name: str
    run: Callable[[], Any]
    result: Callable[[], tuple[float, np.ndarray]]
    note: str = ""
    first_seconds: float = 0.0
    value: float = math.nan
    gradient: np.ndarray = field(default_factory=lambda: np.zeros(0))


def main(
    only: Annotated[str, typer.Option(help="Programs to run, such as a,b.")] = "a,b,c,d",
    repeats: Annotated[int, typer.Option(help="Rounds; every round times every system once.")] = 11,
    peers_only: Annotated[bool, typer.Option(help="Leave wengert out.")] = False,
    with_scaling: Annotated[bool, typer.Option("--scaling", help="Cost against number of steps.")] = False,
    max_steps: Annotated[int, typer.Option(help="Largest size of --scaling.")] = SIZES[-1],
    overhead: Annotated[bool, typer.Option(help="Cost of a call and of the import.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures here.")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="Write the tables here.")] = None,
) -> None:
    """Time the gradients of four programs, or with --scaling or --overhead the other costs."""
    core = confine_to_one_core()
    report = Report(core=core, repeats=repeats)
    chosen = only.split(",")
    if with_scaling:
        sizes = tuple(size for size in SIZES if size <= max_steps)
        keys = "".join(key for key in chosen if key in "abc")
        report.scaling = scaling(keys, "JAX" if peers_only else "wengert", sizes)
    if overhead and not peers_only:
        report.call_microseconds = call_microseconds()
        report.import_seconds = import_seconds()
    if not (with_scaling or overhead):
        for program in programs():
            if program.key in chosen:
                console.print(f"[dim]({program.key}) {program.title}[/dim]")
                report.rows.append(measure(program, repeats, peers_only))
    for table in tables(report):
        console.print(table)
    for note in report.notes():
        console.print(f"[dim]{note}[/dim]")
    if json_file:
        json_file.write_text(json.dumps(report.as_dict(), indent=1))
    if markdown_file:
        markdown_file.write_text(markdown(report))
    if any(disagreements(row["agreement"]) for row in report.rows):
        raise typer.Exit(1)


def measure(program: Program, repeats: int, peers_only: bool) -> dict[str, Any]:
    """Check that all systems agree on one program, then time them in interleaved rounds."""
    entries = gradients(program, peers_only)
    for entry in entries:
        start = time.perf_counter()
        entry.run()
        entry.first_seconds = time.perf_counter() - start
        entry.value, entry.gradient = entry.result()
    native = primal(program)
    errors = agreement(program, entries, native(1))
    for name in disagreements(errors):
        console.print(f"[red]({program.key}) {name} disagrees with JAX by {errors[name]:.1e}; timed all the same[/red]")
    contenders = {entry.name: Contender(entry.name, entry.run) for entry in entries}
    contenders["CPython primal"] = Contender("CPython primal", lambda: program.loss(*program.args))
    contenders["C primal"] = native_contender(native)
    interleave(list(contenders.values()), repeats)
    return {
        "key": program.key,
        "title": program.title,
        "seconds": {name: contender.median for name, contender in contenders.items()},
        "over": {name: ratios(contender, contenders) for name, contender in contenders.items()},
        "compile": {entry.name: entry.first_seconds - contenders[entry.name].median for entry in entries},
        "agreement": errors,
        "difference_error": {entry.name: difference_error(program, entry.gradient) for entry in entries},
        "notes": {entry.name: entry.note for entry in entries if entry.note},
    }


def gradients(program: Program, peers_only: bool) -> list[Entry]:
    """Wengert and its peers on one program, each warmed up on another, trivial one."""
    import spine_peers  # inside: importing the peers takes seconds; the other modes do without

    own = [] if peers_only else [wengert_entry(program)]
    return own + [Entry(peer.name, peer.run, peer.result, peer.note) for peer in spine_peers.peers(program)]


def wengert_entry(program: Program) -> Entry:
    """Value and gradient of the program as it stands."""
    import wengert as wg  # inside: the peers run without it

    wg.value_and_grad(lambda x: x * x)(1.0)
    value_and_grad = wg.value_and_grad(program.loss, argnums=program.argnums)

    def result() -> tuple[float, np.ndarray]:
        value, grads = value_and_grad(*program.args)
        return float(value), flat(grads)

    return Entry("wengert", lambda: value_and_grad(*program.args), result)


def native_contender(native: Callable[[int], float]) -> Contender:
    """The C primal, repeated inside C so often that the call from Python does not count."""
    times = 1
    while True:
        start = time.perf_counter()
        native(times)
        if time.perf_counter() - start >= C_SAMPLE_SECONDS:
            return Contender("C primal", partial(native, times), calls=1, work=times)
        times *= 2


def ratios(above: Contender, contenders: dict[str, Contender]) -> dict[str, float]:
    """Paired ratios of one contender's time over each of the others'."""
    return {name: ratio(above, below) for name, below in contenders.items() if below is not above}


def agreement(program: Program, entries: list[Entry], native_value: float) -> dict[str, float]:
    """Largest relative difference of each system's value and gradient from JAX's."""
    judge = next(entry for entry in entries if entry.name == "JAX")
    errors = {}
    for entry in entries:
        value = abs(entry.value - judge.value) / abs(judge.value)
        gradient = np.linalg.norm(entry.gradient - judge.gradient) / np.linalg.norm(judge.gradient)
        errors[entry.name] = max(value, float(gradient))
    plain = float(program.loss(*program.args))
    errors["CPython primal"] = abs(plain - judge.value) / abs(judge.value)
    errors["C primal"] = abs(native_value - judge.value) / abs(judge.value)
    return errors


if __name__ == "__main__":
    typer.run(main)
