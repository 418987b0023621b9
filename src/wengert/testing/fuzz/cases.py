"""A program to be called, what its parameters are, and the ways to run it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

MODES = ("value", "grad", "jvp", "vmap")


@dataclass(frozen=True)
class Case:
    """A program of the collection.

    Attributes:
        f: the program.
        parameters: one word per parameter, see `kinds`.
        modes: the ways to run it.
        huge: whether astronomical sizes are passed; not to loops over all that there is.
        exact: whether results are the same bits as Python's wherever NaN and infinities are among the arguments.
        plain: ranks and dtypes are kept as `parameters` has them.
        rtol: largest difference from Python's result.
    """

    f: Callable[..., Any]
    parameters: str
    modes: tuple[str, ...] = MODES
    huge: bool = True
    exact: bool = False
    plain: bool = False
    rtol: float = 1e-9

    @property
    def name(self) -> str:
        """Of the program."""
        return self.f.__name__

    @property
    def ways(self) -> tuple[str, ...]:
        """The modes that its parameters allow: `jvp` has a direction for each."""
        floats = all(word.startswith("f64") or word == "list[f64]" for word in self.words)
        return self.modes if floats else tuple(m for m in self.modes if m != "jvp")

    def allows_huge(self, mode: str) -> bool:
        """Whether astronomical sizes fail at once: the derivative of a large array that is summed needs no memory, only time."""
        return self.huge and mode != "vmap" and (mode == "value" or "size" not in self.words)

    @property
    def words(self) -> list[str]:
        """One per parameter."""
        return self.parameters.split()


@cache
def all_cases() -> dict[str, Case]:
    """The programs by name. They are loaded as files outside of the package, whose own functions are not converted."""
    found = {}
    for file in ("arrays", "places", "loops"):
        for f, parameters, options in _load(file).PROGRAMS:
            found[f.__name__] = Case(f, parameters, **options)
    return found


@cache
def loss_of(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function of one float that sums what `f` gives."""
    return _load("losses").loss_of(f)


@cache
def _load(name: str) -> ModuleType:
    path = Path(__file__).parent / "programs" / f"{name}.py"
    spec = spec_from_file_location(f"fuzzed_{name}", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module
