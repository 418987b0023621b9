"""Staging and compile time of the longer programs of the corpus: `python benchmarks/staging.py [--all] [--gradient] [NAME ...]`.

Per program: source lines traced (each once, however often the loop around it runs), the time of tracing alone, that
time per line, and how the time of a first call splits into tracing, transforms with passes, and LLVM. CPU times; tracing is
the best of several runs, with the conversion of the source (once per function and process) apart; the rest is measured once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import wengert as wg
from wengert.api.lowering import gradient_of_result
from wengert.codegen import compile as compile_native
from wengert.errors import WengertError
from wengert.frontend.trace import Traced, trace
from wengert.ir.core import walk
from wengert.passes.inline_custom import inline_custom
from wengert.passes.pipeline import optimize

ROOT = Path(__file__).resolve().parent.parent
SUBJECTS = ("finance_statistics", "simulation", "methods", "systems", "processes")
SHORT = 15
LONG = 60


@dataclass
class Row:
    """What was measured of one program; times in milliseconds."""

    name: str
    lines: int
    convert: float
    trace: float
    instructions: int
    passes: float
    native: float

    @property
    def per_line(self) -> float:
        """Tracing time per traced line."""
        return self.trace / self.lines


def traced_lines(function: Callable[..., Any], args: Sequence[Any]) -> int:
    """How many different lines of the user's code one trace runs through."""
    seen: set[tuple[str, int]] = set()
    own = str(ROOT / "src")

    def local(frame: Any, event: str, _: Any) -> Any:
        if event == "line":
            seen.add((frame.f_code.co_filename, frame.f_lineno))
        return local

    def watch(frame: Any, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        return local if file.startswith(str(ROOT)) and not file.startswith(own) else None

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        trace(function, args, {})
    finally:
        sys.settrace(before)
    return len(seen)


def measure(name: str, function: Callable[..., Any], args: Sequence[Any], repeats: int, gradient: bool) -> Row:
    """All figures of one program."""
    started = time.process_time()
    traced = trace(function, args, {})
    first = time.process_time() - started
    best = first
    for _ in range(repeats):
        started = time.process_time()
        traced = trace(function, args, {})
        best = min(best, time.process_time() - started)
    lines = traced_lines(function, args)
    started = time.process_time()
    lowered = optimize(inline_custom(_gradient(traced) if gradient else traced.function))
    passes = time.process_time() - started
    started = time.process_time()
    compile_native(lowered)
    native = time.process_time() - started
    count = sum(1 for _ in walk(list(traced.function.instrs)))
    return Row(name, lines, 1e3 * (first - best), 1e3 * best, count, 1e3 * passes, 1e3 * native)


def _gradient(traced: Traced) -> Any:
    """The gradient of the first float result with respect to all float parameters."""
    fn = optimize(traced.function)
    place = next((k for k, r in enumerate(fn.results) if r.is_float and not r.rank), None)
    wrt = [k for k, p in enumerate(fn.params) if p.is_float]
    return fn if place is None or not wrt else gradient_of_result(fn, place, wrt)


def programs(every: bool, names: Sequence[str]) -> list[tuple[str, Callable[..., Any], Sequence[Any]]]:
    """The programs to measure, with arguments."""
    sys.path.insert(0, str(ROOT))
    catalog = importlib.import_module("tests.programs.catalog")
    page = importlib.import_module("tests.programs.page")
    for subject in page.SUBJECTS if every else SUBJECTS:
        importlib.import_module(f"tests.programs.{subject}")
    found = [(p.name, p.function, p.examples[0]) for p in catalog.PROGRAMS if p.eager is None]
    return [f for f in found if not names or any(n in f[0] for n in names)]


def table(rows: Sequence[Row]) -> str:
    """The figures as a Markdown table."""
    head = "| program | traced lines | instructions | tracing (ms) | ms per line | conversion (ms) | passes (ms) | native (ms) |"
    lines = [head, "| --- |" + " ---: |" * 7]
    for r in sorted(rows, key=lambda r: -r.lines):
        figures = (
            f"{r.lines} | {r.instructions} | {r.trace:.1f} | {r.per_line:.2f} | {r.convert:.1f} | {r.passes:.0f} | {r.native:.0f}"
        )
        lines.append(f"| {r.name} | {figures} |")
    long = [r for r in rows if r.lines >= LONG]
    lines += [_medians("median", rows)] + ([_medians(f"median from {LONG} lines", long)] if long else [])
    return "\n".join(lines)


def _medians(label: str, rows: Sequence[Row]) -> str:
    """A row of the medians of all columns."""
    names = ("lines", "instructions", "trace", "per_line", "convert", "passes", "native")
    shown = [f"{median(getattr(r, c) for r in rows):.{2 if c == 'per_line' else 0}f}" for c in names]
    return f"| {label} | {' | '.join(shown)} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only programs whose name contains one of these")
    parser.add_argument("--all", action="store_true", help="all subjects of the corpus, short programs too")
    parser.add_argument("--gradient", action="store_true", help="passes and native code of the gradient, not of the value")
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore", wg.EagerFallbackWarning)
    os.environ["WENGERT_DISABLE"] = ",".join(filter(None, [os.environ.get("WENGERT_DISABLE"), "diskcache"]))
    rows = []
    for name, function, args in programs(chosen.all, chosen.names):
        try:
            row = measure(name, function, args, chosen.repeats, chosen.gradient)
        except WengertError as error:
            print(f"{name}: {error}".splitlines()[0], file=sys.stderr)
            continue
        if row.lines >= SHORT or chosen.all or chosen.names:
            rows.append(row)
    if rows:
        print(table(rows))


if __name__ == "__main__":
    main()
