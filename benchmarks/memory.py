"""Memory and time of the gradient of a long loop, kept whole and computed again in parts, beside JAX.

    python benchmarks/memory.py                       # 10^6 steps; --steps 10000,1000000
    python benchmarks/memory.py --markdown out.md

Every figure is from a process of its own. Peak memory is the high-water mark of the resident set during one gradient, above the
resident set before it, when everything has been compiled (Linux). JAX runs `lax.scan`, and for the checkpointed gradient a scan
of sqrt(n) segments under `jax.checkpoint`, each a scan of sqrt(n) steps; it is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spine_scaling import memory, reset_peak_memory
from timing import Contender, confine_to_one_core, interleave

ROW = "| {:<26} | {:>9} | {:>12} | {:>14} | {:>10} | {:>9} |"
DAMPING, DT = 0.1, 0.001


def pendulum(x: float, v: float, steps: int) -> float:
    """A damped pendulum and a sum over its way: six operations and two transcendentals a step."""
    total = 0.0
    for _ in range(steps):
        v = v - DT * (math.sin(x) + DAMPING * v)
        x = x + DT * v
        total += x * x * math.exp(-v * v)
    return total


def wengert_gradient(budget: str | int | None, steps: int) -> Callable[[], Any]:
    """The compiled gradient, which has run on a few steps."""
    import wengert as wg  # inside: the other system must not be in memory

    f = pendulum if budget is None else wg.checkpoint(budget=budget)(pendulum)
    gradient = wg.value_and_grad(f, argnums=(0, 1))
    gradient(1.0, 0.0, 4)
    return lambda: gradient(1.0, 0.0, steps)


def jax_gradient(segments: bool, steps: int) -> Callable[[], Any]:
    """The same in JAX, compiled for this number of steps."""
    import jax
    import jax.numpy as jnp

    def step(carry: Any, _: Any) -> tuple[Any, None]:
        x, v, total = carry
        v = v - DT * (jnp.sin(x) + DAMPING * v)
        x = x + DT * v
        return (x, v, total + x * x * jnp.exp(-v * v)), None

    root = math.isqrt(steps)
    if segments and root * root != steps:
        raise SystemExit("the nested scan takes a square number of steps")
    inner = jax.checkpoint(lambda carry, _: (jax.lax.scan(step, carry, None, length=root)[0], None))

    def loss(x: Any, v: Any) -> Any:
        body, length = (inner, root) if segments else (step, steps)
        return jax.lax.scan(body, (x, v, 0.0), None, length=length)[0][2]

    gradient = jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).lower(1.0, 0.0).compile()
    return lambda: jax.block_until_ready(gradient(1.0, 0.0))


SYSTEMS: dict[str, Callable[[int], Callable[[], Any]]] = {
    "wengert": lambda n: wengert_gradient(None, n),
    'wengert, budget "sqrt"': lambda n: wengert_gradient("sqrt", n),
    'wengert, budget "revolve"': lambda n: wengert_gradient("revolve", n),
    "wengert, budget 10 kB": lambda n: wengert_gradient(10_000, n),
    "JAX": lambda n: jax_gradient(False, n),
    "JAX, jax.checkpoint": lambda n: jax_gradient(True, n),
}


def measure(name: str, steps: int) -> dict[str, Any]:
    """Peak memory and time of one system in this process, and what it found."""
    run = SYSTEMS[name](steps)
    before = reset_peak_memory()
    value, gradient = run()
    peak = max(0, memory("VmHWM") - before)
    contender = Contender(name, run)
    interleave([contender], repeats=7, budget=6.0, least=3)
    found = [float(value), *(float(g) for g in gradient)]
    counted = None
    if name.startswith("wengert"):
        import wengert as wg

        budget = {"wengert": None, 'wengert, budget "sqrt"': "sqrt", 'wengert, budget "revolve"': "revolve"}.get(name, 10_000)
        f = pendulum if budget is None else wg.checkpoint(budget=budget)(pendulum)
        counted = wg.memory(f, 1.0, 0.0, steps, argnums=(0, 1)).total
    return {"peak": peak, "seconds": contender.median, "found": found, "counted": counted}


def table(steps: int) -> list[str]:
    """The lines of the table for one number of steps."""
    lines = [ROW.format("gradient", "steps", "peak, kB", "on stacks, kB", "time, ms", "relative")]
    lines.append(ROW.format("---", "--:", "--:", "--:", "--:", "--:"))
    first: dict[str, Any] | None = None
    for name in SYSTEMS:
        if name.startswith("JAX") and importlib.util.find_spec("jax") is None:
            continue
        command = [sys.executable, str(Path(__file__)), "--one", name, "--steps", str(steps)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        cost = json.loads(answer.stdout.splitlines()[-1])
        first = first or cost
        for found, expected in zip(cost["found"], first["found"], strict=True):
            if abs(found - expected) > 1e-8 * max(1.0, abs(expected)):
                raise SystemExit(f"{name} finds {cost['found']}, the first one {first['found']}")
        counted = "" if cost["counted"] is None else f"{cost['counted'] / 1000:.1f}"
        times = (f"{cost['seconds'] * 1e3:.1f}", f"{cost['seconds'] / first['seconds']:.2f}")
        lines.append(ROW.format(name, steps, f"{cost['peak'] / 1000:.0f}", counted, *times))
    return lines


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", default="1000000", help="numbers of steps, with commas; squares")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--markdown", type=Path, help="write the tables to this file as well")
    options = parser.parse_args()
    confine_to_one_core()
    sizes = [int(n) for n in options.steps.split(",")]
    if options.one:
        print(json.dumps(measure(options.one, sizes[0])))
        return
    text = "\n\n".join("\n".join(table(n)) for n in sizes)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")


if __name__ == "__main__":
    main()
