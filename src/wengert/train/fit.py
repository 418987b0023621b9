"""`fit`: minimise a loss over the floats in a tree of parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from wengert.api.derivatives import Grad
from wengert.errors import ArgumentError
from wengert.train.guards import GradientError
from wengert.train.methods import minimize_adam, minimize_lbfgs
from wengert.train.packing import pack
from wengert.train.progress import ProgressBar
from wengert.train.report import write_outputs
from wengert.train.run import Row, Run, Step, StopFit

__all__ = ["METHODS", "FitResult", "fit"]

METHODS = ("lbfgs", "adam")


@dataclass(frozen=True)
class FitResult:
    """What a fit found.

    Attributes:
        params: The best parameters, of the structure of those it was given.
        loss: The loss there.
        grad_norm: 2-norm of the gradient there, without entries that push against a bound.
        steps: Number of steps taken.
        history: One row `(step, loss, grad_norm, seconds)` for the start and for each step.
        converged: Whether the fit ended at a point where nothing more is to be gained.
        message: How it ended, in words.
        stopped_by: `converged`, `steps`, `line search`, `callback`, `interrupt` or `gradient`.
        evaluations: How often loss and gradient were computed.
    """

    params: Any
    loss: float
    grad_norm: float
    steps: int
    history: tuple[Row, ...]
    converged: bool
    message: str
    stopped_by: str
    evaluations: int


def fit(
    loss: Callable[..., Any],
    params: Any,
    *args: Any,
    method: str = "lbfgs",
    steps: int = 1000,
    tol: float = 1e-8,
    bounds: Mapping[str, tuple[Any, Any]] | None = None,
    fix: Iterable[str] = (),
    learning_rate: float = 0.01,
    out: str | PathLike[str] | None = None,
    progress: bool = True,
    callback: Callable[[Step], Any] | None = None,
) -> FitResult:
    """Minimise `loss(params, *args)`.

    Floats and float arrays in `params` are fitted, everything else keeps its value. Parameters are scaled by their size
    at the start, so that they may be of very different magnitude. An interrupt (Ctrl-C) ends the fit with the best
    parameters so far.

    Args:
        loss: A Python function that returns a scalar.
        params: The start: a float, an array, or any nesting of containers of them.
        *args: Further arguments of the loss; they are not fitted.
        method: `lbfgs` (L-BFGS-B of SciPy) or `adam`.
        steps: The largest number of steps.
        tol: The fit has converged when no relative change of a parameter changes the loss faster than
            `tol * max(1, abs(loss))`.
        bounds: For names of parameters a pair `(low, high)`; None leaves an end open. A name is written like
            `alpha` or `layers[0].w`; the name of a container stands for all that is in it.
        fix: Names of parameters that keep their value.
        learning_rate: Size of a step of Adam, relative to the size of a parameter at the start.
        out: A folder for `params.json`, `history.csv`, `report.md` and, with matplotlib, `fit.png`.
        progress: Whether to show a progress bar on standard error.
        callback: Called with a `Step` at the start and after each step; a true result ends the fit.

    Returns:
        The best parameters found, and how the fit went.

    Raises:
        GradientError: If the gradient is NaN, infinite, exploding, or exactly zero for a parameter at the start.
        ArgumentError: If an argument does not fit; integers among the parameters must be fixed or written as floats.

    Example:
        >>> result = fit(lambda p: (p["x"] - 3.0) ** 2, {"x": 1.0}, progress=False)
        >>> round(result.params["x"], 6)
        3.0
    """
    _check_arguments(loss, method, steps, tol, learning_rate)
    packing = pack(params, fix)
    low, high = packing.bounds(bounds or {})
    folder = None if out is None else _make_folder(out)
    gradient = Grad(loss, 0, has_aux=False, with_value=True, integers=True)  # fixed parameters may be whole numbers
    with ProgressBar(steps, progress) as bar:
        run = Run(loss, gradient, args, packing, low, high, tol, bar, callback)
        try:
            stop = _minimize(run, method, steps, learning_rate)
        except GradientError as error:
            if folder is not None and run.history:
                write_outputs(folder, _result(run, StopFit("gradient", error.what)), loss, packing, method)
            raise
    result = _result(run, stop)
    if folder is not None:
        write_outputs(folder, result, loss, packing, method)
    return result


def _minimize(run: Run, method: str, steps: int, learning_rate: float) -> StopFit:
    try:
        if method == "adam":
            minimize_adam(run, steps, learning_rate)
        minimize_lbfgs(run, steps)
    except StopFit as stop:
        return stop
    except KeyboardInterrupt:
        if not run.history:
            raise
        return StopFit("interrupt", "interrupted; these are the best parameters so far")


def _result(run: Run, stop: StopFit) -> FitResult:
    best = run.best
    assert best is not None
    return FitResult(
        params=run.packing.unpack(best.x),
        loss=best.loss,
        grad_norm=float(np.linalg.norm(run.projected(best))),
        steps=len(run.history) - 1,
        history=tuple(run.history),
        converged=stop.stopped_by == "converged",
        message=stop.message,
        stopped_by=stop.stopped_by,
        evaluations=run.evaluations,
    )


def _check_arguments(loss: Any, method: str, steps: int, tol: float, learning_rate: float) -> None:
    if not callable(loss):
        raise ArgumentError("the loss must be a function", found=type(loss).__name__)
    if method not in METHODS:
        raise ArgumentError("unknown method", found=repr(method), expected=" or ".join(METHODS))
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ArgumentError("bad number of steps", found=repr(steps), expected="an int of at least 1")
    if not tol >= 0:
        raise ArgumentError("bad tolerance", found=repr(tol), expected="a number of at least 0")
    if not 0 < learning_rate < np.inf:
        raise ArgumentError("bad learning rate", found=repr(learning_rate), expected="a positive number")


def _make_folder(out: str | PathLike[str]) -> Path:
    """Make the folder before the work begins, so that a bad name does not cost the result."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"cannot make the folder {folder}", found=error.strerror or str(error)) from None
    return folder
