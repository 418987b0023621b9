"""What conversion tells the hooks of control flow about the code they stand for."""

from __future__ import annotations

from dataclasses import dataclass

from wengert.errors import Span


@dataclass(frozen=True, eq=False)
class BranchInfo:
    """What a hook knows of an `if` or a loop.

    Attributes:
        span: where it stands.
        live: the names among those it stores that are needed afterwards.
        head: for a loop: those needed at the start of its body; for a `try`: those that its handlers need.
        stop: for a loop: flags that end it.
        made_up: names that need no value on every path: lowering invented them, or a flag guards their reads.
        shared: names that nested functions read.
        final: for a `try`: those that `finally` or what follows it needs.
        jumps: for a `try`: whether a jump leaves its `finally`.
        written: for a loop: the variables and attributes (`a`, `self.a`) whose items its body sets, or that it changes in place.
    """

    span: Span
    live: frozenset[str]
    head: frozenset[str] = frozenset()
    stop: tuple[str, ...] = ()
    made_up: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    final: frozenset[str] = frozenset()
    jumps: bool = False
    written: frozenset[str] = frozenset()
