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

from wengert.api import EagerFallbackWarning, eager, grad, jvp, nested, value_and_grad
from wengert.errors import WengertError
from wengert.frontend.context import is_tracing
from wengert.testing.modes import Outcomes, float_arguments, largest_difference, run_modes
from wengert.testing.programs.generate import Program, generate
from wengert.testing.programs.moves import against_differences, along, floats, moved, random_direction, trees_of
from wengert.testing.programs.ties import has_near_tie

MODES_TOLERANCE = 1e-9
LARGEST_GRADIENT = 1e5
_NUDGE = 1e-13
_ROUNDINGS = 2e-14
_FORWARD_EVERY = 8
_SECOND_EVERY, _SECOND_FIRST = 16, 5
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
        if has_near_tie(program):
            reason = "compares what is equal up to rounding"
        elif _is_chaotic(program, f, args, outcomes["eager"][1]):
            reason = "rounding alone would change its gradient"
        else:
            raise
    return Outcome(program.seed, discarded=reason, refused=refused)


def _unsteady(seed: int, f: Function, args: Sequence[Any], value: float) -> str:
    """Why the program cannot be compared at these arguments: rounding alone would change its value."""
    if not math.isfinite(value):
        return "not finite"
    rng = random.Random(seed)
    for _ in range(2):
        nudged = float(f(*moved(args, random_direction(rng, args), _NUDGE)))
        if not abs(nudged - value) <= 1e4 * _NUDGE * (1 + abs(value)):
            return "on a jump, or ill-conditioned"
    return ""


def _is_chaotic(program: Program, f: Function, args: Sequence[Any], gradient: Any) -> bool:
    """Whether errors of a hundred roundings of the arguments change the gradient by more than modes may differ."""
    nudged = moved(args, random_direction(random.Random(program.seed), args), _NUDGE)
    with eager():
        other = value_and_grad(f, argnums=float_arguments(args) if program.wrt is None else program.wrt)(*nudged)[1]
    return largest_difference(other, gradient) * _ROUNDINGS > MODES_TOLERANCE * _NUDGE


def _agreement(program: Program, outcomes: Outcomes) -> str:
    """Demand equal values and gradients; a reason to discard the program, or ""."""
    gradient = outcomes["eager"][1]
    size = max((float(np.max(np.abs(leaf), initial=0.0)) for leaf in floats(gradient)), default=0.0)
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
    direction = random_direction(rng, args, program.wrt)
    found = along(args, program.wrt, outcomes["eager"][1], direction)
    if program.seed % _FORWARD_EVERY == 0:
        _forward(program, f, args, direction, found)
    reason, estimates = against_differences(found, lambda t: float(f(*moved(args, direction, t))))
    if reason == "wrong":
        detail = f"along {direction!r}\ngradient gives    {found!r}\ndifferences give  {estimates!r}\n{_table(outcomes)}"
        raise _mismatch(program, "gradient against central differences", detail)
    if not reason and program.seed % _SECOND_EVERY == _SECOND_FIRST:
        _second(program, f, args, direction)
    return reason


def _forward(program: Program, f: Function, args: Sequence[Any], direction: Sequence[Any], expected: float) -> None:
    """Demand that forward mode gives the same directional derivative as the gradient."""
    with _reporting(program, "forward mode"):
        chosen = [args[k] for k in program.wrt]
        found = float(jvp(_of_floats(program, f, args), chosen, trees_of(chosen, direction))[1])
    if not abs(found - expected) <= MODES_TOLERANCE * (1 + abs(expected)) * 10:
        raise _mismatch(program, "forward mode", f"jvp gives       {found!r}\ngradient gives  {expected!r}")


def _second(program: Program, f: Function, args: Sequence[Any], direction: Sequence[Any]) -> None:
    """Demand that forward over reverse agrees with differences of the gradient, compiled and eager."""
    chosen, positions = [args[k] for k in program.wrt], tuple(range(len(program.wrt)))
    covector = random_direction(random.Random(program.seed + 2), chosen)
    slope, tangents = grad(_of_floats(program, f, args), argnums=positions), trees_of(chosen, direction)
    with _reporting(program, "second order"):
        found = along(chosen, positions, jvp(slope, chosen, tangents)[1], covector)
        with eager():
            by_tape = along(chosen, positions, jvp(slope, chosen, tangents)[1], covector)
        reason, estimates = against_differences(
            found, lambda t: along(chosen, positions, slope(*moved(chosen, direction, t)), covector)
        )
    if not abs(found) <= LARGEST_GRADIENT or (reason and reason != "wrong"):
        return
    if reason or not abs(found - by_tape) <= MODES_TOLERANCE * (1 + abs(found)) * 100:
        detail = f"compiled gives    {found!r}\neager gives       {by_tape!r}\ndifferences give  {estimates!r}"
        raise _mismatch(program, "second order", f"along {direction!r}\nand   {covector!r}\n{detail}")


def _of_floats(program: Program, f: Function, args: Sequence[Any]) -> Function:
    """`f` as a function of the arguments that hold floats."""
    fixed = [(k, a) for k, a in enumerate(args) if k not in program.wrt]

    def of_floats(*xs: Any) -> Any:
        given = list(xs)
        for k, a in fixed:
            given.insert(k, a)
        return nested.call(f, given, {}) if is_tracing() else f(*given)

    return of_floats if fixed else f


@contextmanager
def _reporting(program: Program, what: str) -> Iterator[None]:
    """What raises in here is a mismatch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EagerFallbackWarning)
        try:
            yield
        except Exception as error:
            text = "".join(traceback.format_exception(error))
            raise _mismatch(program, f"{type(error).__name__} in {what}", text) from error


# --- the report ------------------------------------------------------------------------------------------------------


def _table(outcomes: Outcomes) -> str:
    rows = [f"{mode:<10} value {float(found)!r}\n{'':<10} gradient {bars!r}" for mode, (found, bars) in outcomes.items()]
    return "\n".join(rows)


def _mismatch(program: Program, what: str, detail: str) -> ProgramMismatchError:
    numbered = "\n".join(f"{k:>4} {line}" for k, line in enumerate(program.source.splitlines(), 1))
    return ProgramMismatchError(f"program of seed {program.seed}: {what}\n{detail}\n{numbered}")
