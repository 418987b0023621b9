"""The addresses of Python objects that native code uses: a table in its module, filled when the code is loaded.

So no address is part of the code, and what was compiled by one process can be loaded by another.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache

import numpy as np

from wengert.codegen import threads
from wengert.codegen.text import Writer
from wengert.types import DTYPES

SYMBOL = "wg_table"
# What differs from one compiled function to the next: the callables that it calls back.
CALLBACKS = ("fail", "convert", "show", "measure")


@cache
def shared() -> dict[str, int]:
    """Addresses of objects that live as long as the process, by name."""
    kinds = (float, int, np.float64, np.float32, np.ndarray)
    constants = {"True": True, "False": False, **{kind.__name__: kind for kind in kinds}}
    found = {name: id(obj) for name, obj in constants.items()}
    return {"threads": threads.address(), **found, **{d.name: id(d.numpy) for d in DTYPES.values()}}


def names() -> tuple[str, ...]:
    """What the table holds, in order."""
    return (*CALLBACKS, *shared())


def declaration() -> str:
    """The table in LLVM notation, still empty."""
    return f"@{SYMBOL} = global [{len(names())} x ptr] zeroinitializer, align 8"


def place(name: str) -> str:
    """A constant: where the address of an object is in the table."""
    return f"getelementptr inbounds (ptr, ptr @{SYMBOL}, i64 {names().index(name)})"


def address_of(w: Writer, name: str) -> str:
    """Write the code that reads the address of an object."""
    return w.let(f"load ptr, ptr {place(name)}")


def fill(address: int, callbacks: Mapping[str, int]) -> None:
    """Write the addresses into the table of a module that has been loaded."""
    known = {**shared(), **callbacks}
    words = (ctypes.c_void_p * len(names())).from_address(address)
    for k, name in enumerate(names()):
        words[k] = known[name]
