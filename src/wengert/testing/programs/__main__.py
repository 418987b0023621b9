"""`python -m wengert.testing.programs --count 20000 --seed 0`: compare many random programs, print a summary."""

from __future__ import annotations

import argparse
import sys
import time

from wengert.testing.programs.campaign import run_many
from wengert.testing.programs.compare import ProgramMismatchError, compare
from wengert.testing.programs.generate import generate


def main() -> int:
    """The exit status: 1 if any program gave a mismatch."""
    parser = argparse.ArgumentParser(prog="python -m wengert.testing.programs", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="how many programs")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first; the others follow")
    parser.add_argument("--jobs", type=int, default=None, help="processes; default: one per processor")
    parser.add_argument("--only", action="store_true", help="run the one program of --seed here, and print it")
    options = parser.parse_args()
    if options.only:
        return _run_one(options.seed)
    start = time.perf_counter()
    summary = run_many(range(options.seed, options.seed + options.count), options.jobs, _show)
    print(f"{summary}\n{time.perf_counter() - start:.0f} s")
    if summary.mismatches:
        print("seeds with a mismatch:", *sorted(o.seed for o in summary.mismatches))
    return 1 if summary.mismatches else 0


def _show(report: str) -> None:
    print(report, end="\n\n", flush=True)


def _run_one(seed: int) -> int:
    print(generate(seed).source)
    try:
        print(compare(seed))
    except ProgramMismatchError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
