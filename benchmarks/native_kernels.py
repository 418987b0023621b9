"""Elementwise functions and reductions of 10^3 to 10^7 numbers: against NumPy, Numba, JAX and a copy of memory; one core.

Numba gets each function as it is and in loops, and the faster one counts. JAX gets it with its own `np`; what NumPy writes in
place, JAX returns. Gradients are of the sum of the squares of the results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import FunctionType
from typing import Any

import numpy as np
from native_programs import kernel_loops, kernels
from timing import Contender, interleave, ratio

COLUMNS = ("function", "n", "wengert", "/ copy", "/ NumPy", "/ Numba", "/ JAX", "gradient", "/ JAX's", "gradient / function")
SIZES = (1_000, 100_000, 10_000_000)


@dataclass(frozen=True)
class Case:
    """A function of the table.

    Attributes:
        name: of the function.
        low, high: arguments are drawn from between.
        arrays: number of arguments.
        traffic: arrays that are read or written, where memory is what limits it; else 0.
        out: position of the argument that is written to, if one is.
    """

    name: str
    low: float
    high: float
    arrays: int
    traffic: int = 0
    out: int | None = None

    def inputs(self, n: int) -> list[np.ndarray]:
        """The arguments."""
        rng = np.random.default_rng(0)
        return [rng.uniform(self.low, self.high, n) for _ in range(self.arrays)]


CASES = (
    Case("axpy", 0.0, 1e-9, 2, 3, out=1), Case("triad", 0.0, 1.0, 3, 3, out=2), Case("blend", 0.0, 1.0, 4, 4, out=3),
    Case("norm", 0.0, 1.0, 1, 1), Case("moments", 0.0, 1.0, 1, 1),
    Case("exponential", -3.0, 3.0, 1), Case("softplus", -3.0, 3.0, 1), Case("waves", 0.0, 6.0, 2), Case("powers", 0.0, 2.0, 2),
    Case("logsumexp", -3.0, 3.0, 1), Case("softmax", -3.0, 3.0, 1), Case("black_scholes", 0.5, 2.0, 3),
    Case("distance", -1.2, 1.2, 2), Case("chain", 0.0, 3.0, 2),
)  # fmt: skip


@dataclass
class Row:
    """What has been measured of one function at one size."""

    case: Case
    n: int
    contenders: dict[str, Contender] = field(default_factory=dict)
    error: float = 0.0

    def add(self, name: str, call: Callable[[], Any]) -> None:
        """One more to time."""
        self.contenders[name] = Contender(name, call)

    def over(self, name: str, other: str) -> float | None:
        """The ratio of two times, if both were measured."""
        if name not in self.contenders or other not in self.contenders:
            return None
        return ratio(self.contenders[name], self.contenders[other])

    @property
    def numba(self) -> str:
        """The faster one of Numba's."""
        found = [name for name in ("Numba", "Numba, loops") if name in self.contenders]
        return min(found, key=lambda name: self.contenders[name].median, default="")

    def bandwidth(self) -> float | None:
        """The share of the speed of a copy at which memory is read and written."""
        if not self.case.traffic:
            return None
        return self.case.traffic / 2 / (self.over("primal", "copy") or 1.0)

    def cells(self) -> list[str]:
        """A line of the table."""
        share = self.bandwidth()
        ratios = [self.over("primal", other) for other in ("NumPy", self.numba, "JAX")]
        slopes = [self.over("gradient", "JAX gradient"), self.over("gradient", "primal")]
        times = [_time(self.contenders[name].median) if name in self.contenders else "" for name in ("primal", "gradient")]
        shown = [f"{r:.2f}" if r is not None else "" for r in (*ratios, *slopes)]
        exponent = f"10^{len(str(self.n)) - 1}"
        speed = "" if share is None else f"{100 * share:.0f} %"
        return [self.case.name, exponent, times[0], speed, *shown[:3], times[1], *shown[3:]]


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def with_globals(source: Callable[..., Any], **names: Any) -> Callable[..., Any]:
    """A function that sees other modules under the same names."""
    assert isinstance(source, FunctionType)
    return FunctionType(source.__code__, {**source.__globals__, **names}, source.__name__)


def total(source: Callable[..., Any], sum_of: Callable[..., Any]) -> Callable[..., Any]:
    """The sum of the squares of the results, to be differentiated."""

    def loss(*args: Any) -> Any:
        found = source(*args)
        return sum_of(found * found)

    return loss


