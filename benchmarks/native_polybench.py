"""Programs in the manner of PolyBench, plain NumPy code with in-place updates: against Numba and NumPy, one core, one thread.

Numba gets each program twice, as it is and in scalar loops, and the faster one counts. Times are of the processor, so that what
else runs on the machine counts as little as it can.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from native_programs import factorisations as f
from native_programs import stencils as s
from rich.console import Console
from timing import Contender, confine_to_one_core, interleave, ratio

COLUMNS = (
    "program", "compile s", "NumPy", "Numba", "primal", "gradient", "primal / Numba", "gradient / Numba",
    "gradient / primal",
)  # fmt: skip
PRIMAL_GOAL, GRADIENT_GOAL = 1.2, 3.0
console = Console(width=160)


@dataclass(frozen=True)
class Program:
    """A program and its inputs.

    Attributes:
        plain: as one writes it with NumPy.
        loops: the same in scalar loops, if that is something else.
        inputs: arguments for a size.
        active: positions of the arguments to differentiate by.
        size: what is measured.
        small: what is tested.
    """

    plain: Callable[..., Any]
    loops: Callable[..., Any] | None
    inputs: Callable[..., tuple[Any, ...]]
    active: tuple[int, ...]
    size: tuple[int, ...]
    small: tuple[int, ...]

    @property
    def name(self) -> str:
        """What the table calls it."""
        return self.plain.__name__


def dominant(n: int) -> np.ndarray:
    """A well-conditioned symmetric positive definite matrix."""
    a = np.random.default_rng(0).uniform(-1.0, 1.0, (n, n))
    return a @ a.T / n + 2.0 * np.eye(n)


def uniform(*shape: int, seed: int = 0) -> np.ndarray:
    """Numbers between 0.1 and 1."""
    return np.random.default_rng(seed).uniform(0.1, 1.0, shape)


def compressed_rows(n: int, each: int) -> tuple[Any, ...]:
    """A sparse matrix with `each` entries a row on average, and a vector."""
    rng = np.random.default_rng(0)
    starts = np.concatenate([[0], np.cumsum(rng.integers(0, 2 * each + 1, n))])
    count = int(starts[-1])
    return rng.uniform(-1.0, 1.0, count), rng.integers(0, n, count), starts, rng.uniform(-1.0, 1.0, n)


PROGRAMS = (
    Program(f.cholesky, f.cholesky_loops, lambda n: (dominant(n),), (0,), (200,), (6,)),
    Program(f.lu, f.lu_loops, lambda n: (dominant(n),), (0,), (200,), (6,)),
    Program(f.ludcmp, f.ludcmp_loops, lambda n: (dominant(n), uniform(n)), (0, 1), (200,), (6,)),
    Program(f.durbin, f.durbin_loops, lambda n: (uniform(n) / n,), (0,), (1000,), (7,)),
    Program(f.gramschmidt, f.gramschmidt_loops, lambda m, n: (uniform(m, n),), (0,), (120, 100), (6, 4)),
    Program(f.trmm, f.trmm_loops, lambda m, n: (1.5, uniform(m, m), uniform(m, n, seed=1)), (0, 1, 2), (150, 180), (5, 4)),
    Program(f.syrk, f.syrk_loops, lambda n, m: (1.5, 1.2, uniform(n, n), uniform(n, m, seed=1)), (0, 1, 2, 3), (150, 180),
            (5, 4)),
    Program(
        f.syr2k, f.syr2k_loops, lambda n, m: (1.5, 1.2, uniform(n, n), uniform(n, m, seed=1), uniform(n, m, seed=2)),
        (0, 1, 2, 3, 4), (150, 180), (5, 4),
    ),
    Program(f.min_plus, f.min_plus_loops, lambda n: (uniform(n, n),), (0,), (200,), (7,)),
    Program(f.floyd_warshall, f.floyd_warshall_loops, lambda n: (uniform(n, n) ** 3,), (0,), (200,), (6,)),
    Program(f.spmv, f.spmv_loops, compressed_rows, (0, 3), (20000, 20), (6, 3)),
    Program(s.jacobi_2d, s.jacobi_2d_loops, lambda n, steps: (uniform(n, n), steps), (0,), (150, 40), (6, 3)),
    Program(s.seidel_2d, None, lambda n, steps: (uniform(n, n), steps), (0,), (120, 20), (6, 3)),
    Program(
        s.fdtd_2d, s.fdtd_2d_loops, lambda n, m, t: (uniform(n, m), uniform(n, m, seed=1), uniform(n, m, seed=2), uniform(t)),
        (0, 1, 2, 3), (120, 150, 50), (5, 6, 4),
    ),
    Program(s.heat_3d, s.heat_3d_loops, lambda n, steps: (uniform(n, n, n), steps), (0,), (30, 20), (4, 3)),
    Program(s.adi, s.adi_loops, lambda n, steps: (uniform(n, n), steps), (0,), (100, 20), (6, 3)),
    Program(s.deriche, None, lambda w, h: (uniform(w, h), 0.25), (0, 1), (360, 240), (5, 6)),
)  # fmt: skip


def outputs(result: Any) -> tuple[np.ndarray, ...]:
    """The arrays that a program returns."""
    return result if isinstance(result, tuple) else (result,)


def weights_of(program: Program, args: Sequence[Any]) -> tuple[np.ndarray, ...]:
    """Numbers that make a scalar of the results."""
    return tuple(uniform(*part.shape, seed=9) for part in outputs(program.plain(*args)))


def loss_of(run: Callable[..., Any], weights: Sequence[np.ndarray]) -> Callable[..., Any]:
    """A scalar made of the results of a program."""

    def loss(*args: Any) -> Any:
        return sum(np.sum(weight * part) for weight, part in zip(weights, outputs(run(*args)), strict=True))

    return loss


@dataclass
class OnCpu(Contender):
    """A contender whose clock stands still while other processes have the core."""

    def sample(self) -> float:
        """Time one sample, in seconds of the processor a call."""
        start = time.process_time()
        for _ in range(self.calls):
            self.call()
        return (time.process_time() - start) / self.calls


@dataclass
class Row:
    """What was measured of one program.

    Attributes:
        program: the program.
        compile_seconds: of the gradient, by us.
        contenders: what was timed, by name.
        errors: largest relative differences from what CPython gives, of the primals.
    """

    program: Program
    compile_seconds: float = math.nan
    contenders: dict[str, Contender] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)

    @property
    def numba(self) -> Contender | None:
        """The faster one of Numba's two."""
        found = [c for name, c in self.contenders.items() if name.startswith("Numba")]
        return min(found, key=lambda c: c.median) if found else None

    def over(self, above: str, below: Contender | None) -> float:
        """A ratio of paired times; nan without the one or the other."""
        return ratio(self.contenders[above], below) if below is not None else math.nan

    def cells(self) -> list[str]:
        """The row of the table."""
        numba = self.numba
        times = [self.contenders["NumPy"], numba, self.contenders["primal"], self.contenders["gradient"]]
        ratios = [self.over("primal", numba), self.over("gradient", numba), self.over("gradient", self.contenders["primal"])]
        shown = [f"{c.median * 1e3:.3g} ms" if c is not None else "–" for c in times]
        return [self.program.name, f"{self.compile_seconds:.2f}", *shown, *(f"{r:.2f}" for r in ratios)]


