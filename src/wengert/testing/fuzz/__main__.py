"""`python -m wengert.testing.fuzz --count 1000000 --seed 0`: call programs with arguments of every kind."""

from __future__ import annotations

import argparse
import sys
import time

from wengert.testing.fuzz.campaign import MEMORY, Task, limit_memory, run_all, run_here
from wengert.testing.fuzz.cases import MODES, all_cases
from wengert.testing.fuzz.runner import Report, Runner


def main() -> int:
    """The exit status: 1 if a call crashed, wrote where it must not, or gave what Python does not."""
    parser = argparse.ArgumentParser(prog="python -m wengert.testing.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="how many calls, over all programs and modes")
    parser.add_argument("--seed", type=int, default=0, help="of the arguments")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--only", nargs="*", default=[], metavar="PROGRAM", help="names of programs; default: all")
    parser.add_argument("--mode", choices=MODES, help="with --call: the mode")
    parser.add_argument("--call", type=int, help="make the calls from this number on, of --count, here")
    parser.add_argument("--here", action="store_true", help="run in this process, which a crash ends")
    parser.add_argument("--memory", type=int, default=MEMORY, help="bytes of addresses that a process may use; 0: any number")
    options = parser.parse_args()
    cases = [case for name, case in all_cases().items() if not options.only or name in options.only]
    start, report = time.perf_counter(), Report()
    if options.call is not None:
        limit_memory(options.memory)
        report = Runner(cases[0], options.mode, options.seed, _say, options.memory > 0).run(options.call, options.count)
        print(*report.mismatches, sep="\n")
    elif options.here:
        each = max(1, options.count // sum(len(case.ways) for case in cases))
        limit_memory(options.memory)
        for case in cases:
            print(case.name, flush=True)
            report.add(run_here(Task(case.name, options.seed, each, case.ways[0], memory=options.memory)))
        print(*report.mismatches, sep="\n")
    else:
        report = run_all(cases, options.count, options.seed, options.jobs, options.memory, show=_show)
    calls = sum(report.counts[mode] for mode in MODES)
    counts = ", ".join(f"{what} {n}" for what, n in sorted(report.counts.items()))
    print(f"{calls} calls of {len(cases)} programs in {time.perf_counter() - start:.0f} s: {len(report.mismatches)} wrong")
    print(f"({counts})")
    return 1 if report.mismatches else 0


def _show(text: str) -> None:
    print(text, flush=True)


def _say(number: int, signature: int) -> None:
    print(f"call {number} signature {signature}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
