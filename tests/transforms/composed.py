"""All transformations, and transformations of transformations, on composed programs: the corpus, as functions of a vector.

`python -m tests.transforms.composed [name ...]` runs all of them and prints a table.
"""

from __future__ import annotations

import copy
import importlib
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import wengert as wg
from tests.programs import page
from tests.programs.catalog import PROGRAMS, Program
from wengert.ir.interpret import run
from wengert.testing.modes import largest_difference
from wengert.tree import flatten

for _subject in page.SUBJECTS:
    importlib.import_module(f"tests.programs.{_subject}")

LARGEST = 12
"""The most numbers that a program may depend on here, since all of its third derivatives are looked at."""

KINKS = {"control_flow.bisection", "arrays.clip_and_sign"}
"""Programs whose derivative jumps at or near the point, which differences would step over."""

DRAWS = {"finance_statistics.asian_option_paths"}
"""Programs that draw random numbers: their Jacobians are eager, since native ones would draw again."""

STEPS = (1e-4, 1e-5, 1e-6, 1e-7)
"""Of differences: the shorter ones are for points with a kink nearby."""

NAMES = ("value", "jvp", "vjp", "jacfwd", "jacrev", "hvp", "hessian v", "vjp of jvp", "jvp of vjp", "vmap", "vmap of grad")
THIRD = ("jvp of hvp", "vjp of hvp")


def of_a_vector(program: Program) -> tuple[Callable[[Any], float], np.ndarray] | None:
    """The program as a function of one vector, which its floats and arrays of floats are cut from; None if it is not made so."""
    args = program.examples[0]
    places: list[tuple[int, tuple[int, ...] | None]] = []
    for k, arg in enumerate(args):
        if isinstance(arg, float):
            places.append((k, None))
        elif isinstance(arg, np.ndarray) and arg.dtype == np.float64:
            places.append((k, arg.shape))
    if not places:
        return None
    point = np.concatenate([np.ravel(args[k]) for k, _ in places])

    def of_vector(v: Any) -> float:
        full = list(copy.deepcopy(args))
        start = 0
        for k, shape in places:
            if shape is None:
                full[k] = float(v[start])
                start += 1
            else:
                full[k] = v[start : start + math.prod(shape)].reshape(shape).copy()
                start += math.prod(shape)
        total = 0.0
        for k, leaf in enumerate(flatten(program.function(*full))[0]):
            total = total + np.sum(leaf) * (1.0 + 0.3 * k)
        return total

    return of_vector, point


def candidates() -> Iterator[tuple[Program, Callable[[Any], float], np.ndarray]]:
    """The programs that compile, have no effects, and depend on few numbers."""
    for program in PROGRAMS:
        is_pure = program.eager is None and program.fresh is None and not program.name.startswith("effects.")
        made = of_a_vector(program) if is_pure else None
        if made is not None and 0 < made[1].size <= LARGEST:
            yield program, *made


def derivatives(f: Callable[[Any], float]) -> Callable[[Any, Any, Any], tuple[Any, ...]]:
    """Of x and directions v and w: everything in `NAMES` and `THIRD`, made from transformations of `f`."""

    def all_of_them(x: Any, v: Any, w: Any) -> tuple[Any, ...]:
        along = wg.jvp(f, (x,), (v,))[1]
        value, pullback = wg.vjp(f, x)
        second = wg.hvp(f)(x, v)
        return (
            value,
            along,
            pullback(1.0)[0],
            wg.jacfwd(f)(x),
            wg.jacrev(f)(x),
            second,
            wg.hessian(f)(x) @ v,
            wg.grad(lambda z: wg.jvp(f, (z,), (v,))[1])(x),
            wg.jvp(lambda z: wg.vjp(f, z)[1](1.0)[0], (x,), (v,))[1],
            wg.vmap(f)(np.stack([x, x + 0.01 * v])),
            wg.vmap(wg.grad(f))(np.stack([x, x + 0.01 * v])),
            wg.jvp(lambda z: wg.hvp(f)(z, v), (x,), (w,))[1],
            wg.grad(lambda z: wg.hvp(f)(z, v) @ w)(x),
        )

    return all_of_them


def check(name: str, f: Callable[[Any], float], point: np.ndarray) -> None:
    """Demand that all derivatives of `f` fit together and are the same in every mode.

    Raises:
        AssertionError: two of them differ.
    """
    rng = np.random.default_rng(11)
    v, w = rng.normal(size=point.shape), rng.normal(size=point.shape)
    with wg.eager():
        modes = {"eager": derivatives(f)(point, v, w)}
    if name in DRAWS:
        compiled = modes["eager"]
    else:
        everything = wg.jit(derivatives(f))
        compiled = everything(point, v, w)
        variant, leaves = everything.program.variant((point, v, w), {}, ())
        assert variant is not None
        modes["reference"] = tuple(run(variant.function, variant.inputs(leaves)))
    for mode, found in modes.items():
        for each, left, right in zip((*NAMES, *THIRD), found, compiled, strict=True):
            _agree(left, right, 1e-9, f"{each}: {mode} and compiled")
    _agree_with_each_other(name, f, point, dict(zip((*NAMES, *THIRD), compiled, strict=True)), v)


def _agree_with_each_other(name: str, f: Callable[[Any], float], point: np.ndarray, found: dict[str, Any], v: np.ndarray) -> None:
    gradient = found["vjp"]
    _agree(found["value"], f(point), 1e-10, "value")
    _agree(found["jvp"], gradient @ v, 1e-9, "jvp and vjp")
    for each in ("jacfwd", "jacrev"):
        _agree(found[each], gradient, 1e-9, each)
    for each in ("hessian v", "vjp of jvp", "jvp of vjp"):
        _agree(found[each], found["hvp"], 1e-8, f"{each} and hvp")
    moved = point + 0.01 * v
    _agree(found["vmap"], np.array([f(point), f(moved)]), 1e-10, "vmap")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        slope = wg.grad(f)
        _agree(found["vmap of grad"], np.stack([gradient, slope(moved)]), 1e-9, "vmap of grad")
        if name not in KINKS:
            differences = (_along(slope, point, v, step) for step in STEPS)
            best = min(differences, key=lambda d: largest_difference(d, np.asarray(found["hvp"])))
            _agree(found["hvp"], best, 1e-6, "hvp and differences")
    _agree(found["jvp of hvp"], found["vjp of hvp"], 1e-7, "jvp of hvp and vjp of hvp")


def _along(slope: Callable[[Any], Any], point: np.ndarray, v: np.ndarray, step: float) -> np.ndarray:
    """The derivative of `slope` along v by differences of fourth order."""
    near, far = ((slope(point + k * step * v) - slope(point - k * step * v)) / (2 * k * step) for k in (1, 2))
    return np.asarray((4 * near - far) / 3)


def _agree(left: Any, right: Any, tolerance: float, what: str) -> None:
    difference = largest_difference(np.asarray(left, dtype=float), np.asarray(right, dtype=float))
    assert difference < tolerance, f"{what}: {left!r} and {right!r} differ by {difference:.1e}"


def main() -> int:
    """Check all programs, or those named; print a line for each."""
    failures = 0
    chosen = [c for c in candidates() if not sys.argv[1:] or c[0].name in sys.argv[1:]]
    for program, f, point in chosen:
        started = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(program.name, f, point)
            outcome = "agree"
        except Exception as error:  # noqa: BLE001 - a table of everything that goes wrong is what this is for
            failures += 1
            outcome = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        print(f"{program.name:45} {point.size:3} numbers  {time.perf_counter() - started:6.1f} s  {outcome}", flush=True)
    print(f"{len(chosen)} programs, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
