"""The order of the passes, run to a fixed point.

Environment variables for debugging: `WENGERT_CHECK=1` verifies after each pass, `WENGERT_DUMP=all` prints the IR after each pass
that changed it, `WENGERT_DISABLE=cse,hoist` leaves passes out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from wengert.errors import InternalError
from wengert.ir.calls import refresh, same_signature, signature_of
from wengert.ir.core import Function, walk
from wengert.ir.printer import print_function
from wengert.ir.verify import verify_body
from wengert.passes.abreast import abreast
from wengert.passes.accumulators import accumulators
from wengert.passes.bounds import bounds
from wengert.passes.carries import carries
from wengert.passes.checks import checks
from wengert.passes.cse import cse
from wengert.passes.dce import dce
from wengert.passes.fold import fold
from wengert.passes.forward import forward
from wengert.passes.hits import hits
from wengert.passes.hoist import hoist
from wengert.passes.interfaces import prune_interfaces
from wengert.passes.overwritten import overwritten
from wengert.passes.shifts import shifts
from wengert.passes.stacks import stacks
from wengert.passes.sweeps import sweeps
from wengert.passes.unroll import unroll
from wengert.switches import disabled

Pass = Callable[[Function], Function]

PASSES: tuple[Pass, ...] = (
    dce,  # first, so that the others do not work on what nobody needs
    fold,  # known values and simple forms
    carries,  # loops without invariant carries: their bodies see the initial values
    bounds,  # counters are functions of the index now, so index checks can be proved
    checks,  # what bounds could not prove, once for all trips
    overwritten,  # indices are functions of the counters now
    forward,  # reads of writes, which compare unwrapped indices
    hoist,  # before cse, which then sees equal instructions of several loops in one region
    unroll,  # short loops, once what their trips have in common has left them
    cse,
    abreast,  # what columns have in common with one another has left the loops over them
    stacks,  # what is constant or equal among the entries shows after hoisting and merging
    accumulators,  # what reverse mode adds to one place
    sweeps,  # what the stacks no longer hold need not stand in the way
    shifts,  # what is added to parts that are not written otherwise
    hits,  # last: sees an extremum and where it is attained in one block once the sweeps are merged
)

_MOST_ROUNDS = 20


def optimize(fn: Function, without: frozenset[str] = frozenset()) -> Function:
    """`fn` and its callees with the same meaning and less work: all passes in order, repeated until nothing changes.

    Args:
        fn: the function.
        without: names of passes to leave out, besides those that WENGERT_DISABLE names.

    Raises:
        InternalError: the passes do not settle, or (with WENGERT_CHECK=1) one of them breaks the IR.
    """
    off = disabled() | without
    passes = [p for p in PASSES if p.__name__ not in off]
    checked = os.environ.get("WENGERT_CHECK", "") not in ("", "0")
    dumped = os.environ.get("WENGERT_DUMP", "") == "all"
    if not fn.functions:
        return _settle(fn, passes, _Watch(checked, dumped, {}))
    for _ in range(_MOST_ROUNDS):
        before = fn
        fn = prune_interfaces(refresh(fn)) if "interfaces" not in off else refresh(fn)
        watch = _Watch(checked, dumped, fn.functions)
        main = _settle(replace(fn, functions={}), passes, watch)
        functions = {name: _settle(callee, passes, watch, is_callee=True) for name, callee in fn.functions.items()}
        same = main.instrs is fn.instrs and main.results == fn.results
        if not same or any(functions[name] is not callee for name, callee in fn.functions.items()):
            fn = refresh(replace(main, functions=functions))
        if fn is before:
            return fn
    raise InternalError(f"the passes do not settle on\n{print_function(fn)}")


def _settle(fn: Function, passes: Sequence[Pass], watch: _Watch, is_callee: bool = False) -> Function:
    """`fn` after `passes` in order until nothing changes; of a callee, only what leaves its signature as it is."""
    signature = signature_of(fn) if is_callee else None
    settled: dict[Pass, Function] = {}
    smallest, rounds = _size(fn), 0
    while rounds < _MOST_ROUNDS:
        before = fn
        for apply in passes:
            if settled.get(apply) is fn:  # what a pass gave it would give again
                continue
            new = watch.apply(apply, fn)
            if signature is not None and not same_signature(signature, signature_of(new)):
                new = fn
            fn = settled[apply] = new
        if fn is before:
            return fn
        rounds += 1
        if rounds == _MOST_ROUNDS and _size(fn) < smallest:  # a long chain, of which each round takes one link
            smallest, rounds = _size(fn), _MOST_ROUNDS - 1
    raise InternalError(f"the passes do not settle on\n{print_function(fn)}")


def _size(fn: Function) -> int:
    """How many instructions there are in all regions."""
    return sum(1 for _ in walk(fn.instrs))


@dataclass(frozen=True)
class _Watch:
    """Runs passes and looks at what they give.

    Attributes:
        checked: whether to verify.
        dumped: whether to print.
        functions: what calls may lead to.
    """

    checked: bool
    dumped: bool
    functions: dict[str, Function]

    def apply(self, apply: Pass, fn: Function) -> Function:
        """`fn` after one pass."""
        new = apply(fn)
        if new is not fn:
            if self.dumped:
                print(f"# after {apply.__name__}\n{print_function(new, spans=True)}", file=sys.stderr)
            if self.checked:
                try:
                    verify_body(new, self.functions)
                except InternalError as error:
                    raise InternalError(f"pass {apply.__name__} broke the IR: {error}") from error
        return new
