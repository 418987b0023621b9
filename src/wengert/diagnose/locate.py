"""Where a gradient goes wrong: the line of the user's source at which it becomes infinite, NaN, too large, or zero.

The one idea: run the function and its reverse pass on the eager tape, where every instruction and every value is kept, and
walk back from the bad number along bad operands. The instruction that makes a bad result of good operands is the cause.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from wengert.api.arguments import is_differentiable
from wengert.diagnose.cuts import zero_reason
from wengert.diagnose.listing import short_path
from wengert.diagnose.probe import first_bad
from wengert.errors import Span, UnsupportedError
from wengert.frontend.trace import trace
from wengert.ir.core import Instr, Value
from wengert.tape.backward import pull_back
from wengert.tape.evaluate import EvalBuilder
from wengert.transforms.activity import active_values
from wengert.tree import flatten

Fault = Literal["loss", "gradient", "zero", "large"]
"""What is wrong: the loss or a gradient is not finite, a gradient is zero, or it is too large."""

MOST_INSTRUCTIONS = 1_000_000
MOST_SECONDS = 10.0

_WORDS = {
    "add": "the sum",
    "sub": "the difference",
    "mul": "the product",
    "div": "the division",
    "pow": "the power",
    "ipow": "the power",
    "matmul": "the matrix product",
}
_PLUMBING = frozenset(["broadcast", "reshape", "transpose", "convert", "const", "index", "update", "make_array", "assume_shape"])


@dataclass(frozen=True)
class Finding:
    """The cause of a fault in one sentence, and its place."""

    sentence: str
    span: Span | None


def locate(
    f: Callable[..., Any], args: Sequence[Any], fault: Fault, number: int = 0, limit: float = np.inf
) -> Finding | None:
    """The cause of a bad loss or gradient of `f(*args)` with respect to its first argument.

    Runs `f` once more, eagerly, with its prints held back. If that takes more than a million instructions or 10 seconds, the
    compiled gradient is searched instead for the first number that is not finite.

    Args:
        f: returns a float.
        args: its arguments, at which the fault shows.
        fault: what is wrong.
        number: which float or float array of the first argument, in the order of its leaves.
        limit: for "large": the size that the gradient should not exceed.

    Returns:
        The finding, or None if the search finds no single cause or had to be given up.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            leaves, _ = flatten(args[0])
            position = [k for k, leaf in enumerate(leaves) if is_differentiable(leaf)][number]
            if fault == "zero" and (reason := _static_reason(f, args, position)) is not None:
                return reason
            try:
                tape = _record(f, args, position)
                return None if tape is None else _SEARCHES[fault](tape, limit)
            except _GiveUpError:
                return _search_compiled(f, args, position) if fault in ("loss", "gradient") else None
    except Exception:  # noqa: BLE001 - the fault is being reported already; a failed search must not take its place
        return None


# --- recording -------------------------------------------------------------------------------------------------------


class _GiveUpError(Exception):
    """The search takes too long."""


class _BoundedBuilder(EvalBuilder):
    """Runs and records a limited number of instructions."""

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self.deadline = deadline

    def check_time(self) -> None:
        """Give up after the deadline."""
        if time.perf_counter() > self.deadline:
            raise _GiveUpError

    def emit(self, op, operands, attrs=None, regions=(), names=()):  # type: ignore[no-untyped-def]
        """Run one instruction, unless there have been too many."""
        count = len(self.instrs)
        if count > MOST_INSTRUCTIONS:
            raise _GiveUpError
        if count % 1024 == 0:
            self.check_time()
        return super().emit(op, operands, attrs, regions, names)


@dataclass
class _Tape:
    """What ran: the function, and the reverse pass on top of it.

    Attributes:
        forward: the instructions of the function.
        loss: its result.
        param: the value that the gradient is taken with respect to.
        runner: knows every number.
        backward: the instructions of the reverse pass, empty until `reverse`.
        producers: the instruction that made a value.
        reverse_values: those made by the reverse pass.
    """

    forward: Sequence[Instr]
    loss: Value
    param: Value
    runner: _BoundedBuilder
    backward: Sequence[Instr] = ()
    producers: dict[Value, Instr] = field(default_factory=dict)
    reverse_values: set[Value] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.producers.update((r, i) for i in self.forward for r in i.results)

    def reverse(self) -> Value:
        """Run the reverse pass; returns the gradient."""
        runner = _BoundedBuilder(self.runner.deadline)
        (gradient,) = pull_back(runner, self.forward, [self.loss], [runner.const(1.0)], [self.param])
        self.backward = runner.instrs
        self.producers.update((r, i) for i in self.backward for r in i.results)
        self.reverse_values.update(r for i in self.backward for r in i.results)
        return gradient

    def known(self, value: Value) -> Any:
        """The number or array of `value`."""
        self.runner.check_time()
        return self.runner.known(value)


