"""Running one pass on IR text."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import wengert.ops  # noqa: F401 - fills the registry
from wengert.ir.core import Function
from wengert.ir.equal import same
from wengert.ir.parser import parse
from wengert.ir.printer import print_function
from wengert.ir.verify import verify


def function(text: str) -> Function:
    """The verified function that `text` describes."""
    fn = parse(textwrap.dedent(text))
    verify(fn)
    return fn


def body(signature: str, lines: str) -> Function:
    """A function from its signature and the lines of its body."""
    return function(f"func @f{signature} {{\n{textwrap.dedent(lines)}\n}}")


def becomes(apply: Callable[[Function], Function], before: Function, after: Function) -> None:
    """Check that `apply` turns one function into the other, and leaves the other as it is."""
    found = apply(before)
    verify(found)
    assert same(found, after), f"found\n{print_function(found)}\nexpected\n{print_function(after)}"
    assert apply(after) is after, f"not idempotent on\n{print_function(after)}"


def stays(apply: Callable[[Function], Function], fn: Function) -> None:
    """Check that `apply` has nothing to do."""
    found = apply(fn)
    assert found is fn, f"found\n{print_function(found)}"


def ops(fn: Function) -> list[str]:
    """Names of the ops in order, regions included."""
    from wengert.ir.core import walk

    return [i.op.name for i in walk(fn.instrs)]
