"""Compare a program in all modes: CPython, native code, the interpreter, the tape; and its gradient with differences."""

from __future__ import annotations

import copy
import importlib.util
import itertools
import math
import os
import random
import sys
import tempfile
import traceback
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wengert.api import EagerFallbackWarning, jvp, nested
from wengert.api.arguments import is_differentiable
from wengert.errors import WengertError
from wengert.frontend.context import is_tracing
from wengert.testing.modes import Outcomes, largest_difference, run_modes
from wengert.testing.programs.generate import Program, generate
from wengert.testing.programs.ties import has_near_tie
from wengert.tree import flatten

MODES_TOLERANCE = 1e-9
DIFFERENCES_TOLERANCE = 1e-5
LARGEST_GRADIENT = 1e5
_NUDGE = 1e-13
_STEPS = (2e-3, 2e-4, 2e-5)
_FORWARD_EVERY = 8
_OPTIMISED_EVERY = 4
_SWITCH = "WENGERT_DISABLE"

Function = Callable[..., Any]


class ProgramMismatchError(WengertError, AssertionError):
    """A generated program does not give the same in every mode; the message has its seed and its source."""


@dataclass(frozen=True)
class Outcome:
    """What came of one program.

    Attributes:
        seed: of the program.
        discarded: why nothing can be said about it ("" if it was compared): a jump, a kink or an overflow at its inputs.
        refused: why it could not be compiled, or "".
        mismatch: the report, or "".
    """

    seed: int
    discarded: str = ""
    refused: str = ""
    mismatch: str = ""


def compare(seed: int) -> Outcome:
    """Generate the program of this seed and compare.

    Raises:
        ProgramMismatchError: modes differ, a mode raises, the gradient is wrong, or an argument was written to.
    """
    return compare_program(generate(seed))


def compare_program(program: Program) -> Outcome:
    """`compare` for a program at hand."""
    module = load(program)
    try:
        with np.errstate(all="ignore"), _optimised_by_llvm(program.seed % _OPTIMISED_EVERY == 0):
            return _compare(program, module.program, module.make_args())
    finally:
        unload(module)


@contextmanager
def _optimised_by_llvm(wanted: bool) -> Iterator[None]:
    """Most programs are compiled without LLVM's own optimisations, which take four times as long as everything else."""
    before = os.environ.get(_SWITCH)
    if not wanted:
        os.environ[_SWITCH] = f"{before},llvm" if before else "llvm"
    try:
        yield
    finally:
        if before is not None:
            os.environ[_SWITCH] = before
        else:
            os.environ.pop(_SWITCH, None)


def load(program: Program) -> types.ModuleType:
    """The program as a module, from a file, so that its source is found."""
    name = f"random_program_{program.seed}_{next(_serial)}"
    path = Path(_directory().name) / f"{name}.py"
    path.write_text(program.source)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def unload(module: types.ModuleType) -> None:
    """Forget a module made by `load`."""
    sys.modules.pop(module.__name__, None)
    if module.__file__ is not None:
        Path(module.__file__).unlink(missing_ok=True)


_serial = itertools.count()
_directories: list[tempfile.TemporaryDirectory[str]] = []


def _directory() -> tempfile.TemporaryDirectory[str]:
    if not _directories:
        _directories.append(tempfile.TemporaryDirectory(prefix="wengert_programs_"))
    return _directories[0]


# --- comparing -------------------------------------------------------------------------------------------------------


def _compare(program: Program, f: Function, args: Sequence[Any]) -> Outcome:
    value = float(f(*copy.deepcopy(args)))
    reason = _unsteady(program.seed, f, args, value)
    if reason:
        return Outcome(program.seed, discarded=reason)
    kept = copy.deepcopy(args)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", EagerFallbackWarning)
        try:
            outcomes = run_modes(f, args, program.wrt)
        except Exception as error:
            text = "".join(traceback.format_exception(error))
            raise _mismatch(program, f"{type(error).__name__} where CPython gives {value!r}", text) from error
    refused = next((str(w.message) for w in caught if issubclass(w.category, EagerFallbackWarning)), "")
    if largest_difference(args, kept) > 0:
        raise _mismatch(program, "an argument was written to", f"before {kept!r}\nafter  {args!r}")
    try:
        reason = _agreement(program, outcomes) or _differences(program, f, args, outcomes)
    except ProgramMismatchError:
        if not has_near_tie(program):
            raise
        reason = "compares what is equal up to rounding"
    return Outcome(program.seed, discarded=reason, refused=refused)


def _unsteady(seed: int, f: Function, args: Sequence[Any], value: float) -> str:
    """Why the program cannot be compared at these arguments: rounding alone would change its value."""
    if not math.isfinite(value):
        return "not finite"
    rng = random.Random(seed)
    for _ in range(2):
        nudged = float(f(*_moved(args, _direction(rng, args), _NUDGE)))
        if not abs(nudged - value) <= 1e4 * _NUDGE * (1 + abs(value)):
            return "on a jump, or ill-conditioned"
    return ""


def _agreement(program: Program, outcomes: Outcomes) -> str:
    """Demand equal values and gradients; a reason to discard the program, or ""."""
    gradient = outcomes["eager"][1]
    size = max((float(np.max(np.abs(leaf), initial=0.0)) for leaf in _floats(gradient)), default=0.0)
    value = outcomes["python"][0]
    for mode, (found, _) in outcomes.items():
        if not largest_difference(float(found), float(value)) <= MODES_TOLERANCE:
            raise _mismatch(program, f"value in mode {mode}", _table(outcomes))
    if size > LARGEST_GRADIENT:
        return "steep"
    for mode, (_, found) in outcomes.items():
        if mode != "python" and not largest_difference(found, gradient) <= MODES_TOLERANCE:
            raise _mismatch(program, f"gradient in mode {mode}", _table(outcomes))
    return ""


