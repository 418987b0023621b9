"""Sparse Jacobians: a tridiagonal residual and bundle adjustment, against CasADi where it is installed.

One core, one thread, f64, medians of paired rounds: see README.md beside this file.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import scipy.sparse as sp
import typer
from field_programs import ba
from rich.console import Console
from rich.table import Table
from timing import Contender, confine_to_one_core, interleave, ratio

console = Console(width=140)


def tridiagonal(u):
    """The residual of a boundary value problem, in a loop."""
    out = np.empty(len(u))
    for i in range(len(u)):
        left = u[i - 1] if i > 0 else 0.0
        right = u[i + 1] if i + 1 < len(u) else 1.0
        out[i] = left - 2.0 * u[i] + right + 0.01 * np.exp(u[i]) * left
    return out


def main(
    size: Annotated[int, typer.Option(help="Unknowns of the tridiagonal residual.")] = 100_000,
    observations: Annotated[int, typer.Option(help="Observations of the bundle adjustment.")] = 10_000,
    large: Annotated[int, typer.Option(help="How many of the sizes of `field.py` to run as well, without CasADi.")] = 0,
    repeats: Annotated[int, typer.Option(help="Rounds.")] = 15,
) -> None:
    """Time the first call, later calls and the primal, and compare the matrices."""
    confine_to_one_core()
    table = Table("problem", "rows", "columns", "entries", "system", "colours", "set-up s", "call ms", "/ primal", "difference")
    u = np.linspace(0.0, 1.0, size)
    report(table, "tridiagonal", tridiagonal, (u,), 0, casadi_tridiagonal(u), repeats)
    args = ba.inputs((max(observations // 500, 1), max(observations // 3, 1), observations))
    report(table, "bundle adjustment", ba.residuals, args, (0, 1, 2), casadi_adjustment(args), repeats)
    for problem in ba.SIZES[:large]:
        report(table, "bundle adjustment", ba.residuals, ba.inputs(problem), (0, 1, 2), None, min(repeats, 5))
    console.print(table)


def report(
    table: Table, name: str, fn: Callable[..., Any], args: tuple[Any, ...], argnums: Any, peer: Any, repeats: int
) -> None:
    """Add the rows of one problem to the table."""
    import wengert as wg

    primal = wg.jit(fn)
    primal(*args)
    jacobian = wg.jacobian(fn, argnums=argnums, sparsity=True)
    started = time.perf_counter()
    found = whole(jacobian(*args))
    first = time.perf_counter() - started
    contenders = {"primal": Contender("primal", lambda: primal(*args)), "wengert": Contender("wengert", lambda: jacobian(*args))}
    if peer is not None:
        contenders["CasADi"] = Contender("CasADi", peer.call)
    interleave(list(contenders.values()), repeats)
    forward, reverse = jacobian.colours(*args)
    for key, contender in contenders.items():
        setup, colours, difference = "", "", ""
        if key == "wengert":
            setup, colours = f"{first - contender.median:.2f}", str(forward) + (f" + {reverse} reverse" if reverse else "")
        elif key == "CasADi":
            setup, colours = f"{peer.setup:.2f}", str(peer.colours)
            difference = f"{abs(found - peer.matrix()).max():.1e}"
        times = f"{1e3 * contender.median:.3f}", f"{ratio(contender, contenders['primal']):.1f}"
        table.add_row(name, *map(str, (*found.shape, found.nnz)), key, colours, setup, *times, difference)


def whole(found: Any) -> sp.csr_array:
    """All blocks side by side."""
    return found if sp.issparse(found) else sp.hstack(found, format="csr")


# --- CasADi ----------------------------------------------------------------------------------------------------------


class Peer:
    """A Jacobian of CasADi, evaluated into a buffer: its fastest way.

    Attributes:
        setup: seconds for the graph, its derivative and the function.
        colours: of its own colouring of the columns.
    """

    def __init__(self, ca: Any, build: Callable[[], tuple[list[Any], Any, Any]], values: list[np.ndarray]) -> None:
        started = time.perf_counter()
        inputs, outputs, unknowns = build()
        derivative = ca.jacobian(outputs, unknowns)
        self.function = ca.Function("jacobian", inputs, [derivative])
        self.setup = time.perf_counter() - started
        self.pattern = self.function.sparsity_out(0)
        self.colours = self.pattern.uni_coloring().size2()
        self.values = [np.ascontiguousarray(v.ravel(order="F")) for v in values]
        self.data = np.zeros(self.function.nnz_out(0))
        self.buffer, self.call = self.function.buffer()
        for k, value in enumerate(self.values):
            self.buffer.set_arg(k, memoryview(value))
        self.buffer.set_res(0, memoryview(self.data))

    def matrix(self) -> sp.csr_array:
        """What the last call has computed."""
        self.call()
        starts, rows = (np.array(part) for part in (self.pattern.colind(), self.pattern.row()))
        return sp.csc_array((self.data.copy(), rows, starts), shape=self.pattern.shape).tocsr()


def casadi_tridiagonal(u: np.ndarray) -> Peer | None:
    """The same residual as a vector expression."""
    ca = casadi()
    if ca is None:
        return None

    def build() -> tuple[list[Any], Any, Any]:
        x = ca.SX.sym("u", len(u))
        left, right = ca.vertcat(0.0, x[:-1]), ca.vertcat(x[1:], 1.0)
        return [x], left - 2.0 * x + right + 0.01 * ca.exp(x) * left, x

    return Peer(ca, build, [u])


def casadi_adjustment(args: tuple[Any, ...]) -> Peer | None:
    """The same residuals as expressions in rows over all observations: of the forms that CasADi has, the fastest at this size."""
    ca = casadi()
    if ca is None:
        return None
    cameras, points, weights, observations, features = args

    def build() -> tuple[list[Any], Any, Any]:
        c, x, w = (ca.MX.sym(n, *v.shape) for n, v in (("c", cameras.T), ("x", points.T), ("w", weights[None, :])))
        u, v = seen(ca, c[:, observations[:, 0].tolist()], x[:, observations[:, 1].tolist()])
        measured = ca.DM(features.T)
        pairs = ca.vertcat(w * (u - measured[0, :]), w * (v - measured[1, :]))
        outputs = ca.horzcat(ca.vec(pairs).T, 1.0 - w * w).T
        return [c, x, w], outputs, ca.vertcat(ca.vec(c), ca.vec(x), ca.vec(w))

    return Peer(ca, build, [cameras.T, points.T, weights[None, :]])


def seen(ca: Any, c: Any, x: Any) -> tuple[Any, Any]:
    """Where cameras see points; both by columns."""
    r, d = [c[k, :] for k in range(3)], [x[k, :] - c[3 + k, :] for k in range(3)]
    theta = ca.sqrt(r[0] ** 2 + r[1] ** 2 + r[2] ** 2)
    w = [a / theta for a in r]
    sine, cosine = ca.sin(theta), ca.cos(theta)
    turned = [w[1] * d[2] - w[2] * d[1], w[2] * d[0] - w[0] * d[2], w[0] * d[1] - w[1] * d[0]]
    along = (w[0] * d[0] + w[1] * d[1] + w[2] * d[2]) * (1.0 - cosine)
    p = [d[k] * cosine + turned[k] * sine + w[k] * along for k in range(3)]
    a, b = p[0] / p[2], p[1] / p[2]
    rho = a * a + b * b
    scale = (1.0 + c[9, :] * rho + c[10, :] * rho * rho) * c[6, :]
    return a * scale + c[7, :], b * scale + c[8, :]


def casadi() -> Any:
    """The package, or None."""
    try:
        import casadi
    except ImportError:
        console.print("CasADi is not installed; its rows are left out.")
        return None
    return casadi


if __name__ == "__main__":
    typer.run(main)
