"""Memory for arrays that ends where the operating system forbids to go on, and whose rest is watched.

An arena is a few pages between two that can neither be read nor written. An array lies at one of its ends, so that what reads
past that end dies at once; the rest of the pages is filled with a pattern, in which stray writes show and which as floats is NaN.
"""

from __future__ import annotations

import ctypes
import mmap
import sys

import numpy as np

PATTERN = 0x7FF8_DEAD_BEEF_7FF8
_FORBIDDEN = 0  # PROT_NONE


class Arena:
    """A few pages between two forbidden ones; holds one array at a time.

    Args:
        pages: how many pages can be used.
    """

    def __init__(self, pages: int = 2) -> None:
        page = mmap.PAGESIZE
        self._memory = mmap.mmap(-1, (pages + 2) * page)
        everything = np.frombuffer(self._memory, np.uint8)
        self.bytes = everything[page:-page]
        self.bytes.view(np.uint64).fill(PATTERN)
        if sys.platform != "win32":
            protect = ctypes.CDLL(None, use_errno=True).mprotect
            protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
            for start in (0, len(everything) - page):
                if protect(everything.ctypes.data + start, page, _FORBIDDEN):
                    raise OSError(ctypes.get_errno(), "pages cannot be protected")

    def room(self, size: int, at_end: bool, shift: int = 0) -> np.ndarray:
        """`size` bytes at the end or the start, after everything has been filled with the pattern; a view of the pages.

        Args:
            size: in bytes.
            at_end: which end.
            shift: how many bytes away from it.
        """
        if size + shift > len(self.bytes):
            raise ValueError(f"an arena of {len(self.bytes)} bytes has no room for {size}")
        self.bytes.view(np.uint64).fill(PATTERN)
        start = len(self.bytes) - size - shift if at_end else shift
        return self.bytes[start : start + size]
