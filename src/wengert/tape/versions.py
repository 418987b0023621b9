"""Arrays with many versions, of which the latest is cheap to change and every other one stays readable.

The one idea (H. G. Baker, "Shallow binding makes functional arrays fast", SIGPLAN Notices 26(8), 1991,
doi:10.1145/122598.122614): one version owns the buffer; every other one knows the part in which it differs from a
neighbour. Reading a version moves the buffer to it step by step. A loop that stores element by element, and the reverse
pass that reads the old versions last to first, both pay only for the parts stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class Version:
    """One state of an array.

    Attributes:
        array: the buffer, if this version owns it.
        neighbour: otherwise, the version that this one differs from at `key`, where it has `part`.
    """

    __slots__ = ("array", "key", "neighbour", "part")

    def __init__(self, array: np.ndarray) -> None:
        self.array: np.ndarray | None = array
        self.neighbour: Version | None = None
        self.key: Any = None
        self.part: Any = None

    def buffer(self) -> np.ndarray:
        """The array in this state. It is shared: it must not be changed, and changes when another version is read."""
        path: list[Version] = []
        version = self
        while version.array is None:
            path.append(version)
            assert version.neighbour is not None
            version = version.neighbour
        for target in reversed(path):
            version._hand_over(target)
            version = target
        assert version.array is not None
        return version.array

    def changed(self, key: Any, write: Callable[[np.ndarray], None]) -> Version:
        """A new version, which differs from this one at `key` only, by what `write` does to the buffer."""
        array = self.buffer()
        self.part = np.array(array[key])
        write(array)
        new = Version(array)
        self.array, self.neighbour, self.key = None, new, key
        return new

    def _hand_over(self, target: Version) -> None:
        """Make `target`, which is described by its difference to this owner, the owner."""
        array = self.array
        assert array is not None
        key, part = target.key, target.part
        self.array, self.neighbour, self.key, self.part = None, target, key, np.array(array[key])
        array[key] = part
        target.array, target.neighbour, target.key, target.part = array, None, None, None
