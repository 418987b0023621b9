"""What a fit leaves in its folder: `params.json`, `history.csv`, `report.md` and, with matplotlib, `fit.png`."""

from __future__ import annotations

import csv
import inspect
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wengert.train.packing import Packing, Vector
from wengert.train.plot import plot_history
from wengert.train.run import Row
from wengert.train.store import save_params

if TYPE_CHECKING:
    from wengert.train.fit import FitResult

__all__ = ["parameter_rows", "write_outputs"]


def write_outputs(folder: Path, result: FitResult, loss: Callable[..., Any], packing: Packing, method: str) -> None:
    """Write the files of a fit, and make the folder if there is none.

    Args:
        folder: Where to write.
        result: What the fit found.
        loss: The loss function, named in the report.
        packing: Names and starting values of the parameters.
        method: Name of the method, for the report.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_params(result.params, folder / "params.json")
    with (folder / "history.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Row._fields)
        writer.writerows(result.history)
    drawn = plot_history(result.history, folder / "fit.png")
    (folder / "report.md").write_text(_report(result, loss, packing, method, drawn), encoding="utf-8")


def parameter_rows(packing: Packing, params: Any) -> list[tuple[str, str, str]]:
    """Return name, start and end of every parameter, ready to print; arrays by mean and range.

    Args:
        packing: Names and starting values.
        params: The values at the end.
    """
    start, end = packing.start(), packing.vector(params)
    fitted = dict(packing.fitted())
    rows = []
    for name, leaf in zip(packing.names, packing.leaves, strict=True):
        if name in fitted:
            part = fitted[name]
            rows.append((name, _summary(start[part]), _summary(end[part])))
        else:
            rows.append((name, f"array{np.shape(leaf)}" if np.ndim(leaf) else f"{leaf!r:.40}", "not fitted"))
    return rows


def _report(result: FitResult, loss: Callable[..., Any], packing: Packing, method: str, drawn: bool) -> str:
    first = result.history[0]
    lines = [
        f"# Fit of `{getattr(loss, '__name__', 'loss')}`",
        "",
        f"Minimised {_place(loss)} over {packing.start().size} numbers by {method}.",
        "",
        f"* loss: {first.loss:.12g} at the start, **{result.loss:.12g}** at the end",
        f"* gradient norm: {first.grad_norm:.3e} at the start, {result.grad_norm:.3e} at the end",
        f"* stopped by: {result.stopped_by} ({result.message})",
        f"* converged: {'yes' if result.converged else 'no'}",
        f"* steps: {result.steps}, evaluations: {result.evaluations}, seconds: {result.history[-1].seconds:.3g}",
        "",
        "## Parameters",
        "",
        *_parameter_table(result, packing),
        "",
        "An array is shown by its mean with its smallest and largest entry. All values are in `params.json`.",
        "",
    ]
    if drawn:
        lines += ["![loss and gradient norm against the step](fit.png)", ""]
    lines += ["## Versions", "", _versions(), ""]
    return "\n".join(lines)


def _parameter_table(result: FitResult, packing: Packing) -> list[str]:
    rows = ["| parameter | start | end |", "| --- | ---: | ---: |"]
    for name, start, end in parameter_rows(packing, result.params):
        rows.append(f"| `{name}` | {start.replace('|', '/')} | {end} |")
    return rows


def _summary(values: Vector) -> str:
    if values.size == 1:
        return f"{values[0]:.8g}"
    return f"{np.mean(values):.6g} [{np.min(values):.4g}, {np.max(values):.4g}]" if values.size else "empty"


def _place(loss: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(loss), "__code__", None)
    name = getattr(loss, "__qualname__", repr(loss))
    return f"`{name}`" if code is None else f"`{name}` (`{Path(code.co_filename).name}`, line {code.co_firstlineno})"


def _versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for package in ("wengert", "numpy", "scipy", "llvmlite"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} (not installed as a package)")
    return ", ".join(found) + f"; {platform.system()} {platform.machine()}."
