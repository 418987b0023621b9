"""The state of one fit: points evaluated, the best of them, the history, and when to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from wengert.errors import WengertError
from wengert.train.guards import Evaluation, check_bounded, check_finite, check_start, loss_error
from wengert.train.packing import Packing, Vector
from wengert.train.progress import ProgressBar

__all__ = ["Point", "Row", "Run", "Step", "StopFit"]

REJECTION_LIMIT = 30


class Row(NamedTuple):
    """One line of the history; `grad_norm` is the 2-norm of the projected gradient."""

    step: int
    loss: float
    grad_norm: float
    seconds: float


@dataclass(frozen=True)
class Step:
    """What a callback is given after each step."""

    step: int
    params: Any
    loss: float
    grad_norm: float


@dataclass(frozen=True)
class Point:
    """An evaluated point: the vector, the loss and its gradient there."""

    x: Vector
    loss: float
    gradient: Vector


class StopFit(Exception):
    """Raised to leave an optimiser from within."""

    def __init__(self, stopped_by: str, message: str) -> None:
        super().__init__(message)
        self.stopped_by = stopped_by
        self.message = message


@dataclass
class Run:
    """One fit in progress.

    The optimisers work on `y = x / scale`, so that parameters of different size are alike to them. A gradient is
    projected before it is measured: entries that push against a bound the point lies on count as zero.
    """

    loss: Callable[..., Any]
    value_and_grad: Callable[..., tuple[Any, Any]]
    args: tuple[Any, ...]
    packing: Packing
    low: Vector
    high: Vector
    tol: float
    bar: ProgressBar
    callback: Callable[[Step], Any] | None = None
    history: list[Row] = field(default_factory=list)
    best: Point | None = None
    last: Point | None = None
    evaluations: int = 0
    rejections: int = 0
    first_norm: float = 0.0
    worst_loss: float = -np.inf
    began: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.scale = self.packing.scale()

    def to_x(self, y: Vector) -> Vector:
        """Return the parameters of a scaled vector, inside the bounds to the last bit."""
        return np.clip(y * self.scale, self.low, self.high)

    def evaluate(self, x: Vector) -> Point:
        """Evaluate loss and gradient, and keep the point if it is the best so far.

        Raises:
            GradientError: If the gradient is not finite although the loss is, and at the first point as `check_start`.
        """
        value, tree = self.value_and_grad(self.packing.unpack(x), *self.args)
        point = Point(x.copy(), float(value), self.packing.gradient(tree))
        if self.evaluations == 0:
            check_start(self.evaluation(x), point.loss, point.gradient)
            self.first_norm = float(np.linalg.norm(point.gradient))
        elif np.isfinite(point.loss):
            check_finite(self.evaluation(x), point.gradient)
        self.evaluations += 1
        self.last = point
        if np.isfinite(point.loss):
            self.rejections = 0
            self.worst_loss = max(self.worst_loss, point.loss)
            if self.best is None or point.loss < self.best.loss:
                self.best = point
        return point

    def evaluation(self, x: Vector) -> Evaluation:
        """Return what the guards need to find the line at fault."""
        return Evaluation(self.loss, self.packing, self.args, x)

    def attempt(self, y: Vector) -> tuple[float, Vector]:
        """Return loss and gradient in scaled variables, for a line search that may step out of the loss's domain.

        Where the loss is not finite or raises an arithmetic error the search sees a high plateau and turns back.
        """
        try:
            point = self.evaluate(self.to_x(y))
        except (ArithmeticError, ValueError) as error:
            if self.evaluations == 0 or isinstance(error, WengertError) or self.rejections >= REJECTION_LIMIT:
                raise
            return self._reject()
        if np.isfinite(point.loss):
            return point.loss, point.gradient * self.scale
        if self.rejections >= REJECTION_LIMIT:
            fix = "bound the parameters to where the loss is defined"
            raise loss_error(self.evaluation(point.x), point.loss, f"at {REJECTION_LIMIT} points in a row", fix)
        return self._reject()

    def accept(self, point: Point) -> None:
        """Take a point as the next step: check, record, show, call back, and stop if it is good enough.

        Raises:
            StopFit: If the fit has converged or the callback asks to stop.
            GradientError: If the gradient explodes.
        """
        if not np.isfinite(point.loss):
            fix = "take smaller steps, or set bounds"
            raise loss_error(self.evaluation(point.x), point.loss, f"after {len(self.history)} steps", fix)
        check_bounded(self.evaluation(point.x), point.gradient, self.first_norm)
        projected = self.projected(point)
        step, norm = len(self.history), float(np.linalg.norm(projected))
        self.history.append(Row(step, point.loss, norm, time.perf_counter() - self.began))
        self.bar.update(step, point.loss, norm)
        if self.callback is not None and self.callback(Step(step, self.packing.unpack(point.x), point.loss, norm)):
            raise StopFit("callback", "the callback asked to stop")
        if self.slope(point) <= self.tol * max(1.0, abs(point.loss)):
            raise StopFit("converged", f"the gradient is below the tolerance {self.tol:g}")

    def projected(self, point: Point) -> Vector:
        """Return the gradient without the entries that push against a bound."""
        blocked = ((point.x <= self.low) & (point.gradient > 0)) | ((point.x >= self.high) & (point.gradient < 0))
        return np.where(blocked, 0.0, point.gradient)

    def slope(self, point: Point) -> float:
        """Return the largest entry of the projected gradient, per relative change of its parameter."""
        return float(np.max(np.abs(self.projected(point) * self.scale)))

    def _reject(self) -> tuple[float, Vector]:
        self.rejections += 1
        plateau = self.worst_loss + 1.0 + abs(self.worst_loss)
        return plateau, np.zeros_like(self.scale)
