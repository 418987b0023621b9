"""How deep Python may recurse while code is traced: user code runs several frames deep per call, in several threads at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

RECURSION_LIMIT = 20_000
_lock = threading.Lock()
_before: list[int] = []


@contextmanager
def deep_stack() -> Iterator[None]:
    """Raise Python's limit of recursion; the last of those inside, in whatever thread, puts it back."""
    with _lock:
        limit = sys.getrecursionlimit()
        _before.append(limit if not _before else _before[0])
        sys.setrecursionlimit(max(limit, RECURSION_LIMIT))
    try:
        yield
    finally:
        with _lock:
            limit = _before.pop()
            if not _before:
                sys.setrecursionlimit(limit)