def _differences(program: Program, f: Function, args: Sequence[Any], outcomes: Outcomes) -> str:
    """Demand that the gradient agrees with central differences; a reason to discard the program, or ""."""
    rng = random.Random(program.seed + 1)
    direction = _direction(rng, args, program.wrt)
    found = _along(args, program.wrt, outcomes["eager"][1], direction)
    if program.seed % _FORWARD_EVERY == 0:
        _forward(program, f, args, direction, found)

    def at(t: float) -> float:
        return float(f(*_moved(args, direction, t)))

    estimates = []
    for step in _STEPS:
        expected = _extrapolated(at, step)
        if abs(found - expected) <= DIFFERENCES_TOLERANCE * (1 + abs(found)):
            return ""
        estimates.append(expected)
    last, before = estimates[-1], estimates[-2]
    if not abs(last - before) <= DIFFERENCES_TOLERANCE * (1 + abs(last)):
        return "differences do not converge"
    here, step = at(0.0), _STEPS[-1] / 20
    ahead, behind = (at(step) - here) / step, (here - at(-step)) / step
    if not abs(ahead - behind) <= 1e-2 * (1 + abs(last)):
        return "on a kink"
    detail = f"along {direction!r}\ngradient gives    {found!r}\ndifferences give  {estimates!r}\n{_table(outcomes)}"
    raise _mismatch(program, "gradient against central differences", detail)


def _forward(program: Program, f: Function, args: Sequence[Any], direction: Sequence[Any], expected: float) -> None:
    """Demand that forward mode gives the same directional derivative as the gradient."""
    chosen = [args[k] for k in program.wrt]
    fixed = [(k, a) for k, a in enumerate(args) if k not in program.wrt]

    def of_floats(*xs: Any) -> Any:
        given = list(xs)
        for k, a in fixed:
            given.insert(k, a)
        return nested.call(f, given, {}) if is_tracing() else f(*given)

    tangents = _trees_of(chosen, direction)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EagerFallbackWarning)
        try:
            found = float(jvp(of_floats if fixed else f, chosen, tangents)[1])
        except Exception as error:
            text = "".join(traceback.format_exception(error))
            raise _mismatch(program, f"{type(error).__name__} in forward mode", text) from error
    if not abs(found - expected) <= MODES_TOLERANCE * (1 + abs(expected)) * 10:
        raise _mismatch(program, "forward mode", f"jvp gives       {found!r}\ngradient gives  {expected!r}")


def _extrapolated(at: Callable[[float], float], step: float) -> float:
    coarse = (at(step) - at(-step)) / (2 * step)
    fine = (at(step / 2) - at(-step / 2)) / step
    return (4 * fine - coarse) / 3


# --- moving arguments --------------------------------------------------------------------------------------------------


def _floats(tree: Any) -> list[Any]:
    return [leaf for leaf in flatten(tree)[0] if is_differentiable(leaf)]


def _direction(rng: random.Random, args: Sequence[Any], wrt: Sequence[int] | None = None) -> list[Any]:
    """A random direction per float of the arguments, or of some of them."""
    chosen = args if wrt is None else [args[k] for k in wrt]
    return [
        np.array([rng.uniform(-1, 1) for _ in range(np.size(x))]).reshape(np.shape(x)) if np.ndim(x) else rng.uniform(-1, 1)
        for x in _floats(tuple(chosen))
    ]


def _moved(args: Sequence[Any], direction: Sequence[Any], step: float) -> tuple[Any, ...]:
    """A copy of the arguments, moved."""
    leaves, tree = flatten(tuple(copy.deepcopy(args)))
    steps = iter(direction)
    moved: tuple[Any, ...] = tree.unflatten([x + step * next(steps) if is_differentiable(x) else x for x in leaves])
    return moved


def _trees_of(args: Sequence[Any], direction: Sequence[Any]) -> list[Any]:
    leaves, tree = flatten(tuple(args))
    steps = iter(direction)
    return list(tree.unflatten([next(steps) if is_differentiable(x) else x for x in leaves]))


def _along(args: Sequence[Any], wrt: Sequence[int], gradient: Any, direction: Sequence[Any]) -> float:
    bars = _floats(gradient)
    if [np.shape(b) for b in bars] != [np.shape(x) for k in wrt for x in _floats(args[k])]:
        return math.nan
    return float(sum(np.sum(np.multiply(b, d)) for b, d in zip(bars, direction, strict=True)))


# --- the report ------------------------------------------------------------------------------------------------------


def _table(outcomes: Outcomes) -> str:
    rows = [f"{mode:<10} value {float(found)!r}\n{'':<10} gradient {bars!r}" for mode, (found, bars) in outcomes.items()]
    return "\n".join(rows)


def _mismatch(program: Program, what: str, detail: str) -> ProgramMismatchError:
    numbered = "\n".join(f"{k:>4} {line}" for k, line in enumerate(program.source.splitlines(), 1))
    return ProgramMismatchError(f"program of seed {program.seed}: {what}\n{detail}\n{numbered}")
