"""Packages from PyPI as they are: whether their calls compile, the error of the gradient, and what it costs.

    python benchmarks/packages.py [--repeats N] [--markdown FILE]

The calls are those of `tests/packages`; the packages are in the extra `packages`. Times are medians of repeated calls; the
package's own time is that of the plain call in CPython.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import statistics
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.packages.checking import differences, gradient_error  # noqa: E402

import wengert as wg  # noqa: E402

HEADER = "| package | version | call | runs | gradient error | CPython | eager gradient | gradient | staging and compiling |"


def calls():
    for path in sorted((ROOT / "tests" / "packages").glob("test_*.py")):
        yield from importlib.import_module(f"tests.packages.{path.stem}").CALLS


def seconds(run, repeats):
    """The median time of one call; short ones are measured in bunches."""
    start = time.perf_counter()
    run()
    bunch = max(1, int(2e-3 / max(time.perf_counter() - start, 1e-7)))
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(bunch):
            run()
        found.append((time.perf_counter() - start) / bunch)
    return statistics.median(found)


def text(t):
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if t * scale >= 1.0 or unit == "µs":
            return f"{t * scale:.3g} {unit}"
    return ""


def measure(call, repeats):
    """One row of the table."""
    f = call.function()
    value = float(f(*call.args))
    expected = tuple(differences(f, call.args, k) for k in call.argnums)
    gradient = wg.grad(f, argnums=call.argnums)
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = gradient(*call.args)
    first = time.perf_counter() - start
    eagerly = any(issubclass(w.category, wg.EagerFallbackWarning) for w in caught)

    def eager():
        with wg.eager():
            return gradient(*call.args)

    times = [seconds(lambda: f(*call.args), repeats), seconds(eager, repeats)]
    times += [times[1] if eagerly else seconds(lambda: gradient(*call.args), repeats)]
    version = importlib.metadata.version(call.package)
    error = f"{gradient_error(found, expected, value):.0e}"
    cells = [call.package, version, call.title, "eagerly" if eagerly else "compiled", error, *map(text, times)]
    return [*cells, "" if eagerly else text(first)], eagerly, times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="measurements per time")
    parser.add_argument("--markdown", type=Path, help="write the table into this file, between its markers")
    options = parser.parse_args()
    rows, compiled, ratios = [], 0, []
    for call in calls():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                cells, eagerly, times = measure(call, options.repeats)
            except ImportError:
                print(f"{call.package} is not installed", file=sys.stderr)
                continue
        compiled += not eagerly
        ratios += [] if eagerly else [(times[1] / times[2], times[0] / times[2])]
        rows.append("| " + " | ".join(cells) + " |")
        print(rows[-1], flush=True)
    lines = [HEADER, "|" + " --- |" * HEADER.count(" | ") + " --- |", *rows, ""]
    if ratios:
        lines.append(
            f"{len(rows)} calls, {compiled} compiled. Where it compiles, the gradient takes (median) "
            f"1/{statistics.median(r[0] for r in ratios):.0f} of the time of the eager gradient and "
            f"1/{statistics.median(r[1] for r in ratios):.1f} of that of the package's own call in CPython."
        )
    print("\n".join(lines))
    if options.markdown is not None:
        page = options.markdown.read_text()
        begin, end = page.index("<!-- table -->"), page.index("<!-- end -->")
        options.markdown.write_text(page[:begin] + "<!-- table -->\n\n" + "\n".join(lines) + "\n\n" + page[end:])


if __name__ == "__main__":
    main()