def _record(f: Callable[..., Any], args: Sequence[Any], position: int) -> _Tape | None:
    runner = _BoundedBuilder(time.perf_counter() + MOST_SECONDS)
    traced = trace(f, tuple(args), {}, eager_builder=runner)
    function = traced.function
    place = traced.out_leaves[0]
    if not isinstance(place, int):
        return None
    param = function.params[traced.param_leaves.index(position)]
    return _Tape(function.instrs, function.results[place], param, runner)


# --- searching -------------------------------------------------------------------------------------------------------


def _search_loss(tape: _Tape, limit: float) -> Finding | None:
    cause = _first_bad(tape, tape.loss, lambda v: not _is_finite(tape, v))
    return None if cause is None else _describe_forward(tape, cause)


def _search_gradient(tape: _Tape, limit: float) -> Finding | None:
    return _search_reverse(tape, lambda v: not _is_finite(tape, v), "")


def _search_large(tape: _Tape, limit: float) -> Finding | None:
    def is_large(value: Value) -> bool:
        data = tape.known(value)
        return value.is_float and bool(np.any(~(np.abs(data) <= limit)))

    return _search_reverse(tape, is_large, f"the gradient grows beyond {limit:.3g} at {{place}}")


def _search_reverse(tape: _Tape, bad: Callable[[Value], bool], growth: str) -> Finding | None:
    cause = _first_bad(tape, tape.reverse(), bad)
    if cause is None:
        return None
    if cause.result not in tape.reverse_values:
        return _describe_forward(tape, cause)
    primal = _differentiated(tape, cause)
    if growth or primal is None:
        start = growth or "the gradient becomes " + _spell(tape.known(cause.result)) + " at {place}"
        extra = "" if primal is None else f", in the derivative of {_name(primal)}{_operands_text(tape, primal, cause)}"
        return Finding(start.format(place=_place(cause.span)) + extra, cause.span)
    kind = _spell(tape.known(cause.result))
    huge = [o for o in cause.operands if o.is_float and np.any(np.abs(tape.known(o)) > 1e100)]
    if huge and kind != "NaN":
        text = f"the gradient overflows in the derivative of {_name(primal)} at {_place(primal.span)}"
        return Finding(text, primal.span)
    text = f"the derivative of {_name(primal)} at {_place(primal.span)} is {kind}"
    return Finding(text + _operands_text(tape, primal, cause), primal.span)


def _search_zero(tape: _Tape, limit: float) -> Finding | None:
    active = active_values(tape.forward, [tape.param], [tape.loss])
    if tape.param not in active:
        return Finding(*zero_reason(tape.forward, tape.param, [tape.loss], recorded=True))
    value = tape.reverse()
    while True:
        instr = tape.producers.get(value)
        if instr is None or value not in tape.reverse_values:
            return None
        zero = [o for o in instr.operands if o in tape.reverse_values and o.is_float and not np.any(tape.known(o))]
        flowing = [o for o in zero if tape.producers[o].op.name not in ("const", "broadcast")]
        if not flowing:
            break
        value = min(flowing, key=lambda o: o.serial)
    primal = _differentiated(tape, instr)
    if primal is None:
        return Finding(f"it becomes zero at {_place(instr.span)}", instr.span)
    text = f"the derivative of {_name(primal)} at {_place(primal.span)} is zero"
    return Finding(text + _operands_text(tape, primal, instr), primal.span)


def _static_reason(f: Callable[..., Any], args: Sequence[Any], position: int) -> Finding | None:
    """Why the gradient is zero whatever the numbers; None if it is not, or if `f` cannot be staged."""
    try:
        traced = trace(f, tuple(args), {})
    except UnsupportedError:
        return None
    function = traced.function
    param = function.params[traced.param_leaves.index(position)]
    losses = [r for r in function.results if r.is_float]
    if param in active_values(function.instrs, [param], losses):
        return None
    return Finding(*zero_reason(function.instrs, param, losses))


