"""Many programs in several processes; survives a crash of one and says which program it was."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from wengert.testing.programs.compare import Outcome, ProgramMismatchError, compare

_CHUNK = 10
_PROGRAMS_PER_PROCESS = 500
_SECONDS_PER_PROGRAM = 120  # of processor time; a process that waits for others gets more
_PATIENCE = 10


@dataclass
class Summary:
    """What came of many programs."""

    outcomes: list[Outcome] = field(default_factory=list)
    show: Callable[[str], None] | None = None

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Take in more outcomes, and show the mismatches among them."""
        self.outcomes += outcomes
        for outcome in outcomes:
            if outcome.mismatch and self.show is not None:
                self.show(outcome.mismatch)

    @property
    def mismatches(self) -> list[Outcome]:
        return [o for o in self.outcomes if o.mismatch]

    @property
    def compiled_share(self) -> float:
        """How many of the programs were compiled rather than run eagerly."""
        known = [o for o in self.outcomes if not o.mismatch and (o.refused or not o.discarded)]
        return sum(not o.refused for o in known) / max(1, len(known))

    @property
    def discarded_share(self) -> float:
        """How many of the programs could not be compared at their inputs."""
        return sum(bool(o.discarded) for o in self.outcomes) / max(1, len(self.outcomes))

    def __str__(self) -> str:
        discarded = Counter(o.discarded for o in self.outcomes if o.discarded)
        refused = Counter(_first_line(o.refused) for o in self.outcomes if o.refused)
        lines = [
            f"{len(self.outcomes)} programs: {len(self.mismatches)} mismatches, {self.compiled_share:.1%} compiled, "
            f"{self.discarded_share:.1%} not comparable at their inputs"
        ]
        lines += [f"  discarded {count:>5}  {reason}" for reason, count in discarded.most_common()]
        first = {_first_line(o.refused): o.seed for o in reversed(self.outcomes) if o.refused}
        lines += [f"  eager     {count:>5}  {reason} (seed {first[reason]})" for reason, count in refused.most_common(12)]
        return "\n".join(lines)


def _first_line(refusal: str) -> str:
    return refusal.splitlines()[0].partition("runs eagerly: ")[2][:110]


def run_many(seeds: Iterable[int], jobs: int | None = None, show: Callable[[str], None] | None = None) -> Summary:
    """Compare the programs of these seeds.

    Args:
        seeds: of the programs.
        jobs: how many processes; by default as many as there are processors.
        show: called with each report of a mismatch as it comes.
    """
    remaining, jobs = list(seeds), jobs or os.cpu_count() or 1
    summary = Summary(show=show)
    while remaining:
        # New processes from time to time: compiled code is never given back.
        batch = remaining[: jobs * _PROGRAMS_PER_PROCESS]
        crashed = _run(batch, jobs, summary)
        summary.add([Outcome(seed, mismatch=f"program of seed {seed}: the process died or hung") for seed in crashed])
        done = {o.seed for o in summary.outcomes}
        remaining = [seed for seed in remaining if seed not in done]
    return summary


def _run(seeds: Sequence[int], jobs: int, summary: Summary) -> list[int]:
    """Add the outcomes to `summary`; returns the seeds that were running when a process died."""
    context = multiprocessing.get_context("spawn")
    chunks = [seeds[k : k + _CHUNK] for k in range(0, len(seeds), _CHUNK)]
    with tempfile.TemporaryDirectory(prefix="wengert_campaign_") as journal:
        with ProcessPoolExecutor(jobs, context) as pool:
            tasks = [pool.submit(_compare_chunk, chunk, journal) for chunk in chunks]
            try:
                for task in as_completed(tasks):
                    summary.add(task.result())
            except BrokenProcessPool:
                pass
            else:
                return []
        # Only one of the programs that were running is to blame: those that run well alone are run again.
        return _culprits([int(path.read_text()) for path in Path(journal).iterdir() if path.read_text()], journal)


def _culprits(suspects: Sequence[int], journal: str) -> list[int]:
    context = multiprocessing.get_context("spawn")
    guilty = []
    for seed in suspects:
        process = context.Process(target=_compare_chunk, args=([seed], journal))
        process.start()
        process.join()
        if process.exitcode:
            guilty.append(seed)
    return guilty or list(suspects)


def _compare_chunk(seeds: Sequence[int], journal: str) -> list[Outcome]:
    note = Path(journal) / str(os.getpid())
    outcomes = []
    if hasattr(signal, "SIGPROF"):
        faulthandler.register(signal.SIGPROF, chain=True)  # prints where it hangs, also in native code; then the process dies
    for seed in seeds:
        note.write_text(str(seed))
        faulthandler.dump_traceback_later(_SECONDS_PER_PROGRAM * _PATIENCE, exit=True)
        _limit_time(_SECONDS_PER_PROGRAM)
        try:
            outcomes.append(compare(seed))
        except ProgramMismatchError as error:
            outcomes.append(Outcome(seed, mismatch=str(error)))
        finally:
            faulthandler.cancel_dump_traceback_later()
            _limit_time(0)
    note.write_text("")
    return outcomes


def _limit_time(seconds: float) -> None:
    """End the process after this much processor time; 0 takes the limit back."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)
