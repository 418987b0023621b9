"""The list of corpus programs: `@example(...)` puts a plain Python function on it, with arguments to run it on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Program:
    """One program of the corpus.

    Attributes:
        function: the program, plain Python.
        examples: argument tuples; floats and float arrays among them are differentiated.
        eager: why the program cannot compile, for those that run eagerly by nature; None for all others.
        fresh: calls have effects on the world (a file, a generator), and this brings the world back to where it was.
    """

    function: Callable[..., Any]
    examples: tuple[tuple[Any, ...], ...]
    eager: str | None = None
    fresh: Callable[[], None] | None = None

    @property
    def name(self) -> str:
        """The name of the program with its subject, as in `arrays.rows_normalised`."""
        return f"{self.function.__module__.rpartition('.')[2]}.{self.function.__name__}"


PROGRAMS: list[Program] = []


def example(*args: Any, also: tuple[tuple[Any, ...], ...] = (), eager: str | None = None, fresh: Any = None) -> Any:
    """Put the function on the list, to be run on `args` and on each tuple of arguments in `also`."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        PROGRAMS.append(Program(function, (args, *also), eager, fresh))
        return function

    return register
