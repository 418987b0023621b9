"""How often Python's garbage collector runs while code is traced: a trace makes many objects, and keeps nearly all of them.

The collector looks through new objects whenever some hundreds have been made, and now and then through all there are: up to a
quarter of the time of a trace. It still runs, so that a long trace does not fill the memory with what it has dropped.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

OBJECTS: Final = 50_000
_lock = threading.Lock()
_before: list[tuple[int, int, int]] = []


@contextmanager
def rare_collections() -> Iterator[None]:
    """Collect garbage every `OBJECTS` new objects; the last of those inside, in whatever thread, puts back what was set."""
    with _lock:
        now = gc.get_threshold()
        _before.append(_before[0] if _before else now)
        if 0 < now[0] < OBJECTS:  # 0: switched off
            gc.set_threshold(OBJECTS, *now[1:])
    try:
        yield
    finally:
        with _lock:
            before = _before.pop()
            if not _before and gc.get_threshold()[0] == OBJECTS:  # else the program has set another one meanwhile
                gc.set_threshold(*before)
