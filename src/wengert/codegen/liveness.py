"""When values die: the last use of every value in every region, nested uses counted at the instruction that holds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from wengert.ir.core import Instr, Region, Value


@dataclass
class Frame:
    """A region being lowered.

    Attributes:
        region: the region.
        last: position of the last use of each value used in the region (its yield comes after all instructions).
        position: of the instruction being lowered.
        again: values from outside that the next iteration of this loop needs; empty unless the region is a loop's.
        depth: number of frames around it.
        loops: number of loops around the region's instructions.
        log: undone when the frame is left: (dictionary, key, old value or None).
    """

    region: Region
    last: dict[Value, int]
    depth: int
    loops: int
    again: frozenset[Value] = frozenset()
    position: int = -1
    log: list[tuple[dict[Any, Any], Any, Any]] = field(default_factory=list)


class Uses:
    """Last uses and free values of every region of a function, computed once."""

    def __init__(self, body: Region) -> None:
        self._last: dict[Region, dict[Value, int]] = {}
        self._free: dict[Region, frozenset[Value]] = {}
        self._visit(body)

    def last(self, region: Region) -> dict[Value, int]:
        """Position of the last direct or nested use of each value used in `region`."""
        return self._last[region]

    def free(self, region: Region) -> frozenset[Value]:
        """Values from outside that `region` uses as operands or results."""
        return self._free[region]

    def nested(self, instr: Instr) -> frozenset[Value]:
        """Values from outside that the regions of `instr` use."""
        return frozenset().union(*(self._free[r] for r in instr.regions))

    def _visit(self, region: Region) -> None:
        last: dict[Value, int] = {}
        defined: set[Value] = set(region.params)
        for position, instr in enumerate(region.instrs):
            for inner in instr.regions:
                self._visit(inner)
                last.update(dict.fromkeys(self._free[inner], position))
            last.update(dict.fromkeys(instr.operands, position))
            defined.update(instr.results)
        last.update(dict.fromkeys(region.results, len(region.instrs)))
        self._last[region] = last
        self._free[region] = frozenset(v for v in last if v not in defined)
