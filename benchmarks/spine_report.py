"""The figures of a run as rich tables, markdown and plain data, with the goals beside them."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import rich.box
from rich.table import Table
from spine_scaling import Cost

AGREEMENT = 1e-8
"""Largest relative difference of values and gradients before a system counts as wrong."""

SLOWDOWN_OVER_C = 4.0
SPEEDUP_OVER_TAPES = 300.0
CALL_MICROSECONDS = 2.0
IMPORT_SECONDS = 0.3
ORDER = ("C primal", "CPython primal", "PyTorch eager", "autograd", "JAX", "wengert")


@dataclass
class Report:
    """All figures of one run."""

    core: int
    repeats: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    scaling: list[Cost] = field(default_factory=list)
    call_microseconds: float = math.nan
    import_seconds: float = math.nan

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON; figures not measured are left out."""
        entries = {"python": platform.python_version(), "machine": machine(), **asdict(self)}
        return {name: entry for name, entry in entries.items() if not _is_missing(entry)}

    def notes(self) -> list[str]:
        """What was changed so that a peer could run a program."""
        return [f"({row['key']}) {name} {note}" for row in self.rows for name, note in row["notes"].items()]


def disagreements(errors: dict[str, float]) -> list[str]:
    """Systems whose value or gradient is not that of the others."""
    return [name for name, error in errors.items() if not error <= AGREEMENT]


def machine() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def markdown(report: Report) -> str:
    """The tables and notes as GitHub markdown."""
    parts = [f"### {table.title}\n\n{_markdown_table(table)}" for table in tables(report)]
    notes = "\n".join(f"- {note}" for note in report.notes())
    setting = f"{machine()}, one core, one thread, f64; medians of {report.repeats} paired rounds."
    return "\n\n".join([setting, *parts, notes]).strip() + "\n"


def tables(report: Report) -> Iterator[Table]:
    """One table for every kind of figure the run has."""
    if report.rows:
        yield times_table(report)
        if any("wengert" in row["seconds"] for row in report.rows):
            yield ratios_table(report)
        yield compile_table(report)
        yield correctness_table(report)
    if report.scaling:
        yield scaling_table(report.scaling)
    if not _is_missing(report.call_microseconds):
        yield overhead_table(report)


def times_table(report: Report) -> Table:
    """Median times of the primals and of value and gradient."""
    names = [name for name in ORDER if name in report.rows[0]["seconds"]]
    table = _table("Median time (gradients unless primal)", "program", *names)
    for row in report.rows:
        table.add_row(_label(row), *(duration(row["seconds"][name]) for name in names))
    return table


def ratios_table(report: Report) -> Table:
    """Wengert's gradient against everything else, with the goals."""
    table = _table(
        "Time of wengert's gradient over",
        "program",
        "CPython primal",
        f"C primal (goal <= {SLOWDOWN_OVER_C:g} on a-c)",
        "JAX (goal <= 1)",
        f"PyTorch eager (goal <= 1/{SPEEDUP_OVER_TAPES:g} on a, b)",
        f"autograd (goal <= 1/{SPEEDUP_OVER_TAPES:g} on a, b)",
    )
    for row in report.rows:
        over = row["over"]["wengert"]
        tape_goal = 1 / SPEEDUP_OVER_TAPES if row["key"] in "ab" else math.nan
        table.add_row(
            _label(row),
            _fraction(over["CPython primal"]),
            judged(over["C primal"], SLOWDOWN_OVER_C if row["key"] in "abc" else math.nan),
            judged(over["JAX"], 1.0),
            judged(over["PyTorch eager"], tape_goal),
            judged(over["autograd"], tape_goal),
        )
    return table


def compile_table(report: Report) -> Table:
    """First call minus a steady one, for the systems that compile."""
    names = [name for name in ("wengert", "JAX") if name in report.rows[0]["compile"]]
    table = _table("Compile time (goal: not above JAX)", "program", *names)
    for row in report.rows:
        cells = [duration(row["compile"][name]) for name in names]
        if "wengert" in names:
            cells[0] += _mark(row["compile"]["wengert"] <= row["compile"]["JAX"])
        table.add_row(_label(row), *cells)
    return table


def correctness_table(report: Report) -> Table:
    """Relative differences of value and gradient from JAX, and of the gradient from differences."""
    names = [name for name in ORDER if name in report.rows[0]["agreement"] and name != "JAX"]
    judges = [name for name in ("wengert", "JAX") if name in report.rows[0]["difference_error"]]
    columns = [f"{name} to JAX" for name in names] + [f"{name} to differences" for name in judges]
    table = _table("Relative difference", "program", *columns)
    for row in report.rows:
        cells = [row["agreement"][name] for name in names] + [row["difference_error"][name] for name in judges]
        table.add_row(_label(row), *(f"{cell:.0e}" for cell in cells))
    return table


def scaling_table(costs: list[Cost]) -> Table:
    """Cost of one gradient against its number of steps."""
    table = _table(
        "Gradient against number of steps", "program", "steps", "time", "ns a step", "peak memory", "bytes a step"
    )
    for cost in costs:
        table.add_row(
            cost.program,
            f"{cost.steps:,}",
            duration(cost.seconds),
            f"{cost.nanoseconds_per_step:.1f}",
            f"{cost.peak_bytes / 2**20:.2f} MiB",
            f"{cost.bytes_per_step:.0f}",
        )
    return table


def overhead_table(report: Report) -> Table:
    """The fixed costs."""
    call, load = report.call_microseconds, report.import_seconds
    table = _table("Fixed costs", "what", "measured", "goal")
    table.add_row(
        "call of a compiled function of three floats",
        f"{call:.2f} us",
        f"<= {CALL_MICROSECONDS:g} us{_mark(call <= CALL_MICROSECONDS)}",
    )
    table.add_row("import wengert", f"{load:.3f} s", f"<= {IMPORT_SECONDS:g} s{_mark(load <= IMPORT_SECONDS)}")
    return table


# --- cells ---


def duration(seconds: float) -> str:
    """Seconds with three digits and a fitting unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def judged(ratio: float, goal: float) -> str:
    """A ratio, with a mark where there is a goal."""
    return _fraction(ratio) + ("" if _is_missing(goal) else _mark(ratio <= goal))


def _fraction(ratio: float) -> str:
    """A ratio as a number, or as one over a number where it is small."""
    return f"1/{1 / ratio:.0f}" if ratio < 0.1 else f"{ratio:.2f}"


def _is_missing(figure: Any) -> bool:
    """Whether a figure was not measured, or a goal not set."""
    return isinstance(figure, float) and math.isnan(figure)


def _mark(met: bool) -> str:
    return " (met)" if met else " (MISSED)"


def _label(row: dict[str, Any]) -> str:
    return f"({row['key']}) {row['title']}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=rich.box.SIMPLE, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    return table


def _markdown_table(table: Table) -> str:
    columns = [list(column.cells) for column in table.columns]
    lines = [[str(column.header) for column in table.columns], ["---"] + ["---:"] * (len(columns) - 1)]
    lines += [list(cells) for cells in zip(*columns, strict=True)]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
