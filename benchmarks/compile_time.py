"""What the first call costs: tracing, passes, LLVM text and LLVM for programs of growing size; ours, from disk, and JAX's.

    python benchmarks/compile_time.py [--only kalman_8 ...] [--no-jax]

Times are processor seconds of this process, in milliseconds, each measured in a fresh process on one thread.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import wengert as wg
from wengert.api import program
from wengert.codegen import compiled

LINES = 500


def polynomial(np: Any, a: Any, b: Any, c: Any) -> Any:
    """One line."""
    return a * b + np.sin(c) * c


def reduction(np: Any, x: Any, y: Any) -> Any:
    """One line on arrays."""
    return np.sum(np.exp(x) * y)


def kalman(steps: int) -> Callable[..., Any]:
    """A filter on 2 x 2 matrices whose loop over time Python unrolls."""

    def run(np: Any, z: Any, q: Any, r: Any) -> Any:
        f, h = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 0.0]])
        x, p, total = np.zeros(2), np.eye(2), 0.0
        for k in range(steps):
            x, p = f @ x, f @ p @ f.T + q * np.eye(2)
            s = h @ p @ h.T + r * np.eye(1)
            y = z[k] - h @ x
            gain = np.linalg.solve(s, h @ p).T
            x, p = x + gain @ y, p - gain @ h @ p
            total = total - 0.5 * (y @ np.linalg.solve(s, y) + np.log(np.linalg.det(s)))
        return total

    return run


def long_source(lines: int) -> str:
    """A function of that many lines of scalar and array code, as a model written by hand in one piece has them."""
    text = ["def run(np, x, a, b):", "    s, t, u = a, b, x * a"]
    kinds = (
        "s = s * 0.9 + np.sin(t * {c})",
        "t = np.exp(-s * s * {c}) + b",
        "u = u + np.cos(u * {c}) * s",
        "s = s + np.sum(u * x) * {c} / len(x)",
        "t = np.where(t < {c}, t + np.sqrt(1.0 + s * s), t - a)",
    )
    for k in range(lines):
        text.append("    " + kinds[k % len(kinds)].format(c=round(0.1 + 0.001 * k, 4)))
    return "\n".join([*text, "    return s + t + np.sum(u)", ""])


def programs() -> dict[str, tuple[Callable[..., Any], tuple[Any, ...], tuple[int, ...]]]:
    """Name -> function of (numpy module, *arguments), arguments, positions to differentiate at."""
    folder = Path(tempfile.gettempdir()) / f"wengert_long_{os.getuid()}"
    folder.mkdir(exist_ok=True)
    path = folder / "long_program.py"
    path.write_text(long_source(LINES))
    spec = importlib.util.spec_from_file_location("long_program", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    z = np.linspace(0.0, 3.0, 40).reshape(40, 1)
    found: dict[str, tuple[Callable[..., Any], tuple[Any, ...], tuple[int, ...]]] = {
        "scalars": (polynomial, (1.0, 2.0, 3.0), (0, 1, 2)),
        "arrays": (reduction, (np.linspace(0, 1, 50), np.ones(50)), (0, 1)),
    }
    for steps in (2, 8, 32):
        found[f"kalman_{steps}"] = (kalman(steps), (z, 0.1, 1.0), (1, 2))
    found[f"lines_{LINES}"] = (module.run, (np.linspace(0.1, 1.0, 20), 0.5, 0.7), (0, 1, 2))
    return found


# --- one measurement ------------------------------------------------------------------------------------------------


def timed(where: Any, name: str, into: dict[str, float], label: str) -> None:
    """Count the processor time of a function of a module."""
    original = getattr(where, name)

    def counted(*args: Any, **kwargs: Any) -> Any:
        started = time.process_time()
        try:
            return original(*args, **kwargs)
        finally:
            into[label] = into.get(label, 0.0) + 1e3 * (time.process_time() - started)

    setattr(where, name, counted)


def measure_wengert(name: str, what: str) -> dict[str, float]:
    """Milliseconds of the first call and of its parts."""
    function, args, positions = programs()[name]

    def bound(*arguments: Any) -> Any:
        return function(np, *arguments)

    def warm_up(x: Any) -> Any:
        return x * x

    wg.grad(warm_up)(2.0)
    parts: dict[str, float] = {}
    for module, attribute, label in (
        (program, "trace", "trace"), (program, "optimize", "passes"), (compiled, "lower", "text"), (compiled, "build", "llvm"),
    ):  # fmt: skip
        timed(module, attribute, parts, label)
    made = wg.jit(bound) if what == "value" else wg.value_and_grad(bound, argnums=positions)
    started = time.process_time()
    made(*args)
    parts["total"] = 1e3 * (time.process_time() - started)
    return parts


def measure_jax(name: str, what: str) -> dict[str, float]:
    """Milliseconds of JAX's first call."""
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    jnp = importlib.import_module("jax.numpy")
    function, args, positions = programs()[name]

    def bound(*arguments: Any) -> Any:
        return function(jnp, *arguments)

    jax.jit(lambda x: x * x)(2.0).block_until_ready()
    made = jax.jit(bound if what == "value" else jax.value_and_grad(bound, argnums=positions))
    started = time.process_time()
    jax.block_until_ready(made(*args))
    return {"total": 1e3 * (time.process_time() - started)}


def in_fresh_process(system: str, name: str, what: str, folder: str) -> dict[str, float] | None:
    """The measurement by another process, or None if the program is not expressible or the system is not there."""
    environment = {**os.environ, "WENGERT_CACHE_DIR": folder, "OMP_NUM_THREADS": "1", "XLA_FLAGS": ONE_THREAD}
    command = [sys.executable, __file__, "--measure", system, name, what]
    found = subprocess.run(command, capture_output=True, text=True, env=environment)
    if found.returncode:
        return None
    measured: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    return measured


ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
COLUMNS = ("trace", "passes", "text", "llvm")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--no-jax", action="store_true")
    parser.add_argument("--measure", nargs=3)
    options = parser.parse_args()
    if options.measure:
        system, name, what = options.measure
        print(json.dumps({"wengert": measure_wengert, "jax": measure_jax}[system](name, what)))
        return
    print("| program | | first call | " + " | ".join(COLUMNS) + " | from disk | JAX |")
    print("| --- | --- |" + " ---: |" * (len(COLUMNS) + 3))
    for name in options.only or programs():
        for what in ("value", "gradient"):
            with tempfile.TemporaryDirectory() as folder:
                cold, warm = (in_fresh_process("wengert", name, what, folder) for _ in range(2))
            jax = None if options.no_jax else in_fresh_process("jax", name, what, "")
            cells = [f"{c:.0f}" if c is not None else "-" for c in (
                *[(cold or {}).get(k) for k in ("total", *COLUMNS)], (warm or {}).get("total"), (jax or {}).get("total"))]
            print(f"| {name} | {what} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