def error(found: Any, expected: Any) -> float:
    """The largest difference, relative to the largest number."""
    pairs = zip(outputs(found), outputs(expected), strict=True)
    return max(float(np.max(np.abs(a - b)) / max(1e-300, np.max(np.abs(b)))) for a, b in pairs)


def measure(program: Program, repeats: int, peers: bool) -> Row:
    """Times of one program, after its results were compared."""
    import wengert as wg

    args = program.inputs(*program.size)
    row = Row(program)
    expected = program.plain(*args)
    runs: dict[str, Callable[[], Any]] = {"NumPy": lambda: program.plain(*args)}
    if peers:
        import numba

        for kind, source in (("plain", program.plain), ("loops", program.loops)):
            compiled = numba_of(numba, source) if source is not None else None
            if compiled is None:
                continue
            try:
                row.errors[f"Numba {kind}"] = error(compiled(*args), expected)
            except numba.core.errors.NumbaError as problem:
                console.print(f"{program.name}: Numba does not compile the {kind} one: {str(problem).splitlines()[0]}")
                continue
            runs[f"Numba {kind}"] = lambda compiled=compiled: compiled(*args)
    primal = wg.jit(program.plain)
    row.errors["wengert"] = error(primal(*args), expected)
    gradient = wg.grad(loss_of(program.plain, weights_of(program, args)), argnums=program.active)
    start = time.perf_counter()
    gradient(*args)
    first = time.perf_counter() - start
    start = time.perf_counter()
    gradient(*args)
    row.compile_seconds = first - (time.perf_counter() - start)
    runs |= {"primal": lambda: primal(*args), "gradient": lambda: gradient(*args)}
    row.contenders = {name: OnCpu(name, run) for name, run in runs.items()}
    interleave(list(row.contenders.values()), repeats, budget=2.0)
    return row


