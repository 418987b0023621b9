"""What a generated program knows at a point: its variables, the loops around, and the lines written so far."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

T = TypeVar("T")
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Expr:
    """A float expression as text; `bound` is how large it gets, roughly, for keeping programs tame."""

    text: str
    shape: Shape = ()
    bound: float = 3.0


@dataclass(frozen=True)
class Variable:
    """Something with a name, or a path such as `p["rate"]`.

    Attributes:
        text: how it is written.
        kind: "float", "array" or "int".
        shape: its sizes at the inputs that the program is run at.
        assignable: whether `text = ...` may be written.
        writable: whether elements of the array may be stored to.
        low: smallest value of an int.
        high: largest value of an int; None where it is not known.
    """

    text: str
    kind: str
    shape: Shape = ()
    assignable: bool = True
    writable: bool = True
    low: int = 0
    high: int | None = None


@dataclass(frozen=True)
class Helper:
    """A function that the program may call: how to write its name, what it takes, and what it gives.

    Attributes:
        name: how it is called.
        params: kind and shape of each positional parameter.
        gives: "float", "pair" (two floats), "array" (of the shape of the first array parameter) or "none" (it mutates that).
        keyword: name of a float parameter that has a default, or "".
    """

    name: str
    params: tuple[tuple[str, Shape], ...]
    gives: str
    keyword: str = ""


@dataclass
class Frame:
    """The function being written.

    Attributes:
        gives: what its `return` gives, as in `Helper`.
        loops: how many loops are around.
        trips: how often the innermost statement runs, at most.
        may_return: whether an early `return` is allowed here.
    """

    gives: str = "float"
    loops: int = 0
    trips: int = 1
    may_return: bool = True


@dataclass
class Writer:
    """Lines of a program under construction, with the variables in sight."""

    rng: random.Random
    lines: list[str] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)
    helpers: list[Helper] = field(default_factory=list)
    frame: Frame = field(default_factory=Frame)
    indent: int = 0
    budget: int = 12
    names: int = 0

    def line(self, text: str) -> None:
        """Write one line."""
        self.lines.append("    " * self.indent + text if text else "")

    def fresh(self, prefix: str) -> str:
        """A name not used before."""
        self.names += 1
        return f"{prefix}{self.names}"

    def add(self, variable: Variable) -> Variable:
        """Bring a variable in sight; it replaces one of the same text."""
        self.variables = [v for v in self.variables if v.text != variable.text]
        self.variables.append(variable)
        return variable

    @contextmanager
    def block(self) -> Iterator[None]:
        """An indented block; what is defined in it is out of sight afterwards."""
        before, helpers, start = list(self.variables), list(self.helpers), len(self.lines)
        self.indent += 1
        yield
        if len(self.lines) == start:
            self.line("pass")
        self.indent -= 1
        self.variables, self.helpers = before, helpers

    @contextmanager
    def loop(self, trips: int) -> Iterator[None]:
        """The body of a loop that runs at most `trips` times."""
        outer = self.frame
        self.frame = replace(outer, loops=outer.loops + 1, trips=outer.trips * max(trips, 1))
        with self.block():
            yield
        self.frame = outer

    # --- drawing ----------------------------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.rng.random() < probability

    def pick(self, items: Sequence[T]) -> T:
        """One of them."""
        return items[int(self.rng.random() * len(items))]

    def number(self, low: float = 0.1, high: float = 1.5) -> str:
        """A positive constant with two decimals."""
        return repr(round(self.rng.uniform(low, high), 2))

    def floats(self) -> list[Variable]:
        return [v for v in self.variables if v.kind == "float"]

    def ints(self) -> list[Variable]:
        return [v for v in self.variables if v.kind == "int"]

    def arrays(self, shape: Shape | None = None, rank: int | None = None, writable: bool = False) -> list[Variable]:
        """Arrays in sight, of this shape or rank."""
        return [
            v
            for v in self.variables
            if v.kind == "array"
            and (shape is None or v.shape == shape)
            and (rank is None or len(v.shape) == rank)
            and (v.writable or not writable)
        ]


def bare(text: str) -> str:
    """`text` without a pair of parentheses around the whole of it."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for place, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0 and place < len(text) - 1:
            return text
    return text[1:-1]
