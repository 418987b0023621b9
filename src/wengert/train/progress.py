"""The progress bar of a fit."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["ProgressBar"]

SECONDS_BETWEEN_UPDATES = 0.05


class ProgressBar:
    """Shows step, loss and gradient norm on standard error; a context manager.

    Args:
        steps: Length of the bar.
        enabled: Whether to show anything.
    """

    def __init__(self, steps: int, enabled: bool) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not enabled,
        )
        self._task = self._bar.add_task("compiling", total=steps, figures="")
        self._shown = 0.0
        self._latest: tuple[int, float, float] | None = None

    def update(self, step: int, loss: float, grad_norm: float) -> None:
        """Show a step; most of them are skipped when steps are quicker than the eye."""
        self._latest = (step, loss, grad_norm)
        now = time.perf_counter()
        if now - self._shown >= SECONDS_BETWEEN_UPDATES:
            self._shown = now
            self._show()

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._show()
        self._bar.stop()

    def _show(self) -> None:
        if self._latest is not None:
            step, loss, norm = self._latest
            figures = f"loss {loss:.8g}  |grad| {norm:.2e}"
            self._bar.update(self._task, completed=step, description="fitting", figures=figures)
