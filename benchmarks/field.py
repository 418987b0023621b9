"""Derivatives of six programs on which AD tools are commonly compared, against C by hand, JAX and PyTorch.

One core, one thread, f64, medians of paired rounds: see README.md beside this file.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import field_native
import field_peers
import numpy as np
import scipy.sparse
import typer
from field_programs import ba, gmm, kmeans, llsq, lse, lstm
from rich.console import Console
from timing import Contender, confine_to_one_core, interleave, ratio

PROGRAMS: dict[str, ModuleType] = {
    "llsq": llsq,
    "lse": lse,
    "gmm_loops": gmm,
    "gmm_arrays": gmm,
    "kmeans": kmeans,
    "lstm": lstm,
    "ba": ba,
}
TOLERANCE = 1e-8
COLUMNS = (
    "program", "size", "compile s", "JAX compile s", "primal", "derivative", "/ C primal", "/ C deriv.", "C primal", "C deriv.",
    "JAX", "PyTorch",
)  # fmt: skip
console = Console(width=160)


@dataclass
class Row:
    """What was measured of one program at one size.

    Attributes:
        key: the program.
        size: its size.
        compile_seconds: of the derivative, by each system that compiles: the first call less a steady one.
        contenders: what was timed, by name.
        errors: largest difference from the formula (or, without one, from C), relative to the larger of 1 and the numbers.
    """

    key: str
    size: Any
    compile_seconds: dict[str, float] = field(default_factory=dict)
    contenders: dict[str, Contender] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)

    def cells(self) -> list[str]:
        """The row of the table."""
        size = ", ".join(map(str, self.size)) if isinstance(self.size, tuple) else str(self.size)
        times = [self.shown(name) for name in ("primal", "derivative", "C primal", "C derivative", "JAX", "PyTorch")]
        over = [self.over("derivative", name) for name in ("C primal", "C derivative")]
        compiling = [f"{self.compile_seconds[n]:.2f}" if n in self.compile_seconds else "–" for n in ("derivative", "JAX")]
        return [self.key, size, *compiling, *times[:2], *over, *times[2:]]

    def shown(self, name: str) -> str:
        """A median time in milliseconds."""
        return f"{self.contenders[name].median * 1e3:.3g}" if name in self.contenders else "–"

    def over(self, above: str, below: str) -> str:
        """A ratio of paired times."""
        return f"{ratio(self.contenders[above], self.contenders[below]):.2f}" if below in self.contenders else "–"


def main(
    sizes: Annotated[str, typer.Option(help="small, largest or all.")] = "small",
    only: Annotated[str, typer.Option(help="Programs to run, such as llsq,ba; gmm is gmm_loops and gmm_arrays.")] = "",
    repeats: Annotated[int, typer.Option(help="Rounds; every round times every system once.")] = 7,
    peers: Annotated[bool, typer.Option(help="JAX and PyTorch, where they are installed.")] = True,
    markdown: Annotated[Path | None, typer.Option(help="Write the table here, too.")] = None,
) -> None:
    """Time the derivatives of the chosen programs and print one table, times in milliseconds."""
    confine_to_one_core()
    chosen = [key for key in PROGRAMS if not only or any(key.startswith(name) for name in only.split(","))]
    rows = []
    for key in chosen:
        for size in _sizes(PROGRAMS[key], sizes):
            rows.append(measure(key, size, repeats, peers))
            console.print(" | ".join(rows[-1].cells()), style="dim")
    text = table(rows)
    console.print(text, markup=False)
    if markdown:
        markdown.write_text(text + "\n")
    wrong = [f"{row.key} {row.size} {name}: {e:.1e}" for row in rows for name, e in row.errors.items() if not e <= TOLERANCE]
    for line in wrong:
        console.print(f"[red]off: {line}[/red]")
    if wrong:
        raise typer.Exit(1)


def _sizes(program: ModuleType, which: str) -> tuple[Any, ...]:
    if which == "all":
        return tuple(program.SIZES)
    return (program.SIZES[0],) if which == "small" else (program.SIZES[-1],)


def measure(key: str, size: Any, repeats: int, peers: bool) -> Row:
    """Check that all systems agree with the formula, then time them in interleaved rounds."""
    import field_own  # inside: core and threads are set before it is loaded

    program, row = PROGRAMS[key], Row(key, size)
    args = program.inputs(size)
    calls: dict[str, Callable[[], Any]] = {
        "C primal": field_native.primal(key, args),
        "C derivative": field_native.derivative(key, args),
        "primal": field_own.primal(key, args),
        "derivative": field_own.derivative(key, args),
    }
    if peers:
        others = {"JAX": field_peers.jax_derivative(key, args), "PyTorch": field_peers.torch_derivative(key, args)}
        calls |= {name: call for name, call in others.items() if call is not None}
    first: dict[str, float] = {}
    answers: dict[str, Any] = {}
    for name in ("derivative", "JAX", "PyTorch"):
        if name in calls:
            start = time.perf_counter()
            answers[name] = calls[name]()
            first[name] = time.perf_counter() - start
    by_hand = calls["C derivative"]()
    right = flat(program.expected(*args)) if hasattr(program, "expected") else by_hand.copy()
    row.errors = {"C derivative": difference(by_hand, right)}
    row.errors |= {name: difference(flat(answer), right) for name, answer in answers.items()}
    answers.clear()
    values = [np.asarray(calls[name]()) for name in ("primal", "C primal")]
    row.errors["primal"] = difference(*values)
    row.contenders = {name: Contender(name, call) for name, call in calls.items()}
    interleave(list(row.contenders.values()), repeats, budget=4.0)
    row.compile_seconds = {name: first[name] - row.contenders[name].median for name in ("derivative", "JAX") if name in first}
    return row


def flat(tree: Any) -> np.ndarray:
    """All numbers of a derivative in one row."""
    if isinstance(tree, scipy.sparse.csr_array):
        return tree.data
    if isinstance(tree, dict):
        tree = [tree[name] for name in ("alpha", "mu", "q", "l")]
    if isinstance(tree, tuple | list):
        return np.concatenate([flat(part) for part in tree])
    return np.asarray(tree).ravel()


def difference(found: np.ndarray, right: np.ndarray) -> float:
    """The largest difference, relative to the larger of 1 and the numbers."""
    scale = np.maximum(1.0, np.maximum(abs(found), abs(right)))
    return float(np.max(abs(found - right) / scale, initial=0.0))


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"| --- | --- |{' ---: |' * (len(COLUMNS) - 2)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row.cells())} |" for row in rows)])


if __name__ == "__main__":
    typer.run(main)