def _search_compiled(f: Callable[..., Any], args: Sequence[Any], position: int) -> Finding | None:
    """What can be said without a tape."""
    found = first_bad(f, args, position)
    if found is None:
        return None
    span = found.instr.span
    what = f"the derivative of {_name(found.instr)}" if found.is_derivative else _name(found.instr)
    text = f"the first number that is not finite is {what} at {_place(span)}"
    if found.operands and not found.is_derivative:
        text += f", applied to {' and '.join(map(repr, found.operands))}"
    return Finding(text, span)


_SEARCHES: dict[str, Callable[[_Tape, float], Finding | None]] = {
    "loss": _search_loss,
    "gradient": _search_gradient,
    "large": _search_large,
    "zero": _search_zero,
}


def _first_bad(tape: _Tape, value: Value, bad: Callable[[Value], bool]) -> Instr | None:
    """The instruction that made a bad value of good ones, on the way back from `value`."""
    if not bad(value):
        return None
    while True:
        instr = tape.producers.get(value)
        if instr is None:
            return None
        guilty = [o for o in instr.operands if bad(o)]
        if not guilty:
            return instr
        value = min(guilty, key=lambda o: o.serial)


def _is_finite(tape: _Tape, value: Value) -> bool:
    return not value.is_float or bool(np.all(np.isfinite(tape.known(value))))


def _differentiated(tape: _Tape, cause: Instr) -> Instr | None:
    """The instruction of the function whose derivative the instruction `cause` of the reverse pass computes."""
    near: set[Value] = set(cause.operands)
    pending = [o for o in cause.operands if o in tape.reverse_values]
    for _ in range(64):
        if not pending:
            break
        instr = tape.producers[pending.pop()]
        if instr.span == cause.span:
            near.update(instr.operands)
            pending += [o for o in instr.operands if o in tape.reverse_values]
    best = None
    for instr in tape.forward:
        if instr.span != cause.span or instr.op.name in _PLUMBING or not any(r.is_float for r in instr.results):
            continue
        if any(r in near for r in instr.results) and not best:
            best = instr
        if any(o in near for o in instr.operands):
            best = instr
            if instr.op.cost > 1:
                break
    return best


# --- words -----------------------------------------------------------------------------------------------------------


def _describe_forward(tape: _Tape, cause: Instr) -> Finding:
    text = f"{_name(cause)} at {_place(cause.span)} is {_spell(tape.known(cause.result))}"
    return Finding(text + _operands_text(tape, cause, cause), cause.span)


def _name(instr: Instr) -> str:
    return _WORDS.get(instr.op.name, instr.op.name)


def _place(span: Span | None) -> str:
    return "an unknown line" if span is None else f"{short_path(span.file)}:{span.line}"


def _spell(data: Any) -> str:
    flat = np.ravel(np.asarray(data, dtype=float))
    bad = flat[~np.isfinite(flat)]
    if not bad.size:
        return f"{flat[np.argmax(np.abs(flat))]:.6g}" if flat.size else "empty"
    if np.isnan(bad[0]):
        return "NaN"
    return "infinite" if bad[0] > 0 else "minus infinite"


def _operands_text(tape: _Tape, instr: Instr, cause: Instr) -> str:
    """The numbers that `instr` was applied to, for arrays at the place where the result of `cause` is worst."""
    floats = [o for o in instr.operands if o.is_float]
    if not floats or len(floats) > 3:
        return ""
    where = _worst(tape.known(cause.result))
    found = []
    for operand in floats:
        data = np.asarray(tape.known(operand))
        if data.ndim and data.shape != np.shape(tape.known(cause.result)):
            return ""
        found.append(f"{float(data[where] if data.ndim else data)!r}")
    here = f" at [{', '.join(map(str, where))}]" if where and np.ndim(tape.known(floats[0])) else ""
    if len(found) == 1:
        return f": its argument{here} is {found[0]}"
    return f": its arguments{here} are {' and '.join(found)}"


def _worst(data: Any) -> tuple[int, ...]:
    """The place of the first entry that is not finite, or else of the largest."""
    array = np.asarray(data, dtype=float)
    if not array.ndim or not array.size:
        return ()
    bad = ~np.isfinite(array)
    flat = int(np.argmax(bad)) if bad.any() else int(np.argmax(np.abs(array)))
    return tuple(int(k) for k in np.unravel_index(flat, array.shape))
