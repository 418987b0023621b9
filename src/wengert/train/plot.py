"""The picture of a fit, drawn only where matplotlib is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wengert.train.run import Row

__all__ = ["plot_history"]


def plot_history(history: Sequence[Row], path: Path) -> bool:
    """Draw loss and gradient norm against the step.

    The figure is made without `pyplot`, so that a program's own figures and backend are left alone.

    Args:
        history: The rows to draw.
        path: The PNG file to write.

    Returns:
        Whether the picture was drawn; False where matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(7, 5), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    steps = [row.step for row in history]
    upper.plot(steps, [row.loss for row in history], marker="." if len(steps) < 50 else "")
    upper.set_ylabel("loss")
    lower.plot(steps, [row.grad_norm for row in history], color="tab:red", marker="." if len(steps) < 50 else "")
    if any(row.grad_norm > 0 for row in history):
        lower.set_yscale("log")
    lower.set_ylabel("gradient norm")
    lower.set_xlabel("step")
    figure.savefig(path, dpi=120)
    return True
