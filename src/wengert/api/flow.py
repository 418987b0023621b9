"""Functions that leave a value as it is and change, cut, or watch what flows back through it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wengert.api.custom import CustomFunction, custom_jvp, custom_vjp
from wengert.api.derivatives import stop_gradient
from wengert.errors import ArgumentError
from wengert.frontend import calls
from wengert.frontend.boxes import is_box
from wengert.frontend.context import is_tracing
from wengert.frontend.host import NOTHING, host_call
from wengert.tree import flatten, map_leaves

# --- scaling ---------------------------------------------------------------------------------------------------------


def _first(x: Any, scale: Any) -> Any:
    return x


def _scaled_rule(primals: Any, tangents: Any) -> Any:
    (x, scale), (x_dot, _) = primals, tangents
    return x, scale * x_dot


_scaled = custom_jvp(_first)
_scaled.defjvp(_scaled_rule)
_scaled.name = "scale_gradient"


def scale_gradient(x: Any, s: Any) -> Any:
    """`x` (a number, an array or a container of them), whose derivative is multiplied by `s`.

    Args:
        x: what is returned.
        s: a number; it has no derivative itself.

    Example:
        >>> import wengert as wg
        >>> wg.grad(lambda x: wg.scale_gradient(x, 0.1) ** 2)(3.0)
        0.6000000000000001
    """
    if not is_tracing():
        return x
    scale = stop_gradient(s)
    return map_leaves(lambda leaf: _scaled(leaf, scale) if _is_float(leaf) else leaf, x)


def reverse_gradient(x: Any, s: Any = 1.0) -> Any:
    """`x`, whose derivative is multiplied by `-s`: what is trained in front of it works against the loss.

    Example:
        >>> import wengert as wg
        >>> wg.grad(lambda x: wg.reverse_gradient(x) ** 2)(3.0)
        -6.0
    """
    return scale_gradient(x, -s)


def _is_float(leaf: Any) -> bool:
    return is_box(leaf) and bool(leaf.value.is_float)


# --- straight through ------------------------------------------------------------------------------------------------


def _straight_rule(primals: Any, tangents: Any) -> Any:
    return primals[0], tangents[1]


_straight = custom_jvp(lambda hard, soft: hard)
_straight.defjvp(_straight_rule)
_straight.name = "straight_through"


def straight_through(hard: Any, soft: Any = None) -> Any:
    """The value of `hard` with the derivative of `soft`, or a function that is differentiated as if it did nothing.

    Args:
        hard: a number or an array; or a function of one, which may round, threshold or sample.
        soft: of the same shape. Without it, `hard` is a function.

    Returns:
        `hard`, as floats; for a function, a function.

    Example:
        >>> import numpy as np, wengert as wg
        >>> wg.grad(lambda x: wg.straight_through(np.round)(x) * x)(1.7)
        3.7
        >>> wg.grad(lambda x: wg.straight_through(np.sign(x), np.tanh(x)))(0.0)
        1.0
    """
    if soft is not None:
        return _straight(_as_float(hard), soft) if is_tracing() else _as_float(hard)
    if not callable(hard):
        raise ArgumentError(f"straight_through takes a function, or a hard and a soft value. Got {hard!r} alone.")

    def passed_through(x: Any) -> Any:
        if not is_tracing():
            return _as_float(hard(x))
        value = calls.call(hard, (stop_gradient(x),), {})
        return _straight(_as_float(value), x)

    return passed_through


def _as_float(value: Any) -> Any:
    if _is_float(value) or (not is_box(value) and np.asarray(value).dtype.kind == "f"):
        return value
    return value * 1.0


# --- clipping --------------------------------------------------------------------------------------------------------


def _clip_fwd(x: Any, value: Any, norm: Any) -> Any:
    return x, (value, norm)


def _clip_bwd(residuals: Any, x_bar: Any) -> Any:
    value, norm = residuals
    if value is not None:
        return map_leaves(lambda g: calls.call(np.clip, (g, -value, value), {}), x_bar), None, None
    total: Any = 0.0
    for g in flatten(x_bar, is_leaf=is_box)[0]:
        total = total + calls.call(np.sum, (g * g,), {})
    size = calls.call(np.sqrt, (total,), {})
    factor = calls.call(np.where, (size > norm, norm / calls.call(np.maximum, (size, 1e-300), {}), 1.0), {})
    return map_leaves(lambda g: g * factor, x_bar), None, None


_clipped = custom_vjp(lambda x, value, norm: x)
_clipped.defvjp(_clip_fwd, _clip_bwd)
_clipped.name = "clip_gradient"


def clip_gradient(x: Any, *, value: Any = None, norm: Any = None) -> Any:
    """`x` (a number, an array or a container of them), with a bound on the cotangent that flows back through it.

    Reverse mode only: a clipped derivative is not linear, so it has no forward mode.

    Args:
        x: what is returned.
        value: bound on the absolute value of each number of the cotangent.
        norm: bound on its Euclidean norm, over all leaves of `x` together; longer ones are scaled down.

    Example:
        >>> import wengert as wg
        >>> wg.grad(lambda x: wg.clip_gradient(x, value=1.0) ** 2)(3.0)
        1.0
    """
    if (value is None) == (norm is None):
        raise ArgumentError("clip_gradient takes one of 'value' and 'norm'.")
    if not is_tracing():
        return x
    leaves, tree = flatten(x, is_leaf=is_box)
    places = [k for k, leaf in enumerate(leaves) if _is_float(leaf)]
    if places:
        bounds = (None if value is None else stop_gradient(value), None if norm is None else stop_gradient(norm))
        for k, leaf in zip(places, _clipped([leaves[k] for k in places], *bounds), strict=True):
            leaves[k] = leaf
    return tree.unflatten(leaves)


# --- watching --------------------------------------------------------------------------------------------------------


@dataclass
class Probe:
    """What has flown back through one place of a program.

    Attributes:
        name: as given to `gradient_probe`.
        calls: how many cotangents were seen.
        count: how many numbers these were, all together.
        nans: how many of them were nan.
        infs: how many were infinite.
        mean: of the finite ones.
        std: of the finite ones.
        min: smallest finite one.
        max: largest finite one.
        norms: Euclidean norm of each of the latest cotangents.
    """

    KEPT = 1000

    name: str
    calls: int = 0
    count: int = 0
    nans: int = 0
    infs: int = 0
    min: float = float("inf")
    max: float = float("-inf")
    norms: list[float] = field(default_factory=list)
    _total: float = 0.0
    _squares: float = 0.0

    @property
    def mean(self) -> float:
        """Mean of the finite numbers."""
        finite = self.count - self.nans - self.infs
        return self._total / finite if finite else float("nan")

    @property
    def std(self) -> float:
        """Standard deviation of the finite numbers."""
        finite = self.count - self.nans - self.infs
        return max(0.0, self._squares / finite - self.mean**2) ** 0.5 if finite else float("nan")

    def add(self, cotangent: Any) -> None:
        """Take in one cotangent."""
        numbers = np.atleast_1d(np.asarray(cotangent, dtype=float)).ravel()
        finite = numbers[np.isfinite(numbers)]
        self.calls += 1
        self.count += numbers.size
        self.nans += int(np.isnan(numbers).sum())
        self.infs += int(np.isinf(numbers).sum())
        self._total += float(finite.sum())
        self._squares += float((finite * finite).sum())
        if finite.size:
            self.min, self.max = min(self.min, float(finite.min())), max(self.max, float(finite.max()))
        self.norms.append(float(np.sqrt((numbers * numbers).sum())))
        del self.norms[: -self.KEPT]


_probes: dict[str, Probe] = {}
_lock = threading.Lock()


def _note(name: str) -> Callable[[Any], None]:
    def note(cotangent: Any) -> None:
        with _lock:
            _probes.setdefault(name, Probe(name)).add(cotangent)

    return note


def _probe_fwd(x: Any, name: str) -> Any:
    return x, None


def _probe_bwd(name: str, _: Any, x_bar: Any) -> Any:
    host_call(_note(name), (x_bar,), {}, NOTHING, "gradient_probe", stop=True)
    return (x_bar,)


_probed: CustomFunction = custom_vjp(_first, nondiff_argnums=1)
_probed.fwd, _probed.bwd = _probe_fwd, _probe_bwd
_probed.jvp_rule = lambda name, primals, tangents: (primals[0], tangents[0])
_probed.name = "gradient_probe"


def gradient_probe(x: Any, name: str) -> Any:
    """`x`; in reverse mode, statistics of the cotangent at this place are kept under `name`, see `probe_report`.

    Args:
        x: a number, an array or a container of them; its leaves are taken together.
        name: of the place.

    Example:
        >>> import wengert as wg
        >>> wg.grad(lambda x: wg.gradient_probe(x, "x") ** 2)(3.0)
        6.0
        >>> probe = wg.probe_report(reset=True)["x"]
        >>> probe.calls, probe.mean, probe.norms
        (1, 6.0, [6.0])
    """
    if not isinstance(name, str):
        raise ArgumentError(f"The 'name' argument of gradient_probe must be a string. Got {name!r} instead.")
    if not is_tracing():
        return x
    return map_leaves(lambda leaf: _probed(leaf, name) if _is_float(leaf) else leaf, x)


def probe_report(reset: bool = False) -> dict[str, Probe]:
    """What the probes have seen so far, by name; with `reset`, they start anew."""
    with _lock:
        found = dict(_probes)
        if reset:
            _probes.clear()
    return found
