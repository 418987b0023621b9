"""The ways to minimise: L-BFGS-B from SciPy and Adam. Both drive a `Run` and leave it by raising `StopFit`."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from scipy import optimize

from wengert.optim import adam
from wengert.train.run import Run, StopFit

__all__ = ["minimize_adam", "minimize_lbfgs"]

EPS = float(np.finfo(np.float64).eps)


def minimize_lbfgs(run: Run, steps: int) -> NoReturn:
    """Minimise by L-BFGS-B with the exact gradient.

    The search ends with the tolerance of the run, or where rounding leaves nothing to gain. A line search that fails
    is started again from the best point, with its memory cleared, as long as that helps.

    References:
        R. H. Byrd, P. Lu, J. Nocedal, C. Zhu, "A limited memory algorithm for bound constrained optimization", SIAM
        Journal on Scientific Computing 16 (1995), doi:10.1137/0916069.
    """
    box = optimize.Bounds(run.low / run.scale, run.high / run.scale)
    point = run.evaluate(run.packing.start())
    run.accept(point)

    def accepted(intermediate_result: Any) -> None:
        x = run.to_x(intermediate_result.x)
        last = run.last
        run.accept(last if last is not None and np.array_equal(last.x, x) else run.evaluate(x))

    while True:
        left = steps - len(run.history) + 1
        if left <= 0:
            raise StopFit("steps", f"{steps} steps are used up")
        options = {"maxiter": left, "maxfun": 20 * left + 100, "ftol": 4 * EPS, "gtol": 0.0, "maxls": 40}
        before = point.loss
        found = optimize.minimize(
            run.attempt,
            point.x / run.scale,
            jac=True,
            method="L-BFGS-B",
            bounds=box,
            callback=accepted,
            options=options,
        )
        if found.status == 1:
            raise StopFit("steps", f"{steps} steps are used up")
        if found.status == 0:
            raise StopFit("converged", "the loss no longer changes, at machine precision")
        assert run.best is not None
        point = run.best
        if not point.loss < before - 10 * EPS * max(1.0, abs(before)):
            _stop_after_failed_search(run)


def minimize_adam(run: Run, steps: int, learning_rate: float) -> NoReturn:
    """Minimise by Adam; a step changes a parameter by about `learning_rate` times its size at the start."""
    init, update = adam(learning_rate)
    y = run.packing.start() / run.scale
    state = init(y)
    while True:
        point = run.evaluate(run.to_x(y))
        run.accept(point)
        if len(run.history) > steps:
            raise StopFit("steps", f"{steps} steps are used up")
        step, state = update(point.gradient * run.scale, state)
        y = run.to_x(y + step) / run.scale


def _stop_after_failed_search(run: Run) -> NoReturn:
    """Tell apart a search that fails because only rounding is left from one that fails on a wrong slope."""
    assert run.best is not None
    slope = run.slope(run.best)
    if slope <= 1e-5 * max(1.0, abs(run.best.loss)):
        raise StopFit("converged", "the loss can no longer be lowered, at machine precision")
    raise StopFit(
        "line search",
        "no step along the gradient lowers the loss: it may have a jump or a kink there, or its gradient is cut",
    )
