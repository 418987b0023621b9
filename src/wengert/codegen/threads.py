"""How many threads native code may use inside of one call: a number in memory that compiled code reads."""

from __future__ import annotations

import ctypes
import os

from wengert.errors import ArgumentError
from wengert.switches import disabled

MOST_THREADS = 64


def _from_environment() -> int:
    text = os.environ.get("WENGERT_NUM_THREADS", "")
    return min(int(text), MOST_THREADS) if text.isdecimal() and int(text) > 0 else 1


_count = ctypes.c_int64(_from_environment())


class Mode:
    """What the number of threads means for compiling: code for one thread is not cut into parts.

    Attributes:
        splits: whether new code may use several threads.
    """

    def __init__(self) -> None:
        self.splits = False
        self.update()

    def update(self) -> None:
        """Look at the number of threads."""
        self.splits = _count.value > 1 and "threads" not in disabled()


mode = Mode()


def set_threads(count: int) -> None:
    """Let compiled code use up to `count` threads inside of one call; the default is 1, or WENGERT_NUM_THREADS.

    Large loops over arrays, and loops whose iterations do not need each other, are cut into as many parts of fixed borders,
    so results are equal to the last bit from run to run with the same number of threads. Code compiled for one thread is
    compiled again when it is called next. BLAS has threads of its own, which this does not change.

    Raises:
        ArgumentError: `count` is no whole number from 1 to 64.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_THREADS:
        raise ArgumentError(f"set_threads takes a whole number from 1 to {MOST_THREADS}. Got {count!r} instead.")
    _count.value = count
    mode.update()


def get_threads() -> int:
    """The number of threads that compiled code may use inside of one call."""
    return int(_count.value)


def address() -> int:
    """Where compiled code reads the number."""
    return ctypes.addressof(_count)
