"""Arguments out of the ordinary in vector loops: the loop goes on as it is, and a call out of line mends the lanes concerned.

A kernel ends with a call of `@wg.rare.<name>(operands, wild, found)`, which gives `found`, or asks a library where `wild` holds.
LLVM's vectoriser would stop at such a call; it is told of variants for vectors (a "vector-function-abi-variant"), which test all
lanes at once and seldom branch. They are inlined after the vectoriser has run, see `wengert.codegen.engine`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

PREFIX = "wg.rare."
# Lanes of the vectors that loops may be made of: 16 where doubles are computed between floats.
WIDTHS = (2, 4, 8, 16, 32)
PURE = "nounwind willreturn memory(none)"


def variants(name: str, arity: int) -> str:
    """The attribute of a call that names the variants for vectors."""
    operands = "v" * (arity + 2)
    return ",".join(f"_ZGV_LLVM_N{n}{operands}_{PREFIX}{name}({PREFIX}{name}.{n})" for n in WIDTHS)


def used(texts: Iterable[str]) -> list[str]:
    """Names of the rare cases that kernels call."""
    return sorted({name for text in texts for name in re.findall(rf"@{re.escape(PREFIX)}(\w+)\(", text)})


def text(name: str, arity: int, call: str) -> str:
    """The functions of a rare case.

    Args:
        name: of the case.
        arity: number of operands.
        call: the library call for the scalars `%x` (and `%y`), as the right-hand side of an instruction.
    """
    operands = ("%x", "%y")[:arity]
    parameters = ", ".join(f"double {x}" for x in operands)
    scalar = f"""define internal double @{PREFIX}{name}({parameters}, i1 %wild, double %found) noinline {PURE} {{
  br i1 %wild, label %rare, label %usual, !prof !2
rare:
  %r = {call}
  ret double %r
usual:
  ret double %found
}}"""
    return "\n".join([scalar, *(_variant(name, operands, n) for n in WIDTHS)])


def _variant(name: str, operands: tuple[str, ...], n: int) -> str:
    """The variant for `n` lanes, and its way lane by lane."""
    vector, case = f"<{n} x double>", f"{PREFIX}{name}"
    parameters = "".join(f"{vector} {x}, " for x in operands) + f"<{n} x i1> %wild, {vector} %found"
    lanes = "\n".join(f"  {x}.lane = extractelement {vector} {x}, i64 %lane" for x in operands)
    scalars = "".join(f"double {x}.lane, " for x in operands)
    return f"""define {vector} @{case}.{n}({parameters}) alwaysinline {PURE} {{
  %mask = bitcast <{n} x i1> %wild to i{n}
  %some = icmp ne i{n} %mask, 0
  br i1 %some, label %rare, label %usual, !prof !2
rare:
  %r = call {vector} @{case}.lanes.{n}({parameters})
  ret {vector} %r
usual:
  ret {vector} %found
}}
define internal {vector} @{case}.lanes.{n}({parameters}) noinline cold {PURE} {{
entry:
  br label %lanes
lanes:
  %lane = phi i64 [ 0, %entry ], [ %next, %lanes ]
  %so = phi {vector} [ %found, %entry ], [ %far, %lanes ]
{lanes}
  %wild.lane = extractelement <{n} x i1> %wild, i64 %lane
  %found.lane = extractelement {vector} %found, i64 %lane
  %one = call double @{case}({scalars}i1 %wild.lane, double %found.lane)
  %far = insertelement {vector} %so, double %one, i64 %lane
  %next = add i64 %lane, 1
  %last = icmp eq i64 %next, {n}
  br i1 %last, label %done, label %lanes
done:
  ret {vector} %far
}}"""