def measure(case: Case, n: int, repeats: int, peers: bool) -> Row:
    """Time one function at one size by all systems."""
    import wengert as wg

    source, args = getattr(kernels, case.name), case.inputs(n)
    row, compiled = Row(case, n), wg.jit(source)
    row.error = _difference(case, compiled, source, args)
    row.add("primal", lambda: compiled(*args))
    if case.traffic:
        target = np.empty_like(args[0])
        row.add("copy", lambda: np.copyto(target, args[0]))
    row.add("NumPy", lambda: source(*args))
    if case.out is None:
        slope = wg.grad(total(source, np.sum), argnums=tuple(range(case.arrays)))
        row.add("gradient", lambda: slope(*args))
    if peers and find_spec("numba"):
        _add_numba(row, source, args)
    if peers and find_spec("jax"):
        _add_jax(row, source, args)
    interleave(list(row.contenders.values()), repeats, budget=1.0)
    return row


def _difference(case: Case, compiled: Callable[..., Any], source: Callable[..., Any], args: list[np.ndarray]) -> float:
    """The largest relative difference from NumPy."""
    ours, theirs = [a.copy() for a in args], [a.copy() for a in args]
    found, expected = compiled(*ours), source(*theirs)
    if case.out is not None:
        found, expected = ours[case.out], theirs[case.out]
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))


def _add_numba(row: Row, source: Callable[..., Any], args: list[np.ndarray]) -> None:
    import numba

    loops = numba.njit(getattr(kernel_loops, row.case.name), fastmath={"reassoc", "contract"}, error_model="numpy")
    loops(*args)
    row.add("Numba, loops", lambda: loops(*args))
    if row.case.name != "black_scholes":  # Numba has no erf of arrays
        plain = numba.njit(source, fastmath={"reassoc", "contract"}, error_model="numpy")
        plain(*args)
        row.add("Numba", lambda: plain(*args))


def _add_jax(row: Row, source: Callable[..., Any], args: list[np.ndarray]) -> None:
    import jax
    import jax.numpy as jnp

    given = [jnp.asarray(a) for a in args]
    in_place = {"axpy": lambda x, y: y + 2.5 * x, "triad": lambda x, y, out: x + 1.5 * y}
    in_place["blend"] = lambda x, y, z, out: jnp.where(z > 0.5, x, y) * z
    pure = in_place.get(row.case.name) or with_globals(source, np=jnp, erf=jax.scipy.special.erf)
    compiled = jax.jit(pure)
    row.add("JAX", lambda: compiled(*given).block_until_ready())
    if row.case.out is None:
        slope = jax.jit(jax.grad(total(pure, jnp.sum), argnums=tuple(range(row.case.arrays))))
        row.add("JAX gradient", lambda: jax.block_until_ready(slope(*given)))


def report(rows: list[Row]) -> str:
    """The table, and how the goals were met."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * (len(COLUMNS) - 1)]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in rows]
    lines.append("")
    for goal, missed in goals(rows):
        lines.append(f"{goal}: {'met' if not missed else 'MISSED by ' + ', '.join(missed)}.")
    lines.append(f"Largest relative difference from NumPy: {max(row.error for row in rows):.0e}.")
    return "\n".join(lines)


def goals(rows: list[Row]) -> list[tuple[str, list[str]]]:
    """Each goal, and what misses it."""

    def missed(test: Callable[[Row], bool]) -> list[str]:
        return [" ".join(row.cells()[:2]) for row in rows if test(row)]

    def slower(row: Row, other: str) -> bool:
        return (row.over("primal", other) or 0.0) > 1.0

    return [
        *((f"Not slower than {peer}", missed(lambda r, p=peer: slower(r, p))) for peer in ("NumPy", "JAX")),
        ("Not slower than Numba", missed(lambda r: slower(r, r.numba))),
        ("The gradient not slower than JAX's", missed(lambda r: (r.over("gradient", "JAX gradient") or 0.0) > 1.0)),
        ("A fifth of JAX's time, chain", missed(lambda r: r.case.name == "chain" and (r.over("primal", "JAX") or 0.0) > 0.2)),
        ("At 80 % of the speed of a copy, from 10^5 on", missed(lambda r: r.n >= 10**5 and (r.bandwidth() or 1.0) < 0.8)),
    ]


def table(only: str = "", repeats: int = 7, peers: bool = True, sizes: tuple[int, ...] = SIZES) -> str:
    """Measure the functions named in `only`, separated by commas (all without it); gives the report."""
    names = [name.strip() for name in only.split(",") if name.strip()]
    rows = []
    for case in CASES:
        for n in sizes if not names or case.name in names else ():
            rows.append(measure(case, n, repeats, peers))
            print(" | ".join(rows[-1].cells()), flush=True)
    return report(rows)
