"""The order of the passes, run to a fixed point.

Environment variables for debugging: `WENGERT_CHECK=1` verifies after each pass, `WENGERT_DUMP=all` prints the IR after each pass
that changed it, `WENGERT_DISABLE=cse,hoist` leaves passes out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from wengert.errors import InternalError
from wengert.ir.core import Function
from wengert.ir.printer import print_function
from wengert.ir.verify import verify
from wengert.passes.bounds import bounds
from wengert.passes.carries import carries
from wengert.passes.cse import cse
from wengert.passes.dce import dce
from wengert.passes.fold import fold
from wengert.passes.forward import forward
from wengert.passes.hoist import hoist
from wengert.passes.stacks import stacks

Pass = Callable[[Function], Function]

PASSES: tuple[Pass, ...] = (
    dce,  # first, so that the others do not work on what nobody needs
    fold,  # known values and simple forms
    carries,  # loops without invariant carries: their bodies see the initial values
    bounds,  # counters are functions of the index now, so index checks can be proved
    forward,  # reads of writes, which compare unwrapped indices
    hoist,  # before cse, which then sees equal instructions of several loops in one region
    cse,
    stacks,  # last: what is constant or equal among the entries shows after hoisting and merging
)

_MOST_ROUNDS = 20


def optimize(fn: Function) -> Function:
    """`fn` with the same meaning and less work: all passes in order, repeated until nothing changes.

    Raises:
        InternalError: the passes do not settle, or (with WENGERT_CHECK=1) one of them breaks the IR.
    """
    disabled = set(os.environ.get("WENGERT_DISABLE", "").replace(" ", "").split(","))
    passes = [p for p in PASSES if p.__name__ not in disabled]
    checked = os.environ.get("WENGERT_CHECK", "") not in ("", "0")
    dumped = os.environ.get("WENGERT_DUMP", "") == "all"
    settled: dict[Pass, Function] = {}
    for _ in range(_MOST_ROUNDS):
        before = fn
        for apply in passes:
            if settled.get(apply) is not fn:  # what a pass gave it would give again
                fn = settled[apply] = _apply(apply, fn, checked, dumped)
        if fn is before:
            return fn
    raise InternalError(f"the passes do not settle on\n{print_function(fn)}")


def _apply(apply: Pass, fn: Function, checked: bool, dumped: bool) -> Function:
    new = apply(fn)
    if new is not fn:
        if dumped:
            print(f"# after {apply.__name__}\n{print_function(new, spans=True)}", file=sys.stderr)
        if checked:
            try:
                verify(new)
            except InternalError as error:
                raise InternalError(f"pass {apply.__name__} broke the IR: {error}") from error
    return new