def numba_of(numba: Any, source: Callable[..., Any]) -> Callable[..., Any]:
    """A program compiled by Numba, with the functions of its module that it calls."""
    helpers = {n: numba.njit(h) for n, h in vars(s).items() if n in source.__code__.co_names and hasattr(h, "__code__")}
    copied = type(source)(source.__code__, {**source.__globals__, **helpers}, source.__name__)
    return numba.njit(copied)


def means(rows: Sequence[Row]) -> tuple[float, float]:
    """The geometric means of both ratios to Numba."""
    numbers = [[row.over(name, row.numba) for row in rows] for name in ("primal", "gradient")]
    return tuple(math.exp(sum(map(math.log, part)) / len(part)) for part in numbers)  # type: ignore[return-value]


def report(rows: Sequence[Row]) -> str:
    """The table and what it means."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * (len(COLUMNS) - 1)]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in rows]
    if all(row.numba is not None for row in rows):
        lines.append("")
        for what, mean, goal in zip(("primal", "gradient"), means(rows), (PRIMAL_GOAL, GRADIENT_GOAL), strict=True):
            met = "met" if mean <= goal else "MISSED"
            lines.append(f"Geometric mean of {what} / Numba primal: {mean:.2f} (goal <= {goal}: {met}).")
    worst = max(max(row.errors.values()) for row in rows)
    lines.append(f"Largest relative difference of a primal from CPython: {worst:.0e}.")
    return "\n".join(lines)


def polybench(only: str = "", repeats: int = 7, peers: bool = True) -> str:
    """Measure the programs named in `only`, separated by commas (all without it); gives the report."""
    names = [name.strip() for name in only.split(",") if name.strip()]
    rows = []
    for program in PROGRAMS:
        if not names or program.name in names:
            row = measure(program, repeats, peers)
            console.print(" | ".join(row.cells()))
            rows.append(row)
    return report(rows)


def main(
    only: Annotated[str, typer.Option(help="Programs to run, such as lu,adi.")] = "",
    repeats: Annotated[int, typer.Option(help="Rounds; every round times every contender once.")] = 7,
    peers: Annotated[bool, typer.Option(help="Numba, where it is installed.")] = True,
    markdown: Annotated[Path | None, typer.Option(help="Write the table here, too.")] = None,
) -> None:
    """Measure and print the table."""
    text = polybench(only, repeats, peers)
    print(text)
    if markdown is not None:
        markdown.write_text(text + "\n")


if __name__ == "__main__":
    confine_to_one_core()
    typer.run(main)
